//! The limit that follows the upstream.

use super::*;

fn adaptive() -> Arc<Stack> {
    let text = "[[upstream]]\naddress = \"https://api.example\"\nprofile = \"vcenter-8.0\"\n\
                adaptive = \"gradient\"";
    let config = config::parse(text, Path::new(".")).unwrap();
    Arc::new(Stack::build(&config.upstreams[0]))
}

/// Calls that are let in at once, each of which then takes this long; the clock after them.
fn round(stack: &Arc<Stack>, class: Class, takes: u64, now: &mut u64) -> usize {
    let mut claims = Vec::new();
    while let Ok(mut claim) = stack.claim(&call(class, "/api/x", 1), at(*now)) {
        claim.dispatch(at(*now)).unwrap();
        claims.push(claim);
        if claims.len() == 100 {
            break;
        }
    }
    let admitted = claims.len();
    *now += takes;
    for mut claim in claims {
        assert!(claim.is_timed());
        claim.answer_began(200, 0, at(*now));
        claim.release(at(*now));
    }
    *now += 900; // the rate of 1500 a second has no say
    admitted
}

#[test]
fn fewer_calls_are_let_in_as_the_upstream_gets_slower() {
    let (stack, mut now) = (adaptive(), 0);
    let rounds = |n: usize, takes: u64, now: &mut u64| {
        (0..n).fold(0, |_, _| round(&stack, Class::Rest, takes, now))
    };
    let calm = rounds(60, 10, &mut now);
    assert_eq!(calm, 100, "as many as were asked for");
    let busy = rounds(30, 100, &mut now);
    assert!((4..60).contains(&busy), "{busy}");
    assert!(rounds(60, 10, &mut now) >= 100);
    audited(&stack);
}

#[test]
fn what_is_long_by_nature_stays_out_of_it() {
    let stack = adaptive();
    for class in [
        Class::LongPoll,
        Class::Blocking,
        Class::Transfer,
        Class::Other,
    ] {
        let claim = stack.claim(&call(class, "/api/x", 1), at(0)).unwrap();
        assert!(!claim.is_timed(), "{class:?}");
    }
    let name = "adaptive_concurrency";
    assert_eq!(view(&stack, name, at(1)).in_use, 0);
}

#[test]
fn it_is_not_there_unless_it_is_asked_for() {
    let text = "[[upstream]]\naddress = \"https://api.example\"\nprofile = \"vcenter-8.0\"";
    let config = config::parse(text, Path::new(".")).unwrap();
    let views = Arc::new(Stack::build(&config.upstreams[0])).views(at(0));
    assert!(
        views
            .iter()
            .all(|view| &*view.name != "adaptive_concurrency")
    );
}
