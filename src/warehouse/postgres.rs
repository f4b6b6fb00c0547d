//! The warehouse in PostgreSQL (12 or newer).
//!
//! A load is one transaction under an advisory lock: stage tables filled by COPY, the shared merge, the ledger.
//! Rows are kept unique by keys too. `sslmode` and `sslrootcert` of the address mean what they mean to libpq.

mod answer;
mod copy;
mod erase;
mod shop;
pub(super) mod tls;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::{Client, Config, Row, Transaction};

use crate::failpoint::failpoint;
use crate::retail::read::ShopFile;

use super::dialect::POSTGRES;
use super::plan::{self, STAGES};
use super::rows::{FileOutcome, LoadSet};
use super::shop as shop_plan;
use super::waiting::WAITING_LINES;
use super::{
    Answer, Erasure, MartState, SCHEMA_VERSION, SchemaState, ShopEntry, ShopOutcome, Told, WaitingLines,
    Warehouse, WarehouseError,
};

const SCHEMA: &str = include_str!("sql/schema/postgres.sql");

/// Byte order, as in Rust and in DuckDB, whatever the database's own collation is.
const TEXT: &str = "text collate \"C\"";

/// Everybody who migrates or loads takes this lock; the number means nothing.
const LOCK: i64 = 0x5741_5942_494c_4c31;
/// The same for the shop's files and the marts, which share no row with the trackings: neither waits for the other.
const LOCK_SHOP: i64 = 0x5741_5942_494c_4c32;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A statement of a load may take this long; a query of people too.
const STATEMENT_TIMEOUT: &str = "10min";

/// How soon the server notices that we are gone, and lets go of our lock: by itself it takes two hours.
const GONE: &str = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3 \
     -c tcp_user_timeout=60000 -c idle_in_transaction_session_timeout=60000";

/// The warehouse in a PostgreSQL database.
pub struct PostgresWarehouse {
    config: Config,
    tls: tls::Tls,
    /// Loads and ledger.
    writer: Mutex<Option<Client>>,
    /// Loads of the shop's files, which may take long.
    shop: Mutex<Option<Client>>,
    /// Queries, which may come while a load runs.
    reader: Mutex<Option<Client>>,
}

impl PostgresWarehouse {
    /// Uses the database at `url` (`postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`).
    /// Nothing is connected yet.
    pub fn open(url: &str) -> Result<PostgresWarehouse, WarehouseError> {
        let (mut config, tls) = address(url, "PostgreSQL")?;
        config.options(format!(
            "-c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT} -c client_min_messages=warning {GONE}"
        ));
        Ok(PostgresWarehouse {
            config,
            tls,
            writer: Mutex::default(),
            shop: Mutex::default(),
            reader: Mutex::default(),
        })
    }

    /// A live connection in its slot.
    async fn client<'a>(
        &self,
        slot: &'a Mutex<Option<Client>>,
    ) -> Result<MutexGuard<'a, Option<Client>>, WarehouseError> {
        let mut slot = slot.lock().await;
        if slot.as_ref().is_none_or(Client::is_closed) {
            *slot = Some(self.connect().await?);
        }
        Ok(slot)
    }

    async fn connect(&self) -> Result<Client, WarehouseError> {
        let connector = self.tls.connector()?;
        let (client, connection) =
            self.config.connect(connector).await.map_err(|error| failed("connect to PostgreSQL", &error))?;
        tokio::spawn(async move {
            // Its end is seen by the client's next call.
            let _ = connection.await;
        });
        Ok(client)
    }
}

#[async_trait]
impl Warehouse for PostgresWarehouse {
    async fn migrate(&self) -> Result<i32, WarehouseError> {
        let mut slot = self.client(&self.writer).await?;
        let client = live(&mut slot)?;
        let run = async {
            let transaction = client.transaction().await?;
            transaction.execute("select pg_advisory_xact_lock($1)", &[&LOCK]).await?;
            let found = version(&transaction).await?;
            if found < SCHEMA_VERSION {
                // Nobody loads meanwhile, and rows are moved for as long as it takes.
                transaction.execute("select pg_advisory_xact_lock($1)", &[&LOCK_SHOP]).await?;
                transaction.batch_execute("set local statement_timeout = 0").await?;
                if found < 1 {
                    transaction.batch_execute(SCHEMA).await?;
                }
                for statement in shop_plan::upgrade(found.max(1), &POSTGRES) {
                    transaction.batch_execute(&statement).await?;
                }
                let note = "insert into raw.schema_version (version, applied_at) values ($1, now())";
                transaction.execute(note, &[&SCHEMA_VERSION]).await?;
                failpoint!("warehouse.postgres.migrate");
            }
            transaction.commit().await?;
            Ok::<i32, tokio_postgres::Error>(found)
        };
        let found = run.await.map_err(|error| failed("bring the schema up to date", &error))?;
        if found > SCHEMA_VERSION {
            return Err(WarehouseError::Refused(format!(
                "the schema is at version {found}, newer than this program's {SCHEMA_VERSION}: use a newer waybill"
            )));
        }
        Ok(found)
    }

    async fn use_time_zone(&self, zone: &TimeZone) -> Result<bool, WarehouseError> {
        let mut slot = self.client(&self.shop).await?;
        shop::use_time_zone(live(&mut slot)?, zone).await
    }

    async fn schema_state(&self) -> Result<SchemaState, WarehouseError> {
        let mut slot = self.client(&self.reader).await?;
        let found =
            version(live(&mut slot)?).await.map_err(|error| failed("read the schema's version", &error))?;
        Ok(match found {
            0 => SchemaState::Missing,
            found if found < SCHEMA_VERSION => SchemaState::Old(found),
            SCHEMA_VERSION => SchemaState::Current,
            found => SchemaState::Newer(found),
        })
    }

    async fn unloaded(&self, files: Vec<String>) -> Result<Vec<String>, WarehouseError> {
        let mut slot = self.client(&self.writer).await?;
        let rows = live(&mut slot)?
            .query("select file from raw.loaded_file where file = any ($1)", &[&files])
            .await
            .map_err(|error| failed("read the ledger", &error))?;
        let known: std::collections::HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
        Ok(files.into_iter().filter(|file| !known.contains(file)).collect())
    }

    async fn landed_until(&self) -> Result<Option<Timestamp>, WarehouseError> {
        let mut slot = self.client(&self.writer).await?;
        let row = live(&mut slot)?
            .query_one(
                "select cast(extract(epoch from max(landed_at)) * 1000000 as bigint) from raw.loaded_file \
                 where dataset = 'tracking'",
                &[],
            )
            .await
            .map_err(|error| failed("read the ledger", &error))?;
        let micros: Option<i64> = row.get(0);
        Ok(micros.and_then(|micros| Timestamp::from_microsecond(micros).ok()))
    }

    async fn load(&self, set: LoadSet) -> Result<Vec<FileOutcome>, WarehouseError> {
        let mut slot = self.client(&self.writer).await?;
        load(live(&mut slot)?, &set).await
    }

    async fn shop_ledger(&self) -> Result<Vec<ShopEntry>, WarehouseError> {
        let mut slot = self.client(&self.shop).await?;
        shop::ledger(live(&mut slot)?).await.map_err(|error| failed("read the ledger", &error))
    }

    async fn load_shop(&self, file: Arc<ShopFile>, is_dry: bool) -> Result<ShopOutcome, WarehouseError> {
        let mut slot = self.client(&self.shop).await?;
        shop::load(live(&mut slot)?, file, is_dry).await
    }

    async fn waiting_lines(&self) -> Result<WaitingLines, WarehouseError> {
        // Not behind somebody's question, which may take minutes.
        let mut slot = self.client(&self.shop).await?;
        WaitingLines::of(&answer::query(live(&mut slot)?, WAITING_LINES).await?)
    }

    async fn refresh_marts(&self, is_rebuild: bool) -> Result<MartState, WarehouseError> {
        let mut slot = self.client(&self.shop).await?;
        shop::refresh_marts(live(&mut slot)?, is_rebuild).await
    }

    async fn known_as(
        &self,
        ids: Vec<String>,
        number: Option<String>,
    ) -> Result<Vec<String>, WarehouseError> {
        let mut slot = self.client(&self.writer).await?;
        let found = erase::known_as(live(&mut slot)?, &ids, number.as_deref()).await;
        found.map_err(|error| failed("look for trackings", &error))
    }

    async fn erase(&self, erasure: Erasure) -> Result<(), WarehouseError> {
        let mut slot = self.client(&self.writer).await?;
        erase::erase(live(&mut slot)?, &erasure.clean()).await
    }

    async fn erase_customer(&self, customer_id: i32, reason: &str) -> Result<(), WarehouseError> {
        let mut slot = self.client(&self.shop).await?;
        let client = live(&mut slot)?;
        let statements = super::erase::customer_statements(customer_id, reason, &POSTGRES);
        run_locked(client, LOCK_SHOP, "erase a customer", &statements).await?;
        vacuum(client, &super::erase::TOUCHED_OF_CUSTOMER).await;
        Ok(())
    }

    async fn query(&self, sql: &str) -> Result<Answer, WarehouseError> {
        let mut slot = self.client(&self.reader).await?;
        answer::query(live(&mut slot)?, sql).await
    }

    async fn query_together(
        &self,
        statements: Vec<String>,
        told: Told,
    ) -> Result<Vec<Answer>, WarehouseError> {
        let mut slot = self.client(&self.reader).await?;
        answer::query_together(live(&mut slot)?, &statements, &*told).await
    }

    async fn probe(&self) -> Result<(), WarehouseError> {
        let mut slot = self.client(&self.reader).await?;
        live(&mut slot)?
            .execute("select 1", &[])
            .await
            .map(|_| ())
            .map_err(|error| failed("ask PostgreSQL", &error))
    }

    fn kind(&self) -> &'static str {
        "postgres"
    }
}

/// How to reach a server that speaks PostgreSQL's protocol, `engine` for messages.
pub(super) fn address(url: &str, engine: &str) -> Result<(Config, tls::Tls), WarehouseError> {
    let (url, tls) = tls::split(url)?;
    // The cause could quote the address, and the address may hold a password.
    let mut config: Config =
        url.parse().map_err(|_| WarehouseError::Refused(format!("the {engine} address cannot be read")))?;
    config
        .ssl_mode(tls.negotiation())
        .connect_timeout(CONNECT_TIMEOUT)
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(30))
        .tcp_user_timeout(Duration::from_secs(60))
        .application_name("waybill");
    Ok((config, tls))
}

fn live<'a>(slot: &'a mut MutexGuard<'_, Option<Client>>) -> Result<&'a mut Client, WarehouseError> {
    slot.as_mut().ok_or_else(|| WarehouseError::Unavailable("PostgreSQL is not connected".into()))
}

/// 0 when there is no schema of ours.
async fn version(client: &impl tokio_postgres::GenericClient) -> Result<i32, tokio_postgres::Error> {
    let row = client.query_one("select to_regclass('raw.schema_version') is not null", &[]).await?;
    if !row.get::<_, bool>(0) {
        return Ok(0);
    }
    let row = client.query_one("select coalesce(max(version), 0) from raw.schema_version", &[]).await?;
    Ok(row.get(0))
}

/// A transaction behind a lock, in a schema of this program's version; `what` it is for.
async fn begin<'a>(client: &'a mut Client, lock: i64, what: &str) -> Result<Transaction<'a>, WarehouseError> {
    let said = |error: tokio_postgres::Error| failed(what, &error);
    let transaction = client.transaction().await.map_err(said)?;
    transaction.execute("select pg_advisory_xact_lock($1)", &[&lock]).await.map_err(said)?;
    check_version(&transaction, what).await?;
    Ok(transaction)
}

/// Who migrates holds both locks, so what is found behind one of them stays so.
async fn check_version(transaction: &Transaction<'_>, what: &str) -> Result<(), WarehouseError> {
    let found = version(transaction).await.map_err(|error| failed(what, &error))?;
    super::check_version(found)
}

async fn load(client: &mut Client, set: &LoadSet) -> Result<Vec<FileOutcome>, WarehouseError> {
    let transaction = begin(client, LOCK, "load").await?;
    merge(transaction, set).await.map_err(|error| failed("load", &error))
}

async fn merge(
    transaction: Transaction<'_>,
    set: &LoadSet,
) -> Result<Vec<FileOutcome>, tokio_postgres::Error> {
    failpoint!("warehouse.postgres.after_begin");
    for stage in STAGES {
        transaction.batch_execute(&format!("{} on commit drop", stage.ddl(TEXT))).await?;
    }
    for (stage, text) in STAGES.iter().zip(copy::texts(set)) {
        copy::fill(&transaction, stage, text).await?;
    }
    for stage in STAGES {
        transaction.batch_execute(&format!("analyze {}", stage.table)).await?;
    }
    failpoint!("warehouse.postgres.after_stage");
    for statement in plan::merge_statements(&POSTGRES, plan::TRACKING_WRITE) {
        execute(&transaction, &statement).await?;
        failpoint!("warehouse.postgres.in_merge");
    }
    let rows = transaction.query(plan::OUTCOMES, &[]).await?;
    failpoint!("warehouse.postgres.before_commit");
    transaction.commit().await?;
    failpoint!("warehouse.postgres.after_commit");
    Ok(rows.iter().map(|row| outcome(row, 0)).collect())
}

/// The ten columns of an outcome, from `first` on.
fn outcome(row: &Row, first: usize) -> FileOutcome {
    FileOutcome {
        file: row.get(first),
        status: row.get(first + 1),
        lines: row.get(first + 2),
        inserted: row.get(first + 3),
        updated: row.get(first + 4),
        unchanged: row.get(first + 5),
        duplicate: row.get(first + 6),
        conflict: row.get(first + 7),
        waiting: row.get(first + 8),
        rejected: row.get(first + 9),
    }
}

/// Runs a statement; a temporary table goes with the transaction, and the planner knows its size.
async fn execute(transaction: &Transaction<'_>, statement: &str) -> Result<(), tokio_postgres::Error> {
    if !statement.starts_with("create temp table") {
        return transaction.batch_execute(statement).await;
    }
    transaction.batch_execute(&statement.replacen(" as\n", " on commit drop as\n", 1)).await?;
    match statement.split_whitespace().nth(3) {
        Some(name) => transaction.batch_execute(&format!("analyze {name}")).await,
        None => Ok(()),
    }
}

/// Makes rows that were erased go from the pages; a later vacuum does it as well, so one that fails is no failure.
async fn vacuum(client: &Client, tables: &[&str]) {
    for table in tables {
        let _ = client.batch_execute(&format!("vacuum {table}")).await;
    }
}

/// Runs these as one, behind a lock, for as long as they take.
async fn run_locked(
    client: &mut Client,
    lock: i64,
    what: &str,
    statements: &[String],
) -> Result<(), WarehouseError> {
    let said = |error: tokio_postgres::Error| failed(what, &error);
    let transaction = client.transaction().await.map_err(said)?;
    transaction.batch_execute("set local statement_timeout = 0").await.map_err(said)?;
    transaction.execute("select pg_advisory_xact_lock($1)", &[&lock]).await.map_err(said)?;
    check_version(&transaction, what).await?;
    for statement in statements {
        transaction.batch_execute(statement).await.map_err(said)?;
    }
    transaction.commit().await.map_err(said)
}

/// Tells what may heal from what will not. PostgreSQL's own message names tables and columns, never row values: the
/// detail, which would, is left out.
pub(super) fn failed(what: &str, error: &tokio_postgres::Error) -> WarehouseError {
    let Some(said) = error.as_db_error() else {
        let cause = std::error::Error::source(error).map_or_else(String::new, |cause| format!(": {cause}"));
        return WarehouseError::Unavailable(format!("cannot {what}: {error}{cause}"));
    };
    let text = format!("cannot {what}: {} ({})", said.message(), said.code().code());
    // Connection, resources, operator's intervention, system error, serialization, locks.
    let is_passing =
        ["08", "53", "57", "58", "40", "55"].iter().any(|class| said.code().code().starts_with(class));
    if is_passing { WarehouseError::Unavailable(text) } else { WarehouseError::Refused(text) }
}
