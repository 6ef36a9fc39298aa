//! What the model knows and counts: sessions, calls under way, calls done.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};

/// The family of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Rest,
    Soap,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Soap => "soap",
        }
    }
}

#[derive(Debug)]
struct Session {
    user: String,
    kind: Kind,
    _counted: Vec<Running>,
}

/// How many now, and the most ever.
#[derive(Debug, Default, Clone, Copy)]
struct Gauge {
    now: u64,
    most: u64,
}

/// The model's own books.
#[derive(Debug, Default)]
pub struct Books {
    sessions: Mutex<BTreeMap<String, Session>>,
    gauges: Mutex<BTreeMap<String, Gauge>>,
    done: Mutex<BTreeMap<String, u64>>,
    order: Mutex<Vec<(String, String)>>,
    hasher: RandomState,
}

/// One more of something, until it is dropped.
#[derive(Debug)]
pub struct Running {
    books: Arc<Books>,
    name: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut gauges = self.books.gauges.lock().unwrap();
        gauges.get_mut(&self.name).unwrap().now -= 1;
    }
}

impl Books {
    pub fn enter(self: &Arc<Self>, name: &str) -> Running {
        let mut gauges = self.gauges.lock().unwrap();
        let gauge = gauges.entry(name.to_owned()).or_default();
        gauge.now += 1;
        gauge.most = gauge.most.max(gauge.now);
        Running {
            books: self.clone(),
            name: name.to_owned(),
        }
    }

    /// How many of `name` there are now.
    pub fn now(&self, name: &str) -> u64 {
        self.gauge(name).now
    }

    /// The most of `name` that there ever were at once.
    pub fn most(&self, name: &str) -> u64 {
        self.gauge(name).most
    }

    fn gauge(&self, name: &str) -> Gauge {
        let gauges = self.gauges.lock().unwrap();
        gauges.get(name).copied().unwrap_or_default()
    }

    pub fn did(&self, what: &str) {
        *self
            .done
            .lock()
            .unwrap()
            .entry(what.to_owned())
            .or_default() += 1;
    }

    /// Notes that `user` did `what`.
    pub fn did_by(&self, what: &str, user: &str) {
        self.did(what);
        let done = (what.to_owned(), user.to_owned());
        self.order.lock().unwrap().push(done);
    }

    /// Who did `what`, in order.
    pub fn order(&self, what: &str) -> Vec<String> {
        let order = self.order.lock().unwrap();
        let of_it = order.iter().filter(|(done, _)| done == what);
        of_it.map(|(_, user)| user.clone()).collect()
    }

    /// How often `what` was done.
    pub fn done(&self, what: &str) -> u64 {
        self.done.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    /// A new session of `user`, who may be written in any spelling; its token.
    pub fn open(self: &Arc<Self>, user: &str, kind: Kind) -> String {
        let user = normal(user);
        let mut sessions = self.sessions.lock().unwrap();
        let number = self.done("session opened");
        self.did("session opened");
        let half = |salt: u8| self.hasher.hash_one((number, salt));
        let token = format!("{:016x}{:016x}", half(0), half(1));
        let gauges = [
            "sessions".to_owned(),
            format!("sessions of {user}"),
            format!("{} sessions", kind.as_str()),
        ];
        let session = Session {
            kind,
            _counted: gauges.iter().map(|name| self.enter(name)).collect(),
            user,
        };
        sessions.insert(token.clone(), session);
        token
    }

    /// Whose session of this family the token is.
    pub fn user(&self, token: &str, kind: Kind) -> Option<String> {
        let sessions = self.sessions.lock().unwrap();
        let session = sessions.get(token).filter(|session| session.kind == kind)?;
        Some(session.user.clone())
    }

    /// Ends a session, by a logout or of the model's own accord; whether there was one.
    pub fn end(&self, token: &str) -> bool {
        let gone = self.sessions.lock().unwrap().remove(token);
        gone.is_some()
    }

    /// Ends every session.
    pub fn end_all(&self) {
        drop(std::mem::take(&mut *self.sessions.lock().unwrap()));
    }

    /// Kind and user of every live session, sorted.
    pub fn live(&self) -> Vec<(String, String)> {
        let sessions = self.sessions.lock().unwrap();
        let mut live: Vec<_> = sessions
            .values()
            .map(|session| (session.kind.as_str().to_owned(), session.user.clone()))
            .collect();
        live.sort();
        live
    }
}

/// `DOMAIN\User` and `User@DOMAIN` as `user@domain`.
pub fn normal(user: &str) -> String {
    let user = user.to_lowercase();
    match user.split_once('\\') {
        Some((domain, name)) => format!("{name}@{domain}"),
        None => user,
    }
}
