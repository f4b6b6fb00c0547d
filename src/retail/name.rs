//! What a file's name says: whose it is, which day it is about, and whether it holds every row there is.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Dataset;

/// What a key below the root of the shop's files says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// A file to load.
    File(Dataset),
    /// Not meant for us: hidden, unfinished, or no CSV.
    Ignored,
    /// Meant for us, it seems, and in a folder of no dataset.
    UnknownDataset,
}

/// `<dataset>/…/*.csv` or `.csv.gz`; what begins with `.` or `_`, or ends in `.tmp`, is ignored, folders too.
pub fn read(key: &str) -> Named {
    let mut parts = key.split('/');
    let is_hidden = |part: &str| part.starts_with(['.', '_']) || part.ends_with(".tmp");
    if key.split('/').any(is_hidden) {
        return Named::Ignored;
    }
    let lower = key.to_ascii_lowercase();
    if !(lower.ends_with(".csv") || lower.ends_with(".csv.gz")) {
        return Named::Ignored;
    }
    match (parts.next().and_then(Dataset::named), parts.next()) {
        (Some(dataset), Some(_)) => Named::File(dataset),
        _ => Named::UnknownDataset,
    }
}

/// Whether the bytes are packed.
pub fn is_gzip(key: &str) -> bool {
    key.to_ascii_lowercase().ends_with(".gz")
}

/// Whether the name declares that the file holds every row there is, as of its version: it ends in `.full.csv` or
/// `.full.csv.gz`.
pub fn is_full(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    lower.ends_with(".full.csv") || lower.ends_with(".full.csv.gz")
}

/// Which day a file is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Orders the versions of a row.
    pub at: Timestamp,
    /// The last business day that the file brings to its end: its own, when its name says one; else the day before it
    /// was written, for it may have been written in the middle of a day.
    pub closes_on: Date,
    /// Whether the name says it.
    pub is_dated: bool,
}

/// The first date in the key, written `YYYY-MM-DD` or `YYYYMMDD`; else when the file was written.
pub fn version(key: &str, modified_at: Timestamp) -> Version {
    match date_in(key) {
        Some(date) => {
            let at = TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).unwrap_or(modified_at);
            Version { at, closes_on: date, is_dated: true }
        }
        None => {
            let day = TimeZone::UTC.to_datetime(modified_at).date();
            Version { at: modified_at, closes_on: day.yesterday().unwrap_or(day), is_dated: false }
        }
    }
}

fn date_in(key: &str) -> Option<Date> {
    let bytes = key.as_bytes();
    (0..bytes.len()).find_map(|start| {
        let before = start.checked_sub(1).map(|index| bytes[index]);
        if before.is_some_and(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let rest = &bytes[start..];
        let digits = |from: usize, to: usize| -> Option<i16> {
            let part = rest.get(from..to)?;
            part.iter()
                .all(u8::is_ascii_digit)
                .then(|| std::str::from_utf8(part).ok()?.parse().ok())
                .flatten()
        };
        let is_digit = |at: usize| rest.get(at).is_some_and(u8::is_ascii_digit);
        let date = |year: i16, month: i16, day: i16| {
            // A running number is no date.
            if !(2000..=2100).contains(&year) {
                return None;
            }
            Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
        };
        if rest.get(4) == Some(&b'-') && rest.get(7) == Some(&b'-') && !is_digit(10) {
            return date(digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
        }
        if is_digit(8) {
            return None;
        }
        date(digits(0, 4)?, digits(4, 6)?, digits(6, 8)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_folder_and_its_ending() {
        assert_eq!(read("orders/a.csv"), Named::File(Dataset::Orders));
        assert_eq!(read("order_items/2026/07/part-1.CSV.GZ"), Named::File(Dataset::OrderItems));
        for ignored in
            ["orders/.a.csv", "orders/_tmp/a.csv", "orders/a.csv.tmp", "orders/readme.txt", "_x/orders/a.csv"]
        {
            assert_eq!(read(ignored), Named::Ignored, "{ignored}");
        }
        for unknown in ["refunds/a.csv", "orders.csv"] {
            assert_eq!(read(unknown), Named::UnknownDataset, "{unknown}");
        }
    }

    #[test]
    fn a_full_snapshot_is_declared_by_the_end_of_the_name() {
        for full in
            ["products/2026-07-09.full.csv", "products/a.FULL.CSV", "customers/2026-07-09/all.full.csv.gz"]
        {
            assert!(is_full(full), "{full}");
            assert!(matches!(read(full), Named::File(_)), "{full}");
        }
        for other in [
            "products/full.csv",
            "products/2026-07-09_full.csv",
            "products/2026-07-09.full/a.csv",
            "products/a.full.csv.csv",
            "products/a.full.CSV.zip",
        ] {
            assert!(!is_full(other), "{other}");
        }
    }

    #[test]
    fn the_version_is_the_first_date_in_the_path_or_the_time_of_writing() {
        let written: Timestamp = "2026-07-09T12:00:00Z".parse().expect("an instant");
        let of = |key: &str| {
            let version = version(key, written);
            (version.at.to_string(), version.closes_on.to_string())
        };
        let dated = ("2026-03-01T00:00:00Z".to_owned(), "2026-03-01".to_owned());

        assert_eq!(of("orders/dt=2026-03-01/part-20270101.csv"), dated);
        assert_eq!(of("orders/orders_20260301.csv"), dated);
        assert_eq!(of("orders/2026-13-01/20260301.csv"), dated, "no such month");
        let undated = ("2026-07-09T12:00:00Z".to_owned(), "2026-07-08".to_owned());
        assert_eq!(of("orders/all.csv"), undated);
        assert_eq!(of("orders/120260301.csv"), undated, "a longer number is no date");
        assert_eq!(of("orders/202603011.csv"), undated);
        assert_eq!(of("orders/part-00000101.csv"), undated, "a running number");
        assert_eq!(of("orders/part-99991231.csv"), undated);
    }
}
