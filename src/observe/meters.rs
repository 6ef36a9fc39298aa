//! The metrics of the operator's door: what requests did, counted here, and what other rooms hold, pulled as rows.
//!
//! Counting a request formats nothing and hashes nothing: every counter is reached by index
//! ([`super::tally`]). Labels are bounded; a client cannot add one. What did not happen yet reads 0 rather
//! than being absent: a query has data from the start, and the first event is an increase.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, HistogramOpts, HistogramVec, IntCounterVec, Opts, Result, TextEncoder};

use crate::call::Class;

use super::record::METHOD_LABELS;
use super::tally::Tally;
use super::{Record, Snapshot, pulled};

/// Bounds of the waiting histogram, seconds: 1 ms to ten minutes.
const WAITS: [f64; 15] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0,
];

/// The metrics of this process. Shared by all workers.
#[derive(Debug)]
pub struct Meters {
    limit_wait: HistogramVec,
    process: ProcessCollector,
    /// One for each upstream, and a last one, `upstream=""`, for requests that reached none.
    upstreams: Vec<UpstreamMeters>,
}

#[derive(Debug)]
struct UpstreamMeters {
    name: String,
    classes: [Tally; Class::ALL.len()],
}

impl UpstreamMeters {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            classes: std::array::from_fn(|_| Tally::default()),
        }
    }
}

impl Meters {
    /// Meters for these upstreams; [`super::Destination::index`] is the place in this list.
    ///
    /// # Errors
    /// When a metric is malformed, which a test excludes.
    pub fn new<'a>(upstreams: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let waits = HistogramOpts::new(
            "tidegate_limit_wait_seconds",
            "Time calls spent in the line of the limit.",
        );
        Ok(Self {
            limit_wait: HistogramVec::new(waits.buckets(WAITS.to_vec()), &["upstream", "limit"])?,
            process: ProcessCollector::for_self(),
            upstreams: upstreams
                .into_iter()
                .chain([""])
                .map(UpstreamMeters::new)
                .collect(),
        })
    }

    /// Counts a request that is over.
    pub fn record(&self, record: &Record<'_>) {
        let upstream = self.upstream(record.upstream.map(|to| to.index));
        if let Some(tally) = upstream.and_then(|meters| meters.classes.get(record.class.index())) {
            tally.add(record);
        }
    }

    /// Counts a wait in the line of a limit, however it ended. Found by a hash of the two names; neither
    /// formats nor allocates once the limit was seen on the page or here.
    pub fn waited(&self, upstream: &str, limit: &str, wait: Duration) {
        self.limit_wait
            .with_label_values(&[upstream, limit])
            .observe(wait.as_secs_f64());
    }

    /// The text for Prometheus: families in the order of their names.
    ///
    /// # Errors
    /// When a family is malformed, which a test excludes.
    pub fn render(&self, snapshot: &Snapshot) -> Result<Vec<u8>> {
        for row in &snapshot.limits {
            // Before anybody waited, too.
            self.limit_wait
                .get_metric_with_label_values(&[&*row.upstream, &*row.name])?;
        }
        let mut families = pulled::families(snapshot)?;
        families.extend(upstream_errors(snapshot)?);
        families.extend(self.requests()?);
        families.push(self.durations(
            (
                "tidegate_request_duration_seconds",
                "From the first byte of a request to its end.",
            ),
            Tally::whole,
        ));
        families.push(self.durations(
            (
                "tidegate_upstream_duration_seconds",
                "From dispatch to the end of the upstream's answer.",
            ),
            Tally::upstream,
        ));
        families.extend(self.limit_wait.collect());
        families.extend(self.process.collect());
        families.retain(|family| !family.get_metric().is_empty());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        for family in &mut families {
            let key = |metric: &Metric| -> Vec<String> {
                metric
                    .get_label()
                    .iter()
                    .map(|label| label.value().to_owned())
                    .collect()
            };
            family.mut_metric().sort_by_cached_key(key);
        }
        let mut page = Vec::new();
        TextEncoder::new().encode(&families, &mut page)?;
        Ok(page)
    }

    /// The meters of the upstream at `index`; those of `upstream=""` for none or one that is not known.
    fn upstream(&self, index: Option<usize>) -> Option<&UpstreamMeters> {
        let (none, known) = self.upstreams.split_last()?;
        Some(index.and_then(|index| known.get(index)).unwrap_or(none))
    }

    /// Every tally with the upstream and the class it counts.
    fn tallies(&self) -> impl Iterator<Item = (&str, Class, &Tally)> {
        self.upstreams.iter().flat_map(|meters| {
            let classes = Class::ALL.into_iter().zip(&meters.classes);
            classes.map(|(class, tally)| (meters.name.as_str(), class, tally))
        })
    }

    fn requests(&self) -> Result<Vec<MetricFamily>> {
        let requests = IntCounterVec::new(
            Opts::new(
                "tidegate_requests_total",
                "Requests that are over; status 0: none was sent.",
            ),
            &["upstream", "class", "method", "status"],
        )?;
        for (upstream, class, tally) in self.tallies() {
            if expected(upstream, class) {
                let (method, status) = match upstream {
                    "" => ("other", "400"),
                    _ => ("GET", "200"),
                };
                let labels = [upstream, class.as_str(), method, status];
                requests.get_metric_with_label_values(&labels)?;
            }
            for (method, status, count) in tally.requests() {
                let method = METHOD_LABELS.get(method).copied().unwrap_or("other");
                let labels = [upstream, class.as_str(), method, &status.to_string()];
                requests
                    .get_metric_with_label_values(&labels)?
                    .inc_by(count);
            }
        }
        Ok(requests.collect())
    }

    fn durations(&self, (name, help): (&str, &str), of: fn(&Tally) -> Histogram) -> MetricFamily {
        let metrics = self.tallies().filter_map(|(upstream, class, tally)| {
            let histogram = of(tally);
            if histogram.get_sample_count() == 0 && !expected(upstream, class) {
                return None;
            }
            let mut metric = Metric::from_label(vec![
                label("class", class.as_str()),
                label("upstream", upstream),
            ]);
            metric.set_histogram(histogram);
            Some(metric)
        });
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(metrics.collect());
        family
    }
}

/// Whether such requests may well come, so that they read 0 before the first. What reached no upstream was
/// refused before its class was known, as a rule.
fn expected(upstream: &str, class: Class) -> bool {
    !upstream.is_empty() || class == Class::Other
}

/// Failures are counted where the upstream is met; here they only get their name.
fn upstream_errors(snapshot: &Snapshot) -> Result<Vec<MetricFamily>> {
    let errors = IntCounterVec::new(
        Opts::new(
            "tidegate_upstream_errors_total",
            "Failed exchanges with the upstream, by reason.",
        ),
        &["upstream", "reason"],
    )?;
    for row in &snapshot.upstreams {
        for (reason, count) in &row.errors {
            errors
                .get_metric_with_label_values(&[&*row.name, *reason])?
                .inc_by(*count);
        }
    }
    Ok(errors.collect())
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

#[cfg(test)]
#[path = "meters_tests.rs"]
mod tests;
