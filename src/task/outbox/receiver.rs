//! Whom a message reaches.

use http::Uri;

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
    fn a_receiver_is_a_host_with_its_port() {
        assert_eq!(receiver("https://CMDB.example:8443/a"), "cmdb.example:8443");
        assert_eq!(receiver("/a"), "");
        assert_eq!(receiver(""), "");
    }
}
