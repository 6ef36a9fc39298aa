//! Carries the journal to the store: at once what opened and closed, now and then what was used.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::health::Health;
use super::ledger::Ledger;
use super::life::Now;
use super::record::{Change, SessionStore, StoreError};

/// How often the last uses of sessions are kept, and the store is asked whether it is there.
pub const TOUCHES_EVERY: Duration = Duration::from_secs(5);
/// Most changes in one transaction.
const MOST_AT_ONCE: usize = 4096;
/// First and longest pause before something is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// Pause before what needs a person is tried again.
const LONG_PAUSE: Duration = Duration::from_secs(30);

/// Writes what changes in a ledger to its store. One for each ledger.
///
/// Everything that changed while one transaction was on its way goes into the next. What could not
/// be written is kept and tried again, in order, until it is; meanwhile changes gather in the
/// journal, one for each session.
pub struct Writer<U> {
    ledger: Arc<Ledger<U>>,
    store: Arc<dyn SessionStore>,
    clock: Box<dyn Fn() -> Now + Send + Sync>,
    health: Arc<Health>,
    /// Handed over and not acknowledged.
    held: Vec<Change>,
    /// Failures in a row.
    failures: u32,
    touched: Now,
}

impl<U> fmt::Debug for Writer<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("store", &self.store)
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}

impl<U: Send> Writer<U> {
    /// Writes `ledger` to `store`, with the time by `clock`.
    pub fn new(
        ledger: Arc<Ledger<U>>,
        store: Arc<dyn SessionStore>,
        clock: impl Fn() -> Now + Send + Sync + 'static,
    ) -> Self {
        Self {
            ledger,
            store,
            touched: clock(),
            clock: Box::new(clock),
            health: Arc::new(Health::default()),
            held: Vec::new(),
            failures: 0,
        }
    }

    /// How the store is doing, for whoever asks while this runs.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    /// Writes until `stop` is done. Nothing is lost by stopping in the middle: what was not
    /// acknowledged is written again by the next run, or by [`Writer::flush`].
    pub async fn run(&mut self, stop: impl Future<Output = ()>) {
        tokio::select! {
            () = stop => {}
            () = self.forever() => {}
        }
    }

    /// Writes everything that is not written yet, last uses too, and tries for at most `within`.
    ///
    /// # Errors
    ///
    /// What the store said last, when it did not take everything in that time.
    pub async fn flush(&mut self, within: Duration) -> Result<(), StoreError> {
        let mut said = StoreError {
            lasting: false,
            what: format!("the store took longer than {} s", within.as_secs_f32()),
        };
        let all = async {
            // Twice: what is held from before, and what has gathered since.
            for _ in 0..2 {
                while let Err(error) = self.write(true).await {
                    let wait = pause(self.failures, error.lasting);
                    said = error;
                    tokio::time::sleep(wait).await;
                }
            }
        };
        if tokio::time::timeout(within, all).await.is_ok() {
            return Ok(());
        }
        Err(said)
    }

    async fn forever(&mut self) {
        loop {
            match self.write(false).await {
                Ok(()) => {
                    let next = tokio::time::timeout(TOUCHES_EVERY, self.ledger.journal.changed());
                    // Late or woken: either way there is something to do.
                    drop(next.await);
                }
                Err(error) => tokio::time::sleep(pause(self.failures, error.lasting)).await,
            }
        }
    }

    /// Writes what is held, or else what has gathered; where nothing has, asks the store whether
    /// it is there.
    async fn write(&mut self, touches: bool) -> Result<(), StoreError> {
        let now = (self.clock)();
        if self.held.is_empty() {
            let due = now.moment.since(self.touched.moment) >= TOUCHES_EVERY;
            self.held = self.ledger.hand_over(&now, touches || due);
            if touches || due {
                self.touched = now;
            }
        }
        self.health.asked(now.moment, self.held.len());
        let answer = self.send().await;
        self.failures = match &answer {
            Ok(()) => 0,
            Err(_) => self.failures.saturating_add(1),
        };
        self.health.answered((self.clock)().moment, &answer);
        answer
    }

    async fn send(&mut self) -> Result<(), StoreError> {
        if self.held.is_empty() {
            return self.store.check().await;
        }
        while !self.held.is_empty() {
            let count = self.held.len().min(MOST_AT_ONCE);
            let (first, _) = self.held.split_at(count);
            self.store.apply(first).await?;
            self.held.drain(..count);
        }
        Ok(())
    }
}

/// How long to wait after that many failures in a row: twice as long each time, up to a bound.
fn pause(failures: u32, lasting: bool) -> Duration {
    if lasting {
        return LONG_PAUSE;
    }
    let (first, longest) = PAUSES;
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    first.saturating_mul(doubled).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let millis: Vec<_> = (1..10).map(|n| pause(n, false).as_millis()).collect();
        assert_eq!(millis, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(pause(u32::MAX, false), PAUSES.1);
        assert_eq!(pause(1, true), LONG_PAUSE);
    }
}
