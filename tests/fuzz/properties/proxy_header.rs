//! The PROXY header: what is told is what stands there, and what follows is left alone.

use std::net::SocketAddr;

use tidegate::listen::fuzzing::proxy_header;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What came of an input.
pub type Outcome = Result<Option<(Option<SocketAddr>, usize)>, &'static str>;

/// Checks one input, and says what came of it.
pub fn check(bytes: &[u8]) -> Outcome {
    let outcome = proxy_header(bytes);
    match outcome {
        Ok(Some((source, len))) => {
            let header = &bytes[..len];
            assert_eq!(source, plain(header), "{header:?}");
            // Not a byte less will do, and what follows changes nothing.
            for end in 0..len {
                assert_eq!(proxy_header(&bytes[..end]), Ok(None), "{end} of {header:?}");
            }
            let followed = [header, b"\r\n\r\n\0PROXY x"].concat();
            assert_eq!(proxy_header(&followed), outcome);
        }
        Ok(None) => assert!(bytes.len() < 536, "it would wait for ever: {bytes:?}"),
        Err(_) => {
            let followed = [bytes, b"\r\n"].concat();
            assert_eq!(proxy_header(&followed), outcome, "a fault stays one");
        }
    }
    outcome
}

/// The source address, by the words of the specification.
fn plain(header: &[u8]) -> Option<SocketAddr> {
    if let Some(rest) = header.strip_prefix(SIGNATURE) {
        let number = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
        assert_eq!(usize::from(number(2)), rest.len() - 4);
        return match (rest[0], rest[1] >> 4) {
            (0x21, 1) => {
                let ip: [u8; 4] = rest[4..8].try_into().unwrap();
                Some((ip, number(12)).into())
            }
            (0x21, 2) => {
                let ip: [u8; 16] = rest[4..20].try_into().unwrap();
                Some((ip, number(36)).into())
            }
            (0x20 | 0x21, _) => None,
            other => panic!("version and command {other:?}"),
        };
    }
    let line = std::str::from_utf8(header).unwrap();
    let line = line.strip_suffix("\r\n").expect("one line, ended by CRLF");
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["PROXY", family @ ("TCP4" | "TCP6"), source, _, port, _] => {
            let ip: std::net::IpAddr = source.parse().unwrap();
            assert_eq!(ip.is_ipv4(), family == "TCP4", "{line}");
            Some((ip, port.parse().unwrap()).into())
        }
        ["PROXY", "UNKNOWN", ..] => None,
        _ => panic!("{line:?}"),
    }
}
