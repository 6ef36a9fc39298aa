//! The 202 of tasks.md section 6.2.

use tidegate::task::Receipt;
use tidegate::task::api::{Applied, Pool};

use crate::rig::{Rig, header, json, requested};

const ASYNC: Applied = Applied {
    respond_async: true,
    wait: None,
    callback: false,
};

#[tokio::test]
async fn a_ticket_says_all_that_the_contract_has() {
    let rig = Rig::new();
    let receipt = rig.receipt(requested()).await;
    let id = receipt.task.id;
    let applied = Applied {
        callback: true,
        ..ASYNC
    };
    let answer = rig.ticket(&receipt, &applied);
    let fields: Vec<(&str, &str)> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    let wanted = [
        ("cache-control", "no-store"),
        ("content-type", "application/json"),
        ("location", &*format!("/-/tasks/{id}")),
        ("link", &*format!("</-/tasks/{id}/result>; rel=\"result\"")),
        ("etag", "\"1\""),
        ("retry-after", "5"),
        ("vary", "Prefer"),
        ("preference-applied", "respond-async, callback"),
        (
            "ratelimit-policy",
            "\"blocking_tasks\";q=10;qu=\"concurrent-requests\"",
        ),
        ("ratelimit", "\"blocking_tasks\";r=0"),
    ];
    assert_eq!(fields, wanted);
    let task = json(&answer);
    assert_eq!(
        (&task["state"], &task["queue"]["position"]),
        (&"SCHEDULED".into(), &1.into())
    );
    let status = rig.get(format!("/-/tasks/{id}")).answer().await;
    assert_eq!(json(&status), task);
}

#[tokio::test]
async fn a_task_that_was_there_before_is_told_as_such_and_as_it_is_now() {
    let rig = Rig::new();
    let id = rig.submit().await;
    let task = rig.complete(id).await;
    let receipt = Receipt {
        task,
        replayed: true,
    };
    let answer = rig.ticket(&receipt, &ASYNC);
    assert_eq!(header(&answer, "idempotent-replayed"), Some("true"));
    assert_eq!(header(&answer, "retry-after"), None);
    assert_eq!(
        (json(&answer)["state"].as_str(), header(&answer, "etag")),
        (Some("COMPLETED"), Some("\"4\""))
    );
}

#[tokio::test]
async fn seats_are_told_where_they_are_known_and_wanted() {
    let rig = Rig::new();
    *rig.pool.lock().unwrap() = Some(Pool { seats: 7, free: 3 });
    let answer = rig.ticket(&rig.receipt(requested()).await, &ASYNC);
    assert_eq!(header(&answer, "ratelimit"), Some("\"blocking_tasks\";r=3"));
    let mut without = requested();
    without.pool = "".into();
    let answer = rig.ticket(&rig.receipt(without).await, &ASYNC);
    assert_eq!(header(&answer, "ratelimit"), None);
    let silent = Rig::with(|settings| settings.ratelimit = false);
    let answer = silent.ticket(&silent.receipt(requested()).await, &ASYNC);
    assert_eq!(
        (
            header(&answer, "ratelimit"),
            header(&answer, "ratelimit-policy")
        ),
        (None, None)
    );
}

#[tokio::test]
async fn without_a_preference_nothing_is_said_of_one() {
    let rig = Rig::new();
    let answer = rig.ticket(&rig.receipt(requested()).await, &Applied::default());
    assert_eq!(header(&answer, "preference-applied"), None);
}

#[tokio::test]
async fn urls_are_absolute_where_that_is_set() {
    let rig = Rig::with(|settings| settings.absolute_urls = true);
    let receipt = rig.receipt(requested()).await;
    let own = format!("https://vc1.gw.example/-/tasks/{}", receipt.task.id);
    let answer = rig.ticket(&receipt, &ASYNC);
    assert_eq!(header(&answer, "location"), Some(&*own));
    assert_eq!(
        header(&answer, "link"),
        Some(&*format!("<{own}/result>; rel=\"result\""))
    );
    assert_eq!(json(&answer)["links"]["self"], *own);
    let status = rig
        .get(format!("/-/tasks/{}", receipt.task.id))
        .answer()
        .await;
    assert_eq!(json(&status)["links"]["cancel"], format!("{own}/cancel"));
}

#[tokio::test]
async fn no_secret_of_the_request_is_in_any_answer() {
    let rig = Rig::new();
    let receipt = rig.receipt(requested()).await;
    let id = receipt.task.id;
    let mut answers = vec![rig.ticket(&receipt, &ASYNC)];
    for target in [
        format!("/-/tasks/{id}"),
        format!("/-/tasks/{id}/result"),
        "/-/tasks".to_owned(),
    ] {
        answers.push(rig.get(target).answer().await);
    }
    for answer in answers {
        let text = format!(
            "{:?} {}",
            answer.headers,
            String::from_utf8_lossy(&answer.body)
        );
        assert!(
            !text.contains("hunter2") && !text.contains("secret head"),
            "{text}"
        );
    }
}
