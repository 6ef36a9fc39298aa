//! SOAP 1.1 and 1.2: which method a call asks for, and what an answer to a login says.

mod answer;
mod call;

pub(super) use answer::answer;
pub use call::{MAX_PREFIX, Method, Reading, method};

#[cfg(test)]
mod tests;
