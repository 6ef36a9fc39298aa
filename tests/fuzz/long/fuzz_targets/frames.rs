//! Frames of HTTP/2, the preface taken as read.
#![no_main]

#[path = "../../properties/mod.rs"]
#[allow(dead_code, reason = "each target uses its part")]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (cuts, frames) = properties::with_cuts(data);
    let written = cuts.iter().map(|cut| usize::from(*cut)).sum();
    let bytes = [&[0; 24], frames].concat();
    properties::frames::check(&bytes, cuts, written);
});
