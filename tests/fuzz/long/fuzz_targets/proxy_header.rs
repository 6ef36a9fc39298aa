//! PROXY headers, versions 1 and 2.
#![no_main]

#[path = "../../properties/mod.rs"]
#[allow(dead_code, reason = "each target uses its part")]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = properties::proxy_header::check(data);
});
