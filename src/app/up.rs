//! `waybill up`: all movers in one process; open, start, wait, drain.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::batch::Landed;
use crate::cli;
use crate::event::Source;
use crate::lake::Lake;
use crate::load::Loaded;
use crate::receive::{CurrentVerifier, Received};
use crate::settings::{LakeAddress, Need, Purpose, Settings, WarehouseAddress};
use crate::warehouse::Warehouse;

use super::movers::{Door, FINISH_WITH_OTHERS, batch_mover, load_mover, shop_mover, start_receive, verifier};
use super::places::{self, Queues};
use super::poll::poll_mover;
use super::receipts::Receipts;
use super::running::{DRAIN_MAX, Running, Shown, bind_all, watch_queues};
use super::status::{Counts, FolderLock, StatusLine};
use super::{Exit, Sources, canary, demo, secrets};

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
    let verifier = CurrentVerifier::new(verifier(&settings));
    let places = Places::open(&settings).await?;
    places::prepare(&settings, places.warehouse.as_ref()).await?;
    let batch_suppressed = places::suppressed(&settings, places.lake.as_ref()).await?;
    let load_suppressed = places::suppressed(&settings, places.lake.as_ref()).await?;

    let running = Running::new(settings);
    running.end_with(places.queues.disk.as_ref());
    let (listener, ops, _announced) = bind_all(
        &running,
        &arguments.ports,
        places.shown(arguments.demo),
        arguments.demo && !sources.is_given("listen") && !sources.is_given("ops_listen"),
    )
    .await?;
    let listen = listener.local_addr()?;
    let landed = Arc::new(Landed::default());
    let loaded = Arc::new(Loaded::default());
    let received = Arc::new(Received::default());
    let batch_stop = CancellationToken::new();
    let load_stop = CancellationToken::new();
    let poll_stop = CancellationToken::new();
    landed.is_loaded_here.store(true, Ordering::Relaxed);

    if !arguments.demo {
        secrets::watch(&running, sources.clone(), verifier.clone());
    }
    let receipts = Receipts::begin(&running.settings, Source::Webhook, &places.lake);
    let door = Door { verifier, listener, receipts: receipts.book.clone() };
    let receiving = start_receive(&running, door, &places.queues.main, &received, FINISH_WITH_OTHERS);
    let receiving = running.watch_over("receive", receiving);
    let batch = batch_mover(&running, &places.queues, &places.lake, &landed, batch_suppressed);
    let batching = running.watch_over("batch", tokio::spawn(batch.run(batch_stop.clone())));
    let loading = {
        let (lake, warehouse) = (&places.lake, &places.warehouse);
        let load = load_mover(&running, lake, warehouse, &loaded, Some(&landed), load_suppressed);
        let stop = load_stop.clone();
        running.watch_over("load", tokio::spawn(async move { load.run(stop).await }))
    };
    let shop = places::retail(&running.settings).await.map(|files| {
        let shop = shop_mover(&running, files, &places.warehouse, &loaded);
        running.watch_over("shop", tokio::spawn(shop.run(load_stop.clone())))
    });
    let watching = watch_queues(&running, &places.queues);
    let canary_stop = CancellationToken::new();
    canary::start(&running, sources, Some(listen), &places.warehouse, arguments.demo, canary_stop.clone());
    let poll_receipts = match running.settings.aftership_api_key {
        Some(_) => Receipts::begin(&running.settings, Source::Api, &places.lake),
        None => Receipts::default(),
    };
    let polling = match running.settings.aftership_api_key {
        Some(_) => {
            let poll = poll_mover(&running, &places.queues.main, &places.lake, &poll_receipts, None)?;
            Some(running.watch_over("poll", tokio::spawn(poll.run(poll_stop.clone()))))
        }
        None => None,
    };
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
    say("draining");

    demo_stop.cancel();
    canary_stop.cancel();
    poll_stop.cancel();
    let drain = async {
        if let Some(sending) = sending {
            let _ = sending.await;
        }
        // Batching goes on until nothing new can come, and then lands what it holds.
        let polled = async {
            if let Some(polling) = polling {
                let _ = tokio::time::timeout(FINISH_WITH_OTHERS, polling).await;
            }
        };
        let _ = tokio::join!(receiving, polled);
        tokio::join!(receipts.end(), poll_receipts.end());
        batch_stop.cancel();
        let _ = batching.await;
        load_stop.cancel();
        let _ = loading.await;
        if let Some(shop) = shop {
            let _ = shop.await;
        }
        places.queues.main.close().await;
    };
    let is_drained = tokio::time::timeout(DRAIN_MAX, drain).await.is_ok();
    watching.abort();
    goodbye(&counts(), is_drained, &places).await;
    running.outcome()
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
            queues: places::queues(settings).await?,
            lake: places::lake(settings).await?,
            warehouse: places::warehouse(settings)?,
        })
    }

    fn shown(&self, is_demo: bool) -> Shown {
        Shown {
            queue: Some(Arc::clone(&self.queues.main)),
            lake: Some(Arc::clone(&self.lake)),
            warehouse: Some(Arc::clone(&self.warehouse)),
            is_demo,
        }
    }
}

fn counts(received: &Received, landed: &Landed, loaded: &Loaded) -> Counts {
    Counts {
        received: received.accepted(),
        landed: landed.events.load(Ordering::Relaxed),
        loaded: loaded.lines.load(Ordering::Relaxed),
        new: loaded.events.load(Ordering::Relaxed),
        dead_letters: landed.dead_letters.load(Ordering::Relaxed),
        ..Counts::default()
    }
}

fn welcome(settings: &Settings, data: &Path, listen: SocketAddr, ops: Option<SocketAddr>, is_demo: bool) {
    let warehouse = match &settings.warehouse {
        Some(WarehouseAddress::DuckDb(file)) => format!("duckdb:{}", file.display()),
        Some(WarehouseAddress::Postgres(_)) => "postgres (as set)".to_owned(),
        Some(WarehouseAddress::Redshift(_)) => "redshift (as set)".to_owned(),
        None => String::new(),
    };
    if !is_demo && !std::io::stderr().is_terminal() {
        let (webhook, ops) = (format!("http://{listen}/webhooks/aftership"), ops.map(|ops| ops.to_string()));
        info!(webhook, ops, data = %data.display(), warehouse, "waybill is up");
        return;
    }
    eprintln!(
        "Waybill is up{}.",
        if is_demo { ", with a built-in AfterShip stand-in that sends signed updates" } else { "" }
    );
    eprintln!("  webhook URL     http://{listen}/webhooks/aftership");
    if let Some(ops) = ops {
        eprintln!("  console         http://{ops}/");
        eprintln!("  health          http://{ops}/readyz   metrics http://{ops}/metrics");
    }
    eprintln!("  data folder     {}", data.display());
    eprintln!("  warehouse       {warehouse}");
    if let Some(WarehouseAddress::DuckDb(file)) = &settings.warehouse {
        let program = std::env::args().next().unwrap_or_else(|| "waybill".to_owned());
        eprintln!("Try, in another terminal:");
        eprintln!("  {program} query --warehouse duckdb:{} --named status", file.display());
        if is_demo {
            for more in [
                "query --named ceased-selling",
                "query --named delisted",
                "query 'select * from mart.revenue_by_product'",
                "rejects list",
            ] {
                let (command, rest) = more.split_once(' ').unwrap_or((more, ""));
                eprintln!("  {program} {command} --warehouse duckdb:{} {rest}", file.display());
            }
        }
        if let Some(LakeAddress::File(lake)) = &settings.lake {
            eprintln!("  {program} dead-letters list --lake file:{}", lake.display());
        }
    }
    eprintln!("Ctrl-C drains and ends.");
}

/// A word to the person at the terminal; elsewhere stderr is for logs alone.
fn say(text: &str) {
    if std::io::stderr().is_terminal() {
        eprintln!("waybill: {text}");
    } else {
        info!("{text}");
    }
}

async fn goodbye(counts: &Counts, is_drained: bool, places: &Places) {
    let left = match tokio::time::timeout(Duration::from_millis(500), places.queues.main.depth()).await {
        Ok(Ok(depth)) => depth.ready + depth.leased,
        _ => 0,
    };
    say(&format!(
        "received {}, landed {}, loaded {} ({} new, {} repeated), dead letters {}",
        counts.received,
        counts.landed,
        counts.loaded,
        counts.new,
        counts.loaded.saturating_sub(counts.new),
        counts.dead_letters
    ));
    if !is_drained || left > 0 {
        say("what is not delivered yet waits safely in its place; the next start goes on from there");
    }
}
