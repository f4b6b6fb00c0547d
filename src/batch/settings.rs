//! How the batch mover works.

use std::time::Duration;

use crate::lake::layout::Compression;

use super::treatment::Treatment;

/// How the batch mover works.
#[derive(Debug, Clone)]
pub struct BatchSettings {
    /// How long an event waits for company.
    pub age: Duration,
    /// Uncompressed bytes of one object.
    pub bytes_max: usize,
    /// Events of one object.
    pub events_max: usize,
    /// How long a message is hidden from others before it must be extended; what a crash costs in freshness.
    pub lease: Duration,
    /// How long an event waits for stragglers of its minute once that is over.
    pub minute_grace: Duration,
    /// Open windows at once.
    pub windows_max: usize,
    /// Messages held at once.
    pub held_max: usize,
    /// Empties the queue so often, and leaves it alone in between; without it, takes what comes.
    pub every: Option<Duration>,
    /// Deliveries after which a message travels alone.
    pub attempts_alone: u32,
    /// Deliveries after which a message becomes a dead letter.
    pub attempts_max: u32,
    /// What objects are compressed with.
    pub compression: Compression,
    /// What is done to personal data.
    pub treatment: Treatment,
}

impl Default for BatchSettings {
    fn default() -> Self {
        BatchSettings {
            age: Duration::from_secs(5),
            bytes_max: 16 * 1024 * 1024,
            events_max: 10_000,
            lease: Duration::from_secs(30),
            minute_grace: Duration::from_secs(1),
            windows_max: 8,
            held_max: 20_000,
            every: None,
            attempts_alone: 3,
            attempts_max: 16,
            compression: Compression::Zstd,
            treatment: Treatment::keep(),
        }
    }
}

impl BatchSettings {
    /// The cheap way: one burst each `every`, in which the minutes since the last one become an object each.
    pub fn in_bursts(self, every: Duration) -> BatchSettings {
        // What a queue gives is in no order: all minutes of a burst stay open until it is over.
        let patience = Duration::from_secs(60);
        let minutes = usize::try_from(every.as_secs() / 60).unwrap_or(usize::MAX);
        BatchSettings {
            age: patience,
            minute_grace: patience,
            windows_max: minutes.saturating_add(8).min(256),
            held_max: 60_000,
            every: Some(every),
            ..self
        }
    }
}
