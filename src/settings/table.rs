//! The one table of settings, and where their values come from.

use std::collections::BTreeMap;

use super::Given;

/// What stands when nothing is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// This value.
    Value(&'static str),
    /// This value, but only for `waybill up`; elsewhere it must be given.
    UpOnly(&'static str),
    /// Nothing; the text says what that means.
    None(&'static str),
}

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Key in `waybill.toml`; environment and flag follow from it.
    pub name: &'static str,
    /// Meaning, unit and example.
    pub help: &'static str,
    /// Without it.
    pub default: Default,
    /// A secret: no flag, since others see the command line.
    pub is_secret: bool,
    /// `…_FILE` names a file that holds it: every secret, and what may hold one.
    pub may_be_in_file: bool,
}

impl Setting {
    /// `WAYBILL_…`
    pub fn env(&self) -> String {
        format!("WAYBILL_{}", self.name.to_uppercase())
    }

    /// `WAYBILL_…_FILE`, where the value may be in a file of its own.
    pub fn file_env(&self) -> Option<String> {
        self.may_be_in_file.then(|| format!("{}_FILE", self.env()))
    }

    /// `--…`, without the dashes in front.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }
}

const fn plain(name: &'static str, default: Default, help: &'static str) -> Setting {
    Setting { name, help, default, is_secret: false, may_be_in_file: false }
}

const fn secret(name: &'static str, default: Default, help: &'static str) -> Setting {
    Setting { name, help, default, is_secret: true, may_be_in_file: true }
}

/// Every setting there is.
pub const TABLE: &[Setting] = &[
    secret(
        "webhook_secrets",
        Default::None("refuses to start"),
        "webhook secrets of AfterShip, comma or line separated, newest first, each at least 16 characters",
    ),
    plain(
        "signature_products",
        Default::Value("tracking"),
        "which AfterShip products' signature headers count: tracking, returns, shipping",
    ),
    plain(
        "listen",
        Default::Value("0.0.0.0:8080"),
        "public listener, webhooks only; port 0 takes a free one",
    ),
    plain("ops_listen", Default::Value("127.0.0.1:8081"), "operators' listener: health, metrics; or `off`"),
    secret(
        "ops_token",
        Default::None("none; required when the ops listener is not loopback"),
        "bearer token of the admin API; health and metrics never need it",
    ),
    plain("queue", Default::UpOnly("file:waybill-data/queue"), "`file:DIR`, or an SQS queue URL"),
    plain(
        "spool",
        Default::None("off: while SQS is away the answer is 503"),
        "`file:DIR` on a disk that outlives the process: where acknowledged events wait while SQS is away; or `off`",
    ),
    plain("spool_bytes", Default::Value("1073741824"), "how far the spool may grow; a full one answers 503"),
    plain(
        "dead_letters",
        Default::None("from the queue's redrive policy"),
        "URL of the SQS dead-letter queue that batch empties into the lake; or `off`",
    ),
    plain("lake", Default::UpOnly("file:waybill-data/lake"), "`file:DIR`, or `s3://bucket/prefix`"),
    // It may hold a password, and it may be on the command line where it holds none.
    Setting {
        may_be_in_file: true,
        ..plain(
            "warehouse",
            Default::UpOnly("duckdb:waybill-data/warehouse.duckdb"),
            "`duckdb:FILE`, or `postgres://user:password@host/database?sslmode=verify-full&sslrootcert=FILE`, or \
             `redshift://…` alike",
        )
    },
    plain(
        "retail",
        Default::UpOnly("file:waybill-data/retail"),
        "where the shop's files land, `<dataset>/….csv[.gz]`: `file:DIR`, or `s3://bucket/prefix`; only ever read",
    ),
    plain(
        "warehouse_memory",
        Default::Value("2GB"),
        "memory that DuckDB may take, such as 512MB or 8GB; beyond it, work is spilled beside its file",
    ),
    plain(
        "business_time_zone",
        Default::None("the one that the warehouse has; UTC in a new one"),
        "zone of the shop's clock, such as Europe/Berlin: what day it was when a parcel came, and which days had a clock change",
    ),
    plain(
        "redshift_staging",
        Default::None("none; required with Redshift"),
        "`s3://bucket/prefix` where rows wait for Redshift's COPY; what is left there may be deleted after a day",
    ),
    plain(
        "redshift_role",
        Default::Value("default"),
        "role that Redshift reads the staging bucket with: its ARN, or `default` for the cluster's own",
    ),
    plain(
        "redshift_region",
        Default::None("the cluster's"),
        "region of the staging bucket, when it is another than the cluster's",
    ),
    plain("batch_age", Default::Value("5s"), "how long an event waits for company before it lands"),
    plain("batch_bytes", Default::Value("16777216"), "uncompressed bytes after which an object is written"),
    plain("batch_events", Default::Value("10000"), "events after which an object is written"),
    plain(
        "batch_lease",
        Default::Value("30s"),
        "how long a message stays hidden when its holder dies; renewed while it lives",
    ),
    plain("lake_compression", Default::Value("zstd"), "what objects are compressed with: zstd, gzip, none"),
    plain(
        "privacy",
        Default::Value("keep"),
        "what is done to personal data before it lands in the lake: keep, hash, drop",
    ),
    secret(
        "privacy_key",
        Default::None("none; required with hash, and once somebody is erased"),
        "secret that pseudonyms are made with, at least 16 characters; the same for all, and never changed",
    ),
    plain("load_interval", Default::Value("5s"), "how often to load what has landed"),
    plain(
        "freshness",
        Default::Value("1m"),
        "how old an event may be when it can be queried, 10s to 24h: what alarms and the console measure against; from 10m on \
         events are taken, landed and loaded in bursts, for fewer and bigger objects and requests",
    ),
    secret(
        "aftership_api_key",
        Default::None("off: AfterShip is not polled"),
        "key of AfterShip's REST API, for `poll` and `reconcile`; read access is enough",
    ),
    plain(
        "aftership_api_url",
        Default::Value("https://api.aftership.com/tracking/2026-07"),
        "AfterShip's REST API, its version included; http only for a stand-in",
    ),
    plain(
        "poll_interval",
        Default::Value("5m"),
        "how often to ask AfterShip's REST API for what has changed",
    ),
    plain(
        "poll_overlap",
        Default::Value("10m"),
        "how far behind the last one each poll begins again: AfterShip's list may show an update late, and by how much nobody says",
    ),
    plain(
        "poll_rate",
        Default::Value("6"),
        "requests a second to AfterShip's REST API at most; its own limit is 6",
    ),
    plain(
        "canary",
        Default::Value("off"),
        "post a signed canary each minute and look for it in the facts: `off`, `on` (at our own door, for `up`), or the URL \
         of the public door",
    ),
    plain(
        "receipts",
        Default::Value("on"),
        "write what was received in each minute to the lake, for `reconcile`: on, off; off without a lake's address",
    ),
    plain(
        "traces",
        Default::None("off"),
        "OTLP/HTTP address that spans are sent to, such as http://127.0.0.1:4318/v1/traces; one trace for each event",
    ),
    plain("migrate", Default::Value("on"), "upgrade the warehouse's schema at start: on, off"),
    plain(
        "drain_delay",
        Default::Value("3s"),
        "how long to go on receiving after SIGTERM, until load balancers have noticed; at most 10s",
    ),
    plain("connections_max", Default::Value("4096"), "open connections; also kept below the open-file limit"),
    plain("requests_max", Default::Value("2048"), "requests at work; more are answered 503 at once"),
];

/// Where one value came from, to name it in a fault.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) origin: String,
}

/// Gathers the texts, by precedence. Names that nobody knows are faults.
pub(super) fn values(given: &Given<'_>, faults: &mut Vec<String>) -> BTreeMap<&'static str, Value> {
    let file = read_file(given, faults);
    unknown_names(given, faults);
    let mut values = BTreeMap::new();
    for setting in TABLE {
        let env = setting.env();
        let file_env = setting.file_env();
        if let Some(name) = &file_env
            && (given.env)(&env).is_some()
            && (given.env)(name).is_some()
        {
            faults.push(format!("{env} and {name} are both set: take one of them away"));
        }
        let from_flag =
            given.flags.get(setting.name).map(|text| (text.clone(), format!("--{}", setting.flag())));
        let from_env = (given.env)(&env).map(|text| (text, env.clone()));
        let from_secret_file = || {
            let name = file_env.clone()?;
            let path = (given.env)(&name)?;
            match std::fs::read_to_string(&path) {
                Ok(text) => Some((text, name)),
                Err(error) => {
                    faults.push(format!("{name}: cannot read {path}: {error}"));
                    None
                }
            }
        };
        let from_file = file.get(setting.name).map(|text| (text.clone(), setting.name.to_owned()));
        let found = from_flag.or(from_env).or_else(from_secret_file).or(from_file);
        if let Some((text, origin)) = found {
            values.insert(setting.name, Value { text: text.trim().to_owned(), origin });
        }
    }
    values
}

fn read_file(given: &Given<'_>, faults: &mut Vec<String>) -> BTreeMap<String, String> {
    let Some((name, text)) = &given.file else { return BTreeMap::new() };
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            // Not the error's whole text: it quotes the line, and that may hold a secret.
            let end = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = 1 + text.as_bytes()[..end].iter().filter(|byte| **byte == b'\n').count();
            faults.push(format!("{name}: line {line}: not TOML: {}", error.message()));
            return BTreeMap::new();
        }
    };
    let mut values = BTreeMap::new();
    for (key, value) in table {
        if !TABLE.iter().any(|setting| setting.name == key) {
            faults.push(format!(
                "{name}: no setting is called {key}{}",
                suggestion(&key, |setting| setting.name.to_owned())
            ));
            continue;
        }
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(true) => "on".to_owned(),
            toml::Value::Boolean(false) => "off".to_owned(),
            toml::Value::Array(items) => {
                items.iter().filter_map(|item| item.as_str()).collect::<Vec<_>>().join(",")
            }
            _ => {
                faults.push(format!("{name}: {key} must be a string"));
                continue;
            }
        };
        values.insert(key, text);
    }
    values
}

/// Environment names that begin like ours and are none.
fn unknown_names(given: &Given<'_>, faults: &mut Vec<String>) {
    // Not settings, but ours all the same.
    const OTHERS: &[&str] = &["WAYBILL_LOG", "WAYBILL_CONFIG"];
    for name in &given.env_names {
        // Tests and deployments may have names of their own.
        if !name.starts_with("WAYBILL_")
            || name.starts_with("WAYBILL_TEST_")
            || OTHERS.contains(&name.as_str())
            || is_of_kubernetes(name)
        {
            continue;
        }
        let is_known =
            TABLE.iter().any(|setting| *name == setting.env() || setting.file_env().as_ref() == Some(name));
        if !is_known {
            faults.push(format!("{name}: no setting is called so{}", suggestion(name, Setting::env)));
        }
    }
}

/// Kubernetes makes such names in every pod beside a Service that is called `waybill`.
fn is_of_kubernetes(name: &str) -> bool {
    name == "WAYBILL_PORT" || name.starts_with("WAYBILL_PORT_") || name.starts_with("WAYBILL_SERVICE_")
}

fn suggestion(name: &str, of: impl Fn(&Setting) -> String) -> String {
    TABLE
        .iter()
        .map(of)
        .map(|known| (distance(name, &known), known))
        .min()
        .filter(|(distance, _)| *distance <= 3)
        .map_or_else(String::new, |(_, known)| format!("; did you mean {known}?"))
}

/// Edits from one word to another.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let cost = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
