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
///
/// Bytes are taken as they arrive, and a request's place once its body is there: what was only announced, by somebody
/// who has proven nothing yet, must not keep others out.
///
/// A share of the bytes is for small bodies alone, as nearly all of AfterShip's are: a few large ones that trickle in
/// must not keep everybody out.
#[derive(Debug)]
pub(super) struct Places {
    requests: Arc<Semaphore>,
    requests_max: usize,
    large: Arc<Semaphore>,
    large_max: usize,
    small: Arc<Semaphore>,
    small_max: usize,
}

/// Larger bodies take from the room for large ones. A parcel with 100 scans is about 64 kB.
const SMALL_BYTES_MAX: usize = 128 * 1024;

/// The part of all room that is for small bodies alone.
const SMALL_SHARE: usize = 4;

/// Room for the bytes of one body; given back when dropped.
#[derive(Debug, Default)]
pub(super) struct Room {
    is_large: bool,
    bytes: Option<OwnedSemaphorePermit>,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _request: OwnedSemaphorePermit,
    _room: Room,
}

impl Places {
    pub(super) fn new(requests_max: usize, bytes_max: usize) -> Self {
        let requests_max = requests_max.min(Semaphore::MAX_PERMITS);
        let bytes_max = bytes_max.min(Semaphore::MAX_PERMITS);
        let small_max = bytes_max / SMALL_SHARE;
        let large_max = bytes_max - small_max;
        Places {
            requests: Arc::new(Semaphore::new(requests_max)),
            requests_max,
            large: Arc::new(Semaphore::new(large_max)),
            large_max,
            small: Arc::new(Semaphore::new(small_max)),
            small_max,
        }
    }

    /// Room for a body that announces so many bytes, `None` when it does not tell; `None` back when it is not worth
    /// reading.
    pub(super) fn room_for(&self, declared: Option<usize>) -> Option<Room> {
        let is_large = declared.is_none_or(|bytes| bytes > SMALL_BYTES_MAX);
        let bytes = declared.unwrap_or(0);
        let has_room =
            self.requests.available_permits() > 0 && self.purse(is_large).available_permits() >= bytes;
        has_room.then(|| Room { is_large, bytes: None })
    }

    fn purse(&self, is_large: bool) -> &Arc<Semaphore> {
        if is_large { &self.large } else { &self.small }
    }

    /// Makes room for so many bytes more; false when there is none.
    pub(super) fn grow(&self, room: &mut Room, bytes: usize) -> bool {
        let taken = u32::try_from(bytes)
            .ok()
            .and_then(|bytes| Arc::clone(self.purse(room.is_large)).try_acquire_many_owned(bytes).ok());
        match (taken, &mut room.bytes) {
            (None, _) => false,
            (Some(more), Some(held)) => {
                held.merge(more);
                true
            }
            (Some(first), none) => {
                *none = Some(first);
                true
            }
        }
    }

    /// Takes a place for a request whose body has this room; `None` when all are taken.
    pub(super) fn take(&self, room: Room) -> Option<Place> {
        Some(Place { _request: Arc::clone(&self.requests).try_acquire_owned().ok()?, _room: room })
    }

    /// Requests and body bytes at work.
    pub(super) fn taken(&self) -> (usize, usize) {
        (
            self.requests_max - self.requests.available_permits(),
            self.large_max + self.small_max - self.large.available_permits() - self.small.available_permits(),
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

    fn room(places: &Places, bytes: usize) -> Option<Room> {
        let mut room = places.room_for(Some(bytes))?;
        places.grow(&mut room, bytes).then_some(room)
    }

    #[test]
    fn a_place_is_given_back() {
        let places = Places::new(2, 100);
        let first = places.take(Room::default()).expect("a place");
        let second = places.take(Room::default()).expect("a place");

        assert!(places.take(Room::default()).is_none());
        assert!(places.room_for(Some(0)).is_none());
        assert_eq!(places.taken(), (2, 0));
        drop(first);
        assert!(places.room_for(Some(0)).is_some());
        assert!(places.take(Room::default()).is_some());
        drop(second);
        assert_eq!(places.taken(), (0, 0));
    }

    #[test]
    fn bytes_are_counted_as_they_come_and_given_back_with_the_place() {
        let places = Places::new(10, 400);
        let mut small = room(&places, 50).expect("room");
        assert!(places.grow(&mut small, 30));

        assert!(room(&places, 21).is_none());
        assert!(!places.grow(&mut small, 21));
        assert!(places.room_for(Some(21)).is_none() && places.room_for(Some(20)).is_some());
        let place = places.take(small).expect("a place");
        assert_eq!(places.taken(), (1, 80));
        drop(place);
        assert_eq!(places.taken(), (0, 0));
        assert!(room(&places, usize::MAX).is_none());
    }

    #[test]
    fn large_bodies_leave_room_for_small_ones() {
        let places = Places::new(1_000, 4 * 1024 * 1024);
        let mut large = Vec::new();
        while let Some(room) = room(&places, 512 * 1024) {
            large.push(room);
        }
        assert_eq!(large.len(), 6);

        assert!(
            places.room_for(None).is_some_and(|mut room| !places.grow(&mut room, 1)),
            "of unknown length"
        );
        assert!(room(&places, 100 * 1024).is_some());
    }
}
