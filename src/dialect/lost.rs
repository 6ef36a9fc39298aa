//! That a call has no answer, in the words of the API that was spoken: the answer was lost, came too late, or never will be.

use bytes::Bytes;
use serde_json::{Value, json};

use super::refusal::{self, Refused, Statuses, Worded};
use crate::call::{Dialect, Spoken};

/// What is said, with this status. `None` where the dialect has no words of its own.
#[must_use]
pub fn words(dialect: Dialect, spoken: Spoken, status: u16, message: &str) -> Option<Worded> {
    let kind = kind(status);
    let error = || {
        let message = json!({"id": "tidegate.task", "default_message": message, "args": []});
        json!({"error_type": kind, "messages": [message]})
    };
    match (dialect, spoken) {
        (Dialect::Vcenter, Spoken::Api) => Some(worded(status, &error())),
        (Dialect::Vcenter, Spoken::Rest) => {
            let kind = format!("com.vmware.vapi.std.errors.{}", kind.to_lowercase());
            let wrapped = json!({"type": kind, "value": error()});
            Some(worded(status, &wrapped))
        }
        // Skytap's word for what is full would say that the resource is busy.
        (Dialect::Avi | Dialect::Skytap, _) => Some(worded(status, &json!({"error": message}))),
        (Dialect::NsxV | Dialect::Nsx, _) => {
            let refused = Refused {
                limit: "task",
                status,
                message,
                user: None,
                rate: None,
                rpc_id: None,
            };
            refusal::words(dialect, spoken, &refused, Statuses::default())
        }
        (Dialect::Vcenter | Dialect::Generic, _) => None,
    }
}

/// vAPI's word for it.
const fn kind(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        409 => "CANCELED",
        503 => "SERVICE_UNAVAILABLE",
        // "May or may not complete after": the word for what nobody knows the end of.
        504 => "TIMED_OUT",
        _ => "ERROR",
    }
}

fn worded(status: u16, body: &Value) -> Worded {
    Worded {
        status,
        content_type: "application/json",
        body: Bytes::from(body.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(dialect: Dialect, spoken: Spoken, status: u16) -> (u16, String) {
        let worded = words(dialect, spoken, status, "a \"lost\" answer").unwrap();
        (
            worded.status,
            String::from_utf8(worded.body.to_vec()).unwrap(),
        )
    }

    #[test]
    fn each_api_has_its_words() {
        let (status, body) = said(Dialect::Vcenter, Spoken::Api, 504);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["error_type"]), (504, &json!("TIMED_OUT")));
        assert_eq!(body["messages"][0]["default_message"], "a \"lost\" answer");
        let (_, body) = said(Dialect::Vcenter, Spoken::Rest, 502);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["type"], "com.vmware.vapi.std.errors.error");
        assert_eq!(body["value"]["error_type"], "ERROR");
        let (status, body) = said(Dialect::NsxV, Spoken::Plain, 502);
        let text =
            "<error><details>a &quot;lost&quot; answer</details><errorCode>502</errorCode></error>";
        assert!(status == 502 && body.ends_with(text), "{body}");
        let skytap = said(Dialect::Skytap, Spoken::Plain, 502);
        assert_eq!(skytap, (502, r#"{"error":"a \"lost\" answer"}"#.to_owned()));
        assert_eq!(words(Dialect::Generic, Spoken::Plain, 502, "x"), None);
    }
}
