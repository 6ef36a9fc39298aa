//! What a route means, in plain words.

use super::measure::say_duration;
use super::say_limit::calls;
use super::types::{Busy, Convert, Priority, Route, UpstreamKey};
use super::words::{CONVERT, of};

/// One route on one line, without its name.
pub(super) fn say(route: &Route) -> String {
    let convert = match route.convert {
        Convert::Never => String::new(),
        Convert::Wait => {
            ", async wait (clients are given the end of what the upstream does behind its answer)"
                .to_owned()
        }
        convert => format!(", async {}", of(&CONVERT, &convert)),
    };
    let deadline = route.deadline.map_or_else(String::new, |deadline| {
        format!(", at most {}", say_duration(deadline))
    });
    let busy = match route.work.busy {
        Busy::Hold => "",
        Busy::Refuse => ", refused while what they change is busy",
    };
    let priority = match route.priority {
        Priority::Interactive => "",
        Priority::Batch => ", in a line behind all that is not batch",
    };
    let key = match route.work.upstream_key {
        UpstreamKey::No => "",
        UpstreamKey::Forward => ", the client's Idempotency-Key goes up",
        UpstreamKey::Derive => ", the client's Idempotency-Key goes up, or the gate's own",
    };
    let kept = match &*route.work.keep_headers {
        [] => String::new(),
        fields => format!(", {} kept with the answer", fields.join(", ")),
    };
    format!(
        "{} are {}{convert}{deadline}{busy}{priority}{key}{kept}",
        calls(&route.matches),
        route.class
    )
}
