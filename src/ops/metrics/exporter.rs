//! Where the counts are kept, and how they are rendered.

use std::sync::OnceLock;
use std::time::Duration;

use ::metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::{CATALOGUE, Kind};

/// The exporter's memory is emptied into buckets this often, asked for metrics or not.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

static INSTALLED: OnceLock<Handle> = OnceLock::new();

/// Renders what was counted.
#[derive(Debug, Clone)]
pub struct Handle(PrometheusHandle);

impl Handle {
    /// All metrics as Prometheus text, format 0.0.4.
    pub fn render(&self) -> String {
        self.0.render()
    }
}

/// Begins to count. Later calls give the same handle. What is counted before the first call is lost.
pub fn install() -> Handle {
    INSTALLED.get_or_init(build).clone()
}

fn build() -> Handle {
    let mut builder = PrometheusBuilder::new();
    for metric in CATALOGUE {
        if let Kind::Histogram(limits) = metric.kind {
            let matcher = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(matcher, limits).expect("no list of buckets is empty");
        }
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if ::metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("metrics are recorded elsewhere already: /metrics stays empty");
    }
    for metric in CATALOGUE {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Histogram(_) => describe_histogram!(metric.name, metric.help),
        }
    }
    super::build_info();

    let upkeep = handle.clone();
    let thread = std::thread::Builder::new().name("metrics-upkeep".to_owned());
    let spawned = thread.spawn(move || {
        loop {
            std::thread::sleep(UPKEEP_EVERY);
            upkeep.run_upkeep();
        }
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "cannot start the metrics' upkeep: scrape often, or memory grows");
    }
    Handle(handle)
}

/// A handle that is looked up once. Nothing before [`install`]: a handle made earlier would never count.
pub(super) fn cached<T>(cell: &'static OnceLock<T>, make: impl FnOnce() -> T) -> Option<&'static T> {
    INSTALLED.get()?;
    Some(cell.get_or_init(make))
}
