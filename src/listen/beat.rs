//! A sign of life on an HTTP/2 connection whose streams wait: whatever stands between forgets connections that are silent.

use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

/// Sends a PING (RFC 9113 section 6.7) now and then.
pub(super) struct Beat {
    /// None where the connection gave none out.
    pings: Option<PingPong>,
    every: Duration,
    due: Pin<Box<Sleep>>,
}

impl Beat {
    /// A beat so often that no silence lasts as long as a connection may idle.
    pub(super) fn new(pings: Option<PingPong>, idle_timeout: Duration) -> Self {
        let every = idle_timeout / 2;
        Self {
            pings,
            every,
            due: Box::pin(sleep(every)),
        }
    }

    /// Ends when the next is due.
    pub(super) async fn due(&mut self) {
        self.due.as_mut().await;
    }

    /// The silence begins anew.
    pub(super) fn rest(&mut self) {
        self.due.as_mut().reset(Instant::now() + self.every);
    }

    /// Sends one, unless the last was not answered yet. It goes out when the connection is worked on next.
    pub(super) fn send(&mut self) {
        self.rest();
        let Some(pings) = &mut self.pings else {
            return;
        };
        // Whether it was answered says nothing new: a connection that is dead ends by itself.
        let mut nobody = Context::from_waker(Waker::noop());
        let _answered = pings.poll_pong(&mut nobody).is_ready();
        if let Err(error) = pings.send_ping(Ping::opaque()) {
            tracing::trace!(%error, "no PING");
        }
    }
}
