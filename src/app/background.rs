//! What goes on beside requests: names resolved anew, certificates reloaded, idle things forgotten.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::{MissedTickBehavior, interval};

use crate::listen::Identities;
use crate::proxy::Shared;

/// How often the names of upstreams are resolved.
const RESOLVE: Duration = Duration::from_secs(30);
/// How often idle sockets and idle keys are looked through.
const TIDY: Duration = Duration::from_secs(1);
/// How often the certificate's files are looked at.
const CERTIFICATES: Duration = Duration::from_secs(1);

/// Starts it all on `helm`; it ends with that runtime.
pub(super) fn start(helm: &Runtime, shared: &Arc<Shared>, identities: &Identities) {
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
    for identity in [&identities.https, &identities.admin].into_iter().flatten() {
        helm.spawn(identity.clone().watch(CERTIFICATES));
    }
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

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
