//! Whether a session or credentials are good that the gate has not seen accepted lately, and whose a session is: one call to
//! the upstream for everybody who asks at the same time, and then none for a while.

mod verdict;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

pub(super) use self::verdict::Verdict;
use super::own_call::Unanswered;
use super::per_address::{PerAddress, Place};
use super::sessions::Question;
use super::shared::Shared;
use super::trial::Trial;
use crate::call::SessionKey;
use crate::dialect::own::Whose;
use crate::limit::{Moment, Mutex};
use crate::session::ProofKey;

/// Questions at the same time, and of one client address.
const AT_ONCE: usize = 8;
const OF_AN_ADDRESS: u64 = 2;
/// Longest wait for one's turn to be asked about, and the answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a question waits for room in the limits, and how often it looks.
const FOR_ROOM: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_millis(200);
/// Sessions that are asked about, or wait for it, at the same time, and of one client address.
const MOST_ASKED: usize = 1024;
const MOST_OF_AN_ADDRESS: u64 = 128;
/// Answers that are remembered.
const MOST_HEARD: usize = 16_384;

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

    /// Whether the gate itself knows that they were accepted, and of nothing since that speaks against them.
    const fn is_proven(&self) -> bool {
        matches!(self, Self::Trial(trial) if trial.is_proven)
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

    /// What was heard holds no more: an answer since says that it may be none.
    pub(super) fn doubt(&self, key: Key, now: Moment) {
        self.note(key, Verdict::Doubted, now);
    }

    /// The same, of an answer that says that it is none.
    pub(super) fn refused(&self, key: Key, now: Moment) {
        self.note(key, Verdict::Gone, now);
    }

    /// Notes an answer that speaks `against` it. It is asked about anew, and until the upstream says clearly that it is good, it
    /// is not.
    fn note(&self, key: Key, against: Verdict, now: Moment) {
        let mut pages = self.pages.lock();
        let is_full = pages.heard.len() >= MOST_HEARD;
        match pages.heard.get_mut(&key) {
            Some((Verdict::Gone, _)) => {}
            Some(heard) => *heard = (against, now),
            // Room is made by who asks: whoever is refused makes nobody look through all.
            None if is_full => {}
            None => drop(pages.heard.insert(key, (against, now))),
        }
    }

    /// A call that was made with it was accepted: nothing that was heard before counts.
    pub(super) fn accepted(&self, key: &Key) {
        self.pages.lock().heard.remove(key);
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
            return Met::Heard(Verdict::Unasked);
        }
        // Whoever makes tokens up waits for nobody but its own.
        let Some(place) = self.crowd.take(address) else {
            return Met::Heard(Verdict::Unasked);
        };
        let (tell, hear) = watch::channel(None);
        pages.asked.insert(key, hear.clone());
        Met::New(tell, hear, place)
    }

    /// Notes what was said; what counts from here on.
    fn remember(&self, key: Key, verdict: Verdict, now: Moment) -> Verdict {
        let mut pages = self.pages.lock();
        let before = pages.heard.get(&key).map(|(before, _)| before);
        let verdict = verdict.after(before);
        if pages.heard.len() >= MOST_HEARD {
            pages.heard.retain(|_, (_, until)| now < *until);
        }
        if pages.heard.len() < MOST_HEARD {
            let until = now.after(verdict.holds());
            pages.heard.insert(key, (verdict.clone(), until));
        }
        verdict
    }
}

/// The answer to `inquiry`. Where nobody can ask at this moment, what the gate itself has seen accepted is good as long as nothing
/// is heard against it.
pub(super) async fn heard(shared: &Arc<Shared>, inquiry: Inquiry) -> Verdict {
    let is_proven = inquiry.is_proven();
    match said(shared, inquiry).await {
        Verdict::Unasked if is_proven => Verdict::Silent,
        verdict => verdict,
    }
}

async fn said(shared: &Arc<Shared>, inquiry: Inquiry) -> Verdict {
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
        .unwrap_or(Verdict::Unasked)
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
        let verdict = verdict.unwrap_or(Verdict::Unasked);
        let verifier = &self.shared.tasks.verifier;
        let verdict = verifier.remember(self.inquiry.key(), verdict, self.shared.now());
        tell.send_replace(Some(verdict));
    }

    /// Asks as soon as the limits have room for the question. For what is proven it need not be asked.
    async fn ask(&self) -> Verdict {
        let until = Instant::now() + FOR_ROOM;
        loop {
            let said = self.ask_once().await;
            match said {
                Some(verdict) => return verdict,
                None if self.inquiry.is_proven() || Instant::now() >= until => {
                    return Verdict::Unasked;
                }
                None => sleep(AGAIN).await,
            }
        }
    }

    /// None where the limits have no room.
    async fn ask_once(&self) -> Option<Verdict> {
        let verifier = &self.shared.tasks.verifier;
        let place = self.place().await;
        let turn = verifier.at_once.acquire().await.ok()?;
        let verdict = match &self.inquiry {
            Inquiry::Whose(question) => self.whose(question).await,
            Inquiry::Trial(trial) => trial.ask(&self.shared).await,
        };
        drop((turn, place));
        verifier.freed.notify_waiters();
        verdict
    }

    async fn whose(&self, question: &Question) -> Option<Verdict> {
        Some(match self.shared.try_whose(question).await {
            Ok(Whose::User(name)) => self
                .shared
                .adopt(question, &name)
                .map_or(Verdict::Unknown, Verdict::User),
            Ok(Whose::Gone) => Verdict::Gone,
            Ok(Whose::Unknown) => Verdict::Untold,
            Err(Unanswered::Silent) => Verdict::Unknown,
            Err(Unanswered::Unsent) => return None,
        })
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
        verifier.doubt(key, at(330));
        assert!(matches!(meet(330), Met::New(..)));
        verifier.pages.lock().asked.clear();
        verifier.remember(key, Verdict::Gone, at(330));
        verifier.doubt(key, at(331));
        assert!(matches!(meet(331), Met::Heard(Verdict::Gone)));
    }

    #[test]
    fn only_a_clear_word_takes_one_back_that_was_against_them() {
        use Verdict::{Accepted, Doubted, Gone, Mute, Silent, Unasked, Unknown, Untold};
        let verifier = Verifier::new();
        let (key, at) = (key(1), |seconds: u64| {
            Moment::from_nanos(seconds * 1_000_000_000)
        });
        let said = |verdict, seconds| verifier.remember(key, verdict, at(seconds));
        assert_eq!(said(Mute, 0), Mute, "nothing is known against them");
        let heard = || drop(said(Gone, 1));
        let refused = || verifier.refused(key, at(1));
        let doubted = || verifier.doubt(key, at(1));
        for (note, word) in [
            (&heard as &dyn Fn(), Gone),
            (&refused, Gone),
            (&doubted, Doubted),
        ] {
            note();
            for no_word in [Silent, Unasked, Unknown] {
                assert_eq!(said(no_word, 1000), word, "however long ago");
            }
            // A page that never says anything does not leave a mere doubt for ever.
            for no_more in [Mute, Untold] {
                let wanted = if word == Gone { Gone } else { no_more.clone() };
                assert_eq!(said(no_more, 1500), wanted);
                note();
            }
            assert_eq!(said(Accepted(None), 2000), Accepted(None));
            assert_eq!(said(Silent, 3000), Silent);
        }
        verifier.doubt(key, at(3000));
        verifier.accepted(&key);
        assert_eq!(said(Silent, 3001), Silent, "a call was accepted");
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
