//! Erasing in the tables, said once for all engines. Pure.
//!
//! Rows stay, so that every count and sum stays; what couriers wrote goes, and with it the key that is made of it.
//! What is left equals an empty warehouse that was loaded with the erased bodies: `tests/contracts/warehouse.rs` holds
//! it to that.

use super::dialect::Dialect;
use super::plan::{self, Cell, Kind, Stage};

/// Whom and what to erase.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erasure {
    /// Ids that snapshots carry, each with whether numbers of parcel and order go too.
    pub trackings: Vec<(String, bool)>,
    /// Texts of rejected lines that hold one of these go; the case of ASCII letters does not count.
    pub words: Vec<String>,
}

/// What an erasure leaves dead rows in.
pub(super) const TOUCHED: [&str; 5] = [
    "base.fct_shipment_tracking",
    "base.fct_tracking_checkpoint",
    "raw.superseded_tracking",
    "raw.superseded_checkpoint",
    "raw.rejected_row",
];

/// What the erasure of a customer of the shop leaves dead rows in.
pub(super) const TOUCHED_OF_CUSTOMER: [&str; 4] =
    ["base.customer_pii", "base.absence", "raw.retail_customers", "raw.rejected_row"];

/// Statements that erase a customer of the shop.
pub(super) fn customer_statements(customer_id: i32, reason: &str, dialect: &Dialect) -> Vec<String> {
    let reason = dialect.literal(&super::rows::clean(reason));
    let statements = dialect.statements(include_str!("sql/erase/customer.sql"));
    let fill = |statement: String| {
        statement.replace("{customer_id}", &customer_id.to_string()).replace("{reason}", &reason)
    };
    statements.into_iter().map(fill).collect()
}

pub(super) const ERASED: Stage = Stage {
    table: "stage_erased",
    columns: &[("source_tracking_id", Kind::Text), ("with_numbers", Kind::Boolean)],
};

pub(super) const WORD: Stage = Stage { table: "stage_word", columns: &[("word", Kind::Text)] };

pub(super) fn tracking_cells(erasure: &Erasure) -> Vec<Vec<Cell<'_>>> {
    erasure
        .trackings
        .iter()
        .map(|(id, with_numbers)| vec![Cell::Text(id), Cell::Bool(*with_numbers)])
        .collect()
}

pub(super) fn word_cells(erasure: &Erasure) -> Vec<Vec<Cell<'_>>> {
    erasure.words.iter().map(|word| vec![Cell::Text(word)]).collect()
}

impl Erasure {
    /// As the tables hold them: no U+0000, and words as `lower` leaves them. PostgreSQL's knows ASCII only in our
    /// columns, DuckDB's all letters.
    pub(super) fn clean(&self) -> Erasure {
        let clean = super::rows::clean;
        let words = self.words.iter().map(|word| clean(word)).filter(|word| !word.is_empty());
        Erasure {
            trackings: self.trackings.iter().map(|(id, numbers)| (clean(id), *numbers)).collect(),
            words: words.flat_map(|word| [word.to_ascii_lowercase(), word.to_lowercase()]).collect(),
        }
    }
}

/// The statements, one by one. `part`: SQL for one part of a checkpoint's key, given the column; `key`: SQL for the
/// whole, given the parts joined. See `event::identity::checkpoint_key`, which this repeats without the words.
pub(super) fn statements(
    dialect: &Dialect,
    part: impl Fn(&str) -> String,
    key: impl Fn(&str) -> String,
) -> Vec<String> {
    let parts: Vec<String> =
        ["source_tracking_id", "courier", "checkpoint_time_text", "raw_tag"].map(part).into();
    statements_with(dialect, &key(&parts.join(" || ")), "checkpoint_known")
}

/// The same where the keys come from elsewhere. `key`: SQL for the key of a row of `from`, which has those of
/// `checkpoint_known`.
pub(super) fn statements_with(dialect: &Dialect, key: &str, from: &str) -> Vec<String> {
    let columns: Vec<&str> =
        plan::CHECKPOINT.names().into_iter().filter(|name| *name != "source_tracking_id").collect();
    let script = [include_str!("sql/erase/tracking.sql"), include_str!("sql/erase/rejected.sql")]
        .join("\n")
        .replace("{checkpoint_columns}", &columns.join(", "))
        .replace("{erased_checkpoint_key}", key)
        .replace("{erased_from}", from);
    dialect.statements(&script)
}

/// The query of [`super::Warehouse::known_as`]; `wanted`: SQL of rows (name, is_number).
pub(super) fn known_as(wanted: &str) -> String {
    include_str!("sql/erase/known_as.sql").replace("{wanted}", wanted)
}
