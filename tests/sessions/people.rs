//! Clients of the gate: they log in, work and log out, in each way that the API has.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use crate::model::PASSWORD;
use crate::support::client::{Answer, Client};

/// How an API is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `/api`
    Api,
    /// `/rest`
    Rest,
    /// JSON-RPC
    Rpc,
    Soap,
}

impl Way {
    /// Those of REST's sessions.
    pub const OF_REST: [Self; 3] = [Self::Api, Self::Rest, Self::Rpc];
    pub const ALL: [Self; 4] = [Self::Api, Self::Rest, Self::Rpc, Self::Soap];
}

/// A login session, as its owner knows it.
#[derive(Debug, Clone)]
pub struct Session {
    pub way: Way,
    pub user: String,
    pub token: String,
}

/// What a session is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Something quick.
    List,
    Tags,
    Library,
    /// A clone that blocks; SOAP has none.
    Clone,
    /// A clone that answers with a task.
    Task,
    Logout,
}

/// A request as text, `headers` each with its end of line.
pub fn request(method: &str, target: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {target} HTTP/1.1\r\nHost: gate.example\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

pub fn basic(user: &str, password: &str) -> String {
    let encoded = STANDARD.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {encoded}\r\n")
}

/// A call of JSON-RPC, its fields in the order of VMware's SDKs.
pub fn rpc(service: &str, operation: &str, security: &Value) -> String {
    let input = json!({"STRUCTURE": {"operation-input": {}}});
    let context = json!({"appCtx": {"opId": "1"}, "securityCtx": security});
    let call = format!(
        "{{\"id\":\"1\",\"jsonrpc\":\"2.0\",\"method\":\"invoke\",\"params\":{{\"serviceId\":\"{service}\",\
         \"operationId\":\"{operation}\",\"input\":{input},\"ctx\":{context}}}}}"
    );
    request("POST", "/api", "Content-Type: application/json\r\n", &call)
}

pub fn soap(inside: &str, cookie: &str) -> String {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\">\
         <soapenv:Body>{inside}</soapenv:Body></soapenv:Envelope>"
    );
    let headers = format!("Content-Type: text/xml\r\nSOAPAction: \"urn:vim25/8.0\"\r\n{cookie}");
    request("POST", "/sdk", &headers, &body)
}

/// A login, as text.
pub fn login(way: Way, user: &str, password: &str) -> String {
    match way {
        Way::Api => request("POST", "/api/session", &basic(user, password), ""),
        Way::Rest => {
            let headers = basic(user, password) + "vmware-use-header-authn: true\r\n";
            request("POST", "/rest/com/vmware/cis/session", &headers, "")
        }
        Way::Rpc => {
            let scheme = "com.vmware.vapi.std.security.user_pass";
            let security = json!({"schemeId": scheme, "userName": user, "password": password});
            rpc("com.vmware.cis.session", "create", &security)
        }
        Way::Soap => {
            let inside = format!(
                "<Login xmlns=\"urn:vim25\"><_this type=\"SessionManager\">SessionManager</_this>\
                 <userName>{user}</userName><password>{password}</password></Login>"
            );
            soap(&inside, "")
        }
    }
}

/// A login of NSX, as text.
pub fn nsx_login(user: &str, password: &str) -> String {
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let body = format!("j_username={user}&j_password={password}");
    request("POST", "/api/session/create", form, &body)
}

/// A login of Avi, as text.
pub fn avi_login(user: &str, password: &str) -> String {
    let body = json!({"username": user, "password": password}).to_string();
    request(
        "POST",
        "/login",
        "Content-Type: application/json\r\n",
        &body,
    )
}

/// The cookie of a session that a login of NSX or Avi opened: its name and value.
pub fn cookie(answer: &Answer) -> (String, String) {
    let cookie = answer.header("set-cookie").expect("a session");
    let pair = cookie.split(';').next().unwrap().split_once('=').unwrap();
    (pair.0.to_owned(), pair.1.to_owned())
}

/// The token in the answer to a login, if it opened a session.
pub fn opened(way: Way, answer: &Answer) -> Option<String> {
    if answer.header("tidegate-limit").is_some() || answer.status >= 300 {
        return None;
    }
    let token = match way {
        Way::Soap => {
            let cookie = answer.header("set-cookie")?.split(';').next()?;
            return Some(cookie.split_once('=')?.1.trim_matches('"').to_owned());
        }
        Way::Api => answer.json(),
        Way::Rest => answer.json()["value"].clone(),
        Way::Rpc => answer.json()["result"]["output"]["SECRET"].clone(),
    };
    token.as_str().map(str::to_owned)
}

impl Session {
    /// The session of this token, opened by anybody.
    pub fn new(way: Way, user: &str, token: &str) -> Self {
        Self {
            way,
            user: user.to_owned(),
            token: token.to_owned(),
        }
    }

    /// A call in the session, as text.
    pub fn asks(&self, work: Work) -> String {
        match self.way {
            Way::Api | Way::Rest => self.by_rest(work),
            Way::Rpc => {
                let scheme = "com.vmware.vapi.std.security.session_id";
                let security = json!({"schemeId": scheme, "sessionId": self.token});
                let (service, operation) = match work {
                    Work::List => ("com.vmware.vcenter.VM", "list"),
                    Work::Tags => ("com.vmware.cis.tagging.tag", "list"),
                    Work::Library => ("com.vmware.content.library", "list"),
                    Work::Clone => ("com.vmware.vcenter.VM", "clone"),
                    Work::Task => ("com.vmware.vcenter.VM", "clone$task"),
                    Work::Logout => ("com.vmware.cis.session", "delete"),
                };
                rpc(service, operation, &security)
            }
            Way::Soap => {
                let method = match work {
                    Work::Logout => "Logout",
                    _ => "FindByUuid",
                };
                self.calls(method)
            }
        }
    }

    /// A SOAP method, as text.
    pub fn calls(&self, method: &str) -> String {
        let cookie = format!("Cookie: vmware_soap_session=\"{}\"\r\n", self.token);
        let inside =
            format!("<{method} xmlns=\"urn:vim25\"><_this type=\"X\">x</_this></{method}>");
        soap(&inside, &cookie)
    }

    fn by_rest(&self, work: Work) -> String {
        let header = format!("vmware-api-session-id: {}\r\n", self.token);
        let old = self.way == Way::Rest;
        let (method, target) = match (work, old) {
            (Work::List, false) => ("GET", "/api/vcenter/vm"),
            (Work::List, true) => ("GET", "/rest/vcenter/vm"),
            (Work::Tags, false) => ("GET", "/api/cis/tagging/tag"),
            (Work::Tags, true) => ("GET", "/rest/com/vmware/cis/tagging/tag"),
            (Work::Library, false) => ("GET", "/api/content/library"),
            (Work::Library, true) => ("GET", "/rest/com/vmware/content/library"),
            (Work::Clone, false) => ("POST", "/api/vcenter/vm?action=clone"),
            (Work::Clone, true) => ("POST", "/rest/vcenter/vm?action=clone"),
            (Work::Task, false) => ("POST", "/api/vcenter/vm?action=clone&vmw-task=true"),
            (Work::Task, true) => ("POST", "/rest/vcenter/vm?action=clone&vmw-task=true"),
            (Work::Logout, false) => ("DELETE", "/api/session"),
            (Work::Logout, true) => ("DELETE", "/rest/com/vmware/cis/session"),
        };
        request(method, target, &header, "")
    }
}

/// One exchange over a connection that stays.
pub async fn ask(client: &mut Client, request: &str) -> Answer {
    client.send(request).await;
    client.answer().await.expect("an answer")
}

/// One exchange over a connection of its own.
pub async fn ask_once(gate: SocketAddr, request: &str) -> Answer {
    ask(&mut Client::connect(gate).await, request).await
}

/// A connection from this address of the loopback network.
pub async fn from(address: impl Into<IpAddr>, to: SocketAddr) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address.into(), 0).into()).unwrap();
    Client::over(socket.connect(to).await.unwrap())
}

/// A login that has to be accepted.
pub async fn log_in(gate: SocketAddr, way: Way, user: &str) -> Session {
    let answer = ask_once(gate, &login(way, user, PASSWORD)).await;
    let Some(token) = opened(way, &answer) else {
        panic!("{way:?} login of {user}: {answer:?}");
    };
    Session::new(way, user, &token)
}

/// Logins that have to be accepted, over so many connections at once.
pub async fn log_all_in(gate: SocketAddr, who: Vec<(Way, String)>, clients: usize) -> Vec<Session> {
    let asked = who.iter().map(|(way, user)| login(*way, user, PASSWORD));
    let answers = ask_all(gate, asked.collect(), clients).await;
    let pairs = who.iter().zip(&answers);
    pairs
        .map(|((way, user), answer)| {
            let token = opened(*way, answer);
            let token = token.unwrap_or_else(|| panic!("{way:?} login of {user}: {answer:?}"));
            Session::new(*way, user, &token)
        })
        .collect()
}

/// Asks everything, over so many connections at once; answers in the order of the questions.
pub async fn ask_all(gate: SocketAddr, requests: Vec<String>, clients: usize) -> Vec<Answer> {
    let each = requests.len().div_ceil(clients).max(1);
    let mut tasks = JoinSet::new();
    for (at, part) in requests.chunks(each).enumerate() {
        let part = part.to_vec();
        tasks.spawn(async move {
            let mut client = Client::connect(gate).await;
            let mut answers = Vec::new();
            for request in &part {
                answers.push(ask(&mut client, request).await);
            }
            (at, answers)
        });
    }
    let mut parts = tasks.join_all().await;
    parts.sort_by_key(|(at, _)| *at);
    parts.into_iter().flat_map(|(_, answers)| answers).collect()
}

/// Asks each over a connection of its own and waits for no answer.
pub async fn start_all(
    gate: SocketAddr,
    requests: impl IntoIterator<Item = String>,
) -> Vec<Client> {
    let mut clients = Vec::new();
    for request in requests {
        let mut client = Client::connect(gate).await;
        client.send(request).await;
        clients.push(client);
    }
    clients
}

/// The answers to what [`start_all`] asked, in order.
pub async fn answers(clients: &mut [Client]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for client in clients {
        answers.push(client.answer().await.expect("an answer"));
    }
    answers
}
