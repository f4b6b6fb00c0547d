//! Child processes of tests: started, watched, and never left behind.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "shared by the tests and the benchmarks, and each uses a part of it"
)]

mod moto;
mod postgres;

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, interval, timeout_at};

pub use self::moto::Moto;
pub use self::postgres::{Postgres, PostgresOptions, ServerTls};

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until `look` finds something; panics with `what` when `patience` is over.
pub async fn eventually<T>(what: &str, patience: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    let mut next_look = interval(LOOK_EVERY);
    loop {
        next_look.tick().await;
        // A look that hangs must not hang the test.
        if let Ok(Some(found)) = timeout_at(deadline, look()).await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
    }
}

/// A port of loopback that was free a moment ago. Others may take it meanwhile: be ready to try another.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("a bound socket").port()
}

/// A child process whose stderr goes to a file; killed when dropped.
#[derive(Debug)]
pub struct Child {
    name: String,
    process: std::process::Child,
    log: PathBuf,
    /// Holds the log.
    _dir: TempDir,
}

impl Child {
    /// Starts it, without stdin and stdout. `name` is for messages.
    pub fn spawn(name: &str, command: &mut Command) -> Child {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let log = dir.path().join("stderr.log");
        let stderr = File::create(&log).expect("a log file");
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Child { name: name.to_owned(), process, log, _dir: dir }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal)
            .unwrap_or_else(|error| panic!("{} cannot be signalled: {error}", self.name));
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().expect("a child of this process")
    }

    /// Waits for its end; panics with its stderr when `patience` is over.
    pub async fn wait(&mut self, patience: Duration) -> ExitStatus {
        let deadline = Instant::now() + patience;
        let mut next_look = interval(LOOK_EVERY);
        loop {
            next_look.tick().await;
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "{} has not ended within {patience:?}; its stderr:\n{}",
                self.name,
                self.stderr()
            );
        }
    }

    /// kill -9
    pub fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Asks it to end, and kills it if it does not: for `drop`, where nothing can be awaited.
    fn stop(&mut self, signal: Signal, patience: Duration) {
        let deadline = std::time::Instant::now() + patience;
        let was_told = kill_process(Pid::from_child(&self.process), signal).is_ok();
        while was_told && std::time::Instant::now() < deadline {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("stderr of {}:\n{}", self.name, self.stderr());
        }
    }
}
