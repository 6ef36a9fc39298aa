//! What a claim tells the stations after it: which limits its sockets are charged to, and the cap on its response.

use super::*;

/// The names of the limits that the sockets of `call` are charged to.
fn charged(stack: &Arc<Stack>, call: &Call<'_>) -> Vec<String> {
    let group = stack.claim(call, at(0)).unwrap().socket_group();
    let limits = stack.socket_limits().iter().enumerate();
    limits
        .filter(|(bit, _)| group.contains(*bit))
        .map(|(_, limit)| limit.name.to_string())
        .collect()
}

#[test]
fn a_socket_is_charged_to_the_limits_of_its_calls_class() {
    let stack = stack(vec![
        bytes("a", 1),
        of_class(Class::Rest, sockets("b_rest", 9)),
        rate("c", 9),
        of_class(Class::Soap, sockets("d_soap", 9)),
        seats("e", 9),
        shadow(of_class(Class::Rest, sockets("f_quiet", 0))),
        sockets("g_all", 9),
    ]);
    assert_eq!(charged(&stack, &rest(1)), ["b_rest", "f_quiet", "g_all"]);
    let soap = call(Class::Soap, "/sdk", 1);
    assert_eq!(charged(&stack, &soap), ["d_soap", "g_all"]);
    let transfer = call(Class::Transfer, "/folder/x", 1);
    assert_eq!(charged(&stack, &transfer), ["g_all"]);

    let said: Vec<_> = stack
        .socket_limits()
        .iter()
        .map(|limit| (&*limit.name, limit.enforced, limit.everyone))
        .collect();
    assert_eq!(
        said,
        [
            ("b_rest", true, false),
            ("d_soap", true, false),
            ("f_quiet", false, false),
            ("g_all", true, true)
        ]
    );
}

#[test]
fn as_many_socket_limits_as_the_configuration_allows() {
    let names: Vec<String> = (0..64).map(|n| format!("l{n:02}")).collect();
    let limits = names.iter().zip(0..).map(|(name, n)| {
        let class = if n % 2 == 0 { Class::Rest } else { Class::Soap };
        of_class(class, sockets(name, 1))
    });
    let stack = stack(limits.collect());
    let even: Vec<String> = names.into_iter().step_by(2).collect();
    assert_eq!(charged(&stack, &rest(1)), even);
}

#[test]
fn the_smallest_enforced_cap_holds() {
    let cap = |limits: Vec<Limit>, class| {
        let stack = stack(limits);
        let claim = stack.claim(&call(class, "/x", 1), at(0)).unwrap();
        let cap = claim.response_cap();
        cap.map(|cap| (cap.name.to_string(), cap.bytes, cap.shadow))
    };
    let several = || {
        vec![
            bytes("large", 900),
            shadow(bytes("quiet", 1)),
            of_class(Class::Rest, bytes("rest", 100)),
        ]
    };
    let said = |name: &str, bytes, shadow| Some((name.to_owned(), bytes, shadow));
    assert_eq!(cap(several(), Class::Rest), said("rest", 100, false));
    assert_eq!(cap(several(), Class::Other), said("large", 900, false));
    let quiet = vec![shadow(bytes("quiet", 5)), shadow(bytes("quieter", 4))];
    assert_eq!(cap(quiet, Class::Rest), said("quieter", 4, true));
    assert_eq!(
        cap(vec![of_class(Class::Rest, bytes("rest", 1))], Class::Soap),
        None
    );
}

#[test]
fn a_response_over_its_cap_is_counted_where_it_belongs() {
    let stack = stack(vec![bytes("loud", 7), shadow(bytes("quiet", 5))]);
    stack.note_response_refused("loud");
    stack.note_response_refused("quiet");
    stack.note_response_refused("quiet");
    stack.note_response_refused("nobody");
    let (loud, quiet) = (view(&stack, "loud", at(0)), view(&stack, "quiet", at(0)));
    assert_eq!((loud.refused[0], loud.shadow_refused), (1, 0));
    assert_eq!((quiet.refused[0], quiet.shadow_refused), (0, 2));
}

#[test]
fn limits_this_version_does_not_enforce_are_left_out() {
    let mut later = seats("later", 0);
    later.not_enforced = Some("it does not know users yet");
    let stack = stack(vec![later, seats("now", 1)]);
    assert!(stack.claim(&rest(1), at(0)).is_ok());
    let names: Vec<_> = stack
        .views(at(0))
        .into_iter()
        .map(|view| view.name)
        .collect();
    assert_eq!(names, [Arc::from("now")]);
}
