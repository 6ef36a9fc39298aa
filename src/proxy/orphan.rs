//! A login whose client went away before the answer: the answer is read to its end all the same.
//!
//! The upstream may have opened a session. Were nobody to read its token, the session would count
//! there and not here, and could be ended by nobody. So the units of the login stay with it until the
//! answer is here, or `response_timeout` is over.

use tokio::runtime::Handle;

use super::outcome;
use super::stage::Stage;
use crate::dialect::login::MAX_ANSWER;
use crate::forward::Rest;

/// Sees to a login that ends without its answer. False where there is nothing to wait for: it is no
/// login, not all of it went up, or the upstream ended the connection itself.
pub(super) fn adopt(stage: &mut Stage) -> bool {
    let whole = |rest: &Rest| stage.request_sent && rest.sent() >= stage.received;
    let dial = stage.dial.as_ref();
    let Some(rest) = dial.and_then(|dial| dial.take_rest()).filter(whole) else {
        return false;
    };
    let (Some(upstream), Ok(runtime)) = (&stage.upstream, Handle::try_current()) else {
        return false;
    };
    let within = upstream.config().response_timeout;
    let mut orphan = stage.part_with_login();
    runtime.spawn(async move {
        match rest.answer(within, MAX_ANSWER).await {
            Ok(answer) => outcome::late(answer, &mut orphan),
            // What was read of it before may say enough.
            Err(error) => tracing::debug!(%error, "a login that nobody waits for had no answer"),
        }
    });
    true
}
