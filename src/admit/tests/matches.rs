//! Which calls a limit speaks of: by class, and by path in both its spellings.

use super::*;
use crate::classify::classify;

fn on_path(path: &str, mut limit: Limit) -> Limit {
    limit.matches.path = Some(path.to_owned());
    limit
}

#[test]
fn a_limit_counts_the_calls_of_its_classes_alone() {
    let stack = stack(vec![of_class(Class::Rest, seats("rest", 1))]);
    let held = stack.claim(&rest(1), at(0)).unwrap();
    assert!(stack.claim(&rest(1), at(0)).is_err());
    for class in Class::ALL.into_iter().filter(|class| *class != Class::Rest) {
        assert!(stack.claim(&call(class, "/api/x", 1), at(0)).is_ok());
    }
    drop(held);
}

#[test]
fn a_limit_on_a_path_is_met_in_either_spelling() {
    let stack = stack(vec![on_path("/api/cis/tagging/**", seats("tagging", 0))]);
    for target in [
        "/api/cis/tagging/tag",
        "/api/cis/%74agging",
        "/api//cis/tagging/x",
        "/API/cis/Tagging?a=b",
        "/api/x/../cis/tagging/y",
        "/api/cis/tagging/../tagging;v=1/",
    ] {
        let classified = classify(&http::Method::GET, target).unwrap();
        let refused = stack.claim(&classified.call(rest(1).address), at(0));
        assert_eq!(&*refused.unwrap_err().limit, "tagging", "{target}");
    }
    for target in ["/api/cis/taggings", "/api/cis", "/api/x?/api/cis/tagging/"] {
        let classified = classify(&http::Method::GET, target).unwrap();
        assert!(
            stack
                .claim(&classified.call(rest(1).address), at(0))
                .is_ok(),
            "{target}"
        );
    }
}

#[test]
fn the_path_as_received_counts_too() {
    // An upstream that does not resolve what is encoded serves the first of these.
    let stack = stack(vec![on_path("/api/*/y", seats("x", 0))]);
    for (path, normal_path) in [("/api/%2e%2e/y", "/y"), ("/y", "/api/z/y")] {
        let call = Call {
            path,
            normal_path,
            ..rest(1)
        };
        assert!(stack.claim(&call, at(0)).is_err(), "{path} {normal_path}");
    }
}

#[test]
fn each_address_has_its_own() {
    let stack = stack(vec![seats_each("each", 1), rate_each("pace", 2)]);
    let held: Vec<_> = (0..20)
        .map(|from| stack.claim(&rest(from), at(0)).unwrap())
        .collect();
    assert!((0..20).all(|from| stack.claim(&rest(from), at(0)).is_err()));
    drop(held);
    assert!((0..20).all(|from| stack.claim(&rest(from), at(0)).is_ok()));
    for from in 0..20 {
        let refusal = stack.claim(&rest(from), at(0)).unwrap_err();
        assert_eq!(&*refusal.limit, "pace");
    }
    stack.tidy(at(1));
    assert!(
        stack.claim(&rest(3), at(1)).is_err(),
        "forgetting refills nothing"
    );
    stack.tidy(at(1000));
    let pace = &counters(&stack, at(1000))[1];
    assert_eq!(pace, &("pace".to_owned(), vec![]), "idle keys are gone");
    assert!(stack.claim(&rest(3), at(1000)).is_ok());
}
