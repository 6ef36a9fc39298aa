//! Paths in any spelling.
#![no_main]

#[path = "../../properties/mod.rs"]
#[allow(dead_code, reason = "each target uses its part")]
mod properties;

libfuzzer_sys::fuzz_target!(|path: &str| {
    properties::spelling::check(&http::Method::GET, path);
    properties::spelling::check(&http::Method::POST, path);
});
