//! `waybill reconcile`.

mod table;
mod waiting;

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::aftership::client::Api;
use crate::cli;
use crate::event;
use crate::lake::Lake;
use crate::load::{Load, LoadSettings, Loaded};
use crate::ops::health::Health;
use crate::reconcile::rebuild::{self, Compared, Times};
use crate::reconcile::sweep::{self, HealOrder, Healed, OnItsWay, Sweep};
use crate::reconcile::{Reconcile, ReconcileSettings, Report, Span};
use crate::settings::{Need, Settings};
use crate::warehouse::duckdb::{DuckDbOptions, DuckDbWarehouse};
use crate::warehouse::{SchemaState, Warehouse};

use super::dead_letters::interrupted;
use super::{Exit, Misconfigured, Sources, Usage, places, status};

use waiting::{queue, spooled};

/// Least time that what is acknowledged, or known to AfterShip, is given to arrive.
const TRAVEL_LEAST: Duration = Duration::from_secs(10 * 60);
/// How often a message may come again before it has landed.
const LEASES: u32 = 3;

/// What is printed as JSON.
#[derive(Serialize)]
struct Output<'a> {
    is_clean: bool,
    #[serde(flatten)]
    report: &'a Report,
    /// `None` without an API key, or when AfterShip could not be asked.
    aftership: Option<Aftership>,
    healed: Option<Healed>,
    rebuilt: Option<Vec<Compared>>,
    /// Why AfterShip's list was not compared, though it was to be.
    #[serde(skip)]
    fault: Option<String>,
}

/// AfterShip's list in numbers.
#[derive(Serialize)]
struct Aftership {
    listed: u64,
    behind: usize,
    deleted: usize,
}

pub(super) async fn run(sources: &Sources, arguments: &cli::Reconcile) -> anyhow::Result<Exit> {
    let now = Timestamp::now();
    let span = span(arguments, now)?;
    let mut needs = vec![Need::Lake, Need::Warehouse];
    if arguments.heal {
        needs.extend([Need::Queue, Need::Api]);
    }
    let settings = sources.gather(&needs)?;
    let lake = places::lake_that_is_there(&settings).await?;
    let warehouse = places::warehouse(&settings)?;
    match warehouse.schema_state().await.context("cannot read the warehouse's schema version")? {
        SchemaState::Current => {}
        state => return Err(Misconfigured(places::schema_fault(state)).into()),
    }
    let api = match &settings.aftership_api_key {
        Some(_) => Some(places::api(&settings)?),
        None => None,
    };
    let (queue, set_aside) = queue(&settings, arguments.heal).await?;
    let patience = patience(&settings);
    let reconcile = Reconcile {
        lake: Arc::clone(&lake),
        warehouse: Arc::clone(&warehouse),
        queue: queue.clone(),
        settings: ReconcileSettings {
            deep: arguments.deep,
            spooled: spooled(&settings).await,
            set_aside,
            behind_grace: patience.behind_grace + settle(arguments, now)?,
            ..patience
        },
    };
    let outcome = Box::pin(all(arguments, &settings, &reconcile, api.as_ref(), span, now)).await;
    if let Some(queue) = queue {
        queue.close().await;
    }
    outcome
}

/// How long things may be on their way, by the settings of those who carry them.
pub(super) fn patience(settings: &Settings) -> ReconcileSettings {
    let travel = settings.burst_every().unwrap_or(settings.batch_age);
    let usual = ReconcileSettings::default();
    ReconcileSettings {
        load_grace: usual.load_grace.max(settings.load_every() * 2),
        travel_max: TRAVEL_LEAST.max(travel + settings.batch_lease * LEASES),
        behind_grace: travel.max(settings.poll_interval) + settings.load_every(),
        ..usual
    }
}

async fn all(
    arguments: &cli::Reconcile,
    settings: &Settings,
    reconcile: &Reconcile,
    api: Option<&Api>,
    span: Span,
    now: Timestamp,
) -> anyhow::Result<Exit> {
    let bar = status::progress_bar("minutes");
    let comparing = Box::pin(reconcile.compare(span, now, |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    }));
    let report = comparing.await;
    bar.finish_and_clear();
    let mut report = report?;

    let (sweep, fault) = match sweep(api, reconcile, span, now).await {
        Ok(sweep) => (sweep, None),
        // The rest is found all the same, and must not be lost with it.
        Err(error) => (None, Some(format!("AfterShip's list was not compared: {error:#}"))),
    };
    report.notes.extend(fault.clone());
    let healed = match (api, &sweep) {
        (Some(api), Some(sweep)) if arguments.heal => heal(arguments, reconcile, api, sweep).await?,
        _ => None,
    };
    if let Some(sweep) = &sweep {
        let is_healed = healed.as_ref().is_some_and(Healed::is_whole);
        let grace = SignedDuration::try_from(reconcile.settings.behind_grace).unwrap_or(SignedDuration::MAX);
        let on_its_way = OnItsWay::of(&report, now, grace);
        report.differences.extend(sweep.differences(is_healed, on_its_way));
        report.notes.extend(sweep.notes());
    }
    let rebuilt =
        if arguments.rebuild { Some(rebuild(settings, reconcile, span.until.min(now)).await?) } else { None };

    let output = Output {
        is_clean: fault.is_none() && report.is_clean() && rebuilt.iter().flatten().all(Compared::is_same),
        aftership: sweep.map(|sweep| Aftership {
            listed: sweep.listed,
            behind: sweep.behind.len(),
            deleted: sweep.deleted.len(),
        }),
        report: &report,
        healed,
        rebuilt,
        fault,
    };
    match arguments.format {
        cli::ListFormat::Json => println!("{}", serde_json::to_string_pretty(&output)?),
        cli::ListFormat::Table => table::print(&output),
    }
    verdict(&output)
}

/// Exit code 1 unless everything has its reason.
fn verdict(output: &Output<'_>) -> anyhow::Result<Exit> {
    if output.is_clean {
        return Ok(Exit::Done);
    }
    let open = output.report.differences.iter().filter(|difference| !difference.is_explained).count();
    let tables = output.rebuilt.iter().flatten().filter(|compared| !compared.is_same()).count();
    if let Some(fault) = &output.fault
        && open == 0
        && tables == 0
    {
        bail!("{fault}");
    }
    match tables {
        0 => bail!("{open} differences without an explanation"),
        tables => bail!(
            "{open} differences without an explanation, and {tables} tables that differ from their rebuild"
        ),
    }
}

/// The minutes to look at.
fn span(arguments: &cli::Reconcile, now: Timestamp) -> anyhow::Result<Span> {
    let when = |flag: &str, text: &str| {
        event::since(text, now)
            .ok_or_else(|| Usage(format!("{flag} {text}: write a time back (2h, 3d), a day, or an instant")))
    };
    let from = when("--since", &arguments.since)?;
    let until = match &arguments.until {
        Some(text) => when("--until", text)?.min(now),
        None => now,
    };
    let span = Span::settled(from, until, settle(arguments, now)?);
    if span.from >= span.until {
        return Err(Usage(
            "there is no minute to look at: --since is not before --until, less the time of --settle"
                .to_owned(),
        )
        .into());
    }
    Ok(span)
}

/// A time back is a length, too.
fn settle(arguments: &cli::Reconcile, now: Timestamp) -> anyhow::Result<Duration> {
    event::since(&arguments.settle, now)
        .filter(|_| !arguments.settle.contains('-'))
        .and_then(|at| Duration::try_from(now.duration_since(at)).ok())
        .ok_or_else(|| Usage(format!("--settle {}: write a time, as 30s or 2m", arguments.settle)).into())
}

async fn sweep(
    api: Option<&Api>,
    reconcile: &Reconcile,
    span: Span,
    now: Timestamp,
) -> anyhow::Result<Option<Sweep>> {
    let Some(api) = api else { return Ok(None) };
    let bar = status::progress_bar("trackings");
    let sweep = reconcile
        .sweep(api, span.from, span.until.min(now), |done, of| {
            bar.set_length(of);
            bar.set_position(done);
        })
        .await;
    bar.finish_and_clear();
    Ok(Some(sweep?))
}

/// `None`: the person said no.
async fn heal(
    arguments: &cli::Reconcile,
    reconcile: &Reconcile,
    api: &Api,
    sweep: &Sweep,
) -> anyhow::Result<Option<Healed>> {
    if sweep.behind.is_empty() {
        return Ok(Some(Healed::default()));
    }
    let what = format!("{} trackings whose newest state is not here", sweep.behind.len());
    if !arguments.yes {
        if !std::io::stdin().is_terminal() {
            bail!("about to fetch {what}: say --yes, or look first without --heal");
        }
        if !status::agreed(&format!("fetch {what}?"))? {
            return Ok(None);
        }
    }
    let queue = reconcile.queue.as_ref().context("no queue address")?;
    let order = HealOrder {
        reason: arguments.reason.clone(),
        who: std::env::var("USER").ok().filter(|user| !user.is_empty()),
    };
    let stop = interrupted();
    let bar = status::progress_bar("trackings");
    let (lake, queue) = (reconcile.lake.as_ref(), queue.as_ref());
    let healed = sweep::heal(api, lake, queue, sweep, &order, &stop, |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    })
    .await;
    bar.finish_and_clear();
    Ok(Some(healed?))
}

/// Loads the whole lake into a file of its own, and compares: whatever the warehouse is, it is only read. Trackings with
/// events since `settled`, or that are loaded meanwhile, are on their way, and left out.
async fn rebuild(
    settings: &Settings,
    reconcile: &Reconcile,
    settled: Timestamp,
) -> anyhow::Result<Vec<Compared>> {
    let load_grace = reconcile.settings.load_grace;
    let times = Times::begin(reconcile.warehouse.as_ref(), settled, load_grace, Timestamp::now()).await?;
    let dir = tempfile::Builder::new().prefix("waybill-rebuild-").tempdir();
    let dir = dir.context("cannot make a folder for the rebuilt warehouse")?;
    let options = DuckDbOptions { memory: settings.warehouse_memory.clone(), ..DuckDbOptions::default() };
    let scratch: Arc<dyn Warehouse> =
        Arc::new(DuckDbWarehouse::open(dir.path().join("scratch.duckdb"), options)?);
    scratch.migrate().await.context("cannot make the rebuilt warehouse")?;
    let stop = interrupted();
    load_all(settings, &reconcile.lake, &scratch, &stop).await?;
    if stop.is_cancelled() {
        bail!("interrupted: nothing was compared with a rebuild");
    }
    let warehouse = reconcile.warehouse.as_ref();
    let recent = rebuild::on_their_way(warehouse, scratch.as_ref(), &times).await?;
    let bar = status::progress_bar("rows");
    let compared = rebuild::compare_tables(warehouse, scratch.as_ref(), &recent, |table, rows| {
        bar.set_message(table);
        bar.set_position(rows);
    })
    .await;
    bar.finish_and_clear();
    let tallies = compared?;
    let recent = rebuild::on_their_way(warehouse, scratch.as_ref(), &times).await?;
    Ok(tallies.into_iter().map(|tally| tally.without(&recent)).collect())
}

async fn load_all(
    settings: &Settings,
    lake: &Arc<dyn Lake>,
    scratch: &Arc<dyn Warehouse>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let load = Load {
        lake: Arc::clone(lake),
        warehouse: Arc::clone(scratch),
        settings: LoadSettings::default(),
        suppressed: places::suppressed(settings, lake.as_ref()).await?,
        health: Health::new(),
        loaded: Arc::new(Loaded::default()),
        landed: None,
    };
    let bar = status::progress_bar("objects");
    let outcome = load
        .run_once(stop, |done, of| {
            bar.set_length(of);
            bar.set_position(done);
        })
        .await;
    bar.finish_and_clear();
    outcome.context("cannot rebuild the tables from the lake").map(|_| ())
}

#[cfg(test)]
mod tests {
    use crate::event::format_instant;

    use super::*;

    fn arguments(words: &str) -> cli::Reconcile {
        let words = format!("waybill reconcile {words}");
        let (cli, _) = cli::parse(words.split_whitespace().map(Into::into)).expect("good");
        match cli.command {
            cli::Command::Reconcile(arguments) => arguments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn times_are_read_or_refused_with_a_word() {
        let now: Timestamp = "2026-07-09T12:05:30Z".parse().expect("instant");
        let found = span(&arguments("--since 2h --settle 0s"), now).expect("a span");
        assert_eq!(format_instant(found.from), "2026-07-09T10:05:00.000000Z");
        assert_eq!(format_instant(found.until), "2026-07-09T12:06:00.000000Z");
        let until = span(&arguments("--since 2026-07-08 --until 2026-07-09"), now).expect("a span").until;
        assert_eq!(format_instant(until), "2026-07-08T23:58:00.000000Z");

        for words in ["--since soon", "--settle soon", "--settle 2026-07-09", "--since 1s", "--until never"] {
            let error = span(&arguments(words), now).expect_err("unusable");
            assert!(error.downcast_ref::<Usage>().is_some(), "{words}: {error}");
        }
    }
}
