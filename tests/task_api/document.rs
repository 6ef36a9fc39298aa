//! Holds every answer to `config/openapi.json`: its status, its header fields, its media type, its body, and that nothing
//! is in it that the document does not know.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use http::Method;
use serde_json::{Map, Value, json};
use tidegate::answer::Answer;
use tidegate::task::api::kinds;

use crate::rig::header;

/// Fields that need no mention: of the message, or of the upstream.
const UNMENTIONED: [&str; 2] = ["content-type", "x-vendor"];

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../config/openapi.json")).unwrap());

/// The document with every object closed: what it does not name may not be there.
static CLOSED: LazyLock<Value> = LazyLock::new(|| {
    let mut document = DOCUMENT.clone();
    let schemas = document["components"]["schemas"].as_object_mut().unwrap();
    for schema in schemas.values_mut() {
        if schema["type"] == "object" {
            schema["additionalProperties"] = json!(false);
        }
    }
    document
});

/// What a reference stands for.
fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(place) => DOCUMENT.pointer(place.strip_prefix('#').unwrap()).unwrap(),
        None => value,
    }
}

fn validate(schema: &Value, value: &Value, what: &str) {
    let mut root = Map::new();
    root.insert("components".to_owned(), CLOSED["components"].clone());
    root.insert("allOf".to_owned(), json!([schema]));
    let validator = jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&Value::Object(root))
        .unwrap();
    let faults: Vec<String> = validator
        .iter_errors(value)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{what}: {faults:?}\n{value:#}");
}

/// Holds `value` to the schema of this name.
pub fn check_schema(name: &str, value: &Value) {
    validate(&CLOSED["components"]["schemas"][name], value, name);
}

/// The path of the document that `target` is an instance of.
fn template(target: &str) -> Option<&'static Value> {
    let path = target.split('?').next().unwrap();
    let paths = DOCUMENT["paths"].as_object().unwrap();
    if let Some(exact) = paths.get(path) {
        return Some(exact);
    }
    let fits = |template: &str| {
        let (one, other): (Vec<&str>, Vec<&str>) =
            (template.split('/').collect(), path.split('/').collect());
        let mut parts = one.iter().zip(&other);
        one.len() == other.len() && parts.all(|(one, other)| one.starts_with('{') || one == other)
    };
    let mut found = paths.iter().filter(|(template, _)| fits(template));
    found.next().map(|(_, item)| item)
}

/// Holds an answer to what the document says of its path.
pub fn check(method: &Method, target: &str, answer: &Answer) {
    let what = format!("{method} {target}: {}", answer.status);
    let Some(path) = template(target) else {
        assert_eq!(answer.status, 404, "{what}");
        return against(
            &DOCUMENT["components"]["responses"]["NotFound"],
            answer,
            &what,
        );
    };
    let operation = &path[method.as_str().to_ascii_lowercase()];
    if operation.is_null() {
        assert_eq!(answer.status, 405, "{what}");
        let known = path.as_object().unwrap().keys();
        let known: BTreeSet<String> = known.map(|name| name.to_ascii_uppercase()).collect();
        let allowed = header(answer, "allow").unwrap().split(", ");
        assert_eq!(
            allowed.map(str::to_owned).collect::<BTreeSet<_>>(),
            known,
            "{what}"
        );
        return against(
            &DOCUMENT["components"]["responses"]["MethodNotAllowed"],
            answer,
            &what,
        );
    }
    let responses = &operation["responses"];
    let said = &responses[answer.status.to_string()];
    let said = if said.is_null() {
        &responses["default"]
    } else {
        said
    };
    assert!(!said.is_null(), "{what} is not in the document");
    against(said, answer, &what);
}

/// Holds a 202 of a submission to the document.
pub fn check_ticket(answer: &Answer) {
    assert_eq!(answer.status, 202);
    against(
        &DOCUMENT["components"]["responses"]["Accepted"],
        answer,
        "a ticket",
    );
}

fn against(response: &'static Value, answer: &Answer, what: &str) {
    let response = resolved(response);
    fields(response, answer, what);
    let Some(content) = response["content"].as_object() else {
        assert_eq!(answer.body, "", "{what}");
        return;
    };
    let kind = header(answer, "content-type").unwrap();
    let is_bare = |name: &&String| *name == kind || kind.split(';').next() == Some(name.as_str());
    let name = content.keys().find(is_bare).map_or("*/*", String::as_str);
    let media = content.get(name);
    let media = media.unwrap_or_else(|| panic!("{what}: {kind} is not in the document"));
    if name.ends_with("json") {
        let body = serde_json::from_slice(&answer.body).unwrap();
        validate(&media["schema"], &body, what);
    }
}

fn fields(response: &'static Value, answer: &Answer, what: &str) {
    let said = response["headers"].as_object();
    for (name, field) in said.into_iter().flatten() {
        let field = resolved(field);
        let found = header(answer, &name.to_ascii_lowercase());
        let Some(text) = found else {
            assert!(field["required"] != true, "{what}: {name} is missing");
            continue;
        };
        let is_number = field["schema"]["type"] == "integer";
        let value = if is_number {
            json!(text.parse::<u64>().unwrap())
        } else {
            json!(text)
        };
        validate(&field["schema"], &value, &format!("{what}: {name}"));
    }
    let replayed = header(answer, "asyncresult").is_some();
    for (name, _) in &answer.headers {
        let is_said = said
            .into_iter()
            .flat_map(Map::keys)
            .any(|said| said.eq_ignore_ascii_case(name.as_str()));
        let goes_without =
            UNMENTIONED.contains(&name.as_str()) || replayed || name == "cache-control";
        assert!(
            is_said || goes_without,
            "{what}: {name} is not in the document"
        );
    }
}

#[test]
fn every_schema_of_the_document_is_a_schema() {
    let schemas = DOCUMENT["components"]["schemas"].as_object().unwrap();
    assert!(schemas.len() > 10);
    for (name, schema) in schemas {
        jsonschema::meta::validate(schema).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn walk(value: &Value, found: &mut usize) {
        match value {
            Value::Object(members) => {
                if let Some(place) = value["$ref"].as_str() {
                    *found += 1;
                    assert!(DOCUMENT.pointer(&place[1..]).is_some(), "{place}");
                }
                members.values().for_each(|value| walk(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let mut found = 0;
    walk(&DOCUMENT, &mut found);
    assert!(found > 50, "{found} references");
}

#[test]
fn the_document_names_every_problem() {
    let known: Vec<&str> = kinds().iter().map(|kind| kind.name).collect();
    for method in ["get", "head"] {
        let name = &DOCUMENT["paths"]["/-/problems/{name}"][method]["parameters"][0];
        assert_eq!(name["schema"]["enum"], json!(known), "{method}");
    }
}

#[test]
#[should_panic(expected = "state")]
fn what_is_not_in_the_document_is_found() {
    let wrong = json!({"id": "01JQ7Z6V3M8Q4T9B2K5N7R1C0D", "state": "DONE"});
    validate(
        &json!({"$ref": "#/components/schemas/Task"}),
        &wrong,
        "a wrong one",
    );
}
