//! Tasks and messages about them, as plain rows.

use std::sync::Arc;

/// Tasks of one upstream: those that are not over now, and what became of the others since the start.
#[derive(Debug, Clone, Default)]
pub struct TaskCount {
    /// Its upstream.
    pub upstream: Arc<str>,
    /// Those that are not over, by state.
    pub open: Vec<(&'static str, u64)>,
    /// Those that are, by state.
    pub finished: Vec<(&'static str, u64)>,
    /// Of these, those of which nobody knows whether they were done.
    pub in_doubt: u64,
    /// What came of sending them up.
    pub dispatched: Vec<(&'static str, u64)>,
    /// What was found out of those whose answer was lost.
    pub reconciled: Vec<(&'static str, u64)>,
    /// Questions of clients how one fares that the gate answered itself.
    pub polls_answered: u64,
    /// Questions to the upstream, by what was asked.
    pub polls: Vec<(&'static str, u64)>,
    /// Of these, those that told nothing.
    pub polls_failed: u64,
    /// Calls that did what several of them ask for, by what came of each.
    pub merged_calls: Vec<(&'static str, u64)>,
    /// Requests that went up in those.
    pub merged_requests: u64,
    /// Those that ended so that their operator is to know, by state.
    pub alerts: Vec<(&'static str, u64)>,
    /// Tries beyond the first that routes had made.
    pub retries: u64,
    /// Those that another task makes up for.
    pub compensated: u64,
    /// From acceptance to the first dispatch.
    pub queued: Spread,
    /// From the first dispatch to the end.
    pub ran: Spread,
}

/// Messages about the ends of tasks, since the start.
#[derive(Debug, Clone, Default)]
pub struct WebhookCount {
    /// Tries, by what came of them.
    pub deliveries: Vec<(&'static str, u64)>,
    /// From the end of a task until it was heard of.
    pub lag: Spread,
}

/// How long things took, by buckets.
#[derive(Debug, Clone, Default)]
pub struct Spread {
    /// Upper bounds, seconds.
    pub bounds: &'static [f64],
    /// How many fell into each bucket, and one more for those longer than all bounds.
    pub counts: Vec<u64>,
    /// All of them together.
    pub sum_seconds: f64,
}

/// One upstream's tasks and some messages.
#[cfg(test)]
pub(super) fn sample() -> (TaskCount, WebhookCount) {
    let spread = || Spread {
        bounds: &[0.1, 3600.0],
        counts: vec![1, 2, 1],
        sum_seconds: 7300.5,
    };
    let tasks = TaskCount {
        upstream: Arc::from("vc1"),
        open: vec![("SCHEDULED", 4), ("RUNNING", 10)],
        finished: vec![("COMPLETED", 8), ("FAILED", 2)],
        in_doubt: 1,
        dispatched: vec![("known", 9), ("unknown", 1)],
        reconciled: vec![("applied", 0), ("unknown", 1)],
        polls_answered: 20,
        polls: vec![("list", 2), ("single", 1), ("find", 0)],
        polls_failed: 1,
        merged_calls: vec![("known", 3), ("halved", 1)],
        merged_requests: 1500,
        alerts: vec![("FAILED", 1), ("EXPIRED", 0)],
        retries: 3,
        compensated: 1,
        queued: spread(),
        ran: spread(),
    };
    let webhooks = WebhookCount {
        deliveries: vec![("delivered", 3), ("failed", 1)],
        lag: spread(),
    };
    (tasks, webhooks)
}
