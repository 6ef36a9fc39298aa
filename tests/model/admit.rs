//! The room `admit`, its own files over the counters that stand on the checker.

#[path = "../../src/admit/adaptive.rs"]
mod adaptive;
#[path = "../../src/admit/claim.rs"]
mod claim;
#[path = "../../src/admit/live.rs"]
mod live;
#[path = "../../src/admit/rule.rs"]
mod rule;
#[path = "../../src/admit/stack.rs"]
mod stack;
#[path = "../../src/admit/tally.rs"]
mod tally;
#[path = "../../src/admit/left.rs"]
mod left;
#[path = "../../src/admit/terms.rs"]
mod terms;
#[path = "../../src/admit/turn.rs"]
mod turn;
#[path = "../../src/admit/units.rs"]
mod units;
#[path = "../../src/admit/view.rs"]
mod view;
#[path = "../../src/admit/wait.rs"]
mod wait;
#[path = "../../src/admit/who.rs"]
mod who;
#[path = "../../src/admit/yields.rs"]
mod yields;

pub use claim::Claim;
pub use stack::{ResponseCap, SocketGroup, SocketLimit, Stack};
pub use terms::Terms;
pub use turn::Turn;
pub use units::SessionUnits;
pub use view::LimitView;
pub use wait::{Entry, Waiting};
