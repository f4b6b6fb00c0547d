//! `waybill simulate`: the AfterShip stand-in as a command.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use jiff::Timestamp;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::aftership::simulator::sender::{self, SendOptions, SendReport};
use crate::aftership::simulator::service;
use crate::aftership::simulator::{Service, ServiceOptions, SharedShelf, SimulatorOptions, Version};
use crate::cli::Simulate;

use super::status::{self, write_private};
use super::{Exit, Misconfigured, Sources, Usage};

/// What is printed at the end.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    sent: SendReport,
    /// Requests that the API got.
    api_requests: u64,
}

pub(super) async fn run(sources: &Sources, arguments: &Simulate) -> anyhow::Result<Exit> {
    check(arguments)?;
    let options = options(sources, arguments)?;
    if !arguments.no_webhooks {
        // Later failures are repeated for hours, as AfterShip does; a wrong address should be said at once.
        sender::reach(&options.url).await?;
    }
    let stop = stop_on_a_signal();
    let api = match (arguments.api_listen, &options.shelf) {
        (Some(address), Some(shelf)) => Some(Api::open(arguments, address, shelf).await?),
        _ => None,
    };
    tell_ports(arguments, api.as_ref())?;
    let bar = status::progress_bar("events");
    if let Some(count) = arguments.count {
        bar.set_length(count);
    }
    let sent = send(options, arguments.no_webhooks, &bar, &stop).await;
    bar.finish_and_clear();
    let sent = sent?;
    let api_requests = match api {
        Some(api) => api.end(arguments.api_for, &stop).await,
        None => 0,
    };
    println!("{}", serde_json::to_string(&Report { sent, api_requests })?);
    if sent.accepted < sent.sent {
        bail!("{} of {} events were not accepted", sent.sent - sent.accepted, sent.sent);
    }
    Ok(Exit::Done)
}

/// What of the command line cannot be done, beyond what it checks itself.
fn check(arguments: &Simulate) -> Result<(), Usage> {
    let shares = [
        ("--poison", arguments.poison),
        ("--duplicates", arguments.duplicates),
        ("--late", arguments.late),
        ("--api-errors", arguments.api_errors),
        ("--api-truncate", arguments.api_truncate),
    ];
    for (flag, share) in shares {
        if !(0.0..=1.0).contains(&share) {
            return Err(Usage(format!("{flag} is a share from 0 to 1")));
        }
    }
    let is_time = |seconds: f64| seconds.is_finite() && seconds >= 0.0;
    if arguments.rate.is_some_and(|rate| rate.is_nan() || rate <= 0.0) {
        return Err(Usage("--rate must be greater than 0".to_owned()));
    }
    if !is_time(arguments.retry_scale) {
        return Err(Usage("--retry-scale must be 0 or greater; 1 is AfterShip's own pace".to_owned()));
    }
    if !arguments.api_for.is_none_or(is_time) {
        return Err(Usage("--api-for is a number of seconds".to_owned()));
    }
    if arguments.no_webhooks && arguments.rate.is_none() && arguments.count.is_none() {
        return Err(Usage(
            "--no-webhooks needs --rate, --count or both: nothing else holds events back".to_owned(),
        ));
    }
    let is_key = |key: &str| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !arguments.api_key.as_deref().is_none_or(is_key) {
        return Err(Usage("--api-key must be visible ASCII without blanks".to_owned()));
    }
    Ok(())
}

fn options(sources: &Sources, arguments: &Simulate) -> anyhow::Result<SendOptions> {
    let version =
        arguments.version.parse::<Version>().map_err(|fault| Usage(format!("--version: {fault}")))?;
    Ok(SendOptions {
        url: arguments.url.clone(),
        secret: if arguments.no_webhooks { String::new() } else { secret(sources, arguments)? },
        rate: arguments.rate,
        count: arguments.count,
        concurrency: arguments.concurrency.max(1),
        seed: arguments.seed,
        simulator: SimulatorOptions {
            version,
            poison_rate: arguments.poison,
            duplicate_rate: arguments.duplicates,
            late_rate: arguments.late,
            start: Timestamp::now(),
            is_live: arguments.live,
            ..SimulatorOptions::default()
        },
        retry_scale: arguments.retry_scale,
        is_patient_with_4xx: arguments.repeat_4xx,
        shelf: arguments.api_listen.map(|_| SharedShelf::default()),
        ..SendOptions::default()
    })
}

fn secret(sources: &Sources, arguments: &Simulate) -> anyhow::Result<String> {
    if let Some(secret) = &arguments.secret {
        return Ok(secret.clone());
    }
    let settings = sources.gather(&[])?;
    let newest = settings
        .webhook_secrets
        .first()
        .context("no secret to sign with: give --secret, or set WAYBILL_WEBHOOK_SECRETS")?;
    Ok(newest.expose().to_owned())
}

async fn send(
    options: SendOptions,
    is_silent: bool,
    bar: &ProgressBar,
    stop: &CancellationToken,
) -> anyhow::Result<SendReport> {
    let progress = |events| bar.set_position(events);
    if is_silent {
        sender::happen(&options, progress, stop.clone()).await;
        return Ok(SendReport::default());
    }
    Ok(sender::run(options, progress, stop.clone()).await?)
}

fn stop_on_a_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        crate::ops::shutdown::signal().await;
        token.cancel();
    });
    stop
}

/// Writes the ports file, if one is wanted.
fn tell_ports(arguments: &Simulate, api: Option<&Api>) -> anyhow::Result<()> {
    let Some(path) = &arguments.ports_file else { return Ok(()) };
    let api = api.map(|api| api.address.to_string());
    let body = serde_json::json!({ "api": api, "pid": std::process::id() });
    write_private(path, body.to_string().as_bytes())
        .with_context(|| format!("cannot write the ports file {}", path.display()))
}

/// The REST API under way.
struct Api {
    address: SocketAddr,
    service: Service,
    serving: JoinHandle<()>,
}

impl Api {
    async fn open(arguments: &Simulate, address: SocketAddr, shelf: &SharedShelf) -> anyhow::Result<Api> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Misconfigured(format!("cannot listen on {address}: {error}; choose another --api-listen"))
        })?;
        let address = listener.local_addr()?;
        let made_up = || uuid::Uuid::new_v4().simple().to_string();
        let key = arguments.api_key.clone().unwrap_or_else(made_up);
        eprintln!(
            "waybill: AfterShip's API is played at http://{address}/tracking/2026-07 for as-api-key {key}"
        );
        let options = ServiceOptions {
            key,
            rate_limit: arguments.api_rate_limit,
            error_rate: arguments.api_errors,
            truncate_rate: arguments.api_truncate,
            seed: arguments.seed,
            ..ServiceOptions::default()
        };
        let service = Service::new(options, SharedShelf::clone(shelf));
        let serving = tokio::spawn(service::serve(listener, service.clone()));
        Ok(Api { address, service, serving })
    }

    /// Goes on for so many seconds, or until stopped; gives the number of requests.
    async fn end(self, seconds: Option<f64>, stop: &CancellationToken) -> u64 {
        if !stop.is_cancelled() {
            eprintln!(
                "waybill: all events have happened; the API goes on until interrupted or --api-for is over"
            );
            let time = seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(time.unwrap_or_default()), if time.is_some() => {}
            }
        }
        self.serving.abort();
        self.service.requests()
    }
}
