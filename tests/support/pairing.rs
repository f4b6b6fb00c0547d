//! The pairings of backends that faults are tried on.

use std::sync::Arc;

use super::aws::{create_bucket, create_queue};
use super::oracle::{Oracle, Places};
use super::process::Postgres;
use super::standin::{Armed, Fault, Op, Standin, StandinOptions};
use super::waybill::Deployment;

/// Which backends stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// Disk queue, folder, DuckDB.
    Embedded,
    /// SQS with a spool, S3, PostgreSQL.
    Aws,
    /// SQS, folder, DuckDB.
    SqsFolderDuckDb,
    /// Disk queue, S3, PostgreSQL.
    DiskS3Postgres,
}

impl Pairing {
    /// All of them.
    pub const ALL: [Pairing; 4] =
        [Pairing::Embedded, Pairing::Aws, Pairing::SqsFolderDuckDb, Pairing::DiskS3Postgres];

    fn has_sqs(self) -> bool {
        matches!(self, Pairing::Aws | Pairing::SqsFolderDuckDb)
    }

    fn has_s3(self) -> bool {
        matches!(self, Pairing::Aws | Pairing::DiskS3Postgres)
    }
}

/// Running backends, and the settings that lead to them.
pub struct Setup {
    pub deployment: Deployment,
    places: Places,
    standin: Option<Standin>,
    /// Ends when dropped.
    postgres: Option<Postgres>,
    /// Made before a runtime is needed elsewhere: the second database of a pairing with PostgreSQL.
    other_warehouse: String,
    _dir: tempfile::TempDir,
}

impl Setup {
    /// Starts what the pairing needs, everything empty.
    pub async fn start(pairing: Pairing) -> Setup {
        let dir = tempfile::tempdir().expect("temporary folder");
        let below = |name: &str| dir.path().join(name);
        let mut deployment = Deployment::embedded(dir.path())
            .with("WAYBILL_BATCH_AGE", "100ms")
            .with("WAYBILL_LOAD_INTERVAL", "100ms");
        let mut places =
            Places { queue: Ok(below("queue")), spool: None, lake: Ok(below("lake")), endpoint: None };
        let mut standin = None;
        if pairing.has_sqs() || pairing.has_s3() {
            let started = Standin::start(StandinOptions::default()).await;
            let endpoint = started.endpoint();
            let sdk = waybill::ops::aws::standin_config(&endpoint);
            deployment = deployment.with_aws(&endpoint);
            if pairing.has_sqs() {
                let url = create_queue(&sdk, "events", Some("events-dead")).await;
                deployment = deployment.with("WAYBILL_QUEUE", &url);
                places.queue = Err(url);
            }
            if pairing == Pairing::Aws {
                deployment = deployment.with("WAYBILL_SPOOL", &format!("file:{}", below("spool").display()));
                places.spool = Some(below("spool"));
            }
            if pairing.has_s3() {
                create_bucket(&sdk, "lake").await;
                deployment = deployment.with("WAYBILL_LAKE", "s3://lake/shop");
                places.lake = Err(("lake".to_owned(), "shop".to_owned()));
            }
            places.endpoint = Some(endpoint);
            standin = Some(started);
        }
        let mut postgres = None;
        let mut other_warehouse = format!("duckdb:{}", below("other.duckdb").display());
        if pairing.has_s3() {
            let started = Postgres::start().await;
            deployment = deployment.with("WAYBILL_WAREHOUSE", &started.create_database("shop").await);
            other_warehouse = started.create_database("other").await;
            postgres = Some(started);
        }
        Setup { deployment, places, standin, postgres, other_warehouse, _dir: dir }
    }

    /// A judge of this set-up.
    pub fn oracle(&self, seed: u64) -> Arc<Oracle> {
        Oracle::new(self.deployment.clone(), self.places.clone(), seed)
    }

    /// The same with another, empty warehouse.
    pub fn with_fresh_warehouse(&self) -> Deployment {
        self.deployment.clone().with("WAYBILL_WAREHOUSE", &self.other_warehouse)
    }

    /// The stand-in of AWS.
    pub fn standin(&self) -> &Standin {
        self.standin.as_ref().expect("this pairing has one")
    }

    /// Runs statements in PostgreSQL, as somebody does by hand.
    pub async fn by_hand(&self, sql: &str) {
        self.postgres.as_ref().expect("this pairing has one").execute_in("shop", sql).await;
    }

    /// SQS takes nothing until all faults are disarmed.
    pub fn outage(&self) -> Armed {
        self.standin().faults().arm(Op::SendMessageBatch, Fault::Status(503), u64::MAX)
    }

    /// SQS takes everything again.
    pub fn end_outage(&self) {
        if let Some(standin) = &self.standin {
            standin.faults().disarm_all();
        }
    }
}
