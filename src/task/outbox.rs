//! The outbox: whoever asked to be told of the end of a task is told, by the Standard Webhooks specification
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
//!
//! ```text
//!   end of a task ── same transaction ──▶ outbox ──due──▶ lane of its receiver ──▶ carrier: one POST
//!                                           ▲  2xx: gone · 410: receiver gone · else: again, by the schedule │
//!                                           └───────────────────────────────────────────────────────────────┘
//! ```
//!
//! A message leaves the outbox when it was heard, and not before: after a crash it may come twice, under the same
//! `webhook-id`.

mod lanes;
mod receiver;
mod schedule;
mod signer;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::{Id, JoinError, JoinSet};

use self::lanes::Lanes;
use self::receiver::receiver;
pub use self::schedule::{Tried, Verdict, verdict};
pub use self::signer::Signer;
use super::desk::Desk;
use super::port::{Hook, HookId, HookOutcome};
use super::record::Millis;
use super::tally::Delivery;
use crate::config::is_allowed;
use crate::session::StoreError;

/// Longest time for one try, its answer included.
const PATIENCE: Duration = Duration::from_secs(15);
/// Messages read beyond those that are in hand.
const BATCH: usize = 256;
/// How soon it is looked again for what is due while messages are in hand: these hide when the next one is.
const LOOK: Duration = Duration::from_secs(1);
/// Longest sleep: the calendar may be set while it lasts.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);
/// How long a store that fails is left alone.
const STORE_PAUSE: Duration = Duration::from_secs(5);
/// How long a message waits whose receiver has more in hand than it hears.
const CROWDED: Duration = Duration::from_mins(10);

/// One try to deliver a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    /// Where to. It may hold secrets of the receiver.
    pub url: Arc<str>,
    /// `webhook-id`: the same in each try.
    pub id: String,
    /// `webhook-timestamp`: seconds since 1970, of this try.
    pub timestamp: u64,
    /// `webhook-signature`.
    pub signature: String,
    /// JSON.
    pub body: Bytes,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Letter({} for {})", self.id, receiver(&self.url))
    }
}

/// Carries a message to its receiver.
#[async_trait]
pub trait Carrier: Send + Sync {
    /// Tries once: follows no redirection, and reads no more of the answer than its head needs.
    async fn post(&self, letter: Letter) -> Tried;
}

/// Who tells of the ends of tasks.
pub struct Outbox {
    desk: Arc<Desk>,
    carrier: Arc<dyn Carrier>,
    signer: Signer,
    allowed: Vec<String>,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outbox")
    }
}

impl Outbox {
    /// The outbox of `desk`; messages go to URLs below `allowed` alone.
    #[must_use]
    pub fn new(
        desk: Arc<Desk>,
        carrier: Arc<dyn Carrier>,
        signer: Signer,
        allowed: Vec<String>,
    ) -> Arc<Self> {
        Arc::new(Self {
            desk,
            carrier,
            signer,
            allowed,
        })
    }

    /// Tells, for as long as this is polled. Dropped, it leaves every message that was not heard where it is.
    pub async fn run(self: Arc<Self>) {
        let mut lanes = Lanes::default();
        let mut underway = JoinSet::new();
        // What each try is of: one that breaks says nothing.
        let mut tried: HashMap<Id, Hook> = HashMap::new();
        loop {
            let pause = match self.take_due(&mut lanes).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(%error, "webhooks cannot be read from the store");
                    STORE_PAUSE
                }
            };
            while let Some(hook) = lanes.next() {
                let (own, of) = (self.clone(), hook.clone());
                let task = underway.spawn(async move { own.deliver(&of).await });
                tried.insert(task.id(), hook);
            }
            tokio::select! {
                () = self.desk.hook_put_out() => {}
                () = tokio::time::sleep(pause) => {}
                Some(done) = underway.join_next_with_id() => {
                    let id = done.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
                    if let Some(hook) = tried.remove(&id) {
                        if done.is_err() {
                            self.broke(&hook).await;
                        }
                        lanes.done(&hook);
                    }
                }
            }
        }
    }

    /// Puts what is due into lanes. Says how long nothing more is to be done.
    async fn take_due(&self, lanes: &mut Lanes) -> Result<Duration, StoreError> {
        let now = self.desk.now();
        let store = self.desk.store();
        for hook in store.due_hooks(now, lanes.len() + BATCH).await? {
            if lanes.has(hook.id) {
                continue;
            }
            if !is_allowed(&hook.url, &self.allowed) {
                let to = receiver(&hook.url);
                tracing::warn!(task = %hook.task, %to, "a webhook is given up: tasks.webhooks does not allow its URL any more");
                self.desk.tally().delivery(Delivery::NotAllowed);
                store.settle_hook(hook.id, HookOutcome::Settled).await?;
            } else if let Some(crowded) = lanes.add(hook) {
                let later = HookOutcome::Later(now.after(CROWDED));
                store.settle_hook(crowded.id, later).await?;
            }
        }
        if lanes.len() > 0 {
            return Ok(LOOK);
        }
        let next = store.next_hook().await?;
        Ok(next.map_or(LONGEST_SLEEP, |next| next.since(now).min(LONGEST_SLEEP)))
    }

    /// One try, and what came of it noted.
    async fn deliver(&self, hook: &Hook) {
        let letter = self.letter(hook);
        let tried = tokio::time::timeout(PATIENCE, self.carrier.post(letter)).await;
        let tried = tried.unwrap_or_else(|_| {
            Tried::Unanswered(format!("no answer for {} s", PATIENCE.as_secs()))
        });
        let now = self.desk.now();
        let verdict = verdict(hook, &tried, now);
        self.note(hook, &tried, verdict, now);
        self.settle(hook.id, verdict.outcome(now)).await;
    }

    /// A try that broke inside the gate counts as one that was not heard: what breaks again and again is given up too.
    async fn broke(&self, hook: &Hook) {
        tracing::error!(task = %hook.task, to = %receiver(&hook.url), "a try to tell of a task failed inside the gate");
        let now = self.desk.now();
        let tried = Tried::Unanswered("the gate failed at it".to_owned());
        let verdict = verdict(hook, &tried, now);
        self.note(hook, &tried, verdict, now);
        self.settle(hook.id, verdict.outcome(now)).await;
    }

    fn letter(&self, hook: &Hook) -> Letter {
        let id = format!("msg_{}", hook.id);
        let now = SystemTime::from(self.desk.now()).duration_since(SystemTime::UNIX_EPOCH);
        let timestamp = now.unwrap_or_default().as_secs();
        Letter {
            url: hook.url.clone(),
            signature: self.signer.sign(&id, timestamp, &hook.body),
            id,
            timestamp,
            body: hook.body.clone(),
        }
    }

    fn note(&self, hook: &Hook, tried: &Tried, verdict: Verdict, now: Millis) {
        let (task, to, tally) = (hook.task, receiver(&hook.url), self.desk.tally());
        match verdict {
            Verdict::Delivered => {
                tracing::debug!(%task, %to, "a webhook was heard");
                tally.heard_after(now.since(put_out(hook)));
                tally.delivery(Delivery::Delivered);
            }
            Verdict::Again(_) => {
                tracing::info!(%task, %to, ?tried, "a webhook was not heard; it is tried again");
                tally.delivery(Delivery::Failed);
            }
            Verdict::GivenUp => {
                tracing::warn!(%task, %to, ?tried, "a webhook was not heard and is given up");
                tally.delivery(Delivery::GivenUp);
            }
            Verdict::Disabled => {
                tracing::warn!(%task, %to, "a receiver of webhooks is gone (410): its URL gets no more of them");
                tally.delivery(Delivery::Disabled);
            }
        }
    }

    /// Notes it, however long the store takes: sent again meanwhile, a message would be heard twice.
    async fn settle(&self, id: HookId, outcome: HookOutcome) {
        while let Err(error) = self.desk.store().settle_hook(id, outcome).await {
            tracing::warn!(%error, "what came of a webhook cannot be noted; it is tried again");
            tokio::time::sleep(STORE_PAUSE).await;
        }
    }
}

/// When it was put out: its name begins with that.
fn put_out(hook: &Hook) -> Millis {
    let bytes = hook.id.bytes();
    let millis = bytes.iter().take(6);
    Millis(millis.fold(0, |millis, byte| millis << 8 | u64::from(*byte)))
}
