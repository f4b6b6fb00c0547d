//! Whether this host's clock is right, as far as others tell.
//!
//! Minutes of the lake, orders of manifests and AWS's signatures all rest on it. Two kinds of others tell the time:
//! servers by the `Date` of their answers, to the second; and senders by the time inside a signed message, which may be
//! old (they repeat) but never of the future. A clock that is far off makes the process not ready; one that jumps is
//! said and counted.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use super::health::Health;
use super::metrics;

/// How far a server's clock may be from ours. AWS itself refuses what is signed 15 minutes off.
const SERVER_MAX: SignedDuration = SignedDuration::from_secs(60);
/// How far in the future a sender's time may be.
const SENDER_MAX: SignedDuration = SignedDuration::from_mins(5);
/// Voices that must agree: one alone may have a wrong clock of its own.
const VOICES: usize = 5;
/// How long a voice counts after the last one. A process that talks to AWS hears one every 15 seconds at least.
const VOICE_AGE_MAX: Duration = Duration::from_secs(60);
/// A step of the clock that is worth a word.
const JUMP_MIN: Duration = Duration::from_secs(2);
/// How often the clock is held against the one that never jumps.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The component in readiness.
const COMPONENT: &str = "clock";

static VOICES_HEARD: Mutex<Heard> = Mutex::new(Heard::new());

/// What was heard last; the newest replaces the oldest. Pure.
#[derive(Debug)]
struct Heard {
    /// How far their clocks are ahead of ours.
    servers: [SignedDuration; VOICES],
    senders: [SignedDuration; VOICES],
    next_server: usize,
    next_sender: usize,
    heard_at: Option<Instant>,
}

impl Heard {
    const fn new() -> Heard {
        Heard {
            servers: [SignedDuration::ZERO; VOICES],
            senders: [SignedDuration::ZERO; VOICES],
            next_server: 0,
            next_sender: 0,
            heard_at: None,
        }
    }

    /// What was heard long ago, or before the clock was set, tells nothing of now: a clock that is right again must not
    /// wait for traffic that does not come to a process that is not ready.
    fn forget_old(&mut self, now: Instant) {
        if self.heard_at.is_some_and(|at| now.saturating_duration_since(at) > VOICE_AGE_MAX) {
            *self = Heard::new();
        }
    }

    fn server(&mut self, ahead: SignedDuration, now: Instant) {
        self.heard_at = Some(now);
        self.servers[self.next_server] = ahead;
        self.next_server = (self.next_server + 1) % VOICES;
    }

    fn sender(&mut self, ahead: SignedDuration, now: Instant) {
        self.heard_at = Some(now);
        self.senders[self.next_sender] = ahead;
        self.next_sender = (self.next_sender + 1) % VOICES;
    }

    /// Why the clock cannot be right, if all of one kind say so.
    fn verdict(&self) -> Verdict {
        if let Some(ahead) = all(&self.servers, |ahead| *ahead > SERVER_MAX) {
            return Verdict::Off(format!(
                "this host's clock is {} behind the servers it talks to",
                whole(ahead)
            ));
        }
        if let Some(ahead) = all(&self.servers, |ahead| *ahead < -SERVER_MAX) {
            let by = whole(ahead.abs());
            return Verdict::Off(format!("this host's clock is {by} ahead of the servers it talks to"));
        }
        if let Some(ahead) = all(&self.senders, |ahead| *ahead > SENDER_MAX) {
            let by = whole(ahead);
            return Verdict::Doubtful(format!(
                "signed events come from {by} in the future: this host's clock is behind"
            ));
        }
        Verdict::Right
    }
}

/// What the voices say.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing against the clock.
    Right,
    /// The senders' word alone: theirs may be the wrong clock, and nobody is turned away for that.
    Doubtful(String),
    /// All servers agree.
    Off(String),
}

/// The one nearest to nothing, if all are beyond the limit.
fn all(voices: &[SignedDuration], is_off: impl Fn(&SignedDuration) -> bool) -> Option<SignedDuration> {
    voices.iter().all(is_off).then(|| voices.iter().copied().min_by_key(|voice| voice.abs()))?
}

fn whole(off: SignedDuration) -> String {
    format!("{} s", off.as_secs())
}

fn heard() -> MutexGuard<'static, Heard> {
    VOICES_HEARD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server's answer bore this time.
pub fn server_says(theirs: Timestamp) {
    heard().server(theirs.duration_since(Timestamp::now()), Instant::now());
}

/// A signed message bore this time, seconds since 1970, and came now.
pub fn sender_says(seconds: i64, arrived_at: Timestamp) {
    if let Ok(theirs) = Timestamp::from_second(seconds) {
        heard().sender(theirs.duration_since(arrived_at), Instant::now());
    }
}

/// Keeps readiness true about the clock, for as long as the runtime lives.
pub fn watch(health: Health) {
    tokio::spawn(async move {
        let mut steady = (Instant::now(), SystemTime::now());
        let mut tick = tokio::time::interval(LOOK_EVERY);
        loop {
            tick.tick().await;
            let now = (Instant::now(), SystemTime::now());
            let verdict = {
                let mut heard = heard();
                heard.forget_old(now.0);
                heard.verdict()
            };
            match verdict {
                Verdict::Right => health.set_ready(COMPONENT, Ok(())),
                Verdict::Doubtful(reason) => health.set_degraded(COMPONENT, &reason),
                Verdict::Off(reason) => health.set_ready(COMPONENT, Err(reason)),
            }
            if let Some((jump, is_back)) = jump(steady, now) {
                metrics::clock_jumped();
                *heard() = Heard::new();
                let seconds = jump.as_secs_f64();
                warn!(seconds, is_back, "this host's clock jumped: minutes follow it, nothing is lost by it");
            }
            steady = now;
        }
    });
}

/// How far the clock went away from the one that never jumps, if far.
fn jump(before: (Instant, SystemTime), now: (Instant, SystemTime)) -> Option<(Duration, bool)> {
    let passed = now.0.saturating_duration_since(before.0);
    let expected = before.1 + passed;
    let (jump, is_back) = match now.1.duration_since(expected) {
        Ok(ahead) => (ahead, false),
        Err(behind) => (behind.duration(), true),
    };
    (jump >= JUMP_MIN).then_some((jump, is_back))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    #[test]
    fn some_servers_with_another_time_prove_nothing_and_all_do() {
        let (mut heard, now) = (Heard::new(), Instant::now());
        for _ in 0..VOICES - 1 {
            heard.server(seconds(3_600), now);
            assert_eq!(heard.verdict(), Verdict::Right);
        }
        heard.server(seconds(3_700), now);
        assert!(matches!(heard.verdict(), Verdict::Off(reason) if reason.contains("3600 s behind")));

        heard.server(seconds(0), now);
        assert_eq!(heard.verdict(), Verdict::Right);
        for _ in 0..VOICES {
            heard.server(seconds(-120), now);
        }
        assert!(matches!(heard.verdict(), Verdict::Off(reason) if reason.contains("120 s ahead")));
    }

    #[test]
    fn old_events_are_usual_and_events_of_the_future_make_doubtful() {
        let (mut heard, now) = (Heard::new(), Instant::now());
        for _ in 0..VOICES {
            heard.sender(seconds(-3 * 24 * 3_600), now);
        }
        assert_eq!(heard.verdict(), Verdict::Right);
        for _ in 0..VOICES {
            heard.sender(seconds(400), now);
        }
        assert!(matches!(heard.verdict(), Verdict::Doubtful(_)));
    }

    #[test]
    fn a_verdict_does_not_outlive_its_voices() {
        let (mut heard, now) = (Heard::new(), Instant::now());
        for _ in 0..VOICES {
            heard.server(seconds(3_600), now);
        }

        heard.forget_old(now + VOICE_AGE_MAX);
        assert!(matches!(heard.verdict(), Verdict::Off(_)));
        heard.forget_old(now + VOICE_AGE_MAX + Duration::from_secs(1));
        assert_eq!(heard.verdict(), Verdict::Right);
    }

    #[test]
    fn a_jump_is_what_the_steady_clock_did_not_do() {
        let begin = (Instant::now(), SystemTime::now());
        let after = |steady: u64, wall: i64| {
            let moved = Duration::from_secs(wall.unsigned_abs());
            let wall = if wall < 0 { begin.1 - moved } else { begin.1 + moved };
            jump(begin, (begin.0 + Duration::from_secs(steady), wall))
        };

        assert_eq!(after(1, 1), None);
        assert_eq!(after(300, 301), None, "a machine that slept");
        assert_eq!(after(1, 3_601), Some((Duration::from_secs(3_600), false)));
        assert_eq!(after(1, -3_599), Some((Duration::from_secs(3_600), true)));
    }
}
