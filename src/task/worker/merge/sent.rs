//! A call goes up: committed for all its members before its first byte does.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::call::{After, Loaded, Up};
use super::came::Came;
use super::gathered::{Key, Way};
use super::overdue::overdue;
use crate::dialect::adapter::merged_patch;
use crate::forward::{Carried, Carrier, Freight};
use crate::task::desk::Change;
use crate::task::id::TaskId;
use crate::task::port::SeatChange;
use crate::task::record::Mode;
use crate::task::state::{Event, State};
use crate::task::worker::commit::Unmade;
use crate::task::worker::ghosts::Lost;
use crate::task::worker::pause::back_off;
use crate::task::worker::recover::sent;
use crate::task::worker::run::{LARGEST, LONGEST_REST};
use crate::task::worker::wake::Wake;
use crate::task::worker::works::Works;

impl Works {
    /// Commits that all of them go up, sends them, and sees to what comes of it.
    pub(super) async fn send_up(
        self: &Arc<Self>,
        (key, way): (&Key, &Way),
        mut up: Up,
        mut carrier: Carrier,
        members: Vec<Loaded>,
    ) -> Came {
        let lead = members.last();
        let _in_use = lead.and_then(|lead| self.roster.busy(&lead.record.requested));
        let (members, is_kept) = self.dispatched(key, &up, members).await;
        if members.is_empty() && is_kept {
            return (members, After::Over);
        }
        // The seat is noted of the lead, and so are its end and its loss: without it nothing goes up.
        let has_lead = members.iter().any(|one| one.id == up.lead);
        // It may have taken so long that a rate has no room any more, or that the upstream has hung up.
        let unready = if is_kept && !has_lead {
            Some(Duration::ZERO)
        } else if is_kept {
            match up.claim.dispatch((self.clock)()) {
                Err(refusal) => Some(refusal.retry_after.min(LONGEST_REST)),
                Ok(()) if carrier.is_quiet() => None,
                Ok(()) => Some(back_off(1, self.spread.next())),
            }
        } else {
            Some(back_off(1, self.spread.next()))
        };
        if let Some(rest) = unready {
            drop(up.claim);
            self.put_off(&members, up.lead, rest).await;
            return (members, After::Rest(rest));
        }
        up.went = Instant::now();
        let (lost, hard) = (self.lost_call(&up, &members), up.hard());
        up.wake = Some(Wake::new(self.clone(), up.asking.clone(), lost, hard));
        self.carried((key, way), up, carrier, members).await
    }

    /// The call, as one that nobody listens to: it stands for its lead, who has its seat in the store.
    pub(super) fn lost_call(&self, up: &Up, members: &[Loaded]) -> Lost {
        let lead = members.iter().find(|one| one.id == up.lead);
        let left = up.hard().saturating_duration_since(Instant::now());
        Lost {
            id: up.lead,
            number: lead.map_or(0, |one| one.record.fence),
            of: None,
            upstream: up.upstream.name().clone(),
            since: lead.map(|one| sent(&one.record)),
            until: self.desk.now().after(left),
        }
    }

    async fn carried(
        self: &Arc<Self>,
        (key, way): (&Key, &Way),
        up: Up,
        carrier: Carrier,
        members: Vec<Loaded>,
    ) -> Came {
        tracing::debug!(upstream = %up.upstream.name(), path = %key.path, requests = members.len(), "requests go up as one");
        let freight = Freight {
            method: up.asking.method.clone(),
            target: up.asking.target.clone(),
            headers: up.asking.headers.clone(),
            body: merged_patch(&way.merge, members.iter().map(|one| &one.patch)).into(),
        };
        let cap = up.claim.response_cap().filter(|cap| !cap.shadow);
        let most = cap.as_ref().map_or(LARGEST, |cap| {
            usize::try_from(cap.bytes).unwrap_or(LARGEST).min(LARGEST)
        });
        let exchange = timeout_at(up.hard(), carrier.carry(freight, most, &self.answers));
        let came = tokio::select! {
            biased;
            came = exchange => came,
            // It goes on without them.
            never = self.end_late(overdue(&up, &members)) => match never {},
        };
        match came {
            Ok(Carried::Answer(answer)) => self.judged(key, up, members, answer).await,
            Ok(Carried::TooLong(head)) => {
                if let Some(cap) = &cap {
                    up.upstream.stack().note_response_refused(&cap.name);
                }
                self.too_long(key, up, members, (&head, most)).await
            }
            Ok(Carried::Lost(_)) => self.leave_all(key, up, members).await,
            // It can be at work no more.
            Err(_) => self.close_all(key, up, members).await,
        }
    }

    /// Commits for each that it goes up; who was taken back meanwhile is left out. Whether the store took it of all others.
    async fn dispatched(
        self: &Arc<Self>,
        key: &Key,
        up: &Up,
        members: Vec<Loaded>,
    ) -> (Vec<Loaded>, bool) {
        let now = self.desk.now();
        let until = now.after(up.upstream.config().response_timeout);
        // Whose time to begin is up says so itself.
        let is_late = |one: &Loaded| {
            one.record
                .requested
                .start_deadline
                .is_some_and(|by| by <= now)
        };
        let (late, members): (Vec<_>, Vec<_>) = members.into_iter().partition(is_late);
        let mut gone: Vec<TaskId> = late.iter().map(|one| one.id).collect();
        let mut steps = JoinSet::new();
        for one in members {
            let seat = if one.id == up.lead {
                SeatChange::Take { until }
            } else {
                SeatChange::Keep
            };
            let change = Change {
                seat,
                mode: Some(Mode::Merged),
                ..Change::default()
            };
            let works = self.clone();
            steps.spawn(async move { works.departs(one, change).await });
        }
        let (mut going, mut is_kept) = (Vec::new(), true);
        while let Some(step) = steps.join_next().await {
            match step.unwrap_or(Departed::Not) {
                Departed::Up(one) => going.push(*one),
                Departed::UpAfterAll(one) => {
                    is_kept = false;
                    going.push(*one);
                }
                Departed::Not => is_kept = false,
                Departed::Gone(id) => gone.push(id),
            }
        }
        self.gathered.with(key, |queue| queue.finish(&gone));
        going.sort_unstable_by_key(|one| one.id);
        (going, is_kept)
    }

    /// Commits of one that it goes up.
    async fn departs(&self, mut one: Loaded, change: Change) -> Departed {
        let unmade = match self.step(one.id, Event::Dispatch, change).await {
            Ok(record) => {
                one.record = record;
                return Departed::Up(Box::new(one));
            }
            Err(unmade) => unmade,
        };
        let seen = self.desk.watch(one.id);
        if seen.is_some_and(|now| now.borrow().status.state() == State::Running) {
            return Departed::UpAfterAll(Box::new(one));
        }
        match unmade {
            Unmade::Store => Departed::Not,
            Unmade::Elsewhere => Departed::Gone(one.id),
        }
    }

    /// Nothing of it was executed: all of them are as if they had never left.
    pub(super) async fn put_off(
        self: &Arc<Self>,
        members: &[Loaded],
        lead: TaskId,
        rest: Duration,
    ) {
        let not_before = self.desk.now().after(rest);
        let changed = |one: &Loaded| Change {
            seat: if one.id == lead {
                SeatChange::Free
            } else {
                SeatChange::Keep
            },
            not_before: Some(not_before),
            mode: Some(Mode::Queued),
            ..Change::default()
        };
        self.settle_all(members, Event::Refused, changed).await;
    }

    /// Makes the same step of each.
    pub(super) async fn settle_all(
        self: &Arc<Self>,
        members: &[Loaded],
        event: Event,
        change: impl Fn(&Loaded) -> Change,
    ) {
        let mut steps = JoinSet::new();
        for one in members {
            let (works, id, change) = (self.clone(), one.id, change(one));
            steps.spawn(async move { works.settle(id, event, change, None).await });
        }
        // One that breaks is taken up by its job.
        while steps.join_next().await.is_some() {}
    }
}

/// Whether the store took it that a request goes up.
enum Departed {
    /// It did.
    Up(Box<Loaded>),
    /// It did, and said that it had not.
    UpAfterAll(Box<Loaded>),
    /// It did not.
    Not,
    /// The task was taken back.
    Gone(TaskId),
}
