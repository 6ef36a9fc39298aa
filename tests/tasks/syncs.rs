//! Killed before and after each sync of the database: the commits of a task, from its acceptance to its end.

use std::collections::BTreeSet;

use tidegate::task::{Status, TaskId};

use crate::judge::{Account, End, Table};
use crate::model::Model;
use crate::people::{Asked, Person, Work, id};
use crate::rig::{Gate, Setup};
use crate::rows::{are_legal, rows};
use crate::support::{shim, until};

/// More syncs than a gate makes in a life with one task.
const MOST: u32 = 60;

/// What was so at the moment of a death.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Death {
    when: &'static str,
    /// Where the task stands in the database; none: it is not there.
    status: Option<Status>,
    /// The upstream has its request.
    sent: bool,
    /// Its work is done.
    done: bool,
    /// The client has its 202.
    accepted: bool,
    /// The client has heard its end.
    ended: bool,
}

impl Death {
    fn is(&self, when: &str, status: Status) -> bool {
        self.when == when && self.status == Some(status)
    }
}

struct Trial {
    model: Model,
    gate: Gate,
    person: Person,
    known: BTreeSet<TaskId>,
    table: Table,
    deaths: Vec<Death>,
    lives: usize,
}

/// A moment that has to be among those of death.
type Moment = (&'static str, fn(&Death) -> bool);

/// What a kill leaves unsynced is in the page cache: the next gate reads it all the same.
const MOMENTS: [Moment; 6] = [
    ("before the first commit", |death| {
        death.is("before", Status::Queued) && !death.accepted
    }),
    ("behind the first commit, before the 202", |death| {
        death.is("after", Status::Queued) && !death.accepted
    }),
    ("before the commit of the dispatch", |death| {
        death.is("before", Status::Dispatching) && !death.sent
    }),
    ("behind that, before the first byte", |death| {
        death.is("after", Status::Dispatching) && !death.sent
    }),
    ("with the answer read, before its commit", |death| {
        death.is("before", Status::Completed) && !death.ended
    }),
    ("behind that, before the client hears", |death| {
        death.is("after", Status::Completed) && !death.ended
    }),
];

/// Sessions are written down between the commits of tasks, so that a sync is not the same one in each life: most rounds
/// until each moment was met.
const ROUNDS: usize = 12;

impl Trial {
    async fn begin(work: Work) -> Self {
        let model = Model::start(20);
        let setup = Setup::new(&format!("syncs-{work:?}"))
            .tasks("max_blocking = \"1s\"\nreconcile = \"4s\"");
        let mut gate = Gate::start(setup, &model).await;
        let person = Person::log_in(gate.http(), "user1@corp").await;
        gate.stop();
        Self {
            model,
            gate,
            person,
            known: BTreeSet::new(),
            table: Table::default(),
            deaths: Vec::new(),
            lives: 0,
        }
    }

    /// One life that is to end `when` (before or after) the `nth` sync. Whether it did.
    async fn life(&mut self, work: Work, when: &'static str, nth: u32) -> bool {
        let plan = format!("{when}:wal:{nth}");
        let env = [
            ("LD_PRELOAD", shim::library().to_str().unwrap()),
            ("TIDEGATE_FS_KILL", &*plan),
        ];
        if !self.gate.tried(&env).await {
            // It died before it stood: nobody could ask for anything. The next life begins as every other does, with what a gate
            // left that stopped: on a log that one left which was killed, its syncs would be others.
            self.table.kills += 1;
            assert!(self.gate.tried(&[]).await, "{}", self.gate.log());
            self.gate.stop();
            return true;
        }
        self.lives += 1;
        let name = format!("{work:?}-{when}-{nth}-{}", self.lives).to_lowercase();
        let asked = Asked::new(work, &name).keyed(&format!("key-{name}"));
        let mut account = Account::new(work, true);
        let ended = self.watched(&asked, &mut account).await;
        let died = self.gate.is_dead();
        if died {
            self.gate.kill();
            self.note(when, &asked, &account, ended).await;
        } else {
            self.gate.stop();
        }
        assert!(self.gate.tried(&[]).await, "{}", self.gate.log());
        self.resolve(&asked, &mut account).await;
        self.table.kills += usize::from(died);
        self.table.accounts.insert(name, account);
        died
    }

    /// A life for each sync, until one lives to its end.
    async fn each(&mut self, work: Work, when: &'static str) {
        let mut nth = 1;
        while self.life(work, when, nth).await {
            nth += 1;
            assert!(nth < MOST, "it never lives to the end");
        }
    }

    /// Moments that no life has ended at yet.
    fn missed(&self) -> Vec<&'static str> {
        let missed = MOMENTS.iter().filter(|(_, is)| !self.deaths.iter().any(is));
        missed.map(|(what, _)| *what).collect()
    }

    /// Submits and polls until the task is over or the gate is dead: whether its end was heard.
    async fn watched(&mut self, asked: &Asked, account: &mut Account) -> bool {
        let gate = self.gate.http();
        let Some(answer) = self.person.submit(gate, asked).await else {
            until("it is dead", || self.gate.is_dead()).await;
            return false;
        };
        assert_eq!(answer.status, 202, "{answer:?}");
        let task = id(&answer.json());
        account.ids.insert(task.clone());
        let target = format!("/-/tasks/{task}");
        while let Some(answer) = self.person.get(gate, &target, "Prefer: wait=1\r\n").await {
            assert_eq!(answer.status, 200, "{answer:?}");
            if answer.json()["done"] == true {
                return true;
            }
        }
        until("it is dead", || self.gate.is_dead()).await;
        false
    }

    async fn note(&mut self, when: &'static str, asked: &Asked, account: &Account, ended: bool) {
        let rows = rows(&self.gate.database()).await;
        are_legal(&rows.records);
        let new = rows
            .records
            .iter()
            .find(|record| !self.known.contains(&record.id));
        self.deaths.push(Death {
            when,
            status: new.map(|record| record.status),
            sent: self.model.books.begun(&asked.name) > 0,
            done: self.model.books.effects(&asked.name) > 0,
            accepted: !account.ids.is_empty(),
            ended,
        });
        self.known
            .extend(rows.records.iter().map(|record| record.id));
    }

    /// The next gate knows it, or takes it now; and it comes to its end.
    async fn resolve(&mut self, asked: &Asked, account: &mut Account) {
        let gate = self.gate.http();
        let task = self.person.submitted(gate, asked).await;
        account.ids.insert(task.clone());
        account.end = End::of(&self.person.end(gate, &task).await);
        account.effects = self.model.books.effects(&asked.name);
        self.gate.all_given_back().await;
        self.gate.stop();
        let rows = rows(&self.gate.database()).await;
        self.known
            .extend(rows.records.iter().map(|record| record.id));
    }
}

async fn at_each_sync(work: Work) -> Trial {
    let mut trial = Trial::begin(work).await;
    for _ in 0..ROUNDS {
        for when in ["before", "after"] {
            trial.each(work, when).await;
        }
        if trial.missed().is_empty() {
            break;
        }
    }
    trial
        .table
        .print(&format!("{work:?}: killed before and after each sync"));
    for (what, is) in MOMENTS {
        let count = trial.deaths.iter().filter(|death| is(death)).count();
        println!("  {what:<40} {count:>3} times");
    }
    assert_eq!(trial.table.faults(), [""; 0]);
    assert_eq!(trial.model.books.violations(), [""; 0]);
    let rows = rows(&trial.gate.database()).await;
    are_legal(&rows.records);
    assert_eq!((rows.unfinished, rows.unforgotten.len()), (0, 0));
    assert_eq!(trial.missed(), [""; 0], "moments that no life ended at");
    trial
}

#[tokio::test]
async fn a_clone_killed_at_each_sync_is_done_once_at_most() {
    at_each_sync(Work::Clone).await;
}

#[tokio::test]
async fn a_clone_to_be_sent_again_killed_at_each_sync_is_done_once() {
    let trial = at_each_sync(Work::CloneAgain).await;
    assert!(
        trial
            .table
            .accounts
            .values()
            .all(|account| account.effects == 1)
    );
}
