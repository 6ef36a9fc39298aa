//! The seats of blocking calls that clients hold, as the store remembers them: should the gate die, the upstream may be at work
//! on them still, and the next gate holds their seats.
//!
//! Only of calls that take a seat of a limit on blocking calls, and only where the store outlives the process: each costs one
//! commit more before it goes up.

use super::stage::Stage;
use crate::call::Class;
use crate::task::{Seat, SeatOf};

/// Whether the call is to be noted before it goes up.
pub(super) fn concerns(stage: &Stage) -> bool {
    stage.class == Class::Blocking && stage.seat.is_none() && stage.shared.desk.remembers()
}

/// Notes the seats of the call: nothing of it has gone up.
pub(super) async fn note(stage: &mut Stage) {
    let (Some(claim), Some(upstream)) = (&stage.claim, &stage.upstream) else {
        return;
    };
    let limits = claim.blocking_seats();
    if limits.is_empty() {
        return;
    }
    let desk = stage.shared.desk.clone();
    let now = desk.now();
    let seat = Seat {
        id: desk.new_id(),
        of: SeatOf::Call,
        upstream: upstream.name().clone(),
        limits,
        caller: stage.met.caller,
        address: stage.client,
        since: Some(now),
        until: Some(now.after(stage.shared.tasks.max_blocking)),
    };
    stage.seat = Some(desk.note_seat(seat).await);
}
