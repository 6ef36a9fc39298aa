//! Every unit is given back exactly once, whatever ends the call; the audit sees where it was not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::admit::who::Who;

fn held_kinds() -> Arc<Stack> {
    stack(vec![
        sockets("sockets", 4),
        seats("seats", 4),
        seats_each("each", 4),
        rate("rate", 1_000_000),
    ])
}

fn held(stack: &Stack) -> [Vec<u64>; 3] {
    let mut units = counters(stack, at(0)).into_iter().map(|(_, units)| units);
    std::array::from_fn(|_| units.next().unwrap())
}

fn nothing() -> [Vec<u64>; 3] {
    [vec![0], vec![0], vec![]]
}

#[test]
fn a_claim_gives_back_once_however_it_ends() {
    let stack = held_kinds();
    let other = stack.claim(&rest(1), at(0)).unwrap();
    let ends: [fn(super::super::Claim); 3] = [
        drop,
        |claim| claim.release(at(7)),
        |claim| {
            let ended = catch_unwind(AssertUnwindSafe(move || {
                let _held = claim;
                panic!("a hook ends badly");
            }));
            assert!(ended.is_err());
        },
    ];
    for end in ends {
        let claim = stack.claim(&rest(1), at(0)).unwrap();
        assert_eq!(held(&stack), [vec![2], vec![2], vec![2]]);
        audited(&stack);
        end(claim);
        assert_eq!(held(&stack), [vec![1], vec![1], vec![1]]);
        audited(&stack);
    }
    drop(other);
    assert_eq!(held(&stack), nothing());
}

#[test]
fn a_claim_may_end_on_another_thread_and_outlive_everybody_else() {
    let stack = held_kinds();
    let claim = stack.claim(&rest(1), at(0)).unwrap();
    let here = Arc::clone(&stack);
    drop(stack);
    std::thread::spawn(move || drop(claim)).join().unwrap();
    assert_eq!(held(&here), nothing());
    audited(&here);
}

#[test]
fn the_audit_names_a_counter_that_was_bent() {
    let stack = held_kinds();
    let who = Who::of(&rest(1), stack.hasher());
    let held: Vec<_> = (0..2)
        .map(|_| stack.claim(&rest(1), at(0)).unwrap())
        .collect();
    for at in 0..3 {
        let rule = stack.rule(at).unwrap();
        let mismatch = || {
            let audit = stack.audit();
            let bent = audit.iter().filter(|(_, mismatch)| *mismatch != 0);
            bent.map(|(name, mismatch)| (name.to_string(), *mismatch))
                .collect::<Vec<_>>()
        };
        rule.take(&who).unwrap(); // a unit that no claim holds
        assert_eq!(mismatch(), [(rule.name.to_string(), -1)]);
        rule.give_back(&who);
        assert_eq!(mismatch(), []);
        rule.give_back(&who); // a unit that a claim still holds
        assert_eq!(mismatch(), [(rule.name.to_string(), 1)]);
        rule.take(&who).unwrap();
    }
    drop(held);
    audited(&stack);
}

#[test]
fn the_audit_is_exact_while_claims_come_and_go() {
    let stack = held_kinds();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for from in 0..4 {
            let (stack, done) = (&stack, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let one = stack.claim(&rest(from), at(0));
                    let two = stack.claim(&rest(from), at(0));
                    drop((two, one));
                }
            });
        }
        for _ in 0..2000 {
            let audit = stack.audit();
            let bent = audit.iter().any(|(_, mismatch)| *mismatch != 0);
            if bent {
                done.store(true, Ordering::Relaxed);
            }
            assert!(!bent, "{audit:?}");
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(held(&stack), nothing());
    audited(&stack);
}

#[test]
fn threads_never_hold_more_than_the_ceiling() {
    let stack = stack(vec![
        seats("seats", 3),
        seats_each("each", 2),
        rate("rate", 5_000),
    ]);
    let running = [const { std::sync::atomic::AtomicU64::new(0) }; 2];
    let admitted: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4_u8)
            .map(|n| {
                let (stack, running) = (&stack, &running);
                scope.spawn(move || {
                    let mut admitted = 0;
                    for _ in 0..5_000 {
                        let own = usize::from(n % 2);
                        let Ok(claim) = stack.claim(&rest(n % 2), at(0)) else {
                            continue;
                        };
                        admitted += 1;
                        assert!(running[own].fetch_add(1, Ordering::SeqCst) < 2);
                        let all: u64 = running.iter().map(|one| one.load(Ordering::SeqCst)).sum();
                        assert!(all <= 3);
                        running[own].fetch_sub(1, Ordering::SeqCst);
                        drop(claim);
                    }
                    admitted
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(admitted, view(&stack, "rate", at(0)).in_use);
    assert_eq!(admitted, view(&stack, "rate", at(0)).admitted);
    audited(&stack);
}
