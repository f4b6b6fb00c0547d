//! `waybill poll`, and polling in `up`.

use std::sync::Arc;

use jiff::Timestamp;

use crate::cli;
use crate::event::{self, Source};
use crate::lake::Lake;
use crate::poll::{Poll, PollSettings, Polled};
use crate::queue::Queue;
use crate::settings::Need;

use super::places;
use super::receipts::Receipts;
use super::running::{DRAIN_MAX, Running, Shown, bind_ops, watch_queues};
use super::status::progress_bar;
use super::{Exit, Sources, Usage, ended};

pub(super) async fn run(sources: &Sources, arguments: &cli::Poll) -> anyhow::Result<Exit> {
    let since = arguments.since.as_deref().map(since).transpose()?;
    let settings = sources.gather(&[Need::Queue, Need::Lake, Need::Api])?;
    // The spool belongs to the receiver.
    let queues = places::queue(&settings.without_spool()).await?;
    let lake = places::lake(&settings).await?;
    let mut running = Running::new(settings);
    running.end_with(queues.disk.as_ref());
    if arguments.mover.once {
        running.settings.ops_listen = None;
    }
    let shown =
        Shown { queue: Some(Arc::clone(&queues.main)), lake: Some(Arc::clone(&lake)), ..Shown::default() };
    let _ops = bind_ops(&running, &arguments.mover.ports, shown).await?;
    let receipts = Receipts::begin(&running.settings, Source::Api, &lake);
    let poll = poll_mover(&running, &queues.main, &lake, &receipts, since)?;
    let stop = running.shutdown.draining_token();
    if !arguments.mover.once {
        let watching = watch_queues(&running, &queues);
        let polling = running.watch_over("poll", tokio::spawn(poll.run(stop)));
        running.shutdown.draining().await;
        let drain = async {
            let _ = polling.await;
            receipts.end().await;
            queues.main.close().await;
        };
        let _ = tokio::time::timeout(DRAIN_MAX, drain).await;
        watching.abort();
        return running.outcome();
    }
    let bar = progress_bar("trackings");
    let outcome = poll
        .run_once(&stop, |done, of| {
            bar.set_length(of);
            bar.set_position(done);
        })
        .await;
    bar.finish_and_clear();
    receipts.end().await;
    queues.main.close().await;
    let report = outcome?;
    println!("{}", serde_json::to_string(&report)?);
    running.outcome()?;
    Ok(ended(&arguments.mover, report.unreadable + report.too_large, stop.is_cancelled()))
}

fn since(text: &str) -> anyhow::Result<Timestamp> {
    let at = event::since(text, Timestamp::now());
    at.ok_or_else(|| Usage(format!("--since {text}: write 2h, 7d, a day or an instant")).into())
}

/// `since`: where the first poll begins, when there is no state of an earlier one.
pub(super) fn poll_mover(
    running: &Running,
    queue: &Arc<dyn Queue>,
    lake: &Arc<dyn Lake>,
    receipts: &Receipts,
    since: Option<Timestamp>,
) -> anyhow::Result<Poll> {
    Ok(Poll {
        api: places::api(&running.settings)?,
        queue: Arc::clone(queue),
        lake: Arc::clone(lake),
        settings: PollSettings {
            interval: running.settings.poll_interval,
            overlap: running.settings.poll_overlap,
            since,
            // Who names an instant wants all from then on, whatever was asked for before.
            again: since.is_some(),
            ..PollSettings::default()
        },
        health: running.health.clone(),
        polled: Arc::new(Polled::default()),
        receipts: receipts.book.clone(),
    })
}
