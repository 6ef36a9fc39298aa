//! A live Prometheus scrapes a gate; every query of every panel and every rule is asked of it and has data.
//!
//! An alert's expression has no result while all is well: its operands are asked (see `promql`).

use std::time::{Duration, Instant};

use crate::dashboard::{Dashboard, Variable, filled};
use crate::files;
use crate::gate::{Gate, load};
use crate::promql::operands;
use crate::rules::stated;
use crate::server::Prometheus;
use crate::support::PATIENCE;
use crate::support::origin::Origin;

/// How often a query without data is asked again.
const AGAIN: Duration = Duration::from_millis(200);

/// Something to ask: where it stands, and its text.
struct Question {
    whose: String,
    text: String,
    /// Its panel has words for a value that is no number.
    words_for_nan: bool,
}

impl Question {
    fn new(whose: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            whose: whose.into(),
            text: text.into(),
            words_for_nan: false,
        }
    }

    fn is_answered_by(&self, samples: &[f64]) -> bool {
        let numbers = self.words_for_nan || samples.iter().all(|sample| !sample.is_nan());
        !samples.is_empty() && numbers
    }
}

/// Asks until each has data; fails with all that never have.
async fn all_answered(prometheus: &mut Prometheus, mut left: Vec<Question>) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut unanswered = Vec::new();
        for question in left {
            let samples = prometheus.samples(&question.text).await;
            if !question.is_answered_by(&samples) {
                unanswered.push(question);
            }
        }
        if unanswered.is_empty() {
            return;
        }
        let lines = unanswered
            .iter()
            .map(|one| format!("{}: {}\n", one.whose, one.text));
        let lines: String = lines.collect();
        assert!(Instant::now() < deadline, "no data for\n{lines}");
        left = unanswered;
        tokio::time::sleep(AGAIN).await;
    }
}

/// What a user may choose for `variable`, once there is anything.
async fn choices(
    prometheus: &mut Prometheus,
    variable: &Variable<'_>,
    chosen: &[(&str, String)],
) -> Vec<String> {
    let series = filled(variable.series, &borrowed(chosen));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut values = prometheus.values(&series, variable.label).await;
        if !values.is_empty() {
            values.extend(variable.all.map(str::to_owned));
            return values;
        }
        assert!(Instant::now() < deadline, "{variable:?} has no value");
        tokio::time::sleep(AGAIN).await;
    }
}

fn borrowed<'a>(chosen: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    chosen
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

/// Every way to fill the variables of `dashboard`, one after the other as Grafana does.
async fn fillings<'a>(
    prometheus: &mut Prometheus,
    dashboard: &'a Dashboard,
) -> Vec<Vec<(&'a str, String)>> {
    let mut fillings = vec![Vec::new()];
    for variable in dashboard.variables() {
        let mut longer = Vec::new();
        for filling in fillings {
            for value in choices(prometheus, &variable, &filling).await {
                let one = std::iter::once((variable.name, value));
                longer.push(filling.iter().cloned().chain(one).collect());
            }
        }
        fillings = longer;
    }
    fillings
}

/// The queries of every panel of every dashboard, with every choice of its variables.
async fn of_dashboards(prometheus: &mut Prometheus) -> Vec<Question> {
    let mut questions: Vec<Question> = Vec::new();
    for file in files("grafana") {
        let dashboard = Dashboard::read(&file);
        for filling in fillings(prometheus, &dashboard).await {
            for query in dashboard.queries() {
                let mut question =
                    Question::new(query.panel, filled(query.text, &borrowed(&filling)));
                question.words_for_nan = query.words_for_nan;
                if questions.iter().all(|one| one.text != question.text) {
                    questions.push(question);
                }
            }
        }
    }
    questions
}

/// What each rule records, and what each alert compares.
async fn of_rules(prometheus: &mut Prometheus) -> Vec<Question> {
    let rules = prometheus.rules().await;
    let written = stated("- alert: ").len() + stated("- record: ").len();
    assert_eq!(rules.len(), written, "{rules:?}");
    let mut questions = Vec::new();
    for rule in &rules {
        let (name, query) = (
            rule["name"].as_str().unwrap(),
            rule["query"].as_str().unwrap(),
        );
        if rule["type"] == "recording" {
            questions.push(Question::new(name, name));
            questions.push(Question::new(name, query));
            continue;
        }
        let operands = operands(query);
        assert!(!operands.is_empty(), "{query}");
        questions.extend(operands.into_iter().map(|text| Question::new(name, text)));
    }
    questions
}

#[tokio::test]
async fn every_panel_and_every_rule_has_data_of_a_loaded_gate() {
    let origin = Origin::start().await;
    let gate = Gate::loaded("loaded", origin.address).await;
    let _load = load(gate.http);
    let mut prometheus = Prometheus::start("loaded", gate.admin).await;
    let mut questions = of_dashboards(&mut prometheus).await;
    assert!(questions.len() > 100, "{} questions", questions.len());
    questions.extend(of_rules(&mut prometheus).await);
    // It is loaded indeed, and what is wrong is seen.
    for text in [
        "tidegate:limit_refused:rate5m{limit=\"one_at_a_time\"} > 0",
        "rate(tidegate_requests_total{upstream=\"vc1\",class=\"rest\",status=\"200\"}[15s]) > 0",
        "tidegate:request_duration_seconds:p99_5m{upstream=\"vc1\",class=\"rest\"} >= 0.1",
        "ALERTS{alertname=\"TidegateRefusing\",limit=\"one_at_a_time\"}",
        "ALERTS{alertname=\"TidegateUpstreamGone\",upstream=\"gone\"}",
    ] {
        questions.push(Question::new("the load", text));
    }
    all_answered(&mut prometheus, questions).await;
    for rule in prometheus.rules().await {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
}

#[tokio::test]
async fn no_panel_is_empty_for_a_gate_that_nobody_ever_called() {
    let gate = Gate::least("least").await;
    let mut prometheus = Prometheus::start("least", gate.admin).await;
    let questions = of_dashboards(&mut prometheus).await;
    assert!(questions.len() > 50, "{} questions", questions.len());
    all_answered(&mut prometheus, questions).await;
}
