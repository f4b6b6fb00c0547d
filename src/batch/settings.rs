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
    /// Messages held at once.
    pub held_max: usize,
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
            held_max: 20_000,
            attempts_alone: 3,
            attempts_max: 16,
            compression: Compression::Zstd,
            treatment: Treatment::keep(),
        }
    }
}
