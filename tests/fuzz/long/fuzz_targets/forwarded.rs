//! Field lines of `Forwarded` and `X-Forwarded-For`.
#![no_main]

#[path = "../../properties/mod.rs"]
#[allow(dead_code, reason = "each target uses its part")]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    properties::forwarded::check(data, "192.0.2.7".parse().unwrap());
    properties::forwarded::check(data, "2001:db8::7".parse().unwrap());
});
