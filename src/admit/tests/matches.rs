//! Which calls a limit speaks of: by class, and by path in both its spellings.

use super::*;
use crate::call::Dialect;
use crate::classify::Table;
use http::{HeaderMap, Method};

fn on_path(path: &str, mut limit: Limit) -> Limit {
    limit.matches.path = Some(path.to_owned());
    limit
}

/// Claims a `GET` of `target`, or says which limit refused it.
fn claimed(stack: &Arc<Stack>, target: &str) -> Result<Claim, String> {
    let headers = HeaderMap::new();
    let table = Table::new(Dialect::Vcenter, &[]);
    let asked = table.target(&Method::GET, target, &headers).unwrap();
    let call = asked.call(&Method::GET, &headers, None, rest(1).address);
    let refused = |refusal: Refusal| refusal.limit.to_string();
    stack.claim(&call, at(0)).map_err(refused)
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
        assert_eq!(claimed(&stack, target).unwrap_err(), "tagging", "{target}");
    }
    for target in ["/api/cis/taggings", "/api/cis", "/api/x?/api/cis/tagging/"] {
        assert!(claimed(&stack, target).is_ok(), "{target}");
    }
}

#[test]
fn the_path_as_received_counts_too() {
    // An upstream that does not resolve what is encoded serves the first of these, one that does so
    // before it decodes, the last.
    let stack = stack(vec![on_path("/api/*/y", seats("x", 0))]);
    for (path, normal_path, dots_path) in [
        ("/api/%2e%2e/y", "/y", "/api/%2e%2e/y"),
        ("/y", "/api/z/y", "/y"),
        ("/y", "/y", "/api/z/y"),
    ] {
        let call = Call {
            path,
            normal_path,
            dots_path,
            ..rest(1)
        };
        assert!(stack.claim(&call, at(0)).is_err(), "{call:?}");
    }
}

#[test]
fn a_limit_on_a_route_counts_the_calls_that_took_it() {
    let mut tagging = seats("tagging", 0);
    tagging.matches.route = vec!["b".to_owned(), "c".to_owned()];
    let text = ["a", "b", "c"].map(|name| {
        format!("[[upstream.route]]\nname = {name:?}\nclass = \"rest\"\nmatch = {{ path = \"/{name}\" }}\n")
    });
    let text = format!(
        "[[upstream]]\naddress = \"https://api.example\"\n{}",
        text.concat()
    );
    let mut upstream = config::parse(&text, Path::new("."))
        .unwrap()
        .upstreams
        .remove(0);
    upstream.limits = vec![tagging];
    let stack = Arc::new(Stack::build(&upstream));
    for (taken, refused) in [(0, false), (1, true), (2, true), (3, false)] {
        let mut call = rest(1);
        call.routes.insert(taken);
        assert_eq!(stack.claim(&call, at(0)).is_err(), refused, "{taken}");
    }
    assert!(stack.claim(&rest(1), at(0)).is_ok(), "it took none");
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
