//! Properties of the scanner, with serde_json as a second reader.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::Value;

use super::tests::{LOGIN, scan};
use super::*;

/// Any JSON, with keys of the envelope among its own.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9_f64).prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "params",
            "ctx",
            "serviceId",
            "sessionId",
            "method",
            "id",
            "userName"
        ])
        .prop_map(str::to_owned),
        "\\PC{0,5}",
    ]
}

fn maybe(strategy: impl Strategy<Value = String>) -> impl Strategy<Value = Option<String>> {
    prop::option::of(strategy)
}

/// An envelope: what is to be found, and the rest of it.
fn envelope() -> impl Strategy<Value = Value> {
    let names = (
        maybe("\\PC{0,9}"),
        maybe(".{0,9}"),
        maybe("[a-z.]{0,30}"),
        maybe(".{0,9}"),
    );
    let security = (
        maybe("[a-z.]{0,9}"),
        maybe("[0-9a-f]{0,32}"),
        maybe(".{0,20}"),
        maybe(".{0,9}"),
    );
    let id = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        ".{0,9}".prop_map(Value::from)
    ];
    (names, security, id, value(), value()).prop_map(|(names, security, id, input, other)| {
        let (scheme, session, user, password) = security;
        let security = object(
            [
                ("schemeId", scheme),
                ("sessionId", session),
                ("userName", user),
                ("password", password),
            ],
            [],
        );
        let (method, service, operation, op_id) = names;
        let context = object([("opId", op_id)], [("securityCtx", security)]);
        let params = object(
            [("serviceId", service), ("operationId", operation)],
            [("ctx", context), ("input", input)],
        );
        object(
            [("method", method)],
            [("params", params), ("id", id), ("other", other)],
        )
    })
}

fn object<const N: usize, const M: usize>(
    texts: [(&str, Option<String>); N],
    values: [(&str, Value); M],
) -> Value {
    let texts = texts
        .into_iter()
        .filter_map(|(key, text)| Some((key.to_owned(), Value::from(text?))));
    let values = values
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value));
    Value::Object(texts.chain(values).collect())
}

/// Writes `value` with keys, blanks and escapes as `dice` falls.
fn write_out(value: &Value, dice: &mut impl FnMut(usize) -> usize, out: &mut String) {
    out.push_str(["", " ", "\n\t", ""][dice(4)]);
    match value {
        Value::String(text) => write_text(text, dice, out),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                write_out(item, dice, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().collect();
            out.push('{');
            while !fields.is_empty() {
                let (key, value) = fields.swap_remove(dice(fields.len()));
                write_text(key, dice, out);
                out.push_str([":", " : "][dice(2)]);
                write_out(value, dice, out);
                out.push_str(if fields.is_empty() { "" } else { "," });
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
    out.push_str(["", " "][dice(2)]);
}

fn write_text(text: &str, dice: &mut impl FnMut(usize) -> usize, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if dice(4) == 0 {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").unwrap();
            }
        } else {
            let quoted = Value::from(c.to_string()).to_string();
            out.push_str(&quoted[1..quoted.len() - 1]);
        }
    }
    out.push('"');
}

fn text(value: &Value, path: &str) -> Option<String> {
    value
        .pointer(path)
        .and_then(Value::as_str)
        .map(str::to_owned)
}

proptest! {
    #[test]
    fn serde_json_reads_the_same(value in envelope(), falls in prop::collection::vec(any::<u8>(), 1..200), piece in 1..40_usize) {
        let mut at = 0;
        let mut dice = |sides: usize| {
            at += 1;
            usize::from(falls[at % falls.len()]) % sides
        };
        let mut body = String::new();
        write_out(&value, &mut dice, &mut body);
        let parsed: Value = serde_json::from_str(&body).unwrap();
        let mut scanner = Scanner::new();
        for bytes in body.as_bytes().chunks(piece) {
            scanner.feed(bytes).map_err(|bad| TestCaseError::fail(format!("{bad}: {body}")))?;
        }
        let known = scanner.finish().unwrap();
        prop_assert_eq!(known.method, text(&parsed, "/method"));
        prop_assert_eq!(known.service, text(&parsed, "/params/serviceId"));
        prop_assert_eq!(known.operation, text(&parsed, "/params/operationId"));
        prop_assert_eq!(known.scheme, text(&parsed, "/params/ctx/securityCtx/schemeId"));
        prop_assert_eq!(known.user, text(&parsed, "/params/ctx/securityCtx/userName"));
        let session = known.session.map(|session| String::from_utf8(session.expose().to_vec()).unwrap());
        prop_assert_eq!(session, text(&parsed, "/params/ctx/securityCtx/sessionId"));
        let id: Value = serde_json::from_str(&known.id.unwrap()).unwrap();
        prop_assert_eq!(&id, &parsed["id"]);
    }

    #[test]
    fn a_broken_byte_is_broken_to_both(at in 0..LOGIN.len(), byte in any::<u8>()) {
        let mut body = LOGIN.as_bytes().to_vec();
        body[at] = byte;
        let reference = serde_json::from_slice::<Value>(&body);
        match scan(&body) {
            Ok(_) => prop_assert!(reference.is_ok()),
            // What JSON allows and a call does not.
            Err(bad) => {
                let stricter = bad.0.starts_with("has a") && bad.0.contains("no ");
                prop_assert!(reference.is_err() || stricter || bad.0.contains("twice"), "{}", bad);
            }
        }
    }

    #[test]
    fn no_bytes_make_it_stumble(bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\",:\\u0e-.tfn ".to_vec())], 0..200)) {
        let mut scanner = Scanner::new();
        let first = bytes.chunks(7).try_for_each(|piece| scanner.feed(piece));
        let whole = Scanner::new().feed(&bytes);
        prop_assert_eq!(first, whole);
        prop_assert_eq!(scan(&bytes).is_ok(), whole.is_ok() && scanner.is_complete());
    }
}
