//! What the operator asks of sessions and calls: end one, explain one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::own::{LoggedOut, log_out};
use crate::admin::Ending;
use crate::admit::{Explained, Holder, Outlook};
use crate::call::{Class, Opening, Operation, Principal, UserId};
use crate::classify::Asked;
use crate::forward::Upstream;
use crate::proxy::{People, Shared, terms};
use crate::session::SessionId;

/// Names of the users that the ledger knows.
pub(super) struct Names(BTreeMap<UserId, Arc<str>>);

impl Names {
    pub(super) fn new(people: &People) -> Self {
        let users = people.ledger().users().into_iter();
        Self(users.map(|user| (user.id, user.name)).collect())
    }

    /// A principal in words. A user who has no session goes by a part of the name's hash.
    pub(super) fn of(&self, who: &Principal) -> String {
        match who {
            Principal::Address(address) => address.to_string(),
            Principal::User(user) => match self.0.get(user) {
                Some(name) => name.to_string(),
                None => format!("user {}", start(user.bytes())),
            },
            Principal::Session(key) => format!("session {}", start(key.bytes())),
        }
    }
}

fn start(hash: &[u8; 16]) -> String {
    hash.iter().take(4).fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        _ = write!(text, "{byte:02x}");
        text
    })
}

/// Logs the session of this id out.
pub(super) async fn end_session(shared: Arc<Shared>, id: String) -> Ending {
    let Ok(id) = id.parse::<SessionId>() else {
        return Ending::Unknown;
    };
    match log_out(shared, id).await {
        LoggedOut::Done => Ending::Ended,
        LoggedOut::Unknown => Ending::Unknown,
        LoggedOut::Impossible => Ending::Impossible,
        LoggedOut::Failed => Ending::Failed,
    }
}

/// A call that is only described.
struct Described<'a> {
    method: Method,
    headers: HeaderMap,
    operation: Option<Operation<'a>>,
    user: Option<&'a str>,
}

/// What would become of a call: `upstream`, `method`, `target`, `user`, and for calls whose operation
/// stands in the body `service` and `operation`.
///
/// # Errors
/// What is wrong with the question.
pub(super) fn explain(shared: &Shared, query: &str) -> Result<Value, String> {
    let asked = parameters(query);
    let get = |name: &str| asked.get(name).map(String::as_str);
    let upstream = upstream(shared, get("upstream"))?;
    let method = get("method").unwrap_or("GET");
    let described = Described {
        method: Method::from_bytes(method.as_bytes())
            .map_err(|_| format!("method={method:?} is no method"))?,
        headers: HeaderMap::new(),
        operation: get("operation").map(|name| Operation {
            service: get("service"),
            name,
        }),
        user: get("user"),
    };
    let target = get("target")
        .ok_or("target is missing; write the path and query of the call, percent-encoded")?;
    let (method, headers) = (&described.method, &described.headers);
    let table = upstream.table();
    let mut call = table
        .target(method, target, headers)
        .map_err(|fault| format!("target={target:?}: {fault}"))?;
    if let Some(operation) = described.operation {
        call = table
            .operation(call, method, headers, operation)
            .map_err(|fault| fault.to_string())?;
    }
    Ok(verdict(shared, upstream, &described, &call))
}

fn parameters(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

fn verdict(
    shared: &Shared,
    upstream: &Upstream,
    described: &Described<'_>,
    asked: &Asked<'_>,
) -> Value {
    let people = &shared.people;
    let home = people.home(upstream.index());
    let user = described.user.and_then(|name| home?.user(name));
    let id = user.as_ref().map(|user| user.id);
    let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let (method, headers) = (&described.method, &described.headers);
    let mut call = asked.call(method, headers, described.operation, nobody);
    call.caller.user = id;
    call.caller.privileged = id.is_some_and(|id| people.is_privileged(id));
    call.opens = (asked.class == Class::Login).then_some(Opening {
        kind: call.side,
        user: id,
        proven: true,
    });
    let weight = home.map_or(NonZeroU32::MIN, |home| home.weight(id));
    let terms = terms(&call, headers, upstream.config(), weight);
    let limits = upstream.stack().explain(&call, &terms, shared.now());
    let names = Names::new(people);
    let mut said = json!({
        "upstream": &**upstream.name(),
        "class": asked.class.as_str(),
        "route": asked.route_name(upstream.table()),
        "operation_in_body": asked.operation_in_body,
        "user": user.map(|user| user.name.to_string()),
        "limits": limits.iter().map(|one| limit(one, &names)).collect::<Vec<_>>(),
    });
    if let (Some(said), Value::Object(decided)) = (said.as_object_mut(), decided(&limits)) {
        said.extend(decided);
    }
    said
}

/// What becomes of the call: the first limit that does not let it pass decides, and of the waits the
/// longest counts.
fn decided(limits: &[Explained]) -> Value {
    let first = limits
        .iter()
        .find(|one| one.enforced && one.outlook != Outlook::Pass);
    let longest = limits.iter().filter(|one| one.enforced).map(|one| {
        let Outlook::Wait { expected, .. } = one.outlook else {
            return Duration::ZERO;
        };
        expected
    });
    let longest = longest.max().unwrap_or_default();
    match first.map(|one| (&*one.limit, one.outlook)) {
        Some((name, Outlook::Refuse(reason))) => json!({
            "verdict": "refuse", "refused_by": name, "reason": reason.as_str(),
        }),
        Some((name, Outlook::Wait { at_most, .. })) => json!({
            "verdict": "wait", "refused_by": null, "waits_for": name,
            "wait_seconds": longest.as_secs_f64(),
            "wait_at_most_seconds": at_most.as_secs_f64(),
        }),
        _ => json!({ "verdict": "pass", "refused_by": null }),
    }
}

fn limit(one: &Explained, names: &Names) -> Value {
    let rows = |holders: &[Holder], units: &str| -> Vec<Value> {
        let row = |holder: &Holder| {
            json!({
                "key": names.of(&holder.who),
                units: holder.units,
                "longest_seconds": holder.longest.as_secs_f64(),
            })
        };
        holders.iter().map(row).collect()
    };
    let ahead = match one.outlook {
        Outlook::Wait { ahead, .. } => json!({ "least": ahead.least, "most": ahead.most }),
        _ => Value::Null,
    };
    let mut said = json!({
        "name": &*one.limit,
        "mode": if one.enforced { "enforce" } else { "shadow" },
        "in_use": one.in_use,
        "limit": one.ceiling,
        "full": one.room_in.is_some(),
        "room_in_seconds": one.room_in.map(|wait| wait.as_secs_f64()),
        "holders": rows(&one.holders, "in_use"),
        "ahead": ahead,
        "waiting": rows(&one.waiting, "waiting"),
    });
    if let (Some(effective), Some(said)) = (one.effective, said.as_object_mut()) {
        said.insert("effective".to_owned(), effective.into());
    }
    said
}

fn upstream<'s>(shared: &'s Shared, name: Option<&str>) -> Result<&'s Upstream, String> {
    let all = shared.hosts.all();
    let found = match name {
        Some(name) => all.iter().find(|one| **one.name() == *name),
        None => all.first().filter(|_| all.len() == 1),
    };
    found.map(|one| &**one).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|one| &**one.name()).collect();
        format!("upstream names none of {}", names.join(", "))
    })
}

fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8_lossy()
        .into_owned()
}
