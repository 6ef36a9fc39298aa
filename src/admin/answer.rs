//! The answers of the operator's door: never cached, never sniffed, faults as problem+json (RFC 9457).

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{Ending, Reloaded};
use crate::observe::{METRICS_FORMAT, MetersError};

/// Methods of a path that is only read.
pub(super) const READ: &str = "GET, HEAD";
/// Methods of a path that does something.
pub(super) const POST: &str = "POST";
/// Methods of what can only be ended.
pub(super) const DELETE: &str = "DELETE";

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
const TEXT: &str = "text/plain; charset=utf-8";

/// One answer with its length.
pub(super) fn of(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Plain text.
pub(super) fn text(status: StatusCode, body: &str) -> Response<Vec<u8>> {
    of(status, TEXT, body.as_bytes().to_vec())
}

/// JSON that stands ready.
pub(super) fn json(body: serde_json::Result<Vec<u8>>) -> Response<Vec<u8>> {
    match body {
        Ok(body) => of(StatusCode::OK, JSON, body),
        Err(error) => broken(&error),
    }
}

/// The metrics page.
pub(super) fn metrics(page: Result<Vec<u8>, MetersError>) -> Response<Vec<u8>> {
    match page {
        Ok(page) => of(StatusCode::OK, METRICS_FORMAT, page),
        Err(error) => broken(&error),
    }
}

/// 200 with what changed, or 422 with all faults.
pub(super) fn reloaded(outcome: &Reloaded) -> Response<Vec<u8>> {
    match outcome {
        Reloaded::Changed(changed) => json(serde_json::to_vec(&json!({ "changed": changed }))),
        Reloaded::Refused(faults) => problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "The configuration was not loaded and nothing was changed.",
            &[("faults", json!(faults))],
        ),
    }
}

/// What would become of a call, or 400 with what is wrong with the question.
pub(super) fn explained(said: Result<Value, String>) -> Response<Vec<u8>> {
    match said {
        Ok(said) => json(serde_json::to_vec(&said)),
        Err(why) => problem(StatusCode::BAD_REQUEST, &why, &[]),
    }
}

/// What is known of tasks.
pub(super) fn told(said: Result<Vec<u8>, (StatusCode, String)>) -> Response<Vec<u8>> {
    match said {
        Ok(body) => of(StatusCode::OK, JSON, body),
        Err((status, why)) => problem(status, &why, &[]),
    }
}

/// Whether a method only reads.
pub(super) fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// What became of a session that was to end.
pub(super) fn ended(ending: Ending) -> Response<Vec<u8>> {
    let (status, detail) = match ending {
        Ending::Ended => return of(StatusCode::NO_CONTENT, TEXT, Vec::new()),
        Ending::Unknown => (StatusCode::NOT_FOUND, "There is no session of this id."),
        Ending::Impossible => (
            StatusCode::CONFLICT,
            "Its token is not kept, or its API has no logout: it ends by idling out.",
        ),
        Ending::Failed => (
            StatusCode::BAD_GATEWAY,
            "The upstream did not take the logout; the session is still counted. Try again.",
        ),
    };
    problem(status, detail, &[])
}

/// A problem of this status, with extension members.
pub(super) fn problem(
    status: StatusCode,
    detail: &str,
    more: &[(&str, Value)],
) -> Response<Vec<u8>> {
    let mut body = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "detail": detail,
    });
    if let Some(members) = body.as_object_mut() {
        members.extend(
            more.iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
    }
    of(status, PROBLEM, body.to_string().into_bytes())
}

/// 405 with what would be right.
pub(super) fn wrong_method(allowed: &'static str) -> Response<Vec<u8>> {
    let detail = format!("This path answers {allowed}.");
    with(
        problem(StatusCode::METHOD_NOT_ALLOWED, &detail, &[]),
        ALLOW,
        allowed,
    )
}

/// 403: nobody can have the token, because there is none.
pub(super) fn no_token() -> Response<Vec<u8>> {
    let detail = "This needs the admin token, and none is configured. Write one into a file that only the gate can \
                  read, set token = \"file:/etc/tidegate/admin.token\" under [admin], restart, and send \
                  Authorization: Bearer TOKEN.";
    problem(StatusCode::FORBIDDEN, detail, &[])
}

/// 401: no token, or a wrong one.
pub(super) fn denied() -> Response<Vec<u8>> {
    let detail = "This needs the admin token: send Authorization: Bearer TOKEN with the text of admin.token.";
    with(
        problem(StatusCode::UNAUTHORIZED, detail, &[]),
        WWW_AUTHENTICATE,
        "Bearer realm=\"tidegate admin\"",
    )
}

/// The answer with one header more.
pub(super) fn with(
    mut response: Response<Vec<u8>>,
    name: HeaderName,
    value: &'static str,
) -> Response<Vec<u8>> {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
    response
}

fn broken(error: &dyn std::error::Error) -> Response<Vec<u8>> {
    tracing::error!(%error, "an answer of the admin listener could not be written");
    problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "The answer could not be written; the log says why.",
        &[],
    )
}
