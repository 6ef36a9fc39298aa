//! Whether an upstream accepts credentials: what it is asked, and what a status says.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, Method};

use super::credential::AUTH_TOKEN;
use super::own::{API_SESSION, Body, CSRF_TOKEN, Request, XSRF_TOKEN};
use crate::call::Dialect;

/// Session expired, in Avi's own status.
const AVI_EXPIRED: u16 = 419;

/// A cheap page of this API that nobody reads without credentials; `None` where none is documented.
#[must_use]
pub const fn page(dialect: Dialect) -> Option<&'static str> {
    match dialect {
        Dialect::Nsx => Some("/api/v1/aaa/user-info"),
        Dialect::NsxV => Some("/api/4.0/edges/jobs?status=active"),
        Dialect::Skytap => Some("/v2/configurations?scope=me&count=1"),
        Dialect::Vcenter | Dialect::Avi | Dialect::Generic => None,
    }
}

/// The request that reads `target` with the credentials among the fields of `shown`, and nothing else of them.
#[must_use]
pub fn read_as(target: &str, shown: &HeaderMap) -> Request {
    let mut headers = HeaderMap::new();
    for name in [
        AUTHORIZATION,
        AUTH_TOKEN,
        COOKIE,
        API_SESSION,
        XSRF_TOKEN,
        CSRF_TOKEN,
    ] {
        for value in shown.get_all(&name) {
            let mut value = value.clone();
            value.set_sensitive(true);
            headers.append(&name, value);
        }
    }
    Request {
        method: Method::GET,
        target: Cow::Owned(target.to_owned()),
        headers,
        body: Body(Bytes::new()),
    }
}

/// What the status of an answer says of the credentials that were shown for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Regard {
    /// They are accepted.
    Accepted,
    /// They are not, any more.
    Refused,
    /// Who shows them may not do this; or, with NSX and others, they are not accepted.
    Doubted,
    /// Nothing.
    Silent,
}

/// Reads a status.
#[must_use]
pub const fn regard(status: u16) -> Regard {
    match status {
        200..=299 => Regard::Accepted,
        401 | AVI_EXPIRED => Regard::Refused,
        403 => Regard::Doubted,
        _ => Regard::Silent,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_page_is_read_with_the_credentials_that_were_shown_and_nothing_else() {
        let mut shown = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Basic YTpi"),
            ("cookie", "sessionid=1"),
            ("x-csrftoken", "2"),
            ("prefer", "wait=5"),
            ("if-none-match", "\"1\""),
        ] {
            shown.append(name, value.parse().unwrap());
        }
        let request = read_as("/me?x=1", &shown);
        assert_eq!(
            (request.method.as_str(), &*request.target),
            ("GET", "/me?x=1")
        );
        let mut names: Vec<_> = request.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["authorization", "cookie", "x-csrftoken"]);
        assert!(request.headers.values().all(HeaderValue::is_sensitive));
    }

    #[test]
    fn a_status_says_what_the_upstream_thinks_of_credentials() {
        for (status, said) in [
            (200, Regard::Accepted),
            (204, Regard::Accepted),
            (302, Regard::Silent),
            (401, Regard::Refused),
            (403, Regard::Doubted),
            (404, Regard::Silent),
            (419, Regard::Refused),
            (503, Regard::Silent),
        ] {
            assert_eq!(regard(status), said, "{status}");
        }
    }
}
