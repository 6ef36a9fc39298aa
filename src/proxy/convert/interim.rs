//! A sign of life for a client that waits: interim answers (RFC 9110 section 15.2), where the operator wants them.
//!
//! Over HTTP/1.1 alone: Pingora passes over those of HTTP/2, whose connections hear a PING instead.

use std::pin::pin;
use std::time::Duration;

use http::header::LINK;
use http::{StatusCode, Version};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tokio::time::sleep;

use crate::config::Interim;
use crate::proxy::line;
use crate::proxy::said::{Stop, broken};
use crate::proxy::stage::Stage;
use crate::task::Record;

/// As [`line::watched`], with a sign of life now and then.
///
/// # Errors
/// When the client is gone.
pub(super) async fn watched<T>(
    session: &mut Session,
    stage: &mut Stage,
    task: &Record,
    awaited: impl Future<Output = T>,
) -> Result<Option<T>, Stop> {
    let (what, every) = stage.shared.tasks.interim;
    let hears = !session.is_http2() && session.req_header().version == Version::HTTP_11;
    let Some(head) = head(what, stage, task).filter(|_| hears) else {
        return line::watched(session, stage, awaited).await;
    };
    let mut awaited = pin!(awaited);
    loop {
        let come = until(awaited.as_mut(), every);
        match line::watched(session, stage, come).await? {
            Some(Some(come)) => return Ok(Some(come)),
            None => return Ok(None),
            Some(None) => {
                let written = session
                    .as_mut()
                    .write_response_header(Box::new(head.clone()));
                written.await.map_err(broken)?;
            }
        }
    }
}

/// None where it is not there in time.
async fn until<T>(awaited: impl Future<Output = T>, every: Duration) -> Option<T> {
    tokio::select! {
        biased;
        come = awaited => Some(come),
        () = sleep(every) => None,
    }
}

fn head(what: Interim, stage: &Stage, task: &Record) -> Option<ResponseHeader> {
    let status = match what {
        Interim::Off => return None,
        Interim::Processing => StatusCode::PROCESSING,
        Interim::EarlyHints => StatusCode::EARLY_HINTS,
    };
    let mut head = ResponseHeader::build(status, Some(1)).ok()?;
    if what == Interim::EarlyHints {
        let prefix = &stage.shared.tasks.api.settings().prefix;
        let link = format!("<{prefix}/{}>; rel=\"monitor\"", task.id);
        head.insert_header(LINK, link).ok()?;
    }
    Some(head)
}
