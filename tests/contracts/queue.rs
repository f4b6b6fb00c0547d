//! What every queue promises, on every backend: the disk, our SQS stand-in, and moto.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use waybill::ops::aws::standin_config;
use waybill::queue::disk::{DiskOptions, DiskQueue};
use waybill::queue::sqs::{SqsOptions, SqsQueue};
use waybill::queue::{Delivery, Queue, QueueError, SendError};

use crate::support::aws::create_queue;
use crate::support::process::Moto;
use crate::support::standin::{Fault, Op, Standin, StandinOptions};

/// A queue under test.
struct Case {
    queue: Arc<dyn Queue>,
    /// How many messages count as many here: moto does about 70 a second.
    many: usize,
    /// The shortest lease: SQS counts in whole seconds.
    short: Duration,
}

/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);

/// Until then a fact has to hold.
const PATIENCE: Duration = Duration::from_secs(60);

/// Receives until `count` messages came, or fails.
async fn receive_all(queue: &dyn Queue, count: usize, lease: Duration) -> Vec<Delivery> {
    let deadline = Instant::now() + PATIENCE;
    let mut received = Vec::new();
    while received.len() < count {
        assert!(Instant::now() < deadline, "only {} of {count} messages came", received.len());
        received.extend(
            queue.receive(count - received.len(), Duration::from_secs(1), lease).await.expect("receive"),
        );
    }
    received
}

async fn receive_one(queue: &dyn Queue, lease: Duration) -> Delivery {
    receive_all(queue, 1, lease).await.pop().expect("one message came")
}

async fn send_all(queue: &dyn Queue, messages: &[String]) {
    for fate in queue.send(messages.to_vec()).await {
        let _durable = fate.expect("the message is taken");
    }
}

async fn delete_all(queue: &dyn Queue, deliveries: &[Delivery]) {
    let leases: Vec<_> = deliveries.iter().map(|delivery| delivery.lease.clone()).collect();
    for fate in queue.delete(&leases).await {
        fate.expect("the lease is ours");
    }
}

/// Waits until the queue says that it holds so many.
async fn wait_for_depth(queue: &dyn Queue, ready: u64, leased: u64) {
    let deadline = Instant::now() + PATIENCE;
    let mut look = tokio::time::interval(Duration::from_millis(50));
    loop {
        look.tick().await;
        let depth = queue.depth().await.expect("depth");
        if (depth.ready, depth.leased) == (ready, leased) {
            return;
        }
        assert!(Instant::now() < deadline, "{depth:?} instead of {ready} ready, {leased} leased");
    }
}

/// Base64 text of `bytes` characters that differs for each `seed`.
fn text(seed: usize, bytes: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut random = fastrand::Rng::with_seed(seed as u64);
    let head = format!("{seed:08}");
    head.chars()
        .chain(std::iter::repeat_with(|| char::from(ALPHABET[random.usize(..64)])))
        .take(bytes)
        .collect()
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|seed| text(seed, 12 + seed % 400)).collect()
}

fn sorted(mut bodies: Vec<String>) -> Vec<String> {
    bodies.sort();
    bodies
}

fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    sorted(deliveries.iter().map(|delivery| delivery.body.clone()).collect())
}

mod rules {
    use super::*;

    pub(super) async fn messages_arrive_exactly_as_sent(case: &Case) {
        let queue = case.queue.as_ref();
        let largest = queue.message_bytes_max();
        let sent: Vec<String> = [8, 9, 1000, 65_536, 200_000, largest]
            .iter()
            .enumerate()
            .map(|(seed, size)| text(seed, *size))
            .collect();

        send_all(queue, &sent).await;
        let received = receive_all(queue, sent.len(), LONG).await;

        assert!(bodies(&received) == sorted(sent), "the messages came, but not as they were sent");
        assert!(received.iter().all(|delivery| delivery.receive_count == 1));
        let ids: BTreeSet<_> = received.iter().map(|delivery| &delivery.message_id).collect();
        assert_eq!(ids.len(), received.len(), "each message has an id of its own");
    }

    pub(super) async fn nothing_sent_is_nothing_done(case: &Case) {
        let queue = case.queue.as_ref();

        assert!(queue.send(Vec::new()).await.is_empty());
        assert!(queue.delete(&[]).await.is_empty());
        assert!(queue.extend(&[], LONG).await.is_empty());
        assert!(queue.receive(0, Duration::ZERO, LONG).await.expect("receive").is_empty());
        assert!(queue.receive(10, Duration::from_secs(1), LONG).await.expect("receive").is_empty());
    }

    pub(super) async fn a_message_that_is_too_large_takes_no_neighbour_along(case: &Case) {
        let queue = case.queue.as_ref();
        let limit = queue.message_bytes_max();

        let mut fates = queue.send(vec![text(1, 100), text(2, limit + 1), text(3, 100)]).await;

        assert!(
            matches!(fates.remove(1), Err(SendError::TooLarge { bytes, limit: said }) if bytes == limit + 1 && said == limit)
        );
        assert!(fates.iter().all(Result::is_ok));
        assert_eq!(bodies(&receive_all(queue, 2, LONG).await), sorted(vec![text(1, 100), text(3, 100)]));
    }

    pub(super) async fn a_leased_message_is_hidden_and_comes_back_with_a_higher_count(case: &Case) {
        let queue = case.queue.as_ref();
        send_all(queue, &texts(1)).await;
        let leased_at = Instant::now();
        let first = receive_one(queue, case.short).await;

        let second = match queue.receive(10, Duration::ZERO, LONG).await.expect("receive").pop() {
            Some(early) => early,
            None => receive_one(queue, LONG).await,
        };

        // The lease began after that instant, so that this holds on a slow machine too.
        assert!(leased_at.elapsed() >= case.short, "a leased message came to somebody else");
        assert_eq!((first.receive_count, second.receive_count), (1, 2));
        assert_eq!((&first.body, &first.message_id), (&second.body, &second.message_id));
    }

    pub(super) async fn an_extended_lease_keeps_a_message_hidden(case: &Case) {
        let queue = case.queue.as_ref();
        send_all(queue, &texts(1)).await;
        let held = receive_one(queue, case.short * 3).await;

        let fates = queue.extend(std::slice::from_ref(&held.lease), LONG).await;
        let longer_than_the_first_lease = case.short * 4;
        let meanwhile = queue.receive(10, longer_than_the_first_lease, LONG).await.expect("receive");

        assert!(matches!(fates[..], [Ok(())]));
        assert!(meanwhile.is_empty(), "an extended lease ended");
        delete_all(queue, &[held]).await;
    }

    pub(super) async fn a_message_given_back_comes_again_at_once(case: &Case) {
        let queue = case.queue.as_ref();
        send_all(queue, &texts(1)).await;
        let held = receive_one(queue, LONG).await;

        let fates = queue.extend(&[held.lease], Duration::ZERO).await;
        let again = receive_one(queue, LONG).await;

        assert!(matches!(fates[..], [Ok(())]));
        assert_eq!(again.receive_count, 2);
    }

    pub(super) async fn a_deleted_message_never_comes_back(case: &Case) {
        let queue = case.queue.as_ref();
        send_all(queue, &texts(3)).await;
        let mut held = receive_all(queue, 3, case.short * 3).await;
        let kept = held.pop().expect("three came");

        delete_all(queue, &held).await;
        let back = receive_one(queue, LONG).await;
        let others = queue.receive(10, case.short, LONG).await.expect("receive");

        assert_eq!(back.message_id, kept.message_id);
        assert!(others.is_empty(), "a deleted message came back");
        delete_all(queue, &[back]).await;
        wait_for_depth(queue, 0, 0).await;
    }

    pub(super) async fn deleting_twice_is_as_good_as_once(case: &Case) {
        let queue = case.queue.as_ref();
        send_all(queue, &texts(2)).await;
        let held = receive_all(queue, 2, LONG).await;

        delete_all(queue, &held[..1]).await;

        delete_all(queue, &held).await;
        wait_for_depth(queue, 0, 0).await;
    }

    pub(super) async fn a_lease_of_a_deleted_message_cannot_be_extended(case: &Case) {
        let queue = case.queue.as_ref();
        send_all(queue, &texts(2)).await;
        let held = receive_all(queue, 2, LONG).await;
        delete_all(queue, &held[..1]).await;

        let leases: Vec<_> = held.into_iter().map(|delivery| delivery.lease).collect();
        let fates = queue.extend(&leases, LONG).await;

        assert!(matches!(fates[..], [Err(QueueError::LeaseOver), Ok(())]), "{fates:?}");
    }

    pub(super) async fn the_depth_tells_ready_from_leased(case: &Case) {
        let queue = case.queue.as_ref();

        send_all(queue, &texts(12)).await;
        wait_for_depth(queue, 12, 0).await;
        let held = receive_all(queue, 5, LONG).await;
        wait_for_depth(queue, 7, 5).await;

        delete_all(queue, &held).await;
        wait_for_depth(queue, 7, 0).await;
    }

    pub(super) async fn a_waiting_receive_ends_as_soon_as_a_message_arrives(case: &Case) {
        let waiting = Arc::clone(&case.queue);
        let started = Instant::now();
        let receive = tokio::spawn(async move { waiting.receive(10, Duration::from_secs(20), LONG).await });

        send_all(case.queue.as_ref(), &texts(1)).await;
        let received = receive.await.expect("the receive ends").expect("receive");

        assert_eq!(received.len(), 1);
        assert!(started.elapsed() < Duration::from_secs(15), "it waited {:?}", started.elapsed());
    }

    pub(super) async fn many_concurrent_sends_all_arrive_exactly_as_sent(case: &Case) {
        let sent = texts(case.many);

        let senders: Vec<_> = sent
            .iter()
            .cloned()
            .map(|message| {
                let queue = Arc::clone(&case.queue);
                tokio::spawn(async move { queue.send(vec![message]).await.pop() })
            })
            .collect();
        for sender in senders {
            let fate = sender.await.expect("the sender ends").expect("one fate for one message");
            let _durable = fate.expect("the message is taken");
        }
        let received = receive_all(case.queue.as_ref(), case.many, LONG).await;

        assert_eq!(bodies(&received), sorted(sent));
        delete_all(case.queue.as_ref(), &received).await;
        wait_for_depth(case.queue.as_ref(), 0, 0).await;
    }

    pub(super) async fn large_messages_are_packed_within_the_limits(case: &Case) {
        let queue = case.queue.as_ref();
        let size = queue.message_bytes_max().min(400_000);
        let sent: Vec<String> = (0..12).map(|seed| text(seed, size - seed)).collect();

        send_all(queue, &sent).await;
        let received = receive_all(queue, sent.len(), LONG).await;

        assert!(bodies(&received) == sorted(sent), "the messages came, but not as they were sent");
    }

    pub(super) async fn two_receivers_never_hold_the_same_message(case: &Case) {
        let count = case.many.min(200);
        send_all(case.queue.as_ref(), &texts(count)).await;

        let receivers: Vec<_> = (0..4)
            .map(|_| {
                let queue = Arc::clone(&case.queue);
                tokio::spawn(async move {
                    let mut mine = Vec::new();
                    loop {
                        let more = queue.receive(10, Duration::from_secs(1), LONG).await.expect("receive");
                        if more.is_empty() {
                            return mine;
                        }
                        mine.extend(more);
                    }
                })
            })
            .collect();
        let mut received = Vec::new();
        for receiver in receivers {
            received.extend(receiver.await.expect("the receiver ends"));
        }

        assert_eq!(bodies(&received), sorted(texts(count)));
    }

    pub(super) async fn a_probe_leaves_nothing_behind(case: &Case) {
        let queue = case.queue.as_ref();

        queue.probe().await.expect("the queue can be written");

        wait_for_depth(queue, 0, 0).await;
        assert!(queue.receive(10, Duration::ZERO, LONG).await.expect("receive").is_empty());
    }

    pub(super) async fn closing_sends_what_was_handed_over_and_then_takes_nothing(case: &Case) {
        let mut sending = Box::pin(case.queue.send(texts(25)));
        // Handed over, and no further: whoever polls once has not waited for a fate.
        let fates = match futures_util::poll!(&mut sending) {
            std::task::Poll::Ready(fates) => fates,
            std::task::Poll::Pending => {
                case.queue.close().await;
                sending.await
            }
        };
        case.queue.close().await;
        let after = case.queue.send(texts(1)).await;

        assert!(fates.iter().all(Result::is_ok), "{fates:?}");
        assert!(matches!(after[..], [Err(SendError::Unavailable(_))]));
    }
}

/// Runs `$each!(rule)` for all rules.
macro_rules! for_each_rule {
    ($each:ident) => {
        $each! {
            messages_arrive_exactly_as_sent
            nothing_sent_is_nothing_done
            a_message_that_is_too_large_takes_no_neighbour_along
            a_leased_message_is_hidden_and_comes_back_with_a_higher_count
            an_extended_lease_keeps_a_message_hidden
            a_message_given_back_comes_again_at_once
            a_deleted_message_never_comes_back
            deleting_twice_is_as_good_as_once
            a_lease_of_a_deleted_message_cannot_be_extended
            the_depth_tells_ready_from_leased
            a_waiting_receive_ends_as_soon_as_a_message_arrives
            many_concurrent_sends_all_arrive_exactly_as_sent
            large_messages_are_packed_within_the_limits
            two_receivers_never_hold_the_same_message
            a_probe_leaves_nothing_behind
            closing_sends_what_was_handed_over_and_then_takes_nothing
        }
    };
}

mod on_disk {
    use std::path::Path;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    fn folder() -> TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    fn open(dir: &Path) -> DiskQueue {
        DiskQueue::open(dir, DiskOptions::default()).expect("the queue opens")
    }

    macro_rules! tests {
        ($($rule:ident)*) => {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $rule() {
                    let dir = folder();
                    let queue = Arc::new(open(dir.path()));
                    rules::$rule(&Case { queue, many: 2000, short: Duration::from_millis(200) }).await;
                }
            )*
        };
    }
    for_each_rule!(tests);

    #[tokio::test(flavor = "multi_thread")]
    async fn everything_acknowledged_is_there_after_a_restart() {
        let dir = folder();
        let queue = open(dir.path());
        send_all(&queue, &texts(20)).await;
        let held = receive_all(&queue, 6, LONG).await;
        delete_all(&queue, &held[..3]).await;
        for fate in queue.extend(std::slice::from_ref(&held[3].lease), Duration::ZERO).await {
            fate.expect("the lease is ours");
        }
        drop(queue);

        let reopened = open(dir.path());
        let depth = reopened.depth().await.expect("depth");
        let received = receive_all(&reopened, 15, LONG).await;

        assert_eq!((depth.ready, depth.leased), (15, 2), "leases outlive the process");
        assert!(depth.oldest.is_some());
        let given_back = received.iter().find(|delivery| delivery.message_id == held[3].message_id);
        assert_eq!(given_back.map(|delivery| delivery.receive_count), Some(2));
        delete_all(&reopened, &held[4..]).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_outdated_lease_neither_extends_nor_deletes() {
        let dir = folder();
        let queue = open(dir.path());
        send_all(&queue, &texts(1)).await;
        let first = receive_one(&queue, Duration::ZERO).await;
        let second = receive_one(&queue, LONG).await;

        let extended = queue.extend(std::slice::from_ref(&first.lease), Duration::ZERO).await;
        let deleted = queue.delete(std::slice::from_ref(&first.lease)).await;

        assert!(matches!(extended[..], [Err(QueueError::LeaseOver)]));
        assert!(matches!(deleted[..], [Err(QueueError::LeaseOver)]));
        wait_for_depth(&queue, 0, 1).await;
        delete_all(&queue, &[second, first]).await;
        wait_for_depth(&queue, 0, 0).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn two_processes_share_one_folder() {
        let dir = folder();
        let (here, there) = (Arc::new(open(dir.path())), open(dir.path()));
        let waiting = Arc::clone(&here);
        let started = Instant::now();
        let receive = tokio::spawn(async move { waiting.receive(10, Duration::from_secs(20), LONG).await });

        send_all(&there, &texts(1)).await;
        let received = receive.await.expect("the receive ends").expect("receive");

        assert_eq!(received.len(), 1);
        assert!(started.elapsed() < Duration::from_secs(5), "it waited {:?}", started.elapsed());
        assert!(there.receive(10, Duration::ZERO, LONG).await.expect("receive").is_empty());
        delete_all(&there, &received).await;
        wait_for_depth(here.as_ref(), 0, 0).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn two_processes_at_once_lose_and_double_nothing() {
        let dir = folder();
        let queues = [Arc::new(open(dir.path())), Arc::new(open(dir.path()))];
        let count = 300;

        let senders: Vec<_> = texts(count)
            .into_iter()
            .enumerate()
            .map(|(index, message)| {
                let queue = Arc::clone(&queues[index % 2]);
                tokio::spawn(async move { queue.send(vec![message]).await.pop() })
            })
            .collect();
        let receivers: Vec<_> = queues
            .iter()
            .map(|queue| {
                let queue = Arc::clone(queue);
                tokio::spawn(async move {
                    let mut mine = Vec::new();
                    loop {
                        let more = queue.receive(7, Duration::from_secs(2), LONG).await.expect("receive");
                        if more.is_empty() {
                            return mine;
                        }
                        delete_all(queue.as_ref(), &more).await;
                        mine.extend(more);
                    }
                })
            })
            .collect();
        for sender in senders {
            let fate = sender.await.expect("the sender ends").expect("one fate for one message");
            let _durable = fate.expect("the message is taken");
        }
        let mut received = Vec::new();
        for receiver in receivers {
            received.extend(receiver.await.expect("the receiver ends"));
        }

        assert_eq!(bodies(&received), sorted(texts(count)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_comes_back_and_what_is_new_do_not_starve_each_other() {
        let dir = folder();
        let queue = open(dir.path());
        send_all(&queue, &texts(10)).await;
        let returned: BTreeSet<_> = receive_all(&queue, 10, Duration::ZERO)
            .await
            .into_iter()
            .map(|delivery| delivery.message_id)
            .collect();
        send_all(&queue, &texts(10)).await;

        let some = queue.receive(4, Duration::ZERO, LONG).await.expect("receive");
        let one = queue.receive(1, Duration::ZERO, LONG).await.expect("receive");
        let other = queue.receive(1, Duration::ZERO, LONG).await.expect("receive");

        let old = |deliveries: &[Delivery]| {
            deliveries.iter().filter(|delivery| returned.contains(&delivery.message_id)).count()
        };
        assert_eq!(old(&some), 2);
        assert_eq!(old(&one) + old(&other), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_disk_refuses_new_messages_and_lets_go_of_old_ones() {
        let dir = folder();
        let options = DiskOptions { file_bytes_max: Some(2 * 1024 * 1024), ..DiskOptions::default() };
        let queue = DiskQueue::open(dir.path(), options).expect("the queue opens");
        let mut taken = 0;
        let refusal = loop {
            match queue.send(vec![text(taken, 100_000)]).await.pop().expect("one fate for one message") {
                Ok(_durable) => taken += 1,
                Err(error) => break error,
            }
            assert!(taken < 100, "the limit was not kept");
        };

        let held = receive_all(&queue, taken, LONG).await;
        delete_all(&queue, &held).await;

        assert!(matches!(refusal, SendError::Unavailable(_)), "{refusal}");
        assert!(taken > 5);
        send_all(&queue, &[text(0, 100_000)]).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_that_is_no_queue_is_refused_and_kept() {
        let dir = folder();
        let file = dir.path().join("queue.sqlite");
        std::fs::write(&file, "somebody's notes, longer than a header ".repeat(100))
            .expect("the file can be written");

        let outcome = DiskQueue::open(dir.path(), DiskOptions::default());

        assert!(matches!(outcome, Err(QueueError::Refused(_))));
        assert!(std::fs::read_to_string(&file).expect("it is still there").starts_with("somebody's notes"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn space_of_deleted_messages_is_used_again() {
        let dir = folder();
        let queue = open(dir.path());
        let mut sizes = Vec::new();

        for round in 0..6 {
            let messages: Vec<String> = (0..200).map(|seed| text(round * 1000 + seed, 20_000)).collect();
            send_all(&queue, &messages).await;
            let held = receive_all(&queue, messages.len(), LONG).await;
            delete_all(&queue, &held).await;
            sizes.push(std::fs::metadata(queue.file()).expect("the file is there").len());
        }

        assert!(sizes[5] <= 12_000_000, "the file grows with what has passed through: {sizes:?}");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Send(usize),
        /// Leased until the end of the test.
        Hold(usize),
        /// Leased for no time: it has expired before the next step.
        Expire(usize),
        GiveBack(prop::sample::Index),
        Delete(prop::sample::Index),
        Reopen,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (1..6usize).prop_map(Step::Send),
            3 => (1..6usize).prop_map(Step::Hold),
            2 => (1..6usize).prop_map(Step::Expire),
            2 => any::<prop::sample::Index>().prop_map(Step::GiveBack),
            3 => any::<prop::sample::Index>().prop_map(Step::Delete),
            1 => Just(Step::Reopen),
        ];
        prop::collection::vec(step, 1..40)
    }

    /// Plays the steps, then drains the queue. `Err` says what was lost or came back.
    async fn play(steps: Vec<Step>) -> Result<(), String> {
        let dir = folder();
        let mut queue = open(dir.path());
        let mut next = 0;
        let mut undeleted = BTreeSet::new();
        let mut held: Vec<Delivery> = Vec::new();
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Send(count) => {
                    let messages: Vec<String> = (next..next + count).map(|seed| text(seed, 50)).collect();
                    next += count;
                    send_all(&queue, &messages).await;
                    undeleted.extend(messages);
                }
                Step::Hold(max) | Step::Expire(max) => {
                    let lease = if matches!(step, Step::Hold(_)) { LONG } else { Duration::ZERO };
                    for delivery in
                        queue.receive(max, Duration::ZERO, lease).await.map_err(|e| e.to_string())?
                    {
                        if held.iter().any(|other| other.message_id == delivery.message_id) {
                            return Err(format!("message {} came while it was leased", delivery.message_id));
                        }
                        let count = counts.entry(delivery.message_id.clone()).or_default();
                        *count += 1;
                        if *count != delivery.receive_count {
                            return Err(format!("receive {count} counted as {}", delivery.receive_count));
                        }
                        if lease == LONG {
                            held.push(delivery);
                        }
                    }
                }
                Step::GiveBack(_) | Step::Delete(_) if held.is_empty() => {}
                Step::GiveBack(index) => {
                    let delivery = held.swap_remove(index.index(held.len()));
                    if !matches!(queue.extend(&[delivery.lease], Duration::ZERO).await[..], [Ok(())]) {
                        return Err("a held message cannot be given back".to_owned());
                    }
                }
                Step::Delete(index) => {
                    let delivery = held.swap_remove(index.index(held.len()));
                    undeleted.remove(&delivery.body);
                    if !matches!(queue.delete(&[delivery.lease]).await[..], [Ok(())]) {
                        return Err("a held message cannot be deleted".to_owned());
                    }
                }
                Step::Reopen => {
                    queue.close().await;
                    queue = open(dir.path());
                }
            }
        }
        let leases: Vec<_> = held.iter().map(|delivery| delivery.lease.clone()).collect();
        queue.extend(&leases, Duration::ZERO).await;
        let mut left = BTreeSet::new();
        loop {
            let more = queue.receive(10, Duration::ZERO, LONG).await.map_err(|error| error.to_string())?;
            if more.is_empty() {
                break;
            }
            left.extend(more.into_iter().map(|delivery| delivery.body));
        }
        if left == undeleted {
            Ok(())
        } else {
            Err(format!("{} undeleted, but {} left", undeleted.len(), left.len()))
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nothing_undeleted_is_ever_lost(steps in steps()) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let outcome = runtime.block_on(play(steps));
            prop_assert!(outcome.is_ok(), "{:?}", outcome);
        }
    }
}

/// SQS with a spool beside it: the same promises, and while SQS is away all the same `Ok`.
mod with_a_spool {
    use waybill::queue::spooled::SpooledQueue;

    use super::*;

    macro_rules! tests {
        ($($rule:ident)*) => {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $rule() {
                    let standin = Standin::start(StandinOptions::default()).await;
                    standin.state().create_queue("events", &[]);
                    let sdk = standin_config(&standin.endpoint());
                    let url = standin.queue_url("events");
                    let main = SqsQueue::open(&sdk, url, SqsOptions::default()).await.expect("the queue opens");
                    let dir = tempfile::tempdir().expect("a temporary folder");
                    let spool = DiskQueue::open(dir.path(), DiskOptions::default()).expect("the spool opens");
                    let queue = Arc::new(SpooledQueue::start(Arc::new(main), Arc::new(spool), None));
                    rules::$rule(&Case { queue, many: 500, short: Duration::from_secs(1) }).await;
                }
            )*
        };
    }
    for_each_rule!(tests);
}

mod on_the_stand_in {
    use proptest::prelude::*;

    use super::*;

    const NAME: &str = "events";

    async fn start() -> Standin {
        let standin = Standin::start(StandinOptions::default()).await;
        standin.state().create_queue(NAME, &[]);
        standin
    }

    async fn open(standin: &Standin, options: SqsOptions) -> SqsQueue {
        let sdk = standin_config(&standin.endpoint());
        SqsQueue::open(&sdk, standin.queue_url(NAME), options).await.expect("the queue opens")
    }

    /// Gives up soon.
    fn hasty() -> SqsOptions {
        SqsOptions {
            attempt_timeout: Duration::from_millis(500),
            deadline: Duration::from_millis(1500),
            ..SqsOptions::default()
        }
    }

    /// Fills its calls, so that a test knows which messages share one.
    fn patient() -> SqsOptions {
        SqsOptions {
            linger: Duration::from_secs(2),
            deadline: Duration::from_secs(30),
            ..SqsOptions::default()
        }
    }

    macro_rules! tests {
        ($($rule:ident)*) => {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $rule() {
                    let standin = start().await;
                    let queue = Arc::new(open(&standin, SqsOptions::default()).await);
                    rules::$rule(&Case { queue, many: 500, short: Duration::from_secs(1) }).await;
                }
            )*
        };
    }
    for_each_rule!(tests);

    #[tokio::test(flavor = "multi_thread")]
    async fn entries_that_failed_inside_a_success_are_sent_again_alone() {
        let standin = start().await;
        let queue = open(&standin, patient()).await;
        let armed = standin.faults().arm(Op::SendMessageBatch, Fault::FailEntries(3), 1);

        send_all(&queue, &texts(10)).await;

        assert!(armed.is_spent());
        assert_eq!(standin.calls(Op::SendMessageBatch), 2);
        wait_for_depth(&queue, 10, 0).await;
        assert_eq!(bodies(&receive_all(&queue, 10, LONG).await), sorted(texts(10)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn entries_that_no_answer_mentions_are_sent_again() {
        let standin = start().await;
        let queue = open(&standin, patient()).await;
        let armed = standin.faults().arm(Op::SendMessageBatch, Fault::DropEntries(4), 2);

        send_all(&queue, &texts(10)).await;

        assert!(armed.is_spent());
        assert_eq!(bodies(&receive_all(&queue, 10, LONG).await), sorted(texts(10)));
        wait_for_depth(&queue, 0, 10).await;
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever goes wrong with some calls: what is `Ok` is there, and nothing that was never sent.
        #[test]
        fn whatever_fails_what_is_acknowledged_is_there(
            faults in prop::collection::vec(0..6u8, 0..6),
            counts in prop::collection::vec(1..25usize, 1..4),
        ) {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let outcome = runtime.expect("a runtime").block_on(async {
                let standin = start().await;
                let queue = Arc::new(open(&standin, hasty()).await);
                for fault in &faults {
                    let fault = match fault {
                        0 => Fault::FailEntries(2),
                        1 => Fault::DropEntries(3),
                        2 => Fault::Status(500),
                        3 => Fault::Throttle,
                        4 => Fault::DropAnswerAfterDoing,
                        _ => Fault::FailEntries(10),
                    };
                    standin.faults().arm(Op::SendMessageBatch, fault, 1);
                }
                let mut sends = Vec::new();
                for (number, count) in counts.iter().enumerate() {
                    let messages: Vec<String> = (0..*count).map(|index| format!("{number}-{index}")).collect();
                    let queue = Arc::clone(&queue);
                    sends.push(tokio::spawn(async move { (queue.send(messages.clone()).await, messages) }));
                }
                let (mut acknowledged, mut sent) = (BTreeSet::new(), BTreeSet::new());
                for send in sends {
                    let (fates, messages) = send.await.expect("a send ends");
                    if fates.len() != messages.len() {
                        return Err(format!("{} fates for {} messages", fates.len(), messages.len()));
                    }
                    for (fate, message) in fates.into_iter().zip(messages) {
                        if fate.is_ok() {
                            acknowledged.insert(message.clone());
                        }
                        sent.insert(message);
                    }
                }
                let mut there = BTreeSet::new();
                loop {
                    let more = queue.receive(100, Duration::ZERO, LONG).await.map_err(|error| error.to_string())?;
                    if more.is_empty() {
                        break;
                    }
                    there.extend(more.into_iter().map(|delivery| delivery.body));
                }
                if !acknowledged.is_subset(&there) {
                    return Err(format!("{:?} are lost", acknowledged.difference(&there)));
                }
                if !there.is_subset(&sent) {
                    return Err(format!("{:?} were never sent", there.difference(&sent)));
                }
                Ok(())
            });
            prop_assert!(outcome.is_ok(), "{:?}", outcome);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_lost_answer_may_double_messages_and_loses_none() {
        let standin = start().await;
        let queue = open(&standin, SqsOptions::default()).await;
        let armed = standin.faults().arm(Op::SendMessageBatch, Fault::DropAnswerAfterDoing, 1);

        send_all(&queue, &texts(10)).await;

        assert!(armed.is_spent());
        let mut received = BTreeSet::new();
        while received.len() < 10 {
            received.insert(receive_one(&queue, LONG).await.body);
        }
        assert!(received.into_iter().eq(sorted(texts(10))));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn throttles_and_errors_of_the_service_are_waited_out() {
        let standin = start().await;
        let queue = open(&standin, SqsOptions::default()).await;
        for fault in [Fault::Throttle, Fault::Status(500), Fault::Status(503)] {
            let armed = standin.faults().arm(Op::SendMessageBatch, fault, 2);

            send_all(&queue, &texts(1)).await;

            assert!(armed.is_spent(), "{fault:?}");
        }
        assert_eq!(receive_all(&queue, 3, LONG).await.len(), 3);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_service_that_never_answers_makes_the_queue_unavailable_in_time() {
        let standin = start().await;
        let queue = open(&standin, hasty()).await;
        send_all(&queue, &texts(1)).await;
        let held = [receive_one(&queue, LONG).await.lease];
        for op in [
            Op::SendMessageBatch,
            Op::DeleteMessageBatch,
            Op::ChangeMessageVisibilityBatch,
            Op::GetQueueAttributes,
        ] {
            standin.faults().arm(op, Fault::Blackhole, 1_000_000);
        }
        let started = Instant::now();

        let sent = queue.send(texts(3)).await;
        let deleted = queue.delete(&held).await;
        let extended = queue.extend(&held, LONG).await;
        let probed = queue.probe().await;

        assert!(started.elapsed() < Duration::from_secs(20), "it took {:?}", started.elapsed());
        assert_eq!(sent.len(), 3);
        assert!(sent.iter().all(|fate| matches!(fate, Err(SendError::Unavailable(_)))));
        assert!(matches!(deleted[..], [Err(QueueError::Unavailable(_))]));
        assert!(matches!(extended[..], [Err(QueueError::Unavailable(_))]));
        assert!(matches!(probed, Err(QueueError::Unavailable(_))));

        standin.faults().disarm_all();
        send_all(&queue, &texts(1)).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn readiness_does_not_come_back_while_every_send_is_denied() {
        let standin = start().await;
        let queue = open(&standin, hasty()).await;
        queue.probe().await.expect("nothing is known against it");
        let denied = standin.faults().arm(Op::SendMessageBatch, Fault::Status(500), 1_000_000);

        assert!(matches!(queue.send(texts(1)).await[..], [Err(SendError::Unavailable(_))]));

        assert!(denied.fired() > 0);
        assert!(matches!(queue.probe().await, Err(QueueError::Unavailable(_))));
        standin.faults().disarm_all();
        send_all(&queue, &texts(1)).await;
        queue.probe().await.expect("a message was stored");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_sender_that_leaves_takes_no_neighbour_along() {
        let standin = start().await;
        let options = SqsOptions { linger: Duration::from_millis(200), ..SqsOptions::default() };
        let queue = open(&standin, options).await;

        let mut leaving = Box::pin(queue.send(vec![text(1, 50)]));
        assert!(futures_util::poll!(&mut leaving).is_pending(), "it leaves before its message is sent");
        drop(leaving);
        send_all(&queue, &[text(2, 50)]).await;

        assert_eq!(bodies(&receive_all(&queue, 2, LONG).await), sorted(vec![text(1, 50), text(2, 50)]));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn concurrent_sends_share_calls() {
        let standin = start().await;
        let options = SqsOptions { linger: Duration::from_millis(100), ..SqsOptions::default() };
        let queue = Arc::new(open(&standin, options).await);

        let senders: Vec<_> = texts(200)
            .into_iter()
            .map(|message| {
                let queue = Arc::clone(&queue);
                tokio::spawn(async move { queue.send(vec![message]).await.pop() })
            })
            .collect();
        for sender in senders {
            let fate = sender.await.expect("the sender ends").expect("one fate for one message");
            let _durable = fate.expect("the message is taken");
        }

        let calls = standin.calls(Op::SendMessageBatch);
        assert!((20..=60).contains(&calls), "{calls} calls for 200 messages");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn partial_failures_of_deletes_and_extends_are_tried_again() {
        let standin = start().await;
        let queue = open(&standin, SqsOptions::default()).await;
        send_all(&queue, &texts(25)).await;
        let held = receive_all(&queue, 25, LONG).await;
        let leases: Vec<_> = held.iter().map(|delivery| delivery.lease.clone()).collect();
        for op in [Op::ChangeMessageVisibilityBatch, Op::DeleteMessageBatch] {
            standin.faults().arm(op, Fault::FailEntries(3), 1);
            standin.faults().arm(op, Fault::DropEntries(2), 1);
            standin.faults().arm(op, Fault::Throttle, 1);
        }

        let extended = queue.extend(&leases, LONG).await;
        let deleted = queue.delete(&leases).await;

        assert_eq!((extended.len(), deleted.len()), (25, 25));
        assert!(extended.iter().chain(&deleted).all(Result::is_ok));
        wait_for_depth(&queue, 0, 0).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_receive_of_many_makes_several_calls() {
        let standin = start().await;
        let queue = open(&standin, SqsOptions::default()).await;
        send_all(&queue, &texts(60)).await;

        let received = queue.receive(45, Duration::from_secs(1), LONG).await.expect("receive");

        assert!((11..=45).contains(&received.len()), "{} came", received.len());
        assert_eq!(standin.calls(Op::ReceiveMessage), 5);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_limits_of_the_queue_are_read_at_start() {
        let standin = Standin::start(StandinOptions::default()).await;
        standin.state().create_queue("dead", &[]);
        let policy =
            format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":"20"}}"#, standin.queue_arn("dead"));
        standin.state().create_queue(NAME, &[("MaximumMessageSize", "2048"), ("RedrivePolicy", &policy)]);

        let queue = open(&standin, SqsOptions::default()).await;
        let too_large = queue.send(vec![text(1, 2049)]).await;

        assert_eq!(queue.message_bytes_max(), 2048);
        assert!(matches!(too_large[..], [Err(SendError::TooLarge { bytes: 2049, limit: 2048 })]));
        assert_eq!(queue.redrive().map(|redrive| redrive.max_receive_count), Some(20));
        let url = queue.dead_letter_url().await.expect("it is told");
        assert_eq!(url, Some(standin.queue_url("dead")));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_queue_that_is_not_there_is_refused_and_one_out_of_reach_is_unavailable() {
        let standin = start().await;
        let sdk = standin_config(&standin.endpoint());
        let url = standin.queue_url("nowhere");

        let missing = SqsQueue::open(&sdk, url.clone(), SqsOptions::default()).await;
        let fifo = SqsQueue::open(&sdk, format!("{url}.fifo"), SqsOptions::default()).await;
        standin.faults().arm(Op::GetQueueAttributes, Fault::Status(503), 100);
        let down = SqsQueue::open(&sdk, url, SqsOptions::default()).await;

        assert!(matches!(missing, Err(QueueError::Refused(_))));
        assert!(matches!(fifo, Err(QueueError::Refused(_))));
        assert!(matches!(down, Err(QueueError::Unavailable(_))));
    }
}

mod on_moto {
    use async_trait::async_trait;
    use tokio::sync::Mutex;
    use waybill::queue::{Depth, Enqueued, Lease};

    use super::*;

    /// Receives one call after the other: moto does not lock what it looks through, and asked by several at once it
    /// hands out one message twice, or takes one out of sight without handing it out. The stand-in is asked by many.
    struct OneCallAtATime(SqsQueue, Mutex<()>);

    #[async_trait]
    impl Queue for OneCallAtATime {
        async fn send(&self, messages: Vec<String>) -> Vec<Result<Enqueued, SendError>> {
            self.0.send(messages).await
        }

        async fn receive(
            &self,
            max: usize,
            wait: Duration,
            lease: Duration,
        ) -> Result<Vec<Delivery>, QueueError> {
            let _turn = self.1.lock().await;
            // More than ten are several calls.
            self.0.receive(max.min(10), wait, lease).await
        }

        async fn extend(&self, leases: &[Lease], lease: Duration) -> Vec<Result<(), QueueError>> {
            self.0.extend(leases, lease).await
        }

        async fn delete(&self, leases: &[Lease]) -> Vec<Result<(), QueueError>> {
            self.0.delete(leases).await
        }

        async fn depth(&self) -> Result<Depth, QueueError> {
            self.0.depth().await
        }

        async fn probe(&self) -> Result<(), QueueError> {
            self.0.probe().await
        }

        fn message_bytes_max(&self) -> usize {
            self.0.message_bytes_max()
        }

        fn kind(&self) -> &'static str {
            self.0.kind()
        }

        async fn close(&self) {
            self.0.close().await;
        }
    }

    macro_rules! tests {
        ($($rule:ident)*) => {
            /// One server for all rules: it takes seconds to start.
            #[tokio::test(flavor = "multi_thread")]
            async fn moto_keeps_every_promise() {
                let moto = Moto::start().await;
                let sdk = standin_config(&moto.endpoint());
                let mut running = Vec::new();
                $(
                    let url = create_queue(&sdk, stringify!($rule), None).await;
                    let options = SqsOptions {
                        attempt_timeout: Duration::from_secs(20),
                        deadline: Duration::from_secs(60),
                        line_max: Duration::from_secs(60),
                        throttled_max: Duration::from_secs(60),
                        ..SqsOptions::default()
                    };
                    let queue = SqsQueue::open(&sdk, url, options).await.expect("the queue opens");
                    let queue = Arc::new(OneCallAtATime(queue, Mutex::new(())));
                    let case = Case { queue, many: 40, short: Duration::from_secs(1) };
                    let rule = tokio::spawn(async move { rules::$rule(&case).await });
                    running.push((stringify!($rule), rule));
                )*
                for (rule, running) in running {
                    assert!(running.await.is_ok(), "{rule}");
                }
            }
        };
    }
    for_each_rule!(tests);
}
