//! What the metrics said over the last hour: rates, levels and percentiles out of samples. Pure.
//!
//! A console that needs no other server keeps its own hour. What is older, and across processes, is Prometheus's.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How often a sample is taken.
pub(super) const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// Minutes that are kept.
pub(super) const MINUTES: usize = 60;
/// Samples of that time, and one before it.
const SAMPLES_MAX: usize = MINUTES * 60 / 5 + 13;

/// A number that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Series {
    Accepted,
    Answered,
    Polled,
    QueueReady,
    QueueLeased,
    QueueOldest,
    SpoolReady,
    Taken,
    Landed,
    Objects,
    Held,
    DeadLettered,
    Files,
    WaitingFiles,
    Lines,
    Inserted,
    Rejected,
    OldestEvent,
    CanaryFound,
    CanaryRefused,
    CanaryLost,
    AwsRequests,
    LastReceive,
    LastBatch,
    LastLoad,
}

/// A histogram that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    Answer,
    ToLake,
    ToFact,
    Canary,
}

/// Where a series is in the metrics: name, and the label that its lines must have.
const SERIES: [(Series, &str, &str); 25] = [
    (Series::Accepted, "waybill_receive_requests_total", "outcome=\"accepted\""),
    (Series::Answered, "waybill_receive_requests_total", ""),
    (Series::Polled, "waybill_poll_snapshots_total", "outcome=\"sent\""),
    (Series::QueueReady, "waybill_queue_ready_messages", "queue=\"main\""),
    (Series::QueueLeased, "waybill_queue_leased_messages", "queue=\"main\""),
    (Series::QueueOldest, "waybill_queue_oldest_message_seconds", "queue=\"main\""),
    (Series::SpoolReady, "waybill_queue_ready_messages", "queue=\"spool\""),
    (Series::Taken, "waybill_batch_received_messages_total", ""),
    (Series::Landed, "waybill_batch_landed_events_total", ""),
    (Series::Objects, "waybill_batch_landed_objects_total", ""),
    (Series::Held, "waybill_batch_held_events", ""),
    (Series::DeadLettered, "waybill_batch_dead_letters_total", ""),
    (Series::Files, "waybill_load_files_total", ""),
    (Series::WaitingFiles, "waybill_load_waiting_files", ""),
    (Series::Lines, "waybill_load_rows_total", ""),
    (Series::Inserted, "waybill_load_rows_total", "outcome=\"inserted\""),
    (Series::Rejected, "waybill_load_rows_total", "outcome=\"rejected\""),
    (Series::OldestEvent, "waybill_freshness_oldest_event_seconds", ""),
    (Series::CanaryFound, "waybill_canary_requests_total", "outcome=\"found\""),
    (Series::CanaryRefused, "waybill_canary_requests_total", "outcome=\"refused\""),
    (Series::CanaryLost, "waybill_canary_requests_total", "outcome=\"lost\""),
    (Series::AwsRequests, "waybill_aws_requests_total", ""),
    (Series::LastReceive, "waybill_mover_last_success_timestamp_seconds", "mover=\"receive\""),
    (Series::LastBatch, "waybill_mover_last_success_timestamp_seconds", "mover=\"batch\""),
    (Series::LastLoad, "waybill_mover_last_success_timestamp_seconds", "mover=\"load\""),
];

/// The same for histograms; the name is that of the buckets.
const TIMES: [(Times, &str, &str); 4] = [
    (Times::Answer, "waybill_receive_request_seconds_bucket", "result=\"accepted\""),
    (Times::ToLake, "waybill_batch_ack_to_lake_seconds_bucket", ""),
    (Times::ToFact, "waybill_load_ack_to_fact_seconds_bucket", ""),
    (Times::Canary, "waybill_canary_freshness_seconds_bucket", ""),
];

/// What the metrics said at one instant.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    at: Timestamp,
    /// In the order of [`Series`]; nothing where the process has no such metric.
    values: [Option<f64>; SERIES.len()],
    /// In the order of [`Times`]: upper limits, and how many were at most so large.
    buckets: [Vec<(f64, f64)>; TIMES.len()],
}

impl Sample {
    /// Reads Prometheus's text.
    pub(super) fn read(text: &str, at: Timestamp) -> Sample {
        let mut sample =
            Sample { at, values: [None; SERIES.len()], buckets: std::array::from_fn(|_| Vec::new()) };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            for (index, (_, known, label)) in SERIES.iter().enumerate() {
                if *known == name && labels.contains(label) {
                    let sum = &mut sample.values[index];
                    *sum = Some(sum.unwrap_or(0.0) + value);
                }
            }
            for (index, (_, known, label)) in TIMES.iter().enumerate() {
                if *known == name
                    && labels.contains(label)
                    && let Some(limit) = limit(labels)
                {
                    sample.buckets[index].push((limit, value));
                }
            }
        }
        for buckets in &mut sample.buckets {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        sample
    }

    /// What a series stood at.
    pub(super) fn value(&self, series: Series) -> Option<f64> {
        self.values[series as usize]
    }
}

fn limit(labels: &str) -> Option<f64> {
    let (_, rest) = labels.split_once("le=\"")?;
    let (limit, _) = rest.split_once('"')?;
    if limit == "+Inf" { Some(f64::INFINITY) } else { limit.parse().ok() }
}

/// One minute of the past.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Minute {
    /// Its end.
    pub(super) until: Timestamp,
    /// Events a second that came in.
    pub(super) received: Option<f64>,
    /// Waiting in the queue at its end.
    pub(super) queued: Option<f64>,
    /// Events a second that landed.
    pub(super) landed: Option<f64>,
    /// Lines a second that were loaded.
    pub(super) loaded: Option<f64>,
    /// Seconds from acknowledged to queryable, of 99 in 100.
    pub(super) p99: Option<f64>,
    /// Dead letters.
    pub(super) dead: Option<f64>,
}

/// The last hour.
#[derive(Debug, Default)]
pub(super) struct Ring(VecDeque<Sample>);

impl Ring {
    /// Takes the newest sample; the oldest goes.
    pub(super) fn push(&mut self, sample: Sample) {
        if self.0.len() >= SAMPLES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    /// The newest sample.
    pub(super) fn last(&self) -> Option<&Sample> {
        self.0.back()
    }

    /// How far back there is anything to tell of.
    pub(super) fn reach(&self) -> Option<Duration> {
        let (first, last) = (self.0.front()?, self.0.back()?);
        Duration::try_from(last.at.duration_since(first.at)).ok()
    }

    /// What a series stands at.
    pub(super) fn now(&self, series: Series) -> Option<f64> {
        self.last()?.value(series)
    }

    /// By how much a counter grew in the time up to the newest sample.
    pub(super) fn growth(&self, series: Series, over: Duration) -> Option<f64> {
        let last = self.last()?;
        grown(self.before(last.at, over)?, last, series)
    }

    /// By how much it grew in a second.
    pub(super) fn rate(&self, series: Series, over: Duration) -> Option<f64> {
        let last = self.last()?;
        rated(self.before(last.at, over)?, last, series)
    }

    /// Below which value so large a part of what was timed lately lies.
    pub(super) fn quantile(&self, times: Times, over: Duration, part: f64) -> Option<f64> {
        let last = self.last()?;
        let first = self.before(last.at, over)?;
        quantile(&first.buckets[times as usize], &last.buckets[times as usize], part)
    }

    /// The last minutes, oldest first; those before the first sample are left out.
    pub(super) fn minutes(&self) -> Vec<Minute> {
        let Some(last) = self.last() else { return Vec::new() };
        (0..MINUTES)
            .rev()
            .filter_map(|back| {
                let until = last.at - SignedDuration::from_secs(60 * i64::try_from(back).ok()?);
                let end = self.at(until)?;
                let begin = self.before(until, Duration::from_secs(60))?;
                let received = sum(rated(begin, end, Series::Accepted), rated(begin, end, Series::Polled));
                let fact = Times::ToFact as usize;
                Some(Minute {
                    until,
                    received,
                    queued: sum(end.value(Series::QueueReady), end.value(Series::QueueLeased)),
                    landed: rated(begin, end, Series::Landed),
                    loaded: rated(begin, end, Series::Lines),
                    p99: quantile(&begin.buckets[fact], &end.buckets[fact], 0.99),
                    dead: grown(begin, end, Series::DeadLettered),
                })
            })
            .collect()
    }

    /// The newest sample that is not after an instant.
    fn at(&self, instant: Timestamp) -> Option<&Sample> {
        let after = self.0.partition_point(|sample| sample.at <= instant);
        self.0.get(after.checked_sub(1)?)
    }

    /// The sample so long before an instant, or the first one of all.
    fn before(&self, instant: Timestamp, over: Duration) -> Option<&Sample> {
        let over = SignedDuration::try_from(over).ok()?;
        let from = instant.checked_sub(over).ok()?;
        let sample = self.at(from).or_else(|| self.0.front())?;
        (sample.at < instant).then_some(sample)
    }
}

/// Two numbers, of which one may be missing.
pub(super) fn sum(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (None, None) => None,
        _ => Some(one.unwrap_or(0.0) + other.unwrap_or(0.0)),
    }
}

/// A counter that was not there yet stood at 0.
fn grown(first: &Sample, last: &Sample, series: Series) -> Option<f64> {
    let now = last.value(series)?;
    Some((now - first.value(series).unwrap_or(0.0)).max(0.0))
}

fn rated(first: &Sample, last: &Sample, series: Series) -> Option<f64> {
    let took = last.at.duration_since(first.at).as_secs_f64();
    if took <= 0.0 {
        return None;
    }
    Some(grown(first, last, series)? / took)
}

/// As Prometheus's `histogram_quantile`: even within a bucket, and the greatest limit for what is above all of them.
fn quantile(first: &[(f64, f64)], last: &[(f64, f64)], part: f64) -> Option<f64> {
    let known = |limit: f64| first.iter().find(|(known, _)| *known == limit).map_or(0.0, |(_, count)| *count);
    let grown: Vec<(f64, f64)> = last.iter().map(|(limit, count)| (*limit, count - known(*limit))).collect();
    let total = grown.last()?.1;
    if total <= 0.0 {
        return None;
    }
    let rank = part * total;
    let index = grown.iter().position(|(_, count)| *count >= rank)?;
    let (limit, count) = grown[index];
    let (floor, below) = if index == 0 { (0.0, 0.0) } else { grown[index - 1] };
    if limit.is_infinite() {
        return Some(floor);
    }
    let within = if count > below { (rank - below) / (count - below) } else { 1.0 };
    Some(floor + (limit - floor) * within)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(second: i64, text: &str) -> Sample {
        Sample::read(text, Timestamp::from_second(1_783_598_400 + second).expect("instant"))
    }

    fn counted(second: i64, accepted: u64) -> Sample {
        sample(
            second,
            &format!(
                "# TYPE waybill_receive_requests_total counter\n\
                 waybill_receive_requests_total{{outcome=\"accepted\"}} {accepted}\n\
                 waybill_receive_requests_total{{outcome=\"full\"}} 3\n"
            ),
        )
    }

    #[test]
    fn every_series_and_histogram_stands_at_its_own_place() {
        for (index, (series, ..)) in SERIES.iter().enumerate() {
            assert_eq!(*series as usize, index);
        }
        for (index, (times, ..)) in TIMES.iter().enumerate() {
            assert_eq!(*times as usize, index);
        }
    }

    #[test]
    fn every_metric_that_is_read_is_in_the_catalogue() {
        let names = SERIES.iter().map(|(_, name, _)| *name).chain(TIMES.iter().map(|(_, name, _)| *name));
        for name in names {
            let name = name.trim_end_matches("_bucket");
            assert!(crate::ops::metrics::CATALOGUE.iter().any(|metric| metric.name == name), "{name}");
        }
    }

    #[test]
    fn lines_are_summed_by_their_label() {
        let sample = counted(0, 40);

        assert_eq!(sample.value(Series::Accepted), Some(40.0));
        assert_eq!(sample.value(Series::Answered), Some(43.0));
        assert_eq!(sample.value(Series::Landed), None);
    }

    #[test]
    fn a_rate_is_over_the_time_that_there_is() {
        let mut ring = Ring::default();
        ring.push(counted(0, 0));
        assert_eq!(ring.rate(Series::Accepted, Duration::from_secs(60)), None, "one sample is no rate");

        ring.push(counted(10, 100));
        assert_eq!(ring.rate(Series::Accepted, Duration::from_secs(60)), Some(10.0));

        for second in (15..=100).step_by(5) {
            ring.push(counted(second, 100));
        }
        assert_eq!(ring.rate(Series::Accepted, Duration::from_secs(60)), Some(0.0));
        assert_eq!(ring.growth(Series::Accepted, Duration::from_secs(3_600)), Some(100.0));
    }

    #[test]
    fn the_ring_keeps_an_hour() {
        let mut ring = Ring::default();
        for index in 0..2_000 {
            ring.push(counted(index * 5, u64::try_from(index).expect("small") * 50));
        }

        let minutes = ring.minutes();

        assert_eq!(ring.0.len(), SAMPLES_MAX);
        assert_eq!(minutes.len(), MINUTES);
        assert!(minutes.iter().all(|minute| minute.received == Some(10.0)), "{minutes:?}");
    }

    #[test]
    fn percentiles_are_of_the_time_asked_for_only() {
        let buckets = |counts: [u64; 4]| {
            let [a, b, c, d] = counts;
            format!(
                "waybill_load_ack_to_fact_seconds_bucket{{le=\"1\"}} {a}\n\
                 waybill_load_ack_to_fact_seconds_bucket{{le=\"2\"}} {b}\n\
                 waybill_load_ack_to_fact_seconds_bucket{{le=\"10\"}} {c}\n\
                 waybill_load_ack_to_fact_seconds_bucket{{le=\"+Inf\"}} {d}\n"
            )
        };
        let mut ring = Ring::default();
        // Slow ones, long ago.
        ring.push(sample(0, &buckets([0, 0, 0, 500])));
        ring.push(sample(600, &buckets([50, 100, 100, 600])));
        let lately = Duration::from_secs(300);

        assert_eq!(ring.quantile(Times::ToFact, lately, 0.5), Some(1.0));
        assert_eq!(ring.quantile(Times::ToFact, lately, 0.75), Some(1.5));
        assert_eq!(ring.quantile(Times::Canary, lately, 0.5), None);

        ring.push(sample(900, &buckets([50, 100, 100, 700])));
        assert_eq!(ring.quantile(Times::ToFact, lately, 0.99), Some(10.0), "no more is known than the limit");
    }
}
