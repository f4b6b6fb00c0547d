//! One connection: its deadlines, and how it ends.
//!
//! hyper's own timer for heads begins when the previous request ends, so it cannot tell a silent connection, which
//! load balancers keep open for a minute, from a head that trickles. Therefore the stream is watched here: silence
//! has its own, longer limit, and a head's time begins with its first byte.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// After the listener is closed, a request that is on its way, or whose head has begun, gets this long.
const CLOSING_GRACE: Duration = Duration::from_secs(1);

/// After an early refusal: how long, and how much, to read on. Closing on unread bytes would reset the connection,
/// and the client might never see the answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Linger {
    pub(super) time: Duration,
    pub(super) bytes: usize,
}

/// On a connection that we serve.
const LINGER: Linger = Linger { time: Duration::from_secs(2), bytes: 1024 * 1024 };

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing came yet.
    New = 3,
    /// Between requests.
    Silent = 0,
    /// A head has begun.
    Head = 1,
    /// A request is at work.
    Work = 2,
}

/// What the stream and the service tell about a connection; read by its watchdog.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    /// The phase in the low two bits; above, since when: milliseconds after `opened`.
    state: AtomicU64,
    leaves_unread: AtomicBool,
    has_ended: AtomicBool,
    /// A request came on it: it may be silent for as long as load balancers keep theirs.
    is_known: AtomicBool,
}

impl Activity {
    pub(super) fn new(opened: Instant) -> Self {
        Activity {
            opened,
            state: AtomicU64::new(Phase::Silent as u64),
            leaves_unread: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            is_known: AtomicBool::new(false),
        }
    }

    /// The phase, and since when.
    pub(super) fn phase(&self) -> (Phase, Instant) {
        let state = self.state.load(Ordering::Relaxed);
        let phase = match state & 3 {
            0 if !self.is_known.load(Ordering::Relaxed) => Phase::New,
            0 => Phase::Silent,
            1 => Phase::Head,
            _ => Phase::Work,
        };
        (phase, self.opened + Duration::from_millis(state >> 2))
    }

    fn enter(&self, phase: Phase) {
        let millis = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(0);
        self.state.store((millis << 2) | phase as u64, Ordering::Relaxed);
    }

    /// The service got a request.
    pub(super) fn request_begins(&self) {
        self.is_known.store(true, Ordering::Relaxed);
        self.leaves_unread.store(false, Ordering::Relaxed);
        self.enter(Phase::Work);
    }

    /// The service gave its answer. `leaves_unread`: some of the request may still be on the wire.
    pub(super) fn request_ends(&self, leaves_unread: bool) {
        self.leaves_unread.store(leaves_unread, Ordering::Relaxed);
        self.enter(Phase::Silent);
    }

    fn bytes_arrived(&self) {
        if matches!(self.phase().0, Phase::New | Phase::Silent) {
            self.enter(Phase::Head);
        }
    }

    /// Would closing now reset the connection before the client has read the answer?
    fn must_linger(&self) -> bool {
        let is_refused = self.leaves_unread.load(Ordering::Relaxed) || self.phase().0 == Phase::Head;
        is_refused && !self.has_ended.load(Ordering::Relaxed)
    }
}

/// How long a connection may be silent, and a head take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    /// Between requests.
    pub(super) silence: Duration,
    /// From a head's first byte.
    pub(super) head: Duration,
}

/// What the watchdog says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Look again then. Whatever begins in the meantime cannot be due earlier.
    Wait(Instant),
    /// Close it: nobody is talking.
    Silent,
    /// Close it: the head takes too long.
    HeadTooSlow,
    /// Close it: we are about to end, and its head has only begun.
    HeadTooLate,
}

impl Deadlines {
    /// Judges a connection that has been in this phase since then. `closing_at`: when the listener was closed.
    pub(super) fn judge(
        &self,
        (phase, since): (Phase, Instant),
        now: Instant,
        closing_at: Option<Instant>,
    ) -> Verdict {
        let (limit, verdict) = match phase {
            // Whoever connects has something to say.
            Phase::New => (self.head.min(self.silence), Verdict::Silent),
            Phase::Silent => (self.silence, Verdict::Silent),
            Phase::Head => (self.head, Verdict::HeadTooSlow),
            // Its steps have deadlines of their own.
            Phase::Work => return Verdict::Wait(now + self.head.min(self.silence)),
        };
        let due = since + limit;
        if due <= now {
            return verdict;
        }
        let closes = closing_at.map_or(due, |closing_at| closing_at + CLOSING_GRACE);
        if closes <= now {
            return if phase == Phase::Head { Verdict::HeadTooLate } else { verdict };
        }
        Verdict::Wait(due.min(closes).min(now + self.head.min(self.silence)))
    }
}

/// A stream that tells what happens on it, and reads on for a while before it closes on a client that still sends.
#[derive(Debug)]
pub(super) struct Watched {
    stream: TcpStream,
    activity: Arc<Activity>,
    linger: Linger,
    lingering: Option<Lingering>,
}

#[derive(Debug)]
struct Lingering {
    until: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        Watched { stream, activity, linger: LINGER, lingering: None }
    }

    /// A stream whose request nobody will read: what is left is to close it.
    pub(super) fn refused(stream: TcpStream, linger: Linger) -> Self {
        let activity = Activity::new(Instant::now());
        activity.request_ends(true);
        Watched { stream, activity: Arc::new(activity), linger, lingering: None }
    }

    /// The stream itself.
    pub(super) fn into_inner(self) -> TcpStream {
        self.stream
    }
}

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let has_room = buf.remaining() > 0;
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            this.activity.bytes_arrived();
        } else if has_room {
            this.activity.has_ended.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.activity.must_linger() {
                return Poll::Ready(Ok(()));
            }
        }
        let linger = this.linger;
        let lingering = this.lingering.get_or_insert_with(|| Lingering {
            until: Box::pin(tokio::time::sleep(linger.time)),
            bytes_left: linger.bytes,
        });
        let mut scratch = [0; 8 * 1024];
        while lingering.bytes_left > 0 && lingering.until.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut scratch);
            let outcome = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf));
            let read = buf.filled().len();
            if outcome.is_err() || read == 0 {
                break;
            }
            lingering.bytes_left = lingering.bytes_left.saturating_sub(read);
        }
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINES: Deadlines =
        Deadlines { silence: Duration::from_secs(75), head: Duration::from_secs(10) };

    fn after(opened: Instant, seconds: u64) -> Instant {
        opened + Duration::from_secs(seconds)
    }

    #[test]
    fn silence_is_borne_for_longer_than_load_balancers_hold_a_connection() {
        let opened = Instant::now();
        let judge = |seconds| DEADLINES.judge((Phase::Silent, opened), after(opened, seconds), None);

        assert_eq!(judge(61), Verdict::Wait(after(opened, 71)));
        assert_eq!(judge(74), Verdict::Wait(after(opened, 75)));
        assert_eq!(judge(75), Verdict::Silent);
    }

    #[test]
    fn a_head_has_its_time_from_its_first_byte() {
        let opened = Instant::now();
        let judge = |seconds| DEADLINES.judge((Phase::Head, after(opened, 60)), after(opened, seconds), None);

        assert_eq!(judge(69), Verdict::Wait(after(opened, 70)));
        assert_eq!(judge(70), Verdict::HeadTooSlow);
    }

    #[test]
    fn no_head_can_be_due_before_the_next_look() {
        let opened = Instant::now();
        let Verdict::Wait(next) = DEADLINES.judge((Phase::Silent, opened), after(opened, 5), None) else {
            panic!("a silent connection is borne");
        };

        // A head that begins right after the look.
        assert!(next <= after(opened, 5) + DEADLINES.head);
    }

    #[test]
    fn work_is_left_alone() {
        let opened = Instant::now();
        let verdict = DEADLINES.judge((Phase::Work, opened), after(opened, 600), Some(opened));

        assert_eq!(verdict, Verdict::Wait(after(opened, 610)));
    }

    #[test]
    fn who_never_said_anything_has_the_time_of_a_head() {
        let opened = Instant::now();
        let judge = |phase, seconds| DEADLINES.judge((phase, opened), after(opened, seconds), None);
        let head = DEADLINES.head.as_secs();

        assert_eq!(judge(Phase::New, head), Verdict::Silent);
        assert!(matches!(judge(Phase::Silent, head), Verdict::Wait(_)));
    }

    #[test]
    fn closing_shortens_what_has_not_begun_to_work() {
        let opened = Instant::now();
        let closing_at = Some(after(opened, 3));

        for (phase, verdict) in [(Phase::Silent, Verdict::Silent), (Phase::Head, Verdict::HeadTooLate)] {
            let judge = |seconds| DEADLINES.judge((phase, opened), after(opened, seconds), closing_at);

            assert_eq!(judge(3), Verdict::Wait(after(opened, 4)));
            assert_eq!(judge(4), verdict);
        }
    }

    #[test]
    fn phases_follow_bytes_and_requests() {
        let activity = Activity::new(Instant::now());
        assert_eq!(activity.phase().0, Phase::New);

        activity.bytes_arrived();
        assert_eq!(activity.phase().0, Phase::Head);
        assert!(activity.must_linger());

        activity.request_begins();
        activity.bytes_arrived();
        assert_eq!(activity.phase().0, Phase::Work);

        activity.request_ends(false);
        assert_eq!(activity.phase().0, Phase::Silent);
        assert!(!activity.must_linger());

        activity.request_ends(true);
        assert!(activity.must_linger());
    }
}
