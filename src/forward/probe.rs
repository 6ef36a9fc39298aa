//! Asking an upstream that is down whether it is back: one connection at a time, under the caps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pool::{Checkout, Ticket, part};
use super::upstream::Upstream;
use crate::admit::SocketGroup;

/// The pause before the first attempt; each later one is twice as long.
const FIRST: Duration = Duration::from_millis(100);
/// Longest pause.
const LONGEST: Duration = Duration::from_secs(2);
/// An upstream that was reachable for so long is up again for good.
const CALM: Duration = Duration::from_secs(10);

impl Upstream {
    /// Waits until the upstream is down, then tries to connect until it is not, for ever.
    ///
    /// Calls that wait do not try themselves: so an upstream that starts up meets one connection, not
    /// thousands.
    pub async fn watch_over(self: Arc<Self>) {
        let mut pause = FIRST;
        loop {
            let group = self.health().fallen().await;
            while self.health().down_for(Instant::now()).is_some() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
                self.try_once(group).await;
            }
            // Down again soon, it is asked as seldom as before.
            let lasts = tokio::time::timeout(CALM, self.health().fallen()).await;
            if lasts.is_err() {
                pause = FIRST;
            }
        }
    }

    /// One attempt, on behalf of the calls of `group`.
    async fn try_once(&self, group: SocketGroup) {
        let Some(ticket) = self.place(group).await else {
            // Every socket that may be open is, and none of them idles: nothing says that it is down.
            self.note_reachable();
            return;
        };
        match self.connect(group).await {
            // Whoever waits connects on its own thread; this one served its purpose.
            Ok(io) => part(io, ticket),
            Err(failure) => self.note_fault(failure.fault),
        }
    }

    /// Room for a new socket. Idle ones give way.
    pub(super) async fn place(&self, group: SocketGroup) -> Option<Ticket> {
        let pool = self.pool();
        let deadline = tokio::time::Instant::now() + self.connect_timeout();
        loop {
            match pool.checkout_by(pool.outside(), group, deadline).await {
                Checkout::Vacant(ticket) => return Some(ticket),
                // That it was quiet does not tell whether anybody is at its other end.
                Checkout::Reused(io, ticket) => part(io, ticket),
                Checkout::Full(_) => return None,
            }
        }
    }
}
