//! Alerts, their tests and the dashboard ask for metrics that there are, and every alert has its entry in the runbook.
//!
//! That queries are PromQL, and that alerts fire when they should, is for promtool (`scripts/test-prometheus.sh`). It
//! takes any name for a metric's, so names, labels and their values are checked here.

mod promql;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_yaml_ng::Value;
use waybill::ops::metrics::{CATALOGUE, Kind, Metric, Outcome};

use self::promql::{Query, Series};

const RUNBOOK: &str = include_str!("../../docs/OPERATIONS.md");
const DASHBOARD: &str = include_str!("../../deploy/grafana/waybill.json");

/// Labels that Prometheus puts on every series.
const EVERYWHERE: [&str; 2] = ["job", "instance"];

// --- what there is ---

/// The metric behind a series' name; a histogram is there as its three series only.
fn metric_of(name: &str) -> Option<&'static Metric> {
    CATALOGUE.iter().find(|metric| match metric.kind {
        Kind::Counter | Kind::Gauge => metric.name == name,
        Kind::Histogram(_) => {
            ["_bucket", "_sum", "_count"].contains(&name.strip_prefix(metric.name).unwrap_or_default())
        }
    })
}

/// What queries may speak of: metrics come from the catalogue.
struct Known {
    /// Names that rules of ours record.
    recorded: BTreeSet<String>,
    /// The program's text, which label values stand in.
    sources: String,
}

impl Known {
    fn new() -> Known {
        let recorded = rules().iter().filter_map(|rule| rule["record"].as_str().map(str::to_owned)).collect();
        let mut sources = String::new();
        read_folder(&root().join("src"), &mut sources);
        Known { recorded, sources }
    }

    fn is_value(&self, metric: &Metric, value: &str) -> bool {
        if metric.name == "waybill_receive_requests_total" {
            return Outcome::ALL.iter().any(|outcome| outcome.as_str() == value);
        }
        self.sources.contains(&format!("\"{value}\""))
    }

    /// All names, labels and values of a query that are not there.
    fn faults(&self, query: &str) -> Vec<String> {
        let Query { series, grouped_by } = promql::read(query);
        let mut faults = Vec::new();
        let mut groups: BTreeSet<&str> = EVERYWHERE.into();
        if series.is_empty() {
            faults.push("no metric".to_owned());
        }
        for Series { name, labels } in &series {
            let mut allowed: BTreeSet<&str> = EVERYWHERE.into();
            let metric = metric_of(name);
            match metric {
                Some(metric) => allowed.extend(metric.labels),
                None if name == "up" || self.recorded.contains(name) => {}
                None => faults.push(format!("no metric {name}")),
            }
            if name.ends_with("_bucket") {
                allowed.insert("le");
            }
            for (label, value) in labels {
                if !allowed.contains(label.as_str()) {
                    faults.push(format!("{name} has no label {label}"));
                }
                if let Some(metric) = metric.filter(|metric| metric.labels.contains(&label.as_str())) {
                    let wrong = value.split('|').filter(|value| !self.is_value(metric, value));
                    faults.extend(wrong.map(|value| format!("{name} has no {label} {value}")));
                }
            }
            groups.extend(allowed);
        }
        let wrong = grouped_by.iter().filter(|label| !groups.contains(label.as_str()));
        faults.extend(wrong.map(|label| format!("nothing has a label {label}")));
        faults
    }
}

// --- the files ---

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read_folder(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_folder(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&std::fs::read_to_string(&path).expect("a source"));
        }
    }
}

fn yaml(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn list(value: &Value) -> &[Value] {
    value.as_sequence().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value:?} is no text"))
}

fn rules() -> Vec<Value> {
    let file = yaml(&root().join("deploy/prometheus/waybill.rules.yml"));
    list(&file["groups"]).iter().flat_map(|group| list(&group["rules"]).to_vec()).collect()
}

fn alerts() -> Vec<Value> {
    let alerts: Vec<Value> = rules().into_iter().filter(|rule| rule["alert"].as_str().is_some()).collect();
    assert!(alerts.len() > 15, "{} alerts", alerts.len());
    alerts
}

fn names(alerts: &[Value]) -> BTreeSet<String> {
    alerts.iter().map(|alert| text(&alert["alert"]).to_owned()).collect()
}

/// All tests for promtool, in all files.
fn rule_tests() -> Vec<Value> {
    let folder = std::fs::read_dir(root().join("deploy/prometheus/tests")).expect("the folder of tests");
    let paths: Vec<PathBuf> = folder.flatten().map(|entry| entry.path()).collect();
    let tests: Vec<Value> = paths.iter().flat_map(|path| list(&yaml(path)["tests"]).to_vec()).collect();
    assert!(!tests.is_empty());
    tests
}

fn dashboard() -> serde_json::Value {
    serde_json::from_str(DASHBOARD).expect("the dashboard is JSON")
}

fn panels(dashboard: &serde_json::Value) -> &[serde_json::Value] {
    dashboard["panels"].as_array().expect("panels")
}

/// Title and query of each target of each panel.
fn dashboard_queries() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let mut queries = Vec::new();
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().expect("a title");
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push((title.to_owned(), target["expr"].as_str().expect("a query").to_owned()));
        }
    }
    queries
}

/// Whatever `datasource` holds, anywhere.
fn data_sources(value: &serde_json::Value, found: &mut Vec<serde_json::Value>) {
    match value {
        serde_json::Value::Object(fields) => {
            found.extend(fields.get("datasource").cloned());
            fields.values().for_each(|value| data_sources(value, found));
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| data_sources(value, found)),
        _ => {}
    }
}

// --- the tests ---

#[test]
fn a_name_a_label_or_a_value_that_is_not_there_is_noticed() {
    let known = Known::new();

    for (query, faults) in [
        ("sum by (job, kind) (rate(waybill_load_failures_total{kind=\"lake\"}[5m])) > 0", 0),
        ("max(waybill_load_seconds_bucket{le=\"60\", job=~\"$job\"}) or up offset 1h", 0),
        ("rate(waybill_load_failure_total[5m])", 1),
        ("rate(waybill_load_seconds[5m])", 1),
        ("rate(waybill_load_failures_total_count[5m])", 1),
        ("process_cpu_seconds_total", 1),
        ("time() - 5", 1),
        ("rate(waybill_load_failures_total{reason=\"lake\"}[5m])", 1),
        ("rate(waybill_load_failures_total{kind=~\"lake|sea|ocean\"}[5m])", 2),
        ("rate(waybill_receive_requests_total{outcome=\"lost\"}[5m])", 1),
        ("sum by (job, reason) (waybill_load_failures_total)", 1),
        ("sum by (le) (waybill_load_seconds_sum)", 1),
    ] {
        assert_eq!(known.faults(query).len(), faults, "{query}: {:?}", known.faults(query));
    }
}

#[test]
fn every_rule_asks_for_metrics_that_there_are() {
    let known = Known::new();

    for rule in rules() {
        let faults = known.faults(text(&rule["expr"]));
        assert!(faults.is_empty(), "{:?}: {faults:?}", rule["alert"]);
    }
}

#[test]
fn every_alert_is_tested_with_metrics_that_there_are() {
    let known = Known::new();

    for test in rule_tests() {
        for series in list(&test["input_series"]) {
            let faults = known.faults(text(&series["series"]));
            assert!(faults.is_empty(), "{:?}: {faults:?}", test["name"]);
        }
    }
}

#[test]
fn every_alert_fires_in_one_test_and_keeps_quiet_in_another() {
    let alerts = names(&alerts());
    let (mut firing, mut quiet) = (BTreeSet::new(), BTreeSet::new());

    for test in rule_tests() {
        let checks = list(&test["alert_rule_test"]);
        let of = |fires: bool| {
            let checks = checks.iter().filter(move |check| list(&check["exp_alerts"]).is_empty() != fires);
            checks.map(|check| text(&check["alertname"]).to_owned()).collect::<BTreeSet<String>>()
        };
        // One that fires later in the same test is no proof of keeping quiet.
        quiet.extend(of(false).difference(&of(true)).cloned());
        firing.extend(of(true));
    }

    assert_eq!(firing, alerts, "alerts that fire in a test, and alerts");
    assert_eq!(quiet, alerts, "alerts that keep quiet in a test, and alerts");
}

#[test]
fn every_alert_has_a_severity_and_its_entry_in_the_runbook() {
    let alerts = alerts();
    let headings: BTreeSet<String> = RUNBOOK
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .filter(|heading| heading.starts_with("Waybill") && !heading.contains(' '))
        .map(str::to_owned)
        .collect();

    assert_eq!(headings, names(&alerts), "headings of docs/OPERATIONS.md, and alerts");
    for alert in alerts {
        let name = text(&alert["alert"]);
        let anchor = format!("docs/OPERATIONS.md#{}", name.to_lowercase());
        assert_eq!(text(&alert["annotations"]["runbook_url"]), anchor, "{name}");
        assert!(!text(&alert["annotations"]["summary"]).is_empty(), "{name}");
        assert!(["page", "ticket"].contains(&text(&alert["labels"]["severity"])), "{name}");
    }
}

#[test]
fn every_query_of_the_dashboard_names_a_metric_that_there_is() {
    let known = Known::new();
    let queries = dashboard_queries();

    assert!(queries.len() > 40, "{} queries", queries.len());
    for (title, query) in queries {
        let faults = known.faults(&query);
        assert!(faults.is_empty(), "{title}: {faults:?}");
    }
    let dashboard = dashboard();
    let definition = dashboard["templating"]["list"][1]["definition"].as_str().expect("the jobs' query");
    let asked = definition.strip_prefix("label_values(").and_then(|rest| rest.split(',').next());
    assert!(known.faults(asked.expect("values of a label")).is_empty(), "{definition}");
}

#[test]
fn the_dashboard_runs_on_any_data_source() {
    let dashboard = dashboard();

    let ids: BTreeSet<i64> =
        panels(&dashboard).iter().map(|panel| panel["id"].as_i64().expect("an id")).collect();
    assert_eq!(ids.len(), panels(&dashboard).len(), "ids are unique");
    let mut sources = Vec::new();
    data_sources(&dashboard, &mut sources);
    assert!(sources.len() > 40, "{} data sources", sources.len());
    let wanted = serde_json::json!({ "type": "prometheus", "uid": "${datasource}" });
    for source in sources {
        assert_eq!(source, wanted, "a data source that is not the variable's");
    }
    assert_eq!(dashboard["templating"]["list"][0]["name"], "datasource");
    assert_eq!(dashboard["templating"]["list"][0]["type"], "datasource");
}
