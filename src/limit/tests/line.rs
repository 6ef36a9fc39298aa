//! The line: who is called when, against rules that do not know how it is kept.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use proptest::prelude::*;

use crate::limit::{Bounds, Joined, Line, Moment, Newcomer, Rank, Spot};

type Test = Line<u8, u8, u32, u32>;

const WIDE: Bounds = Bounds {
    line: 1000,
    per_user: 1000,
};

fn newcomer(lane: u8, user: u8, rank: Rank, since: u64, who: u32) -> Newcomer<u8, u8, u32> {
    Newcomer {
        lane,
        user,
        rank,
        weight: NonZeroU32::MIN,
        since: Moment::from_nanos(since),
        who,
    }
}

/// Joins a line in which there is no room.
fn join(line: &Test, newcomer: Newcomer<u8, u8, u32>) -> Spot {
    match line.join(newcomer, |_| None) {
        Joined::Waits(spot) => spot,
        other => panic!("{other:?}"),
    }
}

/// Calls `n` in lane 0, and says who they were.
fn call(line: &Test, n: usize) -> Vec<u32> {
    let mut called = Vec::new();
    line.call(&0, |who| {
        (called.len() < n).then(|| {
            called.push(*who);
            *who
        })
    });
    called
}

fn poll(line: &Test, spot: &Spot) -> Poll<u32> {
    line.poll(spot, &Context::from_waker(Waker::noop()))
}

#[test]
fn users_take_turns_and_each_is_served_in_the_order_it_came() {
    let line = Test::new(WIDE);
    let mut spots = Vec::new();
    for who in 0..5 {
        spots.push(join(&line, newcomer(0, 1, Rank::Usual, who.into(), who)));
    }
    spots.push(join(&line, newcomer(0, 2, Rank::Usual, 5, 10)));
    spots.push(join(&line, newcomer(0, 2, Rank::Usual, 6, 11)));
    spots.push(join(&line, newcomer(0, 3, Rank::Usual, 7, 20)));
    assert_eq!(call(&line, 100), [0, 10, 20, 1, 11, 2, 3, 4]);
    assert!(line.is_empty());
    for (spot, who) in spots.iter().zip([0, 1, 2, 3, 4, 10, 11, 20]) {
        assert_eq!(poll(&line, spot), Poll::Ready(who));
    }
}

#[test]
fn a_weight_is_that_many_calls_in_a_turn() {
    let line = Test::new(WIDE);
    for who in 0..6 {
        let heavy = Newcomer {
            weight: NonZeroU32::new(3).unwrap(),
            ..newcomer(0, 1, Rank::Usual, 0, who)
        };
        let _ = join(&line, heavy);
        let _ = join(&line, newcomer(0, 2, Rank::Usual, 0, 10 + who));
    }
    assert_eq!(call(&line, 9), [0, 1, 2, 10, 3, 4, 5, 11, 12]);
}

#[test]
fn better_ranks_go_first_and_pass_those_behind_them() {
    let line = Test::new(WIDE);
    let ranks = [Rank::Batch, Rank::Usual, Rank::Promised, Rank::First];
    for (who, rank) in (0..).zip(ranks) {
        let _ = join(&line, newcomer(0, 1, rank, 0, who));
    }
    assert!(matches!(
        line.join(newcomer(0, 2, Rank::First, 0, 9), |_| Some(1)),
        Joined::Waits(_)
    ));
    assert_eq!(call(&line, 3), [3, 9, 2]);
    // Only those behind it wait now.
    assert!(matches!(
        line.join(newcomer(0, 2, Rank::First, 0, 9), |_| Some(1)),
        Joined::Passed(1)
    ));
    assert_eq!(call(&line, 9), [1, 0]);
}

#[test]
fn who_comes_to_a_line_joins_it_whatever_is_free_just_then() {
    let line = Test::new(WIDE);
    assert!(matches!(
        line.join(newcomer(0, 1, Rank::Usual, 0, 0), |_| Some(7)),
        Joined::Passed(7)
    ));
    let _first = join(&line, newcomer(0, 1, Rank::Usual, 0, 1));
    let room = |_: &u32| -> Option<u32> { panic!("nobody may look for room past the first") };
    assert!(matches!(
        line.join(newcomer(0, 2, Rank::Usual, 0, 2), room),
        Joined::Waits(_)
    ));
    // Another lane is another matter.
    assert!(matches!(
        line.join(newcomer(1, 2, Rank::Usual, 0, 3), |_| Some(8)),
        Joined::Passed(8)
    ));
}

#[test]
fn a_full_line_or_share_takes_nobody_and_counts_nobody() {
    let line = Test::new(Bounds {
        line: 3,
        per_user: 2,
    });
    let one = join(&line, newcomer(0, 1, Rank::Usual, 0, 0));
    let _two = join(&line, newcomer(1, 1, Rank::Usual, 0, 1));
    let crowded = |user| {
        matches!(
            line.join(newcomer(0, user, Rank::Usual, 0, 2), |_| None),
            Joined::Crowded
        )
    };
    assert!(crowded(1));
    let _three = join(&line, newcomer(0, 2, Rank::Usual, 0, 3));
    assert!(crowded(3));
    assert_eq!(line.len(), 3);
    assert_eq!(line.leave(one), None);
    assert!(!crowded(1));
}

#[test]
fn what_was_handed_to_one_that_left_comes_back() {
    let line = Test::new(WIDE);
    let gone = join(&line, newcomer(0, 1, Rank::Usual, 0, 0));
    let next = join(&line, newcomer(0, 2, Rank::Usual, 0, 1));
    assert_eq!(call(&line, 1), [0]);
    assert_eq!(line.leave(gone), Some(0));
    assert_eq!(poll(&line, &next), Poll::Pending);
    assert_eq!(line.leave(next), None);
    assert!(line.is_empty() && line.lanes().is_empty());
}

#[test]
fn a_call_moved_from_another_line_stands_by_its_age() {
    let line = Test::new(WIDE);
    let _ = join(&line, newcomer(0, 1, Rank::Usual, 10, 0));
    let _ = join(&line, newcomer(0, 1, Rank::Usual, 30, 1));
    let _ = join(&line, newcomer(0, 1, Rank::Usual, 20, 2));
    let _ = join(&line, newcomer(0, 1, Rank::Usual, 5, 3));
    assert_eq!(call(&line, 9), [3, 0, 2, 1]);
}

struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn only_who_is_called_is_woken() {
    let line = Test::new(WIDE);
    let bells: Vec<Arc<Bell>> = (0..100)
        .map(|_| Arc::new(Bell(AtomicUsize::new(0))))
        .collect();
    let mut spots = Vec::new();
    for (who, bell) in (0..).zip(&bells) {
        let spot = join(&line, newcomer(0, 0, Rank::Usual, 0, who));
        let waker = Waker::from(bell.clone());
        assert!(line.poll(&spot, &Context::from_waker(&waker)).is_pending());
        spots.push(spot);
    }
    assert_eq!(call(&line, 70).len(), 70);
    let woken: Vec<usize> = bells
        .iter()
        .map(|bell| bell.0.load(Ordering::SeqCst))
        .collect();
    assert_eq!(woken.iter().sum::<usize>(), 70);
    assert!(woken.iter().take(70).all(|times| *times == 1));
}

#[test]
fn users_that_come_and_leave_leave_nothing_behind() {
    let line = Test::new(WIDE);
    let _stays = join(&line, newcomer(0, 255, Rank::Usual, 0, 0));
    for round in 0..100_000_u32 {
        let user = u8::try_from(round % 200).unwrap();
        let spot = join(&line, newcomer(0, user, Rank::Usual, 0, 1));
        assert_eq!(line.leave(spot), None);
    }
    assert_eq!(line.standing(None).len(), 1);
    assert_eq!(call(&line, 9), [0]);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Join(u8, u8, Rank),
    Leave(usize),
    Call(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rank = prop_oneof![
        1 => Just(Rank::First),
        1 => Just(Rank::Promised),
        4 => Just(Rank::Usual),
        1 => Just(Rank::Batch),
    ];
    let step = prop_oneof![
        4 => (0..2_u8, 0..5_u8, rank).prop_map(|(lane, user, rank)| Step::Join(lane, user, rank)),
        1 => (0..1000_usize).prop_map(Step::Leave),
        2 => (1..4_usize).prop_map(Step::Call),
    ];
    proptest::collection::vec(step, 1..200)
}

/// One call that waits, as the rules see it.
#[derive(Debug)]
struct Waiting {
    who: u32,
    lane: u8,
    user: u8,
    rank: Rank,
    spot: Option<Spot>,
    /// How many of each other user, in the same lane and rank, were called since it was this user's turn.
    passed: HashMap<u8, u32>,
}

proptest! {
    /// Whatever comes and goes: a better rank first, a user's calls in order, and while two users wait
    /// neither is called twice before the other is called once.
    #[test]
    fn nobody_is_passed_over(steps in steps()) {
        let line = Test::new(WIDE);
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut next = 0;
        for step in steps {
            match step {
                Step::Join(lane, user, rank) => {
                    let spot = Some(join(&line, newcomer(lane, user, rank, next.into(), next)));
                    waiting.push(Waiting { who: next, lane, user, rank, spot, passed: HashMap::new() });
                    next += 1;
                }
                Step::Leave(at) if !waiting.is_empty() => {
                    let mut gone = waiting.remove(at % waiting.len());
                    prop_assert_eq!(line.leave(gone.spot.take().unwrap()), None);
                }
                Step::Leave(_) => {}
                Step::Call(n) => {
                    for who in call(&line, n) {
                        let at = waiting.iter().position(|one| one.who == who).unwrap();
                        let called = waiting.remove(at);
                        prop_assert_eq!(called.lane, 0);
                        prop_assert_eq!(poll(&line, called.spot.as_ref().unwrap()), Poll::Ready(who));
                        for other in waiting.iter_mut().filter(|other| other.lane == 0) {
                            prop_assert!(called.rank <= other.rank, "{called:?} before {other:?}");
                            if other.rank != called.rank {
                                continue;
                            }
                            if other.user == called.user {
                                prop_assert!(called.who < other.who);
                                // Its user had a turn: the others have had none since.
                                other.passed.clear();
                            } else {
                                let passed = other.passed.entry(called.user).or_default();
                                *passed += 1;
                                // Not more than once while this user waits for a turn.
                                prop_assert!(*passed <= 1, "{called:?} twice before {other:?}");
                            }
                        }
                    }
                }
            }
            prop_assert_eq!(line.len(), waiting.len());
        }
        for one in waiting {
            prop_assert_eq!(line.leave(one.spot.unwrap()), None);
        }
        prop_assert!(line.is_empty() && line.lanes().is_empty());
    }

    /// What a newcomer is told of those before it is true, if nobody comes after it.
    #[test]
    fn what_is_ahead_is_called_before(steps in steps(), lane in 0..1_u8, user in 0..5_u8) {
        let line = Test::new(WIDE);
        for step in steps {
            match step {
                Step::Join(lane, user, rank) => {
                    let _ = join(&line, newcomer(lane, user, rank, 0, 0));
                }
                Step::Leave(_) => {}
                Step::Call(n) => {
                    drop(call(&line, n));
                }
            }
        }
        let ahead = line.ahead(&lane, Rank::Usual, &user);
        let _ = join(&line, newcomer(lane, user, Rank::Usual, 1, 1));
        let called = call(&line, usize::MAX);
        let before = called.iter().position(|who| *who == 1).unwrap() as u64;
        prop_assert!(ahead.least <= before && before <= ahead.most, "{before} of {ahead:?}");
    }
}
