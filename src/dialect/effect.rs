//! What an answer says of the operation that was asked for: the status is not the whole story.
//!
//! JSON-RPC says its errors beside status 200, SOAP its faults beside 500, vAPI that a batch was done in part beside 200, and
//! NSX that a session is over beside 403.

use http::HeaderMap;
use serde_json::Value;

use super::error_type::{is_short, word};
use super::own::{self, RpcError};
use super::soap;
use crate::call::{Dialect, Spoken};

/// Longest body that is looked into, bytes.
pub(super) const LOOKED_AT: usize = 1024 * 1024;
/// The member of vAPI's `BatchResult` that says what was not done.
const NOT_DONE: &str = "error_messages";
const AVI_EXPIRED: u16 = 419;
const SEE_OTHER: u16 = 303;
const MULTI_STATUS: u16 = 207;

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It was done.
    Done,
    /// Some of it was done.
    Partly,
    /// It was refused, or went wrong: the API's own word for the error, where it has one.
    Failed(Option<String>),
    /// Whoever asked is not logged in, any more: nothing was done.
    Unauthenticated,
}

/// Reads the answer to an operation of an upstream that speaks `dialect`, asked in this form.
#[must_use]
pub fn effect(
    dialect: Dialect,
    spoken: Spoken,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
) -> Effect {
    let body = body.get(..LOOKED_AT).unwrap_or(body);
    match (dialect, spoken, status) {
        (_, _, 401) | (Dialect::Avi, _, AVI_EXPIRED) => Effect::Unauthenticated,
        (Dialect::Nsx, _, 403) if !is_forbidden(body) => Effect::Unauthenticated,
        (_, Spoken::Soap, _) => of_soap(status, body),
        (_, Spoken::Rpc, 200) => of_rpc(headers, body),
        (_, _, MULTI_STATUS) => Effect::Partly,
        (Dialect::Vcenter, _, 200..=299) if is_partly(body) => Effect::Partly,
        (_, _, 200..=299 | SEE_OTHER) => Effect::Done,
        _ => Effect::Failed(word(body)),
    }
}

/// NSX says 403 when a session is over, and when its user may not do what it asked for; then it says so.
fn is_forbidden(body: &[u8]) -> bool {
    let said = serde_json::from_slice::<Value>(body).ok();
    let said = said.as_ref().and_then(|said| said.get("error_message"));
    let said = said.and_then(Value::as_str).unwrap_or_default();
    let said = said.to_ascii_lowercase();
    said.contains("permission") || said.contains("not authorized")
}

/// Whether a 403 of NSX says in so many words that it does not know the session, or the credentials, any more.
pub(super) fn is_session_over(body: &[u8]) -> bool {
    let said = serde_json::from_slice::<Value>(body).ok();
    let said = said.as_ref().and_then(|said| said.get("error_message"));
    let said = said.and_then(Value::as_str).unwrap_or_default();
    let said = said.to_ascii_lowercase();
    let is_over =
        said.contains("session") && (said.contains("expired") || said.contains("invalid"));
    is_over || said.contains("credentials were incorrect")
}

fn of_soap(status: u16, body: &[u8]) -> Effect {
    let answer = soap::answer(body);
    match answer.fault.as_deref() {
        Some("NotAuthenticatedFault" | "NotAuthenticated") => Effect::Unauthenticated,
        _ if answer.is_fault || status >= 300 => {
            Effect::Failed(answer.fault.filter(|word| is_short(word)))
        }
        _ => Effect::Done,
    }
}

fn of_rpc(headers: &HeaderMap, body: &[u8]) -> Effect {
    if own::rpc_error(headers) == Some(RpcError::Unauthenticated) {
        return Effect::Unauthenticated;
    }
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return Effect::Done;
    };
    let is_said = |error: &&Value| !error.is_null();
    if answer.get("error").as_ref().is_some_and(is_said) {
        return Effect::Failed(None);
    }
    if let Some(error) = answer.pointer("/result/error").filter(is_said) {
        let error = error.get("ERROR").and_then(Value::as_object);
        let kind = error.and_then(|error| error.keys().next()).cloned();
        return match kind {
            Some(kind) if kind.ends_with(".unauthenticated") => Effect::Unauthenticated,
            kind => Effect::Failed(kind.filter(|word| is_short(word))),
        };
    }
    let output = answer.pointer("/result/output/STRUCTURE");
    let mut output = output.and_then(Value::as_object).into_iter().flatten();
    if output.any(|(_, result)| lists_errors(result)) {
        Effect::Partly
    } else {
        Effect::Done
    }
}

/// Whether this is a `BatchResult` of which not all was done.
fn is_partly(body: &[u8]) -> bool {
    // Most answers are no such thing: a search costs less than reading them.
    if memchr::memmem::find(body, NOT_DONE.as_bytes()).is_none() {
        return false;
    }
    let answer = serde_json::from_slice::<Value>(body).ok();
    answer.is_some_and(|answer| {
        lists_errors(&answer) || answer.get("value").is_some_and(lists_errors)
    })
}

fn lists_errors(result: &Value) -> bool {
    let errors = result.get(NOT_DONE);
    let errors = errors.map(|errors| errors.get("OPTIONAL").unwrap_or(errors));
    let errors = errors.and_then(Value::as_array);
    errors.is_some_and(|errors| !errors.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(dialect: Dialect, spoken: Spoken, status: u16, body: &str) -> Effect {
        effect(dialect, spoken, status, &HeaderMap::new(), body.as_bytes())
    }

    fn failed(word: &str) -> Effect {
        Effect::Failed(Some(word.to_owned()))
    }

    #[test]
    fn the_status_speaks_where_the_dialect_says_no_more() {
        for dialect in Dialect::ALL {
            for (status, effect) in [
                (200, Effect::Done),
                (201, Effect::Done),
                (204, Effect::Done),
                (207, Effect::Partly),
                (303, Effect::Done),
                (302, Effect::Failed(None)),
                (400, Effect::Failed(None)),
                (404, Effect::Failed(None)),
                (500, Effect::Failed(None)),
                (401, Effect::Unauthenticated),
            ] {
                assert_eq!(
                    of(dialect, Spoken::Plain, status, ""),
                    effect,
                    "{dialect:?} {status}"
                );
            }
        }
    }

    #[test]
    fn errors_are_named_as_the_api_names_them() {
        let vcenter = |spoken, body: &str| of(Dialect::Vcenter, spoken, 400, body);
        let api = r#"{"error_type":"ALREADY_EXISTS","messages":[]}"#;
        assert_eq!(vcenter(Spoken::Api, api), failed("ALREADY_EXISTS"));
        let api = r#"{"error_type":"ALREADY_EXISTS","messages":[{"id":"com.vmware.vapi.std.errors.already_exists","args":[]}]}"#;
        assert_eq!(
            vcenter(Spoken::Api, api),
            failed("com.vmware.vapi.std.errors.already_exists")
        );
        let rest =
            r#"{"type":"com.vmware.vapi.std.errors.already_exists","value":{"messages":[]}}"#;
        assert_eq!(
            vcenter(Spoken::Rest, rest),
            failed("com.vmware.vapi.std.errors.already_exists")
        );
        let nsx = r#"{"httpStatus":"BAD_REQUEST","error_code":500012,"error_message":"no"}"#;
        assert_eq!(of(Dialect::Nsx, Spoken::Plain, 400, nsx), failed("500012"));
    }

    #[test]
    fn a_batch_that_was_not_done_whole_is_done_in_part() {
        let of = |spoken, body: &str| of(Dialect::Vcenter, spoken, 200, body);
        let some = r#"{"success":false,"error_messages":[{"args":[],"id":"x"}]}"#;
        let none = r#"{"success":true,"error_messages":[]}"#;
        assert_eq!(of(Spoken::Api, some), Effect::Partly);
        assert_eq!(
            of(Spoken::Rest, &format!(r#"{{"value":{some}}}"#)),
            Effect::Partly
        );
        assert_eq!(of(Spoken::Api, none), Effect::Done);
        let rpc = |inside: &str| {
            format!(
                r#"{{"result":{{"output":{{"STRUCTURE":{{"com.vmware.x.batch_result":{inside}}}}}}}}}"#
            )
        };
        assert_eq!(of(Spoken::Rpc, &rpc(some)), Effect::Partly);
        assert_eq!(of(Spoken::Rpc, &rpc(none)), Effect::Done);
        assert_eq!(
            of(Spoken::Rpc, &rpc(r#"{"error_messages":{"OPTIONAL":[{}]}}"#)),
            Effect::Partly
        );
    }

    #[test]
    fn json_rpc_says_its_errors_beside_200() {
        let of = |body: &str| of(Dialect::Vcenter, Spoken::Rpc, 200, body);
        assert_eq!(
            of(r#"{"jsonrpc":"2.0","result":{"output":"vm-1"}}"#),
            Effect::Done
        );
        assert_eq!(
            of(r#"{"jsonrpc":"2.0","error":{"code":-32600}}"#),
            Effect::Failed(None)
        );
        let error = |kind: &str| {
            format!(
                r#"{{"result":{{"error":{{"ERROR":{{"com.vmware.vapi.std.errors.{kind}":{{}}}}}}}}}}"#
            )
        };
        assert_eq!(
            of(&error("not_found")),
            failed("com.vmware.vapi.std.errors.not_found")
        );
        assert_eq!(of(&error("unauthenticated")), Effect::Unauthenticated);
    }

    #[test]
    fn soap_says_its_faults_beside_500() {
        let of = |status, inside: &str| {
            let body = format!(
                r#"<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>{inside}</Body></Envelope>"#
            );
            self::of(Dialect::Vcenter, Spoken::Soap, status, &body)
        };
        let fault = |name: &str| {
            format!(
                r#"<Fault><faultcode>ServerFaultCode</faultcode><faultstring>no</faultstring><detail><{name} xmlns="urn:vim25"/></detail></Fault>"#
            )
        };
        assert_eq!(
            of(200, r#"<CloneVM_TaskResponse xmlns="urn:vim25"/>"#),
            Effect::Done
        );
        assert_eq!(
            of(500, &fault("DuplicateNameFault")),
            failed("DuplicateNameFault")
        );
        assert_eq!(
            of(500, &fault("NotAuthenticatedFault")),
            Effect::Unauthenticated
        );
    }

    #[test]
    fn a_session_that_is_over_is_told_from_what_its_user_may_not_do() {
        let nsx = |body: &str| of(Dialect::Nsx, Spoken::Plain, 403, body);
        let over = r#"{"error_message":"The credentials were incorrect or the account specified has been locked.","error_code":403}"#;
        assert_eq!(nsx(over), Effect::Unauthenticated);
        assert_eq!(nsx(""), Effect::Unauthenticated);
        let forbidden =
            r#"{"error_message":"The user does not have permission to do this.","error_code":289}"#;
        assert_eq!(nsx(forbidden), failed("289"));
        assert_eq!(
            of(Dialect::Avi, Spoken::Plain, 419, ""),
            Effect::Unauthenticated
        );
        assert_eq!(
            of(Dialect::Vcenter, Spoken::Api, 403, ""),
            Effect::Failed(None)
        );
    }
}
