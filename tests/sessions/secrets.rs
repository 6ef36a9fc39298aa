//! Nothing that the gate writes or says holds a password or a token.

use std::net::SocketAddr;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::model::{Kind, Model, PASSWORD};
use crate::people::{
    Session, Way, Work, ask_once, avi_login, basic, cookie, log_in, login, nsx_login, opened,
    request, rpc, soap,
};
use crate::rig::{Setup, folder};
use crate::support::client::Client;
use crate::support::until;

const WRONG: &str = "Wr0ng-staple-guess";
const OPERATOR: &str = "s3same-open-sesame";
const BOGUS: &str = "feedfacefeedfacefeedfacefeedface";

/// Every secret that was used, in each form that it was sent in.
struct Secrets(Vec<(String, Vec<u8>)>);

impl Secrets {
    fn add(&mut self, what: &str, secret: &str) {
        self.0.push((what.to_owned(), secret.as_bytes().to_vec()));
    }

    fn password(&mut self, user: &str, password: &str) {
        let encoded = STANDARD.encode(format!("{user}:{password}"));
        self.add(&format!("Basic of {user}"), encoded.trim_end_matches('='));
    }

    /// Fails if `bytes` holds one of them.
    fn are_not_in(&self, place: &str, bytes: &[u8]) {
        for (what, secret) in &self.0 {
            let at = memchr::memmem::find(bytes, secret);
            let Some(at) = at else { continue };
            let around = &bytes[at.saturating_sub(200)..(at + 100).min(bytes.len())];
            panic!("{what} is in {place}: {}", String::from_utf8_lossy(around));
        }
    }
}

/// Logs in, works, fails and logs out, in each way.
async fn people_come_and_go(model: &Model, gate: SocketAddr, secrets: &mut Secrets) {
    for way in Way::ALL {
        for user in ["user1@corp", "CORP\\user2"] {
            secrets.password(user, PASSWORD);
            secrets.password(user, WRONG);
            let wrong = ask_once(gate, &login(way, user, WRONG)).await;
            assert_eq!(opened(way, &wrong), None);
            let session = log_in(gate, way, user).await;
            secrets.add("a token", &session.token);
            for work in [Work::List, Work::Tags, Work::Clone] {
                ask_once(gate, &session.asks(work)).await;
            }
            if user == "user1@corp" {
                ask_once(gate, &session.asks(Work::Logout)).await;
                ask_once(gate, &session.asks(Work::List)).await;
            }
        }
        let kind = if way == Way::Soap {
            Kind::Soap
        } else {
            Kind::Rest
        };
        let token = model.books.open("around@corp", kind);
        secrets.add("a token from around the gate", &token);
        ask_once(
            gate,
            &Session::new(way, "around@corp", &token).asks(Work::List),
        )
        .await;
        ask_once(gate, &Session::new(way, "nobody", BOGUS).asks(Work::List)).await;
    }
    // The limit is full by now.
    for way in Way::ALL {
        let refused = ask_once(gate, &login(way, "late@corp", PASSWORD)).await;
        assert!(
            refused.header("tidegate-limit").is_some(),
            "{way:?}: {refused:?}"
        );
    }
    secrets.password("late@corp", PASSWORD);
}

/// The same with NSX or Avi, whose sessions are cookies.
async fn others_come_and_go(profile: &str, gate: SocketAddr, secrets: &mut Secrets) {
    let (login, target): (fn(&str, &str) -> String, _) = match profile {
        "nsx-4" => (nsx_login, "/policy/api/v1/infra"),
        _ => (avi_login, "/api/pool"),
    };
    for user in ["around@corp", "user2@corp"] {
        assert_eq!(ask_once(gate, &login(user, WRONG)).await.status, 401);
        let (name, token) = cookie(&ask_once(gate, &login(user, PASSWORD)).await);
        secrets.add("a token", &token);
        for token in [&*token, BOGUS] {
            let fields = format!(
                "Cookie: {name}={token}; csrftoken=csrf-{token}\r\nX-XSRF-TOKEN: xsrf-{token}\r\n"
            );
            ask_once(gate, &request("GET", target, &fields, "")).await;
        }
        secrets.password(user, PASSWORD);
        ask_once(gate, &request("GET", target, &basic(user, PASSWORD), "")).await;
    }
}

/// Calls that something is wrong with, each with secrets in it.
async fn odd_calls(gate: SocketAddr) {
    let security =
        json!({"schemeId": "x", "userName": "a", "password": PASSWORD, "sessionId": BOGUS});
    let good = rpc("com.vmware.vcenter.VM", "list", &security);
    let field = basic("user1@corp", PASSWORD);
    let cookies =
        format!("Cookie: vmware_soap_session={BOGUS}; vmware_soap_session={PASSWORD}\r\n");
    let target = format!("/api/x?password={PASSWORD}&token={BOGUS}&vmware-api-session-id={BOGUS}");
    for odd in [
        good.replace("\"jsonrpc\"", "\"jsonrpc "),
        good.replace("\"operationId\"", "\"operation__\""),
        good.replace("Content-Type", "vapi-service: other\r\nContent-Type"),
        soap(
            &format!("<Login><userName>a</userName><password>{PASSWORD}"),
            "",
        ),
        soap(&format!("<A xmlns=\"urn:vim25\">{PASSWORD}</A>"), &cookies),
        request("GET", &target, &field, ""),
        request("GET", "/api/%zz", &field, ""),
        request(
            "GET",
            "/api/x",
            &format!("{field}{}", basic("user1@corp", WRONG)),
            "",
        ),
        request(
            "GET",
            "/api/x",
            &format!("Authorization: Bearer {BOGUS}\r\n"),
            "",
        ),
        request("PUT", "/api/x", &field, PASSWORD)
            .replace("Content-Length", "Content-Length: 1\r\nContent-Length"),
    ] {
        let mut client = Client::connect(gate).await;
        client.send(&odd).await;
        drop(client.answer().await);
    }
}

async fn said(door: SocketAddr, path: &str, secrets: &Secrets) -> String {
    let body = Client::connect(door).await.get(path).await.body;
    secrets.are_not_in(path, &body);
    String::from_utf8(body).unwrap()
}

async fn operator_looks_around(door: SocketAddr, secrets: &Secrets) {
    let sessions = said(door, "/sessions", secrets).await;
    assert!(
        sessions.contains("user2@corp") && sessions.contains("around@corp"),
        "{sessions}"
    );
    let config = said(door, "/config", secrets).await;
    assert!(config.contains("\"***\""), "{config}");
    for path in ["/metrics", "/limits", "/connections", "/readyz", "/"] {
        assert!(!said(door, path, secrets).await.is_empty(), "{path}");
    }
    for target in [
        "%2Fapi%2Fsession",
        "%2Fapi%2Fvcenter%2Fvm%3Faction%3Dclone",
        "%2Fapi%2Fcis%2Ftagging%2Ftag",
    ] {
        let path = format!("/explain?method=POST&target={target}&user=user2@corp");
        assert!(said(door, &path, secrets).await.contains("\"verdict\""));
    }
    let shown: serde_json::Value = serde_json::from_str(&sessions).unwrap();
    for row in shown["sessions"].as_array().unwrap().iter().take(3) {
        let path = format!("/sessions/{}", row["id"].as_str().unwrap());
        for key in ["wrong", OPERATOR] {
            let asked = request(
                "DELETE",
                &path,
                &format!("Authorization: Bearer {key}\r\n"),
                "",
            );
            secrets.are_not_in(&path, &ask_once(door, &asked).await.body);
        }
    }
}

/// Every file in `folder` that the gate wrote.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let ours = ["tidegate.toml", "admin.token"];
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(name, _)| !ours.contains(&&**name))
        .map(|(name, path)| (name, std::fs::read(path).unwrap()))
        .collect()
}

#[tokio::test]
async fn no_password_and_no_token_is_in_anything_that_the_gate_writes_or_says() {
    for (profile, format) in [
        ("vcenter-8.0", "json"),
        ("vcenter-8.0", "text"),
        ("nsx-4", "json"),
        ("avi", "text"),
    ] {
        let folder = folder(&format!("secrets-{profile}-{format}"));
        std::fs::write(folder.join("admin.token"), OPERATOR).unwrap();
        let model = Model::start().await;
        let mut setup = Setup::of(profile).kept_in(&folder);
        if profile == "vcenter-8.0" {
            setup = setup
                .limit("sessions", "limit = 6")
                .limit("soap_sessions", "limit = 2");
        }
        setup.admin = format!("token = \"file:{}/admin.token\"", folder.display());
        let access = folder.join("access.log");
        setup.log = format!(
            "format = \"{format}\"\nlevel = \"trace\"\naccess = \"{}\"",
            access.display()
        );
        let mut secrets = Secrets(Vec::new());
        secrets.add("the password", PASSWORD);
        secrets.add("the wrong password", WRONG);
        secrets.add("the operator's token", OPERATOR);
        secrets.add("the token of nobody", BOGUS);

        let mut gate = setup.process(model.address, &folder).await;
        match profile {
            "vcenter-8.0" => people_come_and_go(&model, gate.http, &mut secrets).await,
            _ => others_come_and_go(profile, gate.http, &mut secrets).await,
        }
        odd_calls(gate.http).await;
        operator_looks_around(gate.door, &secrets).await;
        let lines = || std::fs::read_to_string(&access).unwrap_or_default();
        until("the last odd call is in the access log", || {
            lines().contains("/api/%zz")
        })
        .await;
        let holds_user =
            |(_, bytes): &(String, Vec<u8>)| memchr::memmem::find(bytes, b"user2@corp").is_some();
        until("users are kept", || files(&folder).iter().any(holds_user)).await;
        // Ends as it may at any time: what is in the files then stays there.
        gate.kill();
        secrets.are_not_in("the log", gate.log().as_bytes());
        assert!(gate.log().contains("login"), "{}", gate.log());
        let files = files(&folder);
        let named = |wanted: &str| files.iter().any(|(name, _)| name == wanted);
        assert!(named("tidegate.db") && named("access.log") && named("state.key"));
        for (name, bytes) in &files {
            secrets.are_not_in(name, bytes);
        }
    }
}
