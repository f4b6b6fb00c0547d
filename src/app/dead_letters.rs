//! `waybill dead-letters`: list, show, replay, drop.

use std::io::{IsTerminal, Write};

use anyhow::{Context, bail};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::cli::{Act, Choice, DeadLetters, ListFormat};
use crate::event::format_instant;
use crate::lake::dead_letter::{self, DeadLetter, Filter, Listed};
use crate::replay::{self, Order, Report};
use crate::settings::Need;

use super::{Exit, Sources, Usage, places, status};

pub(super) async fn run(sources: &Sources, action: DeadLetters) -> anyhow::Result<Exit> {
    match action {
        DeadLetters::List { choice, all, format } => list(sources, &choice, all, format).await,
        DeadLetters::Show { id, body } => show(sources, &id, body).await,
        DeadLetters::Replay(act) => replay(sources, &act).await,
        DeadLetters::Drop(act) => drop_letters(sources, &act).await,
    }
}

async fn list(sources: &Sources, choice: &Choice, all: bool, format: ListFormat) -> anyhow::Result<Exit> {
    let settings = sources.gather(&[Need::Lake])?;
    let lake = places::lake_that_is_there(&settings).await?;
    let filter = filter(choice)?;
    let mut listed = dead_letter::list(lake.as_ref(), &filter, all).await?;
    listed.sort_by(|a, b| (a.letter.received_at, &a.letter.id).cmp(&(b.letter.received_at, &b.letter.id)));
    listed.truncate(choice.limit.unwrap_or(usize::MAX));
    match format {
        ListFormat::Json => {
            let rows: Vec<_> = listed.iter().map(Listed::summary).collect();
            println!("{}", serde_json::to_string_pretty(&rows)?);
        }
        ListFormat::Table => {
            let mut table = comfy_table::Table::new();
            table.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
            table.set_header(["id", "reason", "event", "received at", "attempts", "bytes", "state"]);
            for one in &listed {
                let letter = &one.letter;
                table.add_row([
                    letter.id.clone(),
                    letter.reason.as_str().to_owned(),
                    letter.event.clone().unwrap_or_default(),
                    format_instant(letter.received_at),
                    letter.attempts.to_string(),
                    letter.body().map_or(0, |body| body.len()).to_string(),
                    one.state().to_owned(),
                ]);
            }
            println!("{table}\n{} dead letters", listed.len());
        }
    }
    Ok(Exit::Done)
}

async fn show(sources: &Sources, id: &str, body: bool) -> anyhow::Result<Exit> {
    let settings = sources.gather(&[Need::Lake])?;
    let lake = places::lake_that_is_there(&settings).await?;
    let filter = Filter { id: Some(id.to_owned()), ..Filter::default() };
    let listed = dead_letter::list(lake.as_ref(), &filter, true).await?;
    let Some(found) = listed.first() else {
        bail!("no dead letter has the id {id}: see `waybill dead-letters list --all`");
    };
    if body {
        let bytes = found.letter.body().context("cannot read the stored body")?;
        std::io::stdout().lock().write_all(&bytes)?;
    } else {
        println!("{}", serde_json::to_string_pretty(&found.summary())?);
    }
    Ok(Exit::Done)
}

async fn replay(sources: &Sources, act: &Act) -> anyhow::Result<Exit> {
    let settings = sources.gather(&[Need::Lake, Need::Queue])?;
    let lake = places::lake_that_is_there(&settings).await?;
    let order = order(act)?;
    let letters = replay::choose(lake.as_ref(), &order).await?;
    if !confirmed(act, &letters, "send again")? {
        return Ok(Exit::Done);
    }
    // A person waits for the answer, and can ask again: this is not for the spool.
    let queue = places::queue(&settings.without_spool()).await?.main;
    let bar = status::progress_bar("letters");
    let stop = interrupted();
    let report = replay::replay(lake.as_ref(), queue.clone(), letters, &order, &stop, |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    })
    .await;
    bar.finish_and_clear();
    queue.close().await;
    finish(&report?, "sent again")
}

async fn drop_letters(sources: &Sources, act: &Act) -> anyhow::Result<Exit> {
    let settings = sources.gather(&[Need::Lake])?;
    let lake = places::lake_that_is_there(&settings).await?;
    let order = order(act)?;
    let letters = replay::choose(lake.as_ref(), &order).await?;
    if !confirmed(act, &letters, "drop")? {
        return Ok(Exit::Done);
    }
    let bar = status::progress_bar("letters");
    let stop = interrupted();
    let report = replay::drop_letters(lake.as_ref(), letters, &order, &stop, |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    })
    .await;
    bar.finish_and_clear();
    finish(&report?, "dropped")
}

fn filter(choice: &Choice) -> anyhow::Result<Filter> {
    Filter::parse(&choice.conditions, Timestamp::now()).map_err(|fault| Usage(fault.to_string()).into())
}

fn order(act: &Act) -> anyhow::Result<Order> {
    if act.rate.is_some_and(|rate| rate.is_nan() || rate <= 0.0) {
        return Err(Usage("--rate must be greater than 0".to_owned()).into());
    }
    Ok(Order {
        filter: filter(&act.choice)?,
        limit: act.choice.limit,
        rate: act.rate,
        reason: act.reason.clone(),
        who: std::env::var("USER").ok().filter(|user| !user.is_empty()),
    })
}

/// Says what would be done; asks on a terminal, insists on --yes elsewhere. False: do nothing.
fn confirmed(act: &Act, letters: &[DeadLetter], verb: &str) -> anyhow::Result<bool> {
    let mut reasons = std::collections::BTreeMap::<&str, usize>::new();
    for letter in letters {
        *reasons.entry(letter.reason.as_str()).or_default() += 1;
    }
    let by_reason: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let by_reason = if by_reason.is_empty() { String::new() } else { format!(" ({})", by_reason.join(", ")) };
    if act.dry_run {
        println!("would {verb} {} dead letters{by_reason}; nothing was done", letters.len());
        for letter in letters {
            println!("{}", letter.id);
        }
        return Ok(false);
    }
    if letters.is_empty() {
        println!("no open dead letter matches; nothing was done");
        return Ok(false);
    }
    if act.yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        bail!(
            "about to {verb} {} dead letters{by_reason}: say --yes, or look first with --dry-run",
            letters.len()
        );
    }
    let is_yes = status::agreed(&format!("{verb} {} dead letters{by_reason}?", letters.len()))?;
    if !is_yes {
        println!("nothing was done");
    }
    Ok(is_yes)
}

fn finish(report: &Report, verb: &str) -> anyhow::Result<Exit> {
    println!("{}", serde_json::to_string(report)?);
    let left = report.chosen - report.done - report.not_replayable;
    if left > 0 {
        eprintln!("interrupted: {} {verb}, {left} left; run it again to go on", report.done);
    }
    if report.not_replayable > 0 {
        eprintln!("{} letters hold no event of ours and were left as they are", report.not_replayable);
    }
    Ok(Exit::Done)
}

/// Cancelled by Ctrl-C or SIGTERM: what was done stays done.
pub(super) fn interrupted() -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        crate::ops::shutdown::signal().await;
        token.cancel();
    });
    stop
}
