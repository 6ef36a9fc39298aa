//! A list of tasks: whose of the gate's stand in it, and whether the upstream has to be asked for the others.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};
use pingora_proxy::Session;

use super::{adapter_of, store_away};
use crate::answer::Answer;
use crate::call::{Class, Spoken};
use crate::classify::How;
use crate::config::Face;
use crate::dialect::adapter::{LARGEST, Wish, merged, name_of};
use crate::forward::Upstream;
use crate::observe::Phase;
use crate::proxy::desk_door::viewer;
use crate::proxy::line;
use crate::proxy::person::Standing;
use crate::proxy::said::Stop;
use crate::proxy::stage::Stage;
use crate::task::api::Says;
use crate::task::{Found, Record, Viewer};

/// Most tasks of the gate's in one list: as many as vCenter tells of.
const MOST: usize = 1000;

/// A list that goes up, and what its answer is to have beside.
pub(in crate::proxy) struct Listing {
    pub(super) face: Arc<Face>,
    pub(super) wish: Wish,
    active: bool,
    viewer: Viewer,
    /// What goes up in the place of the request's body.
    pub(super) body: Option<Bytes>,
    pub(super) course: Course,
}

/// How far its answer is.
pub(super) enum Course {
    /// Nothing is there yet.
    Asked,
    /// It is gathered, to be told with these.
    Gathered {
        ours: Vec<(String, Vec<u8>)>,
        theirs: BytesMut,
        /// The upstream has no such list: what it said is not told.
        alone: bool,
    },
    /// It goes down as it is.
    Passes,
}

/// Answers a list of the gate's tasks alone. Any other goes up, once it is clear who asks: of somebody whom nobody knows, the
/// upstream says so.
///
/// # Errors
/// The answer.
pub(super) async fn consider(
    session: &mut Session,
    stage: &mut Stage,
    upstream: &Upstream,
    (face, active): (Arc<Face>, bool),
) -> Result<(), Stop> {
    let Some(list) = face.list.clone() else {
        return Ok(());
    };
    let Some(person) = viewer(session, stage, upstream).await else {
        return Ok(());
    };
    if person.standing != Standing::Sure {
        return Ok(());
    }
    let viewer = Viewer {
        upstream: upstream.name().clone(),
        owners: person.owners,
    };
    let wish = if session.req_header().method == Method::POST {
        // One that is longer than can be sent again asks for more than anybody lists.
        match line::read_in(session, stage).await? {
            Some(body) => Wish::of(&face, &list, &body),
            None => return Ok(()),
        }
    } else {
        Wish::all()
    };
    let body = wish.rest.clone().map(Bytes::from);
    let listing = Listing {
        face,
        wish,
        active,
        viewer,
        body,
        course: Course::Asked,
    };
    if listing.wish.asks_upstream {
        if listing.body.is_some() || listing.may_have_any(stage).await {
            stage.listing = Some(Box::new(listing));
        }
        return Ok(());
    }
    (stage.class, stage.spoken) = (Class::Task, Spoken::Plain);
    stage.phase = Phase::Finished;
    Err(Stop::Answer(alone(stage, upstream, &listing).await))
}

/// The gate's own, and no others.
async fn alone(stage: &mut Stage, upstream: &Upstream, listing: &Listing) -> Answer {
    let Some(ours) = listing.ours(stage, upstream).await else {
        return store_away(stage);
    };
    let list = listing.face.list.as_ref();
    let body = list.and_then(|list| merged(list, None, &borrowed(&ours)));
    Answer {
        status: 200,
        headers: vec![(CONTENT_TYPE, content_type(&listing.face))],
        body: Bytes::from(body.unwrap_or_default()),
    }
}

pub(super) fn content_type(face: &Face) -> HeaderValue {
    HeaderValue::from_str(&face.status.content_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

pub(super) fn borrowed(ours: &[(String, Vec<u8>)]) -> Vec<(&str, Vec<u8>)> {
    let ours = ours.iter();
    ours.map(|(id, shown)| (id.as_str(), shown.clone()))
        .collect()
}

impl Listing {
    /// Whether the asker has any tasks at all.
    async fn may_have_any(&self, stage: &Stage) -> bool {
        if let Some(ids) = &self.wish.ids {
            return !ids.is_empty();
        }
        let api = &stage.shared.tasks.api;
        let any = api.of_viewer(&self.viewer, (self.active, 1)).await;
        any.is_ok_and(|any| !any.is_empty())
    }

    /// The gate's own that are meant, each as the vendor shows it; none where the store does not say. What is not meant is seen
    /// without the upstream's answer, and of those answers no more is read than there is room for: a task that comes behind is told
    /// without.
    pub(super) async fn ours(
        &self,
        stage: &Stage,
        upstream: &Upstream,
    ) -> Option<Vec<(String, Vec<u8>)>> {
        let shared = stage.shared.clone();
        let api = &shared.tasks.api;
        api.polled(upstream.name());
        let (mut ours, mut room) = (Vec::new(), LARGEST);
        for task in self.tasks(stage, upstream).await? {
            let Some(adapter) = adapter_of(upstream, &self.face, &task) else {
                continue;
            };
            let shown = async |says| {
                let shown = api.as_its_vendor(&self.face, adapter, (&*task, says)).await;
                self.wish.told(shown.body.into())
            };
            let Some(mut told) = shown(Says::FaresUnread).await else {
                continue;
            };
            let reads = api.reads(&self.face, &task, self.wish.is_brief());
            let read = reads.filter(|bytes| *bytes <= room as u64);
            if let Some(bytes) = read {
                told = shown(Says::Fares).await.unwrap_or(told);
                room = room.saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
            } else {
                room = room.saturating_sub(told.len());
            }
            ours.push((name_of(&self.face, &task.id.to_string()), told));
        }
        Some(ours)
    }

    async fn tasks(&self, stage: &Stage, upstream: &Upstream) -> Option<Vec<Arc<Record>>> {
        let mut tasks = if let Some(ids) = &self.wish.ids {
            let mut found = Vec::new();
            for id in ids.iter().take(MOST) {
                found.extend(self.named(stage, id).await?);
            }
            found
        } else {
            let api = &stage.shared.tasks.api;
            let all = api.of_viewer(&self.viewer, (self.active, MOST)).await;
            let mut all = all
                .inspect_err(|error| tracing::warn!(%error, "tasks cannot be listed"))
                .ok()?;
            all.retain(|task| is_faced(upstream, &self.face, task));
            all
        };
        tasks.truncate(MOST);
        tasks.retain(|task| !self.active || !task.status.state().is_done());
        Some(tasks)
    }

    /// The task of this name, where it is the viewer's; none at all where the store does not say.
    async fn named(&self, stage: &Stage, id: &str) -> Option<Option<Arc<Record>>> {
        let name = id.strip_prefix(&self.face.prefix);
        let Some(id) = name.and_then(|name| name.parse().ok()) else {
            return Some(None);
        };
        match stage.shared.desk.find(id).await {
            Ok(Found::Task(task)) => Some(Some(task).filter(|task| self.viewer.may_see(task))),
            Ok(_) => Some(None),
            Err(error) => {
                tracing::warn!(%error, "a task cannot be looked up");
                None
            }
        }
    }
}

/// Whether a task was begun by the vendor's own form, for which the gate stands in: others are no tasks of the vendor's.
fn is_faced(upstream: &Upstream, face: &Arc<Face>, task: &Record) -> bool {
    let of = || {
        let method = task.requested.method.parse().ok()?;
        let none = HeaderMap::new();
        let asked = upstream
            .table()
            .target(&method, &task.requested.target, &none)
            .ok()?;
        let fitting = upstream.forms().find(&asked, &method, &none)?;
        let adapter = upstream.config().adapters.get(fitting.place)?;
        let own = adapter.face.as_ref()?;
        Some(Arc::ptr_eq(own, face) && matches!(fitting.how, How::Emulated | How::AskedFor))
    };
    of() == Some(true)
}
