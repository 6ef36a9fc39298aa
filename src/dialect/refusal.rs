//! A refusal in the words of the API that was spoken, so that a client shows it instead of stumbling over it.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use quick_xml::escape::escape;
use serde::Serialize;
use serde::de::IgnoredAny;

use crate::call::{Dialect, Spoken};

/// What is said of a refusal.
#[derive(Debug, Clone, Copy)]
pub struct Refused<'a> {
    /// The limit, by its name in the configuration.
    pub limit: &'a str,
    /// 429 or 503, as the limit says.
    pub status: u16,
    /// Names the limit, what is in use, the ceiling, and when to come back.
    pub message: &'a str,
    /// The user it is counted for, if it is.
    pub user: Option<&'a str>,
    /// The limit and window of a rate; `None` for what is held.
    pub rate: Option<(u64, Duration)>,
    /// The `id` of a JSON-RPC call, as raw JSON.
    pub rpc_id: Option<&'a str>,
}

/// The statuses of the forms that carry their errors inside (`refusal = { rpc = 200, soap = 500 }`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statuses {
    /// Of JSON-RPC. At 200 VMware's SDK raises its typed error; at 503 a bare HTTP one.
    pub rpc: u16,
    /// Of SOAP. pyvmomi and govmomi read a fault from 200 and 500 only.
    pub soap: u16,
}

impl Default for Statuses {
    fn default() -> Self {
        Self {
            rpc: 200,
            soap: 500,
        }
    }
}

/// A refusal, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worded {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

/// The refusal in words of `dialect`, in the form of it that was `spoken`. `None` where the dialect
/// has none of its own: then a problem (RFC 9457) is what to answer.
#[must_use]
pub fn words(
    dialect: Dialect,
    spoken: Spoken,
    refused: &Refused<'_>,
    statuses: Statuses,
) -> Option<Worded> {
    match (dialect, spoken) {
        (Dialect::Vcenter, Spoken::Api) => Some(api(refused)),
        (Dialect::Vcenter, Spoken::Rest) => Some(rest(refused)),
        (Dialect::Vcenter, Spoken::Rpc) => Some(rpc(refused, statuses.rpc)),
        (Dialect::Vcenter, Spoken::Soap) => Some(soap(refused, statuses.soap)),
        (Dialect::Nsx, _) => Some(nsx(refused)),
        (Dialect::NsxV, _) => Some(nsx_v(refused)),
        (Dialect::Avi, _) => Some(plain_error(refused, refused.status)),
        (Dialect::Skytap, _) => {
            // 423 is Skytap's word for a busy resource, 429 its word for the rate.
            let status = if refused.rate.is_some() { 429 } else { 423 };
            Some(plain_error(refused, status))
        }
        (Dialect::Vcenter, Spoken::Plain) | (Dialect::Generic, _) => None,
    }
}

/// That the upstream cannot be reached, likewise.
#[must_use]
pub fn unavailable(
    dialect: Dialect,
    spoken: Spoken,
    message: &str,
    rpc_id: Option<&str>,
    statuses: Statuses,
) -> Option<Worded> {
    let refused = Refused {
        limit: "upstream_down",
        status: 503,
        message,
        user: None,
        rate: None,
        rpc_id,
    };
    match dialect {
        // It has no word of its own for this; 423 would say that the resource is busy.
        Dialect::Skytap => Some(plain_error(&refused, refused.status)),
        _ => words(dialect, spoken, &refused, statuses),
    }
}

/// A localizable message of vAPI.
#[derive(Serialize)]
struct Localizable<'a> {
    id: String,
    default_message: &'a str,
    args: [&'a str; 0],
}

impl<'a> Localizable<'a> {
    fn of(refused: &Refused<'a>) -> Self {
        Self {
            id: format!("tidegate.{}", refused.limit),
            default_message: refused.message,
            args: [],
        }
    }
}

#[derive(Serialize)]
struct Unavailable<'a> {
    error_type: &'static str,
    messages: [Localizable<'a>; 1],
}

impl<'a> Unavailable<'a> {
    fn of(refused: &Refused<'a>) -> Self {
        Self {
            error_type: "SERVICE_UNAVAILABLE",
            messages: [Localizable::of(refused)],
        }
    }
}

/// vAPI under `/api`.
fn api(refused: &Refused<'_>) -> Worded {
    json(refused.status, &Unavailable::of(refused))
}

/// vAPI under `/rest`: the same in an envelope with its type.
fn rest(refused: &Refused<'_>) -> Worded {
    #[derive(Serialize)]
    struct Error<'a> {
        r#type: &'static str,
        value: Unavailable<'a>,
    }
    let error = Error {
        r#type: "com.vmware.vapi.std.errors.service_unavailable",
        value: Unavailable::of(refused),
    };
    json(refused.status, &error)
}

/// JSON-RPC: a result that is an error of vAPI's type system.
fn rpc(refused: &Refused<'_>, status: u16) -> Worded {
    let message = Localizable::of(refused);
    let message = serde_json::to_string(&message).unwrap_or_default();
    let id = refused.rpc_id.filter(|id| is_rpc_id(id)).unwrap_or("null");
    let body = format!(
        concat!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"error":{{"ERROR":{{"#,
            r#""com.vmware.vapi.std.errors.service_unavailable":{{"messages":[{{"STRUCTURE":{{"#,
            r#""com.vmware.vapi.std.localizable_message":{message}}}}}],"#,
            r#""data":{{"OPTIONAL":null}}}}}}}}}}}}"#,
        ),
        id = id,
        message = message,
    );
    Worded {
        status,
        content_type: "application/json",
        body: Bytes::from(body),
    }
}

/// Whether `id` is what JSON-RPC allows: a string, a number or null. It stands in the answer as it came.
fn is_rpc_id(id: &str) -> bool {
    let starts_as_one = id
        .bytes()
        .next()
        .is_some_and(|first| matches!(first, b'"' | b'-' | b'0'..=b'9'))
        || id == "null";
    starts_as_one && serde_json::from_str::<IgnoredAny>(id).is_ok()
}

/// A SOAP 1.1 fault, as vim25 words one that has no type of its own.
fn soap(refused: &Refused<'_>, status: u16) -> Worded {
    let message = xml_text(refused.message);
    let body = format!(
        concat!(
            r#"<?xml version="1.0" encoding="UTF-8"?>"#,
            "\n",
            r#"<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" "#,
            r#"xmlns:xsd="http://www.w3.org/2001/XMLSchema" "#,
            r#"xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">"#,
            "<soapenv:Body><soapenv:Fault><faultcode>ServerFaultCode</faultcode>",
            "<faultstring>{message}</faultstring><detail>",
            r#"<SystemErrorFault xmlns="urn:vim25" xsi:type="SystemError">"#,
            "<reason>{message}</reason></SystemErrorFault></detail>",
            "</soapenv:Fault></soapenv:Body></soapenv:Envelope>",
        ),
        message = message,
    );
    Worded {
        status,
        content_type: "text/xml; charset=utf-8",
        body: Bytes::from(body),
    }
}

/// NSX's own error, in its own words for a rate (`error_code` 102, whatever the limit).
fn nsx(refused: &Refused<'_>) -> Worded {
    #[derive(Serialize)]
    struct Overload<'a> {
        module_name: &'static str,
        error_message: Cow<'a, str>,
        error_code: &'static str,
    }
    let error_message = match refused.rate {
        Some((limit, window)) => Cow::Owned(format!(
            "Client{} exceeded request rate of {limit} per {}; {}",
            quoted(refused.user),
            period(window),
            refused.message
        )),
        None => Cow::Borrowed(refused.message),
    };
    let error = Overload {
        module_name: "common-services",
        error_message,
        error_code: "102",
    };
    json(refused.status, &error)
}

fn quoted(user: Option<&str>) -> String {
    user.map_or_else(String::new, |user| format!(" '{user}'"))
}

fn period(window: Duration) -> String {
    if window == Duration::from_secs(1) {
        "second".to_owned()
    } else {
        format!("{} seconds", window.as_secs_f64())
    }
}

/// NSX for vSphere: its error has a number, for which the status stands.
fn nsx_v(refused: &Refused<'_>) -> Worded {
    let body = format!(
        concat!(
            r#"<?xml version="1.0" encoding="UTF-8"?>"#,
            "\n<error><details>{}</details><errorCode>{}</errorCode></error>",
        ),
        xml_text(refused.message),
        refused.status
    );
    Worded {
        status: refused.status,
        content_type: "application/xml",
        body: Bytes::from(body),
    }
}

/// Avi and Skytap: one field.
fn plain_error(refused: &Refused<'_>, status: u16) -> Worded {
    #[derive(Serialize)]
    struct Error<'a> {
        error: &'a str,
    }
    json(
        status,
        &Error {
            error: refused.message,
        },
    )
}

fn json(status: u16, body: &impl Serialize) -> Worded {
    // Strings only: there is nothing in it that could fail to serialize.
    let body = serde_json::to_vec(body).unwrap_or_default();
    Worded {
        status,
        content_type: "application/json",
        body: Bytes::from(body),
    }
}

/// `text` as XML text. Characters that XML 1.0 has no way to write become U+FFFD.
fn xml_text(text: &str) -> String {
    let legal = |c: char| !matches!(c, '\0'..='\x08' | '\x0B' | '\x0C' | '\x0E'..='\x1F' | '\u{FFFE}' | '\u{FFFF}');
    let text: String = text
        .chars()
        .map(|c| {
            if legal(c) {
                c
            } else {
                char::REPLACEMENT_CHARACTER
            }
        })
        .collect();
    escape(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<'a>(message: &'a str, rpc_id: Option<&'a str>) -> Refused<'a> {
        Refused {
            limit: "sessions",
            status: 503,
            message,
            user: None,
            rate: None,
            rpc_id,
        }
    }

    fn body(dialect: Dialect, spoken: Spoken, refused: &Refused<'_>) -> String {
        let worded = words(dialect, spoken, refused, Statuses::default()).unwrap();
        String::from_utf8(worded.body.to_vec()).unwrap()
    }

    #[test]
    fn an_id_stands_as_it_came_or_is_null() {
        let ids = ["\"a\\u0062\"", "7", "-1.5e3", "1e999", "null"];
        let not_ids = ["[1]", "{}", "true", "7,\"x\":1", "\"", "", " 7", "nullx"];
        let expected = ids.iter().map(|id| (*id, *id));
        for (id, said) in expected.chain(not_ids.iter().map(|id| (*id, "null"))) {
            let body = body(Dialect::Vcenter, Spoken::Rpc, &refused("full", Some(id)));
            let start = format!(r#"{{"jsonrpc":"2.0","id":{said},"result":"#);
            assert!(body.starts_with(&start), "{id}: {body}");
        }
    }

    #[test]
    fn what_is_said_is_escaped() {
        let message = "a \"quoted\" <tag> & 'x' ]]> \\ \u{1}\n end";
        let refused = refused(message, None);
        for spoken in [Spoken::Api, Spoken::Rest, Spoken::Rpc] {
            let body = body(Dialect::Vcenter, spoken, &refused);
            let parsed: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert!(
                parsed
                    .to_string()
                    .contains(r"<tag> & 'x' ]]> \\ \u0001\n end")
            );
        }
        for (dialect, spoken) in [
            (Dialect::Vcenter, Spoken::Soap),
            (Dialect::NsxV, Spoken::Plain),
        ] {
            let body = body(dialect, spoken, &refused);
            let escaped = "&lt;tag&gt; &amp; &apos;x&apos; ]]&gt; \\ \u{FFFD}\n end";
            assert!(body.contains(escaped), "{body}");
        }
    }

    #[test]
    fn statuses_are_those_asked_for() {
        let statuses = Statuses {
            rpc: 503,
            soap: 200,
        };
        let refused = refused("full", None);
        let status = |spoken| words(Dialect::Vcenter, spoken, &refused, statuses).map(|w| w.status);
        assert_eq!(status(Spoken::Rpc), Some(503));
        assert_eq!(status(Spoken::Soap), Some(200));
        assert_eq!(status(Spoken::Api), Some(503));
        assert_eq!(status(Spoken::Plain), None);
    }
}
