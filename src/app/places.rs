//! Opens the three places by their addresses.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use aws_config::SdkConfig;

use crate::lake::Lake;
use crate::lake::disk::DiskLake;
use crate::lake::s3::{S3Lake, S3Options};
use crate::ops::aws;
use crate::queue::Queue;
use crate::queue::disk::{DiskOptions, DiskQueue};
use crate::queue::sqs::{SqsOptions, SqsQueue};
use crate::settings::{LakeAddress, QueueAddress, Settings, WarehouseAddress};
use crate::warehouse::duckdb::{DuckDbOptions, DuckDbWarehouse};
use crate::warehouse::postgres::PostgresWarehouse;
use crate::warehouse::{SchemaState, Warehouse};

use super::Misconfigured;

/// A queue, and the dead-letter queue beside it.
pub(super) struct Queues {
    pub(super) main: Arc<dyn Queue>,
    pub(super) dead_letters: Option<Arc<dyn Queue>>,
}

/// Opens the queue alone: who only sends needs no rights on the dead-letter queue.
pub(super) async fn queue(settings: &Settings) -> anyhow::Result<Arc<dyn Queue>> {
    match settings.queue.as_ref().context("no queue address")? {
        QueueAddress::File(dir) => disk_queue(dir),
        QueueAddress::Sqs(url) => Ok(Arc::new(sqs_queue(&aws::sdk_config().await, url).await?)),
    }
}

/// Opens the queue, and the dead-letter queue that its redrive policy or the setting names.
pub(super) async fn queues(settings: &Settings) -> anyhow::Result<Queues> {
    let url = match settings.queue.as_ref().context("no queue address")? {
        QueueAddress::File(dir) => return Ok(Queues { main: disk_queue(dir)?, dead_letters: None }),
        QueueAddress::Sqs(url) => url,
    };
    // Once for both: each has its own chain of credentials to ask.
    let sdk = aws::sdk_config().await;
    let main = sqs_queue(&sdk, url).await?;
    let dead_letters_url = match settings.dead_letters.as_deref() {
        Some("off") => None,
        Some(url) => Some(url.to_owned()),
        None => main.dead_letter_url().await.context("cannot find the queue's dead-letter queue")?,
    };
    let dead_letters: Option<Arc<dyn Queue>> = match dead_letters_url {
        Some(url) => {
            Some(Arc::new(sqs_queue(&sdk, &url).await.context("cannot open the dead-letter queue")?))
        }
        None => None,
    };
    Ok(Queues { main: Arc::new(main), dead_letters })
}

fn disk_queue(dir: &Path) -> anyhow::Result<Arc<dyn Queue>> {
    let queue = DiskQueue::open(dir, DiskOptions::default())
        .with_context(|| format!("cannot open the queue in {}", dir.display()))?;
    Ok(Arc::new(queue))
}

async fn sqs_queue(sdk: &SdkConfig, url: &str) -> anyhow::Result<SqsQueue> {
    SqsQueue::open(sdk, url.to_owned(), SqsOptions::default())
        .await
        .with_context(|| format!("cannot open the queue {url}"))
}

/// Opens the lake.
pub(super) async fn lake(settings: &Settings) -> anyhow::Result<Arc<dyn Lake>> {
    match settings.lake.as_ref().context("no lake address")? {
        LakeAddress::File(dir) => {
            let lake =
                DiskLake::open(dir).with_context(|| format!("cannot open the lake in {}", dir.display()))?;
            Ok(Arc::new(lake))
        }
        LakeAddress::S3 { bucket, prefix } => {
            let sdk = aws::sdk_config().await;
            Ok(Arc::new(S3Lake::open(&sdk, bucket, prefix, S3Options::default())))
        }
    }
}

/// The same for who reads what is there: a mistyped folder is not made.
pub(super) async fn lake_that_is_there(settings: &Settings) -> anyhow::Result<Arc<dyn Lake>> {
    if let Some(LakeAddress::File(dir)) = &settings.lake
        && !dir.is_dir()
    {
        return Err(Misconfigured(format!("there is no lake in {}", dir.display())).into());
    }
    lake(settings).await
}

/// Opens the warehouse; nothing is connected or locked yet.
pub(super) fn warehouse(settings: &Settings) -> anyhow::Result<Arc<dyn Warehouse>> {
    match settings.warehouse.as_ref().context("no warehouse address")? {
        WarehouseAddress::DuckDb(file) => {
            let warehouse = DuckDbWarehouse::open(file.clone(), DuckDbOptions::default())
                .with_context(|| format!("cannot use the warehouse file {}", file.display()))?;
            Ok(Arc::new(warehouse))
        }
        WarehouseAddress::Postgres(url) => {
            let warehouse = PostgresWarehouse::open(url.expose())
                .context("cannot use the PostgreSQL address of the warehouse")?;
            Ok(Arc::new(warehouse))
        }
    }
}

/// Brings the schema up to date, or says that somebody must.
pub(super) async fn prepare(settings: &Settings, warehouse: &dyn Warehouse) -> anyhow::Result<()> {
    if settings.migrate {
        warehouse.migrate().await.context("cannot bring the warehouse's schema up to date")?;
        return Ok(());
    }
    match warehouse.schema_state().await.context("cannot read the warehouse's schema version")? {
        SchemaState::Current => Ok(()),
        state => Err(Misconfigured(schema_fault(state)).into()),
    }
}

/// What to do about a schema that does not fit.
pub(super) fn schema_fault(state: SchemaState) -> String {
    match state {
        SchemaState::Current => "the schema is current".to_owned(),
        SchemaState::Missing => "the warehouse has no schema yet: run `waybill migrate`".to_owned(),
        SchemaState::Old(version) => {
            format!("the warehouse's schema is at version {version}: run `waybill migrate`")
        }
        SchemaState::Newer(version) => {
            format!(
                "the warehouse's schema is at version {version}, newer than this program: use a newer waybill"
            )
        }
    }
}
