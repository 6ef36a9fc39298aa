//! What a request asks for and who makes it, and whether it may pass: classify, then admit.

use std::num::NonZeroU32;
use std::time::Duration;

use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::arrive::{refuse, sizes};
use super::caller::Look;
use super::said::{self, Form, Said, Stop};
use super::stage::Stage;
use super::{line, outcome, patience};
use crate::admit::{Entry, Terms, Turn};
use crate::answer::{self, Answer, Cap, Voice};
use crate::call::{Call, Class, Dialect, Refusal, SessionKind, Spoken};
use crate::classify::{Asked, BadTarget};
use crate::dialect::own;
use crate::forward::Upstream;
use crate::limit::{Moment, Rank};
use crate::observe::Who;

/// Judges a request for `upstream`: claims every limit of it, or says what to answer.
pub(super) async fn judge(
    session: &mut Session,
    stage: &mut Stage,
    upstream: &Upstream,
) -> Result<(), Stop> {
    let head = session.req_header();
    let asked = asked(session, stage, upstream, &Said::Unread).map_err(Stop::Answer)?;
    let form = form(&asked, upstream.config().speech.dialect);
    (stage.class, stage.spoken) = (asked.class, asked.spoken);
    sizes(head, stage).map_err(Stop::Answer)?;
    let said = match form {
        None => Said::Unread,
        Some(form) => said::read(session, stage, form).await?,
    };
    let now = match said {
        Said::Unread => stage.shared.moment(stage.began),
        _ => stage.shared.now(),
    };
    let refused = admit(session, stage, upstream, &said, now).await?;
    stage.said = match said {
        Said::Rpc(mut known) => {
            (stage.rpc_id, stage.token) = (known.id.take(), known.session.take());
            Said::Rpc(known)
        }
        // Its password has served.
        Said::Login(_) => Said::Unread,
        said => said,
    };
    match refused {
        None => Ok(()),
        Some(refusal) => Err(Stop::Answer(refused_by(stage, upstream.index(), &refusal))),
    }
}

/// Claims every limit of a call that the upstream has sent back, once it is its turn again.
pub(super) async fn again(
    session: &mut Session,
    stage: &mut Stage,
    upstream: &Upstream,
) -> Result<Option<Refusal>, Stop> {
    let said = std::mem::take(&mut stage.said);
    let now = stage.shared.now();
    let refused = admit(session, stage, upstream, &said, now).await;
    stage.said = said;
    refused
}

/// How long the call may wait since it came, and at a time in any line of its limits; `None` where it
/// may not.
pub(super) fn patience(
    session: &Session,
    stage: &mut Stage,
    upstream: &Upstream,
) -> Option<(Duration, Duration)> {
    let said = std::mem::take(&mut stage.said);
    let asked = asked(session, stage, upstream, &said);
    let found = asked.ok().and_then(|asked| {
        let call = called(session, stage, &asked, &said);
        let in_line = upstream.stack().longest_wait(&call)?;
        Some((terms(session, stage, upstream, &call).patience, in_line))
    });
    stage.said = said;
    found
}

/// Claims every limit of the call, once it is its turn; the refusal where it may not pass.
async fn admit(
    session: &mut Session,
    stage: &mut Stage,
    upstream: &Upstream,
    said: &Said,
    now: Moment,
) -> Result<Option<Refusal>, Stop> {
    let mut entry = enter(session, stage, upstream, said, None, now).map_err(Stop::Answer)?;
    loop {
        let waiting = match entry {
            Entry::Passed(claim) => {
                let cap = claim.response_cap();
                stage.cap = cap.map(|cap| Cap::new(cap.name.clone(), cap.bytes, cap.shadow));
                stage.claim = Some(claim);
                return Ok(None);
            }
            Entry::Refused(refusal) => return Ok(Some(refusal)),
            Entry::Waits(waiting) => waiting,
        };
        let turn = match line::hold(session, stage, waiting).await? {
            Ok(turn) => turn,
            Err(refusal) => return Ok(Some(refusal)),
        };
        // The call borrows from the request, which was read from meanwhile: it is looked at anew.
        let now = stage.shared.now();
        entry = enter(session, stage, upstream, said, Some(turn), now).map_err(Stop::Answer)?;
    }
}

/// The body has to be read before the call is known.
fn form(asked: &Asked<'_>, dialect: Dialect) -> Option<Form> {
    let in_body = match dialect {
        Dialect::Nsx | Dialect::Avi => true,
        // Its JSON form; SOAP itself names the operation in the body too.
        Dialect::Vcenter => asked.side() == SessionKind::Soap,
        Dialect::NsxV | Dialect::Skytap | Dialect::Generic => false,
    };
    match asked.spoken {
        Spoken::Rpc if asked.operation_in_body => Some(Form::Rpc),
        _ if asked.operation_in_body => Some(Form::Soap),
        _ if asked.class == Class::Login && in_body => Some(Form::Login),
        _ => None,
    }
}

/// What is asked for, by the head and by what the body said.
fn asked<'s>(
    session: &'s Session,
    stage: &mut Stage,
    upstream: &Upstream,
    said: &Said,
) -> Result<Asked<'s>, Answer> {
    let head = session.req_header();
    let Ok(target) = std::str::from_utf8(head.raw_path()) else {
        return Err(refuse(stage, 400, "the target is not UTF-8"));
    };
    let table = upstream.table();
    let asked = table
        .target(&head.method, target, &head.headers)
        .map_err(|fault| bad_target(stage, fault))?;
    let Some(operation) = said.operation() else {
        return Ok(asked);
    };
    table
        .operation(asked, &head.method, &head.headers, operation)
        .map_err(|fault| refuse(stage, 400, &format!("the body: {fault}")))
}

fn bad_target(stage: &mut Stage, fault: BadTarget) -> Answer {
    refuse(stage, 400, &format!("the target of the request: {fault}"))
}

/// Asks for admission; the first time, it finds out who calls.
fn enter(
    session: &Session,
    stage: &mut Stage,
    upstream: &Upstream,
    said: &Said,
    turn: Option<Turn>,
    now: Moment,
) -> Result<Entry, Answer> {
    let asked = &asked(session, stage, upstream, said)?;
    let head = session.req_header();
    let is_back = stage.back.times > 0;
    if turn.is_none() && !is_back {
        meet(head, stage, upstream, asked, said, now);
    }
    let call = called(session, stage, asked, said);
    // Asked for only when there is something to wait for.
    let terms = || terms(session, stage, upstream, &call);
    let stack = upstream.stack();
    Ok(match turn {
        Some(turn) => stack.resume(&call, terms, turn, now),
        None if is_back => stack.enter_again(&call, terms, stage.came(), now),
        None => stack.enter(&call, terms, now),
    })
}

/// The call as the limits see it.
fn called<'s>(
    session: &'s Session,
    stage: &Stage,
    asked: &'s Asked<'s>,
    said: &'s Said,
) -> Call<'s> {
    let head = session.req_header();
    let mut call = asked.call(&head.method, &head.headers, said.operation(), stage.client);
    (call.caller, call.opens) = (stage.met.caller, stage.met.opens);
    call
}

/// On what terms it waits. Who was sent back goes before all but those who let the system drain.
fn terms(session: &Session, stage: &Stage, upstream: &Upstream, call: &Call<'_>) -> Terms {
    let home = stage.shared.people.home(upstream.index());
    let weight = home.map_or(NonZeroU32::MIN, |home| home.weight(call.caller.user));
    let headers = &session.req_header().headers;
    let mut terms = patience::terms(call, headers, upstream.config(), weight);
    if stage.back.times > 0 {
        terms.rank = terms.rank.min(Rank::Promised);
    }
    terms
}

/// Finds out who calls.
fn meet(
    head: &RequestHeader,
    stage: &mut Stage,
    upstream: &Upstream,
    asked: &Asked<'_>,
    said: &Said,
    now: Moment,
) {
    (stage.class, stage.spoken) = (asked.class, asked.spoken);
    stage.form = match asked.side() {
        SessionKind::Soap => Spoken::Soap,
        SessionKind::Rest => asked.spoken,
    };
    stage.ends_own = own::ends_own(said.operation(), &asked.normal_path);
    let people = &stage.shared.people;
    let Some(home) = people.home(upstream.index()) else {
        return;
    };
    stage.met = Look {
        people,
        home,
        headers: &head.headers,
        query: asked.query,
        class: asked.class,
        spoken: stage.form,
        said,
        certificate: certificate(stage),
        client: stage.client,
        now,
    }
    .meet();
    if asked.class == Class::Login && stage.form == Spoken::Soap {
        stage.token = outcome::shown(home, stage.form, &head.headers);
    }
}

/// The refusal of a limit, in the words of the API that was spoken.
pub(super) fn refused_by(stage: &mut Stage, upstream: usize, refusal: &Refusal) -> Answer {
    stage.who = Some(Who::Limit);
    stage.limit = Some(refusal.limit.clone());
    let voice = stage.shared.people.home(upstream).map(|home| Voice {
        dialect: home.dialect,
        spoken: stage.spoken,
        statuses: home.statuses,
        user: stage.met.name.as_deref(),
        rpc_id: stage.rpc_id.as_deref(),
    });
    answer::refusal(refusal, voice.as_ref(), stage.shared.settings.ratelimit)
}

fn certificate(stage: &Stage) -> Option<&[u8]> {
    let tls = stage.connection.as_ref()?.tls()?;
    tls.client_certificate.as_deref()
}
