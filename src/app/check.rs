//! `waybill check`: all that is wrong with settings and places, at once, changing nothing.

use std::net::SocketAddr;

use crate::cli::Role;
use crate::settings::{Faults, LakeAddress, Need, Purpose, QueueAddress, Settings, WarehouseAddress};
use crate::warehouse::SchemaState;

use super::{Exit, Sources, describe, places};

pub(super) async fn run(sources: &Sources, role: Role) -> anyhow::Result<Exit> {
    let all = vec![Need::Receiving, Need::Queue, Need::Lake, Need::Warehouse];
    let (needs, data) = match role {
        Role::Up => (all, Some("waybill-data".into())),
        Role::All => (all, None),
        Role::Receive => (vec![Need::Receiving, Need::Queue], None),
        Role::Batch => (vec![Need::Queue, Need::Lake], None),
        Role::Load => (vec![Need::Lake, Need::Warehouse], None),
    };
    let purpose = Purpose { needs: needs.clone(), data, is_demo: false };
    let settings = sources.gather_for(&purpose)?;
    println!("ok      settings");

    let mut faults = Vec::new();
    if needs.contains(&Need::Receiving) {
        report("public listener", listener(settings.listen).await, &mut faults);
    }
    if let Some(ops) = settings.ops_listen {
        report("operators' listener", listener(ops).await, &mut faults);
    }
    if needs.contains(&Need::Queue) {
        report("queue", queue(&settings, needs.contains(&Need::Lake)).await, &mut faults);
    }
    if needs.contains(&Need::Lake) {
        report("lake", lake(&settings).await, &mut faults);
    }
    if needs.contains(&Need::Warehouse) {
        report("warehouse", warehouse(&settings).await, &mut faults);
    }
    if faults.is_empty() { Ok(Exit::Done) } else { Err(Faults(faults).into()) }
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

/// A folder that is not there yet is no fault, but it will not be made by a check.
fn absent(path: &std::path::Path) -> Option<String> {
    if path.exists() {
        return None;
    }
    let parent = path.ancestors().skip(1).find(|parent| parent.as_os_str().is_empty() || parent.exists());
    Some(format!(
        "{} is not there yet and will be made in {}",
        path.display(),
        parent.map_or(".".into(), |p| {
            if p.as_os_str().is_empty() { ".".into() } else { p.display().to_string() }
        })
    ))
}

/// Who only sends has nothing to do with the dead-letter queue.
async fn queue(settings: &Settings, with_dead_letters: bool) -> Result<String, String> {
    if let Some(QueueAddress::File(dir)) = &settings.queue
        && let Some(text) = absent(dir)
    {
        return Ok(text);
    }
    if !with_dead_letters {
        let queue = places::queue(settings).await.map_err(|error| describe(&error))?;
        queue.probe().await.map_err(|error| error.to_string())?;
        return Ok(format!("{} queue reached", queue.kind()));
    }
    let queues = places::queues(settings).await.map_err(|error| describe(&error))?;
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

async fn lake(settings: &Settings) -> Result<String, String> {
    if let Some(LakeAddress::File(dir)) = &settings.lake
        && let Some(text) = absent(dir)
    {
        return Ok(text);
    }
    let lake = places::lake(settings).await.map_err(|error| describe(&error))?;
    lake.probe().await.map_err(|error| error.to_string())?;
    Ok(format!("{} lake reached", lake.kind()))
}

async fn warehouse(settings: &Settings) -> Result<String, String> {
    if let Some(WarehouseAddress::DuckDb(file)) = &settings.warehouse
        && let Some(text) = absent(file)
    {
        return Ok(text);
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
