//! Calls of the gate's own: they go up under the limits of their class; and the operator's logout.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::call::{Call, Class, SessionKind, Spoken};
use crate::dialect::{Secret, own};
use crate::forward::{OwnAnswer, OwnCall};
use crate::proxy::{Home, People, Shared};
use crate::session::{self, SessionId};

/// Longest time for a logout.
const LOGOUT: Duration = Duration::from_secs(30);
/// Longest answer to a call of the gate's own, bytes.
const ANSWER: usize = 64 * 1024;

/// A call of the gate's own, under the limits of its class, answered `within` this time.
pub(super) async fn send(
    shared: &Shared,
    upstream: usize,
    request: own::Request,
    (class, side): (Class, SessionKind),
    within: Duration,
) -> Option<OwnAnswer> {
    let upstream = shared.hosts.all().get(upstream)?;
    let nobody = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut call = Call::new(class, request.target, nobody);
    call.side = side;
    // Refused: whoever wanted it comes again.
    let mut claim = upstream.stack().claim(&call, shared.now()).ok()?;
    claim.dispatch(shared.now()).ok()?;
    let own = OwnCall {
        method: request.method,
        target: request.target.to_owned(),
        headers: request
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        body: Bytes::clone(&request.body.0),
    };
    let sent = upstream
        .send(own, claim.socket_group(), within, ANSWER)
        .await;
    sent.inspect_err(|error| {
        tracing::warn!(upstream = %upstream.name(), %error, "a call of the gate's own had no answer");
    })
    .ok()
}

/// What became of a session that the operator wants to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoggedOut {
    /// The upstream took the logout.
    Done,
    /// There is no such session.
    Unknown,
    /// Its token is not kept, or its API has no logout: it can only idle out.
    Impossible,
    /// The upstream did not take it.
    Failed,
}

/// Logs session `id` out at its upstream, and forgets it.
pub(super) async fn log_out(shared: Arc<Shared>, id: SessionId) -> LoggedOut {
    let people = &shared.people;
    let Some(found) = people.ledger().logout(id) else {
        return LoggedOut::Unknown;
    };
    let Some((home, request)) = logout_request(people, &found) else {
        return LoggedOut::Impossible;
    };
    let of = (Class::Logout, found.kind);
    let answer = send(&shared, home.upstream.index, request, of, LOGOUT).await;
    let gone = answer.is_some_and(|answer| {
        let said = own::answer(home.dialect, form(found.kind), answer.status, &answer.body);
        answer.status < 400 || said == own::Whose::Gone
    });
    if !gone {
        return LoggedOut::Failed;
    }
    drop(people.ledger().close(&found.key, shared.now()));
    LoggedOut::Done
}

fn logout_request<'p>(
    people: &'p People,
    found: &session::Logout,
) -> Option<(&'p Home, own::Request)> {
    let home = people.home(found.upstream.index)?;
    let credential = found.credential.as_ref()?;
    let token = Secret::new(credential.token.expose());
    let proof = credential
        .xsrf
        .as_ref()
        .map(|proof| Secret::new(proof.expose()));
    let session = own::Session {
        dialect: home.dialect,
        spoken: form(found.kind),
        token: &token,
        proof: proof.as_ref(),
    };
    let request = own::logout(&session, &format!("https://{}", home.upstream.name))?;
    Some((home, request))
}

/// The form in which the gate itself speaks of a session of this kind.
pub(super) const fn form(kind: SessionKind) -> Spoken {
    match kind {
        SessionKind::Rest => Spoken::Api,
        SessionKind::Soap => Spoken::Soap,
    }
}
