//! Tests of logins, over answers as the vendors document them and vCenter's simulator gives them.

use http::HeaderValue;

use super::*;

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let fields = fields.iter().map(|(name, value)| {
        let value = HeaderValue::from_str(value).unwrap();
        (HeaderName::from_static(name), value)
    });
    fields.collect()
}

fn answered(
    (dialect, spoken): (Dialect, Spoken),
    status: u16,
    headers: &HeaderMap,
    body: &str,
) -> Outcome {
    let answer = Answer {
        status,
        headers,
        body: body.as_bytes(),
        shown: None,
    };
    outcome(dialect, spoken, &answer)
}

fn vcenter(spoken: Spoken, status: u16, fields: &[(&'static str, &str)], body: &str) -> Outcome {
    answered((Dialect::Vcenter, spoken), status, &headers(fields), body)
}

#[track_caller]
fn opens(outcome: &Outcome, kind: SessionKind, token: &str, user: Option<&str>) {
    let Outcome::Opened(opened) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(opened.kind, kind);
    assert_eq!(opened.token.expose(), token.as_bytes());
    assert_eq!(opened.user.as_deref(), user);
}

const SOAP_LOGIN: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><LoginResponse xmlns="urn:vim25"><returnval><key>c4d4</key><userName>VSPHERE.LOCAL\eve</userName><fullName>Eve</fullName></returnval></LoginResponse></soapenv:Body></soapenv:Envelope>"#;

const SOAP_FAULT: &str = r#"<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>Login failure</faultstring><detail><Fault xmlns="urn:vim25"/></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>"#;

#[test]
fn rest_logins_open_sessions() {
    let new = vcenter(Spoken::Api, 201, &[], r#""b00db39f""#);
    opens(&new, SessionKind::Rest, "b00db39f", None);
    let old = vcenter(Spoken::Rest, 200, &[], r#"{"value":"b00db39f"}"#);
    opens(&old, SessionKind::Rest, "b00db39f", None);
    let header = vcenter(
        Spoken::Api,
        201,
        &[("vmware-api-session-id", "abc")],
        "\u{1f}",
    );
    opens(&header, SessionKind::Rest, "abc", None);
    let cookie = vcenter(
        Spoken::Rest,
        200,
        &[(
            "set-cookie",
            "vmware-api-session-id=abc;Path=/rest;Secure;HttpOnly",
        )],
        "",
    );
    opens(&cookie, SessionKind::Rest, "abc", None);
}

#[test]
fn a_json_rpc_login_says_in_its_body_how_it_went() {
    let rpc = |body| vcenter(Spoken::Rpc, 200, &[], body);
    let opened = rpc(r#"{"jsonrpc":"2.0","id":"0","result":{"output":{"SECRET":"b00db39f"}}}"#);
    opens(&opened, SessionKind::Rest, "b00db39f", None);
    for refused in [
        r#"{"jsonrpc":"2.0","id":"0","result":{"error":{"ERROR":{"com.vmware.vapi.std.errors.unauthenticated":{}}}}}"#,
        r#"{"jsonrpc":"2.0","id":"0","error":{"code":-32600,"message":"x"}}"#,
    ] {
        assert_eq!(rpc(refused), Outcome::Refused);
    }
    for unknown in [
        "",
        "{}",
        r#"{"result":{"output":{"SECRET":""}}}"#,
        r#"{"result":{"output":7}}"#,
    ] {
        assert_eq!(rpc(unknown), Outcome::Unknown, "{unknown}");
    }
}

#[test]
fn a_soap_login_gives_its_token_as_a_cookie() {
    let cookie = (
        "set-cookie",
        "vmware_soap_session=\"c4d4\"; Path=/; HttpOnly; Secure;",
    );
    let opened = vcenter(Spoken::Soap, 200, &[cookie], SOAP_LOGIN);
    opens(
        &opened,
        SessionKind::Soap,
        "c4d4",
        Some(r"VSPHERE.LOCAL\eve"),
    );
    let compressed = vcenter(Spoken::Soap, 200, &[cookie], "\u{1f}");
    opens(&compressed, SessionKind::Soap, "c4d4", None);
    let json = vcenter(
        Spoken::Soap,
        200,
        &[("vmware-api-session-id", "abc")],
        r#"{"_typeName":"UserSession","userName":"eve"}"#,
    );
    opens(&json, SessionKind::Soap, "abc", Some("eve"));
    assert_eq!(
        vcenter(Spoken::Soap, 200, &[], SOAP_LOGIN),
        Outcome::Unknown
    );
    assert_eq!(
        vcenter(Spoken::Soap, 200, &[cookie], SOAP_FAULT),
        Outcome::Refused
    );
    assert_eq!(
        vcenter(Spoken::Soap, 500, &[], SOAP_FAULT),
        Outcome::Refused
    );
}

#[test]
fn nsx_and_avi_give_a_cookie_and_a_proof() {
    let fields = headers(&[
        (
            "set-cookie",
            "JSESSIONID=5702; Path=/; Secure; HttpOnly; SameSite=Lax",
        ),
        ("x-xsrf-token", "8bf0"),
    ]);
    let Outcome::Opened(nsx) = answered((Dialect::Nsx, Spoken::Plain), 200, &fields, "") else {
        panic!("not opened");
    };
    assert_eq!(nsx.token.expose(), b"5702");
    assert_eq!(nsx.proof.unwrap().expose(), b"8bf0");
    let fields = headers(&[
        ("set-cookie", "csrftoken=HF48; Path=/; Secure"),
        ("set-cookie", "sessionid=old; Path=/"),
        ("set-cookie", "avi-sessionid=fdsh; Path=/"),
    ]);
    for (body, token) in [
        ("{}", "fdsh"),
        ("", "fdsh"),
        (r#"{"session_cookie_name":"sessionid"}"#, "old"),
        (r#"{"session_cookie_name":"csrftoken"}"#, "fdsh"),
    ] {
        let outcome = answered((Dialect::Avi, Spoken::Plain), 200, &fields, body);
        opens(&outcome, SessionKind::Rest, token, None);
        let Outcome::Opened(avi) = outcome else {
            panic!("not opened");
        };
        assert_eq!(avi.proof.unwrap().expose(), b"HF48");
    }
}

#[test]
fn a_login_that_was_refused_opens_nothing() {
    for status in [400, 401, 403, 429, 500, 503] {
        let outcome = vcenter(Spoken::Api, status, &[], r#""b00db39f""#);
        assert_eq!(outcome, Outcome::Refused, "{status}");
    }
    for status in [302, 502, 504] {
        assert_eq!(
            vcenter(Spoken::Api, status, &[], ""),
            Outcome::Unknown,
            "{status}"
        );
    }
    for body in ["", "{}", "\"\"", "7"] {
        assert_eq!(
            vcenter(Spoken::Api, 201, &[], body),
            Outcome::Unknown,
            "{body}"
        );
    }
    let long = format!("\"{}\"", "x".repeat(MAX_TOKEN + 1));
    assert_eq!(vcenter(Spoken::Api, 201, &[], &long), Outcome::Unknown);
    let fields = headers(&[("set-cookie", "JSESSIONID=5702")]);
    let skytap = answered((Dialect::Skytap, Spoken::Plain), 200, &fields, "");
    assert_eq!(skytap, Outcome::Unknown);
}

#[test]
fn no_token_is_printed() {
    let opened = vcenter(Spoken::Api, 201, &[], r#""s3cr3t""#);
    assert!(!format!("{opened:?}").contains("s3cr3t"));
}

#[test]
fn the_body_of_a_login_names_its_user() {
    let user = |dialect, content_type, body: &str| {
        let headers = headers(&[("content-type", content_type)]);
        claimed_user(dialect, &headers, body.as_bytes())
    };
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    let (nsx, avi) = (Dialect::Nsx, Dialect::Avi);
    assert_eq!(
        user(nsx, form, "j_username=admin%40corp&j_password=x").as_deref(),
        Some("admin@corp")
    );
    assert_eq!(
        user(nsx, form, "j_password=%26j_username%3Deve&j%5Fusername=a+b").as_deref(),
        Some("a b")
    );
    assert_eq!(
        user(
            avi,
            "Application/JSON",
            r#"{"password":"x","username":"eve"}"#
        )
        .as_deref(),
        Some("eve")
    );
    assert_eq!(
        user(avi, form, "username=eve&password=x").as_deref(),
        Some("eve")
    );
    for (dialect, content_type, body) in [
        (nsx, form, "j_username=a&j_username=b"),
        (nsx, form, "username=a"),
        (nsx, form, "j_username=%ff"),
        (nsx, "multipart/form-data; boundary=x", "j_username=a"),
        (
            avi,
            "application/json",
            r#"{"username":"a","username":"b"}"#,
        ),
        (avi, "application/json", "username=a"),
        (Dialect::Vcenter, form, "username=a"),
    ] {
        assert_eq!(user(dialect, content_type, body), None, "{body}");
    }
    let long = format!("username=a&x={}", "x".repeat(70_000));
    assert_eq!(user(avi, form, &long), None);
}

#[test]
fn a_soap_login_that_is_given_no_cookie_goes_on_in_the_session_it_was_sent_in() {
    let [none, given] = [&[][..], &[("set-cookie", "vmware_soap_session=new")]].map(headers);
    let outcome = |headers, body: &str| {
        let answer = Answer {
            status: 200,
            headers,
            body: body.as_bytes(),
            shown: Some(b"old"),
        };
        outcome(Dialect::Vcenter, Spoken::Soap, &answer)
    };
    let eve = Some("VSPHERE.LOCAL\\eve");
    opens(&outcome(&none, SOAP_LOGIN), SessionKind::Soap, "old", eve);
    opens(&outcome(&given, SOAP_LOGIN), SessionKind::Soap, "new", eve);
    assert_eq!(outcome(&none, SOAP_FAULT), Outcome::Refused);
    for no_reply in [
        "",
        "<html>welcome</html>",
        &SOAP_LOGIN[..SOAP_LOGIN.len() - 30],
    ] {
        assert_eq!(outcome(&none, no_reply), Outcome::Unknown, "{no_reply}");
    }
}
