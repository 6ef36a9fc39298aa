//! What dashboards and rules name is there: metrics of the gate's own page, variables, recorded series.

use std::collections::BTreeSet;

use crate::dashboard::Dashboard;
use crate::gate::Gate;
use crate::rules::{read, stated};
use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::{files, promql};

/// The names of the samples on a page of metrics.
fn exported(page: &str) -> BTreeSet<&str> {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| &line[..line.find(['{', ' ']).unwrap()])
        .collect()
}

#[tokio::test]
async fn every_metric_that_is_named_is_exported_before_the_first_call() {
    let origin = Origin::start().await;
    let gate = Gate::loaded("named", origin.address).await;
    let page = Client::connect(gate.admin).await.get("/metrics").await.body;
    let page = String::from_utf8(page).unwrap();
    let exported = exported(&page);
    assert!(exported.contains("tidegate_requests_total"), "{page}");
    let recorded: BTreeSet<String> = stated("- record: ").into_iter().collect();
    let mut used = BTreeSet::new();
    for file in files("prometheus").iter().chain(&files("grafana")) {
        let text = read(file);
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        for name in lines.flat_map(promql::metrics) {
            let there = exported.contains(name) || recorded.contains(name);
            assert!(there, "{name} of {} is nowhere", file.display());
            used.insert(name.to_owned());
        }
    }
    assert!(used.len() > 20, "{used:?}");
}

#[test]
fn dashboards_stand_alone_and_let_the_operator_choose() {
    for file in files("grafana") {
        let dashboard = Dashboard::read(&file);
        let recorded: Vec<_> = dashboard
            .queries()
            .iter()
            .flat_map(|query| promql::metrics(query.text))
            .filter(|name| name.contains(':'))
            .map(str::to_owned)
            .collect();
        assert!(recorded.is_empty(), "not every server has {recorded:?}");
        assert!(dashboard.data_source_is_chosen(), "{}", file.display());
        let variables = dashboard.variables();
        assert!(
            variables.iter().any(|one| one.name == "upstream"),
            "{variables:?}"
        );
        let mut ids = BTreeSet::new();
        for panel in dashboard.panels() {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
            let has_queries = panel["targets"]
                .as_array()
                .is_some_and(|all| !all.is_empty());
            assert!(panel["type"] == "row" || has_queries, "{panel}");
        }
    }
}
