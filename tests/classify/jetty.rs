//! A model of what vCenter's API endpoint makes of a request line: Jetty reads it, and a table of
//! operations says which one runs. Written from Jetty's public documentation, and from nothing else:
//!
//! - The path ends at the question mark. Escapes in it are decoded once, as bytes; `%2F` becomes a
//!   slash. A semicolon starts parameters, which go up to the next slash and are dropped.
//! - Then segments `.` and `..` are resolved. More `..` than segments: 400. An empty segment is one
//!   that `..` takes away; with `compactPath` doubled slashes are made one first, else they stay.
//! - Jetty 10 refuses what is ambiguous there (`UriCompliance.DEFAULT`), and so runs less than this.
//! - The query is split at `&`, each pair at its first `=`; `+` is a space, escapes are decoded. Of a key that
//!   comes twice the first counts. Case matters everywhere.

/// One request as the model reads it.
#[derive(Debug, PartialEq, Eq)]
pub struct Read {
    pub method: String,
    pub path: Vec<u8>,
    query: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Read {
    /// `None` where Jetty answers 400.
    pub fn new(line: &str, compact_path: bool) -> Option<Self> {
        let (method, target) = line.split_once(' ')?;
        let target = without_authority(target);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = query.split('&').map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(key, true)?, decoded(value, true)?))
        });
        Some(Self {
            method: method.to_owned(),
            path: canonical(&decoded(&without_parameters(path), false)?, compact_path)?,
            query: pairs.collect::<Option<_>>()?,
        })
    }

    /// The first value of a key.
    pub fn first(&self, key: &str) -> Option<&[u8]> {
        let pair = self.query.iter().find(|(name, _)| name == key.as_bytes());
        pair.map(|(_, value)| value.as_slice())
    }
}

fn without_authority(target: &str) -> &str {
    match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find('/').map_or("/", |slash| &rest[slash..])
        }
        _ => target,
    }
}

fn without_parameters(path: &str) -> String {
    let names = path
        .split('/')
        .map(|segment| segment.split(';').next().unwrap());
    names.collect::<Vec<_>>().join("/")
}

fn decoded(text: &str, plus: bool) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' if plus => b' ',
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    Some(out)
}

fn canonical(path: &[u8], compact: bool) -> Option<Vec<u8>> {
    let mut left: Vec<&[u8]> = Vec::new();
    let segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').skip(1).collect();
    let last = segments.len().saturating_sub(1);
    for (at, segment) in segments.into_iter().enumerate() {
        match segment {
            b"." if at == last => left.push(b""),
            b"." => {}
            b".." => {
                left.pop()?;
                if at == last {
                    left.push(b"");
                }
            }
            b"" if compact && at != last => {}
            name => left.push(name),
        }
    }
    let mut out = Vec::new();
    for segment in left {
        out.push(b'/');
        out.extend(segment);
    }
    Some(out)
}

#[test]
fn it_reads_as_documented() {
    let path = |line: &str, compact| {
        Read::new(line, compact).map(|read| String::from_utf8(read.path).unwrap())
    };
    for (line, plain, compact) in [
        ("GET /a/b", Some("/a/b"), Some("/a/b")),
        ("GET /%61/b;x=y/c", Some("/a/b/c"), Some("/a/b/c")),
        ("GET /a//b", Some("/a//b"), Some("/a/b")),
        ("GET /a/./b/../c/", Some("/a/c/"), Some("/a/c/")),
        ("GET /a%2Fb/%2e%2e/c", Some("/a/c"), Some("/a/c")),
        ("GET /a//../b", Some("/a/b"), Some("/b")),
        ("GET /..", None, None),
        ("GET /%zz", None, None),
        ("GET http://h/a?b", Some("/a"), Some("/a")),
    ] {
        assert_eq!(path(line, false).as_deref(), plain, "{line}");
        assert_eq!(path(line, true).as_deref(), compact, "{line}");
    }
    let read = Read::new("GET /?a=1&a=2&%62=x+%79&c", false).unwrap();
    assert_eq!(read.first("a"), Some(&b"1"[..]));
    assert_eq!(read.first("b"), Some(&b"x y"[..]));
    assert_eq!((read.first("c"), read.first("d")), (Some(&b""[..]), None));
}
