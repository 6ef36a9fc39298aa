//! Customers who submit, poll, wait and cancel, and bear that the gate dies under them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::people::{Asked, Person, Work};
use crate::support::client::Answer;
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
const OPEN: usize = 64;
/// How names begin of what nobody takes back.
const KEPT: &str = "kept";

/// What all customers share.
pub struct Market {
    /// Where the gate is; nowhere while it is dead.
    pub gate: Arc<Mutex<Option<SocketAddr>>>,
    pub witness: Witness,
    pub closing: AtomicBool,
    pub submitted: AtomicUsize,
    /// Submissions on their way.
    pub sending: AtomicUsize,
    /// Submissions whose answer was lost with their gate, and that were made again with the same key.
    pub broken: AtomicUsize,
    /// Those that were made again though their answer was there.
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
            sending: AtomicUsize::new(0),
            broken: AtomicUsize::new(0),
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

    /// Submits: the answer, if all of it came.
    async fn submit(&self, person: &Person, asked: &Asked) -> Option<Answer> {
        let gate = self.gate().await;
        self.sending.fetch_add(1, Ordering::SeqCst);
        let answer = person.submit(gate, asked).await;
        self.sending.fetch_sub(1, Ordering::SeqCst);
        answer
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
    /// The last with a key that nobody takes back.
    kept: Option<Asked>,
}

impl Customer {
    pub fn new(number: usize, person: Person, seed: u64) -> Self {
        let dice = Dice::new(seed.wrapping_add(number as u64 * 7919));
        Self {
            number,
            person,
            dice,
            made: 0,
            kept: None,
        }
    }

    /// Does something, again and again, until the market closes.
    pub async fn shops(mut self, market: Arc<Market>) {
        while !market.closing.load(Ordering::SeqCst) {
            let open = market.witness.open();
            match self.dice.roll(100) {
                0..40 if open.len() < OPEN => self.buys_with_key(&market).await,
                40..60 if open.len() < OPEN => self.buys(&market).await,
                // What has its task already: the same again is no other one.
                60..75 => self.buys_again(&market).await,
                75..82 => self.cancels(&market, &open).await,
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
        let kind = ["vm", KEPT][self.made % 2];
        let asked = Asked::new(work, &format!("{kind}-{}-{}", self.number, self.made));
        asked.taking(5 + self.dice.roll(120))
    }

    /// Submits until there is an answer.
    async fn buys_with_key(&mut self, market: &Market) {
        let asked = self.wants(market);
        let key = format!("key-{}", asked.name);
        let asked = asked.keyed(&key);
        market.witness.asks(&asked);
        self.insists(market, &asked).await;
        if asked.name.starts_with(KEPT) {
            self.kept = Some(asked);
        }
    }

    async fn buys_again(&mut self, market: &Market) {
        if let Some(asked) = self.kept.clone() {
            market.repeated.fetch_add(1, Ordering::SeqCst);
            self.insists(market, &asked).await;
        }
    }

    async fn insists(&mut self, market: &Market, asked: &Asked) {
        loop {
            let answer = market.submit(&self.person, asked).await;
            match &answer {
                Some(answer) if answer.status == 202 => {
                    market.witness.accepted(asked, answer);
                    return;
                }
                // Full, or the first of the same is being written down.
                Some(answer) if [409, 429, 503].contains(&answer.status) => {}
                Some(answer) => {
                    market.witness.fault(format!("{asked:?}: {answer:?}"));
                    return;
                }
                None => drop(market.broken.fetch_add(1, Ordering::SeqCst)),
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Submits once.
    async fn buys(&mut self, market: &Market) {
        let asked = self.wants(market);
        market.witness.asks(&asked);
        match market.submit(&self.person, &asked).await {
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
        if before.name.starts_with(KEPT) {
            return;
        }
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
