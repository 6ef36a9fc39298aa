//! What anybody may read: the policy, the OpenAPI document, what each problem means.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderValue};
use serde_json::json;

use super::headers::{JSON, TEXT, of};
use super::path::{Place, parent};
use super::problems::kind;
use super::words::Settings;
use crate::answer::Answer;
use crate::task::desk::Desk;

const OPENAPI: &str = include_str!("../../../config/openapi.json");
/// The version of the API, as the document has it.
const VERSION: &str = "1";

/// Texts that stand ready.
#[derive(Debug)]
pub(super) struct Published {
    openapi: Bytes,
    policy: Bytes,
}

impl Published {
    pub(super) fn new(desk: &Desk, settings: &Settings) -> Self {
        let prefix = &settings.prefix;
        let beside = format!("\"{}/", parent(prefix));
        let openapi = OPENAPI.replace("\"/-/tasks", &format!("\"{prefix}"));
        Self {
            openapi: openapi.replace("\"/-/", &beside).into(),
            policy: policy(desk, settings).into(),
        }
    }

    /// What stands at this place; none where that is not for anybody.
    pub(super) fn answer(&self, place: &Place<'_>) -> Option<Answer> {
        match place {
            Place::Policy => Some(of(200, JSON, self.policy.clone())),
            Place::OpenApi => Some(kept(of(200, JSON, self.openapi.clone()))),
            Place::Problem(name) => {
                let kind = kind(name)?;
                let text = format!("{}\n\n{}\n\n{}\n", kind.title, kind.meaning, kind.advice);
                Some(kept(of(200, TEXT, text)))
            }
            _ => None,
        }
    }
}

/// The same until the gate is replaced: caches may keep it for a while.
fn kept(mut answer: Answer) -> Answer {
    for (name, value) in &mut answer.headers {
        if *name == CACHE_CONTROL {
            *value = HeaderValue::from_static("max-age=300");
        }
    }
    answer
}

fn policy(desk: &Desk, settings: &Settings) -> Vec<u8> {
    let bounds = desk.bounds();
    let policy = json!({
        "api_version": VERSION,
        "prefix": settings.prefix,
        "retention_seconds": bounds.retention.as_secs(),
        "idempotency_key_retention_seconds": bounds.keys_for().as_secs(),
        "wait_max_seconds": settings.wait_max.as_secs(),
        "queue": bounds.of_upstream,
        "queue_per_user": bounds.of_owner,
        "max_body_bytes": settings.max_body,
        "polls_per_second": settings.polls_per_second,
    });
    policy.to_string().into_bytes()
}
