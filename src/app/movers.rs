//! The movers, made from settings and places; and each as a process of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use indicatif::ProgressBar;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::aftership::signature::{Secrets, Verifier};
use crate::batch::treatment::Treatment;
use crate::batch::{Batch, BatchSettings, Landed};
use crate::cli;
use crate::event::Source;
use crate::lake::Lake;
use crate::lake::receipt::ReceiptBook;
use crate::lake::suppressed::Latest;
use crate::load::shop::{Mode, Shop, ShopChoice};
use crate::load::{Load, LoadSettings, Loaded, Summary};
use crate::queue::Queue;
use crate::receive::{CurrentVerifier, Receive, ReceiveSettings, Received};
use crate::retail::read::ShopFile;
use crate::settings::{Need, Settings};
use crate::warehouse::{ShopOutcome, Warehouse};

use super::places::{self, Queues};
use super::receipts::Receipts;
use super::running::{DRAIN_MAX, Running, Shown, bind_all, bind_ops, watch_queues};
use super::status::{bytes_bar, progress_bar};
use super::{Exit, Sources, Usage, canary, ended, list, secrets, shop};

/// As a choice of what to load: the parcels, not the shop's files.
const TRACKINGS: &str = "trackings";

/// How long requests under way get to finish when receiving is all a process does: the time for a slow body and for
/// the queue, within the 25 s of a drain.
const FINISH_ALONE: Duration = Duration::from_secs(16);
/// The same when there is still to be batched and loaded what they bring.
pub(super) const FINISH_WITH_OTHERS: Duration = Duration::from_secs(8);

pub(super) async fn receive(sources: &Sources, ports: &cli::Ports) -> anyhow::Result<Exit> {
    let settings = sources.gather(&[Need::Receiving, Need::Queue])?;
    let verifier = CurrentVerifier::new(verifier(&settings));
    let queues = places::queue(&settings).await?;
    // Before anything listens: who is told that we are ready must not be let down by a lake that does not open.
    let lake = match &settings.lake {
        Some(_) => Some(places::lake(&settings).await?),
        None => None,
    };
    let running = Running::new(settings);
    running.end_with(queues.disk.as_ref());
    let shown = Shown { queue: Some(Arc::clone(&queues.main)), ..Shown::default() };
    let (listener, _, _) = bind_all(&running, ports, shown, false).await?;
    secrets::watch(&running, sources.clone(), verifier.clone());
    let received = Arc::new(Received::default());
    let receipts = Receipts::begin_if_lake(&running.settings, Source::Webhook, lake.as_ref());
    let door = Door { verifier, listener, receipts: receipts.book.clone() };
    let receiving = start_receive(&running, door, &queues.main, &received, FINISH_ALONE);
    let receiving = running.watch_over("receive", receiving);
    let watching = watch_queues(&running, &queues);

    running.shutdown.draining().await;
    let drain = async {
        let _ = receiving.await;
        receipts.end().await;
        queues.main.close().await;
    };
    let _ = tokio::time::timeout(DRAIN_MAX, drain).await;
    watching.abort();
    info!(received = received.accepted(), "drained");
    running.outcome()
}

pub(super) async fn batch(sources: &Sources, arguments: &cli::Mover) -> anyhow::Result<Exit> {
    let settings = sources.gather(&[Need::Queue, Need::Lake])?;
    let queues = places::queues(&settings.without_spool()).await?;
    let lake = places::lake(&settings).await?;
    let suppressed = places::suppressed(&settings, lake.as_ref()).await?;
    let mut running = Running::new(settings);
    running.end_with(queues.disk.as_ref());
    let landed = Arc::new(Landed::default());
    if arguments.once {
        running.settings.ops_listen = None;
    }
    let shown =
        Shown { queue: Some(Arc::clone(&queues.main)), lake: Some(Arc::clone(&lake)), ..Shown::default() };
    let _ops = bind_ops(&running, &arguments.ports, shown).await?;
    let stop = running.shutdown.draining_token();
    let mover = batch_mover(&running, &queues, &lake, &landed, suppressed);
    if arguments.once {
        mover.run_once(stop.clone()).await;
    } else {
        let watching = watch_queues(&running, &queues);
        mover.run(stop.clone()).await;
        watching.abort();
    }
    let was_stopped = arguments.once && stop.is_cancelled();
    queues.main.close().await;
    let dead = landed.dead_letters.load(Ordering::Relaxed);
    if arguments.once {
        println!(
            "{}",
            serde_json::json!({ "landed": landed.events.load(Ordering::Relaxed), "dead_letters": dead })
        );
    }
    running.outcome()?;
    Ok(ended(arguments, dead, was_stopped))
}

pub(super) async fn load(sources: &Sources, arguments: &cli::Load) -> anyhow::Result<Exit> {
    let is_trackings = arguments.dataset.as_deref() == Some(TRACKINGS);
    let named = arguments.dataset.as_deref().filter(|_| !is_trackings);
    let choice =
        ShopChoice { dataset: named.map(shop::dataset).transpose()?, from: arguments.from, to: arguments.to };
    let has_days = choice.from.is_some() || choice.to.is_some();
    if is_trackings && (has_days || arguments.dry_run) {
        return Err(Usage(
            "--from, --to and --dry-run are for the shop's files, not for trackings".to_owned(),
        )
        .into());
    }
    let is_part = is_trackings || !choice.is_all();
    if is_part && !arguments.mover.once && !arguments.dry_run && !arguments.list {
        return Err(Usage("--dataset, --from and --to need --once, --dry-run or --list".to_owned()).into());
    }
    if arguments.list {
        return list::list(sources, &choice, is_trackings).await;
    }
    if arguments.dry_run || !choice.is_all() {
        return load_shop(sources, arguments, &choice).await;
    }
    // A shop whose files are loaded by a schedule of their own may have no lake at all.
    let has_lake = sources.is_given("lake") || !sources.is_given("retail");
    if arguments.mover.once && !has_lake {
        return load_shop(sources, arguments, &choice).await;
    }
    let mode = mode(arguments);
    let arguments = &arguments.mover;
    let settings = sources.gather(&[Need::Lake, Need::Warehouse])?;
    let lake = places::lake(&settings).await?;
    let warehouse = places::warehouse(&settings)?;
    places::prepare(&settings, warehouse.as_ref()).await?;
    let suppressed = places::suppressed(&settings, lake.as_ref()).await?;
    let retail = if is_trackings { None } else { places::retail(&settings).await };
    let mut running = Running::new(settings);
    if arguments.once {
        running.settings.ops_listen = None;
    }
    let shown =
        Shown { lake: Some(Arc::clone(&lake)), warehouse: Some(Arc::clone(&warehouse)), ..Shown::default() };
    let _ops = bind_ops(&running, &arguments.ports, shown).await?;
    let loaded = Arc::new(Loaded::default());
    let load = load_mover(&running, &lake, &warehouse, &loaded, None, suppressed);
    let shop = retail.map(|files| shop_mover(&running, files, &warehouse, &loaded));
    let stop = running.shutdown.draining_token();
    if !arguments.once {
        canary::start(&running, sources, None, &warehouse, false, stop.clone());
        let shop = shop.map(|shop| tokio::spawn(shop.run(stop.clone())));
        load.run(stop).await;
        if let Some(shop) = shop {
            let _ = shop.await;
        }
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
    let mut summary = summary?;
    if let Some(mut shop) = shop {
        let bar = bytes_bar();
        let progress = |done, of| show(&bar, done, of);
        let outcome = shop.round(&choice, mode, &stop, &mut summary, progress, |_, _| {}).await;
        bar.finish_and_clear();
        outcome?;
    }
    told(&summary, arguments, &stop)
}

/// The shop's files alone: some of them, or all without keeping anything.
async fn load_shop(sources: &Sources, arguments: &cli::Load, choice: &ShopChoice) -> anyhow::Result<Exit> {
    let settings = sources.gather(&[Need::Retail, Need::Warehouse])?;
    let warehouse = places::warehouse(&settings)?;
    places::prepare(&settings, warehouse.as_ref()).await?;
    let files = places::retail(&settings).await.context("no address of the shop's files")?;
    let running = Running::new(settings);
    let stop = running.shutdown.draining_token();
    let mut shop = shop_mover(&running, files, &warehouse, &Arc::new(Loaded::default()));
    let mode = mode(arguments);
    let bar = bytes_bar();
    let mut summary = Summary::default();
    let progress = |done, of| show(&bar, done, of);
    let report = |file: &ShopFile, outcome: &ShopOutcome| {
        if mode == Mode::Dry {
            bar.suspend(|| print!("{}", shop::as_text(file, Some(outcome))));
        }
    };
    let outcome = shop.round(choice, mode, &stop, &mut summary, progress, report).await;
    bar.finish_and_clear();
    outcome?;
    told(&summary, &arguments.mover, &stop)
}

fn mode(arguments: &cli::Load) -> Mode {
    match (arguments.dry_run, arguments.no_marts) {
        (true, _) => Mode::Dry,
        (false, true) => Mode::LoadOnly,
        (false, false) => Mode::Load,
    }
}

/// Prints what a load did, and says how it ended. Files that were listed and could not be found are a failure: nothing
/// else would tell of them.
fn told(summary: &Summary, mover: &cli::Mover, stop: &CancellationToken) -> anyhow::Result<Exit> {
    println!("{}", serde_json::to_string(summary)?);
    if summary.files_missing > 0 {
        anyhow::bail!(
            "{} files were listed and are not there any more: they have no ledger row",
            summary.files_missing
        );
    }
    let set_aside = u64::try_from(summary.rejected).unwrap_or(0) + summary.files_rejected;
    Ok(ended(mover, set_aside, stop.is_cancelled()))
}

fn show(bar: &ProgressBar, done: u64, of: u64) {
    bar.set_length(of);
    bar.set_position(done);
}

/// `loaded`: where rejected lines are counted for the status line.
pub(super) fn shop_mover(
    running: &Running,
    files: Arc<dyn Lake>,
    warehouse: &Arc<dyn Warehouse>,
    loaded: &Arc<Loaded>,
) -> Shop {
    // A listing of a bucket costs money.
    let least = if files.kind() == "disk" { Duration::ZERO } else { Duration::from_secs(30) };
    let interval = running.settings.load_every().max(least);
    Shop::new(files, Arc::clone(warehouse), interval, running.health.clone(), Arc::clone(loaded))
}

pub(super) fn batch_mover(
    running: &Running,
    queues: &Queues,
    lake: &Arc<dyn Lake>,
    landed: &Arc<Landed>,
    suppressed: Latest,
) -> Batch {
    let settings = &running.settings;
    let batch = BatchSettings {
        age: settings.batch_age,
        bytes_max: settings.batch_bytes,
        events_max: settings.batch_events,
        lease: settings.batch_lease,
        compression: settings.lake_compression,
        treatment: treatment(settings),
        ..BatchSettings::default()
    };
    Batch {
        queue: Arc::clone(&queues.main),
        dead_letter_queue: queues.dead_letters.clone(),
        lake: Arc::clone(lake),
        settings: match settings.burst_every() {
            Some(every) => batch.in_bursts(every),
            None => batch,
        },
        suppressed: Arc::new(suppressed),
        health: running.health.clone(),
        landed: Arc::clone(landed),
    }
}

fn treatment(settings: &Settings) -> Treatment {
    let key = settings.privacy_key.as_ref().map_or("", |key| key.expose());
    Treatment::new(settings.privacy, key.as_bytes())
}

/// `landed`: of a batch mover in the same process, whose work is then loaded at once.
pub(super) fn load_mover(
    running: &Running,
    lake: &Arc<dyn Lake>,
    warehouse: &Arc<dyn Warehouse>,
    loaded: &Arc<Loaded>,
    landed: Option<&Arc<Landed>>,
    suppressed: Latest,
) -> Load {
    Load {
        lake: Arc::clone(lake),
        warehouse: Arc::clone(warehouse),
        settings: LoadSettings { interval: running.settings.load_every(), ..LoadSettings::default() },
        suppressed,
        health: running.health.clone(),
        loaded: Arc::clone(loaded),
        landed: landed.map(|landed| Arc::clone(&landed.notify)),
    }
}

pub(super) fn verifier(settings: &Settings) -> Verifier {
    let secrets =
        Secrets::new(settings.webhook_secrets.iter().map(|secret| secret.expose().to_owned()).collect());
    Verifier::new(&settings.signature_products, secrets)
}

/// What requests come in through.
pub(super) struct Door {
    pub(super) verifier: CurrentVerifier,
    pub(super) listener: TcpListener,
    pub(super) receipts: Option<ReceiptBook>,
}

pub(super) fn start_receive(
    running: &Running,
    door: Door,
    queue: &Arc<dyn Queue>,
    received: &Arc<Received>,
    finish_max: Duration,
) -> JoinHandle<()> {
    let settings = ReceiveSettings {
        connections_max: running.settings.connections_max,
        requests_max: running.settings.requests_max,
        drain_delay: running.settings.drain_delay,
        finish_max,
        ..ReceiveSettings::default()
    };
    let (health, received) = (running.health.clone(), Arc::clone(received));
    let receive = Receive::new(settings, door.verifier, Arc::clone(queue), health, received, door.receipts);
    tokio::spawn(receive.serve(door.listener, running.shutdown.clone()))
}
