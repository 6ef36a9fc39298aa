//! Tasks of the gate as a client sees them that speaks a vendor's own asynchronous form.

use std::cmp::Reverse;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};

use super::Api;
use super::json::Stamp;
use super::list::Wanted;
use crate::answer::Answer;
use crate::config::{Adapter, Face};
use crate::dialect::adapter::{self, LARGEST, Made, Shown};
use crate::session::StoreError;
use crate::task::desk::Live;
use crate::task::port;
use crate::task::record::{Record, Viewer};
use crate::task::state::{State, Status};

/// What is said of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// It has begun.
    Started,
    /// How it fares.
    Fares,
    /// How it fares, but for what only the upstream's answer says.
    FaresUnread,
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
        let answer = if says == Says::Fares && reads(face, task, false).is_some() {
            self.kept(task).await
        } else {
            None
        };
        let live = self.teller.desk.live(task.id);
        let texts = Texts::of(face, task, self.doing(task, live.as_deref()));
        let mut shown = shown(&texts, task, answer.as_ref());
        shown.percent = Some(percent(task, live.as_deref()));
        shown.cancelable = self.teller.desk.is_cancelable(task);
        let made = match says {
            Says::Started => Some(adapter::face_started(face, of, &shown)),
            Says::Fares | Says::FaresUnread => Some(adapter::shown(face, of, &shown)),
            Says::TakenBack(heard) => adapter::canceled(face, of, &shown, heard),
        };
        made.map_or_else(|| unknown(face, &texts.id), said)
    }

    /// Bytes of the upstream's answer without which a face cannot tell how a task fares; none where it can. `in_short`: its result
    /// is not told.
    #[must_use]
    pub fn reads(&self, face: &Face, task: &Record, in_short: bool) -> Option<u64> {
        reads(face, task, in_short)
    }

    /// A client was told how tasks of this upstream fare.
    pub fn polled(&self, upstream: &Arc<str>) {
        self.teller.desk.tally().answered(upstream);
    }

    /// The viewer's tasks, the newest first, `most` of them; with `open`, those alone that are not over.
    ///
    /// # Errors
    /// When the store does not say.
    pub async fn of_viewer(
        &self,
        viewer: &Viewer,
        (open, most): (bool, usize),
    ) -> Result<Vec<Arc<Record>>, StoreError> {
        if open {
            let mut all = self.teller.desk.open();
            all.retain(|task| viewer.may_see(task));
            all.sort_by_key(|task| Reverse(task.id));
            all.truncate(most);
            return Ok(all);
        }
        self.teller.own(&Wanted::newest(most), viewer).await
    }

    /// What is being done about it, in a few words.
    fn doing(&self, task: &Record, live: Option<&Live>) -> Option<String> {
        let said = live.and_then(|live| live.message.as_deref());
        Some(match task.status {
            Status::Queued => match self.teller.desk.position(task) {
                Some(position) => format!("Waits for its turn: number {position} in line."),
                None => "Waits for its turn.".to_owned(),
            },
            Status::WaitingRetry => "The upstream was busy; it is sent again.".to_owned(),
            Status::Dispatching | Status::InFlight => {
                "The upstream is at work on it; its answer is awaited.".to_owned()
            }
            Status::Polling | Status::Blocked => {
                said.unwrap_or("The upstream is at work on it.").to_owned()
            }
            Status::Canceling => "It is being canceled.".to_owned(),
            Status::Reconciling => {
                "The answer was lost; what became of it is being found out.".to_owned()
            }
            _ => return None,
        })
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

fn reads(face: &Face, task: &Record, in_short: bool) -> Option<u64> {
    let answered = task.result.as_ref()?;
    let state = task.status.state().as_str();
    // Of a longer one nothing is shown.
    let is_shown = answered.bytes <= LARGEST as u64;
    (is_shown && adapter::tells_answer(face, state, in_short)).then_some(answered.bytes)
}

fn unknown(face: &Face, id: &str) -> Answer {
    said(adapter::unknown(face, id))
}

/// What is made of a task for a face to show.
struct Texts {
    id: String,
    doing: Option<String>,
    created: String,
    started: Option<String>,
    ended: Option<String>,
}

impl Texts {
    fn of(face: &Face, task: &Record, doing: Option<String>) -> Self {
        let stamp = |at| Stamp(at).to_string();
        Self {
            id: adapter::name_of(face, &task.id.to_string()),
            doing,
            created: stamp(task.created),
            started: task.started.map(stamp),
            ended: task.ended.map(stamp),
        }
    }
}

/// How much of it is done, as far as anybody says: nothing before the upstream does, all once it is done.
fn percent(task: &Record, live: Option<&Live>) -> u8 {
    let told = live.and_then(|live| live.percent);
    let is_done = matches!(
        task.status.state(),
        State::Completed | State::PartialSuccess
    );
    if is_done { 100 } else { told.unwrap_or(0) }
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
        message: texts.doing.as_deref(),
        created: &texts.created,
        started: texts.started.as_deref(),
        ended: texts.ended.as_deref(),
        method: &task.requested.method,
        target: &task.requested.target,
        cancelable: state == State::Scheduled,
        result: kept
            .map(|kept| (kept.status, location, &*kept.body))
            .or_else(|| Some((task.result.as_ref()?.status, None, &[][..]))),
        error_status: fault.map(|fault| fault.status),
        error_kind: fault.map(|fault| fault.kind),
        error_message: fault.map(|fault| fault.detail.as_str()),
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
