//! Many threads at the same few sessions: units are balanced at the end, whatever happened when.

use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::*;

const THREADS: u64 = 4;
const TURNS: u64 = 20_000;
const TOKENS: u64 = 12;

/// A unit that knows how often it was given back.
struct Unit(Arc<[AtomicUsize; 2]>);

impl Unit {
    fn take(counts: &Arc<[AtomicUsize; 2]>) -> Self {
        counts[0].fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counts))
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        self.0[1].fetch_add(1, Ordering::Relaxed);
    }
}

fn turn(ledger: &Ledger<Unit>, counts: &Arc<[AtomicUsize; 2]>, number: u64) {
    // A cheap scatter, the same in every run of one thread.
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let now = at(number / 8);
    let upstream = upstream();
    let key = ledger
        .keys()
        .session("vc1", SessionKind::Rest, &(mixed % TOKENS).to_le_bytes());
    let new = New {
        key,
        kind: SessionKind::Rest,
        upstream: &upstream,
        user: (mixed & 64 == 0).then(|| user("alice")),
        address: HERE,
        credential: None,
        began: ms((number / 8).saturating_sub(mixed & 1)),
    };
    match (mixed / TOKENS) % 8 {
        0 => drop(ledger.close(&key, now.moment)),
        1 | 2 => assert!(ledger.open(new, Unit::take(counts), now) != Opened::Full),
        3 => assert!(ledger.adopt(new, Unit::take(counts), now) != Opened::Full),
        4 => drop(ledger.expire(now.moment, |_, _| Some(Duration::from_millis(3)))),
        5 => drop(ledger.begin(&key, now.moment)),
        6 => drop(ledger.hand_over(&now, true)),
        _ => {
            ledger.name(&key, user("bob"), |_| (), now.moment);
        }
    }
}

#[test]
fn units_are_balanced_under_every_interleaving_that_came_up() {
    let ledger: Ledger<Unit> = Ledger::new(keys(), 100);
    let counts: Arc<[AtomicUsize; 2]> = Arc::default();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (ledger, counts) = (&ledger, &counts);
            scope.spawn(move || {
                for number in 0..TURNS {
                    turn(ledger, counts, number * THREADS + thread);
                }
            });
        }
    });
    let [taken, given] = &*counts;
    let held = || taken.load(Ordering::Relaxed) - given.load(Ordering::Relaxed);
    assert!(taken.load(Ordering::Relaxed) > 1000);
    let end = ms(THREADS * TURNS);
    assert_eq!(held(), ledger.len());
    assert_eq!(ledger.rows(end).len(), ledger.len());
    assert_eq!(ledger.counts()[0].live, ledger.len() as u64);
    ledger.expire(end.after(Duration::from_secs(1)), |_, _| {
        Some(Duration::ZERO)
    });
    assert_eq!((held(), ledger.len()), (0, 0), "no call is left in flight");
}

#[test]
fn of_many_that_adopt_at_once_one_is_told_that_it_is_new() {
    for round in 0..200 {
        let rig = Rig::new();
        let start = std::sync::Barrier::new(4);
        let adopt = || {
            start.wait();
            matches!(rig.adopt("t", round, round), Opened::New(_))
        };
        let new: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(adopt)).collect();
            threads
                .into_iter()
                .map(|one| usize::from(one.join().unwrap()))
                .sum()
        });
        assert_eq!(new, 1);
        rig.balanced(1);
    }
}

/// A unit that looks at the whole ledger as it is given back.
struct Curious(Weak<Ledger<Self>>);

impl Drop for Curious {
    fn drop(&mut self) {
        let rows = self.0.upgrade().map(|ledger| ledger.rows(ms(0)).len());
        assert!(rows.is_none_or(|rows| rows <= 1));
    }
}

#[test]
fn units_are_given_back_where_no_lock_is_held() {
    let (done, told) = mpsc::channel();
    std::thread::spawn(move || {
        let ledger = Arc::new(Ledger::new(keys(), 1));
        let unit = || Curious(Arc::downgrade(&ledger));
        let upstream = upstream();
        let new = |token: &[u8], began| New {
            key: ledger.keys().session("vc1", SessionKind::Rest, token),
            kind: SessionKind::Rest,
            upstream: &upstream,
            user: None,
            address: HERE,
            credential: None,
            began: ms(began),
        };
        let key = new(b"a", 0).key;
        assert!(matches!(
            ledger.open(new(b"a", 1), unit(), at(1)),
            Opened::New(_)
        ));
        assert!(matches!(
            ledger.open(new(b"a", 1), unit(), at(1)),
            Opened::Known(_)
        ));
        assert!(matches!(
            ledger.adopt(new(b"a", 1), unit(), at(1)),
            Opened::Known(_)
        ));
        assert_eq!(ledger.open(new(b"b", 1), unit(), at(1)), Opened::Full);
        assert_eq!(ledger.adopt(new(b"b", 1), unit(), at(1)), Opened::Full);
        ledger.close(&key, ms(2));
        assert_eq!(ledger.open(new(b"a", 1), unit(), at(3)), Opened::Ended);
        assert_eq!(ledger.adopt(new(b"a", 1), unit(), at(3)), Opened::Ended);
        let _ = ledger.open(new(b"a", 4), unit(), at(4));
        ledger.expire(ms(9), |_, _| Some(Duration::ZERO));
        done.send(ledger.len()).unwrap();
    });
    assert_eq!(told.recv_timeout(Duration::from_secs(30)), Ok(0));
}
