//! A vCenter: sessions, blocking calls in ten seats, their `vmw-task=true` twins, and the tasks of those.
//!
//! Effects: `clone NAME`, `instant-clone NAME`, `register NAME`, `relocate VM`, `unregister VM`, `delete VM`.
//! Gauges: `running`, `blocking`. Violations: a call beyond the seats, a signed request that was rewritten, a
//! list of more than a thousand tasks.

mod people;
mod tasks;
mod vms;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::{Books, Kind, Model, Pace, Reply, Request, Vendor, Works};
pub use people::{normal, sign};
use vms::Inventory;

/// The one VM that is there from the start.
pub const FIRST_VM: &str = "vm-11";

/// What is a vCenter's own about the model.
pub struct VCenter {
    books: Arc<Books>,
    works: Arc<Works>,
    sessions: Mutex<BTreeMap<String, String>>,
    see_all: Mutex<BTreeSet<String>>,
    inventory: Arc<Mutex<Inventory>>,
    names_are_unique: AtomicBool,
    shows_early_results: AtomicBool,
    twins: Mutex<BTreeSet<String>>,
    seats: AtomicU64,
    /// Held while a blocking call looks for a seat and takes it.
    door: Mutex<()>,
}

impl VCenter {
    pub async fn start(pace: Pace) -> Model<Self> {
        Model::serve(pace, |books, works| Self {
            books,
            works,
            sessions: Mutex::default(),
            see_all: Mutex::default(),
            inventory: Arc::new(Mutex::new(Inventory::with(FIRST_VM, "golden"))),
            names_are_unique: AtomicBool::new(true),
            shows_early_results: AtomicBool::new(false),
            twins: Mutex::new(["clone", "relocate"].map(str::to_owned).into()),
            seats: AtomicU64::new(10),
            door: Mutex::default(),
        })
        .await
    }

    /// The operations that have a `vmw-task=true` form; with none it is a vCenter that knows no such thing.
    pub fn twins(&self, operations: &[&str]) {
        *self.twins.lock().unwrap() = operations.iter().map(|&name| name.to_owned()).collect();
    }

    /// How many blocking calls it bears at once.
    pub fn seats(&self, seats: u64) {
        self.seats.store(seats, Ordering::SeqCst);
    }

    /// Whether a second VM of a name is refused in its folder. Without that what is done twice is there twice.
    pub fn unique_names(&self, are_unique: bool) {
        self.names_are_unique.store(are_unique, Ordering::SeqCst);
    }

    /// Whether running tasks show a result already, which is not the last word.
    pub fn early_results(&self, are_shown: bool) {
        self.shows_early_results.store(are_shown, Ordering::SeqCst);
    }

    /// From now on this user sees everybody's tasks.
    pub fn sees_all(&self, user: &str) {
        self.see_all.lock().unwrap().insert(normal(user));
    }

    /// Ends every session.
    pub fn end_sessions(&self) {
        self.sessions.lock().unwrap().clear();
    }

    pub fn open_sessions(&self) -> usize {
        self.sessions.lock().unwrap().len()
    }

    pub fn add_vm(&self, id: &str, name: &str) {
        self.inventory.lock().unwrap().add(id, name, "group-v3");
    }

    /// Names of all VMs, one for each.
    pub fn vm_names(&self) -> Vec<String> {
        self.inventory.lock().unwrap().names()
    }

    async fn route(&self, request: &Request, segments: &[&str], action: &str) -> Reply {
        let Some(user) = self.caller(request) else {
            return words::unauthenticated(request);
        };
        match (&*request.method, segments) {
            ("GET", ["vcenter", "vm"]) => self.find(request),
            ("GET", ["vcenter", "vm", vm]) => self.one(request, vm),
            ("GET", ["cis", "tasks", task]) => self.task(request, task, &user),
            ("POST", ["cis", "tasks"]) if action == "list" => self.tasks(request, &user),
            ("POST", ["cis", "tasks", task]) if action == "cancel" => {
                self.cancel(request, task, &user)
            }
            ("POST", ["cis", "tagging", "tag-association", tag])
                if action.contains("multiple") || action.contains("-tag-to") =>
            {
                self.tag(request, tag)
            }
            _ => match vms::Call::of(request) {
                Some(call) => self.operate(request, call, user).await,
                None => words::no_route(request),
            },
        }
    }

    /// SOAP, and SOAP's methods in JSON, begin tasks of their own kind.
    fn sdk(&self, request: &Request) -> Reply {
        let number = self.works.name(|number| format!("task-{number}"));
        self.books.effect("sdk call");
        if request.path != "/sdk" {
            let task =
                json!({"_typeName": "ManagedObjectReference", "type": "Task", "value": number});
            return Reply::json(200, task);
        }
        let inside = format!(
            "<CloneVM_TaskResponse xmlns=\"urn:vim25\"><returnval type=\"Task\">{number}</returnval>\
             </CloneVM_TaskResponse>"
        );
        Reply::xml(
            200,
            format!(
                "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\">\
                 <soapenv:Body>{inside}</soapenv:Body></soapenv:Envelope>"
            ),
        )
    }
}

/// The `action` of a call.
fn action(request: &Request) -> String {
    let action = request.parameter("action");
    let action = action.or_else(|| request.parameter("~action"));
    action.unwrap_or_default()
}

impl Vendor for VCenter {
    fn kind(&self, request: &Request) -> Kind {
        let segments = request.segments();
        let segments: Vec<&str> = segments.iter().skip(1).map(String::as_str).collect();
        let action = action(request);
        match (&*request.method, &*segments) {
            ("POST", ["session"] | ["com", "vmware", "cis", "session"]) if action == "get" => {
                Kind::Other
            }
            ("POST", ["session"] | ["com", "vmware", "cis", "session"]) => Kind::Login,
            ("DELETE", ["session"] | ["com", "vmware", "cis", "session"]) => Kind::Logout,
            ("GET", ["vcenter", ..]) => Kind::Probe,
            ("GET", ["cis", "tasks", _]) => Kind::Poll,
            ("POST", ["cis", "tasks"]) => Kind::BatchPoll,
            ("POST", ["cis", "tasks", _]) => Kind::Cancel,
            _ => match vms::Call::of(request) {
                Some(call) if call.is_task => Kind::Start,
                Some(_) => Kind::Blocking,
                None => Kind::Other,
            },
        }
    }

    async fn answer(&self, request: &Request) -> Reply {
        let segments = request.segments();
        let below: Vec<&str> = segments.iter().skip(1).map(String::as_str).collect();
        let action = action(request);
        match (segments[0].as_str(), &*below) {
            ("sdk", _) => self.sdk(request),
            ("api", ["session"]) | ("rest", ["com", "vmware", "cis", "session"]) => {
                self.session(request, &action)
            }
            ("api" | "rest", below) => self.route(request, below, &action).await,
            _ => Reply::empty(404),
        }
    }

    fn unable(&self, request: &Request, status: u16) -> Reply {
        words::unavailable(request, status)
    }
}
