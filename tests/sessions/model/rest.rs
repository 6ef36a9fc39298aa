//! REST of the model: vCenter's `/api` and `/rest`, NSX's and Avi's logins, and calls with Basic.

use serde_json::json;

use super::{Desk, Kind, PASSWORD, Point};
use crate::support::wire::{Reply, Request};

const OLD_SESSION: &str = "/rest/com/vmware/cis/session";

fn refused() -> Reply {
    let error = json!({"error_type": "UNAUTHENTICATED", "messages": []});
    Reply::json(401, error)
}

/// The value of `name` in a form.
fn field<'b>(form: &'b str, name: &str) -> &'b str {
    let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    values.next().unwrap_or_default()
}

impl Desk<'_> {
    pub(super) async fn rest(&mut self, request: &Request) -> Option<Reply> {
        let asks_only = request.query.contains("action=get");
        match (&*request.method, &*request.path) {
            ("POST", OLD_SESSION) if asks_only => Some(self.whose(request)),
            ("POST", "/api/session" | OLD_SESSION) => self.opens(request).await,
            ("GET", "/api/session" | OLD_SESSION) => Some(self.whose(request)),
            ("DELETE", "/api/session" | OLD_SESSION) => Some(self.closes(request)),
            ("POST", "/api/session/destroy" | "/logout") => Some(self.closes(request)),
            ("GET", "/api/v1/aaa/user-info") => Some(self.whose(request)),
            ("POST", "/api/session/create") => self.opens_by_form(request).await,
            ("POST", "/login") => self.opens_by_json(request).await,
            // What needs no login.
            ("GET", path)
                if !["/api/", "/rest/", "/policy/"]
                    .iter()
                    .any(|at| path.starts_with(at)) =>
            {
                Some(Reply::json(200, "[]"))
            }
            _ => self.works(request).await,
        }
    }

    async fn opens(&mut self, request: &Request) -> Option<Reply> {
        let (user, password) = request.basic().unwrap_or_default();
        let Some(token) = self.login(&user, &password, Kind::Rest).await? else {
            return Some(refused());
        };
        Some(if request.path == OLD_SESSION {
            let cookie = format!("vmware-api-session-id={token};Path=/rest;Secure;HttpOnly");
            Reply::json(200, json!({ "value": token })).with("Set-Cookie", cookie)
        } else {
            Reply::json(201, json!(token))
        })
    }

    /// As NSX.
    async fn opens_by_form(&mut self, request: &Request) -> Option<Reply> {
        let user = field(&request.body, "j_username");
        let password = field(&request.body, "j_password");
        let Some(token) = self.login(user, password, Kind::Rest).await? else {
            return Some(refused());
        };
        let cookie = format!("JSESSIONID={token}; Path=/; Secure; HttpOnly");
        let reply = Reply::json(200, "").with("Set-Cookie", cookie);
        Some(reply.with("X-XSRF-TOKEN", format!("xsrf-{token}")))
    }

    /// As Avi.
    async fn opens_by_json(&mut self, request: &Request) -> Option<Reply> {
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let (user, password) = (text("username"), text("password"));
        let Some(token) = self.login(&user, &password, Kind::Rest).await? else {
            return Some(refused());
        };
        let reply = Reply::json(200, json!({"session_cookie_name": "avi-sessionid"}));
        let reply = reply.with("Set-Cookie", format!("avi-sessionid={token}; Path=/"));
        Some(reply.with("Set-Cookie", format!("csrftoken=csrf-{token}; Path=/")))
    }

    fn token<'r>(&self, request: &'r Request) -> Option<&'r str> {
        let cookies = ["vmware-api-session-id", "JSESSIONID", "avi-sessionid"];
        let in_cookie = cookies.iter().find_map(|name| request.cookie(name));
        request.header("vmware-api-session-id").or(in_cookie)
    }

    /// Who makes a call, by session or by password.
    fn caller(&self, request: &Request) -> Option<String> {
        if let Some(token) = self.token(request) {
            return self.books.user(token, Kind::Rest);
        }
        let (user, password) = request.basic()?;
        (password == PASSWORD).then(|| super::books::normal(&user))
    }

    fn whose(&self, request: &Request) -> Reply {
        self.books.did("whose");
        let Some(user) = self.caller(request) else {
            return refused();
        };
        match &*request.path {
            "/api/session" => Reply::json(200, json!({"user": user, "created_time": "now"})),
            OLD_SESSION => Reply::json(200, json!({"value": {"user": user}})),
            _ => Reply::json(200, json!({"user_name": user})),
        }
    }

    fn closes(&self, request: &Request) -> Reply {
        let token = self.token(request).unwrap_or_default();
        if !self.books.end(token) {
            return refused();
        }
        self.books.did("logout");
        if request.path == "/api/session" {
            Reply::json(204, "")
        } else {
            Reply::json(200, "{}")
        }
    }

    async fn works(&mut self, request: &Request) -> Option<Reply> {
        let Some(user) = self.caller(request) else {
            self.stay(&["strangers"], Point::Call).await?;
            self.books.did("call refused");
            return Some(refused());
        };
        if request.query.contains("action=clone") {
            if request.query.contains("vmw-task=true") {
                self.books.did("task");
                return Some(Reply::json(202, json!("52f9f1b0:com.vmware.vcenter.VM")));
            }
            self.stay(&["clones"], Point::Clone).await?;
            self.books.did_by("clone", &user);
            return Some(Reply::json(200, json!("vm-12")));
        }
        let area = area(&request.path);
        let of_user = format!("{area} of {user}");
        self.stay(&["calls", area, &of_user], Point::Call).await?;
        self.books.did("call");
        Some(Reply::json(200, "[]"))
    }
}

/// The service behind the endpoint that a path or a JSON-RPC service belongs to.
pub(super) fn area(name: &str) -> &'static str {
    if name.contains("cis/tagging") || name.contains("cis.tagging") {
        "tagging"
    } else if name.contains("/content/") || name.contains("vmware.content.") {
        "library"
    } else {
        "other"
    }
}
