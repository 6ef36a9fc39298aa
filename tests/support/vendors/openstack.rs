//! OpenStack's compute service: servers that are made and removed behind their answers; the status of a server
//! is all there is to follow. Names need not be unique.
//!
//! Effects: `create NAME`, `delete ID`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::twists::Phase;
use super::works::Order;
use super::{Books, Ending, Kind, Model, PASSWORD, Pace, Reply, Request, Vendor, Works};

/// A server, and the work that makes and removes it.
#[derive(Debug, Clone)]
struct Server {
    name: String,
    making: String,
    removal: Option<String>,
}

/// What is OpenStack's own about the model.
pub struct OpenStack {
    books: Arc<Books>,
    works: Arc<Works>,
    tokens: Mutex<BTreeMap<String, String>>,
    servers: Mutex<BTreeMap<String, Server>>,
}

impl OpenStack {
    pub async fn start(pace: Pace) -> Model<Self> {
        Model::serve(pace, |books, works| Self {
            books,
            works,
            tokens: Mutex::default(),
            servers: Mutex::default(),
        })
        .await
    }

    pub fn end_sessions(&self) {
        self.tokens.lock().unwrap().clear();
    }

    /// How many servers of this name were ever asked for and are not gone.
    pub fn servers_named(&self, name: &str) -> usize {
        let servers = self.servers.lock().unwrap();
        let of_name = servers.values().filter(|server| server.name == name);
        of_name.filter(|server| !self.is_gone(server)).count()
    }

    fn is_gone(&self, server: &Server) -> bool {
        let removal = server.removal.as_ref();
        let ending = removal.and_then(|job| self.works.ending(job));
        matches!(ending, Some(Ending::Done(_)))
    }

    fn create(&self, request: &Request, user: String) -> Reply {
        let body = request.json();
        let Some(name) = body["server"]["name"].as_str() else {
            return error(
                400,
                "badRequest",
                "Invalid input for field/attribute server.",
            );
        };
        let number = self.works.number();
        let id = self
            .works
            .name(|_| format!("9168b536-cd40-4630-b43f-{number:012}"));
        let job = self.work("create", &id, name, user);
        let server = Server {
            name: name.to_owned(),
            making: job,
            removal: None,
        };
        self.servers.lock().unwrap().insert(id.clone(), server);
        let links = json!([{"rel": "self", "href": format!("/v2.1/servers/{id}")}]);
        let server = json!({"id": id, "name": name, "status": "BUILD", "links": links});
        Reply::json(202, json!({"server": server})).with("Location", format!("/v2.1/servers/{id}"))
    }

    /// Starts work on a server; its name.
    fn work(&self, label: &str, id: &str, about: &str, user: String) -> String {
        let job = format!("{label}-{}", self.works.number());
        let (books, what) = (self.books.clone(), format!("{label} {about}"));
        self.works.start(Order {
            id: job.clone(),
            label: label.to_owned(),
            target: id.to_owned(),
            user,
            gauge: None,
            effect: Box::new(move || {
                books.effect(&what);
                Ok(Value::Null)
            }),
        });
        job
    }

    fn remove(&self, id: &str, user: String) -> Reply {
        let known = self.servers.lock().unwrap().get(id).cloned();
        let Some(server) = known.filter(|server| !self.is_gone(server)) else {
            return not_found(id);
        };
        if server.removal.is_none() {
            let job = self.work("delete", id, id, user);
            let mut servers = self.servers.lock().unwrap();
            servers.entry(id.to_owned()).or_insert(server).removal = Some(job);
        }
        Reply::empty(204)
    }

    /// A server as it is shown; `None` where it is not found, or not any more.
    fn shown(&self, id: &str) -> Option<Value> {
        let server = self.servers.lock().unwrap().get(id).cloned()?;
        let removal = match &server.removal {
            Some(job) => self.works.read(job),
            None => None,
        };
        let is_being_removed = server.removal.is_some();
        if let Some(Ending::Done(_)) = removal.as_ref().and_then(|reading| reading.ending.clone()) {
            return None;
        }
        let making = if is_being_removed {
            self.works.ending(&server.making)
        } else {
            self.works.read(&server.making)?.ending
        };
        let failed = removal.and_then(|reading| reading.ending);
        let fault = failed.or_else(|| making.clone());
        let fault = fault.and_then(|ending| ending.fault("500"));
        let status = match (&fault, &making) {
            (Some(_), _) => "ERROR",
            (None, None) => "BUILD",
            (None, Some(_)) => "ACTIVE",
        };
        let mut shown = json!({"id": id, "name": server.name, "status": status,
            "OS-EXT-STS:task_state": null});
        if status == "BUILD" {
            shown["OS-EXT-STS:task_state"] = json!("spawning");
        } else if is_being_removed && status == "ACTIVE" {
            shown["OS-EXT-STS:task_state"] = json!("deleting");
        }
        if let Some((code, text)) = fault {
            let code = code.parse().unwrap_or(500);
            shown["fault"] = json!({"code": code, "message": text, "created": self.works.now()});
        }
        Some(shown)
    }

    fn list(&self, request: &Request) -> Reply {
        let name = request.parameter("name");
        let servers = self.servers.lock().unwrap().clone();
        let wanted = servers
            .into_iter()
            .filter(|(_, server)| name.as_ref().is_none_or(|name| server.name.contains(name)));
        let shown: Vec<Value> = wanted.filter_map(|(id, _)| self.shown(&id)).collect();
        Reply::json(200, json!({"servers": shown}))
    }

    fn log_in(&self, request: &Request) -> Reply {
        let body = request.json();
        let user = &body["auth"]["identity"]["password"]["user"];
        let (Some(name), Some(PASSWORD)) = (user["name"].as_str(), user["password"].as_str())
        else {
            return error(
                401,
                "unauthorized",
                "The request you have made requires authentication.",
            );
        };
        let number = self.works.number();
        let token = self.works.name(|_| format!("openstack-token-{number}"));
        let mut tokens = self.tokens.lock().unwrap();
        tokens.insert(token.clone(), name.to_owned());
        let about = json!({"token": {"user": {"name": name}}});
        Reply::json(201, about).with("X-Subject-Token", token)
    }

    /// How far the making of a server truly is.
    pub fn is_made(&self, id: &str) -> bool {
        let servers = self.servers.lock().unwrap();
        let making = servers.get(id).map(|server| server.making.clone());
        making.is_some_and(|job| self.works.phase(&job) == Some(Phase::Ended))
    }
}

fn not_found(id: &str) -> Reply {
    error(
        404,
        "itemNotFound",
        &format!("Instance {id} could not be found."),
    )
}

fn error(status: u16, name: &str, text: &str) -> Reply {
    let inside = json!({"code": status, "message": text});
    Reply::json(status, json!({ name: inside }))
}

impl Vendor for OpenStack {
    fn kind(&self, request: &Request) -> Kind {
        let segments = request.segments();
        match (&*request.method, segments.last().map(String::as_str)) {
            ("POST", Some("tokens")) => Kind::Login,
            ("GET", Some("detail")) => Kind::BatchPoll,
            ("GET", Some("servers")) => Kind::Probe,
            ("GET", _) => Kind::Poll,
            _ => Kind::Start,
        }
    }

    async fn answer(&self, request: &Request) -> Reply {
        let kind = self.kind(request);
        if kind == Kind::Login {
            return self.log_in(request);
        }
        let token = request.header("x-auth-token").unwrap_or("");
        let user = self.tokens.lock().unwrap().get(token).cloned();
        let Some(user) = user else {
            return error(
                401,
                "unauthorized",
                "The request you have made requires authentication.",
            );
        };
        let segments = request.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (&*request.method, &*segments) {
            ("POST", ["v2.1", "servers"]) => self.create(request, user),
            ("GET", ["v2.1", "servers"] | ["v2.1", "servers", "detail"]) => self.list(request),
            ("GET", ["v2.1", "servers", id]) => match self.shown(id) {
                Some(server) => Reply::json(200, json!({"server": server})),
                None => not_found(id),
            },
            ("DELETE", ["v2.1", "servers", id]) => self.remove(id, user),
            _ => error(404, "itemNotFound", "There is no such resource."),
        }
    }

    fn unable(&self, _: &Request, status: u16) -> Reply {
        error(status, "overLimit", "Not just now.")
    }
}
