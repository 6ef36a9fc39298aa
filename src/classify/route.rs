//! Which class a path belongs to, and which of two classes is the stricter.

use http::Method;

use crate::call::Class;

/// REST of vCenter and NSX-V (`/api`), of older vCenters (`/rest`) and of NSX policy.
const REST: [&str; 3] = ["/api", "/rest", "/policy/api"];
/// SOAP of vCenter and `ESXi`, and its JSON form below it.
const SOAP: &str = "/sdk";
/// Datastore files, disks and OVF packages, content library files, guest files, log bundles.
const TRANSFER: [&str; 7] = [
    "/folder",
    "/nfc",
    "/cls/data",
    "/guestFile",
    "/appliance/support-bundle",
    "/vcsa-support",
    "/cgi-bin/vm-support.cgi",
];

/// The class of one spelling of a path.
///
/// A counted class is met in any case of letters: where the upstream minds the case, a wrong one
/// earns no more than a 404 that was counted. Transfers mind it, since they are let off the most.
pub(super) fn class_of(method: &Method, path: &str) -> Class {
    if method == Method::POST && matches!(below_any_case(path, "/api"), Some("" | "/")) {
        Class::Rpc
    } else if REST
        .iter()
        .any(|prefix| below_any_case(path, prefix).is_some())
    {
        Class::Rest
    } else if below_any_case(path, SOAP).is_some() {
        Class::Soap
    } else if TRANSFER.iter().any(|prefix| below(path, prefix).is_some()) {
        Class::Transfer
    } else {
        Class::Other
    }
}

/// The class under which a call is held to more.
///
/// From strict to lenient: rpc (counted as rest is, and its body decides more), rest (the sockets of
/// the REST endpoint, its rate, the size of its answers), soap (its own limits), other (limits on
/// connections only, yet with the deadlines and sizes of an ordinary body), transfer (free even of those).
pub(super) const fn stricter(one: Class, other: Class) -> Class {
    if strictness(one) >= strictness(other) {
        one
    } else {
        other
    }
}

const fn strictness(class: Class) -> u8 {
    match class {
        Class::Transfer => 0,
        Class::Other => 1,
        Class::Soap => 2,
        Class::Rest => 3,
        // The rest are not told by path alone; whoever says so knew more.
        Class::Rpc => 4,
        Class::Login | Class::Logout | Class::Blocking | Class::LongPoll | Class::Task => 5,
    }
}

/// What follows `prefix` in `path`, when that ends or goes on with a slash there.
fn below<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    path.strip_prefix(prefix)
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn below_any_case<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let (start, rest) = path.split_at_checked(prefix.len())?;
    (start.eq_ignore_ascii_case(prefix) && (rest.is_empty() || rest.starts_with('/')))
        .then_some(rest)
}
