//! The command line: what can be asked for, and how it is read. What is done about it is in [`crate::app`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::settings::{SettingDefault, TABLE};

/// Takes AfterShip tracking updates to the warehouse, each exactly once.
#[derive(Debug, Parser)]
#[command(
    name = "waybill",
    version,
    after_help = "Every setting but the secrets is a flag, an environment variable WAYBILL_… and a key of waybill.toml; docs/reference/settings.md lists them."
)]
pub struct Cli {
    /// Settings file; the default is waybill.toml in the current folder, if there is one.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Receive, batch and load in one process; addresses default to ./waybill-data/.
    Up(Up),
    /// Receive webhooks into the queue.
    Receive(Ports),
    /// Move events from the queue to the lake.
    Batch(Mover),
    /// Ask AfterShip's REST API for what has changed, into the queue.
    Poll(Poll),
    /// Load what has landed in the lake, and the shop's files, into the warehouse.
    Load(Load),
    /// Look at rejected lines of the shop's files, and load them once they are repaired.
    Rejects {
        /// What to do with them.
        #[command(subcommand)]
        action: Rejects,
    },
    /// Say what is wrong with a shop file before anybody loads it.
    Profile(Profile),
    /// Bring the marts up to the last complete day, as each load does by itself.
    RefreshMarts,
    /// Make the marts anew from the facts, after a change of what counts as a sale.
    RebuildMarts,
    /// Prove that the tables hold what they promise: nothing twice, lost, or without its parent.
    Audit(Audit),
    /// Look at dead letters, send them again, or drop them.
    DeadLetters {
        /// What to do with them.
        #[command(subcommand)]
        action: DeadLetters,
    },
    /// Compare what was received, landed and loaded, and AfterShip's own list; name every difference.
    Reconcile(Reconcile),
    /// Erase a person from the lake, the dead letters and the warehouse, for good.
    Forget(Forget),
    /// Send signed, realistic webhooks to a URL, as AfterShip would.
    Simulate(Simulate),
    /// Run one read-only statement in the warehouse.
    Query(Query),
    /// Create or upgrade the warehouse's schema.
    Migrate,
    /// Ask a running process how it is, by exit code: for health checks where there is no shell.
    Health(Health),
    /// Check the settings and reach every place, changing nothing.
    Check {
        /// Whose settings to check.
        #[arg(value_enum, default_value = "all")]
        role: Role,
    },
}

/// `up`
#[derive(Debug, Args)]
pub struct Up {
    /// On ./waybill-demo/ and loopback only, with a built-in AfterShip stand-in.
    #[arg(long)]
    pub demo: bool,
    /// Folder for everything that has no address of its own.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Events a second of the demo's stand-in.
    #[arg(long, default_value_t = 5.0, requires = "demo")]
    pub demo_rate: f64,
    /// Ports.
    #[command(flatten)]
    pub ports: Ports,
}

/// Where to tell the bound ports.
#[derive(Debug, Args, Clone)]
pub struct Ports {
    /// Write {"listen":"IP:PORT","ops":"IP:PORT","pid":N} to this file once all is bound.
    #[arg(long, value_name = "FILE")]
    pub ports_file: Option<PathBuf>,
}

/// A mover that can run once.
#[derive(Debug, Args, Clone)]
pub struct Mover {
    /// Do what there is to do now, and end.
    #[arg(long)]
    pub once: bool,
    /// With --once: exit code 3 when anything was rejected or became a dead letter.
    #[arg(long, requires = "once")]
    pub strict: bool,
    /// Ports.
    #[command(flatten)]
    pub ports: Ports,
}

/// `poll`
#[derive(Debug, Args, Clone)]
pub struct Poll {
    /// As a mover.
    #[command(flatten)]
    pub mover: Mover,
    /// Everything from then on once more (2h, 7d, a day, an instant), whatever was asked for before; AfterShip keeps 120 days.
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
}

/// `load`
#[derive(Debug, Args, Clone)]
pub struct Load {
    /// As a mover.
    #[command(flatten)]
    pub mover: Mover,
    /// Only the shop's files of this dataset, or only `trackings`; with --once, --dry-run or --list.
    #[arg(long, value_name = "NAME")]
    pub dataset: Option<String>,
    /// Do all of it for the shop's files, print what came of each, and keep nothing.
    #[arg(long, conflicts_with = "once")]
    pub dry_run: bool,
    /// Only say what there is to load, as one JSON object.
    #[arg(long, conflicts_with_all = ["once", "dry_run"])]
    pub list: bool,
    /// With --once: leave the marts as they are, for `refresh-marts` to bring up to date.
    #[arg(long, requires = "once")]
    pub no_marts: bool,
    /// Only the shop's files about this day and later ones.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub from: Option<jiff::civil::Date>,
    /// Only the shop's files about this day and earlier ones.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub to: Option<jiff::civil::Date>,
}

/// `audit`
#[derive(Debug, Args)]
pub struct Audit {
    /// Exit code 3 when there is anything to note, too: rejects that are open, lines that wait, members that are inferred.
    #[arg(long)]
    pub strict: bool,
    /// The marts must be at this day or a later one.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub day: Option<jiff::civil::Date>,
    /// How to print it.
    #[arg(long, value_enum, default_value = "table")]
    pub format: ListFormat,
}

/// `profile`
#[derive(Debug, Args)]
pub struct Profile {
    /// The file, plain or gzip.
    pub file: PathBuf,
    /// What it is of, when its name or folder does not say it.
    #[arg(long, value_name = "NAME")]
    pub dataset: Option<String>,
    /// How to print it.
    #[arg(long, value_enum, default_value = "table")]
    pub format: ListFormat,
    /// Exit code 3 when a line, or all of it, would be rejected.
    #[arg(long)]
    pub strict: bool,
}

/// `rejects`
#[derive(Debug, Subcommand)]
pub enum Rejects {
    /// List them.
    List {
        /// id, dataset, file, reason or column; all given must hold.
        #[arg(long = "where", value_name = "KEY=VALUE")]
        conditions: Vec<String>,
        /// Those that were replayed, too.
        #[arg(long)]
        all: bool,
        /// How to print them.
        #[arg(long, value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Write the bytes of one.
    Show {
        /// Its id: `file:line`, or `file:line@generation` of bytes that came in the place of others.
        id: String,
    },
    /// Load them as if they had been right at once: as they are, or repaired.
    Replay(RejectsReplay),
}

/// `rejects replay`
#[derive(Debug, Args)]
pub struct RejectsReplay {
    /// One of them: `file:line`, or `file:line@generation` of bytes that came in the place of others.
    pub id: Option<String>,
    /// id, dataset, file, reason or column; all given must hold.
    #[arg(long = "where", value_name = "KEY=VALUE")]
    pub conditions: Vec<String>,
    /// The repaired line.
    #[arg(long, value_name = "LINE", requires = "id", conflicts_with = "from")]
    pub with: Option<String>,
    /// Repaired lines: JSON as `rejects list --format json` gives it, its texts repaired; `-` is stdin.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask; needed when stdin is no terminal.
    #[arg(long)]
    pub yes: bool,
}

/// `dead-letters`
#[derive(Debug, Subcommand)]
pub enum DeadLetters {
    /// List them.
    List {
        /// Which.
        #[command(flatten)]
        choice: Choice,
        /// Those that were replayed or dropped, too.
        #[arg(long)]
        all: bool,
        /// How.
        #[arg(long, value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Show one.
    Show {
        /// Its id.
        id: String,
        /// Write the original bytes to stdout, and nothing else.
        #[arg(long)]
        body: bool,
    },
    /// Send them to the queue again.
    Replay(Act),
    /// Mark them as not wanted; they stay in the lake.
    Drop(Act),
}

/// Which dead letters.
#[derive(Debug, Args, Clone)]
pub struct Choice {
    /// id, reason, event or since (2h, 3d, a day, an instant); all given must hold.
    #[arg(long = "where", value_name = "KEY=VALUE")]
    pub conditions: Vec<String>,
    /// At most so many, oldest first.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// Replay or drop.
#[derive(Debug, Args)]
pub struct Act {
    /// Which.
    #[command(flatten)]
    pub choice: Choice,
    /// Letters a second.
    #[arg(long, value_name = "N")]
    pub rate: Option<f64>,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask; needed when stdin is no terminal.
    #[arg(long)]
    pub yes: bool,
    /// Why, for the audit record.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `forget`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("whom").required(true).args(["customer", "tracking", "shop_customer", "sweep"]))]
pub struct Forget {
    /// Whose: an e-mail address, a phone number as written, or a customer id; `-` reads it from stdin.
    #[arg(long, value_name = "EMAIL|PHONE|ID")]
    pub customer: Option<String>,
    /// Of which parcel: AfterShip's id, or the number at the courier; `-` reads it from stdin.
    #[arg(long, value_name = "ID|NUMBER")]
    pub tracking: Option<String>,
    /// A customer of the shop by number: name and street go from the warehouse; where and when they bought stays.
    #[arg(long, value_name = "NUMBER", conflicts_with = "with_numbers")]
    pub shop_customer: Option<i32>,
    /// Once more everybody who was erased before, for what has come since.
    #[arg(long)]
    pub sweep: bool,
    /// Numbers of parcel and order too.
    #[arg(long, conflicts_with = "sweep")]
    pub with_numbers: bool,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask; needed when stdin is no terminal.
    #[arg(long)]
    pub yes: bool,
    /// Why, for the audit record; a ticket's number, not the person.
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["dry_run", "sweep"])]
    pub reason: Option<String>,
}

/// `reconcile`
#[derive(Debug, Args)]
pub struct Reconcile {
    /// From when on: 2h, 3d, a day, or an instant.
    #[arg(long, value_name = "WHEN", default_value = "1h")]
    pub since: String,
    /// Until when; the default is now.
    #[arg(long, value_name = "WHEN")]
    pub until: Option<String>,
    /// Minutes that ended less long ago are not judged: 2m, 30s; 0s judges the running one, too.
    #[arg(long, value_name = "TIME", default_value = "2m")]
    pub settle: String,
    /// How to print it.
    #[arg(long, value_enum, default_value = "table")]
    pub format: ListFormat,
    /// Read every object, whatever the hashes say, and hold its bytes against its name.
    #[arg(long)]
    pub deep: bool,
    /// Fetch the states that AfterShip has and we have not, through the queue.
    #[arg(long)]
    pub heal: bool,
    /// Load the whole lake into a scratch warehouse, and compare the tables row by row.
    #[arg(long)]
    pub rebuild: bool,
    /// Heal without asking; needed when stdin is no terminal.
    #[arg(long, requires = "heal")]
    pub yes: bool,
    /// Why, for the audit record.
    #[arg(long, value_name = "TEXT", requires = "heal")]
    pub reason: Option<String>,
}

/// `simulate`
#[derive(Debug, Args)]
pub struct Simulate {
    /// Where to send.
    #[arg(long, default_value = "http://127.0.0.1:8080/webhooks/aftership")]
    pub url: String,
    /// What to sign with; the default is the newest of WAYBILL_WEBHOOK_SECRETS.
    #[arg(long)]
    pub secret: Option<String>,
    /// Events a second; without it as fast as answers come.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Events in all; without it until interrupted.
    #[arg(long)]
    pub count: Option<u64>,
    /// The same seed sends the same events.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// AfterShip's webhook version, such as 2026-07, legacy, or mixed.
    #[arg(long, default_value = "2026-07")]
    pub version: String,
    /// Events happen now; without it the parcels' journeys lie in the past days.
    #[arg(long)]
    pub live: bool,
    /// Share of validly signed events that cannot be read, 0 to 1, for trying dead letters.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub poison: f64,
    /// Share of events that come a second time, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.02)]
    pub duplicates: f64,
    /// Share of events that newer ones overtake, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.005)]
    pub late: f64,
    /// Requests under way at once.
    #[arg(long, default_value_t = 16)]
    pub concurrency: usize,
    /// Scales the gaps between attempts: 1 for AfterShip's own, doubling from 30 s; 0.01 for trying things out.
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub retry_scale: f64,
    /// Repeat what is answered 4xx too, as AfterShip does; without it such an answer is final.
    #[arg(long = "repeat-4xx")]
    pub repeat_4xx: bool,
    /// Send nothing: events happen by --rate, or --count of them at once, for the REST API to show.
    #[arg(
        long,
        requires = "api_listen",
        conflicts_with_all = ["url", "secret", "concurrency", "retry_scale", "repeat_4xx"]
    )]
    pub no_webhooks: bool,
    /// Serve AfterShip's REST API here, about the same parcels; port 0 for any that is free.
    #[arg(long, value_name = "IP:PORT")]
    pub api_listen: Option<std::net::SocketAddr>,
    /// The API's key; without it one is made up and printed.
    #[arg(long, value_name = "TEXT", requires = "api_listen")]
    pub api_key: Option<String>,
    /// Seconds that the API is still served after the last of --count events; without it until interrupted.
    #[arg(long, value_name = "SECONDS", requires = "api_listen", requires = "count")]
    pub api_for: Option<f64>,
    /// Requests a second that the API answers, of its listing and of single parcels each; 0 for no limit.
    #[arg(long, value_name = "N", default_value_t = 6, requires = "api_listen")]
    pub api_rate_limit: u32,
    /// Share of the API's answers that are a 500 or a 502, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, requires = "api_listen")]
    pub api_errors: f64,
    /// Share of the API's good answers whose body is cut, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, requires = "api_listen")]
    pub api_truncate: f64,
    /// Write {"api":"IP:PORT","pid":N} to this file once the API is bound.
    #[arg(long, value_name = "FILE")]
    pub ports_file: Option<PathBuf>,
}

/// `query`
#[derive(Debug, Args)]
pub struct Query {
    /// The statement.
    #[arg(required_unless_present_any = ["named", "list"], conflicts_with = "named")]
    pub sql: Option<String>,
    /// One of the statements we ship.
    #[arg(long, value_name = "NAME")]
    pub named: Option<String>,
    /// The last day to count, for statements about a day; the last complete one by default.
    #[arg(long, value_name = "YYYY-MM-DD", requires = "named")]
    pub as_of: Option<jiff::civil::Date>,
    /// List the statements we ship.
    #[arg(long)]
    pub list: bool,
    /// How to print the answer.
    #[arg(long, value_enum, default_value = "table")]
    pub format: QueryFormat,
}

/// `health`
#[derive(Debug, Args)]
pub struct Health {
    /// The operators' listener to ask, such as http://127.0.0.1:8081; the default is --ops-listen, on this machine.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Ask whether it wants work (/readyz), not only whether it lives (/livez).
    #[arg(long)]
    pub ready: bool,
}

/// How to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// For people.
    Table,
    /// One array of objects.
    Json,
}

/// How to print an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum QueryFormat {
    /// For people.
    Table,
    /// With a header line.
    Csv,
    /// One array of objects.
    Json,
}

/// Whose settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// `up`, with its defaults.
    Up,
    /// `receive`
    Receive,
    /// `batch`
    Batch,
    /// `load`
    Load,
    /// `poll`
    Poll,
    /// Receive, batch and load, with no defaults for addresses.
    All,
}

/// The whole command line with every setting as a flag.
pub fn command() -> clap::Command {
    let mut command = Cli::command().long_version(long_version());
    for setting in TABLE.iter().filter(|setting| !setting.is_secret) {
        let default = match setting.default {
            SettingDefault::Value(text) => format!("default {text}"),
            SettingDefault::UpOnly(text) => format!("default of `up` {text}"),
            SettingDefault::None(text) => text.to_owned(),
        };
        command = command.arg(
            clap::Arg::new(setting.name)
                .long(setting.flag())
                .global(true)
                .action(ArgAction::Set)
                .value_name("VALUE")
                .help_heading("Settings")
                .hide_short_help(true)
                .help(format!("{} [{default}]", setting.help)),
        );
    }
    command
}

/// What `--version` says, `-V` only the first line of it: version, commit, instant and target of this build.
///
/// Commit and instant are those that whoever built it gave; see build.rs.
fn long_version() -> String {
    let built_at = option_env!("BUILT_AT_SECONDS").and_then(|text| text.parse::<i64>().ok());
    let built_at = built_at.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    format!(
        "{}\ncommit  {}\nbuilt   {}\ntarget  {}",
        env!("CARGO_PKG_VERSION"),
        option_env!("BUILT_FROM_COMMIT").unwrap_or("not recorded: no release build"),
        built_at.map_or_else(|| "not recorded: no release build".to_owned(), |at| at.to_string()),
        env!("BUILT_FOR_TARGET"),
    )
}

/// Reads the arguments: the command, and the settings given as flags.
pub fn parse(
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
) -> Result<(Cli, BTreeMap<String, String>), clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    let cli = Cli::from_arg_matches(&matches)?;
    // A global flag is known to every level; it may stand before or behind the command.
    let mut flags = BTreeMap::new();
    let mut level = Some(&matches);
    while let Some(matches) = level {
        for setting in TABLE.iter().filter(|setting| !setting.is_secret) {
            if let Ok(Some(value)) = matches.try_get_one::<String>(setting.name) {
                flags.insert(setting.name.to_owned(), value.clone());
            }
        }
        level = matches.subcommand().map(|(_, matches)| matches);
    }
    Ok((cli, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &str) -> Result<(Cli, BTreeMap<String, String>), clap::Error> {
        parse(words.split(' ').map(Into::into))
    }

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn settings_are_flags_before_and_behind_the_command() {
        for words in ["waybill --batch-age 7s batch --once", "waybill batch --once --batch-age 7s"] {
            let (_, flags) = parse_words(words).expect("good");
            assert_eq!(flags.get("batch_age").map(String::as_str), Some("7s"));
        }
    }

    #[test]
    fn secrets_are_no_flags() {
        assert!(parse_words("waybill up --webhook-secrets x").is_err());
    }
}
