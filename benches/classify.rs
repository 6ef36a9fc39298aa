//! The class of a call, by targets as they come and as they are twisted. `cargo bench --bench classify`.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop where it stands")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use http::Method;
use tidegate::classify::{Pattern, classify};

mod quick;

const TARGETS: [(&str, &str); 5] = [
    ("REST", "/api/vcenter/vm"),
    (
        "REST with query",
        "/api/vcenter/vm?names=web-01&power_states=POWERED_ON",
    ),
    ("SOAP", "/sdk/vimService"),
    (
        "transfer",
        "/folder/vm%20one/disk-flat.vmdk?dcPath=dc1&dsName=store",
    ),
    ("twisted", "/x/../%61pi/v%63enter/./vm"),
];

fn targets(c: &mut Criterion) {
    let mut group = c.benchmark_group("classify");
    for (name, target) in TARGETS {
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(classify(&Method::GET, black_box(target))));
        });
    }
    let pattern = Pattern::new("/api/vcenter/vm/*/power").unwrap();
    group.bench_function("pattern", |bencher| {
        let path = black_box("/api/vcenter/vm/vm-42/power");
        bencher.iter(|| black_box(pattern.matches(path, path)));
    });
    group.finish();
}

criterion_group! { name = benches; config = quick::quick(); targets = targets }
criterion_main!(benches);
