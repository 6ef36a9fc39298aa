//! What became of requests whose call was lost: the resource shows it.
//!
//! What a request adds is there, and what it deletes is not: then the resource is as the request wanted it, and it is done, by the
//! contract (section 4.3: the probe finds the thing). It may have been so before, and then nothing proves that this call did it.
//! For the request that is the same: done by it or not, or once more by a call that is late, its entries are as it wanted them, as
//! long as nobody changes them. So nobody does, and the call keeps its seat, until it can be at work no more; unless the resource was
//! seen without it since: then it is believed that the call has come through, as it is of a call by itself. (The next gate knows of
//! the seat alone.)
//!
//! Where it is not so, the call may still be at work; once it can be no more, nothing of it was applied. It is never sent again by
//! itself: what others have done to the same entries meanwhile, past the gate, would be undone by that.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::call::Loaded;
use super::gathered::{Key, Way};
use super::queue::Asked;
use super::said::kept;
use crate::dialect::adapter::{Shows, shown_of};
use crate::forward::OwnAnswer;
use crate::task::desk::Change;
use crate::task::id::TaskId;
use crate::task::port::SeatChange;
use crate::task::record::{Mode, Outcome, Source};
use crate::task::state::Event;
use crate::task::worker::asking::Asking;
use crate::task::worker::doubt::{not_applied, unknown};
use crate::task::worker::fields;
use crate::task::worker::probe;
use crate::task::worker::works::Works;

/// Longest answer that is read, bytes.
const LONGEST: usize = 16 * 1024 * 1024;
/// Longest that one question takes, its wait for the limits included: the pool's other requests may wait for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is known of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// It is as if done.
    Done,
    /// It was not applied, and never will be.
    NotApplied,
    /// Nobody will know.
    Never,
    /// Nothing yet.
    NotYet,
}

impl Works {
    /// Asks what became of these, and says so of each of which it is known by now.
    pub(super) async fn ask_after(self: &Arc<Self>, key: &Key, way: &Way, ids: &[TaskId]) {
        let groups = self.gathered.with(key, |queue| queue.doubts_of(ids));
        let mut asked = JoinSet::new();
        for group in groups.unwrap_or_default().into_values() {
            let (works, key, way) = (self.clone(), key.clone(), way.clone());
            asked.spawn(async move { works.ask_after_group(&key, &way, group).await });
        }
        // One that breaks is asked after again.
        while asked.join_next().await.is_some() {}
    }

    /// The same, of those that may be asked after together.
    async fn ask_after_group(self: &Arc<Self>, key: &Key, way: &Way, group: Vec<Asked>) {
        let answer = timeout(PATIENCE, self.resource(key, &group)).await;
        let answer = answer.ok().flatten();
        let shown = answer.as_ref().and_then(|answer| match answer.status {
            200 => {
                let patches = group.iter().map(|one| &*one.patch);
                shown_of(&way.merge, patches, &answer.body)
            }
            404 | 410 => Some(vec![Shows::NotDone; group.len()]),
            _ => None,
        });
        let now = Instant::now();
        let known = known(&group, shown.as_deref(), now);
        if let Some(shown) = &shown {
            let ids = group.iter().map(|one| one.id);
            let heard: Vec<_> = ids.zip(shown.iter().copied()).collect();
            self.gathered
                .with(key, |queue| queue.heard(&heard, now + self.reconcile));
        }
        let answer = answer.map(Arc::new);
        let count = group.len();
        let mut told = JoinSet::new();
        for (one, known) in group.into_iter().zip(known) {
            let (works, key, answer) = (self.clone(), key.clone(), answer.clone());
            told.spawn(async move {
                let known = (known, now);
                works
                    .tell(&key, (&one, count), known, answer.as_deref())
                    .await;
            });
        }
        while told.join_next().await.is_some() {}
    }

    /// The resource, as the last of those shows who can ask for it.
    async fn resource(self: &Arc<Self>, key: &Key, group: &[Asked]) -> Option<OwnAnswer> {
        for one in group.iter().rev() {
            if let Some(asking) = self.asks_after(key, one.id).await {
                return self.answer(&asking, Bytes::new(), LONGEST, PATIENCE).await;
            }
        }
        None
    }

    /// The question for the resource in the name of this one; none where its request cannot be read any more, or none could be
    /// asked.
    async fn asks_after(&self, key: &Key, id: TaskId) -> Option<Asking> {
        let loaded = self.load(id).await.ok()??;
        let called = self.asks_for(key, &loaded).ok()?;
        let mut asking = called.question(key.path.to_string());
        asking.headers = probe::fields(&called.headers);
        asking.with(|_, _| ()).ok()?;
        Some(asking)
    }

    async fn tell(
        self: &Arc<Self>,
        key: &Key,
        (one, count): (&Asked, usize),
        (known, now): (Known, Instant),
        answer: Option<&OwnAnswer>,
    ) {
        let loaded = match known {
            Known::NotYet => return,
            // What is asked for is told of to whoever asked.
            _ => self.load(one.id).await.ok().flatten(),
        };
        // Its call can be at work no more: it is too late for that, or it was seen to come through.
        let is_over = one.over <= now || (known == Known::Done && one.was_absent);
        let seat = if !is_over && self.ghosts.has(one.id) {
            SeatChange::Keep
        } else {
            self.ghosts.lay(one.id);
            SeatChange::Free
        };
        let (event, change) = self.ends(key, (loaded.as_ref(), count), known, answer);
        let change = Change { seat, ..change };
        self.settle(one.id, event, change, None).await;
        let over = if is_over { now } else { one.over };
        self.gathered.with(key, |queue| queue.known(one.id, over));
    }

    /// What becomes of it by what is known.
    fn ends(
        &self,
        key: &Key,
        (loaded, count): (Option<&Loaded>, usize),
        known: Known,
        answer: Option<&OwnAnswer>,
    ) -> (Event, Change) {
        let route = loaded.and_then(|loaded| self.route(&loaded.record));
        let requeue = route.is_some_and(|route| route.work.requeue);
        let fails = |outcome, fault| Change {
            outcome: Some(outcome),
            error: Some(fault),
            ..Change::default()
        };
        match known {
            Known::Done => (Event::Complete, self.found(key, (loaded, count), answer)),
            Known::NotApplied if requeue => {
                let change = Change {
                    mode: Some(Mode::Queued),
                    ..Change::default()
                };
                (Event::Again, change)
            }
            Known::NotApplied => (Event::Fail, fails(Outcome::NotApplied, not_applied())),
            Known::Never | Known::NotYet => (Event::Fail, fails(Outcome::Unknown, unknown())),
        }
    }

    /// It was done: what the upstream shows of it is the answer.
    fn found(
        &self,
        key: &Key,
        (loaded, count): (Option<&Loaded>, usize),
        answer: Option<&OwnAnswer>,
    ) -> Change {
        let upstream = loaded.and_then(|loaded| self.upstream(&loaded.record.requested.upstream));
        let answer = loaded.zip(answer).zip(upstream);
        let answer = answer.map(|((loaded, answer), upstream)| {
            let of = (&loaded.headers, upstream.rewriter());
            kept(answer, of, (count, &key.path))
        });
        Change {
            outcome: Some(Outcome::Known),
            result: answer
                .as_ref()
                .map(|answer| fields::head(answer, Source::Probe)),
            answer,
            ..Change::default()
        }
    }
}

/// What is known of each by what the resource shows; `None`: it said nothing of use.
///
/// A call is done whole or not at all. Where it shows some of a group and not the rest, others have changed that since, it was
/// two calls, or some stood so before: of the rest nobody will ever know.
fn known(group: &[Asked], shown: Option<&[Shows]>, now: Instant) -> Vec<Known> {
    let Some(shown) = shown else {
        let speechless = |one: &Asked| {
            if one.speechless <= now {
                Known::Never
            } else {
                Known::NotYet
            }
        };
        return group.iter().map(speechless).collect();
    };
    let some_done = shown.contains(&Shows::Done);
    let of = |(one, shows): (&Asked, &Shows)| match shows {
        Shows::Done => Known::Done,
        Shows::NotDone if one.over > now => Known::NotYet,
        Shows::NotDone if some_done || one.is_mixed => Known::Never,
        Shows::NotDone => Known::NotApplied,
    };
    group.iter().zip(shown).map(of).collect()
}
