//! What the stand-in does wrong on purpose, and how often it was asked for what.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An operation of SQS or S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// SQS.
    CreateQueue,
    /// SQS.
    GetQueueUrl,
    /// SQS.
    GetQueueAttributes,
    /// SQS.
    ListQueues,
    /// SQS.
    PurgeQueue,
    /// SQS.
    SendMessage,
    /// SQS.
    SendMessageBatch,
    /// SQS.
    ReceiveMessage,
    /// SQS.
    DeleteMessage,
    /// SQS.
    DeleteMessageBatch,
    /// SQS.
    ChangeMessageVisibility,
    /// SQS.
    ChangeMessageVisibilityBatch,
    /// S3; the first of its operations, see [`Op::is_s3`].
    CreateBucket,
    /// S3.
    HeadBucket,
    /// S3.
    ListObjectsV2,
    /// S3.
    PutObject,
    /// S3.
    GetObject,
    /// S3.
    HeadObject,
    /// S3; the last of all, see [`Op::COUNT`].
    DeleteObject,
}

impl Op {
    const COUNT: usize = Op::DeleteObject as usize + 1;

    /// The SQS operation that `x-amz-target` names.
    pub(super) fn of_sqs(name: &str) -> Option<Op> {
        Some(match name {
            "CreateQueue" => Op::CreateQueue,
            "GetQueueUrl" => Op::GetQueueUrl,
            "GetQueueAttributes" => Op::GetQueueAttributes,
            "ListQueues" => Op::ListQueues,
            "PurgeQueue" => Op::PurgeQueue,
            "SendMessage" => Op::SendMessage,
            "SendMessageBatch" => Op::SendMessageBatch,
            "ReceiveMessage" => Op::ReceiveMessage,
            "DeleteMessage" => Op::DeleteMessage,
            "DeleteMessageBatch" => Op::DeleteMessageBatch,
            "ChangeMessageVisibility" => Op::ChangeMessageVisibility,
            "ChangeMessageVisibilityBatch" => Op::ChangeMessageVisibilityBatch,
            _ => return None,
        })
    }

    /// Whether it belongs to S3.
    pub(super) fn is_s3(self) -> bool {
        self as usize >= Op::CreateBucket as usize
    }

    fn is_batch(self) -> bool {
        matches!(self, Op::SendMessageBatch | Op::DeleteMessageBatch | Op::ChangeMessageVisibilityBatch)
    }
}

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done; this status is answered, 400 to 599.
    Status(u16),
    /// Nothing is done; the answer is the service's own throttling.
    Throttle,
    /// The first so many entries of a batch call are not done and reported as failed, inside a 200.
    FailEntries(usize),
    /// The first so many entries of a batch call are not done and not mentioned, inside a 200.
    DropEntries(usize),
    /// Everything is done, then the connection is closed without an answer.
    DropAnswerAfterDoing,
    /// Nothing is done and nothing answered until the client gives up.
    Blackhole,
    /// Everything is done, and answered this much later than usual.
    Slow(Duration),
    /// PutObject only: nothing is done; S3's answer to two conditional puts that met.
    Conflict409,
    /// PutObject only: the object is there, and the answer is 503.
    WriteThen503,
    /// PutObject only: the object is there, and the answer is 412: an earlier answer was lost on its way.
    WriteThen412,
    /// GetObject only: the connection ends in the middle of the body.
    CutBody,
    /// ReceiveMessage only: messages are leased, and the answer says that there are none.
    LoseReceived,
    /// ReceiveMessage only: what is answered is not hidden from anybody, so that it comes again at once.
    DeliverTwice,
}

impl Fault {
    fn suits(self, op: Op) -> bool {
        match self {
            Fault::Status(status) => (400..600).contains(&status),
            Fault::FailEntries(count) | Fault::DropEntries(count) => op.is_batch() && count > 0,
            Fault::Conflict409 | Fault::WriteThen503 | Fault::WriteThen412 => op == Op::PutObject,
            Fault::CutBody => op == Op::GetObject,
            Fault::LoseReceived | Fault::DeliverTwice => op == Op::ReceiveMessage,
            Fault::Throttle | Fault::DropAnswerAfterDoing | Fault::Blackhole | Fault::Slow(_) => true,
        }
    }
}

#[derive(Debug)]
struct Rule {
    op: Op,
    fault: Fault,
    left: AtomicU64,
    fired: AtomicU64,
}

/// A rule that was armed: whether what it threatens has happened.
#[derive(Debug, Clone)]
pub struct Armed(Arc<Rule>);

impl Armed {
    /// How many requests it has spoilt.
    pub fn fired(&self) -> u64 {
        self.0.fired.load(Ordering::SeqCst)
    }

    /// Whether it has spoilt as many as it was armed for.
    pub fn is_spent(&self) -> bool {
        self.0.left.load(Ordering::SeqCst) == 0
    }
}

/// The faults to come, and the delay of every answer. Changed at any time, from any thread.
#[derive(Debug, Default)]
pub struct Faults {
    latency_nanos: AtomicU64,
    rules: Mutex<Vec<Arc<Rule>>>,
    /// Messages a second that sending takes; the others are throttled.
    send_rate: Mutex<Option<Bucket>>,
}

/// A token bucket that holds a tenth of a second's worth.
#[derive(Debug)]
struct Bucket {
    per_second: f64,
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    fn take(&mut self, messages: usize, now: Instant) -> bool {
        let most = (self.per_second / 10.0).max(10.0);
        let fresh = now.saturating_duration_since(self.filled_at).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + fresh).min(most);
        self.filled_at = now;
        // Into debt for a batch, so that large batches are not throttled for ever.
        let is_free = self.tokens > 0.0;
        if is_free {
            self.tokens -= messages as f64;
        }
        is_free
    }
}

impl Faults {
    /// Lets `fault` happen to the next `times` requests of `op`. Of several rules the oldest goes first, and one
    /// request meets one rule.
    ///
    /// Panics on a fault that the operation cannot have: a test of it would prove nothing.
    pub fn arm(&self, op: Op, fault: Fault, times: u64) -> Armed {
        assert!(fault.suits(op) && times > 0, "{fault:?} cannot happen to {op:?} {times} times");
        let rule = Arc::new(Rule { op, fault, left: AtomicU64::new(times), fired: AtomicU64::new(0) });
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&rule));
        Armed(rule)
    }

    /// Forgets all rules that are still armed; the delay stays.
    pub fn disarm_all(&self) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Delays every answer, each for itself.
    pub fn set_latency(&self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.latency_nanos.store(nanos, Ordering::SeqCst);
    }

    /// Throttles sends beyond so many messages a second; `None`: takes all.
    pub fn set_send_rate(&self, per_second: Option<f64>) {
        let bucket =
            per_second.map(|per_second| Bucket { per_second, tokens: 0.0, filled_at: Instant::now() });
        *self.send_rate.lock().unwrap_or_else(PoisonError::into_inner) = bucket;
    }

    /// Whether a send of so many messages is within the rate.
    pub(super) fn may_send(&self, messages: usize) -> bool {
        let mut rate = self.send_rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.as_mut().is_none_or(|bucket| bucket.take(messages, Instant::now()))
    }

    pub(super) fn latency(&self) -> Duration {
        Duration::from_nanos(self.latency_nanos.load(Ordering::SeqCst))
    }

    /// What happens to this request.
    pub(super) fn take(&self, op: Op) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let index = rules.iter().position(|rule| rule.op == op)?;
        let rule = Arc::clone(&rules[index]);
        rule.fired.fetch_add(1, Ordering::SeqCst);
        if rule.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            rules.remove(index);
        }
        Some(rule.fault)
    }
}

/// Requests that came, spoilt ones included.
#[derive(Debug, Default)]
pub(super) struct Calls([AtomicU64; Op::COUNT]);

impl Calls {
    pub(super) fn count(&self, op: Op) {
        self.0[op as usize].fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn of(&self, op: Op) -> u64 {
        self.0[op as usize].load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_fires_as_often_as_armed_and_only_for_its_operation() {
        let faults = Faults::default();

        let armed = faults.arm(Op::PutObject, Fault::Status(503), 2);

        assert_eq!(faults.take(Op::GetObject), None);
        assert_eq!(faults.take(Op::PutObject), Some(Fault::Status(503)));
        assert!(!armed.is_spent());
        assert_eq!(faults.take(Op::PutObject), Some(Fault::Status(503)));
        assert_eq!(faults.take(Op::PutObject), None);
        assert!(armed.is_spent());
        assert_eq!(armed.fired(), 2);
    }

    #[test]
    fn a_rate_lets_its_share_through_and_no_more() {
        let mut bucket = Bucket { per_second: 500.0, tokens: 0.0, filled_at: Instant::now() };
        let begin = bucket.filled_at;

        let taken =
            (0..10_000u64).filter(|tick| bucket.take(10, begin + Duration::from_micros(tick * 200))).count();

        // Two seconds at 500 a second are 100 batches of ten.
        assert!((95..=110).contains(&taken), "{taken}");
    }

    #[test]
    #[should_panic(expected = "cannot happen")]
    fn a_fault_that_the_operation_cannot_have_is_refused() {
        Faults::default().arm(Op::GetObject, Fault::FailEntries(1), 1);
    }
}
