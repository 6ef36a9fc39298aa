//! Whose a task is that was asked for in a session of another kind: SOAP's, NSX's, Avi's.

use std::net::SocketAddr;

use tidegate::app::Running;

use crate::rig::{ASYNC, get, id, list, request, say};
use crate::support::script::scripted;
use crate::support::{gate, plain};

const REFUSED: &str = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";

/// A gate before `upstream` with this profile, where `POST /slow` blocks.
fn start(upstream: SocketAddr, profile: &str) -> Running {
    let route = "[[upstream.route]]\nname = \"slow\"\nmatch = { method = \"POST\", path = \"/slow\" }\nclass = \"blocking\"\n\
                 [[upstream.route]]\nname = \"slow-soap\"\nmatch = { path = \"/sdk/**\", operation = \"Slow\" }\nclass = \"blocking\"\n";
    let text = plain(upstream, route);
    gate(&text.replace("profile = \"generic\"", &format!("profile = \"{profile}\"")))
}

async fn status(gate: &Running, id: &str, fields: &str) -> u16 {
    get(gate, &format!("/-/tasks/{id}"), fields).await.status
}

fn soap(token: &str) -> String {
    format!("Cookie: vmware_soap_session=\"{token}\"\r\n")
}

#[tokio::test]
async fn a_task_of_a_soap_session_is_its_users() {
    let user = |name: &str| match name {
        "alice" => {
            "<Envelope><Body><RetrievePropertiesResponse xmlns=\"urn:vim25\"><returnval><obj type=\"SessionManager\">SessionManager</obj><propSet><name>currentSession</name><val xsi:type=\"UserSession\"><key>52</key><userName>CORP\\alice</userName></val></propSet></returnval></RetrievePropertiesResponse></Body></Envelope>"
        }
        "bob" => {
            "<Envelope><Body><RetrievePropertiesResponse xmlns=\"urn:vim25\"><returnval><obj type=\"SessionManager\">SessionManager</obj><propSet><name>currentSession</name><val xsi:type=\"UserSession\"><key>53</key><userName>CORP\\bob</userName></val></propSet></returnval></RetrievePropertiesResponse></Body></Envelope>"
        }
        _ => {
            "<Envelope><Body><RetrievePropertiesResponse xmlns=\"urn:vim25\"><returnval><obj type=\"SessionManager\">SessionManager</obj></returnval></RetrievePropertiesResponse></Body></Envelope>"
        }
    };
    let upstream = scripted(move |text| {
        let of = |name: &str| {
            text.contains(&format!("vmware_soap_session=\"{name}-"))
                || text.contains(&format!("vmware_soap_session={name}-"))
        };
        let who = ["alice", "bob"].into_iter().find(|name| of(name));
        if text.contains("currentSession") {
            return user(who.unwrap_or("nobody"));
        }
        // What is slow never ends.
        if text.contains("<Slow") { "" } else { REFUSED }
    })
    .await;
    let gate = start(upstream, "vcenter-8.0");
    let body = "<Envelope xmlns=\"http://schemas.xmlsoap.org/soap/envelope/\"><Body><Slow xmlns=\"urn:vim25\"/></Body></Envelope>";
    let fields = format!("{}{ASYNC}Content-Type: text/xml\r\n", soap("alice-1"));
    let id = id(&say(&gate, request("POST", "/sdk", &fields, body)).await);
    assert_eq!(status(&gate, &id, &soap("alice-1")).await, 200);
    assert_eq!(
        status(&gate, &id, &soap("alice-2")).await,
        200,
        "another session"
    );
    assert_eq!(
        status(&gate, &id, &soap("bob-1")).await,
        404,
        "another user"
    );
    assert_eq!(
        status(&gate, &id, &soap("made-up")).await,
        401,
        "no session"
    );
    assert_eq!(status(&gate, &id, "").await, 401, "nobody");
    assert_eq!(list(&gate, &soap("alice-2")).await.len(), 1);
}

#[tokio::test]
async fn a_task_of_an_nsx_session_is_its_users() {
    let over = "HTTP/1.1 403 Forbidden\r\nContent-Length: 109\r\n\r\n{\"error_message\":\"The credentials were incorrect or the account specified has been locked.\",\"error_code\":403}";
    let upstream = scripted(move |text| {
        let of = |name: &str| text.contains(&format!("JSESSIONID={name}-"));
        match (
            text.starts_with("GET /api/v1/aaa/user-info"),
            of("alice"),
            of("bob"),
        ) {
            (true, true, _) => "{\"user_name\":\"alice@corp\",\"roles\":[]}",
            (true, _, true) => "{\"user_name\":\"bob@corp\",\"roles\":[]}",
            (false, true, _) | (false, _, true) => "",
            _ => over,
        }
    })
    .await;
    let gate = start(upstream, "nsx-4");
    let session =
        |token: &str| format!("Cookie: JSESSIONID={token}\r\nX-XSRF-TOKEN: x-{token}\r\n");
    let fields = format!("{}{ASYNC}", session("alice-1"));
    let id = id(&say(&gate, request("POST", "/slow", &fields, "{}")).await);
    assert_eq!(status(&gate, &id, &session("alice-1")).await, 200);
    assert_eq!(
        status(&gate, &id, &session("alice-2")).await,
        200,
        "another session"
    );
    assert_eq!(
        status(&gate, &id, &session("bob-1")).await,
        404,
        "another user"
    );
    assert_eq!(
        status(&gate, &id, &session("made-up")).await,
        401,
        "no session"
    );
    assert_eq!(list(&gate, &session("bob-1")).await.len(), 0);
}

#[tokio::test]
async fn a_task_of_an_avi_session_is_that_sessions() {
    // Avi has no question for whose a session is.
    let upstream = scripted(|_| "").await;
    let gate = start(upstream, "avi");
    let session = |token: &str| {
        format!(
            "Cookie: avi-sessionid={token}; sessionid={token}; csrftoken=c\r\nX-CSRFToken: c\r\n"
        )
    };
    let fields = format!("{}{ASYNC}", session("one"));
    let id = id(&say(&gate, request("POST", "/slow", &fields, "{}")).await);
    assert_eq!(status(&gate, &id, &session("one")).await, 200);
    assert_eq!(status(&gate, &id, &session("two")).await, 404);
    assert_eq!(list(&gate, &session("two")).await.len(), 0);
}
