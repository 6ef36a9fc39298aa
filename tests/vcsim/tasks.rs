//! A blocking call of a real simulator, which runs a task inside, as a task of the gate: the deployment of a VM template.

use std::process::Command;

use serde_json::Value;

use crate::support::{limit, until};
use crate::{Vcsim, govc, tidegate_before, tool};

/// Calls by curl, as somebody who is logged in.
struct Curl {
    authority: String,
    token: String,
}

/// Status line and fields, and the body.
struct Said {
    head: String,
    body: Value,
}

impl Said {
    fn has(&self, line: &str) -> bool {
        let mut lines = self.head.lines();
        lines.any(|other| other.trim().eq_ignore_ascii_case(line))
    }
}

fn curl(arguments: &[&str]) -> Said {
    let output = Command::new("curl")
        .args(["-sk", "-i", "--http1.1", "--max-time", "60"])
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let (head, body) = text
        .rsplit_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{arguments:?}: {output:?}"));
    Said {
        head: head.to_owned(),
        body: serde_json::from_str(body).unwrap_or_default(),
    }
}

impl Curl {
    fn log_in(authority: &str) -> Self {
        let url = format!("https://{authority}/rest/com/vmware/cis/session");
        let said = curl(&["-u", "user:pass", "-X", "POST", &url]);
        let token = said.body["value"].as_str().expect("a token").to_owned();
        Self {
            authority: authority.to_owned(),
            token,
        }
    }

    fn call(&self, method: &str, target: &str, arguments: &[&str]) -> Said {
        let url = format!("https://{}{target}", self.authority);
        let token = format!("vmware-api-session-id: {}", self.token);
        let mut all = vec!["-X", method, "-H", &token, &url];
        all.extend(arguments);
        curl(&all)
    }
}

/// The simulator's name for something, as `resgroup-22`.
fn reference(authority: &str, arguments: &[&str]) -> String {
    let found = govc(authority, &[&["find", "-i"], arguments].concat());
    let first = found.lines().next().expect("something is found");
    first.split_once(':').unwrap().1.to_owned()
}

/// What deploys the template as `name`.
fn deployment(authority: &str, name: &str) -> String {
    let folder = reference(authority, &["/DC0", "-type", "f", "-name", "vm"]);
    let pool = reference(authority, &["/DC0/host/DC0_H0", "-type", "p"]);
    let placement = serde_json::json!({"folder": folder, "resource_pool": pool});
    serde_json::json!({"spec": {"name": name, "placement": placement}}).to_string()
}

/// A library with a template in it: its id.
fn template(authority: &str) -> String {
    govc(authority, &["library.create", "lib"]);
    govc(authority, &["vm.power", "-off", "DC0_H0_VM0"]);
    let made = [
        "library.clone",
        "-vm",
        "DC0_H0_VM0",
        "-host",
        "DC0_H0",
        "lib",
        "golden",
    ];
    govc(authority, &made)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_is_deployed_by_a_task() {
    let vcsim = Vcsim::start();
    let gate = tidegate_before(&vcsim, "task");
    let through = gate.https()[0].to_string();
    let done = tokio::task::spawn_blocking(move || deploy(&through));
    done.await.unwrap();
    // The capture of the template, by govc itself, and two deployments.
    let row = limit(&gate.snapshot(), "blocking_tasks");
    assert_eq!(row.admitted, 3, "{row:?}");
    // A session of govc stays: it does not log out of a library.
    until("every seat is given back", || {
        let rows = gate.snapshot().limits;
        let mut seats = rows.iter().filter(|row| row.counts == "requests_in_flight");
        seats.all(|row| (row.in_use, row.audit_mismatch) == (0, 0))
    })
    .await;
}

fn deploy(through: &str) {
    assert!(tool("TIDEGATE_GOVC").exists());
    let item = template(through);
    let client = Curl::log_in(through);
    let target = format!("/rest/vcenter/vm-template/library-items/{item}?action=deploy");
    let json = "Content-Type: application/json";

    let spec = deployment(through, "from-golden");
    let said = client.call(
        "POST",
        &target,
        &["-H", json, "-H", "Prefer: respond-async", "-d", &spec],
    );
    assert!(
        said.has("HTTP/1.1 202 Accepted") && said.has("Preference-Applied: respond-async"),
        "{}",
        said.head
    );
    assert_eq!(said.body["route"], "template-deploy-rest", "{}", said.body);
    let task = format!("/-/tasks/{}", said.body["id"].as_str().unwrap());
    let mut status = said.body;
    while status["done"] != true {
        // A long poll: no faster than the task, and no longer than it may wait.
        status = client.call("GET", &task, &["-H", "Prefer: wait=10"]).body;
        assert!(status["id"].is_string(), "{status}");
    }
    assert_eq!(status["state"], "COMPLETED", "{status}");
    let result = client.call("GET", &format!("{task}/result"), &[]);
    assert!(
        result.has("HTTP/1.1 200 OK") && result.has("AsyncResult: 200"),
        "{}",
        result.head
    );
    let machine = result.body["value"].as_str().expect("a machine").to_owned();
    let found = reference(through, &["/DC0/vm", "-type", "m", "-name", "from-golden"]);
    assert_eq!(machine, found, "the answer is the simulator's own");

    let spec = deployment(through, "waited-for");
    let wait = "Prefer: respond-async, wait=30";
    let said = client.call("POST", &target, &["-H", json, "-H", wait, "-d", &spec]);
    assert!(
        said.has("HTTP/1.1 200 OK") && said.has("Preference-Applied: wait=30"),
        "{}",
        said.head
    );
    let found = reference(through, &["/DC0/vm", "-type", "m", "-name", "waited-for"]);
    assert_eq!(
        said.body["value"],
        found.as_str(),
        "as if the call had been held"
    );
}
