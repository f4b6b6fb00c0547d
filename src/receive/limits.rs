//! How much may be at work at once. Who finds no room is told so at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Of the files a process may open, connections get this share; the rest is for queue, lake and warehouse.
const FILES_PERCENT: u64 = 60;

/// How many connections to hold: as many as asked for, unless the process may open too few files.
pub(super) fn connections_cap(asked: usize, open_files_max: Option<u64>) -> usize {
    let Some(open_files_max) = open_files_max else {
        return asked;
    };
    let share = open_files_max.saturating_mul(FILES_PERCENT) / 100;
    asked.min(usize::try_from(share).unwrap_or(usize::MAX)).max(1)
}

/// How many files this process may open; `None`: no limit.
pub(super) fn open_files_max() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// The places of requests at work, counted in requests and in body bytes: a count alone would not bound memory.
#[derive(Debug)]
pub(super) struct Places {
    requests: Arc<Semaphore>,
    requests_max: usize,
    bytes: Arc<Semaphore>,
    bytes_max: usize,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _request: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(requests_max: usize, bytes_max: usize) -> Self {
        let requests_max = requests_max.min(Semaphore::MAX_PERMITS);
        let bytes_max = bytes_max.min(Semaphore::MAX_PERMITS);
        Places {
            requests: Arc::new(Semaphore::new(requests_max)),
            requests_max,
            bytes: Arc::new(Semaphore::new(bytes_max)),
            bytes_max,
        }
    }

    /// Takes a place for one request with so many body bytes; `None` when there is no room.
    pub(super) fn take(&self, body_bytes: usize) -> Option<Place> {
        let body_bytes = u32::try_from(body_bytes).ok()?;
        Some(Place {
            _request: Arc::clone(&self.requests).try_acquire_owned().ok()?,
            _bytes: Arc::clone(&self.bytes).try_acquire_many_owned(body_bytes).ok()?,
        })
    }

    /// Requests and body bytes at work.
    pub(super) fn taken(&self) -> (usize, usize) {
        (
            self.requests_max - self.requests.available_permits(),
            self.bytes_max - self.bytes.available_permits(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_rest() {
        assert_eq!(connections_cap(4_096, None), 4_096);
        assert_eq!(connections_cap(4_096, Some(1_048_576)), 4_096);
        assert_eq!(connections_cap(4_096, Some(1_024)), 614);
        assert_eq!(connections_cap(4_096, Some(0)), 1);
        assert_eq!(connections_cap(4_096, Some(u64::MAX)), 4_096);
    }

    #[test]
    fn places_run_out_by_count_and_come_back() {
        let places = Places::new(2, 100);
        let first = places.take(1).expect("room");
        let second = places.take(1).expect("room");

        assert!(places.take(1).is_none());
        drop(first);

        assert!(places.take(1).is_some());
        drop(second);
        assert_eq!(places.taken(), (0, 0));
    }

    #[test]
    fn places_run_out_by_bytes_without_losing_a_count() {
        let places = Places::new(10, 100);
        let large = places.take(80).expect("room");

        assert!(places.take(21).is_none());
        assert_eq!(places.taken(), (1, 80));
        assert!(places.take(20).is_some());
        drop(large);

        assert_eq!(places.taken(), (0, 0));
    }
}
