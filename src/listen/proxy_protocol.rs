//! The PROXY protocol, versions 1 and 2: who really connected, told by a load balancer before the first
//! byte of its client. Read to the byte, so that nothing of what follows is taken.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ppp::{v1, v2};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest header of version 1, its line end included.
const V1_MAX: usize = 107;
/// Longest header of version 2 that is borne; the addresses take at most 232.
const V2_MAX: usize = 536;
/// Shorter than the shortest header of either version, and enough to tell them apart.
const START: usize = 12;
const V2_START: usize = 16;

const MALFORMED: &str = "the PROXY header is malformed";

/// Reads the header. `None`: the balancer speaks for itself (a health check) or knows no address.
pub(super) async fn read(
    socket: &mut TcpStream,
    deadline: Duration,
) -> Result<Option<SocketAddr>, &'static str> {
    match timeout(deadline, header(socket)).await {
        Ok(outcome) => outcome,
        Err(_) => Err("the PROXY header was not complete in time"),
    }
}

/// What the bytes so far come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Exactly so many bytes more belong to the header, at least.
    Take(usize),
    /// It goes on to the end of its line.
    TakeLine,
    /// It is complete.
    Done(Option<SocketAddr>),
    /// It is none, or a wrong one.
    Fault(&'static str),
}

/// Judges the header so far; `bytes` never hold more than what earlier steps asked for.
pub(super) fn judge(bytes: &[u8]) -> Step {
    let Some(start) = bytes.get(..START) else {
        return Step::Take(START.saturating_sub(bytes.len()));
    };
    let judged = if start == v2::PROTOCOL_PREFIX {
        judge_v2(bytes)
    } else if start.starts_with(b"PROXY ") {
        judge_v1(bytes)
    } else {
        Err("there is no PROXY header")
    };
    judged.unwrap_or_else(Step::Fault)
}

fn judge_v2(bytes: &[u8]) -> Result<Step, &'static str> {
    let Some([.., high, low]) = bytes.get(..V2_START) else {
        return Ok(Step::Take(V2_START.saturating_sub(bytes.len())));
    };
    let whole = V2_START + usize::from(u16::from_be_bytes([*high, *low]));
    if whole > V2_MAX {
        return Err("the PROXY header is too long");
    }
    if bytes.len() < whole {
        return Ok(Step::Take(whole.saturating_sub(bytes.len())));
    }
    let header = v2::Header::try_from(bytes).map_err(|_| MALFORMED)?;
    if header.command == v2::Command::Local {
        return Ok(Step::Done(None));
    }
    Ok(Step::Done(match header.addresses {
        v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    }))
}

fn judge_v1(bytes: &[u8]) -> Result<Step, &'static str> {
    if !bytes.ends_with(b"\n") {
        return if bytes.len() < V1_MAX {
            Ok(Step::TakeLine)
        } else {
            Err("the PROXY header is too long")
        };
    }
    // The parser takes any byte for the one behind the first CR, and what follows for the next line.
    if memchr::memchr(b'\r', bytes) != Some(bytes.len().saturating_sub(2)) {
        return Err(MALFORMED);
    }
    let header = v1::Header::try_from(bytes).map_err(|_| MALFORMED)?;
    Ok(Step::Done(match header.addresses {
        v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Unknown => None,
    }))
}

/// How many bytes of `ahead` a line takes that has `so_far` already: to its end, or its longest.
pub(super) fn of_line(so_far: usize, ahead: &[u8]) -> usize {
    let room = V1_MAX.saturating_sub(so_far).min(ahead.len());
    let ahead = ahead.get(..room).unwrap_or_default();
    memchr::memchr(b'\n', ahead).map_or(room, |at| at + 1)
}

async fn header(socket: &mut TcpStream) -> Result<Option<SocketAddr>, &'static str> {
    let mut bytes = Vec::with_capacity(V1_MAX);
    loop {
        let more = match judge(&bytes) {
            Step::Take(more) => more,
            // The line has no length, so it is looked at before it is taken.
            Step::TakeLine => {
                let mut ahead = [0; V1_MAX];
                let seen = socket.peek(&mut ahead).await.map_err(gone)?;
                if seen == 0 {
                    return Err(gone(io::ErrorKind::UnexpectedEof.into()));
                }
                of_line(bytes.len(), ahead.get(..seen).unwrap_or_default())
            }
            Step::Done(source) => return Ok(source),
            Step::Fault(why) => return Err(why),
        };
        let from = bytes.len();
        bytes.resize(from + more, 0);
        let rest = bytes.get_mut(from..).unwrap_or_default();
        socket.read_exact(rest).await.map_err(gone)?;
    }
}

fn gone(_: io::Error) -> &'static str {
    "the peer hung up inside the PROXY header"
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    /// What is read from `bytes` sent in pieces of `piece`, and what is left behind it.
    async fn read_from(
        bytes: &[u8],
        piece: usize,
    ) -> (Result<Option<SocketAddr>, &'static str>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound"))
            .await
            .expect("connected");
        client.set_nodelay(true).expect("set");
        let (mut server, _) = listener.accept().await.expect("accepted");
        let pieces: Vec<Vec<u8>> = bytes.chunks(piece).map(<[u8]>::to_vec).collect();
        let writer = tokio::spawn(async move {
            for piece in pieces {
                client.write_all(&piece).await.expect("written");
                tokio::task::yield_now().await;
            }
        });
        let outcome = read(&mut server, Duration::from_secs(20)).await;
        let mut rest = Vec::new();
        if outcome.is_ok() {
            server.read_to_end(&mut rest).await.expect("the rest");
        }
        drop(server);
        drop(writer.await);
        (outcome, rest)
    }

    fn v2_bytes(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = v2::PROTOCOL_PREFIX.to_vec();
        let length = u16::try_from(payload.len()).expect("short");
        bytes.extend([0x20 | command, family]);
        bytes.extend(length.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    #[tokio::test]
    async fn the_address_is_told_and_what_follows_is_left() {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x67, 0, 80];
        let mut with_extras = v4.to_vec();
        with_extras.extend([0x04, 0, 3, 1, 2, 3]);
        let known: &[(Vec<u8>, Option<&str>)] = &[
            (
                b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n".to_vec(),
                Some("192.0.2.7:4711"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n".to_vec(),
                Some("[2001:db8::7]:4711"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            (v2_bytes(1, 0x11, &v4), Some("192.0.2.7:4711")),
            (v2_bytes(1, 0x11, &with_extras), Some("192.0.2.7:4711")),
            (v2_bytes(0, 0x11, &v4), None),
            (v2_bytes(1, 0x00, &[]), None),
        ];
        for (header, expected) in known {
            for piece in [1, 5, 4096] {
                let mut bytes = header.clone();
                bytes.extend(b"GET / HTTP/1.1\r\n");
                let (outcome, rest) = read_from(&bytes, piece).await;
                let expected = expected.map(|text| text.parse().expect("an address"));
                assert_eq!(outcome, Ok(expected), "{header:?} in pieces of {piece}");
                assert_eq!(rest, b"GET / HTTP/1.1\r\n");
            }
        }
    }

    #[tokio::test]
    async fn everything_else_is_refused() {
        let mut bad_version = v2_bytes(1, 0x11, &[0; 12]);
        bad_version[12] = 0x31;
        for header in [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4711\r\nGET".to_vec(),
            b"PROXY TCP4 192.0.2.700 10.0.0.1 4711 80\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\n".to_vec(),
            [
                b"PROXY UNKNOWN ".to_vec(),
                vec![b'x'; 200],
                b"\r\n".to_vec(),
            ]
            .concat(),
            v2_bytes(1, 0x11, &[0; 4]),
            v2_bytes(1, 0x11, &vec![0; 600]),
            v2_bytes(2, 0x11, &[0; 12]),
            bad_version,
        ] {
            for piece in [1, 4096] {
                let (outcome, _) = read_from(&header, piece).await;
                assert!(outcome.is_err(), "{header:?} came to {outcome:?}");
            }
        }
    }
}
