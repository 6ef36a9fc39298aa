//! Seats and rates alone: never above the ceiling, nothing lost, nothing doubled.

use std::sync::Arc;
use std::time::Duration;

use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::thread;

use crate::explore;
use crate::limit::{KeyHasher, Keyed, Moment, Pace, Rate, Seats};

/// Runs `part` on `threads` threads; the sum of what they return.
fn together(threads: u64, part: impl Fn(u64) -> u64 + Send + Sync + 'static) -> u64 {
    let part = Arc::new(part);
    let running: Vec<_> = (0..threads)
        .map(|number| {
            let part = Arc::clone(&part);
            thread::spawn(move || part(number))
        })
        .collect();
    running
        .into_iter()
        .map(|thread| thread.join().expect("a thread of the scene ends well"))
        .sum()
}

/// Counts who is inside beside the counter under test.
#[derive(Default)]
struct Inside(AtomicU64);

impl Inside {
    fn enter(&self, ceiling: u64) {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) < ceiling, "one more");
    }

    fn leave(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn seats_are_never_more_than_the_ceiling_and_all_come_back() {
    explore(|| {
        let seats = Arc::new(Seats::new(2));
        let (of_threads, inside) = (Arc::clone(&seats), Inside::default());
        let admitted = together(3, move |_| {
            let mut admitted = 0;
            for _ in 0..2 {
                if let Some(seat) = of_threads.seat() {
                    inside.enter(2);
                    assert!(of_threads.in_use() <= 2, "seen above the ceiling");
                    inside.leave();
                    drop(seat);
                    admitted += 1;
                }
            }
            admitted
        });
        assert!(admitted >= 2, "two seats cannot all have been refused");
        assert_eq!(seats.in_use(), 0);
        assert!(seats.try_take() && seats.try_take() && !seats.try_take());
    });
}

#[test]
fn a_unit_given_back_by_two_is_given_back_once() {
    explore(|| {
        let seats = Arc::new(Seats::new(2));
        assert!(seats.try_take());
        let of_threads = Arc::clone(&seats);
        let given = together(2, move |_| u64::from(of_threads.give_back()));
        assert_eq!((given, seats.in_use()), (1, 0));
    });
}

#[test]
fn counting_only_loses_nothing_beside_those_who_ask() {
    explore(|| {
        let seats = Arc::new(Seats::new(1));
        let of_threads = Arc::clone(&seats);
        let kept = together(3, move |number| {
            if number == 0 {
                of_threads.take_unchecked();
                return 1;
            }
            let taken = of_threads.try_take();
            if taken && number == 1 {
                return u64::from(!of_threads.give_back());
            }
            u64::from(taken)
        });
        assert_eq!(seats.in_use(), kept);
    });
}

#[test]
fn a_rate_admits_its_limit_and_not_one_more() {
    explore(|| {
        let rate = Arc::new(Rate::new(3, Duration::from_secs(1), 3));
        let of_threads = Arc::clone(&rate);
        let admitted = together(3, move |number| {
            // Clocks are read before the lock is had, so moments come out of order.
            let moments = [number, 10 - number];
            let taken = moments.map(|nanos| of_threads.try_take(Moment::from_nanos(nanos)));
            taken.iter().filter(|taken| taken.is_ok()).count() as u64
        });
        assert_eq!((admitted, rate.in_use(Moment::from_nanos(10))), (3, 3));
    });
}

#[test]
fn an_offer_that_is_dropped_counts_nothing() {
    explore(|| {
        let rate = Arc::new(Rate::new(2, Duration::from_secs(1), 1));
        let of_threads = Arc::clone(&rate);
        let taken = together(3, move |number| {
            let Ok(offer) = of_threads.offer(Moment::from_nanos(5)) else {
                return 0;
            };
            if number == 0 {
                drop(offer);
                return 0;
            }
            offer.take();
            1
        });
        assert_eq!((taken, rate.in_use(Moment::from_nanos(5))), (1, 1));
    });
}

#[test]
fn the_seats_of_a_key_survive_its_being_forgotten_and_found_again() {
    explore(|| {
        let hasher = KeyHasher::default();
        let keyed = Arc::new(Keyed::new(hasher.clone()));
        let key = hasher.hash(7_u8);
        let (of_threads, inside) = (Arc::clone(&keyed), Inside::default());
        together(3, move |number| {
            for _ in 0..2 {
                if number == 2 {
                    of_threads.tidy(Moment::from_nanos(99), 1);
                } else if of_threads.try_seat(&key, 1).is_ok() {
                    inside.enter(1);
                    assert_eq!(of_threads.held(&key), 1);
                    inside.leave();
                    assert!(of_threads.give_back(&key), "the seat was lost");
                }
            }
            0
        });
        assert!(keyed.is_empty(), "an idle key stays");
    });
}

#[test]
fn the_pace_of_a_key_is_spent_once_while_idle_keys_are_swept() {
    explore(|| {
        let hasher = KeyHasher::default();
        let keyed = Arc::new(Keyed::new(hasher.clone()));
        let pace = Pace::new(2, Duration::from_secs(1), 2);
        let key = hasher.hash(7_u8);
        let of_threads = Arc::clone(&keyed);
        let admitted = together(3, move |number| {
            let now = Moment::from_nanos(number);
            let taken = [(); 2].map(|()| of_threads.try_take(&key, &pace, now));
            of_threads.tidy(now, usize::MAX);
            taken.iter().filter(|taken| taken.is_ok()).count() as u64
        });
        assert_eq!((admitted, keyed.len()), (2, 1));
    });
}
