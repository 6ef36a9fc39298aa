//! Who changes what may be busy next: one at a time, in order; and one looks for all.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate::task::{Owner, State, Status};

use crate::busy::{ENVIRONMENT, RUN, blameless, brief, looks, put};
use crate::rig::{Rig, until};
use crate::vendors::skytap::Skytap;
use crate::vendors::{Fault, Kind, Model, Pace, When};

/// The names that changes asked for, in the order in which they were sent.
pub fn named(skytap: &Model<Skytap>) -> Vec<Value> {
    let heard = skytap.books.heard().into_iter();
    let changes = heard.filter(|heard| heard.kind == Kind::Start);
    changes
        .map(|heard| heard.request.json()["name"].clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_changes_of_one_environment_are_made_one_after_the_other() {
    let skytap = Skytap::start(brief()).await;
    skytap.busy("1", true);
    let rig = Rig::skytap(skytap.address).await;
    let mut ids = Vec::new();
    for number in 0..20 {
        let body = json!({"name": format!("n-{number}")}).to_string();
        ids.push(rig.submit(&put(ENVIRONMENT, &body)).await);
    }
    // All of them stand in line by now, and one looks.
    for id in &ids {
        until("it waits its turn", || {
            rig.desk
                .live(*id)
                .is_some_and(|live| live.message.is_some())
        })
        .await;
    }
    let (began, before) = (Instant::now(), skytap.books.count(Kind::Poll));
    looks(&skytap, 5).await;
    let ticks = began.elapsed().as_millis() / 80 + 1;
    let looked = u128::from(skytap.books.count(Kind::Poll) - before);
    assert!(looked <= ticks, "{looked} looks in {ticks} ticks");
    skytap.busy("1", false);
    for id in &ids {
        let task = rig.over(*id).await;
        assert_eq!(task.status.state(), State::Completed, "{task:?}");
    }
    let wanted: Vec<Value> = (0..20).map(|number| json!(format!("n-{number}"))).collect();
    assert_eq!(named(&skytap), wanted);
    assert_eq!(skytap.truth("1")["name"], "n-19");
    blameless(&skytap);
    rig.stop().await;
}

#[tokio::test]
async fn another_environment_waits_for_nobody_and_a_vm_for_its_own() {
    let skytap = Skytap::start(Pace::ByHand).await;
    skytap.add("5", "other", &[]);
    let rig = Rig::skytap(skytap.address).await;
    let runs = rig.submit(&put(ENVIRONMENT, RUN)).await;
    rig.reaches(runs, Status::Polling).await;
    let vm = rig
        .submit(&put("/configurations/1/vms/2", r#"{"name":"db"}"#))
        .await;
    let other = rig.submit(&put("/v2/configurations/5", RUN)).await;
    rig.reaches(other, Status::Polling).await;
    looks(&skytap, 6).await;
    assert_eq!(
        (rig.task(vm).await.status, skytap.books.count(Kind::Start)),
        (Status::Queued, 2)
    );
    skytap.works.finish_all();
    for id in [runs, other] {
        assert_eq!(rig.over(id).await.status.state(), State::Completed);
    }
    rig.reaches(vm, Status::Polling).await;
    skytap.works.finish_all();
    assert_eq!(rig.over(vm).await.status.state(), State::Completed);
    blameless(&skytap);
    rig.stop().await;
}

#[tokio::test]
async fn owners_take_turns() {
    let skytap = Skytap::start(brief()).await;
    skytap.busy("1", true);
    let rig = Rig::skytap(skytap.address).await;
    let mut ids = Vec::new();
    for (owner, name) in [("a", "a-1"), ("a", "a-2"), ("a", "a-3"), ("b", "b-1")] {
        let mut call = put(ENVIRONMENT, &json!({"name": name}).to_string());
        call.requested.owner = Owner(format!("user:{owner}").into());
        let id = rig.submit(&call).await;
        until("it waits its turn", || {
            rig.desk.live(id).is_some_and(|live| live.message.is_some())
        })
        .await;
        ids.push(id);
    }
    skytap.busy("1", false);
    for id in ids {
        assert_eq!(rig.over(id).await.status.state(), State::Completed);
    }
    assert_eq!(named(&skytap), ["a-1", "b-1", "a-2", "a-3"]);
    rig.stop().await;
}

/// Whoever is taken back, or is too late, leaves its place to the next.
#[tokio::test]
async fn who_does_not_wait_any_more_is_in_nobody_s_way() {
    let skytap = Skytap::start(brief()).await;
    skytap.busy("1", true);
    let rig = Rig::skytap(skytap.address).await;
    let mut late = put(ENVIRONMENT, r#"{"name":"late"}"#);
    let soon = rig.desk.now().after(Duration::from_millis(300));
    late.requested.start_deadline = Some(soon);
    let late = rig.submit(&late).await;
    let gone = rig.submit(&put(ENVIRONMENT, r#"{"name":"gone"}"#)).await;
    let stays = rig.submit(&put(ENVIRONMENT, r#"{"name":"stays"}"#)).await;
    looks(&skytap, 2).await;
    rig.desk.cancel(gone).await.unwrap();
    assert_eq!(rig.over(gone).await.status.state(), State::Aborted);
    assert_eq!(rig.over(late).await.status.state(), State::Expired);
    skytap.busy("1", false);
    assert_eq!(rig.over(stays).await.status.state(), State::Completed);
    assert_eq!(named(&skytap), ["stays"]);
    rig.stop().await;
}

/// The upstream refuses one, and does not want it again for an hour: nobody works there meanwhile.
#[tokio::test]
async fn who_is_to_come_back_in_an_hour_is_in_no_other_owner_s_way() {
    let skytap = Skytap::start(brief()).await;
    let locked = Fault::answer_after(423, 3600);
    skytap.faults.on(Kind::Start, When::Next(1), locked);
    let rig = Rig::skytap(skytap.address).await;
    let of = async |owner: &str, name: &str| {
        let mut call = put(ENVIRONMENT, &json!({"name": name}).to_string());
        call.requested.owner = Owner(format!("user:{owner}").into());
        rig.submit(&call).await
    };
    let refused = of("a", "a-1").await;
    rig.reaches(refused, Status::WaitingRetry).await;
    let behind = of("a", "a-2").await;
    for name in ["b-1", "b-2"] {
        let task = rig.over(of("b", name).await).await;
        assert_eq!(task.status.state(), State::Completed, "{task:?}");
    }
    // Changes of one owner are made in their order.
    assert_eq!(rig.task(refused).await.status, Status::WaitingRetry);
    assert_eq!(rig.task(behind).await.status, Status::Queued);
    rig.desk.cancel(refused).await.unwrap();
    assert_eq!(rig.over(behind).await.status.state(), State::Completed);
    assert_eq!(named(&skytap), ["a-1", "b-1", "b-2", "a-2"]);
    blameless(&skytap);
    rig.stop().await;
}
