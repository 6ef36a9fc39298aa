//! What the store remembers of the process before: taken up before a client is let in.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use super::asking::Asking;
use super::ghosts::Lost;
use super::works::Works;
use crate::session::StoreError;
use crate::task::parcel::Parcel;
use crate::task::port::Kept;
use crate::task::record::{Millis, Mode, Record};
use crate::task::state::{Event, State, Status};

/// Tasks that are read in one go.
const PAGE: usize = 500;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Tasks that wait for their turn.
    pub waiting: usize,
    /// Tasks that were at work: what became of them is to be found out.
    pub in_doubt: usize,
    /// Tasks that the upstream's own task does: they are followed from where they are.
    pub followed: usize,
    /// Calls of the process before that may still be at work.
    pub seats: usize,
}

impl Works {
    /// Takes up every task of the store.
    pub(super) async fn recover(self: &Arc<Self>) -> Result<Recovered, StoreError> {
        let mut found = Recovered::default();
        let mut after = None;
        loop {
            let page = self.desk.store().unfinished(after, PAGE).await?;
            let Some(last) = page.last() else {
                self.recover_seats(&mut found).await?;
                return Ok(found);
            };
            after = Some(last.record.id);
            for kept in page {
                self.take_up(kept, &mut found).await;
            }
        }
    }

    async fn take_up(self: &Arc<Self>, kept: Kept, found: &mut Recovered) {
        let Kept { record, seat } = kept;
        let state = record.status.state();
        // A task at work without a seat is none that this version leaves; it holds one all the same. One in doubt has none where
        // its call is known to be over.
        let is_up = state == State::Running && record.status != Status::Reconciling;
        let has_seat = is_up && record.mode == Mode::Queued;
        let until = seat.or_else(|| has_seat.then(|| self.latest_end(&record)));
        if until.is_some_and(|until| until <= self.desk.now()) {
            self.free_seat(record.id).await;
        } else if let Some(until) = until {
            let is_held = self.hold(&record, until).await;
            found.seats += usize::from(is_held);
            if !is_held {
                self.unheld.lock().insert(record.id);
            }
        }
        match (state, record.status) {
            (State::Scheduled, _) => found.waiting += 1,
            (_, Status::Polling | Status::Blocked | Status::Canceling) => found.followed += 1,
            (State::Running, _) => found.in_doubt += 1,
            _ => return,
        }
        self.desk.restore(&record);
    }

    /// When its last call can be at work no more.
    pub(super) fn latest_end(&self, record: &Record) -> Millis {
        sent(record).after(self.longest(&record.requested))
    }

    /// Holds the seats of the last call of a task, which this process did not send, or has lost sight of, until then. False where
    /// its upstream is gone, or its routes cannot read the call any more: then nobody does, but the store remembers, as the next
    /// start may have them back.
    pub(super) async fn hold(self: &Arc<Self>, record: &Arc<Record>, until: Millis) -> bool {
        let id = record.id;
        let requested = &record.requested;
        let asking = self.upstream(&requested.upstream).cloned().map(|upstream| {
            let caller = self.roster.caller(upstream.index(), requested);
            (upstream, caller)
        });
        let Some((upstream, caller)) = asking else {
            return false;
        };
        let sent = self.sent(record).await;
        let asking = Asking::new(upstream.clone(), requested, sent, caller);
        let now = (self.clock)();
        let held =
            asking.and_then(|asking| asking.with(|call, _| upstream.stack().hold_left(call, now)));
        let Ok(seats) = held else {
            return false;
        };
        // Whatever the clock says, no longer than a call may take.
        let left: Duration = until.since(self.desk.now()).min(self.longest(requested));
        // What begins a task of the upstream's own takes no seat in the store: one that is there is of a call before.
        let is_last = record.mode != Mode::Native;
        let lost = Lost {
            id,
            number: if is_last { record.fence } else { 0 },
            of: None,
            upstream: requested.upstream.clone(),
            since: Some(self::sent(record)),
            until,
        };
        self.haunt(lost, seats, left);
        true
    }

    /// Target and fields of its request, where they are still kept and can be read: limits may match on them. Else the
    /// target as it may be shown.
    async fn sent(&self, record: &Record) -> (String, HeaderMap) {
        let kept = if record.status.state().is_done() {
            None
        } else {
            let request = self.desk.request(record.id).await;
            request.ok().flatten().and_then(Parcel::decode)
        };
        if let Some(parcel) = kept {
            return (parcel.target, parcel.headers);
        }
        let shown = record.requested.target.trim_end_matches('…');
        (shown.to_owned(), HeaderMap::new())
    }
}

/// When it last went up.
pub(super) fn sent(record: &Record) -> Millis {
    let mut moves = record.history.iter().rev();
    let last = moves.find(|moved| moved.event == Event::Dispatch);
    last.map_or(record.updated, |moved| moved.at)
}
