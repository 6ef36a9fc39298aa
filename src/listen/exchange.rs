//! One request and its answer, as far as the socket cares: has a hook seen it, is its body on time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

tokio::task_local! {
    /// The exchange of the HTTP/2 stream that this task serves. A connection has many streams at once
    /// and the engine shows a hook only what belongs to the connection; but each stream is one task.
    static CURRENT: Arc<Exchange>;
}

/// Which deadline of a request body was missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLate {
    /// `body_timeout`: the client paused too long.
    Pause,
    /// `body_deadline`: the whole took too long.
    Deadline,
}

/// One request and its answer. The proxy's hooks tell it what the socket cannot see.
#[derive(Debug)]
pub struct Exchange {
    pause: Duration,
    deadline: Duration,
    /// What the counters below are measured from.
    epoch: Instant,
    began: AtomicBool,
    body_open: AtomicBool,
    exempt: AtomicBool,
    body_began_ms: AtomicU64,
    progress_ms: AtomicU64,
    late: AtomicU8,
    /// Reads of the body are kept short.
    little: AtomicBool,
    /// Told when `exempt` or `body_open` changes, so that a waiting clock looks again.
    changed: Notify,
}

impl Exchange {
    /// For bodies that may pause `pause` and last `deadline`.
    pub(super) fn new(pause: Duration, deadline: Duration) -> Self {
        Self {
            pause,
            deadline,
            epoch: Instant::now(),
            began: AtomicBool::new(false),
            body_open: AtomicBool::new(false),
            exempt: AtomicBool::new(false),
            body_began_ms: AtomicU64::new(0),
            progress_ms: AtomicU64::new(0),
            late: AtomicU8::new(0),
            little: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    /// The first hook has seen the request: from here on the proxy records how it ends.
    pub fn began(&self) {
        self.began.store(true, Ordering::Relaxed);
    }

    /// Bytes of the request body came through.
    pub fn body_progress(&self) {
        self.progress_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// The request body is complete, or nobody wants the rest of it.
    pub fn body_finished(&self) {
        self.body_open.store(false, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// From now on a read of the body gets a few kilobytes at most, so that whoever reads a beginning
    /// does not get more than can be sent again.
    pub fn read_little(&self, little: bool) {
        self.little.store(little, Ordering::Relaxed);
    }

    pub(super) fn reads_little(&self) -> bool {
        self.little.load(Ordering::Relaxed)
    }

    /// The body may take as long as it needs (a transfer), as long as it does not pause.
    pub fn exempt_from_deadline(&self) {
        self.exempt.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Which deadline the body missed, if any: the answer, where one can still be given, is 408.
    #[must_use]
    pub fn body_late(&self) -> Option<BodyLate> {
        match self.late.load(Ordering::Relaxed) {
            1 => Some(BodyLate::Pause),
            2 => Some(BodyLate::Deadline),
            _ => None,
        }
    }

    /// The exchange of the stream that this task serves; HTTP/2 only.
    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Runs `work` as the task of this exchange.
    pub(super) async fn scope<F: Future>(self: Arc<Self>, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    pub(super) fn has_begun(&self) -> bool {
        self.began.load(Ordering::Relaxed)
    }

    /// Makes it the exchange of the next request of the same connection.
    pub(super) fn renew(&self) {
        self.began.store(false, Ordering::Relaxed);
        self.body_open.store(false, Ordering::Relaxed);
        self.exempt.store(false, Ordering::Relaxed);
        self.late.store(0, Ordering::Relaxed);
        self.little.store(false, Ordering::Relaxed);
    }

    /// A body follows the head.
    pub(super) fn expect_body(&self) {
        let now = self.now_ms();
        self.body_began_ms.store(now, Ordering::Relaxed);
        self.progress_ms.store(now, Ordering::Relaxed);
        self.body_open.store(true, Ordering::Relaxed);
    }

    pub(super) fn body_is_open(&self) -> bool {
        self.body_open.load(Ordering::Relaxed)
    }

    /// When the body will be late, and how, for a client that has been awaited since `since`.
    pub(super) fn body_due(&self, since: Instant) -> (Instant, BodyLate) {
        let pause = since + self.pause;
        let whole = self.at(&self.body_began_ms) + self.deadline;
        if self.exempt.load(Ordering::Relaxed) || pause <= whole {
            (pause, BodyLate::Pause)
        } else {
            (whole, BodyLate::Deadline)
        }
    }

    /// Notes that the body is late.
    pub(super) fn set_late(&self, late: BodyLate) {
        let code = match late {
            BodyLate::Pause => 1,
            BodyLate::Deadline => 2,
        };
        self.late.store(code, Ordering::Relaxed);
    }

    /// Ends when the body is late; never, once it is finished.
    pub(super) async fn body_missed(&self) {
        while self.body_is_open() {
            let (due, late) = self.body_due(self.at(&self.progress_ms));
            if due <= Instant::now() {
                self.set_late(late);
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = self.changed.notified() => {}
            }
        }
        std::future::pending::<()>().await;
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn at(&self, ms: &AtomicU64) -> Instant {
        self.epoch + Duration::from_millis(ms.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange() -> Arc<Exchange> {
        let exchange = Exchange::new(Duration::from_mins(1), Duration::from_mins(10));
        exchange.expect_body();
        Arc::new(exchange)
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_late_and_progress_is_not() {
        let exchange = exchange();
        let start = Instant::now();
        let feeder = Arc::clone(&exchange);
        tokio::spawn(async move {
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                feeder.body_progress();
            }
        });
        exchange.body_missed().await;
        assert_eq!(exchange.body_late(), Some(BodyLate::Pause));
        assert_eq!(start.elapsed().as_secs(), 260);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drip_is_late_in_the_end_unless_it_is_a_transfer() {
        for (exempt, missed) in [(false, true), (true, false)] {
            let exchange = exchange();
            if exempt {
                exchange.exempt_from_deadline();
            }
            let drip = async {
                for _ in 0..100 {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    exchange.body_progress();
                }
            };
            let late = tokio::select! {
                () = exchange.body_missed() => exchange.body_late() == Some(BodyLate::Deadline),
                () = drip => false,
            };
            assert_eq!(late, missed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_finished_body_is_never_late() {
        let exchange = exchange();
        let done = Arc::clone(&exchange);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(30)).await;
            done.body_finished();
        });
        let waited = tokio::time::timeout(Duration::from_mins(150), exchange.body_missed()).await;
        assert!(waited.is_err());
        assert_eq!(exchange.body_late(), None);
    }
}
