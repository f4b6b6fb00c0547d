//! The warehouse in Amazon Redshift. It has never been run on a cluster: see docs/WAREHOUSE.md.
//!
//! A load is one transaction behind a lock: rows are staged in S3, COPY with a manifest fills the stage tables, the
//! shared merge runs, and an audit takes the place of keys, which Redshift does not hold. It is spoken to through
//! PostgreSQL's protocol in plain statements, values as text. [`RedshiftWarehouse::in_lab`] runs the same statements on
//! a PostgreSQL server, as far as that understands them.

mod answer;
mod copy;
#[cfg(test)]
mod golden;
mod lab;
mod s3;
mod sql;
mod staging;
mod work;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::{Client, Config, Transaction};

use crate::event::identity::checkpoint_key;
use crate::failpoint::failpoint;
use crate::retail::read::ShopFile;

pub use s3::S3Staging;
pub use staging::Staging;

use super::dialect::REDSHIFT;
use super::erase::{self, ERASED, TOUCHED, WORD};
use super::plan::{self, STAGES};
use super::postgres::{self, address, tls};
use super::rows::{FileOutcome, LoadSet};
use super::shop::{self, Decision, Known, Status};
use super::waiting::WAITING_LINES;
use super::{
    Answer, Erasure, MartState, SCHEMA_VERSION, SchemaState, ShopEntry, ShopOutcome, Told, WaitingLines,
    Warehouse, WarehouseError,
};
use sql::Access;
use staging::{Packed, Staged};
use work::{Rows, Work, number, text, texts};

/// Who reads the staging bucket.
#[derive(Debug, Clone)]
pub struct RedshiftOptions {
    /// The role that the cluster takes on to read it: its ARN, or `default`.
    pub role: String,
    /// The bucket's region, when it is not the cluster's.
    pub region: Option<String>,
}

/// The warehouse in a Redshift database.
pub struct RedshiftWarehouse {
    config: Config,
    tls: tls::Tls,
    staging: Arc<dyn Staging>,
    access: Access,
    is_lab: bool,
    /// Everything that writes: the lock lets one do so at a time.
    writer: Mutex<Option<Client>>,
    /// Queries, which may come while a load runs.
    reader: Mutex<Option<Client>>,
}

impl RedshiftWarehouse {
    /// Uses the database at `url` (`redshift://user:password@host:5439/database?sslmode=…&sslrootcert=…`), and
    /// `staging` for rows on their way. Nothing is connected yet.
    pub fn open(
        url: &str,
        staging: Arc<dyn Staging>,
        options: RedshiftOptions,
    ) -> Result<RedshiftWarehouse, WarehouseError> {
        let (config, tls) = address(&url.replacen("redshift://", "postgres://", 1), "Redshift")?;
        Ok(RedshiftWarehouse {
            config,
            tls,
            staging,
            access: Access { role: options.role, region: options.region },
            is_lab: false,
            writer: Mutex::default(),
            reader: Mutex::default(),
        })
    }

    /// The same on a PostgreSQL server (15 or newer): for tests, see [`lab`].
    #[doc(hidden)]
    pub fn in_lab(url: &str, staging: Arc<dyn Staging>) -> Result<RedshiftWarehouse, WarehouseError> {
        let options = RedshiftOptions { role: "default".to_owned(), region: None };
        Ok(RedshiftWarehouse { is_lab: true, ..RedshiftWarehouse::open(url, staging, options)? })
    }

    /// A live connection in its slot.
    async fn client<'a>(
        &self,
        slot: &'a Mutex<Option<Client>>,
    ) -> Result<MutexGuard<'a, Option<Client>>, WarehouseError> {
        let is_for_questions = std::ptr::eq(slot, &raw const self.reader);
        let mut slot = slot.lock().await;
        if slot.as_ref().is_none_or(Client::is_closed) {
            let client = self.connect().await?;
            if is_for_questions {
                let said = client.batch_execute(sql::QUESTION_TIMEOUT).await;
                said.map_err(|error| failed("connect to Redshift", &error))?;
            }
            *slot = Some(client);
        }
        Ok(slot)
    }

    async fn connect(&self) -> Result<Client, WarehouseError> {
        let connect = |error: tokio_postgres::Error| failed("connect to Redshift", &error);
        let (client, connection) = self.config.connect(self.tls.connector()?).await.map_err(connect)?;
        tokio::spawn(async move {
            // Its end is seen by the client's next call.
            let _ = connection.await;
        });
        for setting in sql::SESSION {
            client.batch_execute(&self.said(setting)).await.map_err(connect)?;
        }
        if self.is_lab {
            client.batch_execute(lab::FUNCTIONS).await.map_err(connect)?;
        }
        Ok(client)
    }

    /// A statement as this server takes it.
    fn said(&self, sql: &str) -> String {
        if self.is_lab { lab::translate(sql) } else { sql.to_owned() }
    }

    /// Rows of one statement outside of a transaction of ours.
    async fn rows(&self, client: &Client, sql: &str) -> Result<Rows, tokio_postgres::Error> {
        Ok(texts(&client.simple_query(&self.said(sql)).await?))
    }

    /// 0 when there is no schema of ours.
    async fn version(&self, client: &Client) -> Result<i32, tokio_postgres::Error> {
        if number(&self.rows(client, sql::HAS_SCHEMA).await?) == 0 {
            return Ok(0);
        }
        let version = number(&self.rows(client, sql::VERSION).await?);
        Ok(i32::try_from(version).unwrap_or(i32::MAX))
    }

    /// Runs these as one, behind the lock.
    async fn run_locked(
        &self,
        client: &mut Client,
        what: &str,
        statements: &[String],
    ) -> Result<(), WarehouseError> {
        let said = |error: tokio_postgres::Error| failed(what, &error);
        let transaction = client.transaction().await.map_err(said)?;
        let work = self.work(&transaction, what);
        work.lock().await?;
        for statement in statements {
            work.rows(statement).await?;
        }
        transaction.commit().await.map_err(said)
    }

    /// Makes rows that were erased leave the disk; a later vacuum does it as well, so one that fails is no failure.
    async fn vacuum(&self, client: &Client, tables: &[&str]) {
        for statement in sql::vacuum(tables) {
            let _ = client.batch_execute(&self.said(&statement)).await;
        }
    }

    fn work<'a>(&'a self, transaction: &'a Transaction<'a>, what: &'a str) -> Work<'a> {
        Work { warehouse: self, transaction, what }
    }
}

#[async_trait]
impl Warehouse for RedshiftWarehouse {
    async fn migrate(&self) -> Result<i32, WarehouseError> {
        const WHAT: &str = "bring the schema up to date";
        let said = |error: tokio_postgres::Error| failed(WHAT, &error);
        let mut slot = self.client(&self.writer).await?;
        let client = live(&mut slot)?;
        for statement in sql::before_migration() {
            client.batch_execute(&self.said(&statement)).await.map_err(said)?;
        }
        let transaction = client.transaction().await.map_err(said)?;
        let work = self.work(&transaction, WHAT);
        work.rows(sql::LOCK).await?;
        let has_schema = number(&work.rows(sql::HAS_SCHEMA).await?) > 0;
        let found = if has_schema { number(&work.rows(sql::VERSION).await?) } else { 0 };
        let found = i32::try_from(found).unwrap_or(i32::MAX);
        if found < SCHEMA_VERSION {
            for statement in sql::migration(found).iter().chain([&sql::note_version(SCHEMA_VERSION)]) {
                work.rows(statement).await?;
            }
        }
        transaction.commit().await.map_err(said)?;
        if found > SCHEMA_VERSION {
            return Err(WarehouseError::Refused(format!(
                "the schema is at version {found}, newer than this program's {SCHEMA_VERSION}: use a newer waybill"
            )));
        }
        Ok(found)
    }

    async fn use_time_zone(&self, zone: &TimeZone) -> Result<bool, WarehouseError> {
        const WHAT: &str = "set the time zone";
        let said = |error: tokio_postgres::Error| failed(WHAT, &error);
        let mut slot = self.client(&self.writer).await?;
        let client = live(&mut slot)?;
        // Mostly it is the same: nobody waits for the lock then.
        let known = self.rows(client, &REDSHIFT.quoted(shop::ZONE)).await.map_err(said)?;
        if known.first().is_some_and(|row| text(row, 0) == shop::zone_name(zone)) {
            return Ok(false);
        }
        self.run_locked(client, WHAT, &shop::zone_statements(zone, &REDSHIFT)).await?;
        Ok(true)
    }

    async fn schema_state(&self) -> Result<SchemaState, WarehouseError> {
        let mut slot = self.client(&self.reader).await?;
        let found = self.version(live(&mut slot)?).await;
        Ok(match found.map_err(|error| failed("read the schema's version", &error))? {
            0 => SchemaState::Missing,
            found if found < SCHEMA_VERSION => SchemaState::Old(found),
            SCHEMA_VERSION => SchemaState::Current,
            found => SchemaState::Newer(found),
        })
    }

    async fn unloaded(&self, files: Vec<String>) -> Result<Vec<String>, WarehouseError> {
        let mut slot = self.client(&self.reader).await?;
        let client = live(&mut slot)?;
        let mut known = std::collections::HashSet::new();
        for statement in sql::loaded(&files) {
            let rows = self.rows(client, &statement).await;
            let rows = rows.map_err(|error| failed("read the ledger", &error))?;
            known.extend(rows.into_iter().filter_map(|mut row| row.pop().flatten()));
        }
        Ok(files.into_iter().filter(|file| !known.contains(file)).collect())
    }

    async fn landed_until(&self) -> Result<Option<Timestamp>, WarehouseError> {
        let mut slot = self.client(&self.reader).await?;
        let rows = self.rows(live(&mut slot)?, &sql::landed_until()).await;
        let rows = rows.map_err(|error| failed("read the ledger", &error))?;
        let micros = rows.first().and_then(|row| row.first()?.as_deref()?.parse().ok());
        Ok(micros.and_then(|micros| Timestamp::from_microsecond(micros).ok()))
    }

    async fn load(&self, set: LoadSet) -> Result<Vec<FileOutcome>, WarehouseError> {
        let mut packed: Vec<Packed> = STAGES.into_iter().map(Packed::new).collect();
        let filled = plan::stage_rows(&set, |stage, cells| {
            if let Some(packed) = packed.iter_mut().find(|packed| packed.stage.table == stage.table) {
                packed.push(cells);
            }
            Ok::<(), std::convert::Infallible>(())
        });
        match filled {
            Ok(()) => {}
            Err(never) => match never {},
        }
        let mut staged = Staged::new(Arc::clone(&self.staging));
        let loaded = self.load_staged(packed, &mut staged).await;
        staged.remove().await;
        loaded
    }

    async fn shop_ledger(&self) -> Result<Vec<ShopEntry>, WarehouseError> {
        let mut slot = self.client(&self.reader).await?;
        let rows = self.rows(live(&mut slot)?, &sql::shop_ledger()).await;
        let rows = rows.map_err(|error| failed("read the ledger", &error))?;
        let whole = |row: &[Option<String>], index| text(row, index).parse::<i64>().unwrap_or(0);
        Ok(rows
            .iter()
            .map(|row| ShopEntry {
                file: text(row, 0),
                dataset: text(row, 1),
                sha256: text(row, 2),
                bytes: whole(row, 3).unsigned_abs(),
                modified_at: Timestamp::from_microsecond(whole(row, 4)).unwrap_or(Timestamp::UNIX_EPOCH),
                status: text(row, 5),
            })
            .collect())
    }

    async fn load_shop(&self, file: Arc<ShopFile>, is_dry: bool) -> Result<ShopOutcome, WarehouseError> {
        let mut staged = Staged::new(Arc::clone(&self.staging));
        let loaded = self.load_shop_staged(file, is_dry, &mut staged).await;
        staged.remove().await;
        loaded
    }

    async fn waiting_lines(&self) -> Result<WaitingLines, WarehouseError> {
        // Not behind somebody's question, which may take minutes.
        let mut slot = self.client(&self.writer).await?;
        WaitingLines::of(&answer::query(live(&mut slot)?, WAITING_LINES, self.is_lab).await?)
    }

    async fn refresh_marts(&self, is_rebuild: bool) -> Result<MartState, WarehouseError> {
        const WHAT: &str = "bring the marts up to date";
        let said = |error: tokio_postgres::Error| failed(WHAT, &error);
        let mut slot = self.client(&self.writer).await?;
        let transaction = live(&mut slot)?.transaction().await.map_err(said)?;
        let work = self.work(&transaction, WHAT);
        work.lock().await?;
        let [as_of, state] = sql::mart_state();
        let day =
            |rows: &Rows, index: usize| rows.first().and_then(|row| text(row, index).parse::<Date>().ok());
        let as_of = day(&work.rows(&as_of).await?, 0);
        let state = work.rows(&state).await?;
        let (is_waiting, published) = (number(&state) > 0, day(&state, 1));
        let Some(as_of) = as_of else { return Ok(MartState { as_of: None, is_changed: false }) };
        if !is_rebuild && !is_waiting && published == Some(as_of) {
            return Ok(MartState { as_of: Some(as_of), is_changed: false });
        }
        work.perform(&sql::mart_refresh(is_rebuild, as_of), None).await?;
        transaction.commit().await.map_err(said)?;
        Ok(MartState { as_of: Some(as_of), is_changed: true })
    }

    async fn known_as(
        &self,
        ids: Vec<String>,
        number: Option<String>,
    ) -> Result<Vec<String>, WarehouseError> {
        let clean = super::rows::clean;
        let ids: Vec<String> = ids.iter().map(|id| clean(id)).collect();
        let statement = sql::known_as(&ids, number.as_deref().map(clean).as_deref());
        let mut slot = self.client(&self.reader).await?;
        let rows = self.rows(live(&mut slot)?, &statement).await;
        let rows = rows.map_err(|error| failed("look for trackings", &error))?;
        Ok(rows.into_iter().filter_map(|mut row| row.pop().flatten()).collect())
    }

    async fn erase(&self, erasure: Erasure) -> Result<(), WarehouseError> {
        let mut staged = Staged::new(Arc::clone(&self.staging));
        let erased = self.erase_staged(&erasure.clean(), &mut staged).await;
        staged.remove().await;
        erased
    }

    async fn erase_customer(&self, customer_id: i32, reason: &str) -> Result<(), WarehouseError> {
        let statements = erase::customer_statements(customer_id, reason, &REDSHIFT);
        let mut slot = self.client(&self.writer).await?;
        let client = live(&mut slot)?;
        self.run_locked(client, "erase a customer", &statements).await?;
        self.vacuum(client, &erase::TOUCHED_OF_CUSTOMER).await;
        Ok(())
    }

    async fn query(&self, sql: &str) -> Result<Answer, WarehouseError> {
        let mut slot = self.client(&self.reader).await?;
        answer::query(live(&mut slot)?, sql, self.is_lab).await
    }

    async fn query_together(
        &self,
        statements: Vec<String>,
        told: Told,
    ) -> Result<Vec<Answer>, WarehouseError> {
        let mut slot = self.client(&self.reader).await?;
        answer::query_together(live(&mut slot)?, &statements, &*told, self.is_lab).await
    }

    async fn probe(&self) -> Result<(), WarehouseError> {
        let mut slot = self.client(&self.reader).await?;
        let asked = self.rows(live(&mut slot)?, "select 1").await;
        asked.map(|_| ()).map_err(|error| failed("ask Redshift", &error))
    }

    fn kind(&self) -> &'static str {
        "redshift"
    }
}

impl RedshiftWarehouse {
    async fn load_staged(
        &self,
        packed: Vec<Packed>,
        staged: &mut Staged,
    ) -> Result<Vec<FileOutcome>, WarehouseError> {
        let mut filled = Vec::new();
        for packed in packed {
            filled.push(staged.put(packed).await?);
        }
        let mut slot = self.client(&self.writer).await?;
        let said = |error: tokio_postgres::Error| failed("load", &error);
        let transaction = live(&mut slot)?.transaction().await.map_err(said)?;
        let work = self.work(&transaction, "load");
        work.lock().await?;
        let steps = sql::tracking_load(&filled, &self.access);
        let rows = work.perform(&steps, Some(&*staged)).await?;
        transaction.commit().await.map_err(said)?;
        Ok(rows.iter().map(|row| outcome(row, 0)).collect())
    }

    async fn load_shop_staged(
        &self,
        file: Arc<ShopFile>,
        is_dry: bool,
        staged: &mut Staged,
    ) -> Result<ShopOutcome, WarehouseError> {
        let what = format!("load {}", file.ledger_name);
        let said = |error: tokio_postgres::Error| failed(&what, &error);
        // Before the lock, since a large file takes its time; for a file that is known already they are in vain.
        let rows = staged.put(pack_rows(Arc::clone(&file)).await).await?;
        let mut slot = self.client(&self.writer).await?;
        let transaction = live(&mut slot)?.transaction().await.map_err(said)?;
        let work = self.work(&transaction, &what);
        work.lock().await?;
        let known = work.rows(&shop::known(&file, &REDSHIFT)).await?;
        let known = known.iter().map(|row| Known {
            generation: text(row, 0).parse().unwrap_or(0),
            sha256: text(row, 1),
            is_same_version: text(row, 2) == "t",
            outcome: outcome(row, 3),
        });
        let (status, generation) = match shop::decide(&file, known.collect()) {
            Decision::Nothing(outcome) => return Ok(ShopOutcome { outcome, is_new: false }),
            Decision::Enter(status, generation) => (status, generation),
        };
        let rejects = if status == Status::Duplicate { Vec::new() } else { shop::reject_rows(&file) };
        let rejects: Vec<_> = rejects.iter().map(shop::RejectRow::cells).collect();
        let findings = if status == Status::Loaded { shop::finding_rows(&file) } else { Vec::new() };
        let findings: Vec<_> = findings.iter().map(shop::FindingRow::cells).collect();
        let packed = [
            Packed::of(&shop::FILE, &[shop::file_row(&file, status, generation)]),
            Packed::of(&shop::REJECT, &rejects),
            Packed::of(&shop::FINDING, &findings),
        ];
        let mut filled = Vec::new();
        for packed in packed {
            filled.push(staged.put(packed).await?);
        }
        let mut merge = vec![];
        if status == Status::Loaded {
            shop::check_staged(&file, staged.rows.get(rows.stage.table).copied().unwrap_or(0))?;
            filled.push(rows);
            merge.extend(shop::merge(file.dataset, &REDSHIFT));
            if file.is_repair() {
                merge.push(shop::resolve(file.dataset, &REDSHIFT));
            }
        } else {
            merge.push(shop::no_merge(&file, status, &REDSHIFT));
        }
        let dataset = (status == Status::Loaded).then_some(file.dataset);
        let mut absences = vec![];
        if let Some(dataset) = dataset
            && let Some(sql) = shop::snapshots(dataset, &REDSHIFT)
            // Asked before the file's own row is in the ledger.
            && (number(&work.rows(&sql).await?) > 0 || file.is_full)
        {
            absences = shop::absences(dataset, &REDSHIFT);
        }
        let steps = sql::shop_load(dataset, &filled, merge, absences, &self.access);
        let rows = work.perform(&steps, Some(&*staged)).await?;
        let outcome = rows
            .first()
            .map(|row| outcome(row, 0))
            .ok_or_else(|| WarehouseError::Refused(format!("cannot {what}: the ledger has no row of it")))?;
        failpoint!("shop.before_commit");
        if is_dry {
            transaction.rollback().await.map_err(said)?;
        } else {
            transaction.commit().await.map_err(said)?;
        }
        failpoint!("shop.after_commit");
        Ok(ShopOutcome { outcome, is_new: true })
    }

    async fn erase_staged(&self, erasure: &Erasure, staged: &mut Staged) -> Result<(), WarehouseError> {
        let said = |error: tokio_postgres::Error| failed("erase", &error);
        let trackings = staged.put(Packed::of(&ERASED, &erase::tracking_cells(erasure))).await?;
        let words = staged.put(Packed::of(&WORD, &erase::word_cells(erasure))).await?;
        let mut slot = self.client(&self.writer).await?;
        let client = live(&mut slot)?;
        let transaction = client.transaction().await.map_err(said)?;
        let work = self.work(&transaction, "erase");
        work.lock().await?;
        let before = sql::erasure_stage(&[trackings, words], &self.access);
        work.perform(&before, Some(&*staged)).await?;
        let checkpoints = work.rows(sql::ERASED_CHECKPOINTS).await?;
        // One row a key: it says which tracking it is of.
        let keys: std::collections::BTreeMap<String, String> = checkpoints
            .iter()
            .map(|row| {
                let part = |index: usize| row.get(index).and_then(Option::as_deref);
                let key = checkpoint_key(&text(row, 1), part(2), part(3), part(4), None, None);
                (text(row, 0), key)
            })
            .collect();
        let cells: Vec<Vec<plan::Cell<'_>>> = keys
            .iter()
            .map(|(known, erased)| vec![plan::Cell::Text(known), plan::Cell::Text(erased)])
            .collect();
        let keys = staged.put(Packed::of(&sql::ERASED_KEY, &cells)).await?;
        let steps = sql::erasure(&keys, &before, &self.access);
        work.perform(&steps, Some(&*staged)).await?;
        transaction.commit().await.map_err(said)?;
        self.vacuum(client, &TOUCHED).await;
        Ok(())
    }
}

/// The good lines of a file, packed on a thread of their own.
async fn pack_rows(file: Arc<ShopFile>) -> Packed {
    let stage = shop::rows_stage(file.dataset);
    let packing = tokio::task::spawn_blocking(move || {
        let mut packed = Packed::new(stage);
        let each = file.for_each_row(|line, values| {
            let mut cells = Vec::with_capacity(values.len() + 1);
            shop::row_cells(file.dataset, line, values, &mut cells);
            packed.push(&cells);
            Ok::<(), std::convert::Infallible>(())
        });
        match each {
            Ok(()) => packed,
            Err(never) => match never {},
        }
    });
    packing.await.unwrap_or_else(|_| Packed::new(stage))
}

fn live<'a>(slot: &'a mut MutexGuard<'_, Option<Client>>) -> Result<&'a mut Client, WarehouseError> {
    slot.as_mut().ok_or_else(|| WarehouseError::Unavailable("Redshift is not connected".into()))
}

/// The ten columns of an outcome, from `first` on.
fn outcome(row: &[Option<String>], first: usize) -> FileOutcome {
    let count = |index: usize| text(row, first + index).parse().unwrap_or(0);
    FileOutcome {
        file: text(row, first),
        status: text(row, first + 1),
        lines: count(2),
        inserted: count(3),
        updated: count(4),
        unchanged: count(5),
        duplicate: count(6),
        conflict: count(7),
        waiting: count(8),
        rejected: count(9),
    }
}

/// As PostgreSQL's, and what only Redshift says: two transactions that could not have come one after the other.
fn failed(what: &str, error: &tokio_postgres::Error) -> WarehouseError {
    let is_clash = error.as_db_error().is_some_and(|said| {
        said.message().contains("1023") || said.message().contains("erializable isolation")
    });
    match postgres::failed(what, error) {
        WarehouseError::Refused(text) if is_clash => WarehouseError::Unavailable(text),
        other => other,
    }
}
