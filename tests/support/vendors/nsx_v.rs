//! An NSX-V Manager: changes of edges that answer once they are made, or with a job where `async=true` is asked for.
//!
//! Effects: `METHOD PATH` (`POST /api/4.0/edges/edge-4/loadbalancer/config/monitors`). Gauges: `running`, `blocking`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::twists::{Phase, Reading};
use super::works::{Effect, Order};
use super::{Books, Ending, Kind, Model, PASSWORD, Pace, Reply, Request, Vendor, Works};

const EDGES: &str = "/api/4.0/edges";
const JOBS: &str = "/api/4.0/edges/jobs";
/// How names of calls that block begin.
const CALL: &str = "call-";

/// What is there, by path.
#[derive(Debug, Default)]
struct Resources {
    made: BTreeSet<String>,
    next: BTreeMap<String, u64>,
}

impl Resources {
    /// A path for one more below `path`: `…/edges` has `edge-4`, `…/monitors` has `monitor-4`.
    fn path_below(&mut self, path: &str) -> String {
        let list = path.rsplit('/').next().unwrap_or(path);
        let next = self.next.entry(list.to_owned()).or_insert(4);
        let made = format!("{path}/{}-{next}", list.trim_end_matches('s'));
        *next += 1;
        made
    }
}

/// What is an NSX-V's own about the model.
pub struct NsxV {
    books: Arc<Books>,
    works: Arc<Works>,
    resources: Arc<Mutex<Resources>>,
    knows_async: AtomicBool,
    names_job: AtomicBool,
    lists_in_full: AtomicBool,
    success: Mutex<&'static str>,
    next_job: AtomicU64,
}

impl NsxV {
    pub async fn start(pace: Pace) -> Model<Self> {
        Model::serve(pace, |books, works| Self {
            books,
            works,
            resources: Arc::default(),
            knows_async: AtomicBool::new(true),
            names_job: AtomicBool::new(true),
            lists_in_full: AtomicBool::new(false),
            success: Mutex::new("COMPLETED"),
            next_job: AtomicU64::new(2128),
        })
        .await
    }

    /// Whether `async=true` means anything; where it does not, all calls block.
    pub fn native(&self, knows_async: bool) {
        self.knows_async.store(knows_async, Ordering::SeqCst);
    }

    /// Whether answers carry the field `jobId`, besides `Location`.
    pub fn job_field(&self, is_sent: bool) {
        self.names_job.store(is_sent, Ordering::SeqCst);
    }

    /// Whether lists of jobs say all that a single job says.
    pub fn full_lists(&self, are_full: bool) {
        self.lists_in_full.store(are_full, Ordering::SeqCst);
    }

    /// The word for success: `COMPLETED`, or `SUCCESS`.
    pub fn success_word(&self, word: &'static str) {
        *self.success.lock().unwrap() = word;
    }

    /// This path is there from the start.
    pub fn add(&self, path: &str) {
        self.resources.lock().unwrap().made.insert(path.to_owned());
    }

    pub fn is_there(&self, path: &str) -> bool {
        self.resources.lock().unwrap().made.contains(path)
    }

    async fn change(&self, request: &Request, user: String) -> Reply {
        let is_async = self.is_async(request);
        let job = self.name_of(is_async);
        let target = match &*request.method {
            "POST" => self.resources.lock().unwrap().path_below(&request.path),
            _ => request.path.clone(),
        };
        self.works.start(Order {
            id: job.clone(),
            label: format!("{} {}", request.method, request.path),
            user,
            gauge: (!is_async).then_some("blocking"),
            effect: self.effect(request, target.clone()),
            target,
        });
        if is_async {
            return self.started(&job);
        }
        match self.works.end_of(&job).await {
            Ending::Done(Value::String(made)) => Reply::empty(201).with("Location", made),
            Ending::Done(_) | Ending::Partial(_) => Reply::empty(204),
            ending => {
                let (code, text) = ending.fault("10500").unwrap_or_default();
                let status = if code == "404" { 404 } else { 500 };
                error(status, &code, &text)
            }
        }
    }

    /// Calls that block are no jobs that anybody could ask after.
    fn name_of(&self, is_job: bool) -> String {
        if !is_job {
            return format!("{CALL}{}", self.works.number());
        }
        let number = self.next_job.fetch_add(1, Ordering::SeqCst);
        self.works.name(|_| format!("jobdata-{number}"))
    }

    fn started(&self, job: &str) -> Reply {
        let reply = Reply::empty(202).with("Location", format!("{JOBS}/{job}"));
        if self.names_job.load(Ordering::SeqCst) {
            return reply.with("jobId", job);
        }
        reply
    }

    fn is_async(&self, request: &Request) -> bool {
        let asks = request.parameter("async").as_deref() == Some("true");
        asks && self.knows_async.load(Ordering::SeqCst)
    }

    /// Its result is the path of what was made, or nothing.
    fn effect(&self, request: &Request, target: String) -> Effect {
        let (resources, books) = (self.resources.clone(), self.books.clone());
        let (method, path) = (request.method.clone(), request.path.clone());
        Box::new(move || {
            let mut resources = resources.lock().unwrap();
            if method == "DELETE" && !resources.made.remove(&target) {
                return Err(Ending::failed("404", "The requested object was not found."));
            }
            books.effect(&format!("{method} {path}"));
            if method != "DELETE" {
                resources.made.insert(target.clone());
            }
            Ok(if method == "POST" {
                json!(target)
            } else {
                Value::Null
            })
        })
    }

    fn job(&self, id: &str) -> Reply {
        let reading = (!id.starts_with(CALL)).then(|| self.works.read(id));
        match reading.flatten() {
            Some(reading) => Reply::xml(200, self.single(&reading)),
            None => error(404, "202", &format!("Job {id} was not found.")),
        }
    }

    fn jobs(&self, status: &str) -> Reply {
        if !matches!(status, "all" | "active") {
            return error(400, "203", "status is all or active");
        }
        let all = self.works.all();
        let jobs = all.iter().filter(|id| !id.starts_with(CALL));
        let readings = jobs.filter_map(|id| self.works.read(id));
        let wanted = readings.filter(|reading| status == "all" || reading.ending.is_none());
        let in_full = self.lists_in_full.load(Ordering::SeqCst);
        let jobs = wanted.map(|reading| {
            if in_full {
                self.single(&reading)
            } else {
                self.short(&reading)
            }
        });
        let jobs: String = jobs.collect();
        Reply::xml(200, format!("<edgeJobs>{jobs}</edgeJobs>"))
    }

    fn single(&self, reading: &Reading) -> String {
        let mut lines = vec![
            "<edgeJob>".to_owned(),
            format!("  <jobId>{}</jobId>", reading.id),
            format!("  <message>{}</message>", escaped(&says(reading))),
            format!("  <status>{}</status>", self.status(reading)),
        ];
        lines.extend(results(reading).map(|(key, value)| format!("  {}", result(key, &value))));
        lines.join("\n") + "\n</edgeJob>"
    }

    /// A job in a list: its status and the edge.
    fn short(&self, reading: &Reading) -> String {
        let (id, status) = (&reading.id, self.status(reading));
        let edge = results(reading).filter(|(key, _)| *key == "edgeId");
        let edge: String = edge.map(|(key, value)| result(key, &value)).collect();
        format!("<edgeJob><jobId>{id}</jobId><status>{status}</status>{edge}</edgeJob>")
    }

    fn status(&self, reading: &Reading) -> &'static str {
        match (&reading.ending, reading.view.phase) {
            (Some(Ending::Done(_) | Ending::Partial(_)), _) => *self.success.lock().unwrap(),
            (Some(Ending::RolledBack), _) => "ROLLBACK",
            (Some(_), _) => "FAILED",
            (None, Phase::Queued) => "QUEUED",
            (None, _) => "RUNNING",
        }
    }
}

fn says(reading: &Reading) -> String {
    match &reading.ending {
        Some(ending) => ending.fault("").map(|(_, text)| text).unwrap_or_default(),
        None if reading.label == format!("POST {EDGES}") => {
            "Deploying vShield Edge Virtual Machine TestEdge11-0".to_owned()
        }
        None => format!("Working on {}", reading.target),
    }
}

/// What a job tells of the resource it is about, unless it failed.
fn results(reading: &Reading) -> impl Iterator<Item = (&'static str, String)> {
    let has_failed = reading
        .ending
        .as_ref()
        .is_some_and(|end| end.fault("").is_some());
    let uri = (!has_failed && !reading.view.is_bare).then(|| reading.target.clone());
    let mut parts = uri.iter().flat_map(|uri| uri.split('/'));
    let edge = parts.find(|part| part.starts_with("edge-"));
    let edge = edge.map(|edge| ("edgeId", edge.to_owned()));
    uri.map(|uri| ("ResultURI", uri)).into_iter().chain(edge)
}

fn result(key: &str, value: &str) -> String {
    let value = escaped(value);
    format!("<result><key>{key}</key><value>{value}</value></result>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn error(status: u16, code: &str, text: &str) -> Reply {
    let (code, text) = (escaped(code), escaped(text));
    Reply::xml(
        status,
        format!("<error><details>{text}</details><errorCode>{code}</errorCode></error>"),
    )
}

impl Vendor for NsxV {
    fn kind(&self, request: &Request) -> Kind {
        match (&*request.method, &*request.path) {
            ("GET", JOBS) => Kind::BatchPoll,
            ("GET", path) if path.starts_with(JOBS) => Kind::Poll,
            ("GET", _) => Kind::Probe,
            (_, path) if !path.starts_with(EDGES) => Kind::Other,
            _ if self.is_async(request) => Kind::Start,
            _ => Kind::Blocking,
        }
    }

    async fn answer(&self, request: &Request) -> Reply {
        let caller = request.basic();
        let Some((user, _)) = caller.filter(|(_, password)| password == PASSWORD) else {
            return error(401, "401", "Who are you?").with("WWW-Authenticate", "Basic");
        };
        let path = &*request.path;
        let status = || request.parameter("status").unwrap_or_default();
        match &*request.method {
            "GET" if path == JOBS => self.jobs(&status()),
            "GET" if path.starts_with(JOBS) => self.job(&path[JOBS.len() + 1..]),
            "GET" if self.is_there(path) => Reply::xml(200, "<resource/>"),
            "POST" | "PUT" | "DELETE" if path.starts_with(EDGES) => {
                self.change(request, user).await
            }
            _ => error(404, "404", "The requested object was not found."),
        }
    }

    fn unable(&self, _: &Request, status: u16) -> Reply {
        error(status, &status.to_string(), "Not just now.")
    }
}
