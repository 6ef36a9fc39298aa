//! The table: which route a call takes, and what holds when it may take several.

use super::*;

/// Clones block, unless they ask for a task.
fn clones() -> Table {
    table(&[
        "rest native: method = \"POST\", path = \"/api/vm\", query = { action = \"clone\", vmw-task = \"true\" }",
        "blocking clone: method = \"POST\", path = \"/api/vm\", query = { action = \"clone\" }",
        "logout out: method = \"DELETE\", path = \"/api/session\"",
        "login in: method = \"POST\", path = \"/api/session\"",
        "task tasks: path = \"/api/tasks/**\"",
        "transfer files: path = \"/files/**\"",
    ])
}

#[track_caller]
fn is(table: &Table, line: &str, class: Class, route: Option<&str>) {
    let asked = ask(table, line).unwrap();
    assert_eq!(
        (asked.class, asked.route_name(table)),
        (class, route),
        "{line}"
    );
}

#[test]
fn the_first_route_that_matches_wins() {
    let table = table(&[
        "rest one: path = \"/api/a/*\"",
        "task two: path = \"/api/a/**\"",
        "transfer three: path = \"/api/a/b\"",
    ]);
    is(&table, "GET /api/a/b", Class::Rest, Some("one"));
    is(&table, "GET /api/a/b/c", Class::Task, Some("two"));
    is(&table, "GET /api/b", Class::Rest, None);
    let asked = ask(&table, "GET /api/a/b").unwrap();
    assert_eq!(
        asked.routes.iter().collect::<Vec<_>>(),
        [0],
        "it took no other"
    );
}

#[test]
fn where_no_route_matches_the_path_tells() {
    let table = clones();
    is(&table, "GET /api/vm", Class::Rest, None);
    is(&table, "POST /api/vm", Class::Rest, None);
    is(&table, "POST /api/vm?action=register", Class::Rest, None);
    is(&table, "GET /ui/", Class::Other, None);
    is(&table, "OPTIONS *", Class::Other, None);
}

#[test]
fn a_route_may_ask_for_all_that_stands_in_the_head() {
    let table = clones();
    is(
        &table,
        "POST /api/vm?action=clone",
        Class::Blocking,
        Some("clone"),
    );
    is(
        &table,
        "POST /api/vm?vmw-task=true&action=clone",
        Class::Rest,
        Some("native"),
    );
    is(&table, "GET /api/vm?action=clone", Class::Rest, None);
    is(&table, "GET /files/1", Class::Transfer, Some("files"));

    let table = super::table(&["long_poll x: header = { x-team = \"a\" }"]);
    for (fields, class) in [
        (&[("x-team", "a")][..], Class::LongPoll),
        (&[("x-team", "A")], Class::LongPoll),
        (&[("x-team", "b, a;q=1")], Class::LongPoll),
        (&[("x-team", "b"), ("x-team", "a")], Class::LongPoll),
        (&[("x-team", "b")], Class::Rest),
        (&[], Class::Rest),
    ] {
        let asked = ask_with(&table, "GET /api", fields).unwrap();
        assert_eq!(asked.class, class, "{fields:?}");
    }
}

#[test]
fn a_key_that_comes_twice_is_read_either_way() {
    let table = clones();
    for query in [
        "action=clone&vmw-task=false&vmw-task=true",
        "action=clone&vmw-task=true&vmw-task=false",
        "action=clone&vmw-task=true&vmw-task=true",
        "vmw-task=true&action=x&action=clone",
        "vmw-task=true&action=clone&action=x",
        "vmw-task=TRUE&action=clone",
        "VMW-TASK=true&action=clone",
        "vmw-task=tru%65&action=clone",
        "vmw-task=true;x&action=clone",
        "~vmw-task=true&action=clone",
        "ACTION=clone",
        "action=CLONE",
        "actio%6e=clone",
        "action=clon%65",
        "action=+clone",
        "x=y;action=clone",
    ] {
        let line = format!("POST /api/vm?{query}");
        is(&table, &line, Class::Blocking, Some("clone"));
    }
}

#[test]
fn no_spelling_of_the_path_takes_an_exemption() {
    let table = clones();
    for path in [
        "/API/vm",
        "/%61pi/vm",
        "//api/vm",
        "/x/../api/vm",
        "/api;a=b/vm",
        "/api/./vm",
    ] {
        let line = format!("POST {path}?action=clone&vmw-task=true");
        is(&table, &line, Class::Blocking, Some("clone"));
    }
    for path in [
        "/API/session",
        "/api/%73ession",
        "/api//session",
        "/api/session;x",
    ] {
        is(&table, &format!("DELETE {path}"), Class::Rest, None);
        is(&table, &format!("POST {path}"), Class::Login, Some("in"));
    }
    for path in [
        "/api/Tasks/1",
        "/api/tasks/%2e%2e/vm",
        "/api/tasks/../session",
    ] {
        is(&table, &format!("GET {path}"), Class::Rest, None);
    }
    is(&table, "GET /FILES/1", Class::Other, None);
    is(&table, "GET /files/../api/x", Class::Rest, None);
}

#[test]
fn a_slash_at_the_end_makes_no_difference() {
    let table = clones();
    is(&table, "DELETE /api/session/", Class::Logout, Some("out"));
    is(
        &table,
        "POST /api/vm/?action=clone",
        Class::Blocking,
        Some("clone"),
    );
}

#[test]
fn another_method_is_taken_for_what_it_may_be() {
    let table = table(&["long_poll news: method = \"GET\", path = \"/api/news\""]);
    is(&table, "GET /api/news", Class::LongPoll, Some("news"));
    is(&table, "HEAD /api/news", Class::LongPoll, Some("news"));
    is(&table, "get /api/news", Class::LongPoll, Some("news"));
    is(&table, "PUT /api/news", Class::Rest, None);
}

#[test]
fn a_field_that_overrides_the_method_does_not_help() {
    let table = clones();
    for name in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ] {
        let asked = |line, value| ask_with(&table, line, &[(name, value)]).unwrap();
        let clone = asked("GET /api/vm?action=clone", "POST");
        assert_eq!(clone.class, Class::Blocking, "who heeds it clones");
        let clone = asked("POST /api/vm?action=clone", "GET");
        assert_eq!(clone.class, Class::Blocking, "who does not, too");
        let login = asked("POST /api/session", "DELETE");
        assert_eq!(login.class, Class::Login);
        let login = asked("DELETE /api/session", "post");
        assert_eq!(login.class, Class::Login);
        let rpc = asked("GET /api", "POST");
        assert!(rpc.operation_in_body && rpc.class == Class::Rpc);
    }
}

#[test]
fn all_routes_it_may_take_are_told() {
    let table = clones();
    let routes = |line| {
        let asked = ask(&table, line).unwrap();
        let names: Vec<_> = asked
            .routes
            .iter()
            .map(|at| table.name(at).unwrap())
            .collect();
        names.join(" ")
    };
    assert_eq!(routes("POST /api/vm?action=clone&vmw-task=true"), "native");
    assert_eq!(
        routes("POST /API/vm?action=clone&vmw-task=true"),
        "native clone"
    );
    assert_eq!(routes("GET /api/tasks/../session"), "tasks");
    assert_eq!(routes("GET /api/vm"), "");
}

#[test]
fn a_route_with_a_wrong_path_is_on_no_call() {
    let mut routes = upstream("generic", "").routes;
    assert!(routes.is_empty() && Table::new(Dialect::Generic, &routes).is_empty());
    routes = upstream("skytap", "").routes;
    routes.retain(|route| route.name == "everything");
    routes[0].matches.path = Some("no path".to_owned());
    let table = Table::new(Dialect::Skytap, &routes);
    is(&table, "GET /x", Class::Other, None);
    assert_eq!(
        (table.len(), table.name(0), table.name(1)),
        (1, Some("everything"), None)
    );
}

#[test]
fn the_form_that_is_spoken_and_whether_the_body_has_to_be_read() {
    use Spoken::{Api, Plain, Rest, Rpc, Soap};
    let vcenter = vcenter();
    for (line, spoken, in_body) in [
        ("GET /api/vcenter/vm", Api, false),
        ("POST /rest/vcenter/vm", Rest, false),
        ("POST /api", Rpc, true),
        ("POST /%61pi/", Rpc, true),
        ("GET /api", Api, false),
        ("POST /sdk", Soap, true),
        ("POST /sdk/vimService", Soap, true),
        ("POST /pbm/sdk", Soap, true),
        ("GET /sdk/vimServiceVersions.xml", Soap, false),
        (
            "POST /sdk/vim25/8.0.1.0/VirtualMachine/vm-1/CloneVM_Task",
            Plain,
            false,
        ),
        ("POST /x/../sdk", Soap, true),
        ("GET /ui/", Plain, false),
    ] {
        let asked = ask(vcenter, line).unwrap();
        assert_eq!(
            (asked.spoken, asked.operation_in_body),
            (spoken, in_body),
            "{line}"
        );
    }
    for dialect in Dialect::ALL
        .into_iter()
        .filter(|one| *one != Dialect::Vcenter)
    {
        let table = Table::new(dialect, &[]);
        for line in ["POST /api", "POST /sdk", "GET /api/x"] {
            let asked = ask(&table, line).unwrap();
            assert_eq!(
                (asked.spoken, asked.operation_in_body),
                (Plain, false),
                "{dialect:?} {line}"
            );
        }
    }
}

/// What `table` says once the body named the operation.
fn operation<'t>(
    table: &Table,
    line: &'t str,
    service: Option<&str>,
    name: &str,
) -> Result<Asked<'t>, crate::classify::BadOperation> {
    let asked = ask(table, line).unwrap();
    assert!(asked.operation_in_body, "{line}");
    let method = line.split(' ').next().unwrap().parse().unwrap();
    table.operation(
        asked,
        &method,
        &HeaderMap::new(),
        Operation { service, name },
    )
}

#[test]
fn the_operation_decides_once_it_is_known() {
    let vcenter = vcenter();
    let class = |line, service, name| operation(vcenter, line, service, name).unwrap().class;
    let vm = Some("com.vmware.vcenter.VM");
    assert_eq!(ask(vcenter, "POST /api").unwrap().class, Class::Rpc);
    assert_eq!(class("POST /api", vm, "list"), Class::Rpc);
    assert_eq!(class("POST /api", vm, "clone"), Class::Blocking);
    assert_eq!(class("POST /api", vm, "clone$task"), Class::Rpc);
    assert_eq!(
        class("POST /api", Some("com.vmware.cis.session"), "create"),
        Class::Login
    );
    assert_eq!(
        class("POST /api", Some("com.vmware.cis.session"), "delete"),
        Class::Logout
    );
    assert_eq!(class("POST /sdk", None, "Login"), Class::Login);
    assert_eq!(
        class("POST /sdk/vimService", None, "WaitForUpdatesEx"),
        Class::LongPoll
    );
    assert_eq!(class("POST /sdk", None, "CheckForUpdates"), Class::Soap);
    assert_eq!(
        class("POST /pbm/sdk", None, "Login"),
        Class::Soap,
        "that is no session of vim25"
    );
    let done = operation(vcenter, "POST /sdk", None, "Logout").unwrap();
    assert_eq!(done.route_name(vcenter), Some("logout-soap"));
    assert!(!done.operation_in_body && done.spoken == Spoken::Soap);
}

#[test]
fn an_operation_in_another_case_is_taken_for_the_stricter() {
    let vcenter = vcenter();
    let class = |service, name| {
        operation(vcenter, "POST /api", Some(service), name)
            .unwrap()
            .class
    };
    assert_eq!(class("com.vmware.vcenter.VM", "CLONE"), Class::Blocking);
    assert_eq!(class("com.vmware.vcenter.vm", "clone"), Class::Blocking);
    assert_eq!(class("com.vmware.cis.session", "Delete"), Class::Rpc);
    assert_eq!(class("com.vmware.cis.Tasks", "get"), Class::Rpc);
}

#[test]
fn a_name_that_no_library_sends_is_refused() {
    let vcenter = vcenter();
    let long = "x".repeat(257);
    for name in [
        "",
        " clone",
        "clone ",
        "clo\0ne",
        "clone\n",
        "cl\u{f6}ne",
        "a/b",
        &long,
    ] {
        assert!(
            operation(vcenter, "POST /api", Some("a"), name).is_err(),
            "{name:?}"
        );
        assert!(
            operation(vcenter, "POST /api", Some(name), "a").is_err(),
            "{name:?}"
        );
    }
    assert!(
        operation(
            vcenter,
            "POST /api",
            Some("com.vmware.vcenter.VM"),
            "clone$task"
        )
        .is_ok()
    );
}
