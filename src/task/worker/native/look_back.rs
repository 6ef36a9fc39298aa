//! A change whose answer was lost, of what can be looked at: it is read there whether the change was made.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::follow::Trail;
use super::member::{End, Word};
use crate::config::Became;
use crate::dialect::adapter::Earlier;
use crate::task::record::{Record, Replay};
use crate::task::state::Event;
use crate::task::worker::job::Job;
use crate::task::worker::pause::back_off;
use crate::task::worker::place::from_now;
use crate::task::worker::recover::sent;
use crate::task::worker::verdict::MOST_RESENT;

/// What is read of a change.
enum Made {
    /// It is made.
    Yes,
    /// It is not.
    No,
    /// What is there may be so without it.
    Unclear,
    /// It ended otherwise.
    Otherwise,
}

impl Job {
    /// Looks until it is clear what became of the change. One that may be made again is, where it is not there; any other is
    /// never sent twice. False where nothing can be looked at.
    pub(in crate::task::worker) async fn looks_back(&mut self, record: &Arc<Record>) -> bool {
        let looks = self.following(record).await;
        if looks.is_none_or(|(_, form)| form.native.before.is_none()) {
            return false;
        }
        let Some(mut trail) = Box::pin(self.trail(record)).await else {
            return false;
        };
        let deadline = self.deadline(record);
        let over = self.call_over(record, &trail);
        let patience = self.works.reconcile;
        loop {
            let word = tokio::select! {
                biased;
                () = sleep_until(deadline) => {
                    self.late().await;
                    return true;
                }
                word = timeout(patience, trail.words.recv()) => word,
            };
            match word {
                Ok(Some(Word::Runs(_))) => {}
                Ok(Some(Word::Over(end))) => {
                    // Sent, and held up on its way, it may still come.
                    if end.unmade && Instant::now() < over {
                        continue;
                    }
                    self.looked_back(record, &trail, *end).await;
                    return true;
                }
                Ok(Some(Word::Gone)) | Err(_) => {
                    self.unknown().await;
                    return true;
                }
                // Its round broke.
                Ok(None) => {
                    sleep(Duration::from_secs(1)).await;
                    return true;
                }
            }
        }
    }

    /// When its call can be under way no more. What may be made twice is not waited for.
    fn call_over(&self, record: &Record, trail: &Trail) -> Instant {
        if record.requested.replay == Replay::AtLeastOnce {
            return Instant::now();
        }
        let longest = trail.followed.asking.upstream.config().response_timeout;
        let left = sent(record).after(longest).since(self.works.desk.now());
        from_now(left.min(longest))
    }

    async fn looked_back(&mut self, record: &Arc<Record>, trail: &Trail, end: End) {
        let again = record.requested.replay == Replay::AtLeastOnce;
        let requeue = || self.route(record).is_some_and(|route| route.work.requeue);
        match made(record, trail, &end) {
            Made::Otherwise => self.ended(record, trail, end).await,
            Made::Yes => match self.told(record, trail, (end.told, end.read)).await {
                Some(answer) => {
                    self.works.ghosts.lay_one(self.id, record.fence);
                    self.done(answer).await;
                }
                None => self.unknown().await,
            },
            Made::No | Made::Unclear if again && lost(record) <= MOST_RESENT => {
                let nth = u32::try_from(lost(record)).unwrap_or(u32::MAX);
                let rest = back_off(nth, self.works.spread.next());
                self.again(rest).await;
            }
            Made::No if !again && requeue() => {
                self.works.ghosts.lay_one(self.id, record.fence);
                self.again(Duration::ZERO).await;
            }
            Made::No if !again => {
                self.works.ghosts.lay_one(self.id, record.fence);
                self.not_applied().await;
            }
            Made::No | Made::Unclear => self.unknown().await,
        }
    }
}

fn lost(record: &Record) -> usize {
    let moves = record.history.iter();
    moves.filter(|moved| moved.event == Event::Lost).count()
}

fn made(record: &Record, trail: &Trail, end: &End) -> Made {
    match end.became {
        Became::Completed if !end.proves => Made::Unclear,
        // As it is it was before.
        Became::Completed
            if record.requested.replay == Replay::AtMostOnce
                && trail
                    .followed
                    .earlier
                    .as_ref()
                    .is_none_or(Earlier::was_as_asked) =>
        {
            Made::Unclear
        }
        Became::Completed => Made::Yes,
        Became::Failed if end.unmade => Made::No,
        _ => Made::Otherwise,
    }
}
