//! Tasks while the gate runs: the desk, who works on them, who tells of them.

mod alive;
mod api;
mod carrier;
mod chores;
mod hands;
mod overseer;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;

pub(super) use self::api::at_the_door;
pub use self::carrier::Post;
pub(super) use self::chores::start as start_chores;
pub(super) use self::hands::Hands;
pub(super) use self::overseer::overseer;
use super::people::TakenUp;
use crate::config::{self, Config};
use crate::proxy::Shared;
use crate::task::{Bounds, Desk, Keep, Keeping, Most, TaskId};

/// Longest time for the store to forget the last seats.
const LAST: Duration = Duration::from_secs(2);

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
        .minding(&config.upstreams)
        .keeping(keeping(&config.tasks));
    (Arc::new(desk), arriving)
}

/// Has the store forget the seats of calls that ended just now: else the next start would hold them.
pub(super) async fn last_seats(shared: &Shared) {
    let forgotten = tokio::time::timeout(LAST, shared.desk.forget_free_seats());
    if !forgotten.await.unwrap_or_default() {
        tracing::warn!(
            "the store did not forget the seats of the last calls: the next start holds them, for tasks.max_blocking at most"
        );
    }
}

/// A user's share of the bytes is as large as that of the tasks.
fn keeping(tasks: &config::Tasks) -> Keeping {
    let of_all = Most {
        tasks: tasks.max_finished,
        bytes: tasks.max_finished_bytes,
    };
    let of_one = tasks.max_finished_per_user.min(of_all.tasks);
    let bytes = u128::from(of_all.bytes) * of_one as u128 / of_all.tasks.max(1) as u128;
    Keeping {
        keep: Keep {
            of_all,
            of_one: Most {
                tasks: of_one,
                bytes: u64::try_from(bytes).unwrap_or(of_all.bytes),
            },
            tombstones: of_all.tasks,
        },
        slight: tasks.retention_unexecuted,
    }
}
