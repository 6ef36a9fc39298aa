//! Letting a client go from a blocking call that is at work: the call goes on, with its seat.

use tidegate::app::Running;

use crate::rig::{ALICE, ASYNC, BOB, get, id, post, request, say, text};
use crate::support::client::Answer;
use crate::support::origin::Origin;
use crate::support::{gate, until};

/// One seat for blocking calls.
const ONE_SEAT: &str = "[upstream.limits.seat]\ncounts = \"requests_in_flight\"\nlimit = 1\nmatch.class = [\"blocking\"]\n";

fn start(origin: &Origin, tasks: &str) -> Running {
    let config = text(origin.address, tasks);
    gate(&config.replacen(
        "[[upstream.route]]",
        &format!("{ONE_SEAT}[[upstream.route]]"),
        1,
    ))
}

async fn submit(gate: &Running, origin: &Origin) -> String {
    let task = id(&say(gate, post("/clone?hold", &format!("{ALICE}{ASYNC}"))).await);
    until("it runs", || origin.seen.running() == 1).await;
    task
}

async fn cancel(gate: &Running, task: &str, who: &str) -> Answer {
    say(
        gate,
        request("POST", &format!("/-/tasks/{task}/cancel"), who, ""),
    )
    .await
}

async fn state(gate: &Running, task: &str) -> String {
    let status = get(gate, &format!("/-/tasks/{task}"), ALICE).await.json();
    status["state"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_call_that_is_at_work_cannot_be_taken_back_unless_the_operator_lets_clients_go() {
    let origin = Origin::start().await;
    let gate = start(&origin, "");
    let task = submit(&gate, &origin).await;
    let answer = cancel(&gate, &task, ALICE).await;
    assert_eq!(answer.status, 409, "{answer:?}");
    assert_eq!(answer.json()["type"], "/-/problems/not-cancelable");
    origin.release();
}

#[tokio::test]
async fn a_client_that_is_let_go_hears_that_nobody_knows_and_the_seat_is_held_until_the_call_ends()
{
    let origin = Origin::start().await;
    let gate = start(&origin, "detach = true");
    let task = submit(&gate, &origin).await;
    let status = get(&gate, &format!("/-/tasks/{task}"), ALICE).await;
    assert_eq!(status.json()["cancelable"], true);
    assert_eq!(cancel(&gate, &task, BOB).await.status, 404, "not hers");
    for _ in 0..2 {
        let answer = cancel(&gate, &task, ALICE).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let told = answer.json();
        assert_eq!(
            (&told["state"], &told["outcome"], &told["dispatched"]),
            (&"FAILED".into(), &"unknown".into(), &true.into())
        );
        assert_eq!(told["error"]["type"], "/-/problems/detached");
    }
    let result = get(&gate, &format!("/-/tasks/{task}/result"), ALICE).await;
    assert_eq!(result.status, 502);
    assert_eq!(result.header("asyncresult"), None);
    // The next one has no seat while the call goes on, though the first is forgotten.
    let next = id(&say(&gate, post("/clone", &format!("{ALICE}{ASYNC}"))).await);
    let target = format!("/-/tasks/{task}");
    let forgotten = say(&gate, request("DELETE", &target, ALICE, "")).await;
    assert_eq!(forgotten.status, 204);
    assert_eq!(get(&gate, &target, ALICE).await.status, 410);
    assert_eq!(state(&gate, &next).await, "SCHEDULED");
    assert_eq!((origin.seen.running(), origin.seen.requests()), (1, 1));
    origin.release();
    let waits = format!("{ALICE}Prefer: wait=50\r\n");
    let done = get(&gate, &format!("/-/tasks/{next}"), &waits).await;
    assert_eq!(done.json()["state"], "COMPLETED");
    until("nothing is at work", || gate.in_flight() == 0).await;
}
