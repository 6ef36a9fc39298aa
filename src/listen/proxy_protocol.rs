//! The PROXY protocol, versions 1 and 2: who really connected, told by a load balancer before the first
//! byte of its client. Read to the byte, so that nothing of what follows is taken.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};
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

async fn header(socket: &mut TcpStream) -> Result<Option<SocketAddr>, &'static str> {
    let mut bytes = vec![0; START];
    fill(socket, &mut bytes, 0).await?;
    if bytes == v2::PROTOCOL_PREFIX {
        read_v2(socket, bytes).await
    } else if bytes.starts_with(b"PROXY ") {
        read_v1(socket, bytes).await
    } else {
        Err("there is no PROXY header")
    }
}

async fn read_v2<R: AsyncRead + Unpin>(
    socket: &mut R,
    mut bytes: Vec<u8>,
) -> Result<Option<SocketAddr>, &'static str> {
    bytes.resize(V2_START, 0);
    fill(socket, &mut bytes, START).await?;
    let length = match bytes.as_slice() {
        [.., high, low] => usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    };
    if V2_START + length > V2_MAX {
        return Err("the PROXY header is too long");
    }
    bytes.resize(V2_START + length, 0);
    fill(socket, &mut bytes, V2_START).await?;
    let header = v2::Header::try_from(bytes.as_slice()).map_err(|_| MALFORMED)?;
    if header.command == v2::Command::Local {
        return Ok(None);
    }
    Ok(match header.addresses {
        v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    })
}

/// The line has no length, so it is looked at before it is taken.
async fn read_v1(
    socket: &mut TcpStream,
    mut bytes: Vec<u8>,
) -> Result<Option<SocketAddr>, &'static str> {
    let mut ahead = [0; V1_MAX];
    while !bytes.ends_with(b"\n") {
        let room = V1_MAX.saturating_sub(bytes.len());
        let Some(window) = ahead.get_mut(..room).filter(|window| !window.is_empty()) else {
            return Err("the PROXY header is too long");
        };
        let seen = socket.peek(window).await.map_err(gone)?;
        if seen == 0 {
            return Err(gone(io::ErrorKind::UnexpectedEof.into()));
        }
        let fresh = window.get(..seen).unwrap_or_default();
        let line_end = memchr::memchr(b'\n', fresh).map_or(seen, |at| at + 1);
        let from = bytes.len();
        bytes.resize(from + line_end, 0);
        fill(socket, &mut bytes, from).await?;
    }
    let header = v1::Header::try_from(bytes.as_slice()).map_err(|_| MALFORMED)?;
    Ok(match header.addresses {
        v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Unknown => None,
    })
}

async fn fill<R: AsyncRead + Unpin>(
    socket: &mut R,
    bytes: &mut [u8],
    from: usize,
) -> Result<(), &'static str> {
    let rest = bytes.get_mut(from..).unwrap_or_default();
    socket.read_exact(rest).await.map(drop).map_err(gone)
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
