//! What the operator's door shows, and where that comes from.

use std::sync::Arc;

use super::view::View;
use super::{operator, tasks};
use crate::admin::{Door, Locks, Readiness, Reloaded, Sources};
use crate::config::{self, Config};
use crate::proxy::Shared;
use crate::task::Lever;

/// The door, with what it shows.
pub(super) fn door(
    config: &Config,
    (shared, lever): (&Arc<Shared>, Lever),
    view: &Arc<View>,
) -> Door {
    let locks = Locks::new(
        config.admin.token.clone(),
        config.listen.admin.ip().is_loopback(),
    );
    let (snapshot, ready) = (view.clone(), view.clone());
    let effective = config::effective(config).to_string();
    Door::new(
        Sources {
            snapshot: Arc::new(move || snapshot.snapshot()),
            meters: shared.meters.clone(),
            ready: Arc::new(move || match ready.unready() {
                None => Readiness::Ready,
                Some(why) => Readiness::NotReady(why),
            }),
            sessions: Arc::new({
                let view = view.clone();
                move || view.sessions()
            }),
            end_session: Arc::new({
                let shared = shared.clone();
                move |id| Box::pin(operator::end_session(shared.clone(), id))
            }),
            explain: Arc::new({
                let shared = shared.clone();
                move |query| operator::explain(&shared, query)
            }),
            tasks: tasks::overseer(shared, lever),
            config: Arc::new(move || effective.clone()),
            reload: Arc::new(Reloaded::unsupported),
        },
        locks,
    )
}
