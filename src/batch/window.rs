//! Which events share an object: the rules of grouping and closing. Pure: time comes in as an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::event::minute_of;
use crate::lake::layout::{self, Compression};
use crate::lake::manifest::{FlushReason, KeysHash, ManifestObject};
use crate::lake::object::Packer;
use crate::ops::traces;
use crate::queue::Lease;

use super::read::Readable;

/// When a window closes; whichever limit is reached first.
#[derive(Debug, Clone)]
pub struct WindowLimits {
    /// Age of its first event.
    pub age: Duration,
    /// Uncompressed bytes.
    pub bytes_max: usize,
    /// Events.
    pub events_max: usize,
    /// Open windows (minutes) at once; the oldest closes when one more is needed.
    pub windows_max: usize,
    /// How long a window waits for stragglers once its minute is over.
    pub minute_grace: Duration,
    /// What objects are compressed with.
    pub compression: Compression,
}

/// A finished object, ready to be put, with the leases to delete afterwards.
#[derive(Debug)]
pub struct Closed {
    /// Key below the lake's root.
    pub key: String,
    /// The object.
    pub body: Bytes,
    /// What the manifest says of it.
    pub manifest: ManifestObject,
    /// Uncompressed bytes.
    pub bytes_raw: u64,
    /// The arrival of each event, for freshness.
    pub received_at: Vec<Timestamp>,
    /// The key of each event, while traces are on.
    pub traced: Vec<String>,
    /// Leases of its messages.
    pub leases: Vec<Lease>,
    /// Why it closed.
    pub reason: FlushReason,
}

/// All open windows, one per UTC minute of arrival.
pub struct Windows {
    limits: WindowLimits,
    open: BTreeMap<Timestamp, Window>,
}

impl Windows {
    /// No window open.
    pub fn new(limits: WindowLimits) -> Self {
        Windows { limits, open: BTreeMap::new() }
    }

    /// Puts an event into the window of its minute; gives back what this closes.
    pub fn push(&mut self, event: &Readable, lease: Lease, now: Timestamp) -> Vec<Closed> {
        let minute = minute_of(event.received_at);
        let mut closed = Vec::new();
        if !self.open.contains_key(&minute)
            && self.open.len() >= self.limits.windows_max
            && let Some((oldest, window)) = self.open.pop_first()
        {
            closed.push(window.close(oldest, self.limits.compression, FlushReason::Minute));
        }

        let compression = self.limits.compression;
        let window = self.open.entry(minute).or_insert_with(|| Window::open(compression, now));
        window.append(event, lease);
        let reason = if window.bytes_raw as usize >= self.limits.bytes_max {
            Some(FlushReason::Bytes)
        } else if window.leases.len() >= self.limits.events_max {
            Some(FlushReason::Count)
        } else {
            None
        };
        if let Some(reason) = reason
            && let Some(window) = self.open.remove(&minute)
        {
            closed.push(window.close(minute, compression, reason));
        }
        closed
    }

    /// Closes what is due: old enough, or of a minute that is over.
    pub fn close_due(&mut self, now: Timestamp) -> Vec<Closed> {
        let due: Vec<(Timestamp, FlushReason)> = self
            .open
            .iter()
            .filter_map(|(minute, window)| {
                window.due(*minute, now, &self.limits).map(|reason| (*minute, reason))
            })
            .collect();
        due.into_iter()
            .filter_map(|(minute, reason)| {
                let window = self.open.remove(&minute)?;
                Some(window.close(minute, self.limits.compression, reason))
            })
            .collect()
    }

    /// Closes everything.
    pub fn close_all(&mut self, reason: FlushReason) -> Vec<Closed> {
        std::mem::take(&mut self.open)
            .into_iter()
            .map(|(minute, window)| window.close(minute, self.limits.compression, reason))
            .collect()
    }

    /// Events in open windows.
    pub fn events(&self) -> usize {
        self.open.values().map(|window| window.leases.len()).sum()
    }

    /// Uncompressed bytes in open windows.
    pub fn bytes_raw(&self) -> u64 {
        self.open.values().map(|window| window.bytes_raw).sum()
    }

    /// Arrival of the oldest event in open windows.
    pub fn oldest(&self) -> Option<Timestamp> {
        // Windows go by the minute of arrival, and the first one has the oldest.
        self.open.values().next().and_then(|window| window.received_at.iter().min()).copied()
    }
}

/// One event in an object of its own, for a message that has failed before.
pub fn alone(event: &Readable, lease: Lease, compression: Compression, now: Timestamp) -> Closed {
    let mut window = Window::open(compression, now);
    window.append(event, lease);
    window.close(minute_of(event.received_at), compression, FlushReason::Count)
}

struct Window {
    opened_at: Timestamp,
    packer: Packer,
    hash: Sha256,
    keys: KeysHash,
    bytes_raw: u64,
    received_at: Vec<Timestamp>,
    traced: Vec<String>,
    leases: Vec<Lease>,
}

impl Window {
    fn open(compression: Compression, now: Timestamp) -> Self {
        Window {
            opened_at: now,
            packer: Packer::new(compression),
            hash: Sha256::new(),
            keys: KeysHash::default(),
            bytes_raw: 0,
            received_at: Vec::new(),
            traced: Vec::new(),
            leases: Vec::new(),
        }
    }

    fn append(&mut self, event: &Readable, lease: Lease) {
        self.packer.append(&event.line);
        self.packer.append(b"\n");
        self.hash.update(&event.line);
        self.hash.update(b"\n");
        self.keys.add(&event.event_key);
        self.bytes_raw += event.line.len() as u64 + 1;
        self.received_at.push(event.received_at);
        if traces::is_on() {
            self.traced.push(event.event_key.clone());
        }
        self.leases.push(lease);
    }

    fn due(&self, minute: Timestamp, now: Timestamp, limits: &WindowLimits) -> Option<FlushReason> {
        let open_for = now.duration_since(self.opened_at);
        // The clock was set back: by how much, nobody knows, and nothing must wait for it to come round again.
        if open_for.is_negative() {
            return Some(FlushReason::Age);
        }
        if open_for >= jiff::SignedDuration::try_from(limits.age).unwrap_or(jiff::SignedDuration::MAX) {
            return Some(FlushReason::Age);
        }
        // Its minute is over: nobody else will join but stragglers, who get an object of their own. The grace is for
        // events that are on their way through the queue.
        let minute_over_for = now.duration_since(minute).as_secs_f64() - 60.0;
        let grace = limits.minute_grace.as_secs_f64();
        (minute_over_for >= grace && open_for.as_secs_f64() >= grace).then_some(FlushReason::Minute)
    }

    fn close(self, minute: Timestamp, compression: Compression, reason: FlushReason) -> Closed {
        let content_hash = hex::encode(self.hash.finalize());
        let key = layout::events_key(minute, &content_hash, compression);
        let body = Bytes::from(self.packer.finish());
        Closed {
            manifest: ManifestObject {
                key: key.clone(),
                lines: self.leases.len() as u64,
                bytes: body.len() as u64,
                keys_hash: self.keys.finish(),
            },
            key,
            body,
            bytes_raw: self.bytes_raw,
            received_at: self.received_at,
            traced: self.traced,
            leases: self.leases,
            reason,
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("instant")
    }

    fn event(received_at: &str, line: &str) -> Readable {
        Readable { line: line.into(), redacted: None, event_key: line.into(), received_at: at(received_at) }
    }

    fn windows(bytes_max: usize, events_max: usize) -> Windows {
        Windows::new(WindowLimits {
            age: Duration::from_secs(5),
            bytes_max,
            events_max,
            windows_max: 2,
            minute_grace: Duration::from_secs(1),
            compression: Compression::None,
        })
    }

    fn lease(text: &str) -> Lease {
        Lease::for_tests(text)
    }

    #[test]
    fn events_of_one_minute_share_an_object() {
        let mut windows = windows(1_000, 100);
        windows.push(&event("2026-07-09T12:00:59.999999Z", "a"), lease("1"), at("2026-07-09T12:01:00Z"));
        windows.push(&event("2026-07-09T12:01:00Z", "b"), lease("2"), at("2026-07-09T12:01:00Z"));
        windows.push(&event("2026-07-09T12:00:00Z", "c"), lease("3"), at("2026-07-09T12:01:00Z"));

        let closed = windows.close_all(FlushReason::Drain);

        assert_eq!(closed.len(), 2);
        assert!(closed[0].key.starts_with("events/dt=2026-07-09/hour=12/minute=00/"), "{}", closed[0].key);
        assert_eq!(closed[0].body.as_ref(), b"a\nc\n");
        assert_eq!(closed[0].manifest.lines, 2);
        assert_eq!(closed[1].body.as_ref(), b"b\n");
    }

    #[test]
    fn the_same_events_make_the_same_name_and_others_another() {
        let key = |line: &str| {
            let mut windows = windows(1_000, 100);
            windows.push(&event("2026-07-09T12:00:00Z", line), lease("1"), at("2026-07-09T12:00:00Z"));
            windows.close_all(FlushReason::Drain).remove(0).key
        };

        assert_eq!(key("a"), key("a"));
        assert_ne!(key("a"), key("b"));
    }

    #[test]
    fn a_window_closes_by_bytes_and_by_count() {
        let now = at("2026-07-09T12:00:00Z");
        let mut by_bytes = windows(10, 100);
        assert!(by_bytes.push(&event("2026-07-09T12:00:00Z", "12345"), lease("1"), now).is_empty());
        let closed = by_bytes.push(&event("2026-07-09T12:00:00Z", "12345"), lease("2"), now);
        assert_eq!(closed[0].reason, FlushReason::Bytes);
        assert_eq!(closed[0].leases.len(), 2);

        let mut by_count = windows(1_000, 2);
        assert!(by_count.push(&event("2026-07-09T12:00:00Z", "1"), lease("1"), now).is_empty());
        let closed = by_count.push(&event("2026-07-09T12:00:00Z", "2"), lease("2"), now);
        assert_eq!(closed[0].reason, FlushReason::Count);
    }

    #[test]
    fn a_window_closes_by_age_and_when_its_minute_is_over() {
        let mut windows = windows(1_000, 100);
        windows.push(&event("2026-07-09T12:00:10Z", "a"), lease("1"), at("2026-07-09T12:00:10Z"));
        assert!(windows.close_due(at("2026-07-09T12:00:14.9Z")).is_empty());
        assert_eq!(windows.close_due(at("2026-07-09T12:00:15Z"))[0].reason, FlushReason::Age);

        windows.push(&event("2026-07-09T12:00:58Z", "b"), lease("2"), at("2026-07-09T12:00:58Z"));
        assert!(windows.close_due(at("2026-07-09T12:01:00.5Z")).is_empty());
        assert_eq!(windows.close_due(at("2026-07-09T12:01:01Z"))[0].reason, FlushReason::Minute);
    }

    #[test]
    fn a_clock_that_is_set_back_delays_nothing() {
        let mut windows = windows(1_000, 100);
        windows.push(&event("2026-07-09T12:00:10Z", "a"), lease("1"), at("2026-07-09T12:00:10Z"));

        let closed = windows.close_due(at("2026-07-09T11:00:10Z"));

        assert_eq!(closed.len(), 1);
        assert!(closed[0].key.contains("hour=12/minute=00"), "its minute is that of its arrival");
    }

    #[test]
    fn one_minute_too_many_closes_the_oldest() {
        let now = at("2026-07-09T13:00:00Z");
        let mut windows = windows(1_000, 100);
        windows.push(&event("2026-07-09T12:05:00Z", "a"), lease("1"), now);
        windows.push(&event("2026-07-09T12:04:00Z", "b"), lease("2"), now);
        let closed = windows.push(&event("2026-07-09T12:06:00Z", "c"), lease("3"), now);

        assert_eq!(closed.len(), 1);
        assert!(closed[0].key.contains("minute=04"));
        assert_eq!(windows.events(), 2);
    }

    #[test]
    fn every_compression_unpacks_to_the_lines() {
        for compression in [Compression::Zstd, Compression::Gzip, Compression::None] {
            let closed = alone(
                &event("2026-07-09T12:00:00Z", "line"),
                lease("1"),
                compression,
                at("2026-07-09T12:00:00Z"),
            );
            let unpacked = crate::lake::object::unpack(&closed.key, &closed.body, 1_000).expect("own object");
            assert_eq!(unpacked, b"line\n");
        }
    }
}
