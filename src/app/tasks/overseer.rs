//! Every principal's tasks, for the operator's door: as clients see tasks, so does the operator; and the calls that are lost
//! and hold seats.

use std::sync::Arc;

use http::StatusCode;

use crate::admin::{AboutTasks, AskTasks};
use crate::proxy::Shared;
use crate::task::Lever;
use crate::task::api::{Unseen, freed};

/// Answers what the operator asks of tasks.
pub(in crate::app) fn overseer(shared: &Arc<Shared>, lever: Lever) -> Arc<AskTasks> {
    let shared = shared.clone();
    Arc::new(move |about| {
        let (shared, lever) = (shared.clone(), lever.clone());
        Box::pin(async move {
            let api = &shared.tasks.api;
            let said = match about {
                AboutTasks::Listed(query) => api.oversee(&query, &lever.lost()).await,
                AboutTasks::One(id) => api.oversee_one(&id).await,
                AboutTasks::FreeSeat(id) => freed(&lever, &id).await,
            };
            said.map_err(|unseen| (status(&unseen), unseen.to_string()))
        })
    })
}

const fn status(unseen: &Unseen) -> StatusCode {
    match unseen {
        Unseen::Wrong(_) => StatusCode::BAD_REQUEST,
        Unseen::Nothing | Unseen::NoSeat => StatusCode::NOT_FOUND,
        Unseen::Gone => StatusCode::GONE,
        Unseen::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
