//! A user's own share: counted over every protocol and spelling, and nobody else's to take.

use std::net::Ipv4Addr;

use serde_json::json;

use crate::model::{Model, PASSWORD, Point};
use crate::people::{
    Way, Work, answers, ask, ask_once, basic, cookie, from, log_in, login, nsx_login, opened,
    request, rpc, soap, start_all,
};
use crate::rig::{Setup, in_use, is_refused, refused};
use crate::support::client::Client;
use crate::support::until;

const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

#[tokio::test]
async fn a_user_has_200_tagging_and_150_library_calls_in_whatever_form_and_spelling() {
    let model = Model::start().await;
    let gate = Setup::of("vcenter-8.0").start(model.address);
    let http = gate.http()[0];
    let mut hers = Vec::new();
    for (way, name) in [
        (Way::Api, "user1@corp"),
        (Way::Rest, "CORP\\user1"),
        (Way::Rpc, "User1@CORP"),
    ] {
        hers.push(log_in(http, way, name).await);
    }
    let his = log_in(http, Way::Api, "user2@corp").await;
    model.hold(Point::Call);
    for (work, most, limit, gauge) in [
        (Work::Tags, 200, "tagging_per_user", "tagging of user1@corp"),
        (
            Work::Library,
            150,
            "content_library_per_user",
            "library of user1@corp",
        ),
    ] {
        let asked = (0..most).map(|n| hers[n % 3].asks(work));
        let mut calls = start_all(http, asked).await;
        until("her share is in use", || {
            model.books.now(gauge) == most as u64
        })
        .await;
        for (session, status) in hers.iter().zip([503, 503, 200]) {
            let answer = ask_once(http, &session.asks(work)).await;
            is_refused(&answer, status, limit);
        }
        let header = format!("vmware-api-session-id: {}\r\n", hers[0].token);
        let (tags, library) = (
            [
                "/api//cis/tagging/tag",
                "/api/cis/%74agging/tag",
                "/api/x/../cis/tagging/tag",
                "/API/cis/tagging/tag",
            ],
            [
                "/api//content/library",
                "/api/c%6Fntent/library",
                "/rest/./com/vmware/content/library",
                "/api/content;x=1/library",
            ],
        );
        for target in if work == Work::Tags { tags } else { library } {
            let answer = ask_once(http, &request("GET", target, &header, "")).await;
            assert_eq!(answer.header("tidegate-limit"), Some(limit), "{target}");
        }
        let before = model.books.now("calls");
        calls.extend(start_all(http, [his.asks(work)]).await);
        until("another user's call runs", || {
            model.books.now("calls") == before + 1
        })
        .await;
        model.let_go(Point::Call);
        for answer in answers(&mut calls).await {
            assert_eq!(answer.status, 200);
        }
        model.hold(Point::Call);
        assert_eq!(model.books.most(gauge), most as u64);
    }
}

/// `count` logins of `user` with a wrong password, on their way from an address of their own.
async fn knock(gate: std::net::SocketAddr, user: &str, count: usize) -> Vec<Client> {
    let mut knocks = Vec::new();
    for _ in 0..count {
        let mut client = from(STRANGER, gate).await;
        client.send(login(Way::Api, user, "wrong")).await;
        knocks.push(client);
    }
    knocks
}

#[tokio::test]
async fn a_flood_of_wrong_passwords_for_a_user_leaves_her_room_and_takes_nothing() {
    let model = Model::start().await;
    let setup = Setup::of("vcenter-8.0").limit("sessions_per_user", "limit = 162");
    let gate = setup.start(model.address);
    let http = gate.http()[0];
    model.hold(Point::Login);
    let mut knocks = knock(http, "user1@corp", 160).await;
    until("160 are on their way", || model.books.now("logins") == 160).await;
    let mut one_more = from(STRANGER, http).await;
    let answer = ask(&mut one_more, &login(Way::Api, "user1@corp", "wrong")).await;
    is_refused(&answer, 503, "sessions_per_user");
    let hers = login(Way::Api, "user1@corp", PASSWORD);
    let mut hers = start_all(http, [hers.clone(), hers]).await;
    until("hers are on their way", || model.books.now("logins") == 162).await;
    model.let_go(Point::Login);
    for answer in answers(&mut knocks).await {
        assert_eq!(answer.status, 401);
    }
    for answer in answers(&mut hers).await {
        assert!(opened(Way::Api, &answer).is_some(), "{answer:?}");
    }
    until("her two are left", || in_use(&gate, "sessions") == 2).await;
}

#[tokio::test]
async fn a_forged_name_takes_nothing_of_the_users_share() {
    let model = Model::start().await;
    let gate = Setup::of("nsx-4").start(model.address);
    let http = gate.http()[0];
    let forged = basic("admin", "forged");
    // Pages that need no login take any password: that proves nothing.
    for page in ["/login.jsp", "/", "/ui/app"] {
        let mut client = from(STRANGER, http).await;
        let answer = ask(&mut client, &request("GET", page, &forged, "")).await;
        assert_eq!(answer.status, 200, "{page}");
    }
    let call = |field: &str| request("GET", "/api/v1/logical-switches", field, "");
    let hers = call(&basic("admin", PASSWORD));
    assert_eq!(ask_once(http, &hers).await.status, 200, "now she is known");
    model.hold(Point::Call);
    let mut calls = Vec::new();
    for _ in 0..40 {
        let mut client = from(STRANGER, http).await;
        client.send(call(&forged)).await;
        calls.push(client);
    }
    until("40 forged calls run", || model.books.now("strangers") == 40).await;
    let mut real = start_all(http, (0..40).map(|_| hers.clone())).await;
    until("and all 40 of hers", || {
        model.books.now("other of admin") == 40
    })
    .await;
    model.let_go(Point::Call);
    for answer in answers(&mut real).await {
        assert_eq!(answer.status, 200);
    }
    for answer in answers(&mut calls).await {
        assert_eq!(answer.status, 401);
    }
}

#[tokio::test]
async fn on_vcenter_only_a_login_proves_a_name() {
    let model = Model::start().await;
    let gate = Setup::of("vcenter-8.0").start(model.address);
    let http = gate.http()[0];
    let forged = basic("user1@corp", "forged");
    let mut client = from(STRANGER, http).await;
    let rpc_call = rpc("com.vmware.vcenter.VM", "list", &json!({}));
    let soap_call = soap("<RetrieveServiceContent xmlns=\"urn:vim25\"/>", "");
    for asked in [
        request("GET", "/sdk/vimServiceVersions.xml", &forged, ""),
        request("GET", "/ui/", &forged, ""),
        rpc_call.replace("Content-Type", &format!("{forged}Content-Type")),
        soap_call.replace("Content-Type", &format!("{forged}Content-Type")),
    ] {
        let answer = ask(&mut client, &asked).await;
        assert_eq!(answer.status, 200, "all of these answer 200: {answer:?}");
    }
    let hers = log_in(http, Way::Api, "user1@corp").await;
    model.hold(Point::Call);
    let mut calls = Vec::new();
    for _ in 0..200 {
        let mut client = from(STRANGER, http).await;
        client
            .send(request("GET", "/api/cis/tagging/tag", &forged, ""))
            .await;
        calls.push(client);
    }
    until("200 forged calls run", || {
        model.books.now("strangers") == 200
    })
    .await;
    let mut real = start_all(http, (0..200).map(|_| hers.asks(Work::Tags))).await;
    until("and all 200 of hers", || {
        model.books.now("tagging of user1@corp") == 200
    })
    .await;
    model.let_go(Point::Call);
    answers(&mut real).await;
    answers(&mut calls).await;
    assert_eq!(refused(&gate, "tagging_per_user"), 0);
}

/// The field that shows a new session of NSX.
async fn nsx_session(gate: std::net::SocketAddr, user: &str) -> String {
    let answer = ask_once(gate, &nsx_login(user, PASSWORD)).await;
    let (name, token) = cookie(&answer);
    format!("Cookie: {name}={token}\r\nX-XSRF-TOKEN: xsrf-{token}\r\n")
}

#[tokio::test]
async fn nsx_has_40_calls_of_a_user_in_flight_and_199_in_all() {
    let model = Model::start().await;
    let gate = Setup::of("nsx-4").start(model.address);
    let http = gate.http()[0];
    let target = "/policy/api/v1/infra/segments";
    let call = |user: &str| request("GET", target, &basic(user, PASSWORD), "");
    // Each spelling is known once the upstream has accepted it; until then it counts by its address.
    for user in [
        "user1", "user2", "user3", "user4", "user5", "User1", "USER1",
    ] {
        assert_eq!(ask_once(http, &call(user)).await.status, 200);
    }
    let session = nsx_session(http, "user1").await;
    let by_cookie = request("GET", target, &session, "");
    model.hold(Point::Call);
    let asked = (0..40).map(|n| {
        if n % 2 == 0 {
            by_cookie.clone()
        } else {
            call("User1")
        }
    });
    let mut calls = start_all(http, asked).await;
    until("40 of hers run", || model.books.now("other of user1") == 40).await;
    for asked in [&by_cookie, &call("user1"), &call("USER1")] {
        let answer = ask_once(http, asked).await;
        is_refused(&answer, 429, "requests_in_flight_per_user");
        let said = answer.json();
        assert_eq!(
            (&said["module_name"], &said["error_code"]),
            (&"common-services".into(), &"102".into())
        );
        let message = said["error_message"].as_str().unwrap();
        assert!(message.contains("requests_in_flight_per_user"), "{message}");
    }
    let others = (0..160).map(|n| call(&format!("user{}", n % 4 + 2)));
    calls.extend(start_all(http, others).await);
    until("199 run and one is refused", || {
        model.books.now("calls") == 199 && refused(&gate, "requests_in_flight") == 1
    })
    .await;
    model.let_go(Point::Call);
    let answered = answers(&mut calls).await;
    let limited: Vec<_> = answered
        .iter()
        .filter(|answer| answer.status != 200)
        .collect();
    let [one] = limited[..] else {
        panic!("exactly one is refused: {limited:?}");
    };
    is_refused(one, 503, "requests_in_flight");
    assert_eq!(model.books.most("calls"), 199);
}

/// In an hour instead of a second, so that the speed of the machine does not matter.
#[tokio::test]
async fn nsx_takes_100_requests_of_a_user_in_a_window() {
    let model = Model::start().await;
    let setup = Setup::of("nsx-4").limit("request_rate", "window = \"1h\"");
    let gate = setup.start(model.address);
    let mut client = Client::connect(gate.http()[0]).await;
    let session = nsx_session(gate.http()[0], "admin").await;
    let call = request("GET", "/api/v1/cluster", &session, "");
    for n in 1..=100 {
        assert_eq!(ask(&mut client, &call).await.status, 200, "call {n}");
    }
    let answer = ask(&mut client, &call).await;
    is_refused(&answer, 429, "request_rate");
    let message = answer.json()["error_message"].as_str().unwrap().to_owned();
    assert!(
        message.starts_with("Client 'admin' exceeded request rate of 100 per"),
        "{message}"
    );
    let other = nsx_session(gate.http()[0], "audit").await;
    let call = request("GET", "/api/v1/cluster", &other, "");
    assert_eq!(
        ask(&mut client, &call).await.status,
        200,
        "another user has a share of her own"
    );
    assert_eq!(model.books.done("call"), 101);
}

/// In an hour instead of a second, so that the speed of the machine does not matter.
#[tokio::test]
async fn avi_takes_32_requests_of_an_address_in_a_window() {
    let model = Model::start().await;
    let setup = Setup::of("avi").limit("request_rate", "window = \"1h\"");
    let gate = setup.start(model.address);
    let http = gate.http()[0];
    let call = |user: &str| request("GET", "/api/pool", &basic(user, PASSWORD), "");
    let mut client = Client::connect(http).await;
    for n in 0..32 {
        let user = format!("user{}", n % 4);
        assert_eq!(ask(&mut client, &call(&user)).await.status, 200);
    }
    for user in ["user1", "user9"] {
        let answer = ask(&mut client, &call(user)).await;
        is_refused(&answer, 503, "request_rate");
        let message = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(message.contains("request_rate"), "{message}");
    }
    let mut other = from(STRANGER, http).await;
    assert_eq!(ask(&mut other, &call("user1")).await.status, 200);
    assert_eq!(model.books.done("call"), 33);
}
