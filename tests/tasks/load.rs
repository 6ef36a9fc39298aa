//! Customers who submit, poll, wait and cancel, and bear that the gate dies under them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::people::{Asked, Person, Work};
use crate::witness::Witness;

/// Numbers that look random, and are the same for the same seed.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let count = from.len() as u64;
        let place = (count > 0).then(|| self.roll(count))?;
        from.get(usize::try_from(place).unwrap())
    }
}

/// Most tasks that are not over, before customers stop to ask for more.
const OPEN: usize = 48;

/// What all customers share.
pub struct Market {
    /// Where the gate is; nowhere while it is dead.
    pub gate: Arc<Mutex<Option<SocketAddr>>>,
    pub witness: Witness,
    pub closing: AtomicBool,
    pub submitted: AtomicUsize,
    /// Submissions whose answer was lost and that were made again with the same key.
    pub repeated: AtomicUsize,
    pub canceled: AtomicUsize,
}

impl Market {
    pub fn new(gate: Arc<Mutex<Option<SocketAddr>>>) -> Self {
        Self {
            gate,
            witness: Witness::default(),
            closing: AtomicBool::new(false),
            submitted: AtomicUsize::new(0),
            repeated: AtomicUsize::new(0),
            canceled: AtomicUsize::new(0),
        }
    }

    /// Where the gate is, once it lives.
    async fn gate(&self) -> SocketAddr {
        loop {
            if let Some(gate) = *self.gate.lock().unwrap() {
                return gate;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Asks how a task does, and has the witness compare.
    pub async fn look(&self, person: &Person, gate: SocketAddr, id: &str, wait: bool) {
        let before = self.witness.heard(id);
        let fields = if wait { "Prefer: wait=1\r\n" } else { "" };
        let answer = person.get(gate, &format!("/-/tasks/{id}"), fields).await;
        if let Some(answer) = answer {
            self.witness.told(id, &before, &answer);
        }
    }
}

/// One customer.
pub struct Customer {
    pub number: usize,
    pub person: Person,
    pub dice: Dice,
    made: usize,
}

impl Customer {
    pub fn new(number: usize, person: Person, seed: u64) -> Self {
        let dice = Dice::new(seed.wrapping_add(number as u64 * 7919));
        Self {
            number,
            person,
            dice,
            made: 0,
        }
    }

    /// Does something, again and again, until the market closes.
    pub async fn shops(mut self, market: Arc<Market>) {
        while !market.closing.load(Ordering::SeqCst) {
            let open = market.witness.open();
            match self.dice.roll(100) {
                0..40 if open.len() < OPEN => self.buys_with_key(&market).await,
                40..60 if open.len() < OPEN => self.buys(&market).await,
                60..70 => self.cancels(&market, &open).await,
                number => self.looks(&market, &open, number.is_multiple_of(10)).await,
            }
            let pause = self.dice.roll(8);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    fn wants(&mut self, market: &Market) -> Asked {
        self.made += 1;
        market.submitted.fetch_add(1, Ordering::SeqCst);
        let work = Work::ALL[usize::try_from(self.dice.roll(4)).unwrap()];
        let asked = Asked::new(work, &format!("vm-{}-{}", self.number, self.made));
        asked.taking(5 + self.dice.roll(120))
    }

    /// Submits until there is an answer.
    async fn buys_with_key(&mut self, market: &Market) {
        let asked = self.wants(market);
        let key = format!("key-{}", asked.name);
        let asked = asked.keyed(&key);
        market.witness.asks(&asked);
        loop {
            let gate = market.gate().await;
            let answer = self.person.submit(gate, &asked).await;
            match &answer {
                Some(answer) if answer.status == 202 => {
                    market.witness.accepted(&asked, answer);
                    return;
                }
                // Full, or the first of the same is being written down.
                Some(answer) if [409, 429, 503].contains(&answer.status) => {}
                Some(answer) => {
                    market.witness.fault(format!("{asked:?}: {answer:?}"));
                    return;
                }
                None => drop(market.repeated.fetch_add(1, Ordering::SeqCst)),
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Submits once.
    async fn buys(&mut self, market: &Market) {
        let asked = self.wants(market);
        market.witness.asks(&asked);
        let gate = market.gate().await;
        match self.person.submit(gate, &asked).await {
            Some(answer) if answer.status == 202 => {
                market.witness.accepted(&asked, &answer);
            }
            Some(answer) if [429, 503].contains(&answer.status) => market.witness.refused(&asked),
            Some(answer) => market.witness.fault(format!("{asked:?}: {answer:?}")),
            None => {}
        }
    }

    async fn looks(&mut self, market: &Market, open: &[String], wait: bool) {
        let Some(id) = self.dice.pick(open) else {
            return;
        };
        let gate = market.gate().await;
        market.look(&self.person, gate, id, wait).await;
    }

    async fn cancels(&mut self, market: &Market, open: &[String]) {
        let Some(id) = self.dice.pick(open) else {
            return;
        };
        let before = market.witness.heard(id);
        let gate = market.gate().await;
        match self.person.cancel(gate, id).await {
            Some(answer) if answer.status == 200 => {
                market.canceled.fetch_add(1, Ordering::SeqCst);
                market.witness.told(id, &before, &answer);
            }
            // It is at work, or over, or the gate cannot write it down.
            Some(answer) if [409, 503].contains(&answer.status) => {}
            Some(answer) => market.witness.fault(format!("cancel {id}: {answer:?}")),
            None => {}
        }
    }
}
