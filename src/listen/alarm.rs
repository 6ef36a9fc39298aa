//! One timer for a whole connection, moved only when it must ring earlier.
//!
//! Deadlines of a busy connection move ahead with every request. Moving a timer costs a lock; so the
//! timer stays where it is, rings early now and then, and is set again to the deadline that holds then.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is made on first use.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready once `at` has come; else wakes the task no later than `at`.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if at < sleep.deadline() {
            sleep.as_mut().reset(at);
        }
        loop {
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn rings_at_the_deadline_that_holds_when_it_rings() {
        let start = Instant::now();
        let mut alarm = Alarm::default();
        let early = start + Duration::from_secs(1);
        assert!(
            poll_fn(|cx| Poll::Ready(alarm.poll(cx, early)))
                .await
                .is_pending()
        );
        let late = start + Duration::from_secs(9);
        poll_fn(|cx| alarm.poll(cx, late)).await;
        assert!(start.elapsed() >= Duration::from_secs(9));
        let soon = Instant::now() + Duration::from_secs(2);
        assert!(
            poll_fn(|cx| Poll::Ready(alarm.poll(cx, soon + Duration::from_mins(1))))
                .await
                .is_pending()
        );
        poll_fn(|cx| alarm.poll(cx, soon)).await;
        assert!(Instant::now() < soon + Duration::from_secs(1));
    }
}
