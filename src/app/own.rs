//! The operator's logout: a call of the gate's own.

use std::sync::Arc;
use std::time::Duration;

use crate::call::{Class, SessionKind, Spoken};
use crate::dialect::{Secret, own};
use crate::proxy::{Home, People, Shared};
use crate::session::{self, SessionId};

/// Longest time for a logout.
const LOGOUT: Duration = Duration::from_secs(30);

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
    let answer = shared
        .send_own(home.upstream.index, request, of, LOGOUT)
        .await;
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
