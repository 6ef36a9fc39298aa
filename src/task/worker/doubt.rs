//! A task whose answer is lost: sent again where that does no harm, else the upstream is asked what became of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::asking::Asking;
use super::fields;
use super::job::Job;
use super::pause::back_off;
use super::place::from_now;
use super::probe::{self, Sight};
use super::recover::sent;
use super::verdict::{AfterLoss, after_loss};
use super::works::Works;
use crate::config::{self, Probe};
use crate::forward::OwnAnswer;
use crate::task::desk::Change;
use crate::task::port::{Answer, SeatChange};
use crate::task::record::{Fault, Mode, Outcome, Record, Source};
use crate::task::state::Event;

/// Longest answer to a probe, bytes.
const LONGEST: usize = 1024 * 1024;

/// A question that can be asked.
struct Question {
    probe: Probe,
    asking: Asking,
    /// The fields of the call itself.
    asked: http::HeaderMap,
}

/// What asking came to.
enum Found {
    /// It was done: what the upstream shows of it.
    Done(Box<OwnAnswer>),
    /// It can be at work no more, and nothing of it is there.
    NotDone,
    /// The upstream did not say.
    NoWord,
}

impl Works {
    /// The route that made a task of a call, if it is still there.
    pub(super) fn route(&self, record: &Record) -> Option<config::Route> {
        let upstream = self.upstream(&record.requested.upstream)?;
        let mut routes = upstream.config().routes.iter();
        let route = routes.find(|route| *route.name == *record.requested.route);
        route.cloned()
    }
}

impl Job {
    /// The answer to the task is lost.
    pub(super) async fn lost(&mut self, record: &Arc<Record>) -> bool {
        self.works
            .settle(self.id, Event::Lost, Change::default(), None)
            .await;
        tracing::info!(task = %self.id, upstream = %record.requested.upstream, "the answer to a task is lost");
        true
    }

    /// Finds out what became of a task whose answer is lost.
    pub(super) async fn in_doubt(&mut self, record: &Arc<Record>) -> bool {
        if record.mode == Mode::Merged
            && let Some(gathering) = Box::pin(self.gathering(record)).await
        {
            return self.doubted(record, gathering).await;
        }
        self.expected = None;
        if Box::pin(self.is_found(record)).await {
            return true;
        }
        if record.mode == Mode::Native && Box::pin(self.looks_back(record)).await {
            return true;
        }
        let route = self.route(record);
        let probe = route.as_ref().and_then(|route| route.work.probe.clone());
        let probe = match probe {
            Some(probe) => Some(probe),
            None => self.own_probe(record).await,
        };
        let lost = record
            .history
            .iter()
            .filter(|moved| moved.event == Event::Lost);
        let lost = lost.count();
        match after_loss(record.requested.replay, lost, probe.is_some()) {
            AfterLoss::Resend => {
                let nth = u32::try_from(lost).unwrap_or(u32::MAX);
                let rest = back_off(nth, self.works.spread.next());
                self.again(rest).await;
            }
            AfterLoss::Unknown => self.unknown().await,
            AfterLoss::Ask => match self.question(record, probe).await {
                Some(question) => {
                    let requeue = route.is_some_and(|route| route.work.requeue);
                    self.ask(record, question, requeue).await;
                }
                None => self.unknown().await,
            },
        }
        true
    }

    pub(super) fn route(&self, record: &Record) -> Option<config::Route> {
        // What the route says of its calls, it does not say of what makes up for one.
        if record.is_compensation() {
            return None;
        }
        self.works.route(record)
    }

    /// How the upstream's own form has it asked after.
    async fn own_probe(&self, record: &Record) -> Option<Probe> {
        let (asking, form) = self.following(record).await?;
        // What an upstream that is asynchronous by itself was sent, went up by that form whatever came of it.
        let by_it = !form.begins_at_once() && asking.upstream.config().native;
        let went_by_it = by_it || record.mode == Mode::Native;
        form.probe().filter(|_| went_by_it).cloned()
    }

    async fn question(&self, record: &Record, probe: Option<Probe>) -> Option<Question> {
        let probe = probe?;
        let parcel = self.parcel().await.ok()?;
        let target = probe::target(&probe, &parcel.target, &parcel.body)?;
        let called = self.asking(record).await.ok()?;
        let mut asking = called.question(target);
        asking.headers = probe::fields(&called.headers);
        // One that no client could ask is none.
        asking.with(|_, _| ()).ok()?;
        Some(Question {
            probe,
            asking,
            asked: parcel.headers,
        })
    }

    async fn ask(&mut self, record: &Arc<Record>, question: Question, requeue: bool) {
        let found = self.asked(record, &question).await;
        match found {
            Found::Done(answer) => {
                let rewriter = question.asking.upstream.rewriter();
                // It answers the gate's own question: no route lists fields of that.
                let answer = fields::kept(*answer, &question.asked, rewriter, &[]);
                // One of its calls did it: those before the last may be at work still.
                self.works.ghosts.lay_one(self.id, record.fence);
                self.done(answer).await;
            }
            Found::NotDone => {
                self.works.ghosts.lay(self.id);
                if requeue {
                    self.again(Duration::ZERO).await;
                } else {
                    self.not_applied().await;
                }
            }
            Found::NoWord => self.unknown().await,
        }
    }

    /// Asks until the upstream has said what became of the task, or says nothing of use for too long.
    async fn asked(&self, record: &Arc<Record>, question: &Question) -> Found {
        let works = &*self.works;
        // Both are measured once: no jump of the clock moves them.
        let longest = works.longest(&record.requested);
        let gone = sent(record).after(longest).since(works.desk.now());
        let over = from_now(gone.min(longest));
        let mut speechless = Instant::now() + works.reconcile;
        loop {
            let answer = works
                .answer(&question.asking, Bytes::new(), LONGEST, works.reconcile)
                .await;
            let sight = answer.as_ref().map_or(Sight::NoWord, |answer| {
                probe::sight(&question.probe, answer.status, &answer.body)
            });
            let now = Instant::now();
            match (sight, answer) {
                (Sight::There, Some(answer)) => return Found::Done(Box::new(answer)),
                (Sight::NotThere, _) if now >= over => return Found::NotDone,
                (Sight::NotThere, _) => speechless = now + works.reconcile,
                _ if now >= speechless => return Found::NoWord,
                _ => {}
            }
            sleep(question.probe.every).await;
        }
    }

    pub(super) async fn again(&self, rest: Duration) {
        let change = Change {
            seat: SeatChange::Free,
            not_before: Some(self.works.desk.now().after(rest)),
            ..Change::default()
        };
        self.works.settle(self.id, Event::Again, change, None).await;
    }

    pub(super) async fn done(&self, answer: Answer) {
        let change = Change {
            seat: SeatChange::Free,
            outcome: Some(Outcome::Known),
            result: Some(fields::head(&answer, Source::Probe)),
            answer: Some(answer),
            ..Change::default()
        };
        self.works
            .settle(self.id, Event::Complete, change, None)
            .await;
    }

    pub(super) async fn not_applied(&self) {
        let change = Change {
            seat: SeatChange::Free,
            outcome: Some(Outcome::NotApplied),
            error: Some(not_applied()),
            ..Change::default()
        };
        self.works.settle(self.id, Event::Fail, change, None).await;
    }

    /// Nobody will know. The call may still be at work, and holds its seat as long as it can be.
    pub(super) async fn unknown(&mut self) {
        let answer = self.doubtful.take();
        let change = Change {
            seat: SeatChange::Free,
            outcome: Some(Outcome::Unknown),
            error: Some(unknown()),
            result: answer
                .as_ref()
                .map(|answer| fields::head(answer, Source::Answer)),
            answer,
            ..Change::default()
        };
        self.works.settle(self.id, Event::Fail, change, None).await;
    }
}

/// The call did nothing, which is proven.
pub(super) fn not_applied() -> Fault {
    Fault {
        kind: "not-applied",
        status: 502,
        detail: "the answer was lost, and the operation was not applied: it may be submitted again"
            .to_owned(),
    }
}

/// Nobody will know what the call did.
pub(super) fn unknown() -> Fault {
    Fault {
        kind: "outcome-unknown",
        status: 502,
        detail: "The gate lost the answer; the operation may have been applied. Check the target before submitting again.".to_owned(),
    }
}
