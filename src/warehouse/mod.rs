//! The third place: the tables people query.
//!
//! The promise, held by one contract suite (`tests/contracts/warehouse.rs`) for every backend:
//! - [`Warehouse::load`] merges events and facts and writes the ledger in **one transaction**; a file that is in
//!   the ledger already is skipped, so a load can be repeated after any crash or lost answer.
//! - Any order, repetition and split of the same events gives the same tables.
//! - Two loaders at once: one works, the other waits.
//! - A program writes into a schema of its own version only, however long ago it started.
//! - [`Warehouse::erase`] leaves what a load of the erased bodies into empty tables would give, and every count as it
//!   was; again it changes nothing.

mod dialect;
pub mod duckdb;
mod erase;
mod plan;
pub mod postgres;
pub mod redshift;
pub mod rows;
mod shop;
mod waiting;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::event::format_instant;
use crate::retail::read::ShopFile;
pub use erase::Erasure;
use rows::{FileOutcome, LoadSet};
pub use waiting::WaitingLines;

/// Version of the schema this binary writes.
pub const SCHEMA_VERSION: i32 = 4;

/// Why a warehouse call failed.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// May heal: the network, a restart, a file that somebody else holds (the message names the holder).
    #[error("warehouse unavailable: {0}")]
    Unavailable(String),
    /// Will not heal by itself: wrong address, no permission, a schema that is too old or too new.
    #[error("warehouse refused: {0}")]
    Refused(String),
    /// The statement is wrong, is not a single read-only statement, or failed.
    #[error("query failed: {0}")]
    Query(String),
}

/// How the schema in the warehouse relates to this binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// No schema of ours yet.
    Missing,
    /// Older than this binary: `waybill migrate` brings it up.
    Old(i32),
    /// What this binary writes.
    Current,
    /// Written by a newer binary.
    Newer(i32),
}

/// One value of a query's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// SQL null.
    Null,
    /// Boolean.
    Bool(bool),
    /// Integer of up to 64 bits.
    Int(i64),
    /// Larger integer, or decimal, as written by the engine.
    Exact(String),
    /// Floating point.
    Float(f64),
    /// Text, and everything that has no better form here.
    Text(String),
    /// Instant (`timestamptz`).
    Instant(Timestamp),
    /// Day.
    Day(Date),
}

/// The largest whole number that every JSON reader keeps exactly.
const EXACT_MAX: u64 = 9_007_199_254_740_992;

impl Cell {
    /// As JSON: decimals, larger integers and what no JSON number can be as text, instants with six decimals.
    pub fn to_json(&self) -> Value {
        match self {
            Cell::Null => Value::Null,
            Cell::Bool(value) => json!(value),
            Cell::Int(value) if value.unsigned_abs() > EXACT_MAX => json!(value.to_string()),
            Cell::Int(value) => json!(value),
            Cell::Float(value) if value.is_finite() => json!(value),
            Cell::Float(value) => json!(value.to_string()),
            Cell::Exact(value) | Cell::Text(value) => json!(value),
            Cell::Instant(value) => json!(format_instant(*value)),
            Cell::Day(value) => json!(value.to_string()),
        }
    }
}

/// A query's answer, whole.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// Column names.
    pub columns: Vec<String>,
    /// Rows, each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
}

/// What the ledger knows of a file of the shop: its last generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopEntry {
    /// Key below the root of the shop's files.
    pub file: String,
    /// The shop's table.
    pub dataset: String,
    /// Of the bytes as stored.
    pub sha256: String,
    /// Bytes as stored.
    pub bytes: u64,
    /// When it was written, as first seen.
    pub modified_at: Timestamp,
    /// `loaded`, `rejected` or `duplicate`.
    pub status: String,
}

/// What became of a file of the shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopOutcome {
    /// Its row in the ledger.
    pub outcome: FileOutcome,
    /// False when the ledger knew it already and nothing was written.
    pub is_new: bool,
}

/// How the marts stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MartState {
    /// The last complete day, which they show; `None` before there is one.
    pub as_of: Option<Date>,
    /// Whether anything was written.
    pub is_changed: bool,
}

/// A question that we ship, as an engine takes it. `kind`: see [`Warehouse::kind`].
pub fn question(script: &str, kind: &str) -> String {
    let dialect = match kind {
        "duckdb" => &dialect::DUCKDB,
        "redshift" => &dialect::REDSHIFT,
        _ => &dialect::POSTGRES,
    };
    dialect.statements(script).concat()
}

/// The parts of a question that are put together by a `union all` alone at the beginning of a line: a statement each,
/// with the same columns in the same order.
pub fn question_parts(script: &str, kind: &str) -> Vec<String> {
    question(script, kind).split("\nunion all\n").map(str::to_owned).collect()
}

/// Whether the schema found is the one that this program writes: asked under the lock, since another program may have
/// brought it further since the start, and what is written would not fit it.
fn check_version(found: i32) -> Result<(), WarehouseError> {
    let advice = match found {
        SCHEMA_VERSION => return Ok(()),
        newer if newer > SCHEMA_VERSION => "end this program and start one of the newer version",
        _ => "run `waybill migrate`",
    };
    Err(WarehouseError::Refused(format!(
        "the schema is at version {found}, and this program writes {SCHEMA_VERSION}: nothing is written; {advice}"
    )))
}

/// A text as DuckDB and PostgreSQL write it in a statement.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A text as an engine writes it in a statement. `kind`: see [`Warehouse::kind`].
pub fn literal_of(kind: &str, text: &str) -> String {
    match kind {
        "redshift" => dialect::REDSHIFT.literal(text),
        _ => literal(text),
    }
}

/// Hears how far [`Warehouse::query_together`] has come.
pub type Told = Arc<dyn Fn(usize) + Send + Sync>;

/// Tables that people query, filled exactly once.
#[async_trait]
pub trait Warehouse: Send + Sync + 'static {
    /// Creates or upgrades the schema under a lock. Returns the version found before (0: none).
    async fn migrate(&self) -> Result<i32, WarehouseError>;

    /// Makes what depends on the zone of the shop's clock anew, if it is another than it was. Whether it was.
    async fn use_time_zone(&self, zone: &TimeZone) -> Result<bool, WarehouseError>;

    /// Reads the schema's version, changing nothing.
    async fn schema_state(&self) -> Result<SchemaState, WarehouseError>;

    /// Those of `files` that the ledger lacks, in the same order.
    async fn unloaded(&self, files: Vec<String>) -> Result<Vec<String>, WarehouseError>;

    /// The greatest `landed_at` in the ledger.
    async fn landed_until(&self) -> Result<Option<Timestamp>, WarehouseError>;

    /// Loads everything in `set` in one transaction. One outcome per file that was not in the ledger yet.
    async fn load(&self, set: LoadSet) -> Result<Vec<FileOutcome>, WarehouseError>;

    /// Keeps open, until the answer is dropped, what each call would open and close again: for many calls in a row.
    /// Others cannot use the place meanwhile where only one process can, so not for long. Dropping it may block.
    async fn hold(&self) -> Result<Box<dyn Send>, WarehouseError> {
        Ok(Box::new(()))
    }

    /// What the ledger knows of the shop's files.
    async fn shop_ledger(&self) -> Result<Vec<ShopEntry>, WarehouseError>;

    /// Loads one file of the shop in one transaction: its rows, what was rejected, what is odd, and its ledger row.
    /// With `is_dry` all of that is done and rolled back.
    async fn load_shop(&self, file: Arc<ShopFile>, is_dry: bool) -> Result<ShopOutcome, WarehouseError>;

    /// How the order lines stand that wait for their order.
    async fn waiting_lines(&self) -> Result<WaitingLines, WarehouseError>;

    /// Brings the marts up to the last complete day, from what has changed; or makes them anew from the facts.
    async fn refresh_marts(&self, is_rebuild: bool) -> Result<MartState, WarehouseError>;

    /// All ids under which trackings are known, of those known by one of `ids`, or by `number` at a courier.
    async fn known_as(&self, ids: Vec<String>, number: Option<String>)
    -> Result<Vec<String>, WarehouseError>;

    /// Erases in one transaction, then lets go of the space where the engine can.
    async fn erase(&self, erasure: Erasure) -> Result<(), WarehouseError>;

    /// Erases the name and street of a customer of the shop, and keeps them from coming back. Again it changes nothing.
    async fn erase_customer(&self, customer_id: i32, reason: &str) -> Result<(), WarehouseError>;

    /// Runs one read-only statement.
    async fn query(&self, sql: &str) -> Result<Answer, WarehouseError>;

    /// Runs read-only statements one after another; all see the same moment, and each has the time that one statement
    /// has. `told` gets the index of each before it runs.
    async fn query_together(
        &self,
        statements: Vec<String>,
        told: Told,
    ) -> Result<Vec<Answer>, WarehouseError>;

    /// Checks that the place can be reached, changing nothing.
    async fn probe(&self) -> Result<(), WarehouseError>;

    /// What operators call it: `duckdb`, `postgres` or `redshift`.
    fn kind(&self) -> &'static str;
}
