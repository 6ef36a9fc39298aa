//! An HTTP/2 client that says exactly what it is told to, frame by frame.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::timeout;

use super::PATIENCE;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// The bytes of one frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A GET of `path`; `flags` say whether the head and the request end with it.
pub fn get(stream: u32, path: &str, flags: u8) -> Vec<u8> {
    // :method GET, :scheme https, :authority and :path as plain literals that enter no table.
    let mut block = vec![0x82, 0x87];
    for (name, value) in [(0x01, "localhost"), (0x04, path)] {
        block.push(name);
        block.push(u8::try_from(value.len()).unwrap());
        block.extend(value.bytes());
    }
    frame(HEADERS, flags, stream, &block)
}

/// Gives the stream up.
pub fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

/// The client.
pub struct Raw2<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
}

impl<S: AsyncRead + AsyncWrite> Raw2<S> {
    /// Says hello over `stream`, with these settings.
    pub async fn over(stream: S, settings: &[(u16, u32)]) -> Self {
        let (reader, writer) = split(stream);
        let mut this = Self { reader, writer };
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        let hello = [PREFACE, &frame(SETTINGS, 0, 0, &payload)].concat();
        assert!(this.send(&hello).await, "hello is taken");
        this
    }

    /// Whether the other side still takes them.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.writer.write_all(bytes).await.is_ok() && self.writer.flush().await.is_ok()
    }

    /// The next frame; `None` at the end of the connection.
    pub async fn next(&mut self) -> Option<Frame> {
        let read = async {
            let mut head = [0; 9];
            self.reader.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.reader.read_exact(&mut payload).await.ok()?;
            Some(Frame {
                kind: head[3],
                flags: head[4],
                stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
                payload,
            })
        };
        timeout(PATIENCE, read)
            .await
            .expect("a frame, or the end, in time")
    }

    /// Asks whether everything so far was read, and waits for the answer; false at the end.
    pub async fn ping(&mut self) -> bool {
        if !self.send(&frame(PING, 0, 0, b"are you?")).await {
            return false;
        }
        self.until(|frame| frame.kind == PING && frame.flags & ACK != 0)
            .await
            .is_some()
    }

    /// The first frame that is meant, all others before it dropped; `None` at the end.
    pub async fn until(&mut self, meant: impl Fn(&Frame) -> bool) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if meant(&frame) {
                return Some(frame);
            }
        }
    }

    /// Sends all these, reading on the side; whether the other side ended the connection meanwhile,
    /// or after it, before its patience with idle connections could have run out.
    pub async fn cut_by(mut self, pieces: impl Iterator<Item = Vec<u8>>) -> bool {
        let writer = &mut self.writer;
        let write = async {
            for piece in pieces {
                if writer.write_all(&piece).await.is_err() {
                    return;
                }
            }
            drop(writer.flush().await);
        };
        let reader = &mut self.reader;
        let read = async {
            let mut bytes = [0; 4096];
            while !matches!(reader.read(&mut bytes).await, Ok(0) | Err(_)) {}
        };
        let both = async { tokio::join!(write, read) };
        timeout(PATIENCE, both).await.is_ok()
    }
}
