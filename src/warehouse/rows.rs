//! The rows a load hands over: plain values, already parsed and cleaned, equal for every backend.
//!
//! Text holds no U+0000 (PostgreSQL refuses it; [`clean`] replaces it by U+FFFD) and instants are whole
//! microseconds. What a column means is in `docs/WAREHOUSE.md`.

use jiff::Timestamp;
use jiff::civil::Date;

/// One readable line of a lake object: a row of `raw.tracking_event`, unless its key is known already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// 1-based line in its file.
    pub line: u64,
    /// Same key, same event.
    pub event_key: String,
    /// AfterShip's id, if any.
    pub event_id: Option<String>,
    /// AfterShip's event code, an open string.
    pub event: Option<String>,
    /// The id the snapshot itself carries (before a legacy id is resolved).
    pub tracking_id: String,
    /// `webhook` or `api`.
    pub source: &'static str,
    /// When we received it.
    pub received_at: Timestamp,
    /// The replay that sent it again.
    pub replay_id: Option<String>,
    /// Lower-case hex.
    pub body_sha256: String,
    /// UTC day of the body's own time (`ts`, else `updated_at`): the same for every copy of the same body.
    pub event_date: Option<Date>,
    /// AfterShip's documentation sample.
    pub is_test: bool,
}

/// A line (or a whole object, as line 0) that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// 1-based line in its file; 0 for the file as a whole.
    pub line: u64,
    /// From a closed list, see `load::reject`.
    pub reason: &'static str,
    /// The line as text, lossily, cut at 1,000 characters.
    pub text: String,
}

/// Everything one lake object held. `lines == events.len() + rejects with line > 0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRows {
    /// Key below the lake's root.
    pub file: String,
    /// When its manifest was written, or the object itself when no manifest names it.
    pub landed_at: Timestamp,
    /// Lines in the object.
    pub lines: u64,
    /// False when the object as a whole could not be read: it gets a ledger row with status `rejected`.
    pub is_readable: bool,
    /// Readable lines.
    pub events: Vec<EventRow>,
    /// The others.
    pub rejects: Vec<RejectedRow>,
}

/// The state of one tracking in one snapshot: a row of `base.fct_shipment_tracking`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackingRow {
    /// The id in the snapshot itself; the fact's `tracking_id` is this, or the id that took it over.
    pub source_tracking_id: String,
    /// AfterShip's older id of the same tracking.
    pub legacy_id: Option<String>,
    /// The parcel's number at the courier.
    pub tracking_number: Option<String>,
    /// AfterShip's courier slug.
    pub courier: Option<String>,
    /// Status, an open string.
    pub tag: Option<String>,
    /// Finer status, an open string.
    pub subtag: Option<String>,
    /// AfterShip's label of the subtag.
    pub subtag_message: Option<String>,
    /// The shop's order, machine id.
    pub order_id: Option<String>,
    /// The shop's order, human id.
    pub order_number: Option<String>,
    /// Lines of the order in this parcel, numbers with commas between.
    pub order_item_ids: Option<String>,
    /// The courier's service.
    pub shipment_type: Option<String>,
    /// ISO alpha-3.
    pub origin_country: Option<String>,
    /// ISO alpha-3.
    pub destination_country: Option<String>,
    /// AfterShip's record was created.
    pub created_at: Option<Timestamp>,
    /// AfterShip's record was changed; first of the three values that order snapshots.
    pub updated_at: Option<Timestamp>,
    /// The event's `ts`; second of the three.
    pub event_at: Option<Timestamp>,
    /// Lower-case hex; third of the three.
    pub body_sha256: String,
    /// Milestones: the earliest instant known among the checkpoints of that tag.
    pub info_received_at: Option<Timestamp>,
    /// As above.
    pub in_transit_at: Option<Timestamp>,
    /// As above.
    pub out_for_delivery_at: Option<Timestamp>,
    /// As above (tag AttemptFail).
    pub first_attempt_at: Option<Timestamp>,
    /// As above.
    pub available_for_pickup_at: Option<Timestamp>,
    /// As above.
    pub delivered_at: Option<Timestamp>,
    /// As above.
    pub exception_at: Option<Timestamp>,
    /// The latest instant known among all checkpoints.
    pub last_checkpoint_at: Option<Timestamp>,
    /// Estimated delivery as written.
    pub estimated_delivery_text: Option<String>,
    /// Which field it came from: `latest`, `courier`, `aftership`, `custom`.
    pub estimated_delivery_source: Option<&'static str>,
    /// Its instant, when the text has an offset.
    pub estimated_delivery_at: Option<Timestamp>,
    /// Promised delivery as written.
    pub promised_delivery_text: Option<String>,
    /// Its instant, when the text has an offset.
    pub promised_delivery_at: Option<Timestamp>,
    /// AfterShip's word: on-time, late, trending-on-time, …
    pub on_time_status: Option<String>,
    /// Days late (positive) or early (negative); null when it is no whole number in 32 bits.
    pub on_time_difference_days: Option<i32>,
    /// Still followed by AfterShip.
    pub is_active: Option<bool>,
    /// On its way back.
    pub is_return_to_sender: Option<bool>,
    /// AfterShip's documentation sample.
    pub is_test: bool,
    /// Rows in `checkpoints`.
    pub checkpoint_count: i32,
}

/// One scan of one parcel: a row of `base.fct_tracking_checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRow {
    /// Lower-case hex SHA-256, see `event::identity::checkpoint_key`.
    pub checkpoint_key: String,
    /// 1-based place in the snapshot's list.
    pub position: i32,
    /// The courier's time, when its text has an offset.
    pub checkpoint_at: Option<Timestamp>,
    /// The courier's time as written.
    pub checkpoint_time_text: Option<String>,
    /// When AfterShip learned it.
    pub created_at: Option<Timestamp>,
    /// Courier of this leg.
    pub courier: Option<String>,
    /// Status, an open string.
    pub tag: Option<String>,
    /// Finer status.
    pub subtag: Option<String>,
    /// AfterShip's label of the subtag.
    pub subtag_message: Option<String>,
    /// The courier's own code.
    pub raw_tag: Option<String>,
    /// The courier's words.
    pub message: Option<String>,
    /// Place as written.
    pub location: Option<String>,
    /// City or facility.
    pub city: Option<String>,
    /// State or region.
    pub state: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// ISO alpha-3.
    pub country: Option<String>,
    /// `carrier` or `user`.
    pub source: Option<String>,
    /// AfterShip's own hash; a column only, never a key.
    pub hash: Option<String>,
}

/// A tracking and its checkpoints in one snapshot; replaced together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The tracking.
    pub tracking: TrackingRow,
    /// Its checkpoints, each key once.
    pub checkpoints: Vec<CheckpointRow>,
}

/// A snapshot of `tracking_id` named `legacy_id` as the older id of the same tracking.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// The id taken over.
    pub legacy_id: String,
    /// The id that takes it over.
    pub tracking_id: String,
}

/// What one transaction loads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadSet {
    /// The objects, each with all its lines.
    pub files: Vec<FileRows>,
    /// The newest snapshot of each source tracking id among those objects; each id once.
    pub snapshots: Vec<Snapshot>,
    /// Every claim made by any snapshot among those objects (not only the newest ones); each once.
    pub claims: Vec<Claim>,
}

/// What became of one object: its row in `raw.loaded_file`.
///
/// `lines` is the sum of the seven outcomes; the table has a CHECK for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileOutcome {
    /// Key below the lake's root.
    pub file: String,
    /// `loaded` or `rejected`.
    pub status: String,
    /// Lines in the object.
    pub lines: i64,
    /// Events not known before.
    pub inserted: i64,
    /// Always 0 for trackings.
    pub updated: i64,
    /// Always 0 for trackings.
    pub unchanged: i64,
    /// Same key and same body as an event known before, or earlier in this load.
    pub duplicate: i64,
    /// Same key as an event known before, other body: kept, and fed to the facts.
    pub conflict: i64,
    /// Always 0 for trackings.
    pub waiting: i64,
    /// Lines that could not be read.
    pub rejected: i64,
}

/// Replaces U+0000, which PostgreSQL's text cannot hold, by U+FFFD.
pub fn clean(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}
