//! The wire on a real socket, its silences in virtual time.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::call::Class;
use crate::forward::pool::Checkout;
use crate::forward::upstream::Upstream;

const HEAD: &[u8] = b"GET / HTTP/1.1\r\nA: b\r\n\r\n";

/// A wire for a call of `class`, the dial it belongs to, and the upstream's end of the socket.
async fn wire(class: Class) -> (Wire, Arc<Dial>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let text = format!("[[upstream]]\naddress = \"http://{address}\"\nresponse_timeout = \"5s\"");
    let config = crate::config::parse(&text, Path::new(".")).unwrap();
    let upstream = Upstream::build(&config.upstreams[0], 0, 1).unwrap();
    let group = crate::admit::SocketGroup::default();
    let dial = upstream.dial(0, group, class);
    let Checkout::Vacant(ticket) = upstream.pool().checkout(0, group) else {
        panic!("an empty pool has room");
    };
    let io = Io::plain(TcpStream::connect(address).await.unwrap());
    let (end, _) = listener.accept().await.unwrap();
    (Wire::new(io, ticket, dial.clone()), dial, end)
}

#[tokio::test(start_paused = true)]
async fn a_silence_longer_than_the_response_timeout_is_an_error() {
    let (mut wire, dial, mut end) = wire(Class::Rest).await;
    wire.write_all(HEAD).await.unwrap();
    end.write_all(b"x").await.unwrap();
    assert_eq!(wire.read_u8().await.unwrap(), b'x');
    let error = wire.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(dial.is_timed_out());
}

#[tokio::test(start_paused = true)]
async fn tunnels_and_long_polls_may_be_silent() {
    for class in [Class::Rest, Class::LongPoll] {
        let (mut wire, dial, _end) = wire(class).await;
        wire.write_all(HEAD).await.unwrap();
        if class == Class::Rest {
            dial.upgraded();
        }
        let hours = Duration::from_hours(10);
        assert!(timeout(hours, wire.read_u8()).await.is_err());
        assert!(!dial.is_timed_out());
    }
}

#[tokio::test]
async fn what_is_no_whole_head_is_not_sent() {
    let (mut wire, _, _end) = wire(Class::Rest).await;
    let error = wire.write_all(b"GET / HTTP/1.1\r\n").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn the_head_goes_out_whole_and_the_body_behind_it() {
    let (mut wire, _, mut end) = wire(Class::Rest).await;
    wire.write_all(HEAD).await.unwrap();
    wire.flush().await.unwrap();
    wire.write_all(b"body").await.unwrap();
    wire.shutdown().await.unwrap();
    let mut got = Vec::new();
    end.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, [HEAD, b"body"].concat());
}
