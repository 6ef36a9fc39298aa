//! Forty real clients at once through limits of four: they know nothing of the gate, try nothing again, and
//! all finish.

use std::time::Instant;

use tidegate::app::Running;

use crate::support::client::Client;
use crate::support::{all_given_back, limit, until};
use crate::{Vcsim, govc, python, tidegate_with};

const CLIENTS: usize = 40;

const FOURS: &str = r#"
[upstream.limits.soap_requests]
limit = 4
[upstream.limits.upstream_connections_total]
limit = 8
[upstream.limits.logins]
counts = "requests_in_flight"
match = { class = ["login"] }
limit = 4
wait = { line = 1000, at_most = "60s" }
"#;

/// Nobody was refused, somebody waited, and nothing is left.
async fn all_waited_and_finished(gate: &Running) {
    let snapshot = gate.snapshot();
    for row in &snapshot.limits {
        assert_eq!((row.refused, row.waiting), ([0; 4], 0), "{row:?}");
    }
    for name in ["soap_requests", "logins"] {
        assert!(limit(&snapshot, name).admitted >= CLIENTS as u64);
    }
    let metrics = Client::connect(gate.admin()).await.get("/metrics").await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    let waits = |what: &str, name: &str| -> f64 {
        let start = format!("tidegate_limit_wait_seconds_{what}{{limit=\"{name}\",");
        let line = metrics.lines().find(|line| line.starts_with(&start));
        line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    };
    let mut all = 0.0;
    for name in ["logins", "soap_requests", "upstream_connections_total"] {
        let (count, sum) = (waits("count", name), waits("sum", name));
        println!(
            "  {name}: {count} waits, {:.1} ms in the mean",
            1000.0 * sum / count.max(1.0)
        );
        all += count;
    }
    assert!(all > 0.0, "nobody waited: this shows nothing");
    until("clients gone", || {
        limit(&gate.snapshot(), "connections_https").in_use == 0
    })
    .await;
    all_given_back(gate).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_govc_at_once_through_limits_of_four_all_finish() {
    let vcsim = Vcsim::start();
    let gate = tidegate_with(&vcsim, "forty-govc", FOURS);
    let through = gate.https()[0].to_string();
    let direct = vcsim.authority.clone();
    let alone = tokio::task::spawn_blocking(move || govc(&direct, &["ls", "/DC0/vm"]));
    let alone = alone.await.unwrap();
    let began = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let through = through.clone();
            std::thread::spawn(move || {
                let listed = govc(&through, &["ls", "/DC0/vm"]);
                govc(&through, &["tags.ls"]);
                listed
            })
        })
        .collect();
    let join = move || -> Vec<String> {
        let listed = clients.into_iter().map(|one| one.join().unwrap());
        listed.collect()
    };
    for listed in tokio::task::spawn_blocking(join).await.unwrap() {
        assert_eq!(listed, alone);
    }
    println!(
        "{CLIENTS} govc at once: all finished after {:.2?}",
        began.elapsed()
    );
    all_waited_and_finished(&gate).await;
}

/// Each client logs in, lists, clones a machine and waits for that with a long poll, looks again, logs out.
const CLONES: &str = r#"
import ssl, sys, threading
from pyVim.connect import SmartConnect, Disconnect
from pyVim.task import WaitForTask
from pyVmomi import vim
host, port = sys.argv[1].rsplit(":", 1)
context = ssl._create_unverified_context()
together = threading.Barrier(40)
done = []
def client(number):
    together.wait()
    service = SmartConnect(host=host, port=int(port), user="user", pwd="pass", sslContext=context)
    content = service.RetrieveContent()
    def machines():
        view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
        found = {vm.name: vm for vm in view.view if vm.name in ("DC0_H0_VM0", f"copy-{number}")}
        view.Destroy()
        return found
    vm = machines()["DC0_H0_VM0"]
    place = vim.vm.RelocateSpec(host=vm.runtime.host, pool=vm.resourcePool)
    spec = vim.vm.CloneSpec(location=place, powerOn=False, template=False)
    task = vm.CloneVM_Task(vm.parent, f"copy-{number}", spec)
    WaitForTask(task, service)
    if task.info.state == "success":
        done.append(number)
    Disconnect(service)
threads = [threading.Thread(target=client, args=(n,)) for n in range(40)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(done), "done")
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_pyvmomi_at_once_through_limits_of_four_all_finish() {
    let vcsim = Vcsim::start();
    let gate = tidegate_with(&vcsim, "forty-pyvmomi", FOURS);
    let through = gate.https()[0].to_string();
    let began = Instant::now();
    let said = tokio::task::spawn_blocking(move || python(CLONES, &through));
    assert_eq!(said.await.unwrap(), format!("{CLIENTS} done\n"));
    println!(
        "{CLIENTS} pyvmomi at once: all finished after {:.2?}",
        began.elapsed()
    );
    all_waited_and_finished(&gate).await;
}
