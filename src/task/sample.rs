//! A task for unit tests.

use std::time::Duration;

use super::id::TaskId;
use super::record::{Millis, Owner, Record, Replay, Requested};

/// A clone of a VM by Anna, accepted at `now`.
pub(super) fn sample(now: Millis) -> Record {
    let requested = Requested {
        upstream: "vc1".into(),
        route: "vcenter-vm-clone".into(),
        pool: "blocking_tasks".into(),
        method: "POST".to_owned(),
        target: "/api/vcenter/vm?action=clone".to_owned(),
        operation: None,
        body_sha256: [0; 32],
        owner: Owner("user:anna".into()),
        user: None,
        session: None,
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        replay: Replay::AtMostOnce,
        start_deadline: None,
        run_for: Duration::from_hours(1),
        callback: None,
        request_id: None,
    };
    Record::new(TaskId::new(now.into()), requested, false, now)
}
