//! A Redfish service: operations that answer 202 with a task monitor (DSP0266), and the tasks behind those.
//!
//! Effects: `METHOD PATH`. Sessions by `X-Auth-Token`, or Basic.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::twists::{Phase, Reading};
use super::works::{NotCanceled, Order};
use super::{Books, Ending, Kind, Model, PASSWORD, Pace, Reply, Request, Vendor, Works};

const MONITORS: &str = "/redfish/v1/TaskService/TaskMonitors/";
const TASKS: &str = "/redfish/v1/TaskService/Tasks/";
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

/// What is a Redfish service's own about the model.
pub struct Redfish {
    books: Arc<Books>,
    works: Arc<Works>,
    sessions: Mutex<BTreeMap<String, String>>,
    resources: Arc<Mutex<BTreeMap<String, Value>>>,
    knows_tasks: AtomicBool,
    tells_once: AtomicBool,
    told: Mutex<Vec<String>>,
    retry_after: AtomicU64,
}

impl Redfish {
    /// With the system 1, which is off.
    pub async fn start(pace: Pace) -> Model<Self> {
        let system = "/redfish/v1/Systems/1";
        let about = json!({"@odata.id": system, "Id": "1", "PowerState": "Off"});
        Model::serve(pace, |books, works| Self {
            books,
            works,
            sessions: Mutex::default(),
            resources: Arc::new(Mutex::new([(system.to_owned(), about)].into())),
            knows_tasks: AtomicBool::new(true),
            tells_once: AtomicBool::new(false),
            told: Mutex::default(),
            retry_after: AtomicU64::new(5),
        })
        .await
    }

    /// Whether operations make tasks; where they do not, they block.
    pub fn native(&self, knows_tasks: bool) {
        self.knows_tasks.store(knows_tasks, Ordering::SeqCst);
    }

    /// Whether a monitor is gone once it has told the final answer.
    pub fn tells_once(&self, it_does: bool) {
        self.tells_once.store(it_does, Ordering::SeqCst);
    }

    /// What 202 says of when to come back, in seconds; nothing, with 0.
    pub fn retry_after(&self, seconds: u64) {
        self.retry_after.store(seconds, Ordering::SeqCst);
    }

    pub fn resource(&self, path: &str) -> Option<Value> {
        self.resources.lock().unwrap().get(path).cloned()
    }

    async fn operate(&self, request: &Request, user: String) -> Reply {
        let is_task = self.knows_tasks.load(Ordering::SeqCst);
        let id = self.works.name(|number| number.to_string());
        self.works.start(Order {
            id: id.clone(),
            label: format!("{} {}", request.method, request.path),
            target: request.path.clone(),
            user,
            gauge: (!is_task).then_some("blocking"),
            effect: self.effect(request),
        });
        if !is_task {
            return last_answer(&self.works.end_of(&id).await);
        }
        let task = format!(
            "{{\"@odata.id\":\"{TASKS}{id}\",\"Id\":\"{id}\",\"TaskState\":\"New\",\"TaskMonitor\":\"{MONITORS}{id}\"}}"
        );
        self.later(&id, task)
    }

    /// 202: it is not over.
    fn later(&self, id: &str, task: String) -> Reply {
        let reply = Reply::json(202, task).with("Location", format!("{MONITORS}{id}"));
        match self.retry_after.load(Ordering::SeqCst) {
            0 => reply,
            seconds => reply.with("Retry-After", seconds),
        }
    }

    fn effect(&self, request: &Request) -> super::works::Effect {
        let (books, resources) = (self.books.clone(), self.resources.clone());
        let (method, path) = (request.method.clone(), request.path.clone());
        let (body, number) = (request.json(), self.works.number());
        Box::new(move || {
            books.effect(&format!("{method} {path}"));
            let mut resources = resources.lock().unwrap();
            let system = path.split_once("/Actions/").map(|(system, _)| system);
            match (&*method, system) {
                ("DELETE", _) => {
                    resources.remove(&path);
                    Ok(Value::Null)
                }
                ("POST", Some(system)) => {
                    let off = body["ResetType"]
                        .as_str()
                        .is_some_and(|how| how.ends_with("Off"));
                    if let Some(system) = resources.get_mut(system) {
                        system["PowerState"] = json!(if off { "Off" } else { "On" });
                    }
                    Ok(Value::Null)
                }
                ("POST", None) => {
                    let made = format!("{path}/{number}");
                    resources.insert(made.clone(), body);
                    Ok(json!(made))
                }
                _ => {
                    resources.insert(path, body);
                    Ok(Value::Null)
                }
            }
        })
    }

    fn monitor(&self, id: &str) -> Reply {
        let was_told = self.told.lock().unwrap().contains(&id.to_owned());
        let reading = (!was_told).then(|| self.works.read(id)).flatten();
        let Some(reading) = reading else {
            return error(
                404,
                "ResourceMissingAtURI",
                "There is no such task monitor.",
            );
        };
        match &reading.ending {
            None => self.later(id, task(&reading)),
            // What was canceled by its monitor has none any more.
            Some(Ending::Canceled) => error(410, "Gone", "The task was canceled."),
            Some(ending) => {
                if self.tells_once.load(Ordering::SeqCst) {
                    self.told.lock().unwrap().push(id.to_owned());
                }
                last_answer(ending)
            }
        }
    }

    fn cancel(&self, id: &str) -> Reply {
        match self.works.cancel(id) {
            Ok(()) => Reply::empty(204),
            Err(NotCanceled::Unknown) => error(404, "ResourceMissingAtURI", "No such task."),
            Err(NotCanceled::Over) => error(409, "OperationFailed", "The task is over."),
            Err(NotCanceled::Unsupported) => {
                error(405, "OperationNotAllowed", "The task cannot be canceled.")
                    .with("Allow", "GET")
            }
        }
    }

    fn caller(&self, request: &Request) -> Option<String> {
        if let Some(token) = request.header("x-auth-token") {
            return self.sessions.lock().unwrap().get(token).cloned();
        }
        let (user, password) = request.basic()?;
        (password == PASSWORD).then_some(user)
    }

    fn log_in(&self, request: &Request) -> Reply {
        let body = request.json();
        let (Some(user), Some(PASSWORD)) = (body["UserName"].as_str(), body["Password"].as_str())
        else {
            return error(401, "ResourceAtUriUnauthorized", "Who are you?");
        };
        let number = self.works.number();
        let token = self.works.name(|_| format!("redfish-token-{number}"));
        let mut sessions = self.sessions.lock().unwrap();
        sessions.insert(token.clone(), user.to_owned());
        Reply::json(201, json!({"Id": number.to_string(), "UserName": user}))
            .with("X-Auth-Token", token)
            .with("Location", format!("{SESSIONS}/{number}"))
    }
}

/// What the operation answers in the end.
fn last_answer(ending: &Ending) -> Reply {
    match ending {
        Ending::Done(Value::String(made)) => {
            Reply::json(201, json!({"@odata.id": made})).with("Location", made)
        }
        Ending::Done(_) => Reply::empty(204),
        Ending::Partial(messages) => {
            let messages = messages.iter().map(|text| json!({"Message": text}));
            let messages: Vec<Value> = messages.collect();
            Reply::json(200, json!({"@Message.ExtendedInfo": messages}))
        }
        ending => {
            let (code, text) = ending.fault("InternalError").unwrap_or_default();
            error(500, &code, &text)
        }
    }
}

fn task(reading: &Reading) -> String {
    let (id, ending) = (&reading.id, reading.ending.as_ref());
    let (state, health) = match (ending, reading.view.phase) {
        (Some(Ending::Done(_)), _) => ("Completed", "OK"),
        (Some(Ending::Partial(_)), _) => ("Completed", "Warning"),
        (Some(Ending::Canceled), _) => ("Cancelled", "OK"),
        (Some(_), _) => ("Exception", "Critical"),
        (None, Phase::Queued) => ("New", "OK"),
        (None, _) if reading.view.is_blocked => ("Pending", "OK"),
        (None, _) => ("Running", "OK"),
    };
    let messages: Vec<Value> = match ending {
        Some(Ending::Partial(messages)) => messages
            .iter()
            .map(|text| json!({"Message": text}))
            .collect(),
        Some(ending) => {
            let fault = ending.fault("InternalError").into_iter();
            fault
                .map(|(code, text)| json!({"MessageId": format!("Base.1.0.{code}"), "Message": text}))
                .collect()
        }
        None => Vec::new(),
    };
    let mut task = format!(
        "{{\"@odata.id\":\"{TASKS}{id}\",\"@odata.type\":\"#Task.v1_7_4.Task\",\"Id\":\"{id}\",\"Name\":\"Task {id}\",\
         \"TaskState\":\"{state}\",\"TaskStatus\":\"{health}\",\"PercentComplete\":{},\"StartTime\":\"{}\"",
        reading.view.progress, reading.started
    );
    if let Some(ended) = &reading.ended {
        task += &format!(",\"EndTime\":\"{ended}\"");
    }
    task + &format!(
        ",\"TaskMonitor\":\"{MONITORS}{id}\",\"Messages\":{}}}",
        json!(messages)
    )
}

fn error(status: u16, code: &str, text: &str) -> Reply {
    let code = format!("Base.1.0.{code}");
    let info = json!([{"MessageId": code, "Message": text}]);
    let error = json!({"code": code, "message": text, "@Message.ExtendedInfo": info});
    Reply::json(status, json!({"error": error}))
}

impl Vendor for Redfish {
    fn kind(&self, request: &Request) -> Kind {
        let path = &*request.path;
        let is_of_task = path.starts_with(MONITORS) || path.starts_with(TASKS);
        match &*request.method {
            "POST" if path == SESSIONS => Kind::Login,
            "DELETE" if path.starts_with(SESSIONS) => Kind::Logout,
            "GET" if is_of_task => Kind::Poll,
            "DELETE" if is_of_task => Kind::Cancel,
            "GET" => Kind::Probe,
            _ if self.knows_tasks.load(Ordering::SeqCst) => Kind::Start,
            _ => Kind::Blocking,
        }
    }

    async fn answer(&self, request: &Request) -> Reply {
        let kind = self.kind(request);
        if kind == Kind::Login {
            return self.log_in(request);
        }
        let Some(user) = self.caller(request) else {
            return error(401, "ResourceAtUriUnauthorized", "Who are you?");
        };
        let path = &*request.path;
        match kind {
            Kind::Logout => {
                let token = request.header("x-auth-token").unwrap_or("");
                self.sessions.lock().unwrap().remove(token);
                Reply::empty(204)
            }
            Kind::Cancel => self.cancel(path.rsplit('/').next().unwrap_or("")),
            Kind::Poll => match path.strip_prefix(MONITORS) {
                Some(id) => self.monitor(id),
                None => match self.works.read(&path[TASKS.len()..]) {
                    Some(reading) => Reply::json(200, task(&reading)),
                    None => error(404, "ResourceMissingAtURI", "There is no such task."),
                },
            },
            Kind::Probe => match self.resource(path) {
                Some(resource) => Reply::json(200, resource),
                None => error(404, "ResourceMissingAtURI", "There is no such resource."),
            },
            _ => self.operate(request, user).await,
        }
    }

    fn unable(&self, _: &Request, status: u16) -> Reply {
        error(status, "ServiceTemporarilyUnavailable", "Not just now.")
    }
}
