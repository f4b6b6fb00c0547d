//! From texts to settings, naming every fault.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::aftership::personal::{Privacy, UnknownPrivacy};
use crate::aftership::signature::Product;

use super::table::{Default, TABLE, Value};
use super::{CanarySetting, LakeAddress, Need, Purpose, QueueAddress, Secret, Settings, WarehouseAddress};

/// Shortest secret we take; AfterShip's have 32 characters.
const SECRET_CHARS_MIN: usize = 16;
/// More secrets than this are no rotation any more.
const SECRETS_MAX: usize = 8;
/// Leaves room for landing within a drain of 25 s.
const DRAIN_DELAY_MAX: Duration = Duration::from_secs(10);

struct Parser<'a> {
    values: &'a BTreeMap<&'static str, Value>,
    faults: &'a mut Vec<String>,
}

/// `None` only together with faults.
pub(super) fn parse(
    values: &BTreeMap<&'static str, Value>,
    purpose: &Purpose,
    faults: &mut Vec<String>,
) -> Option<Settings> {
    let mut parser = Parser { values, faults };
    let webhook_secrets = parser.webhook_secrets(purpose);
    let signature_products = parser.read("signature_products", products);
    let listen = parser.read("listen", listener);
    let ops_listen = parser.read("ops_listen", |text| match text {
        "off" => Ok(None),
        text => listener(text).map(Some),
    });
    let ops_token = parser.values.get("ops_token").map(|value| Secret::new(value.text.clone()));
    if let Some(Some(ops)) = ops_listen
        && !ops.ip().is_loopback()
        && ops_token.as_ref().is_none_or(|token| token.expose().len() < SECRET_CHARS_MIN)
    {
        parser.faults.push(format!(
            "WAYBILL_OPS_TOKEN: needed (at least {SECRET_CHARS_MIN} characters) when the ops listener {ops} is not \
             loopback; or set WAYBILL_OPS_LISTEN=127.0.0.1:8081"
        ));
    }

    let queue = parser.address("queue", Need::Queue, purpose, queue_address);
    let lake = parser.address("lake", Need::Lake, purpose, lake_address);
    let warehouse = parser.address("warehouse", Need::Warehouse, purpose, warehouse_address);
    let retail = parser.address("retail", Need::Retail, purpose, lake_address);
    let dead_letters = parser.values.get("dead_letters").map(|value| value.text.clone());

    let spool = parser.spool(queue.as_ref());
    let spool_bytes = parser.read("spool_bytes", |text| number(text, 16 * 1024 * 1024, 1 << 50));

    let warehouse_memory = parser.read("warehouse_memory", memory);
    let redshift_staging = parser.redshift_staging(warehouse.as_ref());
    let redshift_role = parser.read("redshift_role", |text| Ok(text.to_owned()));
    let redshift_region = parser.values.get("redshift_region").map(|value| value.text.clone());
    let business_time_zone = parser.time_zone();

    let batch_age = parser.read("batch_age", |text| within(duration(text)?, 50, 300_000));
    let batch_bytes = parser.read("batch_bytes", |text| number(text, 1_024, 128 * 1024 * 1024));
    let batch_events = parser.read("batch_events", |text| number(text, 1, 100_000));
    let batch_lease = parser.read("batch_lease", |text| within(duration(text)?, 1_000, 43_200_000));
    let lake_compression = parser
        .read("lake_compression", |text| text.parse().map_err(|_| "must be zstd, gzip or none".to_owned()));
    let privacy =
        parser.read("privacy", |text| text.parse().map_err(|error: UnknownPrivacy| error.to_string()));
    let privacy_key = parser.privacy_key(privacy);
    let load_interval = parser.read("load_interval", |text| within(duration(text)?, 50, 86_400_000));
    let freshness = parser.read("freshness", |text| within(duration(text)?, 10_000, 86_400_000));
    let aftership_api_key = parser.api_key(purpose);
    let aftership_api_url = parser.read("aftership_api_url", http_address);
    let poll_interval = parser.read("poll_interval", |text| within(duration(text)?, 1_000, 86_400_000));
    let poll_overlap = parser.read("poll_overlap", |text| within(duration(text)?, 1_000, 7 * 86_400_000));
    let poll_rate = parser.read("poll_rate", |text| match text.parse::<f64>() {
        Ok(rate) if (0.01..=100.0).contains(&rate) => Ok(rate),
        _ => Err("must be a number from 0.01 to 100".to_owned()),
    });
    let canary = parser.read("canary", |text| match text {
        "off" => Ok(CanarySetting::Off),
        "on" => Ok(CanarySetting::Own),
        url => http_address(url)
            .map(CanarySetting::At)
            .map_err(|_| "must be on, off or an http(s) URL".to_owned()),
    });
    let receipts = parser.read("receipts", on_or_off);
    let traces = parser.traces();
    let migrate = parser.read("migrate", on_or_off);
    let drain_delay = parser.read("drain_delay", |text| {
        within(duration(text)?, 0, u64::try_from(DRAIN_DELAY_MAX.as_millis()).unwrap_or(u64::MAX))
    });
    let connections_max = parser.read("connections_max", |text| number(text, 1, 1_000_000));
    let requests_max = parser.read("requests_max", |text| number(text, 1, 100_000));

    Some(Settings {
        webhook_secrets,
        signature_products: signature_products?,
        listen: listen?,
        ops_listen: ops_listen?,
        ops_token,
        queue,
        spool,
        spool_bytes: spool_bytes? as u64,
        dead_letters,
        lake,
        warehouse,
        retail,
        warehouse_memory: warehouse_memory?,
        redshift_staging,
        redshift_role: redshift_role?,
        redshift_region,
        business_time_zone,
        batch_age: batch_age?,
        batch_bytes: batch_bytes?,
        batch_events: batch_events?,
        batch_lease: batch_lease?,
        lake_compression: lake_compression?,
        privacy: privacy?,
        privacy_key,
        load_interval: load_interval?,
        freshness: freshness?,
        aftership_api_key,
        aftership_api_url: aftership_api_url?,
        poll_interval: poll_interval?,
        poll_overlap: poll_overlap?,
        poll_rate: poll_rate?,
        canary: canary?,
        receipts: receipts?,
        traces,
        migrate: migrate?,
        drain_delay: drain_delay?,
        connections_max: connections_max?,
        requests_max: requests_max?,
    })
}

impl Parser<'_> {
    fn time_zone(&mut self) -> Option<TimeZone> {
        let text = &self.values.get("business_time_zone")?.text;
        match time_zone(text) {
            Ok(zone) => Some(zone),
            Err(what) => {
                self.faults.push(format!("WAYBILL_BUSINESS_TIME_ZONE: {what}"));
                None
            }
        }
    }

    /// Needed by Redshift, and by nobody else.
    fn redshift_staging(&mut self, warehouse: Option<&WarehouseAddress>) -> Option<(String, String)> {
        if !matches!(warehouse, Some(WarehouseAddress::Redshift(_))) {
            return None;
        }
        let address = self.values.get("redshift_staging").map(|value| lake_address(&value.text));
        if let Some(Ok(LakeAddress::S3 { bucket, prefix })) = address {
            return Some((bucket, prefix));
        }
        self.faults.push(
            "WAYBILL_REDSHIFT_STAGING: needed with Redshift, where rows wait for its COPY; such as s3://bucket/prefix"
                .to_owned(),
        );
        None
    }

    /// A setting that has a default.
    fn read<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let default =
            TABLE.iter().find(|setting| setting.name == name).and_then(|setting| match setting.default {
                Default::Value(text) => Some(text),
                Default::UpOnly(_) | Default::None(_) => None,
            });
        let (text, origin) = match self.values.get(name) {
            Some(value) => (value.text.as_str(), value.origin.as_str()),
            None => (default?, name),
        };
        match parse(text) {
            Ok(parsed) => Some(parsed),
            Err(fault) => {
                self.faults.push(format!("{origin}: `{text}` {fault}"));
                // So that the rest can be looked at too.
                default.and_then(|text| parse(text).ok())
            }
        }
    }

    /// An address: given, or below the data folder of `up`, or missing.
    fn address<T>(
        &mut self,
        name: &'static str,
        need: Need,
        purpose: &Purpose,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let setting = TABLE.iter().find(|setting| setting.name == name)?;
        let below = |data: &Path| match setting.default {
            Default::UpOnly(text) => Some(text.replace("waybill-data", &data.to_string_lossy())),
            Default::Value(_) | Default::None(_) => None,
        };
        let (text, origin) = match self.values.get(name) {
            Some(value) => (value.text.clone(), value.origin.clone()),
            None => match purpose.data.as_deref().and_then(below) {
                Some(text) => (text, name.to_owned()),
                None => {
                    if purpose.needs.contains(&need) {
                        let beside_up = match setting.default {
                            Default::UpOnly(text) => format!("; beside `waybill up` it is {text}"),
                            Default::Value(_) | Default::None(_) => String::new(),
                        };
                        self.faults.push(format!(
                            "{}: missing; set it to {}{beside_up}",
                            setting.env(),
                            setting.help
                        ));
                    }
                    return None;
                }
            },
        };
        match parse(&text) {
            Ok(parsed) => Some(parsed),
            Err(fault) => {
                // Not the value itself: a warehouse address may hold a password.
                self.faults.push(format!("{origin}: {fault}; it takes {}", setting.help));
                None
            }
        }
    }

    fn api_key(&mut self, purpose: &Purpose) -> Option<Secret> {
        let key = self.values.get("aftership_api_key").map(|value| value.text.as_str());
        let key = key.filter(|key| !key.is_empty());
        if key.is_none() && purpose.needs.contains(&Need::Api) {
            self.faults.push(
                "WAYBILL_AFTERSHIP_API_KEY: missing; make one in AfterShip's Admin, Settings, API keys, or name a file \
                 that holds it in WAYBILL_AFTERSHIP_API_KEY_FILE"
                    .to_owned(),
            );
        }
        key.map(Secret::new)
    }

    fn traces(&mut self) -> Option<String> {
        let value = self.values.get("traces").filter(|value| value.text != "off")?;
        match http_address(&value.text) {
            Ok(address) => Some(address),
            Err(fault) => {
                self.faults.push(format!("{}: {fault}", value.origin));
                None
            }
        }
    }

    /// A folder, beside a queue that can be away.
    fn spool(&mut self, queue: Option<&QueueAddress>) -> Option<PathBuf> {
        let value = self.values.get("spool").filter(|value| value.text != "off")?;
        let Some(dir) = value.text.strip_prefix("file:").and_then(|dir| folder(dir).ok()) else {
            self.faults.push(format!("{}: must be `file:DIR` or `off`", value.origin));
            return None;
        };
        if let Some(QueueAddress::File(_)) = queue {
            self.faults.push(format!(
                "{}: a spool stands beside an SQS queue; the queue is a folder already, so take the setting away",
                value.origin
            ));
        }
        Some(dir.into())
    }

    /// A short key could be found by trying, and with it everybody.
    fn privacy_key(&mut self, privacy: Option<Privacy>) -> Option<Secret> {
        let Some(value) = self.values.get("privacy_key") else {
            if privacy == Some(Privacy::Hash) {
                self.faults.push(format!(
                    "WAYBILL_PRIVACY_KEY: needed (at least {SECRET_CHARS_MIN} characters) with WAYBILL_PRIVACY=hash; \
                     or name a file that holds it in WAYBILL_PRIVACY_KEY_FILE"
                ));
            }
            return None;
        };
        if value.text.chars().count() < SECRET_CHARS_MIN {
            self.faults.push(format!("{}: shorter than {SECRET_CHARS_MIN} characters", value.origin));
        }
        Some(Secret::new(value.text.clone()))
    }

    fn webhook_secrets(&mut self, purpose: &Purpose) -> Vec<Secret> {
        let Some(value) = self.values.get("webhook_secrets") else {
            if purpose.needs.contains(&Need::Receiving) && !purpose.is_demo {
                self.faults.push(
                    "WAYBILL_WEBHOOK_SECRETS: missing; copy the secret from AfterShip's Admin, Settings, Webhooks, \
                     or name a file that holds it in WAYBILL_WEBHOOK_SECRETS_FILE"
                        .to_owned(),
                );
            }
            return Vec::new();
        };
        let secrets: Vec<Secret> = value
            .text
            .split([',', '\n', '\r'])
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(Secret::new)
            .collect();
        if secrets.is_empty() {
            self.faults.push(format!("{}: empty; an empty secret would let anybody in", value.origin));
        } else if secrets.iter().any(|secret| secret.expose().chars().count() < SECRET_CHARS_MIN) {
            self.faults.push(format!(
                "{}: a secret is shorter than {SECRET_CHARS_MIN} characters; AfterShip's have 32",
                value.origin
            ));
        } else if secrets.len() > SECRETS_MAX {
            self.faults.push(format!("{}: more than {SECRETS_MAX} secrets; remove the oldest", value.origin));
        }
        secrets
    }
}

fn products(text: &str) -> Result<Vec<Product>, String> {
    let products: Result<Vec<Product>, String> = text
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().map_err(|_| "must list some of tracking, returns, shipping".to_owned()))
        .collect();
    match products {
        Ok(products) if products.is_empty() => {
            Err("must list some of tracking, returns, shipping".to_owned())
        }
        other => other,
    }
}

fn listener(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "must be IP:PORT, such as 127.0.0.1:8080".to_owned())
}

fn queue_address(text: &str) -> Result<QueueAddress, String> {
    if let Some(dir) = text.strip_prefix("file:") {
        return folder(dir).map(|dir| QueueAddress::File(dir.into()));
    }
    if text.starts_with("https://") || text.starts_with("http://") {
        return Ok(QueueAddress::Sqs(text.to_owned()));
    }
    Err("is neither a folder nor a queue URL".to_owned())
}

fn lake_address(text: &str) -> Result<LakeAddress, String> {
    if let Some(dir) = text.strip_prefix("file:") {
        return folder(dir).map(|dir| LakeAddress::File(dir.into()));
    }
    if let Some(rest) = text.strip_prefix("s3://") {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err("names no bucket".to_owned());
        }
        return Ok(LakeAddress::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
        });
    }
    Err("is neither a folder nor a bucket".to_owned())
}

fn warehouse_address(text: &str) -> Result<WarehouseAddress, String> {
    if let Some(file) = text.strip_prefix("duckdb:") {
        return folder(file).map(|file| WarehouseAddress::DuckDb(file.into()));
    }
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return Ok(WarehouseAddress::Postgres(Secret::new(text)));
    }
    if text.starts_with("redshift://") {
        return Ok(WarehouseAddress::Redshift(Secret::new(text)));
    }
    Err("is neither a DuckDB file nor a PostgreSQL or Redshift URL".to_owned())
}

/// A zone of the IANA database by its name. Files beside it (`localtime`, `posixrules`) are none, and engines do not know
/// them.
fn time_zone(text: &str) -> Result<TimeZone, String> {
    let is_name = text == "UTC" || text.contains('/');
    let found = TimeZone::get(text).ok().filter(|zone| is_name && zone.iana_name().is_some());
    found.ok_or_else(|| "must be the name of a time zone, such as Europe/Berlin or UTC".to_owned())
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err("must be on or off".to_owned()),
    }
}

/// An absolute address without a slash at its end.
fn http_address(text: &str) -> Result<String, String> {
    let has_host =
        |rest: &str| !rest.trim_start_matches('/').is_empty() && !rest.contains(char::is_whitespace);
    match text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) {
        Some(rest) if has_host(rest) => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err("must be an http or https URL".to_owned()),
    }
}

fn folder(text: &str) -> Result<&str, String> {
    // `file:///data` and `file:data` are both in use.
    let path = text.strip_prefix("//").unwrap_or(text);
    if path.is_empty() { Err("names no path".to_owned()) } else { Ok(path) }
}

/// An amount of memory as DuckDB reads it.
fn memory(text: &str) -> Result<String, String> {
    const UNITS: [&str; 6] = ["MB", "GB", "TB", "MiB", "GiB", "TiB"];
    let count = UNITS.iter().find_map(|unit| text.strip_suffix(unit));
    let count = count.and_then(|count| count.parse::<u32>().ok()).filter(|count| *count > 0);
    match count {
        Some(count) if count >= 128 || !text.contains('M') => Ok(text.to_owned()),
        _ => Err("must be an amount of at least 128MB, such as 512MB or 8GB".to_owned()),
    }
}

/// `250ms`, `5s`, `2m`, `1h`, or a bare number of seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "must be a duration such as 250ms, 5s, 2m or 1h".to_owned();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..split].parse().map_err(|_| wrong())?;
    let unit = match text[split..].trim() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())
}

fn within(duration: Duration, millis_min: u64, millis_max: u64) -> Result<Duration, String> {
    let (min, max) = (Duration::from_millis(millis_min), Duration::from_millis(millis_max));
    if duration < min || duration > max {
        return Err(format!("must lie between {min:?} and {max:?}"));
    }
    Ok(duration)
}

fn number(text: &str, min: usize, max: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(format!("must be a whole number from {min} to {max}")),
    }
}
