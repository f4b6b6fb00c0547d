//! How long to wait before trying again.

use std::time::Duration;

/// Waits that grow twofold up to a limit, each drawn at random between nothing and its limit ("full jitter"), so
/// that many who failed together do not come back together.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    ceiling: Duration,
    max: Duration,
}

impl Backoff {
    /// The first wait is at most `first`, none is longer than `max`.
    pub fn new(first: Duration, max: Duration) -> Self {
        let first = first.min(max);
        Backoff { first, ceiling: first, max }
    }

    /// How long to wait now; the next limit is twice as high.
    #[expect(
        clippy::should_implement_trait,
        reason = "waits never end, an iterator's Option would only be in the way"
    )]
    pub fn next(&mut self) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = ceiling.saturating_mul(2).min(self.max);
        ceiling.mul_f64(fastrand::f64())
    }

    /// Begins again with short waits, after a success.
    pub fn reset(&mut self) {
        self.ceiling = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_below_a_limit_that_doubles_up_to_the_maximum() {
        for _ in 0..100 {
            let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));

            for limit in [100, 200, 350, 350] {
                assert!(backoff.next() <= Duration::from_millis(limit));
            }
        }
    }

    #[test]
    fn a_success_makes_the_waits_short_again() {
        let mut backoff = Backoff::new(Duration::from_millis(1), Duration::from_secs(60));
        for _ in 0..20 {
            backoff.next();
        }

        backoff.reset();

        assert!(backoff.next() <= Duration::from_millis(1));
    }

    #[test]
    fn waits_differ() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(1));

        let first = backoff.next();

        assert!((0..50).any(|_| backoff.next() != first));
    }
}
