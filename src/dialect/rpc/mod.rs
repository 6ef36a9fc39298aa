//! JSON-RPC calls of VMware's SDKs: one pass over a body of any size, which keeps only what the gate asks for.

mod capture;
mod envelope;
mod json;
mod text;

pub use envelope::{Known, Scanner};

use std::fmt;

/// The body is no JSON-RPC call, or one that others might read otherwise. The answer is 400.
///
/// Says why, in the words that follow "the body".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadBody(pub &'static str);

impl fmt::Display for BadBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body {}", self.0)
    }
}

impl std::error::Error for BadBody {}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
