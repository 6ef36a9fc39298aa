//! Azure's Resource Manager: changes that answer 201 or 202 and name where their status is to be read.
//!
//! Effects: `METHOD PATH`. Any bearer token is taken; what it says is the user.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::works::{Effect, Order};
use super::{Books, Ending, Kind, Model, Pace, Reply, Request, Vendor, Works};

const STATUS: &str = "/subscriptions/s1/providers/Microsoft.Compute/locations/here/operations/";
const RESULT: &str =
    "/subscriptions/s1/providers/Microsoft.Compute/locations/here/operationresults/";

/// Which fields name the place of the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `Azure-AsyncOperation`, and `Location` with what is no PUT.
    AsyncOperation,
    /// `Operation-Location`.
    OperationLocation,
    /// `Location` alone, which answers 202 until it answers the result.
    Location,
}

/// What is Azure's own about the model.
pub struct Azure {
    books: Arc<Books>,
    works: Arc<Works>,
    resources: Arc<Mutex<BTreeMap<String, Value>>>,
    form: Mutex<Form>,
    retry_after: AtomicU64,
}

impl Azure {
    pub async fn start(pace: Pace) -> Model<Self> {
        Model::serve(pace, |books, works| Self {
            books,
            works,
            resources: Arc::default(),
            form: Mutex::new(Form::AsyncOperation),
            retry_after: AtomicU64::new(10),
        })
        .await
    }

    pub fn form(&self, form: Form) {
        *self.form.lock().unwrap() = form;
    }

    /// What answers say of when to come back, in seconds; nothing, with 0.
    pub fn retry_after(&self, seconds: u64) {
        self.retry_after.store(seconds, Ordering::SeqCst);
    }

    pub fn resource(&self, path: &str) -> Option<Value> {
        self.resources.lock().unwrap().get(path).cloned()
    }

    fn change(&self, request: &Request, user: String) -> Reply {
        let (method, path) = (&*request.method, &*request.path);
        let there = self.resource(path);
        if method != "PUT" && there.is_none() {
            return error(404, "ResourceNotFound", "The resource was not found.");
        }
        let id = self.works.name(|number| format!("op-{number}"));
        let mut resource = there.clone().unwrap_or_default();
        if method == "PUT" {
            resource = request.json();
            resource["id"] = json!(path);
        }
        resource["properties"]["provisioningState"] = json!(match (method, &there) {
            ("DELETE", _) => "Deleting",
            (_, None) => "Creating",
            _ => "Updating",
        });
        let mut resources = self.resources.lock().unwrap();
        resources.insert(path.to_owned(), resource.clone());
        drop(resources);
        self.works.start(Order {
            id: id.clone(),
            label: method.to_owned(),
            target: path.to_owned(),
            user,
            gauge: None,
            effect: self.effect(method, path),
        });
        let reply = if method == "PUT" {
            Reply::json(if there.is_none() { 201 } else { 202 }, resource)
        } else {
            Reply::empty(202)
        };
        self.and_where(reply, request, &id)
    }

    /// Names the place of the status, with scheme and host as Azure does.
    fn and_where(&self, reply: Reply, request: &Request, id: &str) -> Reply {
        let host = request.header("host").unwrap_or("localhost");
        let version = request.parameter("api-version").unwrap_or_default();
        let url = |path: &str| format!("http://{host}{path}{id}?api-version={version}");
        let is_put = request.method == "PUT";
        let reply = match *self.form.lock().unwrap() {
            Form::AsyncOperation if is_put => reply.with("Azure-AsyncOperation", url(STATUS)),
            Form::AsyncOperation => reply
                .with("Azure-AsyncOperation", url(STATUS))
                .with("Location", url(RESULT)),
            Form::OperationLocation => reply.with("Operation-Location", url(STATUS)),
            Form::Location => reply.with("Location", url(RESULT)),
        };
        self.and_when(reply)
    }

    fn and_when(&self, reply: Reply) -> Reply {
        match self.retry_after.load(Ordering::SeqCst) {
            0 => reply,
            seconds => reply.with("Retry-After", seconds),
        }
    }

    fn effect(&self, method: &str, path: &str) -> Effect {
        let (books, resources) = (self.books.clone(), self.resources.clone());
        let (method, path) = (method.to_owned(), path.to_owned());
        Box::new(move || {
            books.effect(&format!("{method} {path}"));
            let mut resources = resources.lock().unwrap();
            if method == "DELETE" {
                resources.remove(&path);
            } else if let Some(resource) = resources.get_mut(&path) {
                resource["properties"]["provisioningState"] = json!("Succeeded");
            }
            Ok(json!(path))
        })
    }

    fn status(&self, id: &str) -> Reply {
        let Some(reading) = self.works.read(id) else {
            return error(404, "OperationNotFound", "The operation was not found.");
        };
        match &reading.ending {
            None => self.and_when(Reply::json(200, "{\"status\":\"InProgress\"}")),
            Some(Ending::Done(_) | Ending::Partial(_)) => {
                Reply::json(200, "{\"status\":\"Succeeded\"}")
            }
            Some(Ending::Canceled) => Reply::json(200, "{\"status\":\"Canceled\"}"),
            Some(Ending::Unexplained) => Reply::json(200, "{\"status\":\"Failed\"}"),
            Some(ending) => {
                let (code, text) = ending.fault("InternalServerError").unwrap_or_default();
                let (code, text) = (json!(code), json!(text));
                let error = format!("{{\"code\":{code},\"message\":{text}}}");
                Reply::json(200, format!("{{\"status\":\"Failed\",\"error\":{error}}}"))
            }
        }
    }

    /// 202 while it goes on, then what the change came to.
    fn result(&self, request: &Request, id: &str) -> Reply {
        let Some(reading) = self.works.read(id) else {
            return error(404, "OperationNotFound", "The operation was not found.");
        };
        match &reading.ending {
            None => {
                let host = request.header("host").unwrap_or("localhost");
                let url = format!("http://{host}{}", request.target());
                self.and_when(Reply::empty(202).with("Location", url))
            }
            Some(Ending::Done(_) | Ending::Partial(_)) => match self.resource(&reading.target) {
                Some(resource) => Reply::json(200, resource),
                None => Reply::empty(204),
            },
            Some(ending) => {
                let (code, text) = ending.fault("InternalServerError").unwrap_or_default();
                let status = if *ending == Ending::Canceled {
                    409
                } else {
                    500
                };
                error(status, &code, &text)
            }
        }
    }

    /// A resource shows how the last change of it fared.
    fn one(&self, path: &str) -> Reply {
        let Some(mut resource) = self.resource(path) else {
            return error(404, "ResourceNotFound", "The resource was not found.");
        };
        let of_it = |id: &&String| self.works.target(id).as_deref() == Some(path);
        let all = self.works.all();
        let last = all.iter().rev().find(of_it);
        let fault = last
            .and_then(|id| self.works.ending(id))
            .and_then(|ending| ending.fault("Failed"));
        if let Some((code, _)) = fault {
            let state = if code == "CANCELED" {
                "Canceled"
            } else {
                "Failed"
            };
            resource["properties"]["provisioningState"] = json!(state);
        }
        Reply::json(200, resource)
    }
}

fn error(status: u16, code: &str, text: &str) -> Reply {
    Reply::json(status, json!({"error": {"code": code, "message": text}}))
}

impl Vendor for Azure {
    fn kind(&self, request: &Request) -> Kind {
        let path = &*request.path;
        match &*request.method {
            "GET" if path.starts_with(STATUS) || path.starts_with(RESULT) => Kind::Poll,
            "GET" => Kind::Probe,
            _ => Kind::Start,
        }
    }

    async fn answer(&self, request: &Request) -> Reply {
        let field = request.header("authorization").unwrap_or("");
        let Some(user) = field.strip_prefix("Bearer ") else {
            return error(401, "AuthenticationFailed", "Who are you?");
        };
        let path = &*request.path;
        match &*request.method {
            "GET" if path.starts_with(STATUS) => self.status(&path[STATUS.len()..]),
            "GET" if path.starts_with(RESULT) => self.result(request, &path[RESULT.len()..]),
            "GET" => self.one(path),
            "PUT" | "PATCH" | "DELETE" => self.change(request, user.to_owned()),
            _ => error(405, "MethodNotAllowed", "There is no such operation."),
        }
    }

    fn unable(&self, _: &Request, status: u16) -> Reply {
        error(status, "TooManyRequests", "Not just now.")
    }
}
