//! Station 3, may it pass now: one claim over every limit of the call.
//!
//! ```text
//!   Call ─▶ rules of its class, narrowed by `match`
//!             1. what can be given back: places at the upstream, seats, seats by key   ─┐ in this order,
//!             2. what cannot: offers of each rate, taken only once all are had         ─┤ all or nothing
//!                                                                                       ▼
//!           Claim: held until dropped, whatever ends the call      or, of the first that is full:
//!                                                                  Waiting, in its line ─▶ Turn ─▶ the rest
//!                                                                  Refusal, where waiting cannot help
//! ```

mod adaptive;
mod claim;
mod explain;
mod left;
mod live;
mod rule;
mod stack;
mod tally;
mod terms;
mod turn;
mod units;
mod view;
mod wait;
mod who;
mod yields;

#[cfg(test)]
mod tests;

pub use claim::Claim;
pub use explain::{Explained, Holder, Outlook};
pub use left::LeftBehind;
pub use stack::{ResponseCap, SocketGroup, SocketLimit, Stack};
pub use terms::{Terms, rank};
pub use turn::Turn;
pub use units::SessionUnits;
pub use view::LimitView;
pub use wait::{Entry, Waiting};
pub use yields::{Pushback, Why};
