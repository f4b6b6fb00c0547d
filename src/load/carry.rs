//! From objects that were found to rows that are committed.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::failpoint::failpoint;
use crate::lake::LakeError;
use crate::ops::metrics;
use crate::ops::traces::{self, Span};
use crate::warehouse::rows::{EventRow, FileRows, LoadSet};

use super::discover::Found;
use super::read::{self, ReadFile};
use super::work::Work;
use super::{Load, LoadError, Summary, summary};

impl Load {
    /// Loads those of some objects that the ledger lacks.
    pub(super) async fn load(
        &self,
        found: Vec<Found>,
        stop: &CancellationToken,
        work: &mut Work<'_>,
    ) -> Result<(), LoadError> {
        if found.is_empty() {
            return Ok(());
        }
        failpoint!("load.after_list");
        let keys: Vec<String> = found.iter().map(|object| object.key.clone()).collect();
        let unloaded = self.warehouse.unloaded(keys).await?;
        let wanted: std::collections::HashSet<String> = unloaded.into_iter().collect();
        let waiting: Vec<Found> = found.into_iter().filter(|object| wanted.contains(&object.key)).collect();
        if !waiting.is_empty() {
            self.suppressed.refresh(self.lake.as_ref()).await?;
        }
        work.total += waiting.len() as u64;
        metrics::load_waiting_files(work.left());
        let reads = stream::iter(waiting).map(|object| self.fetch(object));
        let mut reads = std::pin::pin!(reads.buffered(self.settings.readers));
        let mut set = Vec::new();
        let mut bytes_in_set = 0;
        let mut fault = None;
        while let Some(outcome) = reads.next().await {
            match outcome {
                Ok(Some(file)) => {
                    bytes_in_set += file.bytes_unpacked;
                    set.push(file);
                }
                Ok(None) => work.summary.files_missing += 1,
                // The others must not wait for one that may never heal: it stays out of the ledger, and is tried again.
                Err(error) => {
                    metrics::load_failure("unreadable");
                    fault = fault.or(Some(error));
                }
            }
            if bytes_in_set >= self.settings.bytes_max || set.len() >= self.settings.files_max {
                bytes_in_set = 0;
                self.commit(std::mem::take(&mut set), &mut work.summary).await?;
                self.health.beat("load");
                work.tell();
                if stop.is_cancelled() {
                    return Ok(());
                }
            }
        }
        if !set.is_empty() {
            self.commit(set, &mut work.summary).await?;
        }
        work.tell();
        fault.map_or(Ok(()), Err)
    }

    /// Reads one object; `None` when it is not there: one that is gone for good must not hold up all others.
    async fn fetch(&self, object: Found) -> Result<Option<ReadFile>, LoadError> {
        failpoint!("load.before_read");
        let body = match self.lake.get(&object.key).await {
            Ok(body) => body,
            Err(LakeError::NotFound(_)) => {
                warn!(path = %object.key, "an object that should be loaded is not in the lake, its events are missing");
                metrics::load_failure("missing");
                return Ok(None);
            }
            Err(error @ LakeError::TooLarge { .. }) => {
                return Ok(Some(read::too_large(&object.key, object.landed_at, &error)));
            }
            Err(error) => {
                warn!(path = %object.key, %error, "cannot read an object now, going on with others");
                return Err(error.into());
            }
        };
        let (key, expected) = (object.key.clone(), object.lines);
        let suppressed = self.suppressed.get();
        let file = tokio::task::spawn_blocking(move || {
            read::read_without(&object.key, object.landed_at, &body, &suppressed)
        })
        .await
        .map_err(|_| LakeError::Unavailable("reading an object was interrupted".into()))?;
        if file.unerased > 0 {
            // It landed behind an erasure's back: loaded without its person, but the lake still holds it.
            warn!(path = %key, lines = file.unerased, "an object holds people who are erased: run `waybill forget --sweep`");
            metrics::load_unerased(file.unerased);
        }
        match expected {
            // Cut at the end of a line it would look whole.
            Some(expected) if file.rows.is_readable && file.rows.lines < expected => {
                let text = format!("{key} has {} lines, its manifest says {expected}", file.rows.lines);
                warn!(path = %key, "{text}");
                Err(LakeError::Unavailable(text).into())
            }
            _ => Ok(Some(file)),
        }
    }

    /// Reads again what was read before somebody was erased: what is loaded behind an erasure would stay.
    async fn without_erased(&self, files: Vec<ReadFile>) -> Result<Vec<ReadFile>, LoadError> {
        let entries = self.suppressed.refresh(self.lake.as_ref()).await?.entries();
        if files.iter().all(|file| file.suppressed_entries == entries || !file.rows.is_readable) {
            return Ok(files);
        }
        let mut again = Vec::with_capacity(files.len());
        for file in files {
            let found =
                Found { key: file.rows.file, landed_at: file.rows.landed_at, lines: Some(file.rows.lines) };
            again.extend(self.fetch(found).await?);
        }
        Ok(again)
    }

    async fn commit(&self, files: Vec<ReadFile>, summary: &mut Summary) -> Result<(), LoadError> {
        let started = Instant::now();
        let set = read::combine(self.without_erased(files).await?);
        let arrivals: Vec<(String, Vec<Timestamp>)> = set
            .files
            .iter()
            .map(|file| (file.file.clone(), file.events.iter().map(|event| event.received_at).collect()))
            .collect();
        let traced = traced(&set);
        failpoint!("load.before_commit");
        let outcomes = self.warehouse.load(set).await?;
        failpoint!("load.after_commit");

        let now = Timestamp::now();
        for span in traced {
            traces::record(Span { until: now, ..span });
        }
        let mut inserted = 0;
        let mut lines = 0;
        let mut rejected = 0;
        for outcome in &outcomes {
            summary.add(outcome);
            inserted += outcome.inserted;
            lines += outcome.lines;
            rejected += outcome.rejected;
            summary::count(outcome);
            if let Some((_, instants)) = arrivals.iter().find(|(file, _)| *file == outcome.file) {
                for received_at in instants {
                    metrics::load_ack_to_fact(
                        Duration::try_from(now.duration_since(*received_at)).unwrap_or_default(),
                    );
                }
            }
        }
        let files_rejected = outcomes.iter().filter(|outcome| outcome.status == "rejected").count() as u64;
        let files = outcomes.len() as u64;
        metrics::load_files(files - files_rejected, files_rejected);
        metrics::load_took(started.elapsed());
        self.loaded.events.fetch_add(u64::try_from(inserted).unwrap_or(0), Ordering::Relaxed);
        self.loaded.lines.fetch_add(u64::try_from(lines - rejected).unwrap_or(0), Ordering::Relaxed);
        self.loaded
            .rejected
            .fetch_add(u64::try_from(rejected).unwrap_or(0) + files_rejected, Ordering::Relaxed);
        self.loaded.notify.notify_waiters();
        if files > 0 {
            info!(
                load.files = files,
                load.lines = lines,
                load.inserted = inserted,
                load.rejected = rejected,
                took_ms = started.elapsed().as_millis() as u64,
                "loaded {lines} lines of {files} objects, {inserted} events were new"
            );
        }
        if rejected > 0 || files_rejected > 0 {
            warn!(rejected, files_rejected, "some lines or objects were rejected: see raw.rejected_row");
        }
        Ok(())
    }
}

/// A span for each event of a set, while traces are on: from landed to queryable.
fn traced(set: &LoadSet) -> Vec<Span> {
    if !traces::is_on() {
        return Vec::new();
    }
    let of = |file: &FileRows, event: &EventRow| Span {
        key: event.event_key.clone(),
        name: "load",
        is_root: false,
        from: file.landed_at,
        until: file.landed_at,
        attributes: vec![("file", file.file.clone()), ("line", event.line.to_string())],
    };
    set.files.iter().flat_map(|file| file.events.iter().map(move |event| of(file, event))).collect()
}
