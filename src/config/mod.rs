//! The operator's file: text → checked → plain data, every fault at once.

pub mod types;

pub use types::*;
