//! What a request asks for and who makes it, and whether it may pass: classify, then admit.

use std::num::NonZeroU32;
use std::time::Duration;

use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::arrive::{refuse, sizes};
use super::caller::Look;
use super::said::{self, Form, Said, Stop};
use super::stage::Stage;
use super::{blackout, convert, line, outcome, patience};
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
    let is_steady = upstream.health().is_steady();
    let (said, entry) = match form {
        None if is_steady
            && asked.class != Class::Blocking
            && !convert::may_stand_in(&asked, upstream) =>
        {
            let now = stage.shared.moment(stage.began);
            let said = Said::Unread;
            let round = Round::First;
            let entry = enter(session, stage, upstream, (&asked, &said), round, now);
            (said, entry)
        }
        _ => {
            // Boxed, here and below: what is rare is not to make the future of every request larger.
            let said = Box::pin(said(session, stage, upstream, form)).await?;
            let asked = self::asked(session, stage, upstream, &said).map_err(Stop::Answer)?;
            let now = stage.shared.now();
            let round = Round::First;
            let entry = enter(session, stage, upstream, (&asked, &said), round, now);
            (said, entry)
        }
    };
    let refused = admit(session, stage, upstream, &said, entry).await?;
    stage.said = match said {
        Said::Rpc(mut known) => {
            stage.token = known.session.take();
            Said::Rpc(known)
        }
        // It names no operation, but may hold a password.
        Said::Login(_) => Said::Unread,
        said => said,
    };
    match refused {
        None => Ok(()),
        Some(refusal) => Err(Stop::Answer(refused_by(stage, upstream.index(), &refusal))),
    }
}

/// Reads what the body has to say, makes a task of what is to be one, and waits for the upstream while it is down.
async fn said(
    session: &mut Session,
    stage: &mut Stage,
    upstream: &Upstream,
    form: Option<Form>,
) -> Result<Said, Stop> {
    let mut said = match form {
        None => Said::Unread,
        Some(form) => said::read(session, stage, form).await?,
    };
    if let Said::Rpc(known) = &mut said {
        stage.rpc_id = known.id.take();
    }
    // A task need not wait for the upstream here.
    Box::pin(convert::consider(session, stage, upstream, &said)).await?;
    if !upstream.health().is_steady() {
        blackout::hold(session, stage, upstream).await?;
    }
    Ok(said)
}

/// Judges a request once more, which gave its units back: it is in line again by its age.
pub(super) async fn again(
    session: &mut Session,
    stage: &mut Stage,
    upstream: &Upstream,
) -> Result<(), Stop> {
    let said = std::mem::take(&mut stage.said);
    let now = stage.shared.now();
    let asked = asked(session, stage, upstream, &said).map_err(Stop::Answer)?;
    let entry = enter(session, stage, upstream, (&asked, &said), Round::Again, now);
    let refused = admit(session, stage, upstream, &said, entry).await?;
    stage.said = said;
    match refused {
        None => Ok(()),
        Some(refusal) => Err(Stop::Answer(refused_by(stage, upstream.index(), &refusal))),
    }
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

/// How often a call was looked at before.
enum Round {
    /// Never: it is not known yet who calls.
    First,
    /// In line, where it was its turn.
    Turn(Turn),
    /// It was admitted, and gave back what it held.
    Again,
}

/// Holds the call until it has every limit; the refusal where it may not pass.
async fn admit(
    session: &mut Session,
    stage: &mut Stage,
    upstream: &Upstream,
    said: &Said,
    mut entry: Entry,
) -> Result<Option<Refusal>, Stop> {
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
        let turn = match Box::pin(line::hold(session, stage, waiting)).await? {
            Ok(turn) => turn,
            Err(refusal) => return Ok(Some(refusal)),
        };
        // The call borrows from the request, which was read from meanwhile: it is looked at anew.
        let now = stage.shared.now();
        let asked = asked(session, stage, upstream, said).map_err(Stop::Answer)?;
        let round = Round::Turn(turn);
        entry = enter(session, stage, upstream, (&asked, said), round, now);
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
pub(super) fn asked<'s>(
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
    (asked, said): (&Asked<'_>, &Said),
    round: Round,
    now: Moment,
) -> Entry {
    let head = session.req_header();
    if matches!(round, Round::First) {
        meet(head, stage, upstream, asked, said, now);
    }
    let call = called(session, stage, asked, said);
    // Asked for only when there is something to wait for.
    let terms = || terms(session, stage, upstream, &call);
    let stack = upstream.stack();
    match round {
        Round::First => stack.enter(&call, terms, now),
        Round::Again => stack.enter_again(&call, terms, stage.came(), now),
        Round::Turn(turn) => stack.resume(&call, terms, turn, now),
    }
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
    stage.form = form_of(asked);
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
        uses: true,
    }
    .meet();
    if asked.class == Class::Login && stage.form == Spoken::Soap {
        stage.token = outcome::shown(home, stage.form, &head.headers);
    }
}

/// The form in which its sessions are.
pub(super) fn form_of(asked: &Asked<'_>) -> Spoken {
    match asked.side() {
        SessionKind::Soap => Spoken::Soap,
        SessionKind::Rest => asked.spoken,
    }
}

/// The refusal of a limit, in the words of the API that was spoken.
pub(super) fn refused_by(stage: &mut Stage, upstream: usize, refusal: &Refusal) -> Answer {
    stage.who = Some(Who::Limit);
    stage.limit = Some(refusal.limit.clone());
    let voice = voice(stage, upstream);
    answer::refusal(refusal, voice.as_ref(), stage.shared.settings.ratelimit)
}

/// In whose words a refusal of this call is said.
pub(super) fn voice(stage: &Stage, upstream: usize) -> Option<Voice<'_>> {
    stage.shared.people.home(upstream).map(|home| Voice {
        dialect: home.dialect,
        spoken: stage.spoken,
        statuses: home.statuses,
        user: stage.met.name.as_deref(),
        rpc_id: stage.rpc_id.as_deref(),
    })
}

pub(super) fn certificate(stage: &Stage) -> Option<&[u8]> {
    let tls = stage.connection.as_ref()?.tls()?;
    tls.client_certificate.as_deref()
}
