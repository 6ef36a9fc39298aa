//! What goes on beside requests: names resolved anew, upstreams that are down asked whether they are back,
//! certificates reloaded, idle things forgotten.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::{MissedTickBehavior, interval};

use super::{tasks, utilization};
use crate::admit::Stack;
use crate::config::Config;
use crate::listen::Identities;
use crate::proxy::Shared;

/// How often the names of upstreams are resolved.
const RESOLVE: Duration = Duration::from_secs(30);
/// How often idle sockets and idle keys are looked through.
const TIDY: Duration = Duration::from_secs(1);
/// How often the certificate's files are looked at.
const CERTIFICATES: Duration = Duration::from_secs(1);

/// Starts it all on `helm`; it ends with that runtime.
pub(super) fn start(
    helm: &Runtime,
    config: &Config,
    shared: &Arc<Shared>,
    identities: &Identities,
) {
    tasks::start_chores(helm, config, shared);
    for upstream in shared.hosts.all() {
        let upstream = upstream.clone();
        helm.spawn(async move {
            let mut ticks = ticks(RESOLVE);
            loop {
                ticks.tick().await;
                upstream.refresh_addresses().await;
            }
        });
    }
    for upstream in shared.hosts.all() {
        helm.spawn(call_due(shared.clone(), upstream.stack().clone()));
        helm.spawn(upstream.clone().watch_over());
    }
    for identity in [&identities.https, &identities.admin].into_iter().flatten() {
        helm.spawn(identity.clone().watch(CERTIFICATES));
    }
    utilization::start(helm, shared);
    let shared = shared.clone();
    helm.spawn(async move {
        let mut ticks = ticks(TIDY);
        loop {
            ticks.tick().await;
            for upstream in shared.hosts.all() {
                upstream.pool().sweep();
                upstream.stack().tidy(shared.now());
            }
        }
    });
}

/// Lets calls that wait for a rate go on, at the moments when it has room for them.
async fn call_due(shared: Arc<Shared>, stack: Arc<Stack>) {
    loop {
        let next = stack.call_due(shared.now());
        let due = async {
            match next {
                Some(next) => tokio::time::sleep_until(shared.instant(next).into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stack.stirred() => {}
            () = due => {}
        }
    }
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
