//! The reaper: forgets what has been over for long enough, and what there is too much of, a bounded number at a time, and
//! leaves tombstones.
//!
//! Expiry is a time of day, so that it outlives the process; and the time of day may be set. The calendar here takes
//! a jump forward in small steps, so that nothing expires at once. After a jump back tasks may seem to be of the
//! future: they are forgotten when their time has passed by the clock of the process.

use std::sync::Arc;
use std::time::Duration;

use super::desk::Desk;
use super::port::Filter;
use super::record::{Millis, Record};
use crate::session::StoreError;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(10);
/// Most tasks forgotten in one transaction: writers in between wait for no more.
const BATCH: usize = 256;
/// Most transactions each time that it looks.
const ROUNDS: usize = 40;
/// A task that began this long after now is of the future: clocks of one machine do not differ so much.
const FUTURE: Duration = Duration::from_hours(1);

/// The time of day, as far as it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    believed: Millis,
    /// The clock of the process when it was read last: it cannot be set.
    at: Duration,
}

impl Calendar {
    /// Begins with `wall`; `at` is the clock of the process.
    #[must_use]
    pub const fn new(wall: Millis, at: Duration) -> Self {
        Self { believed: wall, at }
    }

    /// The time of day to go by at `at`, where the clock on the wall says `wall`. It goes at most twice as fast as the
    /// clock of the process, and goes back with the wall's at once: what is kept longer does no harm.
    pub fn read(&mut self, wall: Millis, at: Duration) -> Millis {
        let passed = at.saturating_sub(self.at);
        let most = self.believed.after(passed.saturating_mul(2));
        self.believed = wall.min(most);
        self.at = at;
        self.believed
    }
}

/// Forgets tasks.
#[derive(Debug)]
pub struct Reaper {
    desk: Arc<Desk>,
    calendar: Calendar,
    /// Since when there are tasks of the future, by the clock of the process.
    behind_since: Option<Duration>,
}

impl Reaper {
    /// Of this desk; `at` is the clock of the process.
    #[must_use]
    pub fn new(desk: Arc<Desk>, at: Duration) -> Self {
        let calendar = Calendar::new(desk.now(), at);
        Self {
            desk,
            calendar,
            behind_since: None,
        }
    }

    /// Forgets, for as long as this is polled.
    pub async fn run(mut self) {
        let begun = tokio::time::Instant::now();
        let first = self.calendar.at;
        loop {
            if let Err(error) = self.round(first + begun.elapsed()).await {
                tracing::warn!(%error, "finished tasks cannot be forgotten");
            }
            let rest = tokio::time::sleep(EVERY);
            tokio::pin!(rest);
            // Tasks may end faster than it looks.
            while tokio::select! {
                () = &mut rest => false,
                () = self.desk.many_ended() => true,
            } {
                if let Err(error) = self.trim().await {
                    tracing::warn!(%error, "more finished tasks are kept than may be: the store does not forget them");
                }
            }
        }
    }

    /// Forgets what there is too much of.
    async fn trim(&self) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            if self.desk.trim(BATCH).await? < BATCH {
                break;
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Forgets what is due at `at`.
    ///
    /// # Errors
    /// When the store does not take it: the next round tries again.
    pub async fn round(&mut self, at: Duration) -> Result<(), StoreError> {
        let now = self.calendar.read(self.desk.now(), at);
        for _ in 0..ROUNDS {
            let gone = self
                .desk
                .purge(now, now.after(self.desk.bounds().keys_for()), BATCH)
                .await?;
            if gone.tasks < BATCH && gone.tombstones < BATCH {
                break;
            }
            tokio::task::yield_now().await;
        }
        self.trim().await?;
        self.forget_future(at).await
    }

    /// Tasks that were made before the clock was set back. By the time of day they would be kept until it has caught up.
    async fn forget_future(&mut self, at: Duration) -> Result<(), StoreError> {
        let future = self.desk.now().after(FUTURE);
        let is_future = |task: &Arc<Record>| task.created > future;
        let newest = self.desk.list(&Filter::default(), None, 1).await?;
        if !newest.iter().any(is_future) {
            self.behind_since = None;
            return Ok(());
        }
        let since = *self.behind_since.get_or_insert(at);
        if at.saturating_sub(since) < self.desk.bounds().retention {
            return Ok(());
        }
        let newest = self.desk.list(&Filter::default(), None, BATCH).await?;
        let future = newest.into_iter().take_while(|task| is_future(task));
        for task in future.filter(|task| task.status.state().is_done()) {
            self.desk.forget(task.id).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn at(seconds: u64) -> Millis {
        Millis::default().after(secs(seconds))
    }

    #[test]
    fn the_calendar_goes_with_the_wall_while_that_goes_as_time_does() {
        let mut calendar = Calendar::new(at(1000), secs(0));
        for tick in 1..100 {
            assert_eq!(
                calendar.read(at(1000 + tick * 10), secs(tick * 10)),
                at(1000 + tick * 10)
            );
        }
    }

    #[test]
    fn a_jump_forward_is_made_up_for_at_twice_the_pace_of_time() {
        let mut calendar = Calendar::new(at(0), secs(0));
        let jump = 86_400;
        let mut ticks = 0;
        loop {
            ticks += 1;
            let wall = at(jump + ticks * 10);
            let now = calendar.read(wall, secs(ticks * 10));
            assert!(now <= at(ticks * 20), "{now:?} at {ticks}");
            if now == wall {
                break;
            }
        }
        assert_eq!(
            ticks * 10,
            jump,
            "it has caught up when as much time has passed"
        );
    }

    #[test]
    fn a_jump_back_is_followed_and_a_clock_that_stands_still_changes_nothing() {
        let mut calendar = Calendar::new(at(5000), secs(0));
        assert_eq!(calendar.read(at(100), secs(10)), at(100));
        assert_eq!(calendar.read(at(110), secs(20)), at(110));
        assert_eq!(
            calendar.read(at(9000), secs(20)),
            at(110),
            "no time has passed"
        );
        assert_eq!(
            calendar.read(at(9000), secs(10)),
            at(110),
            "nor does it pass back"
        );
    }
}
