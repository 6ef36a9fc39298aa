//! A task goes up: committed before its first byte does, and its end committed with its answer.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;
use tokio::time::{Instant, timeout, timeout_at};

use super::asking::Asking;
use super::commit::Unmade;
use super::fields;
use super::ghosts::Lost;
use super::job::{Job, Ready};
use super::native::Form;
use super::pause::back_off;
use super::recover;
use super::verdict::{MOST_REFUSED, Said, Verdict, refusal, verdict};
use super::wake::Wake;
use crate::admit::{Claim, Pushback, Why};
use crate::call::Spoken;
use crate::dialect::come_back;
use crate::forward::{Carried, Carrier, Freight, OwnAnswer, Upstream};
use crate::task::desk::Change;
use crate::task::port::{Answer, SeatChange};
use crate::task::record::{Fault, Mode, Outcome, Record, Source};
use crate::task::state::{Event, State};

/// Largest body of an answer that is kept, bytes, where no limit says less.
const LARGEST: usize = 64 * 1024 * 1024;
/// Largest body of an answer that leaves a task in doubt and is kept with it.
const LONGEST_IN_DOUBT: usize = 64 * 1024;
/// The endpoint takes no call, or ends those that it has. A 502 or 504 is said by what stands before it, of a call that may
/// go on behind.
const UNAVAILABLE: u16 = 503;
/// A call that is answered sooner is not noted as in flight: that would cost a commit more.
const SOON: Duration = Duration::from_secs(1);
/// How long a store may take to note it.
const NOTED: Duration = Duration::from_secs(5);
/// Longest time after which an upstream is asked again.
pub(super) const LONGEST_REST: Duration = Duration::from_hours(1);
/// Longest time that a rate is shut by a word of the upstream, as for calls.
const LONGEST_SHUT: Duration = Duration::from_secs(30);

/// What a task is after it went up.
pub(super) struct Up {
    /// Dropped before the claim.
    _wake: Option<Wake>,
    pub(super) claim: Claim,
    pub(super) upstream: Arc<Upstream>,
    spoken: Spoken,
    /// The fields of its request.
    pub(super) asked: HeaderMap,
    /// The upstream's own form, by which it went up, with its body.
    form: Option<Box<Form>>,
    pub(super) went: Instant,
    /// When its call can be at work no more.
    pub(super) hard: Instant,
}

impl Job {
    /// Sends the task up, and sees to what comes of it.
    pub(super) async fn run(&mut self, record: &Arc<Record>, ready: Ready) {
        let works = self.works.clone();
        let _at_work = works.goes_up();
        let _in_use = works.roster.busy(&record.requested);
        let Ready {
            mut claim,
            mut carrier,
            freight,
            asking,
        } = ready;
        let (longest, change) = self.departure(record, &asking);
        let sent = match works.step(self.id, Event::Dispatch, change).await {
            Ok(sent) => sent,
            Err(unmade) => {
                drop((claim, carrier));
                self.not_sent(unmade).await;
                return;
            }
        };
        self.untaken = 0;
        let went = Instant::now();
        // It may have taken so long that a rate has no room any more, or that the upstream has hung up.
        if let Err(refusal) = claim.dispatch((works.clock)()) {
            self.send_back(refusal.retry_after.min(LONGEST_REST), Some(claim))
                .await;
            return;
        }
        if !carrier.is_quiet() {
            // One that hangs up on everybody is not to be asked without a pause.
            let rest = back_off(nth_refusal(record), works.spread.next());
            self.send_back(rest, Some(claim)).await;
            return;
        }
        let mut asking = asking;
        let form = asking.form.take();
        let asking = Arc::new(asking);
        let hard = went + longest;
        let up = Up {
            // What begins a task of the upstream's own holds none of the seats that are left behind.
            _wake: form.is_none().then(|| self.wake(&sent, &asking, hard)),
            claim,
            upstream: asking.upstream.clone(),
            spoken: asking.with(|_, spoken| spoken).unwrap_or(Spoken::Plain),
            asked: asking.headers.clone(),
            form: form.map(|form| Box::new(form.with_body(freight.body.clone()))),
            went,
            hard,
        };
        self.carry(record, up, carrier, freight).await;
    }

    fn wake(&self, sent: &Record, asking: &Arc<Asking>, hard: Instant) -> Wake {
        let left = hard.saturating_duration_since(Instant::now());
        let lost = Lost {
            id: self.id,
            number: sent.fence,
            of: None,
            upstream: asking.upstream.name().clone(),
            since: Some(recover::sent(sent)),
            until: self.works.desk.now().after(left),
        };
        Wake::new(self.works.clone(), asking.clone(), lost, hard)
    }

    /// How long its call may be at work, and what is noted of it before it goes up. What begins a task of the upstream's own
    /// answers at once, and takes no seat of those that block.
    fn departure(&self, record: &Record, asking: &Asking) -> (Duration, Change) {
        let works = &self.works;
        let (longest, mode, seat) = if asking.form.is_some() {
            let longest = asking.upstream.config().response_timeout;
            (longest, Mode::Native, SeatChange::Keep)
        } else {
            let longest = works.longest(&record.requested);
            let until = works.desk.now().after(longest);
            (longest, Mode::Queued, SeatChange::Take { until })
        };
        let change = Change {
            seat,
            mode: Some(mode),
            ..Change::default()
        };
        (longest, change)
    }

    /// The store did not take that the task goes up, so it did not.
    async fn not_sent(&mut self, unmade: Unmade) {
        if matches!(unmade, Unmade::Store) {
            self.untaken += 1;
            let pause = back_off(self.untaken, self.works.spread.next());
            tokio::time::sleep(pause).await;
            return;
        }
        // The store took it after all, an attempt ago, and said that it had not.
        let seen = self.works.desk.watch(self.id);
        let runs = seen.is_some_and(|seen| seen.borrow().status.state() == State::Running);
        if runs {
            self.send_back(Duration::ZERO, None).await;
        }
    }

    async fn carry(&mut self, record: &Arc<Record>, up: Up, carrier: Carrier, freight: Freight) {
        let cap = up.claim.response_cap().filter(|cap| !cap.shadow);
        let cap = cap.map(|cap| (cap.name, usize::try_from(cap.bytes).unwrap_or(LARGEST)));
        let most = cap
            .as_ref()
            .map_or(LARGEST, |(_, bytes)| (*bytes).min(LARGEST));
        let exchange = carrier.carry(freight, most, &self.works.answers);
        let run_for = record.requested.run_for;
        match self.answered(up.hard, run_for, exchange).await {
            Heard::InTime(Carried::Answer(answer)) => self.read(record, up, answer).await,
            Heard::InTime(Carried::TooLong(head)) => {
                if let Some((name, _)) = &cap {
                    up.upstream.stack().note_response_refused(name);
                }
                self.too_long(up, &head, most).await;
            }
            Heard::InTime(Carried::Lost(_)) => self.leave(up).await,
            Heard::Late(came) => self.came_late(up, came).await,
        }
    }

    /// Waits for the answer; past its deadline the task is over, though its call is not.
    async fn answered(
        &self,
        hard: Instant,
        run_for: Duration,
        exchange: impl Future<Output = Carried>,
    ) -> Heard {
        let desk = &self.works.desk;
        let deadline = Instant::now() + run_for;
        let mut exchange = pin!(exchange);
        if let Ok(carried) = timeout(SOON.min(run_for), &mut exchange).await {
            return Heard::InTime(carried);
        }
        {
            let noted = timeout(NOTED, desk.advance(self.id, Event::Sent, Change::default()));
            let mut noted = pin!(noted);
            tokio::select! {
                carried = &mut exchange => {
                    // One step after the other: what ends the task follows on this one.
                    drop(noted.await);
                    return Heard::InTime(carried);
                }
                _ = &mut noted => {}
            }
        }
        if let Ok(carried) = timeout_at(deadline, &mut exchange).await {
            return Heard::InTime(carried);
        }
        let change = Change {
            outcome: Some(Outcome::Unknown),
            error: Some(Fault {
                kind: "expired",
                status: 504,
                detail: "the upstream did not answer in time; it may still be at work".to_owned(),
            }),
            ..Change::default()
        };
        let expired = self.works.settle(self.id, Event::Expire, change, None);
        let (came, ()) = tokio::join!(timeout_at(hard, exchange), expired);
        Heard::Late(came.ok())
    }

    /// The task was over before its call: only the seat is still to be given back.
    async fn came_late(&self, up: Up, came: Option<Carried>) {
        match came {
            Some(Carried::Lost(_)) => {
                self.haunt(up);
                return;
            }
            Some(_) => self.works.release(Some(up.claim)),
            // It can be at work no more.
            None => drop(up.claim),
        }
        // Else a call of it that was lost before may still be at work, and frees the seat when it can be no more.
        if self.last_seat() == SeatChange::Free {
            self.works.free_seat(self.id).await;
        }
    }

    async fn read(&mut self, record: &Arc<Record>, mut up: Up, answer: OwnAnswer) {
        let now = (self.works.clock)();
        up.claim.answer_began(answer.status, 0, now);
        match up.form.take() {
            Some(form) => self.begun(record, up, &form, answer).await,
            None => self.judge(record, up, answer).await,
        }
    }

    pub(super) async fn judge(&mut self, record: &Arc<Record>, up: Up, answer: OwnAnswer) {
        let said = Said {
            spoken: up.spoken,
            status: answer.status,
            headers: &answer.headers,
            body: &answer.body,
        };
        match verdict(up.upstream.config(), &said) {
            Verdict::Over(event, fault) => {
                self.over(
                    up,
                    answer,
                    event,
                    Change {
                        outcome: Some(Outcome::Known),
                        error: fault,
                        ..Change::default()
                    },
                )
                .await;
            }
            Verdict::Unauthenticated(fault) => {
                self.over(up, answer, Event::Fail, not_executed(fault))
                    .await;
            }
            Verdict::Refused => self.refused(record, up, answer).await,
            Verdict::InDoubt => {
                let is_over = answer.status == UNAVAILABLE;
                self.doubtful = kept_in_doubt(&up, answer);
                if is_over {
                    self.closed(up).await;
                } else {
                    self.leave(up).await;
                }
            }
        }
    }

    async fn over(&self, up: Up, answer: OwnAnswer, event: Event, change: Change) {
        let answer = fields::kept(answer, &up.asked, up.upstream.rewriter());
        let change = Change {
            seat: self.last_seat(),
            result: Some(fields::head(&answer, Source::Answer)),
            answer: Some(answer),
            ..change
        };
        self.works
            .settle(self.id, event, change, Some(up.claim))
            .await;
    }

    /// The upstream has spoken, at greater length than is kept.
    async fn too_long(&self, up: Up, head: &OwnAnswer, most: usize) {
        let status = head.status;
        let change = Change {
            seat: self.last_seat(),
            outcome: Some(Outcome::Known),
            error: Some(Fault {
                kind: "answer-too-large",
                status: 502,
                detail: format!(
                    "the upstream answered {status}, with more than the {most} bytes that are kept: what it did is done, and what it said is lost"
                ),
            }),
            ..Change::default()
        };
        self.works
            .settle(self.id, Event::Fail, change, Some(up.claim))
            .await;
    }

    /// The upstream refused the task by itself: its limit shrinks, and the task goes back to its line.
    pub(super) async fn refused(&self, record: &Arc<Record>, up: Up, answer: OwnAnswer) {
        let nth = nth_refusal(record);
        let come_back = self.shrink(&up, &answer);
        if nth > MOST_REFUSED {
            let fault = refusal(answer.status, None);
            self.over(up, answer, Event::Fail, not_executed(fault))
                .await;
            return;
        }
        let rest = come_back.unwrap_or_else(|| back_off(nth, self.works.spread.next()));
        self.send_back(rest.min(LONGEST_REST), Some(up.claim)).await;
    }

    /// Lets the limit shrink that the upstream refused for, as for calls; in how long it wants to be asked again.
    fn shrink(&self, up: &Up, answer: &OwnAnswer) -> Option<Duration> {
        let exhausted = come_back::exhausted(&answer.headers);
        let stated = come_back::retry_after(&answer.headers, SystemTime::now());
        let come_back = stated.or_else(|| exhausted.and_then(|one| one.until));
        let why = match answer.status {
            _ if exhausted.is_some_and(|one| one.until.is_some()) => Why::Rate,
            429 => Why::Rate,
            423 | 503 => Why::Full,
            _ if answer.headers.contains_key(RETRY_AFTER) => Why::Full,
            _ => return come_back,
        };
        let said = Pushback {
            why,
            come_back: come_back.map(|come_back| come_back.min(LONGEST_SHUT)),
            policy: exhausted.map(|one| one.policy),
        };
        if up.upstream.config().learn
            && let Some(limit) = up.claim.pushed_back(&said, (self.works.clock)())
        {
            tracing::debug!(%limit, status = answer.status, "the upstream refuses by itself: this limit shrinks");
        }
        come_back
    }
}

/// An answer that does not say what became of the task, where it is short: it is kept for as long as the task is in doubt.
pub(super) fn kept_in_doubt(up: &Up, answer: OwnAnswer) -> Option<Answer> {
    let is_short = answer.body.len() <= LONGEST_IN_DOUBT;
    is_short.then(|| fields::kept(answer, &up.asked, up.upstream.rewriter()))
}

/// It fails, and provably did nothing.
fn not_executed(fault: Fault) -> Change {
    Change {
        outcome: Some(Outcome::NotApplied),
        error: Some(fault),
        not_executed: true,
        ..Change::default()
    }
}

/// Which refusal of the task the next one is; the first is 1.
fn nth_refusal(record: &Record) -> u32 {
    let moves = record.history.iter();
    let refusals = moves.filter(|moved| moved.event == Event::Refused).count();
    u32::try_from(refusals)
        .unwrap_or(u32::MAX)
        .saturating_add(1)
}

/// What came of waiting for an answer.
enum Heard {
    InTime(Carried),
    /// The task had expired; nothing where its call never ended.
    Late(Option<Carried>),
}
