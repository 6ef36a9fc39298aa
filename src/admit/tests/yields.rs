//! What the upstream's own refusals do to limits, in virtual time.

use std::num::NonZeroU32;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::admit::{Entry, Pushback, Terms, Why};
use crate::call::Reason;
use crate::limit::Rank;

const RATE: Pushback<'_> = Pushback {
    why: Why::Rate,
    come_back: None,
    policy: None,
};
const FULL: Pushback<'_> = Pushback {
    why: Why::Full,
    ..RATE
};

fn effective(stack: &Stack, name: &str, millis: u64) -> Option<u64> {
    view(stack, name, at(millis)).effective
}

/// How many of `most` calls pass at once; they are kept.
fn passing(stack: &Arc<Stack>, most: usize, millis: u64) -> Vec<Claim> {
    let claims = (0..most).map(|_| stack.claim(&rest(1), at(millis)));
    claims.map_while(Result::ok).collect()
}

#[test]
fn the_fewest_seats_shrink_and_grow_back_and_the_configured_ceiling_stays() {
    let stack = stack(vec![
        sockets("sockets", 100),
        seats("seats", 10),
        rate("rate", 1000),
    ]);
    let claim = stack.claim(&rest(1), at(0)).unwrap();
    assert_eq!(claim.pushed_back(&FULL, at(10)).as_deref(), Some("seats"));
    drop(claim);
    let seen = view(&stack, "seats", at(10));
    assert_eq!((seen.limit, seen.effective), (10, Some(7)));
    assert_eq!(effective(&stack, "sockets", 10), None);
    assert_eq!(passing(&stack, 10, 20).len(), 7);
    let explained = stack.explain(&rest(1), &Terms::NONE, at(20));
    let of_seats = explained.iter().find(|one| &*one.limit == "seats").unwrap();
    assert_eq!((of_seats.ceiling, of_seats.effective), (10, Some(7)));

    assert_eq!(stack.call_due(at(500)), Some(at(1010)), "when it grows");
    assert_eq!(stack.call_due(at(5010)), Some(at(6010)));
    assert_eq!(effective(&stack, "seats", 5010), Some(8));
    assert_eq!(passing(&stack, 10, 5010).len(), 8);
    assert_eq!(stack.call_due(at(60_000)), None);
    assert_eq!(effective(&stack, "seats", 60_000), None);
    assert_eq!(passing(&stack, 11, 60_000).len(), 10);
    audited(&stack);
}

#[test]
fn what_holds_more_than_is_left_finishes_and_one_is_always_left() {
    let stack = stack(vec![seats("seats", 4)]);
    let mut held = passing(&stack, 4, 0);
    for second in 1..20 {
        assert!(held[0].pushed_back(&FULL, at(second * 1000)).is_some());
    }
    assert_eq!(effective(&stack, "seats", 20_000), Some(1));
    assert_eq!(view(&stack, "seats", at(20_000)).in_use, 4);
    held.truncate(1);
    assert!(stack.claim(&rest(1), at(20_000)).is_err());
    drop(held);
    assert_eq!(passing(&stack, 4, 20_000).len(), 1);
    audited(&stack);
}

#[test]
fn the_gate_wide_rate_shrinks_and_is_shut_until_the_upstream_wants_to_be_asked() {
    let stack = stack(vec![
        rate("rate", 10),
        rate_each("each", 3),
        seats("seats", 10),
    ]);
    let claim = stack.claim(&rest(1), at(0)).unwrap();
    let said = Pushback {
        come_back: Some(Duration::from_secs(3)),
        ..RATE
    };
    assert_eq!(claim.pushed_back(&said, at(100)).as_deref(), Some("rate"));
    drop(claim);
    assert_eq!(effective(&stack, "rate", 100), Some(0));
    let refusal = stack.claim(&rest(2), at(100)).unwrap_err();
    assert_eq!((refusal.reason, refusal.ceiling), (Reason::Full, 10));
    assert_eq!(refusal.retry_after, Duration::from_secs(3));
    let shut = stack.claim(&rest(2), at(3099)).unwrap_err();
    assert_eq!(&*shut.limit, "rate");
    stack.call_due(at(3100));
    assert_eq!(effective(&stack, "rate", 3100), Some(7));
    assert!((2..9).all(|from| stack.claim(&rest(from), at(3100)).is_ok()));
    assert!(stack.claim(&rest(9), at(3100)).is_err());
    assert_eq!(effective(&stack, "seats", 3100), None);
}

#[test]
fn the_policy_that_is_named_yields_and_of_a_keyed_rate_only_the_key() {
    let stack = stack(vec![rate("rate", 10), rate_each("each", 3)]);
    let claim = stack.claim(&rest(1), at(0)).unwrap();
    let named = Pushback {
        policy: Some("each"),
        ..RATE
    };
    assert_eq!(claim.pushed_back(&named, at(0)).as_deref(), Some("each"));
    assert_eq!(effective(&stack, "rate", 0), None);
    assert!(
        stack.claim(&rest(1), at(999)).is_err(),
        "a second where nothing is said"
    );
    assert!(stack.claim(&rest(2), at(999)).is_ok());
    assert!(stack.claim(&rest(1), at(1000)).is_ok());
    let unknown = Pushback {
        policy: Some("default"),
        ..RATE
    };
    assert_eq!(
        claim.pushed_back(&unknown, at(1000)).as_deref(),
        Some("rate")
    );
}

#[test]
fn sessions_and_limits_that_only_watch_do_not_yield_nor_seats_to_a_login() {
    let sessions = limit("sessions", Counts::Sessions, Key::All, 5);
    let stack = stack(vec![
        sessions,
        seats("seats", 10),
        shadow(rate("watched", 9)),
    ]);
    let login = call(Class::Login, "/api/session", 1);
    let claim = stack.claim(&login, at(0)).unwrap();
    assert_eq!(claim.pushed_back(&FULL, at(0)), None);
    assert_eq!(claim.pushed_back(&RATE, at(0)), None);
    let views = stack.views(at(0));
    assert!(views.iter().all(|view| view.effective.is_none()));
}

#[test]
fn who_waits_is_called_when_the_share_grows() {
    let mut limit = seats("seats", 10);
    limit.wait = Wait {
        line: 9,
        per_user: 9,
        at_most: Duration::from_secs(30),
    };
    let stack = stack(vec![limit]);
    let held = passing(&stack, 7, 0);
    assert!(held[0].pushed_back(&FULL, at(0)).is_some());
    let patient = || Terms {
        rank: Rank::Usual,
        weight: NonZeroU32::MIN,
        patience: Duration::from_secs(30),
    };
    let Entry::Waits(mut waiting) = stack.enter(&rest(1), patient, at(10)) else {
        panic!("seven of seven are taken");
    };
    let ready = |waiting: &mut crate::admit::Waiting| {
        let mut context = Context::from_waker(Waker::noop());
        std::pin::Pin::new(waiting).poll(&mut context)
    };
    stack.call_due(at(4999));
    assert!(ready(&mut waiting).is_pending());
    stack.call_due(at(5000));
    let Poll::Ready(turn) = ready(&mut waiting) else {
        panic!("eight are in force");
    };
    let Entry::Passed(claim) = stack.resume(&rest(1), patient, turn, at(5000)) else {
        panic!("it is its turn");
    };
    assert_eq!(view(&stack, "seats", at(5000)).in_use, 8);
    audited(&stack);
    drop((claim, held));
    assert_eq!(view(&stack, "seats", at(5000)).in_use, 0);
    audited(&stack);
}

#[test]
fn a_call_that_was_sent_back_goes_before_those_who_came_after_it() {
    let mut limit = seats("seats", 1);
    limit.wait = Wait {
        line: 9,
        per_user: 9,
        at_most: Duration::from_secs(30),
    };
    let stack = stack(vec![limit]);
    let terms = |rank| Terms {
        rank,
        weight: NonZeroU32::MIN,
        patience: Duration::from_secs(30),
    };
    let held = passing(&stack, 1, 100);
    let Entry::Waits(mut usual) = stack.enter(&rest(1), || terms(Rank::Usual), at(200)) else {
        panic!("it waits");
    };
    let again = stack.enter_again(&rest(2), || terms(Rank::Promised), at(50), at(300));
    let Entry::Waits(mut again) = again else {
        panic!("it waits");
    };
    assert_eq!(again.until(), at(30_050), "its patience began when it came");
    drop(held);
    let mut context = Context::from_waker(Waker::noop());
    assert!(
        std::pin::Pin::new(&mut usual)
            .poll(&mut context)
            .is_pending()
    );
    assert!(std::pin::Pin::new(&mut again).poll(&mut context).is_ready());
}
