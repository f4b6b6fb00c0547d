//! How the load mover works.

use std::time::Duration;

/// How the load mover works.
#[derive(Debug, Clone)]
pub struct LoadSettings {
    /// How often to look for new objects.
    pub interval: Duration,
    /// Objects of one transaction.
    pub files_max: usize,
    /// Bytes of one transaction, unpacked; parsed they take several times the memory.
    pub bytes_max: usize,
    /// Objects read at once.
    pub readers: usize,
    /// Longest share of the time that loading may take; the pause between loads grows to keep it.
    pub duty_max: f64,
    /// How often to list all events, for what a crash left without a manifest.
    pub full_listing_every: Duration,
}

impl Default for LoadSettings {
    fn default() -> Self {
        LoadSettings {
            interval: Duration::from_secs(5),
            files_max: 256,
            bytes_max: 48 * 1024 * 1024,
            readers: 2,
            duty_max: 0.3,
            full_listing_every: Duration::from_secs(24 * 3600),
        }
    }
}
