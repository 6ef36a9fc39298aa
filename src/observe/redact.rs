//! A request target made fit for a log: credentials out, one printable line, bounded in length.

use percent_encoding::percent_decode;

/// Most bytes of a target that are logged; the rest is cut and marked with `…`.
pub(super) const LONGEST_TARGET: usize = 2048;

/// What stands in place of a credential, as everywhere else in the gate.
const HIDDEN: &str = "***";

/// A parameter whose name contains one of these, written small and without `-`, `_` and `.`, is a credential.
const SECRET_PARTS: [&str; 19] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "session",
    "ticket",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "signature",
    "authorization",
    "assertion",
    "samlre",
    "cookie",
    "jwt",
    "bearer",
];

/// A parameter of exactly such a name is a credential, too.
const SECRET_NAMES: [&str; 7] = ["auth", "key", "sig", "code", "pass", "pw", "sid"];

/// The target as it may stand in a log.
///
/// Values of parameters that look like credentials, console tickets in the path (`/ticket/…`) and
/// the user information of an absolute target become `***`.
#[must_use]
pub fn target(received: &[u8]) -> String {
    let kept = received.get(..LONGEST_TARGET).unwrap_or(received);
    let mut out = String::with_capacity(kept.len() + 8);
    let rest = authority(kept, &mut out);
    let (path, query) = match memchr::memchr(b'?', rest) {
        Some(at) => (rest.get(..at).unwrap_or(rest), rest.get(at + 1..)),
        None => (rest, None),
    };
    write_path(path, &mut out);
    if let Some(query) = query {
        out.push('?');
        write_parameters(query, &mut out);
    }
    if kept.len() < received.len() {
        out.push('…');
    }
    out
}

/// Bytes as one word of a line: whatever is not printable ASCII, and `"`, is percent-encoded; at most `longest` of them.
pub(super) fn printable(bytes: &[u8], longest: usize, out: &mut String) {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    let mut rest = bytes.get(..longest).unwrap_or(bytes);
    loop {
        let end = rest
            .iter()
            .position(|byte| !byte.is_ascii_graphic() || *byte == b'"');
        let (plain, odd) = rest.split_at(end.unwrap_or(rest.len()));
        out.push_str(std::str::from_utf8(plain).unwrap_or_default());
        let Some((byte, after)) = odd.split_first() else {
            return;
        };
        out.push('%');
        for nibble in [byte >> 4, byte & 15] {
            out.push(HEX.get(usize::from(nibble)).copied().unwrap_or('?'));
        }
        rest = after;
    }
}

/// Writes `scheme://host` of an absolute target without its user information, and returns the rest.
fn authority<'a>(target: &'a [u8], out: &mut String) -> &'a [u8] {
    if target.first() == Some(&b'/') {
        return target;
    }
    let Some(colon) = memchr::memmem::find(target, b"://") else {
        return target;
    };
    let (scheme, after) = target.split_at(colon + 3);
    let end = after
        .iter()
        .position(|b| matches!(b, b'/' | b'?'))
        .unwrap_or(after.len());
    let (host, rest) = after.split_at(end);
    write_bytes(scheme, out);
    match memchr::memrchr(b'@', host) {
        Some(at) => {
            out.push_str(HIDDEN);
            write_bytes(host.get(at..).unwrap_or_default(), out);
        }
        None => write_bytes(host, out),
    }
    rest
}

fn write_path(path: &[u8], out: &mut String) {
    let mut after_ticket = false;
    for (index, segment) in path.split(|b| *b == b'/').enumerate() {
        if index > 0 {
            out.push('/');
        }
        if after_ticket && !segment.is_empty() {
            out.push_str(HIDDEN);
        } else {
            write_parameters(segment, out);
        }
        after_ticket = segment.eq_ignore_ascii_case(b"ticket");
    }
}

/// Writes `name=value` pairs apart by `&` or `;`; what has no `=` goes as it is.
fn write_parameters(mut text: &[u8], out: &mut String) {
    loop {
        let end = memchr::memchr2(b'&', b';', text).unwrap_or(text.len());
        let (pair, rest) = text.split_at(end);
        write_pair(pair, out);
        let Some((&mark, rest)) = rest.split_first() else {
            return;
        };
        out.push(char::from(mark));
        text = rest;
    }
}

fn write_pair(pair: &[u8], out: &mut String) {
    let Some(equals) = memchr::memchr(b'=', pair) else {
        return write_bytes(pair, out);
    };
    let (name, value) = pair.split_at(equals);
    if is_secret(name) || holds_secret(value.get(1..).unwrap_or_default()) {
        write_bytes(name, out);
        out.push('=');
        out.push_str(HIDDEN);
    } else {
        write_bytes(pair, out);
    }
}

fn write_bytes(bytes: &[u8], out: &mut String) {
    printable(bytes, bytes.len(), out);
}

fn is_secret(name: &[u8]) -> bool {
    let plain = plain(name);
    SECRET_NAMES.contains(&plain.as_str()) || SECRET_PARTS.iter().any(|part| plain.contains(part))
}

/// Whether a value is itself a list of parameters with a credential among them, such as an encoded address.
fn holds_secret(value: &[u8]) -> bool {
    let nested = memchr::memchr(b'=', value).is_some()
        || memchr::memmem::find(value, b"%3D").is_some()
        || memchr::memmem::find(value, b"%3d").is_some();
    nested && {
        let plain = plain(value);
        SECRET_PARTS.iter().any(|part| plain.contains(part))
    }
}

/// A name as it is compared: decoded, small, without `-`, `_` and `.`.
fn plain(name: &[u8]) -> String {
    percent_decode(name)
        .filter(|byte| !matches!(byte, b'-' | b'_' | b'.'))
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(received: &str) -> String {
        target(received.as_bytes())
    }

    #[test]
    fn ordinary_targets_stay_as_they_are() {
        for same in [
            "/",
            "*",
            "/api/vcenter/vm?action=clone&vmw-task=true",
            "/rest/com/vmware/cis/session?~action=get",
            "/api/cis/tagging/tag?filter.names=a;b&x",
            "/folder/a%20b?dcPath=DC0&dsName=local",
        ] {
            assert_eq!(logged(same), same);
        }
    }

    #[test]
    fn values_that_look_like_credentials_are_hidden() {
        for (received, wanted) in [
            ("/a?token=abc&x=1", "/a?token=***&x=1"),
            ("/a?x=1&Password=abc", "/a?x=1&Password=***"),
            ("/a?api_key=abc", "/a?api_key=***"),
            ("/a?X-Amz-Signature=abc", "/a?X-Amz-Signature=***"),
            ("/a?pass%77ord=abc", "/a?pass%77ord=***"),
            ("/a?SAMLResponse=abc", "/a?SAMLResponse=***"),
            ("/a?code=abc&keyword=x", "/a?code=***&keyword=x"),
            ("/a;jsessionid=abc/b?x", "/a;jsessionid=***/b?x"),
            ("/a?x=1;sid=abc", "/a?x=1;sid=***"),
            (
                "/a?to=https%3A%2F%2Fh%2F%3Ftoken%3Dabc&x=1",
                "/a?to=***&x=1",
            ),
            ("/ticket/9a1bc2", "/ticket/***"),
            ("http://u:p@host/a?token=x", "http://***@host/a?token=***"),
            ("/a?token=x?token=abc", "/a?token=***"),
        ] {
            assert_eq!(logged(received), wanted, "{received}");
        }
    }

    #[test]
    fn a_target_cannot_break_out_of_its_line() {
        assert_eq!(target(b"/a\r\n\"x\" \xff"), "/a%0D%0A%22x%22%20%FF");
    }

    #[test]
    fn a_long_target_is_cut() {
        let long = format!("/{}", "a".repeat(100_000));
        let line = logged(&long);
        assert!(line.ends_with('…'));
        assert_eq!(line.chars().count(), LONGEST_TARGET + 1);
        let secret = format!("/a?token={}", "s".repeat(100_000));
        assert_eq!(logged(&secret), "/a?token=***…");
    }
}
