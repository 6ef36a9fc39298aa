//! The metrics page: names and labels of the contract, and every line of a small snapshot.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::observe::record::sample as request;
use crate::observe::rows::sample as snapshot;
use crate::observe::{Destination, Record};

/// Names and labels of the contract, as far as this version has something to count.
const CONTRACT: [(&str, &str, &[&str]); 40] = [
    ("limit_max", "gauge", &["upstream", "limit"]),
    ("limit_in_use", "gauge", &["upstream", "limit"]),
    ("limit_waiting", "gauge", &["upstream", "limit"]),
    ("limit_admitted_total", "counter", &["upstream", "limit"]),
    (
        "limit_refused_total",
        "counter",
        &["upstream", "limit", "reason"],
    ),
    (
        "limit_shadow_refused_total",
        "counter",
        &["upstream", "limit"],
    ),
    ("limit_wait_seconds", "histogram", &["upstream", "limit"]),
    (
        "requests_total",
        "counter",
        &["upstream", "class", "method", "status"],
    ),
    (
        "request_duration_seconds",
        "histogram",
        &["upstream", "class"],
    ),
    (
        "upstream_duration_seconds",
        "histogram",
        &["upstream", "class"],
    ),
    ("downstream_connections", "gauge", &["listener"]),
    (
        "downstream_connections_refused_total",
        "counter",
        &["listener", "reason"],
    ),
    ("sessions", "gauge", &["upstream", "kind"]),
    ("sessions_reaped_total", "counter", &["upstream", "kind"]),
    ("upstream_connections", "gauge", &["upstream"]),
    ("upstream_connections_idle", "gauge", &["upstream"]),
    ("upstream_errors_total", "counter", &["upstream", "reason"]),
    ("audit_mismatch", "gauge", &["upstream", "limit"]),
    ("config_last_reload_success_timestamp_seconds", "gauge", &[]),
    ("build_info", "gauge", &["version", "revision"]),
    // Beside the contract: an end that nobody sees coming stops every client.
    (
        "certificate_expiry_timestamp_seconds",
        "gauge",
        &["listener"],
    ),
    // Beside the contract: the access log must not lose lines in silence.
    ("access_lines_dropped_total", "counter", &[]),
    ("tasks_in_state", "gauge", &["upstream", "state"]),
    ("tasks_finished_total", "counter", &["upstream", "state"]),
    ("task_queue_seconds", "histogram", &["upstream"]),
    ("task_run_seconds", "histogram", &["upstream"]),
    // Beside the contract: what became of tasks, of webhooks, of the store.
    ("tasks_in_doubt_total", "counter", &["upstream"]),
    ("task_dispatches_total", "counter", &["upstream", "outcome"]),
    ("task_reconciled_total", "counter", &["upstream", "outcome"]),
    ("task_polls_answered_total", "counter", &["upstream"]),
    (
        "task_upstream_polls_total",
        "counter",
        &["upstream", "form"],
    ),
    ("task_poll_errors_total", "counter", &["upstream"]),
    (
        "task_merged_calls_total",
        "counter",
        &["upstream", "outcome"],
    ),
    ("task_merged_requests_total", "counter", &["upstream"]),
    ("task_alerts_total", "counter", &["upstream", "state"]),
    ("task_retries_total", "counter", &["upstream"]),
    ("task_compensations_total", "counter", &["upstream"]),
    ("webhook_deliveries_total", "counter", &["outcome"]),
    ("webhook_lag_seconds", "histogram", &[]),
    ("store_up", "gauge", &[]),
];

fn page(meters: &Meters, snapshot: &Snapshot) -> String {
    String::from_utf8(meters.render(snapshot).unwrap()).unwrap()
}

/// The samples that begin with one of these names, in order.
fn samples<'a>(page: &'a str, names: &[&str]) -> Vec<&'a str> {
    let named = |line: &&str| {
        let end = line.find(['{', ' ']).unwrap_or(line.len());
        names.contains(&&line[..end])
    };
    page.lines()
        .filter(|line| !line.starts_with('#'))
        .filter(named)
        .collect()
}

#[test]
fn names_types_and_labels_are_those_of_the_contract() {
    let meters = Meters::new(["vc1"]).unwrap();
    meters.record(&request());
    let text = page(&meters, &snapshot());
    let types: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE tidegate_")?.split_once(' '))
        .collect();
    let wanted: BTreeMap<&str, &str> = CONTRACT
        .iter()
        .map(|(name, kind, _)| (*name, *kind))
        .collect();
    assert_eq!(types, wanted);
    for (name, kind, labels) in CONTRACT {
        let suffix = if kind == "histogram" { "_count" } else { "" };
        let full = format!("tidegate_{name}{suffix}");
        let line = samples(&text, &[&full])[0];
        let seen: BTreeSet<&str> = line
            .split_once('{')
            .map_or("", |(_, rest)| rest)
            .split(',')
            .filter_map(|pair| pair.split_once('=').map(|(label, _)| label))
            .collect();
        assert_eq!(seen, labels.iter().copied().collect(), "{name}");
        assert!(
            text.contains(&format!("# HELP tidegate_{name} ")),
            "{name} has no help"
        );
    }
    for name in [
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_resident_memory_bytes",
    ] {
        assert_eq!(samples(&text, &[name]).len(), 1, "{name}");
    }
}

#[test]
fn a_small_snapshot_line_by_line() {
    let meters = Meters::new(["vc1"]).unwrap();
    let text = page(&meters, &snapshot());
    let pulled: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("tidegate_"))
        .filter(|line| !line.contains("_wait_seconds") && !line.contains("_duration_seconds"))
        .collect();
    assert_eq!(pulled, SMALL.lines().collect::<Vec<_>>());
}

const SMALL: &str = r#"tidegate_access_lines_dropped_total 6
tidegate_audit_mismatch{limit="connections_http",upstream=""} 0
tidegate_audit_mismatch{limit="tagging_per_user",upstream="vc1"} -1
tidegate_build_info{revision="abc",version="0.1.0"} 1
tidegate_certificate_expiry_timestamp_seconds{listener="https"} 1900000000
tidegate_config_last_reload_success_timestamp_seconds 1.5
tidegate_downstream_connections{listener="http"} 12
tidegate_downstream_connections_refused_total{listener="http",reason="dropped"} 1
tidegate_downstream_connections_refused_total{listener="http",reason="full"} 4
tidegate_limit_admitted_total{limit="connections_http",upstream=""} 100
tidegate_limit_admitted_total{limit="tagging_per_user",upstream="vc1"} 100
tidegate_limit_in_use{limit="connections_http",upstream=""} 12
tidegate_limit_in_use{limit="tagging_per_user",upstream="vc1"} 5
tidegate_limit_max{limit="connections_http",upstream=""} 2048
tidegate_limit_max{limit="tagging_per_user",upstream="vc1"} 200
tidegate_limit_refused_total{limit="connections_http",reason="full",upstream=""} 7
tidegate_limit_refused_total{limit="connections_http",reason="hopeless",upstream=""} 1
tidegate_limit_refused_total{limit="connections_http",reason="line_full",upstream=""} 0
tidegate_limit_refused_total{limit="connections_http",reason="timeout",upstream=""} 2
tidegate_limit_refused_total{limit="tagging_per_user",reason="full",upstream="vc1"} 7
tidegate_limit_refused_total{limit="tagging_per_user",reason="hopeless",upstream="vc1"} 1
tidegate_limit_refused_total{limit="tagging_per_user",reason="line_full",upstream="vc1"} 0
tidegate_limit_refused_total{limit="tagging_per_user",reason="timeout",upstream="vc1"} 2
tidegate_limit_shadow_refused_total{limit="connections_http",upstream=""} 3
tidegate_limit_shadow_refused_total{limit="tagging_per_user",upstream="vc1"} 3
tidegate_limit_waiting{limit="connections_http",upstream=""} 0
tidegate_limit_waiting{limit="tagging_per_user",upstream="vc1"} 0
tidegate_requests_total{class="blocking",method="GET",status="200",upstream="vc1"} 0
tidegate_requests_total{class="login",method="GET",status="200",upstream="vc1"} 0
tidegate_requests_total{class="logout",method="GET",status="200",upstream="vc1"} 0
tidegate_requests_total{class="long_poll",method="GET",status="200",upstream="vc1"} 0
tidegate_requests_total{class="other",method="GET",status="200",upstream="vc1"} 0
tidegate_requests_total{class="other",method="other",status="400",upstream=""} 0
tidegate_requests_total{class="rest",method="GET",status="200",upstream="vc1"} 0
tidegate_requests_total{class="rpc",method="GET",status="200",upstream="vc1"} 0
tidegate_requests_total{class="soap",method="GET",status="200",upstream="vc1"} 0
tidegate_requests_total{class="task",method="GET",status="200",upstream="vc1"} 0
tidegate_requests_total{class="transfer",method="GET",status="200",upstream="vc1"} 0
tidegate_sessions{kind="rest",upstream="vc1"} 3
tidegate_sessions_reaped_total{kind="rest",upstream="vc1"} 2
tidegate_store_up 1
tidegate_task_alerts_total{state="EXPIRED",upstream="vc1"} 0
tidegate_task_alerts_total{state="FAILED",upstream="vc1"} 1
tidegate_task_compensations_total{upstream="vc1"} 1
tidegate_task_dispatches_total{outcome="known",upstream="vc1"} 9
tidegate_task_dispatches_total{outcome="unknown",upstream="vc1"} 1
tidegate_task_merged_calls_total{outcome="halved",upstream="vc1"} 1
tidegate_task_merged_calls_total{outcome="known",upstream="vc1"} 3
tidegate_task_merged_requests_total{upstream="vc1"} 1500
tidegate_task_poll_errors_total{upstream="vc1"} 1
tidegate_task_polls_answered_total{upstream="vc1"} 20
tidegate_task_queue_seconds_bucket{upstream="vc1",le="0.1"} 1
tidegate_task_queue_seconds_bucket{upstream="vc1",le="3600"} 3
tidegate_task_queue_seconds_bucket{upstream="vc1",le="+Inf"} 4
tidegate_task_queue_seconds_sum{upstream="vc1"} 7300.5
tidegate_task_queue_seconds_count{upstream="vc1"} 4
tidegate_task_reconciled_total{outcome="applied",upstream="vc1"} 0
tidegate_task_reconciled_total{outcome="unknown",upstream="vc1"} 1
tidegate_task_retries_total{upstream="vc1"} 3
tidegate_task_run_seconds_bucket{upstream="vc1",le="0.1"} 1
tidegate_task_run_seconds_bucket{upstream="vc1",le="3600"} 3
tidegate_task_run_seconds_bucket{upstream="vc1",le="+Inf"} 4
tidegate_task_run_seconds_sum{upstream="vc1"} 7300.5
tidegate_task_run_seconds_count{upstream="vc1"} 4
tidegate_task_upstream_polls_total{form="find",upstream="vc1"} 0
tidegate_task_upstream_polls_total{form="list",upstream="vc1"} 2
tidegate_task_upstream_polls_total{form="single",upstream="vc1"} 1
tidegate_tasks_finished_total{state="COMPLETED",upstream="vc1"} 8
tidegate_tasks_finished_total{state="FAILED",upstream="vc1"} 2
tidegate_tasks_in_doubt_total{upstream="vc1"} 1
tidegate_tasks_in_state{state="RUNNING",upstream="vc1"} 10
tidegate_tasks_in_state{state="SCHEDULED",upstream="vc1"} 4
tidegate_upstream_connections{upstream="vc1"} 9
tidegate_upstream_connections_idle{upstream="vc1"} 4
tidegate_upstream_errors_total{reason="connect_refused",upstream="vc1"} 2
tidegate_webhook_deliveries_total{outcome="delivered"} 3
tidegate_webhook_deliveries_total{outcome="failed"} 1
tidegate_webhook_lag_seconds_bucket{le="0.1"} 1
tidegate_webhook_lag_seconds_bucket{le="3600"} 3
tidegate_webhook_lag_seconds_bucket{le="+Inf"} 4
tidegate_webhook_lag_seconds_sum 7300.5
tidegate_webhook_lag_seconds_count 4"#;

#[test]
fn requests_are_counted_under_bounded_labels() {
    let meters = Meters::new(["vc1", "vc2"]).unwrap();
    let second = Some(Destination {
        index: 1,
        name: "vc2",
    });
    meters.record(&request());
    meters.record(&request());
    meters.record(&Record {
        upstream: second,
        class: Class::Soap,
        status: 503,
        ..request()
    });
    for odd in ["BREW", "brew", "", "X"] {
        meters.record(&Record {
            upstream: None,
            method: odd,
            status: 0,
            ..request()
        });
    }
    for status in [1, 99, 600, 999, u16::MAX] {
        meters.record(&Record {
            upstream: None,
            status,
            ..request()
        });
    }
    for status in [100, 599] {
        meters.record(&Record {
            upstream: second,
            status,
            ..request()
        });
    }
    let stranger = Some(Destination {
        index: 7,
        name: "?",
    });
    meters.record(&Record {
        upstream: stranger,
        ..request()
    });
    let text = page(&meters, &Snapshot::default());
    let counted: Vec<&str> = samples(&text, &["tidegate_requests_total"])
        .into_iter()
        .filter(|line| !line.ends_with(" 0"))
        .collect();
    assert_eq!(
        counted,
        [
            r#"tidegate_requests_total{class="rest",method="GET",status="0",upstream=""} 5"#,
            r#"tidegate_requests_total{class="rest",method="GET",status="200",upstream=""} 1"#,
            r#"tidegate_requests_total{class="rest",method="GET",status="200",upstream="vc1"} 2"#,
            r#"tidegate_requests_total{class="rest",method="GET",status="100",upstream="vc2"} 1"#,
            r#"tidegate_requests_total{class="rest",method="GET",status="599",upstream="vc2"} 1"#,
            r#"tidegate_requests_total{class="rest",method="other",status="0",upstream=""} 4"#,
            r#"tidegate_requests_total{class="soap",method="GET",status="503",upstream="vc2"} 1"#,
        ]
        .into_iter()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
    );
}

#[test]
fn durations_and_waits_fall_into_their_buckets() {
    let meters = Meters::new(["vc1"]).unwrap();
    meters.record(&Record {
        duration: Duration::from_secs(4000),
        ..request()
    });
    meters.record(&Record {
        duration: Duration::from_micros(999),
        ..request()
    });
    meters.record(&Record {
        upstream_duration: None,
        ..request()
    });
    meters.waited("vc1", "request_rate", Duration::from_secs(600));
    let text = page(&meters, &Snapshot::default());
    for line in [
        r#"tidegate_request_duration_seconds_bucket{class="rest",upstream="vc1",le="0.001"} 1"#,
        r#"tidegate_request_duration_seconds_bucket{class="rest",upstream="vc1",le="0.025"} 2"#,
        r#"tidegate_request_duration_seconds_bucket{class="rest",upstream="vc1",le="3600"} 2"#,
        r#"tidegate_request_duration_seconds_bucket{class="rest",upstream="vc1",le="+Inf"} 3"#,
        r#"tidegate_upstream_duration_seconds_count{class="rest",upstream="vc1"} 2"#,
        r#"tidegate_limit_wait_seconds_bucket{limit="request_rate",upstream="vc1",le="300"} 0"#,
        r#"tidegate_limit_wait_seconds_bucket{limit="request_rate",upstream="vc1",le="600"} 1"#,
    ] {
        assert!(
            text.lines().any(|seen| seen == line),
            "{line} not in\n{text}"
        );
    }
}

#[test]
fn what_did_not_happen_yet_reads_zero() {
    let meters = Meters::new(["vc1", "vc2"]).unwrap();
    let text = page(&meters, &Snapshot::default());
    for upstream in ["vc1", "vc2"] {
        for class in Class::ALL.map(Class::as_str) {
            for line in [
                format!(
                    r#"tidegate_requests_total{{class="{class}",method="GET",status="200",upstream="{upstream}"}} 0"#
                ),
                format!(
                    r#"tidegate_request_duration_seconds_bucket{{class="{class}",upstream="{upstream}",le="0.001"}} 0"#
                ),
                format!(
                    r#"tidegate_upstream_duration_seconds_count{{class="{class}",upstream="{upstream}"}} 0"#
                ),
            ] {
                assert!(text.lines().any(|seen| seen == line), "{line}");
            }
        }
    }
    let none = samples(&text, &["tidegate_request_duration_seconds_count"]);
    let none: Vec<&&str> = none
        .iter()
        .filter(|line| line.contains("upstream=\"\""))
        .collect();
    assert_eq!(
        none,
        [&r#"tidegate_request_duration_seconds_count{class="other",upstream=""} 0"#]
    );
}

#[test]
fn a_limit_nobody_waited_for_reads_zero() {
    let meters = Meters::new(["vc1"]).unwrap();
    let text = page(&meters, &snapshot());
    let line = r#"tidegate_limit_wait_seconds_count{limit="connections_http",upstream=""} 0"#;
    assert!(text.lines().any(|seen| seen == line), "{text}");
}

#[test]
fn an_odd_name_is_escaped() {
    let meters = Meters::new(["a\"b\\c\nd"]).unwrap();
    meters.record(&request());
    let text = page(&meters, &Snapshot::default());
    assert!(text.contains(r#"upstream="a\"b\\c\nd""#), "{text}");
}
