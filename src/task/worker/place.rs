//! A task's place in the lines of its limits, and at the door of an upstream that is down.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::asking::{Asking, Unaskable};
use super::pause::back_off;
use super::works::Works;
use crate::admit::{Claim, Entry, Terms};
use crate::forward::{Door, Health, Pass};
use crate::limit::Moment;

/// Longest pause of a task that finds a limit full for which nobody waits in line.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Longest wait for its moment of a task that holds its units while the upstream comes back.
const RAMP: Duration = Duration::from_secs(5);
/// As good as for ever.
const FAR: Duration = Duration::from_hours(365 * 24);

/// Since when a task waits, and whether the upstream has sent it back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) since: Moment,
    pub(super) sent_back: bool,
}

impl Works {
    /// Waits until the call has a unit of every limit, and its upstream is there. Dropped, it leaves the line at once.
    ///
    /// # Errors
    /// [`Unaskable`].
    pub(super) async fn admitted(
        &self,
        asking: &Asking,
        standing: Standing,
    ) -> Result<Claim, Unaskable> {
        let mut pass = Pass::default();
        let mut failed = 0;
        loop {
            // What is rare is not to make the future of every task in line larger.
            if asking.is_down() {
                Box::pin(self.reachable(asking)).await;
            }
            let claim = self.in_line(asking, standing).await?;
            let passed = at_the_door(asking.upstream.health(), &mut pass, claim);
            if let Some(claim) = Box::pin(passed).await {
                return Ok(claim);
            }
            // It went down meanwhile, and the units are the next one's: who finds it down waits outside.
            failed += 1;
            if !asking.is_down() {
                sleep(back_off(failed, self.spread.next())).await;
            }
        }
    }

    async fn in_line(&self, asking: &Asking, standing: Standing) -> Result<Claim, Unaskable> {
        let stack = asking.upstream.stack();
        let mut turn = None;
        let mut failed = 0;
        loop {
            let now = (self.clock)();
            let entry = asking.with(|call, _| {
                let terms = || asking.terms(call, standing.sent_back, Terms::ENDLESS);
                match turn.take() {
                    Some(turn) => stack.resume(call, terms, turn, now),
                    None => stack.enter_again(call, terms, standing.since, now),
                }
            })?;
            match entry {
                Entry::Passed(claim) => return Ok(claim),
                Entry::Waits(waiting) => turn = Some(waiting.await),
                // Nobody waits in line for it: it is asked again.
                Entry::Refused(refusal) => {
                    failed += 1;
                    let pause = back_off(failed, self.spread.next()).max(refusal.retry_after);
                    sleep(pause.min(LONGEST_PAUSE)).await;
                }
            }
        }
    }

    /// Waits until the upstream is there. One task stands at its door for all the others.
    async fn reachable(&self, asking: &Asking) {
        let Some(lead) = self.leads.get(asking.upstream.index()) else {
            return;
        };
        while asking.is_down() {
            let _lead = lead.lock().await;
            if !asking.is_down() {
                return;
            }
            let now = std::time::Instant::now();
            match asking.upstream.health().enter(&mut Pass::default(), now) {
                Door::Open => return,
                Door::Full => sleep(back_off(1, self.spread.next())).await,
                Door::Waits(place) => drop(place.turn(now + FAR).await),
            }
        }
    }
}

/// Lets who has its units go up while the upstream comes back, at its moment; none where it is down.
async fn at_the_door(health: &Health, pass: &mut Pass, claim: Claim) -> Option<Claim> {
    let now = std::time::Instant::now();
    if health.is_open_to(*pass, now) {
        return Some(claim);
    }
    if health.down_for(now).is_some() {
        return None;
    }
    match health.enter(pass, now) {
        Door::Open => Some(claim),
        Door::Full => None,
        Door::Waits(place) => {
            *pass = place.turn(now + RAMP).await?;
            Some(claim)
        }
    }
}

/// This long from now, or as good as never.
pub(super) fn from_now(wait: Duration) -> Instant {
    Instant::now() + wait.min(FAR)
}
