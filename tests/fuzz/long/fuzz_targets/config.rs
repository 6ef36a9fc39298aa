//! Configuration files.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    drop(tidegate::config::parse(text, std::path::Path::new(".")));
});
