//! How a vCenter words its answers: plain under `/api`, wrapped in `value` under `/rest`; errors in both forms.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

/// Which of the two interfaces was spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `/api/…`, since 7.0 U2.
    Api,
    /// `/rest/…`, the older one.
    Rest,
}

/// An error a vCenter names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// No session.
    Unauthenticated,
    /// No such path.
    NoRoute,
    /// No such thing.
    NotFound,
    /// The request makes no sense.
    InvalidArgument,
}

impl Fault {
    const fn words(self) -> (StatusCode, &'static str, &'static str, &'static str) {
        match self {
            Self::Unauthenticated => (
                StatusCode::UNAUTHORIZED,
                "UNAUTHENTICATED",
                "com.vmware.vapi.endpoint.method.authentication.required",
                "Authentication required.",
            ),
            Self::NoRoute => (
                StatusCode::NOT_FOUND,
                "NOT_FOUND",
                "com.vmware.vapi.rest.httpNotFound",
                "Not found.",
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "NOT_FOUND",
                "com.vmware.api.vcenter.object_not_found",
                "The object was not found.",
            ),
            Self::InvalidArgument => (
                StatusCode::BAD_REQUEST,
                "INVALID_ARGUMENT",
                "com.vmware.vapi.std.errors.invalid_argument",
                "The request body is not what this operation takes.",
            ),
        }
    }
}

/// An answer with a JSON body.
pub(super) fn answer(form: Form, status: StatusCode, value: Value) -> Response<Vec<u8>> {
    let body = match form {
        Form::Api => value,
        Form::Rest => json!({ "value": value }),
    };
    with_body(status, &body)
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    *response.status_mut() = status;
    if status != StatusCode::NO_CONTENT {
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(0));
    }
    response
}

/// An error in the words of the interface.
pub(super) fn error(form: Form, fault: Fault) -> Response<Vec<u8>> {
    let (status, kind, id, message) = fault.words();
    let mut value = json!({
        "error_type": kind,
        "messages": [{ "args": [], "default_message": message, "id": id }],
    });
    if let (Fault::Unauthenticated, Some(members)) = (fault, value.as_object_mut()) {
        members.insert(
            "challenge".to_owned(),
            Value::from("Basic realm=\"VAPI endpoint\""),
        );
    }
    let body = match form {
        Form::Api => value,
        Form::Rest => {
            let kind = format!("com.vmware.vapi.std.errors.{}", kind.to_ascii_lowercase());
            json!({ "type": kind, "value": value })
        }
    };
    with_body(status, &body)
}

fn with_body(status: StatusCode, body: &Value) -> Response<Vec<u8>> {
    let body = body.to_string().into_bytes();
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}
