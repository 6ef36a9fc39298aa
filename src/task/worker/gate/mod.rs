//! What may be busy is looked at before it is changed: the busy gate (Skytap's guide on busyness).
//!
//! ```text
//!   a task's turn at its resource ─▶ look: busy? ── yes ──▶ again after a while; one looks for all who wait
//!     one change at a time,            │ no
//!     owners take turns                ▼
//!                     units of the limits ─▶ is the look still fresh, and the turn still its own? ─▶ up, and followed
//!                                              no: again from the look                                until it is made
//! ```
//!
//! The turn is kept until the change is confirmed, lost answers included: who comes next finds the resource as it is then. A change
//! that was refused rests, as long as the upstream wants: other owners have their turns meanwhile, and its owner's own later
//! changes stay behind it. How it was before goes into the store with the mark that the change may have gone up.

mod line;
mod lines;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use http::header::ACCEPT;
use tokio::time::{Instant, sleep_until};

use self::lines::{Key, Look, Looking, Next, Sight};
pub(super) use self::lines::{Lines, Turn};
use super::asking::Asking;
use super::job::Job;
use super::native::Form;
use super::pause::back_off;
use super::works::Works;
use crate::config::Before;
use crate::dialect::adapter::{Answered, Earlier, LARGEST, Request, Seen, is_busy};
use crate::dialect::come_back;
use crate::forward::OwnAnswer;
use crate::limit::Moment;
use crate::task::id::TaskId;
use crate::task::record::{Mode, Record};
use crate::task::state::{Event, State};

/// Longest rest that an upstream can ask for before it is looked at again.
const LONGEST_REST: Duration = Duration::from_mins(5);
/// Looks that grew old before everything else was there, before a change goes up all the same: the upstream refuses what is busy.
const MOST_STALE: u32 = 5;
/// Statuses that say nothing of a resource, and nothing of who asks: another look may say more.
const NO_WORD: [u16; 3] = [408, 425, 429];

/// What a task that is to go up found.
#[derive(Debug)]
pub(super) enum Free {
    /// Nothing is to be looked at.
    Unasked,
    /// It may be changed, for all that is known until then: how it is, where that was said.
    Until(Option<Arc<OwnAnswer>>, Instant),
}

impl Free {
    /// What it changes, as that is before a request with this body, which is one of `form`.
    pub(super) fn earlier(&self, form: &Form, body: &[u8]) -> Option<Arc<str>> {
        let Self::Until(Some(seen), _) = self else {
            return None;
        };
        let seen = Seen::new(&answered(seen));
        let earlier = Earlier::of(form.native(), &form.origin_of(body), &seen);
        Some(earlier.to_text().into())
    }
}

/// One look, as it is to be made.
struct Question<'a> {
    before: &'a Before,
    form: &'a Form,
    asking: Asking,
    request: Request,
}

impl Job {
    /// Waits until the resource that the task changes is its to change.
    pub(super) async fn free<'a>(&mut self, record: &Record, asking: &'a Asking) -> Free {
        let asks =
            |form: &'a Form| Some((form, form.native().before.as_ref()?, form.before_request()?));
        let Some((form, before, request)) = asking.form.as_deref().and_then(asks) else {
            // By its head alone it may have stood in line.
            self.turn = None;
            return Free::Unasked;
        };
        let mut asker = asking.question(request.target.clone());
        reads_json(&mut asker);
        let question = Question {
            before,
            form,
            asking: asker,
            request,
        };
        self.lines_up(record, form, asking.upstream.index(), false);
        let works = self.works.clone();
        let Some(turn) = &self.turn else {
            return Free::Unasked;
        };
        let waits = format!("waits its turn: {}", turn.resource());
        works
            .desk
            .show(self.id, |live| live.message = Some(waits.into()));
        turn.back();
        loop {
            match turn.next(&question.request.target, Instant::now()) {
                Next::Sleep => turn.wake.notified().await,
                Next::Until(then) => tokio::select! {
                    () = sleep_until(then) => {}
                    () = turn.wake.notified() => {}
                },
                Next::Look(looking) => {
                    if !works.looks(&question, looking).await {
                        // The upstream says in its own words what is wrong with the call.
                        return Free::Until(None, Instant::now() + before.every);
                    }
                }
                Next::Go(seen, until) => return Free::Until(Some(seen), until),
            }
        }
    }

    /// Its change begins, where what was found still holds. `stale` counts how often it did not.
    pub(super) fn takes_turn(&self, free: &Free, stale: &mut u32) -> bool {
        let Free::Until(_, until) = free else {
            return true;
        };
        if Instant::now() > *until && *stale < MOST_STALE {
            *stale += 1;
            return false;
        }
        self.turn.as_ref().is_none_or(|turn| turn.take())
    }

    /// While it rests, which may be long, others have their turn: a change that is over, and is tried again by the rule of its
    /// route, comes anew; one that was refused, and so never began, keeps its place.
    pub(super) fn rests_from_turn(&mut self, record: &Record) {
        match (record.history.last().map(|last| last.event), &self.turn) {
            (Some(Event::Retry), _) => self.turn = None,
            (Some(Event::Refused), Some(turn)) => turn.rest(),
            _ => {}
        }
    }

    /// It waits for nobody: its change goes on upstream.
    pub(super) fn is_up(&mut self, record: &Record, form: &Form, upstream: usize) {
        self.lines_up(record, form, upstream, true);
    }

    /// Has its place where `form` says; by its head alone it may have stood elsewhere.
    fn lines_up(&mut self, record: &Record, form: &Form, upstream: usize, up: bool) {
        let key = form.resource().map(|resource| Key { upstream, resource });
        if self.turn.as_deref().map(Turn::key) != key.as_ref() {
            let of = (record.requested.owner.clone(), (self.since, self.id));
            let turn = key.map(|key| Turn::new(self.works.clone(), key, of, up));
            self.turn = turn.map(Box::new);
        }
    }
}

impl Works {
    /// Where a task stands in line before its job has read its request, by its head alone: who came later is not to go first for
    /// having been read sooner. What goes on upstream already is waited for.
    pub(super) fn turn(self: &Arc<Self>, id: TaskId, since: Moment) -> Option<Turn> {
        let record = self.desk.watch(id)?.borrow().clone();
        let task = &record.requested;
        // What makes up for another may have to be found first.
        if record.status.state().is_done() || record.is_compensation() {
            return None;
        }
        let up = record.status.state() == State::Running;
        // What went up as it came was not looked at.
        if up && record.mode != Mode::Native {
            return None;
        }
        let upstream = self.upstream(&task.upstream)?;
        let own = self.own.get(upstream.index())?;
        let key = Key {
            upstream: upstream.index(),
            resource: own.resource(upstream, task, up)?,
        };
        let of = (task.owner.clone(), (since, id));
        Some(Turn::new(self.clone(), key, of, up))
    }

    /// Looks once. False where the answer says nothing of the resource, and never will to who asks.
    async fn looks(&self, question: &Question<'_>, looking: Looking) -> bool {
        let patience = question.asking.upstream.config().response_timeout;
        let answer = self.answer(&question.asking, Bytes::new(), LARGEST, patience);
        let answer = Box::pin(answer).await;
        let target = question.request.target.clone();
        let now = Instant::now();
        let before = question.before;
        let every = before.every.mul_f64(0.8 + 0.4 * self.spread.next());
        let busy = answer.as_ref().and_then(|answer| {
            is_busy(
                question.form.native(),
                &question.form.origin(),
                &answered(answer),
            )
        });
        match (busy, answer) {
            (Some(false), Some(answer)) => looking.saw(Some(Look {
                target,
                sight: Sight::Free(Arc::new(answer)),
                until: now + before.fresh,
            })),
            (Some(true), _) => looking.saw(Some(Look {
                target,
                sight: Sight::Wait,
                until: now + every,
            })),
            (_, Some(answer)) if is_definite(answer.status) => {
                looking.saw(None);
                return false;
            }
            (_, answer) => {
                let stated = answer
                    .and_then(|answer| come_back::retry_after(&answer.headers, SystemTime::now()));
                let rest = back_off(looking.failed(), self.spread.next()).min(every);
                let rest = stated.map_or(rest, |stated| stated.max(rest));
                looking.saw_nothing(Look {
                    target,
                    sight: Sight::Wait,
                    until: now + rest.min(LONGEST_REST),
                });
            }
        }
        true
    }
}

/// Whether whoever asks is told that it may not, or that nothing is there.
fn is_definite(status: u16) -> bool {
    (300..500).contains(&status) && !NO_WORD.contains(&status)
}

fn answered(answer: &OwnAnswer) -> Answered<'_> {
    Answered {
        status: answer.status,
        headers: &answer.headers,
        body: &answer.body,
    }
}

/// Whatever form the client reads: what is looked at is read here.
pub(super) fn reads_json(asking: &mut Asking) {
    asking.headers = super::probe::fields(&asking.headers);
    asking
        .headers
        .insert(ACCEPT, HeaderValue::from_static("application/json"));
}
