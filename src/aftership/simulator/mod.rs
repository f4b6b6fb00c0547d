//! A stand-in for AfterShip: endless, realistic, signed events, for trying things out, for tests and benchmarks.
//!
//! [`Simulator`] is an iterator of bodies: many parcels interleaved, each a journey told in growing snapshots, in
//! any version's shape, with repetitions, late and unreadable ones by choice. Pure: the same seed and options, the
//! same bodies. [`sender`] signs them and posts them as AfterShip does.

mod body;
mod journey;
mod scans;
pub mod sender;
mod versions;
mod vocabulary;

use std::ops::RangeInclusive;

use fastrand::Rng;
use jiff::Timestamp;
use serde_json::json;

use journey::Parcel;

pub use versions::{UnknownVersion, Version};

/// Parcels on their way at once; older ones are told to their end first.
const PARCELS_MAX: usize = 64;

/// How often an event begins a new parcel while there is room.
const NEW_PARCEL_RATE: f64 = 0.3;

/// Levels of an unreadably deep body.
const DEPTH_OF_POISON: usize = 200;

/// What to simulate.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatorOptions {
    /// Shape of the bodies.
    pub version: Version,
    /// Share of unreadable bodies, 0 to 1.
    pub poison_rate: f64,
    /// Share of events that are delivered a second time, later, 0 to 1.
    pub duplicate_rate: f64,
    /// Share of events that newer ones overtake, 0 to 1.
    pub late_rate: f64,
    /// The present: no event is younger.
    pub start: Timestamp,
    /// Events a second by which the present moves on; without it, it stands still.
    pub rate: Option<f64>,
    /// The shop's orders that parcels belong to, by number.
    pub orders: RangeInclusive<u32>,
}

impl Default for SimulatorOptions {
    fn default() -> Self {
        SimulatorOptions {
            version: Version::V2026_07,
            poison_rate: 0.0,
            duplicate_rate: 0.02,
            late_rate: 0.005,
            // 2026-07-09T00:00:00Z
            start: Timestamp::constant(1_783_555_200, 0),
            rate: None,
            // Those of the training data set.
            orders: 1..=68_883,
        }
    }
}

/// What a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryKind {
    /// An event, for the first time and in its turn.
    Event,
    /// The same bytes as an event before.
    Duplicate,
    /// For the first time, but after newer events.
    Late,
    /// Unreadable, as [`crate::aftership::webhook::read`] sees it.
    Poison,
}

/// One request, unsigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its exact bytes.
    pub body: Vec<u8>,
    /// AfterShip's headers, the signature aside.
    pub headers: Vec<(&'static str, String)>,
    /// What it is.
    pub kind: DeliveryKind,
    /// The event's UUID, in the body too; unreadable ones have none.
    pub event_id: Option<String>,
}

/// An endless row of deliveries.
#[derive(Debug)]
pub struct Simulator {
    options: SimulatorOptions,
    rng: Rng,
    parcels: Vec<Told>,
    /// Repetitions and late ones, each with the delivery it comes after.
    held: Vec<(u64, Delivery)>,
    delivered: u64,
}

/// A parcel, told up to a moment.
#[derive(Debug)]
struct Told {
    parcel: Parcel,
    next: usize,
}

impl Simulator {
    /// The same `seed` and options give the same deliveries.
    pub fn new(seed: u64, options: SimulatorOptions) -> Self {
        Simulator { options, rng: Rng::with_seed(seed), parcels: Vec::new(), held: Vec::new(), delivered: 0 }
    }

    /// The next event of one of the parcels.
    fn event(&mut self) -> Delivery {
        let rng = &mut self.rng;
        let has_room = self.parcels.len() < PARCELS_MAX;
        let is_new = self.parcels.is_empty() || (has_room && rng.f64() < NEW_PARCEL_RATE);
        let index = if is_new {
            let moved =
                self.options.rate.map_or(0.0, |rate| self.delivered as f64 / rate.max(f64::MIN_POSITIVE));
            let clock = self.options.start.as_second().saturating_add(moved.min(1e9) as i64);
            self.parcels.push(Told {
                parcel: Parcel::new(rng, self.options.version, clock, self.options.orders.clone()),
                next: 0,
            });
            self.parcels.len() - 1
        } else {
            rng.usize(0..self.parcels.len())
        };
        let event_id = uuid::Builder::from_random_bytes(rng.u128(..).to_be_bytes()).into_uuid().to_string();
        let told = &mut self.parcels[index];
        let delivery = Delivery {
            body: body::write(&told.parcel, told.next, &event_id),
            headers: headers(told.parcel.version_at(told.next)),
            kind: DeliveryKind::Event,
            event_id: Some(event_id),
        };
        told.next += 1;
        if told.next == told.parcel.moments.len() {
            self.parcels.swap_remove(index);
        }
        delivery
    }

    /// A validly signed body that is no event.
    fn poison(&mut self) -> Delivery {
        let body = match self.rng.u32(0..4) {
            0 => Vec::new(),
            1 => {
                let mut cut = self.event().body;
                cut.truncate(cut.len() / 2);
                // Told apart even when the same length comes twice.
                cut.extend_from_slice(format!("…cut {}", self.delivered).as_bytes());
                cut
            }
            2 => json!({ "event": "tracking_update", "ts": self.options.start.as_second(), "delivery": self.delivered })
                .to_string()
                .into_bytes(),
            _ => {
                let (open, close) = ("[".repeat(DEPTH_OF_POISON), "]".repeat(DEPTH_OF_POISON));
                let id = self.delivered;
                format!(r#"{{"msg":{{"id":"deep-{id}","custom_fields":{open}{close}}}}}"#).into_bytes()
            }
        };
        let headers = headers(Version::V2026_07);
        Delivery { body, headers, kind: DeliveryKind::Poison, event_id: None }
    }

    fn hold(&mut self, delivery: Delivery, kind: DeliveryKind, deliveries_max: u64) {
        let due = self.delivered + self.rng.u64(1..=deliveries_max);
        self.held.push((due, Delivery { kind, ..delivery }));
    }

    fn take_due(&mut self) -> Option<Delivery> {
        let index = self.held.iter().position(|(due, _)| *due <= self.delivered)?;
        Some(self.held.swap_remove(index).1)
    }

    fn happens(&mut self, rate: f64) -> bool {
        self.rng.f64() < rate
    }
}

impl Iterator for Simulator {
    type Item = Delivery;

    fn next(&mut self) -> Option<Delivery> {
        self.delivered += 1;
        if let Some(held) = self.take_due() {
            return Some(held);
        }
        if self.happens(self.options.poison_rate) {
            return Some(self.poison());
        }
        if self.happens(self.options.late_rate) {
            let late = self.event();
            self.hold(late, DeliveryKind::Late, 200);
        }
        let event = self.event();
        if self.happens(self.options.duplicate_rate) {
            self.hold(event.clone(), DeliveryKind::Duplicate, 60);
        }
        Some(event)
    }
}

/// What AfterShip sends beside the body.
fn headers(version: Version) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("user-agent", "AfterShipTrackingWebhook/4.0.0 (https://www.aftership.com)".to_owned()),
        ("accept", "application/json".to_owned()),
        ("accept-encoding", "gzip".to_owned()),
    ];
    if version != Version::Legacy {
        headers.push(("as-webhook-version", version.as_str().to_owned()));
    }
    headers
}

#[cfg(test)]
mod tests;
