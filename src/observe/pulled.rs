//! Rows that other rooms count, turned into metric families at the moment somebody asks.

mod tasks;

use std::time::UNIX_EPOCH;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, IntCounterVec, IntGaugeVec, Opts, Result};

use crate::call::Reason;

use super::{LimitRow, SessionCount, Snapshot};

/// The families of a snapshot.
pub(super) fn families(snapshot: &Snapshot) -> Result<Vec<MetricFamily>> {
    let mut page = Page::default();
    limits(&mut page, &snapshot.limits)?;
    connections(&mut page, snapshot)?;
    sessions(&mut page, &snapshot.sessions)?;
    tasks::tasks(&mut page, snapshot)?;
    gate(&mut page, snapshot)?;
    Ok(page.families)
}

/// One sample: the values of its labels, and its own.
type Sample<'a> = (Vec<&'a str>, u64);

#[derive(Default)]
struct Page {
    families: Vec<MetricFamily>,
}

impl Page {
    fn gauge<'a>(
        &mut self,
        (name, help): (&str, &str),
        labels: &[&str],
        samples: impl IntoIterator<Item = (Vec<&'a str>, i64)>,
    ) -> Result<()> {
        let gauge = IntGaugeVec::new(Opts::new(name, help), labels)?;
        for (values, value) in samples {
            gauge.get_metric_with_label_values(&values)?.set(value);
        }
        self.take(&gauge);
        Ok(())
    }

    fn counter<'a>(
        &mut self,
        (name, help): (&str, &str),
        labels: &[&str],
        samples: impl IntoIterator<Item = Sample<'a>>,
    ) -> Result<()> {
        let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
        for (values, value) in samples {
            counter.get_metric_with_label_values(&values)?.inc_by(value);
        }
        self.take(&counter);
        Ok(())
    }

    fn take(&mut self, collector: &impl Collector) {
        self.families.extend(collector.collect());
    }
}

/// Labels of what is said of one limit.
const LABELS: [&str; 2] = ["upstream", "limit"];

fn limits(page: &mut Page, rows: &[LimitRow]) -> Result<()> {
    let each = |value: fn(&LimitRow) -> u64| rows.iter().map(move |row| (labels(row), value(row)));
    let level =
        |value: fn(&LimitRow) -> u64| each(value).map(|(labels, value)| (labels, signed(value)));
    page.gauge(
        (
            "tidegate_limit_max",
            "Ceiling of the limit: units, or units per window for a rate.",
        ),
        &LABELS,
        level(|row| row.limit),
    )?;
    page.gauge(
        (
            "tidegate_limit_in_use",
            "Units of the limit that are held now; for a keyed limit those of its fullest key.",
        ),
        &LABELS,
        level(|row| row.in_use),
    )?;
    page.gauge(
        ("tidegate_limit_waiting", "Calls in the line of the limit."),
        &LABELS,
        level(|row| row.waiting),
    )?;
    page.gauge(
        (
            "tidegate_audit_mismatch",
            "Held units counted one by one less the counter of the limit; not 0 is a bug.",
        ),
        &LABELS,
        rows.iter().map(|row| (labels(row), row.audit_mismatch)),
    )?;
    verdicts(page, rows)
}

fn verdicts(page: &mut Page, rows: &[LimitRow]) -> Result<()> {
    let each = |value: fn(&LimitRow) -> u64| rows.iter().map(move |row| (labels(row), value(row)));
    page.counter(
        ("tidegate_limit_admitted_total", "Calls the limit let pass."),
        &LABELS,
        each(|row| row.admitted),
    )?;
    page.counter(
        (
            "tidegate_limit_refused_total",
            "Calls the limit refused, by reason.",
        ),
        &["upstream", "limit", "reason"],
        rows.iter().flat_map(|row| {
            Reason::ALL
                .into_iter()
                .zip(row.refused)
                .map(|(reason, count)| (vec![&*row.upstream, &*row.name, reason.as_str()], count))
        }),
    )?;
    page.counter(
        (
            "tidegate_limit_shadow_refused_total",
            "Calls the limit would have refused, were it not in shadow mode.",
        ),
        &LABELS,
        each(|row| row.shadow_refused),
    )
}

fn sessions(page: &mut Page, rows: &[SessionCount]) -> Result<()> {
    let labels = ["upstream", "kind"];
    page.gauge(
        ("tidegate_sessions", "Login sessions that live."),
        &labels,
        rows.iter()
            .map(|row| (vec![&*row.upstream, row.kind], signed(row.live))),
    )?;
    page.counter(
        (
            "tidegate_sessions_reaped_total",
            "Login sessions that ended by idling.",
        ),
        &labels,
        rows.iter()
            .map(|row| (vec![&*row.upstream, row.kind], row.reaped)),
    )
}

fn labels(row: &LimitRow) -> Vec<&str> {
    vec![&*row.upstream, &*row.name]
}

fn connections(page: &mut Page, snapshot: &Snapshot) -> Result<()> {
    let listeners = &snapshot.listeners;
    let upstreams = &snapshot.upstreams;
    page.gauge(
        ("tidegate_downstream_connections", "Client sockets open."),
        &["listener"],
        listeners
            .iter()
            .map(|row| (vec![&*row.name], signed(row.open))),
    )?;
    page.counter(
        (
            "tidegate_downstream_connections_refused_total",
            "Client sockets turned away, by reason.",
        ),
        &["listener", "reason"],
        listeners.iter().flat_map(|row| {
            row.refused
                .iter()
                .map(|(reason, count)| (vec![&*row.name, *reason], *count))
        }),
    )?;
    page.gauge(
        (
            "tidegate_upstream_connections",
            "Sockets open to the upstream, idle ones included.",
        ),
        &["upstream"],
        upstreams
            .iter()
            .map(|row| (vec![&*row.name], signed(row.open))),
    )?;
    page.gauge(
        (
            "tidegate_upstream_connections_idle",
            "Sockets to the upstream that idle in the pool.",
        ),
        &["upstream"],
        upstreams
            .iter()
            .map(|row| (vec![&*row.name], signed(row.idle))),
    )
}

fn gate(page: &mut Page, snapshot: &Snapshot) -> Result<()> {
    page.gauge(
        (
            "tidegate_certificate_expiry_timestamp_seconds",
            "When the certificate of the listener ends, in seconds since 1970.",
        ),
        &["listener"],
        snapshot.certificates.iter().map(|row| {
            let since = row.ends.duration_since(UNIX_EPOCH).unwrap_or_default();
            (vec![&*row.listener], signed(since.as_secs()))
        }),
    )?;
    page.gauge(
        (
            "tidegate_store_up",
            "1 while the store takes what it is given, 0 while it is lost.",
        ),
        &[],
        [(Vec::new(), i64::from(!snapshot.store_lost))],
    )?;
    page.counter(
        (
            "tidegate_access_lines_dropped_total",
            "Lines of the access log that were lost.",
        ),
        &[],
        [(Vec::new(), snapshot.access_lines_dropped)],
    )?;
    page.gauge(
        (
            "tidegate_build_info",
            "Always 1; the labels say which build this is.",
        ),
        &["version", "revision"],
        [(vec![snapshot.build.version, snapshot.build.revision], 1)],
    )?;
    if let Some(moment) = snapshot.reloaded {
        let loaded = Gauge::new(
            "tidegate_config_last_reload_success_timestamp_seconds",
            "When the configuration in force was loaded, in seconds since 1970.",
        )?;
        loaded.set(
            moment
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs_f64(),
        );
        page.take(&loaded);
    }
    Ok(())
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
