//! What holds of every system that is asynchronous by itself, whatever its words are.

use std::collections::BTreeSet;
use std::time::Duration;

use tidegate::app::Running;
use tokio::task::JoinSet;

use crate::rig::{ASYNC, SEATS, before, call, is_plain, over, result, tasks};
use crate::support::client::Answer;
use crate::support::{all_given_back, limit, until};
use crate::vendors::{Fault, Kind, Model, Pace, Twist, Vendor, When};

/// One that is asynchronous by itself.
pub trait System {
    type Its: Vendor;
    const DIALECT: &str;
    /// Whether its work may be sent again when an answer was lost.
    const REPEATS: bool;

    async fn start(pace: Pace) -> Model<Self::Its>;
    /// Routes of the gate, with blocking calls that become tasks so.
    fn routes(convert: &str) -> String;
    /// The fields that show who calls, as the system gives them out through the gate.
    async fn log_in(gate: &Running) -> String;
    /// A call that begins work of this name: line and body.
    fn work(name: &str) -> (String, String);
    /// Holds that work of each of these names was done once, and nothing else.
    fn each_once(model: &Model<Self::Its>, names: &[String]);
    /// Holds that this is the end of work of this name.
    fn is_end(answer: &Answer, name: &str);
    /// Where the answer to a start says that its work is to be asked for.
    fn place(started: &Answer) -> String;
    /// Whether an answer from there says that the work is done.
    fn is_done(polled: &Answer) -> bool;
}

/// A gate before a system, and somebody who is logged in.
pub struct Site<S: System> {
    pub model: Model<S::Its>,
    pub gate: Running,
    pub me: String,
}

impl<S: System> Site<S> {
    pub async fn new(pace: Pace, convert: &str) -> Self {
        let model = S::start(pace).await;
        let gate = before(model.address, S::DIALECT, &S::routes(convert));
        let me = S::log_in(&gate).await;
        Self { model, gate, me }
    }

    pub async fn work(&self, name: &str, fields: &str) -> Answer {
        let (line, body) = S::work(name);
        let fields = format!("{}{fields}Content-Type: application/json\r\n", self.me);
        call(self.gate.http()[0], &line, &fields, &body).await
    }

    /// Asks for a task of the gate's; where it is.
    pub async fn begin(&self, name: &str) -> String {
        let ticket = self.work(name, ASYNC).await;
        assert_eq!(ticket.status, 202, "{ticket:?}");
        ticket.header("location").unwrap().to_owned()
    }

    fn starts(&self) -> u64 {
        self.model.books.count(Kind::Start)
    }
}

fn lasts(milliseconds: u64) -> Pace {
    Pace::Lasts(Duration::from_millis(milliseconds))
}

/// Who knows the form is answered by the system itself, and is led through the gate on all its way.
pub async fn is_passed_on<S: System>() {
    let site = Site::<S>::new(Pace::ByHand, "prefer").await;
    let started = site.work("web", "").await;
    assert!([201, 202, 204].contains(&started.status), "{started:?}");
    assert_eq!(started.header("task-id"), None, "{started:?}");
    is_plain(&started);
    let place = S::place(&started);
    let path = match place.split_once("://") {
        None => place.as_str(),
        Some((scheme, rest)) => {
            assert_eq!(scheme, "http");
            rest.strip_prefix("gate.example")
                .expect("it leads through the gate")
        }
    };
    let get = format!("GET {path}");
    let running = call(site.gate.http()[0], &get, &site.me, "").await;
    assert!(!S::is_done(&running), "{running:?}");
    site.model.works.finish_all();
    let done = call(site.gate.http()[0], &get, &site.me, "").await;
    assert!(S::is_done(&done), "{done:?}");
    assert!(
        tasks(&site.gate, &site.me).await.is_empty(),
        "it is not wrapped"
    );
    assert_eq!((site.starts(), site.model.books.count(Kind::Poll)), (1, 2));
    S::each_once(&site.model, &["web".to_owned()]);
    all_given_back(&site.gate).await;
}

/// Who asks for a task gets one, which follows the system's own.
pub async fn is_followed_by_a_task<S: System>() {
    let site = Site::<S>::new(Pace::ByHand, "prefer").await;
    let task = site.begin("web").await;
    until("it has begun", || site.starts() == 1).await;
    let seats = || limit(&site.gate.snapshot(), "blocking").in_use;
    until("what runs behind its answer holds no seat", || seats() == 0).await;
    until("it was asked for", || {
        site.model.books.count(Kind::Poll) > 0
    })
    .await;
    site.model.works.finish_all();
    let shown = over(&site.gate, &task, &site.me).await;
    assert_eq!(
        (&shown["state"], &shown["mode"]),
        (&"COMPLETED".into(), &"native".into()),
        "{shown}"
    );
    assert!(shown["upstream_task"].is_string(), "{shown}");
    let end = result(&site.gate, &task, &site.me).await;
    assert_eq!(
        end.header("asyncresult"),
        Some(end.status.to_string().as_str()),
        "{end:?}"
    );
    S::is_end(&end, "web");
    assert_eq!(site.starts(), 1);
    S::each_once(&site.model, &["web".to_owned()]);
    all_given_back(&site.gate).await;
}

/// Clients that just block get the end of their own work, many more of them than there are seats.
pub async fn is_waited_for<S: System>() {
    let site = Site::<S>::new(lasts(400), "wait").await;
    let names: Vec<String> = (0..30).map(|number| format!("web-{number}")).collect();
    let mut calls = JoinSet::new();
    for name in names.clone() {
        let (line, body) = S::work(&name);
        let (address, me) = (site.gate.http()[0], site.me.clone());
        calls.spawn(async move { (call(address, &line, &me, &body).await, name) });
    }
    let mut ids = BTreeSet::new();
    for (answer, name) in calls.join_all().await {
        is_plain(&answer);
        S::is_end(&answer, &name);
        ids.insert(answer.header("task-id").expect("its task").to_owned());
    }
    assert_eq!(ids.len(), names.len());
    assert!(
        site.model.books.most("running") > SEATS,
        "{}",
        site.model.books.most("running")
    );
    assert_eq!(site.starts(), names.len() as u64);
    S::each_once(&site.model, &names);
    // Who asks all the same gets a task.
    over(&site.gate, &site.begin("more").await, &site.me).await;
    all_given_back(&site.gate).await;
}

/// Whatever readings show meanwhile, and polls that fail, only delay.
pub async fn is_followed_through_faults<S: System>() {
    let site = Site::<S>::new(lasts(300), "wait").await;
    let faults = [
        (When::Nth(1), Fault::answer(503)),
        (When::Nth(2), Fault::answer_after(429, 1)),
        (When::Nth(3), Fault::Closed),
        (When::Nth(4), Fault::LostAnswer),
        (When::Nth(5), Fault::answer(500)),
    ];
    for (when, fault) in faults {
        site.model.faults.on(Kind::Poll, when, fault);
    }
    S::is_end(&site.work("faulty", "").await, "faulty");
    site.model.faults.off();
    let mut names = vec!["faulty".to_owned()];
    for twist in [
        Twist::Flaps { back: 2 },
        Twist::Lags { readings: 3 },
        Twist::slow_commit(2),
        Twist::vanishes_once(2),
    ] {
        site.model.works.straight();
        site.model.works.twist(When::Always, twist.clone());
        let name = format!("odd-{}", names.len());
        let answer = site.work(&name, "").await;
        S::is_end(&answer, &name);
        names.push(name);
    }
    assert_eq!(site.starts(), names.len() as u64, "nothing is begun twice");
    S::each_once(&site.model, &names);
    all_given_back(&site.gate).await;
}

/// A start whose answer is lost, and a task that vanishes, are not guessed at.
pub async fn is_not_guessed_at<S: System>() {
    let site = Site::<S>::new(lasts(100), "prefer").await;
    site.model
        .faults
        .on(Kind::Start, When::Nth(1), Fault::LostAnswer);
    let lost = over(&site.gate, &site.begin("lost").await, &site.me).await;
    let (state, outcome, starts) = if S::REPEATS {
        ("COMPLETED", "known", 2)
    } else {
        ("FAILED", "unknown", 1)
    };
    assert_eq!(
        (&lost["state"], &lost["outcome"]),
        (&state.into(), &outcome.into()),
        "{lost}"
    );
    assert_eq!(site.starts(), starts);
    site.model.works.pace(lasts(3_600_000));
    site.model
        .works
        .twist(When::Next(1), Twist::vanishes_for_good(2));
    let task = site.begin("vanishes").await;
    if S::REPEATS {
        until("it is begun anew", || site.starts() == starts + 2).await;
        site.model.works.finish_all();
    }
    let gone = over(&site.gate, &task, &site.me).await;
    assert_eq!(
        (&gone["state"], &gone["outcome"]),
        (&state.into(), &outcome.into()),
        "{gone}"
    );
    assert!(site.model.books.count(Kind::Poll) > 3, "once is no proof");
}

/// A client that goes away loses nothing: the same call with its key finds the work.
pub async fn is_found_again<S: System>() {
    let site = Site::<S>::new(Pace::ByHand, "wait").await;
    let (line, body) = S::work("web");
    let fields = format!("{}Idempotency-Key: web\r\n", site.me);
    let mut client = crate::support::client::Client::connect(site.gate.http()[0]).await;
    client
        .send(crate::rig::request(&line, &fields, &body))
        .await;
    until("it has begun", || site.starts() == 1).await;
    drop(client);
    site.model.works.finish_all();
    let again = call(site.gate.http()[0], &line, &fields, &body).await;
    S::is_end(&again, "web");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(site.starts(), 1);
    S::each_once(&site.model, &["web".to_owned()]);
}
