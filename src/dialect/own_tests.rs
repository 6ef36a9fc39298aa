//! Tests of the gate's own requests: written out whole, and read back by the rest of this room.

use super::*;
use crate::dialect::credential::{self, Credential};
use crate::dialect::rpc::Scanner;
use crate::dialect::soap::{Reading, method};

fn session<'a>(
    dialect: Dialect,
    spoken: Spoken,
    token: &'a Secret,
    proof: Option<&'a Secret>,
) -> Session<'a> {
    Session {
        dialect,
        spoken,
        token,
        proof,
    }
}

/// A request as it goes over the wire.
fn written(request: &Request) -> String {
    let mut fields: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
        .collect();
    fields.sort();
    let body = std::str::from_utf8(&request.body.0).unwrap();
    format!(
        "{} {}\n{}\n{body}",
        request.method,
        request.target,
        fields.concat()
    )
}

#[test]
fn rest_sessions() {
    let token = Secret::new(b"abc");
    let new = session(Dialect::Vcenter, Spoken::Api, &token, None);
    let old = session(Dialect::Vcenter, Spoken::Rest, &token, None);
    let field = "vmware-api-session-id: abc\n\n";
    let all = [
        (logout(&new, ""), "DELETE /api/session\n"),
        (whose(&new), "GET /api/session\n"),
        (logout(&old, ""), "DELETE /rest/com/vmware/cis/session\n"),
        (
            whose(&old),
            "POST /rest/com/vmware/cis/session?~action=get\n",
        ),
    ];
    for (request, line) in all {
        assert_eq!(written(&request.unwrap()), format!("{line}{field}"));
    }
}

#[test]
fn json_rpc_sessions() {
    let token = Secret::new(b"a\"bc");
    let session = session(Dialect::Vcenter, Spoken::Rpc, &token, None);
    for (request, operation) in [(logout(&session, ""), "delete"), (whose(&session), "get")] {
        let request = request.unwrap();
        assert_eq!(
            (request.method.as_str(), &*request.target),
            ("POST", "/api")
        );
        assert_eq!(request.headers["vapi-operation"], operation);
        let mut scanner = Scanner::new();
        scanner.feed(&request.body.0).unwrap();
        let known = scanner.finish().unwrap();
        assert_eq!(known.service.as_deref(), Some("com.vmware.cis.session"));
        assert_eq!(known.operation.as_deref(), Some(operation));
        assert_eq!(known.session.as_ref(), Some(&token));
        assert_eq!(known.method.as_deref(), Some("invoke"));
    }
}

#[test]
fn soap_sessions() {
    let token = Secret::new(b"c4d4");
    let session = session(Dialect::Vcenter, Spoken::Soap, &token, None);
    let written = written(&logout(&session, "").unwrap());
    assert_eq!(
        written,
        concat!(
            "POST /sdk\ncontent-type: text/xml; charset=utf-8\ncookie: vmware_soap_session=c4d4\nsoapaction: urn:vim25/6.5\n\n",
            r#"<?xml version="1.0" encoding="UTF-8"?><Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>"#,
            r#"<Logout xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this></Logout></Body></Envelope>"#,
        )
    );
    let whose = whose(&session).unwrap();
    let Reading::Found(method) = method(&whose.body.0) else {
        panic!("no call");
    };
    assert_eq!(method.name, "RetrieveProperties");
    let Credential::Session(found) =
        credential::read(Dialect::Vcenter, Spoken::Soap, &whose.headers)
    else {
        panic!("no session");
    };
    assert_eq!(found.bytes(), token.expose());
}

#[test]
fn nsx_and_avi_sessions() {
    let (token, proof) = (Secret::new(b"abc"), Secret::new(b"xyz"));
    let nsx = session(Dialect::Nsx, Spoken::Plain, &token, Some(&proof));
    assert_eq!(
        written(&logout(&nsx, "").unwrap()),
        "POST /api/session/destroy\ncookie: JSESSIONID=abc\nx-xsrf-token: xyz\n\n"
    );
    assert_eq!(
        written(&whose(&nsx).unwrap()),
        "GET /api/v1/aaa/user-info\ncookie: JSESSIONID=abc\nx-xsrf-token: xyz\n\n"
    );
    let avi = session(Dialect::Avi, Spoken::Plain, &token, Some(&proof));
    assert_eq!(
        written(&logout(&avi, "https://avi.example").unwrap()),
        "POST /logout\ncookie: avi-sessionid=abc; sessionid=abc; csrftoken=xyz\nreferer: https://avi.example\nx-csrftoken: xyz\n\n"
    );
    assert!(whose(&avi).is_none());
    let without = session(Dialect::Avi, Spoken::Plain, &token, None);
    let written = written(&logout(&without, "https://avi.example").unwrap());
    assert!(!written.contains("csrf"), "{written}");
}

#[test]
fn a_token_cannot_write_fields_of_its_own() {
    for token in [&b"a\r\nx: y"[..], b"a;b=c", b"a\0"] {
        let token = Secret::new(token);
        for (dialect, spoken) in [
            (Dialect::Vcenter, Spoken::Soap),
            (Dialect::Nsx, Spoken::Plain),
            (Dialect::Avi, Spoken::Plain),
        ] {
            assert!(logout(&session(dialect, spoken, &token, None), "").is_none());
        }
    }
    let token = Secret::new(b"a\r\nx: y");
    assert!(logout(&session(Dialect::Vcenter, Spoken::Api, &token, None), "").is_none());
}

#[test]
fn no_request_prints_its_token() {
    let (token, proof) = (Secret::new(b"s3cr3t"), Secret::new(b"s3cr3t"));
    for dialect in Dialect::ALL {
        for spoken in [
            Spoken::Api,
            Spoken::Rest,
            Spoken::Rpc,
            Spoken::Soap,
            Spoken::Plain,
        ] {
            let session = session(dialect, spoken, &token, Some(&proof));
            let both = format!(
                "{session:?} {:?} {:?}",
                logout(&session, "https://x"),
                whose(&session)
            );
            assert!(!both.contains("s3cr3t"), "{both}");
        }
    }
}

#[test]
fn answers_say_whose_a_session_is() {
    let vcenter =
        |spoken, status, body: &str| answer(Dialect::Vcenter, spoken, status, body.as_bytes());
    let eve = Whose::User("eve@corp".to_owned());
    let rpc_of = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":"0","result":{result}}}"#);
    assert_eq!(
        vcenter(
            Spoken::Api,
            200,
            r#"{"user":"eve@corp","created_time":"x"}"#
        ),
        eve
    );
    assert_eq!(
        vcenter(Spoken::Rest, 200, r#"{"value":{"user":"eve@corp"}}"#),
        eve
    );
    let info =
        rpc_of(r#"{"output":{"STRUCTURE":{"com.vmware.cis.session.info":{"user":"eve@corp"}}}}"#);
    assert_eq!(vcenter(Spoken::Rpc, 200, &info), eve);
    assert_eq!(
        answer(
            Dialect::Nsx,
            Spoken::Plain,
            200,
            br#"{"user_name":"eve@corp","roles":[]}"#
        ),
        eve
    );
    assert_eq!(vcenter(Spoken::Api, 401, ""), Whose::Gone);
    let gone = rpc_of(
        r#"{"error":{"ERROR":{"com.vmware.vapi.std.errors.unauthenticated":{"messages":[]}}}}"#,
    );
    assert_eq!(vcenter(Spoken::Rpc, 200, &gone), Whose::Gone);
    let nsx = |body: &str| answer(Dialect::Nsx, Spoken::Plain, 403, body.as_bytes());
    let over = r#"{"error_message":"The credentials were incorrect or the account specified has been locked.","error_code":403}"#;
    assert_eq!(nsx(over), Whose::Gone);
    for body in [
        "",
        "<html>Forbidden by the proxy</html>",
        r#"{"httpStatus":"FORBIDDEN","error_code":289,"error_message":"The user does not have permission to do this"}"#,
    ] {
        assert_eq!(nsx(body), Whose::Unknown, "{body}");
    }
    for (status, body) in [
        (404, ""),
        (503, ""),
        (403, ""),
        (200, ""),
        (200, r#"{"user":""}"#),
        (200, r#"{"user":7}"#),
    ] {
        assert_eq!(
            vcenter(Spoken::Api, status, body),
            Whose::Unknown,
            "{status} {body}"
        );
    }
    assert_eq!(vcenter(Spoken::Rpc, 200, &rpc_of("{}")), Whose::Unknown);
}

#[test]
fn soap_answers_say_whose_a_session_is() {
    let soap = |status, inside: &str| {
        let body = format!(
            r#"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{inside}</s:Body></s:Envelope>"#
        );
        answer(Dialect::Vcenter, Spoken::Soap, status, body.as_bytes())
    };
    let fault = |name: &str| {
        format!("<s:Fault><faultcode>x</faultcode><detail><{name}/></detail></s:Fault>")
    };
    let of = |value: &str| {
        format!(
            "<RetrievePropertiesResponse><returnval><obj>SessionManager</obj>{value}</returnval></RetrievePropertiesResponse>"
        )
    };
    let known = of(
        "<propSet><name>currentSession</name><val><key>k</key><userName>eve@corp</userName></val></propSet>",
    );
    assert_eq!(soap(200, &known), Whose::User("eve@corp".to_owned()));
    assert_eq!(soap(200, &of("")), Whose::Gone);
    let missing = |fault: &str| {
        of(&format!(
            r#"<missingSet><path>currentSession</path><fault><fault xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="{fault}"><object type="SessionManager">SessionManager</object></fault></fault></missingSet>"#
        ))
    };
    assert_eq!(soap(200, &missing("NotAuthenticated")), Whose::Gone);
    assert_eq!(soap(200, &missing("NoPermission")), Whose::Unknown);
    let cut = format!("{}<!--", of(""));
    assert_eq!(soap(200, &cut), Whose::Unknown);
    assert_eq!(soap(500, &fault("NotAuthenticatedFault")), Whose::Gone);
    assert_eq!(soap(500, &fault("SystemErrorFault")), Whose::Unknown);
    assert_eq!(soap(503, &known), Whose::Unknown);
    assert_eq!(soap(200, ""), Whose::Unknown);
}

#[test]
fn only_terminate_session_ends_sessions_of_others() {
    let operation = |name| {
        Some(Operation {
            service: None,
            name,
        })
    };
    let json = "/sdk/vim25/8.0.1.0/SessionManager/SessionManager";
    for (name, path, ends) in [
        (Some("Logout"), "/sdk", true),
        (Some("TerminateSession"), "/sdk", false),
        (Some("Logout"), "/x/TerminateSession", true),
        (None, "/api/session", true),
        (None, &format!("{json}/Logout"), true),
        (None, &format!("{json}/TerminateSession"), false),
        (None, &format!("{json}/TerminateSession/"), false),
        (None, "", true),
    ] {
        assert_eq!(
            ends_own(name.and_then(operation), path),
            ends,
            "{name:?} {path}"
        );
    }
}
