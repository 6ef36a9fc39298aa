//! The limits of a real vCenter 7.0, which the model holds to where a test asks for it: what is one too many
//! is answered 503, a call over the rate as well.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Books, Kind, Point};
use crate::support::wire::Reply;

/// Calls to the REST endpoint in any second.
const RATE: usize = 1500;
const SECOND: Duration = Duration::from_secs(1);
/// The most of each at once.
const CEILINGS: [(&str, u64); 5] = [
    ("logins", 160),
    ("clones", 10),
    ("calls", 600),
    ("soap", 640),
    ("sockets of rest", 550),
];
/// Sessions of one user, of REST, of SOAP.
const OF_A_USER: u64 = 550;
const OF_REST: u64 = 1000;
const OF_SOAP: u64 = 2000;

/// How a real vCenter behaves.
#[derive(Debug, Default)]
pub struct Strict {
    /// How long a login takes.
    pub login: Duration,
    /// How long a blocking clone takes.
    pub clone: Duration,
    /// Calls of the last second.
    calls: Mutex<VecDeque<Instant>>,
}

impl Strict {
    pub fn new(login: Duration, clone: Duration) -> Self {
        Self {
            login,
            clone,
            calls: Mutex::default(),
        }
    }

    pub(super) fn takes(&self, point: Point) -> Duration {
        match point {
            Point::Login => self.login,
            Point::Clone => self.clone,
            Point::Soap | Point::Call => Duration::ZERO,
        }
    }

    /// Whether a call, counted under these gauges already, is one too many.
    pub(super) fn refuses(&self, books: &Books, gauges: &[&str]) -> bool {
        let over = CEILINGS
            .iter()
            .find(|(name, most)| gauges.contains(name) && books.now(name) > *most);
        if let Some((name, _)) = over {
            books.did(&format!("refused: {name}"));
        }
        over.is_some()
    }

    /// Whether a call is refused before anybody looks at it: its socket, or the rate.
    pub(super) fn refuses_arrival(&self, books: &Books, side: &str) -> bool {
        if side != "rest" {
            return false;
        }
        self.refuses(books, &["sockets of rest"]) || self.is_over_rate(books)
    }

    fn is_over_rate(&self, books: &Books) -> bool {
        let mut calls = self.calls.lock().unwrap();
        let now = Instant::now();
        while calls.front().is_some_and(|at| now - *at >= SECOND) {
            calls.pop_front();
        }
        calls.push_back(now);
        let over = calls.len() > RATE;
        if over {
            books.did("refused: rate");
        }
        over
    }

    pub(super) fn refuses_session(&self, books: &Arc<Books>, user: &str, kind: Kind) -> bool {
        let user = format!("sessions of {}", super::books::normal(user));
        let (family, most) = match kind {
            Kind::Rest => ("rest sessions", OF_REST),
            Kind::Soap => ("soap sessions", OF_SOAP),
        };
        let over = books.now(family) >= most || books.now(&user) >= OF_A_USER;
        if over {
            books.did("refused: sessions");
        }
        over
    }
}

pub(super) fn unavailable() -> Reply {
    let error = json!({"error_type": "SERVICE_UNAVAILABLE", "messages": []});
    Reply::json(503, error)
}
