//! A task while the upstream's own task does it: every word that is heard of it is a step, until it is over.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::heard::copy;
use super::member::{End, Followed, Word};
use super::rounds::Membership;
use super::take_back;
use crate::call::Spoken;
use crate::config::{Became, Beside};
use crate::dialect::adapter::{Earlier, Failure, Made, Request, Told, poll_request};
use crate::dialect::error_type;
use crate::forward::OwnAnswer;
use crate::task::desk::Change;
use crate::task::port::{Answer, SeatChange};
use crate::task::raw::Raw;
use crate::task::record::{Fault, Outcome, Record, Replay, Source};
use crate::task::state::{Event, Status};
use crate::task::worker::fields;
use crate::task::worker::gate::reads_json;
use crate::task::worker::job::Job;
use crate::task::worker::pause::back_off;
use crate::task::worker::place::from_now;

/// Attempts to get the result of a task that is over.
const MOST_FETCHES: u32 = 4;

/// How often a change is asked for again that was taken and not made.
const MOST_AGAIN: usize = 5;

/// How long the upstream is asked for a task whose time was up before anybody could ask.
const GRACE: Duration = Duration::from_secs(10);

/// A task in a round.
pub(super) struct Trail {
    pub(super) membership: Membership,
    pub(super) followed: Arc<Followed>,
    pub(super) words: mpsc::Receiver<Word>,
}

impl Job {
    /// Follows the task to its end. Nothing is sent up twice: what is asked is how it fares.
    ///
    /// Past its deadline it is over, and no more is asked: nothing that could be learned would change it.
    pub(in crate::task::worker) async fn follow(
        &mut self,
        record: &Arc<Record>,
        seen: &mut watch::Receiver<Arc<Record>>,
    ) -> bool {
        let works = self.works.clone();
        let _in_use = works.roster.busy(&record.requested);
        let Some(mut trail) = self.trail(record).await else {
            tracing::warn!(task = %self.id, "the upstream's own task cannot be followed any more");
            return self.lost(record).await;
        };
        let deadline = self.deadline(record);
        let mut back = take_back::Asking::default();
        let mut record = record.clone();
        while !record.status.state().is_done() {
            if record.status == Status::Canceling {
                back.wanted();
            }
            let next = back.next();
            tokio::select! {
                biased;
                () = sleep_until(deadline) => {
                    self.late().await;
                    return true;
                }
                () = at(next) => self.take_back(&trail, &mut back).await,
                changed = seen.changed() => if changed.is_err() {
                    return false;
                },
                word = trail.words.recv() => {
                    let Some(word) = word else {
                        // Its round broke.
                        sleep(Duration::from_secs(1)).await;
                        return true;
                    };
                    if self.hears(&record, (&trail, &back), word).await {
                        return true;
                    }
                }
            }
            record = seen.borrow_and_update().clone();
        }
        true
    }

    /// When it is late. Measured once: from there on no jump of the clock makes it so.
    pub(super) fn deadline(&self, record: &Record) -> Instant {
        let now = self.works.desk.now();
        let left = record.deadline.map(|by| by.since(now));
        let left = left.unwrap_or(record.requested.run_for);
        // While no gate was there it may have ended in time.
        from_now(if left.is_zero() { GRACE } else { left })
    }

    /// Where the task is to be found upstream; none where nothing can be asked any more.
    pub(super) async fn trail(&mut self, record: &Record) -> Option<Trail> {
        let (mut asking, form) = Box::pin(self.following(record)).await?;
        let handle = match &record.upstream_task {
            Some(handle) => handle.clone(),
            None => form.itself()?,
        };
        if form.native.before.is_some() {
            self.is_up(record, &form, asking.upstream.index());
            reads_json(&mut asking);
        }
        let earlier = record.earlier.as_deref().and_then(Earlier::from_text);
        let target = poll_request(&form.native, &form.origin(), &handle);
        let cancel = form.native.cancel.as_ref();
        let cancelable = cancel.is_some_and(|cancel| cancel.allowed_if.is_none());
        let followed = Arc::new(Followed {
            id: self.id,
            form,
            target: target.map(|request| request.target.into()),
            handle,
            asking,
            earlier,
        });
        self.works
            .desk
            .show(self.id, |live| live.cancelable |= cancelable);
        let owner = &record.requested.owner;
        let (membership, words) = self.works.join(owner, followed.clone());
        Some(Trail {
            membership,
            followed,
            words,
        })
    }

    /// Makes a step of what was heard. True where the task is over, or is not followed any more.
    async fn hears(
        &mut self,
        record: &Arc<Record>,
        (trail, back): (&Trail, &take_back::Asking),
        word: Word,
    ) -> bool {
        match word {
            Word::Runs(beside) => {
                let is_blocked = beside == Some(Beside::Blocked);
                let event = match record.status {
                    Status::Polling if is_blocked => Event::HeldUp,
                    Status::Blocked if !is_blocked => Event::WentOn,
                    _ => return false,
                };
                // Should it not be taken, the next word says it again.
                drop(self.works.step(self.id, event, Change::default()).await);
                false
            }
            Word::Over(end) if end.unmade && may_again(record) => {
                self.unmade(trail).await;
                true
            }
            Word::Over(end) => {
                self.ended(record, trail, *end).await;
                true
            }
            Word::Gone if back.is_gone() => {
                self.ended(record, trail, End::of(Became::Aborted)).await;
                true
            }
            Word::Gone => {
                tracing::warn!(task = %self.id, upstream_task = %trail.followed.handle, "the upstream does not know its own task any more");
                self.lost(record).await
            }
        }
    }

    /// The change was taken, and is not made though nothing goes on any more: it is asked for once more.
    async fn unmade(&self, trail: &Trail) {
        let native = &trail.followed.form.native;
        let rest = native
            .before
            .as_ref()
            .map_or(native.poll.least, |before| before.every);
        tracing::info!(task = %self.id, "the upstream took a change and did not make it: it is sent again");
        self.send_back(rest, None).await;
    }

    /// What a client is told of an end, as it is kept.
    pub(super) async fn told(
        &self,
        record: &Record,
        trail: &Trail,
        (told, read): (Told, Option<OwnAnswer>),
    ) -> Option<Answer> {
        let answer = match told {
            Told::Made(made) => Some(of(made)),
            Told::AsRead => read,
            Told::Get(request) => self.fetched(trail, &request).await,
            Told::Nothing => None,
        };
        answer.map(|answer| kept(record, trail, answer))
    }

    pub(super) async fn ended(&self, record: &Record, trail: &Trail, end: End) {
        let raw = raw(record, trail, &end);
        let answer = self.told(record, trail, (end.told, end.read)).await;
        let said = end.error.as_ref().and_then(|error| error.kind.clone());
        let error_type = (end.became == Became::Failed).then(|| {
            let body = answer.as_ref().map_or(&[][..], |answer| &answer.body);
            said.or_else(|| error_type::error_type(Spoken::Plain, body))
        });
        let (event, error) = match end.became {
            Became::Running | Became::Completed => (Event::Complete, None),
            Became::PartialSuccess => (Event::PartlyDone, None),
            Became::Failed => (Event::Fail, Some(failed(answer.as_ref(), end.error))),
            Became::Aborted => (
                Event::Abort,
                Some(fault("aborted", 409, "It was taken back by the upstream.")),
            ),
            Became::Expired => (
                Event::Expire,
                Some(fault(
                    "expired",
                    504,
                    "The upstream gave it up: its time was up there.",
                )),
            ),
        };
        // What was taken back, or was too late, has no answer that could be repeated.
        let is_told = matches!(event, Event::Complete | Event::PartlyDone | Event::Fail);
        let answer = answer.filter(|_| is_told);
        let change = Change {
            seat: SeatChange::Free,
            outcome: Some(Outcome::Known),
            error,
            error_type: error_type.flatten().map(Arc::from),
            result: answer
                .as_ref()
                .map(|answer| fields::head(answer, Source::Answer)),
            answer,
            raw: raw.map(Box::new),
            ..Change::default()
        };
        self.works.settle(self.id, event, change, None).await;
    }

    /// The result, where it stands at a place of its own.
    async fn fetched(&self, trail: &Trail, request: &Request) -> Option<OwnAnswer> {
        for failed in 1..=MOST_FETCHES {
            let answer = self.works.ask(&trail.followed, request.clone()).await;
            if let Some(answer) = answer.filter(|answer| answer.status < 500) {
                return Some(answer);
            }
            sleep(back_off(failed, self.works.spread.next())).await;
        }
        None
    }

    pub(super) async fn late(&self) {
        let change = Change {
            seat: SeatChange::Free,
            outcome: Some(Outcome::Unknown),
            error: Some(fault(
                "expired",
                504,
                "the upstream's own task did not end in time; it may still be at work",
            )),
            ..Change::default()
        };
        self.works
            .settle(self.id, Event::Expire, change, None)
            .await;
    }
}

/// An answer as it is kept for who asked for the task.
fn kept(record: &Record, trail: &Trail, answer: OwnAnswer) -> Answer {
    let asking = &trail.followed.asking;
    let upstream = &asking.upstream;
    let lists = fields::listed(upstream, &record.requested.route);
    fields::kept(answer, &asking.headers, upstream.rewriter(), lists)
}

/// What the upstream itself said of the end; none where it is too long to be kept.
fn raw(record: &Record, trail: &Trail, end: &End) -> Option<Raw> {
    if end.told == Told::AsRead && !matches!(end.became, Became::Aborted | Became::Expired) {
        return Some(Raw::Same);
    }
    let read = end.read.as_ref()?;
    Raw::apart(kept(record, trail, copy(read)))
}

/// Whether a change that was taken and not made may be asked for again.
fn may_again(record: &Record) -> bool {
    let taken = record.history.iter();
    let taken = taken.filter(|moved| moved.event == Event::Started).count();
    record.requested.replay == Replay::AtLeastOnce && taken <= MOST_AGAIN
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn fault(kind: &'static str, status: u16, detail: &str) -> Fault {
    Fault {
        kind,
        status,
        detail: detail.to_owned(),
    }
}

fn failed(answer: Option<&Answer>, said: Option<Failure>) -> Fault {
    let status = answer.map_or(502, |answer| answer.status);
    let said = said.and_then(|said| said.kind.or(said.message));
    let detail = said.unwrap_or_else(|| "the upstream's own task failed".to_owned());
    fault("upstream-error", status, &detail)
}

fn of(made: Made) -> OwnAnswer {
    let fields = made.headers.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    });
    let headers: HeaderMap = fields.collect();
    OwnAnswer {
        status: made.status,
        headers,
        body: Bytes::from(made.body),
    }
}
