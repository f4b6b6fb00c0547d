//! How many calls may be under way, and how long messages wait for theirs.
//!
//! SQS that throttles takes fewer calls, not more of the same: the number under way is halved when it pushes back, and
//! grows again, call by call, while it does not. What then waits longer than it may is refused at once by those who
//! bring more: an answer now is worth more than one that comes when nobody listens.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Pushbacks of one moment count once.
const CUT_EVERY: Duration = Duration::from_millis(100);
/// A shorter line is never too long: the messages of two or three calls.
const LINE_MIN: usize = 30;
/// A line whose first message waits for less is only a burst.
const PRESSED_FROM: Duration = Duration::from_millis(20);

/// The number of calls. Pure: time comes in as an argument.
#[derive(Debug)]
struct Window {
    max: f64,
    limit: f64,
    under_way: usize,
    cut_at: Option<Instant>,
}

impl Window {
    fn new(max: usize) -> Window {
        let max = max.max(1) as f64;
        Window { max, limit: max, under_way: 0, cut_at: None }
    }

    fn enter(&mut self) -> bool {
        let has_room = (self.under_way as f64) < self.limit.floor();
        self.under_way += usize::from(has_room);
        has_room
    }

    fn leave(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    fn went_well(&mut self) {
        self.limit = (self.limit + 1.0 / self.limit).min(self.max);
    }

    fn pushed_back(&mut self, now: Instant) {
        if self.cut_at.is_none_or(|at| now.saturating_duration_since(at) >= CUT_EVERY) {
            self.cut_at = Some(now);
            self.limit = (self.limit / 2.0).max(1.0);
        }
    }
}

/// Messages taken from the line in the time before now. Pure.
#[derive(Debug)]
struct Drain {
    span: Duration,
    began: Instant,
    before: usize,
    now: usize,
}

impl Drain {
    fn new(span: Duration, now: Instant) -> Drain {
        Drain { span, began: now, before: 0, now: 0 }
    }

    fn roll(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.began);
        if passed < self.span {
            return;
        }
        self.before = if passed < self.span * 2 { self.now } else { 0 };
        self.now = 0;
        self.began = if passed < self.span * 2 { self.began + self.span } else { now };
    }

    fn add(&mut self, messages: usize, now: Instant) {
        self.roll(now);
        self.now += messages;
    }

    /// Of one span, the one that ends now.
    fn recent(&mut self, now: Instant) -> usize {
        self.roll(now);
        let passed = now.saturating_duration_since(self.began).as_secs_f64() / self.span.as_secs_f64();
        self.now + (self.before as f64 * (1.0 - passed.min(1.0))) as usize
    }
}

/// The window, shared by all calls.
#[derive(Debug)]
struct Shared {
    window: Mutex<Window>,
    left: Notify,
    /// Batches that were pushed back and want another call: they go before new ones, the oldest first.
    again: AtomicUsize,
    turnstile: tokio::sync::Mutex<()>,
}

impl Shared {
    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The window, and how long the line before it is.
#[derive(Debug)]
pub(super) struct Pace {
    shared: Arc<Shared>,
    began: Instant,
    /// How long the message that was taken last had waited, microseconds.
    waited: AtomicU64,
    /// When that was, microseconds after `began`.
    taken_at: AtomicU64,
    drain: Mutex<Drain>,
}

/// A call under way, until dropped.
#[derive(Debug)]
pub(super) struct Slot(Arc<Shared>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.window().leave();
        self.0.left.notify_waiters();
    }
}

/// One batch that waits for another call.
struct Again<'a>(&'a Shared);

impl Again<'_> {
    fn one_more(shared: &Shared) -> Again<'_> {
        shared.again.fetch_add(1, Ordering::Relaxed);
        Again(shared)
    }
}

impl Drop for Again<'_> {
    fn drop(&mut self) {
        self.0.again.fetch_sub(1, Ordering::Relaxed);
        self.0.left.notify_waiters();
    }
}

impl Pace {
    /// `calls_max`: under way at once. `wait_max`: how long a message should wait for its call.
    pub(super) fn new(calls_max: usize, wait_max: Duration) -> Pace {
        Pace {
            shared: Arc::new(Shared {
                window: Mutex::new(Window::new(calls_max)),
                left: Notify::new(),
                again: AtomicUsize::new(0),
                turnstile: tokio::sync::Mutex::default(),
            }),
            began: Instant::now(),
            waited: AtomicU64::new(0),
            taken_at: AtomicU64::new(0),
            drain: Mutex::new(Drain::new(wait_max, Instant::now())),
        }
    }

    /// Waits until a call of a new batch may begin. For one caller at a time.
    pub(super) async fn slot(&self) -> Slot {
        self.slot_when(|| self.shared.again.load(Ordering::Relaxed) == 0).await
    }

    /// Gives up a slot, and waits for another one in the order of those who do.
    pub(super) async fn slot_again(&self, slot: Slot) -> Slot {
        let waiting = Again::one_more(&self.shared);
        drop(slot);
        let _turn = self.shared.turnstile.lock().await;
        let slot = self.slot_when(|| true).await;
        drop(waiting);
        slot
    }

    async fn slot_when(&self, may_enter: impl Fn() -> bool) -> Slot {
        loop {
            let left = self.shared.left.notified();
            if may_enter() && self.shared.window().enter() {
                return Slot(Arc::clone(&self.shared));
            }
            left.await;
        }
    }

    /// A call did something.
    pub(super) fn went_well(&self) {
        self.shared.window().went_well();
        self.shared.left.notify_waiters();
    }

    /// A call failed, and not for a fault of its messages.
    pub(super) fn pushed_back(&self, now: Instant) {
        self.shared.window().pushed_back(now);
    }

    /// A message comes and nobody is before it.
    pub(super) fn line_begins(&self, now: Instant) {
        self.taken(now, now);
    }

    /// The first message of the line is taken.
    pub(super) fn taken(&self, queued_at: Instant, now: Instant) {
        self.waited.store(micros(now.saturating_duration_since(queued_at)), Ordering::Relaxed);
        self.taken_at.store(micros(now.saturating_duration_since(self.began)), Ordering::Relaxed);
    }

    /// So many messages have left the line.
    pub(super) fn drained(&self, messages: usize, now: Instant) {
        self.drain.lock().unwrap_or_else(PoisonError::into_inner).add(messages, now);
    }

    /// Whether one more behind a line of so many would wait too long: the line is longer than what was taken from it
    /// in the time that a message should wait. What is not pushed back at all has no line to speak of.
    pub(super) fn is_too_long(&self, line: usize, now: Instant) -> bool {
        if line <= LINE_MIN || self.wait(now) < PRESSED_FROM {
            return false;
        }
        line > self.drain.lock().unwrap_or_else(PoisonError::into_inner).recent(now)
    }

    /// About how long the line's first message has waited, when there is a line.
    fn wait(&self, now: Instant) -> Duration {
        let since = micros(now.saturating_duration_since(self.began));
        let idle = since.saturating_sub(self.taken_at.load(Ordering::Relaxed));
        Duration::from_micros(idle.max(self.waited.load(Ordering::Relaxed)))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_halved_when_pushed_back_and_grow_while_not() {
        let mut window = Window::new(64);
        let now = Instant::now();
        window.pushed_back(now);
        window.pushed_back(now + Duration::from_millis(99));
        assert_eq!(window.limit, 32.0);
        for step in 1..20 {
            window.pushed_back(now + CUT_EVERY * step);
        }
        assert_eq!(window.limit, 1.0);

        assert!(window.enter() && !window.enter());
        window.leave();
        let mut calls = 0;
        while window.limit < 64.0 {
            window.went_well();
            calls += 1;
            assert!(calls < 10_000);
        }
        assert!((1_000..4_000).contains(&calls), "{calls} calls to come back");
        assert_eq!((0..100).filter(|_| window.enter()).count(), 64);
    }

    #[tokio::test]
    async fn a_slot_comes_free_with_its_call() {
        let pace = Pace::new(1, Duration::from_millis(150));
        let first = pace.slot().await;
        assert!(tokio::time::timeout(Duration::from_millis(5), pace.slot()).await.is_err());
        drop(first);

        let again = tokio::time::timeout(Duration::from_secs(30), pace.slot()).await;

        assert!(again.is_ok());
    }

    #[tokio::test]
    async fn who_was_pushed_back_goes_before_who_is_new() {
        let pace = Arc::new(Pace::new(2, Duration::from_millis(150)));
        let (first, second) = (pace.slot().await, pace.slot().await);
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = Vec::new();
        for (name, held) in [("new", None), ("pushed back", Some(first))] {
            let (pace, order) = (Arc::clone(&pace), Arc::clone(&order));
            waiting.push(tokio::spawn(async move {
                let slot = match held {
                    None => pace.slot().await,
                    Some(held) => {
                        pace.pushed_back(Instant::now());
                        pace.slot_again(held).await
                    }
                };
                order.lock().expect("whole").push(name);
                drop(slot);
            }));
        }
        while pace.shared.again.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        drop(second);
        for one in waiting {
            one.await.expect("it gets its slot");
        }

        assert_eq!(*order.lock().expect("whole"), ["pushed back", "new"]);
    }

    #[test]
    fn a_line_may_be_as_long_as_what_left_it_lately() {
        let pace = Pace::new(1, Duration::from_millis(150));
        let mut now = Instant::now() + Duration::from_secs(1);
        // 500 a second, for long.
        for _ in 0..100 {
            now += Duration::from_millis(20);
            pace.taken(now - Duration::from_millis(100), now);
            pace.drained(10, now);
        }

        assert!(!pace.is_too_long(60, now) && pace.is_too_long(90, now));
        assert!(!pace.is_too_long(LINE_MIN, now + Duration::from_secs(9)), "a few may always wait");
        assert!(pace.is_too_long(31, now + Duration::from_secs(9)), "nothing moves any more");
        pace.line_begins(now);
        assert!(!pace.is_too_long(4_000, now + Duration::from_millis(10)), "a burst");
    }

    #[test]
    fn a_line_that_does_not_move_waits_longer_and_longer() {
        let pace = Pace::new(1, Duration::from_millis(150));
        let now = Instant::now();
        pace.taken(now, now + Duration::from_millis(30));

        assert!(pace.wait(now + Duration::from_millis(31)) >= Duration::from_millis(30));
        assert!(pace.wait(now + Duration::from_millis(900)) >= Duration::from_millis(800));
    }
}
