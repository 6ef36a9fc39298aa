//! Certificates, keys and secrets are looked at when the file is checked, not when they are first needed.

use tidegate::config::{Verify, parse};

use crate::{MINIMAL, folder};

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
const LOCKED: &str =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";

const FILES: &[(&str, &str)] = &[
    ("tls.crt", CERTIFICATE),
    ("tls.key", KEY),
    ("locked.key", LOCKED),
    ("token", "s3cret\n"),
    ("empty", "\n"),
    ("two", "a\nb\n"),
];

#[test]
fn a_tls_listener_needs_both_files() {
    let base = folder("tls", FILES);
    let https = "[listen]\nhttps = [\"127.0.0.1:8443\"]";
    for (lines, key, part) in [
        (
            "",
            "listen.https",
            "needs listen.certificate and listen.private_key",
        ),
        (
            "certificate = \"tls.crt\"",
            "listen.private_key",
            "is missing",
        ),
        (
            "private_key = \"tls.key\"",
            "listen.certificate",
            "is missing",
        ),
        (
            "certificate = \"none.crt\"\nprivate_key = \"tls.key\"",
            "listen.certificate",
            "none.crt cannot be read",
        ),
        (
            "certificate = \"tls.key\"\nprivate_key = \"tls.key\"",
            "listen.certificate",
            "holds no PEM certificate",
        ),
        (
            "certificate = \"tls.crt\"\nprivate_key = \"tls.crt\"",
            "listen.private_key",
            "holds no PEM private key",
        ),
        (
            "certificate = \"tls.crt\"\nprivate_key = \"locked.key\"",
            "listen.private_key",
            "is encrypted",
        ),
    ] {
        let faults = parse(&format!("{https}\n{lines}\n{MINIMAL}"), &base).unwrap_err();
        let [fault] = faults.as_slice() else {
            panic!("not one fault but {faults}")
        };
        assert!(fault.key == key && fault.problem.contains(part), "{fault}");
    }
    let pair = "certificate = \"tls.crt\"\nprivate_key = \"tls.key\"\nclient_ca = \"tls.crt\"";
    let config = parse(&format!("{https}\n{pair}\n{MINIMAL}"), &base).unwrap();
    let certificate = config.listen.certificate.unwrap();
    assert_eq!(
        (certificate.chain, certificate.key),
        (base.join("tls.crt"), base.join("tls.key"))
    );
    assert_eq!(config.listen.client_ca, Some(base.join("tls.crt")));
}

#[test]
fn client_certificates_without_tls_are_a_fault() {
    let base = folder("client-ca", FILES);
    let faults = parse(
        &format!("[listen]\nclient_ca = \"tls.crt\"\n{MINIMAL}"),
        &base,
    )
    .unwrap_err();
    assert!(
        faults
            .to_string()
            .contains("listen.client_ca = \"tls.crt\" (line 2): asks for client certificates"),
        "{faults}"
    );
}

#[test]
fn off_loopback_the_operators_door_needs_token_and_tls() {
    let base = folder("door", FILES);
    let door = |admin: &str| {
        parse(
            &format!("[listen]\nadmin = \"192.0.2.1:9900\"\n[admin]\n{admin}\n{MINIMAL}"),
            &base,
        )
    };
    let token = "token = \"file:token\"";
    let pair = "certificate = \"tls.crt\"\nprivate_key = \"tls.key\"";
    for (lines, part) in [
        (token, "needs admin.certificate and admin.private_key;"),
        (pair, "needs admin.token;"),
    ] {
        let faults = door(lines).unwrap_err();
        let [fault] = faults.as_slice() else {
            panic!("not one fault but {faults}")
        };
        assert!(
            fault.key == "listen.admin" && fault.problem.contains(part),
            "{fault}"
        );
    }
    let admin = door(&format!("{token}\n{pair}")).unwrap().admin;
    assert_eq!(admin.token.unwrap().expose(), "s3cret");
    assert!(admin.certificate.is_some());
}

#[test]
fn a_secret_is_one_line_of_a_file_and_never_shown() {
    let base = folder("secret", FILES);
    let with = |name: &str| {
        parse(
            &format!("[admin]\ntoken = \"file:{name}\"\n{MINIMAL}"),
            &base,
        )
    };
    let config = with("token").unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
    assert_eq!(
        tidegate::config::effective(&config)["admin"]["token"],
        "***"
    );
    assert!(!tidegate::config::describe(&config).contains("s3cret"));
    for (name, part) in [
        ("empty", "is empty"),
        ("two", "is no secret"),
        ("none", "cannot be read"),
    ] {
        let faults = with(name).unwrap_err();
        assert!(faults.to_string().contains(part), "{faults}");
    }
}

#[test]
fn a_key_that_signs_webhooks_is_looked_at_when_the_file_is_checked() {
    let good = format!("whsec_{}", "a".repeat(32));
    let base = folder("signing", &[("good", &good), ("short", "hunter2")]);
    let with = |name: &str| {
        let tasks = "webhooks = [\"https://cmdb.example/\"]";
        parse(
            &format!("[tasks]\n{tasks}\nwebhook_secret = \"file:{name}\"\n{MINIMAL}"),
            &base,
        )
    };
    let config = with("good").unwrap();
    assert_eq!(
        tidegate::config::effective(&config)["tasks"]["webhook_secret"],
        "***"
    );
    let fault = with("short").unwrap_err().to_string();
    assert!(fault.contains("less than 24 bytes"), "{fault}");
    assert!(!fault.contains("hunter2"), "{fault}");
}

#[test]
fn an_upstreams_authorities_are_read_from_the_folder_of_the_file() {
    let base = folder("ca", FILES);
    let config = parse(&format!("{MINIMAL}verify = \"ca:tls.crt\""), &base).unwrap();
    assert_eq!(config.upstreams[0].verify, Verify::Ca(base.join("tls.crt")));
}
