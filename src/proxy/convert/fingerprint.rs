//! What makes a request the same as another one with its key: never its credentials.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use sha2::{Digest, Sha256};

/// SHA-256 of method, target in normal form, media type, body, and the fields that the route names.
pub(super) fn of(
    (method, target): (&str, &str),
    headers: &HeaderMap,
    named: &[String],
    body: &[u8],
) -> [u8; 32] {
    let mut hash = Sha256::new();
    // Each part with its length before it, so that nothing can move from one into the next.
    let mut put = |part: &[u8]| {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(part);
    };
    put(method.as_bytes());
    put(target.as_bytes());
    let media_type = headers.get(CONTENT_TYPE);
    put(media_type
        .map(http::HeaderValue::as_bytes)
        .unwrap_or_default());
    put(body);
    for name in named {
        for value in headers.get_all(name) {
            put(name.as_bytes());
            put(value.as_bytes());
        }
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_differs_with_everything_that_counts_and_with_nothing_else() {
        let fields = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect::<HeaderMap>()
        };
        let named = ["x-avi-tenant".to_owned()];
        let usual = fields(&[("content-type", "application/json"), ("x-avi-tenant", "a")]);
        let one = of(("POST", "/x"), &usual, &named, b"{}");
        let mut with_token = usual.clone();
        with_token.insert("authorization", "Bearer t".parse().unwrap());
        assert_eq!(of(("POST", "/x"), &with_token, &named, b"{}"), one);
        let other_type = fields(&[("content-type", "text/plain"), ("x-avi-tenant", "a")]);
        let other_tenant = fields(&[("content-type", "application/json"), ("x-avi-tenant", "b")]);
        for other in [
            of(("PUT", "/x"), &usual, &named, b"{}"),
            of(("POST", "/y"), &usual, &named, b"{}"),
            of(("POST", "/x"), &other_type, &named, b"{}"),
            of(("POST", "/x"), &other_tenant, &named, b"{}"),
            of(("POST", "/x"), &usual, &named, b"[]"),
            of(("POST", "/x"), &usual, &[], b"{}"),
        ] {
            assert_ne!(other, one);
        }
    }
}
