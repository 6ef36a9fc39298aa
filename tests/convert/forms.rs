//! How a client says what it prefers, and what comes of it.

use crate::rig::{ALICE, ASYNC, get, id, post, request, say, start};
use crate::support::origin::Origin;
use crate::support::webhooks;

#[tokio::test]
async fn a_preference_is_heard_in_every_form() {
    let origin = Origin::start().await;
    let gate = start(origin.address, &webhooks("https://cmdb.example/hooks/"));
    for (fields, applied) in [
        ("Prefer: Respond-Async\r\n", "respond-async"),
        ("Prefer: return=minimal, respond-async\r\n", "respond-async"),
        (
            "Prefer: return=minimal\r\nPrefer: respond-async\r\n",
            "respond-async",
        ),
        (
            "Prefer: foo=\"a, b\", respond-async; x=1\r\n",
            "respond-async",
        ),
        (
            "Prefer: respond-async, callback; url=\"https://cmdb.example/hooks/a,b\"\r\n",
            "respond-async, callback",
        ),
        // Not below an allowed prefix.
        (
            "Prefer: respond-async, callback; url=\"https://cmdb.example/hooksx\"\r\n",
            "respond-async",
        ),
        (
            "Prefer: respond-async, callback; url=\"https://cmdb.example/hooks/../x\"\r\n",
            "respond-async",
        ),
    ] {
        let answer = say(&gate, post("/clone?hold", &format!("{ALICE}{fields}"))).await;
        id(&answer);
        assert_eq!(
            answer.header("preference-applied"),
            Some(applied),
            "{fields}"
        );
    }
    for fields in [
        "Prefer: foo=\"respond-async\"\r\n",
        "Prefer: foo; bar=\"x, respond-async\"\r\n",
        "Prefer: respond-asynchronously\r\n",
        "X-Prefer: respond-async\r\n",
    ] {
        let answer = say(&gate, post("/clone", &format!("{ALICE}{fields}"))).await;
        assert_eq!(answer.status, 200, "{fields}");
    }
}

#[tokio::test]
async fn a_wait_that_is_not_met_ends_in_202() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "wait_max = \"50ms\"");
    // Cut to what the gate allows.
    let fields = format!("{ALICE}Prefer: respond-async, wait=3600\r\n");
    let answer = say(&gate, post("/clone?hold", &fields)).await;
    id(&answer);
    assert_eq!(answer.header("preference-applied"), Some("respond-async"));
}

#[tokio::test]
async fn a_start_deadline_is_a_number_of_seconds() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let with = |field: &str| {
        let fields = format!("{ALICE}Prefer: respond-async\r\n{field}");
        post("/clone?hold", &fields)
    };
    let answer = say(&gate, with("Task-Start-Deadline: 600\r\n")).await;
    id(&answer);
    assert!(answer.json()["start_deadline"].is_string());
    for field in ["0", "-1", "soon", "1.5", ""] {
        let answer = say(&gate, with(&format!("Task-Start-Deadline: {field}\r\n"))).await;
        assert_eq!(answer.status, 400, "{field}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
    }
    let two = "Task-Start-Deadline: 5\r\nTask-Start-Deadline: 6\r\n";
    assert_eq!(say(&gate, with(two)).await.status, 400);
}

#[tokio::test]
async fn links_carry_scheme_and_host_where_the_operator_wants_it() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "absolute_urls = true");
    let fields = format!("{ALICE}Prefer: respond-async\r\n");
    let answer = say(&gate, request("POST", "/clone?hold", &fields, "")).await;
    let location = answer.header("location").unwrap();
    assert!(
        location.starts_with("http://gate.example/-/tasks/"),
        "{location}"
    );
}

#[tokio::test]
async fn where_a_task_is_stands_in_other_fields_too_where_the_operator_wants_it() {
    const FIELDS: [&str; 2] = ["operation-location", "azure-asyncoperation"];
    let origin = Origin::start().await;
    for (lines, said) in [
        ("", [false, false]),
        ("operation_location = true", [true, false]),
        (
            "operation_location = true\nazure_async_operation = true\nabsolute_urls = true",
            [true, true],
        ),
    ] {
        let gate = start(origin.address, lines);
        let ticket = say(&gate, post("/clone?hold", &format!("{ALICE}{ASYNC}"))).await;
        assert_eq!(ticket.status, 202, "{ticket:?}");
        let task = ticket.json()["id"].as_str().unwrap().to_owned();
        let early = get(&gate, &format!("/-/tasks/{task}/result"), ALICE).await;
        assert_eq!(early.status, 202);
        for answer in [&ticket, &early] {
            let location = answer.header("location");
            assert!(location.unwrap().ends_with(&format!("/-/tasks/{task}")));
            for (field, said) in FIELDS.iter().zip(said) {
                let wanted = location.filter(|_| said);
                assert_eq!(answer.header(field), wanted, "{lines}: {field}");
            }
        }
    }
}
