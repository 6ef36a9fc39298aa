//! Criterion with times so short that a whole file takes seconds.

use std::time::Duration;

use criterion::Criterion;

/// One second a benchmark.
pub fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
        .without_plots()
}
