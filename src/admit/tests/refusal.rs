//! A refusal leaves no trace, names the first limit in order, and the longest wait.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;

/// One limit of each kind, wide open; a refusal by the one made narrow must leave the others alone.
fn one_of_each() -> Vec<Limit> {
    vec![
        sockets("a_sockets", 9),
        seats("b_seats", 9),
        seats_each("c_seats_each", 9),
        rate("d_rate", 9),
        rate_each("e_rate_each", 9),
    ]
}

#[test]
fn a_refusal_by_any_limit_leaves_no_trace_in_any() {
    for narrow in 0..5 {
        let mut limits = one_of_each();
        limits[narrow].limit = 2;
        limits[narrow].burst = limits[narrow].burst.min(2);
        let name = limits[narrow].name.clone();
        let stack = stack(limits);
        let held: Vec<_> = (0..2)
            .map(|_| stack.claim(&rest(1), at(0)).unwrap())
            .collect();
        let before = counters(&stack, at(1));
        for _ in 0..20 {
            let refusal = stack.claim(&rest(1), at(1)).unwrap_err();
            assert_eq!((&refusal.limit, refusal.in_use), (&name, 2));
            assert_eq!(counters(&stack, at(1)), before, "{name}");
            audited(&stack);
        }
        assert_eq!(view(&stack, &name, at(1)).refused, [20, 0, 0, 0]);
        drop(held);
        // Nothing but the two calls counts in the rates; nothing at all is held.
        let left = [vec![0], vec![0], vec![], vec![2], vec![2]];
        let counted = counters(&stack, at(1)).into_iter().map(|(_, units)| units);
        assert_eq!(counted.collect::<Vec<_>>(), left, "{name}");
    }
}

#[test]
fn a_refused_rate_is_as_if_nobody_had_asked() {
    // The second rate refuses: neither the first one's log nor its bucket may move.
    let mut first = rate("first", 10);
    first.burst = 3;
    let asked = stack(vec![
        first.clone(),
        rate("second", 2),
        rate_each("third", 4),
    ]);
    let control = stack(vec![first, rate("second", 2), rate_each("third", 4)]);
    for millis in 0..3000_u64 {
        if millis % 100 == 0 {
            let (one, other) = (
                asked.claim(&rest(1), at(millis)),
                control.claim(&rest(1), at(millis)),
            );
            assert_eq!(one.is_ok(), other.is_ok(), "{millis}");
        } else if view(&asked, "second", at(millis)).in_use == 2 {
            assert!(asked.claim(&rest(1), at(millis)).is_err());
        }
        assert_eq!(
            counters(&asked, at(millis)),
            counters(&control, at(millis)),
            "{millis}"
        );
    }
}

#[test]
fn the_first_limit_in_order_is_named_with_the_longest_wait() {
    let mut slow = rate_each("z_slow", 1);
    slow.window = Duration::from_mins(1);
    // By name the rate would come first; what is held is claimed before any rate.
    let stack = stack(vec![rate("a_quick", 1), seats("m_seats", 1), slow]);
    let held = stack.claim(&rest(1), at(0)).unwrap();
    let refusal = stack.claim(&rest(1), at(500)).unwrap_err();
    assert_eq!((&*refusal.limit, refusal.status), ("m_seats", 503));
    assert_eq!((refusal.in_use, refusal.ceiling), (1, 1));
    assert_eq!(refusal.window, Duration::ZERO);
    assert_eq!(refusal.retry_after, Duration::from_millis(59_500));

    // To somebody else the keyed rate is open, and so it has no say.
    let refusal = stack.claim(&rest(2), at(500)).unwrap_err();
    assert!(
        (SECOND..=2 * SECOND).contains(&refusal.retry_after),
        "a seat, expected after 1 s, and spread: {:?}",
        refusal.retry_after
    );

    drop(held);
    let refusal = stack.claim(&rest(2), at(999)).unwrap_err();
    assert_eq!((&*refusal.limit, refusal.status), ("a_quick", 429));
    assert_eq!(refusal.window, SECOND);
    assert_eq!(refusal.retry_after, SECOND, "in whole seconds, never 0");
    assert!(stack.claim(&rest(2), at(1000)).is_ok(), "as promised");
    let refusal = stack.claim(&rest(1), at(2000)).unwrap_err();
    assert_eq!(&*refusal.limit, "z_slow");
    assert_eq!(refusal.retry_after, Duration::from_secs(58));
}

#[test]
fn zero_blocks_and_says_something() {
    let zeroes = [
        sockets("x", 0),
        seats("x", 0),
        seats_each("x", 0),
        rate("x", 0),
        rate_each("x", 0),
    ];
    for zero in zeroes {
        let counts = (zero.counts, zero.key);
        let stack = stack(vec![seats("open", 9), zero]);
        let refusal = stack.claim(&rest(1), at(1)).unwrap_err();
        assert_eq!((&*refusal.limit, refusal.in_use), ("x", 0), "{counts:?}");
        assert!(refusal.retry_after_seconds() >= 1, "{counts:?}");
        audited(&stack);
        assert_eq!(view(&stack, "open", at(1)).in_use, 0);
    }
}

#[test]
fn an_estimate_follows_how_long_units_were_held() {
    let stack = stack(vec![seats("x", 2)]);
    for _ in 0..50 {
        let claim = stack.claim(&rest(1), at(0)).unwrap();
        claim.release(at(20_000));
    }
    let held = [1, 2].map(|from| stack.claim(&rest(from), at(0)).unwrap());
    let refusal = stack.claim(&rest(3), at(0)).unwrap_err();
    assert_eq!(
        refusal.retry_after,
        Duration::from_secs(10),
        "two seats of 20 s each"
    );
    drop(held);
}

#[test]
fn those_refused_a_seat_are_not_told_to_come_back_together() {
    let stack = stack(vec![seats("x", 2)]);
    let claim = stack.claim(&rest(1), at(0)).unwrap();
    claim.release(at(60_000));
    let held = [1, 2].map(|from| stack.claim(&rest(from), at(0)).unwrap());
    let told: BTreeMap<u64, u32> = (0..300).fold(BTreeMap::new(), |mut told, _| {
        let refusal = stack.claim(&rest(3), at(0)).unwrap_err();
        *told.entry(refusal.retry_after_seconds()).or_default() += 1;
        told
    });
    assert_eq!(told.keys().next(), Some(&30), "two seats of 60 s each");
    assert!(told.keys().all(|seconds| (30..=60).contains(seconds)));
    assert!(told.len() >= 30, "{told:?}");
    assert!(told.values().all(|many| *many <= 12), "{told:?}");
    drop(held);
}

#[test]
fn long_polls_teach_only_limits_of_their_own_how_long_a_unit_is_held() {
    let stack = stack(vec![
        seats("all", 1),
        of_class(Class::LongPoll, seats("polls", 1)),
    ]);
    let poll = stack
        .claim(&call(Class::LongPoll, "/sdk", 1), at(0))
        .unwrap();
    poll.release(at(100_000));
    let poll = stack
        .claim(&call(Class::LongPoll, "/sdk", 1), at(0))
        .unwrap();
    let of_rest = stack.claim(&rest(1), at(0)).unwrap_err();
    assert_eq!((&*of_rest.limit, of_rest.retry_after), ("all", SECOND));
    let of_poll = stack
        .claim(&call(Class::LongPoll, "/sdk", 2), at(0))
        .unwrap_err();
    assert_eq!(
        of_poll.retry_after,
        Duration::from_secs(100),
        "the longest of both limits'"
    );
    drop(poll);
}

#[test]
fn a_call_that_leaves_a_window_late_is_refused_where_others_took_its_place() {
    let stack = stack(vec![rate("x", 1), seats("seats", 9)]);
    let mut late = stack.claim(&rest(1), at(0)).unwrap();
    let mut prompt = stack.claim(&rest(2), at(1_500)).unwrap();
    prompt.dispatch(at(1_500)).unwrap();
    let refusal = late.dispatch(at(1_600)).unwrap_err();
    assert_eq!((&*refusal.limit, refusal.status), ("x", 429));
    assert_eq!(refusal.retry_after, Duration::from_millis(900));
    assert_eq!(view(&stack, "x", at(1_600)).refused, [1, 0, 0, 0]);
    drop((late, prompt));
    audited(&stack);
}

#[test]
fn a_call_sent_again_is_counted_again_in_rates_alone() {
    let stack = stack(vec![
        seats("seats", 1),
        rate("all", 3),
        rate_each("each", 2),
    ]);
    let mut claim = stack.claim(&rest(1), at(0)).unwrap();
    claim.again(&rest(1), at(1)).unwrap();
    let refusal = claim.again(&rest(1), at(2)).unwrap_err();
    assert_eq!(&*refusal.limit, "each");
    let counted = counters(&stack, at(2));
    let units: Vec<_> = counted.into_iter().map(|(_, units)| units).collect();
    assert_eq!(
        units,
        [vec![1], vec![2], vec![2]],
        "the refused one left no trace"
    );
    claim.again(&rest(1), at(600)).unwrap();
    drop(claim);
    audited(&stack);
}
