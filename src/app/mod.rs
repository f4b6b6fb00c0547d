//! The wiring: the only part that knows everything. Opens places, starts movers, waits, drains, and turns what
//! happened into an exit code.

mod admin;
mod canary;
mod check;
mod dead_letters;
mod demo;
mod forget;
mod health;
mod list;
mod marts;
mod movers;
mod places;
mod poll;
mod query;
mod receipts;
mod reconcile;
mod rejects;
mod running;
mod secrets;
#[cfg(feature = "failpoints")]
mod seeded;
mod served;
mod shop;
mod simulate;
mod status;
mod up;
mod version;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::{Cli, Command, Mover};
use crate::ops::logging;
use crate::settings::{Faults, Given, Need, Purpose, Settings};

pub use version::answer;

/// What a command ended with; see docs/reference/commands.md for exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, drained included.
    Done,
    /// With `--strict`: something was rejected.
    Rejected,
    /// With `--once`: stopped by a signal before it was done. What is done is durable; the next run does the rest.
    Unfinished,
}

/// Exit code for [`Exit::Unfinished`]: what sysexits.h calls a temporary failure.
const EXIT_UNFINISHED: u8 = 75;

/// Exit code for bad settings, an address in use, an old schema with migrations off.
const EXIT_CONFIG: u8 = 78;

/// Exit code for a command line that cannot be used; clap's own.
const EXIT_USAGE: u8 = 2;

/// How long the last spans may take; nothing when there are none.
const FLUSH_MAX: std::time::Duration = std::time::Duration::from_millis(1_500);

/// A fault that restarting will not mend: exit code 78.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misconfigured(pub(crate) String);

/// A value on the command line that cannot be used: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// Does what the command line asks.
pub fn run(cli: Cli, flags: BTreeMap<String, String>) -> ExitCode {
    keep_memory_private();
    logging::init(matches!(cli.command, Command::Up(_)));
    // Before anything is opened: what is counted earlier is lost.
    crate::ops::metrics::install();
    // A provider must be chosen before the first TLS configuration; ring is the only one in the tree.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("waybill: cannot start the runtime: {error}");
            return ExitCode::from(1);
        }
    };
    let outcome = runtime.block_on(async {
        let outcome = dispatch(cli, flags).await;
        crate::ops::traces::flush(FLUSH_MAX).await;
        outcome
    });
    // Blocking work that outlived its drain (a hung disk, a hung network) must not hold the exit up.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    match outcome {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::Rejected) => ExitCode::from(3),
        Ok(Exit::Unfinished) => ExitCode::from(EXIT_UNFINISHED),
        Err(error) => {
            eprintln!("waybill: {}", describe(&error));
            let is_config =
                error.downcast_ref::<Misconfigured>().is_some() || error.downcast_ref::<Faults>().is_some();
            let is_usage = error.downcast_ref::<Usage>().is_some();
            ExitCode::from(if is_config {
                EXIT_CONFIG
            } else if is_usage {
                EXIT_USAGE
            } else {
                1
            })
        }
    }
}

/// Secrets and bodies lie in our memory: no core dump, and no look into it for other processes of the same user.
fn keep_memory_private() {
    #[cfg(target_os = "linux")]
    {
        // Fails on no Linux that we run on, and nothing depends on it.
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }
}

/// An error and its causes in one line, each said once.
fn describe(error: &anyhow::Error) -> String {
    if let Some(faults) = error.downcast_ref::<Faults>() {
        return format!("the settings cannot be used:\n{faults}");
    }
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

async fn dispatch(cli: Cli, flags: BTreeMap<String, String>) -> anyhow::Result<Exit> {
    let sources = Sources { config: cli.config.as_deref().map(Path::to_owned), flags };
    match cli.command {
        Command::Up(arguments) => up::up(&sources, &arguments).await,
        Command::Receive(ports) => movers::receive(&sources, &ports).await,
        Command::Batch(mover) => movers::batch(&sources, &mover).await,
        Command::Poll(arguments) => poll::run(&sources, &arguments).await,
        Command::Reconcile(arguments) => reconcile::run(&sources, &arguments).await,
        Command::Load(load) => movers::load(&sources, &load).await,
        Command::Rejects { action } => rejects::run(&sources, action).await,
        Command::Profile(arguments) => shop::profile(&arguments).await,
        Command::RefreshMarts => marts::refresh(&sources).await,
        Command::RebuildMarts => marts::rebuild(&sources).await,
        Command::Audit(arguments) => marts::audit(&sources, &arguments).await,
        Command::DeadLetters { action } => dead_letters::run(&sources, action).await,
        Command::Forget(arguments) => forget::run(&sources, &arguments).await,
        Command::Simulate(arguments) => simulate::run(&sources, &arguments).await,
        Command::Query(arguments) => query::run(&sources, &arguments).await,
        Command::Migrate => migrate(&sources).await,
        Command::Health(arguments) => health::run(&sources, &arguments).await,
        Command::Check { role } => check::run(&sources, role).await,
    }
}

async fn migrate(sources: &Sources) -> anyhow::Result<Exit> {
    let settings = sources.gather(&[Need::Warehouse])?;
    let warehouse = places::warehouse(&settings)?;
    let found = warehouse.migrate().await?;
    places::use_time_zone(&settings, warehouse.as_ref()).await?;
    let version = crate::warehouse::SCHEMA_VERSION;
    if found == version {
        println!("schema is at version {version} already");
    } else {
        println!("schema brought from version {found} to {version}");
    }
    Ok(Exit::Done)
}

/// Where settings come from.
#[derive(Clone)]
pub(crate) struct Sources {
    config: Option<std::path::PathBuf>,
    flags: BTreeMap<String, String>,
}

impl Sources {
    /// Settings for a command that needs these things.
    pub(crate) fn gather(&self, needs: &[Need]) -> anyhow::Result<Settings> {
        self.gather_for(&Purpose { needs: needs.to_vec(), data: None, is_demo: false })
    }

    /// Settings for a purpose.
    pub(crate) fn gather_for(&self, purpose: &Purpose) -> anyhow::Result<Settings> {
        Ok(Settings::gather(&self.given()?, purpose)?)
    }

    /// What can be seen of the settings, and all that is wrong with them.
    pub(crate) fn examine(&self, purpose: &Purpose) -> anyhow::Result<(Option<Settings>, Faults)> {
        Ok(Settings::examine(&self.given()?, purpose))
    }

    fn given(&self) -> anyhow::Result<Given<'static>> {
        Ok(Given {
            flags: self.flags.clone(),
            env: &|name| std::env::var(name).ok(),
            env_names: std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect(),
            file: self.file()?,
        })
    }

    /// Was this setting given by anybody?
    pub(crate) fn is_given(&self, name: &str) -> bool {
        let env = format!("WAYBILL_{}", name.to_uppercase());
        let is_in_environment =
            std::env::var_os(&env).is_some() || std::env::var_os(format!("{env}_FILE")).is_some();
        let in_file =
            self.file().ok().flatten().is_some_and(|(_, text)| {
                text.parse::<toml::Table>().is_ok_and(|table| table.contains_key(name))
            });
        self.flags.contains_key(name) || is_in_environment || in_file
    }

    /// The files that may hold webhook secrets.
    pub(crate) fn secret_files(&self) -> Vec<std::path::PathBuf> {
        let named = std::env::var_os("WAYBILL_WEBHOOK_SECRETS_FILE").map(Into::into);
        named.into_iter().chain([self.path()]).collect()
    }

    fn path(&self) -> std::path::PathBuf {
        self.named().unwrap_or_else(|| "waybill.toml".into())
    }

    fn named(&self) -> Option<std::path::PathBuf> {
        self.config.clone().or_else(|| std::env::var_os("WAYBILL_CONFIG").map(Into::into))
    }

    fn file(&self) -> anyhow::Result<Option<(String, String)>> {
        let (named, path) = (self.named(), self.path());
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some((path.display().to_string(), text))),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(Misconfigured(format!("cannot read the settings file {}: {error}", path.display()))
                    .into())
            }
        }
    }
}

/// Whether anything was set aside, for `--strict`.
fn ended(mover: &Mover, set_aside: u64, was_stopped: bool) -> Exit {
    match (was_stopped, mover.strict && set_aside > 0) {
        (true, _) => Exit::Unfinished,
        (false, true) => Exit::Rejected,
        (false, false) => Exit::Done,
    }
}
