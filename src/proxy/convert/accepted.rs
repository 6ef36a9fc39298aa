//! What a client hears whose call became a task: 202, or what the upstream answered where that came in time.

use std::sync::Arc;
use std::time::Duration;

use pingora_proxy::Session;

use super::plan::{Kind, Plan};
use crate::answer::Answer;
use crate::forward::Upstream;
use crate::observe::Phase;
use crate::proxy::said::Stop;
use crate::proxy::shared::Shared;
use crate::proxy::stage::Stage;
use crate::proxy::{base, line};
use crate::task::api::{Applied, Says};
use crate::task::{Receipt, Record};

/// The answer. Whether or not the client waits for it, the task goes on.
///
/// # Errors
/// When the client is gone.
pub(super) async fn answer(
    session: &mut Session,
    stage: &mut Stage,
    upstream: &Upstream,
    (mut receipt, plan): (Receipt, &Plan),
) -> Result<Answer, Stop> {
    let shared = stage.shared.clone();
    let api = &shared.tasks.api;
    if let Kind::Faced(place) = plan.kind
        && let Some(adapter) = upstream.config().adapters.get(place)
        && let Some(face) = &adapter.face
    {
        stage.phase = Phase::Finished;
        return Ok(api
            .as_its_vendor(face, adapter, (&*receipt.task, Says::Started))
            .await);
    }
    if let Some(wait) = plan.wait.filter(|wait| !wait.is_zero()) {
        let over = over(shared.clone(), receipt.task.clone(), wait);
        if let Some(task) = line::watched(session, stage, over).await? {
            receipt.task = task;
        }
    }
    stage.phase = Phase::Finished;
    let is_over = receipt.task.status.state().is_done();
    if let Some(wait) = plan.wait.filter(|_| is_over) {
        let applied = Applied {
            wait: Some(wait.as_secs()),
            ..Applied::default()
        };
        return Ok(api.replay(&receipt.task, &applied, receipt.replayed).await);
    }
    let applied = Applied {
        respond_async: plan.prefers,
        wait: None,
        callback: receipt.task.requested.callback.is_some() && plan.callback.is_some(),
    };
    let base = base::of(session, stage);
    Ok(api.ticket(&receipt, &applied, base.as_deref()))
}

/// The task once it is over, or the time is up, or the gate is about to stop.
async fn over(shared: Arc<Shared>, task: Arc<Record>, wait: Duration) -> Arc<Record> {
    tokio::select! {
        biased;
        over = shared.tasks.api.until_done(task.clone(), wait) => over,
        () = shared.leaves() => task,
    }
}
