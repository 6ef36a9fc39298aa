//! Tests of SOAP, over bodies as govc and pyvmomi send them and as vCenter's simulator answers.

use proptest::prelude::*;

use super::answer::Answer;
use super::*;

const GOVC_LOGIN: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><Login xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this><userName>user</userName><password>s3cr3t</password><locale>en_US</locale></Login></Body></Envelope>"#;

const PYVMOMI_LOGIN: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema">
<soapenv:Body><Login xmlns="urn:vim25"><_this versionId="6.5" type="SessionManager">SessionManager</_this><userName versionId="6.5">u&lt;&amp;&gt;&#x78;</userName><password versionId="6.5">p"w</password></Login></soapenv:Body>
</soapenv:Envelope>"#;

const GOVC_FETCH: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><RetrieveServiceContent xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this></RetrieveServiceContent></Body></Envelope>"#;

const BY_TOKEN: &str = r#"<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Header><wsse:Security xmlns:wsse="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"><saml2:Assertion xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion"><saml2:Subject><saml2:NameID>eve@corp</saml2:NameID></saml2:Subject></saml2:Assertion></wsse:Security></soap:Header><soap:Body><LoginByToken xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this></LoginByToken></soap:Body></soap:Envelope>"#;

fn found(name: &str, user: Option<&str>) -> Reading {
    Reading::Found(Method {
        name: name.to_owned(),
        namespace: "urn:vim25".to_owned(),
        user: user.map(str::to_owned),
    })
}

fn wrapped(body: &str) -> String {
    format!(
        r#"<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:v="urn:vim25">{body}</e:Envelope>"#
    )
}

#[test]
fn real_calls_are_read() {
    assert_eq!(method(GOVC_LOGIN.as_bytes()), found("Login", Some("user")));
    assert_eq!(
        method(PYVMOMI_LOGIN.as_bytes()),
        found("Login", Some("u<&>x"))
    );
    assert_eq!(
        method(GOVC_FETCH.as_bytes()),
        found("RetrieveServiceContent", None)
    );
    assert_eq!(
        method(BY_TOKEN.as_bytes()),
        found("LoginByToken", Some("eve@corp"))
    );
    let newer = GOVC_LOGIN.replace(
        "http://schemas.xmlsoap.org/soap/envelope/",
        "http://www.w3.org/2003/05/soap-envelope",
    );
    assert_eq!(method(newer.as_bytes()), found("Login", Some("user")));
    let marked = format!("\u{FEFF}{GOVC_FETCH}");
    assert_eq!(
        method(marked.as_bytes()),
        found("RetrieveServiceContent", None)
    );
}

#[test]
fn every_beginning_asks_for_more_until_it_is_enough() {
    for body in [GOVC_LOGIN, PYVMOMI_LOGIN, GOVC_FETCH, BY_TOKEN] {
        let body = body.replacen("<Body>", "<Body><!-- é --><![CDATA[ ]]>&#32;", 1);
        let whole = method(body.as_bytes());
        assert!(matches!(whole, Reading::Found(_)), "{whole:?}");
        let mut asked = 0;
        for end in 0..body.len() {
            match method(&body.as_bytes()[..end]) {
                Reading::More => asked += 1,
                reading => assert_eq!(reading, whole, "at {end} of {body}"),
            }
        }
        assert!(asked > 100);
    }
}

#[test]
fn any_prefix_and_form_means_the_same() {
    let forms = [
        "<e:Body><v:PowerOnVM_Task/></e:Body>",
        "<e:Header/><e:Body>\n<!-- x --><v:PowerOnVM_Task><x/></v:PowerOnVM_Task></e:Body>",
        "<e:Header><e:Body><v:Fake/></e:Body></e:Header><e:Body><v:PowerOnVM_Task/></e:Body>",
        r#"<e:Body><PowerOnVM_Task xmlns="urn:vim25"/></e:Body>"#,
        r#"<e:Body><v:PowerOnVM_Task xmlns:v='urn:vim25' a="1 > 0"/></e:Body>"#,
    ];
    for form in forms {
        let reading = method(wrapped(form).as_bytes());
        assert_eq!(reading, found("PowerOnVM_Task", None), "{form}");
    }
    let other = r#"<e:Body><v:X xmlns:v="urn:pbm"/></e:Body>"#;
    assert!(
        matches!(method(wrapped(other).as_bytes()), Reading::Found(m) if m.namespace == "urn:pbm")
    );
}

#[test]
fn the_user_of_a_login_is_read_whole_and_alone() {
    let login = |inside: &str| {
        let body = wrapped(&format!("<e:Body><v:Login>{inside}</v:Login></e:Body>"));
        method(body.as_bytes())
    };
    assert_eq!(
        login("<userName>a<![CDATA[<b]]>&amp;c</userName>"),
        found("Login", Some("a<b&c"))
    );
    assert_eq!(
        login("<v:userName> eve </v:userName>"),
        found("Login", Some("eve"))
    );
    assert_eq!(login("<password>x</password>"), found("Login", None));
    assert_eq!(
        login("<x><userName>no</userName></x>"),
        found("Login", None)
    );
    let long = format!("<userName>{}</userName>", "u".repeat(2000));
    assert_eq!(login(&long), found("Login", None));
    let twice = "<userName>a</userName><userName>b</userName>";
    assert_eq!(login(twice), Reading::Bad("names two users"));
    let extension = "<e:Body><v:LoginExtensionByCertificate><extensionKey>com.x</extensionKey></v:LoginExtensionByCertificate></e:Body>";
    let reading = method(wrapped(extension).as_bytes());
    assert_eq!(reading, found("LoginExtensionByCertificate", Some("com.x")));
}

#[test]
fn a_password_is_not_kept() {
    let reading = method(GOVC_LOGIN.as_bytes());
    assert!(!format!("{reading:?}").contains("s3cr3t"));
}

#[test]
fn what_is_no_plain_soap_call_is_bad() {
    let deep = format!("<e:Header>{}", "<x>".repeat(70));
    let cases = [
        (
            "<!DOCTYPE x [<!ENTITY a 'b'>]><x/>".to_owned(),
            "has a document type",
        ),
        ("<!DOCTYPE x [<!ENTITY a".to_owned(), "has a document type"),
        (
            "<Envelope><Body/></Envelope>".to_owned(),
            "is no SOAP 1.1 or 1.2 envelope",
        ),
        (
            r#"<Envelope xmlns="urn:x">"#.to_owned(),
            "is no SOAP 1.1 or 1.2 envelope",
        ),
        (wrapped("<v:Body/>"), "has a foreign part in its envelope"),
        (wrapped("<e:Other/>"), "has an unknown part in its envelope"),
        (wrapped("<e:Header/><e:Header/>"), "has two SOAP Headers"),
        (
            wrapped("<e:Body/><e:Body><v:X/></e:Body>"),
            "has an empty SOAP Body",
        ),
        (wrapped("<e:Body>text</e:Body>"), "has an empty SOAP Body"),
        (wrapped(""), "has no SOAP Body"),
        (
            wrapped("<e:Header>&xxe;</e:Header>"),
            "has an unknown entity",
        ),
        (
            wrapped("<e:Body><w:X/></e:Body>"),
            "has a prefix without a namespace",
        ),
        (
            wrapped(r#"<e:Body><X xmlns="urn:vim&#50;5"/></e:Body>"#),
            "has a reference in a namespace",
        ),
        (wrapped("<e:Header></e:Body>"), "is not XML"),
        (wrapped("<!x>"), "is not XML"),
        (wrapped(&deep), "is nested too deeply"),
        (
            r#"<?xml version="1.0" encoding="UTF-16"?><x/>"#.to_owned(),
            "is not UTF-8",
        ),
        ("{\"jsonrpc\":1}<x/>".to_owned(), "is not XML"),
    ];
    for (body, why) in cases {
        assert_eq!(method(body.as_bytes()), Reading::Bad(why), "{body}");
    }
    let utf_16: Vec<u8> = GOVC_LOGIN
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(method(&utf_16), Reading::Bad("is not UTF-8"));
    assert_eq!(method(b"<x>\xff</x>"), Reading::Bad("is not UTF-8"));
}

#[test]
fn no_more_than_the_bound_is_looked_at() {
    let late = wrapped(&format!(
        "<!--{}--><e:Body><v:X/></e:Body>",
        " ".repeat(MAX_PREFIX)
    ));
    let start = &late.as_bytes()[..MAX_PREFIX - 1];
    assert_eq!(method(start), Reading::More);
    assert_eq!(
        method(late.as_bytes()),
        Reading::Bad("says no method in its first 64 KiB")
    );
}

#[test]
fn answers_name_their_user_or_their_fault() {
    let body = |inside: &str| answer(wrapped(&format!("<e:Body>{inside}</e:Body>")).as_bytes());
    let login = body(
        "<LoginResponse xmlns=\"urn:vim25\"><returnval><key>k</key><userName>u&lt;x</userName></returnval></LoginResponse>",
    );
    assert_eq!((login.is_reply, login.user.as_deref()), (true, Some("u<x")));
    let property = body(
        "<R xmlns=\"urn:vim25\"><returnval><obj type=\"SessionManager\">SessionManager</obj><propSet><name>currentSession</name><val><key>k</key><userName>eve</userName></val></propSet></returnval></R>",
    );
    assert_eq!(property.user.as_deref(), Some("eve"));
    let list = body(
        "<R><returnval><propSet><name>sessionList</name><val><UserSession><userName>eve</userName></UserSession></val></propSet></returnval></R>",
    );
    assert_eq!((list.is_reply, list.user), (true, None));
    let fault = body(
        "<e:Fault><faultcode>ServerFaultCode</faultcode><faultstring>x</faultstring><detail><NotAuthenticatedFault xmlns=\"urn:vim25\"><object/></NotAuthenticatedFault></detail></e:Fault>",
    );
    assert_eq!((fault.is_reply, fault.is_fault), (false, true));
    assert_eq!(fault.fault.as_deref(), Some("NotAuthenticatedFault"));
    assert_eq!(answer(b"{}"), Answer::default());
}

proptest! {
    #[test]
    fn no_bytes_make_it_stumble(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _reading = method(&bytes);
        let _answer = answer(&bytes);
    }

    #[test]
    fn no_edit_of_a_call_makes_it_stumble(at in 0..GOVC_LOGIN.len(), with in "[<>!&;/?\\[\\]\"'xmlns:=]{0,6}", cut in 0..20_usize) {
        let mut bytes = GOVC_LOGIN.as_bytes().to_vec();
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, with.bytes());
        let _reading = method(&bytes);
        let _answer = answer(&bytes);
    }
}
