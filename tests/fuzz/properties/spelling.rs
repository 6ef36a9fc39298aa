//! The class of a path, against a normaliser that rewrites it rule by rule until none applies.

use std::sync::LazyLock;

use http::{HeaderMap, Method};
use tidegate::call::{Class, Dialect};
use tidegate::classify::Table;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(Dialect::Vcenter, &[]));

/// Checks one path; the class, or `None` where it is answered 400.
pub fn check(method: &Method, path: &str) -> Option<Class> {
    let classified = TABLE.target(method, path, &HeaderMap::new()).ok()?;
    let before_query = path.split('?').next().unwrap_or_default();
    if !before_query.starts_with('/') {
        return Some(classified.class);
    }
    let spellings = [
        before_query.to_owned(),
        dots(before_query),
        dots(&merge(&without_parameters(&decode(before_query)))),
    ];
    let strictest = spellings
        .iter()
        .map(|spelling| class(method, spelling))
        .max_by_key(|class| strictness(*class))
        .unwrap();
    assert_eq!(classified.class, strictest, "{path:?}: {spellings:?}");
    assert_eq!(
        trimmed(&classified.normal_path),
        trimmed(&upper(&spellings[2])),
        "the normal form of {path:?}"
    );
    Some(classified.class)
}

/// Escapes of unreserved characters and of slashes, decoded once.
fn decode(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let escaped = rest
            .get(1..3)
            .filter(|_| first == '%')
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .map(char::from)
            .filter(|c| c.is_ascii_alphanumeric() || "-._~/".contains(*c));
        let taken = if let Some(decoded) = escaped {
            out.push(decoded);
            3
        } else {
            out.push(first);
            first.len_utf8()
        };
        rest = &rest[taken..];
    }
    out
}

fn without_parameters(path: &str) -> String {
    let names = path
        .split('/')
        .map(|segment| segment.split(';').next().unwrap());
    names.collect::<Vec<_>>().join("/")
}

fn merge(path: &str) -> String {
    let mut path = path.to_owned();
    while path.contains("//") {
        path = path.replacen("//", "/", 1);
    }
    path
}

/// Dot segments taken away, the first one first.
fn dots(path: &str) -> String {
    let mut path = path.to_owned();
    loop {
        let segments: Vec<&str> = path.split('/').collect();
        let Some(at) = segments.iter().position(|one| matches!(*one, "." | "..")) else {
            return path;
        };
        let last = at + 1 == segments.len();
        let from = if segments[at] == ".." && at > 1 {
            at - 1
        } else {
            at
        };
        let mut left = segments[..from].to_vec();
        left.extend(&segments[at + 1..]);
        if last {
            left.push("");
        }
        path = left.join("/");
    }
}

/// Escapes in upper case, since both cases mean the same.
fn upper(path: &str) -> String {
    let mut parts = path.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        out.push('%');
        out.push_str(&digits.to_uppercase());
        out.push_str(rest);
    }
    out
}

/// Without slashes at the end: whether a folder is named so is no matter of class.
fn trimmed(path: &str) -> &str {
    path.trim_end_matches('/')
}

fn class(method: &Method, path: &str) -> Class {
    let lower = path.to_ascii_lowercase();
    let below =
        |path: &str, prefix: &str| path == prefix || path.starts_with(&format!("{prefix}/"));
    if method == Method::POST && (lower == "/api" || lower == "/api/") {
        return Class::Rpc;
    }
    if ["/api", "/rest", "/policy/api", "/global-manager/api"]
        .iter()
        .any(|prefix| below(&lower, prefix))
    {
        return Class::Rest;
    }
    let soap = [
        "/sdk",
        "/pbm",
        "/sms/sdk",
        "/vslm/sdk",
        "/vsan",
        "/vsanhealth",
        "/eam/sdk",
    ];
    if soap.iter().any(|prefix| below(&lower, prefix)) {
        return Class::Soap;
    }
    let transfers = [
        "/folder",
        "/nfc",
        "/cls/data",
        "/guestFile",
        "/appliance/support-bundle",
        "/vcsa-support",
        "/cgi-bin/vm-support.cgi",
    ];
    if transfers.iter().any(|prefix| below(path, prefix)) {
        return Class::Transfer;
    }
    Class::Other
}

fn strictness(class: Class) -> u8 {
    let order = [
        Class::Transfer,
        Class::Other,
        Class::Soap,
        Class::Rest,
        Class::Rpc,
    ];
    let at = order.iter().position(|one| *one == class);
    u8::try_from(at.expect("a class that a path can tell")).unwrap()
}
