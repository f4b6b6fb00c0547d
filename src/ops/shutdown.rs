//! How the program ends: asked once it drains, asked twice or after too long it goes.
//!
//! Two steps, each a token that any task can wait for: *draining* (finish what you hold, take nothing new) and
//! *stop* (time is up, leave things as a crash would; what rests in a place is safe).

use std::process;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tracing::{info, warn};

/// Time for draining; then *stop*.
pub const DRAIN_MAX: Duration = Duration::from_secs(24);

/// The process is gone by then, whatever hangs.
const EXIT_AFTER: Duration = Duration::from_millis(24_900);

/// What a second signal leaves.
const EXIT_AFTER_STOP: Duration = Duration::from_millis(900);

/// The two steps of an end. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    draining: CancellationToken,
    stop: CancellationToken,
}

impl Shutdown {
    /// Ends on SIGTERM or SIGINT. A second signal, or [`DRAIN_MAX`], means *stop*; shortly after that the process
    /// exits with 0 even if a task hangs.
    ///
    /// Call it once, inside the runtime.
    pub fn on_signals() -> Self {
        let shutdown = Self::manual();
        // Listening begins here, not in the task: no signal falls in between.
        let mut signals = Signals::listen();
        let asked = shutdown.clone();
        tokio::spawn(async move {
            signals.next().await;
            info!("asked to end: draining");
            exit_after(EXIT_AFTER);
            asked.drain();
            tokio::select! {
                () = signals.next() => {
                    info!("asked to end again: leaving things as they are");
                    exit_after(EXIT_AFTER_STOP);
                }
                () = tokio::time::sleep(DRAIN_MAX) => warn!("draining took too long: leaving things as they are"),
            }
            asked.stop();
        });
        shutdown
    }

    /// Ends when told by [`Shutdown::drain`].
    pub fn manual() -> Self {
        Self::default()
    }

    /// Begins to drain.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Time is up.
    pub fn stop(&self) {
        self.draining.cancel();
        self.stop.cancel();
    }

    /// Has draining begun?
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Waits until draining begins.
    pub fn draining(&self) -> WaitForCancellationFuture<'_> {
        self.draining.cancelled()
    }

    /// Waits until time is up.
    pub fn stopped(&self) -> WaitForCancellationFuture<'_> {
        self.stop.cancelled()
    }

    /// Cancelled when draining begins.
    pub fn draining_token(&self) -> CancellationToken {
        self.draining.clone()
    }

    /// Cancelled when time is up.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }
}

/// Waits for the first SIGTERM or SIGINT; for commands that need no more than that.
pub async fn signal() {
    Signals::listen().next().await;
}

struct Signals {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
}

impl Signals {
    fn listen() -> Self {
        let listen = |kind: SignalKind, name: &str| match tokio::signal::unix::signal(kind) {
            Ok(signal) => Some(signal),
            Err(error) => {
                warn!(%error, "cannot listen for {name}: it will end the program at once");
                None
            }
        };
        Signals {
            terminate: listen(SignalKind::terminate(), "SIGTERM"),
            interrupt: listen(SignalKind::interrupt(), "SIGINT"),
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            () = arrival(&mut self.terminate) => {}
            () = arrival(&mut self.interrupt) => {}
        }
    }
}

async fn arrival(signal: &mut Option<Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

/// Ends the process later. A thread of its own, since what hangs may be the runtime.
fn exit_after(time: Duration) {
    let spawned = std::thread::Builder::new().name("exit".to_owned()).spawn(move || {
        std::thread::sleep(time);
        // Everything acknowledged rests in a place, so this loses no more than a crash would: nothing.
        process::exit(0);
    });
    if let Err(error) = spawned {
        warn!(%error, "cannot watch over the end: it may take long");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn clones_end_together_and_in_order() {
        let shutdown = Shutdown::manual();
        let other = shutdown.clone();
        assert!(!other.is_draining());

        shutdown.drain();
        other.draining().await;

        assert!(other.is_draining() && !other.stop_token().is_cancelled());

        other.stop();
        shutdown.stopped().await;
    }

    #[tokio::test]
    async fn stop_means_draining_too() {
        let shutdown = Shutdown::manual();

        shutdown.stop();

        shutdown.draining().await;
        assert!(shutdown.draining_token().is_cancelled());
    }
}
