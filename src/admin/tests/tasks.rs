//! What the door tells of tasks, and how it asks.

use super::*;

/// Answers with what it was asked.
pub(super) fn source() -> Arc<AskTasks> {
    Arc::new(|about| {
        let said = match about {
            AboutTasks::Listed(query) if query == "state=x" => {
                Err((StatusCode::BAD_REQUEST, "state is none".to_owned()))
            }
            about => Ok(serde_json::json!({ "asked": format!("{about:?}") })),
        };
        Box::pin(async move { said.map(|said| said.to_string().into_bytes()) })
    })
}

#[tokio::test]
async fn tasks_are_listed_and_told_one_by_one() {
    let door = here(Some("s3cret")).await;
    for (path, asked) in [
        ("/tasks", "Listed(\"\")"),
        ("/tasks?state=RUNNING", "Listed(\"state=RUNNING\")"),
        ("/tasks/01J", "One(\"01J\")"),
    ] {
        let answer = call(door, "GET", path, "").await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.json()["asked"], asked);
    }
    let answer = call(door, "GET", "/tasks?state=x", "").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["detail"], "state is none");
    let token = "Authorization: Bearer s3cret\r\n";
    let answer = call(door, "DELETE", "/tasks/01J", token).await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"));
}

#[tokio::test]
async fn the_seats_of_a_lost_call_are_freed_by_who_has_the_token() {
    let door = here(Some("s3cret")).await;
    let token = "Authorization: Bearer s3cret\r\n";
    let answer = call(door, "DELETE", "/tasks/01J/seat", token).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["asked"], "FreeSeat(\"01J\")");
    let answer = call(door, "DELETE", "/tasks/01J/seat", "").await;
    assert_eq!(answer.status, 401);
    let answer = call(door, "GET", "/tasks/01J/seat", token).await;
    assert_eq!((answer.status, answer.header("allow")), (405, "DELETE"));
}
