//! The engines under measurement, and what they take by themselves for the same bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::SinkExt;
use tempfile::TempDir;
use tokio_postgres::NoTls;
use waybill::retail::Dataset;
use waybill::retail::read::{ShopFile, Source};
use waybill::warehouse::duckdb::{DuckDbOptions, DuckDbWarehouse};
use waybill::warehouse::postgres::PostgresWarehouse;

use super::generate::written;
use super::{Cost, Place};
use crate::children::process::{Postgres, PostgresOptions};
use crate::process;

/// Threads and memory of DuckDB, as on a small machine.
const THREADS: usize = 2;
const MEMORY: &str = "6GB";

/// Of a server that is meant for this, on 2 cores and 24 GiB; it does not wait for the disk, for CPU time is compared.
const SETTINGS: [&str; 7] = [
    "shared_buffers=3GB",
    "max_wal_size=8GB",
    "checkpoint_timeout=30min",
    "maintenance_work_mem=512MB",
    "work_mem=256MB",
    "effective_cache_size=12GB",
    "random_page_cost=1.1",
];

pub struct Engine {
    pub name: &'static str,
    pub warehouse: Place,
    dir: TempDir,
    server: Option<(Postgres, String)>,
}

impl Engine {
    pub async fn duckdb() -> Engine {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let options =
            DuckDbOptions { threads: THREADS, memory: MEMORY.to_owned(), ..DuckDbOptions::default() };
        let warehouse =
            DuckDbWarehouse::open(dir.path().join("warehouse.duckdb"), options).expect("a warehouse");
        Engine::with("DuckDB", Arc::new(warehouse), dir, None).await
    }

    pub async fn postgres() -> Engine {
        let settings = SETTINGS.map(str::to_owned).to_vec();
        let server = Postgres::start_with(PostgresOptions { settings, ..PostgresOptions::default() }).await;
        let url = server.create_database("bench").await;
        let warehouse = PostgresWarehouse::open(&url).expect("a warehouse");
        let dir = tempfile::tempdir().expect("a temporary folder");
        Engine::with("PostgreSQL", Arc::new(warehouse), dir, Some((server, url))).await
    }

    async fn with(
        name: &'static str,
        warehouse: Place,
        dir: TempDir,
        server: Option<(Postgres, String)>,
    ) -> Engine {
        warehouse.migrate().await.expect("a schema");
        Engine { name, warehouse, dir, server }
    }

    /// User and system time of this process and the server's.
    fn cpu(&self) -> Duration {
        let server =
            self.server.as_ref().map_or(Duration::ZERO, |(server, _)| process::cpu_of_tree(server.id()));
        process::usage_of(std::process::id()).cpu + server
    }

    async fn measured<T>(&self, work: impl Future<Output = T>) -> (T, Duration, Duration) {
        let (cpu, started) = (self.cpu(), Instant::now());
        let done = work.await;
        (done, started.elapsed(), self.cpu().saturating_sub(cpu))
    }

    /// Reads and loads a file, as the program does.
    pub async fn load(&self, dataset: &str, name: &str, text: String) -> Cost {
        let work = async {
            let file = read(dataset, name, text).await;
            let lines = file.report.lines;
            assert!(file.report.verdict.is_none(), "{:?}", file.report.verdict);
            (lines, self.warehouse.load_shop(file, false).await.expect("loaded"))
        };
        let ((lines, outcome), wall, cpu) = self.measured(work).await;
        assert!(outcome.is_new, "{name}");
        assert_eq!(outcome.outcome.waiting, 0, "{name}");
        Cost { lines, inserted: outcome.outcome.inserted.unsigned_abs(), wall, cpu }
    }

    /// The same file again: how long the warehouse takes to say that it has it.
    pub async fn again(&self, dataset: &str, name: &str, text: String) -> Duration {
        let file = read(dataset, name, text).await;
        let started = Instant::now();
        let outcome = self.warehouse.load_shop(file, false).await.expect("known");
        assert!(!outcome.is_new, "{name}");
        started.elapsed()
    }

    /// Brings the marts up to date: wall and CPU time.
    pub async fn refresh(&self) -> (Duration, Duration) {
        let (state, wall, cpu) = self.measured(self.warehouse.refresh_marts(false)).await;
        assert!(state.expect("marts").is_changed, "there was something to do");
        (wall, cpu)
    }

    /// What the engine takes to read the lines into a table of their columns: DuckDB's typed read_csv, or COPY into a
    /// table with a key and an index for each foreign one.
    pub async fn bare(&self, lines: &str) -> Cost {
        let count = lines.lines().count() as u64;
        let work = async {
            match &self.server {
                None => self.bare_read_csv(lines),
                Some((_, url)) => bare_copy(url, lines).await,
            }
        };
        let (inserted, wall, cpu) = self.measured(work).await;
        assert_eq!(inserted, count, "all lines were read");
        Cost { lines: count, inserted, wall, cpu }
    }

    fn bare_read_csv(&self, lines: &str) -> u64 {
        let path = self.dir.path().join("bare.csv");
        std::fs::write(&path, lines).expect("a file");
        let connection = duckdb::Connection::open(self.dir.path().join("bare.duckdb")).expect("a file");
        let sql = format!(
            "set threads = {THREADS}; create table line as select * from read_csv('{}', header = false, columns = {{
               order_item_id: 'bigint', order_id: 'bigint', product_id: 'integer', quantity: 'integer',
               line_amount: 'decimal(14, 2)', unit_price: 'decimal(12, 2)'}})",
            path.display()
        );
        connection.execute_batch(&sql).expect("read_csv");
        connection.query_row("select count(*) from line", [], |row| row.get(0)).expect("a count")
    }

    /// PostgreSQL: what COPY takes to fill a table with the columns, keys, indexes and partitions of the facts.
    pub async fn twin(&self) -> Option<Cost> {
        let (_, url) = self.server.as_ref()?;
        let client = client(url).await;
        client
            .batch_execute(
                "create schema bench;
                 create table bench.twin (like base.fct_order_line including indexes) partition by range (order_date);
                 create table bench.twin_1 partition of bench.twin for values from ('2026-05-01') to ('2026-06-01');
                 create table bench.twin_2 partition of bench.twin for values from ('2026-06-01') to ('2026-07-01');
                 create table bench.source as
                   select format('%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s', order_item_id, order_id, order_date,
                     ordered_at, product_id, product_key, customer_id, customer_key, order_status_key, quantity,
                     unit_price, line_amount, version_at, file, generation, line) as text
                   from base.fct_order_line order by order_item_id;",
            )
            .await
            .expect("a twin");
        let rows = client.query("select text from bench.source", &[]).await.expect("lines");
        let text: String = rows.iter().map(|row| format!("{}\n", row.get::<_, &str>(0))).collect();
        let (lines, wall, cpu) = self.measured(copy(&client, "bench.twin", text)).await;
        client.batch_execute("drop table bench.twin, bench.source").await.expect("dropped");
        Some(Cost { lines, inserted: lines, wall, cpu })
    }

    /// Bytes that the warehouse takes.
    pub async fn bytes(&self) -> u64 {
        match &self.server {
            None => std::fs::metadata(self.dir.path().join("warehouse.duckdb")).map_or(0, |meta| meta.len()),
            Some((_, url)) => {
                let client = client(url).await;
                let row =
                    client.query_one("select pg_database_size(current_database())", &[]).await.expect("size");
                row.get::<_, i64>(0).unsigned_abs()
            }
        }
    }
}

async fn read(dataset: &str, name: &str, text: String) -> Arc<ShopFile> {
    let dataset = Dataset::named(dataset).expect("a dataset");
    let source = Source {
        key: format!("{}/{name}.csv", dataset.as_str()),
        bytes: text.len() as u64,
        modified_at: written(),
    };
    tokio::task::spawn_blocking(move || Arc::new(ShopFile::read(dataset, source, Bytes::from(text))))
        .await
        .expect("read")
}

async fn client(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

async fn bare_copy(url: &str, lines: &str) -> u64 {
    let client = client(url).await;
    client
        .batch_execute(
            "create table line (order_item_id bigint primary key, order_id bigint not null, product_id integer not null,
               quantity integer not null, line_amount decimal(14, 2) not null, unit_price decimal(12, 2) not null);
             create index on line (order_id);
             create index on line (product_id) include (quantity);",
        )
        .await
        .expect("a table");
    let count = copy(&client, "line", lines.to_owned()).await;
    client.batch_execute("drop table line").await.expect("dropped");
    count
}

async fn copy(client: &tokio_postgres::Client, table: &str, text: String) -> u64 {
    let sink = client
        .copy_in::<_, Bytes>(&format!("copy {table} from stdin (format csv)"))
        .await
        .expect("COPY begins");
    let mut sink = std::pin::pin!(sink);
    let mut rest = Bytes::from(text);
    while !rest.is_empty() {
        let chunk = rest.split_to(rest.len().min(256 * 1024));
        sink.send(chunk).await.expect("COPY takes it");
    }
    sink.finish().await.expect("COPY ends")
}
