//! Tasks for the tests of stores.

use bytes::Bytes;
use tidegate::task::{
    Bond, Event, Fault, Hook, Key, Millis, Mode, New, Operation, Outcome, Owner, Record, Replay,
    Requested, ResultHead, SeatChange, Source, Step, TaskId,
};

use super::*;

/// The n-th name: a later one is of a later time.
pub fn id(number: u64) -> TaskId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    TaskId::from_bytes(bytes)
}

pub fn at(millis: u64) -> Millis {
    Millis(1_700_000_000_000 + millis)
}

pub fn owner(name: &str) -> Owner {
    Owner(Arc::from(name))
}

/// What the n-th asks for: of one of two owners at one of two upstreams.
pub fn requested(number: u64) -> Requested {
    Requested {
        upstream: Arc::from(format!("vc{}", number % 2)),
        route: Arc::from("vcenter-vm-clone"),
        pool: Arc::from("blocking_tasks"),
        method: "POST".to_owned(),
        target: format!("/api/vcenter/vm?action=clone&n={number}"),
        operation: None,
        body_sha256: [u8::try_from(number % 250).unwrap(); 32],
        owner: owner(if number % 4 < 2 {
            "user:ann"
        } else {
            "user:ben"
        }),
        user: None,
        session: None,
        address: "192.0.2.7".parse().unwrap(),
        replay: Replay::AtMostOnce,
        start_deadline: None,
        run_for: Duration::from_mins(60),
        callback: None,
        request_id: None,
    }
}

/// The n-th, just accepted.
pub fn fresh(number: u64) -> Record {
    Record::new(id(number), requested(number), false, at(number))
}

/// With something in every field that can have something.
pub fn full(number: u64) -> Record {
    let odd = "O'Brien\"; DROP TABLE task; --\u{0}\n\\ \u{1f980}";
    let mut record = fresh(number);
    record.requested.operation = Some(Operation {
        service: Some(odd.to_owned()),
        name: odd.to_owned(),
    });
    record.requested.target = odd.to_owned();
    record.requested.user = Some(Arc::from(odd));
    record.requested.session = Some(key(number));
    record.requested.address = "2001:db8::7".parse().unwrap();
    record.requested.replay = Replay::AtLeastOnce;
    record.requested.start_deadline = Some(at(1));
    record.requested.callback = Some(Arc::from("https://cmdb.example/hooks"));
    record.requested.request_id = Some(Arc::from(odd));
    record.mode = Mode::Native;
    record.dispatched = true;
    record.attempts = 3;
    record.not_before = Some(at(2));
    record.deadline = Some(at(3));
    record.upstream_task = Some(Arc::from(odd));
    record.earlier = Some(Arc::from(odd));
    record.outcome = Some(Outcome::Unknown);
    record.error = Some(Fault {
        kind: "outcome-unknown",
        status: 502,
        detail: odd.to_owned(),
    });
    record.result = Some(ResultHead {
        status: 299,
        content_type: Some(odd.to_owned()),
        bytes: 1 << 40,
        source: Source::Probe,
    });
    record.bond = Some(if number.is_multiple_of(2) {
        Bond::CompensatedBy(id(number + 1))
    } else {
        Bond::Compensates(id(number + 1))
    });
    record.stood = Some(number.is_multiple_of(2));
    record.unproven = true;
    record.started = Some(at(4));
    record.ended = Some(at(5));
    record.expires = Some(at(6));
    record
}

pub fn new(record: &Record) -> New {
    New {
        record: Arc::new(record.clone()),
        sealed: Bytes::from(format!("sealed {}", record.id)),
        key: None,
    }
}

/// The n-th with a key.
pub fn keyed(number: u64, name: &str, fingerprint: u8) -> New {
    let mut record = fresh(number);
    record.keyed = true;
    New {
        key: Some(Key {
            owner: owner("user:ann"),
            scope: Arc::from("POST https://vc1/api/vcenter/vm?action=clone"),
            key: Arc::from(name),
            fingerprint: [fingerprint; 32],
        }),
        ..new(&record)
    }
}

/// From `before` to `next`, and nothing else.
pub fn to(before: &Record, next: Record) -> Step {
    Step {
        record: Arc::new(next),
        fence: before.fence,
        seat: SeatChange::Keep,
        answer: None,
        resealed: None,
        forget_request: false,
        release_key: false,
        hooks: Vec::new(),
        follows: None,
    }
}

/// What becomes of a task by these events.
pub fn after(record: &Record, events: &[Event]) -> Record {
    let step = |record: Record, event: &Event| {
        let now = Millis(record.updated.0 + 7);
        record.after(*event, now).unwrap()
    };
    events.iter().fold(record.clone(), step)
}

pub fn hook(number: u64, url: &str, next: u64) -> Hook {
    Hook {
        id: id(1_000 + number),
        task: id(number),
        url: Arc::from(url),
        body: Bytes::from_static(b"{\"type\":\"task.completed\"}\x00\xff"),
        next: at(next),
        tries: 0,
    }
}
