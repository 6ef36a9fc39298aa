//! Tests of the scanner: what SDKs send, and what must be refused.

use serde_json::{Value, json};

use super::json::MAX_DEPTH;
use super::*;
use crate::dialect::MAX_TOKEN;

/// As vapi-runtime (Python) sends it.
pub(super) const LOGIN: &str = r#"{"params":{"serviceId":"com.vmware.cis.session","operationId":"create","ctx":{"appCtx":{"opId":"9f3c"},"securityCtx":{"schemeId":"com.vmware.vapi.std.security.user_pass","userName":"administrator@vsphere.local","password":"s3cr3t"}},"input":{"STRUCTURE":{"operation-input":{}}}},"jsonrpc":"2.0","id":"0","method":"invoke"}"#;

pub(super) fn scan(body: &[u8]) -> Result<Known, BadBody> {
    let mut scanner = Scanner::new();
    scanner.feed(body)?;
    scanner.finish()
}

#[track_caller]
fn refused(body: impl AsRef<[u8]>, why: &str) {
    let body = body.as_ref();
    let verdict = scan(body).map(|_| ()).map_err(|bad| bad.0);
    assert_eq!(verdict, Err(why), "{}", String::from_utf8_lossy(body));
}

#[test]
fn a_login_of_the_sdk_is_read() {
    let known = scan(LOGIN.as_bytes()).unwrap();
    assert_eq!(known.method.as_deref(), Some("invoke"));
    assert_eq!(known.id.as_deref(), Some("\"0\""));
    assert_eq!(known.service.as_deref(), Some("com.vmware.cis.session"));
    assert_eq!(known.operation.as_deref(), Some("create"));
    let scheme = "com.vmware.vapi.std.security.user_pass";
    assert_eq!(known.scheme.as_deref(), Some(scheme));
    assert_eq!(
        known.claimed_user().as_deref(),
        Some("administrator@vsphere.local")
    );
    assert_eq!(known.session, None);
}

#[test]
fn a_password_is_never_kept() {
    for password in [r#""s3cr3t""#, r#"{"a":"s3cr3t"}"#, r#"["s3cr3t"]"#] {
        let body = LOGIN.replace(r#""s3cr3t""#, password);
        let known = scan(body.as_bytes()).unwrap();
        assert!(!format!("{known:?}").contains("s3cr3t"));
        assert_eq!(known.operation.as_deref(), Some("create"));
    }
}

#[test]
fn sessions_and_assertions_are_kept_and_not_printed() {
    let call = |security: &Value| {
        let params =
            json!({"serviceId": "s", "operationId": "o", "ctx": {"securityCtx": security}});
        scan(json!({"id": 1, "params": params}).to_string().as_bytes()).unwrap()
    };
    let known = call(&json!({"schemeId": "x", "sessionId": "b00db39f"}));
    assert_eq!(known.session.as_ref().unwrap().expose(), b"b00db39f");
    assert!(!format!("{known:?}").contains("b00db39f"));
    let assertion = r#"<a:Assertion xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion"><a:Subject><a:NameID>eve@corp</a:NameID></a:Subject></a:Assertion>"#;
    let bearer = call(&json!({ "samlToken": assertion }));
    assert_eq!(bearer.claimed_user().as_deref(), Some("eve@corp"));
    let signed = call(
        &json!({"signature": {"samlToken": assertion, "value": "x"}, "timestamp": {"samlToken": 1}}),
    );
    assert_eq!(signed.claimed_user().as_deref(), Some("eve@corp"));
    let oauth = call(&json!({"accessToken": "e30.eyJzdWIiOiJldmUifQ.x"}));
    assert_eq!(oauth.claimed_user().as_deref(), Some("eve"));
    let huge = call(&json!({"samlToken": "x".repeat(70_000), "userName": null}));
    assert_eq!((huge.assertion, huge.user), (None, None));
}

#[test]
fn who_shows_two_credentials_is_nobody() {
    let assertion = r#"<a:Assertion xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion"><a:Subject><a:NameID>eve@corp</a:NameID></a:Subject></a:Assertion>"#;
    for security in [
        json!({"userName": "adam@corp", "samlToken": assertion}),
        json!({"userName": "adam@corp", "accessToken": "e30.eyJzdWIiOiJldmUifQ.x"}),
        json!({"userName": "adam@corp", "sessionId": "b00db39f"}),
        json!({"samlToken": assertion, "accessToken": "e30.eyJzdWIiOiJldmUifQ.x"}),
    ] {
        let params =
            json!({"serviceId": "s", "operationId": "o", "ctx": {"securityCtx": security}});
        let known = scan(json!({"id": 1, "params": params}).to_string().as_bytes()).unwrap();
        assert_eq!(known.claimed_user(), None, "{security}");
    }
}

#[test]
fn it_says_what_it_knows_on_the_way() {
    let mut scanner = Scanner::new();
    let (known, done) = (LOGIN.find("},\"input\"").unwrap(), LOGIN.len());
    for (at, byte) in LOGIN.bytes().enumerate() {
        assert_eq!(scanner.is_enough(), at >= known, "at {at}");
        assert!(!scanner.is_complete());
        scanner.feed(&[byte]).unwrap();
    }
    assert_eq!(scanner.known(), &scan(LOGIN.as_bytes()).unwrap());
    assert!(scanner.is_complete() && done > known);
    scanner.feed(b" \r\n\t").unwrap();
    assert_eq!(scanner.feed(b"x"), Err(BadBody("goes on behind the call")));
    assert_eq!(scanner.feed(b""), Err(BadBody("goes on behind the call")));
    assert_eq!(scanner.finish(), Err(BadBody("goes on behind the call")));
}

#[test]
fn keys_below_other_fields_are_not_the_envelopes() {
    let body = r#"{"x":{"method":"no","params":{"serviceId":"no"}},"params":{"input":{"serviceId":"no","ctx":[{"operationId":"no"}]},"serviceId":"yes","y":[[],{}]},"z":[{"id":"no"}]}"#;
    let known = scan(body.as_bytes()).unwrap();
    let expected = Known {
        service: Some("yes".to_owned()),
        ..Known::default()
    };
    assert_eq!(known, expected);
}

#[test]
fn escaped_keys_are_the_same_keys() {
    let body = r#"{"p\u0061rams":{"service\u0049d":"a\/\"\\\b\f\n\r\t\u00e9\ud83d\ude00","oper\u0061tionId":"é😀"}}"#;
    let known = scan(body.as_bytes()).unwrap();
    assert_eq!(known.service.as_deref(), Some("a/\"\\\u{8}\u{c}\n\r\té😀"));
    assert_eq!(known.operation.as_deref(), Some("é😀"));
    let lone = br#"{"id":"\ud800","params":{"serviceId":"\ud800x\udc00"}}"#;
    assert_eq!(
        scan(lone).unwrap().service.as_deref(),
        Some("\u{FFFD}x\u{FFFD}")
    );
}

#[test]
fn what_is_said_twice_is_refused() {
    let twice = "says one thing twice";
    refused(r#"{"method":"a","method":"a"}"#, twice);
    refused(r#"{"id":1,"i\u0064":1}"#, twice);
    refused(r#"{"params":{},"params":{}}"#, twice);
    refused(
        r#"{"params":{"serviceId":"a","x":{},"serviceId":"b"}}"#,
        twice,
    );
    refused(r#"{"params":{"ctx":null,"ctx":{}}}"#, twice);
    refused(
        r#"{"params":{"ctx":{"securityCtx":{"sessionId":"a","sessionId":"b"}}}}"#,
        twice,
    );
    assert!(scan(br#"{"x":1,"x":2,"params":{"input":{"a":1,"a":2}}}"#).is_ok());
}

#[test]
fn what_is_no_call_is_refused() {
    refused("[]", "is a batch of calls");
    refused("\u{FEFF}{}", "begins with a byte order mark");
    for body in ["1", "\"x\"", "null", "<x/>", "\u{e9}"] {
        refused(body, "is not a JSON object");
    }
    for body in ["", " ", "{", r#"{"a""#, r#"{"a":1"#, r#"{"a":"x"#] {
        refused(body, "ends in the middle of the call");
    }
    for body in ["{}x", "{}{}", "{},"] {
        refused(body, "goes on behind the call");
    }
    for body in [
        "{a:1}",
        "{'a':1}",
        r#"{"a":1,}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":[1}"#,
        r#"{"a":{]"#,
        "{]",
        r#"{"a" 1}"#,
        r#"{"a":01}"#,
        r#"{"a":1.}"#,
        r#"{"a":.5}"#,
        r#"{"a":+1}"#,
        r#"{"a":1e}"#,
        r#"{"a":-}"#,
        r#"{"a":0x1}"#,
        r#"{"a":nul}"#,
        r#"{"a":True}"#,
        r#"{"a":truee}"#,
        r#"{"a":NaN}"#,
        r#"{"a":/**/1}"#,
        r#"{,}"#,
        "{\u{a0}}",
    ] {
        refused(body, "is not JSON");
    }
    refused("{\"a\":\"\n\"}", "has a control character in a string");
    refused(r#"{"a":"\x"}"#, "has a broken escape");
    refused(r#"{"a":"\u12g4"}"#, "has a broken escape");
    let broken: [&[u8]; 7] = [
        b"\xff",
        b"\xc3\"",
        b"\xc0\xaf",
        b"\xe0\x80\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\x80",
    ];
    for bytes in broken {
        refused([b"{\"a\":\"", bytes, b"\"}"].concat(), "is not UTF-8");
    }
}

#[test]
fn values_of_other_kinds_are_refused() {
    refused(r#"{"method":1}"#, "has a method that is no short string");
    refused(r#"{"method":null}"#, "has a method that is no short string");
    refused(
        r#"{"id":{}}"#,
        "has an id that is no short string or number",
    );
    refused(
        r#"{"id":true}"#,
        "has an id that is no short string or number",
    );
    refused(r#"{"params":[]}"#, "has params that are no object");
    refused(r#"{"params":"x"}"#, "has params that are no object");
    refused(
        r#"{"params":{"serviceId":{"a":1}}}"#,
        "has a params.serviceId that is no short string",
    );
    refused(
        r#"{"params":{"ctx":7}}"#,
        "has a params.ctx that is no object",
    );
    let long = format!(r#"{{"params":{{"operationId":"{}"}}}}"#, "x".repeat(257));
    refused(long, "has a params.operationId that is no short string");
    let token = "x".repeat(MAX_TOKEN + 1);
    let long = format!(r#"{{"params":{{"ctx":{{"securityCtx":{{"sessionId":"{token}"}}}}}}}}"#);
    refused(long, "has a sessionId that is no short string");
    for id in ["null", "-1.5e+9", "0", r#""a\u0062""#] {
        let known = scan(format!(r#"{{"id": {id} }}"#).as_bytes()).unwrap();
        assert_eq!(known.id.as_deref(), Some(id));
    }
}

#[test]
fn nesting_has_a_bound() {
    let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(scan(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
    refused(nested(MAX_DEPTH), "is nested too deeply");
}
