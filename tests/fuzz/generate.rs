//! Inputs that come near what is valid: that is where parsers differ.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Places to cut at.
pub fn cuts() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..6)
}

/// A change of one place of a text.
#[derive(Debug, Clone)]
pub enum Edit {
    Put(usize, Vec<u8>),
    Take(usize, usize),
    Set(usize, u8),
}

/// Changes with bytes that matter to the parser, and with any.
pub fn edits(pieces: &'static [&'static [u8]], most: usize) -> impl Strategy<Value = Vec<Edit>> {
    let put = prop_oneof![
        4 => select(pieces).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 1..4),
    ];
    let edit = prop_oneof![
        (any::<usize>(), put).prop_map(|(at, bytes)| Edit::Put(at, bytes)),
        (any::<usize>(), 1_usize..5).prop_map(|(at, count)| Edit::Take(at, count)),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
    ];
    vec(edit, 0..=most)
}

/// `bytes` with all of these changes.
pub fn edited(mut bytes: Vec<u8>, edits: Vec<Edit>) -> Vec<u8> {
    for edit in edits {
        let place = |at: usize| at % (bytes.len() + 1);
        match edit {
            Edit::Put(at, piece) => {
                let at = place(at);
                bytes.splice(at..at, piece);
            }
            Edit::Take(at, count) => {
                let at = place(at);
                let end = bytes.len().min(at + count);
                bytes.drain(at..end);
            }
            Edit::Set(at, byte) => {
                let at = place(at);
                if let Some(slot) = bytes.get_mut(at) {
                    *slot = byte;
                }
            }
        }
    }
    bytes
}

const HEAD_PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b"\0",
    b"\r\n\r\n",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"\r\nHost: b",
    b"\r\nContent-Length: 3",
    b"\r\nContent-Length: 0",
    b",",
    b"3",
    b"+",
    b"\r\n ",
    b"\r\nTransfer-Encoding: chunked",
    b"chunked",
    b"gzip, ",
    b"\x0b",
    b"\xff",
    b"\x7f",
    b"\xc3\xa9",
    b"http://b/",
    b"?",
    b"#",
    b"\"",
    b"@",
    b";",
];

/// HTTP/1 heads, right or nearly.
pub fn head() -> impl Strategy<Value = Vec<u8>> {
    let method = select(&["GET", "POST", "PUT", "OPTIONS", "M-SEARCH", "get"][..]);
    let target = select(
        &[
            "/",
            "/a?b=c",
            "*",
            "http://a/b",
            "a:1",
            "/%41/\u{e9}",
            "/<\"|>^`{}",
        ][..],
    );
    let version = select(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"][..]);
    let field = select(
        &[
            "Host: a.example:8080",
            "HOST:[2001:db8::1]",
            "host: \t a \t",
            "Content-Length: 5",
            "content-length:0",
            "Transfer-Encoding: chunked",
            "transfer-encoding: \tChunked ",
            "X-Empty:",
            "X-A: b  c\td",
            "X-Bytes: \u{e9}\u{fffd}",
            "Connection: close, x",
        ][..],
    );
    let line = (method, target, version).prop_map(|(m, t, v)| format!("{m} {t} {v}\r\n"));
    let host = prop_oneof![4 => Just("Host: a\r\n"), 1 => Just("")];
    let fields =
        vec(field.prop_map(|field| format!("{field}\r\n")), 0..4).prop_map(|all| all.concat());
    let blanks = prop_oneof![8 => Just(""), 1 => Just("\r\n"), 1 => Just("\r\n\r\n\r\n\r\n\r\n")];
    let rest = select(&["", "hello", "GET / HTTP/1.1\r\n\r\n"][..]);
    let whole =
        (blanks, line, host, fields, rest).prop_map(|(blanks, line, host, fields, rest)| {
            format!("{blanks}{line}{host}{fields}\r\n{rest}")
        });
    prop_oneof![
        8 => (whole, edits(HEAD_PIECES, 2)).prop_map(|(text, edits)| edited(text.into_bytes(), edits)),
        1 => vec(select(HEAD_PIECES), 0..30).prop_map(|pieces| pieces.concat()),
        1 => vec(any::<u8>(), 0..200),
        1 => (1_usize..6000).prop_map(|len| {
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(len)).into_bytes()
        }),
        1 => (0_usize..300).prop_map(|count| {
            format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count)).into_bytes()
        }),
    ]
}

/// HTTP/2 from its preface on, with runs of one frame, cut off anywhere.
pub fn frames() -> impl Strategy<Value = Vec<u8>> {
    let times = prop_oneof![6 => 1_usize..4, 1 => 400_usize..700];
    let kind = prop_oneof![10 => 0_u8..11, 1 => any::<u8>()];
    let frame = (kind, any::<u8>(), 0_usize..20, times).prop_map(|(kind, flags, length, times)| {
        let mut one = vec![0, 0, u8::try_from(length).unwrap(), kind, flags, 0, 0, 0, 1];
        one.resize(9 + length, 0x5a);
        one.repeat(times)
    });
    let cut = prop_oneof![2 => Just(usize::MAX), 1 => any::<usize>()];
    (vec(frame, 0..12), cut).prop_map(|(frames, cut)| {
        let mut bytes = vec![0x50; 24];
        bytes.extend(frames.concat());
        let end = if cut == usize::MAX {
            bytes.len()
        } else {
            cut % (bytes.len() + 1)
        };
        bytes.truncate(end);
        bytes
    })
}

const PROXY_PIECES: &[&[u8]] = &[
    b"\r\n", b"\n", b"\r", b" ", b"PROXY ", b"TCP4", b"TCP6", b"UNKNOWN", b"0", b"1", b"65536",
    b".", b":", b"::", b"\0", b"\xff", b"+",
];

/// PROXY headers of both versions, right or nearly.
pub fn proxy_header() -> impl Strategy<Value = Vec<u8>> {
    let v1 = (any::<std::net::IpAddr>(), any::<u16>(), 0_u8..4).prop_map(|(ip, port, form)| {
        let family = if ip.is_ipv4() { "TCP4" } else { "TCP6" };
        let line = match form {
            0 => "PROXY UNKNOWN\r\n".to_owned(),
            1 => format!("PROXY UNKNOWN {ip} {ip} {port} 80\r\n"),
            _ => format!("PROXY {family} {ip} {ip} {port} 80\r\n"),
        };
        line.into_bytes()
    });
    let command = prop_oneof![6 => Just(0x21_u8), 2 => Just(0x20), 1 => any::<u8>()];
    let family = select(&[0x00_u8, 0x11, 0x12, 0x21, 0x22, 0x31, 0x41][..]);
    let length = select(&[0_usize, 4, 12, 36, 40, 216, 520, 521][..]);
    let v2 = (command, family, length, any::<u8>()).prop_map(|(command, family, length, fill)| {
        let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        bytes.extend((0..length).map(|n| fill.wrapping_add(u8::try_from(n % 256).unwrap())));
        bytes
    });
    let any_form = prop_oneof![v1, v2];
    prop_oneof![
        6 => (any_form, edits(PROXY_PIECES, 2), vec(any::<u8>(), 0..20)).prop_map(|(bytes, edits, rest)| {
            [edited(bytes, edits), rest].concat()
        }),
        1 => vec(any::<u8>(), 0..600),
    ]
}

const HOP_PIECES: &[&[u8]] = &[
    b",",
    b";",
    b"=",
    b"\"",
    b"\\",
    b"[",
    b"]",
    b":",
    b" ",
    b"\n",
    b"for=",
    b"For=",
    b"by=",
    b"for",
    b"10.1.1.1",
    b"192.0.2.7",
    b"\"[2001:db8::1]:80\"",
    b"fd00::1",
    b"::ffff:10.0.0.9",
    b"unknown",
    b"_x",
    b"127.1",
    b"1.2.3.4:99999",
    b"\xff",
];

/// Field lines of proxies and of those that pretend to be some.
pub fn hops() -> impl Strategy<Value = Vec<u8>> {
    vec(select(HOP_PIECES), 0..16).prop_map(|pieces| pieces.concat())
}

/// Paths in odd spellings.
pub fn path() -> impl Strategy<Value = String> {
    let piece = select(
        &[
            "/",
            "/",
            "/",
            "/",
            "//",
            "api",
            "API",
            "rest",
            "sdk",
            "folder",
            "nfc",
            "cls",
            "data",
            "policy",
            "x",
            ".",
            "..",
            "%2e",
            "%2E",
            "%2f",
            "%2F",
            "%61pi",
            "a%70i",
            "%73dk",
            "fol%64er",
            ";x=y",
            ";",
            "%3b",
            "%25",
            "%41",
            "%7e",
            "%c3%a9",
            "?a=b",
            "%20",
            "\u{e9}",
            "guestFile",
        ][..],
    );
    vec(piece, 1..9).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// Configurations in pieces, and valid ones with changes.
pub fn config() -> impl Strategy<Value = String> {
    const PIECES: &[&[u8]] = &[
        b"\"",
        b"[",
        b"]",
        b"{",
        b"}",
        b"=",
        b".",
        b"\n",
        b"#",
        b"-1",
        b"1e400",
        b"\"5s\"",
        b"true",
        b"\0",
        b"[[upstream]]\n",
        b"99999999999999999999",
        b"limits = 1\n",
        b"\"\"\"",
        b"\\u0000",
        b"[upstream.limits.x]\n",
    ];
    let seed = select(
        &[
            include_str!("../../config/tidegate.toml"),
            include_str!("../../config/examples/tuned.toml"),
        ][..],
    );
    prop_oneof![
        2 => (seed, edits(PIECES, 6)).prop_map(|(seed, edits)| edited(seed.as_bytes().to_vec(), edits)),
        1 => vec(select(PIECES), 0..40).prop_map(|pieces| pieces.concat()),
        1 => vec(any::<u8>(), 0..300),
    ]
    .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
