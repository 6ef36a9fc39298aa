//! What became of requests whose call was lost: the resource shows it.
//!
//! What a request adds is there, and what it deletes is not: then the resource is as the request wanted it, and it is done. Where
//! it is not so, the call may still be at work; once it can be no more, nothing of it was applied. It is never sent again by
//! itself: what others have done to the same entries meanwhile, past the gate, would be undone by that.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

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
use crate::task::worker::doubt::{not_applied, unknown};
use crate::task::worker::fields;
use crate::task::worker::probe;
use crate::task::worker::works::Works;

/// Longest answer that is read, bytes.
const LONGEST: usize = 16 * 1024 * 1024;

/// What is known of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// It is done.
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
        for group in groups.unwrap_or_default().into_values() {
            let answer = self.resource(key, &group).await;
            let shown = answer.as_ref().and_then(|answer| match answer.status {
                200 => shown_of(
                    &way.merge,
                    group.iter().map(|one| &*one.patch),
                    &answer.body,
                ),
                404 | 410 => Some(vec![Shows::NotDone; group.len()]),
                _ => None,
            });
            let now = Instant::now();
            let known = known(&group, shown.as_deref(), now);
            if shown.is_some() {
                let heard: Vec<TaskId> = group.iter().map(|one| one.id).collect();
                let is_mixed = known.contains(&Known::Done);
                self.gathered.with(key, |queue| {
                    queue.heard(&heard, (now + self.reconcile, is_mixed));
                });
            }
            for (one, known) in group.iter().zip(known) {
                self.tell(key, (one, group.len()), known, answer.as_ref())
                    .await;
            }
        }
    }

    /// The resource, as the last of those shows who may ask for it.
    async fn resource(self: &Arc<Self>, key: &Key, group: &[Asked]) -> Option<OwnAnswer> {
        let lead = self.load(group.last()?.id).await.ok()??;
        let called = self.asks_for(key, &lead).ok()?;
        let mut asking = called.question(key.path.to_string());
        asking.headers = probe::fields(&called.headers);
        // One that no client could ask is none.
        asking.with(|_, _| ()).ok()?;
        self.answer(&asking, Bytes::new(), LONGEST, self.reconcile)
            .await
    }

    async fn tell(
        self: &Arc<Self>,
        key: &Key,
        (one, count): (&Asked, usize),
        known: Known,
        answer: Option<&OwnAnswer>,
    ) {
        let loaded = match known {
            Known::NotYet => return,
            // What is asked for is told of to whoever asked.
            _ => self.load(one.id).await.ok().flatten(),
        };
        let has_seat = known == Known::Never && self.ghosts.has(one.id);
        let seat = if has_seat {
            SeatChange::Keep
        } else {
            SeatChange::Free
        };
        if !has_seat {
            self.ghosts.lay(one.id);
        }
        let requeue = loaded
            .as_ref()
            .and_then(|loaded| self.route(&loaded.record))
            .is_some_and(|route| route.work.requeue);
        let (event, change) = match known {
            Known::Done => (
                Event::Complete,
                self.found(key, (loaded.as_ref(), count), answer),
            ),
            Known::NotApplied if requeue => (Event::Again, Change::default()),
            Known::NotApplied => (
                Event::Fail,
                Change {
                    outcome: Some(Outcome::NotApplied),
                    error: Some(not_applied()),
                    ..Change::default()
                },
            ),
            Known::Never | Known::NotYet => (
                Event::Fail,
                Change {
                    outcome: Some(Outcome::Unknown),
                    error: Some(unknown()),
                    ..Change::default()
                },
            ),
        };
        let mut change = Change { seat, ..change };
        if event == Event::Again {
            change.mode = Some(Mode::Queued);
            // Who came behind it waits until it is back.
            self.gathered.expect(key, one.id);
        }
        self.settle(one.id, event, change, None).await;
        self.gathered.with(key, |queue| queue.finish(&[one.id]));
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
/// A call is done whole or not at all. Where it shows some of a group and not the rest, others have changed that since, or it was
/// two calls: of the rest nobody will ever know.
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
