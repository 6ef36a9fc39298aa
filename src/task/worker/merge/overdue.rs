//! Members whose deadline is over while their call is at work: each is over by itself. The call goes on for the others, and with
//! its seat, until it is answered or can be at work no more.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::call::{Loaded, Up};
use crate::task::id::TaskId;
use crate::task::state::Event;
use crate::task::worker::hearing::overdue_change;
use crate::task::worker::works::Works;

/// When each of these is over though its call is not, the first of them last; none of those whose call ends sooner.
pub(super) fn overdue(up: &Up, members: &[Loaded]) -> Vec<(Instant, TaskId)> {
    let longest = up.upstream.config().response_timeout;
    let times = members
        .iter()
        .map(|one| (one.record.requested.run_for, one.id));
    let mut times: Vec<(Duration, TaskId)> = times.filter(|(time, _)| *time < longest).collect();
    times.sort_unstable();
    let ends = times.into_iter().rev();
    ends.map(|(time, id)| (up.went + time, id)).collect()
}

impl Works {
    /// Ends these, each as its time is up, for as long as their call is awaited.
    pub(super) async fn end_late(self: &Arc<Self>, mut left: Vec<(Instant, TaskId)>) -> Infallible {
        while let Some((next, _)) = left.last() {
            sleep_until(*next).await;
            let now = Instant::now();
            let mut steps = JoinSet::new();
            while let Some((_, id)) = left.pop_if(|(at, _)| *at <= now) {
                let works = self.clone();
                steps.spawn(async move {
                    works
                        .settle(id, Event::Expire, overdue_change(), None)
                        .await;
                });
            }
            // One that breaks is taken up by its job.
            while steps.join_next().await.is_some() {}
        }
        std::future::pending().await
    }
}
