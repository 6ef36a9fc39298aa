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

const ANSWER: &[u8] = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\nA: b\r\n\r\n\"b0\"\n";

/// A wire whose answer is wanted in any case, with the head and `body` of its request sent.
async fn wanted(body: &[u8]) -> (Wire, Arc<Dial>, TcpStream) {
    let (wire, dial, end) = wire(Class::Login).await;
    dial.keep_answer();
    // The wire asks for it as it is made.
    let mut wire = again(wire, &dial);
    wire.write_all(HEAD).await.unwrap();
    wire.write_all(body).await.unwrap();
    wire.flush().await.unwrap();
    (wire, dial, end)
}

fn again(mut wire: Wire, dial: &Arc<Dial>) -> Wire {
    let (io, ticket) = (wire.io.take().unwrap(), wire.ticket.take().unwrap());
    Wire::new(io, ticket, dial.clone())
}

#[tokio::test]
async fn an_answer_that_is_wanted_is_read_to_its_end_from_wherever_it_was_left() {
    for heard in [0, 1, 20, ANSWER.len() - 1] {
        let (mut wire, dial, mut end) = wanted(b"body").await;
        let (first, second) = ANSWER.split_at(heard);
        end.write_all(first).await.unwrap();
        let mut read = vec![0; heard];
        wire.read_exact(&mut read).await.unwrap();
        drop(wire);
        let rest = dial.take_rest().unwrap();
        assert_eq!(rest.sent(), 4);
        assert!(!format!("{rest:?}").contains("201"), "it may hold a token");
        end.write_all(second).await.unwrap();
        let answer = rest.answer(Duration::from_secs(20), 64).await.unwrap();
        assert_eq!((answer.status, &*answer.body), (201, &b"\"b0\"\n"[..]));
        assert_eq!(answer.headers["a"], "b");
        assert!(dial.take_rest().is_none());
    }
}

#[tokio::test]
async fn nothing_is_left_of_an_answer_that_is_whole_or_broken_off_or_not_wanted() {
    let (mut wire, dial, mut end) = wanted(b"").await;
    end.write_all(ANSWER).await.unwrap();
    wire.read_exact(&mut [0; ANSWER.len()]).await.unwrap();
    dial.response_complete();
    drop(wire);
    assert!(dial.take_rest().is_none(), "it is whole");

    let (mut wire, dial, end) = wanted(b"").await;
    drop(end);
    // The end of the stream, or that it was reset: the request was not read.
    assert!(matches!(wire.read(&mut [0; 9]).await, Ok(0) | Err(_)));
    drop(wire);
    assert!(dial.take_rest().is_none(), "the upstream ended it");

    let (mut wire, dial, _end) = self::wire(Class::Rest).await;
    wire.write_all(HEAD).await.unwrap();
    drop(wire);
    assert!(dial.take_rest().is_none(), "nobody wants it");
}
