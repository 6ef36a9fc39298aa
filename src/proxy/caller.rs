//! Who makes a call: the session it uses, the user it has proven to be, or its address.
//!
//! A name that is only claimed never takes another user's share. It becomes a user's own once the
//! upstream has accepted a call with the same credentials; until then the call counts by its address.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;

use super::per_address::Place;
use super::said::Said;
use super::sessions::{Home, People};
use super::stage::Stage;
use crate::call::{Caller, Class, Dialect, Opening, SessionKey, SessionKind, Spoken, UserId};
use crate::dialect::credential::{self, Claim, Credential, Token};
use crate::dialect::login;
use crate::limit::Moment;
use crate::session::{InUse, ProofKey, Proven, Scheme, User};

/// What a request shows of who makes it.
#[derive(Debug, Default)]
pub(super) struct Met {
    /// As the limits see it.
    pub(super) caller: Caller,
    /// The session that a login would open.
    pub(super) opens: Option<Opening>,
    /// The session it is made in, where the ledger knows it.
    pub(super) in_use: Option<InUse>,
    /// The token it shows, known or not.
    pub(super) seen: Option<(SessionKey, SessionKind)>,
    /// Credentials beside a session's token.
    pub(super) proof: Option<Shown>,
    /// It may use the reserved share for a name that it only claims.
    pub(super) favour: Option<Place>,
    /// The user's name, for refusals and the operator.
    pub(super) name: Option<Arc<str>>,
}

/// Credentials that a call shows.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) key: ProofKey,
    /// Whose they would be once they are accepted.
    pub(super) user: User,
    /// They were accepted a moment ago: nothing is to be learned.
    pub(super) is_fresh: bool,
    /// They were accepted lately: nobody need ask.
    pub(super) is_verified: bool,
    /// They were accepted once, not too long ago, and no answer since has put them in doubt.
    pub(super) is_proven: bool,
}

impl Shown {
    const fn unproven(key: ProofKey, user: User) -> Self {
        Self {
            key,
            user,
            is_fresh: false,
            is_verified: false,
            is_proven: false,
        }
    }
}

/// One request as it is looked at.
pub(super) struct Look<'a> {
    pub(super) people: &'a People,
    pub(super) home: &'a Home,
    pub(super) headers: &'a HeaderMap,
    pub(super) query: Option<&'a str>,
    pub(super) class: Class,
    pub(super) spoken: Spoken,
    pub(super) said: &'a Said,
    /// The client's own certificate (DER), which the listener verified.
    pub(super) certificate: Option<&'a [u8]>,
    /// Where it comes from.
    pub(super) client: IpAddr,
    pub(super) now: Moment,
    /// It goes up, and so uses its session; else the gate itself is asked for something, in whichever family the token
    /// is known.
    pub(super) uses: bool,
}

impl Look<'_> {
    /// Who makes the call.
    pub(super) fn meet(&self) -> Met {
        let mut met = Met::default();
        if self.class == Class::Login {
            self.meet_login(&mut met);
        } else {
            match self.credential() {
                Credential::Session(token) if self.uses => {
                    met.session(self.people, self.home, &token, self.now);
                }
                Credential::Session(token) => met.known(self.people, self.home, &token),
                Credential::Claim(claim) => self.meet_claim(&mut met, &claim),
                Credential::Conflict => {}
                Credential::None => self.meet_certificate(&mut met),
            }
        }
        let is_privileged =
            |user: Option<UserId>| user.is_some_and(|user| self.people.is_privileged(user));
        met.caller.privileged = is_privileged(met.caller.user);
        // Whoever makes names up has no more of the reserved share than this.
        if !met.caller.privileged && is_privileged(met.opens.and_then(|opens| opens.user)) {
            met.favour = self.people.favour(self.client);
            met.caller.privileged = met.favour.is_some();
        }
        met
    }

    /// JSON-RPC shows its session in the body; the others in fields.
    pub(super) fn credential(&self) -> Credential<'_> {
        if let Said::Rpc(known) = self.said
            && let Some(token) = &known.session
        {
            let token = Token::new(SessionKind::Rest, token.expose());
            return token.map_or(Credential::Conflict, Credential::Session);
        }
        credential::read(self.home.dialect, self.spoken, self.headers)
    }

    fn meet_claim(&self, met: &mut Met, claim: &Claim<'_>) {
        let Some(key) = self.proof_key(claim) else {
            return;
        };
        if let Some(proven) = self.people.proofs().find(&key, self.now) {
            let Proven {
                user,
                is_old,
                is_verified,
                is_doubted,
            } = proven;
            met.caller.user = Some(user.id);
            met.name = Some(user.name.clone());
            met.proof = Some(Shown {
                key,
                user,
                is_fresh: !is_old,
                is_verified,
                is_proven: !is_doubted,
            });
        } else {
            let user = named(self.home, claim, &key);
            met.proof = user.map(|user| Shown::unproven(key, user));
        }
    }

    fn proof_key(&self, claim: &Claim<'_>) -> Option<ProofKey> {
        proof_key(self.people, self.home, claim)
    }

    /// The listener has verified it: nothing is left to prove.
    fn meet_certificate(&self, met: &mut Met) {
        let Some(certificate) = self.certificate else {
            return;
        };
        let upstream = &*self.home.upstream.name;
        let key = self
            .people
            .keys()
            .proof(upstream, Scheme::Certificate, certificate);
        if let Some(user) = self.home.user(&format!("certificate-{key}")) {
            met.caller.user = Some(user.id);
            met.name = Some(user.name);
        }
    }

    fn meet_login(&self, met: &mut Met) {
        if !has_sessions(self.home.dialect) {
            return;
        }
        // Elsewhere the body says who logs in: a field beside it proves nothing, whatever it names.
        let claimed = match self.spoken {
            Spoken::Api | Spoken::Rest => credential::claim(self.headers),
            Spoken::Rpc | Spoken::Soap | Spoken::Plain => Credential::None,
        };
        let by_field = match &claimed {
            Credential::Claim(claim) => self.proof_key(claim).map(|key| (key, claim)),
            _ => None,
        };
        let known = by_field
            .as_ref()
            .and_then(|(key, _)| self.people.proofs().find(key, self.now))
            .map(|proven| proven.user);
        let user = known.clone().or_else(|| self.claimed_user(&claimed));
        met.caller.user = known.as_ref().map(|user| user.id);
        met.name = user.as_ref().map(|user| user.name.clone());
        met.opens = Some(Opening {
            kind: kind_of(self.spoken),
            user: user.as_ref().map(|user| user.id),
            proven: known.is_some(),
        });
        met.proof = by_field.and_then(|(key, claim)| {
            let user = user.or_else(|| named(self.home, claim, &key))?;
            Some(Shown::unproven(key, user))
        });
    }

    fn claimed_user(&self, claimed: &Credential<'_>) -> Option<User> {
        let in_body = match self.said {
            Said::Rpc(known) => known.claimed_user(),
            Said::Soap(method) => method.user.clone(),
            // Servers read fields of a form from the query too, and from there first.
            Said::Login(_)
                if self.home.dialect != Dialect::Vcenter
                    && self.query.is_some_and(|query| !query.is_empty()) =>
            {
                None
            }
            Said::Login(body) => login::claimed_user(self.home.dialect, self.headers, body),
            Said::Unread => None,
        };
        let in_field = match claimed {
            Credential::Claim(claim) => claim.user(),
            _ => None,
        };
        self.home.user(in_body.as_deref().or(in_field.as_deref())?)
    }
}

impl Met {
    /// The call shows `token`.
    fn session(&mut self, people: &People, home: &Home, token: &Token<'_>, now: Moment) {
        let upstream = &*home.upstream.name;
        // From vCenter 8.0 Update 3 on both families know each other's tokens.
        let shared = home.shares_sessions.then_some(other(token.kind()));
        for kind in std::iter::once(token.kind()).chain(shared) {
            let key = people.keys().session(upstream, kind, token.bytes());
            if let Some(in_use) = people.ledger().begin(&key, now) {
                let known = in_use.known();
                self.caller.user = known.user.as_ref().map(|user| user.id);
                self.name = known.user.as_ref().map(|user| user.name.clone());
                self.caller.session = Some(key);
                self.seen = Some((key, kind));
                self.in_use = Some(in_use);
                return;
            }
            self.seen.get_or_insert((key, kind));
        }
    }
}

impl Met {
    /// The call shows `token`, and does not use it.
    fn known(&mut self, people: &People, home: &Home, token: &Token<'_>) {
        let either = (home.dialect == Dialect::Vcenter).then_some(other(token.kind()));
        for kind in std::iter::once(token.kind()).chain(either) {
            let key = people
                .keys()
                .session(&home.upstream.name, kind, token.bytes());
            if let Some(known) = people.ledger().peek(&key) {
                self.caller.user = known.user.as_ref().map(|user| user.id);
                self.name = known.user.map(|user| user.name);
                self.caller.session = Some(key);
                self.seen = Some((key, kind));
                return;
            }
            self.seen.get_or_insert((key, kind));
        }
    }
}

/// Whose the credentials are, once they are accepted: whom they name, else their own hash.
pub(super) fn named(home: &Home, claim: &Claim<'_>, key: &ProofKey) -> Option<User> {
    let named = claim.user().and_then(|name| home.user(&name));
    named.or_else(|| home.user(&format!("credential-{key}")))
}

/// The keyed hash of credentials, where their scheme is known.
pub(super) fn proof_key(people: &People, home: &Home, claim: &Claim<'_>) -> Option<ProofKey> {
    let scheme = match claim.scheme() {
        credential::Scheme::Basic => Scheme::Basic,
        credential::Scheme::Bearer => Scheme::Bearer,
        credential::Scheme::Sign => Scheme::Sign,
        credential::Scheme::Other => return None,
    };
    let upstream = &*home.upstream.name;
    Some(people.keys().proof(upstream, scheme, claim.raw()))
}

/// The token of a JSON-RPC call came far behind its beginning, as `stage.token`. The call is admitted
/// and counted by then; but its session is in use, and the answer may say that it is gone.
pub(super) fn meet_late(stage: &mut Stage) {
    let now = stage.shared.now();
    let shared = stage.shared.clone();
    let index = stage.upstream.as_ref().map(|upstream| upstream.index());
    let home = index.and_then(|index| shared.people.home(index));
    let token = stage.token.as_ref();
    let token = token.and_then(|token| Token::new(SessionKind::Rest, token.expose()));
    let (Some(home), Some(token), false) = (home, token, stage.class == Class::Login) else {
        return;
    };
    // What the body says goes before what stands in a field.
    stage.met.seen = None;
    if let Some(other) = stage.met.in_use.take() {
        other.end(now);
    }
    stage.met.session(&shared.people, home, &token, now);
}

/// Whether the API has login sessions that count.
pub(super) const fn has_sessions(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::Vcenter | Dialect::Nsx | Dialect::Avi)
}

/// Whether a call that succeeded has proven the credentials beside it. Not where the API takes them
/// at a login alone, and lets them be anything elsewhere; nor on pages that are open to everybody.
pub(super) const fn proves(dialect: Dialect, class: Class) -> bool {
    match dialect {
        Dialect::Vcenter => false,
        Dialect::Skytap => true,
        Dialect::Nsx | Dialect::NsxV | Dialect::Avi | Dialect::Generic => {
            !matches!(class, Class::Other)
        }
    }
}

/// The family of the sessions that a login in this form opens.
pub(super) const fn kind_of(spoken: Spoken) -> SessionKind {
    match spoken {
        Spoken::Soap => SessionKind::Soap,
        Spoken::Api | Spoken::Rest | Spoken::Rpc | Spoken::Plain => SessionKind::Rest,
    }
}

const fn other(kind: SessionKind) -> SessionKind {
    match kind {
        SessionKind::Rest => SessionKind::Soap,
        SessionKind::Soap => SessionKind::Rest,
    }
}
