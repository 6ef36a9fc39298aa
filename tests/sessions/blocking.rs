//! Ten blocking calls at once, whatever they are spoken in, and what passes beside them.

use crate::model::{Model, PASSWORD, Point};
use crate::people::{
    Session, Way, Work, answers, ask, ask_once, from, log_in, login, opened, start_all,
};
use crate::rig::{Setup, in_use, is_refused, refused, shown};
use crate::support::client::Answer;
use crate::support::{all_given_back, until};

fn is_limited(answer: &Answer) -> bool {
    answer.header("tidegate-limit").is_some()
}

/// Eleven clones at once, in turn by each of `sessions`; exactly one is refused, the others run.
async fn eleven_clones(sessions: impl Fn(usize) -> usize, ways: &[Way]) {
    let model = Model::start().await;
    let gate = Setup::of("vcenter-8.0").start(model.address);
    let http = gate.http()[0];
    let mut people = Vec::new();
    for (number, way) in ways.iter().enumerate() {
        let user = format!("user{}@corp", sessions(number));
        people.push(log_in(http, *way, &user).await);
    }
    model.hold(Point::Clone);
    let asked = (0..11).map(|n| people[n % people.len()].asks(Work::Clone));
    let clones = start_all(http, asked).await;
    until("ten run and one is refused", || {
        model.books.now("clones") == 10 && refused(&gate, "blocking_tasks") == 1
    })
    .await;
    let tasks = people.iter().map(|person| person.asks(Work::Task));
    let tasks = answers(&mut start_all(http, tasks).await).await;
    assert!(
        tasks.iter().all(|answer| !is_limited(answer)),
        "a task form does not block"
    );
    for person in &people {
        let answer = ask_once(http, &person.asks(Work::List)).await;
        assert_eq!(
            (answer.status, is_limited(&answer)),
            (200, false),
            "others go on"
        );
    }
    model.let_go(Point::Clone);
    let mut clones = clones;
    let answers = answers(&mut clones).await;
    let limited: Vec<_> = answers.iter().filter(|answer| is_limited(answer)).collect();
    let [one] = limited[..] else {
        panic!("exactly one is refused: {limited:?}");
    };
    let status = if one.body.starts_with(b"{\"jsonrpc") {
        200
    } else {
        503
    };
    is_refused(one, status, "blocking_tasks");
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 200 || is_limited(answer))
    );
    assert_eq!(model.books.most("clones"), 10);
    assert_eq!(model.books.done("clone"), 10);
    until("every seat is free", || {
        in_use(&gate, "blocking_tasks") == 0
    })
    .await;
    let again = ask_once(http, &people[0].asks(Work::Clone)).await;
    assert!(again.status == 200 && !is_limited(&again));
}

#[tokio::test]
async fn eleven_blocking_clones_of_one_user_exactly_one_is_refused() {
    eleven_clones(|_| 1, &[Way::Api]).await;
}

#[tokio::test]
async fn eleven_blocking_clones_of_several_users_in_all_forms_exactly_one_is_refused() {
    eleven_clones(|n| n, &[Way::Api, Way::Rest, Way::Rpc, Way::Rpc, Way::Rest]).await;
    eleven_clones(|n| n, &[Way::Rpc]).await;
}

#[tokio::test]
async fn a_clone_that_nobody_waits_for_any_more_frees_its_seat() {
    let model = Model::start().await;
    let gate = Setup::of("vcenter-8.0").start(model.address);
    let http = gate.http()[0];
    let person = log_in(http, Way::Api, "user1@corp").await;
    model.hold(Point::Clone);
    let clones = start_all(http, (0..10).map(|_| person.asks(Work::Clone))).await;
    until("ten run", || model.books.now("clones") == 10).await;
    drop(clones);
    until("their clients are gone", || {
        in_use(&gate, "blocking_tasks") == 0
    })
    .await;
    until("and the model's calls", || model.books.now("clones") == 0).await;
    assert_eq!(model.books.most("clones"), 10);
    all_but_the_session_given_back(&gate, &person).await;
}

async fn all_but_the_session_given_back(gate: &tidegate::app::Running, person: &Session) {
    let http = gate.http()[0];
    assert_eq!(ask_once(http, &person.asks(Work::Logout)).await.status, 204);
    all_given_back(gate).await;
}

#[tokio::test]
async fn logouts_and_looks_at_a_session_pass_when_everything_else_is_full() {
    let model = Model::start().await;
    let setup = Setup::of("vcenter-7.0")
        .limit("sessions", "limit = 4")
        .limit("soap_sessions", "limit = 1")
        .limit("session_creations", "limit = 1")
        .limit("provider_connections", "limit = 11")
        .limit("soap_requests", "limit = 1");
    let gate = setup.start(model.address);
    let http = gate.http()[0];
    let mut people = Vec::new();
    for way in [Way::Api, Way::Rest, Way::Rpc, Way::Api, Way::Soap] {
        people.push(log_in(http, way, "user1@corp").await);
    }
    for point in [Point::Clone, Point::Soap, Point::Call] {
        model.hold(point);
    }
    let mut held = start_all(http, (0..10).map(|_| people[3].asks(Work::Clone))).await;
    held.extend(
        start_all(
            http,
            [people[3].asks(Work::List), people[4].asks(Work::List)],
        )
        .await,
    );
    until("all seats are taken", || {
        let names = ["blocking_tasks", "provider_connections", "soap_requests"];
        names.map(|name| in_use(&gate, name)) == [10, 11, 1]
    })
    .await;
    for (person, name) in [
        (&people[0], "provider_connections"),
        (&people[2], "provider_connections"),
        (&people[4], "soap_requests"),
    ] {
        let answer = ask_once(http, &person.asks(Work::List)).await;
        assert_eq!(answer.header("tidegate-limit"), Some(name), "it is full");
    }
    let late = ask_once(http, &login(Way::Api, "user2@corp", PASSWORD)).await;
    is_refused(&late, 503, "sessions");
    for person in &people[..3] {
        let answer = ask_once(http, &person.asks(Work::Logout)).await;
        assert!(answer.status < 300 && !is_limited(&answer), "{answer:?}");
    }
    let soap = ask_once(http, &people[4].asks(Work::Logout)).await;
    assert_eq!((soap.status, is_limited(&soap)), (200, false));
    assert_eq!(model.books.done("logout"), 4);
    for point in [Point::Clone, Point::Soap, Point::Call] {
        model.let_go(point);
    }
    answers(&mut held).await;
}

#[tokio::test]
async fn break_glass_users_get_in_when_the_rest_is_full() {
    let model = Model::start().await;
    let mut setup = Setup::of("vcenter-7.0").limit("sessions", "limit = 20");
    setup.admin = "break_glass = { users = [\"root@corp\"], share = 0.05 }".to_owned();
    let gate = setup.start(model.address);
    let http = gate.http()[0];
    let mut people = Vec::new();
    for n in 0..19 {
        people.push(log_in(http, Way::Api, &format!("user{n}@corp")).await);
    }
    let late = ask_once(http, &login(Way::Api, "user19@corp", PASSWORD)).await;
    is_refused(&late, 503, "sessions");
    let wrong = ask_once(http, &login(Way::Api, "root@corp", "wrong")).await;
    assert_eq!(wrong.status, 401, "the reserved place may be asked for ...");
    let admin = log_in(http, Way::Api, "CORP\\Root").await;
    assert_eq!(
        in_use(&gate, "sessions"),
        20,
        "... and is kept for who is the administrator"
    );
    let second = ask_once(http, &login(Way::Api, "root@corp", PASSWORD)).await;
    is_refused(&second, 503, "sessions");

    model.hold(Point::Clone);
    let asked = (0..10).map(|n| people[n].asks(Work::Clone));
    let mut clones = start_all(http, asked).await;
    until("nine run and one is refused", || {
        model.books.now("clones") == 9 && refused(&gate, "blocking_tasks") == 1
    })
    .await;
    clones.extend(start_all(http, [admin.asks(Work::Clone)]).await);
    until("the administrator's runs", || {
        model.books.now("clones") == 10
    })
    .await;
    let more = ask_once(http, &admin.asks(Work::Clone)).await;
    is_refused(&more, 503, "blocking_tasks");
    model.let_go(Point::Clone);
    answers(&mut clones).await;
    assert_eq!(model.books.most("clones"), 10);
}

#[tokio::test]
async fn logins_in_flight_leave_room_for_break_glass_users() {
    let model = Model::start().await;
    let mut setup = Setup::of("vcenter-7.0").limit("session_creations", "limit = 20");
    setup.admin = "break_glass = { users = [\"root@corp\"], share = 0.05 }".to_owned();
    let gate = setup.start(model.address);
    let http = gate.http()[0];
    model.hold(Point::Login);
    let asked = (0..20).map(|n| login(Way::Api, &format!("user{n}@corp"), PASSWORD));
    let mut logins = start_all(http, asked).await;
    until("19 are on their way, one is refused", || {
        model.books.now("logins") == 19 && refused(&gate, "session_creations") == 1
    })
    .await;
    logins.extend(start_all(http, [login(Way::Api, "root@corp", PASSWORD)]).await);
    until("the administrator's is on its way", || {
        model.books.now("logins") == 20
    })
    .await;
    model.let_go(Point::Login);
    let answers = answers(&mut logins).await;
    let in_now = answers
        .iter()
        .filter(|answer| opened(Way::Api, answer).is_some());
    assert_eq!(in_now.count(), 20);
}

#[tokio::test]
async fn who_only_says_to_be_a_break_glass_user_has_two_logins_in_flight_of_the_reserved_share() {
    let model = Model::start().await;
    let mut setup = Setup::of("vcenter-7.0").limit("session_creations", "limit = 40");
    setup.admin = "break_glass = { users = [\"root@corp\"], share = 0.1 }".to_owned();
    let gate = setup.start(model.address);
    let http = gate.http()[0];
    model.hold(Point::Login);
    let asked = (0..36).map(|n| login(Way::Api, &format!("user{n}@corp"), PASSWORD));
    let mut logins = start_all(http, asked).await;
    let runs = async |count| until("they run", || model.books.now("logins") == count).await;
    runs(36).await;
    let forged = login(Way::Api, "root@corp", "guessed");
    let mut strangers = Vec::new();
    for count in [37, 38] {
        let mut stranger = from([127, 0, 0, 9], http).await;
        stranger.send(&forged).await;
        strangers.push(stranger);
        runs(count).await;
    }
    let mut third = from([127, 0, 0, 9], http).await;
    is_refused(&ask(&mut third, &forged).await, 503, "session_creations");
    logins.extend(start_all(http, [login(Way::Api, "root@corp", PASSWORD)]).await);
    runs(39).await;
    model.let_go(Point::Login);
    for answer in answers(&mut strangers).await {
        assert_eq!(answer.status, 401);
    }
    let answered = answers(&mut logins).await;
    let in_now = answered
        .iter()
        .filter(|answer| opened(Way::Api, answer).is_some());
    assert_eq!(in_now.count(), 37);
    model.hold(Point::Login);
    let asked = (0..36).map(|n| login(Way::Api, &format!("other{n}@corp"), PASSWORD));
    let mut logins = start_all(http, asked).await;
    runs(36).await;
    third.send(&forged).await;
    runs(37).await;
    model.let_go(Point::Login);
    assert_eq!(
        third.answer().await.unwrap().status,
        401,
        "its places are free again"
    );
    answers(&mut logins).await;
}

#[tokio::test]
async fn explain_names_the_limit_its_holders_and_when_there_is_room() {
    let model = Model::start().await;
    let gate = Setup::of("vcenter-8.0").start(model.address);
    let (http, door) = (gate.http()[0], gate.admin());
    let heavy = log_in(http, Way::Api, "heavy@corp").await;
    let light = log_in(http, Way::Rpc, "CORP\\Light").await;
    let quick = ask_once(http, &light.asks(Work::Clone)).await;
    assert_eq!(
        quick.status, 200,
        "one is over already: the gate knows how long they take"
    );
    model.hold(Point::Clone);
    let asked = (0..10).map(|n| if n < 7 { &heavy } else { &light }.asks(Work::Clone));
    let mut clones = start_all(http, asked).await;
    until("ten run", || model.books.now("clones") == 10).await;
    for call in [
        "method=POST&target=%2Fapi%2Fvcenter%2Fvm%3Faction%3Dclone",
        "method=POST&target=%2Frest%2Fvcenter%2Fvm%3Faction%3Dclone",
        "method=POST&target=%2Fapi&service=com.vmware.vcenter.VM&operation=clone",
    ] {
        let said = shown(
            door,
            &format!("/explain?upstream=vc&{call}&user=other@corp"),
        )
        .await;
        assert_eq!(said["class"], "blocking", "{said}");
        assert_eq!(
            (&said["verdict"], &said["refused_by"]),
            (&"refuse".into(), &"blocking_tasks".into())
        );
        assert_eq!(said["user"], "other@corp");
        let limits = said["limits"].as_array().unwrap();
        let full = limits
            .iter()
            .find(|one| one["name"] == "blocking_tasks")
            .unwrap();
        assert_eq!(
            (&full["in_use"], &full["limit"], &full["full"]),
            (&10.into(), &10.into(), &true.into())
        );
        assert!(
            full["room_in_seconds"]
                .as_f64()
                .is_some_and(|wait| wait > 0.0),
            "{full}"
        );
        let holders: Vec<_> = full["holders"].as_array().unwrap().iter().collect();
        let named: Vec<_> = holders
            .iter()
            .map(|one| {
                (
                    one["key"].as_str().unwrap(),
                    one["in_use"].as_u64().unwrap(),
                )
            })
            .collect();
        assert_eq!(named, [("heavy@corp", 7), ("light@corp", 3)]);
    }
    let task = "/explain?method=POST&target=%2Fapi%2Fvcenter%2Fvm%3Faction%3Dclone%26vmw-task%3Dtrue&user=other@corp";
    let said = shown(door, task).await;
    assert_eq!(
        (&said["verdict"], &said["class"]),
        (&"pass".into(), &"rest".into())
    );
    assert_eq!(model.books.done("clone"), 1, "explaining makes no call");
    model.let_go(Point::Clone);
    answers(&mut clones).await;
    let said = shown(
        door,
        "/explain?method=POST&target=%2Fapi%2Fvcenter%2Fvm%3Faction%3Dclone",
    )
    .await;
    assert_eq!(said["verdict"], "pass");
}
