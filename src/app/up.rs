//! `waybill up`, and the movers as processes of their own: open, start, wait, drain.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::aftership::signature::{Secrets, Verifier};
use crate::batch::{Batch, BatchSettings, Landed};
use crate::cli;
use crate::lake::Lake;
use crate::load::{Load, LoadSettings, Loaded};
use crate::ops::health::{self, Health};
use crate::ops::metrics;
use crate::ops::shutdown::Shutdown;
use crate::queue::Queue;
use crate::receive::{Receive, ReceiveSettings, Received};
use crate::settings::{Need, Purpose, Secret, Settings, WarehouseAddress};
use crate::warehouse::Warehouse;

use super::admin::{self, Announced, Served};
use super::places::{self, Queues};
use super::status::{Counts, FolderLock, StatusLine, progress_bar, write_private};
use super::{Exit, Misconfigured, Sources, demo, strictly};

/// A drain ends by then, whatever hangs.
const DRAIN_MAX: Duration = Duration::from_secs(24);
/// How often depths are read and shown.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// How often a queue's depth is read where that costs a request.
const WATCH_SQS_EVERY: Duration = Duration::from_secs(15);

/// What every running command has.
struct Running {
    settings: Settings,
    health: Health,
    shutdown: Shutdown,
    metrics: metrics::Handle,
}

impl Running {
    fn new(settings: Settings) -> Running {
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
    ) -> anyhow::Result<(Option<SocketAddr>, Option<Announced>)> {
        let Some(address) = self.settings.ops_listen else { return Ok((None, None)) };
        let listener = bind(address, "WAYBILL_OPS_LISTEN").await?;
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

pub(super) async fn up(sources: &Sources, arguments: &cli::Up) -> anyhow::Result<Exit> {
    let data = arguments.data.clone().unwrap_or_else(|| {
        if arguments.demo { "waybill-demo".into() } else { PathBuf::from("waybill-data") }
    });
    let purpose = Purpose {
        needs: vec![Need::Receiving, Need::Queue, Need::Lake, Need::Warehouse],
        data: Some(data.clone()),
        is_demo: arguments.demo,
    };
    let mut settings = sources.gather_for(&purpose)?;
    if arguments.demo {
        demo::adapt(&mut settings, sources, &data)?;
    }
    let _folder = FolderLock::take(&data)?;
    let verifier = verifier(&settings);
    let places = Places::open(&settings).await?;
    places::prepare(&settings, places.warehouse.as_ref()).await?;

    let running = Running::new(settings);
    let (listener, ops, _announced) = bind_all(
        &running,
        &arguments.ports,
        Some(places.warehouse.clone()),
        arguments.demo && !sources.is_given("listen"),
    )
    .await?;
    let listen = listener.local_addr()?;
    let landed = Arc::new(Landed::default());
    let loaded = Arc::new(Loaded::default());
    let received = Arc::new(Received::default());
    let batch_stop = CancellationToken::new();
    let load_stop = CancellationToken::new();

    let receiving = start_receive(&running, verifier, &places.queues, listener, &received);
    let batching = tokio::spawn(mover_batch(&running, &places, &landed).run(batch_stop.clone()));
    let loading = {
        let load = mover_load(&running, &places, &loaded, Some(&landed));
        let stop = load_stop.clone();
        tokio::spawn(async move { load.run(stop).await })
    };
    let watching = watch_queues(&running, places.queues.main.clone(), places.queues.dead_letters.clone());
    let demo_stop = CancellationToken::new();
    let sending =
        arguments.demo.then(|| demo::send(&running.settings, listen, arguments.demo_rate, demo_stop.clone()));

    welcome(&running.settings, &data, listen, ops, arguments.demo);
    let line = StatusLine::new();
    let counts = || counts(&received, &landed, &loaded);
    while !running.shutdown.is_draining() {
        let mut now = counts();
        if let Ok(depth) = places.queues.main.depth().await {
            now.queued = depth.ready + depth.leased;
            now.oldest = depth.oldest;
        }
        line.show(&now);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
            () = running.shutdown.draining() => {}
        }
    }
    line.finish();
    eprintln!("waybill: draining");

    demo_stop.cancel();
    let drain = async {
        if let Some(sending) = sending {
            let _ = sending.await;
        }
        // Batching goes on until nothing new can come, and then lands what it holds.
        let _ = receiving.await;
        batch_stop.cancel();
        let _ = batching.await;
        load_stop.cancel();
        let _ = loading.await;
        places.queues.main.close().await;
    };
    let is_drained = tokio::time::timeout(DRAIN_MAX, drain).await.is_ok();
    watching.abort();
    goodbye(&counts(), is_drained, &places).await;
    Ok(Exit::Done)
}

pub(super) async fn receive(sources: &Sources, ports: &cli::Ports) -> anyhow::Result<Exit> {
    let settings = sources.gather(&[Need::Receiving, Need::Queue])?;
    let verifier = verifier(&settings);
    let queues = places::queue(&settings).await?;
    let running = Running::new(settings);
    let (listener, _, _) = bind_all(&running, ports, None, false).await?;
    let received = Arc::new(Received::default());
    let receiving = start_receive(&running, verifier, &queues, listener, &received);
    let watching = watch_queues(&running, queues.main.clone(), None);

    running.shutdown.draining().await;
    let drain = async {
        let _ = receiving.await;
        queues.main.close().await;
    };
    let _ = tokio::time::timeout(DRAIN_MAX, drain).await;
    watching.abort();
    info!(received = received.accepted(), "drained");
    Ok(Exit::Done)
}

pub(super) async fn batch(sources: &Sources, arguments: &cli::Mover) -> anyhow::Result<Exit> {
    let settings = sources.gather(&[Need::Queue, Need::Lake])?;
    let queues = places::queue(&settings).await?;
    let lake = places::lake(&settings).await?;
    let mut running = Running::new(settings);
    let landed = Arc::new(Landed::default());
    let places = BatchPlaces { queues, lake };
    if arguments.once {
        running.settings.ops_listen = None;
    }
    let _ops = bind_ops(&running, &arguments.ports, None).await?;
    let stop = running.shutdown.draining_token();
    let mover = places.mover(&running, &landed);
    if arguments.once {
        mover.run_once(stop).await;
    } else {
        let watching = watch_queues(&running, places.queues.main.clone(), places.queues.dead_letters.clone());
        mover.run(stop).await;
        watching.abort();
    }
    places.queues.main.close().await;
    let dead = landed.dead_letters.load(Ordering::Relaxed);
    if arguments.once {
        println!(
            "{}",
            serde_json::json!({ "landed": landed.events.load(Ordering::Relaxed), "dead_letters": dead })
        );
    }
    Ok(strictly(arguments, dead))
}

pub(super) async fn load(sources: &Sources, arguments: &cli::Mover) -> anyhow::Result<Exit> {
    let settings = sources.gather(&[Need::Lake, Need::Warehouse])?;
    let lake = places::lake(&settings).await?;
    let warehouse = places::warehouse(&settings)?;
    places::prepare(&settings, warehouse.as_ref()).await?;
    let mut running = Running::new(settings);
    if arguments.once {
        running.settings.ops_listen = None;
    }
    let _ops = bind_ops(&running, &arguments.ports, Some(warehouse.clone())).await?;
    let load = Load {
        lake,
        warehouse,
        settings: LoadSettings { interval: running.settings.load_interval, ..LoadSettings::default() },
        health: running.health.clone(),
        loaded: Arc::new(Loaded::default()),
        landed: None,
    };
    let stop = running.shutdown.draining_token();
    if !arguments.once {
        load.run(stop).await;
        return Ok(Exit::Done);
    }
    let bar = progress_bar("objects");
    let summary = load
        .run_once(&stop, |done, of| {
            bar.set_length(of);
            bar.set_position(done);
        })
        .await;
    bar.finish_and_clear();
    let summary = summary?;
    println!("{}", serde_json::to_string(&summary)?);
    Ok(strictly(arguments, u64::try_from(summary.rejected).unwrap_or(0) + summary.files_rejected))
}

/// The three places of `up`.
struct Places {
    queues: Queues,
    lake: Arc<dyn Lake>,
    warehouse: Arc<dyn Warehouse>,
}

impl Places {
    async fn open(settings: &Settings) -> anyhow::Result<Places> {
        Ok(Places {
            queues: places::queue(settings).await?,
            lake: places::lake(settings).await?,
            warehouse: places::warehouse(settings)?,
        })
    }
}

/// The two places of `batch`.
struct BatchPlaces {
    queues: Queues,
    lake: Arc<dyn Lake>,
}

impl BatchPlaces {
    fn mover(&self, running: &Running, landed: &Arc<Landed>) -> Batch {
        batch_of(running, &self.queues, &self.lake, landed)
    }
}

fn mover_batch(running: &Running, places: &Places, landed: &Arc<Landed>) -> Batch {
    batch_of(running, &places.queues, &places.lake, landed)
}

fn batch_of(running: &Running, queues: &Queues, lake: &Arc<dyn Lake>, landed: &Arc<Landed>) -> Batch {
    let settings = &running.settings;
    Batch {
        queue: Arc::clone(&queues.main),
        dead_letter_queue: queues.dead_letters.clone(),
        lake: Arc::clone(lake),
        settings: BatchSettings {
            age: settings.batch_age,
            bytes_max: settings.batch_bytes,
            events_max: settings.batch_events,
            lease: settings.batch_lease,
            compression: settings.lake_compression,
            ..BatchSettings::default()
        },
        health: running.health.clone(),
        landed: Arc::clone(landed),
    }
}

fn mover_load(
    running: &Running,
    places: &Places,
    loaded: &Arc<Loaded>,
    landed: Option<&Arc<Landed>>,
) -> Load {
    Load {
        lake: Arc::clone(&places.lake),
        warehouse: Arc::clone(&places.warehouse),
        settings: LoadSettings { interval: running.settings.load_interval, ..LoadSettings::default() },
        health: running.health.clone(),
        loaded: Arc::clone(loaded),
        landed: landed.map(|landed| Arc::clone(&landed.notify)),
    }
}

fn verifier(settings: &Settings) -> Verifier {
    let secrets =
        Secrets::new(settings.webhook_secrets.iter().map(|secret| secret.expose().to_owned()).collect());
    Verifier::new(&settings.signature_products, secrets)
}

fn start_receive(
    running: &Running,
    verifier: Verifier,
    queues: &Queues,
    listener: TcpListener,
    received: &Arc<Received>,
) -> JoinHandle<()> {
    let settings = ReceiveSettings {
        connections_max: running.settings.connections_max,
        requests_max: running.settings.requests_max,
        drain_delay: running.settings.drain_delay,
        ..ReceiveSettings::default()
    };
    let receive = Receive::new(
        settings,
        verifier,
        Arc::clone(&queues.main),
        running.health.clone(),
        Arc::clone(received),
    );
    tokio::spawn(receive.serve(listener, running.shutdown.clone()))
}

async fn bind(address: SocketAddr, name: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        Misconfigured(format!("cannot listen on {address}: {error}; choose another {name}")).into()
    })
}

/// Binds both listeners and tells their ports. `or_free`: take a free port rather than fail, for the demo.
async fn bind_all(
    running: &Running,
    ports: &cli::Ports,
    warehouse: Option<Arc<dyn Warehouse>>,
    or_free: bool,
) -> anyhow::Result<(TcpListener, Option<SocketAddr>, Option<Announced>)> {
    let address = running.settings.listen;
    let listener = match bind(address, "WAYBILL_LISTEN").await {
        Err(_) if or_free => bind(SocketAddr::new(address.ip(), 0), "WAYBILL_LISTEN").await?,
        outcome => outcome?,
    };
    let (ops, announced) = running.ops(warehouse).await?;
    tell_ports(ports, Some(listener.local_addr()?), ops)?;
    Ok((listener, ops, announced))
}

async fn bind_ops(
    running: &Running,
    ports: &cli::Ports,
    warehouse: Option<Arc<dyn Warehouse>>,
) -> anyhow::Result<Option<Announced>> {
    let (ops, announced) = running.ops(warehouse).await?;
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
fn watch_queues(
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

fn counts(received: &Received, landed: &Landed, loaded: &Loaded) -> Counts {
    Counts {
        received: received.accepted(),
        landed: landed.events.load(Ordering::Relaxed),
        loaded: loaded.events.load(Ordering::Relaxed),
        dead_letters: landed.dead_letters.load(Ordering::Relaxed),
        ..Counts::default()
    }
}

fn welcome(settings: &Settings, data: &Path, listen: SocketAddr, ops: Option<SocketAddr>, is_demo: bool) {
    let warehouse = match &settings.warehouse {
        Some(WarehouseAddress::DuckDb(file)) => format!("duckdb:{}", file.display()),
        Some(WarehouseAddress::Postgres(_)) => "postgres (as set)".to_owned(),
        None => String::new(),
    };
    eprintln!(
        "Waybill is up{}.",
        if is_demo { ", with a built-in AfterShip stand-in that sends signed updates" } else { "" }
    );
    eprintln!("  webhook URL     http://{listen}/webhooks/aftership");
    if let Some(ops) = ops {
        eprintln!("  health          http://{ops}/readyz   metrics http://{ops}/metrics");
    }
    eprintln!("  data folder     {}", data.display());
    eprintln!("  warehouse       {warehouse}");
    if let Some(WarehouseAddress::DuckDb(file)) = &settings.warehouse {
        let program = std::env::args().next().unwrap_or_else(|| "waybill".to_owned());
        eprintln!("Try, in another terminal:");
        eprintln!("  {program} query --warehouse duckdb:{} --named status", file.display());
    }
    eprintln!("Ctrl-C drains and ends.");
}

async fn goodbye(counts: &Counts, is_drained: bool, places: &Places) {
    let left = match tokio::time::timeout(Duration::from_millis(500), places.queues.main.depth()).await {
        Ok(Ok(depth)) => depth.ready + depth.leased,
        _ => 0,
    };
    eprintln!(
        "waybill: received {}, landed {}, loaded {}, dead letters {}",
        counts.received, counts.landed, counts.loaded, counts.dead_letters
    );
    if !is_drained || left > 0 {
        eprintln!(
            "waybill: what is not delivered yet waits safely in its place; the next start goes on from there"
        );
    }
    info!(
        received = counts.received, landed = counts.landed, loaded = counts.loaded,
        dead_letters = counts.dead_letters, at = %Timestamp::now(), "drained"
    );
}
