//! Files of the shop in PostgreSQL.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::SinkExt;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;
use tokio_postgres::{Client, Row, Transaction};

use crate::failpoint::failpoint;
use crate::retail::Dataset;
use crate::retail::read::ShopFile;
use crate::warehouse::dialect::POSTGRES;
use crate::warehouse::plan::Cell;
use crate::warehouse::shop::{self, Decision, Known, Status};
use crate::warehouse::{MartState, SCHEMA_VERSION, ShopEntry, ShopOutcome, WarehouseError};

use super::{LOCK_SHOP, TEXT, begin, copy, execute, failed, outcome, run_locked};

/// Compiling these statements takes longer than it saves; a large file takes its time; and the planner needs to know of a
/// stage how large it is, not what is in it.
const SETTINGS: &str =
    "set local jit = off; set local statement_timeout = 0; set local default_statistics_target = 10";

/// Sent at once.
const CHUNK: usize = 256 * 1024;

pub(super) async fn ledger(client: &Client) -> Result<Vec<ShopEntry>, tokio_postgres::Error> {
    let sql = format!(
        "select file, dataset, sha256, bytes, cast(extract(epoch from modified_at) * 1000000 as bigint), status from ({}) as known",
        shop::LEDGER
    );
    let rows = client.query(&sql, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| ShopEntry {
            file: row.get(0),
            dataset: row.get(1),
            sha256: row.get(2),
            bytes: row.get::<_, i64>(3).unsigned_abs(),
            modified_at: Timestamp::from_microsecond(row.get(4)).unwrap_or(Timestamp::UNIX_EPOCH),
            status: row.get(5),
        })
        .collect())
}

/// Makes what depends on the zone anew, if it is another.
pub(super) async fn use_time_zone(client: &mut Client, zone: &TimeZone) -> Result<bool, WarehouseError> {
    const WHAT: &str = "set the time zone";
    // Mostly it is the same: nobody waits for a lock then.
    let known = client.query_opt(shop::ZONE, &[]).await.map_err(|error| failed(WHAT, &error))?;
    let known: Option<String> = known.map(|row| row.get(0));
    if known.as_deref() == Some(shop::zone_name(zone)) {
        return Ok(false);
    }
    run_locked(client, LOCK_SHOP, WHAT, &shop::zone_statements(zone, &POSTGRES)).await?;
    Ok(true)
}

pub(super) async fn load(
    client: &mut Client,
    file: Arc<ShopFile>,
    is_dry: bool,
) -> Result<ShopOutcome, WarehouseError> {
    let what = format!("load {}", file.ledger_name);
    let load = |error: tokio_postgres::Error| failed(&what, &error);
    make_partitions(client, &file).await.map_err(load)?;
    let transaction = begin(client, LOCK_SHOP, &what).await?;
    transaction.batch_execute(SETTINGS).await.map_err(load)?;
    failpoint!("shop.after_begin");
    let (status, generation) = match shop::decide(&file, known(&transaction, &file).await.map_err(load)?) {
        Decision::Nothing(outcome) => return Ok(ShopOutcome { outcome, is_new: false }),
        Decision::Enter(status, generation) => (status, generation),
    };
    let rejects = if status == Status::Duplicate { Vec::new() } else { shop::reject_rows(&file) };
    let findings = if status == Status::Loaded { shop::finding_rows(&file) } else { Vec::new() };
    let stages: [(_, Vec<Vec<Cell<'_>>>); 3] = [
        (&shop::FILE, vec![shop::file_row(&file, status, generation)]),
        (&shop::REJECT, rejects.iter().map(shop::RejectRow::cells).collect()),
        (&shop::FINDING, findings.iter().map(shop::FindingRow::cells).collect()),
    ];
    for (stage, rows) in stages {
        transaction.batch_execute(&format!("{} on commit drop", stage.ddl(TEXT))).await.map_err(load)?;
        copy::fill(&transaction, stage, copy::text(&rows)).await.map_err(load)?;
    }
    if status == Status::Loaded {
        let staged = stage_rows(&transaction, Arc::clone(&file)).await.map_err(load)?;
        shop::check_staged(&file, staged)?;
        failpoint!("shop.after_stage");
        for statement in shop::merge(file.dataset, &POSTGRES) {
            execute(&transaction, &statement).await.map_err(load)?;
            failpoint!("shop.in_merge");
        }
        if let Some(sql) = shop::orphans(file.dataset) {
            let found = transaction.query_one(sql, &[]).await.map_err(load)?.get(0);
            shop::check_orphans(&file, found)?;
        }
        if file.is_repair() {
            transaction.batch_execute(&shop::resolve(file.dataset, &POSTGRES)).await.map_err(load)?;
        }
    } else {
        execute(&transaction, &shop::no_merge(&file, status, &POSTGRES)).await.map_err(load)?;
    }
    for statement in shop::closing_statements(&POSTGRES) {
        transaction.batch_execute(&statement).await.map_err(load)?;
    }
    if status == Status::Loaded
        && let Some(sql) = shop::snapshots(file.dataset, &POSTGRES)
        && transaction.query_one(&sql, &[]).await.map_err(load)?.get::<_, i64>(0) > 0
    {
        for statement in shop::absences(file.dataset, &POSTGRES) {
            execute(&transaction, &statement).await.map_err(load)?;
        }
    }
    let row = transaction.query_one(shop::OUTCOME, &[]).await.map_err(load)?;
    let outcome = outcome(&row, 0);
    failpoint!("shop.before_commit");
    if is_dry {
        transaction.rollback().await.map_err(load)?;
    } else {
        transaction.commit().await.map_err(load)?;
    }
    failpoint!("shop.after_commit");
    Ok(ShopOutcome { outcome, is_new: true })
}

/// Months from the day $1 to the day $2 that have no partition: its suffix, first day and end. The catalog is read as a
/// table: names are resolved from a cache that need not know yet what another loader has just committed.
const MISSING: &str = "
    select to_char(m, 'YYYY_MM'), to_char(m, 'YYYY-MM-DD'), to_char(m + interval '1 month', 'YYYY-MM-DD')
    from generate_series(date_trunc('month', $1::text::date), $2::text::date, interval '1 month') as m
    where not exists (
      select 1 from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
      where n.nspname = 'base' and c.relname = 'fct_order_line_' || to_char(m, 'YYYY_MM')
    )";

/// A partition for each month that lines may belong to once this file is loaded. In a transaction of its own: it locks
/// out readers, and must not do so for as long as a load takes. Under our lock: else it would wait for the load of
/// another loader, with all readers behind it, or make what that one makes.
async fn make_partitions(client: &mut Client, file: &ShopFile) -> Result<(), tokio_postgres::Error> {
    if !matches!(file.dataset, Dataset::Orders | Dataset::OrderItems) {
        return Ok(());
    }
    let row = client
        .query_one(
            "select to_char(min(order_date), 'YYYY-MM-DD'), to_char(max(order_date), 'YYYY-MM-DD') from base.fct_order",
            &[],
        )
        .await?;
    let day = |index: usize| row.get::<_, Option<String>>(index).and_then(|text| text.parse::<Date>().ok());
    let known = day(0).into_iter().chain(day(1)).chain(shop::order_days(file));
    let (Some(first), Some(last)) =
        known.fold((None, None), |(first, last): (Option<Date>, Option<Date>), day| {
            (Some(first.map_or(day, |first| first.min(day))), Some(last.map_or(day, |last| last.max(day))))
        })
    else {
        return Ok(());
    };
    let (first, last) = (first.to_string(), last.to_string());
    if client.query(MISSING, &[&first, &last]).await?.is_empty() {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    transaction.execute("select pg_advisory_xact_lock($1)", &[&LOCK_SHOP]).await?;
    if super::version(&transaction).await? != SCHEMA_VERSION {
        // The load that follows says so.
        return Ok(());
    }
    // A reader may hold the table for long, as an audit does: all others would wait behind us. Tried again later. After the
    // lock of ours, which it would count for, too.
    transaction.batch_execute("set local lock_timeout = '5s'").await?;
    for month in transaction.query(MISSING, &[&first, &last]).await? {
        let (name, from, to): (String, String, String) = (month.get(0), month.get(1), month.get(2));
        let make = format!(
            "create table base.fct_order_line_{name} partition of base.fct_order_line \
             for values from ('{from}') to ('{to}')"
        );
        transaction.batch_execute(&make).await?;
    }
    transaction.commit().await
}

async fn known(transaction: &Transaction<'_>, file: &ShopFile) -> Result<Vec<Known>, tokio_postgres::Error> {
    let rows = transaction.query(&shop::known(file, &POSTGRES), &[]).await?;
    let known = |row: &Row| Known {
        generation: row.get(0),
        sha256: row.get(1),
        is_same_version: row.get(2),
        outcome: outcome(row, 3),
    };
    Ok(rows.iter().map(known).collect())
}

/// The rows are made on a thread of their own, a few chunks ahead of what the server takes.
async fn stage_rows(
    transaction: &Transaction<'_>,
    file: Arc<ShopFile>,
) -> Result<u64, tokio_postgres::Error> {
    let stage = shop::rows_stage(file.dataset);
    transaction.batch_execute(&format!("{} on commit drop", stage.ddl(TEXT))).await?;
    let (chunks, mut made) = mpsc::channel::<Bytes>(4);
    let making = tokio::task::spawn_blocking(move || {
        let mut text = String::with_capacity(CHUNK + 4096);
        let mut staged = 0_u64;
        // Nobody takes the chunks any more when the load has failed.
        let ended: Result<(), ()> = file.for_each_row(|line, values| {
            let mut cells = Vec::with_capacity(values.len() + 1);
            shop::row_cells(file.dataset, line, values, &mut cells);
            copy::write_row(&mut text, &cells);
            staged += 1;
            if text.len() >= CHUNK {
                chunks.blocking_send(Bytes::from(std::mem::take(&mut text))).map_err(|_| ())?;
            }
            Ok(())
        });
        if ended.is_ok() && !text.is_empty() {
            let _ = chunks.blocking_send(Bytes::from(text));
        }
        staged
    });
    {
        let sink = transaction.copy_in::<_, Bytes>(&format!("copy {} from stdin", stage.table)).await?;
        let mut sink = std::pin::pin!(sink);
        while let Some(chunk) = made.recv().await {
            sink.send(chunk).await?;
        }
        sink.finish().await?;
    }
    transaction.batch_execute(&format!("analyze {}", stage.table)).await?;
    Ok(making.await.unwrap_or(0))
}

pub(super) async fn refresh_marts(
    client: &mut Client,
    is_rebuild: bool,
) -> Result<MartState, WarehouseError> {
    const WHAT: &str = "bring the marts up to date";
    let transaction = begin(client, LOCK_SHOP, WHAT).await?;
    refresh(transaction, is_rebuild).await.map_err(|error| failed(WHAT, &error))
}

async fn refresh(transaction: Transaction<'_>, is_rebuild: bool) -> Result<MartState, tokio_postgres::Error> {
    transaction.batch_execute(SETTINGS).await?;
    let sql = format!(
        "select to_char(as_of, 'YYYY-MM-DD') from ({}) as complete (as_of)",
        shop::AS_OF.trim().trim_end_matches(';')
    );
    let day = |text: Option<String>| text.and_then(|text| text.parse::<Date>().ok());
    let as_of = day(transaction.query_one(&sql, &[]).await?.get(0));
    let state = transaction
        .query_one(
            &format!(
                "select waiting, to_char(published, 'YYYY-MM-DD') from ({}) as s (waiting, published)",
                shop::MART_STATE
            ),
            &[],
        )
        .await?;
    let (is_waiting, published) = (state.get::<_, i64>(0) > 0, day(state.get(1)));
    let Some(as_of) = as_of else { return Ok(MartState { as_of: None, is_changed: false }) };
    if !is_rebuild && !is_waiting && published == Some(as_of) {
        return Ok(MartState { as_of: Some(as_of), is_changed: false });
    }
    for statement in shop::mart_statements(is_rebuild, as_of, &POSTGRES) {
        execute(&transaction, &statement).await?;
        failpoint!("shop.in_mart");
    }
    transaction.commit().await?;
    Ok(MartState { as_of: Some(as_of), is_changed: true })
}
