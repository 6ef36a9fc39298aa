//! Watches the frames an HTTP/2 client sends, to cut one that never completes them or floods.
//!
//! ```text
//!   preface ─▶ head of a frame (9 bytes) ─▶ payload ─▶ head of the next frame …
//!              └── HEADERS without END_HEADERS … CONTINUATION: one block, one deadline ──┘
//! ```
//!
//! The codec behind holds no clock: it waits for the rest of a frame for ever. Only lengths, types and
//! flags are read here; everything else is the codec's to judge.

use std::time::Duration;

use tokio::time::Instant;

const PREFACE: usize = 24;
const FRAME_HEAD: usize = 9;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// Frames that move nothing (resets, pings, settings, priorities, unknown ones, empty DATA and
/// CONTINUATION) borne at once, and how many more each second: each costs the gate an answer or a
/// half-made request, and an honest client sends a few a minute.
const CONTROL_BURST: u32 = 1000;
const CONTROL_PER_SECOND: u32 = 50;
/// Bytes written that pay for one `WINDOW_UPDATE`. A client sends two at most for a DATA frame, which
/// has ten bytes at least.
const BYTES_PER_WINDOW_UPDATE: u64 = 4;

/// A client sent too many frames that move nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flood;

/// Follows the frames of one connection.
#[derive(Debug)]
pub(super) struct Frames {
    /// Longest a frame or header block may take.
    header_timeout: Duration,
    /// Longest a DATA frame may take.
    body_timeout: Duration,
    /// Bytes of the preface still to come.
    preface: usize,
    head: [u8; FRAME_HEAD],
    head_len: usize,
    /// Bytes of payload still to come.
    payload: usize,
    kind: u8,
    block_open: bool,
    began: Option<Instant>,
    control: u32,
    control_since: Instant,
    /// Bytes written that no `WINDOW_UPDATE` has been paid with.
    unspent: u64,
}

impl Frames {
    /// At the start of a connection, the preface still to come.
    pub(super) fn new(header_timeout: Duration, body_timeout: Duration) -> Self {
        Self {
            header_timeout,
            body_timeout,
            preface: PREFACE,
            head: [0; FRAME_HEAD],
            head_len: 0,
            payload: 0,
            kind: DATA,
            block_open: false,
            began: None,
            control: 0,
            control_since: Instant::now(),
            unspent: 0,
        }
    }

    /// Takes the next bytes of the connection.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Flood> {
        let skipped = self.preface.min(bytes.len());
        self.preface -= skipped;
        bytes = bytes.get(skipped..).unwrap_or_default();
        while !bytes.is_empty() {
            bytes = if self.payload > 0 {
                let taken = self.payload.min(bytes.len());
                self.payload -= taken;
                bytes.get(taken..).unwrap_or_default()
            } else {
                self.head_bytes(bytes)?
            };
            if self.payload == 0 && self.head_len == 0 && !self.block_open {
                self.began = None;
            }
        }
        let inside = self.payload > 0 || self.head_len > 0 || self.block_open;
        if inside && self.began.is_none() {
            self.began = Some(Instant::now());
        }
        Ok(())
    }

    /// Notes that so many bytes went to the client.
    pub(super) fn wrote(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.unspent = self.unspent.saturating_add(bytes);
    }

    /// When the frame or header block that is under way must be complete.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let slow_allowed = self.payload > 0 && self.kind == DATA && !self.block_open;
        let limit = if slow_allowed {
            self.body_timeout
        } else {
            self.header_timeout
        };
        self.began.map(|began| began + limit)
    }

    fn head_bytes<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Flood> {
        let taken = (FRAME_HEAD - self.head_len).min(bytes.len());
        let (now, rest) = bytes.split_at_checked(taken).unwrap_or((bytes, &[]));
        if let Some(slot) = self.head.get_mut(self.head_len..self.head_len + taken) {
            slot.copy_from_slice(now);
        }
        self.head_len += taken;
        if self.head_len == FRAME_HEAD {
            self.head_len = 0;
            self.frame()?;
        }
        Ok(rest)
    }

    fn frame(&mut self) -> Result<(), Flood> {
        let [a, b, c, kind, flags, ..] = self.head;
        self.payload = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.kind = kind;
        let empty = self.payload == 0;
        if matches!(kind, HEADERS | CONTINUATION) {
            self.block_open = flags & END_HEADERS == 0;
        }
        let moves_something = match kind {
            // How many there may be is bounded by the streams, and by the size of a header list.
            HEADERS => true,
            CONTINUATION => !empty,
            DATA => !empty || flags & END_STREAM != 0,
            WINDOW_UPDATE => self.spend(),
            _ => false,
        };
        if moves_something {
            Ok(())
        } else {
            self.control_frame()
        }
    }

    /// Pays for a `WINDOW_UPDATE`, where something was written that may have called for it.
    fn spend(&mut self) -> bool {
        let left = self.unspent.checked_sub(BYTES_PER_WINDOW_UPDATE);
        self.unspent = left.unwrap_or(self.unspent);
        left.is_some()
    }

    fn control_frame(&mut self) -> Result<(), Flood> {
        self.control += 1;
        if self.control <= CONTROL_BURST {
            return Ok(());
        }
        // The bucket is settled only when it is full: time is not read for each frame.
        let seconds = self.control_since.elapsed().as_secs();
        let earned = u32::try_from(seconds)
            .unwrap_or(u32::MAX)
            .saturating_mul(CONTROL_PER_SECOND);
        self.control_since += Duration::from_secs(seconds);
        self.control = self.control.saturating_sub(earned);
        if self.control > CONTROL_BURST {
            return Err(Flood);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RST_STREAM: u8 = 0x3;
    const SETTINGS: u8 = 0x4;
    const PING: u8 = 0x6;
    const HEADER: Duration = Duration::from_secs(10);
    const BODY: Duration = Duration::from_mins(1);

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let len = u32::try_from(payload).expect("small").to_be_bytes();
        let mut bytes = vec![len[1], len[2], len[3], kind, flags, 0, 0, 0, 1];
        bytes.resize(FRAME_HEAD + payload, 0x5a);
        bytes
    }

    fn after_preface() -> Frames {
        let mut frames = Frames::new(HEADER, BODY);
        frames.feed(&[0; PREFACE]).expect("no flood");
        frames
    }

    #[tokio::test(start_paused = true)]
    async fn whole_frames_leave_no_deadline_however_they_are_cut() {
        let mut bytes = vec![0; PREFACE];
        for (kind, flags, payload) in [(4, 0, 18), (1, 4, 33), (0, 1, 5), (8, 0, 4), (0, 0, 0)] {
            bytes.extend(frame(kind, flags, payload));
        }
        for cut in 1..bytes.len() {
            let mut frames = Frames::new(HEADER, BODY);
            for chunk in bytes.chunks(cut) {
                frames.feed(chunk).expect("no flood");
            }
            assert_eq!(frames.deadline(), None, "cut into {cut}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn dripping_does_not_move_the_deadline() {
        let mut frames = after_preface();
        let due = Instant::now() + HEADER;
        for byte in frame(HEADERS, END_HEADERS, 8).iter().take(16) {
            frames.feed(&[*byte]).expect("no flood");
            assert_eq!(frames.deadline(), Some(due));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_block_has_one_deadline_over_all_its_frames() {
        let mut frames = after_preface();
        let due = Instant::now() + HEADER;
        frames.feed(&frame(HEADERS, 0, 8)).expect("no flood");
        tokio::time::advance(Duration::from_secs(4)).await;
        frames.feed(&frame(CONTINUATION, 0, 8)).expect("no flood");
        assert_eq!(frames.deadline(), Some(due));
        frames
            .feed(&frame(CONTINUATION, END_HEADERS, 8))
            .expect("no flood");
        assert_eq!(frames.deadline(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn each_frame_has_a_deadline_of_its_own_and_data_the_longer_one() {
        let mut frames = after_preface();
        frames.feed(&frame(DATA, 0, 100)[..50]).expect("no flood");
        assert_eq!(frames.deadline(), Some(Instant::now() + BODY));
        tokio::time::advance(Duration::from_secs(9)).await;
        let mut rest = frame(DATA, 0, 100)[50..].to_vec();
        rest.extend_from_slice(&frame(PING, 0, 8)[..12]);
        frames.feed(&rest).expect("no flood");
        assert_eq!(frames.deadline(), Some(Instant::now() + HEADER));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reset_flood_is_told_from_slow_resets() {
        let mut frames = after_preface();
        let reset = frame(RST_STREAM, 0, 4);
        let borne = (0..10_000)
            .take_while(|_| frames.feed(&reset).is_ok())
            .count();
        assert_eq!(borne, 1000);
        let mut frames = after_preface();
        for _ in 0..5_000 {
            frames.feed(&reset).expect("40 a second is no flood");
            tokio::time::advance(Duration::from_millis(25)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_frame_that_moves_nothing_is_bounded() {
        for (kind, flags, payload) in [
            (SETTINGS, 0, 6),
            (PING, 0, 8),
            (DATA, 0, 0),
            (CONTINUATION, 0, 0),
            (WINDOW_UPDATE, 0, 4),
            (0x2, 0, 5),
            (0xee, 0, 0),
        ] {
            let mut frames = after_preface();
            let one = frame(kind, flags, payload);
            let borne = (0..10_000)
                .take_while(|_| frames.feed(&one).is_ok())
                .count();
            assert_eq!(borne, 1000, "kind {kind}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_bodies_and_the_windows_of_answers_are_no_flood() {
        let mut frames = after_preface();
        for _ in 0..10_000 {
            frames
                .feed(&frame(HEADERS, END_HEADERS, 30))
                .expect("a request");
            frames.feed(&frame(DATA, 0, 1)).expect("its body");
            frames
                .feed(&frame(DATA, END_STREAM, 0))
                .expect("the end of it");
            frames.wrote(FRAME_HEAD + 1);
            for _ in 0..2 {
                frames
                    .feed(&frame(WINDOW_UPDATE, 0, 4))
                    .expect("room for more");
            }
        }
    }
}
