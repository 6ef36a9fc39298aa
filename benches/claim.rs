//! The whole claim: classify, claim every limit of the call, release. `cargo bench --bench claim`.
//!
//! The stack is the one of profile vcenter-8.0, as the gate builds it; for the loads over many clients, with a rate
//! and seats of each address beside it. Beside each stands one check of governor's simplest limiter.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark may stop where it stands"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use governor::clock::FakeRelativeClock;
use governor::{Quota, RateLimiter};
use http::{HeaderMap, Method};
use tidegate::admit::Stack;
use tidegate::call::Dialect;
use tidegate::classify::Table;
use tidegate::limit::Moment;

mod paired;
mod quick;
use paired::{Load, by_turns};

/// The gate's own allocator: where it puts a table of a million keys is part of what a lookup costs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TARGET: &str = "/api/vcenter/vm?names=web-01&power_states=POWERED_ON";
const KEYS: u32 = 1_000_000;
const FEW: u32 = 16;

const OF_EACH_ADDRESS: &str = "
    [upstream.limits.address_rate]
    counts = \"requests\"
    key = \"address\"
    limit = 1000000
    window = \"1s\"
    full = { status = 429 }
    [upstream.limits.address_seats]
    counts = \"requests_in_flight\"
    key = \"address\"
    limit = 100
    full = { status = 429 }";

/// A stack, who calls it (once a millisecond), and its clock.
struct Loaded {
    table: Table,
    headers: HeaderMap,
    stack: Arc<Stack>,
    load: Load,
    now: u64,
}

impl Loaded {
    fn new(more: &str, keys: u32, load: Load) -> Self {
        let text = format!(
            "[[upstream]]\naddress = \"https://api.example\"\nprofile = \"vcenter-8.0\"\n{more}"
        );
        let config = tidegate::config::parse(&text, Path::new(".")).unwrap();
        let upstream = &config.upstreams[0];
        let loaded = Self {
            table: Table::new(Dialect::Vcenter, &upstream.routes),
            headers: HeaderMap::new(),
            stack: Arc::new(Stack::build(upstream)),
            load,
            now: 0,
        };
        // A path that the rate of 1500 a second does not speak of, so that all of them come at once:
        // keys whose bucket is not full are never forgotten.
        for n in 0..keys {
            loaded.call("/ui/", n);
        }
        loaded
    }

    fn turn(&mut self) {
        self.now += 1_000_000; // the rate of 1500 a second never refuses it
        let key = self.load.next();
        self.call(TARGET, key);
    }

    fn call(&self, target: &str, key: u32) {
        let now = Moment::from_nanos(self.now);
        let address = IpAddr::V4(Ipv4Addr::from(0x0A00_0000 + key));
        let asked = self
            .table
            .target(&Method::GET, black_box(target), &self.headers);
        let asked = asked.unwrap();
        let call = asked.call(&Method::GET, &self.headers, None, address);
        let claim = self.stack.claim(&call, now).unwrap();
        black_box(&claim);
        claim.release(now);
    }
}

fn claim(c: &mut Criterion) {
    let mut whole = Loaded::new("", FEW, Load::uniform(FEW));
    let mut few = Loaded::new(OF_EACH_ADDRESS, FEW, Load::uniform(FEW));
    let mut zipf = Loaded::new(OF_EACH_ADDRESS, KEYS, Load::zipf(KEYS));
    let mut uniform = Loaded::new(OF_EACH_ADDRESS, KEYS, Load::uniform(KEYS));
    let quota = Quota::per_second(NonZeroU32::MAX);
    let governor = RateLimiter::direct_with_clock(quota, FakeRelativeClock::default());

    let mut group = c.benchmark_group("claim");
    group.bench_function("vcenter-8.0", |bencher| bencher.iter(|| whole.turn()));
    group.bench_function("and each address, few", |bencher| {
        bencher.iter(|| few.turn());
    });
    group.bench_function("and each address, a million, Zipf", |bencher| {
        bencher.iter(|| zipf.turn());
    });
    group.bench_function("and each address, a million, uniform", |bencher| {
        bencher.iter(|| uniform.turn());
    });
    group.bench_function("one governor check", |bencher| {
        bencher.iter(|| black_box(governor.check()));
    });
    group.finish();

    let times = by_turns([
        &mut |turns| (0..turns).for_each(|_| drop(black_box(governor.check()))),
        &mut |turns| (0..turns).for_each(|_| whole.turn()),
        &mut |turns| (0..turns).for_each(|_| few.turn()),
        &mut |turns| (0..turns).for_each(|_| zipf.turn()),
        &mut |turns| (0..turns).for_each(|_| uniform.turn()),
    ]);
    let [check, _, base, ..] = times;
    let names = [
        "one governor check",
        "whole claim, vcenter-8.0",
        "and each address, few",
        "and each address, a million, Zipf",
        "and each address, a million, uniform",
    ];
    println!("classify, claim, release: medians by turns");
    for (name, took) in names.iter().zip(times) {
        println!(
            "{name}: {took:.0} ns, {:.1} x a governor check, {:.2} x few",
            took / check,
            took / base
        );
    }
}

criterion_group! { name = benches; config = quick::quick(); targets = claim }
criterion_main!(benches);
