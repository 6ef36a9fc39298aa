//! The counters and the claim under a model checker.
//!
//! The very source files of `limit` and `admit` are compiled here over the checker's atomics and
//! locks, so that it decides at each of them who runs next. Thousands of schedules of each scene are
//! tried: at random, and by few but well placed changes of thread (PCT), which finds what needs one
//! unlucky moment.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may stop where it stands"
)]

mod claims;
mod counters;
mod waiting;

#[expect(
    dead_code,
    unused_imports,
    reason = "the gate uses more of it than the scenes here"
)]
mod admit;
#[expect(
    dead_code,
    unused_imports,
    reason = "the gate uses more of it than the scenes here"
)]
mod limit;

/// Rooms that count nothing are the gate's own.
mod call {
    pub use tidegate::call::{Call, Class, Principal, Reason, Refusal, SessionKind, UserId, place};
}
mod classify {
    pub use tidegate::classify::Wanted;
}
mod config {
    pub use tidegate::config::{
        ADAPTIVE_LIMIT, Adaptive, Counts, Key, Limit, Match, Mode, Priority, Route, Upstream, Wait,
    };
}

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};

/// Schedules tried at random, and by PCT, of each scene.
const AT_RANDOM: usize = 2_000;
const BY_PCT: usize = 1_000;
/// Unlucky moments that PCT places in one schedule.
const DEPTH: usize = 3;

/// Plays `scene` in many schedules; a panic in one, or threads that all wait, fail the test.
fn explore(scene: impl Fn() + Send + Sync + Clone + 'static) {
    play(RandomScheduler::new(AT_RANDOM), scene.clone());
    play(PctScheduler::new(DEPTH, BY_PCT), scene);
}

fn play(scheduler: impl Scheduler + 'static, scene: impl Fn() + Send + Sync + 'static) {
    let mut config = shuttle::Config::new();
    config.stack_size = 1 << 19; // a map of keys is built on the stack, unoptimised
    shuttle::Runner::new(scheduler, config).run(scene);
}
