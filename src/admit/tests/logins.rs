//! Logins under names that nobody has proven: few at a time from one address, and they wait like others.

use std::num::NonZeroU32;

use super::*;
use crate::admit::{Entry, Terms};
use crate::call::{Opening, Reason, SessionKind, UserId};
use crate::limit::Rank;

const PATIENT: Terms = Terms {
    rank: Rank::Usual,
    weight: NonZeroU32::MIN,
    patience: Duration::from_hours(1),
};

/// A login of a user of its own, from one address.
fn login(number: u8) -> Call<'static> {
    let mut call = call(Class::Login, "/api/session", 1);
    call.opens = Some(Opening {
        kind: SessionKind::Rest,
        user: Some(UserId::new([number; 16])),
        proven: false,
    });
    call
}

fn sessions_of_each(ceiling: u64) -> Limit {
    limit("each", Counts::Sessions, Key::User, ceiling)
}

fn lined(mut limit: Limit) -> Limit {
    limit.wait = Wait {
        line: 100,
        per_user: 100,
        at_most: Duration::from_secs(30),
    };
    limit
}

#[test]
fn a_login_that_finds_160_on_their_way_from_its_address_waits_where_the_limit_on_logins_is_full() {
    let logins = lined(limit("logins", Counts::SessionCreations, Key::All, 160));
    let stack = stack(vec![logins, sessions_of_each(9)]);
    let mut claims: Vec<Claim> = (0..160)
        .map(|n| stack.claim(&login(n), at(0)).unwrap())
        .collect();
    let Entry::Waits(waiting) = stack.enter(&login(200), || PATIENT, at(1)) else {
        panic!("it waits");
    };
    assert_eq!(&**waiting.limit(), "logins");
    drop(claims.pop());
    let turn = waiting.give_up(at(2)).expect("its turn");
    let entry = stack.resume(&login(200), || PATIENT, turn, at(2));
    assert!(matches!(entry, Entry::Passed(_)), "{entry:?}");
    audited(&stack);
    drop((claims, entry));
    audited(&stack);
    let left: u64 = counters(&stack, at(3)).iter().flat_map(|(_, n)| n).sum();
    assert_eq!(left, 0);
    assert!(stack.claim(&login(1), at(4)).is_ok());
}

#[test]
fn the_161st_from_one_address_is_refused_even_where_sessions_have_a_line() {
    let limits = vec![lined(sessions_of_each(9)), rate("rate", 1000)];
    let stack = stack(limits);
    let claims: Vec<Claim> = (0..160)
        .map(|n| stack.claim(&login(n), at(0)).unwrap())
        .collect();
    let before = counters(&stack, at(1));
    let Entry::Refused(refusal) = stack.enter(&login(200), || PATIENT, at(1)) else {
        panic!("it is refused");
    };
    assert_eq!((&*refusal.limit, refusal.ceiling), ("each", 160));
    assert_eq!(refusal.reason, Reason::Full);
    assert_eq!(counters(&stack, at(1)), before, "no trace");
    audited(&stack);
    drop(claims);
    assert!(stack.claim(&login(200), at(2)).is_ok());
}
