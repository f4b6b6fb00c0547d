//! Which updates are asked for next, and which snapshots are known. Pure: time comes in.
//!
//! A window is a span of AfterShip's `updated_at`, in whole seconds. The next one begins at the end of the last minus an
//! overlap: for what AfterShip shows late, for clocks that differ, and for a bound that may not be inclusive. So there is
//! no gap between windows, whatever stopped a run. What the overlap brings again is recognised by its content and not
//! sent twice.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::aftership::api::{KEPT_DAYS, second_at_or_before};
use crate::event::EventKey;

use super::state::{State, Unfinished};

const DAY_SECONDS: i64 = 24 * 3600;

/// The oldest update that a new window asks for: a day less than AfterShip keeps, which the window may take to be read.
const REACH_SECONDS: i64 = (KEPT_DAYS - 1) * DAY_SECONDS;

/// The oldest update that a window under way may go on asking for.
const KEPT_SECONDS: i64 = KEPT_DAYS * DAY_SECONDS;

/// Clocks that differ by more are worth a word.
const CLOCK_OFF_MAX: SignedDuration = SignedDuration::from_secs(30);

/// Snapshots that are remembered; some 20 MB.
const SEEN_MAX: usize = 200_000;

/// Digits of a key that are remembered: 128 bits, which no two contents share.
const MARK_CHARS: usize = 32;

/// What is asked for next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The window, and where in it to go on.
    pub window: Unfinished,
    /// A run before this one began it.
    pub is_resumed: bool,
    /// What should have been asked for, and is older than AfterShip keeps.
    pub out_of_reach: Option<Timestamp>,
}

/// Plans the next window; `None` while there is nothing to ask for.
///
/// `now`: the earlier of our clock and AfterShip's, see [`agreed`]. `since`: where the very first window begins;
/// otherwise as far back as AfterShip goes. `again`: `since` counts although a poll has come further. Whoever asks for
/// "seven days ago" names another instant at each start: so an order under way that asks for no less is gone on with.
pub fn plan(
    state: &State,
    now: Timestamp,
    overlap: Duration,
    since: Option<Timestamp>,
    again: bool,
) -> Option<Plan> {
    let until = second_at_or_before(now);
    let since = since.map(second_at_or_before);
    let again = since.filter(|_| again);
    let under_way = state.unfinished.as_ref();
    if let Some(window) = under_way
        && window.from >= seconds_before(until, KEPT_SECONDS)
        && again.is_none_or(|again| window.since.is_some_and(|since| since <= again))
    {
        return Some(Plan { window: window.clone(), is_resumed: true, out_of_reach: None });
    }
    let oldest = seconds_before(until, REACH_SECONDS);
    // A watermark of the future (the clock was wrong) must not keep us from asking until the clock is there.
    let goes_on = state.until.map(|watermark| before(watermark.min(until), overlap));
    let goes_on = [goes_on, under_way.map(|window| window.from)].into_iter().flatten().min();
    let wanted = match (goes_on, again) {
        // Never later than where it would go on: that would leave a gap for ever.
        (Some(goes_on), Some(again)) => goes_on.min(again),
        (Some(goes_on), None) => goes_on,
        (None, _) => since.unwrap_or(oldest),
    };
    let from = wanted.max(oldest);
    let is_first = goes_on.is_none();
    let since = since.filter(|_| is_first || again.is_some());
    (from < until).then(|| Plan {
        window: Unfinished { from, until, next: None, since, whole_until: None },
        is_resumed: false,
        out_of_reach: (wanted < oldest).then_some(wanted),
    })
}

/// Now, or earlier when AfterShip's clock is behind ours: what is later by its clock has not happened yet. `ahead`: how far
/// its clock is ahead of ours.
pub fn agreed(now: Timestamp, ahead: Option<SignedDuration>) -> Timestamp {
    ahead.filter(|ahead| ahead.is_negative()).and_then(|behind| now.checked_add(behind).ok()).unwrap_or(now)
}

/// The end that a window must have instead, when AfterShip's clock is behind it.
pub fn earlier_end(until: Timestamp, date: Option<Timestamp>) -> Option<Timestamp> {
    date.map(second_at_or_before).filter(|date| *date < until)
}

/// Do two clocks differ by so much that somebody should look?
pub fn is_clock_off(ahead: SignedDuration) -> bool {
    ahead.abs() > CLOCK_OFF_MAX
}

/// The earliest update that a window after one that ended here would ask for.
pub fn before(until: Timestamp, overlap: Duration) -> Timestamp {
    // Whole seconds, and rather one too many.
    seconds_before(until, i64::try_from(overlap.as_secs()).unwrap_or(i64::MAX).saturating_add(1))
}

fn seconds_before(at: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(at.as_second().saturating_sub(seconds)).unwrap_or(Timestamp::MIN)
}

/// The snapshots that are durable in the queue, by content, with their `updated_at`. Bounded: what is forgotten is sent
/// once more, which changes nothing.
#[derive(Debug, Default)]
pub struct Seen(HashMap<String, i64>);

impl Seen {
    /// Those of a state.
    pub fn of(seen: &BTreeMap<String, i64>) -> Seen {
        Seen(seen.iter().map(|(mark, second)| (mark.clone(), *second)).collect())
    }

    /// Is exactly this content known?
    pub fn has(&self, key: &EventKey) -> bool {
        self.0.contains_key(mark(key))
    }

    /// Remembers it.
    pub fn put(&mut self, key: &EventKey, updated_at: Timestamp) {
        if self.0.len() >= SEEN_MAX {
            self.forget_half();
        }
        self.0.insert(mark(key).to_owned(), updated_at.as_second());
    }

    /// Forgets what was updated earlier.
    pub fn forget_before(&mut self, at: Timestamp) {
        self.0.retain(|_, second| *second >= at.as_second());
    }

    /// The newest, at most so many of those updated at `from` or later.
    pub fn newest(&self, from: Timestamp, max: usize) -> BTreeMap<String, i64> {
        let mut newest: Vec<(i64, &String)> = self
            .0
            .iter()
            .filter(|(_, second)| **second >= from.as_second())
            .map(|(mark, second)| (*second, mark))
            .collect();
        newest.sort_unstable();
        newest.into_iter().rev().take(max).map(|(second, mark)| (mark.clone(), second)).collect()
    }

    fn forget_half(&mut self) {
        let mut seconds: Vec<i64> = self.0.values().copied().collect();
        let middle = seconds.len() / 2;
        let (_, median, _) = seconds.select_nth_unstable(middle);
        let median = *median;
        self.0.retain(|_, second| *second > median);
    }
}

fn mark(key: &EventKey) -> &str {
    key.as_str().get(..MARK_CHARS).unwrap_or(key.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::aftership::api::Next;

    use super::*;

    const OVERLAP: Duration = Duration::from_secs(600);

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn now() -> Timestamp {
        at("2026-07-09T12:00:00Z")
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("an instant")
    }

    fn window(from: &str, until: &str, next: Option<Next>) -> Unfinished {
        Unfinished { from: at(from), until: at(until), next, since: None, whole_until: None }
    }

    #[test]
    fn the_first_window_begins_where_it_is_told_or_as_far_back_as_aftership_goes() {
        let first = |since| plan(&State::default(), now(), OVERLAP, since, false).expect("a window");

        assert_eq!(first(None).window.from, at("2026-03-12T12:00:00Z"));
        assert_eq!(first(None).out_of_reach, None);
        let told = first(Some(at("2026-07-01T00:00:00.5Z")));
        assert_eq!((told.window.from, told.window.until), (at("2026-07-01T00:00:00Z"), now()));
        let too_old = first(Some(at("2025-07-01T00:00:00Z")));
        assert_eq!(too_old.window.from, at("2026-03-12T12:00:00Z"));
        assert_eq!(too_old.out_of_reach, Some(at("2025-07-01T00:00:00Z")));
        assert_eq!(plan(&State::default(), now(), OVERLAP, Some(now()), false), None);
    }

    #[test]
    fn the_next_window_begins_before_the_end_of_the_last() {
        let state = State { until: Some(at("2026-07-09T11:00:00Z")), ..State::default() };

        let next =
            plan(&state, at("2026-07-09T12:00:00.9Z"), OVERLAP, Some(at("2026-07-01T00:00:00Z")), false);

        let next = next.expect("a window");
        assert_eq!((next.window.from, next.window.until), (at("2026-07-09T10:49:59Z"), now()));
        assert!(!next.is_resumed && next.window.next.is_none() && next.window.since.is_none());
    }

    #[test]
    fn a_window_under_way_goes_on_as_it_was() {
        let next = Some(Next::Cursor("c".to_owned()));
        let under_way = window("2026-07-08T00:00:00Z", "2026-07-09T00:00:00Z", next);
        let state = State { unfinished: Some(under_way.clone()), ..State::default() };

        let plan = plan(&state, now(), OVERLAP, None, false).expect("a window");

        assert_eq!(plan, Plan { window: under_way, is_resumed: true, out_of_reach: None });
    }

    #[test]
    fn a_window_that_has_grown_too_old_begins_again_within_reach_and_says_so() {
        let under_way = window("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", None);
        let state = State { unfinished: Some(under_way), ..State::default() };

        let plan = plan(&state, now(), OVERLAP, None, false).expect("a window");

        assert!(!plan.is_resumed);
        assert_eq!(plan.window.from, at("2026-03-12T12:00:00Z"));
        assert_eq!(plan.out_of_reach, Some(at("2026-01-01T00:00:00Z")));
    }

    #[test]
    fn going_back_on_demand_leaves_no_gap_and_is_resumed_by_a_demand_for_no_more() {
        let watermark = at("2026-07-09T11:00:00Z");
        let state = State { until: Some(watermark), ..State::default() };
        let back = |since: &str, state: &State| {
            plan(state, now(), OVERLAP, Some(at(since)), true).expect("a window")
        };

        let demand = back("2026-07-01T00:00:00Z", &state);
        assert_eq!(demand.window.from, at("2026-07-01T00:00:00Z"));
        assert_eq!(back("2026-07-09T11:59:00Z", &state).window.from, before(watermark, OVERLAP));

        let state = State { unfinished: Some(demand.window), ..state };
        assert!(back("2026-07-01T00:00:00Z", &state).is_resumed);
        assert!(back("2026-07-01T00:01:00Z", &state).is_resumed, "seven days ago, a minute later");
        assert!(!back("2026-06-30T23:59:59Z", &state).is_resumed);
        assert_eq!(back("2026-06-30T23:59:59Z", &state).window.from, at("2026-06-30T23:59:59Z"));
    }

    #[test]
    fn going_back_on_demand_is_not_done_by_what_nobody_demanded() {
        let next = Some(Next::Cursor("c".to_owned()));
        let under_way = window("2026-07-01T00:00:00Z", "2026-07-09T00:00:00Z", next);
        let state = State { unfinished: Some(under_way), ..State::default() };

        let demand = plan(&state, now(), OVERLAP, Some(at("2026-07-08T00:00:00Z")), true);

        let demand = demand.expect("a window");
        assert!(!demand.is_resumed && demand.window.next.is_none());
        assert_eq!((demand.window.from, demand.window.until), (at("2026-07-01T00:00:00Z"), now()));
    }

    #[test]
    fn a_watermark_of_the_future_does_not_stop_asking() {
        let state = State { until: Some(at("2027-01-01T00:00:00Z")), ..State::default() };

        assert_eq!(
            plan(&state, now(), OVERLAP, None, false).expect("a window").window.from,
            before(now(), OVERLAP)
        );
    }

    #[test]
    fn a_window_ends_by_the_clock_that_is_behind() {
        assert_eq!(agreed(now(), Some(SignedDuration::from_secs(90))), now());
        assert_eq!(agreed(now(), Some(SignedDuration::from_secs(-90))), at("2026-07-09T11:58:30Z"));
        assert_eq!(agreed(now(), None), now());
        assert_eq!(earlier_end(now(), Some(at("2026-07-09T11:59:00Z"))), Some(at("2026-07-09T11:59:00Z")));
        assert_eq!(earlier_end(now(), Some(now())), None);
        assert_eq!(earlier_end(now(), None), None);
        assert!(is_clock_off(SignedDuration::from_secs(-31)) && !is_clock_off(SignedDuration::from_secs(30)));
    }

    #[test]
    fn what_is_seen_is_known_by_its_content_and_forgotten_by_its_age() {
        let key = |text: &str| EventKey::from_text(&text.repeat(64));
        let mut seen = Seen::default();
        seen.put(&key("a"), second(100));
        seen.put(&key("b"), second(200));

        assert!(seen.has(&key("a")) && !seen.has(&key("c")));
        assert_eq!(seen.newest(second(0), 1).into_values().collect::<Vec<_>>(), [200]);
        assert!(Seen::of(&seen.newest(second(100), 9)).has(&key("a")));

        seen.forget_before(second(101));
        assert!(!seen.has(&key("a")) && seen.has(&key("b")));
    }

    #[test]
    fn what_is_seen_does_not_grow_for_ever() {
        let mut seen = Seen::default();
        for index in 0..=SEEN_MAX {
            let second = second(i64::try_from(index).expect("small"));
            seen.put(&EventKey::from_text(&index.to_string()), second);
        }

        assert!(seen.0.len() <= SEEN_MAX / 2 + 1, "{}", seen.0.len());
        assert!(seen.has(&EventKey::from_text(&SEEN_MAX.to_string())));
        assert!(!seen.has(&EventKey::from_text("0")));
    }

    /// What happens between two runs.
    #[derive(Debug, Clone)]
    enum Step {
        /// So many seconds pass, and a run comes to its end.
        Finished(i64),
        /// A run is stopped in the middle: after so many seconds, with a cursor.
        Stopped(i64),
        /// An order to go back by so many seconds comes to its end,
        Back(i64),
        /// or is stopped in the middle.
        BackStopped(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..5_000_000i64).prop_map(Step::Finished),
            (0..500_000i64).prop_map(Step::Stopped),
            (0..2_000_000i64).prop_map(Step::Back),
            (0..2_000_000i64).prop_map(Step::BackStopped),
        ]
    }

    proptest! {
        #[test]
        fn every_update_within_reach_is_asked_for(steps in proptest::collection::vec(step(), 1..30), overlap in 0..2_000u64) {
            let overlap = Duration::from_secs(overlap);
            let mut clock = now().as_second();
            let mut state = State::default();
            // Windows that were read to their end, in the order of time.
            let mut read: Vec<(i64, i64)> = Vec::new();
            let begun = seconds_before(now(), REACH_SECONDS).as_second();
            let mut lost_until = begun;
            for step in steps {
                let (passes, since) = match step {
                    Step::Finished(passes) | Step::Stopped(passes) => (passes, None),
                    Step::Back(by) | Step::BackStopped(by) => (1, Some(second(clock - by))),
                };
                clock += passes;
                let Some(plan) = plan(&state, second(clock), overlap, since, since.is_some()) else { continue };
                if let Some(out) = plan.out_of_reach {
                    prop_assert!(out < plan.window.from);
                    lost_until = lost_until.max(plan.window.from.as_second());
                }
                prop_assert!(plan.window.from >= seconds_before(second(clock), KEPT_SECONDS), "never beyond what is kept");
                prop_assert!(plan.window.from < plan.window.until && plan.window.until <= second(clock));
                if matches!(step, Step::Stopped(_) | Step::BackStopped(_)) {
                    let next = Some(Next::Cursor("c".to_owned()));
                    state.unfinished = Some(Unfinished { next, ..plan.window });
                } else {
                    read.push((plan.window.from.as_second(), plan.window.until.as_second()));
                    state.until = Some(plan.window.until);
                    state.unfinished = None;
                }
            }

            // No second between the first window and the watermark is outside all windows, but for what was said.
            if let Some(until) = state.until {
                read.sort_unstable();
                let mut covered = lost_until.max(read.first().map_or(begun, |first| first.0));
                for (from, to) in read {
                    prop_assert!(from <= covered, "{from} begins behind {covered}");
                    covered = covered.max(to);
                }
                prop_assert!(covered >= until.as_second());
            }
        }
    }
}
