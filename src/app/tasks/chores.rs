//! What goes on beside tasks: whoever waits is told, what is over is forgotten, sessions of tasks that wait are kept
//! alive, the store is looked at.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::alive;
use super::carrier::Post;
use crate::config::{self, Config};
use crate::proxy::Shared;
use crate::task::{Desk, Outbox, Reaper, Signer};

/// How often the store is asked whether it could be written to.
const LOOK: Duration = Duration::from_secs(3);

/// Starts it all on `helm`; it ends with that runtime.
pub(in crate::app) fn start(helm: &Runtime, config: &Config, shared: &Arc<Shared>) {
    let desk = &shared.desk;
    helm.spawn(Reaper::new(desk.clone(), Duration::ZERO).run());
    helm.spawn(look_at_store(desk.clone()));
    let free = desk.clone();
    helm.spawn(async move { free.forget_seats().await });
    helm.spawn(alive::keep(shared.clone()));
    // Without it what waits in the outbox stays there: an allow-list that is emptied by mistake loses nothing.
    if !config.tasks.webhooks.is_empty()
        && let Some(outbox) = outbox(config, desk)
    {
        helm.spawn(outbox.run());
    }
}

fn outbox(config: &Config, desk: &Arc<Desk>) -> Option<Arc<Outbox>> {
    let secret = config.tasks.webhook_secret.as_ref()?;
    // Checked when the configuration was.
    let keys = config::signing_keys(secret).ok()?;
    let post = Post::new().inspect_err(|error| {
        tracing::error!(%error, "webhooks cannot be sent");
    });
    let allowed = config.tasks.webhooks.clone();
    Some(Outbox::new(
        desk.clone(),
        Arc::new(post.ok()?),
        Signer::new(&keys),
        allowed,
    ))
}

async fn look_at_store(desk: Arc<Desk>) {
    loop {
        desk.check_store().await;
        tokio::time::sleep(LOOK).await;
    }
}
