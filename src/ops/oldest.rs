//! How old the oldest thing is that waits somewhere: each place notes its own, and the metric shows the oldest of all.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::metrics;

/// What is in the lake and not in the warehouse.
pub const LANDED: &str = "landed";

static WAITING: Mutex<BTreeMap<&'static str, Timestamp>> = Mutex::new(BTreeMap::new());

fn waiting() -> MutexGuard<'static, BTreeMap<&'static str, Timestamp>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The oldest thing in `place` has waited since then; `None`: nothing waits there.
pub fn waits(place: &'static str, since: Option<Timestamp>) {
    match since {
        Some(since) => waiting().insert(place, since),
        None => waiting().remove(place),
    };
}

/// Something that came to `place` has waited since then; what waits there longer stays the oldest.
pub fn waits_too(place: &'static str, since: Timestamp) {
    waiting().entry(place).and_modify(|known| *known = since.min(*known)).or_insert(since);
}

/// Takes away what is noted of `place`, to be noted again if it still waits.
pub fn take(place: &'static str) -> Option<Timestamp> {
    waiting().remove(place)
}

/// How long the oldest thing of all places has waited.
pub fn age(now: Timestamp) -> Duration {
    let oldest = waiting().values().min().copied();
    oldest.map_or(Duration::ZERO, |since| Duration::try_from(now.duration_since(since)).unwrap_or_default())
}

/// Shows it.
pub fn show(now: Timestamp) {
    metrics::freshness_oldest(age(now));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test: the notes are the process's.
    #[test]
    fn the_oldest_of_all_places_counts() {
        let at = |second: i64| Timestamp::from_second(1_783_555_200 + second).expect("an instant");
        assert_eq!(age(at(100)), Duration::ZERO);

        waits("a", Some(at(50)));
        waits_too("b", at(70));
        waits_too("b", at(20));
        waits_too("b", at(90));
        assert_eq!(age(at(100)), Duration::from_secs(80));

        assert_eq!(take("b"), Some(at(20)));
        assert_eq!(age(at(100)), Duration::from_secs(50));
        waits("a", None);
        assert_eq!(age(at(100)), Duration::ZERO);
        // A clock that was set back is no debt.
        waits("a", Some(at(200)));
        assert_eq!(age(at(100)), Duration::ZERO);
        waits("a", None);
    }
}
