//! What came of a call, said of each of its members.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::COOKIE;
use tokio::time::Instant;

use super::call::{After, Loaded, Up};
use super::gathered::Key;
use super::said::{kept, may_be_of_some};
use crate::call::Spoken;
use crate::dialect::credential::is_handed_out;
use crate::dialect::error_type;
use crate::forward::OwnAnswer;
use crate::task::desk::Change;
use crate::task::id::TaskId;
use crate::task::port::SeatChange;
use crate::task::record::{Fault, Outcome, Source};
use crate::task::state::Event;
use crate::task::tally::Merged;
use crate::task::worker::fields;
use crate::task::worker::pause::back_off;
use crate::task::worker::run::{LONGEST_REST, UNAVAILABLE, nth_refusal};
use crate::task::worker::verdict::{MOST_REFUSED, Said, Verdict, refusal, verdict};
use crate::task::worker::works::Works;

/// Who of a call may be needed again, and what follows from it.
pub(super) type Came = (Vec<Loaded>, After);

impl Works {
    pub(super) async fn judged(
        self: &Arc<Self>,
        key: &Key,
        mut up: Up,
        members: Vec<Loaded>,
        answer: OwnAnswer,
    ) -> Came {
        up.claim.answer_began(answer.status, 0, (self.clock)());
        let said = Said {
            spoken: up.asking.with(|_, spoken| spoken).unwrap_or(Spoken::Plain),
            status: answer.status,
            headers: &answer.headers,
            body: &answer.body,
        };
        // It is the word on the credentials of the lead, as that of any call is on its own.
        let asked = (said.spoken, &up.asking.headers);
        self.roster.answered(key.upstream, asked, answer.status);
        match verdict(up.upstream.config(), &said) {
            Verdict::Over(Event::Fail, _) if members.len() > 1 && may_be_of_some(answer.status) => {
                self.count(&up, Merged::Halved, members.len());
                let lead = up.lead;
                self.release(Some(up.ended().0));
                self.put_off(&members, lead, Duration::ZERO).await;
                let halves = halves(&members);
                (members, After::Next(halves))
            }
            Verdict::Over(event, fault) => {
                self.count(&up, Merged::Known, members.len());
                let change = spoken(&said, event, fault);
                self.over((key, up), members, (event, change), &answer)
                    .await;
                (Vec::new(), After::Over)
            }
            Verdict::Unauthenticated(fault) => {
                self.unknown_to_upstream(key, up, members, (fault, &answer))
                    .await
            }
            Verdict::Refused => self.refused_all(key, up, members, &answer).await,
            Verdict::InDoubt if answer.status == UNAVAILABLE => {
                self.close_all(key, up, members).await
            }
            Verdict::InDoubt => self.leave_all(key, up, members).await,
        }
    }

    /// The upstream has spoken: they end by this event, with its answer.
    async fn over(
        self: &Arc<Self>,
        (key, up): (&Key, Up),
        members: Vec<Loaded>,
        (event, change): (Event, Change),
        answer: &OwnAnswer,
    ) {
        let (claim, upstream) = up.ended();
        let rewriter = upstream.rewriter();
        let changed = |one: &Loaded| {
            let answer = kept(answer, (&one.headers, rewriter), (members.len(), &key.path));
            Change {
                seat: SeatChange::Free,
                result: Some(fields::head(&answer, Source::Answer)),
                answer: Some(answer),
                ..change.clone()
            }
        };
        self.release(Some(claim));
        self.settle_all(&members, event, changed).await;
        let ids: Vec<TaskId> = members.iter().map(|one| one.id).collect();
        self.gathered.with(key, |queue| queue.finish(&ids));
    }

    pub(super) async fn too_long(
        self: &Arc<Self>,
        key: &Key,
        up: Up,
        members: Vec<Loaded>,
        (head, most): (&OwnAnswer, usize),
    ) -> Came {
        let detail = format!(
            "the upstream answered {}, with more than the {most} bytes that are kept: what it did is done, and what it said is lost",
            head.status
        );
        self.count(&up, Merged::Known, members.len());
        self.release(Some(up.ended().0));
        let changed = |_: &Loaded| Change {
            seat: SeatChange::Free,
            outcome: Some(Outcome::Known),
            error: Some(Fault {
                kind: "answer-too-large",
                status: 502,
                detail: detail.clone(),
            }),
            ..Change::default()
        };
        self.settle_all(&members, Event::Fail, changed).await;
        let ids: Vec<TaskId> = members.iter().map(|one| one.id).collect();
        self.gathered.with(key, |queue| queue.finish(&ids));
        (Vec::new(), After::Over)
    }

    /// The upstream does not know the credentials of one of them: who shows the same fails, the others go up with their own.
    async fn unknown_to_upstream(
        self: &Arc<Self>,
        key: &Key,
        up: Up,
        members: Vec<Loaded>,
        (fault, answer): (Fault, &OwnAnswer),
    ) -> Came {
        self.count(&up, Merged::Refused, members.len());
        let asked = up.asking.headers.clone();
        let is_same = |one: &Loaded| shown(&one.headers) == shown(&asked);
        let (same, others): (Vec<_>, Vec<_>) = members.into_iter().partition(is_same);
        self.put_off(&others, up.lead, Duration::ZERO).await;
        let change = Change {
            outcome: Some(Outcome::NotApplied),
            error: Some(fault),
            not_executed: true,
            ..Change::default()
        };
        self.over((key, up), same, (Event::Fail, change), answer)
            .await;
        let ids: Vec<TaskId> = others.iter().map(|one| one.id).collect();
        let next = if ids.is_empty() {
            Vec::new()
        } else {
            vec![ids]
        };
        (others, After::Next(next))
    }

    /// The upstream refused the call by itself: its limit shrinks, and all of them wait to go up again.
    async fn refused_all(
        self: &Arc<Self>,
        key: &Key,
        up: Up,
        members: Vec<Loaded>,
        answer: &OwnAnswer,
    ) -> Came {
        self.count(&up, Merged::Refused, members.len());
        let come_back = self.shrink((&up.claim, &up.upstream), answer);
        let nth = |one: &Loaded| nth_refusal(&one.record);
        let most = members.iter().map(nth).max().unwrap_or(1);
        let (tired, others): (Vec<_>, Vec<_>) =
            members.into_iter().partition(|one| nth(one) > MOST_REFUSED);
        let rest = come_back.unwrap_or_else(|| back_off(most, self.spread.next()));
        let rest = rest.min(LONGEST_REST);
        self.put_off(&others, up.lead, rest).await;
        if tired.is_empty() {
            drop(up.ended());
        } else {
            let change = Change {
                outcome: Some(Outcome::NotApplied),
                error: Some(refusal(answer.status, None)),
                not_executed: true,
                ..Change::default()
            };
            self.over((key, up), tired, (Event::Fail, change), answer)
                .await;
        }
        (others, After::Rest(rest))
    }

    /// Nobody knows what became of the call: it is left behind with its seats.
    pub(super) async fn leave_all(
        self: &Arc<Self>,
        key: &Key,
        up: Up,
        members: Vec<Loaded>,
    ) -> Came {
        self.count(&up, Merged::Unknown, members.len());
        let (lost, hard) = (self.lost_call(&up, &members), up.hard());
        let left = hard.saturating_duration_since(Instant::now());
        let seats = up.claim.leave_behind((self.clock)());
        self.haunt(lost, seats, left);
        self.lost_all(key, members, (SeatChange::Keep, hard)).await
    }

    /// Nobody knows what became of the call, but that it is over upstream.
    pub(super) async fn close_all(
        self: &Arc<Self>,
        key: &Key,
        up: Up,
        members: Vec<Loaded>,
    ) -> Came {
        self.count(&up, Merged::Unknown, members.len());
        drop(up.ended());
        let now = Instant::now();
        self.lost_all(key, members, (SeatChange::Free, now)).await
    }

    /// Counted once it is known what came of it.
    fn count(&self, up: &Up, came: Merged, requests: usize) {
        let tally = self.desk.tally();
        tally.merged(up.upstream.name(), came, requests);
    }

    /// All of them are in doubt; their call can be at work no more from `over` on.
    async fn lost_all(
        self: &Arc<Self>,
        key: &Key,
        members: Vec<Loaded>,
        (seat, over): (SeatChange, Instant),
    ) -> Came {
        tracing::info!(path = %key.path, requests = members.len(), "the answer to requests that went up as one is lost");
        let changed = |_: &Loaded| Change {
            seat,
            ..Change::default()
        };
        self.settle_all(&members, Event::Lost, changed).await;
        let ids: Vec<TaskId> = members.iter().map(|one| one.id).collect();
        self.gathered.with(key, |queue| queue.lose(&ids, over));
        (Vec::new(), After::Lost)
    }
}

/// The upstream has spoken, and what it said is known.
fn spoken(said: &Said<'_>, event: Event, fault: Option<Fault>) -> Change {
    let failed = event == Event::Fail;
    let error_type = failed.then(|| error_type::error_type(said.spoken, said.body));
    Change {
        outcome: Some(Outcome::Known),
        error: fault,
        error_type: error_type.flatten().map(Arc::from),
        ..Change::default()
    }
}

/// The halves of a call that was rejected, in their order.
fn halves(members: &[Loaded]) -> Vec<Vec<TaskId>> {
    let (one, other) = members.split_at(members.len() / 2);
    let ids = |some: &[Loaded]| some.iter().map(|one| one.id).collect();
    vec![ids(one), ids(other)]
}

/// The credentials that a request shows, in whatever field.
fn shown(headers: &HeaderMap) -> Vec<(&str, &[u8])> {
    let fields = headers.iter();
    let fields = fields.filter(|(name, _)| **name == COOKIE || is_handed_out(name));
    let mut shown: Vec<_> = fields
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    shown.sort_unstable();
    shown
}
