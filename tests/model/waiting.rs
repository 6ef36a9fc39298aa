//! Waiting in line: a unit that comes free is held or handed to somebody, whoever joins, hangs up or drops
//! a turn just then; nobody sleeps beside a free one.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::{future, thread};

use crate::admit::{Claim, Entry, Stack, Terms, Turn, Waiting};
use crate::call::{Call, Class, Reason};
use crate::claims::{NOW, RATE, SEATS, SEATS_EACH, SOCKETS, audited, call, in_use, with};
use crate::config::{Counts, Key, Upstream, Wait};
use crate::explore;
use crate::limit::{Moment, Rank};

const PATIENT: Terms = Terms {
    rank: Rank::Usual,
    weight: NonZeroU32::MIN,
    patience: Duration::from_hours(1),
};

/// The limits of [`with`], each with a line.
fn lined(limits: &[(&str, (Counts, Key), u64)]) -> Upstream {
    let mut upstream = with(limits);
    for limit in &mut upstream.limits {
        limit.wait = Wait {
            line: 8,
            per_user: 8,
            at_most: Duration::from_mins(1),
        };
    }
    upstream
}

/// Every kind of limit whose units are given back, `ceiling` of them for the one address that calls.
fn kinds(ceiling: u64) -> [Upstream; 3] {
    [SEATS, SOCKETS, SEATS_EACH].map(|counts| lined(&[("x", counts, ceiling)]))
}

fn rest() -> Call<'static> {
    call(Class::Rest, 1)
}

fn enter(stack: &Arc<Stack>) -> Entry {
    stack.enter(&rest(), || PATIENT, NOW)
}

fn passes(stack: &Arc<Stack>) -> Claim {
    match enter(stack) {
        Entry::Passed(claim) => claim,
        Entry::Waits(_) | Entry::Refused(_) => panic!("there is room"),
    }
}

fn waits(stack: &Arc<Stack>) -> Waiting {
    match enter(stack) {
        Entry::Waits(waiting) => waiting,
        Entry::Passed(_) | Entry::Refused(_) => panic!("it is full"),
    }
}

/// Waits as long as it takes: a sleeper whom nobody wakes is found by the checker, for then all wait.
fn patiently(stack: &Arc<Stack>) -> Claim {
    let mut entry = enter(stack);
    loop {
        match entry {
            Entry::Passed(claim) => return claim,
            Entry::Waits(waiting) => {
                let turn = future::block_on(waiting);
                entry = stack.resume(&rest(), || PATIENT, turn, NOW);
            }
            Entry::Refused(refusal) => panic!("{refusal:?}"),
        }
    }
}

fn asks_once(mut waiting: Waiting) -> Option<Turn> {
    match Pin::new(&mut waiting).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(turn) => Some(turn),
        Poll::Pending => None,
    }
}

/// Counts who is inside beside the counters under test.
#[derive(Default)]
struct Inside(AtomicU64);

impl Inside {
    fn pass_through(&self, ceiling: u64) {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) < ceiling, "one more");
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Nobody holds anything, nobody waits, and all of it can be had again.
fn all_is_back(stack: &Arc<Stack>, ceiling: u64) {
    audited(stack);
    assert_eq!(in_use(stack, "x"), 0);
    let claims: Vec<Claim> = (0..ceiling).map(|_| passes(stack)).collect();
    audited(stack);
    drop(claims);
}

fn run(threads: Vec<thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().expect("it ends well");
    }
}

#[test]
fn two_release_while_two_join_and_one_hangs_up() {
    for upstream in kinds(2) {
        explore(move || {
            let stack = Arc::new(Stack::build(&upstream));
            let inside = Arc::new(Inside::default());
            let held = [passes(&stack), passes(&stack)];
            let gone = waits(&stack);
            let mut threads: Vec<_> = held
                .into_iter()
                .map(|claim| thread::spawn(move || drop(claim)))
                .collect();
            threads.push(thread::spawn(move || drop(gone)));
            for _ in 0..2 {
                let (stack, inside) = (Arc::clone(&stack), Arc::clone(&inside));
                threads.push(thread::spawn(move || {
                    let claim = patiently(&stack);
                    inside.pass_through(2);
                    drop(claim);
                }));
            }
            run(threads);
            all_is_back(&stack, 2);
        });
    }
}

#[test]
fn a_turn_that_is_dropped_goes_on_to_who_joins_meanwhile() {
    for upstream in kinds(1) {
        explore(move || {
            let stack = Arc::new(Stack::build(&upstream));
            let held = passes(&stack);
            // It asks once whether it is its turn, and is gone, with the turn in its hand or without.
            let fickle = waits(&stack);
            let joins = Arc::clone(&stack);
            run(vec![
                thread::spawn(move || drop(held)),
                thread::spawn(move || drop(asks_once(fickle))),
                thread::spawn(move || drop(patiently(&joins))),
            ]);
            all_is_back(&stack, 1);
        });
    }
}

#[test]
fn whose_time_is_up_as_it_is_called_has_its_turn_or_leaves_it_to_the_next() {
    for upstream in kinds(1) {
        explore(move || {
            let stack = Arc::new(Stack::build(&upstream));
            let held = passes(&stack);
            let late = waits(&stack);
            let next = waits(&stack);
            let resumes = Arc::clone(&stack);
            run(vec![
                thread::spawn(move || drop(held)),
                thread::spawn(move || match late.give_up(NOW) {
                    Ok(turn) => assert_eq!(turn.since(), NOW),
                    Err(refusal) => assert_eq!(refusal.reason, Reason::Timeout),
                }),
                thread::spawn(move || {
                    let turn = future::block_on(next);
                    let entry = resumes.resume(&rest(), || PATIENT, turn, NOW);
                    assert!(matches!(entry, Entry::Passed(_)));
                }),
            ]);
            all_is_back(&stack, 1);
        });
    }
}

#[test]
fn calls_that_need_two_full_limits_in_turn_all_pass() {
    let upstream = lined(&[("w", SOCKETS, 1), ("x", SEATS_EACH, 1)]);
    explore(move || {
        let stack = Arc::new(Stack::build(&upstream));
        let held = passes(&stack);
        let mut threads = vec![thread::spawn(move || drop(held))];
        for _ in 0..2 {
            let stack = Arc::clone(&stack);
            threads.push(thread::spawn(move || drop(patiently(&stack))));
        }
        run(threads);
        assert_eq!(in_use(&stack, "w"), 0);
        all_is_back(&stack, 1);
    });
}

#[test]
fn who_put_a_unit_down_and_hangs_up_leaves_it_to_the_next() {
    let mut upstream = lined(&[("w", SOCKETS, 3), ("x", SEATS, 1)]);
    upstream.limits[1].matches.class = vec![Class::Rest];
    explore(move || {
        let stack = Arc::new(Stack::build(&upstream));
        let soap = |stack: &Arc<Stack>| stack.enter(&call(Class::Soap, 1), || PATIENT, NOW);
        let both = passes(&stack);
        let mut held = vec![soap(&stack)];
        let (fickle, stays) = (waits(&stack), waits(&stack));
        held.push(soap(&stack));
        assert!(held.iter().all(|entry| matches!(entry, Entry::Passed(_))));
        held.push(soap(&stack));
        assert!(matches!(held[2], Entry::Waits(_)));
        // Called for `x`, it may find `w` full, put `x` down and wait there; and then it is gone.
        let (of_fickle, of_stays) = (Arc::clone(&stack), Arc::clone(&stack));
        run(vec![
            thread::spawn(move || drop(both)),
            thread::spawn(move || drop(held)),
            thread::spawn(move || {
                let turn = future::block_on(fickle);
                drop(of_fickle.resume(&rest(), || PATIENT, turn, NOW));
            }),
            thread::spawn(move || {
                let mut turn = future::block_on(stays);
                while let Entry::Waits(waiting) = of_stays.resume(&rest(), || PATIENT, turn, NOW) {
                    turn = future::block_on(waiting);
                }
            }),
        ]);
        assert_eq!(in_use(&stack, "w"), 0);
        all_is_back(&stack, 1);
    });
}

#[test]
fn stamps_of_a_rate_are_handed_out_once_each_and_taken_back_where_nobody_comes() {
    let upstream = lined(&[("x", RATE, 1)]);
    explore(move || {
        let stack = Arc::new(Stack::build(&upstream));
        drop(passes(&stack));
        let (gone, stays) = (waits(&stack), waits(&stack));
        let later = Moment::from_nanos(1_000_000_000);
        let (calls, resumes) = (Arc::clone(&stack), Arc::clone(&stack));
        run(vec![
            thread::spawn(move || assert!(calls.call_due(later).is_none_or(|next| next > later))),
            thread::spawn(move || drop(asks_once(gone))),
        ]);
        // Whoever drops a turn of a rate rings, and whoever runs the gate asks again then.
        resumes.call_due(later);
        let turn = asks_once(stays).expect("the one stamp of this second is its own");
        let entry = resumes.resume(&rest(), || PATIENT, turn, later);
        assert!(matches!(entry, Entry::Passed(_)));
        assert!(resumes.claim(&rest(), later).is_err(), "one in a second");
    });
}
