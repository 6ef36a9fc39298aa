//! Heads that pass, and each form of smuggling that does not.

use super::*;
use proptest::prelude::*;

const MAX: usize = 1024;

fn whole(text: &str) -> Verdict {
    Scanner::new(MAX).scan(text.as_bytes())
}

/// The verdict when the head comes a byte at a time.
fn dripped(text: &str) -> Verdict {
    let mut scanner = Scanner::new(MAX);
    let bytes = text.as_bytes();
    for end in 1..=bytes.len() {
        match scanner.scan(&bytes[..end]) {
            Verdict::Partial => {}
            verdict => return verdict,
        }
    }
    Verdict::Partial
}

#[track_caller]
fn refused(text: &str) {
    for verdict in [whole(text), dripped(text)] {
        assert!(
            matches!(verdict, Verdict::Invalid(Fault::Malformed(_))),
            "{text:?} came to {verdict:?}"
        );
    }
}

#[track_caller]
fn passes(text: &str, framing: Framing) {
    let head = text.find("\r\n\r\n").expect("an end of head") + 4;
    let expected = Verdict::Complete(Head { len: head, framing });
    assert_eq!(whole(text), expected);
    assert_eq!(dripped(text), expected);
}

#[test]
fn ordinary_heads_pass() {
    passes("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::None);
    passes("GET / HTTP/1.0\r\n\r\n", Framing::None);
    passes(
        "GET http://a:80/x?y=%20 HTTP/1.1\r\nhost:a:80\r\nA:\t b\t\r\n\r\n",
        Framing::None,
    );
    passes(
        "POST /ü HTTP/1.1\r\nHOST: [::1]:8080\r\nContent-Length: 12\r\n\r\nhello",
        Framing::Length(12),
    );
    passes(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
        Framing::Chunked,
    );
    passes(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        Framing::None,
    );
    assert!(matches!(
        whole("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Verdict::Complete(_)
    ));
}

#[test]
fn bare_line_feeds_and_carriage_returns() {
    refused("GET / HTTP/1.1\nHost: a\n\n");
    refused("GET / HTTP/1.1\r\nHost: a\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a\r\n\n");
    refused("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n");
    refused("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n");
    refused("\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn control_bytes() {
    refused("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n");
    refused("GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a\r\nX: \x0b\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n");
}

#[test]
fn field_lines_out_of_form() {
    refused("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n");
    refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost : a\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a\r\nX[1]: b\r\n\r\n");
}

#[test]
fn host_must_be_there_once_and_be_an_authority() {
    refused("GET / HTTP/1.1\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a\r\nhOsT: b\r\n\r\n");
    refused("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n");
}

#[test]
fn lengths_that_two_parsers_read_in_two_ways() {
    let post = |fields: &str| refused(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"));
    post("Content-Length: 5\r\nTransfer-Encoding: chunked");
    post("Transfer-Encoding: chunked\r\nContent-Length: 5");
    post("Content-Length: 5\r\nContent-Length: 5");
    post("Content-Length: 5\r\nContent-Length: 6");
    post("Content-Length: 5, 5");
    post("Content-Length: +5");
    post("Content-Length: -5");
    post("Content-Length: 0x5");
    post("Content-Length: 5 5");
    post("Content-Length:");
    post("Content-Length: 99999999999999999999");
    post("Transfer-Encoding: xchunked");
    post("Transfer-Encoding: chunked, identity");
    post("Transfer-Encoding: gzip, chunked");
    post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked");
    post("Transfer-Encoding:");
    post("Transfer-Encoding: \x0bchunked");
    post("Transfer-Encoding: \x0cchunked");
    post("Transfer-Encoding: chunked\r");
    refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
}

#[test]
fn request_lines_out_of_form() {
    for line in [
        "GET /",
        "GET",
        "GET  / HTTP/1.1",
        "GET /a b HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        "GET / HTTP/2.0",
        "GET / HTTP/0.9",
        "GET / http/1.1",
        "G(T / HTTP/1.1",
        "PRI * HTTP/2.0",
    ] {
        refused(&format!("{line}\r\nHost: a\r\n\r\n"));
    }
    refused("\r\n\r\n\r\n\r\n\r\n\r\n");
}

#[test]
fn too_large_as_soon_as_it_is_known() {
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(MAX));
    assert_eq!(whole(&long), Verdict::Invalid(Fault::TooLarge));
    assert_eq!(dripped(&long), Verdict::Invalid(Fault::TooLarge));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a:\r\n".repeat(256));
    assert_eq!(
        Scanner::new(65536).scan(many.as_bytes()),
        Verdict::Invalid(Fault::TooLarge)
    );
    let body = format!("GET / HTTP/1.1\r\nHost: a\r\n\r\n{}", "x".repeat(2 * MAX));
    assert!(
        matches!(whole(&body), Verdict::Complete(_)),
        "only the head counts"
    );
}

proptest! {
    /// However the bytes are cut, the verdict is that of the whole; and nothing panics.
    #[test]
    fn cutting_changes_nothing(
        bytes in proptest::collection::vec(
            proptest::sample::select(b"GET /HTP1.:\r\n\r\n aHost0\x00\tchunkedContent-Length".to_vec()), 0..160),
        cut in 0usize..160,
    ) {
        let mut scanner = Scanner::new(96);
        let first = scanner.scan(&bytes[..cut.min(bytes.len())]);
        let second = if first == Verdict::Partial { scanner.scan(&bytes) } else { first };
        prop_assert_eq!(second, Scanner::new(96).scan(&bytes));
    }

    /// What passes has no line end but CRLF, so no other parser can end the head elsewhere.
    #[test]
    fn what_passes_has_one_end(
        middle in proptest::collection::vec(proptest::sample::select(b"\r\n :ab".to_vec()), 0..24),
    ) {
        let mut bytes = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
        bytes.extend_from_slice(&middle);
        bytes.extend_from_slice(b"\r\n\r\n");
        if let Verdict::Complete(head) = Scanner::new(4096).scan(&bytes) {
            let text = &bytes[..head.len];
            prop_assert!(text.ends_with(b"\r\n\r\n"));
            for (at, byte) in text.iter().enumerate() {
                if *byte == b'\n' { prop_assert_eq!(text[at - 1], b'\r'); }
                if *byte == b'\r' { prop_assert_eq!(text[at + 1], b'\n'); }
            }
        }
    }
}
