//! A store that fails under a living gate: new work is refused with words, what was accepted is known, and nothing is lost.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::model::Model;
use crate::people::{Asked, Person, Work, id};
use crate::rig::{Gate, Setup};
use crate::support::PATIENCE;
use crate::support::client::{Answer, Client};
use crate::support::shim::Faults;
use crate::support::until;

struct Broken {
    model: Model,
    gate: Gate,
    person: Person,
    faults: Faults,
}

impl Broken {
    async fn begin(name: &str) -> Self {
        let model = Model::start(20);
        let mut setup = Setup::new(name).tasks("max_blocking = \"1h\"");
        let faults = Faults::new(&setup.folder);
        for (name, value) in faults.env() {
            setup = setup.env(name, value);
        }
        let gate = Gate::start(setup, &model).await;
        let person = Person::log_in(gate.http(), "user1@corp").await;
        Self {
            model,
            gate,
            person,
            faults,
        }
    }

    async fn submit(&self, name: &str) -> Answer {
        let asked = Asked::new(Work::Clone, name);
        let answer = self.person.submit(self.gate.http(), &asked).await;
        answer.expect("an answer")
    }

    /// Submits until it is answered with this status: the name of the last, and its answer. Those before are `accepted`.
    async fn submits_until(&self, status: u16, accepted: &mut Vec<String>) -> (String, Answer) {
        for n in 0..1000 {
            let name = format!("until-{status}-{n}");
            let answer = self.submit(&name).await;
            if answer.status == status {
                return (name, answer);
            }
            match answer.status {
                202 => accepted.push(id(&answer.json())),
                503 => {}
                _ => panic!("{answer:?}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never {status}\n{}", self.gate.log());
    }

    /// Waits until `/readyz` says so; what it says beside it.
    async fn readyz(&self, status: u16) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = Client::connect(self.gate.door()).await.get("/readyz").await;
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            if answer.status == status {
                return said;
            }
            assert!(Instant::now() < deadline, "{}: {said}", answer.status);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn status(&self, id: &str) -> Value {
        self.person.status(self.gate.http(), id).await
    }

    async fn end(&self, id: &str) -> Value {
        self.person.end(self.gate.http(), id).await
    }

    /// One task that is over and one that runs: their ids.
    async fn two(&self) -> [String; 2] {
        let over = id(&self.submit("over").await.json());
        assert_eq!(self.end(&over).await["state"], "COMPLETED");
        self.model.hold();
        let runs = id(&self.submit("runs").await.json());
        until("it runs", || self.model.books.running() == 1).await;
        let in_flight = |status: &Value| status["substate"] == "IN_FLIGHT";
        self.person.when(self.gate.http(), &runs, in_flight).await;
        [over, runs]
    }
}

/// A refusal says that it is the store, and when to come back; it does not say where the store is.
fn has_words(answer: &Answer) {
    let said = String::from_utf8_lossy(&answer.body).to_lowercase();
    let words = ["cannot keep", "store"];
    assert!(words.iter().any(|word| said.contains(word)), "{said}");
    assert!(!said.contains("tidegate.db"), "{said}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
}

/// The store fails as `lines` say while one task runs and one is over; then it works again.
async fn fails_and_comes_back(name: &str, lines: &str) {
    let mut broken = Broken::begin(name).await;
    let [over, runs] = broken.two().await;
    broken.faults.set(lines);
    let mut accepted = Vec::new();
    let (refused, answer) = broken.submits_until(503, &mut accepted).await;
    has_words(&answer);
    let why = broken.readyz(503).await;
    assert!(why.contains("store"), "{why}");
    assert_eq!(
        broken.status(&over).await["state"],
        "COMPLETED",
        "the truth is told from memory"
    );
    assert_eq!(broken.status(&runs).await["state"], "RUNNING");
    // Its answer comes while nothing can be written down.
    broken.model.let_go();
    until("its work is done", || {
        broken.model.books.effects("runs") == 1
    })
    .await;
    until("its call is over", || broken.model.books.running() == 0).await;
    broken.submits_until(503, &mut accepted).await;
    assert!(
        ["RUNNING", "COMPLETED"]
            .map(Value::from)
            .contains(&broken.status(&runs).await["state"])
    );
    let log = broken.gate.log();
    assert!(
        log.contains("tidegate.db"),
        "the operator is told which file: {log}"
    );

    broken.faults.lift();
    let (taken, answer) = broken.submits_until(202, &mut accepted).await;
    broken.readyz(200).await;
    accepted.extend([id(&answer.json()), over, runs]);
    for id in &accepted {
        let status = broken.end(id).await;
        assert_eq!(status["state"], "COMPLETED", "{status}");
    }
    let effects = |name| broken.model.books.effects(name);
    assert_eq!(
        (effects("over"), effects("runs"), effects(&taken)),
        (1, 1, 1)
    );
    assert_eq!(effects(&refused), 0, "what was refused is not done");
    broken.gate.all_given_back().await;

    broken.gate.kill();
    broken.gate.again().await;
    for id in &accepted {
        assert_eq!(
            broken.status(id).await["state"],
            "COMPLETED",
            "and all of it is kept"
        );
    }
    assert_eq!(broken.model.books.violations(), [""; 0]);
}

#[tokio::test]
async fn a_full_disk_refuses_new_work_and_loses_none() {
    fails_and_comes_back("full", "write ENOSPC\n").await;
}

#[tokio::test]
async fn a_failing_fsync_refuses_new_work_and_loses_none() {
    fails_and_comes_back("fsync", "sync EIO\n").await;
}

#[tokio::test]
async fn a_read_only_file_system_refuses_new_work_and_loses_none() {
    fails_and_comes_back(
        "read-only",
        "write EROFS\nsync EROFS\ntruncate EROFS\nopen EROFS\n",
    )
    .await;
}

#[tokio::test]
async fn a_disk_that_cannot_be_read_any_more_refuses_what_it_cannot_keep() {
    fails_and_comes_back("failing", "write EIO\nsync EIO\nread EIO\ntruncate EIO\n").await;
}

/// What a broken disk does to a file in place: its second half says nothing that is true any more.
fn damage(path: &std::path::Path) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let half = file.metadata().unwrap().len() / 8192 * 4096;
    let noise = vec![0xa5; usize::try_from(half).unwrap()];
    file.write_all_at(&noise, half).unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_noticed_and_named_and_not_begun_anew() {
    let mut broken = Broken::begin("damaged").await;
    let gate = broken.gate.http();
    let mut many = tokio::task::JoinSet::new();
    for n in 0..200 {
        let person = broken.person.clone();
        let asked = Asked::new(Work::Clone, &format!("old-{n}")).taking(0);
        many.spawn(async move { person.submitted(gate, &asked).await });
    }
    let old = many.join_all().await;
    for id in &old {
        assert_eq!(broken.end(id).await["state"], "COMPLETED");
    }
    // What is over and not on the desk any more stands in the file alone.
    broken.gate.stop();
    broken.gate.again().await;
    broken.model.hold();
    let runs = id(&broken.submit("runs").await.json());
    until("it runs", || broken.model.books.running() == 1).await;
    damage(&broken.gate.database());
    let mut unread = 0;
    for id in &old {
        let answer = broken.person.poll(broken.gate.http(), id).await.unwrap();
        match answer.status {
            200 => assert_eq!(answer.json()["state"], "COMPLETED"),
            503 => unread += 1,
            _ => panic!("neither the truth nor that it is out of reach: {answer:?}"),
        }
    }
    assert!(unread > 0, "this shows nothing");
    let log = broken.gate.log();
    assert!(
        log.contains("tidegate.db") && log.contains("damaged"),
        "{log}"
    );
    assert_eq!(
        broken.status(&runs).await["state"],
        "RUNNING",
        "the truth is told from memory"
    );
    let refused = broken.submit("new").await;
    assert_eq!(refused.status, 503, "{refused:?}");
    broken.model.let_go();
    broken.gate.kill();
    let database = broken.gate.database();
    let long = || std::fs::metadata(&database).unwrap().len();
    let before = long();
    // As often as it is tried, it does not begin anew as if nothing had been.
    for _ in 0..2 {
        let stands = broken.gate.tried(&[]).await;
        assert!(!stands, "{}", broken.gate.log());
    }
    let log = broken.gate.log();
    let last = log.lines().last().unwrap_or_default();
    assert!(
        last.contains("tidegate.db") && last.contains("damaged"),
        "{last}"
    );
    assert!(long() >= before, "nothing is cut off");
}
