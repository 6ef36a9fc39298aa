//! Tests of what a request shows of who makes it.

use std::io::Write as _;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;

use super::*;

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let fields = fields.iter().map(|(name, value)| {
        let value = HeaderValue::from_str(value).unwrap();
        (HeaderName::from_static(name), value)
    });
    fields.collect()
}

#[track_caller]
fn finds(
    dialect: Dialect,
    spoken: Spoken,
    fields: &[(&'static str, &str)],
    expected: Option<(SessionKind, &str)>,
) {
    let headers = headers(fields);
    let found = read(dialect, spoken, &headers);
    let expected = expected.map_or(Credential::Conflict, |(kind, token)| {
        Credential::Session(Token::new(kind, token.as_bytes()).unwrap())
    });
    assert_eq!(found, expected, "{dialect:?} {spoken:?} {fields:?}");
}

fn user(authorization: &str) -> Option<String> {
    let headers = headers(&[("authorization", authorization)]);
    let Credential::Claim(claim) = read(Dialect::Vcenter, Spoken::Api, &headers) else {
        panic!("{authorization} claims nothing");
    };
    claim.user().map(std::borrow::Cow::into_owned)
}

#[test]
fn sessions_stand_where_each_api_has_them() {
    use SessionKind::{Rest, Soap};
    let header = ("vmware-api-session-id", "abc");
    let api_cookie = ("cookie", "x=y; vmware-api-session-id=abc");
    let soap_cookie = ("cookie", "vmware_soap_session=\"abc\"");
    for spoken in [Spoken::Api, Spoken::Rest, Spoken::Rpc, Spoken::Plain] {
        finds(Dialect::Vcenter, spoken, &[header], Some((Rest, "abc")));
        finds(Dialect::Vcenter, spoken, &[api_cookie], Some((Rest, "abc")));
        finds(
            Dialect::Vcenter,
            spoken,
            &[header, api_cookie],
            Some((Rest, "abc")),
        );
    }
    for spoken in [Spoken::Soap, Spoken::Plain] {
        finds(
            Dialect::Vcenter,
            spoken,
            &[soap_cookie],
            Some((Soap, "abc")),
        );
    }
    finds(
        Dialect::Vcenter,
        Spoken::Soap,
        &[header],
        Some((Soap, "abc")),
    );
    let nsx = ("cookie", "JSESSIONID=ABC");
    finds(Dialect::Nsx, Spoken::Plain, &[nsx], Some((Rest, "ABC")));
    let avi = ("cookie", "csrftoken=c; avi-sessionid=s; sessionid=s");
    finds(Dialect::Avi, Spoken::Plain, &[avi], Some((Rest, "s")));
}

#[test]
fn split_cookies_are_read_together() {
    let split = [
        ("cookie", "a=b"),
        ("cookie", "vmware_soap_session=abc"),
        ("cookie", "c=d"),
    ];
    finds(
        Dialect::Vcenter,
        Spoken::Soap,
        &split,
        Some((SessionKind::Soap, "abc")),
    );
}

#[test]
fn two_sessions_in_one_request_are_a_conflict() {
    let header = ("vmware-api-session-id", "abc");
    let other = ("cookie", "vmware-api-session-id=abd");
    finds(Dialect::Vcenter, Spoken::Api, &[header, other], None);
    finds(
        Dialect::Vcenter,
        Spoken::Api,
        &[header, ("vmware-api-session-id", "x")],
        None,
    );
    let soap = ("cookie", "vmware_soap_session=x");
    finds(Dialect::Vcenter, Spoken::Soap, &[header, soap], None);
    finds(Dialect::Vcenter, Spoken::Plain, &[header, soap], None);
    finds(
        Dialect::Avi,
        Spoken::Plain,
        &[("cookie", "avi-sessionid=a; sessionid=b")],
        None,
    );
    let long = "x".repeat(MAX_TOKEN + 1);
    finds(
        Dialect::Vcenter,
        Spoken::Api,
        &[("vmware-api-session-id", &long)],
        None,
    );
}

#[test]
fn a_session_of_another_api_is_not_looked_at() {
    let headers = headers(&[("vmware-api-session-id", "abc"), ("cookie", "sessionid=x")]);
    for dialect in [Dialect::Nsx, Dialect::Skytap, Dialect::Generic] {
        assert_eq!(read(dialect, Spoken::Plain, &headers), Credential::None);
    }
}

#[test]
fn a_session_goes_before_a_claim_and_both_can_be_had() {
    let headers = headers(&[
        ("vmware-api-session-id", "abc"),
        ("authorization", "Basic YTpi"),
    ]);
    let read = read(Dialect::Vcenter, Spoken::Api, &headers);
    assert!(matches!(read, Credential::Session(_)), "{read:?}");
    let Credential::Claim(claim) = claim(&headers) else {
        panic!("no claim");
    };
    assert_eq!(
        (claim.scheme(), claim.user().as_deref()),
        (Scheme::Basic, Some("a"))
    );
    assert_eq!(claim.raw(), b"YTpi");
}

#[test]
fn basic_names_its_user() {
    let basic = |pair: &str| BASE64_STANDARD.encode(pair);
    let admin = basic("administrator@vsphere.local:p:w");
    for scheme in ["Basic", "basic", "BASIC  "] {
        let user = user(&format!("{scheme} {admin}"));
        assert_eq!(user.as_deref(), Some("administrator@vsphere.local"));
    }
    assert_eq!(
        user(&format!("Basic {}", basic("jörg:x"))).as_deref(),
        Some("jörg")
    );
    let long = format!("{}:x", "u".repeat(5000));
    for pair in [
        basic("nobody"),
        basic(":x"),
        basic(&long),
        "%%%".to_owned(),
        String::new(),
    ] {
        assert_eq!(user(&format!("Basic {pair}")), None, "{pair}");
    }
    let long_password = basic(&format!("u:{}", "p".repeat(9000)));
    assert_eq!(
        user(&format!("Basic {long_password}")).as_deref(),
        Some("u")
    );
    assert_eq!(
        user("Basic YTpiYg").as_deref(),
        Some("a"),
        "without padding"
    );
}

#[test]
fn a_jwt_names_its_user() {
    let token = |claims: &str| {
        let claims = BASE64_URL_SAFE_NO_PAD.encode(claims);
        user(&format!("Bearer e30.{claims}.c2ln"))
    };
    assert_eq!(
        token(r#"{"sub":"eve@corp","exp":1}"#).as_deref(),
        Some("eve@corp")
    );
    let all = r#"{"sub":"17","preferred_username":"eve","upn":"eve@corp"}"#;
    assert_eq!(token(all).as_deref(), Some("eve@corp"));
    for claims in [
        r#"{"sub":7}"#,
        r#"{"sub":"a","sub":"b"}"#,
        "{}",
        "[",
        r#"{"sub":""}"#,
    ] {
        assert_eq!(token(claims), None, "{claims}");
    }
    for opaque in ["Bearer abc", "Bearer a.b", "Bearer a.b.c.d", "Bearer a.%.c"] {
        assert_eq!(user(opaque), None, "{opaque}");
    }
}

#[test]
fn of_a_signed_request_only_the_token_counts() {
    let signed = |rest| headers(&[("authorization", rest)]);
    for field in [
        r#"SIGN token="H4sI==", nonce="1:2", bodyhash="x", signature="y""#,
        r#"sign nonce="7:8",token="H4sI==",signature="z""#,
    ] {
        let headers = signed(field);
        let Credential::Claim(claim) = claim(&headers) else {
            panic!("no claim");
        };
        assert_eq!(
            (claim.scheme(), claim.raw(), claim.user()),
            (Scheme::Sign, &b"H4sI=="[..], None)
        );
    }
}

/// As VMware's SSO client sends it: the assertion gzipped, in base64.
fn sign_token(assertion: &str) -> String {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(assertion.as_bytes()).unwrap();
    BASE64_STANDARD.encode(packed.finish().unwrap())
}

#[test]
fn a_signed_token_names_the_subject_of_its_assertion() {
    let assertion = "<saml2:Assertion xmlns:saml2=\"urn:oasis:names:tc:SAML:2.0:assertion\"><saml2:Subject>\
                     <saml2:NameID>svc-tf@VSPHERE.LOCAL</saml2:NameID></saml2:Subject></saml2:Assertion>";
    let user = |token: &str| {
        let field = format!("SIGN token=\"{token}\", nonce=\"1:2\", signature=\"y\"");
        let mut headers = HeaderMap::new();
        headers.insert("authorization", field.parse().unwrap());
        match claim(&headers) {
            Credential::Claim(claim) => claim.user().map(std::borrow::Cow::into_owned),
            other => panic!("{other:?}"),
        }
    };
    let token = sign_token(assertion);
    assert_eq!(user(&token).as_deref(), Some("svc-tf@VSPHERE.LOCAL"));
    assert_eq!(user(&token[..token.len() - 20]), None, "cut");
    assert_eq!(user("H4sI"), None, "empty");
    assert_eq!(user(&sign_token("<no/>")), None);
    // A few kilobytes that unpack to many megabytes.
    let bomb = sign_token(&format!("{assertion}{}", " ".repeat(8 << 20)));
    assert!(bomb.len() < 16 * 1024, "{}", bomb.len());
    assert_eq!(user(&bomb), None);
}

#[test]
fn two_authorizations_are_a_conflict() {
    let twice = headers(&[
        ("authorization", "Basic YTpi"),
        ("authorization", "Basic Yzpk"),
    ]);
    assert_eq!(claim(&twice), Credential::Conflict);
    let same = headers(&[
        ("authorization", "Basic YTpi"),
        ("authorization", "Basic YTpi"),
    ]);
    assert!(matches!(claim(&same), Credential::Claim(_)));
}

#[test]
fn nothing_secret_is_printed() {
    let headers = headers(&[
        ("vmware-api-session-id", "s3cr3t"),
        ("authorization", "Basic czNjcjN0"),
    ]);
    let both = format!(
        "{:?} {:?}",
        read(Dialect::Vcenter, Spoken::Api, &headers),
        claim(&headers)
    );
    assert!(
        !both.contains("s3cr3t") && !both.contains("czNjcjN0"),
        "{both}"
    );
}

#[test]
fn the_proof_against_forgery_is_found() {
    let fields = headers(&[("x-xsrf-token", "x"), ("x-csrftoken", "c")]);
    assert_eq!(proof(Dialect::Nsx, &fields), Some(&b"x"[..]));
    assert_eq!(proof(Dialect::Avi, &fields), Some(&b"c"[..]));
    assert_eq!(proof(Dialect::Vcenter, &fields), None);
}

#[test]
fn an_api_of_which_nothing_is_known_may_have_its_token_in_a_field_of_its_own() {
    let token = ("x-auth-token", "t1");
    let basic = ("authorization", "Basic YTpi");
    let read = |dialect, fields: &[_]| {
        let headers = headers(fields);
        match super::read(dialect, Spoken::Plain, &headers) {
            Credential::Claim(claim) => Some((claim.scheme(), claim.raw().to_vec())),
            Credential::None => None,
            other => panic!("{other:?}"),
        }
    };
    let shown = Some((Scheme::Bearer, b"t1".to_vec()));
    assert_eq!(read(Dialect::Generic, &[token]), shown);
    assert_eq!(read(Dialect::Generic, &[token, token]), shown);
    assert_eq!(read(Dialect::Generic, &[("x-auth-token", " ")]), None);
    assert_eq!(read(Dialect::Skytap, &[token]), None);
    let basic_alone = read(Dialect::Generic, &[basic]).unwrap();
    assert_eq!(basic_alone.0, Scheme::Basic);
    for unclear in [vec![token, basic], vec![token, ("x-auth-token", "t2")]] {
        let headers = headers(&unclear);
        let found = super::read(Dialect::Generic, Spoken::Plain, &headers);
        assert_eq!(found, Credential::Conflict, "{unclear:?}");
    }
}
