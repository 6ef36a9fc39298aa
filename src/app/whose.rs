//! Whose a session is that was opened round the gate: asked of the upstream, few at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::call::SessionKey;
use crate::dialect::own::Whose;
use crate::limit::Moment;
use crate::proxy::{Asking, Question, Shared};

/// Questions that are asked at the same time; further ones stand in line.
const AT_ONCE: usize = 8;

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
    // Where it cannot be asked, a token is no session's: a page that is open to everybody answers any.
    if let Whose::User(name) = shared.ask_whose(question).await {
        let user = shared.adopt(question, &name);
        tracing::debug!(is_named = user.is_some(), "whose a session is");
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
