//! The canary, made from settings.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::canary::{Canary, CanarySettings};
use crate::settings::{CanarySetting, Need, Purpose, Settings};
use crate::warehouse::Warehouse;

use super::Sources;
use super::running::Running;

/// Starts posting canaries, if they are wanted and can be. `listen`: our own public listener, in a process that has one.
pub(super) fn start(
    running: &Running,
    sources: &Sources,
    listen: Option<SocketAddr>,
    warehouse: &Arc<dyn Warehouse>,
    is_demo: bool,
    stop: CancellationToken,
) -> Option<JoinHandle<()>> {
    let settings = &running.settings;
    let url = match (&settings.canary, listen) {
        (CanarySetting::Off, _) => return None,
        (CanarySetting::At(url), _) => url.clone(),
        (CanarySetting::Own, Some(listen)) => {
            format!("http://{}{}", reachable(listen), crate::receive::PATH)
        }
        (CanarySetting::Own, None) => {
            tracing::warn!(
                "WAYBILL_CANARY=on needs a public listener in this process: give the URL of the public door"
            );
            return None;
        }
    };
    let Some(known) = newest(settings) else {
        tracing::warn!(
            "no canaries: there is no webhook secret to sign them with; set WAYBILL_WEBHOOK_SECRETS"
        );
        return None;
    };
    let sources = sources.clone();
    let canary = Canary {
        settings: CanarySettings::new(url, name(settings), settings.freshness),
        // Read again each time: secrets are rotated while we run.
        secret: Arc::new(move || {
            let read = if is_demo { None } else { read_again(&sources) };
            read.unwrap_or_else(|| known.clone())
        }),
        warehouse: Arc::clone(warehouse),
        health: running.health.clone(),
    };
    Some(tokio::spawn(canary.run(stop)))
}

fn newest(settings: &Settings) -> Option<String> {
    settings.webhook_secrets.first().map(|secret| secret.expose().to_owned())
}

fn read_again(sources: &Sources) -> Option<String> {
    let purpose = Purpose { needs: vec![Need::Receiving], data: None, is_demo: false };
    newest(&sources.gather_for(&purpose).ok()?)
}

/// An address that a listener on all interfaces can be reached at.
fn reachable(listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listen.port())
    } else {
        listen
    }
}

/// The same at every start of the same host and listener, so that each has one row in the facts; nothing of the host's
/// name can be told from it.
fn name(settings: &Settings) -> String {
    let host = rustix::system::uname();
    let mut hash = Sha256::new();
    hash.update(host.nodename().to_bytes());
    hash.update(settings.listen.to_string());
    hex::encode(&hash.finalize()[..4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_interfaces_is_reached_on_loopback() {
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");

        assert_eq!(reachable(at("0.0.0.0:8080")), at("127.0.0.1:8080"));
        assert_eq!(reachable(at("[::]:8080")), at("127.0.0.1:8080"));
        assert_eq!(reachable(at("10.0.0.7:8080")), at("10.0.0.7:8080"));
    }
}
