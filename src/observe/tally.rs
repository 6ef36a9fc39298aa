//! What the requests of one class did, counted apart by thread: two workers never write the same cache line.
//!
//! A request costs five additions to memory that is the worker's own. Reading adds the stripes up.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use prometheus::proto::{Bucket, Histogram};

use super::record::{METHODS, Record, method_index};

/// Bounds of the duration histograms, seconds: 1 ms to an hour.
const BOUNDS: [f64; 20] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    120.0, 300.0, 600.0, 1800.0, 3600.0,
];

/// 100 to 599, and one for "none was sent".
const STATUSES: usize = 501;

/// Threads beyond so many share their stripes.
const STRIPES: usize = 16;

/// Counts of one class of one upstream.
#[derive(Debug, Default)]
pub(super) struct Tally {
    stripes: [OnceLock<Box<Stripe>>; STRIPES],
}

/// The counts of one thread; as far apart from the next as the processor fetches.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe {
    whole: Durations,
    upstream: Durations,
    methods: [OnceLock<Box<[AtomicU64]>>; METHODS],
}

#[derive(Debug, Default)]
struct Durations {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_micros: AtomicU64,
}

impl Tally {
    /// Counts a request that is over.
    pub(super) fn add(&self, record: &Record<'_>) {
        let Some(stripe) = self.stripes.get(own_stripe()) else {
            return;
        };
        let stripe = stripe.get_or_init(Box::default);
        stripe.whole.add(record.duration);
        if let Some(spent) = record.upstream_duration {
            stripe.upstream.add(spent);
        }
        let method = stripe.methods.get(method_index(record.method));
        let statuses = method.map(|statuses| {
            statuses.get_or_init(|| (0..STATUSES).map(|_| AtomicU64::new(0)).collect())
        });
        if let Some(count) = statuses.and_then(|statuses| statuses.get(status_index(record.status)))
        {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// From first byte to end.
    pub(super) fn whole(&self) -> Histogram {
        sum(self.stripes().map(|stripe| &stripe.whole))
    }

    /// From dispatch to the end of the upstream's answer.
    pub(super) fn upstream(&self) -> Histogram {
        sum(self.stripes().map(|stripe| &stripe.upstream))
    }

    /// What was counted, by the index of its method and its status (0: none was sent).
    pub(super) fn requests(&self) -> Vec<(usize, usize, u64)> {
        let mut seen = Vec::new();
        for method in 0..METHODS {
            let stripes: Vec<&[AtomicU64]> = self
                .stripes()
                .filter_map(|stripe| {
                    stripe
                        .methods
                        .get(method)?
                        .get()
                        .map(|statuses| &**statuses)
                })
                .collect();
            for index in 0..STATUSES {
                let counts = stripes.iter().filter_map(|statuses| statuses.get(index));
                let count: u64 = counts.map(|count| count.load(Ordering::Relaxed)).sum();
                if count > 0 {
                    seen.push((method, if index == 0 { 0 } else { index + 99 }, count));
                }
            }
        }
        seen
    }

    fn stripes(&self) -> impl Iterator<Item = &Stripe> {
        self.stripes
            .iter()
            .filter_map(|stripe| stripe.get().map(|stripe| &**stripe))
    }
}

impl Durations {
    fn add(&self, spent: Duration) {
        let seconds = spent.as_secs_f64();
        let place = BOUNDS.partition_point(|bound| *bound < seconds);
        if let Some(bucket) = self.buckets.get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }
}

fn sum<'a>(stripes: impl Iterator<Item = &'a Durations>) -> Histogram {
    let mut counts = [0_u64; BOUNDS.len() + 1];
    let mut micros = 0_u64;
    for stripe in stripes {
        for (count, bucket) in counts.iter_mut().zip(&stripe.buckets) {
            *count += bucket.load(Ordering::Relaxed);
        }
        micros = micros.wrapping_add(stripe.sum_micros.load(Ordering::Relaxed));
    }
    let all: u64 = counts.iter().sum();
    let mut below = 0;
    let buckets = BOUNDS.into_iter().zip(counts).map(|(bound, count)| {
        below += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(below);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(all);
    histogram.set_sample_sum(Duration::from_micros(micros).as_secs_f64());
    histogram
}

/// The stripe of the calling thread: dealt out in turn.
fn own_stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    let dealt = |own: &Cell<usize>| {
        if own.get() == usize::MAX {
            own.set(NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES);
        }
        own.get()
    };
    OWN.try_with(dealt).unwrap_or(0)
}

/// The place of a status: 0 for none or one that HTTP does not know.
fn status_index(status: u16) -> usize {
    match status {
        100..=599 => usize::from(status) - 99,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::record::sample;

    #[test]
    fn threads_count_apart_and_add_up() {
        let tally = Tally::default();
        let threads = STRIPES * 2 + 1;
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| (0..1000).for_each(|_| tally.add(&sample())));
            }
        });
        let all = u64::try_from(threads).unwrap() * 1000;
        assert_eq!(tally.requests(), [(0, 200, all)]);
        assert!(
            tally.stripes().count() > 1,
            "one stripe for all would be contended"
        );
        let whole = tally.whole();
        assert_eq!(whole.get_sample_count(), all);
        let mean = whole.get_sample_sum() / f64::from(u32::try_from(all).unwrap());
        assert!((mean - 0.012_345).abs() < 1e-9, "{mean}");
    }

    #[test]
    fn nothing_counted_is_zero_in_every_bucket() {
        let tally = Tally::default();
        let empty = tally.whole();
        assert_eq!(empty.get_bucket().len(), BOUNDS.len());
        let zero = |bucket: &Bucket| bucket.cumulative_count() == 0;
        assert!(empty.get_bucket().iter().all(zero) && empty.get_sample_count() == 0);
        assert!(tally.requests().is_empty());
        tally.add(&Record {
            upstream_duration: None,
            ..sample()
        });
        let counts = (tally.whole(), tally.upstream());
        assert_eq!(counts.0.get_sample_count(), 1);
        assert_eq!(counts.1.get_sample_count(), 0, "nothing was sent up");
    }
}
