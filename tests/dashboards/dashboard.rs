//! A dashboard as Grafana reads it: its variables, and the queries of its panels with these filled in.

use std::path::Path;

use serde_json::Value;

/// What `$__rate_interval` stands for: some scrapes.
const RATE_INTERVAL: &str = "15s";

pub struct Dashboard {
    json: Value,
}

/// A query of one panel.
pub struct Query<'a> {
    pub panel: &'a str,
    pub text: &'a str,
    /// The panel says in words what a value that is no number means.
    pub words_for_nan: bool,
}

/// A variable that is filled from the values of a label.
#[derive(Debug, PartialEq)]
pub struct Variable<'a> {
    pub name: &'a str,
    /// The series whose label it takes.
    pub series: &'a str,
    pub label: &'a str,
    /// What stands for all of them, if it says so itself.
    pub all: Option<&'a str>,
}

impl Dashboard {
    pub fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap();
        let json = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self { json }
    }

    /// Every panel, those inside closed rows too.
    pub fn panels(&self) -> Vec<&Value> {
        let mut found = Vec::new();
        let mut left: Vec<&Value> = list(&self.json, "panels").iter().rev().collect();
        while let Some(panel) = left.pop() {
            left.extend(list(panel, "panels").iter().rev());
            found.push(panel);
        }
        found
    }

    pub fn queries(&self) -> Vec<Query<'_>> {
        let panels = self.panels().into_iter();
        panels
            .flat_map(|panel| {
                list(panel, "targets").iter().map(|target| Query {
                    panel: word(panel, "title"),
                    text: word(target, "expr"),
                    words_for_nan: list(&panel["fieldConfig"]["defaults"], "mappings")
                        .iter()
                        .any(|mapping| mapping["options"]["match"] == "nan"),
                })
            })
            .collect()
    }

    /// The variables that are filled from labels, in their order.
    pub fn variables(&self) -> Vec<Variable<'_>> {
        let all = list(&self.json["templating"], "list").iter();
        all.filter(|one| one["type"] == "query")
            .map(|one| {
                let query = word(&one["query"], "query");
                assert_eq!(query, word(one, "definition"));
                let inside = query
                    .strip_prefix("label_values(")
                    .and_then(|rest| rest.strip_suffix(')'));
                let (series, label) = inside.and_then(|both| both.rsplit_once(", ")).unwrap();
                Variable {
                    name: word(one, "name"),
                    series,
                    label,
                    all: one["allValue"].as_str(),
                }
            })
            .collect()
    }

    /// Whether there is a variable for the data source, and nothing names another.
    pub fn data_source_is_chosen(&self) -> bool {
        let variables = list(&self.json["templating"], "list").iter();
        let chosen = variables
            .filter(|one| one["type"] == "datasource" && one["query"] == "prometheus")
            .map(|one| format!("${{{}}}", word(one, "name")))
            .next();
        let Some(chosen) = chosen else { return false };
        let mut named = Vec::new();
        gather(&self.json, "datasource", &mut named);
        named.len() > 10 && named.iter().all(|one| one["uid"] == *chosen)
    }
}

/// `text` with variables filled in, as Grafana does it.
pub fn filled(text: &str, values: &[(&str, &str)]) -> String {
    let mut text = text.replace("$__rate_interval", RATE_INTERVAL);
    for (name, value) in values {
        text = text.replace(&format!("${name}"), value);
    }
    assert!(!text.contains('$'), "nothing fills {text}");
    text
}

fn list<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of[key].as_array().map_or(&[], Vec::as_slice)
}

fn word<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key]
        .as_str()
        .unwrap_or_else(|| panic!("no {key} in {of}"))
}

fn gather<'a>(json: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == key {
                    found.push(value);
                }
                gather(value, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, key, found)),
        _ => {}
    }
}
