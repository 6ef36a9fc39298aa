//! Requests that the gate makes for itself: end a session, ask whose it is. Plain data; sending is another's.

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, REFERER};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::credential::{AVI_COOKIES, NSX_COOKIES};
use super::effect::is_session_over;
use super::{Secret, soap};
use crate::call::{Dialect, Operation, Spoken};

pub(super) const API_SESSION: HeaderName = HeaderName::from_static("vmware-api-session-id");
const SOAP_ACTION: HeaderName = HeaderName::from_static("soapaction");
pub(super) const XSRF_TOKEN: HeaderName = HeaderName::from_static("x-xsrf-token");
pub(super) const CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrftoken");

const VAPI_ERROR: HeaderName = HeaderName::from_static("vapi-error");

/// The error of vAPI for a session that is none, or over.
const UNAUTHENTICATED: &str = "com.vmware.vapi.std.errors.unauthenticated";
const OLD_SESSION: &str = "/rest/com/vmware/cis/session";

/// A request of the gate's own. Host, length and the like are for whoever sends it.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: Cow<'static, str>,
    /// The fields that belong to it; those with secrets in them are marked as sensitive.
    pub headers: HeaderMap,
    /// The body, which may hold the token: it is not for printing.
    pub body: Body,
}

/// The body of a request of the gate's own. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(pub Bytes);

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// A session, as the ledger knows it.
#[derive(Debug, Clone, Copy)]
pub struct Session<'a> {
    /// The API of its upstream.
    pub dialect: Dialect,
    /// The form in which it was opened or first seen.
    pub spoken: Spoken,
    /// Its token.
    pub token: &'a Secret,
    /// What is shown beside the token ([`super::login::Opened::proof`], [`super::credential::proof`]).
    pub proof: Option<&'a Secret>,
}

/// What the upstream says of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// It is this user's.
    User(String),
    /// There is no such session.
    Gone,
    /// It did not say: it is overloaded, or too old or too new for the form that was asked in.
    Unknown,
}

/// The request that ends a session; `origin` is the upstream as `https://host`, which Avi wants in
/// `Referer`. `None` where there are no sessions, or the token cannot be written in a field.
#[must_use]
pub fn logout(session: &Session<'_>, origin: &str) -> Option<Request> {
    match (session.dialect, session.spoken) {
        (Dialect::Vcenter, Spoken::Api) => rest(Method::DELETE, "/api/session", session),
        (Dialect::Vcenter, Spoken::Rest) => rest(Method::DELETE, OLD_SESSION, session),
        (Dialect::Vcenter, Spoken::Rpc) => rpc("delete", session),
        (Dialect::Vcenter, Spoken::Soap) => soap_request(
            concat!(
                r#"<Logout xmlns="urn:vim25">"#,
                r#"<_this type="SessionManager">SessionManager</_this></Logout>"#,
            ),
            session,
        ),
        (Dialect::Nsx, _) => nsx(Method::POST, "/api/session/destroy", session),
        (Dialect::Avi, _) => avi("/logout", session, origin),
        _ => None,
    }
}

/// What a vCenter of 9.1 or later says of the load of its endpoints.
pub const PROXIES: &str = "/api/vcenter/utilization/proxies";
/// What it says of its connections.
pub const CONNECTIONS: &str = "/api/vcenter/utilization/connections";

/// The request that logs `user` in at a vCenter's REST endpoint. `None` where that cannot be written in a field.
#[must_use]
pub fn log_in(user: &str, password: &str) -> Option<Request> {
    let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
    let mut request = request(Method::POST, "/api/session");
    let basic = sensitive(format!("Basic {pair}").as_bytes())?;
    request.headers.insert(AUTHORIZATION, basic);
    Some(request)
}

/// The request that reads `target` in a session of a vCenter's REST endpoint.
#[must_use]
pub fn get(session: &Session<'_>, target: &'static str) -> Option<Request> {
    rest(Method::GET, target, session)
}

/// Whether a logout ends the session that it is made in. vim25's `TerminateSession` ends those of others,
/// by their keys: as an operation of SOAP, or as the last segment of a path of its JSON form.
#[must_use]
pub fn ends_own(operation: Option<Operation<'_>>, path: &str) -> bool {
    let last = path.trim_end_matches('/').rsplit('/').next();
    let name = operation.map(|operation| operation.name).or(last);
    name != Some("TerminateSession")
}

/// The request that asks whose a session is. `None` where no such question is documented (Avi), or
/// there are no sessions.
#[must_use]
pub fn whose(session: &Session<'_>) -> Option<Request> {
    match (session.dialect, session.spoken) {
        (Dialect::Vcenter, Spoken::Api) => rest(Method::GET, "/api/session", session),
        (Dialect::Vcenter, Spoken::Rest) => rest(
            Method::POST,
            "/rest/com/vmware/cis/session?~action=get",
            session,
        ),
        (Dialect::Vcenter, Spoken::Rpc) => rpc("get", session),
        (Dialect::Vcenter, Spoken::Soap) => soap_request(
            concat!(
                r#"<RetrieveProperties xmlns="urn:vim25">"#,
                r#"<_this type="PropertyCollector">propertyCollector</_this><specSet>"#,
                r#"<propSet><type>SessionManager</type><pathSet>currentSession</pathSet></propSet>"#,
                r#"<objectSet><obj type="SessionManager">SessionManager</obj></objectSet>"#,
                r#"</specSet></RetrieveProperties>"#,
            ),
            session,
        ),
        (Dialect::Nsx, _) => nsx(Method::GET, "/api/v1/aaa/user-info", session),
        _ => None,
    }
}

/// Reads the answer to [`whose`].
#[must_use]
pub fn answer(dialect: Dialect, spoken: Spoken, status: u16, body: &[u8]) -> Whose {
    match (dialect, spoken, status) {
        (Dialect::Vcenter, Spoken::Soap, 200 | 500) => soap_answer(body),
        (Dialect::Vcenter, Spoken::Rpc, 200) => rpc_answer(body),
        (_, _, 401) => Whose::Gone,
        // NSX says 403 when a session is over, and when its user may not ask: only the one in so many words is believed.
        (Dialect::Nsx, _, 403) if is_session_over(body) => Whose::Gone,
        (_, _, 200) => {
            let pointer = match (dialect, spoken) {
                (Dialect::Vcenter, Spoken::Api) => "/user",
                (Dialect::Vcenter, Spoken::Rest) => "/value/user",
                (Dialect::Nsx, _) => "/user_name",
                _ => return Whose::Unknown,
            };
            let answer = serde_json::from_slice::<Value>(body).ok();
            user(answer.as_ref().and_then(|answer| answer.pointer(pointer)))
        }
        _ => Whose::Unknown,
    }
}

/// The error that the head of an answer to a JSON-RPC call names: VMware's endpoint writes it beside
/// status 200, in `vapi-error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RpcError {
    /// There is no such session.
    Unauthenticated,
    /// Any other.
    Other,
}

/// The error in this head; `None` where it names none, which does not mean that there is none.
#[must_use]
pub fn rpc_error(headers: &HeaderMap) -> Option<RpcError> {
    let error = headers.get(VAPI_ERROR)?.as_bytes();
    Some(if error == UNAUTHENTICATED.as_bytes() {
        RpcError::Unauthenticated
    } else {
        RpcError::Other
    })
}

fn user(said: Option<&Value>) -> Whose {
    match said.and_then(Value::as_str) {
        Some(user) if !user.is_empty() => Whose::User(user.to_owned()),
        _ => Whose::Unknown,
    }
}

fn soap_answer(body: &[u8]) -> Whose {
    let answer = soap::answer(body);
    if let Some(user) = answer.user {
        return Whose::User(user);
    }
    match answer.fault.as_deref() {
        Some("NotAuthenticatedFault" | "NotAuthenticated") => Whose::Gone,
        // Without a session the property has no value.
        None if answer.is_reply && answer.is_whole => Whose::Gone,
        _ => Whose::Unknown,
    }
}

fn rpc_answer(body: &[u8]) -> Whose {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return Whose::Unknown;
    };
    let errors = answer
        .pointer("/result/error/ERROR")
        .and_then(Value::as_object);
    if errors.is_some_and(|errors| errors.contains_key(UNAUTHENTICATED)) {
        return Whose::Gone;
    }
    let structure = answer
        .pointer("/result/output/STRUCTURE")
        .and_then(Value::as_object);
    user(structure.and_then(|info| info.get("com.vmware.cis.session.info")?.get("user")))
}

fn request(method: Method, target: &'static str) -> Request {
    Request {
        method,
        target: Cow::Borrowed(target),
        headers: HeaderMap::new(),
        body: Body(Bytes::new()),
    }
}

fn sensitive(value: &[u8]) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A field `Cookie` of these pairs. `None` when a value would end its pair.
fn cookie(pairs: &[(&str, &Secret)]) -> Option<HeaderValue> {
    let mut field = Vec::new();
    for (name, value) in pairs {
        if value.expose().contains(&b';') {
            return None;
        }
        if !field.is_empty() {
            field.extend_from_slice(b"; ");
        }
        field.extend_from_slice(name.as_bytes());
        field.push(b'=');
        field.extend_from_slice(value.expose());
    }
    sensitive(&field)
}

fn rest(method: Method, target: &'static str, session: &Session<'_>) -> Option<Request> {
    let mut request = request(method, target);
    let token = sensitive(session.token.expose())?;
    request.headers.insert(API_SESSION, token);
    Some(request)
}

fn rpc(operation: &'static str, session: &Session<'_>) -> Option<Request> {
    let token = std::str::from_utf8(session.token.expose()).ok()?;
    let security = json!({
        "schemeId": "com.vmware.vapi.std.security.session_id",
        "sessionId": token,
    });
    let call = json!({
        "jsonrpc": "2.0",
        "id": "0",
        "method": "invoke",
        "params": {
            "serviceId": "com.vmware.cis.session",
            "operationId": operation,
            "ctx": {"appCtx": {}, "securityCtx": security},
            "input": {"STRUCTURE": {"operation-input": {}}},
        },
    });
    let mut request = request(Method::POST, "/api");
    let json = HeaderValue::from_static("application/json");
    request.headers.insert(CONTENT_TYPE, json);
    for (name, value) in [
        ("vapi-service", "com.vmware.cis.session"),
        ("vapi-operation", operation),
    ] {
        let name = HeaderName::from_static(name);
        request
            .headers
            .insert(name, HeaderValue::from_static(value));
    }
    request.body = Body(Bytes::from(call.to_string()));
    Some(request)
}

fn soap_request(call: &'static str, session: &Session<'_>) -> Option<Request> {
    let mut request = request(Method::POST, "/sdk");
    let xml = HeaderValue::from_static("text/xml; charset=utf-8");
    request.headers.insert(CONTENT_TYPE, xml);
    // The oldest version that is still of use; later ones answer it alike.
    let action = HeaderValue::from_static("urn:vim25/6.5");
    request.headers.insert(SOAP_ACTION, action);
    let cookie = cookie(&[("vmware_soap_session", session.token)])?;
    request.headers.insert(COOKIE, cookie);
    let body = [
        r#"<?xml version="1.0" encoding="UTF-8"?>"#,
        r#"<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>"#,
        call,
        "</Body></Envelope>",
    ];
    request.body = Body(Bytes::from(body.concat()));
    Some(request)
}

fn nsx(method: Method, target: &'static str, session: &Session<'_>) -> Option<Request> {
    let mut request = request(method, target);
    let cookie = cookie(&NSX_COOKIES.map(|name| (name, session.token)))?;
    request.headers.insert(COOKIE, cookie);
    if let Some(proof) = session.proof {
        request
            .headers
            .insert(XSRF_TOKEN, sensitive(proof.expose())?);
    }
    Some(request)
}

/// As Avi's SDK: the token under both names, the proof as a cookie and as a field.
fn avi(target: &'static str, session: &Session<'_>, origin: &str) -> Option<Request> {
    let mut request = request(Method::POST, target);
    let mut pairs = AVI_COOKIES.map(|name| (name, session.token)).to_vec();
    if let Some(proof) = session.proof {
        pairs.push(("csrftoken", proof));
        request
            .headers
            .insert(CSRF_TOKEN, sensitive(proof.expose())?);
    }
    request.headers.insert(COOKIE, cookie(&pairs)?);
    let origin = HeaderValue::from_str(origin).ok()?;
    request.headers.insert(REFERER, origin);
    Some(request)
}

#[cfg(test)]
#[path = "own_tests.rs"]
mod tests;
