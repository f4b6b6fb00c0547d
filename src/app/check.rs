//! `waybill check`: all that is wrong with settings and places, at once, changing nothing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::aftership::api::ListQuery;
use crate::cli::Role;
use crate::queue::Queue;
use crate::queue::disk::{DiskOptions, DiskQueue};
use crate::settings::{Faults, LakeAddress, Need, Purpose, QueueAddress, Settings, WarehouseAddress};
use crate::warehouse::SchemaState;
use crate::warehouse::redshift::S3Staging;

use super::places;
use super::{Exit, Misconfigured, Sources, describe};

pub(super) async fn run(sources: &Sources, role: Role) -> anyhow::Result<Exit> {
    let all = vec![Need::Receiving, Need::Queue, Need::Lake, Need::Warehouse];
    let (needs, data): (Vec<Need>, Option<PathBuf>) = match role {
        Role::Up => (all, Some("waybill-data".into())),
        Role::All => (all, None),
        Role::Receive => (vec![Need::Receiving, Need::Queue], None),
        Role::Batch => (vec![Need::Queue, Need::Lake], None),
        Role::Load => (vec![Need::Lake, Need::Warehouse], None),
        Role::Poll => (vec![Need::Queue, Need::Lake, Need::Api], None),
    };
    let purpose = Purpose { needs: needs.clone(), data, is_demo: false };
    let (settings, Faults(mut faults)) = sources.examine(&purpose)?;
    println!("{} settings", if faults.is_empty() { "ok     " } else { "FAULT  " });

    // Places are tried whatever is wrong with the settings: all faults in one answer.
    if let Some(settings) = settings {
        if needs.contains(&Need::Receiving) {
            report("public listener", listener(settings.listen).await, &mut faults);
        }
        if let Some(ops) = settings.ops_listen {
            report("operators' listener", listener(ops).await, &mut faults);
        }
        if needs.contains(&Need::Queue) && settings.queue.is_some() {
            report("queue", queue(&settings, needs.contains(&Need::Lake)).await, &mut faults);
        }
        if needs.contains(&Need::Receiving)
            && let Some(dir) = &settings.spool
        {
            report("spool", spool(dir).await, &mut faults);
        }
        if needs.contains(&Need::Lake) && settings.lake.is_some() {
            report("lake", lake(&settings).await, &mut faults);
        }
        if needs.contains(&Need::Warehouse) && settings.warehouse.is_some() {
            report("warehouse", warehouse(&settings).await, &mut faults);
        }
        if needs.contains(&Need::Warehouse)
            && let Some((bucket, prefix)) = &settings.redshift_staging
        {
            report("Redshift's staging bucket", staging(bucket, prefix).await, &mut faults);
        }
        if needs.contains(&Need::Queue) && settings.aftership_api_key.is_some() {
            report("AfterShip's API", api(&settings).await, &mut faults);
        }
    }
    if faults.is_empty() {
        return Ok(Exit::Done);
    }
    Err(Misconfigured(format!("check found faults:\n{}", Faults(faults))).into())
}

fn report(what: &str, outcome: Result<String, String>, faults: &mut Vec<String>) {
    match outcome {
        Ok(found) => println!("ok      {what}: {found}"),
        Err(fault) => {
            println!("FAULT   {what}");
            faults.push(format!("{what}: {fault}"));
        }
    }
}

async fn listener(address: SocketAddr) -> Result<String, String> {
    match tokio::net::TcpListener::bind(address).await {
        Ok(_) => Ok(format!("{address} is free")),
        Err(error) => Err(format!("cannot listen on {address}: {error}; choose another address")),
    }
}

/// A folder that is not there yet is no fault if it can be made, but a check does not make it.
fn absent(path: &Path) -> Option<Result<String, String>> {
    if path.exists() {
        return None;
    }
    let parent = path.ancestors().skip(1).find(|parent| parent.as_os_str().is_empty() || parent.exists());
    let parent = parent.filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.is_dir() || rustix::fs::access(parent, rustix::fs::Access::WRITE_OK).is_err() {
        return Some(Err(format!(
            "{} is not there, and cannot be made in {}",
            path.display(),
            parent.display()
        )));
    }
    Some(Ok(format!("{} is not there yet and will be made in {}", path.display(), parent.display())))
}

/// Who only sends has nothing to do with the dead-letter queue.
async fn queue(settings: &Settings, with_dead_letters: bool) -> Result<String, String> {
    if let Some(QueueAddress::File(dir)) = &settings.queue
        && let Some(found) = absent(dir)
    {
        return found;
    }
    let settings = settings.without_spool();
    let opened =
        if with_dead_letters { places::queues(&settings).await } else { places::queue(&settings).await };
    let queues = opened.map_err(|error| describe(&error))?;
    queues.main.probe().await.map_err(|error| error.to_string())?;
    let dead_letters = match &queues.dead_letters {
        Some(queue) => {
            queue.probe().await.map_err(|error| format!("dead-letter queue: {error}"))?;
            ", with its dead-letter queue"
        }
        None => "",
    };
    Ok(format!("{} queue reached{dead_letters}", queues.main.kind()))
}

async fn spool(dir: &Path) -> Result<String, String> {
    if let Some(found) = absent(dir) {
        return found;
    }
    let spool = DiskQueue::open(dir, DiskOptions::default()).map_err(|error| error.to_string())?;
    spool.probe().await.map_err(|error| error.to_string())?;
    let depth = spool.depth().await.map_err(|error| error.to_string())?;
    Ok(format!("{} events wait in {}", depth.ready + depth.leased, dir.display()))
}

async fn lake(settings: &Settings) -> Result<String, String> {
    if let Some(LakeAddress::File(dir)) = &settings.lake
        && let Some(found) = absent(dir)
    {
        return found;
    }
    let lake = places::lake(settings).await.map_err(|error| describe(&error))?;
    lake.probe().await.map_err(|error| error.to_string())?;
    let suppressed = places::suppressed(settings, lake.as_ref()).await.map_err(|error| describe(&error))?;
    let open = match suppressed.get().open().count() {
        0 => String::new(),
        count => format!("; {count} erasures are not over: ask for them again with `waybill forget`"),
    };
    Ok(format!("{} lake reached{open}", lake.kind()))
}

async fn api(settings: &Settings) -> Result<String, String> {
    let api = places::api(settings).map_err(|error| describe(&error))?;
    let (page, _) =
        api.list(&ListQuery { limit: 1, ..ListQuery::default() }).await.map_err(|error| error.to_string())?;
    Ok(format!(
        "reached, the key is taken; {} trackings in 120 days",
        page.total.map_or("some".to_owned(), |n| n.to_string())
    ))
}

async fn warehouse(settings: &Settings) -> Result<String, String> {
    if let Some(WarehouseAddress::DuckDb(file)) = &settings.warehouse
        && let Some(found) = absent(file)
    {
        return found;
    }
    let warehouse = places::warehouse(settings).map_err(|error| describe(&error))?;
    match warehouse.schema_state().await.map_err(|error| error.to_string())? {
        SchemaState::Missing if settings.migrate => {
            Ok("reached; its schema will be made at start".to_owned())
        }
        SchemaState::Old(version) if settings.migrate => {
            Ok(format!("reached; its schema of version {version} will be upgraded at start"))
        }
        SchemaState::Current => Ok(format!("{} warehouse reached, schema current", warehouse.kind())),
        state => Err(places::schema_fault(state)),
    }
}

/// Only that it can be listed: whether rows may be written there, and read by the cluster, the first load shows.
async fn staging(bucket: &str, prefix: &str) -> Result<String, String> {
    S3Staging::open(bucket, prefix).probe().await.map_err(|error| error.to_string())?;
    Ok(format!("s3://{bucket}/{prefix} reached"))
}
