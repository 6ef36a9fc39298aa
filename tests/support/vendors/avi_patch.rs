//! What a PATCH means to Avi, as its guide tells it, as a function: for the model, and as the reference of tests.
//!
//! Left open there, and chosen here: an entry that is added under the key of one that is there takes its place
//! whole; deleting what is not there changes nothing; of several actions in one body `replace` comes first, then
//! `add`, then `delete`; keys of servers are compared as they are written, without a port as "no port".

use std::net::IpAddr;

use serde_json::{Map, Value};

const ACTIONS: [&str; 3] = ["replace", "add", "delete"];

/// The pool after `patch`, or what is wrong with the patch, which then changes nothing.
pub fn apply(pool: &Value, patch: &Value) -> Result<Value, String> {
    let actions = patch.as_object().filter(|actions| !actions.is_empty());
    let actions = actions.ok_or("a patch is an object with add, replace or delete")?;
    if let Some(other) = actions.keys().find(|key| !ACTIONS.contains(&key.as_str())) {
        return Err(format!("{other} is no action of a patch"));
    }
    let mut patched = pool.as_object().cloned().ok_or("no object to patch")?;
    for action in ACTIONS {
        let Some(fields) = actions.get(action) else {
            continue;
        };
        let fields = fields
            .as_object()
            .ok_or(format!("{action} wants an object"))?;
        for (name, value) in fields {
            change(&mut patched, action, name, value, 0)?;
        }
    }
    Ok(Value::Object(patched))
}

/// The pool with its servers in the order of their keys: what is equal apart from that order is equal so.
pub fn in_order(pool: &Value) -> Value {
    let mut pool = pool.clone();
    if let Some(servers) = pool["servers"].as_array_mut() {
        servers.sort_by_key(|server| key("servers", server).to_string());
    }
    pool
}

/// What tells an entry of the list `name` from the others: of servers ip and port, of anything else all of it.
pub fn key(name: &str, entry: &Value) -> Value {
    if name != "servers" {
        return entry.clone();
    }
    Value::Array(vec![entry["ip"]["addr"].clone(), entry["port"].clone()])
}

fn change(
    fields: &mut Map<String, Value>,
    action: &str,
    name: &str,
    value: &Value,
    depth: u8,
) -> Result<(), String> {
    match value {
        Value::Array(entries) => change_list(fields, action, name, entries),
        Value::Object(_) if depth > 0 => Err(format!("{name} is nested too deep for a patch")),
        Value::Object(inner) => {
            let mut changed = match fields.get(name) {
                Some(Value::Object(now)) => now.clone(),
                _ => Map::new(),
            };
            for (name, value) in inner {
                change(&mut changed, action, name, value, depth + 1)?;
            }
            fields.insert(name.to_owned(), Value::Object(changed));
            Ok(())
        }
        // What is said to be deleted is unset, whatever its value.
        _ if action == "delete" => {
            fields.remove(name);
            Ok(())
        }
        scalar => {
            fields.insert(name.to_owned(), scalar.clone());
            Ok(())
        }
    }
}

fn change_list(
    fields: &mut Map<String, Value>,
    action: &str,
    name: &str,
    entries: &[Value],
) -> Result<(), String> {
    for entry in entries.iter().filter(|_| name == "servers") {
        check(entry)?;
    }
    let mut list = match fields.get(name) {
        Some(Value::Array(now)) if action != "replace" => now.clone(),
        Some(Value::Array(_)) | None => Vec::new(),
        Some(_) => return Err(format!("{name} is no list")),
    };
    for entry in entries {
        let place = list
            .iter()
            .position(|there| key(name, there) == key(name, entry));
        match (action, place) {
            ("delete", Some(at)) => {
                list.remove(at);
            }
            ("delete", None) => {}
            (_, Some(at)) => list[at] = entry.clone(),
            (_, None) => list.push(entry.clone()),
        }
    }
    fields.insert(name.to_owned(), Value::Array(list));
    Ok(())
}

/// A server has an address that is one, and a port that is one if it has any.
fn check(server: &Value) -> Result<(), String> {
    let address = server["ip"]["addr"].as_str();
    let address = address.ok_or("a server has no ip.addr")?;
    if address.parse::<IpAddr>().is_err() {
        return Err(format!("{address} is no address of a server"));
    }
    match &server["port"] {
        Value::Null => Ok(()),
        port if port
            .as_u64()
            .is_some_and(|port| (1..=65535).contains(&port)) =>
        {
            Ok(())
        }
        port => Err(format!("{port} is no port of {address}")),
    }
}
