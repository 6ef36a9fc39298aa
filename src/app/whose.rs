//! Whose a session is that was opened round the gate: asked of the upstream, few at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::own::send;
use crate::admit::SessionUnits;
use crate::call::{Class, SessionKey, SessionKind};
use crate::dialect::own;
use crate::limit::Moment;
use crate::proxy::{Asking, People, Question, Shared};
use crate::session::{Credential, New, Token};

/// Questions that are asked at the same time; further ones stand in line.
const AT_ONCE: usize = 8;
/// Longest time for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks whose sessions are that nobody knows.
pub(super) async fn ask(shared: Arc<Shared>, mut questions: mpsc::Receiver<Asking>) {
    let mut asked = Asked::default();
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            asking = questions.recv(), if running.len() < AT_ONCE => {
                let Some(asking) = asking else {
                    return;
                };
                if is_open(&shared, &asking.question, &mut asked) {
                    running.spawn(settle(shared.clone(), asking));
                }
            }
            // One that failed has said so.
            Some(_) = running.join_next() => {}
        }
    }
}

/// Whether the question has no answer yet, and was not asked a moment ago.
fn is_open(shared: &Shared, question: &Question, asked: &mut Asked) -> bool {
    let now = shared.now();
    let known = shared.people.ledger().find(&question.key, now);
    if known.is_some_and(|known| known.user.is_some()) {
        return false;
    }
    if question.logged_in {
        asked.forget(question.key);
    }
    !asked.lately(question.key, now)
}

/// Asks one question, and takes the session up where it is one.
async fn settle(shared: Arc<Shared>, asking: Asking) {
    let question = &asking.question;
    if let Some(name) = whose(&shared, question).await {
        adopt(&shared, question, &name);
    }
}

/// Sessions that were asked about a moment ago: asking again would be of no use.
#[derive(Default)]
struct Asked(VecDeque<(SessionKey, Moment)>);

impl Asked {
    const AGAIN: Duration = Duration::from_secs(30);
    const MOST: usize = 1024;

    fn lately(&mut self, key: SessionKey, now: Moment) -> bool {
        self.0.retain(|(_, when)| now.since(*when) < Self::AGAIN);
        if self.0.iter().any(|(asked, _)| *asked == key) {
            return true;
        }
        if self.0.len() >= Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back((key, now));
        false
    }

    /// What was said of the session before no longer holds.
    fn forget(&mut self, key: SessionKey) {
        self.0.retain(|(asked, _)| *asked != key);
    }
}

/// What the upstream says. Where it cannot be asked, a token is no session's: a page that is open to
/// everybody answers any.
async fn whose(shared: &Shared, question: &Question) -> Option<String> {
    let home = shared.people.home(question.upstream)?;
    let session = own::Session {
        dialect: home.dialect,
        spoken: question.spoken,
        token: &question.token,
        proof: question.proof.as_ref(),
    };
    let request = own::whose(&session)?;
    let class = match question.kind {
        SessionKind::Rest => Class::Rest,
        SessionKind::Soap => Class::Soap,
    };
    let of = (class, question.kind);
    let answer = send(shared, question.upstream, request, of, PATIENCE).await?;
    match own::answer(home.dialect, question.spoken, answer.status, &answer.body) {
        own::Whose::User(name) => Some(name),
        own::Whose::Gone | own::Whose::Unknown => None,
    }
}

fn adopt(shared: &Shared, question: &Question, name: &str) {
    let people = &shared.people;
    let (Some(home), Some(upstream)) = (
        people.home(question.upstream),
        shared.hosts.all().get(question.upstream),
    ) else {
        return;
    };
    let now = People::now(shared.now());
    let user = home.user(name);
    if let Some(user) = &user {
        let take = |units: &mut SessionUnits| units.name(user.id);
        let ledger = people.ledger();
        if ledger.name(&question.key, user.clone(), take, now.moment) {
            return;
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
        user,
        address: question.address,
        credential: Some(&credential),
        began: question.began,
    };
    let opened = people.ledger().adopt(new, units, now);
    tracing::info!(?opened, upstream = %home.upstream.name, "a session that was opened round the gate");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_asked_about_again_after_a_while_or_once_it_is_logged_in() {
        let mut asked = Asked::default();
        let at = |seconds: u64| Moment::from_nanos(seconds * 1_000_000_000);
        let [one, other] = [1, 2].map(|byte| SessionKey::new([byte; 16]));
        assert!(!asked.lately(one, at(0)) && asked.lately(one, at(29)));
        assert!(!asked.lately(other, at(29)));
        assert!(!asked.lately(one, at(30)), "it was asked 30 s ago");
        asked.forget(other);
        assert!(!asked.lately(other, at(31)) && asked.lately(one, at(31)));
    }
}
