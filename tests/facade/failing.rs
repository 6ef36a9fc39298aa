//! Answers that never come, in the words of the API.

use std::time::Duration;

use crate::rig::{ADMIN, before_nsx_v, begun, body, call, is_plain, tasks};
use crate::vendors::nsx_v::NsxV;
use crate::vendors::{Fault, Kind, Pace, When};

const MONITORS: &str = "POST /api/4.0/edges/edge-4/loadbalancer/config/monitors";
const MONITOR: &str = "<monitor><type>http</type></monitor>";

#[tokio::test]
async fn an_answer_that_is_lost_is_told_as_lost() {
    let model = NsxV::start(Pace::Lasts(Duration::from_millis(5))).await;
    let gate = before_nsx_v(model.address, "");
    for kind in [Kind::Start, Kind::Blocking] {
        model.faults.on(kind, When::Next(1), Fault::LostAnswer);
    }
    // Nor can it be found in the list of jobs.
    model
        .faults
        .on(Kind::BatchPoll, When::Always, Fault::answer(500));
    let answer = call(gate.http()[0], MONITORS, ADMIN, MONITOR).await;
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/xml"));
    assert!(
        body(&answer).contains("<errorCode>502</errorCode>"),
        "{}",
        body(&answer)
    );
    is_plain(&answer);
    let task = tasks(&gate, ADMIN).await[0].clone();
    assert_eq!(
        (&task["state"], &task["outcome"]),
        (&"FAILED".into(), &"unknown".into())
    );
    assert_eq!(begun(&model), 1, "it is not sent twice");
}

#[tokio::test]
async fn one_whose_start_is_not_answered_is_found_and_answered_as_if_it_had_been() {
    let model = NsxV::start(Pace::Lasts(Duration::from_millis(5))).await;
    model.add("/api/4.0/edges/edge-4");
    let gate = before_nsx_v(model.address, "");
    model
        .faults
        .on(Kind::Start, When::Next(1), Fault::LostAnswer);
    let answer = call(gate.http()[0], MONITORS, ADMIN, MONITOR).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(answer.header("location").unwrap().ends_with("/monitor-4"));
    is_plain(&answer);
    assert_eq!(begun(&model), 1, "it is not sent twice");
}

#[tokio::test]
async fn one_that_is_not_well_gets_its_answer_in_the_end() {
    let model = NsxV::start(Pace::Lasts(Duration::from_millis(5))).await;
    let gate = before_nsx_v(model.address, "");
    for kind in [Kind::Start, Kind::Blocking] {
        model
            .faults
            .on(kind, When::Next(1), Fault::answer_after(429, 1));
    }
    let answer = call(gate.http()[0], MONITORS, ADMIN, MONITOR).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let made = answer.header("location").unwrap();
    assert!(made.ends_with("/monitors/monitor-4"), "{made}");
    is_plain(&answer);
}

/// One that may be sent twice stands in line again after its answer was lost: whose client does not wait for that is not told that
/// nothing was done.
#[tokio::test]
async fn one_that_went_up_is_never_told_as_not_done() {
    let model = NsxV::start(Pace::Lasts(Duration::from_millis(5))).await;
    let gate = before_nsx_v(model.address, "");
    for kind in [Kind::Start, Kind::Blocking] {
        model.faults.on(kind, When::Always, Fault::LostAnswer);
    }
    let no_list = Fault::answer(500);
    model.faults.on(Kind::BatchPoll, When::Always, no_list);
    let put = format!("{}/monitor-4", MONITORS.replace("POST", "PUT"));
    let fields = format!("{ADMIN}Prefer: wait=2\r\nIdempotency-Key: \"put\"\r\n");
    for _ in 0..2 {
        let answer = call(gate.http()[0], &put, &fields, MONITOR).await;
        assert_eq!(answer.status, 504, "{answer:?}");
        let said = body(&answer);
        assert!(said.contains("may have been done"), "{said}");
        is_plain(&answer);
    }
    let task = tasks(&gate, ADMIN).await[0].clone();
    assert_eq!(
        (&task["state"], &task["outcome"], &task["dispatched"]),
        (&"ABORTED".into(), &"unknown".into(), &true.into())
    );
}
