//! Tasks and messages about them, as the rows that the metrics show.

use std::sync::Arc;

use crate::forward::Upstream;
use crate::observe::{Spread, TaskCount, WebhookCount};
use crate::proxy::Shared;
use crate::task::{Delivery, Dispatched, Merged, Poll, Reconciled, State, TIME_BOUNDS, Times};

/// Tasks of every upstream, of those without any too.
pub(super) fn counts(shared: &Shared) -> Vec<TaskCount> {
    let upstreams = shared.hosts.all().iter();
    upstreams.map(|upstream| count(shared, upstream)).collect()
}

/// Messages about the ends of tasks.
pub(super) fn webhooks(shared: &Shared) -> WebhookCount {
    let told = shared.desk.tally().told();
    let names = Delivery::ALL.map(Delivery::as_str);
    WebhookCount {
        deliveries: names.into_iter().zip(told.deliveries).collect(),
        lag: spread(&told.lag),
    }
}

fn count(shared: &Shared, upstream: &Arc<Upstream>) -> TaskCount {
    let name = upstream.name();
    let work = shared.desk.tally().work(name);
    let polls = shared.desk.tally().polls(name);
    let merges = shared.desk.tally().merges(name);
    let open = shared.desk.counts(name);
    let finished = State::ALL.into_iter().zip(work.finished);
    let finished = finished.filter(|(state, _)| state.is_done());
    TaskCount {
        upstream: name.clone(),
        open: open.map(|(state, count)| (state.as_str(), count)).to_vec(),
        finished: finished
            .map(|(state, count)| (state.as_str(), count))
            .collect(),
        in_doubt: work.in_doubt,
        dispatched: Dispatched::ALL
            .map(Dispatched::as_str)
            .into_iter()
            .zip(work.dispatched)
            .collect(),
        reconciled: Reconciled::ALL
            .map(Reconciled::as_str)
            .into_iter()
            .zip(work.reconciled)
            .collect(),
        polls_answered: polls.answered,
        polls: Poll::ALL
            .map(Poll::as_str)
            .into_iter()
            .zip(polls.upstream)
            .collect(),
        polls_failed: polls.failed,
        merged_calls: Merged::ALL
            .map(Merged::as_str)
            .into_iter()
            .zip(merges.calls)
            .collect(),
        merged_requests: merges.requests,
        alerts: bad(work.alerts),
        retries: work.retries,
        compensated: work.compensated,
        queued: spread(&work.queued),
        ran: spread(&work.ran),
    }
}

/// Of counts by state, those of ends that are not COMPLETED.
fn bad(counts: [u64; State::ALL.len()]) -> Vec<(&'static str, u64)> {
    let by_state = State::ALL.into_iter().zip(counts);
    let bad = by_state.filter(|(state, _)| state.is_done() && *state != State::Completed);
    bad.map(|(state, count)| (state.as_str(), count)).collect()
}

fn spread(times: &Times) -> Spread {
    Spread {
        bounds: &TIME_BOUNDS,
        counts: times.counts.to_vec(),
        sum_seconds: times.sum.as_secs_f64(),
    }
}
