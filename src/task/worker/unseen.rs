//! Seats that the store remembers and no task stands for that can be read: of calls that clients held when the process before
//! died, and of rows that are damaged. Each call may be at work upstream, so each holds its seat.

use std::sync::Arc;
use std::time::Duration;

use super::ghosts::Lost;
use super::recover::Recovered;
use super::works::Works;
use crate::call::{Call, Class};
use crate::session::StoreError;
use crate::task::port::{Seat, SeatOf};
use crate::task::record::Millis;

impl Works {
    /// Holds every seat that no task stands for.
    pub(super) async fn recover_seats(
        self: &Arc<Self>,
        found: &mut Recovered,
    ) -> Result<(), StoreError> {
        for seat in self.desk.store().seats().await? {
            found.seats += usize::from(self.hold_unseen(&seat).await);
        }
        Ok(())
    }

    /// False where its time is up, or its upstream is gone.
    async fn hold_unseen(self: &Arc<Self>, seat: &Seat) -> bool {
        let now = self.desk.now();
        let until = self.until(seat, now).await;
        let left = until.since(now);
        // Without it the next start would hold a damaged row's anew.
        if left.is_zero() && seat.of == SeatOf::Call {
            self.free_seat(seat.id).await;
        }
        let upstream = self.upstream(&seat.upstream);
        let Some(upstream) = upstream.filter(|_| !left.is_zero()) else {
            return false;
        };
        let mut call = Call::new(Class::Blocking, "/", seat.address);
        call.caller = seat.caller;
        let stack = upstream.stack();
        let seats = stack.hold_named(&call, &seat.limits, (self.clock)());
        if seat.of == SeatOf::Unreadable {
            tracing::error!(task = %seat.id, upstream = %seat.upstream, limits = ?seats.limits(), left_seconds = left.as_secs(), "a task of the store cannot be read, and its call may be at work: it holds its seats");
        }
        let lost = Lost {
            id: seat.id,
            number: 0,
            of: Some(seat.of),
            upstream: seat.upstream.clone(),
            since: seat.since,
            until: now.after(left),
        };
        // Whatever the clock says, no longer than a call may take.
        self.haunt(lost, seats, left.min(self.longest_unseen()));
        true
    }

    /// When it is free whatever happens. Where nothing says that, it is counted from the first start that finds it, and kept: each
    /// start after would count from itself.
    async fn until(&self, seat: &Seat, now: Millis) -> Millis {
        if let Some(until) = seat.until {
            return until;
        }
        let until = now.after(self.max_blocking);
        let counted = Seat {
            until: Some(until),
            ..seat.clone()
        };
        if let Err(error) = self.desk.store().take_seat(&counted).await {
            self.store_fails(seat.id, &error);
        }
        until
    }

    fn longest_unseen(&self) -> Duration {
        // Of a row that cannot be read it is not known how long its route lets it run.
        self.max_blocking.max(LONGEST)
    }
}

/// The longest run that a route may ask for.
const LONGEST: Duration = Duration::from_hours(7 * 24);
