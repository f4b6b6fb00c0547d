//! Rotation without a restart: webhook secrets are read again on SIGHUP, and when the file that holds them changes.
//!
//! What cannot be used changes nothing: the last good secrets stay, and it is said until it is mended. So a file that
//! is being written, or was emptied, neither lets anybody in nor shuts AfterShip out.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{debug, error, info, warn};

use crate::ops::metrics;
use crate::receive::CurrentVerifier;
use crate::settings::{Need, Purpose, Settings};

use super::running::Running;
use super::{Sources, movers};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The component in readiness.
const COMPONENT: &str = "secrets";

/// Watches until the process drains.
pub(super) fn watch(running: &Running, sources: Sources, current: CurrentVerifier) {
    metrics::receive_secrets_begin();
    let mut known = running.settings.webhook_secrets.clone();
    let (health, draining) = (running.health.clone(), running.shutdown.draining_token());
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            warn!(%error, "cannot listen for SIGHUP: webhook secrets are read at the start only");
            return;
        }
    };
    tokio::spawn(async move {
        // Nothing yet: they may have changed between their being read and now.
        let mut seen = None;
        let mut tick = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    let found = Some(fingerprint(&sources));
                    if found == seen {
                        continue;
                    }
                    seen = found;
                }
                got = hangup.recv() => {
                    if got.is_none() {
                        return;
                    }
                    seen = Some(fingerprint(&sources));
                }
                () = draining.cancelled() => return,
            }
            match read(&sources) {
                Ok(settings) if settings.webhook_secrets == known => {
                    health.set_ready(COMPONENT, Ok(()));
                    debug!("the webhook secrets are the same as before");
                }
                Ok(settings) => {
                    current.set(movers::verifier(&settings));
                    health.set_ready(COMPONENT, Ok(()));
                    metrics::receive_secrets_read("ok");
                    info!(count = settings.webhook_secrets.len(), "the webhook secrets were changed");
                    known = settings.webhook_secrets;
                }
                Err(reason) => {
                    metrics::receive_secrets_read("failed");
                    error!(%reason, "cannot read the webhook secrets again: the ones before go on to count");
                    health
                        .set_degraded(COMPONENT, "they cannot be read again: the ones before go on to count");
                }
            }
        }
    });
}

fn read(sources: &Sources) -> Result<Settings, String> {
    let purpose = Purpose { needs: vec![Need::Receiving], data: None, is_demo: false };
    let settings = sources.gather_for(&purpose).map_err(|error| format!("{error:#}"))?;
    if settings.webhook_secrets.is_empty() {
        return Err("there is none".to_owned());
    }
    Ok(settings)
}

/// Of what lies in the files that can hold them; never the text itself.
fn fingerprint(sources: &Sources) -> [u8; 32] {
    let mut hash = Sha256::new();
    for path in sources.secret_files() {
        match std::fs::read(&path) {
            Ok(text) => hash.update(Sha256::digest(&text)),
            Err(error) => hash.update(error.kind().to_string()),
        }
    }
    hash.finalize().into()
}
