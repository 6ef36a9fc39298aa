//! What holds for any input: each function panics where it does not. Shared with the long runs.

pub mod forwarded;
pub mod frames;
pub mod head;
pub mod proxy_header;
pub mod spelling;

/// `bytes` in pieces, cut where `cuts` say: each a distance from the last, as a share of 255.
pub fn pieces<'a>(bytes: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for cut in cuts {
        let at = rest.len() * usize::from(*cut) / 255;
        let (piece, left) = rest.split_at(at);
        pieces.push(piece);
        rest = left;
    }
    pieces.push(rest);
    pieces
}

/// What is cut from what, where one input has to serve for both: its first bytes say it.
pub fn with_cuts(data: &[u8]) -> (&[u8], &[u8]) {
    let cuts = data.first().map_or(0, |first| usize::from(*first % 8)) + 1;
    data.split_at(cuts.min(data.len()))
}
