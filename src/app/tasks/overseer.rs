//! Every principal's tasks, for the operator's door.

use std::sync::Arc;

use http::StatusCode;

use crate::admin::{AboutTasks, AskTasks};
use crate::config::Config;
use crate::proxy::Shared;
use crate::task::api::{Api, Pool, Settings, Unseen};

/// Answers what the operator asks of tasks.
pub(in crate::app) fn overseer(config: &Config, shared: &Arc<Shared>) -> Arc<AskTasks> {
    let api = Arc::new(Api::new(shared.desk.clone(), settings(config, shared)));
    Arc::new(move |about| {
        let api = api.clone();
        Box::pin(async move {
            let said = match about {
                AboutTasks::Listed(query) => api.oversee(&query).await,
                AboutTasks::One(id) => api.oversee_one(&id).await,
            };
            said.map_err(|unseen| (status(&unseen), unseen.to_string()))
        })
    })
}

const fn status(unseen: &Unseen) -> StatusCode {
    match unseen {
        Unseen::Wrong(_) => StatusCode::BAD_REQUEST,
        Unseen::Nothing => StatusCode::NOT_FOUND,
        Unseen::Gone => StatusCode::GONE,
        Unseen::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// As clients see tasks, so does the operator.
fn settings(config: &Config, shared: &Arc<Shared>) -> Settings {
    let seats = shared.clone();
    Settings {
        prefix: config.tasks.prefix.clone(),
        absolute_urls: false,
        wait_max: config.tasks.wait_max,
        max_body: config.tasks.max_body,
        ratelimit: config.headers.ratelimit,
        polls_per_second: 0,
        pools: Arc::new(move |upstream, pool| seats_of(&seats, upstream, pool)),
        dice: Arc::new(|| 0.5),
    }
}

fn seats_of(shared: &Shared, upstream: &str, pool: &str) -> Option<Pool> {
    let mut upstreams = shared.hosts.all().iter();
    let upstream = upstreams.find(|one| **one.name() == *upstream)?;
    let views = upstream.stack().views(shared.now());
    let view = views.into_iter().find(|view| *view.name == *pool)?;
    let seats = view.effective.unwrap_or(view.limit);
    Some(Pool {
        seats,
        free: seats.saturating_sub(view.in_use),
    })
}
