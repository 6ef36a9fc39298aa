//! Fields of a message that belong to one connection, and end with it.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};

/// Fields of one hop (RFC 9110 section 7.6.1), those of HTTP/1.0 and of HTTP/2's upgrade included.
pub static OF_ONE_HOP: [HeaderName; 10] = [
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

/// Whether a message that was kept is written without this field: it is of one hop, or the writer makes its own.
#[must_use]
pub fn is_made_anew(name: &HeaderName) -> bool {
    OF_ONE_HOP.contains(name) || *name == CONTENT_LENGTH
}

/// Fields that `Connection` makes fields of one hop.
#[must_use]
pub fn named_by_connection(fields: &HeaderMap) -> Vec<HeaderName> {
    let values = fields.get_all(CONNECTION).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_names_fields_in_any_spelling_and_in_several_lines() {
        let mut fields = HeaderMap::new();
        for value in ["close, X-Hop", ",,bad name,", "x-other"] {
            fields.append(CONNECTION, value.parse().unwrap());
        }
        assert_eq!(named_by_connection(&fields), ["close", "x-hop", "x-other"]);
    }
}
