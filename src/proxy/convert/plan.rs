//! What is to become of a blocking call, by everything but its body.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use pingora_proxy::Session;

use super::form::{self, Faced};
use super::{key, policy, refused};
use crate::answer::Answer;
use crate::classify::Asked;
use crate::config::{Busy, Convert, Route};
use crate::forward::Upstream;
use crate::proxy::caller::Look;
use crate::proxy::judge;
use crate::proxy::person::Person;
use crate::proxy::said::Said;
use crate::proxy::stage::Stage;
use crate::proxy::verify::Inquiry;
use crate::task::Operation;
use crate::task::api::Prefer;

/// Seconds after which the task is not to begin any more.
pub(super) const START_DEADLINE: HeaderName = HeaderName::from_static("task-start-deadline");
/// Longest.
const LONGEST: u64 = 366 * 24 * 3600;

/// What a call is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A task.
    Task,
    /// A task of the upstream's own kind, by the adapter at this place: its client hears nothing of that, and waits for the answer.
    Behind(usize),
    /// A task that is told of in the vendor's own form: that of the adapter at this place.
    Faced(usize),
    /// A call that is refused while what it changes is busy, by the adapter at this place; else held.
    Looked(usize),
    /// A call that is held, as any other.
    Held,
}

/// What is to become of a blocking call.
pub(super) struct Plan {
    pub(super) kind: Kind,
    /// It goes up with others, by the adapter at this place, if its body allows that.
    pub(super) merges: Option<usize>,
    /// Fields that make it another request, beside those that its route names.
    pub(super) named: Vec<String>,
    /// Place of its route in the upstream's list; of none, where it has none.
    pub(super) route: usize,
    /// Method and target as they came.
    pub(super) method: String,
    pub(super) written: String,
    /// The target as it goes up.
    pub(super) target: String,
    /// What its body asks for.
    pub(super) operation: Option<Operation>,
    /// `respond-async` was said.
    pub(super) prefers: bool,
    pub(super) wait: Option<Duration>,
    pub(super) callback: Option<String>,
    pub(super) start_within: Option<Duration>,
    pub(super) wants_json: bool,
    pub(super) person: Person,
    pub(super) inquiry: Option<Inquiry>,
    pub(super) key: Option<String>,
    /// What the key is for, and the target in normal form.
    pub(super) scope: Arc<str>,
}

/// The plan for a call; none where nothing is to be done about it.
///
/// # Errors
/// Why it is refused.
pub(super) fn of(
    session: &Session,
    stage: &mut Stage,
    upstream: &Upstream,
    said: &Said,
) -> Result<Option<Plan>, Answer> {
    let head = session.req_header();
    let asked = judge::asked(session, stage, upstream, said)?;
    let prefers = Prefer::of(&head.headers).respond_async;
    let merging = form::merging(&asked, (&head.method, &head.headers), upstream, prefers);
    match merging.filter(|_| !policy::forbids(&asked, &upstream.config().routes)) {
        Some(merging) => merged(session, stage, upstream, said, &merging),
        None => unmerged(session, stage, upstream, said),
    }
}

/// The plan for a call that the gate makes one with others, if its body allows that.
fn merged(
    session: &Session,
    stage: &mut Stage,
    upstream: &Upstream,
    said: &Said,
    merging: &form::Merging,
) -> Result<Option<Plan>, Answer> {
    let (head, target) = (session.req_header(), &merging.target);
    let asked = upstream.table().target(&head.method, target, &head.headers);
    let Ok(asked) = asked else {
        return Ok(None);
    };
    let kind = if merging.by_parameter {
        Kind::Faced(merging.place)
    } else {
        Kind::Task
    };
    let sketch = Sketch {
        kind,
        target,
        route: policy::route(&asked, &upstream.config().routes),
    };
    let plan = planned(session, stage, upstream, (said, &asked), &sketch)?;
    let adapter = upstream.config().adapters.get(merging.place);
    let merge = adapter.and_then(|adapter| adapter.merge.as_ref());
    let named = merge.map_or_else(Vec::new, |merge| [&merge.same[..], &merge.period].concat());
    Ok(plan.map(|plan| Plan {
        written: written(session),
        merges: Some(merging.place),
        named,
        ..plan
    }))
}

fn written(session: &Session) -> String {
    String::from_utf8_lossy(session.req_header().raw_path()).into_owned()
}

/// As [`of`], for a call that goes up by itself.
///
/// # Errors
/// Why it is refused.
pub(super) fn unmerged(
    session: &Session,
    stage: &mut Stage,
    upstream: &Upstream,
    said: &Said,
) -> Result<Option<Plan>, Answer> {
    let head = session.req_header();
    let written = written(session);
    let asked = judge::asked(session, stage, upstream, said)?;
    let faced = form::faced(&asked, (&head.method, &head.headers), upstream);
    let Some(Faced { place, target }) = faced else {
        return made(
            session,
            stage,
            upstream,
            (said, &asked),
            (written.as_str(), None),
        );
    };
    match upstream
        .table()
        .target(&head.method, &target, &head.headers)
    {
        Ok(asked) => {
            let goes_up = (target.as_str(), Some(place));
            let plan = made(session, stage, upstream, (said, &asked), goes_up)?;
            Ok(plan.map(|plan| Plan { written, ..plan }))
        }
        Err(_) => Ok(None),
    }
}

fn made(
    session: &Session,
    stage: &mut Stage,
    upstream: &Upstream,
    (said, asked): (&Said, &Asked<'_>),
    (target, faced): (&str, Option<usize>),
) -> Result<Option<Plan>, Answer> {
    let head = session.req_header();
    let routes = &upstream.config().routes;
    let policy = policy::of(asked, &head.method, (routes, faced.is_some()));
    let Some(route) = policy::route(asked, routes).filter(|_| policy != Convert::Never) else {
        return Ok(None);
    };
    let prefers = Prefer::of(&head.headers).respond_async;
    let offered = || form::offered(asked, (&head.method, &head.headers), (upstream, policy));
    let kind = match faced {
        Some(place) => Kind::Faced(place),
        None if policy == Convert::Always || prefers => Kind::Task,
        None => match offered() {
            Some(place) if looks(upstream, place) && route.work.busy == Busy::Refuse => {
                Kind::Looked(place)
            }
            Some(place) => Kind::Behind(place),
            None => Kind::Held,
        },
    };
    let sketch = Sketch {
        kind,
        target,
        route: Some(route),
    };
    planned(session, stage, upstream, (said, asked), &sketch)
}

/// What a plan is made from.
struct Sketch<'a> {
    kind: Kind,
    target: &'a str,
    route: Option<&'a Route>,
}

fn planned(
    session: &Session,
    stage: &mut Stage,
    upstream: &Upstream,
    (said, asked): (&Said, &Asked<'_>),
    sketch: &Sketch<'_>,
) -> Result<Option<Plan>, Answer> {
    let head = session.req_header();
    let Sketch {
        kind,
        target,
        route,
    } = *sketch;
    (stage.class, stage.spoken) = (asked.class, asked.spoken);
    stage.form = judge::form_of(asked);
    let Some((person, inquiry)) = person(session, stage, upstream, said, asked.query) else {
        return Ok(None);
    };
    let prefer = Prefer::of(&head.headers);
    let tasks = &stage.shared.clone().tasks;
    let key = key_of(&head.headers, stage, route)?;
    let method = head.method.as_str();
    Ok(Some(Plan {
        kind,
        merges: None,
        named: Vec::new(),
        route: route.map_or(usize::MAX, |route| {
            place_of(route, &upstream.config().routes)
        }),
        method: method.to_owned(),
        written: target.to_owned(),
        target: target.to_owned(),
        operation: operation(said),
        prefers: prefer.respond_async,
        wait: prefer
            .wait
            .map(|wait| Duration::from_secs(wait).min(tasks.wait_max)),
        callback: prefer
            .callback
            .filter(|_| !matches!(kind, Kind::Behind(_)))
            .filter(|url| crate::config::is_allowed(url, &tasks.webhooks)),
        start_within: start_within(&head.headers, stage, kind)?,
        wants_json: route.is_some_and(|route| route.work.json),
        person,
        inquiry,
        key,
        scope: key::scope(method, upstream.name(), &asked.normal_path, asked.query),
    }))
}

/// Whether the adapter at `place` looks at what is to be changed.
fn looks(upstream: &Upstream, place: usize) -> bool {
    let adapter = upstream.config().adapters.get(place);
    let native = adapter.and_then(|adapter| adapter.native.as_ref());
    native.is_some_and(|native| native.before.is_some())
}

fn place_of(route: &Route, routes: &[Route]) -> usize {
    let mut all = routes.iter();
    all.position(|one| std::ptr::eq(one, route))
        .unwrap_or_default()
}

fn operation(said: &Said) -> Option<Operation> {
    said.operation().map(|operation| Operation {
        service: operation.service.map(str::to_owned),
        name: operation.name.to_owned(),
    })
}

/// Its key, where keys are the gate's to read.
fn key_of(
    headers: &HeaderMap,
    stage: &mut Stage,
    route: Option<&Route>,
) -> Result<Option<String>, Answer> {
    if !stage.shared.tasks.honours_keys {
        return Ok(None);
    }
    let key = key::of(headers).map_err(|_| refused::no_key(stage))?;
    if key.is_none() && route.is_some_and(|route| route.work.needs_key) {
        return Err(refused::without_key(stage));
    }
    Ok(key)
}

/// Who makes the call; what it shows is in use from here on.
fn person(
    session: &Session,
    stage: &mut Stage,
    upstream: &Upstream,
    said: &Said,
    query: Option<&str>,
) -> Option<(Person, Option<Inquiry>)> {
    let shared = stage.shared.clone();
    let look = Look {
        people: &shared.people,
        home: shared.people.home(upstream.index())?,
        headers: &session.req_header().headers,
        query,
        class: stage.class,
        spoken: stage.form,
        said,
        certificate: judge::certificate(stage),
        client: stage.client,
        now: shared.now(),
        uses: true,
    };
    let met = look.meet();
    let shown = Person::of(&look, &met);
    stage.met = met;
    shown
}

/// A client that knows of no task says nothing of its start.
fn start_within(
    headers: &HeaderMap,
    stage: &mut Stage,
    kind: Kind,
) -> Result<Option<Duration>, Answer> {
    if matches!(kind, Kind::Held | Kind::Looked(_) | Kind::Behind(_)) {
        return Ok(None);
    }
    let mut fields = headers.get_all(START_DEADLINE).iter();
    let Some(field) = fields.next() else {
        return Ok(None);
    };
    let digits = field.to_str().unwrap_or_default().trim();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // More than fits is as long as can be.
    let seconds: u64 = digits.parse().unwrap_or(LONGEST);
    if !is_number || seconds == 0 || fields.next().is_some() {
        return Err(refused::bad_deadline(stage));
    }
    Ok(Some(Duration::from_secs(seconds.min(LONGEST))))
}
