//! The watcher of HTTP/2 frames: however the bytes are cut, it stands where a plain reading stands.

use tidegate::listen::fuzzing::{FrameState, frames};

use super::pieces;

const PREFACE: usize = 24;
/// What the watcher bears at once, and what pays for one more room for answers.
const BORNE: u32 = 1000;
const ROOM: usize = 4;

/// Checks one input, and says where the watcher stands after it.
pub fn check(bytes: &[u8], cuts: &[u8], written: usize) -> FrameState {
    let whole = frames([bytes], written);
    assert_eq!(whole, frames(pieces(bytes, cuts), written), "{cuts:?}");
    assert_eq!(whole, plain(bytes, written), "{written} bytes written");
    whole
}

/// Frame after frame, all bytes at hand.
fn plain(bytes: &[u8], mut written: usize) -> FrameState {
    let Some(mut rest) = bytes.get(PREFACE..) else {
        // The time for the preface is the handshake's.
        return FrameState::Between;
    };
    let (mut idle, mut block_open) = (0, false);
    while let Some((head, behind)) = rest.split_at_checked(9) {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        if kind == 1 || kind == 9 {
            block_open = flags & 4 == 0;
        }
        let moves = kind == 1
            || (kind == 0 && (length > 0 || flags & 1 != 0))
            || (kind == 9 && length > 0)
            || (kind == 8 && written >= ROOM);
        if moves && kind == 8 {
            written -= ROOM;
        }
        idle += u32::from(!moves);
        if idle > BORNE {
            return FrameState::Flood;
        }
        let Some((_, next)) = behind.split_at_checked(length) else {
            return FrameState::Inside;
        };
        rest = next;
    }
    if rest.is_empty() && !block_open {
        FrameState::Between
    } else {
        FrameState::Inside
    }
}
