//! The families of tasks and of messages about them.

use prometheus::Result;
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::{Page, signed};
use crate::observe::{Snapshot, Spread, TaskCount, WebhookCount};

/// Adds them to `page`.
pub(super) fn tasks(page: &mut Page, snapshot: &Snapshot) -> Result<()> {
    let rows = &snapshot.tasks;
    let by_state = ["upstream", "state"];
    page.gauge(
        ("tidegate_tasks_in_state", "Tasks that are not over."),
        &by_state,
        rows.iter().flat_map(|row| {
            let open = row.open.iter();
            open.map(|(state, count)| (vec![&*row.upstream, *state], signed(*count)))
        }),
    )?;
    page.counter(
        ("tidegate_tasks_finished_total", "Tasks that are over."),
        &by_state,
        each(rows, |row| &row.finished),
    )?;
    page.counter(
        (
            "tidegate_tasks_in_doubt_total",
            "Tasks that are over and of which nobody knows whether they were done.",
        ),
        &["upstream"],
        rows.iter().map(|row| (vec![&*row.upstream], row.in_doubt)),
    )?;
    page.counter(
        (
            "tidegate_task_dispatches_total",
            "Tasks sent up, by what came of it: unknown where the answer was lost.",
        ),
        &["upstream", "outcome"],
        each(rows, |row| &row.dispatched),
    )?;
    page.counter(
        (
            "tidegate_task_reconciled_total",
            "Tasks whose answer was lost, by what was found out of them.",
        ),
        &["upstream", "outcome"],
        each(rows, |row| &row.reconciled),
    )?;
    polls(page, rows)?;
    merges(page, rows)?;
    after(page, rows)?;
    times(page, rows);
    webhooks(page, &snapshot.webhooks)
}

fn polls(page: &mut Page, rows: &[TaskCount]) -> Result<()> {
    page.counter(
        (
            "tidegate_task_polls_answered_total",
            "Questions of clients how a task fares that the gate answered itself.",
        ),
        &["upstream"],
        rows.iter()
            .map(|row| (vec![&*row.upstream], row.polls_answered)),
    )?;
    page.counter(
        (
            "tidegate_task_upstream_polls_total",
            "Questions to the upstream how its own tasks fare: of many (list), of one (single), for a start whose answer is lost (find).",
        ),
        &["upstream", "form"],
        each(rows, |row| &row.polls),
    )?;
    page.counter(
        (
            "tidegate_task_poll_errors_total",
            "Questions to the upstream how its own tasks fare that told nothing.",
        ),
        &["upstream"],
        rows.iter()
            .map(|row| (vec![&*row.upstream], row.polls_failed)),
    )
}

fn merges(page: &mut Page, rows: &[TaskCount]) -> Result<()> {
    page.counter(
        (
            "tidegate_task_merged_calls_total",
            "Calls that did what several tasks ask for, by what came of each: halved where it was rejected, and each half went up by itself.",
        ),
        &["upstream", "outcome"],
        each(rows, |row| &row.merged_calls),
    )?;
    page.counter(
        (
            "tidegate_task_merged_requests_total",
            "Requests of tasks that went up in calls which did what several ask for, each as often as it went up.",
        ),
        &["upstream"],
        rows.iter()
            .map(|row| (vec![&*row.upstream], row.merged_requests)),
    )
}

/// What was done about those that ended badly, or would have.
fn after(page: &mut Page, rows: &[TaskCount]) -> Result<()> {
    page.counter(
        (
            "tidegate_task_alerts_total",
            "Tasks that ended so that a rule of their route tells the operator, and compensations that did not succeed.",
        ),
        &["upstream", "state"],
        each(rows, |row| &row.alerts),
    )?;
    page.counter(
        (
            "tidegate_task_retries_total",
            "Times that a task was tried again in place of ending badly, by a rule of its route.",
        ),
        &["upstream"],
        rows.iter().map(|row| (vec![&*row.upstream], row.retries)),
    )?;
    page.counter(
        (
            "tidegate_task_compensations_total",
            "Tasks that ended badly and that another task makes up for.",
        ),
        &["upstream"],
        rows.iter()
            .map(|row| (vec![&*row.upstream], row.compensated)),
    )
}

fn each(
    rows: &[TaskCount],
    of: fn(&TaskCount) -> &[(&'static str, u64)],
) -> impl Iterator<Item = (Vec<&str>, u64)> {
    rows.iter().flat_map(move |row| {
        let counts = of(row).iter();
        counts.map(|(name, count)| (vec![&*row.upstream, *name], *count))
    })
}

fn times(page: &mut Page, rows: &[TaskCount]) {
    for (name, help, of) in [
        (
            "tidegate_task_queue_seconds",
            "From the acceptance of a task until it was sent up first.",
            (|row| &row.queued) as fn(&TaskCount) -> &Spread,
        ),
        (
            "tidegate_task_run_seconds",
            "From when a task was sent up first to its end.",
            |row| &row.ran,
        ),
    ] {
        let metrics = rows
            .iter()
            .map(|row| metric(&[("upstream", &row.upstream)], of(row)));
        page.families.push(family(name, help, metrics.collect()));
    }
}

fn webhooks(page: &mut Page, row: &WebhookCount) -> Result<()> {
    page.counter(
        (
            "tidegate_webhook_deliveries_total",
            "Tries to deliver a webhook, by what came of it.",
        ),
        &["outcome"],
        row.deliveries
            .iter()
            .map(|(name, count)| (vec![*name], *count)),
    )?;
    page.families.push(family(
        "tidegate_webhook_lag_seconds",
        "From the end of a task until its webhook was delivered.",
        vec![metric(&[], &row.lag)],
    ));
    Ok(())
}

fn family(name: &str, help: &str, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(MetricType::HISTOGRAM);
    family.set_metric(metrics);
    family
}

fn metric(labels: &[(&str, &str)], spread: &Spread) -> Metric {
    let labels = labels.iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    let mut metric = Metric::from_label(labels.collect());
    metric.set_histogram(histogram(spread));
    metric
}

fn histogram(spread: &Spread) -> Histogram {
    let mut below = 0;
    let buckets = spread.bounds.iter().zip(&spread.counts);
    let buckets = buckets.map(|(bound, count)| {
        below += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(below);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(spread.counts.iter().sum());
    histogram.set_sample_sum(spread.sum_seconds);
    histogram
}
