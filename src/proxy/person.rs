//! Who makes a call, as far as its tasks go: everything that may own one.

use std::sync::Arc;

use super::caller::{Look, Met};
use super::sessions::{Home, Question};
use super::shared::Shared;
use super::trial::Trial;
use super::verify::{self, Inquiry, Verdict};
use crate::call::{Dialect, SessionKey, SessionKind, Spoken};
use crate::dialect::credential::{self, Credential, Token};
use crate::dialect::{Secret, own};
use crate::task::Owner;

/// Who makes a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// Everything that may own a task; a new one is the first's. What is shown with each call alike comes before a name
    /// that may be proven or not: else a repeated call would be somebody else's.
    pub(super) owners: Vec<Owner>,
    /// The user, where one is proven.
    pub(super) user: Option<Arc<str>>,
    /// The session it is made in.
    pub(super) session: Option<SessionKey>,
    pub(super) standing: Standing,
}

/// How much is known of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// All that can be.
    Sure,
    /// The upstream was asked whose it is, and did not say.
    Doubtful,
    /// The upstream could not be asked at this moment, or does not say whether what it refused before is good again: nobody is
    /// told anything.
    Unasked,
    /// The upstream says that it is none.
    Gone,
}

impl Person {
    fn new(owners: Vec<Owner>) -> Self {
        Self {
            owners,
            user: None,
            session: None,
            standing: Standing::Sure,
        }
    }

    /// Who shows this; and what is to be asked of the upstream, where that is not known yet. None where nobody can say.
    pub(super) fn of(look: &Look<'_>, met: &Met) -> Option<(Self, Option<Inquiry>)> {
        let user = met.name.clone().filter(|_| met.caller.user.is_some());
        match look.credential() {
            Credential::Session(token) => Some(in_session(look, met, &token, user)),
            Credential::Claim(claim) => {
                let shown = met.proof.as_ref()?;
                let owners = [owner("credential", &shown.key)];
                let named = user.as_ref().map(|name| owner("user", name));
                let mut person = Self::new(owners.into_iter().chain(named).collect());
                person.user = user;
                // A call that goes up is verified by its own answer.
                let trial = (!look.uses && !shown.is_verified)
                    .then(|| Trial::of_claim(look, &claim, shown));
                let trial = trial.flatten().map(|trial| Inquiry::Trial(Box::new(trial)));
                Some((person, trial))
            }
            Credential::Conflict => None,
            Credential::None => unnamed(look, user).map(|person| (person, None)),
        }
    }

    /// The same, once the upstream has said whose the session is, or whether it accepts the credentials.
    pub(super) async fn verified(mut self, shared: &Arc<Shared>, inquiry: Option<Inquiry>) -> Self {
        let Some(inquiry) = inquiry else {
            return self;
        };
        match verify::heard(shared, inquiry).await {
            Verdict::User(user) => {
                self.owners.insert(0, owner("user", &user.name));
                self.user = Some(user.name);
            }
            Verdict::Accepted(Some(user)) if self.user.is_none() => {
                self.owners.push(owner("user", &user.name));
                self.user = Some(user.name);
            }
            // Where it says nothing of them, the same credentials are enough: an upstream that is down takes nobody's tasks away.
            Verdict::Accepted(_) | Verdict::Mute | Verdict::Silent => {}
            Verdict::Gone => self.standing = Standing::Gone,
            Verdict::Untold | Verdict::Unknown => self.standing = Standing::Doubtful,
            Verdict::Unasked | Verdict::Doubted => self.standing = Standing::Unasked,
        }
        self
    }
}

fn owner(kind: &str, name: &impl std::fmt::Display) -> Owner {
    Owner(format!("{kind}:{name}").into())
}

fn in_session(
    look: &Look<'_>,
    met: &Met,
    token: &Token<'_>,
    user: Option<Arc<str>>,
) -> (Person, Option<Inquiry>) {
    let mut keys: Vec<SessionKey> = met.seen.iter().map(|(key, _)| *key).collect();
    // One token may stand for a session of either family, by the form it is used in.
    let kinds: &[SessionKind] = match look.home.dialect {
        Dialect::Vcenter => &SessionKind::ALL,
        _ => &[SessionKind::Rest],
    };
    for kind in kinds {
        let upstream = &look.home.upstream.name;
        let key = look.people.keys().session(upstream, *kind, token.bytes());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let named = user.as_ref().map(|name| owner("user", name));
    let sessions = keys.iter().map(|key| owner("session", &Hex(*key)));
    let inquiry = if user.is_none() {
        let whose = question(look, met, token).map(Inquiry::Whose);
        whose.or_else(|| tried(look, met))
    } else {
        None
    };
    let mut person = Person::new(named.into_iter().chain(sessions).collect());
    person.user = user;
    person.session = keys.first().copied();
    (person, inquiry)
}

/// Without credentials: by its certificate; where anybody may call, by its address.
fn unnamed(look: &Look<'_>, user: Option<Arc<str>>) -> Option<Person> {
    if let Some(name) = user {
        let mut person = Person::new(vec![owner("user", &name)]);
        person.user = Some(name);
        return Some(person);
    }
    let is_open = look.home.dialect == Dialect::Generic;
    is_open.then(|| Person::new(vec![owner("address", &look.client.to_canonical())]))
}

/// What is asked of the upstream; none where it has no such question.
fn question(look: &Look<'_>, met: &Met, token: &Token<'_>) -> Option<Question> {
    let (key, kind) = met.seen?;
    let Home {
        dialect, upstream, ..
    } = look.home;
    let spoken = match (dialect, look.spoken, kind) {
        (Dialect::Vcenter, Spoken::Plain, SessionKind::Rest) => Spoken::Api,
        (Dialect::Vcenter, Spoken::Plain, SessionKind::Soap) => Spoken::Soap,
        (_, spoken, _) => spoken,
    };
    let question = Question {
        upstream: upstream.index,
        key,
        kind,
        spoken,
        token: Secret::new(token.bytes()),
        proof: credential::proof(*dialect, look.headers).map(Secret::new),
        address: look.client,
        began: look.now,
        logged_in: false,
    };
    own::whose(&question.session(*dialect))?;
    Some(question)
}

/// Whether the upstream knows a session whose owner it cannot be asked for.
fn tried(look: &Look<'_>, met: &Met) -> Option<Inquiry> {
    let (key, _) = met.seen.filter(|_| !look.uses)?;
    let trial = Trial::of_session(look, met, key)?;
    Some(Inquiry::Trial(Box::new(trial)))
}

struct Hex(SessionKey);

impl std::fmt::Display for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0
            .bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
