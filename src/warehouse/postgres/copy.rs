//! Rows as the text of COPY.

use std::fmt::Write;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::Transaction;

use crate::event::format_instant;
use crate::warehouse::plan::{self, Cell, STAGES, Stage};
use crate::warehouse::rows::LoadSet;

/// Sent at once.
const CHUNK: usize = 256 * 1024;

/// The text of each stage table, in their order.
pub(super) fn texts(set: &LoadSet) -> Vec<String> {
    let mut texts = vec![String::new(); STAGES.len()];
    let filled = plan::stage_rows(set, |stage, cells| {
        if let Some(index) = STAGES.iter().position(|known| known.table == stage.table) {
            write_row(&mut texts[index], cells);
        }
        Ok::<(), std::convert::Infallible>(())
    });
    match filled {
        Ok(()) => texts,
        Err(never) => match never {},
    }
}

/// The text of these rows.
pub(super) fn text(rows: &[Vec<Cell<'_>>]) -> String {
    let mut text = String::new();
    for cells in rows {
        write_row(&mut text, cells);
    }
    text
}

/// Fills a stage table.
pub(super) async fn fill(
    transaction: &Transaction<'_>,
    stage: &Stage,
    text: String,
) -> Result<(), tokio_postgres::Error> {
    if text.is_empty() {
        return Ok(());
    }
    let sink = transaction.copy_in::<_, Bytes>(&format!("copy {} from stdin", stage.table)).await?;
    let mut sink = std::pin::pin!(sink);
    let mut rest = Bytes::from(text);
    while !rest.is_empty() {
        let chunk = rest.split_to(rest.len().min(CHUNK));
        sink.send(chunk).await?;
    }
    sink.finish().await?;
    Ok(())
}

/// Adds one row.
pub(super) fn write_row(text: &mut String, cells: &[Cell<'_>]) {
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            text.push('\t');
        }
        match cell {
            Cell::Null => text.push_str("\\N"),
            Cell::Text(value) => escape(text, value),
            Cell::Bool(value) => text.push(if *value { 't' } else { 'f' }),
            Cell::Instant(value) => text.push_str(&format_instant(*value)),
            // Writing to a string cannot fail.
            Cell::Int(value) => {
                let _ = write!(text, "{value}");
            }
            Cell::Day(value) => {
                let _ = write!(text, "{value}");
            }
        }
    }
    text.push('\n');
}

fn escape(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_looks_like_copys_own_signs_is_escaped() {
        let mut text = String::new();
        write_row(
            &mut text,
            &[Cell::Null, Cell::Text("\\N"), Cell::Text("a\tb\nc\r\\."), Cell::Int(-1), Cell::Bool(true)],
        );

        assert_eq!(text, "\\N\t\\\\N\ta\\tb\\nc\\r\\\\.\t-1\tt\n");
    }
}
