//! Keeps the login sessions of tasks alive that wait for their turn: a session that idles out upstream takes with it
//! whatever was to be done in it.
//!
//! A session is used by asking the upstream whose it is, under the limits as any call, when it has idled for a third
//! of the time that it may. One that is gone cannot be had back: its tasks fail at once, and say why.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::app::own;
use crate::call::{SessionKey, SessionKind};
use crate::dialect::Secret;
use crate::dialect::own::{Session, Whose};
use crate::proxy::{Home, Shared};
use crate::session::Logout;
use crate::task::{AdvanceError, Change, Event, Fault, Outcome, Record, State};

/// Sessions that are used at the same time.
const AT_ONCE: usize = 4;
/// How often it is looked for sessions that idle, at least and at most.
const LOOK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Keeps sessions alive, for as long as this is polled.
pub(super) async fn keep(shared: Arc<Shared>) {
    let pause = pause(shared.people.homes());
    loop {
        tokio::time::sleep(pause).await;
        let mut due = idle_sessions(&shared).into_iter();
        let mut asked = JoinSet::new();
        loop {
            while asked.len() < AT_ONCE
                && let Some(session) = due.next()
            {
                asked.spawn(settle(shared.clone(), session));
            }
            // One that failed has said so.
            if asked.join_next().await.is_none() {
                break;
            }
        }
    }
}

/// Often enough for the session that may idle the shortest time.
fn pause(homes: &[Home]) -> Duration {
    let (least, most) = LOOK;
    let times = homes
        .iter()
        .flat_map(|home| SessionKind::ALL.map(|kind| home.idle(kind)));
    let shortest = times.min().unwrap_or(most);
    (shortest / 12).clamp(least, most)
}

/// Whether a session is to be used now, so that it lives on.
fn is_due(idle: Duration, may: Duration) -> bool {
    idle >= may / 3
}

/// The sessions of tasks that wait which have idled for long enough, each once.
fn idle_sessions(shared: &Shared) -> Vec<Logout> {
    let waiting = shared.desk.open().into_iter();
    let waiting = waiting.filter(|task| task.status.state() == State::Scheduled);
    let sessions: BTreeSet<SessionKey> =
        waiting.filter_map(|task| task.requested.session).collect();
    let now = shared.now();
    let idle = sessions.iter().filter_map(|key| {
        let (session, idle) = shared.people.ledger().idle(key, now)?;
        let home = shared.people.home(session.upstream.index)?;
        is_due(idle, home.idle(session.kind)).then_some(session)
    });
    idle.collect()
}

/// Uses a session; where it is gone, so are its tasks.
async fn settle(shared: Arc<Shared>, session: Logout) {
    let ledger = shared.people.ledger();
    match ask(&shared, &session).await {
        Some(Whose::User(_)) => drop(ledger.find(&session.key, shared.now())),
        Some(Whose::Gone) => {
            drop(ledger.close(&session.key, shared.now()));
            fail_all(&shared, &session.key).await;
        }
        // It could not be asked, or did not say: there is time to ask again.
        Some(Whose::Unknown) | None => {}
    }
}

async fn ask(shared: &Shared, session: &Logout) -> Option<Whose> {
    let home = shared.people.home(session.upstream.index)?;
    let credential = session.credential.as_ref()?;
    let token = Secret::new(credential.token.expose());
    let proof = credential
        .xsrf
        .as_ref()
        .map(|proof| Secret::new(proof.expose()));
    let question = Session {
        dialect: home.dialect,
        spoken: own::form(session.kind),
        token: &token,
        proof: proof.as_ref(),
    };
    let upstream = session.upstream.index;
    shared.asked(upstream, session.kind, &question).await
}

/// Fails every task that waits and whose session is over.
async fn fail_all(shared: &Shared, key: &SessionKey) {
    for task in shared.desk.open() {
        let waits = task.status.state() == State::Scheduled;
        if waits && task.requested.session.as_ref() == Some(key) {
            fail(shared, &task).await;
        }
    }
}

async fn fail(shared: &Shared, task: &Record) {
    let change = Change {
        outcome: Some(Outcome::NotApplied),
        error: Some(Fault {
            kind: "credentials-expired",
            status: 502,
            detail: "The login session of this task ended while it waited; nothing was sent. Log in and submit it again.".to_owned(),
        }),
        ..Change::default()
    };
    match shared.desk.advance(task.id, Event::Fail, change).await {
        Ok(_) => {
            tracing::info!(task = %task.id, upstream = %task.requested.upstream, "a task failed while it waited: its session is over");
        }
        // It has gone up or ended meanwhile.
        Err(AdvanceError::Stale | AdvanceError::Illegal(_) | AdvanceError::Unknown) => {}
        Err(AdvanceError::Store(error)) => {
            tracing::warn!(%error, "a task whose session is over cannot be ended now");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_used_when_a_third_of_its_time_is_over() {
        let may = Duration::from_mins(5);
        assert!(!is_due(Duration::ZERO, may) && !is_due(Duration::from_secs(99), may));
        assert!(is_due(Duration::from_secs(100), may) && is_due(Duration::from_hours(1), may));
    }

    #[test]
    fn it_is_looked_often_enough() {
        assert_eq!(pause(&[]), LOOK.1 / 12);
    }
}
