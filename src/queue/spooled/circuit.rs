//! Whether it is worth asking SQS. Pure: time comes in as an argument.
//!
//! Closed: every send asks. Open, after a failure: none does, and all go to the spool. The forwarder alone tries again
//! when a hold-off is over (half open), so that no live request waits for an answer that does not come. What it is
//! told closes the circuit, or opens it for twice as long.

use std::time::Duration;

use tokio::time::Instant;

const HOLD_OFF_FIRST: Duration = Duration::from_secs(1);
const HOLD_OFF_MAX: Duration = Duration::from_secs(30);

/// The circuit.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    reason: String,
    hold_off: Duration,
    until: Instant,
}

impl Circuit {
    /// SQS took a message.
    pub(super) fn succeeded(&mut self) {
        self.open = None;
    }

    /// SQS did not take a message, for no fault of the message.
    pub(super) fn failed(&mut self, reason: &str, now: Instant) {
        let hold_off = match &self.open {
            // Others of the same outage, who had asked before it was noticed.
            Some(open) if now < open.until => return,
            Some(open) => (open.hold_off * 2).min(HOLD_OFF_MAX),
            None => HOLD_OFF_FIRST,
        };
        self.open = Some(Open { reason: reason.to_owned(), hold_off, until: now + hold_off });
    }

    /// Why nobody asks, if so.
    pub(super) fn reason(&self) -> Option<&str> {
        self.open.as_ref().map(|open| open.reason.as_str())
    }

    /// While it is open: when to try again.
    pub(super) fn next_try(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hold_offs_double_until_a_try_succeeds() {
        let mut circuit = Circuit::default();
        let mut now = Instant::now();
        assert_eq!((circuit.reason(), circuit.next_try()), (None, None));

        let mut waits = Vec::new();
        for _ in 0..7 {
            circuit.failed("away", now);
            circuit.failed("of the same moment", now);
            assert_eq!(circuit.reason(), Some("away"));
            let next = circuit.next_try().expect("it is open");
            waits.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);

        circuit.succeeded();
        assert_eq!((circuit.reason(), circuit.next_try()), (None, None));
        circuit.failed("away again", now);
        assert_eq!(circuit.next_try(), Some(now + Duration::from_secs(1)));
    }
}
