//! Waiting for a full limit: whose turn it is, what it holds meanwhile, and what becomes of a turn.

use std::num::NonZeroU32;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::admit::{Entry, Terms, Turn, Waiting};
use crate::call::Reason;
use crate::limit::Rank;

const PATIENT: Terms = Terms {
    rank: Rank::Usual,
    weight: NonZeroU32::MIN,
    patience: Duration::from_hours(1),
};

/// The same limit, with a line.
fn lined(mut limit: Limit) -> Limit {
    limit.wait = Wait {
        line: 4,
        per_user: 3,
        at_most: Duration::from_secs(30),
    };
    limit
}

#[track_caller]
fn passes(stack: &Arc<Stack>, from: u8, millis: u64) -> Claim {
    match stack.enter(&rest(from), || PATIENT, at(millis)) {
        Entry::Passed(claim) => claim,
        Entry::Waits(_) => panic!("it waits"),
        Entry::Refused(refusal) => panic!("{refusal:?}"),
    }
}

#[track_caller]
fn waits(stack: &Arc<Stack>, from: u8, millis: u64) -> Waiting {
    match stack.enter(&rest(from), || PATIENT, at(millis)) {
        Entry::Waits(waiting) => waiting,
        Entry::Passed(_) => panic!("it passes"),
        Entry::Refused(refusal) => panic!("{refusal:?}"),
    }
}

fn turn(waiting: &mut Waiting) -> Option<Turn> {
    let mut context = Context::from_waker(Waker::noop());
    match std::pin::Pin::new(waiting).poll(&mut context) {
        Poll::Ready(turn) => Some(turn),
        Poll::Pending => None,
    }
}

#[track_caller]
fn resumes(stack: &Arc<Stack>, from: u8, waiting: &mut Waiting, millis: u64) -> Claim {
    let turn = turn(waiting).expect("its turn");
    match stack.resume(&rest(from), || PATIENT, turn, at(millis)) {
        Entry::Passed(claim) => claim,
        Entry::Waits(_) => panic!("it waits on"),
        Entry::Refused(refusal) => panic!("{refusal:?}"),
    }
}

fn kinds() -> [Limit; 3] {
    [
        lined(sockets("x", 1)),
        lined(seats("x", 1)),
        lined(Limit {
            key: Key::Session,
            ..seats_each("x", 1)
        }),
    ]
}

#[test]
fn what_is_given_back_is_handed_to_the_next_in_line_and_to_nobody_else() {
    for limit in kinds() {
        let kind = (limit.counts, limit.key);
        let stack = stack(vec![limit, seats("other", 9)]);
        let held = passes(&stack, 1, 0);
        let mut first = waits(&stack, 1, 1);
        let mut second = waits(&stack, 1, 2);
        assert_eq!(view(&stack, "x", at(2)).waiting, 2);
        assert_eq!(
            view(&stack, "other", at(2)).in_use,
            1,
            "who waits holds nothing"
        );
        held.release(at(3));
        let mut late = waits(&stack, 1, 3);
        audited(&stack);
        assert!(
            turn(&mut second).is_none() && turn(&mut late).is_none(),
            "{kind:?}"
        );
        let claim = resumes(&stack, 1, &mut first, 4);
        audited(&stack);
        drop(claim);
        drop(resumes(&stack, 1, &mut second, 5));
        drop(resumes(&stack, 1, &mut late, 6));
        drop(passes(&stack, 1, 7));
        audited(&stack);
        assert_eq!(view(&stack, "x", at(8)).in_use, 0);
        assert_eq!(view(&stack, "x", at(8)).admitted, 5);
    }
}

#[test]
fn keys_that_are_not_full_pass_those_that_wait() {
    let stack = stack(vec![lined(seats_each("x", 1))]);
    let _held = passes(&stack, 1, 0);
    let _waiting = waits(&stack, 1, 0);
    drop(passes(&stack, 2, 0));
    audited(&stack);
}

#[test]
fn a_turn_that_is_not_used_goes_to_the_next() {
    for limit in kinds() {
        let stack = stack(vec![limit]);
        let held = passes(&stack, 1, 0);
        let mut called = waits(&stack, 1, 1);
        let gone = waits(&stack, 1, 2);
        let mut third = waits(&stack, 1, 3);
        drop(gone);
        drop(held);
        // It hung up before it came for its turn, or with the turn in its hand.
        drop(turn(&mut called));
        drop(called);
        audited(&stack);
        let fourth = waits(&stack, 1, 4);
        drop(resumes(&stack, 1, &mut third, 5));
        drop(fourth);
        audited(&stack);
        assert_eq!(view(&stack, "x", at(6)).in_use, 0);
        assert_eq!(view(&stack, "x", at(6)).waiting, 0);
    }
}

#[test]
fn the_unit_of_a_call_that_must_wait_elsewhere_goes_to_the_next_and_the_call_keeps_its_age() {
    let stack = stack(vec![lined(seats("a", 1)), lined(seats_each("b", 1))]);
    let b_of_1 = passes(&stack, 1, 0);
    let mut one = waits(&stack, 1, 1); // for a, and b is full for it too
    let mut two = waits(&stack, 2, 2);
    drop(b_of_1);
    let turn_of_one = turn(&mut one).expect("its turn");
    let Entry::Passed(claim) = stack.resume(&rest(1), || PATIENT, turn_of_one, at(3)) else {
        panic!("both are free");
    };
    let mut again = waits(&stack, 1, 4);
    drop(claim);
    let two = resumes(&stack, 2, &mut two, 5);
    drop(two);
    drop(resumes(&stack, 1, &mut again, 6));
    audited(&stack);

    // `a` is free when its turn comes, `b` is not.
    let stack = super::stack(vec![lined(seats("a", 2)), lined(seats_each("b", 1))]);
    let other = passes(&stack, 2, 0);
    let of_1 = passes(&stack, 1, 0);
    let mut moves = waits(&stack, 1, 10);
    let mut behind = waits(&stack, 3, 20);
    drop(other);
    let its_turn = turn(&mut moves).expect("its turn");
    assert_eq!(its_turn.since(), at(10));
    let Entry::Waits(mut in_b) = stack.resume(&rest(1), || PATIENT, its_turn, at(30)) else {
        panic!("b is full");
    };
    assert_eq!(&**in_b.limit(), "b");
    drop(resumes(&stack, 3, &mut behind, 31));
    drop(of_1);
    let its_turn = turn(&mut in_b).expect("its turn");
    assert_eq!(its_turn.since(), at(10), "with its age");
    drop(its_turn);
    audited(&stack);
}

#[test]
fn a_rate_serves_its_line_as_time_frees_room() {
    for limit in [lined(rate("x", 2)), lined(rate_each("x", 2))] {
        let stack = stack(vec![limit, seats("other", 9)]);
        drop((passes(&stack, 1, 0), passes(&stack, 1, 0)));
        let mut first = waits(&stack, 1, 1);
        let mut second = waits(&stack, 1, 2);
        let next = stack.call_due(at(3)).unwrap();
        assert!(turn(&mut first).is_none());
        assert!(next > at(3) && next <= at(1000), "{next:?}");
        stack.call_due(at(1000));
        let _late = waits(&stack, 1, 1000);
        drop(resumes(&stack, 1, &mut first, 1000));
        assert!(
            stack
                .call_due(at(1001))
                .is_some_and(|next| next <= at(2000))
        );
        stack.call_due(at(2000));
        drop(resumes(&stack, 1, &mut second, 2000));
        audited(&stack);
    }
}

#[test]
fn a_stamp_that_is_not_used_is_as_if_it_had_not_been_taken() {
    for limit in [lined(rate("x", 1)), lined(rate_each("x", 1))] {
        let stack = stack(vec![limit]);
        drop(passes(&stack, 1, 0));
        let mut gone = waits(&stack, 1, 1);
        let mut next = waits(&stack, 1, 2);
        stack.call_due(at(1000));
        let its_turn = turn(&mut gone);
        assert!(its_turn.is_some());
        drop(its_turn);
        stack.call_due(at(1001));
        drop(resumes(&stack, 1, &mut next, 1001));
    }
}

#[test]
fn whoever_cannot_wait_is_refused_with_the_reason() {
    let reason = |entry: Entry| match entry {
        Entry::Refused(refusal) => refusal.reason,
        Entry::Passed(_) | Entry::Waits(_) => panic!("it is not refused"),
    };
    let stack = stack(vec![lined(seats("x", 1))]);
    passes(&stack, 1, 0).release(at(9_000));
    let _held = passes(&stack, 1, 20_000);
    let now = 20_001;
    let enter = |from, terms: &Terms| stack.enter(&rest(from), || *terms, at(now));
    assert_eq!(reason(enter(1, &Terms::NONE)), Reason::Full);
    let of_1 = [
        waits(&stack, 1, now),
        waits(&stack, 1, now),
        waits(&stack, 1, now),
    ];
    assert_eq!(reason(enter(1, &PATIENT)), Reason::LineFull, "its share");
    let hasty = Terms {
        rank: Rank::Batch,
        patience: Duration::from_secs(20),
        ..PATIENT
    };
    assert_eq!(
        reason(enter(2, &hasty)),
        Reason::Hopeless,
        "three of 9 s each are before it"
    );
    let _of_2 = waits(&stack, 2, now);
    assert_eq!(reason(enter(3, &PATIENT)), Reason::LineFull, "the line");
    for waiting in of_1 {
        let refusal = waiting.give_up(at(50_001)).map(drop).unwrap_err();
        assert_eq!(refusal.reason, Reason::Timeout);
        assert!(refusal.retry_after >= SECOND);
    }
    assert_eq!(view(&stack, "x", at(now)).refused, [1, 2, 3, 1]);
    assert_eq!(view(&stack, "x", at(now)).waiting, 1);
    audited(&stack);
}

#[test]
fn whose_turn_comes_as_its_time_is_up_has_its_turn() {
    let stack = stack(vec![lined(seats("x", 1))]);
    let held = passes(&stack, 1, 0);
    let waiting = waits(&stack, 1, 1);
    assert_eq!(waiting.until(), at(30_001));
    drop(held);
    assert!(waiting.give_up(at(30_001)).is_ok());
    audited(&stack);
}

#[test]
fn a_stuck_upstream_makes_the_estimates_grow() {
    let stack = stack(vec![seats("x", 1)]);
    let _held = passes(&stack, 1, 0);
    let told = |seconds: u64| {
        let refusal = stack.claim(&rest(2), at(seconds * 1000)).unwrap_err();
        refusal.retry_after
    };
    let told = [1, 10, 60, 120].map(told);
    assert!(
        told.is_sorted() && told[3] >= Duration::from_secs(120),
        "{told:?}"
    );
}

#[test]
fn who_comes_back_when_it_was_told_goes_before_newcomers() {
    let mut limit = lined(rate("x", 1));
    limit.wait.line = 2;
    let stack = stack(vec![limit]);
    drop(passes(&stack, 9, 0));
    let (mut first, second) = (waits(&stack, 1, 0), waits(&stack, 1, 0));
    let Entry::Refused(refusal) = stack.enter(&rest(2), || PATIENT, at(0)) else {
        panic!("the line is full");
    };
    assert_eq!(refusal.reason, Reason::LineFull);
    assert_eq!(
        refusal.retry_after,
        Duration::from_secs(3),
        "two are before it"
    );
    drop(second);
    stack.call_due(at(1000));
    drop(resumes(&stack, 1, &mut first, 1000));
    let mut newcomer = waits(&stack, 3, 1500);
    let early = waits(&stack, 2, 1600);
    drop(early);
    stack.call_due(at(2000));
    drop(resumes(&stack, 3, &mut newcomer, 2000));
    let mut newcomer = waits(&stack, 3, 2500);
    drop(passes(&stack, 2, 3000));
    stack.call_due(at(3000));
    assert!(turn(&mut newcomer).is_none());
}
