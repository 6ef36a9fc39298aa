//! The rate of the whole gate: one call admitted, one refused. `cargo bench --bench rate`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate::limit::{Moment, Rate};

mod quick;

fn rate(c: &mut Criterion) {
    let mut group = c.benchmark_group("rate");
    for (name, burst) in [("burst = limit", 1500), ("burst below limit", 150)] {
        group.bench_function(format!("admitted, {name}"), |bencher| {
            let rate = Rate::new(1500, Duration::from_secs(1), burst);
            let mut now = 0;
            bencher.iter(|| {
                now += 1_000_000; // 1000 a second: never refused
                black_box(rate.try_take(Moment::from_nanos(now)))
            });
        });
    }
    group.bench_function("refused", |bencher| {
        let rate = Rate::new(1500, Duration::from_secs(1), 1500);
        while rate.try_take(Moment::START).is_ok() {}
        bencher.iter(|| black_box(rate.try_take(black_box(Moment::START))));
    });
    group.finish();
}

criterion_group! { name = benches; config = quick::quick(); targets = rate }
criterion_main!(benches);
