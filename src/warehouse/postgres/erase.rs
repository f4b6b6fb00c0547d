//! Erasing in PostgreSQL.

use tokio_postgres::{Client, Error, Transaction};

use super::super::WarehouseError;
use super::super::dialect::POSTGRES;
use super::super::erase::{self, ERASED, Erasure, WORD};
use super::{LOCK, TEXT, begin, copy, failed, vacuum};

pub(super) async fn known_as(
    client: &Client,
    ids: &[String],
    number: Option<&str>,
) -> Result<Vec<String>, Error> {
    let clean = crate::warehouse::rows::clean;
    let ids: Vec<String> = ids.iter().map(|id| clean(id)).collect();
    let sql = erase::known_as(
        "select name, false as is_number from unnest($1::text[]) as given (name) \
         union all select $2::text, true where $2::text is not null",
    );
    let rows = client.query(&sql, &[&ids, &number.map(clean)]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

pub(super) async fn erase(client: &mut Client, erasure: &Erasure) -> Result<(), WarehouseError> {
    const WHAT: &str = "erase";
    let transaction = begin(client, LOCK, WHAT).await?;
    erase_in(transaction, erasure).await.map_err(|error| failed(WHAT, &error))?;
    vacuum(client, &erase::TOUCHED).await;
    Ok(())
}

async fn erase_in(transaction: Transaction<'_>, erasure: &Erasure) -> Result<(), Error> {
    let stages = [(&ERASED, erase::tracking_cells(erasure)), (&WORD, erase::word_cells(erasure))];
    for (stage, rows) in stages {
        transaction.batch_execute(&format!("{} on commit drop", stage.ddl(TEXT))).await?;
        copy::fill(&transaction, stage, copy::text(&rows)).await?;
        transaction.batch_execute(&format!("analyze {}", stage.table)).await?;
    }
    for statement in erase::statements(&POSTGRES, key_part, key) {
        let is_table = statement.starts_with("create temp table");
        let statement =
            if is_table { statement.replacen(" as\n", " on commit drop as\n", 1) } else { statement };
        transaction.batch_execute(&statement).await?;
    }
    transaction.commit().await
}

fn key_part(column: &str) -> String {
    format!(
        "case when {column} is null then decode('00', 'hex') \
         else decode('01' || lpad(to_hex(octet_length(convert_to({column}, 'UTF8'))), 16, '0'), 'hex') \
         || convert_to({column}, 'UTF8') end"
    )
}

/// Two parts more are null: the words.
fn key(parts: &str) -> String {
    format!("encode(sha256({parts} || decode('0000', 'hex')), 'hex')")
}
