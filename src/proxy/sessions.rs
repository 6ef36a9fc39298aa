//! What the proxy knows of login sessions and users, shared by every worker thread.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;

use super::per_address::{PerAddress, Place};
use crate::admit::SessionUnits;
use crate::call::{Class, Dialect, SessionKey, SessionKind, Spoken, UserId};
use crate::config;
use crate::dialect::refusal::Statuses;
use crate::dialect::{Secret, own, regard, user};
use crate::limit::Moment;
use crate::session::{self, Keys, Ledger, MOST_PROOFS, Now, Proofs, User};

/// Questions that may wait to be asked; further ones come again with the next use of the session.
const MOST_QUESTIONS: usize = 256;
/// Questions of one client address that wait or are asked.
const QUESTIONS_OF_AN_ADDRESS: u64 = 2;
/// Logins in flight of one client address that may use the reserved share for a name they only claim.
const FAVOURS_OF_AN_ADDRESS: u64 = 2;

/// The ledger of the gate: sessions, each with its units of limits.
pub type Sessions = Ledger<SessionUnits>;

/// Who is logged in where, and who has proven to be whom.
#[derive(Debug)]
pub struct People {
    ledger: Arc<Sessions>,
    proofs: Proofs,
    homes: Box<[Home]>,
    privileged: BTreeSet<UserId>,
    questions: mpsc::Sender<Asking>,
    askers: Arc<PerAddress>,
    favours: Arc<PerAddress>,
}

/// A page of an upstream that nobody reads without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Path and query.
    pub target: String,
    /// It is the dialect's own: whoever reads it is who the credentials name. Of one that the operator named the gate
    /// cannot know that it is not open to everybody, and so it makes nobody a user.
    pub names: bool,
}

impl Page {
    fn of(config: &config::Upstream) -> Option<Self> {
        if let Some(target) = &config.verify_with {
            let target = target.clone();
            return Some(Self {
                target,
                names: false,
            });
        }
        regard::page(config.speech.dialect).map(|target| Self {
            target: target.to_owned(),
            names: true,
        })
    }
}

/// How one upstream speaks, and how names of its users are read.
#[derive(Debug)]
pub struct Home {
    /// The upstream, as the ledger knows it.
    pub upstream: session::Upstream,
    /// Its API.
    pub dialect: Dialect,
    /// Spellings of its domains.
    pub aliases: user::Aliases,
    /// Statuses of refusals that carry their error inside.
    pub statuses: Statuses,
    /// A page that says whether credentials are accepted.
    pub page: Option<Page>,
    /// One service keeps the sessions of REST and SOAP, and takes the tokens of either.
    pub shares_sessions: bool,
    idle: [Duration; 2],
    /// Calls of a user in one turn of a line, where that is more than one.
    weights: BTreeMap<UserId, NonZeroU32>,
}

impl Home {
    fn new(index: usize, config: &config::Upstream) -> Self {
        let speech = &config.speech;
        let aliases = user::Aliases::new(&speech.domains);
        let weights = config.weights.iter();
        let weights = weights
            .filter_map(|(name, weight)| Some((user::id(&user::normal(name, &aliases)?), *weight)))
            .collect();
        Self {
            upstream: session::Upstream {
                index,
                name: config.name.clone(),
            },
            dialect: speech.dialect,
            aliases,
            statuses: Statuses {
                rpc: speech.refusal_rpc,
                soap: speech.refusal_soap,
            },
            page: Page::of(config),
            shares_sessions: speech.dialect == Dialect::Vcenter
                && config.limits.iter().any(counts_both_families),
            idle: [speech.session_idle_rest, speech.session_idle_soap],
            weights,
        }
    }

    /// Calls of this user in one turn of a line.
    #[must_use]
    pub fn weight(&self, user: Option<UserId>) -> NonZeroU32 {
        let weight = user.and_then(|user| self.weights.get(&user));
        weight.copied().unwrap_or(NonZeroU32::MIN)
    }

    /// How long a session of this kind may idle.
    #[must_use]
    pub const fn idle(&self, kind: SessionKind) -> Duration {
        let [rest, soap] = self.idle;
        match kind {
            SessionKind::Rest => rest,
            SessionKind::Soap => soap,
        }
    }

    /// The user of this name, as it was written.
    #[must_use]
    pub fn user(&self, raw: &str) -> Option<User> {
        let name = user::normal(raw, &self.aliases)?;
        Some(User {
            id: user::id(&name),
            name: name.into(),
        })
    }
}

/// Whether a limit counts the sessions of REST and those of SOAP together (as [`crate::admit`] reads its
/// classes): so it does where the upstream has them of one kind.
fn counts_both_families(limit: &config::Limit) -> bool {
    let says = |class| limit.matches.class.contains(&class);
    let of_rest = says(Class::Rest) || says(Class::Rpc);
    limit.counts == config::Counts::Sessions && of_rest == says(Class::Soap)
}

/// Whose is this session? Asked of the upstream once, when its first use is seen.
#[derive(Debug)]
pub struct Question {
    /// Place of the upstream in the configuration.
    pub upstream: usize,
    /// The hash of its token.
    pub key: SessionKey,
    /// Its family.
    pub kind: SessionKind,
    /// The form it was used in.
    pub spoken: Spoken,
    /// Its token.
    pub token: Secret,
    /// What goes beside the token to end it.
    pub proof: Option<Secret>,
    /// Who used it.
    pub address: IpAddr,
    /// When the call that told of it went up.
    pub began: Moment,
    /// A login has just opened it: an answer from before says nothing.
    pub logged_in: bool,
}

impl Question {
    /// The session, as what is asked of the upstream speaks of it.
    pub(super) const fn session(&self, dialect: Dialect) -> own::Session<'_> {
        own::Session {
            dialect,
            spoken: self.spoken,
            token: &self.token,
            proof: self.proof.as_ref(),
        }
    }
}

/// A [`Question`] on its way, with the place it takes among those of its client's address.
#[derive(Debug)]
pub struct Asking {
    /// What is asked.
    pub question: Question,
    _place: Place,
}

impl People {
    /// For the upstreams of `config`, with an empty ledger; and where its questions come out.
    #[must_use]
    pub fn new(config: &config::Config, ledger: Arc<Sessions>) -> (Self, mpsc::Receiver<Asking>) {
        let (questions, asked) = mpsc::channel(MOST_QUESTIONS);
        let homes: Box<[Home]> = config
            .upstreams
            .iter()
            .enumerate()
            .map(|(index, upstream)| Home::new(index, upstream))
            .collect();
        let admins = &config.admin.break_glass_users;
        let privileged = homes
            .iter()
            .flat_map(|home| admins.iter().filter_map(|name| home.user(name)))
            .map(|user| user.id)
            .collect();
        let people = Self {
            ledger,
            proofs: Proofs::new(MOST_PROOFS),
            homes,
            privileged,
            questions,
            askers: PerAddress::new(QUESTIONS_OF_AN_ADDRESS),
            favours: PerAddress::new(FAVOURS_OF_AN_ADDRESS),
        };
        (people, asked)
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Sessions> {
        &self.ledger
    }

    /// The keys of tokens.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        self.ledger.keys()
    }

    /// Credentials that the upstream accepted.
    #[must_use]
    pub fn proofs(&self) -> &Proofs {
        &self.proofs
    }

    /// How upstream number `index` speaks.
    #[must_use]
    pub fn home(&self, index: usize) -> Option<&Home> {
        self.homes.get(index)
    }

    /// Every upstream.
    #[must_use]
    pub fn homes(&self) -> &[Home] {
        &self.homes
    }

    /// Whether this user is a named administrator.
    #[must_use]
    pub fn is_privileged(&self, user: UserId) -> bool {
        self.privileged.contains(&user)
    }

    /// Lets a login from `address` use the reserved share, though it has not proven its name: as long as
    /// this is kept.
    pub(super) fn favour(&self, address: IpAddr) -> Option<Place> {
        self.favours.take(address)
    }

    /// Asks when there is room to ask.
    pub(super) fn ask(&self, question: Question) {
        // Full: the next use of the session asks again.
        if let Some(place) = self.askers.take(question.address) {
            drop(self.questions.try_send(Asking {
                question,
                _place: place,
            }));
        }
    }

    /// Both clocks.
    #[must_use]
    pub fn now(moment: Moment) -> Now {
        Now {
            moment,
            wall: SystemTime::now(),
        }
    }
}
