//! A disk queue whose file is damaged: it stops, it saves what can be read, it goes on, and it keeps the evidence.

use std::collections::BTreeSet;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use waybill::queue::disk::{DiskOptions, DiskQueue};
use waybill::queue::{Queue, QueueError};

const PAGE_BYTES: u64 = 8192;
const LONG: Duration = Duration::from_secs(600);
const COUNT: usize = 400;

fn open(dir: &Path) -> Result<DiskQueue, QueueError> {
    DiskQueue::open(dir, DiskOptions::default())
}

/// Each fills a good part of a page.
fn text(index: usize) -> String {
    format!("{index:06}{}", "x".repeat(3_000))
}

/// A queue of many messages, closed, with everything in its main file.
async fn filled(dir: &Path) -> PathBuf {
    let queue = open(dir).expect("the queue opens");
    for chunk in (0..COUNT).collect::<Vec<_>>().chunks(50) {
        for fate in queue.send(chunk.iter().map(|index| text(*index)).collect()).await {
            let _durable = fate.expect("sent");
        }
    }
    let file = queue.file().to_owned();
    queue.close().await;
    drop(queue);
    assert!(!file.with_file_name("queue.sqlite-wal").exists(), "the log is in the main file");
    file
}

fn damage(file: &Path, pages: impl IntoIterator<Item = u64>) {
    let mut opened = std::fs::OpenOptions::new().write(true).open(file).expect("the file opens");
    for page in pages {
        opened.seek(SeekFrom::Start(page * PAGE_BYTES)).expect("seek");
        opened.write_all(&[0xA5; PAGE_BYTES as usize]).expect("write");
    }
}

/// Receives until nothing comes, or the queue says that it has failed.
async fn receive_all(queue: &DiskQueue) -> (BTreeSet<String>, bool) {
    let mut found = BTreeSet::new();
    loop {
        match queue.receive(25, Duration::ZERO, LONG).await {
            Ok(received) if received.is_empty() => return (found, false),
            Ok(received) => found.extend(received.into_iter().map(|delivery| delivery.body)),
            Err(_) => return (found, true),
        }
    }
}

fn kept(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("the folder");
    let kept = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("damaged-"));
    kept.map(|entry| entry.path()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_page_costs_its_own_messages_and_no_start() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = filled(dir.path()).await;
    let before = std::fs::metadata(&file).expect("the file").len();
    damage(&file, [40, 41, 90]);

    // It notices when it comes to the place, and takes nothing more.
    let queue = open(dir.path()).expect("its first page is sound");
    let (_, has_failed) = receive_all(&queue).await;
    assert!(has_failed);
    let reason = tokio::time::timeout(Duration::from_secs(30), queue.failed()).await.expect("it says so");
    assert!(reason.contains("damaged"), "{reason}");
    assert!(matches!(queue.send(vec!["late".to_owned()]).await[..], [Err(_)]));
    queue.close().await;
    drop(queue);

    // The next start saves the rest.
    let queue = open(dir.path()).expect("it starts");
    let (found, has_failed) = receive_all(&queue).await;
    assert!(!has_failed);
    let all: BTreeSet<String> = (0..COUNT).map(text).collect();
    assert!(found.is_subset(&all));
    assert!(
        found.len() >= COUNT - 12,
        "three pages of two or three messages each cost {}",
        COUNT - found.len()
    );
    assert!(found.len() < COUNT, "the damage hit nothing: this proves nothing");
    for fate in queue.send(vec!["fresh".to_owned()]).await {
        let _durable = fate.expect("it goes on");
    }
    let kept = kept(dir.path());
    assert_eq!(kept.len(), 1);
    assert_eq!(std::fs::metadata(kept[0].join("queue.sqlite")).expect("the evidence").len(), before);
    queue.close().await;
    drop(queue);

    // And that was all: no further start saves anything.
    let queue = open(dir.path()).expect("it starts");
    assert_eq!(queue.depth().await.expect("depth").leased as usize, found.len());
    assert_eq!(self::kept(dir.path()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_text_is_not_text_is_passed_over_and_kept() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = filled(dir.path()).await;
    let connection = rusqlite::Connection::open(&file).expect("the file");
    connection.execute("update message set text = cast(x'fffe' as text) where id = 7", []).expect("update");
    drop(connection);
    std::fs::write(dir.path().join("queue.damaged"), "").expect("the mark");

    let queue = open(dir.path()).expect("it starts");

    let (found, has_failed) = receive_all(&queue).await;
    assert!(!has_failed);
    assert_eq!(found.len(), COUNT - 1);
    assert_eq!(kept(dir.path()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_moves_the_file_under_another_process() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    filled(dir.path()).await;
    let other = open(dir.path()).expect("the queue opens");
    std::fs::write(dir.path().join("queue.damaged"), "").expect("the mark");

    let refused = open(dir.path()).expect_err("somebody has it");
    drop(other);

    assert!(refused.to_string().contains("another process"), "{refused}");
    let deadline = Instant::now() + Duration::from_secs(30);
    while open(dir.path()).is_err() {
        assert!(Instant::now() < deadline, "it was let go");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Leaves a folder as a crash would, given the folder and its sound queue file.
type Crash = fn(&Path, &Path);

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_step_of_saving_loses_nothing() {
    let crashes: [(&str, Crash); 4] = [
        // The new file was not complete: it counts for nothing.
        ("while it was filled", |dir, file| {
            std::fs::write(dir.join("queue.sqlite.fresh"), b"half of a file").expect("a file");
            std::fs::write(dir.join("queue.damaged"), "").expect("the mark");
            assert!(file.exists());
        }),
        // It was complete, and nothing of the old one was moved; the old one may be of any content then.
        ("before anything was moved", |dir, file| {
            std::fs::rename(file, dir.join("queue.sqlite.saved")).expect("rename");
            std::fs::write(file, b"damaged").expect("a file");
            std::fs::write(dir.join("queue.damaged"), "").expect("the mark");
        }),
        ("between the log and the main file", |dir, file| {
            std::fs::rename(file, dir.join("queue.sqlite.saved")).expect("rename");
            std::fs::write(file, b"damaged").expect("a file");
        }),
        ("before the new one had its name", |dir, file| {
            std::fs::rename(file, dir.join("queue.sqlite.saved")).expect("rename");
            std::fs::write(dir.join("queue.damaged"), "").expect("the mark");
        }),
    ];
    for (when, crash) in crashes {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = filled(dir.path()).await;
        crash(dir.path(), &file);

        let queue = open(dir.path()).unwrap_or_else(|error| panic!("{when}: {error}"));

        assert_eq!(receive_all(&queue).await.0.len(), COUNT, "{when}");
        let mode = std::fs::metadata(queue.file()).expect("the file").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{when}: others can read it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sound_between_two_damaged_stretches_is_saved() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = filled(dir.path()).await;
    // All but a few pages in the middle.
    damage(&file, (20..60).chain(63..110));
    std::fs::write(dir.path().join("queue.damaged"), "").expect("the mark");

    let queue = open(dir.path()).expect("it starts");

    let (found, has_failed) = receive_all(&queue).await;
    assert!(!has_failed);
    let indexes: BTreeSet<usize> = found.iter().map(|text| text[..6].parse().expect("a number")).collect();
    let middle = indexes.iter().filter(|index| (120..260).contains(*index)).count();
    assert!(middle >= 2, "nothing between the stretches: {indexes:?}");
}
