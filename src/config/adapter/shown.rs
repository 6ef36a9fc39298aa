//! What `GET /config` says of an adapter: its keys as the file has them, and the defaults of what it leaves out.

use serde_json::{Map, Value as Json, json};

use super::shape::Adapter;
use crate::config::measure::show_duration;
use crate::config::node::{Node, Table, Value};

/// An adapter by the names of the file.
pub(in crate::config) fn shown(adapter: &Adapter) -> Json {
    let mut table = match &adapter.shown {
        Json::Object(table) => table.clone(),
        _ => Map::new(),
    };
    table.remove("like");
    table.insert("name".to_owned(), json!(adapter.name));
    let mut default = |key: &str, value: Json| {
        table.entry(key.to_owned()).or_insert(value);
    };
    default("never_rewrite", json!(adapter.never_rewrite));
    default("emulated", json!(adapter.native.is_none()));
    if let Some(native) = &adapter.native {
        let (readings, apart) = (native.confirm.readings, show_duration(native.confirm.apart));
        default("confirm", json!({ "readings": readings, "apart": apart }));
        default("gone", json!(native.gone));
        if let (Some(find), Some(Json::Object(shown))) = (&native.find, table.get_mut("find")) {
            for (key, value) in [
                ("slack", json!(show_duration(find.slack))),
                ("unseen", json!(find.unseen)),
                ("every", json!(show_duration(find.every))),
                ("within", json!(show_duration(find.within))),
            ] {
                shown.entry(key.to_owned()).or_insert(value);
            }
        }
    }
    Json::Object(table)
}

/// A table as it was written.
pub(super) fn raw(table: &Table) -> Json {
    let members = table.iter().map(|(key, node)| (key.clone(), value(node)));
    Json::Object(members.collect())
}

fn value(node: &Node) -> Json {
    match &node.value {
        Value::Text(text) => json!(text),
        Value::Whole(number) => json!(number),
        Value::Real(number) => json!(number),
        Value::Flag(flag) => json!(flag),
        Value::List(list) => Json::Array(list.iter().map(value).collect()),
        Value::Table(table) => raw(table),
        Value::Other(kind) => json!(kind),
    }
}
