//! What is to become of a blocking call, by everything but its body.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use pingora_proxy::Session;

use super::form::{self, Faced};
use super::{key, policy, refused};
use crate::answer::Answer;
use crate::classify::Asked;
use crate::config::{Convert, Route};
use crate::forward::Upstream;
use crate::proxy::caller::Look;
use crate::proxy::judge;
use crate::proxy::person::Person;
use crate::proxy::said::Said;
use crate::proxy::sessions::Question;
use crate::proxy::stage::Stage;
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
    /// A call that is held, as any other.
    Held,
}

/// What is to become of a blocking call.
pub(super) struct Plan {
    pub(super) kind: Kind,
    /// Place of its route in the upstream's list.
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
    pub(super) question: Option<Question>,
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
    let written = String::from_utf8_lossy(head.raw_path()).into_owned();
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
    let policy = policy::of(asked, &head.method, routes);
    let Some(route) = policy::route(asked, routes).filter(|_| policy != Convert::Never) else {
        return Ok(None);
    };
    (stage.class, stage.spoken) = (asked.class, asked.spoken);
    stage.form = judge::form_of(asked);
    let Some((person, question)) = person(session, stage, upstream, said, asked.query) else {
        return Ok(None);
    };
    let prefer = Prefer::of(&head.headers);
    let tasks = &stage.shared.clone().tasks;
    let key = key_of(&head.headers, stage, route)?;
    let offered = || form::offered(asked, (&head.method, &head.headers), upstream);
    let kind = match faced {
        Some(place) => Kind::Faced(place),
        None if policy == Convert::Always || prefer.respond_async => Kind::Task,
        None => offered().map_or(Kind::Held, Kind::Behind),
    };
    let method = head.method.as_str();
    Ok(Some(Plan {
        kind,
        route: place_of(route, routes),
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
        wants_json: route.work.json,
        person,
        question,
        key,
        scope: key::scope(method, upstream.name(), &asked.normal_path, asked.query),
    }))
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
fn key_of(headers: &HeaderMap, stage: &mut Stage, route: &Route) -> Result<Option<String>, Answer> {
    if !stage.shared.tasks.honours_keys {
        return Ok(None);
    }
    let key = key::of(headers).map_err(|_| refused::no_key(stage))?;
    if key.is_none() && route.work.needs_key {
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
) -> Option<(Person, Option<Question>)> {
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
    if matches!(kind, Kind::Held | Kind::Behind(_)) {
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
