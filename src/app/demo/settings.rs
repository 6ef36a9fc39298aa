//! The configuration `tidegate demo` runs with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Where the demo's pieces are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The plain listener.
    pub http: SocketAddr,
    /// The TLS listener.
    pub https: SocketAddr,
    /// The operator's door.
    pub admin: SocketAddr,
    /// The imitation of a vCenter.
    pub upstream: SocketAddr,
    /// The certificate of the TLS listener.
    pub certificate: PathBuf,
    /// Its key.
    pub private_key: PathBuf,
}

impl Places {
    /// The usual ports on loopback; the imitation and the certificate are where the caller put them.
    #[must_use]
    pub fn usual(upstream: SocketAddr, certificate: PathBuf, private_key: PathBuf) -> Self {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            http: at(8080),
            https: at(8443),
            admin: at(9900),
            upstream,
            certificate,
            private_key,
        }
    }
}

/// The file, as an operator would write it.
#[must_use]
pub fn configuration(places: &Places) -> String {
    let values = [
        ("HTTP", quoted(&places.http.to_string())),
        ("HTTPS", quoted(&places.https.to_string())),
        ("ADMIN", quoted(&places.admin.to_string())),
        ("CERTIFICATE", quoted(&places.certificate.to_string_lossy())),
        ("PRIVATE_KEY", quoted(&places.private_key.to_string_lossy())),
        ("UPSTREAM", quoted(&format!("http://{}", places.upstream))),
    ];
    let fill = |line: &str| {
        let value = line
            .split_once("= ")
            .map_or("", |(_, value)| value.trim_matches(['[', ']']));
        match values.iter().find(|(name, _)| *name == value) {
            Some((name, text)) => line
                .replacen(&format!("= {name}"), &format!("= {text}"), 1)
                .replacen(&format!("= [{name}]"), &format!("= [{text}]"), 1),
            None => line.to_owned(),
        }
    };
    let lines: Vec<String> = include_str!("demo.toml").lines().map(fill).collect();
    lines.join("\n") + "\n"
}

/// A basic string of TOML: what JSON escapes is what TOML wants escaped, but for the delete character.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace('\u{7f}', "\\u007F")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_stands_where_it_belongs() {
        let upstream = SocketAddr::from(([127, 0, 0, 1], 40_001));
        let places = Places::usual(
            upstream,
            PathBuf::from("/run/a \"b\"/demo.crt"),
            PathBuf::from("/run/HTTP/demo.key"),
        );
        let text = configuration(&places);
        for line in [
            "http        = [\"127.0.0.1:8080\"]",
            "https       = [\"127.0.0.1:8443\"]",
            "admin       = \"127.0.0.1:9900\"",
            "certificate = \"/run/a \\\"b\\\"/demo.crt\"",
            "private_key = \"/run/HTTP/demo.key\"",
            "url = \"memory\"",
            "address = \"http://127.0.0.1:40001\"",
            "limit = 20",
            "burst = 10",
        ] {
            assert!(
                text.lines().any(|seen| seen == line),
                "{line} not in\n{text}"
            );
        }
        assert!(!text.contains("UPSTREAM"));
    }
}
