//! A thousand pollers cost the upstream nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::model::{Model, SEATS};
use crate::people::{Asked, Person, Work};
use crate::rig::{Gate, Setup};
use crate::support::client::Client;
use crate::support::until;

const POLLERS: usize = 1000;
const PEOPLE: usize = 5;
/// Tasks of each.
const TASKS: usize = 20;
/// How long they poll, by TIDEGATE_POLL_SECONDS.
const SECONDS: u64 = 10;

/// Polls about once a second on one connection, every other with what it has already: how many answers were 200, and 304.
async fn polls(
    number: usize,
    gate: SocketAddr,
    person: Person,
    task: String,
    end: Instant,
) -> [usize; 2] {
    let mut client = Client::connect(gate).await;
    let mut tag = String::new();
    let mut seen = [0, 0];
    tokio::time::sleep(Duration::from_millis(number as u64)).await;
    while Instant::now() < end {
        let fields = if number.is_multiple_of(2) { &*tag } else { "" };
        let target = format!("/-/tasks/{task}");
        client
            .send(person.request("GET", &target, fields, ""))
            .await;
        let answer = client.answer().await.expect("an answer");
        match answer.status {
            200 => {
                assert_eq!(answer.json()["id"], task);
                tag = format!("If-None-Match: {}\r\n", answer.header("etag").unwrap());
                seen[0] += 1;
            }
            304 => seen[1] += 1,
            _ => panic!("{answer:?}"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_pollers_cost_the_upstream_a_question_each_person() {
    let seconds = std::env::var("TIDEGATE_POLL_SECONDS").ok();
    let seconds = seconds.map_or(SECONDS, |seconds| seconds.parse().unwrap());
    let model = Model::start(20);
    let mut gate = Gate::start(Setup::new("pollers").tasks("max_blocking = \"1h\""), &model).await;
    model.hold();
    let mut people = Vec::new();
    for n in 0..PEOPLE {
        // Sessions from around the gate: it has to ask who that is.
        let person = Person {
            token: model.books.open(&format!("user{n}@corp")),
        };
        let mut tasks = Vec::new();
        for task in 0..TASKS {
            let asked = Asked::new(Work::Blind, &format!("slow-{n}-{task}"));
            tasks.push(person.submitted(gate.http(), &asked).await);
        }
        people.push((person, tasks));
    }
    until("ten run", || model.books.running() == SEATS).await;
    let asked = model.books.seen().len();
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut pollers = JoinSet::new();
    for number in 0..POLLERS {
        let (person, tasks) = &people[number % PEOPLE];
        let (person, task) = (person.clone(), tasks[number / PEOPLE % TASKS].clone());
        pollers.spawn(polls(number, gate.http(), person, task, end));
    }
    let seen = pollers.join_all().await;
    let [whole, same] = seen
        .iter()
        .fold([0, 0], |sum, one| [sum[0] + one[0], sum[1] + one[1]]);
    let verified: Vec<u64> = people
        .iter()
        .map(|(person, _)| model.books.verified(&person.token))
        .collect();
    println!(
        "{whole} x 200, {same} x 304 in {seconds} s; questions upstream for each person: {verified:?}"
    );
    assert!(seen.iter().all(|[whole, _]| *whole > 0), "everybody saw it");
    assert!(same > 0, "who has it already is told so");
    assert!(verified.iter().all(|count| *count <= 1), "{verified:?}");
    let more = model.books.seen().len() - asked;
    assert!(more <= PEOPLE, "{:?}", model.books.seen());

    // A new gate knows none of them, and asks once for each though all come at once.
    gate.kill();
    model.let_go();
    gate.again().await;
    let mut storm = JoinSet::new();
    for number in 0..POLLERS {
        let (person, tasks) = &people[number % PEOPLE];
        let (person, task) = (person.clone(), tasks[number / PEOPLE % TASKS].clone());
        let gate = gate.http();
        storm.spawn(async move { person.poll(gate, &task).await.expect("an answer").status });
    }
    let statuses = storm.join_all().await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    for (person, _) in &people {
        let count = model.books.verified(&person.token);
        assert!(count <= 2, "{count} questions for one person");
    }
}
