//! Who goes when: the book of one upstream, with the time passed in.

use std::collections::BTreeMap;

use super::*;

/// Long enough for the longest ramp.
const OUTAGE: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_millis(1);

fn place<'a>(health: &'a Health, now: Instant) -> (Place<'a>, Pass) {
    let mut pass = Pass::default();
    match health.enter(&mut pass, now) {
        Door::Waits(place) => (place, pass),
        other => panic!("{other:?}"),
    }
}

/// Down since `now`, with this many calls that wait.
fn down(health: &Health, now: Instant, calls: usize) -> Vec<Place<'_>> {
    assert!(health.lost(SocketGroup::default(), now));
    (0..calls).map(|_| place(health, now).0).collect()
}

#[test]
fn who_waits_goes_in_the_order_of_arrival_and_who_left_leaves_no_gap() {
    let (health, start) = (Health::default(), Instant::now());
    assert!(matches!(
        health.enter(&mut Pass::default(), start),
        Door::Open
    ));
    let mut places = down(&health, start, 102);
    assert!(!health.lost(SocketGroup::default(), start), "once");
    drop(places.remove(50));
    drop(places.remove(0));
    assert_eq!(health.waiting(), 100);
    let back = start + OUTAGE;
    assert_eq!(health.down_for(back), Some(OUTAGE));
    let outage = health.found(back);
    assert_eq!(outage.map(|outage| outage.waiting), Some(100));
    assert_eq!(health.found(back), None, "once");
    let ramp = Ramp::after(OUTAGE);
    for (number, place) in (0..).zip(&mut places) {
        let turn = back + ramp.turn(number);
        assert_eq!(place.called.try_recv(), Ok(turn), "{number}");
    }
    // Who comes now goes behind them.
    let (mut late, _) = place(&health, back + STEP);
    assert_eq!(late.called.try_recv(), Ok(back + ramp.turn(100)));
    assert!(matches!(
        health.enter(&mut Pass::default(), back + ramp.length()),
        Door::Open
    ));
    assert!(health.is_steady());
}

#[test]
fn who_was_let_go_may_pass_until_it_is_down_again() {
    let (health, start) = (Health::default(), Instant::now());
    drop(down(&health, start, 0));
    let back = start + OUTAGE;
    health.found(back);
    let mut pass = Pass::default();
    assert!(!health.is_open_to(pass, back), "it was not its turn");
    assert!(matches!(health.enter(&mut pass, back), Door::Open));
    assert!(health.is_open_to(pass, back + STEP));
    assert!(health.lost(SocketGroup::default(), back + STEP));
    assert!(!health.is_open_to(pass, back + STEP));
    assert_eq!(
        health.down_for(back + STEP),
        Some(OUTAGE + STEP),
        "it was never really back"
    );
    // First come, first again: a call that came meanwhile stands behind it.
    let mut other = place(&health, back + STEP).0;
    let Door::Waits(mut first) = health.enter(&mut pass, back + STEP) else {
        panic!("it waits");
    };
    health.found(back + 2 * STEP);
    let turns = [&mut first, &mut other].map(|place| place.called.try_recv().unwrap());
    assert!(turns[0] <= turns[1]);
    assert!(!health.is_open_to(pass, back + 2 * STEP), "another return");
}

#[tokio::test]
async fn who_waits_is_woken_at_its_turn_or_told_that_it_is_over() {
    let health = Health::default();
    let long_ago = Instant::now().checked_sub(4 * OUTAGE).unwrap();
    let mut places = down(&health, long_ago, 3);
    let last = places.remove(2);
    assert_eq!(last.turn(Instant::now()).await, None, "time is up");
    assert_eq!(health.waiting(), 2);
    health.found(long_ago + OUTAGE);
    let second = places.remove(1);
    let pass = second.turn(Instant::now()).await.expect("its turn");
    assert_eq!((pass.number, pass.round), (Some(1), 1));
    // The first wakes up to an upstream that is down again: it waits on, where it was.
    health.lost(SocketGroup::default(), long_ago + OUTAGE + STEP);
    let newcomer = place(&health, Instant::now()).0;
    let far = Instant::now() + Duration::from_mins(1);
    let first = places.remove(0).turn(far);
    tokio::pin!(first);
    let brief = tokio::time::timeout(STEP, &mut first).await;
    assert!(brief.is_err(), "not yet");
    assert_eq!(health.waiting(), 2);
    health.found(Instant::now());
    let pass = first.await.expect("its turn");
    assert_eq!((pass.number, pass.round), (Some(0), 2));
    drop(newcomer);
    assert_eq!(health.waiting(), 0);
}

#[test]
fn no_more_wait_than_there_is_room_for() {
    let (health, start) = (Health::with_room(2), Instant::now());
    let places = down(&health, start, 2);
    let mut pass = Pass::default();
    assert!(matches!(health.enter(&mut pass, start), Door::Full));
    drop(places);
    assert!(matches!(health.enter(&mut pass, start), Door::Waits(_)));
}

#[test]
fn a_refused_call_comes_back_the_later_the_longer_it_is_down_and_not_with_all_others() {
    for (down_for, from, to) in [(0, 1, 3), (10, 5, 15), (30, 15, 45), (4000, 20, 60)] {
        let mut at: BTreeMap<u64, u32> = BTreeMap::new();
        for nth in 0..1000 {
            let back = come_back_in(Duration::from_secs(down_for), nth);
            *at.entry(back.as_secs()).or_default() += 1;
        }
        let (first, last) = (at.keys().next().unwrap(), at.keys().last().unwrap());
        assert!(*first >= from && *last <= to, "{down_for}: {at:?}");
        let even = 1000 / u32::try_from(to - from).unwrap();
        assert!(at.values().all(|calls| *calls <= even + 20), "{at:?}");
    }
}
