//! An Avi controller: its sessions, and patches of pools, at once or gathered for a merge.
//!
//! Effects: `pool UUID`, once for each change (a merge is one). Violations: two API versions in one merge period.

mod merge;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::twists::{Phase, Reading};
use super::works::Order;
use super::{Kind, Model, PASSWORD, Pace, Reply, Request, Vendor, Works};
use merge::{Core, Waiting};

const VERSION: &str = "22.1.3";
const STATUS: &str = "/api/pool-async/status/";

/// When merges are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merging {
    /// Never: all patches are made at once.
    Off,
    /// So long after the first patch of each period.
    Every(Duration),
    /// When the test calls [`Avi::merge`].
    ByHand,
}

/// What is an Avi's own about the model.
pub struct Avi {
    works: Arc<Works>,
    core: Arc<Core>,
    sessions: Mutex<BTreeMap<String, String>>,
    merging: Mutex<Merging>,
    started: AtomicU16,
    lost_session: AtomicU16,
    rotates: AtomicBool,
    takes_one_action: AtomicBool,
}

impl Avi {
    /// A controller without merges, as they come.
    pub async fn start() -> Model<Self> {
        Model::serve(Pace::ByHand, |books, works| Self {
            core: Arc::new(Core::new(books, works.clone())),
            works,
            sessions: Mutex::default(),
            merging: Mutex::new(Merging::Off),
            started: AtomicU16::new(202),
            lost_session: AtomicU16::new(401),
            rotates: AtomicBool::new(false),
            takes_one_action: AtomicBool::new(false),
        })
        .await
    }

    /// `async_patch_merge_period`. Real controllers take 0 (off) and 30 to 120 seconds.
    pub fn merging(&self, merging: Merging) {
        *self.merging.lock().unwrap() = merging;
    }

    /// The status that comes with a `patch_id`, which no document names: 202, or 200.
    pub fn started_status(&self, status: u16) {
        self.started.store(status, Ordering::SeqCst);
    }

    /// What calls without a session are answered: 401, or 419.
    pub fn lost_session(&self, status: u16) {
        self.lost_session.store(status, Ordering::SeqCst);
    }

    /// Whether each answer brings a new csrftoken.
    pub fn rotates(&self, it_does: bool) {
        self.rotates.store(it_does, Ordering::SeqCst);
    }

    /// Whether a body with two actions is refused.
    pub fn one_action(&self, only: bool) {
        self.takes_one_action.store(only, Ordering::SeqCst);
    }

    /// Whatever adds a server of this address fails, though nothing is wrong with its form.
    pub fn poison(&self, address: &str) {
        self.core.poison.lock().unwrap().insert(address.to_owned());
    }

    pub fn add_pool(&self, uuid: &str, pool: Value) {
        self.core
            .pools
            .lock()
            .unwrap()
            .insert(uuid.to_owned(), pool);
    }

    pub fn pool(&self, uuid: &str) -> Value {
        let pools = self.core.pools.lock().unwrap();
        pools.get(uuid).cloned().unwrap_or_default()
    }

    pub fn end_sessions(&self) {
        self.sessions.lock().unwrap().clear();
    }

    /// All patches that wait are under way.
    pub fn begin_merge(&self) {
        for waiting in &self.core.queue.lock().unwrap().waiting {
            self.works.begin(&waiting.id);
        }
    }

    /// Merges all patches that wait.
    pub fn merge(&self) {
        self.core.merge();
    }

    fn patch(&self, request: &Request, uuid: &str, user: String) -> Reply {
        let patch = request.json();
        let actions = patch.as_object().map_or(0, serde_json::Map::len);
        if actions > 1 && self.takes_one_action.load(Ordering::SeqCst) {
            return error(400, "A patch has one action.");
        }
        let merging = *self.merging.lock().unwrap();
        if !is_async(request) || merging == Merging::Off {
            return match self.core.change(uuid, &[&patch]) {
                Ok(pool) => Reply::json(200, pool),
                Err((status, text)) => error(status, &text),
            };
        }
        if !self.core.pools.lock().unwrap().contains_key(uuid) {
            return error(404, "Pool object not found!");
        }
        if let Err(text) = fits_a_merge(&patch) {
            return error(400, &text);
        }
        self.gather(request, uuid, patch, user, merging)
    }

    fn gather(
        &self,
        request: &Request,
        uuid: &str,
        patch: Value,
        user: String,
        merging: Merging,
    ) -> Reply {
        let mut queue = self.core.queue.lock().unwrap();
        let version = request.header("x-avi-version").unwrap_or("").to_owned();
        let first = queue.version.get_or_insert_with(|| version.clone());
        if *first != version {
            let text = format!("X-Avi-Version {version} in the merge period of {first}");
            self.core.books.violated(&*text);
            return error(400, &text);
        }
        let name = |number| format!("patch-00000000-0000-4000-8000-{number:012x}");
        let id = self.works.name(name);
        self.works.place(Order {
            id: id.clone(),
            label: "patch".to_owned(),
            target: uuid.to_owned(),
            user,
            gauge: None,
            effect: Box::new(|| Ok(Value::Null)),
        });
        queue.waiting.push(Waiting {
            id: id.clone(),
            pool: uuid.to_owned(),
            patch,
        });
        if let Merging::Every(period) = merging
            && !std::mem::replace(&mut queue.is_due, true)
        {
            let core = self.core.clone();
            tokio::spawn(async move {
                tokio::time::sleep(period).await;
                core.merge();
            });
        }
        Reply::json(self.started.load(Ordering::SeqCst), json!({"patch_id": id}))
    }

    fn status(&self, id: &str) -> Reply {
        match self.works.read(id) {
            Some(reading) => Reply::json(200, status(&reading)),
            None => error(404, "No such patch."),
        }
    }

    fn log_in(&self, request: &Request) -> Reply {
        let body = request.json();
        let of_user = (body["username"].as_str(), body["password"].as_str());
        let (Some(user), Some(PASSWORD)) = of_user else {
            return error(401, "Invalid credentials");
        };
        let number = self.works.number();
        let token = self.works.name(|_| format!("avi-session-{number}"));
        let mut sessions = self.sessions.lock().unwrap();
        sessions.insert(token.clone(), user.to_owned());
        let about =
            json!({"session_cookie_name": "avi-sessionid", "version": {"Version": VERSION}});
        Reply::json(200, about)
            .with("Set-Cookie", format!("csrftoken=csrf-{token}; Path=/"))
            .with("Set-Cookie", format!("sessionid={token}; Path=/; HttpOnly"))
            .with(
                "Set-Cookie",
                format!("avi-sessionid={token}; Path=/; HttpOnly"),
            )
    }

    /// Who calls: by password, or by session with what protects sessions from forged requests.
    fn caller(&self, request: &Request) -> Option<String> {
        if let Some((user, password)) = request.basic() {
            return (password == PASSWORD).then_some(user);
        }
        let token = request
            .cookie("avi-sessionid")
            .or_else(|| request.cookie("sessionid"))?;
        let user = self.sessions.lock().unwrap().get(token).cloned()?;
        let csrf = request.cookie("csrftoken")?;
        let is_own = csrf.starts_with("csrf-")
            && request.header("x-csrftoken") == Some(csrf)
            && request.header("referer").is_some();
        (request.method == "GET" || is_own).then_some(user)
    }

    fn route(&self, request: &Request, user: String) -> Reply {
        let segments = request.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (&*request.method, &*segments) {
            ("GET", ["api", "pool-async", "status", id]) => self.status(id),
            ("GET", ["api", "pool", uuid]) => {
                let pool = self.core.pools.lock().unwrap().get(*uuid).cloned();
                pool.map_or(error(404, "Pool object not found!"), |pool| {
                    Reply::json(200, pool)
                })
            }
            ("PATCH", ["api", "pool", uuid]) => self.patch(request, uuid, user),
            ("PUT", ["api", "pool", uuid]) => {
                let pool = request.json();
                self.core.books.effect(&format!("pool {uuid}"));
                self.add_pool(uuid, pool.clone());
                Reply::json(200, pool)
            }
            _ => error(404, "Not found."),
        }
    }
}

fn is_async(request: &Request) -> bool {
    let value = request.parameter("async_mode");
    value.is_some_and(|value| value.is_empty() || value.eq_ignore_ascii_case("true"))
}

/// Merges are of `servers` with IPv4 alone, and add or delete.
fn fits_a_merge(patch: &Value) -> Result<(), String> {
    let actions = patch.as_object().ok_or("a patch is an object")?;
    for (action, fields) in actions {
        if !matches!(&**action, "add" | "delete") {
            return Err(format!("{action} is not supported with async_mode"));
        }
        let fields = fields.as_object().ok_or("a patch is an object")?;
        if let Some(other) = fields.keys().find(|name| *name != "servers") {
            return Err(format!("{other} is not supported with async_mode"));
        }
        let servers = fields["servers"].as_array().ok_or("servers is a list")?;
        if servers.iter().any(|server| server["ip"]["type"] == "V6") {
            return Err("only V4 is supported with async_mode".to_owned());
        }
    }
    Ok(())
}

/// Exactly the documented fields.
fn status(reading: &Reading) -> String {
    let ending = reading.ending.as_ref();
    let (word, code, text) = match (ending.map(|ending| ending.fault("400")), reading.view.phase) {
        (Some(Some((code, text))), _) => ("FAIL", code.parse().unwrap_or(400), text),
        (Some(None), _) => ("SUCCESS", 200, String::new()),
        (None, Phase::Queued) => ("QUEUED", 0, String::new()),
        (None, _) => ("IN_PROGRESS", 0, String::new()),
    };
    format!(
        "{{\"uuid\":{},\"status\":\"{word}\",\"created\":\"{}\",\"error_message\":{},\"status_code\":{code}}}",
        json!(reading.target),
        reading.started,
        json!(text)
    )
}

fn error(status: u16, text: &str) -> Reply {
    Reply::json(status, json!({"error": text}))
}

impl Vendor for Avi {
    fn kind(&self, request: &Request) -> Kind {
        match (&*request.method, &*request.path) {
            ("POST", "/login") => Kind::Login,
            ("POST", "/logout") => Kind::Logout,
            ("GET", path) if path.starts_with(STATUS) => Kind::Poll,
            ("GET", _) => Kind::Probe,
            ("PATCH", _) if is_async(request) => Kind::Start,
            ("PATCH" | "PUT", _) => Kind::Edit,
            _ => Kind::Other,
        }
    }

    async fn answer(&self, request: &Request) -> Reply {
        if request.path == "/login" {
            return self.log_in(request);
        }
        let Some(user) = self.caller(request) else {
            let status = self.lost_session.load(Ordering::SeqCst);
            return error(status, "Authentication credentials were not provided.");
        };
        if request.path == "/logout" {
            let token = request.cookie("avi-sessionid").unwrap_or("");
            self.sessions.lock().unwrap().remove(token);
            return Reply::json(200, "{}");
        }
        let reply = self.route(request, user);
        if self.rotates.load(Ordering::SeqCst) {
            let token = format!("csrf-{}", self.works.number());
            return reply.with("Set-Cookie", format!("csrftoken={token}; Path=/"));
        }
        reply
    }

    fn unable(&self, _: &Request, status: u16) -> Reply {
        error(status, "Not just now.")
    }
}
