//! Which calls a limit speaks of.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::call::Call;
use crate::classify::Wanted;

const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The `match` of a limit of a vCenter.
fn wanted(matches: &str) -> Option<Wanted> {
    let upstream = upstream(
        "vcenter-8.0",
        &format!("[upstream.limits.x]\ncounts = \"requests\"\nlimit = 1\nmatch = {{ {matches} }}"),
    );
    let limit = upstream
        .limits
        .iter()
        .find(|limit| &*limit.name == "x")
        .unwrap();
    Wanted::new(&limit.matches, &upstream.routes)
}

/// Whether a limit with this `match` speaks of a request line.
fn speaks(matches: &str, line: &str, operation: Option<Operation<'_>>) -> bool {
    let (table, headers) = (vcenter(), HeaderMap::new());
    let method = line.split(' ').next().unwrap().parse().unwrap();
    let mut asked = ask(table, line).unwrap();
    if let Some(operation) = operation {
        asked = table
            .operation(asked, &method, &headers, operation)
            .unwrap();
    }
    let call = asked.call(&method, &headers, operation, NOBODY);
    wanted(matches).unwrap().may_be(&call)
}

#[test]
fn one_that_names_classes_alone_asks_for_nothing_more() {
    assert!(wanted("class = [\"rest\"]").is_none());
    assert!(wanted("").is_none());
}

#[test]
fn by_route_in_any_spelling() {
    let tagging = "route = [\"tagging\", \"tagging-rpc\"]";
    for line in [
        "GET /api/cis/tagging/tag",
        "GET /api//cis/tagging/tag",
        "GET /api/cis/%74agging/tag",
        "GET /API/cis/tagging/tag",
        "GET /api/vcenter/../cis/tagging/tag",
    ] {
        assert!(speaks(tagging, line, None), "{line}");
    }
    for line in [
        "GET /api/cis/tasks/1",
        "GET /api/content/library",
        "POST /api",
    ] {
        assert!(!speaks(tagging, line, None), "{line}");
    }
    let service = Some("com.vmware.cis.tagging.tag_association");
    let attach = Some(Operation {
        service,
        name: "attach",
    });
    assert!(speaks(tagging, "POST /api", attach));
}

#[test]
fn by_what_stands_on_the_wire() {
    let clone = "method = \"POST\", path = \"/api/vcenter/vm\", query = { action = \"clone\" }";
    for query in [
        "action=clone",
        "action=clone&vmw-task=true",
        "action=x&action=CLONE",
    ] {
        assert!(
            speaks(clone, &format!("POST /api/vcenter/vm?{query}"), None),
            "{query}"
        );
    }
    for line in [
        "GET /api/vcenter/vm?action=clone",
        "POST /api/vcenter/vm",
        "POST /api/vm?action=clone",
    ] {
        assert!(!speaks(clone, line, None), "{line}");
    }
}

#[test]
fn by_service_and_operation() {
    let said = |service, name| Some(Operation { service, name });
    let list = "service = \"com.vmware.vcenter.*\", operation = \"list\"";
    let vm = Some("com.vmware.vcenter.VM");
    assert!(speaks(list, "POST /api", said(vm, "list")));
    assert!(speaks(list, "POST /api", said(vm, "LIST")));
    assert!(!speaks(list, "POST /api", said(vm, "get")));
    assert!(!speaks(
        list,
        "POST /api",
        said(Some("com.vmware.cis.tasks"), "list")
    ));
    assert!(
        !speaks(list, "GET /api/vcenter/vm", None),
        "it has no operation"
    );
    let browse = "operation = \"RetrievePropertiesEx\"";
    assert!(speaks(
        browse,
        "POST /sdk",
        said(None, "RetrievePropertiesEx")
    ));
}

#[test]
fn by_a_field() {
    fn call(headers: Option<&HeaderMap>) -> Call<'_> {
        Call {
            headers,
            ..Call::new(Class::Rest, "/api/x", NOBODY)
        }
    }
    let wanted = wanted("header = { x-team = \"backup\" }").unwrap();
    let mut headers = HeaderMap::new();
    assert!(!wanted.may_be(&call(None)) && !wanted.may_be(&call(Some(&headers))));
    headers.insert("x-team", "Backup, others".parse().unwrap());
    assert!(wanted.may_be(&call(Some(&headers))));
}
