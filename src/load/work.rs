//! What a load is about to do, and how far it is.

use crate::ops::metrics;

use super::Summary;

/// One piece of work: what is done of it, and of how much.
pub(super) struct Work<'a> {
    pub(super) summary: Summary,
    pub(super) total: u64,
    progress: &'a mut (dyn FnMut(u64, u64) + Send),
}

impl<'a> Work<'a> {
    pub(super) fn new(progress: &'a mut (dyn FnMut(u64, u64) + Send)) -> Self {
        Work { summary: Summary::default(), total: 0, progress }
    }

    pub(super) fn left(&self) -> u64 {
        self.total.saturating_sub(self.summary.files + self.summary.files_missing)
    }

    pub(super) fn tell(&mut self) {
        let left = self.left();
        metrics::load_waiting_files(left);
        (self.progress)(self.total - left, self.total);
    }
}
