//! Skytap: environments and their VMs, which are busy for a while after each change.
//!
//! Effects: `configurations/1 {"runstate":"running"}` (and `…/vms/2 …`), `create NAME`, `delete 1`. Violations: a
//! change sent again while Skytap holds one back for its rate.

mod fields;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::twists::Phase;
use super::works::{Effect, Order};
use super::{Books, Kind, Model, PASSWORD, Pace, Reply, Request, Vendor, Works};
use fields::{busy, environment, part, put};

const RUNSTATES: [&str; 5] = ["stopped", "suspended", "running", "halted", "reset"];

/// What a change of something busy is answered; it is not made in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenBusy {
    /// 423, with `Retry-After`.
    Locked,
    /// 422, and the body says that it is busy.
    Unprocessable,
    /// 409.
    Conflict,
    /// 200, with a runstate of busy.
    Ignored,
}

/// An environment: what GET shows of it once nothing is under way.
#[derive(Debug, Clone)]
struct Environment {
    /// With its VMs under `vms`, by their ids.
    fields: Value,
    rate_limited: bool,
    /// Busy with what is not of this model's callers.
    is_busy: bool,
    /// Busy so for as many readings.
    busy_for: u64,
    /// The last change, and the fields before it.
    change: Option<(String, Value)>,
}

type Environments = Arc<Mutex<BTreeMap<String, Environment>>>;

#[derive(Debug)]
struct Manners {
    when_busy: WhenBusy,
    retry_after: Option<u64>,
    limits_changes: bool,
    /// Changes that find it busy though it was not when it was looked at, and for how many readings from then on.
    ambushes: (u64, u64),
}

/// What is Skytap's own about the model.
pub struct Skytap {
    books: Arc<Books>,
    works: Arc<Works>,
    environments: Environments,
    manners: Mutex<Manners>,
}

impl Skytap {
    /// With environment 1, stopped, which has the VM 2.
    pub async fn start(pace: Pace) -> Model<Self> {
        let model = Model::serve(pace, |books, works| Self {
            books,
            works,
            environments: Arc::default(),
            manners: Mutex::new(Manners {
                when_busy: WhenBusy::Locked,
                retry_after: Some(30),
                limits_changes: false,
                ambushes: (0, 0),
            }),
        })
        .await;
        model.add("1", "first", &["2"]);
        model
    }

    pub fn add(&self, id: &str, name: &str, vms: &[&str]) {
        let environment = Environment {
            fields: environment(id, name, vms),
            rate_limited: false,
            is_busy: false,
            busy_for: 0,
            change: None,
        };
        let mut environments = self.environments.lock().unwrap();
        environments.insert(id.to_owned(), environment);
    }

    pub fn when_busy(&self, answer: WhenBusy) {
        self.manners.lock().unwrap().when_busy = answer;
    }

    /// The next so many changes are met by somebody else's work, which began since anybody looked, and is seen by so many
    /// readings. They count as `met by another's work`.
    pub fn ambush(&self, changes: u64, readings: u64) {
        self.manners.lock().unwrap().ambushes = (changes, readings);
    }

    /// What 423 says of when to come back, in seconds.
    pub fn retry_after(&self, seconds: Option<u64>) {
        self.manners.lock().unwrap().retry_after = seconds;
    }

    /// Whether changes from now on are taken, and held back for the rate until [`Skytap::rate_limit`] ends that.
    pub fn limits_changes(&self, it_does: bool) {
        self.manners.lock().unwrap().limits_changes = it_does;
    }

    /// Whether an environment, and what is under way in it, is held back for the rate.
    pub fn rate_limit(&self, id: &str, is_limited: bool) {
        let change = self.with(id, |environment| {
            environment.rate_limited = is_limited;
            environment.change.clone()
        });
        if let Some((job, _)) = change {
            self.works.hold(&job, is_limited);
        }
    }

    /// Whether an environment is busy with somebody else's work.
    pub fn busy(&self, id: &str, is_busy: bool) {
        self.with(id, |environment| environment.is_busy = is_busy);
    }

    /// What the field `error` says until the next change that works out.
    pub fn error(&self, id: &str, text: &str) {
        self.with(id, |environment| environment.fields["error"] = json!(text));
    }

    /// An environment as it truly is.
    pub fn truth(&self, id: &str) -> Value {
        self.with(id, |environment| environment.fields.clone())
    }

    fn with<T>(&self, id: &str, change: impl FnOnce(&mut Environment) -> T) -> T {
        change(self.environments.lock().unwrap().get_mut(id).unwrap())
    }

    /// An environment as GET shows it.
    fn shown(&self, id: &str) -> Option<Value> {
        let mut environments = self.environments.lock().unwrap();
        let kept = environments.get_mut(id)?;
        let environment = kept.clone();
        kept.busy_for = kept.busy_for.saturating_sub(1);
        drop(environments);
        let mut fields = environment.fields;
        if let Some((job, before)) = &environment.change {
            match self.works.read(job) {
                // The change is not to be seen yet.
                None => fields.clone_from(before),
                Some(reading) if reading.ending.is_none() => {
                    fields.clone_from(before);
                    if !environment.rate_limited {
                        busy(&mut fields);
                    }
                }
                Some(_) => {}
            }
        }
        fields["rate_limited"] = json!(environment.rate_limited);
        if environment.is_busy || environment.busy_for > 0 {
            busy(&mut fields);
        }
        Some(fields)
    }

    fn change(&self, request: &Request, id: &str, vm: Option<&str>, user: String) -> Reply {
        let mut environments = self.environments.lock().unwrap();
        let Some(environment) = environments.get_mut(id) else {
            return error(404, "Not found");
        };
        let ambushed = self.ambushed(environment);
        if vm.is_some_and(|vm| environment.fields["vms"].get(vm).is_none()) {
            return error(404, "Not found");
        }
        if let Some(refusal) = self.refusal(environment, (id, vm), ambushed) {
            return refusal;
        }
        let wanted = request.json();
        let runstate = wanted["runstate"].as_str();
        if runstate.is_some_and(|state| !RUNSTATES.contains(&state)) {
            return error(422, "runstate is invalid");
        }
        let effect = self.effect(&request.method, id, vm, wanted);
        let limits = self.manners.lock().unwrap().limits_changes;
        environment.rate_limited = limits;
        let order = Order {
            id: format!("change-{}", self.works.number()),
            label: request.method.clone(),
            target: id.to_owned(),
            user,
            gauge: None,
            effect,
        };
        environment.change = Some((order.id.clone(), environment.fields.clone()));
        let mut fields = environment.fields.clone();
        drop(environments);
        let job = order.id.clone();
        self.works.start(order);
        self.works.hold(&job, limits);
        fields["rate_limited"] = json!(limits);
        if !limits {
            busy(&mut fields);
        }
        Reply::json(200, part(&fields, vm))
    }

    /// What keeps a change from being made at all.
    fn refusal(
        &self,
        environment: &Environment,
        (id, vm): (&str, Option<&str>),
        ambushed: bool,
    ) -> Option<Reply> {
        let manners = self.manners.lock().unwrap();
        let locked = || {
            let reply = error(423, "The resource is busy or locked. Try again later.");
            match manners.retry_after {
                Some(seconds) => reply.with("Retry-After", seconds),
                None => reply,
            }
        };
        if environment.rate_limited {
            self.books
                .violated(format!("environment {id} changed while it is rate limited"));
            return Some(locked());
        }
        let job = environment.change.as_ref();
        let goes_on = job.is_some_and(|(job, _)| self.works.phase(job) != Some(Phase::Ended));
        if !goes_on && !environment.is_busy && environment.busy_for == 0 {
            return None;
        }
        self.books.effect(if ambushed {
            "met by another's work"
        } else {
            "sent while busy"
        });
        Some(match manners.when_busy {
            WhenBusy::Locked => locked(),
            WhenBusy::Unprocessable => error(422, "The environment is busy."),
            WhenBusy::Conflict => error(409, "Conflict"),
            WhenBusy::Ignored => {
                let mut fields = environment.fields.clone();
                busy(&mut fields);
                Reply::json(200, part(&fields, vm))
            }
        })
    }

    /// Whether somebody else's work begins right now.
    fn ambushed(&self, environment: &mut Environment) -> bool {
        let mut manners = self.manners.lock().unwrap();
        let (left, readings) = manners.ambushes;
        if left == 0 || environment.busy_for > 0 {
            return false;
        }
        manners.ambushes.0 -= 1;
        environment.busy_for = readings;
        true
    }

    fn effect(&self, method: &str, id: &str, vm: Option<&str>, wanted: Value) -> Effect {
        let (books, environments) = (self.books.clone(), self.environments.clone());
        let (id, vm) = (id.to_owned(), vm.map(str::to_owned));
        let deletes = method == "DELETE";
        Box::new(move || {
            let mut environments = environments.lock().unwrap();
            if deletes {
                books.effect(&format!("delete {id}"));
                environments.remove(&id);
                return Ok(Value::Null);
            }
            let fields = &mut environments.get_mut(&id).unwrap().fields;
            let path = vm.as_ref().map(|vm| format!("/vms/{vm}"));
            books.effect(&format!(
                "configurations/{id}{} {wanted}",
                path.as_deref().unwrap_or("")
            ));
            fields["error"] = Value::Null;
            put(fields, vm.as_deref(), &wanted);
            Ok(Value::Null)
        })
    }

    fn create(&self, request: &Request, user: String) -> Reply {
        let wanted = request.json();
        let number = self.works.number() + 100;
        let id = self.works.name(|_| number.to_string());
        let name = wanted["name"].as_str().unwrap_or("new").to_owned();
        self.add(&id, &name, &[]);
        let mut fields = self.truth(&id);
        let books = self.books.clone();
        let order = Order {
            id: format!("change-{number}"),
            label: "POST".to_owned(),
            target: id.clone(),
            user,
            gauge: None,
            effect: Box::new(move || {
                books.effect(&format!("create {name}"));
                Ok(Value::Null)
            }),
        };
        let change = Some((order.id.clone(), fields.clone()));
        self.with(&id, |environment| environment.change = change);
        self.works.start(order);
        busy(&mut fields);
        Reply::json(200, part(&fields, None))
    }

    /// What became of a change that failed stands in `error`, until another one works out.
    fn note_failures(&self) {
        let environments = self.environments.lock().unwrap().clone();
        for (id, environment) in environments {
            let Some((job, _)) = environment.change else {
                continue;
            };
            let ending = self.works.ending(&job);
            let fault = ending.as_ref().and_then(|ending| ending.fault("error"));
            if let Some((_, text)) = fault {
                self.with(&id, |environment| {
                    environment.fields["error"] = json!(text);
                });
            }
        }
    }
}

fn error(status: u16, text: &str) -> Reply {
    Reply::json(status, json!({"error": text}))
}

/// The path below the version, without the ending `.json`.
fn below(request: &Request) -> Vec<String> {
    let segments = request.segments().into_iter();
    let segments = segments.skip_while(|part| part == "v1" || part == "v2");
    segments
        .map(|part| part.trim_end_matches(".json").to_owned())
        .collect()
}

impl Vendor for Skytap {
    fn kind(&self, request: &Request) -> Kind {
        match (&*request.method, below(request).len()) {
            ("GET", 1) => Kind::BatchPoll,
            ("GET", _) => Kind::Poll,
            _ => Kind::Start,
        }
    }

    async fn answer(&self, request: &Request) -> Reply {
        let caller = request.basic();
        let Some((user, _)) = caller.filter(|(_, password)| password == PASSWORD) else {
            return error(401, "Unauthorized");
        };
        self.note_failures();
        let below = below(request);
        let below: Vec<&str> = below.iter().map(String::as_str).collect();
        let (id, vm) = match (&*request.method, &*below) {
            ("POST", ["configurations"]) => return self.create(request, user),
            ("GET", ["configurations"]) => {
                let ids: Vec<String> = self.environments.lock().unwrap().keys().cloned().collect();
                let all = ids.iter().filter_map(|id| self.shown(id));
                let all: Vec<Value> = all.map(|fields| part(&fields, None)).collect();
                return Reply::json(200, json!(all));
            }
            (_, ["configurations", id]) => (*id, None),
            (_, ["configurations", id, "vms", vm]) => (*id, Some(*vm)),
            _ => return error(404, "Not found"),
        };
        if request.method != "GET" {
            return self.change(request, id, vm, user);
        }
        let shown = self.shown(id);
        let shown = shown.map(|fields| part(&fields, vm));
        match shown.filter(|part| !part["id"].is_null()) {
            Some(part) => Reply::json(200, part),
            None => error(404, "Not found"),
        }
    }

    fn unable(&self, _: &Request, status: u16) -> Reply {
        error(status, "Not just now.")
    }
}
