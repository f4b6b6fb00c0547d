//! A stand-in for AfterShip: endless, realistic, signed events, for trying things out, for tests and benchmarks.
//!
//! [`Simulator`] is an iterator of bodies: many parcels interleaved, each a journey told in growing snapshots, in
//! any version's shape, with repetitions, late and unreadable ones by choice. Pure: the same seed and options, the
//! same bodies. [`sender`] signs them and posts them as AfterShip does; what has happened lies on a [`Shelf`], whoever
//! was told of it, and [`service`] answers from there as AfterShip's REST API does.

mod answer;
mod ask;
mod body;
mod cursor;
mod journey;
mod limit;
mod scans;
pub mod sender;
pub mod service;
mod shelf;
mod snapshot;
mod versions;
mod vocabulary;

use std::ops::RangeInclusive;
use std::sync::Arc;

use fastrand::Rng;
use jiff::Timestamp;
use serde_json::json;

use journey::Parcel;

pub use service::{Service, ServiceOptions};
pub use shelf::{LIMIT_DEFAULT, LIMIT_MAX, ListAsk, Page, Position, SharedShelf, Shelf, ShelfOptions, Start};
pub use snapshot::Snapshot;
pub use versions::{UnknownVersion, Version};

/// Parcels on their way at once; older ones are told to their end first.
const PARCELS_MAX: usize = 64;

/// How often an event begins a new parcel while there is room.
const NEW_PARCEL_RATE: f64 = 0.3;

/// Parcels on their way at once in live time, where each needs a second of its own for every event.
const LIVE_PARCELS_MAX: usize = 4_096;

/// How often a new parcel belongs to the order of another that is on its way, if that was ordered before.
const SAME_ORDER_RATE: f64 = 0.2;

/// Sets the dice for orders apart from those for journeys.
const SEED_OF_ORDERS: u64 = 0x6f72_6465_7273;

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
    /// Events a second by which the present moves on; without it, it stands still, or in live time goes on by a second
    /// an event.
    pub rate: Option<f64>,
    /// Live time: each event happens at the present, so that `updated_at`, `ts` and the newest scan are of that second
    /// and every later event of a parcel is of a later one. Without it the stories lie in the past days.
    pub is_live: bool,
    /// Deliveries carry what AfterShip's API shows of the parcel, for a [`Shelf`].
    pub has_snapshots: bool,
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
            is_live: false,
            has_snapshots: false,
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
    /// What AfterShip's API shows since this event, with [`SimulatorOptions::has_snapshots`].
    pub snapshot: Option<Arc<Snapshot>>,
}

/// An endless row of deliveries.
#[derive(Debug)]
pub struct Simulator {
    options: SimulatorOptions,
    rng: Rng,
    /// Which parcels share an order; apart, so that the journeys are the same whatever comes of it.
    orders: Rng,
    parcels: Vec<Told>,
    /// Repetitions and late ones, each with the delivery it comes after.
    held: Vec<(u64, Delivery)>,
    /// What happened at the newest delivery without being in it.
    unsent: Option<Delivery>,
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
        Simulator {
            options,
            rng: Rng::with_seed(seed),
            orders: Rng::with_seed(seed ^ SEED_OF_ORDERS),
            parcels: Vec::new(),
            held: Vec::new(),
            unsent: None,
            delivered: 0,
        }
    }

    /// The next delivery, with this as the present instead of the one that `start` and `rate` give. For live time it
    /// must not go back.
    pub fn deliver_at(&mut self, now: Timestamp) -> Delivery {
        let now = now.as_second();
        self.delivered += 1;
        self.unsent = None;
        if let Some(held) = self.take_due() {
            return held;
        }
        if self.happens(self.options.poison_rate) {
            return self.poison(now);
        }
        if self.happens(self.options.late_rate) {
            let late = self.event(now);
            self.note_unsent(&late);
            self.hold(late, DeliveryKind::Late, 200);
        }
        let event = self.event(now);
        if self.happens(self.options.duplicate_rate) {
            self.hold(event.clone(), DeliveryKind::Duplicate, 60);
        }
        event
    }

    /// The event that happened just before the newest delivery and is not that delivery: it comes late, or cannot be
    /// read. AfterShip's API shows it all the same. Only with [`SimulatorOptions::has_snapshots`].
    pub fn take_unsent(&mut self) -> Option<Delivery> {
        self.unsent.take()
    }

    /// The present of the next delivery.
    fn present(&self) -> Timestamp {
        let still = if self.options.is_live { 1.0 } else { f64::INFINITY };
        let rate = self.options.rate.unwrap_or(still).max(f64::MIN_POSITIVE);
        let moved = (self.delivered + 1) as f64 / rate;
        let second = self.options.start.as_second().saturating_add(moved.min(1e9) as i64);
        Timestamp::from_second(second).unwrap_or(self.options.start)
    }

    /// The next event of one of the parcels.
    fn event(&mut self, now: i64) -> Delivery {
        let index = self.choose(now);
        let event_id =
            uuid::Builder::from_random_bytes(self.rng.u128(..).to_be_bytes()).into_uuid().to_string();
        let told = &mut self.parcels[index];
        if self.options.is_live {
            told.parcel.happen_at(told.next, now);
        }
        let has_snapshot = self.options.has_snapshots;
        let delivery = Delivery {
            body: body::write(&told.parcel, told.next, &event_id),
            headers: headers(told.parcel.version_at(told.next)),
            kind: DeliveryKind::Event,
            event_id: Some(event_id),
            snapshot: has_snapshot.then(|| Arc::new(body::snapshot(&told.parcel, told.next))),
        };
        told.next += 1;
        if told.next == told.parcel.moments.len() {
            self.parcels.swap_remove(index);
        }
        delivery
    }

    /// Which parcel the next event is of: one on its way, or a new one.
    fn choose(&mut self, now: i64) -> usize {
        let has_room = self.parcels.len() < PARCELS_MAX;
        if self.parcels.is_empty() || (has_room && self.rng.f64() < NEW_PARCEL_RATE) {
            return self.begin(now);
        }
        let index = self.rng.usize(0..self.parcels.len());
        let told = &self.parcels[index];
        let is_too_soon = self.options.is_live && told.parcel.ready_at(told.next) > now;
        if is_too_soon && self.parcels.len() < LIVE_PARCELS_MAX {
            return self.begin(now);
        }
        index
    }

    fn begin(&mut self, now: i64) -> usize {
        let orders = self.options.orders.clone();
        let mut parcel = Parcel::new(&mut self.rng, self.options.version, now, orders);
        if self.options.is_live {
            parcel.begin_at(now);
        }
        if self.orders.f64() < SAME_ORDER_RATE
            && let Some(other) = self.orders.choice(&self.parcels)
        {
            parcel.join_order_of(&other.parcel);
        }
        self.parcels.push(Told { parcel, next: 0 });
        self.parcels.len() - 1
    }

    /// A validly signed body that is no event.
    fn poison(&mut self, now: i64) -> Delivery {
        let body = match self.rng.u32(0..4) {
            0 => Vec::new(),
            1 => {
                let event = self.event(now);
                self.note_unsent(&event);
                let mut cut = event.body;
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
        Delivery { body, headers, kind: DeliveryKind::Poison, event_id: None, snapshot: None }
    }

    fn note_unsent(&mut self, event: &Delivery) {
        if self.options.has_snapshots {
            self.unsent = Some(event.clone());
        }
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
        Some(self.deliver_at(self.present()))
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
