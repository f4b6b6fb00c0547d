//! What a request to the stand-in's API asks for, by AfterShip's rules for each version. Pure: time comes in.

use std::time::Duration;

use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use super::answer::Fault;
use super::{LIMIT_DEFAULT, LIMIT_MAX, ListAsk, Position, Start, Version, cursor};

/// AfterShip's filters that the stand-in lacks. To pass over them would answer another question.
const FILTERS_LACKING: [&str; 14] = [
    "courier_destination_country_region",
    "courier_destination_country_iso3",
    "destination",
    "fields",
    "keyword",
    "lang",
    "order_id",
    "origin",
    "return_to_sender",
    "shipment_tags",
    "slug",
    "tag",
    "tracking_numbers",
    "transit_time",
];

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// A page.
    List(ListAsk),
    /// One parcel, by id.
    One(String),
}

/// How the listing's pages follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paging {
    /// By page number, all beside the trackings.
    Legacy,
    /// By page number, under `pagination`.
    Numbers,
    /// By cursor.
    Cursors,
}

impl Paging {
    pub(super) fn of(version: Version) -> Self {
        if version >= Version::V2024_10 {
            Paging::Cursors
        } else if version >= Version::V2024_04 {
            Paging::Numbers
        } else {
            Paging::Legacy
        }
    }
}

/// The version and the id, if it names one, of a path that there is.
pub(super) fn route(path: &str) -> Option<(Version, Option<&str>)> {
    let mut parts = path.strip_prefix('/')?.split('/');
    let version = match parts.next()? {
        "v4" => Version::Legacy,
        "tracking" => dated(parts.next()?)?,
        _ => return None,
    };
    if parts.next()? != "trackings" {
        return None;
    }
    let id = parts.next().filter(|id| !id.is_empty());
    parts.next().is_none().then_some((version, id))
}

fn dated(text: &str) -> Option<Version> {
    let mut dated = Version::ALL.into_iter().filter(|version| *version != Version::Legacy);
    dated.find(|version| version.as_str() == text)
}

/// Reads the rest of a request. `retention`: parcels are shown for so long after they were created. `cursor_max`: the
/// age at which cursors expire.
pub(super) fn read(
    version: Version,
    id: Option<&str>,
    query: &str,
    now: Timestamp,
    (retention, cursor_max): (Duration, Option<Duration>),
) -> Result<Asked, Fault> {
    if let Some(id) = id {
        return Ok(Asked::One(percent_decode_str(id).decode_utf8_lossy().into_owned()));
    }
    let oldest = now.saturating_sub(retention).unwrap_or(Timestamp::MIN);
    let mut ask = ListAsk { created_min: Some(oldest), ..ListAsk::default() };
    for (name, value) in parameters(query) {
        match name.as_str() {
            "created_at_min" => ask.created_min = date(version, &name, &value)?.max(Some(oldest)),
            "created_at_max" => ask.created_max = date(version, &name, &value)?,
            "updated_at_min" => ask.updated_min = date(version, &name, &value)?,
            "updated_at_max" => ask.updated_max = date(version, &name, &value)?,
            "limit" => ask.limit = limit(&value)?,
            "cursor" if Paging::of(version) == Paging::Cursors => {
                ask.start = Start::After(after(&value, now, cursor_max)?);
            }
            "page" if Paging::of(version) != Paging::Cursors => ask.start = Start::Page(page(&value)?),
            _ if FILTERS_LACKING.contains(&name.as_str()) => {
                return Err(Fault::bad_request(format!("the stand-in has no filter {name}")));
            }
            _ => {}
        }
    }
    Ok(Asked::List(ask))
}

/// Names and values as an HTML form writes them: a plus is a blank. Those without a value are as if not given.
fn parameters(query: &str) -> impl Iterator<Item = (String, String)> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .filter(|(_, value)| !value.is_empty())
}

fn decode(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

/// A bound. What is no date, such as one whose plus was not escaped, is refused since 2025-01; before that it is as if
/// not given, and the answer is about something else.
fn date(version: Version, name: &str, value: &str) -> Result<Option<Timestamp>, Fault> {
    let date = documented_date(value);
    if date.is_none() && version >= Version::V2025_01 {
        return Err(Fault::field(format!("{name} must be a date such as 2026-07-09T00:00:00+00:00")));
    }
    Ok(date)
}

/// `YYYY-MM-DDTHH:mm:ss+HH:MM`, the one form that is documented: no `Z`, no minus, no fraction.
fn documented_date(text: &str) -> Option<Timestamp> {
    const FORM: &[u8; 25] = b"0000-00-00T00:00:00+00:00";
    let is_as = |byte: u8, form: u8| if form == b'0' { byte.is_ascii_digit() } else { byte == form };
    let is_of_form =
        text.len() == FORM.len() && text.bytes().zip(*FORM).all(|(byte, form)| is_as(byte, form));
    if is_of_form { text.parse().ok() } else { None }
}

fn limit(value: &str) -> Result<usize, Fault> {
    let limit = value.parse::<usize>().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| {
        Fault::field(format!("limit must be from 1 to {LIMIT_MAX}; without it, it is {LIMIT_DEFAULT}"))
    })
}

fn page(value: &str) -> Result<u64, Fault> {
    let page = value.parse::<u64>().ok().filter(|page| *page >= 1);
    page.ok_or_else(|| Fault::field("page must be 1 or more".to_owned()))
}

fn after(value: &str, now: Timestamp, cursor_max: Option<Duration>) -> Result<Position, Fault> {
    let (position, made_ms) =
        cursor::read(value).ok_or_else(|| Fault::field("cursor is not one of ours".to_owned()))?;
    let age_ms = now.as_millisecond().saturating_sub(made_ms.unwrap_or(now.as_millisecond()));
    if cursor_max.is_some_and(|max| i128::from(age_ms) > max.as_millis() as i128) {
        return Err(Fault::field("cursor has expired: begin anew".to_owned()));
    }
    Ok(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETENTION: Duration = Duration::from_secs(120 * 24 * 3600);

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn now() -> Timestamp {
        at("2026-07-09T12:00:00Z")
    }

    fn list(version: Version, query: &str) -> Result<ListAsk, Fault> {
        match read(version, None, query, now(), (RETENTION, None))? {
            Asked::List(ask) => Ok(ask),
            Asked::One(id) => panic!("{id} is asked for"),
        }
    }

    #[test]
    fn paths_name_a_version_and_perhaps_a_parcel() {
        assert_eq!(route("/tracking/2026-07/trackings"), Some((Version::V2026_07, None)));
        assert_eq!(route("/tracking/2024-04/trackings/abc"), Some((Version::V2024_04, Some("abc"))));
        assert_eq!(route("/v4/trackings"), Some((Version::Legacy, None)));
        for path in [
            "",
            "/",
            "/tracking",
            "/tracking/legacy/trackings",
            "/tracking/2022-07/trackings",
            "/v4/couriers",
        ] {
            assert_eq!(route(path), None, "{path}");
        }
        assert_eq!(route("/tracking/2026-07/trackings/a/b"), None);
    }

    #[test]
    fn what_is_not_asked_for_has_its_default() {
        let expected = ListAsk { created_min: Some(at("2026-03-11T12:00:00Z")), ..ListAsk::default() };

        assert_eq!(list(Version::V2026_07, ""), Ok(expected.clone()));
        assert_eq!(list(Version::V2026_07, "limit=&cursor=&unknown=x&page=0"), Ok(expected));
    }

    #[test]
    fn nobody_sees_further_back_than_the_retention() {
        let bound = |date: &str| {
            list(Version::V2026_07, &format!("created_at_min={date}")).map(|ask| ask.created_min)
        };

        assert_eq!(bound("2020-01-01T00:00:00%2B00:00"), Ok(Some(at("2026-03-11T12:00:00Z"))));
        assert_eq!(bound("2026-07-01T02:00:00%2B02:00"), Ok(Some(at("2026-07-01T00:00:00Z"))));
    }

    #[test]
    fn an_unescaped_plus_is_refused_since_2025_01_and_passed_over_before() {
        let query = "updated_at_min=2026-07-09T00:00:00+00:00&created_at_min=2026-07-09T00:00:00+00:00";
        let expected = ListAsk { created_min: Some(at("2026-03-11T12:00:00Z")), ..ListAsk::default() };

        for version in Version::ALL {
            let answer = list(version, query);
            if version < Version::V2025_01 {
                assert_eq!(answer, Ok(expected.clone()), "{version}");
            } else {
                assert_eq!(answer.map_err(|fault| (fault.status, fault.code)), Err((400, 4008)), "{version}");
            }
        }
    }

    #[test]
    fn only_the_documented_form_of_a_date_is_one() {
        assert_eq!(documented_date("2026-07-09T14:00:00+02:00"), Some(now()));
        for text in [
            "2026-07-09",
            "2026-07-09T12:00:00Z",
            "2026-07-09T07:00:00-05:00",
            "2026-07-09T12:00:00.5+00:00",
            "2026-07-09T12:00:00 00:00",
            "2026-13-09T12:00:00+00:00",
        ] {
            assert_eq!(documented_date(text), None, "{text}");
        }
    }

    #[test]
    fn bad_limits_pages_and_cursors_are_refused() {
        for limit in ["0", "201", "-1", "many"] {
            assert_eq!(list(Version::V2026_07, &format!("limit={limit}")).map_err(|f| f.code), Err(4008));
        }
        assert_eq!(list(Version::V2026_07, "limit=200").map(|ask| ask.limit), Ok(200));
        for query in ["page=0", "page=x"] {
            assert_eq!(list(Version::V2024_07, query).map_err(|fault| fault.code), Err(4008));
        }
        assert_eq!(list(Version::V2024_10, "cursor=abc").map_err(|fault| fault.code), Err(4008));
        assert_eq!(list(Version::V2024_10, "tag=Delivered").map_err(|fault| fault.code), Err(400));
    }

    #[test]
    fn pages_follow_by_cursor_since_2024_10_and_by_number_before() {
        let position = Position { updated_ms: 7, id: "a".to_owned() };
        let query = format!("page=3&cursor={}", cursor::write(&position, None).replace('=', "%3D"));

        assert_eq!(list(Version::V2024_10, &query).map(|ask| ask.start), Ok(Start::After(position)));
        assert_eq!(list(Version::V2024_07, &query).map(|ask| ask.start), Ok(Start::Page(3)));
        assert_eq!(list(Version::Legacy, &query).map(|ask| ask.start), Ok(Start::Page(3)));
    }

    #[test]
    fn a_cursor_expires_when_it_is_told_to() {
        let position = Position { updated_ms: 7, id: "a".to_owned() };
        let made = cursor::write(&position, Some(now().as_millisecond() - 5_000));
        let within = |seconds| after(&made, now(), Some(Duration::from_secs(seconds)));

        assert_eq!(within(5), Ok(position));
        assert_eq!(within(4).map_err(|fault| fault.code), Err(4008));
    }
}
