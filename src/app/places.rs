//! Opens the three places by their addresses.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use aws_config::SdkConfig;
use jiff::tz::TimeZone;
use tracing::warn;

use crate::aftership::client::{Api, ApiOptions};
use crate::aftership::personal;
use crate::lake::Lake;
use crate::lake::disk::DiskLake;
use crate::lake::s3::{S3Lake, S3Options};
use crate::lake::suppressed::{Latest, ListError, Suppressed};
use crate::ops::{aws, file_system};
use crate::queue::disk::{DiskOptions, DiskQueue};
use crate::queue::late::LateQueue;
use crate::queue::spooled::SpooledQueue;
use crate::queue::sqs::{SqsOptions, SqsQueue};
use crate::queue::{Queue, QueueError};
use crate::settings::{LakeAddress, QueueAddress, Settings, WarehouseAddress};
use crate::warehouse::duckdb::{DuckDbOptions, DuckDbWarehouse};
use crate::warehouse::postgres::PostgresWarehouse;
use crate::warehouse::redshift::{RedshiftOptions, RedshiftWarehouse, S3Staging};
use crate::warehouse::{Cell, SchemaState, Warehouse};

use super::Misconfigured;

/// How long a start waits for the lake.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// A queue, and what stands beside it.
pub(super) struct Queues {
    pub(super) main: Arc<dyn Queue>,
    pub(super) dead_letters: Option<Arc<dyn Queue>>,
    /// The queue or the spool on this machine's disk: when it fails, the process must end.
    pub(super) disk: Option<Arc<DiskQueue>>,
    /// The queue once more, when it has a spool.
    pub(super) spooled: Option<Arc<SpooledQueue>>,
}

impl Queues {
    /// For tests that want a mistake; else as they are.
    fn ready(self) -> Queues {
        #[cfg(feature = "failpoints")]
        let queues = Queues { main: super::seeded::queue(self.main), ..self };
        #[cfg(not(feature = "failpoints"))]
        let queues = self;
        queues
    }
}

/// Opens the queue alone, with its spool: who only sends needs no rights on the dead-letter queue.
pub(super) async fn queue(settings: &Settings) -> anyhow::Result<Queues> {
    open_queues(settings, false).await.map(Queues::ready)
}

/// Opens the queue with its spool, and the dead-letter queue that its redrive policy or the setting names.
pub(super) async fn queues(settings: &Settings) -> anyhow::Result<Queues> {
    open_queues(settings, true).await.map(Queues::ready)
}

async fn open_queues(settings: &Settings, with_dead_letters: bool) -> anyhow::Result<Queues> {
    let url = match settings.queue.as_ref().context("no queue address")? {
        QueueAddress::File(dir) => {
            let disk = disk_queue(dir, DiskOptions::default())?;
            let main = Arc::clone(&disk) as Arc<dyn Queue>;
            return Ok(Queues { main, dead_letters: None, disk: Some(disk), spooled: None });
        }
        QueueAddress::Sqs(url) => url,
    };
    // Once for both: each has its own chain of credentials to ask.
    let sdk = aws::sdk_config().await;
    let Some(dir) = &settings.spool else {
        let main = Arc::new(sqs_queue(&sdk, url, SqsOptions::default()).await?);
        let dead_letters = if with_dead_letters {
            dead_letter_queue(&sdk, &main, settings.dead_letters.as_deref()).await?
        } else {
            None
        };
        return Ok(Queues { main, dead_letters, disk: None, spooled: None });
    };

    let options = DiskOptions { file_bytes_max: Some(settings.spool_bytes), ..DiskOptions::default() };
    let spool = disk_queue(dir, options)?;
    let (main, outage) = reach(sdk.clone(), url.clone()).await?;
    let spooled = Arc::new(SpooledQueue::start(main, Arc::clone(&spool), outage));
    let dead_letters: Option<Arc<dyn Queue>> = match settings.dead_letters.as_deref() {
        Some("off") => None,
        _ if !with_dead_letters => None,
        given => Some(Arc::new(late_dead_letter_queue(sdk, url.clone(), given.map(str::to_owned)))),
    };
    let main = Arc::clone(&spooled) as Arc<dyn Queue>;
    Ok(Queues { main, dead_letters, disk: Some(spool), spooled: Some(spooled) })
}

/// With a spool a queue that is away need not be waited for; one that refuses us is a fault all the same. Gives why it
/// is away, too.
async fn reach(sdk: SdkConfig, url: String) -> anyhow::Result<(Arc<dyn Queue>, Option<String>)> {
    // The rest of the time that a sender waits belongs to the spool.
    let options = SqsOptions { deadline: Duration::from_secs(2), ..SqsOptions::default() };
    match SqsQueue::open(&sdk, url.clone(), options.clone()).await {
        Ok(queue) => Ok((Arc::new(queue), None)),
        Err(error @ QueueError::Unavailable(_)) => {
            warn!(%error, "the queue cannot be reached yet: events go to the spool until it can");
            let queue: Arc<dyn Queue> = Arc::new(LateQueue::new(Box::new(move || {
                let (sdk, url, options) = (sdk.clone(), url.clone(), options.clone());
                Box::pin(async move {
                    let queue: Arc<dyn Queue> = Arc::new(SqsQueue::open(&sdk, url, options).await?);
                    Ok(Some(queue))
                })
            })));
            Ok((queue, Some(error.to_string())))
        }
        Err(error) => Err(error).with_context(|| format!("cannot open the queue {url}")),
    }
}

async fn dead_letter_queue(
    sdk: &SdkConfig,
    main: &SqsQueue,
    given: Option<&str>,
) -> anyhow::Result<Option<Arc<dyn Queue>>> {
    let url = match given {
        Some("off") => None,
        Some(url) => Some(url.to_owned()),
        None => main.dead_letter_url().await.context("cannot find the queue's dead-letter queue")?,
    };
    let Some(url) = url else { return Ok(None) };
    let queue =
        sqs_queue(sdk, &url, SqsOptions::default()).await.context("cannot open the dead-letter queue")?;
    Ok(Some(Arc::new(queue)))
}

/// The same beside a queue that may not be there yet.
fn late_dead_letter_queue(sdk: SdkConfig, main_url: String, given: Option<String>) -> LateQueue {
    LateQueue::new(Box::new(move || {
        let (sdk, main_url, given) = (sdk.clone(), main_url.clone(), given.clone());
        Box::pin(async move {
            let url = match given {
                Some(url) => Some(url),
                None => {
                    SqsQueue::open(&sdk, main_url, SqsOptions::default()).await?.dead_letter_url().await?
                }
            };
            let Some(url) = url else { return Ok(None) };
            let queue: Arc<dyn Queue> = Arc::new(SqsQueue::open(&sdk, url, SqsOptions::default()).await?);
            Ok(Some(queue))
        })
    }))
}

/// Says so when a folder will not outlive the machine or the container.
fn warn_if_passing(what: &str, path: &Path) {
    if let Some(warning) = file_system::kind_of(path).and_then(|kind| kind.warning(what, path)) {
        warn!("{warning}");
    }
}

fn disk_queue(dir: &Path, options: DiskOptions) -> anyhow::Result<Arc<DiskQueue>> {
    warn_if_passing("the queue folder", dir);
    let queue = DiskQueue::open(dir, options)
        .with_context(|| format!("cannot open the queue in {}", dir.display()))?;
    Ok(Arc::new(queue))
}

async fn sqs_queue(sdk: &SdkConfig, url: &str, options: SqsOptions) -> anyhow::Result<SqsQueue> {
    SqsQueue::open(sdk, url.to_owned(), options).await.with_context(|| format!("cannot open the queue {url}"))
}

/// Opens the lake.
pub(super) async fn lake(settings: &Settings) -> anyhow::Result<Arc<dyn Lake>> {
    let lake = open_lake(settings).await?;
    #[cfg(feature = "failpoints")]
    let lake = super::seeded::lake(lake);
    Ok(lake)
}

async fn open_lake(settings: &Settings) -> anyhow::Result<Arc<dyn Lake>> {
    match settings.lake.as_ref().context("no lake address")? {
        LakeAddress::File(dir) => {
            warn_if_passing("the lake folder", dir);
            let lake =
                DiskLake::open(dir).with_context(|| format!("cannot open the lake in {}", dir.display()))?;
            Ok(Arc::new(lake))
        }
        LakeAddress::S3 { bucket, prefix } => Ok(Arc::new(s3_lake(bucket, prefix).await)),
    }
}

async fn s3_lake(bucket: &str, prefix: &str) -> S3Lake {
    S3Lake::open(&aws::sdk_config().await, bucket, prefix, S3Options::default())
}

/// AfterShip's REST API, by the settings. Nothing is asked yet.
pub(super) fn api(settings: &Settings) -> anyhow::Result<Api> {
    let key = settings.aftership_api_key.as_ref().context("no key of AfterShip's API")?;
    let options = ApiOptions {
        url: settings.aftership_api_url.clone(),
        key: key.expose().to_owned(),
        rate: settings.poll_rate,
        ..ApiOptions::default()
    };
    Api::open(options).map_err(|error| {
        Misconfigured(format!("{error}; look at WAYBILL_AFTERSHIP_API_URL and WAYBILL_AFTERSHIP_API_KEY"))
            .into()
    })
}

/// Where the shop's files are, if anywhere. Nothing is made there.
pub(super) async fn retail(settings: &Settings) -> Option<Arc<dyn Lake>> {
    match settings.retail.as_ref()? {
        LakeAddress::File(dir) => Some(Arc::new(DiskLake::look_into(dir))),
        LakeAddress::S3 { bucket, prefix } => Some(Arc::new(s3_lake(bucket, prefix).await)),
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

/// Reads who is erased. A lake that is away is no reason not to start; a list that nobody can use is.
pub(super) async fn suppressed(settings: &Settings, lake: &dyn Lake) -> anyhow::Result<Latest> {
    let latest = Latest::new(nobody(settings));
    match tokio::time::timeout(LOOK_MAX, latest.refresh(lake)).await {
        Ok(Err(ListError::Unusable(why))) => Err(Misconfigured(why).into()),
        Ok(Ok(_) | Err(ListError::Lake(_))) | Err(_) => Ok(latest),
    }
}

/// The list of who is erased before it was read.
pub(super) fn nobody(settings: &Settings) -> Suppressed {
    match &settings.privacy_key {
        Some(key) => Suppressed::new(key.expose().as_bytes(), personal::key_id(key.expose().as_bytes())),
        None => Suppressed::new(b"", String::new()),
    }
}

/// Opens the warehouse; nothing is connected or locked yet.
pub(super) fn warehouse(settings: &Settings) -> anyhow::Result<Arc<dyn Warehouse>> {
    let warehouse = open_warehouse(settings)?;
    #[cfg(feature = "failpoints")]
    let warehouse = super::seeded::warehouse(warehouse);
    Ok(warehouse)
}

fn open_warehouse(settings: &Settings) -> anyhow::Result<Arc<dyn Warehouse>> {
    match settings.warehouse.as_ref().context("no warehouse address")? {
        WarehouseAddress::DuckDb(file) => {
            warn_if_passing("the warehouse file", file);
            let options =
                DuckDbOptions { memory: settings.warehouse_memory.clone(), ..DuckDbOptions::default() };
            let warehouse = DuckDbWarehouse::open(file.clone(), options)
                .with_context(|| format!("cannot use the warehouse file {}", file.display()))?;
            Ok(Arc::new(warehouse))
        }
        WarehouseAddress::Postgres(url) => {
            let warehouse = PostgresWarehouse::open(url.expose())
                .context("cannot use the PostgreSQL address of the warehouse")?;
            Ok(Arc::new(warehouse))
        }
        WarehouseAddress::Redshift(url) => {
            let (bucket, prefix) =
                settings.redshift_staging.as_ref().context("no staging bucket for Redshift")?;
            let staging = Arc::new(S3Staging::open(bucket, prefix));
            let options = RedshiftOptions {
                role: settings.redshift_role.clone(),
                region: settings.redshift_region.clone(),
            };
            let warehouse = RedshiftWarehouse::open(url.expose(), staging, options)
                .context("cannot use the Redshift address of the warehouse")?;
            Ok(Arc::new(warehouse))
        }
    }
}

/// Brings the schema up to date, or says that somebody must.
pub(super) async fn prepare(settings: &Settings, warehouse: &dyn Warehouse) -> anyhow::Result<()> {
    if settings.migrate {
        warehouse.migrate().await.context("cannot bring the warehouse's schema up to date")?;
        return use_time_zone(settings, warehouse).await;
    }
    match warehouse.schema_state().await.context("cannot read the warehouse's schema version")? {
        SchemaState::Current => has_time_zone(settings, warehouse).await,
        state => Err(Misconfigured(schema_fault(state)).into()),
    }
}

/// Where nobody may change views, the setting has to be what they are made for.
async fn has_time_zone(settings: &Settings, warehouse: &dyn Warehouse) -> anyhow::Result<()> {
    let Some(wanted) = settings.business_time_zone.as_ref().and_then(TimeZone::iana_name) else {
        return Ok(());
    };
    let answer = warehouse.query("select time_zone from base.business").await?;
    match answer.rows.first().and_then(|row| row.first()) {
        Some(Cell::Text(zone)) if zone != wanted => Err(Misconfigured(format!(
            "the warehouse's time zone is {zone} and WAYBILL_BUSINESS_TIME_ZONE is {wanted}: run `waybill migrate`"
        ))
        .into()),
        _ => Ok(()),
    }
}

/// Brings what depends on the shop's time zone in line with the setting, if there is one.
pub(super) async fn use_time_zone(settings: &Settings, warehouse: &dyn Warehouse) -> anyhow::Result<()> {
    let Some(zone) = &settings.business_time_zone else { return Ok(()) };
    if warehouse.use_time_zone(zone).await.context("cannot set the warehouse's time zone")? {
        tracing::info!("the shop's days are those of {} from now on", zone.iana_name().unwrap_or("UTC"));
    }
    Ok(())
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
