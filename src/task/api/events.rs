//! The events of a task, as a stream (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use super::headers::{LAST_EVENT_ID, bare, of};
use super::teller::Teller;
use super::words::{Asked, Reply};
use crate::answer::Answer;
use crate::task::record::Record;

const STREAM: &str = "text/event-stream";
/// A line that says nothing, so that nobody between takes the stream for dead.
const HEARTBEAT: &[u8] = b":\n\n";
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// A stream ends after this long; its client takes up a new one where it was, and shows again who it is.
const LONGEST: Duration = Duration::from_hours(1);

/// The events of a task, until it is over.
pub struct Events {
    teller: Teller,
    base: Option<String>,
    head: Answer,
    now: Arc<Record>,
    /// None once it is over.
    changes: Option<watch::Receiver<Arc<Record>>>,
    /// The version that the client has; 0 is none.
    told: u64,
    until: Instant,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("task", &self.now.id)
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}

impl Teller {
    pub(super) fn events(&self, task: Arc<Record>, asked: &Asked<'_>) -> Reply {
        let told = last_told(asked);
        let has_all = told >= task.version && task.status.state().is_done();
        if has_all {
            // Nothing will follow: this is how a client is told not to come back (section 9.2 there).
            return bare(204).into();
        }
        let head = of(200, STREAM, Bytes::new());
        if *asked.method == http::Method::HEAD {
            return head.into();
        }
        Reply::Events(Events {
            teller: self.clone(),
            base: asked.base.map(str::to_owned),
            head,
            changes: self.desk.watch(task.id),
            now: task,
            told,
            until: Instant::now() + LONGEST,
        })
    }
}

fn last_told(asked: &Asked<'_>) -> u64 {
    let said = asked.headers.get(LAST_EVENT_ID);
    let said = said.and_then(|value| value.to_str().ok()?.parse().ok());
    said.unwrap_or(0)
}

impl Events {
    /// Status and header fields of the stream; its body comes piece by piece.
    #[must_use]
    pub const fn head(&self) -> &Answer {
        &self.head
    }

    /// The next piece of the body; none once the stream is over. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Bytes> {
        let heartbeat = Instant::now() + HEARTBEAT_EVERY;
        loop {
            self.look().await;
            if self.told < self.now.version {
                self.told = self.now.version;
                return Some(self.event());
            }
            if self.now.status.state().is_done() || Instant::now() >= self.until {
                return None;
            }
            let changes = self.changes.as_mut()?;
            let wait = heartbeat.min(self.until);
            match tokio::time::timeout_at(wait, changes.changed()).await {
                Ok(Ok(())) => {}
                // The last it hears is the end: without one there is nothing to follow.
                Ok(Err(_)) => self.changes = None,
                Err(_) if wait < self.until => return Some(Bytes::from_static(HEARTBEAT)),
                Err(_) => return None,
            }
        }
    }

    /// Takes in how the task is now.
    async fn look(&mut self) {
        if let Some(changes) = &mut self.changes {
            self.now = changes.borrow_and_update().clone();
        } else if !self.now.status.state().is_done()
            && let Ok(crate::task::port::Found::Task(task)) =
                self.teller.desk.find(self.now.id).await
        {
            // It was over before its changes could be followed.
            self.now = task;
        }
    }

    fn event(&self) -> Bytes {
        let mut out = Vec::with_capacity(1100);
        out.extend_from_slice(format!("id: {}\nevent: state\ndata: ", self.told).as_bytes());
        self.teller.write(&self.now, self.base.as_deref(), &mut out);
        out.extend_from_slice(b"\n\n");
        out.into()
    }
}
