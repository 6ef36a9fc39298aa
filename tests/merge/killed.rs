//! Gates that are killed while patches are gathered, and while a merged call is under way: nothing is lost, nothing is done twice.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::rig::{
    ADMIN, PATCH, POOL, VERSION, add, avi, call, delete, over_of, patch_id, ratio, sent, text,
};
use crate::support::process::Process;
use crate::support::until;
use crate::vendors::avi::Avi;
use crate::vendors::{Fault, Kind, Model, When};

fn folder(name: &str) -> PathBuf {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("merge-{name}-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).unwrap();
    folder.canonicalize().unwrap()
}

fn kept(avi: &Model<Avi>, folder: &Path, period: &str) -> String {
    let folder = folder.display();
    let state =
        format!("url = \"sqlite://{folder}/tidegate.db\"\nkey_file = \"{folder}/state.key\"");
    let text = text(avi.address, period, "response_timeout = \"4s\"");
    let text = text.replace("url = \"memory\"", &state);
    assert!(text.contains("sqlite"));
    text
}

async fn hand_in(gate: &Process, body: &Value) -> String {
    let fields = format!("{ADMIN}{VERSION}");
    patch_id(&call(gate.http, PATCH, &fields, &body.to_string()).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_gathered_by_a_dead_gate_goes_up_as_one_by_the_next() {
    let avi = avi().await;
    let folder = folder("gathered");
    let mut gate = Process::start(&kept(&avi, &folder, "10m"), &folder, &[]).await;
    let mut ids = Vec::new();
    for body in [
        add(&["10.0.0.1", "10.0.0.2"]),
        delete(&["10.0.0.1"]),
        ratio("10.0.0.2", 3),
    ] {
        ids.push(hand_in(&gate, &body).await);
    }
    gate.kill();
    assert_eq!(sent(&avi).len(), 0);
    let mut gate = Process::start(&kept(&avi, &folder, "2s"), &folder, &[]).await;
    ids.push(hand_in(&gate, &add(&["10.0.0.3"])).await);
    for id in &ids {
        assert_eq!(over_of(gate.http, ADMIN, id).await["status"], "SUCCESS");
    }
    let ratio_kept = avi.pool(POOL)["servers"].as_array().unwrap().len();
    assert_eq!(ratio_kept, 2, "{}", avi.pool(POOL));
    gate.stop();
    drop(std::fs::remove_dir_all(&folder));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_is_killed_during_its_call_leaves_nothing_unsaid() {
    for (fault, status) in [(Fault::Hangs, "SUCCESS"), (Fault::Closed, "FAIL")] {
        let avi = avi().await;
        let folder = folder(status);
        let text = kept(&avi, &folder, "500ms");
        let mut gate = Process::start(&text, &folder, &[]).await;
        avi.faults.on(Kind::Edit, When::Next(1), fault);
        let mut ids = Vec::new();
        for nth in 0..5 {
            ids.push(hand_in(&gate, &add(&[&format!("10.0.0.{nth}")])).await);
        }
        until("it is up", || avi.books.count(Kind::Edit) == 1).await;
        gate.kill();
        let mut gate = Process::start(&text, &folder, &[]).await;
        // Behind what is in doubt.
        let behind = hand_in(&gate, &ratio("10.0.0.1", 9)).await;
        let mut told = Vec::new();
        for id in &ids {
            told.push(over_of(gate.http, ADMIN, id).await);
        }
        let went = sent(&avi)[0]["add"]["servers"].as_array().unwrap().len();
        let ended = told.iter().filter(|one| one["status"] == status).count();
        assert!(ended >= went, "{went} went up: {told:?}");
        assert!(told[0]["status"] == status, "{told:?}");
        assert_eq!(
            over_of(gate.http, ADMIN, &behind).await["status"],
            "SUCCESS"
        );
        let servers = avi.pool(POOL)["servers"].clone();
        let changed = servers
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["ip"]["addr"] == "10.0.0.1");
        assert_eq!(
            changed.unwrap()["ratio"],
            9,
            "the last word holds: {servers}"
        );
        // No patch is done twice.
        let all = sent(&avi);
        let times = |address: &str| {
            all.iter()
                .filter(|one| one.to_string().contains(address))
                .count()
        };
        assert_eq!(times("\"10.0.0.0\""), 1, "{all:?}");
        gate.stop();
        drop(std::fs::remove_dir_all(&folder));
    }
}
