//! Where messages may go: below the prefixes of the configuration, and nowhere else.

use http::Uri;

/// Longest URL.
const LONGEST: usize = 2048;

/// Whether `url` begins with one of `prefixes` at the end of a part of its path, and stays below it however it is read.
#[must_use]
pub fn is_allowed(url: &str, prefixes: &[String]) -> bool {
    let begins = |prefix: &String| {
        url.strip_prefix(prefix.as_str()).is_some_and(|rest| {
            prefix.ends_with('/') || rest.is_empty() || rest.starts_with(['/', '?'])
        })
    };
    url.len() <= LONGEST && is_plain(url) && is_safe(url) && prefixes.iter().any(begins)
}

/// Nothing in it that another reader may take for another place.
fn is_plain(url: &str) -> bool {
    let path = url.split('?').next().unwrap_or_default();
    let has_dots = path.split('/').any(|part| matches!(part, "." | ".."));
    url.bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"\\#\"<>".contains(&byte))
        && !path.contains('%')
        && !path.contains(';')
        && !has_dots
}

/// Encrypted, or not leaving this machine.
fn is_safe(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else {
        return false;
    };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return false;
    };
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    !authority.as_str().contains('@') && (scheme == "https" || (scheme == "http" && is_loopback))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(url: &str) -> bool {
        let prefixes = [
            "https://cmdb.example/hooks/",
            "https://cmdb.example/exact",
            "http://127.0.0.1:9/",
            "http://far.example/",
        ];
        is_allowed(url, &prefixes.map(str::to_owned))
    }

    #[test]
    fn only_what_lies_below_a_prefix_is_told() {
        for url in [
            "https://cmdb.example/hooks/",
            "https://cmdb.example/hooks/tasks?team=a%20b",
            "https://cmdb.example/exact",
            "https://cmdb.example/exact/x",
            "https://cmdb.example/exact?x",
            "http://127.0.0.1:9/x",
        ] {
            assert!(allowed(url), "{url}");
        }
        for url in [
            "https://cmdb.example/hook",
            "https://cmdb.example/exactly",
            "https://cmdb.example/hooks/../admin",
            "https://cmdb.example/hooks/%2e%2e/admin",
            "https://cmdb.example/hooks/;/x",
            "https://cmdb.example/hooks/x#y",
            "https://cmdb.example@evil.example/hooks/",
            "https://evil.example/?https://cmdb.example/hooks/",
            "HTTPS://cmdb.example/hooks/",
            "http://far.example/x",
            "/hooks/",
            "",
        ] {
            assert!(!allowed(url), "{url}");
        }
    }
}
