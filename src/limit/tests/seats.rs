//! Seats: never above the ceiling, given back once, whatever ends the holder.

use std::sync::Arc;

use super::super::Seats;

#[test]
fn as_many_as_the_ceiling_and_not_one_more() {
    let seats = Arc::new(Seats::new(3));
    let held: Vec<_> = (0..5).filter_map(|_| seats.seat()).collect();
    assert_eq!((held.len(), seats.in_use()), (3, 3));
    drop(held);
    assert_eq!(seats.in_use(), 0);
}

#[test]
fn zero_blocks() {
    assert!(Arc::new(Seats::new(0)).seat().is_none());
}

#[test]
fn a_unit_given_back_twice_makes_no_room() {
    let seats = Seats::new(1);
    assert!(seats.try_take());
    assert!(seats.give_back());
    assert!(!seats.give_back());
    assert_eq!((0..3).filter(|_| seats.try_take()).count(), 1);
}

#[test]
fn counting_only_goes_above_the_ceiling_and_says_so() {
    let seats = Arc::new(Seats::new(1));
    let first = seats.seat_unchecked();
    let second = seats.seat_unchecked();
    assert_eq!((first.1, second.1, seats.in_use()), (true, false, 2));
    drop(first);
    assert!(seats.seat().is_none(), "one is held still");
    drop(second);
    assert!(seats.seat().is_some());
}

#[test]
fn a_holder_that_panics_gives_its_seat_back() {
    let seats = Arc::new(Seats::new(1));
    let inside = Arc::clone(&seats);
    let ended = std::thread::spawn(move || {
        let _held = inside.seat();
        std::panic::resume_unwind(Box::new("the holder ends"));
    });
    assert!(ended.join().is_err());
    assert_eq!(seats.in_use(), 0);
}

#[test]
fn threads_never_see_more_than_the_ceiling() {
    let seats = Arc::new(Seats::new(3));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    let held = seats.seat();
                    assert!(seats.in_use() <= 3);
                    drop(held);
                }
            });
        }
    });
    assert_eq!(seats.in_use(), 0);
}
