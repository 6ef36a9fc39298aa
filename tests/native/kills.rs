//! Killed at any moment, again and again, while the upstreams' own tasks run: the next gate follows them, begins none twice and
//! loses none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::client::{Answer, Client};
use crate::support::hurried;
use crate::support::process::Process;
use crate::vendors::nsx_v::NsxV;
use crate::vendors::vcenter::VCenter;
use crate::vendors::{Fault, Kind, Model, Pace, Request, When};

/// How often the gate is killed, by `TIDEGATE_KILLS`.
const KILLS: usize = 50;
const CUSTOMERS: u64 = 3;
/// Tasks of one customer that are not over.
const OPEN: usize = 12;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Numbers that come again with the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

/// Which of the two is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Which {
    VCenter,
    NsxV,
}

/// One piece of work: what a client knows of it.
#[derive(Debug, Clone)]
struct Work {
    which: Which,
    /// Tells it from all others, upstream too.
    name: String,
    task: String,
    /// A gate has said that it is followed: from then on its end cannot be missed.
    followed: bool,
    end: Option<Value>,
}

/// What all customers share.
struct Market {
    at: Mutex<Option<std::net::SocketAddr>>,
    works: Mutex<BTreeMap<String, Work>>,
    closes: AtomicBool,
}

impl Market {
    /// One exchange with the gate, should it live through that.
    async fn ask(&self, which: Which, line: &str, head: &str, body: &str) -> Option<Answer> {
        let at = *self.at.lock().unwrap();
        let stream = tokio::net::TcpStream::connect(at?).await.ok()?;
        let host = match which {
            Which::VCenter => "vc.example",
            Which::NsxV => "nsx.example",
        };
        let pair = base64::engine::general_purpose::STANDARD.encode("a:pw");
        let mut client = Client::over(stream);
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {pair}\r\n{head}Content-Length: {length}\r\n\r\n{body}"
        );
        client.try_send(request).await.ok()?;
        client.answer().await.filter(|answer| answer.whole)
    }

    /// Hands work in until it is taken, by its key.
    async fn submits(&self, which: Which, name: &str) {
        let (line, body) = match which {
            Which::VCenter => {
                let folder = "\"placement\":{\"folder\":\"group-v3\"}";
                let body = format!("{{\"source\":\"vm-11\",\"name\":\"{name}\",{folder}}}");
                ("POST /api/vcenter/vm?action=clone".to_owned(), body)
            }
            Which::NsxV => (format!("POST {}", rules(name)), "<rule/>".to_owned()),
        };
        let head = format!(
            "Content-Type: application/json\r\nPrefer: respond-async\r\nIdempotency-Key: {name}\r\n"
        );
        loop {
            let answer = self.ask(which, &line, &head, &body).await;
            if let Some(answer) = &answer {
                // In between, the first of the same is being written down.
                assert!([202, 409, 503].contains(&answer.status), "{answer:?}");
            }
            if let Some(task) = answer.filter(|answer| answer.status == 202) {
                let task = task.header("location").unwrap().to_owned();
                let work = Work {
                    which,
                    name: name.to_owned(),
                    task,
                    followed: false,
                    end: None,
                };
                self.works.lock().unwrap().insert(name.to_owned(), work);
                return;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    /// Asks how a task does. One that was accepted is known to every later gate.
    async fn looks(&self, work: &Work) {
        let line = format!("GET {}", work.task);
        let Some(answer) = self.ask(work.which, &line, "", "").await else {
            return;
        };
        assert!(
            [200, 503].contains(&answer.status),
            "lost: {work:?}: {answer:?}"
        );
        if answer.status != 200 {
            return;
        }
        let shown = answer.json();
        let mut works = self.works.lock().unwrap();
        let known = works.get_mut(&work.name).unwrap();
        if let Some(end) = &known.end {
            assert_eq!(end["state"], shown["state"], "an end is for good: {work:?}");
            return;
        }
        known.followed |= shown["upstream_task"].is_string();
        known.end = (shown["done"] == true).then_some(shown);
    }

    fn open(&self, of: &str) -> Vec<Work> {
        let works = self.works.lock().unwrap();
        let open = works
            .values()
            .filter(|work| work.end.is_none() && work.name.starts_with(of));
        open.cloned().collect()
    }

    async fn shops(self: Arc<Self>, customer: u64, seed: u64) {
        let mut dice = Dice(seed.wrapping_add(customer * 7919));
        let own = format!("c{customer}-");
        for number in 0.. {
            if self.closes.load(Ordering::SeqCst) {
                return;
            }
            let open = self.open(&own);
            if open.len() < OPEN && dice.roll(2) == 0 {
                let which = [Which::VCenter, Which::NsxV][usize::try_from(dice.roll(2)).unwrap()];
                self.submits(which, &format!("{own}{number}")).await;
            } else if let Some(one) = open.get(usize::try_from(dice.roll(OPEN as u64)).unwrap()) {
                self.looks(one).await;
            }
            tokio::time::sleep(Duration::from_millis(dice.roll(10))).await;
        }
    }
}

/// A list of its own for each piece of work: what is made twice is seen by its path.
fn rules(name: &str) -> String {
    format!("/api/4.0/edges/edge-{name}/nat/config/rules")
}

fn text(folder: &Path, vc: &Model<VCenter>, nsx: &Model<NsxV>) -> String {
    format!(
        r#"
[listen]
http = ["127.0.0.1:0"]
admin = "127.0.0.1:0"
[runtime]
threads = 2
drain = "5s"
[state]
url = "sqlite://{folder}/tidegate.db"
key_file = "{folder}/state.key"
[tasks]
max_blocking = "2s"
reconcile = "6s"
[log]
access = "off"
[[upstream]]
name = "vc"
hosts = ["vc.example"]
address = "http://{vc}"
profile = "vcenter-8.0"
dialect_files = ["./vcenter.toml"]
[[upstream.route]]
name = "clone"
match = {{ method = "POST", path = "/api/vcenter/vm", query = {{ action = "clone" }} }}
class = "blocking"
deadline = "25s"
probe = {{ get = "/api/vcenter/vm?names={{/name}}&folders={{/placement/folder}}", json = "/0/vm", every = "500ms" }}
[[upstream]]
name = "nsx"
hosts = ["nsx.example"]
address = "http://{nsx}"
profile = "nsx-v"
dialect_files = ["./nsx-v.toml"]
"#,
        folder = folder.display(),
        vc = vc.address,
        nsx = nsx.address,
    )
}

fn folder() -> PathBuf {
    let name = format!("native-kills-{}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).unwrap();
    for dialect in ["vcenter", "nsx-v"] {
        std::fs::write(
            folder.join(format!("{dialect}.toml")),
            hurried::text(dialect),
        )
        .unwrap();
    }
    folder.canonicalize().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_while_native_tasks_run() {
    let kills = number("TIDEGATE_KILLS").map_or(KILLS, |kills| usize::try_from(kills).unwrap());
    let seed = number("TIDEGATE_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 20);
    println!("TIDEGATE_SEED={seed} TIDEGATE_KILLS={kills}");
    let pace = Pace::Lasts(Duration::from_millis(400));
    let (vc, nsx) = (VCenter::start(pace).await, NsxV::start(pace).await);
    // What were begun twice would be there twice.
    vc.unique_names(false);
    // Gates die with polls of theirs that were not well, too.
    vc.faults
        .on(Kind::BatchPoll, When::Every(7), Fault::answer(503));
    nsx.faults.on(Kind::Poll, When::Every(5), Fault::Closed);
    let (began, folder) = (Instant::now(), folder());
    let text = text(&folder, &vc, &nsx);
    let mut gate = Process::start(&text, &folder, &[]).await;
    let market = Arc::new(Market {
        at: Mutex::new(Some(gate.http)),
        works: Mutex::default(),
        closes: AtomicBool::new(false),
    });
    let customers: Vec<_> = (0..CUSTOMERS)
        .map(|customer| tokio::spawn(market.clone().shops(customer, seed)))
        .collect();
    let mut dice = Dice(seed);
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_micros(dice.roll(500_000))).await;
        *market.at.lock().unwrap() = None;
        gate.kill();
        gate = Process::start(&text, &folder, &[]).await;
        *market.at.lock().unwrap() = Some(gate.http);
    }
    market.closes.store(true, Ordering::SeqCst);
    for customer in customers {
        customer.await.unwrap();
    }
    let deadline = Instant::now() + PATIENCE * 2;
    while !market.open("").is_empty() {
        for work in market.open("") {
            market.looks(&work).await;
        }
        assert!(
            Instant::now() < deadline,
            "not over: {:?}\n{}",
            market.open(""),
            gate.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    gate.stop();
    let works: Vec<Work> = market.works.lock().unwrap().values().cloned().collect();
    judge(&works, &vc, &nsx);
    print(kills, &works, began.elapsed());
    assert!(
        works.len() >= kills.min(20),
        "this shows nothing: {}",
        works.len()
    );
    drop(std::fs::remove_dir_all(&folder));
}

/// How often a piece of work was asked for, and how often it was done.
fn done(work: &Work, vc: &Model<VCenter>, nsx: &Model<NsxV>) -> (usize, u64) {
    let books = match work.which {
        Which::VCenter => &vc.books,
        Which::NsxV => &nsx.books,
    };
    let is_its = |request: &Request| match work.which {
        Which::VCenter => request.json()["name"] == work.name,
        Which::NsxV => request.path == rules(&work.name),
    };
    let heard = books.heard();
    let starts = heard
        .iter()
        .filter(|heard| heard.kind == Kind::Start && is_its(&heard.request));
    let effects = match work.which {
        Which::VCenter => books.effects(&format!("clone {}", work.name)),
        Which::NsxV => books.effects(&format!("POST {}", rules(&work.name))),
    };
    (starts.count(), effects)
}

fn judge(works: &[Work], vc: &Model<VCenter>, nsx: &Model<NsxV>) {
    let mut tasks = BTreeSet::new();
    for work in works {
        let end = work.end.as_ref().unwrap();
        let (starts, effects) = done(work, vc, nsx);
        assert!(starts <= 1, "begun {starts} times: {work:?}");
        assert!(effects <= 1, "done {effects} times: {work:?}");
        let is_unknown = end["outcome"] == "unknown";
        match end["state"].as_str().unwrap() {
            "COMPLETED" => assert_eq!(effects, 1, "completed, and not done: {work:?}"),
            "FAILED" if end["not_applied"] == true => {
                assert_eq!(effects, 0, "not applied, and done: {work:?}");
            }
            "FAILED" if is_unknown => assert!(!work.followed, "it was followed: {work:?}"),
            other => panic!("{other:?}: {work:?}"),
        }
        assert!(tasks.insert(&work.task), "one task for two: {work:?}");
    }
    // Nothing was done that nobody knows of, and nothing blocked.
    let known: BTreeSet<String> = works
        .iter()
        .map(|work| format!("clone {}", work.name))
        .collect();
    let made: Vec<String> = vc.books.all_effects().into_keys().collect();
    assert!(made.iter().all(|what| known.contains(what)), "{made:?}");
    assert_eq!(
        (
            vc.books.count(Kind::Blocking),
            nsx.books.count(Kind::Blocking)
        ),
        (0, 0)
    );
    assert_eq!(vc.books.violations(), [""; 0]);
}

/// For people.
fn print(kills: usize, works: &[Work], took: Duration) {
    let count = |is: &dyn Fn(&Work) -> bool| works.iter().filter(|work| is(work)).count();
    println!("killed at random moments while native tasks run, {took:.1?}");
    println!("  kills     {kills:>6}");
    println!("  accepted  {:>6}", works.len());
    println!("  lost      {:>6}", count(&|work| work.end.is_none()));
    println!(
        "  followed, as a client saw  {:>6}",
        count(&|work| work.followed)
    );
    let mut ways: BTreeMap<(Which, String), usize> = BTreeMap::new();
    for work in works {
        let end = work.end.as_ref().unwrap();
        let source = end["result_source"]
            .as_str()
            .filter(|source| *source != "answer");
        let how = match end["state"].as_str().unwrap() {
            "FAILED" if end["not_applied"] == true => "in doubt: not applied, as a probe found",
            "FAILED" => "in doubt: said to be unknown",
            _ if source.is_some() => "in doubt: completed, as a probe found",
            _ => "completed",
        };
        let how = how.to_owned();
        *ways.entry((work.which, how)).or_default() += 1;
    }
    for ((which, how), count) in ways {
        println!("  {which:?} {how:<42} {count:>6}");
    }
}
