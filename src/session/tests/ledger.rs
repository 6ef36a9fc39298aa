//! One session at a time: opening, use, ending, and the orders in which these can meet.

use super::*;

#[test]
fn a_session_is_found_until_it_is_closed() {
    let rig = Rig::new();
    let Opened::New(id) = rig.open("t", "alice", 1) else {
        panic!("it is new");
    };
    let known = rig.find("t", 2).unwrap();
    assert_eq!((known.id, known.user), (id, Some(user("alice"))));
    assert!(!known.adopted);
    rig.balanced(1);
    let ended = rig.close("t", 3).unwrap();
    assert_eq!((ended.id, ended.key), (id, rig.key("t")));
    assert_eq!(rig.find("t", 4), None);
    assert_eq!(rig.close("t", 5), None);
    rig.balanced(0);
}

#[test]
fn the_same_token_opened_twice_is_one_session_with_one_unit() {
    let rig = Rig::new();
    let Opened::New(id) = rig.open("t", "alice", 1) else {
        panic!("it is new");
    };
    assert_eq!(rig.open("t", "bob", 2), Opened::Known(id));
    assert_eq!(rig.find("t", 3).unwrap().user, Some(user("bob")));
    rig.balanced(1);
}

#[test]
fn a_login_that_was_used_before_its_answer_was_read_is_no_adopted_one() {
    let rig = Rig::new();
    let Opened::New(id) = rig.adopt("t", 2, 3) else {
        panic!("it is new");
    };
    assert!(rig.find("t", 4).unwrap().adopted);
    assert_eq!(rig.open_late("t", "alice", 1, 5), Opened::Known(id));
    let known = rig.find("t", 6).unwrap();
    assert_eq!((known.adopted, known.user), (false, Some(user("alice"))));
    rig.balanced(1);
}

#[test]
fn a_login_that_names_nobody_leaves_the_units_of_a_known_session_with_its_user() {
    let ledger = Ledger::new(keys(), 8);
    let rig = Rig::new();
    let open = |name: Option<&str>, units: &'static str| {
        ledger.open(rig.new_of("t", name, 1), Arc::new(units), at(1))
    };
    let held = || {
        let shard = ledger.table.of(&rig.key("t"));
        let entry = shard.find(&rig.key("t")).unwrap();
        (
            entry.known().user.map(|user| user.name.to_string()),
            *entry.units,
        )
    };
    let Opened::New(id) = open(None, "somebody's") else {
        panic!("it is new");
    };
    assert_eq!(open(Some("alice"), "alice's"), Opened::Known(id));
    assert_eq!(held(), (Some("alice".to_owned()), "alice's"));
    assert_eq!(open(None, "somebody's"), Opened::Known(id));
    assert_eq!(held(), (Some("alice".to_owned()), "alice's"));
    assert_eq!(open(Some("bob"), "bob's"), Opened::Known(id));
    assert_eq!(held(), (Some("bob".to_owned()), "bob's"));
}

#[test]
fn a_login_that_ended_while_it_was_being_opened_stays_ended() {
    let rig = Rig::new();
    // The client had the token from the first bytes of the answer, and logged out with it.
    assert_eq!(rig.close("t", 5), None);
    assert_eq!(rig.open_late("t", "alice", 4, 6), Opened::Ended);
    rig.balanced(0);
    // The same token given out again later is a new login.
    assert!(matches!(rig.open("t", "alice", 7), Opened::New(_)));
    rig.balanced(1);
}

#[test]
fn a_call_that_went_up_before_the_logout_does_not_bring_the_session_back() {
    let rig = Rig::new();
    let _ = rig.open("t", "alice", 1);
    rig.close("t", 5);
    assert_eq!(rig.adopt("t", 5, 6), Opened::Ended);
    assert!(matches!(rig.adopt("t", 6, 7), Opened::New(_)));
    rig.balanced(1);
}

#[test]
fn a_dead_token_hammered_at_does_not_crowd_out_other_endings() {
    let rig = Rig::new();
    rig.close("other", 5);
    for now in 6..10_000 {
        rig.close("dead", now);
    }
    assert_eq!(rig.open_late("other", "alice", 4, 10_001), Opened::Ended);
}

#[test]
fn only_the_first_to_adopt_is_told_that_it_is_new() {
    let rig = Rig::new();
    let Opened::New(id) = rig.adopt("t", 1, 1) else {
        panic!("it is new");
    };
    assert_eq!(rig.adopt("t", 2, 2), Opened::Known(id));
    rig.balanced(1);
}

#[test]
fn an_adopted_session_gets_its_user_and_the_units_of_one() {
    let seats = Arc::new(Seats::new(u64::MAX));
    let ledger: Ledger<Vec<Seat>> = Ledger::new(keys(), 10);
    let upstream = upstream();
    let key = ledger.keys().session("vc1", SessionKind::Soap, b"t");
    let new = New {
        key,
        kind: SessionKind::Soap,
        upstream: &upstream,
        user: None,
        address: HERE,
        credential: None,
        began: ms(1),
    };
    let _ = ledger.adopt(new, vec![seats.seat().unwrap()], at(1));
    let take = |units: &mut Vec<Seat>| units.push(seats.seat().unwrap());
    assert!(ledger.name(&key, user("alice"), take, ms(2)));
    assert!(!ledger.name(&key, user("bob"), take, ms(3)));
    assert_eq!(ledger.find(&key, ms(4)).unwrap().user, Some(user("alice")));
    assert_eq!(seats.in_use(), 2);
    ledger.close(&key, ms(5));
    assert!(!ledger.name(&key, user("bob"), take, ms(6)));
    assert_eq!(seats.in_use(), 0);
}

#[test]
fn a_session_ends_when_it_was_idle_for_its_bound_and_not_before() {
    let rig = Rig::new();
    let _ = rig.open("t", "alice", 100);
    assert_eq!(rig.expire(1099, 1000), 0);
    rig.find("t", 500);
    assert_eq!(rig.expire(1499, 1000), 0);
    assert_eq!(rig.expire(1500, 1000), 1);
    rig.balanced(0);
    let count = &rig.ledger.counts()[0];
    assert_eq!((count.live, count.reaped), (0, 1));
}

#[test]
fn a_session_without_a_bound_lives_on() {
    let rig = Rig::new();
    let _ = rig.open("t", "alice", 1);
    let ended = rig.ledger.expire(ms(u64::from(u32::MAX)), |_, _| None);
    assert_eq!(ended, []);
    rig.balanced(1);
}

#[test]
fn a_session_in_use_is_not_idle() {
    let rig = Rig::new();
    let _ = rig.open("t", "alice", 1);
    let call = rig.ledger.begin(&rig.key("t"), ms(2)).unwrap();
    assert_eq!(call.known().user, Some(user("alice")));
    assert_eq!(rig.expire(5000, 1000), 0);
    assert_eq!(rig.expire(5000, 0), 0);
    let row = &rig.ledger.rows(ms(6000))[0];
    assert_eq!((row.idle, row.in_flight), (Duration::ZERO, 1));
    call.end(ms(6500));
    assert_eq!(rig.ledger.rows(ms(6600))[0].idle.as_millis(), 100);
    assert_eq!(rig.expire(7499, 1000), 0);
    assert_eq!(rig.expire(7500, 1000), 1);
}

#[test]
fn a_call_that_went_away_without_a_word_counts_from_when_it_is_noticed() {
    let rig = Rig::new();
    let _ = rig.open("t", "alice", 1);
    drop(rig.ledger.begin(&rig.key("t"), ms(2)));
    assert_eq!(rig.expire(5000, 1000), 0);
    assert_eq!(rig.expire(5999, 1000), 0);
    assert_eq!(rig.expire(6000, 1000), 1);
}

#[test]
fn a_session_may_be_closed_under_its_calls() {
    let rig = Rig::new();
    let _ = rig.open("t", "alice", 1);
    let call = rig.ledger.begin(&rig.key("t"), ms(2)).unwrap();
    assert!(rig.close("t", 3).is_some());
    rig.balanced(0);
    call.end(ms(4));
    assert!(rig.ledger.begin(&rig.key("t"), ms(5)).is_none());
}

#[test]
fn a_full_ledger_forgets_the_new_one_and_counts_it() {
    let rig = Rig::holding(2);
    let _ = rig.open("a", "alice", 1);
    let _ = rig.open("b", "alice", 1);
    assert_eq!(rig.open("c", "alice", 2), Opened::Full);
    assert_eq!(rig.adopt("d", 2, 2), Opened::Full);
    assert!(matches!(rig.open("a", "bob", 2), Opened::Known(_)));
    assert_eq!(rig.ledger.overflows(), 2);
    rig.balanced(2);
    rig.close("a", 3);
    assert!(matches!(rig.adopt("d", 4, 4), Opened::New(_)));
    rig.balanced(2);
}

#[test]
fn rows_tell_everything_but_the_token() {
    let rig = Rig::new();
    let _ = rig.open("first", "alice", 1000);
    let credential = Credential {
        token: Token::new(b"5ecret-token"),
        xsrf: Some(Token::new(b"5ecret-xsrf")),
    };
    let mut new = rig.new_of("second", None, 2000);
    new.address = "::ffff:192.0.2.9".parse().unwrap();
    new.credential = Some(&credential);
    let _ = rig.ledger.adopt(new, rig.seats.seat().unwrap(), at(2000));
    rig.find("first", 2500);
    let rows = rig.ledger.rows(ms(3000));
    let row = &rows[0];
    assert_eq!((row.user.as_deref(), row.adopted), (Some("alice"), false));
    assert_eq!((row.opened, row.age.as_millis()), (wall(1000), 2000));
    assert_eq!((row.idle.as_millis(), row.address), (500, HERE));
    let row = &rows[1];
    assert_eq!((row.user.as_deref(), row.adopted), (None, true));
    assert_eq!((&*row.upstream, row.kind), ("vc1", SessionKind::Rest));
    assert_eq!(row.address.to_string(), "192.0.2.9");
    let shown = format!("{rows:?} {:?} {credential:?}", rig.ledger);
    assert!(!shown.contains("5ecret"), "{shown}");
}

#[test]
fn the_operator_logs_out_by_number() {
    let rig = Rig::new();
    let credential = Credential {
        token: Token::new(b"5ecret-token"),
        xsrf: Some(Token::new(b"x")),
    };
    let mut new = rig.new_of("t", Some("alice"), 1);
    new.credential = Some(&credential);
    let Opened::New(id) = rig.ledger.open(new, rig.seats.seat().unwrap(), at(1)) else {
        panic!("it is new");
    };
    let logout = rig.ledger.logout(id).unwrap();
    assert_eq!(logout.credential.as_ref(), Some(&credential));
    assert_eq!(
        (logout.key, &logout.upstream),
        (rig.key("t"), &rig.upstream)
    );
    assert!(!format!("{logout:?}").contains("5ecret"));
    let other = SessionId::new(id.number() ^ 1);
    assert_eq!(rig.ledger.logout(other), None);
    let ended = rig.close("t", 2).unwrap();
    let opened = rig.ledger.keys().unseal(&ended.key, &ended.sealed.unwrap());
    assert_eq!(opened, Ok(credential));
    assert_eq!(rig.ledger.logout(id), None);
}

#[test]
fn an_id_reads_as_it_was_written() {
    for number in [0, 1, 0xfedc_ba98_7654_3210, u64::MAX] {
        let id = SessionId::new(number);
        assert_eq!(id.to_string().len(), 16);
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    for wrong in [
        "",
        "1",
        "00000000000000001",
        "+000000000000001",
        "000000000000000G",
        "FEDCBA9876543210",
    ] {
        assert_eq!(wrong.parse::<SessionId>(), Err(NotAnId), "{wrong}");
    }
}

#[test]
fn ids_do_not_repeat_from_one_ledger_to_the_next() {
    let first = |rig: Rig| match rig.open("t", "alice", 1) {
        Opened::New(id) => id,
        other => panic!("{other:?}"),
    };
    assert_ne!(first(Rig::new()), first(Rig::new()));
}
