//! The door to tasks in a vendor's clothes: who asks for one of the gate's by the vendor's own paths is answered in the vendor's
//! own words, and never by the upstream.
//!
//! ```text
//!   path of a face, a name with its prefix? ─▶ who asks ─▶ the task, if it is theirs ─▶ the vendor's document
//!     no: judged as any other call              nobody: the upstream says so        no: the vendor's 404
//!   a list ─▶ who asks ─▶ for the gate's alone? told · else up as any call (list), the gate's put into its answer (merge)
//! ```

mod list;
mod merge;

use std::sync::Arc;

use http::{HeaderMap, Method};
use memchr::memmem;
use pingora_proxy::Session;

pub(super) use self::list::Listing;
pub(super) use self::merge::{asked_up, body_down, body_up, head_down};
use super::desk_door::{in_doubt, in_origin_form, viewer};
use super::person::Standing;
use super::said::Stop;
use super::stage::Stage;
use crate::answer::{self, Answer};
use crate::call::{Class, Spoken};
use crate::config::{Adapter, Face};
use crate::dialect::adapter::{Asks, asked};
use crate::forward::Upstream;
use crate::observe::{Phase, Who};
use crate::task::api::Says;
use crate::task::{AdvanceError, CancelError, Found, Record, Viewer};

/// What is asked of the gate's tasks, by a path of the upstream's.
pub(super) enum Concern {
    /// One of them.
    One(Asking),
    /// Which there are, the upstream's own too.
    All {
        face: Arc<Face>,
        /// Those alone that are not over.
        active: bool,
    },
}

/// What is asked of a task of the gate's, and by which face.
pub(super) struct Asking {
    face: Arc<Face>,
    /// Its name, as the client knows it.
    id: String,
    cancels: bool,
}

/// Whether a request is for a task of the gate's, by a path of its upstream's.
pub(super) fn concerns(session: &Session, upstream: &Upstream) -> Option<Concern> {
    let head = session.req_header();
    let target = in_origin_form(head.raw_path());
    // A list of which the head alone is wanted differs as the list does.
    let method = match head.method {
        Method::HEAD => "GET",
        ref method => method.as_str(),
    };
    upstream.faces().iter().find_map(|face| {
        let names_one = memmem::find(target, face.prefix.as_bytes()).is_some();
        if !names_one && face.list.is_none() {
            return None;
        }
        let target = std::str::from_utf8(target).ok()?;
        let (id, cancels) = match asked(face, method, target)? {
            Asks::Status(id) if head.method != Method::HEAD => (id, false),
            Asks::Cancel(id) => (id, true),
            Asks::List { active } => {
                let face = face.clone();
                return Some(Concern::All { face, active });
            }
            Asks::Status(_) => return None,
        };
        let face = face.clone();
        Some(Concern::One(Asking { face, id, cancels }))
    })
}

/// Answers it, or lets it go up with a note of what its answer is to have beside.
///
/// # Errors
/// The answer.
pub(super) async fn attend(
    session: &mut Session,
    stage: &mut Stage,
    upstream: &Upstream,
    concern: Concern,
) -> Result<(), Stop> {
    match concern {
        Concern::One(asking) => serve(session, stage, upstream, asking).await,
        Concern::All { face, active } => {
            list::consider(session, stage, upstream, (face, active)).await
        }
    }
}

/// Answers it. Of somebody whom the upstream does not know, the upstream says so.
///
/// # Errors
/// The answer.
async fn serve(
    session: &Session,
    stage: &mut Stage,
    upstream: &Upstream,
    asking: Asking,
) -> Result<(), Stop> {
    let Some(person) = viewer(session, stage, upstream).await else {
        return Ok(());
    };
    if person.standing == Standing::Gone {
        return Ok(());
    }
    (stage.class, stage.spoken) = (Class::Task, Spoken::Plain);
    stage.phase = Phase::Finished;
    if person.standing == Standing::Unasked {
        return Err(Stop::Answer(in_doubt(stage)));
    }
    let viewer = Viewer {
        upstream: upstream.name().clone(),
        owners: person.owners,
    };
    let answer = match found(stage, &asking, &viewer).await {
        Ok(Some(task)) => told(stage, upstream, &asking, &task).await,
        Ok(None) if person.standing == Standing::Doubtful => in_doubt(stage),
        Ok(None) => unknown(stage, &asking),
        Err(answer) => answer,
    };
    Err(Stop::Answer(answer))
}

fn unknown(stage: &Stage, asking: &Asking) -> Answer {
    let api = &stage.shared.tasks.api;
    api.unknown_to_vendor(&asking.face, &asking.id)
}

/// The task, if it is the viewer's.
async fn found(
    stage: &mut Stage,
    asking: &Asking,
    viewer: &Viewer,
) -> Result<Option<Arc<Record>>, Answer> {
    let name = asking.id.strip_prefix(&asking.face.prefix);
    let Some(id) = name.and_then(|name| name.parse().ok()) else {
        return Ok(None);
    };
    match stage.shared.desk.find(id).await {
        Ok(Found::Task(task)) if viewer.may_see(&task) => Ok(Some(task)),
        Ok(_) => Ok(None),
        Err(error) => {
            tracing::warn!(%error, "a task cannot be looked up");
            Err(store_away(stage))
        }
    }
}

fn store_away(stage: &mut Stage) -> Answer {
    stage.who = Some(Who::Internal);
    answer::not_now("the gate cannot look up tasks at this moment", 5)
}

async fn told(
    stage: &mut Stage,
    upstream: &Upstream,
    asking: &Asking,
    task: &Arc<Record>,
) -> Answer {
    let Some(adapter) = adapter_of(upstream, &asking.face, task) else {
        return unknown(stage, asking);
    };
    let shared = stage.shared.clone();
    let api = &shared.tasks.api;
    if !asking.cancels {
        api.polled(&task.requested.upstream);
        let fares = (&**task, Says::Fares);
        return api.as_its_vendor(&asking.face, adapter, fares).await;
    }
    let heard = match shared.desk.cancel(task.id).await {
        Ok(_) => true,
        Err(CancelError::NotCancelable | CancelError::Over) => false,
        Err(CancelError::Advance(AdvanceError::Unknown)) => return unknown(stage, asking),
        Err(CancelError::Advance(_)) => return store_away(stage),
    };
    let says = (&**task, Says::TakenBack(heard));
    api.as_its_vendor(&asking.face, adapter, says).await
}

/// The adapter of the operation that a task is of, or another with the same face.
fn adapter_of<'u>(upstream: &'u Upstream, face: &Arc<Face>, task: &Record) -> Option<&'u Adapter> {
    let adapters = &upstream.config().adapters;
    let has_face = |adapter: &&Adapter| {
        let own = adapter.face.as_ref();
        own.is_some_and(|own| Arc::ptr_eq(own, face))
    };
    let own = || {
        let method = task.requested.method.parse().ok()?;
        let none = HeaderMap::new();
        let target = &task.requested.target;
        let asked = upstream.table().target(&method, target, &none).ok()?;
        let fitting = upstream.forms().find(&asked, &method, &none)?;
        adapters.get(fitting.place).filter(has_face)
    };
    own().or_else(|| adapters.iter().find(has_face))
}
