//! Whether the upstream accepts what a caller shows: by a page that nobody reads without credentials, and by the answers to
//! calls that were made with it.

use std::net::IpAddr;
use std::time::Duration;

use http::HeaderMap;

use super::caller::{Look, Met, Shown, named, proof_key, proves};
use super::own_call::Unanswered;
use super::shared::Shared;
use super::verify::{Key, Verdict};
use crate::call::{Class, SessionKey, SessionKind, Spoken};
use crate::dialect::credential::{self, Claim, Credential, Scheme};
use crate::dialect::own;
use crate::dialect::regard::{self, Regard};
use crate::session::{ProofKey, User};

/// Longest time to read the page.
const PATIENCE: Duration = Duration::from_secs(5);
/// Too many requests.
const TOO_MANY: u16 = 429;

/// What is to be tried.
#[derive(Debug)]
pub(super) struct Trial {
    upstream: usize,
    pub(super) key: Key,
    /// Who they are once they are accepted, where that can be told.
    user: Option<User>,
    request: own::Request,
    pub(super) address: IpAddr,
    /// The upstream has accepted them before, and nothing since speaks against them.
    pub(super) is_proven: bool,
}

impl Trial {
    /// Of credentials beside a session's token. None where there is no page to try them at, or they are good for one request
    /// alone.
    pub(super) fn of_claim(look: &Look<'_>, claim: &Claim<'_>, shown: &Shown) -> Option<Self> {
        if !matches!(claim.scheme(), Scheme::Basic | Scheme::Bearer) {
            return None;
        }
        let mut trial = Self::new(look, Key::Credentials(shown.key))?;
        let names = look.home.page.as_ref()?.names;
        trial.user = Some(shown.user.clone()).filter(|_| names);
        trial.is_proven = shown.is_proven;
        Some(trial)
    }

    /// Of a session that the gate does not know. None where there is no page.
    pub(super) fn of_session(look: &Look<'_>, met: &Met, key: SessionKey) -> Option<Self> {
        // One that it knows it has seen accepted.
        let is_known = met.caller.session.is_some();
        (!is_known)
            .then(|| Self::new(look, Key::Session(key)))
            .flatten()
    }

    fn new(look: &Look<'_>, key: Key) -> Option<Self> {
        let page = look.home.page.as_ref()?;
        Some(Self {
            upstream: look.home.upstream.index,
            key,
            user: None,
            request: regard::read_as(&page.target, look.headers),
            address: look.client,
            is_proven: false,
        })
    }

    /// Asks; none where the limits have no room for the question.
    pub(super) async fn ask(&self, shared: &Shared) -> Option<Verdict> {
        let of = (Class::Rest, SessionKind::Rest);
        let request = self.request.clone();
        let answer = shared.try_own(self.upstream, request, of, PATIENCE).await;
        match answer {
            Ok(answer) if answer.status == TOO_MANY => Some(Verdict::Unasked),
            Ok(answer) => Some(self.verdict(shared, answer.status)),
            Err(Unanswered::Silent) => Some(Verdict::Silent),
            Err(Unanswered::Unsent) => None,
        }
    }

    fn verdict(&self, shared: &Shared, status: u16) -> Verdict {
        let regard = regard::regard(status);
        let proofs = shared.people.proofs();
        match (regard, self.key) {
            (Regard::Accepted, Key::Credentials(key)) => {
                if let Some(user) = &self.user {
                    proofs.learn(key, user.clone(), shared.now());
                }
                Verdict::Accepted(self.user.clone())
            }
            (Regard::Accepted, Key::Session(_)) => Verdict::Accepted(None),
            (Regard::Refused | Regard::Doubted, key) => {
                if let Key::Credentials(key) = key {
                    proofs.forget(&key);
                }
                Verdict::Gone
            }
            (Regard::Silent, _) if status >= 500 => Verdict::Silent,
            (Regard::Silent, _) => Verdict::Mute,
        }
    }
}

impl Shared {
    /// The upstream has answered a call of a task, made in this form with these fields: that proves its credentials, or the
    /// contrary.
    pub fn note_regard(&self, upstream: usize, (form, asked): (Spoken, &HeaderMap), status: u16) {
        let Some(home) = self.people.home(upstream) else {
            return;
        };
        let Credential::Claim(claim) = credential::read(home.dialect, form, asked) else {
            return;
        };
        let Some(key) = proof_key(&self.people, home, &claim) else {
            return;
        };
        let (proofs, now) = (self.people.proofs(), self.now());
        match regard::regard(status) {
            Regard::Accepted if proves(home.dialect, Class::Blocking) => {
                let is_old = proofs.find(&key, now).is_none_or(|proven| proven.is_old);
                if let Some(user) = named(home, &claim, &key).filter(|_| is_old) {
                    self.learned(key, user);
                }
            }
            Regard::Refused => self.refused(key),
            Regard::Doubted => self.doubted(key),
            Regard::Accepted | Regard::Silent => {}
        }
    }

    /// The upstream accepted these credentials as this user's.
    pub(super) fn learned(&self, key: ProofKey, user: User) {
        self.people.proofs().learn(key, user, self.now());
        self.tasks.verifier.accepted(&Key::Credentials(key));
    }

    /// The upstream does not accept these credentials.
    pub(super) fn refused(&self, key: ProofKey) {
        self.people.proofs().forget(&key);
        let now = self.now();
        self.tasks.verifier.refused(Key::Credentials(key), now);
    }

    /// The upstream may not accept these credentials any more.
    pub(super) fn doubted(&self, key: ProofKey) {
        self.people.proofs().doubt(&key);
        let now = self.now();
        self.tasks.verifier.doubt(Key::Credentials(key), now);
    }
}
