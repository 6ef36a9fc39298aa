//! A vCenter's wording: values and errors, below `/api` and below `/rest`.

use serde_json::{Value, json};

use super::super::{Ending, Reply, Request};

const CHALLENGE: &str = "Basic realm=\"VAPI endpoint\",SIGN realm=\"sso\",service=\"VAPI endpoint\",\
                         sts=\"https://vc1.example/sts/STSService/vsphere.local\"";

/// Whether it is asked in the older way, where values and errors come wrapped.
pub(super) fn is_old(request: &Request) -> bool {
    request.path.starts_with("/rest/")
}

/// What a call answers with, given as the text of a JSON value.
pub(super) fn value(request: &Request, status: u16, text: &str) -> Reply {
    if is_old(request) {
        Reply::json(status, format!("{{\"value\":{text}}}"))
    } else {
        Reply::json(status, text)
    }
}

/// What a call answers that has nothing to say.
pub(super) fn nothing(request: &Request) -> Reply {
    Reply::empty(if is_old(request) { 200 } else { 204 })
}

/// `{"id":…,"default_message":…,"args":[]}`.
pub(super) fn message(id: &str, text: &str) -> String {
    let (id, text) = (json!(id), json!(text));
    format!("{{\"id\":{id},\"default_message\":{text},\"args\":[]}}")
}

pub(super) fn error(request: &Request, status: u16, word: &str, id: &str, text: &str) -> Reply {
    let inside = format!(
        "{{\"error_type\":\"{word}\",\"messages\":[{}]}}",
        message(id, text)
    );
    raw_error(request, status, word, &inside)
}

fn raw_error(request: &Request, status: u16, word: &str, inside: &str) -> Reply {
    if is_old(request) {
        let word = word.to_lowercase();
        let outside =
            format!("{{\"type\":\"com.vmware.vapi.std.errors.{word}\",\"value\":{inside}}}");
        Reply::json(status, outside)
    } else {
        Reply::json(status, inside)
    }
}

pub(super) fn unauthenticated(request: &Request) -> Reply {
    let id = "com.vmware.vapi.endpoint.method.authentication.required";
    let inside = format!(
        "{{\"error_type\":\"UNAUTHENTICATED\",\"messages\":[{}],\"challenge\":{}}}",
        message(id, "Authentication required."),
        json!(CHALLENGE)
    );
    raw_error(request, 401, "UNAUTHENTICATED", &inside).with("WWW-Authenticate", CHALLENGE)
}

/// There is no operation of that name and form.
pub(super) fn no_route(request: &Request) -> Reply {
    let id = "com.vmware.vapi.rest.httpNotFound";
    error(request, 404, "NOT_FOUND", id, "Not found.")
}

pub(super) fn not_found(request: &Request, what: &str) -> Reply {
    let text = format!("{what} was not found.");
    error(
        request,
        404,
        "NOT_FOUND",
        "com.vmware.api.vcenter.vm.not_found",
        &text,
    )
}

pub(super) fn invalid(request: &Request, text: &str) -> Reply {
    let id = "com.vmware.vapi.std.errors.invalid_argument";
    error(request, 400, "INVALID_ARGUMENT", id, text)
}

/// The status 503, of which nobody can tell what it means; other ones as told.
pub(super) fn unavailable(request: &Request, status: u16) -> Reply {
    let id = "com.vmware.vapi.endpoint.cis.ServiceUnavailable";
    error(
        request,
        status,
        "SERVICE_UNAVAILABLE",
        id,
        "Service unavailable.",
    )
}

/// The status that goes with an error.
fn status(word: &str) -> u16 {
    match word {
        "ALREADY_EXISTS"
        | "ALREADY_IN_DESIRED_STATE"
        | "INVALID_ARGUMENT"
        | "INVALID_REQUEST"
        | "NOT_ALLOWED_IN_CURRENT_STATE"
        | "UNSUPPORTED" => 400,
        "UNAUTHENTICATED" => 401,
        "UNAUTHORIZED" => 403,
        "NOT_FOUND" => 404,
        "SERVICE_UNAVAILABLE" => 503,
        _ => 500,
    }
}

/// What a blocking call answers that failed.
pub(super) fn failed(request: &Request, ending: &Ending) -> Reply {
    let (word, text) = ending.fault("ERROR").unwrap_or_default();
    let id = format!("com.vmware.api.vcenter.{}", word.to_lowercase());
    error(request, status(&word), &word, &id, &text)
}

/// `error` of a task that failed, if it has one.
pub(super) fn task_error(ending: &Ending) -> Option<String> {
    if *ending == Ending::Unexplained {
        return None;
    }
    let (word, text) = ending.fault("ERROR")?;
    let id = format!("com.vmware.api.vcenter.{}", word.to_lowercase());
    Some(format!(
        "{{\"error_type\":\"{word}\",\"messages\":[{}]}}",
        message(&id, &text)
    ))
}

/// `result` of a task that has ended, if it has one.
pub(super) fn task_result(ending: &Ending) -> Option<String> {
    match ending {
        Ending::Done(Value::Null) => None,
        Ending::Done(result) => Some(result.to_string()),
        Ending::Partial(messages) => Some(batch(messages)),
        Ending::Unexplained => Some("\"It did not work out.\"".to_owned()),
        _ => None,
    }
}

/// What an operation on many things answers: what went wrong with some.
pub(super) fn batch(errors: &[String]) -> String {
    let id = "com.vmware.api.vcenter.partial";
    let messages: Vec<String> = errors.iter().map(|text| message(id, text)).collect();
    format!(
        "{{\"success\":{},\"error_messages\":[{}]}}",
        errors.is_empty(),
        messages.join(",")
    )
}
