//! Real clients (govc, pyvmomi) through the gate to a real vCenter simulator (vcsim), TLS on both
//! sides: the same results as without the gate.
//!
//! `tests/run` builds and installs them, and says where by TIDEGATE_VCSIM, TIDEGATE_GOVC and
//! TIDEGATE_PYTHON. Without these the tests fail: a check that is skipped shows nothing.

#[path = "../support/mod.rs"]
mod support;

mod forty;
mod tasks;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use support::pki::self_signed;
use support::{all_given_back, gate, limit, until};
use tidegate::app::Running;

fn tool(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable);
    path.unwrap_or_else(|| panic!("{variable} is not set: run the tests by tests/run"))
        .into()
}

/// A simulator of its own for each test.
struct Vcsim {
    process: Child,
    authority: String,
}

impl Vcsim {
    fn start() -> Self {
        let mut process = Command::new(tool("TIDEGATE_VCSIM"))
            .args(["-l", "127.0.0.1:0", "-ds", "1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        // export GOVC_URL=https://user:pass@127.0.0.1:PORT/sdk GOVC_SIM_PID=N
        let authority = line
            .split('@')
            .nth(1)
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .to_owned();
        Self { process, authority }
    }
}

impl Drop for Vcsim {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn tidegate_before(vcsim: &Vcsim, name: &str) -> Running {
    tidegate_with(vcsim, name, "")
}

fn tidegate_with(vcsim: &Vcsim, name: &str, limits: &str) -> Running {
    let folder = std::env::temp_dir().join(format!("tidegate-vcsim-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = self_signed(&["localhost", "127.0.0.1"], false).write(&folder);
    gate(&format!(
        r#"
[listen]
http = []
https = ["127.0.0.1:0"]
admin = "127.0.0.1:0"
certificate = "{}"
private_key = "{}"
[runtime]
threads = 2
[state]
url = "memory"
[log]
access = "off"
[[upstream]]
name = "vc"
address = "https://{}"
profile = "vcenter-8.0"
insecure = {{ skip_verify = true }}
{limits}
"#,
        certificate.display(),
        key.display(),
        vcsim.authority
    ))
}

/// Runs govc against `authority`; what it printed, with what differs from run to run taken out.
fn govc(authority: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool("TIDEGATE_GOVC"))
        .args(arguments)
        .env("GOVC_URL", format!("https://user:pass@{authority}/sdk"))
        .env("GOVC_INSECURE", "1")
        .env("GOVC_PERSIST_SESSION", "false")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "govc {arguments:?}: {text}{errors}"
    );
    // Each simulator has an id of its own, and lists in the order of a hash.
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("UUID:"))
        .collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// The same story, told to a vCenter: log in, list, clone, power on, tags, destroy, log out (govc
/// logs in and out with each command).
fn story(authority: &str) -> Vec<String> {
    let mut told = Vec::new();
    told.push(govc(authority, &["about"]));
    told.push(govc(authority, &["ls", "/DC0/vm"]));
    let host = "/DC0/host/DC0_H0/DC0_H0";
    govc(
        authority,
        &[
            "vm.clone",
            "-vm",
            "DC0_H0_VM0",
            "-on=false",
            "-host",
            host,
            "copy",
        ],
    );
    told.push(govc(authority, &["ls", "/DC0/vm"]));
    told.push(govc(authority, &["vm.power", "-on", "copy"]).replace(char::is_numeric, ""));
    govc(authority, &["tags.category.create", "-m", "stage"]);
    govc(authority, &["tags.create", "-c", "stage", "green"]);
    told.push(govc(authority, &["tags.ls"]));
    govc(authority, &["tags.attach", "green", "/DC0/vm/copy"]);
    told.push(govc(authority, &["tags.attached.ls", "green"]).replace(char::is_numeric, ""));
    told.push(govc(authority, &["vm.destroy", "copy"]));
    told.push(govc(authority, &["ls", "/DC0/vm"]));
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn govc_sees_the_same_through_the_gate() {
    let (direct, gated) = (Vcsim::start(), Vcsim::start());
    let gate = tidegate_before(&gated, "govc");
    let through = gate.https()[0].to_string();
    let authority = direct.authority.clone();
    let told = tokio::task::spawn_blocking(move || (story(&authority), story(&through)));
    let (direct, through) = told.await.unwrap();
    assert_eq!(direct, through);
    let snapshot = gate.snapshot();
    assert!(
        limit(&snapshot, "request_rate").admitted >= 10,
        "REST calls were counted"
    );
    assert!(
        limit(&snapshot, "upstream_connections_total").admitted >= 40,
        "and SOAP calls"
    );
    assert!(
        snapshot.limits.iter().all(|row| row.refused == [0; 4]),
        "{snapshot:?}"
    );
    until("clients gone", || {
        limit(&gate.snapshot(), "connections_https").in_use == 0
    })
    .await;
    all_given_back(&gate).await;
}

const PYVMOMI: &str = r#"
import ssl, sys, threading
from pyVim.connect import SmartConnect, Disconnect
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl
host, port = sys.argv[1].rsplit(":", 1)
context = ssl._create_unverified_context()
service = SmartConnect(host=host, port=int(port), user="user", pwd="pass", sslContext=context)
content = service.RetrieveContent()
def names():
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    found = sorted(vm.name for vm in view.view)
    view.Destroy()
    return found
print(content.about.fullName, names())
vm = [v for v in content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True).view if v.name == "DC0_H0_VM0"][0]
task = vm.CloneVM_Task(vm.parent, "copy", vim.vm.CloneSpec(location=vim.vm.RelocateSpec(host=vm.runtime.host, pool=vm.resourcePool), powerOn=False, template=False))
WaitForTask(task, service)
print(task.info.state, names())
# A long poll that sees a change made while it waits.
collector = content.propertyCollector.CreatePropertyCollector()
spec = vmodl.query.PropertyCollector.FilterSpec(
    propSet=[vmodl.query.PropertyCollector.PropertySpec(type=vim.VirtualMachine, pathSet=["name"])],
    objectSet=[vmodl.query.PropertyCollector.ObjectSpec(obj=task.info.result)])
collector.CreateFilter(spec, False)
first = collector.WaitForUpdatesEx("", vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=10))
print([c.val for c in first.filterSet[0].objectSet[0].changeSet])
other = SmartConnect(host=host, port=int(port), user="user", pwd="pass", sslContext=context)
renamed = vim.VirtualMachine(task.info.result._moId, other._stub)
timer = threading.Timer(0.5, lambda: WaitForTask(renamed.Rename_Task("renamed"), other))
timer.start()
version, seen = first.version, []
while "renamed" not in seen:
    update = collector.WaitForUpdatesEx(version, vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=20))
    if update is None:
        sys.exit("the long poll ended without the change")
    version = update.version
    seen += [c.val for s in update.filterSet for o in s.objectSet for c in o.changeSet]
timer.join()
print(seen[-1])
try:
    vim.VirtualMachine("vm-none", service._stub).name
except vmodl.fault.ManagedObjectNotFound as fault:
    print("fault", type(fault).__name__)
Disconnect(other)
Disconnect(service)
print("done")
"#;

fn pyvmomi(authority: &str) -> String {
    python(PYVMOMI, authority)
}

fn python(script: &str, authority: &str) -> String {
    let output = Command::new(tool("TIDEGATE_PYTHON"))
        .args(["-c", script, authority])
        .env_remove("REQUESTS_CA_BUNDLE")
        .env_remove("CURL_CA_BUNDLE")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pyvmomi_sees_the_same_through_the_gate_long_polls_and_faults_included() {
    let (direct, gated) = (Vcsim::start(), Vcsim::start());
    let gate = tidegate_before(&gated, "pyvmomi");
    let through = gate.https()[0].to_string();
    let authority = direct.authority.clone();
    let told = tokio::task::spawn_blocking(move || (pyvmomi(&authority), pyvmomi(&through)));
    let (direct, through) = told.await.unwrap();
    assert!(direct.ends_with("done\n"));
    assert_eq!(direct, through);
    until("clients gone", || {
        limit(&gate.snapshot(), "connections_https").in_use == 0
    })
    .await;
    all_given_back(&gate).await;
}

/// Two sessions where one is allowed: the second is refused in words, and comes in once the first is out.
const TWO_SESSIONS: &str = r#"
import ssl, sys
from pyVim.connect import SmartConnect, Disconnect
host, port = sys.argv[1].rsplit(":", 1)
context = ssl._create_unverified_context()
def login():
    return SmartConnect(host=host, port=int(port), user="user", pwd="pass", sslContext=context)
first = login()
try:
    login()
    print("a second session")
except Exception as fault:
    print(type(fault).__name__, getattr(fault, "msg", ""))
print(first.RetrieveContent().about.apiType)
Disconnect(first)
Disconnect(login())
print("done")
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_login_reads_as_words_in_pyvmomi_and_govc() {
    let vcsim = Vcsim::start();
    let one = "[upstream.limits.soap_sessions]\nlimit = 1";
    let gate = tidegate_with(&vcsim, "one-session", one);
    let through = gate.https()[0].to_string();
    let said = tokio::task::spawn_blocking(move || python(TWO_SESSIONS, &through));
    let said = said.await.unwrap();
    assert!(said.contains("soap_sessions: 1 of 1 in use"), "{said}");
    assert!(said.ends_with("VirtualCenter\ndone\n"), "{said}");
    all_given_back(&gate).await;

    let none = "[upstream.limits.soap_sessions]\nlimit = 0";
    let gate = tidegate_with(&vcsim, "no-session", none);
    let through = gate.https()[0].to_string();
    let refused = tokio::task::spawn_blocking(move || {
        Command::new(tool("TIDEGATE_GOVC"))
            .args(["ls"])
            .env("GOVC_URL", format!("https://user:pass@{through}/sdk"))
            .env("GOVC_INSECURE", "1")
            .env("GOVC_PERSIST_SESSION", "false")
            .output()
            .unwrap()
    });
    let refused = refused.await.unwrap();
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    assert!(errors.contains("soap_sessions: 0 of 0 in use"), "{errors}");
}
