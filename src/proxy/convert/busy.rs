//! A call that changes what may be busy, on a route that refuses it then: a look, and 423 or 429 in the words of the API, or it
//! is passed on as it came.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, IF_MATCH,
    IF_NONE_MATCH, RANGE, RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue, Method};
use pingora_proxy::Session;

use super::key::{Held, Running};
use super::looks::{Seen, Sight, Watch};
use super::plan::Plan;
use crate::answer;
use crate::config::{Adapter, Before, Native};
use crate::dialect::adapter::{
    Answered, LARGEST, Origin, Request, before_request, is_busy, resource,
};
use crate::dialect::come_back;
use crate::forward::{OwnAnswer, OwnCall, Upstream};
use crate::observe::Who;
use crate::proxy::judge;
use crate::proxy::onward::hop;
use crate::proxy::said::Stop;
use crate::proxy::stage::Stage;
use crate::task::{IDEMPOTENCY_KEY, Owner};

/// Longest that a look may take. Without an answer the call is passed on: the upstream says in its own words how it is.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest time that an upstream can ask not to be looked at.
const LONGEST: Duration = Duration::from_mins(5);
/// Busy or locked.
const LOCKED: u16 = 423;
/// Too many requests.
const TOO_MANY: u16 = 429;
/// Statuses that say nothing of who looks: another look may say more.
const NO_WORD: [u16; 2] = [408, 425];

/// Refuses the call while what it changes is busy, by the adapter at `place`; else that counts as busy from here on, until the call
/// is over: for everybody where it was seen, and for who asks alone where the upstream said nothing. Who may not see it is passed
/// on, and in nobody's way.
///
/// # Errors
/// The refusal.
pub(super) async fn consider(
    session: &Session,
    stage: &mut Stage,
    upstream: &Upstream,
    (plan, place): (&Plan, usize),
) -> Result<(), Stop> {
    let Some((adapter, native, before)) = looked_at(upstream, place) else {
        return Ok(());
    };
    let origin = Origin::new(adapter, &plan.target, b"");
    let (Some(request), Some(resource)) =
        (before_request(native, &origin), resource(native, &origin))
    else {
        return Ok(());
    };
    let shared = stage.shared.clone();
    let owner = plan.person.owners.first().map(|owner| owner.0.clone());
    let owner = owner.unwrap_or_default();
    let is_known = plan.person.user.is_some();
    let by = (upstream, &*owner, is_known);
    let changes = Changes::of(&shared.tasks.changing, resource, by);
    if changes.go_on() {
        return Err(refused(stage, upstream, (LOCKED, before.every)));
    }
    let looks = &shared.tasks.looks;
    let watch = looks.watch((upstream.index(), changes.resource.clone()));
    let key = (upstream.index(), owner, request.target.clone());
    let looked = async {
        // Another was quicker, while this one waited to look: nothing is asked for it.
        if changes.go_on() {
            return (Sight::Busy(LOCKED), shared.now());
        }
        look(session, stage, upstream, (native, before, &origin), request).await
    };
    let (sight, until) = looks.sight(key, || shared.now(), looked).await;
    if let Sight::Busy(status) = sight {
        let left = until.since(shared.now());
        return Err(refused(stage, upstream, (status, left)));
    }
    // The upstream says in its own words what is wrong with the call. Were it in the way of others meanwhile, anybody could
    // be, with credentials made up.
    if sight == Sight::Unseen {
        return Ok(());
    }
    let Some(held) = changes.begin(sight, &watch) else {
        return Err(refused(stage, upstream, (LOCKED, before.every)));
    };
    stage.change = Some(Box::new(held));
    Ok(())
}

/// Changes of a resource that are up.
struct Changes<'a> {
    changing: &'a Running,
    resource: String,
    /// In whose name those are noted that were let see it: they are in everybody's way.
    by_all: [Owner; 1],
    /// In whose name one is noted where nobody could say how it is: it has proven nothing, and is in no other's way.
    by_one: [Owner; 1],
    /// Who asks is known: anybody else hears of others' changes only once it was let see the resource.
    is_known: bool,
}

impl<'a> Changes<'a> {
    fn of(
        changing: &'a Running,
        resource: String,
        (upstream, owner, is_known): (&Upstream, &str, bool),
    ) -> Self {
        Self {
            changing,
            resource,
            by_all: [Owner(upstream.name().clone())],
            by_one: [Owner(format!("{} {owner}", upstream.name()).into())],
            is_known,
        }
    }

    /// Whether there are some that who asks is to wait for.
    fn go_on(&self) -> bool {
        self.are_up(&self.by_one) || (self.is_known && self.are_up(&self.by_all))
    }

    fn are_up(&self, by: &[Owner]) -> bool {
        self.changing.holds(by, &self.resource, "")
    }

    /// Notes one more by what was seen; none where another was quicker. That may be over by now: it began while this one looked,
    /// and was not seen.
    fn begin(&self, sight: Sight, watch: &Watch<'_>) -> Option<Held> {
        let held = if sight == Sight::Free {
            self.hold()
        } else {
            self.hold_alone()
        };
        let held = held.filter(|_| !watch.is_late())?;
        watch.begin();
        Some(held)
    }

    /// Notes one more, which everybody waits for; none where there is one.
    fn hold(&self) -> Option<Held> {
        self.changing.hold(&self.by_all, &self.resource, "")
    }

    /// The same, which who asks alone waits for.
    fn hold_alone(&self) -> Option<Held> {
        let is_free = !(self.is_known && self.are_up(&self.by_all));
        let held = is_free.then(|| self.changing.hold(&self.by_one, &self.resource, ""));
        held.flatten()
    }
}

fn looked_at(upstream: &Upstream, place: usize) -> Option<(&Adapter, &Native, &Before)> {
    let adapter = upstream.config().adapters.get(place)?;
    let native = adapter.native.as_ref()?;
    Some((adapter, native, native.before.as_ref()?))
}

/// In the words of the API, and when to come back: not all at the same moment.
fn refused(stage: &mut Stage, upstream: &Upstream, (status, left): (u16, Duration)) -> Stop {
    stage.who = Some(Who::Gate);
    let why = if status == TOO_MANY {
        "the upstream takes no more requests at this moment; come back later"
    } else {
        "what is to be changed is busy, and nothing was sent to it; come back later"
    };
    let voice = judge::voice(stage, upstream.index());
    let mut answer = answer::lost(status, why, voice.as_ref());
    let seconds = left.as_secs() + 1;
    let spread = stage.shared.tasks.spread(seconds.div_ceil(4));
    answer
        .headers
        .push((RETRY_AFTER, (seconds + spread).into()));
    Stop::Answer(answer)
}

/// Looks, with what the client shows, under the limits of such a call.
async fn look(
    session: &Session,
    stage: &Stage,
    upstream: &Upstream,
    (native, before, origin): (&Native, &Before, &Origin<'_>),
    request: Request,
) -> Seen {
    let answer = asked(session, stage, upstream, request).await;
    let now = stage.shared.now();
    let Some(answer) = answer else {
        return (Sight::Unknown, now.after(before.fresh));
    };
    let answered = Answered {
        status: answer.status,
        headers: &answer.headers,
        body: &answer.body,
    };
    let stated = come_back::retry_after(&answer.headers, SystemTime::now());
    let rest = stated.unwrap_or(before.every).min(LONGEST);
    match is_busy(native, origin, &answered) {
        Some(true) => (Sight::Busy(LOCKED), now.after(before.every)),
        _ if matches!(answer.status, LOCKED | TOO_MANY) => {
            (Sight::Busy(answer.status), now.after(rest))
        }
        Some(false) => (Sight::Free, now.after(before.fresh)),
        None if is_the_askers_own(answer.status) => (Sight::Unseen, now.after(before.fresh)),
        None => (Sight::Unknown, now.after(before.fresh)),
    }
}

/// Whether who looks is told that it may not, or that there is nothing.
fn is_the_askers_own(status: u16) -> bool {
    (300..500).contains(&status) && !NO_WORD.contains(&status)
}

async fn asked(
    session: &Session,
    stage: &Stage,
    upstream: &Upstream,
    request: Request,
) -> Option<OwnAnswer> {
    let id = HeaderValue::from_static("-");
    let id = stage.request_id.as_ref().unwrap_or(&id);
    let head = session.req_header();
    let kept = upstream
        .rewriter()
        .kept_request(head, hop(session, stage), id);
    let headers = questions(kept.ok()?);
    let table = upstream.table();
    let asked = table.target(&Method::GET, &request.target, &headers).ok()?;
    let mut call = asked.call(&Method::GET, &headers, None, stage.client);
    call.caller = stage.met.caller;
    let now = stage.shared.now();
    // Full: the call itself meets the same limits, and is told so.
    let mut claim = upstream.stack().claim(&call, now).ok()?;
    claim.dispatch(now).ok()?;
    let own = OwnCall {
        method: Method::GET,
        target: request.target,
        headers: headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        body: Bytes::new(),
    };
    let upstream = stage.shared.hosts.all().get(upstream.index())?;
    let sent = upstream.send(own, claim.socket_group(), PATIENCE, LARGEST);
    sent.await.ok()
}

/// The fields to ask with: the same credentials, and nothing that speaks of the call's own body, or changes the answer.
fn questions(mut headers: HeaderMap) -> HeaderMap {
    for name in [
        ACCEPT_ENCODING,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_TYPE,
        IF_MATCH,
        IF_NONE_MATCH,
        RANGE,
        IDEMPOTENCY_KEY,
    ] {
        headers.remove(name);
    }
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers
}
