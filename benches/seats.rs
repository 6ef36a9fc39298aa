//! Seats: taken and given back, alone and beside another thread. `cargo bench --bench seats`.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop where it stands")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate::limit::Seats;

mod quick;

fn seats(c: &mut Criterion) {
    let mut group = c.benchmark_group("seats");
    let seats = Arc::new(Seats::new(550));
    group.bench_function("taken and given back", |bencher| {
        bencher.iter(|| drop(black_box(seats.seat())));
    });
    group.bench_function("refused", |bencher| {
        let none = Arc::new(Seats::new(0));
        bencher.iter(|| black_box(none.seat().is_none()));
    });
    group.bench_function("taken and given back beside another thread", |bencher| {
        let done = Arc::new(AtomicBool::new(false));
        let (others, ended) = (Arc::clone(&seats), Arc::clone(&done));
        let other = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                drop(black_box(others.seat()));
            }
        });
        bencher.iter(|| drop(black_box(seats.seat())));
        done.store(true, Ordering::Relaxed);
        other.join().unwrap();
    });
    group.finish();
}

criterion_group! { name = benches; config = quick::quick(); targets = seats }
criterion_main!(benches);
