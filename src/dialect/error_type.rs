//! How each API names what went wrong: the type of an error, and the word for it.

use serde_json::Value;

use super::effect::LOOKED_AT;
use super::soap;
use crate::call::Spoken;

/// Longest word for an error that is taken over.
const LONGEST: usize = 200;

/// The API's own type of the error that an answer tells of, as `ALREADY_EXISTS`: vCenter's `error_type`, or the last part of the
/// type in full; of a SOAP fault the name of its type; the code of NSX, NSX-V, Azure and Redfish. None where it has none.
#[must_use]
pub fn error_type(spoken: Spoken, body: &[u8]) -> Option<String> {
    let body = body.get(..LOOKED_AT).unwrap_or(body);
    let said = match spoken {
        Spoken::Soap => {
            let fault = soap::answer(body).fault?;
            Some(fault.strip_suffix("Fault").unwrap_or(&fault).to_owned())
        }
        Spoken::Rpc => {
            let answer = serde_json::from_slice::<Value>(body).ok()?;
            let error = answer.pointer("/result/error/ERROR")?.as_object()?;
            error.keys().next().map(|name| short_of(name))
        }
        _ => match serde_json::from_slice::<Value>(body) {
            Ok(said) => type_in(&said),
            Err(_) => element(body, "errorCode"),
        },
    };
    said.filter(|word| is_short(word))
}

/// `ALREADY_EXISTS` of `com.vmware.vapi.std.errors.already_exists`.
fn short_of(name: &str) -> String {
    let last = name.rsplit('.').next().unwrap_or(name);
    if last == name {
        name.to_owned()
    } else {
        last.to_ascii_uppercase()
    }
}

fn type_in(said: &Value) -> Option<String> {
    let places = [
        "/error_type",
        "/value/error_type",
        "/type",
        "/error_code",
        "/errorCode",
        "/error/code",
        "/code",
    ];
    let named = places.iter().find_map(|place| text(said.pointer(place)?))?;
    let is_vmware = named.starts_with("com.vmware.");
    Some(if is_vmware { short_of(&named) } else { named })
}

fn text(said: &Value) -> Option<String> {
    match said {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The text of the first element of this name.
fn element(body: &[u8], name: &str) -> Option<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let start = memchr::memmem::find(body, open.as_bytes())? + open.len();
    let rest = body.get(start..)?;
    let end = memchr::memmem::find(rest, close.as_bytes())?;
    let text = std::str::from_utf8(rest.get(..end)?).ok()?;
    Some(text.trim().to_owned())
}

/// The word for the error: the id of vAPI's first message, the type in full, or the code that NSX and others have.
pub(super) fn word(body: &[u8]) -> Option<String> {
    let Ok(said) = serde_json::from_slice::<Value>(body) else {
        return element(body, "errorCode").filter(|word| is_short(word));
    };
    let places = [
        "/messages/0/id",
        "/error_type",
        "/type",
        "/error_code",
        "/errorCode",
        "/error/@Message.ExtendedInfo/0/MessageId",
        "/error/code",
        "/code",
    ];
    let mut words = places.iter().filter_map(|place| text(said.pointer(place)?));
    words.find(|word| is_short(word))
}

/// Whether it is a word, and no longer than one is taken over.
pub(super) fn is_short(word: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_graphic();
    !word.is_empty() && word.len() <= LONGEST && word.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_api_has_a_type_of_its_errors() {
        let fault = "<Envelope xmlns=\"http://schemas.xmlsoap.org/soap/envelope/\"><Body><Fault><faultstring>no</faultstring>\
             <detail><DuplicateNameFault xmlns=\"urn:vim25\"/></detail></Fault></Body></Envelope>";
        for (spoken, body, wanted) in [
            (
                Spoken::Api,
                r#"{"error_type":"ALREADY_EXISTS","messages":[{"id":"com.vmware.api.x"}]}"#,
                Some("ALREADY_EXISTS"),
            ),
            (
                Spoken::Rest,
                r#"{"type":"com.vmware.vapi.std.errors.already_exists","value":{"messages":[]}}"#,
                Some("ALREADY_EXISTS"),
            ),
            (
                Spoken::Rest,
                r#"{"type":"com.vmware.vapi.std.errors.error","value":{"error_type":"ERROR_NEW"}}"#,
                Some("ERROR_NEW"),
            ),
            (
                Spoken::Rpc,
                r#"{"result":{"error":{"ERROR":{"com.vmware.vapi.std.errors.not_found":{}}}}}"#,
                Some("NOT_FOUND"),
            ),
            (Spoken::Soap, fault, Some("DuplicateName")),
            (Spoken::Plain, r#"{"error_code":500012}"#, Some("500012")),
            (
                Spoken::Plain,
                "<error><details>no</details><errorCode>10014</errorCode></error>",
                Some("10014"),
            ),
            (
                Spoken::Plain,
                r#"{"error":{"code":"Base.1.8.GeneralError"}}"#,
                Some("Base.1.8.GeneralError"),
            ),
            (Spoken::Plain, r#"{"error":"no such pool"}"#, None),
            (Spoken::Plain, r#"{"code":"two words"}"#, None),
            (Spoken::Plain, "no", None),
        ] {
            let found = error_type(spoken, body.as_bytes());
            assert_eq!(found.as_deref(), wanted, "{body}");
        }
    }
}
