//! Killed at any moment, again and again, under load: nothing is lost, nothing is done twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use tokio::task::JoinSet;

use crate::load::{Customer, Dice, Market};
use crate::model::{Model, PASSWORD};
use crate::people::Person;
use crate::rig::{Gate, Setup};
use crate::rows::{are_legal, rows};
use crate::support::PATIENCE;

/// How often the gate is killed, by TIDEGATE_KILLS.
const KILLS: usize = 300;
const CUSTOMERS: usize = 4;
const USER: &str = "user1@corp";

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// One gate, its model and its customers.
struct Trial {
    model: Model,
    gate: Gate,
    person: Person,
    market: Arc<Market>,
    dice: Dice,
}

impl Trial {
    async fn begin(seed: u64) -> Self {
        let model = Model::start(20);
        let gate = Gate::start(Setup::new("kills"), &model).await;
        let person = Person::log_in(gate.http(), USER).await;
        let market = Arc::new(Market::new(gate.whereabouts()));
        Self {
            model,
            gate,
            person,
            market,
            dice: Dice::new(seed),
        }
    }

    /// Lives for a while, dies, and comes back: what was accepted is known.
    async fn round(&mut self) {
        let moment = self.dice.roll(250_000);
        tokio::time::sleep(Duration::from_micros(moment)).await;
        if self.dice.roll(2) == 0 {
            // In the middle of a submission, every other time: these moments are few.
            let end = Instant::now() + Duration::from_millis(100);
            while self.market.sending.load(Ordering::SeqCst) == 0 && Instant::now() < end {
                tokio::task::yield_now().await;
            }
            let moment = self.dice.roll(2_000);
            tokio::time::sleep(Duration::from_micros(moment)).await;
        }
        self.gate.kill();
        self.no_secrets();
        self.gate.again().await;
        let (mut known, all) = (self.market.witness.open(), self.market.witness.all());
        for _ in 0..10.min(all.len()) {
            let place = self.dice.roll(all.len() as u64);
            known.push(all[usize::try_from(place).unwrap()].clone());
        }
        let gate = self.gate.http();
        let mut looks = JoinSet::new();
        for id in known {
            let (market, person) = (self.market.clone(), self.person.clone());
            looks.spawn(async move { market.look(&person, gate, &id, false).await });
        }
        looks.join_all().await;
        let faults = self.market.witness.faults();
        assert!(faults.is_empty(), "{faults:#?}\n{}", self.gate.log());
        assert_eq!(self.model.books.violations(), [""; 0]);
    }

    /// Every task comes to its end, those too of which no client heard.
    async fn settle(&self) {
        let deadline = Instant::now() + PATIENCE * 2;
        loop {
            let gate = self.gate.http();
            for id in self.market.witness.open() {
                self.market.look(&self.person, gate, &id, false).await;
            }
            let mut open = self.market.witness.open();
            for state in ["SCHEDULED", "RUNNING"] {
                open.extend(self.person.listed(gate, state).await);
            }
            if open.is_empty() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "not over: {open:?}\n{}",
                self.gate.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Neither the database nor the log shows a token or a password.
    fn no_secrets(&self) {
        let basic = STANDARD.encode(format!("{USER}:{PASSWORD}"));
        let secrets = [&*self.person.token, PASSWORD, basic.trim_end_matches('=')];
        let mut places = vec![("the log".to_owned(), self.gate.log().into_bytes())];
        for entry in std::fs::read_dir(self.gate.folder()).unwrap() {
            let path = entry.unwrap().path();
            places.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
        assert!(places.len() > 2, "there is a database");
        for (place, bytes) in &places {
            for secret in secrets {
                let found = memchr::memmem::find(bytes, secret.as_bytes());
                assert_eq!(found, None, "a secret is in {place}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_under_load() {
    let kills = number("TIDEGATE_KILLS").map_or(KILLS, |kills| usize::try_from(kills).unwrap());
    let seed = number("TIDEGATE_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 20);
    println!("TIDEGATE_SEED={seed} TIDEGATE_KILLS={kills}");
    let began = Instant::now();
    let mut trial = Trial::begin(seed).await;
    let customers: Vec<_> = (0..CUSTOMERS)
        .map(|n| Customer::new(n, trial.person.clone(), seed))
        .map(|customer| tokio::spawn(customer.shops(trial.market.clone())))
        .collect();
    for _ in 0..kills {
        trial.round().await;
    }
    trial.market.closing.store(true, Ordering::SeqCst);
    for customer in customers {
        customer.await.unwrap();
    }
    trial.settle().await;
    trial.gate.all_given_back().await;
    // The whole truth once more, by the last gate.
    for id in trial.market.witness.all() {
        trial
            .market
            .look(&trial.person, trial.gate.http(), &id, false)
            .await;
    }
    trial.gate.stop();
    trial.no_secrets();
    judge(&trial, kills, began.elapsed()).await;
}

async fn judge(trial: &Trial, kills: usize, took: Duration) {
    let (books, market) = (&trial.model.books, &trial.market);
    let table = market.witness.table(kills, books);
    table.print("killed at random moments under load");
    let count = |count: &std::sync::atomic::AtomicUsize| count.load(Ordering::SeqCst);
    println!(
        "  {} submissions, {} broken off and made again with their key, {} made again all the same, {} canceled, most at once upstream {}, {took:.1?}",
        count(&market.submitted),
        count(&market.broken),
        count(&market.repeated),
        count(&market.canceled),
        books.most_running(),
    );
    let mut faults = table.faults();
    faults.extend(market.witness.faults());
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(books.violations(), [""; 0], "never eleven at a time");
    let rows = rows(&trial.gate.database()).await;
    println!("  {} tasks in the database", rows.records.len());
    are_legal(&rows.records);
    assert_eq!(rows.unfinished, 0, "all are over, and no seat is taken");
    assert!(rows.unforgotten.is_empty(), "{:?}", rows.unforgotten);
    let ids: std::collections::BTreeSet<String> = rows
        .records
        .iter()
        .map(|record| record.id.to_string())
        .collect();
    let lost: Vec<String> = (market.witness.all().into_iter())
        .filter(|id| !ids.contains(id))
        .collect();
    assert!(lost.is_empty(), "not in the database: {lost:?}");
    // What nobody was told of was not done twice either, and nothing was done that nobody keeps.
    assert!(count(&market.submitted) >= rows.records.len());
    assert!(
        market.witness.all().len() >= kills.min(20),
        "this shows nothing"
    );
    assert_eq!(trial.model.books.running(), 0);
}
