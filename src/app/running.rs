//! What every running command shares: health, signals, metrics, listeners, the watch over queues.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::cli;
use crate::ops::health::{self, Health};
use crate::ops::metrics;
use crate::ops::shutdown::Shutdown;
use crate::queue::Queue;
use crate::settings::{Secret, Settings, WarehouseAddress};
use crate::warehouse::Warehouse;

use super::served::{Announced, Served};
use super::status::write_private;
use super::{Misconfigured, admin};

/// A drain ends by then, whatever hangs.
pub(super) const DRAIN_MAX: Duration = Duration::from_secs(24);
/// How often depths are read and shown.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// How often a queue's depth is read where that costs a request.
const WATCH_SQS_EVERY: Duration = Duration::from_secs(15);

/// What every running command has.
pub(super) struct Running {
    pub(super) settings: Settings,
    pub(super) health: Health,
    pub(super) shutdown: Shutdown,
    metrics: metrics::Handle,
}

impl Running {
    pub(super) fn new(settings: Settings) -> Running {
        let metrics = metrics::install();
        let running = Running { settings, health: Health::new(), shutdown: Shutdown::on_signals(), metrics };
        let (health, draining) = (running.health.clone(), running.shutdown.draining_token());
        tokio::spawn(async move {
            draining.cancelled().await;
            health.set_draining();
        });
        running
    }

    /// The operators' listener, with the admin API when this process has the warehouse.
    async fn ops(
        &self,
        warehouse: Option<Arc<dyn Warehouse>>,
        or_free: bool,
    ) -> anyhow::Result<(Option<SocketAddr>, Option<Announced>)> {
        let Some(address) = self.settings.ops_listen else { return Ok((None, None)) };
        let listener = bind_or_free(address, "WAYBILL_OPS_LISTEN", or_free).await?;
        let bound = listener.local_addr()?;
        let mut router = health::router(self.health.clone(), self.metrics.clone());
        let mut announced = None;
        if let Some(warehouse) = warehouse {
            let own = Secret::new(uuid::Uuid::new_v4().simple().to_string());
            if let Some(WarehouseAddress::DuckDb(file)) = &self.settings.warehouse {
                announced = Some(
                    Served::announce(file, bound.to_string(), &own)
                        .context("cannot announce the admin API")?,
                );
            }
            let tokens = self.settings.ops_token.iter().cloned().chain([own]).collect();
            router = router.merge(admin::router(warehouse, tokens));
        }
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                warn!(%error, "the operators' listener ended");
            }
        });
        Ok((Some(bound), announced))
    }
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
    warehouse: Option<Arc<dyn Warehouse>>,
    or_free: bool,
) -> anyhow::Result<(TcpListener, Option<SocketAddr>, Option<Announced>)> {
    let listener = bind_or_free(running.settings.listen, "WAYBILL_LISTEN", or_free).await?;
    let (ops, announced) = running.ops(warehouse, or_free).await?;
    tell_ports(ports, Some(listener.local_addr()?), ops)?;
    Ok((listener, ops, announced))
}

pub(super) async fn bind_ops(
    running: &Running,
    ports: &cli::Ports,
    warehouse: Option<Arc<dyn Warehouse>>,
) -> anyhow::Result<Option<Announced>> {
    let (ops, announced) = running.ops(warehouse, false).await?;
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

/// Keeps the depth gauges fresh.
pub(super) fn watch_queues(
    running: &Running,
    main: Arc<dyn Queue>,
    dead_letters: Option<Arc<dyn Queue>>,
) -> JoinHandle<()> {
    let draining = running.shutdown.draining_token();
    tokio::spawn(async move {
        let every = if main.kind() == "sqs" { WATCH_SQS_EVERY } else { WATCH_EVERY };
        let mut tick = tokio::time::interval(every);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = draining.cancelled() => return,
            }
            for (name, queue) in [("main", Some(&main)), ("dead_letters", dead_letters.as_ref())] {
                if let Some(queue) = queue
                    && let Ok(depth) = queue.depth().await
                {
                    metrics::queue_depth(name, depth.ready, depth.leased, depth.oldest);
                }
            }
        }
    })
}
