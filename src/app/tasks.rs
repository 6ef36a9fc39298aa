//! Tasks while the gate runs: the desk, who works on them, who tells of them.

mod alive;
mod api;
mod carrier;
mod chores;
mod hands;
mod overseer;

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::mpsc;

pub(super) use self::api::at_the_door;
pub use self::carrier::Post;
pub(super) use self::chores::start as start_chores;
pub(super) use self::hands::Hands;
pub(super) use self::overseer::overseer;
use super::people::TakenUp;
use crate::config::Config;
use crate::task::{Bounds, Desk, TaskId};

/// The desk of a gate, and the names of tasks that come in to be worked on.
pub(super) fn desk(
    config: &Config,
    taken_up: &TakenUp,
) -> (Arc<Desk>, mpsc::UnboundedReceiver<TaskId>) {
    let bounds = Bounds {
        of_upstream: config.tasks.queue,
        of_owner: config.tasks.queue_per_user,
        retention: config.tasks.retention,
    };
    let clock = Arc::new(SystemTime::now);
    let (store, keys) = (taken_up.tasks.clone(), taken_up.keys.clone());
    let (desk, arriving) = Desk::new(store, keys, clock, bounds);
    let desk = desk
        .under(&config.tasks.prefix)
        .detaching(config.tasks.detach)
        .minding(&config.upstreams);
    (Arc::new(desk), arriving)
}
