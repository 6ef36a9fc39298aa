//! Lines: what they cost who need not wait, and what waiting and being woken costs; the memory of a place is in
//! `tests/allocations.rs`.
//! `cargo bench --bench line`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark may stop where it stands"
)]

use std::collections::VecDeque;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, Method};
use tidegate::admit::{Claim, Entry, Stack, Terms, Waiting};
use tidegate::call::{Call, Class, Dialect};
use tidegate::classify::Table;
use tidegate::config::{Upstream, Wait};
use tidegate::limit::{Moment, Rank};

#[expect(dead_code, reason = "draws of other loads")]
mod paired;
mod quick;
use paired::{Load, by_turns};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TARGET: &str = "/api/vcenter/vm?names=web-01&power_states=POWERED_ON";
const CLIENTS: u32 = 16;
const PLACES: u32 = 100_000;
const PATIENT: Terms = Terms {
    rank: Rank::Usual,
    weight: NonZeroU32::MIN,
    patience: Duration::from_mins(5),
};

/// Profile vcenter-7.0, with its lines or with others.
fn upstream(wait: Option<u64>) -> Upstream {
    let text = "[[upstream]]\naddress = \"https://api.example\"\nprofile = \"vcenter-7.0\"";
    let mut config = tidegate::config::parse(text, Path::new(".")).unwrap();
    let mut upstream = config.upstreams.remove(0);
    if let Some(line) = wait {
        for limit in &mut upstream.limits {
            limit.wait = Wait {
                line: line.min(limit.wait.line.saturating_mul(line)),
                per_user: line,
                at_most: Duration::from_mins(5),
            };
        }
    }
    upstream
}

fn address(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0A00_0000 + n))
}

/// Calls that find room.
struct Passing {
    table: Table,
    headers: HeaderMap,
    stack: Arc<Stack>,
    load: Load,
    now: u64,
}

impl Passing {
    fn new(upstream: &Upstream) -> Self {
        Self {
            table: Table::new(Dialect::Vcenter, &upstream.routes),
            headers: HeaderMap::new(),
            stack: Arc::new(Stack::build(upstream)),
            load: Load::uniform(CLIENTS),
            now: 0,
        }
    }

    fn turn(&mut self) {
        self.now += 1_000_000; // the rate of 1500 a second never refuses it
        let now = Moment::from_nanos(self.now);
        let asked = self
            .table
            .target(&Method::GET, black_box(TARGET), &self.headers);
        let asked = asked.unwrap();
        let from = address(self.load.next());
        let call = asked.call(&Method::GET, &self.headers, None, from);
        let Entry::Passed(claim) = self.stack.enter(&call, || PATIENT, now) else {
            panic!("there is room");
        };
        black_box(&claim);
        claim.release(now);
    }
}

#[derive(Default)]
struct Bell(AtomicU64);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The ten blocking calls of the profile in flight, and so many in line for a place among them.
struct Queued {
    stack: Arc<Stack>,
    held: VecDeque<Claim>,
    line: VecDeque<(u32, Waiting)>,
    bell: Arc<Bell>,
    waker: Waker,
    next: u32,
    now: u64,
}

fn blocking(from: u32) -> Call<'static> {
    Call::new(Class::Blocking, "/api/vcenter/vm", address(from))
}

impl Queued {
    fn new(deep: u32) -> Self {
        let stack = Arc::new(Stack::build(&upstream(Some(PLACES.into()))));
        let bell = Arc::new(Bell::default());
        let mut queued = Self {
            stack,
            held: VecDeque::new(),
            line: VecDeque::new(),
            waker: Waker::from(bell.clone()),
            bell,
            next: 0,
            now: 1,
        };
        while let Entry::Passed(claim) = queued.enter() {
            queued.held.push_back(claim);
        }
        for _ in 0..deep {
            queued.join();
        }
        queued
    }

    fn enter(&mut self) -> Entry {
        let now = Moment::from_nanos(self.now);
        self.stack.enter(&blocking(self.next), || PATIENT, now)
    }

    /// The next client joins, and is told when to look again.
    fn join(&mut self) {
        let Entry::Waits(mut waiting) = self.enter() else {
            panic!("it is full");
        };
        let mut context = Context::from_waker(&self.waker);
        assert!(Pin::new(&mut waiting).poll(&mut context).is_pending());
        self.line.push_back((self.next, waiting));
        self.next = (self.next + 1) % PLACES;
    }

    /// One joins; one is done, so that the first in line is woken, comes for its turn and claims the rest.
    fn turn(&mut self) {
        self.now += 1_000_000;
        self.join();
        let now = Moment::from_nanos(self.now);
        self.held.pop_front().expect("ten").release(now);
        let (from, mut waiting) = self.line.pop_front().expect("it joined");
        let mut context = Context::from_waker(&self.waker);
        let Poll::Ready(turn) = Pin::new(&mut waiting).poll(&mut context) else {
            panic!("its turn");
        };
        let entry = self.stack.resume(&blocking(from), || PATIENT, turn, now);
        let Entry::Passed(claim) = entry else {
            panic!("the rest has room");
        };
        self.held.push_back(claim);
    }
}

/// A hundred tasks of the gate's own runtime, ten of which hold a unit: nanoseconds a call, with all that
/// waking a task takes.
fn on_the_runtime() -> f64 {
    const TASKS: u32 = 100;
    const CALLS: u32 = 2_000;
    let stack = Arc::new(Stack::build(&upstream(Some(PLACES.into()))));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let clock = Arc::new(AtomicU64::new(1));
    let began = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|from| {
            let (stack, clock) = (stack.clone(), clock.clone());
            runtime.spawn(async move {
                for _ in 0..CALLS {
                    // A call a millisecond is less than the rate.
                    let now = Moment::from_nanos(clock.fetch_add(1_000_000, Ordering::Relaxed));
                    let mut entry = stack.enter(&blocking(from), || PATIENT, now);
                    let claim = loop {
                        match entry {
                            Entry::Passed(claim) => break claim,
                            Entry::Waits(waiting) => {
                                let turn = waiting.await;
                                entry = stack.resume(&blocking(from), || PATIENT, turn, now);
                            }
                            Entry::Refused(refusal) => panic!("{refusal:?}"),
                        }
                    };
                    tokio::task::yield_now().await;
                    claim.release(now);
                }
            })
        })
        .collect();
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
    began.elapsed().as_secs_f64() * 1e9 / f64::from(TASKS * CALLS)
}

fn line(c: &mut Criterion) {
    let mut lines = Passing::new(&upstream(None));
    let mut none = Passing::new(&upstream(Some(0)));
    let mut short = Queued::new(0);
    let mut long = Queued::new(1_000);
    let mut longest = Queued::new(PLACES - 1);

    let mut group = c.benchmark_group("line");
    group.bench_function("claim, lines empty", |bencher| {
        bencher.iter(|| lines.turn());
    });
    group.bench_function("claim, no lines", |bencher| bencher.iter(|| none.turn()));
    group.bench_function("wait and wake", |bencher| bencher.iter(|| short.turn()));
    group.bench_function("wait and wake behind 1000", |bencher| {
        bencher.iter(|| long.turn());
    });
    group.finish();

    let times = by_turns([
        &mut |turns| (0..turns).for_each(|_| none.turn()),
        &mut |turns| (0..turns).for_each(|_| lines.turn()),
        &mut |turns| (0..turns).for_each(|_| short.turn()),
        &mut |turns| (0..turns).for_each(|_| long.turn()),
        &mut |turns| (0..turns).for_each(|_| longest.turn()),
    ]);
    let names = [
        "classify, claim, release, no lines",
        "classify, claim, release, lines empty (at most 1000)",
        "wait, wake, claim, release (at most 5000)",
        "wait, wake, claim, release behind 1000",
        "wait, wake, claim, release behind 99,999",
    ];
    println!("medians by turns");
    for (name, took) in names.iter().zip(times) {
        println!("{name}: {took:.0} ns");
    }
    println!(
        "wait, wake, claim, release as tasks: {:.0} ns",
        on_the_runtime()
    );
    let woken = short.bell.0.load(Ordering::Relaxed);
    assert!(woken > 0, "who waits is woken");
}

criterion_group! { name = benches; config = quick::quick(); targets = line }
criterion_main!(benches);
