//! What the proxy needs for tasks: what their API is built with.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderName;

use crate::config::Config;
use crate::forward::Upstream;
use crate::proxy::Tasks;
use crate::task::Desk;
use crate::task::api::{Api, Dice, Pool, Pools, Settings};

/// What the proxy needs to make tasks of calls and to answer for them.
pub(in crate::app) fn at_the_door(
    config: &Config,
    desk: &Arc<Desk>,
    upstreams: &[Arc<Upstream>],
) -> Tasks {
    let settings = Settings {
        prefix: config.tasks.prefix.clone(),
        absolute_urls: config.tasks.absolute_urls,
        wait_max: config.tasks.wait_max,
        // What no call may have, no task may.
        max_body: config.tasks.max_body.min(config.listen.max_body_bytes),
        ratelimit: config.headers.ratelimit,
        polls_per_second: config.tasks.polls_per_second,
        pools: pools(upstreams),
        dice: dice(),
    };
    let api = Api::new(desk.clone(), settings);
    Tasks::new(config, api.with_location_in(beside_location(config)))
}

/// Fields in which some client libraries look for what `Location` says.
fn beside_location(config: &Config) -> impl Iterator<Item = HeaderName> + use<> {
    let tasks = &config.tasks;
    let fields = [
        ("operation-location", tasks.operation_location),
        ("azure-asyncoperation", tasks.azure_async_operation),
    ];
    let said = fields.into_iter().filter(|(_, is_said)| *is_said);
    said.map(|(name, _)| HeaderName::from_static(name))
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
