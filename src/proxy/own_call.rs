//! Calls of the gate's own, under the limits of their class: the way up, and what whose a session is asked for.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::sessions::{People, Question};
use super::shared::Shared;
use crate::admit::{Claim, SessionUnits};
use crate::call::{Call, Class, Opening, SessionKind, Spoken};
use crate::dialect::own::{self, Whose};
use crate::dialect::{Secret, login};
use crate::forward::{OwnAnswer, OwnCall, Upstream};
use crate::session::{Credential, New, Token, User};

/// Longest answer to a call of the gate's own, bytes.
const ANSWER: usize = 64 * 1024;
/// Longest time to say whose a session is.
const PATIENCE: Duration = Duration::from_secs(5);

/// A session of the gate's own at a vCenter, with its units of the limits on sessions.
pub struct LoggedIn {
    /// Its token.
    pub token: Secret,
    _units: SessionUnits,
}

/// Why a call of the gate's own has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// It was not sent: its limits have no room at this moment.
    Unsent,
    /// The upstream said nothing.
    Silent,
}

impl Shared {
    /// A call of the gate's own to upstream number `upstream`, under the limits of its class, answered `within` this
    /// time.
    pub async fn send_own(
        &self,
        upstream: usize,
        request: own::Request,
        of: (Class, SessionKind),
        within: Duration,
    ) -> Option<OwnAnswer> {
        self.try_own(upstream, request, of, within).await.ok()
    }

    /// As [`Shared::send_own`], with why there is no answer.
    pub(super) async fn try_own(
        &self,
        upstream: usize,
        request: own::Request,
        (class, side): (Class, SessionKind),
        within: Duration,
    ) -> Result<OwnAnswer, Unanswered> {
        let upstream = self.hosts.all().get(upstream);
        let upstream = upstream.ok_or(Unanswered::Unsent)?;
        let nobody = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut call = Call::new(class, &request.target, nobody);
        call.side = side;
        // Refused: whoever wanted it comes again.
        let claim = upstream.stack().claim(&call, self.now());
        let mut claim = claim.map_err(|_| Unanswered::Unsent)?;
        let dispatched = claim.dispatch(self.now());
        dispatched.map_err(|_| Unanswered::Unsent)?;
        let answer = exchange(upstream, request, &claim, within).await;
        answer.ok_or(Unanswered::Silent)
    }

    /// Logs the gate itself in at a vCenter, as `user` with this password, under the limits on logins and sessions.
    pub async fn log_in(
        &self,
        upstream: usize,
        (user, password): (&str, &str),
        within: Duration,
    ) -> Option<LoggedIn> {
        let home = self.people.home(upstream)?;
        let upstream = self.hosts.all().get(upstream)?;
        let request = own::log_in(user, password)?;
        let nobody = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut call = Call::new(Class::Login, &request.target, nobody);
        call.opens = Some(Opening {
            kind: SessionKind::Rest,
            user: home.user(user).map(|user| user.id),
            proven: true,
        });
        let mut claim = upstream.stack().claim(&call, self.now()).ok()?;
        claim.dispatch(self.now()).ok()?;
        let answer = exchange(upstream, request, &claim, within).await?;
        let said = login::Answer {
            status: answer.status,
            headers: &answer.headers,
            body: &answer.body,
            shown: None,
        };
        match login::outcome(home.dialect, Spoken::Api, &said) {
            login::Outcome::Opened(opened) => Some(LoggedIn {
                token: opened.token,
                _units: claim.keep_session(self.now()),
            }),
            login::Outcome::Refused | login::Outcome::Unknown => None,
        }
    }

    /// Asks the upstream whose a session is.
    pub async fn ask_whose(&self, question: &Question) -> Whose {
        let said = self.try_whose(question).await;
        said.unwrap_or(Whose::Unknown)
    }

    /// As [`Shared::ask_whose`], with why there is no answer.
    pub(super) async fn try_whose(&self, question: &Question) -> Result<Whose, Unanswered> {
        let home = self.people.home(question.upstream);
        let home = home.ok_or(Unanswered::Unsent)?;
        let session = question.session(home.dialect);
        self.try_asked(question.upstream, question.kind, &session)
            .await
    }

    /// Asks upstream number `upstream` whose this session is; nothing where it could not be asked.
    pub async fn asked(
        &self,
        upstream: usize,
        kind: SessionKind,
        session: &own::Session<'_>,
    ) -> Option<Whose> {
        self.try_asked(upstream, kind, session).await.ok()
    }

    async fn try_asked(
        &self,
        upstream: usize,
        kind: SessionKind,
        session: &own::Session<'_>,
    ) -> Result<Whose, Unanswered> {
        let request = own::whose(session).ok_or(Unanswered::Unsent)?;
        let class = match kind {
            SessionKind::Rest => Class::Rest,
            SessionKind::Soap => Class::Soap,
        };
        let said = self.try_own(upstream, request, (class, kind), PATIENCE);
        let said = said.await?;
        match own::answer(session.dialect, session.spoken, said.status, &said.body) {
            // It is busy or broken: that is no answer to this question.
            Whose::Unknown if said.status >= 500 || said.status == 429 => Err(Unanswered::Silent),
            whose => Ok(whose),
        }
    }

    /// Takes a session up that the upstream says is `name`'s; the user.
    pub fn adopt(&self, question: &Question, name: &str) -> Option<User> {
        let people = &self.people;
        let home = people.home(question.upstream)?;
        let upstream = self.hosts.all().get(question.upstream)?;
        let now = People::now(self.now());
        let user = home.user(name);
        if let Some(user) = &user {
            let take = |units: &mut SessionUnits| units.name(user.id);
            let ledger = people.ledger();
            if ledger.name(&question.key, user.clone(), take, now.moment) {
                return Some(user.clone());
            }
        }
        let id = user.as_ref().map(|user| user.id);
        let stack = upstream.stack();
        let units = stack.hold_session(question.kind, id, question.address, now.moment);
        let credential = Credential {
            token: Token::new(question.token.expose()),
            xsrf: question
                .proof
                .as_ref()
                .map(|proof| Token::new(proof.expose())),
        };
        let new = New {
            key: question.key,
            kind: question.kind,
            upstream: &home.upstream,
            user: user.clone(),
            address: question.address,
            credential: Some(&credential),
            began: question.began,
        };
        let opened = people.ledger().adopt(new, units, now);
        tracing::info!(?opened, upstream = %home.upstream.name, "a session that was opened round the gate");
        user
    }
}

async fn exchange(
    upstream: &Arc<Upstream>,
    request: own::Request,
    claim: &Claim,
    within: Duration,
) -> Option<OwnAnswer> {
    let own = OwnCall {
        method: request.method,
        target: request.target.into_owned(),
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
