//! What the upstream's answer says of sessions and users: opened, ended, accepted, refused.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::caller::{has_sessions, kind_of, proves};
use super::sessions::{Home, People, Question};
use super::stage::Stage;
use super::verify::Key;
use crate::call::{Class, Dialect, SessionKey, SessionKind, Spoken};
use crate::dialect::credential::{self, Credential};
use crate::dialect::own::{self, RpcError};
use crate::dialect::regard::{self, Regard};
use crate::dialect::{Secret, login};
use crate::forward::OwnAnswer;
use crate::session::{self, InUse, New, User};

/// The answer to a login, as it comes in. It holds a token: it is not for printing.
pub(super) struct LoginAnswer {
    status: u16,
    headers: HeaderMap,
    body: BytesMut,
}

/// The beginning of an answer that may say that its session is gone.
#[derive(Default)]
pub(super) struct Peeked(BytesMut);

/// Most bytes of it: both forms say it at once.
const PEEK: usize = 4 * 1024;
/// An error of JSON-RPC, which comes with status 200, for an answer whose head does not name it.
const RPC_GONE: &[u8] = b"\"error\":{\"ERROR\":{\"com.vmware.vapi.std.errors.unauthenticated\"";

/// Session expired, in Avi's own status.
const AVI_EXPIRED: u16 = 419;

/// The head of the answer is here.
pub(super) fn head(session: &Session, head: &ResponseHeader, stage: &mut Stage) {
    let people = &stage.shared.people;
    let Some(home) = home(people, stage) else {
        return;
    };
    let status = head.status;
    if stage.class == Class::Login {
        stage.login = has_sessions(home.dialect).then(|| LoginAnswer {
            status: status.as_u16(),
            headers: head.headers.clone(),
            body: BytesMut::new(),
        });
        if status == StatusCode::UNAUTHORIZED {
            forget_proof(stage);
        }
        return;
    }
    if stage.met.seen.is_none() && stage.met.proof.is_none() {
        return;
    }
    let verdict = Verdict::of(stage.form, head);
    if verdict == Verdict::InBody && stage.met.in_use.is_some() {
        stage.peeked = Some(Peeked::default());
    }
    if verdict == Verdict::Gone {
        if let Some((key, kind)) = stage.met.seen
            && judges(home, stage.form, kind)
        {
            close(people, stage, &key);
        }
        forget_proof(stage);
    } else if regard::regard(status.as_u16()) == Regard::Doubted {
        doubt(stage);
    } else if status.is_success() {
        if let Some(shown) = &stage.met.proof
            && !shown.is_fresh
            && proves(home.dialect, stage.class)
        {
            stage.shared.learned(shown.key, shown.user.clone());
        }
        match (stage.class, stage.met.seen) {
            // JSON-RPC says in its body whether it did.
            (Class::Logout, Some(_)) if stage.form == Spoken::Rpc => {}
            (Class::Logout, Some((key, _))) if stage.ends_own => close(people, stage, &key),
            (_, None) => {}
            (..) => wonder(session, stage, people, home),
        }
    }
}

/// What the head of an answer says of the session that it was asked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is over.
    Gone,
    /// The body may say that it is.
    InBody,
    /// Nothing.
    Silent,
}

impl Verdict {
    fn of(form: Spoken, head: &ResponseHeader) -> Self {
        match (form, head.status) {
            (_, StatusCode::UNAUTHORIZED) => Self::Gone,
            (_, status) if status.as_u16() == AVI_EXPIRED => Self::Gone,
            (Spoken::Soap, StatusCode::INTERNAL_SERVER_ERROR) => Self::InBody,
            (Spoken::Rpc, StatusCode::OK) => match own::rpc_error(&head.headers) {
                Some(RpcError::Unauthenticated) => Self::Gone,
                Some(RpcError::Other) => Self::Silent,
                None => Self::InBody,
            },
            _ => Self::Silent,
        }
    }
}

/// A piece of the answer to a login.
pub(super) fn body(piece: Option<&Bytes>, stage: &mut Stage) {
    if let (Some(login), Some(piece)) = (&mut stage.login, piece) {
        let room = login::MAX_ANSWER.saturating_sub(login.body.len());
        let taken = piece.get(..room.min(piece.len())).unwrap_or_default();
        login.body.extend_from_slice(taken);
    }
    if let (Some(Peeked(body)), Some(piece)) = (&mut stage.peeked, piece) {
        let room = PEEK.saturating_sub(body.len());
        body.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
    }
}

/// The whole answer to a login whose client is gone.
pub(super) fn late(answer: OwnAnswer, stage: &mut Stage) {
    stage.login = Some(LoginAnswer {
        status: answer.status,
        headers: answer.headers,
        body: BytesMut::from(&*answer.body),
    });
    end(stage);
}

/// The answer is whole: of a login, it tells whether there is one session more.
pub(super) fn end(stage: &mut Stage) {
    if let Some(Peeked(body)) = stage.peeked.take() {
        gone(stage, &body);
    }
    let Some(answer) = stage.login.take() else {
        return;
    };
    let shared = stage.shared.clone();
    let people = &shared.people;
    let Some(home) = home(people, stage) else {
        return;
    };
    let said = login::Answer {
        status: answer.status,
        headers: &answer.headers,
        body: &answer.body,
        shown: stage.token.as_ref().map(Secret::expose),
    };
    match login::outcome(home.dialect, stage.form, &said) {
        login::Outcome::Opened(opened) => open(people, home, stage, &opened),
        login::Outcome::Refused => forget_proof(stage),
        login::Outcome::Unknown => {}
    }
}

/// Whether a call in this form is asked of the API that a session of this kind belongs to. Another
/// answers 401 to a session that lives on.
fn judges(home: &Home, form: Spoken, kind: SessionKind) -> bool {
    let of_files = home.dialect == Dialect::Vcenter && form == Spoken::Plain;
    kind_of(form) == kind && !of_files
}

/// Forgets the session that the answer says is gone.
fn gone(stage: &Stage, body: &[u8]) {
    let logout = stage.class == Class::Logout && stage.ends_own;
    let is_gone = match stage.form {
        // Only the name of the fault counts: what else it says may repeat the call's own words.
        Spoken::Soap => {
            let said = own::answer(Dialect::Vcenter, Spoken::Soap, 500, body);
            said == own::Whose::Gone
        }
        _ => memchr::memmem::find(body, RPC_GONE).is_some() || (logout && is_result(body)),
    };
    if let (Some((key, _)), true) = (stage.met.seen, is_gone) {
        close(&stage.shared.people, stage, &key);
    }
}

/// Whether this is an answer of JSON-RPC without an error in it.
fn is_result(body: &[u8]) -> bool {
    let Ok(answer) = serde_json::from_slice::<serde_json::Value>(body) else {
        return false;
    };
    let errors = [answer.get("error"), answer.pointer("/result/error")];
    errors.into_iter().flatten().all(serde_json::Value::is_null)
}

fn open(people: &People, home: &Home, stage: &mut Stage, opened: &login::Opened) {
    let now = stage.shared.now();
    let named = opened.user.as_deref().and_then(|name| home.user(name));
    let claimed = claimed(stage);
    let user = named.or_else(|| claimed.clone());
    let Some(claim) = &mut stage.claim else {
        return;
    };
    let mut units = claim.keep_session(now);
    if let Some(user) = user.as_ref().filter(|user| claimed.as_ref() != Some(*user)) {
        units.name(user.id);
    }
    let key = people
        .keys()
        .session(&home.upstream.name, opened.kind, opened.token.expose());
    let credential = session::Credential {
        token: session::Token::new(opened.token.expose()),
        xsrf: opened
            .proof
            .as_ref()
            .map(|proof| session::Token::new(proof.expose())),
    };
    let new = New {
        key,
        kind: opened.kind,
        upstream: &home.upstream,
        user: user.clone(),
        address: stage.client,
        credential: Some(&credential),
        began: stage.dispatched_at(),
    };
    let entered = people.ledger().open(new, units, People::now(now));
    // Nobody but the upstream knows whose it is.
    if user.is_none() {
        people.ask(Question {
            upstream: home.upstream.index,
            key,
            kind: opened.kind,
            spoken: stage.form,
            token: opened.token.clone(),
            proof: opened.proof.clone(),
            address: stage.client,
            began: stage.dispatched_at(),
            logged_in: true,
        });
    }
    tracing::debug!(opened = ?entered, upstream = %home.upstream.name, "login");
    if let (Some(shown), Some(user)) = (&stage.met.proof, user) {
        stage.shared.learned(shown.key, user);
    }
}

/// The user that a login says it is.
fn claimed(stage: &Stage) -> Option<User> {
    let id = stage.met.opens?.user?;
    let name = stage.met.name.clone()?;
    Some(User { id, name })
}

/// A session that the ledger does not know, or not whose it is, and the upstream does: ask.
fn wonder(session: &Session, stage: &Stage, people: &People, home: &Home) {
    let Some((key, kind)) = stage.met.seen else {
        return;
    };
    let named = |in_use: &InUse| in_use.known().user.is_some();
    if stage.met.in_use.as_ref().is_some_and(named) {
        return;
    }
    let speaks = stage.form != Spoken::Plain || home.dialect != Dialect::Vcenter;
    // Avi has no question to ask.
    if !has_sessions(home.dialect) || !speaks || home.dialect == Dialect::Avi {
        return;
    }
    let headers = &session.req_header().headers;
    let in_field = || shown(home, stage.form, headers);
    let Some(token) = stage.token.clone().or_else(in_field) else {
        return;
    };
    people.ask(Question {
        upstream: home.upstream.index,
        key,
        kind,
        spoken: stage.form,
        token,
        proof: credential::proof(home.dialect, headers).map(Secret::new),
        address: stage.client,
        began: stage.dispatched_at(),
        logged_in: false,
    });
}

/// The session's token in the fields of the request.
pub(super) fn shown(home: &Home, form: Spoken, headers: &HeaderMap) -> Option<Secret> {
    match credential::read(home.dialect, form, headers) {
        Credential::Session(token) => Some(Secret::new(token.bytes())),
        _ => None,
    }
}

/// The session is over, whatever was heard of it.
fn close(people: &People, stage: &Stage, key: &SessionKey) {
    let now = stage.shared.now();
    drop(people.ledger().close(key, now));
    stage.shared.tasks.verifier.refused(Key::Session(*key), now);
}

/// Who may not do something may be nobody any more: what the call showed has to be asked about anew.
fn doubt(stage: &Stage) {
    if let Some(shown) = &stage.met.proof {
        stage.shared.doubted(shown.key);
    }
    if let Some((key, _)) = stage.met.seen {
        let (verifier, now) = (&stage.shared.tasks.verifier, stage.shared.now());
        verifier.doubt(Key::Session(key), now);
    }
}

fn forget_proof(stage: &Stage) {
    if let Some(shown) = &stage.met.proof {
        stage.shared.refused(shown.key);
    }
}

fn home<'p>(people: &'p People, stage: &Stage) -> Option<&'p Home> {
    people.home(stage.upstream.as_ref()?.index())
}
