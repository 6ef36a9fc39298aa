//! Five hundred clones in five seconds, to a vCenter that takes ten at a time.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use crate::model::{Model, SEATS};
use crate::people::{Asked, Person, Work};
use crate::rig::{Gate, Setup};

const CLONES: usize = 500;
const EVERY: Duration = Duration::from_millis(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_clones_in_five_seconds_all_finish_ten_at_a_time() {
    let model = Model::start(120);
    let gate = Gate::start(Setup::new("many").tasks("max_blocking = \"1h\""), &model).await;
    let person = Person::log_in(gate.http(), "user1@corp").await;
    let began = Instant::now();
    let mut pace = interval(EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut submissions = Vec::new();
    for n in 0..CLONES {
        pace.tick().await;
        let (person, gate) = (person.clone(), gate.http());
        let asked = Asked::new(Work::Clone, &format!("web-{n}"));
        submissions.push(tokio::spawn(
            async move { person.submit(gate, &asked).await },
        ));
    }
    let mut accepted = 0;
    for submission in submissions {
        let answer = submission.await.unwrap().expect("an answer");
        assert_eq!(answer.status, 202, "{answer:?}");
        accepted += 1;
    }
    let submitted = began.elapsed();
    let mut over = 0;
    while over < CLONES {
        over = person.listed(gate.http(), "COMPLETED").await.len();
        for state in ["FAILED", "ABORTED", "EXPIRED", "PARTIAL_SUCCESS"] {
            assert_eq!(person.listed(gate.http(), state).await, [""; 0], "{state}");
        }
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "{over} are over"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!(
        "{accepted} x 202 in {submitted:.1?}, {over} completed in {:.1?}, at most {} at once upstream",
        began.elapsed(),
        model.books.most_running()
    );
    for n in 0..CLONES {
        assert_eq!(model.books.effects(&format!("web-{n}")), 1, "web-{n}");
    }
    assert_eq!(
        (model.books.most_running(), model.books.violations()),
        (SEATS, vec![])
    );
    gate.all_given_back().await;
}
