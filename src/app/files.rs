//! Open files: every connection is one, and the system's default allows too few.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// What the gate needs beside sockets: its log, store, listeners, event queues.
const RESERVE: u64 = 256;

/// Raises the soft limit on open files to the hard one, if the configured connections need it.
///
/// # Errors
/// In plain words, when even the hard limit is too low: what is missing and how to get it.
pub(super) fn raise_limit(config: &Config) -> Result<(), String> {
    let needed = needed(config);
    let now = getrlimit(Resource::Nofile);
    let (soft, hard) = (
        now.current.unwrap_or(u64::MAX),
        now.maximum.unwrap_or(u64::MAX),
    );
    if soft >= needed {
        return Ok(());
    }
    if hard < needed {
        return Err(format!(
            "open files: the configured connections need {needed}, the hard limit is {hard}; \
             raise LimitNOFILE of the service (or `ulimit -Hn`) to {needed}"
        ));
    }
    let raised = Rlimit {
        current: Some(hard.min(needed.max(65_536))),
        maximum: now.maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(|error| {
        format!("open files: cannot raise the limit from {soft} to {needed}: {error}")
    })
}

/// Sockets of both sides at their ceilings, the farewells beyond them, and a reserve.
fn needed(config: &Config) -> u64 {
    let listen = &config.listen;
    let clients = u64::from(listen.max_connections_http) + u64::from(listen.max_connections_https);
    let upstreams: u64 = config
        .upstreams
        .iter()
        .map(|upstream| {
            upstream
                .limits
                .iter()
                .filter(|limit| limit.counts == crate::config::Counts::UpstreamConnections)
                .filter(|limit| limit.matches == crate::config::Match::default())
                .map(|limit| limit.limit)
                .min()
                // Without a cap, one for each client.
                .unwrap_or(clients)
        })
        .sum();
    clients + 512 + upstreams + RESERVE
}
