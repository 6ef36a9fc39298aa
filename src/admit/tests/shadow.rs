//! Shadow limits count and report, and never stop the enforced ones.

use super::*;

#[test]
fn a_full_shadow_limit_lets_pass_and_counts() {
    for quiet in [
        sockets("quiet", 1),
        seats("quiet", 1),
        seats_each("quiet", 1),
        rate("quiet", 1),
        rate_each("quiet", 1),
    ] {
        let kind = (quiet.counts, quiet.key);
        let stack = stack(vec![shadow(quiet)]);
        let held: Vec<_> = (0..5)
            .map(|_| stack.claim(&rest(1), at(0)).unwrap())
            .collect();
        let seen = view(&stack, "quiet", at(0));
        assert_eq!(
            (seen.mode, seen.shadow_refused, seen.admitted),
            ("shadow", 4, 5),
            "{kind:?}"
        );
        assert_eq!(seen.refused, [0; 4], "{kind:?}");
        audited(&stack);
        drop(held);
        audited(&stack);
    }
}

#[test]
fn a_shadow_limit_hides_no_enforced_one() {
    // Shadow limits of every kind stand before and after the enforced one of every kind, and are full.
    for loud in [
        sockets("loud", 1),
        seats("loud", 1),
        seats_each("loud", 1),
        rate("loud", 1),
        rate_each("loud", 1),
    ] {
        let kind = (loud.counts, loud.key);
        let mut limits = vec![loud];
        for name in ["a", "z"] {
            for quiet in [
                sockets(name, 0),
                seats(name, 0),
                seats_each(name, 0),
                rate(name, 0),
                rate_each(name, 0),
            ] {
                limits.push(shadow(quiet));
            }
        }
        limits.sort_by(|one, other| one.name.cmp(&other.name));
        let stack = stack(limits);
        let held = stack.claim(&rest(1), at(0)).unwrap();
        let refusal = stack.claim(&rest(1), at(1)).unwrap_err();
        assert_eq!(&*refusal.limit, "loud", "{kind:?}");
        assert!(
            refusal.retry_after <= SECOND,
            "{kind:?}: a shadow limit has no say in when to come back, {:?}",
            refusal.retry_after
        );
        drop(held);
        audited(&stack);
    }
}

#[test]
fn a_shadow_rate_reports_what_it_would_have_admitted() {
    let stack = stack(vec![shadow(rate("quiet", 10))]);
    for millis in 0..1000 {
        drop(stack.claim(&rest(1), at(millis)).unwrap());
    }
    let seen = view(&stack, "quiet", at(999));
    assert_eq!((seen.in_use, seen.shadow_refused), (10, 990));
}

#[test]
fn a_refused_call_is_not_reported_by_a_shadow_limit() {
    for loud in [seats("loud", 1), rate("loud", 1), rate_each("loud", 1)] {
        for quiet in [
            sockets("quiet", 0),
            seats_each("quiet", 0),
            rate("quiet", 0),
        ] {
            let kind = (loud.counts, quiet.counts);
            let stack = stack(vec![loud.clone(), shadow(quiet)]);
            let held = stack.claim(&rest(1), at(0)).unwrap();
            for _ in 0..10 {
                assert!(stack.claim(&rest(1), at(1)).is_err());
            }
            let seen = view(&stack, "quiet", at(1));
            assert_eq!((seen.admitted, seen.shadow_refused), (1, 1), "{kind:?}");
            drop(held);
            audited(&stack);
        }
    }
}
