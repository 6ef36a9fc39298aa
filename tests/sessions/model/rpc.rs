//! JSON-RPC of the model, as VMware's SDKs speak it: errors come with status 200.

use serde_json::{Value, json};

use super::{Desk, Kind, Point};
use crate::support::wire::{Reply, Request};

fn reply(id: &Value, result: Value) -> Reply {
    Reply::json(200, json!({"jsonrpc": "2.0", "id": id, "result": result}))
}

fn refused(id: &Value) -> Reply {
    let error = "com.vmware.vapi.std.errors.unauthenticated";
    let result = json!({"error": {"ERROR": {error: {"messages": []}}}});
    reply(id, result).with("vapi-error", error.to_owned())
}

impl Desk<'_> {
    pub(super) async fn rpc(&mut self, request: &Request) -> Option<Reply> {
        let call: Value = serde_json::from_str(&request.body).unwrap();
        let (id, params) = (&call["id"], &call["params"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let service = text(&params["serviceId"]);
        let operation = text(&params["operationId"]);
        let security = &params["ctx"]["securityCtx"];
        if (&*service, &*operation) == ("com.vmware.cis.session", "create") {
            let (user, password) = (text(&security["userName"]), text(&security["password"]));
            let token = self.login(&user, &password, Kind::Rest).await?;
            return Some(match token {
                Some(token) => reply(id, json!({"output": {"SECRET": token}})),
                None => refused(id),
            });
        }
        let token = text(&security["sessionId"]);
        let Some(user) = self.books.user(&token, Kind::Rest) else {
            self.books.did("call refused");
            return Some(refused(id));
        };
        let output = match (&*service, &*operation) {
            ("com.vmware.cis.session", "delete") => {
                self.books.end(&token);
                self.books.did("logout");
                Value::Null
            }
            ("com.vmware.cis.session", "get") => {
                self.books.did("whose");
                json!({"STRUCTURE": {"com.vmware.cis.session.info": {"user": user}}})
            }
            ("com.vmware.vcenter.VM", "clone") => {
                self.stay(&["clones"], Point::Clone).await?;
                self.books.did_by("clone", &user);
                json!("vm-12")
            }
            _ => {
                let area = super::rest::area(&service);
                let of_user = format!("{area} of {user}");
                self.stay(&["calls", area, &of_user], Point::Call).await?;
                self.books.did("call");
                json!([])
            }
        };
        Some(reply(id, json!({ "output": output })))
    }
}
