//! What following tasks costs the upstream: as much for one as for a hundred.

use std::time::{Duration, Instant};

use base64::Engine as _;
use tidegate::task::{State, Status};

use crate::rig::{Rig, until};
use crate::vendors::vcenter::VCenter;
use crate::vendors::{Fault, Kind, Pace, When};

/// The shortest pause between two polls, by the dialect of the tests.
const LEAST: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_tasks_cost_as_many_polls_as_one_however_many_ask_for_them() {
    for tasks in [1, 100] {
        let vc = VCenter::start(Pace::ByHand).await;
        let rig = Rig::vcenter(vc.address).await;
        let began = Instant::now();
        let mut ids = Vec::new();
        for number in 0..tasks {
            ids.push(rig.clone(&format!("web-{number}")).await);
        }
        for id in &ids {
            rig.reaches(*id, Status::Polling).await;
        }
        let before = vc.books.count(Kind::BatchPoll);
        until("ten polls", || {
            vc.books.count(Kind::BatchPoll) >= before + 10
        })
        .await;
        for id in &ids {
            for _ in 0..100 {
                assert_eq!(rig.task(*id).await.status, Status::Polling);
            }
        }
        let polls = vc.books.count(Kind::BatchPoll);
        let ticks = began.elapsed().as_millis() / LEAST.as_millis();
        assert!(
            u128::from(polls) <= ticks + 1,
            "{polls} polls in {ticks} ticks for {tasks} tasks"
        );
        assert_eq!(vc.books.count(Kind::Poll), 0, "{tasks} tasks");
        let heard = vc.books.heard();
        let mut lists = heard.iter().filter(|one| one.kind == Kind::BatchPoll);
        let last = lists.next_back().unwrap().request.json();
        let named = last["filter_spec"]["tasks"].as_array().unwrap().len();
        assert_eq!(named, ids.len());

        vc.works.finish_all();
        for id in &ids {
            assert_eq!(rig.over(*id).await.status.state(), State::Completed);
        }
        assert_eq!(
            vc.books.count(Kind::Poll),
            tasks,
            "each result is read once"
        );
        assert_eq!(vc.books.count(Kind::Start), tasks);
        assert_eq!(vc.books.violations(), [""; 0]);
        rig.stop().await;
    }
}

#[tokio::test]
async fn without_a_list_each_is_asked_for_by_itself() {
    let vc = VCenter::start(Pace::ByHand).await;
    vc.faults
        .on(Kind::BatchPoll, When::Always, Fault::answer(404));
    let rig = Rig::vcenter(vc.address).await;
    let ids = [rig.clone("web-1").await, rig.clone("web-2").await];
    for id in ids {
        rig.reaches(id, Status::Polling).await;
    }
    until("some polls", || vc.books.count(Kind::Poll) > 6).await;
    vc.works.finish_all();
    for id in ids {
        assert_eq!(rig.over(id).await.status.state(), State::Completed);
    }
    assert_eq!(vc.books.count(Kind::BatchPoll), 1);
    rig.stop().await;
}

#[tokio::test]
async fn each_owner_s_tasks_are_asked_for_with_that_owner_s_credentials() {
    let vc = VCenter::start(Pace::ByHand).await;
    let rig = Rig::vcenter(vc.address).await;
    let own = rig.clone("web-1").await;
    let mut call = crate::rig::Call::clone("web-2");
    call.requested.owner = tidegate::task::Owner("user:b".into());
    let pair = base64::engine::general_purpose::STANDARD.encode("b:pw");
    call.headers[0].1 = format!("Basic {pair}");
    let other = rig.submit(&call).await;
    for id in [own, other] {
        rig.reaches(id, Status::Polling).await;
    }
    vc.works.finish_all();
    for id in [own, other] {
        assert_eq!(rig.over(id).await.status.state(), State::Completed);
    }
    let heard = vc.books.heard();
    for list in heard.iter().filter(|one| one.kind == Kind::BatchPoll) {
        let tasks = list.request.json();
        assert_eq!(
            tasks["filter_spec"]["tasks"].as_array().map(Vec::len),
            Some(1)
        );
    }
    rig.stop().await;
}
