//! Where messages may go: below the prefixes of the configuration, and nowhere else.

use http::Uri;

/// Longest URL of a receiver, bytes.
const LONGEST: usize = 2048;

/// Whether messages may go to `url`: it begins with one of `prefixes` (each ends its host with a slash), and no
/// segment leads back out of it.
#[must_use]
pub fn is_allowed(url: &str, prefixes: &[String]) -> bool {
    let is_below = |prefix: &String| url.starts_with(prefix.as_str());
    url.len() <= LONGEST
        && url.bytes().all(|byte| byte.is_ascii_graphic())
        && !url.contains(['#', '\\'])
        && prefixes.iter().any(is_below)
        && url.parse::<Uri>().is_ok_and(|url| stays(&url))
}

fn stays(url: &Uri) -> bool {
    let path = url.path().to_ascii_lowercase();
    // A receiver may decode once more than it should.
    let path = path.replace("%25", "%").replace("%2e", ".");
    let path = path.replace("%2f", "/").replace("%5c", "/");
    let has_user = url
        .authority()
        .is_none_or(|host| host.as_str().contains('@'));
    !has_user
        && !path
            .split('/')
            .any(|segment| segment == ".." || segment == ".")
}

/// Whom `url` reaches: messages to one of these are counted together.
pub(super) fn receiver(url: &str) -> String {
    let url = url.parse::<Uri>().ok();
    let authority = url.as_ref().and_then(Uri::authority);
    authority.map_or_else(String::new, |host| host.as_str().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_below_a_prefix_is_allowed() {
        let prefixes = ["https://cmdb.example/hooks/", "http://127.0.0.1:9/"].map(str::to_owned);
        for good in [
            "https://cmdb.example/hooks/",
            "https://cmdb.example/hooks/tasks?of=a",
            "http://127.0.0.1:9/x",
        ] {
            assert!(is_allowed(good, &prefixes), "{good}");
        }
        for bad in [
            "",
            "https://cmdb.example/hooks",
            "http://cmdb.example/hooks/",
            "https://cmdb.example.evil/hooks/",
            "https://cmdb.example@evil/hooks/",
            "https://cmdb.example/hooks/../admin",
            "https://cmdb.example/hooks/%2e%2E/admin",
            "https://cmdb.example/hooks/..%2fadmin",
            "https://cmdb.example/hooks/%252e%252e/admin",
            "https://cmdb.example/hooks/..\\admin",
            "https://cmdb.example/hooks/#x",
            "https://cmdb.example/hooks/ x",
            "http://127.0.0.1:90/x",
        ] {
            assert!(!is_allowed(bad, &prefixes), "{bad}");
        }
        assert!(!is_allowed("https://cmdb.example/hooks/", &[]));
    }

    #[test]
    fn a_receiver_is_a_host_with_its_port() {
        assert_eq!(receiver("https://CMDB.example:8443/a"), "cmdb.example:8443");
        assert_eq!(receiver("nonsense"), "nonsense");
        assert_eq!(receiver(""), "");
    }
}
