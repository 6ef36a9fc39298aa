//! Random lives of sessions, restarts and crashes among them, against a slow reference that is one plain map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// How long a session may idle, milliseconds.
const BOUND: u64 = 40;
const MOST: usize = 4;

#[derive(Debug, Clone)]
enum Step {
    Open {
        token: usize,
        name: u8,
        late: u64,
    },
    Adopt {
        token: usize,
        late: u64,
    },
    Name {
        token: usize,
        name: u8,
    },
    Close {
        token: usize,
    },
    Find {
        token: usize,
    },
    Begin {
        token: usize,
    },
    /// The oldest call in flight ends.
    End,
    Wait {
        millis: u64,
    },
    Expire,
    HandOver {
        touches: bool,
    },
    /// All is handed over, and the gate starts anew.
    Restart,
    /// The gate starts anew with what was handed over last.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let token = 0..6_usize;
    prop_oneof![
        4 => (token.clone(), 0..3_u8, 0..4_u64).prop_map(|(token, name, late)| Step::Open { token, name, late }),
        3 => (token.clone(), 0..4_u64).prop_map(|(token, late)| Step::Adopt { token, late }),
        2 => (token.clone(), 0..3_u8).prop_map(|(token, name)| Step::Name { token, name }),
        2 => token.clone().prop_map(|token| Step::Close { token }),
        3 => token.clone().prop_map(|token| Step::Find { token }),
        2 => token.prop_map(|token| Step::Begin { token }),
        2 => Just(Step::End),
        3 => (1..30_u64).prop_map(|millis| Step::Wait { millis }),
        2 => Just(Step::Expire),
        3 => any::<bool>().prop_map(|touches| Step::HandOver { touches }),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
    ]
}

/// A session in its slowest form.
#[derive(Debug, Clone, PartialEq)]
struct Slow {
    name: Option<u8>,
    adopted: bool,
    opened: u64,
    used: u64,
    calls: u64,
}

struct World {
    rig: Rig,
    /// Milliseconds since the first gate's start, which the calendar shows through every restart.
    now: u64,
    /// The same at the running gate's start.
    started: u64,
    slow: BTreeMap<usize, Slow>,
    ended: BTreeMap<usize, u64>,
    calls: Vec<(usize, u64, InUse)>,
    stored: BTreeMap<SessionKey, Record>,
    reaped: u64,
}

impl World {
    fn new() -> Self {
        Self {
            rig: Rig::holding(MOST),
            now: 10,
            started: 0,
            slow: BTreeMap::new(),
            ended: BTreeMap::new(),
            calls: Vec::new(),
            stored: BTreeMap::new(),
            reaped: 0,
        }
    }

    fn at(&self) -> Now {
        Now {
            moment: ms(self.now - self.started),
            wall: wall(self.now),
        }
    }

    fn key(&self, token: usize) -> SessionKey {
        self.rig.key(&token.to_string())
    }

    /// When a call that is answered now went up.
    fn began(&self, late: u64) -> u64 {
        self.now.saturating_sub(late).max(self.started)
    }

    fn tell(&mut self, token: usize, name: Option<u8>, late: u64) {
        let (now, began) = (self.at(), self.began(late));
        let text = token.to_string();
        let named = name.map(|name| format!("user{name}"));
        let new = self
            .rig
            .new_of(&text, named.as_deref(), began - self.started);
        let seat = self.rig.seats.seat().unwrap();
        let said = match name {
            Some(_) => self.rig.ledger.open(new, seat, now),
            None => self.rig.ledger.adopt(new, seat, now),
        };
        if let Some(known) = self.slow.get_mut(&token) {
            assert!(matches!(said, Opened::Known(_)), "{said:?}");
            known.used = self.now;
            if name.is_some() {
                (known.name, known.adopted) = (name, false);
            }
        } else if self.ended.get(&token).is_some_and(|ended| *ended >= began) {
            assert_eq!(said, Opened::Ended);
        } else if self.slow.len() == MOST {
            assert_eq!(said, Opened::Full);
        } else {
            assert!(matches!(said, Opened::New(_)), "{said:?}");
            let slow = Slow {
                name,
                adopted: name.is_none(),
                opened: self.now,
                used: self.now,
                calls: 0,
            };
            self.slow.insert(token, slow);
        }
    }

    fn take(&mut self, step: &Step) {
        let now = self.at();
        match *step {
            Step::Open { token, name, late } => self.tell(token, Some(name), late),
            Step::Adopt { token, late } => self.tell(token, None, late),
            Step::Name { token, name } => {
                let named = user(&format!("user{name}"));
                let said = self
                    .rig
                    .ledger
                    .name(&self.key(token), named, |_| (), now.moment);
                let unnamed = self.slow.get_mut(&token).filter(|slow| slow.name.is_none());
                assert_eq!(said, unnamed.is_some());
                unnamed.into_iter().for_each(|slow| slow.name = Some(name));
            }
            Step::Close { token } => {
                let said = self.rig.ledger.close(&self.key(token), now.moment);
                assert_eq!(said.is_some(), self.slow.remove(&token).is_some());
                self.ended.insert(token, self.now);
            }
            Step::Find { token } => {
                let said = self.rig.ledger.find(&self.key(token), now.moment);
                let slow = self.slow.get_mut(&token);
                assert_eq!(said.is_some(), slow.is_some());
                slow.into_iter().for_each(|slow| slow.used = self.now);
            }
            Step::Begin { token } => self.begin(token),
            Step::End if self.calls.is_empty() => {}
            Step::End => {
                let (token, opened, call) = self.calls.remove(0);
                call.end(now.moment);
                let slow = self.slow.get_mut(&token);
                if let Some(slow) = slow.filter(|slow| slow.opened == opened) {
                    (slow.used, slow.calls) = (self.now, slow.calls - 1);
                }
            }
            Step::Wait { millis } => self.now += millis,
            Step::Expire => self.expire(),
            Step::HandOver { touches } => self.hand_over(touches),
            Step::Restart => {
                self.hand_over(true);
                self.start_anew();
            }
            Step::Crash => self.start_anew(),
        }
    }

    fn begin(&mut self, token: usize) {
        let said = self.rig.ledger.begin(&self.key(token), self.at().moment);
        let slow = self.slow.get_mut(&token);
        assert_eq!(said.is_some(), slow.is_some());
        if let (Some(call), Some(slow)) = (said, slow) {
            (slow.used, slow.calls) = (self.now, slow.calls + 1);
            self.calls.push((token, slow.opened, call));
        }
    }

    fn expire(&mut self) {
        let (now, bound) = (self.at(), Some(Duration::from_millis(BOUND)));
        let said = self.rig.ledger.expire(now.moment, |_, _| bound);
        let over = |slow: &Slow| slow.calls == 0 && self.now - slow.used >= BOUND;
        let gone: Vec<usize> = self
            .slow
            .iter()
            .filter(|(_, slow)| over(slow))
            .map(|(token, _)| *token)
            .collect();
        assert_eq!(said.len(), gone.len());
        self.reaped += gone.len() as u64;
        for token in gone {
            self.slow.remove(&token);
            self.ended.insert(token, self.now);
        }
    }

    /// What is handed over makes of the store what the reference says.
    fn hand_over(&mut self, touches: bool) {
        for change in self.rig.ledger.hand_over(&self.at(), touches) {
            match change {
                Change::Put(record) => drop(self.stored.insert(record.key, *record)),
                Change::Touch(key, used) => self.stored.get_mut(&key).unwrap().last_used = used,
                Change::Remove(key) => drop(self.stored.remove(&key)),
            }
        }
        assert_eq!(self.stored.len(), self.slow.len());
        for (token, slow) in &self.slow {
            let record = &self.stored[&self.key(*token)];
            let name = slow.name.map(|name| user(&format!("user{name}")));
            assert_eq!((&record.user, record.adopted), (&name, slow.adopted));
            assert_eq!(record.opened, wall(slow.opened));
            if touches {
                let used = if slow.calls > 0 { self.now } else { slow.used };
                assert_eq!(record.last_used, wall(used));
            }
        }
        assert_eq!(self.rig.ledger.hand_over(&self.at(), touches), []);
    }

    fn start_anew(&mut self) {
        self.calls.clear();
        self.rig = Rig::holding(MOST);
        self.now += 5;
        (self.started, self.reaped) = (self.now, 0);
        self.ended.clear();
        let idle = |record: &Record| wall(self.now).duration_since(record.last_used).unwrap();
        let bound = Duration::from_millis(BOUND);
        let kept = self
            .stored
            .values()
            .filter(|record| idle(record) < bound)
            .count();
        let records: Vec<Record> = self.stored.values().cloned().collect();
        let seats = Arc::clone(&self.rig.seats);
        let place = |_: &mut Record| seats.seat().map(|seat| (0, seat));
        let said = self
            .rig
            .ledger
            .restore(records, self.at(), |_, _| Some(bound), place);
        assert_eq!((said.kept, said.idle), (kept, self.stored.len() - kept));
        let tokens: BTreeMap<SessionKey, usize> =
            (0..6).map(|token| (self.key(token), token)).collect();
        let millis = |time: SystemTime| time.duration_since(wall(0)).unwrap().as_millis() as u64;
        self.slow.clear();
        for record in self.stored.values().filter(|record| idle(record) < bound) {
            let digit = |user: &User| user.name.bytes().last().unwrap() - b'0';
            let slow = Slow {
                name: record.user.as_ref().map(digit),
                adopted: record.adopted,
                opened: millis(record.opened),
                used: millis(record.last_used),
                calls: 0,
            };
            self.slow.insert(tokens[&record.key], slow);
        }
    }

    fn compare(&self) {
        let rows = self.rig.ledger.rows(self.at().moment);
        assert_eq!(rows.len(), self.slow.len());
        assert_eq!(self.rig.ledger.len(), self.slow.len());
        assert_eq!(self.rig.seats.in_use(), self.slow.len() as u64);
        let counts = self.rig.ledger.counts();
        let (live, reaped) = counts
            .first()
            .map_or((0, 0), |count| (count.live, count.reaped));
        assert_eq!((live, reaped), (self.slow.len() as u64, self.reaped));
        let mut idle: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row.age.as_millis() as u64,
                    row.idle.as_millis() as u64,
                    row.in_flight,
                )
            })
            .collect();
        let quiet = |slow: &Slow| {
            if slow.calls > 0 {
                0
            } else {
                self.now - slow.used
            }
        };
        let mut slow: Vec<_> = self
            .slow
            .values()
            .map(|slow| (self.now - slow.opened, quiet(slow), slow.calls))
            .collect();
        idle.sort_unstable();
        slow.sort_unstable();
        assert_eq!(idle, slow);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_ledger_is_one_plain_map(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
            world.compare();
        }
    }
}
