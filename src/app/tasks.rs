//! Tasks while the gate runs: the desk, who works on them, who tells of them.

mod alive;
mod carrier;
mod chores;
mod hands;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tokio::sync::mpsc;

pub use self::carrier::Post;
pub(super) use self::chores::start as start_chores;
pub(super) use self::hands::Hands;
use super::people::TakenUp;
use crate::config::Config;
use crate::forward::Upstream;
use crate::proxy::Tasks;
use crate::task::api::{Api, Dice, Pool, Pools, Settings};
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
    (Arc::new(desk.under(&config.tasks.prefix)), arriving)
}

/// Requests for one task by one viewer that are answered in a second: they are answered from memory, and a refusal costs
/// as much; what is stopped is a loop that does nothing else.
const POLLS_PER_SECOND: u32 = 10_000;

/// What the proxy needs to make tasks of calls and to answer for them.
pub(super) fn at_the_door(config: &Config, desk: &Arc<Desk>, upstreams: &[Arc<Upstream>]) -> Tasks {
    let settings = Settings {
        prefix: config.tasks.prefix.clone(),
        absolute_urls: config.tasks.absolute_urls,
        wait_max: config.tasks.wait_max,
        max_body: config.tasks.max_body,
        ratelimit: config.headers.ratelimit,
        polls_per_second: POLLS_PER_SECOND,
        pools: pools(upstreams),
        dice: dice(),
    };
    Tasks::new(config, Api::new(desk.clone(), settings))
}

fn pools(upstreams: &[Arc<Upstream>]) -> Pools {
    let upstreams = upstreams.to_vec();
    Arc::new(move |upstream, pool| {
        let found = upstreams.iter().find(|one| **one.name() == *upstream)?;
        let (seats, in_use) = found.stack().seats(pool)?;
        Some(Pool {
            seats,
            free: seats.saturating_sub(in_use),
        })
    })
}

/// Numbers in 0..1: they spread those who come back, and nothing rests on them.
fn dice() -> Dice {
    let (seed, throws) = (RandomState::new(), AtomicU64::new(0));
    Arc::new(move || {
        let mut hasher = seed.build_hasher();
        hasher.write_u64(throws.fetch_add(1, Ordering::Relaxed));
        let bits = u32::try_from(hasher.finish() >> 32).unwrap_or(0);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    })
}
