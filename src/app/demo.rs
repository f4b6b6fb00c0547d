//! `up --demo`: loopback only, a secret of its own, and the AfterShip stand-in as its sender.

mod shop;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::aftership::simulator::sender::{self, SendOptions};
use crate::aftership::simulator::{SimulatorOptions, Version};
use crate::settings::{CanarySetting, LakeAddress, QueueAddress, Secret, Settings, WarehouseAddress};

use super::{Sources, status};

/// Share of unreadable events, so that dead letters can be tried out; few enough that 99 of 100 events are facts.
const POISON: f64 = 0.005;

/// Makes settings fit for a newcomer: nothing reachable from outside, nothing to set, nothing of anybody's touched.
pub(super) fn adapt(settings: &mut Settings, sources: &Sources, data: &Path) -> anyhow::Result<()> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    settings.listen = SocketAddr::new(loopback, settings.listen.port());
    settings.ops_listen = settings.ops_listen.map(|ops| SocketAddr::new(loopback, ops.port()));
    settings.drain_delay = Duration::ZERO;
    // Invented parcels belong nowhere but in the demo's own folder, whatever this shell is set up for.
    settings.queue = Some(QueueAddress::File(data.join("queue")));
    settings.lake = Some(LakeAddress::File(data.join("lake")));
    settings.warehouse = Some(WarehouseAddress::DuckDb(data.join("warehouse.duckdb")));
    settings.retail = Some(LakeAddress::File(data.join("retail")));
    settings.dead_letters = None;
    settings.webhook_secrets = vec![own_secret(data)?];
    let ignored: Vec<String> = ["queue", "lake", "warehouse", "retail", "dead_letters", "webhook_secrets"]
        .into_iter()
        .filter(|name| sources.is_given(name))
        .map(|name| format!("WAYBILL_{}", name.to_uppercase()))
        .collect();
    if !ignored.is_empty() {
        eprintln!("waybill: the demo keeps to its own folder and ignores {}", ignored.join(", "));
    }
    let retail = data.join("retail");
    shop::write_files(&retail, Timestamp::now())
        .with_context(|| format!("cannot write the sample shop to {}", retail.display()))?;
    if !sources.is_given("canary") {
        settings.canary = CanarySetting::Own;
    }
    if !sources.is_given("batch_age") {
        settings.batch_age = Duration::from_secs(1);
    }
    if !sources.is_given("load_interval") {
        settings.load_interval = Duration::from_secs(1);
    }
    Ok(())
}

/// The demo's secret: made once, kept with mode 0600, so that a second run still takes late repetitions.
fn own_secret(data: &Path) -> anyhow::Result<Secret> {
    let path = data.join("webhook-secret");
    if let Ok(text) = std::fs::read_to_string(&path)
        && text.trim().len() >= 32
    {
        return Ok(Secret::new(text.trim()));
    }
    let secret = uuid::Uuid::new_v4().simple().to_string();
    status::write_private(&path, secret.as_bytes())
        .with_context(|| format!("cannot keep the demo's secret in {}", path.display()))?;
    Ok(Secret::new(secret))
}

/// Starts sending to our own listener.
pub(super) fn send(
    settings: &Settings,
    listen: SocketAddr,
    rate: f64,
    stop: CancellationToken,
) -> JoinHandle<()> {
    let secret =
        settings.webhook_secrets.first().map(|secret| secret.expose().to_owned()).unwrap_or_default();
    let now = Timestamp::now();
    let options = SendOptions {
        url: format!("http://{listen}/webhooks/aftership"),
        secret,
        rate: Some(rate),
        count: None,
        concurrency: 4,
        // Another seed each time: a second run tells new stories, and continues beside the old ones.
        seed: now.as_microsecond().unsigned_abs(),
        simulator: SimulatorOptions {
            version: Version::Mixed,
            poison_rate: POISON,
            start: now,
            orders: shop::RECENT_ORDERS,
            ..SimulatorOptions::default()
        },
        ..SendOptions::default()
    };
    tokio::spawn(async move {
        let _ = sender::run(options, |_| {}, stop).await;
    })
}
