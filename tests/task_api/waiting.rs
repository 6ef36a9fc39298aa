//! Long polls, in time that the test holds.

use std::sync::Arc;
use std::time::Duration;

use tidegate::task::Event;
use tokio::time::Instant;

use crate::rig::{Rig, header, json, problem};

fn shared() -> Arc<Rig> {
    Arc::new(Rig::with(|settings| settings.polls_per_second = 0))
}

/// Lets `rig` do something a while from now.
macro_rules! later {
    ($rig:ident, $seconds:literal, $doing:expr) => {{
        let $rig = $rig.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs($seconds)).await;
            $doing;
        })
    }};
}

#[tokio::test(start_paused = true)]
async fn without_a_version_it_waits_for_the_end() {
    let rig = shared();
    let id = rig.submit().await;
    let run = later!(rig, 3, rig.run(id).await);
    let began = Instant::now();
    let end = {
        let rig = rig.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(7)).await;
            rig.end(id, Event::Complete, crate::rig::answered(200, b"{}"))
                .await;
        })
    };
    let answer = rig
        .get(format!("/-/tasks/{id}"))
        .with("prefer", "wait=30")
        .answer()
        .await;
    assert_eq!(json(&answer)["state"], "COMPLETED");
    assert_eq!(header(&answer, "preference-applied"), Some("wait=30"));
    assert_eq!(began.elapsed().as_secs(), 7);
    run.await.unwrap();
    end.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn with_a_version_it_waits_for_the_next() {
    let rig = shared();
    let id = rig.submit().await;
    let run = later!(rig, 3, rig.step(id, Event::Dispatch).await);
    let began = Instant::now();
    let ask = rig.get(format!("/-/tasks/{id}")).with("prefer", "wait=30");
    let answer = ask.with("if-none-match", "\"1\"").answer().await;
    assert_eq!(
        (answer.status, header(&answer, "etag")),
        (200, Some("\"2\""))
    );
    assert_eq!(json(&answer)["state"], "RUNNING");
    assert_eq!(began.elapsed().as_secs(), 3);
    run.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_has_another_version_is_told_at_once() {
    let rig = shared();
    let id = rig.submit().await;
    rig.run(id).await;
    let began = Instant::now();
    let ask = rig.get(format!("/-/tasks/{id}")).with("prefer", "wait=30");
    let answer = ask.with("if-none-match", "\"1\"").answer().await;
    assert_eq!(
        (answer.status, header(&answer, "etag")),
        (200, Some("\"3\""))
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn when_the_time_is_up_it_is_200_or_304() {
    let rig = shared();
    let id = rig.submit().await;
    for (wait, seconds, applied) in [
        ("wait=10", 10, "wait=10"),
        ("wait=9999", 60, "wait=60"),
        ("wait=0", 0, "wait=0"),
    ] {
        let began = Instant::now();
        let answer = rig
            .get(format!("/-/tasks/{id}"))
            .with("prefer", wait)
            .answer()
            .await;
        assert_eq!((answer.status, began.elapsed().as_secs()), (200, seconds));
        assert_eq!(header(&answer, "preference-applied"), Some(applied));
        let began = Instant::now();
        let ask = rig.get(format!("/-/tasks/{id}")).with("prefer", wait);
        let answer = ask.with("if-none-match", "\"1\"").answer().await;
        assert_eq!((answer.status, began.elapsed().as_secs()), (304, seconds));
        assert_eq!(header(&answer, "preference-applied"), Some(applied));
    }
    let answer = rig
        .get(format!("/-/tasks/{id}"))
        .with("prefer", "wait=soon")
        .answer()
        .await;
    assert_eq!(header(&answer, "preference-applied"), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_told_at_once() {
    let rig = shared();
    let id = rig.submit().await;
    rig.complete(id).await;
    let began = Instant::now();
    let answer = rig
        .get(format!("/-/tasks/{id}"))
        .with("prefer", "wait=30")
        .answer()
        .await;
    assert_eq!(answer.status, 200);
    let ask = rig.get(format!("/-/tasks/{id}")).with("prefer", "wait=30");
    assert_eq!(
        ask.with("if-none-match", "\"4\"").answer().await.status,
        304
    );
    let answer = rig
        .get(format!("/-/tasks/{id}/result"))
        .with("prefer", "wait=30")
        .answer()
        .await;
    assert_eq!(
        (answer.status, header(&answer, "asyncresult")),
        (200, Some("200"))
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_result_is_waited_for_too() {
    let rig = shared();
    let id = rig.submit().await;
    let end = later!(rig, 5, rig.complete(id).await);
    let answer = rig
        .get(format!("/-/tasks/{id}/result"))
        .with("prefer", "wait=3")
        .answer()
        .await;
    assert_eq!(
        (answer.status, header(&answer, "preference-applied")),
        (202, Some("wait=3"))
    );
    let answer = rig
        .get(format!("/-/tasks/{id}/result"))
        .with("prefer", "wait=3")
        .answer()
        .await;
    assert_eq!(
        (answer.status, header(&answer, "preference-applied")),
        (200, Some("wait=3"))
    );
    assert_eq!(header(&answer, "task-state"), Some("COMPLETED"));
    end.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_thousand_wait_and_all_hear_of_the_end_without_the_store() {
    let rig = shared();
    let id = rig.submit().await;
    let pollers: Vec<_> = (0..1000)
        .map(|_| {
            let rig = rig.clone();
            tokio::spawn(async move {
                let answer = rig
                    .get(format!("/-/tasks/{id}"))
                    .with("prefer", "wait=60")
                    .reply()
                    .await;
                let tidegate::task::api::Reply::Whole(answer) = answer else {
                    panic!("no stream was asked for");
                };
                json(&answer)["state"].clone()
            })
        })
        .collect();
    let end = later!(rig, 30, rig.complete(id).await);
    for poller in pollers {
        assert_eq!(poller.await.unwrap(), "COMPLETED");
    }
    assert_eq!(rig.store.reads(), 0);
    end.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_submission_waits_for_its_end_and_no_longer() {
    let rig = shared();
    let receipt = rig.receipt(crate::rig::requested()).await;
    let id = receipt.task.id;
    let end = later!(rig, 5, rig.complete(id).await);
    let waits = Duration::from_secs(2);
    let then = rig.api.until_done(receipt.task.clone(), waits).await;
    assert!(!then.status.state().is_done());
    let then = rig.api.until_done(then, Duration::from_secs(10)).await;
    assert!(then.status.state().is_done());
    end.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_leaves_nothing_behind() {
    let rig = shared();
    let id = rig.submit().await;
    for _ in 0..100 {
        let ask = rig.get(format!("/-/tasks/{id}")).with("prefer", "wait=60");
        let hung_up = tokio::time::timeout(Duration::from_millis(10), ask.reply()).await;
        assert!(hung_up.is_err());
    }
    // Its one watch has nobody any more: what is left are the desk's own.
    let mut watch = rig.desk.watch(id).unwrap();
    rig.complete(id).await;
    assert!(watch.changed().await.is_ok());
    assert!(rig.desk.watch(id).is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_while_it_is_waited_for_is_gone_afterwards() {
    let rig = shared();
    let id = rig.submit().await;
    rig.complete(id).await;
    assert!(rig.desk.forget(id).await.unwrap());
    let answer = rig
        .get(format!("/-/tasks/{id}"))
        .with("prefer", "wait=30")
        .answer()
        .await;
    assert_eq!((answer.status, problem(&answer).as_str()), (410, "gone"));
}

#[tokio::test(start_paused = true)]
async fn who_asks_without_a_pause_is_refused_for_a_while() {
    let rig = Rig::new();
    let id = rig.submit().await;
    let target = format!("/-/tasks/{id}");
    for _ in 0..100 {
        assert_eq!(rig.get(&target).answer().await.status, 200);
    }
    let answer = rig.get(&target).answer().await;
    assert_eq!(
        (answer.status, problem(&answer).as_str()),
        (429, "too-many-polls")
    );
    assert_eq!(header(&answer, "retry-after"), Some("1"));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(rig.get(&target).answer().await.status, 200);
}
