//! The guard of HTTP/1 heads: what it lets pass, another parser reads in the same way.

use tidegate::listen::fuzzing::{Body, Head, head};

use super::pieces;

/// Largest head in these targets, bytes.
pub const MAX: usize = 4096;

/// Checks one input, and says what the guard made of it.
pub fn check(bytes: &[u8], cuts: &[u8]) -> Head {
    let verdict = head([bytes], MAX);
    let cut = head(pieces(bytes, cuts), MAX);
    match (verdict, cut) {
        // A fault may come to light before the size does, or behind it, by how the bytes arrive.
        (Head::TooLarge | Head::Malformed(_), Head::TooLarge | Head::Malformed(_)) => {}
        _ => assert_eq!(verdict, cut, "cut at {cuts:?}: {:?}", text(bytes)),
    }
    let singly = head(bytes.chunks(1), MAX);
    match (verdict, singly) {
        (Head::TooLarge | Head::Malformed(_), Head::TooLarge | Head::Malformed(_)) => {}
        _ => assert_eq!(verdict, singly, "byte by byte: {:?}", text(bytes)),
    }
    if let Head::Complete { len, body } = verdict {
        assert!(len <= MAX && len <= bytes.len());
        agrees(&bytes[..len], body);
        // Nothing behind the head changes it, and nothing less than it is a head.
        assert_eq!(head([&bytes[..len]], MAX), verdict);
        assert_eq!(head([&bytes[..len - 1]], MAX), Head::Partial);
    }
    verdict
}

/// The head as httparse reads it, and as a plain reading of its lines does.
fn agrees(bytes: &[u8], body: Body) {
    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(bytes);
    assert_eq!(
        parsed,
        Ok(httparse::Status::Complete(bytes.len())),
        "httparse does not read {:?}",
        text(bytes)
    );
    let mut lines = plain_lines(bytes).into_iter();
    let first = lines.next().expect("a request line");
    let words: Vec<&[u8]> = first.split(|byte| *byte == b' ').collect();
    assert_eq!(words.len(), 3, "{:?}", text(bytes));
    assert_eq!(request.method.map(str::as_bytes), Some(words[0]));
    assert_eq!(request.path.map(str::as_bytes), Some(words[1]));
    let version = [&b"HTTP/1.0"[..], b"HTTP/1.1"]
        .iter()
        .position(|version| *version == words[2]);
    assert_eq!(request.version.map(usize::from), version);
    let plain: Vec<(&[u8], &[u8])> = lines.map(plain_field).collect();
    let read: Vec<(&[u8], &[u8])> = request
        .headers
        .iter()
        .map(|field| (field.name.as_bytes(), field.value.trim_ascii()))
        .collect();
    assert_eq!(read, plain, "{:?}", text(bytes));
    framing(&read, version == Some(1), body, bytes);
}

/// What RFC 9112 sections 3.2 and 6 say of the fields, counted one by one.
fn framing(fields: &[(&[u8], &[u8])], http11: bool, body: Body, bytes: &[u8]) {
    let all = |name: &str| -> Vec<&[u8]> {
        let named = |field: &&(&[u8], &[u8])| field.0.eq_ignore_ascii_case(name.as_bytes());
        fields.iter().filter(named).map(|field| field.1).collect()
    };
    let hosts = all("host").len();
    assert!(hosts <= 1 && (!http11 || hosts == 1), "{:?}", text(bytes));
    let expected = match (&all("content-length")[..], &all("transfer-encoding")[..]) {
        ([], []) => Body::None,
        ([length], []) => {
            assert!(length.iter().all(u8::is_ascii_digit), "{:?}", text(bytes));
            match std::str::from_utf8(length).unwrap().parse().unwrap() {
                0 => Body::None,
                length => Body::Length(length),
            }
        }
        ([], [coding]) => {
            assert!(http11 && coding.eq_ignore_ascii_case(b"chunked"));
            Body::Chunked
        }
        several => panic!("{several:?} in {:?}", text(bytes)),
    };
    assert_eq!(body, expected, "{:?}", text(bytes));
}

/// The lines up to the empty one that ends the head, without empty ones before the first.
fn plain_lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    assert!(rest.is_empty(), "the last line has its end");
    assert_eq!(lines.pop(), Some(&b""[..]), "the last line is empty");
    lines
        .into_iter()
        .skip_while(|line| line.is_empty())
        .collect()
}

fn plain_field(line: &[u8]) -> (&[u8], &[u8]) {
    let colon = line.iter().position(|byte| *byte == b':').expect("a colon");
    (&line[..colon], line[colon + 1..].trim_ascii())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
