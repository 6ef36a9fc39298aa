//! What the operator asks of sessions and calls: end one, explain one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::own::{LoggedOut, log_out};
use crate::admin::Ending;
use crate::admit::Explained;
use crate::call::{Class, Opening, Operation, Principal, UserId};
use crate::classify::Asked;
use crate::forward::Upstream;
use crate::proxy::{People, Shared};
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
    let limits = upstream.stack().explain(&call, shared.now());
    let full = limits
        .iter()
        .find(|one| one.enforced && one.room_in.is_some());
    let names = Names::new(people);
    json!({
        "upstream": &**upstream.name(),
        "class": asked.class.as_str(),
        "route": asked.route_name(upstream.table()),
        "operation_in_body": asked.operation_in_body,
        "user": user.map(|user| user.name.to_string()),
        "verdict": if full.is_some() { "refuse" } else { "pass" },
        "refused_by": full.map(|one| &*one.limit),
        "limits": limits.iter().map(|one| limit(one, &names)).collect::<Vec<_>>(),
    })
}

fn limit(one: &Explained, names: &Names) -> Value {
    let holders = one.holders.iter().map(|holder| {
        json!({
            "key": names.of(&holder.who),
            "in_use": holder.units,
            "longest_seconds": holder.longest.as_secs(),
        })
    });
    let mut said = json!({
        "name": &*one.limit,
        "mode": if one.enforced { "enforce" } else { "shadow" },
        "in_use": one.in_use,
        "limit": one.ceiling,
        "full": one.room_in.is_some(),
        "room_in_seconds": one.room_in.map(|wait| wait.as_secs_f64()),
        "holders": holders.collect::<Vec<_>>(),
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
