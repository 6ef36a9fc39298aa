//! A thousand patches of a pool made one: read, and merged into the body of one call. `cargo bench --bench merge`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark may stop where it stands"
)]

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;
use tidegate::dialect::adapter::{Patch, merged_patch, shown_of};

mod quick;

const PATCHES: usize = 1000;
const TARGET: &str = "/api/pool/pool-11fd90d6-4d3c-4a7e-9b1b-5d8f6a7c2e10";

/// Patches of some servers each, half of which come again and again.
fn bodies() -> Vec<Vec<u8>> {
    let bodies = (0..PATCHES).map(|n| {
        let server = |of: usize| {
            let address = format!("10.{}.{}.{}", of / 65_536, of / 256 % 256, of % 256);
            json!({"ip": {"addr": address, "type": "V4"}, "port": 8080, "ratio": n % 20, "enabled": true})
        };
        let action = if n % 3 == 0 { "delete" } else { "add" };
        let body = json!({action: {"servers": [server(n % 50), server(n), server(10_000 + n)]}});
        body.to_string().into_bytes()
    });
    bodies.collect()
}

fn patches(c: &mut Criterion) {
    let text = "[[upstream]]\naddress = \"https://a.example\"\nprofile = \"avi\"";
    let config = tidegate::config::parse(text, Path::new(".")).unwrap();
    let adapter = &config.upstreams[0].adapters[0];
    let merge = adapter.merge.as_ref().unwrap();
    let bodies = bodies();
    let read = || -> Vec<Patch> {
        let patches = bodies.iter();
        patches
            .map(|body| Patch::read(adapter, TARGET, body).unwrap())
            .collect()
    };
    let patches = read();
    let body = merged_patch(merge, &patches);
    println!("{PATCHES} patches: a body of {} bytes", body.len());
    let mut group = c.benchmark_group("merge");
    group.bench_function("1,000 patches, read and merged", |bencher| {
        bencher.iter(|| black_box(merged_patch(merge, &read())));
    });
    group.bench_function("1,000 patches, merged", |bencher| {
        bencher.iter(|| black_box(merged_patch(merge, black_box(&patches))));
    });
    let pool = json!({"servers": []}).to_string();
    group.bench_function("1,000 patches, looked for in a pool", |bencher| {
        bencher.iter(|| black_box(shown_of(merge, patches.iter(), pool.as_bytes())));
    });
    group.finish();
}

criterion_group! { name = benches; config = quick::quick(); targets = patches }
criterion_main!(benches);
