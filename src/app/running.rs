//! What every running command shares: health, signals, metrics, listeners, the watch over queues.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing::{error, warn};

use crate::cli;
use crate::console::{Console, ConsoleParts};
use crate::lake::Lake;
use crate::ops::clock;
use crate::ops::health::{self, Health};
use crate::ops::shutdown::Shutdown;
use crate::ops::{file_system, listener, metrics, oldest, traces};
use crate::queue::Queue;
use crate::queue::disk::DiskQueue;
use crate::queue::spooled::SpooledQueue;
use crate::settings::{LakeAddress, QueueAddress, Secret, Settings, WarehouseAddress};
use crate::warehouse::Warehouse;

use super::places::Queues;
use super::served::{Announced, Served};
use super::status::write_private;
use super::{Exit, Misconfigured, admin};

/// A drain ends by then, whatever hangs.
pub(super) const DRAIN_MAX: Duration = Duration::from_secs(24);
/// How often depths are read and shown.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// How often a queue's depth is read where that costs a request.
const WATCH_SQS_EVERY: Duration = Duration::from_secs(15);
/// How often the room on disks is read.
const WATCH_DISKS_EVERY: Duration = Duration::from_secs(15);

/// What every running command has.
pub(super) struct Running {
    pub(super) settings: Settings,
    pub(super) health: Health,
    pub(super) shutdown: Shutdown,
    metrics: metrics::Handle,
    /// Why the process ends by itself.
    failure: Arc<OnceLock<String>>,
}

impl Running {
    pub(super) fn new(settings: Settings) -> Running {
        let metrics = metrics::install();
        let running = Running {
            settings,
            health: Health::new(),
            shutdown: Shutdown::on_signals(),
            metrics,
            failure: Arc::default(),
        };
        clock::watch(running.health.clone());
        watch_age_and_disks(&running.settings);
        if let Some(url) = &running.settings.traces
            && let Err(error) = traces::start(url)
        {
            warn!(%error, "no traces: cannot send them to {url}");
        }
        let (health, draining) = (running.health.clone(), running.shutdown.draining_token());
        tokio::spawn(async move {
            draining.cancelled().await;
            health.set_draining();
        });
        running
    }

    /// Ends the process when the disk queue can take nothing more: what is on the disk is the next start's to find.
    pub(super) fn end_with(&self, disk: Option<&Arc<DiskQueue>>) {
        let Some(disk) = disk.map(Arc::clone) else { return };
        let (health, shutdown, failure) =
            (self.health.clone(), self.shutdown.clone(), Arc::clone(&self.failure));
        tokio::spawn(async move {
            let reason = disk.failed().await;
            error!(%reason, "ending, so that the next start goes on from what is on the disk");
            health.set_ready("disk", Err(reason.clone()));
            let _ = failure.set(reason);
            shutdown.drain();
        });
    }

    /// Watches over a mover: one that ends before it was asked to, by a panic, ends the process, since the next start
    /// mends it and a process without it would only look alive.
    pub(super) fn watch_over(&self, mover: &'static str, working: JoinHandle<()>) -> JoinHandle<()> {
        let (shutdown, failure) = (self.shutdown.clone(), Arc::clone(&self.failure));
        tokio::spawn(async move {
            let outcome = working.await;
            if outcome.is_err() || !shutdown.is_draining() {
                error!(mover, "a mover ended by itself: ending the process");
                let _ = failure.set(format!("{mover} ended by itself"));
                shutdown.drain();
            }
        })
    }

    /// What the process ends with, once it is drained.
    pub(super) fn outcome(&self) -> anyhow::Result<Exit> {
        match self.failure.get() {
            None => Ok(Exit::Done),
            Some(reason) => Err(anyhow::anyhow!("{reason}")),
        }
    }

    /// The operators' listener: health, metrics and the console, with the admin API's queries when this process has the
    /// warehouse.
    async fn ops(
        &self,
        shown: Shown,
        or_free: bool,
    ) -> anyhow::Result<(Option<SocketAddr>, Option<Announced>)> {
        let Some(address) = self.settings.ops_listen else { return Ok((None, None)) };
        let listener = bind_or_free(address, "WAYBILL_OPS_LISTEN", or_free).await?;
        let bound = listener.local_addr()?;
        let own = Secret::new(uuid::Uuid::new_v4().simple().to_string());
        let tokens: Vec<Secret> = self.settings.ops_token.iter().cloned().chain([own.clone()]).collect();
        let mut router = health::router(self.health.clone(), self.metrics.clone());
        let mut announced = None;
        if let Some(warehouse) = &shown.warehouse {
            if let Some(WarehouseAddress::DuckDb(file)) = &self.settings.warehouse {
                announced = Some(
                    Served::announce(file, bound.to_string(), &own)
                        .context("cannot announce the admin API")?,
                );
            }
            router = router.merge(admin::router(Arc::clone(warehouse), tokens.clone()));
        }
        let console = Console::new(ConsoleParts {
            health: self.health.clone(),
            metrics: self.metrics.clone(),
            queue: shown.queue,
            lake: shown.lake,
            warehouse: shown.warehouse,
            tokens,
            is_loopback: bound.ip().is_loopback(),
            freshness_target: self.settings.freshness,
            patience: super::reconcile::patience(&self.settings),
            is_demo: shown.is_demo,
        });
        tokio::spawn(console.clone().sample(self.shutdown.draining_token()));
        router = router.merge(console.router());
        tokio::spawn(listener::serve(listener, router, listener::Limits::default()));
        Ok((Some(bound), announced))
    }
}

/// What the console has to show, of what this process uses.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) queue: Option<Arc<dyn Queue>>,
    pub(super) lake: Option<Arc<dyn Lake>>,
    pub(super) warehouse: Option<Arc<dyn Warehouse>>,
    pub(super) is_demo: bool,
}

async fn bind(address: SocketAddr, name: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        Misconfigured(format!("cannot listen on {address}: {error}; choose another {name}")).into()
    })
}

async fn bind_or_free(address: SocketAddr, name: &str, or_free: bool) -> anyhow::Result<TcpListener> {
    match bind(address, name).await {
        Err(_) if or_free => bind(SocketAddr::new(address.ip(), 0), name).await,
        outcome => outcome,
    }
}

/// Binds both listeners and tells their ports. `or_free`: take a free port rather than fail, for the demo.
pub(super) async fn bind_all(
    running: &Running,
    ports: &cli::Ports,
    shown: Shown,
    or_free: bool,
) -> anyhow::Result<(TcpListener, Option<SocketAddr>, Option<Announced>)> {
    let listener = bind_or_free(running.settings.listen, "WAYBILL_LISTEN", or_free).await?;
    let (ops, announced) = running.ops(shown, or_free).await?;
    tell_ports(ports, Some(listener.local_addr()?), ops)?;
    Ok((listener, ops, announced))
}

pub(super) async fn bind_ops(
    running: &Running,
    ports: &cli::Ports,
    shown: Shown,
) -> anyhow::Result<Option<Announced>> {
    let (ops, announced) = running.ops(shown, false).await?;
    tell_ports(ports, None, ops)?;
    Ok(announced)
}

fn tell_ports(ports: &cli::Ports, listen: Option<SocketAddr>, ops: Option<SocketAddr>) -> anyhow::Result<()> {
    let Some(path) = &ports.ports_file else { return Ok(()) };
    let text = |address: Option<SocketAddr>| address.map(|address| address.to_string());
    let body = serde_json::json!({ "listen": text(listen), "ops": text(ops), "pid": std::process::id() });
    write_private(path, body.to_string().as_bytes())
        .with_context(|| format!("cannot write the ports file {}", path.display()))
}

fn since(age: Option<Duration>) -> Option<Timestamp> {
    Timestamp::now().checked_sub(age?).ok()
}

/// Shows how old the oldest waiting event is, and how much room the disks have that our places are on.
fn watch_age_and_disks(settings: &Settings) {
    metrics::freshness_target(settings.freshness);
    let disks = disks(settings);
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(WATCH_EVERY);
        let mut disks_due = Instant::now();
        loop {
            tick.tick().await;
            oldest::show(Timestamp::now());
            if Instant::now() < disks_due {
                continue;
            }
            disks_due = Instant::now() + WATCH_DISKS_EVERY;
            for (place, path) in &disks {
                if let Some(room) = file_system::room(path) {
                    metrics::disk_room(place, room.free, room.size);
                }
            }
        }
    });
}

/// The places of ours that are on disks of this machine.
fn disks(settings: &Settings) -> Vec<(&'static str, PathBuf)> {
    let queue = match &settings.queue {
        Some(QueueAddress::File(dir)) => Some(dir.clone()),
        _ => None,
    };
    let lake = match &settings.lake {
        Some(LakeAddress::File(dir)) => Some(dir.clone()),
        _ => None,
    };
    let warehouse = match &settings.warehouse {
        Some(WarehouseAddress::DuckDb(file)) => Some(file.clone()),
        _ => None,
    };
    [("queue", queue), ("spool", settings.spool.clone()), ("lake", lake), ("warehouse", warehouse)]
        .into_iter()
        .filter_map(|(place, path)| Some((place, path?)))
        .collect()
}

/// Keeps the depth gauges fresh, and readiness true about a queue that is away while its spool takes events.
pub(super) fn watch_queues(running: &Running, queues: &Queues) -> JoinHandle<()> {
    let draining = running.shutdown.draining_token();
    let health = running.health.clone();
    let (main, dead_letters, spooled) =
        (Arc::clone(&queues.main), queues.dead_letters.clone(), queues.spooled.clone());
    tokio::spawn(async move {
        let far_every = if main.kind() == "sqs" { WATCH_SQS_EVERY } else { WATCH_EVERY };
        let mut tick = tokio::time::interval(WATCH_EVERY);
        let mut far_due = Instant::now();
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = draining.cancelled() => return,
            }
            if let Some(spooled) = &spooled {
                watch_spool(spooled, &health).await;
            }
            if Instant::now() < far_due {
                continue;
            }
            far_due = Instant::now() + far_every;
            for (name, queue) in [("main", Some(&main)), ("dead_letters", dead_letters.as_ref())] {
                if let Some(queue) = queue
                    && let Ok(depth) = queue.depth().await
                {
                    metrics::queue_depth(name, depth.ready, depth.leased, depth.oldest);
                    // What SQS itself set aside is no event that is on its way.
                    if name == "main" {
                        oldest::waits("queue", since(depth.oldest));
                    }
                }
            }
        }
    })
}

async fn watch_spool(spooled: &SpooledQueue, health: &Health) {
    if let Ok(depth) = spooled.spool().depth().await {
        metrics::queue_depth("spool", depth.ready, depth.leased, depth.oldest);
        oldest::waits("spool", since(depth.oldest));
    }
    match spooled.outage() {
        Some(reason) => health.set_degraded("sqs", &format!("events go to the spool: {reason}")),
        None => health.set_ready("sqs", Ok(())),
    }
}
