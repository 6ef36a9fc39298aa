//! What the ledger promises.

mod key_file;
mod keys;
mod ledger;
mod model;
mod proofs;
mod threads;
mod writer;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::*;
use crate::call::{SessionKey, SessionKind, UserId};
use crate::limit::{Moment, Seat, Seats};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
/// What the calendar shows at the gate's start, milliseconds since 1970.
const STARTED: u64 = 1_700_000_000_000;

fn ms(millis: u64) -> Moment {
    Moment::from_start(Duration::from_millis(millis))
}

fn at(millis: u64) -> Now {
    Now {
        moment: ms(millis),
        wall: wall(millis),
    }
}

fn wall(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(STARTED + millis)
}

fn keys() -> Arc<Keys> {
    Arc::new(Keys::derive(&[7; KEY_LEN]).unwrap())
}

fn user(name: &str) -> User {
    let mut id = [0; 16];
    id[..name.len()].copy_from_slice(name.as_bytes());
    User {
        id: UserId::new(id),
        name: Arc::from(name),
    }
}

fn upstream() -> Upstream {
    Upstream {
        index: 0,
        name: Arc::from("vc1"),
    }
}

/// A ledger, and the seats that its sessions hold.
struct Rig {
    ledger: Arc<Ledger<Seat>>,
    seats: Arc<Seats>,
    upstream: Upstream,
}

impl Rig {
    fn new() -> Self {
        Self::holding(1000)
    }

    fn holding(most: usize) -> Self {
        Self {
            ledger: Arc::new(Ledger::new(keys(), most)),
            seats: Arc::new(Seats::new(u64::MAX)),
            upstream: upstream(),
        }
    }

    fn key(&self, token: &str) -> SessionKey {
        let keys = self.ledger.keys();
        keys.session(&self.upstream.name, SessionKind::Rest, token.as_bytes())
    }

    fn new_of(&self, token: &str, name: Option<&str>, began: u64) -> New<'_> {
        New {
            key: self.key(token),
            kind: SessionKind::Rest,
            upstream: &self.upstream,
            user: name.map(user),
            address: HERE,
            credential: None,
            began: ms(began),
        }
    }

    /// A login that went up and was answered at `now`.
    fn open(&self, token: &str, name: &str, now: u64) -> Opened {
        self.open_late(token, name, now, now)
    }

    fn open_late(&self, token: &str, name: &str, began: u64, now: u64) -> Opened {
        let new = self.new_of(token, Some(name), began);
        let seat = self.seats.seat().unwrap();
        self.ledger.open(new, seat, at(now))
    }

    fn adopt(&self, token: &str, began: u64, now: u64) -> Opened {
        let new = self.new_of(token, None, began);
        let seat = self.seats.seat().unwrap();
        self.ledger.adopt(new, seat, at(now))
    }

    fn close(&self, token: &str, now: u64) -> Option<Ended> {
        self.ledger.close(&self.key(token), ms(now))
    }

    fn find(&self, token: &str, now: u64) -> Option<Known> {
        self.ledger.find(&self.key(token), ms(now))
    }

    fn expire(&self, now: u64, bound: u64) -> usize {
        let bound = Some(Duration::from_millis(bound));
        self.ledger.expire(ms(now), |_, _| bound).len()
    }

    /// As many units held as sessions live.
    #[track_caller]
    fn balanced(&self, live: usize) {
        assert_eq!(self.ledger.len(), live);
        assert_eq!(self.ledger.rows(ms(0)).len(), live);
        assert_eq!(self.seats.in_use(), live as u64);
    }
}
