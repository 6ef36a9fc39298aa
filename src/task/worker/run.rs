//! A task goes up: committed before its first byte does, and its end committed with its answer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use http::header::RETRY_AFTER;
use tokio::time::{Instant, timeout_at};

use super::asking::Asking;
use super::commit::Unmade;
use super::fields;
use super::ghosts::Lost;
use super::hearing::Heard;
use super::job::{Job, Ready};
use super::native::Form;
use super::pause::back_off;
use super::recover;
use super::verdict::{MOST_REFUSED, Said, Verdict, refusal, verdict};
use super::wake::Wake;
use super::works::Works;
use crate::admit::{Claim, Pushback, Why};
use crate::call::Spoken;
use crate::dialect::{come_back, error_type};
use crate::forward::{Carried, Carrier, Freight, OwnAnswer, Upstream, UpstreamFault};
use crate::task::desk::Change;
use crate::task::port::{Answer, SeatChange};
use crate::task::record::{Fault, Millis, Mode, Outcome, Record, Source};
use crate::task::state::{Event, State};

/// Largest body of an answer that is kept, bytes, where no limit says less.
pub(super) const LARGEST: usize = 64 * 1024 * 1024;
/// Largest body of an answer that leaves a task in doubt and is kept with it.
const LONGEST_IN_DOUBT: usize = 64 * 1024;
/// The endpoint takes no call, or ends those that it has. A 502 or 504 is said by what stands before it, of a call that may
/// go on behind.
pub(super) const UNAVAILABLE: u16 = 503;
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
    /// Its route.
    route: Arc<str>,
    /// The upstream's own form, by which it went up, with its body.
    form: Option<Box<Form>>,
    /// Which call of the task it is, and when it went up.
    pub(super) number: u64,
    pub(super) since: Millis,
    pub(super) went: Instant,
    /// When it can be at work no more.
    pub(super) hard: Instant,
}

impl Up {
    /// Its answer, as it is kept.
    pub(super) fn kept(&self, answer: OwnAnswer) -> Answer {
        let lists = fields::listed(&self.upstream, &self.route);
        fields::kept(answer, &self.asked, self.upstream.rewriter(), lists)
    }
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
            request,
            earlier,
            stood,
        } = ready;
        let (longest, change) = self.departure(record, &asking);
        let change = Change {
            request,
            earlier,
            stood,
            ..change
        };
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
        let up = self.up(
            &sent,
            (asking, claim),
            freight.body.clone(),
            (went, went + longest),
        );
        self.carry(record, up, carrier, freight).await;
    }

    fn up(
        &self,
        sent: &Record,
        (mut asking, claim): (Asking, Claim),
        body: Bytes,
        (went, hard): (Instant, Instant),
    ) -> Up {
        let form = asking.form.take();
        let begins_at_once = form.as_ref().is_some_and(|form| form.begins_at_once());
        let asking = Arc::new(asking);
        Up {
            // What begins a task of the upstream's own holds none of the seats that are left behind.
            _wake: (!begins_at_once).then(|| self.wake(sent, &asking, hard)),
            claim,
            upstream: asking.upstream.clone(),
            spoken: asking.with(|_, spoken| spoken).unwrap_or(Spoken::Plain),
            asked: asking.headers.clone(),
            route: sent.requested.route.clone(),
            form: form.map(|form| Box::new(form.with_body(body))),
            number: sent.fence,
            since: recover::sent(sent),
            went,
            hard,
        }
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

    /// How long its call may be at work, and what is noted of it before it goes up. What asks for a task of the upstream's own
    /// is answered at once, and takes no seat of those that block. An upstream that is asynchronous by itself may do the work
    /// before it answers all the same: its call has the seat until it says that it has begun a task.
    fn departure(&self, record: &Record, asking: &Asking) -> (Duration, Change) {
        let works = &self.works;
        let form = asking.form.as_ref();
        let (longest, mode, seat) = if form.is_some_and(|form| form.begins_at_once()) {
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
        // What begins a task of the upstream's own answers at once, or not at all.
        let is_start = up.form.is_some();
        let (hard, answers) = (up.hard, &self.works.answers);
        let exchange = async move {
            let exchange = carrier.carry(freight, most, answers);
            if !is_start {
                return exchange.await;
            }
            let in_time = timeout_at(hard, exchange).await;
            in_time.unwrap_or(Carried::Lost(UpstreamFault::ResponseTimeout))
        };
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

    async fn read(&mut self, record: &Arc<Record>, mut up: Up, answer: OwnAnswer) {
        let now = (self.works.clock)();
        up.claim.answer_began(answer.status, 0, now);
        let asked = (up.spoken, &up.asked);
        let roster = &self.works.roster;
        roster.answered(up.upstream.index(), asked, answer.status);
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
        let error_type = (event == Event::Fail)
            .then(|| error_type::error_type(up.spoken, &answer.body))
            .flatten();
        let answer = up.kept(answer);
        let change = Change {
            seat: SeatChange::Free,
            error_type: error_type.map(Arc::from),
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
            seat: SeatChange::Free,
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
        let come_back = self.works.shrink((&up.claim, &up.upstream), &answer);
        if nth > MOST_REFUSED {
            let fault = refusal(answer.status, None);
            self.over(up, answer, Event::Fail, not_executed(fault))
                .await;
            return;
        }
        let rest = come_back.unwrap_or_else(|| back_off(nth, self.works.spread.next()));
        self.send_back(rest.min(LONGEST_REST), Some(up.claim)).await;
    }
}

impl Works {
    /// Lets the limit shrink that the upstream refused for, as for calls; in how long it wants to be asked again.
    pub(super) fn shrink(
        &self,
        (claim, upstream): (&Claim, &Upstream),
        answer: &OwnAnswer,
    ) -> Option<Duration> {
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
        if upstream.config().learn
            && let Some(limit) = claim.pushed_back(&said, (self.clock)())
        {
            tracing::debug!(%limit, status = answer.status, "the upstream refuses by itself: this limit shrinks");
        }
        come_back
    }
}

/// An answer that does not say what became of the task, where it is short: it is kept for as long as the task is in doubt.
pub(super) fn kept_in_doubt(up: &Up, answer: OwnAnswer) -> Option<Answer> {
    let is_short = answer.body.len() <= LONGEST_IN_DOUBT;
    is_short.then(|| up.kept(answer))
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
pub(super) fn nth_refusal(record: &Record) -> u32 {
    let moves = record.history.iter();
    let refusals = moves.filter(|moved| moved.event == Event::Refused).count();
    u32::try_from(refusals)
        .unwrap_or(u32::MAX)
        .saturating_add(1)
}
