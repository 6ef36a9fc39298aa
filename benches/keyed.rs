//! Counters of each key apart, few keys and a million. `cargo bench --bench keyed`.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop where it stands")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate::limit::{KeyHasher, Keyed, Moment, Pace};

mod paired;
mod quick;
use paired::{Load, by_turns};

const KEYS: u32 = 1_000_000;
const FEW: u32 = 16;

fn address(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0A00_0000 + n))
}

/// A map under one load: hash, check, count.
struct Loaded {
    hasher: KeyHasher,
    keyed: Keyed<IpAddr>,
    pace: Pace,
    load: Load,
    now: u64,
}

impl Loaded {
    fn new(keys: u32, load: Load) -> Self {
        let hasher = KeyHasher::default();
        let keyed = Keyed::new(hasher.clone());
        let pace = Pace::new(100_000, Duration::from_secs(1), 100_000);
        for n in 0..keys {
            keyed
                .try_take(&hasher.hash(address(n)), &pace, Moment::START)
                .unwrap();
        }
        Self {
            hasher,
            keyed,
            pace,
            load,
            now: 0,
        }
    }

    fn turn(&mut self) {
        self.now += 100_000;
        let key = self.hasher.hash(address(self.load.next()));
        let taken = self
            .keyed
            .try_take(&key, &self.pace, Moment::from_nanos(self.now));
        assert!(black_box(taken).is_ok());
    }
}

fn keyed(c: &mut Criterion) {
    let mut few = Loaded::new(FEW, Load::uniform(FEW));
    let mut zipf = Loaded::new(KEYS, Load::zipf(KEYS));
    let mut uniform = Loaded::new(KEYS, Load::uniform(KEYS));
    let mut group = c.benchmark_group("keyed");
    group.bench_function("few keys", |bencher| bencher.iter(|| few.turn()));
    group.bench_function("a million, Zipf", |bencher| bencher.iter(|| zipf.turn()));
    group.bench_function("a million, uniform", |bencher| {
        bencher.iter(|| uniform.turn());
    });
    group.bench_function("seat of a new key", |bencher| {
        let hasher = KeyHasher::default();
        let keyed = Keyed::new(hasher.clone());
        let mut n = 0_u32;
        bencher.iter(|| {
            n = n.wrapping_add(1) % KEYS;
            let key = hasher.hash(address(n));
            assert!(keyed.try_seat(&key, 1).is_ok() && keyed.give_back(&key));
        });
    });
    group.finish();

    let times = by_turns([
        &mut |turns| (0..turns).for_each(|_| few.turn()),
        &mut |turns| (0..turns).for_each(|_| zipf.turn()),
        &mut |turns| (0..turns).for_each(|_| uniform.turn()),
    ]);
    let [base, ..] = times;
    for (name, took) in ["few keys", "a million, Zipf", "a million, uniform"]
        .iter()
        .zip(times)
    {
        println!("keyed rate, {name}: {took:.0} ns, {:.2} x few", took / base);
    }
    let bytes = uniform.keyed.allocated_bytes() / uniform.keyed.len();
    println!(
        "bytes per key: {bytes} at {} keys (at most 200)",
        uniform.keyed.len()
    );
}

criterion_group! { name = benches; config = quick::quick(); targets = keyed }
criterion_main!(benches);
