//! Tasks in the same lines as calls, and the seats of calls that nobody listens to any more.

use std::num::NonZeroU32;
use std::task::{Context, Waker};

use super::*;
use crate::admit::{Entry, Terms, Waiting};
use crate::call::Reason;
use crate::limit::Rank;

const TASK: Terms = Terms {
    rank: Rank::Usual,
    weight: NonZeroU32::MIN,
    patience: Terms::ENDLESS,
};
const CALL: Terms = Terms {
    patience: Duration::from_hours(1),
    ..TASK
};

/// One seat, and a line with one place.
fn narrow() -> Arc<Stack> {
    let mut limit = seats("x", 1);
    limit.wait = Wait {
        line: 1,
        per_user: 1,
        at_most: SECOND,
    };
    stack(vec![limit])
}

fn stands(stack: &Arc<Stack>, from: u8, terms: Terms) -> Result<Waiting, Reason> {
    match stack.enter(&rest(from), || terms, at(1)) {
        Entry::Waits(waiting) => Ok(waiting),
        Entry::Passed(_) => panic!("it passes"),
        Entry::Refused(refusal) => Err(refusal.reason),
    }
}

fn is_called(waiting: &mut Waiting) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    std::pin::Pin::new(waiting).poll(&mut context).is_ready()
}

#[test]
fn tasks_take_no_place_of_a_line_and_no_longest_wait_ends_theirs() {
    let stack = narrow();
    let held = stack.claim(&rest(9), at(0)).unwrap();
    let mut tasks: Vec<Waiting> = (0..100).map(|_| stands(&stack, 1, TASK).unwrap()).collect();
    assert!(tasks[0].until() > at(u64::from(u32::MAX)));
    // The one place is still there, for a call; and no more than one.
    let mut call = stands(&stack, 2, CALL).unwrap();
    assert_eq!(stands(&stack, 3, CALL).unwrap_err(), Reason::LineFull);
    // Users take turns: one task, then the call, then tasks again.
    drop(held);
    assert!(!is_called(&mut call));
    assert!(is_called(&mut tasks[0]));
    assert!(is_called(&mut call));
    assert!(is_called(&mut tasks[1]));
    drop((call, tasks));
    drop(stands_or_passes(&stack));
    audited(&stack);
}

fn stands_or_passes(stack: &Arc<Stack>) -> Claim {
    stack
        .claim(&rest(4), at(2))
        .expect("everything was given back")
}

#[test]
fn a_call_left_behind_keeps_its_seats_and_nothing_else() {
    let stack = stack(vec![
        sockets("sockets", 5),
        seats("seats", 2),
        rate("rate", 5),
    ]);
    let claim = stack.claim(&rest(1), at(0)).unwrap();
    let left = claim.leave_behind(at(1));
    assert_eq!(left.seats(), 1);
    assert_eq!(view(&stack, "sockets", at(1)).in_use, 0);
    assert_eq!(view(&stack, "seats", at(1)).in_use, 1);
    audited(&stack);
    drop(left);
    assert_eq!(view(&stack, "seats", at(1)).in_use, 0);
    audited(&stack);
}

#[test]
fn what_a_dead_process_left_counts_above_the_ceiling_and_its_end_calls_the_next() {
    let stack = narrow();
    let left: Vec<_> = (0..3).map(|_| stack.hold_left(&rest(1), at(0))).collect();
    assert_eq!(view(&stack, "x", at(0)).in_use, 3);
    let mut task = stands(&stack, 1, TASK).unwrap();
    audited(&stack);
    let mut left = left.into_iter();
    drop((left.next(), left.next()));
    assert!(!is_called(&mut task), "the last one may still be at work");
    drop(left);
    assert!(is_called(&mut task));
    audited(&stack);
}
