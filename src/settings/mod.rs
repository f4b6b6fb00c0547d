//! All settings, checked together before anything is bound or opened.
//!
//! Precedence: flag, environment (`WAYBILL_…`), `waybill.toml`, default. The one table of names is [`TABLE`]; flags,
//! environment, file and docs/reference/settings.md are all held against it. Every fault is found at once, and says how
//! to mend it.

mod parse;
mod table;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::aftership::personal::Privacy;
use crate::aftership::signature::Product;
use crate::lake::layout::Compression;

pub use table::{Default as SettingDefault, Setting, TABLE};

/// Freshness from which on events are taken in bursts.
const BURSTS_FROM: Duration = Duration::from_secs(600);

/// A text that never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

/// Where the queue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueAddress {
    /// `file:DIR`
    File(PathBuf),
    /// An SQS queue URL.
    Sqs(String),
}

/// Where the lake is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LakeAddress {
    /// `file:DIR`
    File(PathBuf),
    /// `s3://bucket/prefix`
    S3 {
        /// The bucket.
        bucket: String,
        /// Before every key; may be empty.
        prefix: String,
    },
}

/// Where the warehouse is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WarehouseAddress {
    /// `duckdb:FILE`
    DuckDb(PathBuf),
    /// `postgres://…`; holds a password.
    Postgres(Secret),
    /// `redshift://…`; holds a password.
    Redshift(Secret),
}

/// Whether and where canaries are posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CanarySetting {
    /// Nowhere.
    Off,
    /// At our own public listener.
    Own,
    /// At this URL.
    At(String),
}

/// A part of the program, for what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Webhook secrets and the public listener.
    Receiving,
    /// The queue's address.
    Queue,
    /// The lake's address.
    Lake,
    /// The warehouse's address.
    Warehouse,
    /// Where the shop's files are.
    Retail,
    /// Key of AfterShip's REST API.
    Api,
}

/// Who asks, and so what may be missing.
#[derive(Debug, Clone)]
pub struct Purpose {
    /// What must be there.
    pub needs: Vec<Need>,
    /// `up` puts missing addresses below this folder; elsewhere a missing address is a fault.
    pub data: Option<PathBuf>,
    /// The demo makes its own secret and listens on loopback only.
    pub is_demo: bool,
}

/// Everything, parsed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Newest first.
    pub webhook_secrets: Vec<Secret>,
    /// Whose headers count.
    pub signature_products: Vec<Product>,
    /// Public listener.
    pub listen: SocketAddr,
    /// Operators' listener.
    pub ops_listen: Option<SocketAddr>,
    /// Bearer token of the admin API.
    pub ops_token: Option<Secret>,
    /// The queue.
    pub queue: Option<QueueAddress>,
    /// Where events wait while SQS is away.
    pub spool: Option<PathBuf>,
    /// How far the spool may grow, bytes.
    pub spool_bytes: u64,
    /// The queue's dead-letter queue; `None`: from its redrive policy.
    pub dead_letters: Option<String>,
    /// The lake.
    pub lake: Option<LakeAddress>,
    /// The warehouse.
    pub warehouse: Option<WarehouseAddress>,
    /// Where the shop's files land.
    pub retail: Option<LakeAddress>,
    /// Memory that DuckDB may take, in its words.
    pub warehouse_memory: String,
    /// Where rows wait for Redshift's COPY: bucket, and prefix of keys.
    pub redshift_staging: Option<(String, String)>,
    /// The role that Redshift reads them with: its ARN, or `default`.
    pub redshift_role: String,
    /// The bucket's region, when it is not the cluster's.
    pub redshift_region: Option<String>,
    /// The zone in which the shop's clock goes; `None`: the one that the warehouse has.
    pub business_time_zone: Option<TimeZone>,
    /// How long an event waits for company.
    pub batch_age: Duration,
    /// Uncompressed bytes of one object.
    pub batch_bytes: usize,
    /// Events of one object.
    pub batch_events: usize,
    /// How long a message stays hidden when its holder dies.
    pub batch_lease: Duration,
    /// What objects are compressed with.
    pub lake_compression: Compression,
    /// What is done to personal data before it lands.
    pub privacy: Privacy,
    /// Makes pseudonyms.
    pub privacy_key: Option<Secret>,
    /// How often to load.
    pub load_interval: Duration,
    /// How old an event may be when it can be queried.
    pub freshness: Duration,
    /// Key of AfterShip's REST API; without it AfterShip is not polled.
    pub aftership_api_key: Option<Secret>,
    /// AfterShip's REST API, its version included.
    pub aftership_api_url: String,
    /// How often to ask it for what has changed.
    pub poll_interval: Duration,
    /// How far behind the last one each poll begins again.
    pub poll_overlap: Duration,
    /// Requests a second to it.
    pub poll_rate: f64,
    /// Whether and where canaries are posted.
    pub canary: CanarySetting,
    /// Write receipts, where there is a lake.
    pub receipts: bool,
    /// Where spans are sent to.
    pub traces: Option<String>,
    /// Upgrade the schema at start.
    pub migrate: bool,
    /// How long to go on receiving after SIGTERM.
    pub drain_delay: Duration,
    /// Open connections.
    pub connections_max: usize,
    /// Requests at work.
    pub requests_max: usize,
}

/// All that is wrong, each with how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<String>);

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "- {fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Where values come from, so that tests need no environment.
pub struct Given<'a> {
    /// By setting name.
    pub flags: BTreeMap<String, String>,
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// All names in the environment, to notice misspelt ones.
    pub env_names: Vec<String>,
    /// Text of `waybill.toml` and its name, if there is one.
    pub file: Option<(String, String)>,
}

impl Settings {
    /// The same for who does not receive: the spool belongs to the receiver.
    pub fn without_spool(&self) -> Settings {
        Settings { spool: None, ..self.clone() }
    }

    /// How often the queue is emptied, when freshness allows bursts; else it is taken from all the time.
    ///
    /// What comes right after a burst waits for the next one and for the load behind it: five sixths of the target
    /// leave time for both.
    pub fn burst_every(&self) -> Option<Duration> {
        (self.freshness >= BURSTS_FROM).then(|| self.freshness * 5 / 6)
    }

    /// How often to look for what has landed.
    pub fn load_every(&self) -> Duration {
        match self.burst_every() {
            Some(_) => self.load_interval.max(self.freshness / 12),
            None => self.load_interval,
        }
    }

    /// Gathers, parses and checks everything; all faults at once.
    pub fn gather(given: &Given<'_>, purpose: &Purpose) -> Result<Settings, Faults> {
        match Settings::examine(given, purpose) {
            (Some(settings), Faults(faults)) if faults.is_empty() => Ok(settings),
            (_, faults) => Err(faults),
        }
    }

    /// The same for who wants to see what can be seen in spite of faults: what cannot be used has its default, or is
    /// missing.
    pub fn examine(given: &Given<'_>, purpose: &Purpose) -> (Option<Settings>, Faults) {
        let mut faults = Vec::new();
        let values = table::values(given, &mut faults);
        let settings = parse::parse(&values, purpose, &mut faults);
        (settings, Faults(faults))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(env: &[(&str, &str)], file: Option<&str>, purpose: &Purpose) -> Result<Settings, Faults> {
        let lookup =
            |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let given = Given {
            flags: BTreeMap::new(),
            env: &lookup,
            env_names: env.iter().map(|(key, _)| (*key).to_owned()).collect(),
            file: file.map(|text| ("waybill.toml".to_owned(), text.to_owned())),
        };
        Settings::gather(&given, purpose)
    }

    fn up() -> Purpose {
        Purpose {
            needs: vec![Need::Receiving, Need::Queue, Need::Lake, Need::Warehouse],
            data: Some("waybill-data".into()),
            is_demo: false,
        }
    }

    const SECRET: (&str, &str) = ("WAYBILL_WEBHOOK_SECRETS", "0123456789abcdef0123456789abcdef");

    #[test]
    fn up_needs_a_secret_and_nothing_else() {
        let settings = gather(&[SECRET], None, &up()).expect("enough");

        assert_eq!(settings.queue, Some(QueueAddress::File("waybill-data/queue".into())));
        assert_eq!(
            settings.warehouse,
            Some(WarehouseAddress::DuckDb("waybill-data/warehouse.duckdb".into()))
        );
        assert_eq!(settings.batch_age, Duration::from_secs(5));
    }

    #[test]
    fn an_address_with_a_password_may_stand_in_a_file() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        std::io::Write::write_all(&mut file, b"duckdb:elsewhere.duckdb\n").expect("written");
        let path = file.path().to_string_lossy().into_owned();
        let named = ("WAYBILL_WAREHOUSE_FILE", path.as_str());

        let settings = gather(&[SECRET, named], None, &up()).expect("enough");
        let faults = gather(&[SECRET, named, ("WAYBILL_WAREHOUSE", "duckdb:x")], None, &up());

        assert_eq!(settings.warehouse, Some(WarehouseAddress::DuckDb("elsewhere.duckdb".into())));
        assert!(faults.expect_err("which of them").0.join(" ").contains("are both set"));
    }

    #[test]
    fn all_faults_are_named_at_once() {
        let env = [
            ("WAYBILL_LISTEN", "nowhere"),
            ("WAYBILL_QUEUE", "redis://x"),
            ("WAYBILL_BATCH_AGE", "soon"),
            ("WAYBILL_BATCH_AEG", "5s"),
            ("WAYBILL_SIGNATURE_PRODUCTS", "tracking,parcels"),
        ];
        let faults = gather(&env, Some("colour = \"red\""), &up()).expect_err("faulty").0.join("\n");

        for name in [
            "WAYBILL_WEBHOOK_SECRETS",
            "WAYBILL_LISTEN",
            "WAYBILL_QUEUE",
            "WAYBILL_BATCH_AGE",
            "WAYBILL_BATCH_AEG",
            "WAYBILL_SIGNATURE_PRODUCTS",
            "colour",
        ] {
            assert!(faults.contains(name), "{name} is not named in:\n{faults}");
        }
    }

    #[test]
    fn names_of_kubernetes_are_no_settings_and_misspelt_ones_are_faults() {
        let kubernetes = [
            "WAYBILL_PORT",
            "WAYBILL_PORT_8080_TCP_ADDR",
            "WAYBILL_SERVICE_HOST",
            "WAYBILL_SERVICE_PORT_HTTP",
        ];
        for name in kubernetes {
            assert!(gather(&[SECRET, (name, "x")], None, &up()).is_ok(), "{name}");
        }
        assert!(gather(&[SECRET, ("WAYBILL_PORTS", "x")], None, &up()).is_err());
    }

    #[test]
    fn outside_up_a_missing_address_is_a_fault() {
        let purpose = Purpose { needs: vec![Need::Queue, Need::Lake], data: None, is_demo: false };
        let faults = gather(&[], None, &purpose).expect_err("faulty").0;

        assert_eq!(faults.len(), 2);
        assert!(faults[0].contains("WAYBILL_QUEUE") && faults[1].contains("WAYBILL_LAKE"), "{faults:?}");
    }

    #[test]
    fn environment_wins_over_the_file_and_flags_over_both() {
        let file = Some("load_interval = \"9s\"\nbatch_age = \"9s\"\nlisten = \"127.0.0.1:9\"");
        let env = [SECRET, ("WAYBILL_BATCH_AGE", "7s"), ("WAYBILL_LISTEN", "127.0.0.1:7")];
        let lookup =
            |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let given = Given {
            flags: BTreeMap::from([("listen".to_owned(), "127.0.0.1:1".to_owned())]),
            env: &lookup,
            env_names: Vec::new(),
            file: file.map(|text| ("waybill.toml".to_owned(), text.to_owned())),
        };
        let settings = Settings::gather(&given, &up()).expect("good");

        assert_eq!(settings.load_interval, Duration::from_secs(9));
        assert_eq!(settings.batch_age, Duration::from_secs(7));
        assert_eq!(settings.listen.port(), 1);
    }

    #[test]
    fn a_public_ops_listener_needs_a_token() {
        let faults =
            gather(&[SECRET, ("WAYBILL_OPS_LISTEN", "0.0.0.0:8081")], None, &up()).expect_err("open").0;

        assert!(faults[0].contains("WAYBILL_OPS_TOKEN"), "{faults:?}");
    }

    #[test]
    fn a_lazy_target_is_met_in_bursts() {
        let of = |freshness| gather(&[SECRET, ("WAYBILL_FRESHNESS", freshness)], None, &up()).expect("good");

        assert_eq!((of("1m").burst_every(), of("1m").load_every()), (None, Duration::from_secs(5)));
        let cheap = of("1h");
        let (burst, load) = (cheap.burst_every().expect("bursts"), cheap.load_every());
        assert_eq!((burst, load), (Duration::from_secs(3000), Duration::from_secs(300)));
        assert!(burst + load < cheap.freshness);
        assert!(gather(&[SECRET, ("WAYBILL_FRESHNESS", "1s")], None, &up()).is_err());
    }

    #[test]
    fn the_door_to_aftership_is_checked() {
        for (name, text) in [
            ("WAYBILL_AFTERSHIP_API_URL", "api.aftership.com"),
            ("WAYBILL_CANARY", "maybe"),
            ("WAYBILL_POLL_RATE", "0"),
            ("WAYBILL_TRACES", "localhost:4318"),
        ] {
            let faults = gather(&[SECRET, (name, text)], None, &up()).expect_err("faulty").0;
            assert!(
                faults.iter().any(|fault| fault.contains(&name.to_lowercase()[8..]) || fault.contains(name)),
                "{faults:?}"
            );
        }
        let settings = gather(&[SECRET, ("WAYBILL_CANARY", "on")], None, &up()).expect("good");
        assert_eq!((settings.canary, settings.aftership_api_key), (CanarySetting::Own, None));
        let purpose = Purpose { needs: vec![Need::Api], data: None, is_demo: false };
        let faults = gather(&[], None, &purpose).expect_err("no key").0;
        assert!(faults[0].contains("WAYBILL_AFTERSHIP_API_KEY"), "{faults:?}");
    }

    #[test]
    fn secrets_do_not_show() {
        let settings =
            gather(&[SECRET, ("WAYBILL_WAREHOUSE", "postgres://u:hunter2@h/d")], None, &up()).expect("good");

        let shown = format!("{settings:?}");
        assert!(!shown.contains("0123456789abcdef") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn hashing_needs_a_key_that_cannot_be_guessed() {
        const KEY: (&str, &str) = ("WAYBILL_PRIVACY_KEY", "sixteen letters or more");
        let hash = ("WAYBILL_PRIVACY", "hash");
        for wrong in [&[SECRET, hash][..], &[SECRET, hash, ("WAYBILL_PRIVACY_KEY", "short")]] {
            let faults = gather(wrong, None, &up()).expect_err("guessable").0;
            assert!(faults.len() == 1 && faults[0].contains("WAYBILL_PRIVACY_KEY"), "{faults:?}");
        }
        assert!(gather(&[SECRET, ("WAYBILL_PRIVACY", "blur")], None, &up()).is_err());
        assert!(gather(&[SECRET, ("WAYBILL_PRIVACY_KEY", "short")], None, &up()).is_err());

        let settings = gather(&[SECRET, hash, KEY], None, &up()).expect("good");
        assert_eq!(settings.privacy, Privacy::Hash);
        assert!(!format!("{settings:?}").contains(KEY.1));
        let settings = gather(&[SECRET, ("WAYBILL_PRIVACY", "drop")], None, &up()).expect("needs no key");
        assert_eq!((settings.privacy, settings.privacy_key), (Privacy::Drop, None));
        assert_eq!(gather(&[SECRET], None, &up()).expect("good").privacy, Privacy::Keep);
    }

    #[test]
    fn an_empty_or_short_secret_is_refused() {
        for secret in ["", " , ", "short"] {
            let faults = gather(&[("WAYBILL_WEBHOOK_SECRETS", secret)], None, &up()).expect_err("weak").0;
            assert!(faults[0].contains("WAYBILL_WEBHOOK_SECRETS"), "{faults:?}");
        }
    }
}
