//! Whatever comes, in whatever order and at whatever times: every event is in exactly one object, of its own minute,
//! and no window outlives its limits.

use proptest::prelude::*;

use super::*;

const BYTES_MAX: usize = 200;
const EVENTS_MAX: usize = 6;
const WINDOWS_MAX: usize = 3;
const AGE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
enum Step {
    /// An event that arrived so many seconds after the beginning, of so many bytes.
    Push(i64, usize),
    /// Time goes on by so many milliseconds; a clock may also be set back.
    Wait(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..400i64, 1..60usize).prop_map(|(second, bytes)| Step::Push(second, bytes)),
        3 => (0..4_000i64).prop_map(Step::Wait),
        1 => (-90_000..90_000i64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..80)
}

/// Looks at what closed; gives the leases in it.
fn check(closed: &Closed, arrivals: &[(Timestamp, String)]) -> Result<Vec<usize>, TestCaseError> {
    let indexes: Vec<usize> = closed
        .leases
        .iter()
        .map(|lease| arrivals.iter().position(|(_, text)| text == lease.text()).expect("ours"))
        .collect();
    let lines: Vec<&[u8]> =
        closed.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    prop_assert_eq!(closed.manifest.lines as usize, indexes.len());
    prop_assert_eq!(lines.len(), indexes.len());
    prop_assert!(indexes.len() <= EVENTS_MAX);
    for (line, index) in lines.iter().zip(&indexes) {
        let (received_at, text) = &arrivals[*index];
        prop_assert!(line.starts_with(text.as_bytes()), "lines and leases are in one order");
        let folder = layout::events_key(minute_of(*received_at), "", Compression::None);
        let folder = folder.rsplit_once('/').map(|(folder, _)| folder.to_owned()).unwrap_or_default();
        prop_assert!(closed.key.starts_with(&folder), "{} is not of {received_at}", closed.key);
    }
    // Closed by bytes as soon as it is over, so over by one event at most.
    prop_assert!((closed.bytes_raw as usize) < BYTES_MAX + 70);
    Ok(indexes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_is_in_one_object_of_its_minute(steps in steps()) {
        let begin: Timestamp = "2026-07-09T12:00:00Z".parse().expect("an instant");
        let mut windows = Windows::new(WindowLimits {
            age: AGE,
            bytes_max: BYTES_MAX,
            events_max: EVENTS_MAX,
            windows_max: WINDOWS_MAX,
            minute_grace: Duration::from_secs(1),
            compression: Compression::None,
        });
        let mut now = begin;
        let mut arrivals: Vec<(Timestamp, String)> = Vec::new();
        let mut seen: Vec<usize> = Vec::new();
        for step in steps {
            let closed = match step {
                Step::Push(second, bytes) => {
                    let received_at = begin + jiff::SignedDuration::from_secs(second);
                    let text = format!("{:08}", arrivals.len());
                    let line = format!("{text}{}", "x".repeat(bytes)).into_bytes();
                    arrivals.push((received_at, text.clone()));
                    let event = Readable { line, redacted: None, event_key: text.clone(), received_at };
                    windows.push(&event, Lease::for_tests(&text), now)
                }
                Step::Wait(millis) => {
                    now += jiff::SignedDuration::from_millis(millis);
                    let closed = windows.close_due(now);
                    // What is open was opened before now, and not long before.
                    prop_assert!(windows.close_due(now).is_empty());
                    let oldest = windows.open.values().map(|window| now.duration_since(window.opened_at)).max();
                    prop_assert!(oldest.is_none_or(|age| age < jiff::SignedDuration::from_secs(5)));
                    closed
                }
            };
            prop_assert!(windows.open.len() <= WINDOWS_MAX);
            for closed in &closed {
                seen.extend(check(closed, &arrivals)?);
            }
            prop_assert_eq!(seen.len() + windows.events(), arrivals.len());
        }
        for closed in &windows.close_all(FlushReason::Drain) {
            seen.extend(check(closed, &arrivals)?);
        }
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..arrivals.len()).collect::<Vec<_>>());
    }
}
