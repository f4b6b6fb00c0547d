//! What is known of a metric.

/// What a metric is, with a histogram's bucket limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// A state, set anew.
    Gauge,
    /// How many were at most so large.
    Histogram(&'static [f64]),
}

/// One metric, for people and for the exporter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// As Prometheus sees it.
    pub name: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it is.
    pub kind: Kind,
    /// What it says.
    pub help: &'static str,
}

/// A counter.
pub(super) const fn counts(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, labels, kind: Kind::Counter, help }
}

/// A gauge.
pub(super) const fn state(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, labels, kind: Kind::Gauge, help }
}

/// A histogram of seconds.
pub(super) const fn times(
    name: &'static str,
    labels: &'static [&'static str],
    limits: &'static [f64],
    help: &'static str,
) -> Metric {
    Metric { name, labels, kind: Kind::Histogram(limits), help }
}
