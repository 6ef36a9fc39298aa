//! Heads of HTTP/1 requests.
#![no_main]

#[path = "../../properties/mod.rs"]
#[allow(dead_code, reason = "each target uses its part")]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (cuts, bytes) = properties::with_cuts(data);
    properties::head::check(bytes, cuts);
});
