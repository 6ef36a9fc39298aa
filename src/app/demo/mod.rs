//! `tidegate demo`: a gate on loopback in front of a built-in imitation of a vCenter.

mod certificate;
mod inventory;
mod sessions;
mod settings;
mod stage;
mod text;
mod vapi;
mod vcenter;

pub use certificate::{Pair, self_made};
pub use settings::{Places, configuration};
pub use stage::Stage;
pub use text::what_to_try;
pub use vcenter::{CLONE_TAKES, Open, Stats, VCenter, serve};

#[cfg(test)]
mod tests;
