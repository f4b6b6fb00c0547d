//! `waybill simulate`: the AfterShip stand-in as a command.

use anyhow::{Context, bail};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::aftership::simulator::SimulatorOptions;
use crate::aftership::simulator::sender::{self, SendOptions};
use crate::cli::Simulate;

use super::{Exit, Sources, Usage, status};

pub(super) async fn run(sources: &Sources, arguments: &Simulate) -> anyhow::Result<Exit> {
    let secret = match &arguments.secret {
        Some(secret) => secret.clone(),
        None => {
            let settings = sources.gather(&[])?;
            let newest = settings
                .webhook_secrets
                .first()
                .context("no secret to sign with: give --secret, or set WAYBILL_WEBHOOK_SECRETS")?;
            newest.expose().to_owned()
        }
    };
    if !(0.0..=1.0).contains(&arguments.poison) {
        return Err(Usage("--poison is a share from 0 to 1".to_owned()).into());
    }
    if arguments.rate.is_some_and(|rate| rate.is_nan() || rate <= 0.0) {
        return Err(Usage("--rate must be greater than 0".to_owned()).into());
    }
    let options = SendOptions {
        url: arguments.url.clone(),
        secret,
        rate: arguments.rate,
        count: arguments.count,
        concurrency: arguments.concurrency.max(1),
        seed: arguments.seed,
        simulator: SimulatorOptions {
            version: arguments.version.parse().map_err(|fault| anyhow::anyhow!("{fault}"))?,
            poison_rate: arguments.poison,
            start: Timestamp::now(),
            ..SimulatorOptions::default()
        },
        ..SendOptions::default()
    };
    // Later failures are repeated for hours, as AfterShip does; a wrong address should be said at once.
    sender::reach(&options.url).await?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        crate::ops::shutdown::signal().await;
        token.cancel();
    });
    let bar = status::progress_bar("events");
    if let Some(count) = arguments.count {
        bar.set_length(count);
    }
    let report = sender::run(options, |sent| bar.set_position(sent), stop).await;
    bar.finish_and_clear();
    let report = report?;
    println!("{}", serde_json::to_string(&report)?);
    if report.accepted < report.sent {
        bail!("{} of {} events were not accepted", report.sent - report.accepted, report.sent);
    }
    Ok(Exit::Done)
}
