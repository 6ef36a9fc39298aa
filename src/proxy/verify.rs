//! Whether a session or credentials are good that the gate has not seen accepted lately, and whose a session is: one call to
//! the upstream for everybody who asks at the same time, and then none for a while.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::timeout;

use super::per_address::{PerAddress, Place};
use super::sessions::Question;
use super::shared::Shared;
use super::trial::Trial;
use crate::call::SessionKey;
use crate::dialect::own::Whose;
use crate::limit::{Moment, Mutex};
use crate::session::{ProofKey, User, VERIFIED};

/// Questions at the same time, and of one client address.
const AT_ONCE: usize = 8;
const OF_AN_ADDRESS: u64 = 2;
/// Longest wait for one's turn to be asked about, and the answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Sessions that are asked about, or wait for it, at the same time, and of one client address.
const MOST_ASKED: usize = 1024;
const MOST_OF_AN_ADDRESS: u64 = 128;
/// Answers that are remembered.
const MOST_HEARD: usize = 16_384;
/// How long an answer holds: that it is somebody's or accepted (or says nothing, where no more could be learned by asking
/// again), that it is nobody's, that there was none.
const HOLDS: Duration = VERIFIED;
const HOLDS_GONE: Duration = Duration::from_secs(30);
const HOLDS_UNKNOWN: Duration = Duration::from_secs(2);

/// What is asked of the upstream.
#[derive(Debug)]
pub(super) enum Inquiry {
    /// Whose a session is.
    Whose(Question),
    /// Whether it accepts what is shown.
    Trial(Box<Trial>),
}

/// What is asked about, by its keyed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Session(SessionKey),
    Credentials(ProofKey),
}

impl Inquiry {
    const fn key(&self) -> Key {
        match self {
            Self::Whose(question) => Key::Session(question.key),
            Self::Trial(trial) => trial.key,
        }
    }

    const fn address(&self) -> IpAddr {
        match self {
            Self::Whose(question) => question.address,
            Self::Trial(trial) => trial.address,
        }
    }
}

/// What the upstream says of a session, or of credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is this user's.
    User(User),
    /// They are good, and this user's where that could be told.
    Accepted(Option<User>),
    /// It is none; they are not good.
    Gone,
    /// It did not say whose it is.
    Unknown,
    /// It says nothing of what was tried.
    Mute,
}

impl Verdict {
    const fn holds(&self) -> Duration {
        match self {
            Self::User(_) | Self::Accepted(_) | Self::Mute => HOLDS,
            Self::Gone => HOLDS_GONE,
            Self::Unknown => HOLDS_UNKNOWN,
        }
    }
}

/// What was heard lately, and who waits to hear.
#[derive(Debug)]
pub(super) struct Verifier {
    pages: Mutex<Pages>,
    at_once: Semaphore,
    askers: Arc<PerAddress>,
    crowd: Arc<PerAddress>,
    /// A place of some address came free.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Pages {
    /// The answer, and until when it holds.
    heard: HashMap<Key, (Verdict, Moment)>,
    asked: HashMap<Key, watch::Receiver<Option<Verdict>>>,
}

/// How a question is met.
enum Met {
    /// It was answered a moment ago.
    Heard(Verdict),
    /// Somebody asks already.
    Asked(watch::Receiver<Option<Verdict>>),
    /// It is to be asked.
    New(
        watch::Sender<Option<Verdict>>,
        watch::Receiver<Option<Verdict>>,
        Place,
    ),
}

impl Verifier {
    pub(super) fn new() -> Self {
        Self {
            pages: Mutex::default(),
            at_once: Semaphore::new(AT_ONCE),
            askers: PerAddress::new(OF_AN_ADDRESS),
            crowd: PerAddress::new(MOST_OF_AN_ADDRESS),
            freed: Notify::new(),
        }
    }

    /// What was heard holds no more, unless it was the same: an answer since says that it is none.
    pub(super) fn forget(&self, key: Key) {
        let mut pages = self.pages.lock();
        let heard = pages.heard.get(&key);
        if heard.is_some_and(|(verdict, _)| *verdict != Verdict::Gone) {
            pages.heard.remove(&key);
        }
    }

    fn meet(&self, key: Key, address: IpAddr, now: Moment) -> Met {
        let mut pages = self.pages.lock();
        if let Some((verdict, until)) = pages.heard.get(&key)
            && now < *until
        {
            return Met::Heard(verdict.clone());
        }
        if let Some(asked) = pages.asked.get(&key) {
            return Met::Asked(asked.clone());
        }
        if pages.asked.len() >= MOST_ASKED {
            return Met::Heard(Verdict::Unknown);
        }
        // Whoever makes tokens up waits for nobody but its own.
        let Some(place) = self.crowd.take(address) else {
            return Met::Heard(Verdict::Unknown);
        };
        let (tell, hear) = watch::channel(None);
        pages.asked.insert(key, hear.clone());
        Met::New(tell, hear, place)
    }

    fn remember(&self, key: Key, verdict: Verdict, now: Moment) {
        let mut pages = self.pages.lock();
        if pages.heard.len() >= MOST_HEARD {
            pages.heard.retain(|_, (_, until)| now < *until);
        }
        if pages.heard.len() < MOST_HEARD {
            let until = now.after(verdict.holds());
            pages.heard.insert(key, (verdict, until));
        }
    }
}

/// The answer to `inquiry`.
pub(super) async fn heard(shared: &Arc<Shared>, inquiry: Inquiry) -> Verdict {
    let verifier = &shared.tasks.verifier;
    let mut hear = match verifier.meet(inquiry.key(), inquiry.address(), shared.now()) {
        Met::Heard(verdict) => return verdict,
        Met::Asked(hear) => hear,
        Met::New(tell, hear, place) => {
            // On its own: others wait for it too, and whoever asked first may go.
            let asked = Asked {
                shared: shared.clone(),
                inquiry,
                _place: place,
            };
            tokio::spawn(asked.settle(tell));
            hear
        }
    };
    let heard = hear.wait_for(Option::is_some).await;
    heard
        .ok()
        .and_then(|verdict| verdict.clone())
        .unwrap_or(Verdict::Unknown)
}

/// A question on its way: gone, it may be asked again.
struct Asked {
    shared: Arc<Shared>,
    inquiry: Inquiry,
    /// In the crowd of its address.
    _place: Place,
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut pages = self.shared.tasks.verifier.pages.lock();
        pages.asked.remove(&self.inquiry.key());
    }
}

impl Asked {
    async fn settle(self, tell: watch::Sender<Option<Verdict>>) {
        let verdict = timeout(PATIENCE, self.ask()).await;
        let verdict = verdict.unwrap_or(Verdict::Unknown);
        let verifier = &self.shared.tasks.verifier;
        verifier.remember(self.inquiry.key(), verdict.clone(), self.shared.now());
        tell.send_replace(Some(verdict));
    }

    async fn ask(&self) -> Verdict {
        let verifier = &self.shared.tasks.verifier;
        let place = self.place().await;
        let Ok(turn) = verifier.at_once.acquire().await else {
            return Verdict::Unknown;
        };
        let verdict = match &self.inquiry {
            Inquiry::Whose(question) => self.whose(question).await,
            Inquiry::Trial(trial) => trial.ask(&self.shared).await,
        };
        drop((turn, place));
        verifier.freed.notify_waiters();
        verdict
    }

    async fn whose(&self, question: &Question) -> Verdict {
        match self.shared.ask_whose(question).await {
            Whose::User(name) => self
                .shared
                .adopt(question, &name)
                .map_or(Verdict::Unknown, Verdict::User),
            Whose::Gone => Verdict::Gone,
            Whose::Unknown => Verdict::Unknown,
        }
    }

    /// A place among the questions of its client's address.
    async fn place(&self) -> Place {
        let verifier = &self.shared.tasks.verifier;
        loop {
            let freed = verifier.freed.notified();
            if let Some(place) = verifier.askers.take(self.inquiry.address()) {
                return place;
            }
            // One that is cut short tells nobody: look again now and then.
            drop(timeout(Duration::from_millis(500), freed).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn key(number: usize) -> Key {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Key::Session(SessionKey::new(bytes))
    }

    #[test]
    fn an_answer_holds_for_a_while_and_a_question_is_asked_once() {
        let verifier = Verifier::new();
        let key = key(7);
        let at = |seconds: u64| Moment::from_nanos(seconds * 1_000_000_000);
        let meet = |seconds| verifier.meet(key, CLIENT, at(seconds));
        assert!(matches!(meet(0), Met::New(..)));
        assert!(matches!(meet(0), Met::Asked(_)));
        verifier.pages.lock().asked.clear();
        verifier.remember(key, Verdict::Gone, at(1));
        assert!(matches!(meet(30), Met::Heard(Verdict::Gone)));
        assert!(matches!(meet(31), Met::New(..)));
        verifier.pages.lock().asked.clear();
        verifier.remember(key, Verdict::Accepted(None), at(31));
        assert!(matches!(meet(330), Met::Heard(Verdict::Accepted(None))));
        verifier.forget(key);
        assert!(matches!(meet(330), Met::New(..)));
        verifier.pages.lock().asked.clear();
        verifier.remember(key, Verdict::Gone, at(330));
        verifier.forget(key);
        assert!(matches!(meet(331), Met::Heard(Verdict::Gone)));
    }

    #[test]
    fn one_address_is_not_in_the_way_of_others() {
        let verifier = Verifier::new();
        let other = IpAddr::V4(Ipv4Addr::BROADCAST);
        let meet = |number, address| verifier.meet(key(number), address, Moment::from_nanos(0));
        let met: Vec<Met> = (0..2 * MOST_ASKED)
            .map(|number| meet(number, CLIENT))
            .collect();
        let new = met.iter().filter(|met| matches!(met, Met::New(..)));
        assert_eq!(new.count() as u64, MOST_OF_AN_ADDRESS);
        assert!(matches!(meet(5000, other), Met::New(..)));
        assert!(matches!(meet(0, CLIENT), Met::Asked(_)), "what is asked");
        drop(met);
        assert!(matches!(meet(5001, CLIENT), Met::New(..)));
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let verifier = Verifier::new();
        let at = |seconds: u64| Moment::from_nanos(seconds * 1_000_000_000);
        for number in 0..MOST_HEARD + 10 {
            verifier.remember(key(number), Verdict::Gone, at(0));
        }
        assert_eq!(verifier.pages.lock().heard.len(), MOST_HEARD);
        verifier.remember(key(MOST_HEARD), Verdict::Gone, at(60));
        assert_eq!(verifier.pages.lock().heard.len(), 1);
    }
}
