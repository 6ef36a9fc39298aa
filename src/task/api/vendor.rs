//! Tasks of the gate as a client sees them that speaks a vendor's own asynchronous form.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};

use super::Api;
use super::json::Stamp;
use crate::answer::Answer;
use crate::config::{Adapter, Face};
use crate::dialect::adapter::{self, Made, Shown};
use crate::task::port;
use crate::task::record::Record;
use crate::task::state::State;

/// What is said of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// It has begun.
    Started,
    /// How it fares.
    Fares,
    /// Whether it is taken back.
    TakenBack(bool),
}

impl Api {
    /// A task in a vendor's words: those of this face, for an operation of this adapter.
    pub async fn as_its_vendor(
        &self,
        face: &Face,
        of: &Adapter,
        (task, says): (&Record, Says),
    ) -> Answer {
        let answer = match says {
            Says::Fares if task.result.is_some() => self.kept(task).await,
            _ => None,
        };
        let texts = Texts::of(face, task);
        let shown = shown(&texts, task, answer.as_ref());
        let made = match says {
            Says::Started => Some(adapter::face_started(face, of, &shown)),
            Says::Fares => Some(adapter::shown(face, of, &shown)),
            Says::TakenBack(heard) => adapter::canceled(face, of, &shown, heard),
        };
        made.map_or_else(|| unknown(face, &texts.id), said)
    }

    /// There is no such task, in the vendor's words.
    #[must_use]
    pub fn unknown_to_vendor(&self, face: &Face, id: &str) -> Answer {
        unknown(face, id)
    }

    async fn kept(&self, task: &Record) -> Option<port::Answer> {
        match self.teller.desk.answer(task.id).await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::error!(%error, "the answer to a task cannot be read");
                None
            }
        }
    }
}

fn unknown(face: &Face, id: &str) -> Answer {
    said(adapter::unknown(face, id))
}

/// What is made of a task for a face to show.
struct Texts {
    id: String,
    created: String,
    started: Option<String>,
    ended: Option<String>,
}

impl Texts {
    fn of(face: &Face, task: &Record) -> Self {
        let stamp = |at| Stamp(at).to_string();
        Self {
            id: adapter::name_of(face, &task.id.to_string()),
            created: stamp(task.created),
            started: task.started.map(stamp),
            ended: task.ended.map(stamp),
        }
    }
}

fn shown<'a>(texts: &'a Texts, task: &'a Record, kept: Option<&'a port::Answer>) -> Shown<'a> {
    let state = task.status.state();
    let fault = task.error.as_ref();
    let location = kept.and_then(|kept| {
        let mut fields = kept.headers.iter();
        let found = fields.find(|(name, _)| name.eq_ignore_ascii_case("location"))?;
        std::str::from_utf8(&found.1).ok()
    });
    Shown {
        id: &texts.id,
        state: state.as_str(),
        percent: None,
        message: None,
        created: &texts.created,
        started: texts.started.as_deref(),
        ended: texts.ended.as_deref(),
        method: &task.requested.method,
        target: &task.requested.target,
        cancelable: state == State::Scheduled,
        result: kept.map(|kept| (kept.status, location, &*kept.body)),
        error_kind: fault.map(|fault| fault.kind),
        error_message: fault.map(|fault| fault.detail.as_str()),
        error_status: fault.map(|fault| fault.status),
    }
}

fn said(made: Made) -> Answer {
    let fields = made.headers.into_iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::try_from(value).ok()?))
    });
    Answer {
        status: made.status,
        headers: fields.collect(),
        body: Bytes::from(made.body),
    }
}
