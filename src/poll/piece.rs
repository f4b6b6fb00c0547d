//! A window that is too much to be read in one go, piece by piece. Pure.
//!
//! AfterShip may forget a cursor before a long window is read, and older versions count no further than 10,000. Then the
//! first half is asked for, as often as it takes, and after it the rest: each piece twice as long as the last one, since
//! updates are not spread evenly. So a window comes to its end however short cursors live, if only one can be read over
//! some seconds of updates. How far the poll has come does not move before the whole is read.

use jiff::Timestamp;

use super::state::Unfinished;

/// Pieces overlap by so much, since nobody says that bounds are inclusive. What AfterShip shows late is of no concern
/// here: the next window's overlap is for that.
const OVERLAP_SECONDS: i64 = 1;

/// Shorter windows are not halved: both halves must be shorter than the whole in spite of their overlap.
const SECONDS_MIN: i64 = 4;

/// The first half; `None` when the window is too short.
pub(super) fn first_half(window: &Unfinished) -> Option<Unfinished> {
    let seconds = seconds(window);
    if seconds < SECONDS_MIN {
        return None;
    }
    let middle = Timestamp::from_second(window.from.as_second() + seconds / 2).ok()?;
    let whole_until = window.whole_until.or(Some(window.until));
    Some(Unfinished { until: middle, next: None, whole_until, ..window.clone() })
}

/// What is asked for after a piece that was read; `None`: that was the last.
pub(super) fn rest(window: &Unfinished) -> Option<Unfinished> {
    let whole_until = window.whole_until.filter(|whole| *whole > window.until)?;
    let from = window.until.as_second().saturating_sub(OVERLAP_SECONDS);
    let until = from.saturating_add(seconds(window).max(SECONDS_MIN).saturating_mul(2));
    let until = Timestamp::from_second(until).map_or(whole_until, |until| until.min(whole_until));
    Some(Unfinished {
        from: Timestamp::from_second(from).unwrap_or(window.until),
        until,
        next: None,
        whole_until: (until < whole_until).then_some(whole_until),
        since: window.since,
    })
}

fn seconds(window: &Unfinished) -> i64 {
    window.until.as_second().saturating_sub(window.from.as_second())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::aftership::api::Next;

    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("an instant")
    }

    fn window(from: i64, until: i64) -> Unfinished {
        let next = Some(Next::Cursor("c".to_owned()));
        Unfinished {
            from: second(from),
            until: second(until),
            next,
            since: Some(second(7)),
            whole_until: None,
        }
    }

    fn span(window: &Unfinished) -> (i64, i64) {
        (window.from.as_second(), window.until.as_second())
    }

    #[test]
    fn a_half_knows_where_the_whole_ends_and_whom_it_is_for() {
        let half = first_half(&window(100, 1_100)).expect("long enough");
        let quarter = first_half(&half).expect("long enough");

        assert_eq!((span(&half), span(&quarter)), ((100, 600), (100, 350)));
        assert_eq!((quarter.whole_until, quarter.since), (Some(second(1_100)), Some(second(7))));
        assert!(half.next.is_none(), "a cursor is of another list");
    }

    #[test]
    fn the_pieces_after_it_overlap_and_grow() {
        let piece = Unfinished { whole_until: Some(second(1_100)), ..window(100, 350) };

        let next = rest(&piece).expect("more");
        let last = rest(&next).expect("more");

        assert_eq!((span(&next), span(&last)), ((349, 849), (848, 1_100)));
        assert_eq!((next.since, last.whole_until, rest(&last)), (Some(second(7)), None, None));
    }

    #[test]
    fn a_whole_window_has_no_rest_and_a_short_one_no_half() {
        assert_eq!(rest(&window(0, 100)), None);
        assert_eq!(first_half(&window(0, 3)), None);
        assert!(first_half(&window(0, 4)).is_some());
    }

    proptest! {
        #[test]
        fn all_updates_are_read_however_few_can_be_read_in_one_go(
            length in 1..20_000_000i64,
            updates in proptest::collection::vec(0..=20_000_000i64, 0..200),
            burst in proptest::collection::vec(0..2_000i64, 0..200),
            readable in 10..60usize,
        ) {
            // Seconds of updates, of which no two are the same; a part of them in a short time.
            let updates: std::collections::BTreeSet<i64> =
                updates.into_iter().chain(burst).filter(|at| *at <= length).collect();
            let mut read = std::collections::BTreeSet::new();
            let mut asked = window(0, length);
            let mut count = 0;
            loop {
                count += 1;
                prop_assert!(count < 5_000, "it ends");
                let (from, until) = span(&asked);
                prop_assert!(from < until && 0 <= from && until <= length);
                let found: Vec<i64> = updates.range(from..=until).copied().collect();
                if found.len() > readable {
                    asked = first_half(&asked).expect("few updates in few seconds");
                    continue;
                }
                read.extend(found);
                match rest(&asked) {
                    Some(rest) => {
                        prop_assert!(span(&rest).0 < until && until < span(&rest).1);
                        asked = rest;
                    }
                    None => {
                        prop_assert_eq!(until, length);
                        break;
                    }
                }
            }

            prop_assert_eq!(read, updates);
        }
    }
}
