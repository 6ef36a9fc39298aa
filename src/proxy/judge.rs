//! What a request asks for and who makes it, and whether it may pass: classify, then admit.

use pingora_proxy::Session;

use super::arrive::{refuse, sizes};
use super::caller::Look;
use super::outcome;
use super::said::{self, Form, Said, Stop};
use super::stage::Stage;
use crate::answer::{self, Answer, Cap, Voice};
use crate::call::{Class, Dialect, Refusal, SessionKind, Spoken};
use crate::classify::{Asked, BadTarget};
use crate::dialect::own;
use crate::forward::Upstream;
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
    let Some(form) = form else {
        return claim(session, stage, upstream, &asked, Said::Unread).map_err(Stop::Answer);
    };
    let said = said::read(session, stage, form).await?;
    let asked = self::asked(session, stage, upstream, &said).map_err(Stop::Answer)?;
    claim(session, stage, upstream, &asked, said).map_err(Stop::Answer)
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

fn claim(
    session: &Session,
    stage: &mut Stage,
    upstream: &Upstream,
    asked: &Asked<'_>,
    said: Said,
) -> Result<(), Answer> {
    let now = match said {
        Said::Unread => stage.shared.moment(stage.began),
        _ => stage.shared.now(),
    };
    (stage.class, stage.spoken) = (asked.class, asked.spoken);
    stage.form = match asked.side() {
        SessionKind::Soap => Spoken::Soap,
        SessionKind::Rest => asked.spoken,
    };
    stage.ends_own = own::ends_own(said.operation(), &asked.normal_path);
    let people = &stage.shared.people;
    let head = session.req_header();
    if let Some(home) = people.home(upstream.index()) {
        stage.met = Look {
            people,
            home,
            headers: &head.headers,
            query: asked.query,
            class: asked.class,
            spoken: stage.form,
            said: &said,
            certificate: certificate(stage),
            client: stage.client,
            now,
        }
        .meet();
        if asked.class == Class::Login && stage.form == Spoken::Soap {
            stage.token = outcome::shown(home, stage.form, &head.headers);
        }
    }
    let mut call = asked.call(&head.method, &head.headers, said.operation(), stage.client);
    (call.caller, call.opens) = (stage.met.caller, stage.met.opens);
    let claimed = upstream.stack().claim(&call, now);
    if let Said::Rpc(known) = said {
        (stage.rpc_id, stage.token) = (known.id, known.session);
    }
    match claimed {
        Ok(claim) => {
            let cap = claim.response_cap();
            stage.cap = cap.map(|cap| Cap::new(cap.name.clone(), cap.bytes, cap.shadow));
            stage.claim = Some(claim);
            Ok(())
        }
        Err(refusal) => Err(refused(stage, upstream.index(), &refusal)),
    }
}

/// The refusal of a limit, in the words of the API that was spoken.
pub(super) fn refused(stage: &mut Stage, upstream: usize, refusal: &Refusal) -> Answer {
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
