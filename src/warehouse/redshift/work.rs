//! A transaction under way: statements of one purpose, and what is done with their answers.

use std::io::Read;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::{SimpleQueryMessage, Transaction};

use crate::warehouse::{WarehouseError, check_version};

use super::sql::{self, Step};
use super::staging::Staged;
use super::{RedshiftWarehouse, failed, lab};

/// Rows as text.
pub(super) type Rows = Vec<Vec<Option<String>>>;

/// A transaction under way.
pub(super) struct Work<'a> {
    pub(super) warehouse: &'a RedshiftWarehouse,
    pub(super) transaction: &'a Transaction<'a>,
    /// What is being done, for a message.
    pub(super) what: &'a str,
}

impl Work<'_> {
    /// First of what writes: waits for its turn, and looks whether the schema is the one that this program writes.
    pub(super) async fn lock(&self) -> Result<(), WarehouseError> {
        self.rows(sql::LOCK).await?;
        let found = number(&self.rows(sql::VERSION).await?);
        check_version(i32::try_from(found).unwrap_or(i32::MAX))
    }

    /// Rows of one statement.
    pub(super) async fn rows(&self, sql: &str) -> Result<Rows, WarehouseError> {
        if self.warehouse.is_lab
            && let Some(copy) = lab::copy(sql)
        {
            self.copy_in_lab(&copy).await?;
            return Ok(Vec::new());
        }
        let said = self.transaction.simple_query(&self.warehouse.said(sql)).await;
        said.map(|messages| texts(&messages)).map_err(|error| failed(self.what, &error))
    }

    /// Runs these; the last outcomes among their answers.
    pub(super) async fn perform(
        &self,
        steps: &[Step],
        staged: Option<&Staged>,
    ) -> Result<Rows, WarehouseError> {
        let mut outcomes = Vec::new();
        for step in steps {
            let rows = self.rows(step.sql()).await?;
            match step {
                Step::Run(_) => {}
                Step::Outcomes(_) => outcomes = rows,
                Step::Staged(table, _) => {
                    let expected = staged.and_then(|staged| staged.rows.get(table)).copied().unwrap_or(0);
                    let found = number(&rows);
                    if u64::try_from(found).ok() != Some(expected) {
                        return Err(WarehouseError::Refused(format!(
                            "cannot {}: {found} of {expected} rows arrived in {table}",
                            self.what
                        )));
                    }
                }
                Step::Audit(_) => {
                    let wrong: Vec<String> = rows
                        .iter()
                        .filter(|row| text(row, 1) != "0")
                        .map(|row| format!("{} ({})", text(row, 0), text(row, 1)))
                        .collect();
                    if !wrong.is_empty() {
                        return Err(WarehouseError::Refused(format!(
                            "cannot {}: the audit found {}",
                            self.what,
                            wrong.join(", ")
                        )));
                    }
                }
            }
        }
        Ok(outcomes)
    }

    async fn copy_in_lab(&self, copy: &lab::Copy<'_>) -> Result<(), WarehouseError> {
        let said = |error: tokio_postgres::Error| failed(self.what, &error);
        let unreadable = |_| WarehouseError::Refused(format!("{} cannot be read", copy.manifest));
        let staging = &self.warehouse.staging;
        let manifest: serde_json::Value =
            serde_json::from_slice(&staging.get(copy.manifest).await?).map_err(unreadable)?;
        let sink =
            self.transaction.copy_in::<_, Bytes>(&lab::copy_from_stdin(copy.table)).await.map_err(said)?;
        let mut sink = std::pin::pin!(sink);
        for entry in manifest["entries"].as_array().into_iter().flatten() {
            let packed = staging.get(entry["url"].as_str().unwrap_or_default()).await?;
            let mut rows = Vec::new();
            flate2::read::MultiGzDecoder::new(packed.as_ref())
                .read_to_end(&mut rows)
                .map_err(|_| WarehouseError::Refused(format!("{} cannot be unpacked", copy.manifest)))?;
            sink.send(Bytes::from(rows)).await.map_err(said)?;
        }
        sink.finish().await.map_err(said)?;
        Ok(())
    }
}

pub(super) fn texts(messages: &[SimpleQueryMessage]) -> Rows {
    messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|index| row.get(index).map(str::to_owned)).collect())
            }
            _ => None,
        })
        .collect()
}

/// A value, empty when it is null.
pub(super) fn text(row: &[Option<String>], index: usize) -> String {
    row.get(index).cloned().flatten().unwrap_or_default()
}

/// The first value of the first row; 0 when there is none.
pub(super) fn number(rows: &Rows) -> i64 {
    rows.first().and_then(|row| text(row, 0).parse().ok()).unwrap_or(0)
}
