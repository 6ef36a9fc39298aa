//! Which ends are tried again, told of and made up for.

use std::path::Path;

use bytes::Bytes;

use super::*;
use crate::task::record::{Bond, Fault};
use crate::task::sample::sample;
use crate::task::{Status, TaskId};

fn route(rules: &str) -> config::Route {
    let text = format!(
        "[[upstream]]\naddress = \"http://a\"\n[[upstream.route]]\nname = \"r\"\nclass = \"blocking\"\nmatch = {{ path = \"/a\" }}\n\
         probe = {{ get = \"/b\" }}\n{rules}"
    );
    let mut config = config::parse(&text, Path::new(".")).unwrap();
    config.upstreams[0].routes.remove(0)
}

fn rule(lines: &str) -> String {
    format!("[[upstream.route.after]]\n{lines}\n")
}

/// A task that went through these, and before its end stood so.
fn ended(events: &[Event], outcome: Outcome, replay: Replay) -> (Record, Record) {
    let mut before = sample(Millis(0));
    before.requested.replay = replay;
    let mut task = before.clone();
    for (at, event) in (1..).zip(events) {
        before = task;
        task = before.after(*event, Millis(at * 1000)).unwrap();
    }
    task.outcome = Some(outcome);
    (before, task)
}

fn answer(status: u16, body: &'static str) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body: Bytes::from_static(body.as_bytes()),
    }
}

fn again(rules: &str, (before, task): &(Record, Record), answer: Option<&Answer>) -> Option<u64> {
    let end = End {
        before,
        task,
        answer,
    };
    let next = end.again(&route(rules), Millis(100_000));
    next.map(|next| next.0 - 100_000)
}

const RETRY: &str = "retry = { times = 3, first = \"2s\", factor = 3, cap = \"10s\", jitter = 0.0, within = \"10m\" }";
const FAIL: [Event; 3] = [Event::Dispatch, Event::Sent, Event::Fail];

#[test]
fn only_what_did_nothing_or_may_be_done_twice_is_tried_again() {
    use Outcome::{Known, NotApplied, Unknown};
    use Replay::{AtLeastOnce, AtMostOnce};
    let every =
        format!("state = [\"FAILED\", \"ABORTED\", \"PARTIAL_SUCCESS\", \"EXPIRED\"]\n{RETRY}");
    let every = rule(&every);
    let native = [Event::Dispatch, Event::Started];
    let ends = [
        &FAIL[..],
        &[Event::Dispatch, Event::Sent, Event::PartlyDone],
        &[Event::Dispatch, Event::Sent, Event::Expire],
        &[native[0], native[1], Event::Abort],
        &[Event::Dispatch, Event::Lost, Event::Fail],
    ];
    for events in ends {
        for outcome in [Known, Unknown, NotApplied] {
            let twice = ended(events, outcome, AtLeastOnce);
            assert_eq!(again(&every, &twice, None), Some(2000), "{events:?}");
            let once = ended(events, outcome, AtMostOnce);
            let may = (outcome == NotApplied).then_some(2000);
            assert_eq!(again(&every, &once, None), may, "{events:?} {outcome:?}");
        }
    }
    let taken_back = [native[0], native[1], Event::CancelSent, Event::Abort];
    let taken_back = ended(&taken_back, Known, AtLeastOnce);
    assert_eq!(
        again(&every, &taken_back, None),
        None,
        "its owner wants that"
    );
    for event in [Event::Expire, Event::Abort, Event::Fail] {
        let never = ended(&[event], NotApplied, AtLeastOnce);
        assert_eq!(again(&every, &never, None), None, "it never began");
    }
    let (before, mut task) = ended(&FAIL, NotApplied, AtLeastOnce);
    task.error = Some(Fault {
        kind: "credentials-expired",
        status: 401,
        detail: String::new(),
    });
    assert_eq!(again(&every, &(before, task), None), None, "no try helps");
}

#[test]
fn pauses_grow_up_to_a_bound_and_tries_end() {
    let rules = rule(&format!(
        "state = [\"FAILED\"]\noutcome = \"not-applied\"\n{RETRY}"
    ));
    let mut events = vec![Event::Dispatch, Event::Fail];
    for pause in [Some(2000), Some(6000), Some(10_000), None, None] {
        let end = ended(&events, Outcome::NotApplied, Replay::AtMostOnce);
        assert_eq!(again(&rules, &end, None), pause);
        events.pop();
        events.extend([Event::Retry, Event::Dispatch, Event::Fail]);
    }
}

#[test]
fn the_upstream_s_own_word_on_when_to_come_back_is_heard_within_the_bound() {
    let rules = rule(&format!(
        "state = [\"FAILED\"]\noutcome = \"not-applied\"\n{RETRY}"
    ));
    let end = ended(&FAIL, Outcome::NotApplied, Replay::AtMostOnce);
    let asks = |seconds: &'static str| Answer {
        headers: vec![(
            "retry-after".to_owned(),
            Bytes::from_static(seconds.as_bytes()),
        )],
        ..answer(409, "")
    };
    assert_eq!(again(&rules, &end, Some(&asks("1"))), Some(2000));
    assert_eq!(again(&rules, &end, Some(&asks("30"))), Some(30_000));
    assert_eq!(again(&rules, &end, Some(&asks("3000"))), None, "too late");
    assert_eq!(
        again(&rules.replace("10m", "24h"), &end, Some(&asks("3601"))),
        None,
        "too long"
    );
    let (before, mut task) = end;
    task.requested.start_deadline = Some(Millis(101_000));
    assert_eq!(
        again(&rules, &(before, task), None),
        None,
        "its client does not want it any more"
    );
}

#[test]
fn pauses_differ_by_the_share_that_is_said() {
    let rules = rule(
        "state = [\"FAILED\"]\noutcome = \"not-applied\"\nretry = { times = 1, first = \"10s\", jitter = 0.2 }",
    );
    let pauses: Vec<u64> = (0..200)
        .filter_map(|_| {
            again(
                &rules,
                &ended(&FAIL, Outcome::NotApplied, Replay::AtMostOnce),
                None,
            )
        })
        .collect();
    assert_eq!(pauses.len(), 200);
    assert!(pauses.iter().all(|pause| (8000..=12_000).contains(pause)));
    assert!(pauses.iter().any(|pause| *pause < 9500) && pauses.iter().any(|pause| *pause > 10_500));
}

#[test]
fn conditions_say_which_answers_are_meant() {
    let of = |conditions: &str, detail: &str, answer: &Answer| {
        let (before, mut task) = ended(&FAIL, Outcome::Known, Replay::AtMostOnce);
        task.error = Some(Fault {
            kind: "upstream-error",
            status: answer.status,
            detail: detail.to_owned(),
        });
        let end = End {
            before: &before,
            task: &task,
            answer: Some(answer),
        };
        let route = route(&rule(&format!(
            "state = [\"FAILED\"]\n{conditions}\nalert = true"
        )));
        end.alert(&route).is_some()
    };
    let busy = answer(400, "the machine is busy now");
    for (conditions, fits) in [
        ("", true),
        ("status = [409, 400]", true),
        ("status = [409]", false),
        ("error = [\"RESOURCE_BUSY\"]", true),
        ("error = [\"BUSY\"]", false),
        ("body = \"is busy\"", true),
        ("body = \"Is Busy\"", false),
        ("outcome = \"known\"", true),
        ("outcome = \"unknown\"", false),
        (
            "status = [400]\nerror = [\"resource_busy\"]\nbody = \"busy\"",
            true,
        ),
    ] {
        let words = ["RESOURCE_BUSY", "com.vmware.vapi.std.errors.resource_busy"];
        for word in words {
            assert_eq!(of(conditions, word, &busy), fits, "{conditions} {word}");
        }
    }
}

#[test]
fn a_refusal_by_a_rule_proves_that_nothing_was_done() {
    let refusal = rule(
        "state = [\"FAILED\"]\nstatus = [400]\nbody = \"busy\"\nrefusal = true\nretry = { times = 1, jitter = 0.0 }",
    );
    let route = route(&refusal);
    let busy = answer(400, "busy");
    let is_refusal = |outcome: Outcome, answer: &Answer| {
        let (before, task) = ended(&FAIL, outcome, Replay::AtMostOnce);
        let end = End {
            before: &before,
            task: &task,
            answer: Some(answer),
        };
        end.is_refusal(&route)
    };
    assert!(is_refusal(Outcome::Known, &busy));
    assert!(!is_refusal(Outcome::Known, &answer(400, "exists")));
    assert!(
        !is_refusal(Outcome::Unknown, &busy),
        "who lost an answer knows nothing"
    );
    let proven = ended(&FAIL, Outcome::NotApplied, Replay::AtMostOnce);
    assert_eq!(again(&refusal, &proven, Some(&busy)), Some(2000));
    let known = ended(&FAIL, Outcome::Known, Replay::AtMostOnce);
    assert_eq!(again(&refusal, &known, Some(&busy)), None);
}

#[test]
fn nothing_is_undone_that_was_not_done_or_that_nobody_found() {
    let known = rule(
        "state = [\"FAILED\"]\noutcome = \"known\"\nstatus = [500]\ncompensate = { method = \"DELETE\", target = \"/x/{answer:id}\" }",
    );
    let lost = rule(
        "state = [\"FAILED\", \"EXPIRED\"]\noutcome = \"unknown\"\ncompensate = { method = \"DELETE\", target = \"/x/{found:id}\" }",
    );
    let route = route(&(known + &lost));
    let undone = |(before, task): (Record, Record), answer: Option<&Answer>| {
        let end = End {
            before: &before,
            task: &task,
            answer,
        };
        end.compensation(&route).map(|undo| undo.target.to_string())
    };
    let failed = |outcome| ended(&FAIL, outcome, Replay::AtMostOnce);
    let half_made = answer(500, "{}");
    assert_eq!(
        undone(failed(Outcome::Known), Some(&half_made)).as_deref(),
        Some("/x/{answer:id}")
    );
    assert_eq!(undone(failed(Outcome::Known), Some(&answer(400, ""))), None);
    assert_eq!(
        undone(failed(Outcome::Unknown), None).as_deref(),
        Some("/x/{found:id}")
    );
    assert_eq!(undone(failed(Outcome::NotApplied), Some(&half_made)), None);
    let never = ended(&[Event::Expire], Outcome::NotApplied, Replay::AtMostOnce);
    assert_eq!(undone(never, None), None);
    let (before, mut task) = failed(Outcome::Known);
    task.bond = Some(Bond::Compensates(TaskId::from_bytes([1; 16])));
    assert_eq!(
        undone((before, task), Some(&half_made)),
        None,
        "it makes up itself"
    );
}

#[test]
fn whatever_becomes_of_a_compensation_but_success_is_an_alert() {
    let undo = rule(
        "state = [\"FAILED\"]\noutcome = \"known\"\nstatus = [500]\ncompensate = { method = \"DELETE\", target = \"/x\" }",
    );
    let other = rule("state = [\"ABORTED\"]\nalert = true");
    let mut route = route(&(undo + &other));
    route.after[0].webhook = Some("https://pager.example/a".to_owned());
    route.after[1].webhook = Some("https://pager.example/b".to_owned());
    let told = |kind: &'static str, status: u16| {
        let (before, mut task) = ended(&FAIL, Outcome::Known, Replay::AtLeastOnce);
        task.requested.method = "DELETE".to_owned();
        task.bond = Some(Bond::Compensates(TaskId::from_bytes([1; 16])));
        task.error = Some(Fault {
            kind,
            status,
            detail: String::new(),
        });
        let answer = answer(status, "");
        let end = End {
            before: &before,
            task: &task,
            answer: Some(&answer),
        };
        (
            end.alert(&route).map(|urls| urls.len()),
            end.is_done(&route),
        )
    };
    assert_eq!(
        told("upstream-error", 500),
        (Some(1), false),
        "its own receiver"
    );
    assert_eq!(
        told("upstream-error", 404),
        (Some(1), true),
        "what is gone is deleted"
    );
    assert_eq!(told(NOTHING_TO_UNDO, 409), (None, false));
}

#[test]
fn every_bad_end_has_rules_and_no_other_state() {
    let named: Vec<Status> = Status::ALL
        .into_iter()
        .filter(|status| {
            let mut task = sample(Millis(0));
            task.status = *status;
            ending(&task).is_some()
        })
        .collect();
    let bad = [
        Status::Failed,
        Status::Aborted,
        Status::PartialSuccess,
        Status::Expired,
    ];
    assert_eq!(named, bad);
}
