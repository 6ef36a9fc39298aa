//! The claim over several limits at once: all or nothing, whoever else claims, releases or audits.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::{sync::mpsc, thread};

use crate::admit::Stack;
use crate::call::{Call, Class};
use crate::config::{Counts, Key, Limit, Mode, Upstream};
use crate::explore;
use crate::limit::Moment;

pub(crate) const NOW: Moment = Moment::START;

/// The upstream that every scene's limits are put on; checked once, outside of the scenes.
fn upstream() -> Upstream {
    let text = "[[upstream]]\naddress = \"https://api.example\"\n\
                [upstream.limits.x]\ncounts = \"requests_in_flight\"\nlimit = 1";
    let config = tidegate::config::parse(text, Path::new("."));
    config.expect("the text is valid").upstreams.remove(0)
}

fn limit(pattern: &Limit, name: &str, (counts, key): (Counts, Key), ceiling: u64) -> Limit {
    let mut limit = pattern.clone();
    limit.name = Arc::from(name);
    (limit.counts, limit.key, limit.limit) = (counts, key, ceiling);
    if counts == Counts::Requests {
        (limit.window, limit.burst) = (Duration::from_secs(1), ceiling);
    }
    limit
}

pub(crate) const SEATS: (Counts, Key) = (Counts::RequestsInFlight, Key::All);
pub(crate) const SOCKETS: (Counts, Key) = (Counts::UpstreamConnections, Key::All);
pub(crate) const SEATS_EACH: (Counts, Key) = (Counts::RequestsInFlight, Key::Address);
pub(crate) const RATE: (Counts, Key) = (Counts::Requests, Key::All);
const RATE_EACH: (Counts, Key) = (Counts::Requests, Key::Address);

/// An upstream with these limits.
pub(crate) fn with(limits: &[(&str, (Counts, Key), u64)]) -> Upstream {
    let mut upstream = upstream();
    let made = limits
        .iter()
        .map(|(name, counts, ceiling)| limit(&upstream.limits[0], name, *counts, *ceiling));
    upstream.limits = made.collect();
    upstream
}

pub(crate) fn call(class: Class, from: u8) -> Call<'static> {
    Call::new(class, "/api", IpAddr::V4(Ipv4Addr::new(192, 0, 2, from)))
}

/// Units in use of the limit `name`, by the operator's view.
pub(crate) fn in_use(stack: &Stack, name: &str) -> u64 {
    let views = stack.views(NOW);
    let view = views.iter().find(|view| &*view.name == name);
    view.expect("the limit is there").in_use
}

pub(crate) fn audited(stack: &Stack) {
    for (name, mismatch) in stack.audit() {
        assert_eq!(mismatch, 0, "{name}");
    }
}

#[test]
fn three_threads_over_seats_and_rates_take_all_or_nothing() {
    let upstream = with(&[
        ("a_seats", SEATS, 2),
        ("b_seats", SEATS, 1),
        ("rate", RATE, 4),
    ]);
    explore(move || {
        let mut upstream = upstream.clone();
        // One thread's calls pass by the narrow limit, so the sets that are claimed overlap in part.
        upstream.limits[1].matches.class = vec![Class::Rest];
        let stack = Arc::new(Stack::build(&upstream));
        let inside = Arc::new([const { AtomicU64::new(0) }; 2]);
        let threads = [Class::Rest, Class::Rest, Class::Soap].map(|class| {
            let (stack, inside) = (Arc::clone(&stack), Arc::clone(&inside));
            thread::spawn(move || {
                let mut admitted = 0;
                for _ in 0..2 {
                    let Ok(claim) = stack.claim(&call(class, 1), NOW) else {
                        continue;
                    };
                    admitted += 1;
                    let own: &[_] = if class == Class::Rest {
                        &[(0, 2), (1, 1)]
                    } else {
                        &[(0, 2)]
                    };
                    for (at, ceiling) in own {
                        assert!(inside[*at].fetch_add(1, Ordering::SeqCst) < *ceiling);
                    }
                    for (at, _) in own {
                        inside[*at].fetch_sub(1, Ordering::SeqCst);
                    }
                    drop(claim);
                }
                admitted
            })
        });
        let admitted: u64 = threads
            .into_iter()
            .map(|thread| thread.join().expect("it ends well"))
            .sum();
        assert!((1..=4).contains(&admitted), "{admitted}");
        assert_eq!(in_use(&stack, "rate"), admitted, "a refusal left a trace");
        assert_eq!(
            (in_use(&stack, "a_seats"), in_use(&stack, "b_seats")),
            (0, 0)
        );
        audited(&stack);
    });
}

#[test]
fn the_audit_is_exact_in_the_middle_of_claims_and_releases() {
    let upstream = with(&[
        ("sockets", SOCKETS, 2),
        ("seats", SEATS, 1),
        ("rate", RATE, 3),
    ]);
    explore(move || {
        let stack = Arc::new(Stack::build(&upstream));
        let (to_other, from_other) = mpsc::channel();
        let claimer = {
            let stack = Arc::clone(&stack);
            thread::spawn(move || {
                for _ in 0..2 {
                    if let Ok(claim) = stack.claim(&call(Class::Rest, 1), NOW) {
                        to_other.send(claim).expect("somebody listens");
                    }
                }
            })
        };
        // Claims end on another thread than they began on.
        let releaser = thread::spawn(move || from_other.into_iter().for_each(drop));
        audited(&stack);
        audited(&stack);
        claimer.join().expect("it ends well");
        releaser.join().expect("it ends well");
        audited(&stack);
        assert_eq!(in_use(&stack, "seats"), 0);
    });
}

#[test]
fn claims_over_limits_of_each_key_neither_block_each_other_nor_lose_a_unit() {
    let upstream = with(&[
        ("all", RATE, 3),
        ("each", SEATS_EACH, 1),
        ("pace", RATE_EACH, 2),
        ("pace_too", RATE_EACH, 2),
    ]);
    explore(move || {
        let stack = Arc::new(Stack::build(&upstream));
        let threads = [1, 1, 2].map(|from| {
            let stack = Arc::clone(&stack);
            thread::spawn(move || {
                let claims = [(); 2].map(|()| stack.claim(&call(Class::Rest, from), NOW));
                let admitted = claims.iter().filter(|claim| claim.is_ok()).count();
                assert!(admitted <= 1, "one seat each");
                admitted as u64
            })
        });
        let admitted = threads.map(|thread| thread.join().expect("it ends well"));
        let [one, other, alone] = admitted;
        assert!(alone == 1 && one + other >= 1, "{admitted:?}");
        assert_eq!(in_use(&stack, "all"), one + other + alone);
        assert_eq!(in_use(&stack, "pace"), one + other, "the fuller key");
        assert_eq!(in_use(&stack, "each"), 0);
        audited(&stack);
    });
}

#[test]
fn a_shadow_limit_over_its_ceiling_gives_all_of_it_back() {
    let upstream = with(&[("loud", SEATS, 1), ("quiet", SEATS, 0)]);
    explore(move || {
        let mut upstream = upstream.clone();
        upstream.limits[1].mode = Mode::Shadow;
        let stack = Arc::new(Stack::build(&upstream));
        let threads = [1, 2, 3].map(|from| {
            let stack = Arc::clone(&stack);
            thread::spawn(move || drop(stack.claim(&call(Class::Rest, from), NOW)))
        });
        for thread in threads {
            thread.join().expect("it ends well");
        }
        assert_eq!((in_use(&stack, "loud"), in_use(&stack, "quiet")), (0, 0));
        audited(&stack);
        let claim = stack.claim(&call(Class::Rest, 1), NOW);
        assert!(claim.is_ok(), "the seat came back");
    });
}
