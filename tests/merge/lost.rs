//! A merged call whose answer is lost: the pool shows what became of it, and nobody overtakes it meanwhile.

use serde_json::json;

use crate::rig::{
    ADMIN, POOL, add, admins, all_done, avi, before, delete, over, ratio, sent, task,
};
use crate::vendors::{Fault, Kind, When};

#[tokio::test]
async fn what_was_done_though_its_answer_was_lost_is_found_in_the_pool() {
    for fault in [Fault::LostAnswer, Fault::Hangs] {
        let avi = avi().await;
        let gate = before(&avi, "1s", "response_timeout = \"2s\"");
        avi.faults.on(Kind::Edit, When::Next(1), fault);
        let mut ids = Vec::new();
        for body in [
            add(&["10.0.0.1"]),
            ratio("10.0.0.1", 5),
            delete(&["10.0.0.9"]),
        ] {
            ids.push(admins(&gate, &body).await);
        }
        all_done(&gate, &ids).await;
        assert_eq!(sent(&avi).len(), 1, "it is not sent again");
        let own = task(&gate, ADMIN, &ids[0]).await;
        assert_eq!(own["outcome"], "known", "{own}");
        assert_eq!(own["result_source"], "probe", "{own}");
    }
}

#[tokio::test]
async fn what_was_not_done_is_said_to_be_so_and_who_changes_the_same_waits_for_that() {
    let avi = avi().await;
    let gate = before(&avi, "500ms", "response_timeout = \"3s\"");
    avi.faults.on(Kind::Edit, When::Next(1), Fault::Closed);
    let lost = [
        admins(&gate, &add(&["10.0.0.1"])).await,
        admins(&gate, &add(&["10.0.0.2"])).await,
    ];
    crate::support::until("it was lost", || avi.books.count(Kind::Edit) == 1).await;
    let other = admins(&gate, &add(&["10.0.0.3"])).await;
    let same = admins(&gate, &ratio("10.0.0.1", 7)).await;
    all_done(&gate, &[other]).await;
    let now = crate::rig::status(gate.http()[0], ADMIN, &same).await;
    assert_eq!(
        now["status"], "QUEUED",
        "the lost one may still change it: {now}"
    );
    for id in &lost {
        let told = over(&gate, id).await;
        assert_eq!(told["status"], "FAIL", "{told}");
        let own = task(&gate, ADMIN, id).await;
        assert_eq!(own["error"]["type"], "/-/problems/not-applied", "{own}");
    }
    all_done(&gate, &[same]).await;
    let servers = avi.pool(POOL)["servers"].clone();
    let expected = json!([
        add(&["10.0.0.3"])["add"]["servers"][0],
        ratio("10.0.0.1", 7)["add"]["servers"][0]
    ]);
    assert_eq!(servers, expected);
}
