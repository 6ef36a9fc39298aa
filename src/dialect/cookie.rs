//! Cookies: those a request carries, and those an answer sets (RFC 6265).

use http::HeaderMap;
use http::header::{COOKIE, SET_COOKIE};
use memchr::memmem;

/// Cookies of one name in a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent<'a> {
    /// None.
    No,
    /// One, or several of one value.
    Once(&'a [u8]),
    /// Several that differ, or one that not everybody reads alike.
    Unclear,
}

/// The cookie `name` of a request. HTTP/2 may split its cookies over several fields (RFC 9113
/// section 8.2.3): all of them count.
pub(super) fn sent<'a>(headers: &'a HeaderMap, name: &str) -> Sent<'a> {
    let mut found = Sent::No;
    for field in headers.get_all(COOKIE) {
        let field = field.as_bytes();
        // What is not there need not be taken apart.
        let named = named(field, name);
        if named == 0 {
            continue;
        }
        let mut read = 0;
        for value in
            pairs(field).filter_map(|(key, value)| (key == name.as_bytes()).then_some(value))
        {
            read += 1;
            found = match found {
                Sent::No => Sent::Once(value),
                Sent::Once(before) if before == value => found,
                _ => Sent::Unclear,
            };
        }
        // Old servers separate cookies by commas too, or read quoted strings: one hides there.
        if read != named {
            return Sent::Unclear;
        }
    }
    match found {
        Sent::Once(b"") => Sent::No,
        other => other,
    }
}

/// The last value that an answer gives to the cookie `name`; `None` when it is empty, which is how
/// cookies are taken back.
pub(super) fn set<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let fields = headers.get_all(SET_COOKIE).iter();
    let mut values = fields.filter_map(|field| {
        let (key, value) = pairs(field.as_bytes()).next()?;
        (key == name.as_bytes()).then_some(value)
    });
    values.next_back().filter(|value| !value.is_empty())
}

fn pairs(field: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    field.split(|byte| *byte == b';').filter_map(|part| {
        let equals = memchr::memchr(b'=', part)?;
        let (name, value) = part.split_at_checked(equals)?;
        let value = value.strip_prefix(b"=")?.trim_ascii();
        Some((name.trim_ascii(), unquoted(value)))
    })
}

/// vCenter sets `vmware_soap_session="…"`; some clients send the quotes back and some do not.
fn unquoted(value: &[u8]) -> &[u8] {
    value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""))
        .unwrap_or(value)
}

/// How often `name` stands in `field` as a whole word with an equals sign behind it.
fn named(field: &[u8], name: &str) -> usize {
    let starts = memmem::find_iter(field, name.as_bytes());
    let whole = starts.filter(|start| {
        let before = start.checked_sub(1).and_then(|at| field.get(at));
        let behind = field.get(start + name.len()..).unwrap_or_default();
        before.is_none_or(|byte| !is_token(*byte)) && behind.trim_ascii_start().starts_with(b"=")
    });
    whole.count()
}

/// Characters of a token (RFC 9110 section 5.6.2), of which names of cookies are made.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: http::HeaderName, fields: &[&str]) -> HeaderMap {
        let fields = fields.iter().map(|field| {
            let value = HeaderValue::from_str(field).unwrap();
            (name.clone(), value)
        });
        fields.collect()
    }

    #[track_caller]
    fn check(fields: &[&str], expected: Sent<'_>) {
        assert_eq!(
            sent(&headers(COOKIE, fields), "sessionid"),
            expected,
            "{fields:?}"
        );
    }

    #[test]
    fn a_cookie_is_found_wherever_it_stands() {
        check(&["sessionid=abc"], Sent::Once(b"abc"));
        check(&["a=b; sessionid=\"abc\"; HttpOnly"], Sent::Once(b"abc"));
        check(&["a=b;sessionid = abc ;c"], Sent::Once(b"abc"));
        check(&["a=b", "csrftoken=x; sessionid=abc"], Sent::Once(b"abc"));
        check(&["sessionid=a=b=="], Sent::Once(b"a=b=="));
        check(&["avi-sessionid=x; xsessionid=y; b=sessionid"], Sent::No);
        check(&["sessionid="], Sent::No);
        check(&[], Sent::No);
    }

    #[test]
    fn cookies_that_differ_are_unclear() {
        check(&["sessionid=a; sessionid=a"], Sent::Once(b"a"));
        check(&["sessionid=a; sessionid=b"], Sent::Unclear);
        check(&["sessionid=a", "sessionid=b"], Sent::Unclear);
        check(&["sessionid=a", "x=y", "sessionid="], Sent::Unclear);
    }

    #[test]
    fn a_cookie_that_only_some_servers_read_is_unclear() {
        check(&["a=b, sessionid=c"], Sent::Unclear);
        check(&["a=\"sessionid=c\""], Sent::Unclear);
        check(&["a=b sessionid=c; sessionid=c"], Sent::Unclear);
    }

    #[test]
    fn the_last_value_set_holds() {
        let value = |fields: &[&str]| {
            let headers = headers(SET_COOKIE, fields);
            set(&headers, "sessionid").map(<[u8]>::to_vec)
        };
        assert_eq!(value(&["sessionid=a; Path=/; Secure"]), Some(b"a".to_vec()));
        assert_eq!(
            value(&["x=sessionid=a", "sessionid=\"b\""]),
            Some(b"b".to_vec())
        );
        assert_eq!(
            value(&["sessionid=a", "sessionid=b; HttpOnly"]),
            Some(b"b".to_vec())
        );
        assert_eq!(value(&["sessionid=a", "sessionid=; Max-Age=0"]), None);
        assert_eq!(value(&["x=y; sessionid=a"]), None);
    }
}
