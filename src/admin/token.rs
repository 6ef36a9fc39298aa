//! Who may come in: every POST and DELETE needs the token; off loopback, all but three paths do.

use http::Method;
use sha2::{Digest, Sha256};

use crate::config::Secret;

/// Paths that are open to all, wherever the listener is bound.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// How the operator's door is locked.
#[derive(Debug, Clone)]
pub struct Locks {
    token: Option<Secret>,
    loopback: bool,
}

/// Whether a call may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// Yes.
    Free,
    /// No: it needs the token, and none is configured.
    NoToken,
    /// No: it came without the token, or with a wrong one.
    Denied,
}

impl Locks {
    /// `token` is `admin.token`; `loopback` says that the listener is bound to a loopback address.
    #[must_use]
    pub const fn new(token: Option<Secret>, loopback: bool) -> Self {
        Self { token, loopback }
    }

    /// Whether a call with this `Authorization` may come in.
    pub(super) fn entry(&self, method: &Method, path: &str, credentials: Option<&[u8]>) -> Entry {
        let changes = matches!(*method, Method::POST | Method::DELETE);
        let open = self.loopback || OPEN.contains(&path);
        if open && !changes {
            return Entry::Free;
        }
        match &self.token {
            None => Entry::NoToken,
            Some(token)
                if credentials
                    .and_then(bearer)
                    .is_some_and(|given| same(given, token)) =>
            {
                Entry::Free
            }
            Some(_) => Entry::Denied,
        }
    }
}

/// The token of `Bearer TOKEN` (RFC 6750; the scheme's case does not matter).
fn bearer(credentials: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = credentials.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

/// Compares digests, all of their bytes: the time it takes tells nothing of the token.
fn same(given: &[u8], token: &Secret) -> bool {
    let given = Sha256::digest(given);
    let wanted = Sha256::digest(token.expose().as_bytes());
    given
        .iter()
        .zip(wanted.iter())
        .fold(0, |differs, (a, b)| differs | (a ^ b))
        == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: Option<&[u8]> = Some(b"Bearer s3cret");

    fn locks(token: Option<&str>, loopback: bool) -> Locks {
        Locks::new(token.map(Secret::new), loopback)
    }

    #[test]
    fn on_loopback_reading_is_free_and_changing_needs_the_token() {
        let locks = locks(Some("s3cret"), true);
        for path in ["/", "/limits", "/config", "/metrics", "/nowhere"] {
            assert_eq!(locks.entry(&Method::GET, path, None), Entry::Free, "{path}");
        }
        for method in [Method::POST, Method::DELETE] {
            for path in ["/reload", "/sessions/1", "/healthz", "/nowhere"] {
                assert_eq!(locks.entry(&method, path, None), Entry::Denied);
                assert_eq!(locks.entry(&method, path, RIGHT), Entry::Free);
            }
        }
    }

    #[test]
    fn off_loopback_three_paths_are_open_and_no_more() {
        let locks = locks(Some("s3cret"), false);
        for path in OPEN {
            assert_eq!(locks.entry(&Method::GET, path, None), Entry::Free, "{path}");
            assert_eq!(
                locks.entry(&Method::HEAD, path, None),
                Entry::Free,
                "{path}"
            );
        }
        for path in [
            "/",
            "/limits",
            "/connections",
            "/config",
            "/nowhere",
            "/healthz/",
            "//healthz",
            "/metrics/x",
        ] {
            assert_eq!(
                locks.entry(&Method::GET, path, None),
                Entry::Denied,
                "{path}"
            );
            assert_eq!(
                locks.entry(&Method::GET, path, RIGHT),
                Entry::Free,
                "{path}"
            );
        }
    }

    #[test]
    fn without_a_token_what_needs_one_is_shut() {
        let here = locks(None, true);
        assert_eq!(here.entry(&Method::GET, "/limits", None), Entry::Free);
        assert_eq!(here.entry(&Method::POST, "/reload", RIGHT), Entry::NoToken);
        let anywhere = locks(None, false);
        assert_eq!(
            anywhere.entry(&Method::GET, "/limits", RIGHT),
            Entry::NoToken
        );
        assert_eq!(anywhere.entry(&Method::GET, "/readyz", None), Entry::Free);
    }

    #[test]
    fn only_the_very_token_opens() {
        let locks = locks(Some("s3cret"), true);
        let entry = |credentials: &[u8]| locks.entry(&Method::POST, "/reload", Some(credentials));
        assert_eq!(entry(b"bearer s3cret"), Entry::Free);
        for wrong in [
            &b"Bearer "[..],
            b"Bearer",
            b"",
            b"Bearer s3cre",
            b"Bearer s3crets",
            b"Bearer S3CRET",
            b"Basic s3cret",
            b"s3cret",
            b"Bearer s3cret x",
            b"Bearers3cret",
        ] {
            assert_eq!(
                entry(wrong),
                Entry::Denied,
                "{}",
                String::from_utf8_lossy(wrong)
            );
        }
    }
}
