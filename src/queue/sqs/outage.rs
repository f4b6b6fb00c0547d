//! Whether sending works, as far as the last sends tell. Asking for attributes succeeds while every send is denied,
//! throttled, or stopped by a key; only a send can tell, so after a failure readiness comes back no sooner than a
//! hold-off that grows from failure to failure, and then real messages are the test.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const HOLD_OFF_FIRST: Duration = Duration::from_secs(2);
const HOLD_OFF_MAX: Duration = Duration::from_secs(30);

/// What the last sends tell.
#[derive(Debug, Default)]
pub(super) struct Outage {
    failing: Mutex<Option<Failing>>,
}

#[derive(Debug)]
struct Failing {
    reason: String,
    hold_off: Duration,
    until: Instant,
}

impl Outage {
    /// A message was stored.
    pub(super) fn sent(&self) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A message was not stored, for no fault of its own.
    pub(super) fn failed(&self, reason: &str, now: Instant) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let hold_off = match &*failing {
            // Others of the same moment.
            Some(known) if now < known.until => return,
            Some(known) => (known.hold_off * 2).min(HOLD_OFF_MAX),
            None => HOLD_OFF_FIRST,
        };
        *failing = Some(Failing { reason: reason.to_owned(), hold_off, until: now + hold_off });
    }

    /// Is it time for another try? If not, why.
    pub(super) fn verdict(&self, now: Instant) -> Result<(), String> {
        match &*self.failing.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(failing) if now < failing.until => Err(failing.reason.clone()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hold_offs_grow_until_a_message_is_stored() {
        let outage = Outage::default();
        let mut now = Instant::now();
        assert_eq!(outage.verdict(now), Ok(()));

        let mut waits = Vec::new();
        for _ in 0..6 {
            outage.failed("denied", now);
            outage.failed("of the same moment", now);
            let began = now;
            while let Err(reason) = outage.verdict(now) {
                assert_eq!(reason, "denied");
                now += Duration::from_millis(500);
            }
            waits.push((now - began).as_secs());
        }
        assert_eq!(waits, [2, 4, 8, 16, 30, 30]);

        outage.sent();
        outage.failed("denied", now);
        assert!(outage.verdict(now + Duration::from_millis(1_999)).is_err());
        assert!(outage.verdict(now + Duration::from_secs(2)).is_ok());
    }
}
