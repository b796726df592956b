//! Detects a clock that calls the cell while the cell reads the clock.

use crate::cell::sync::READING_CLOCK;

/// Marks a cell's clock as being read on this thread, until it is dropped.
pub(super) struct ReentryGuard {
    before: usize,
}

impl ReentryGuard {
    /// Returns `None` if the clock of this cell, told by its address, is being read already.
    pub(super) fn enter(cell: usize) -> Option<Self> {
        let before = READING_CLOCK.with(|reading| reading.replace(cell));
        (before != cell).then_some(Self { before })
    }
}

impl Drop for ReentryGuard {
    fn drop(&mut self) {
        READING_CLOCK.with(|reading| reading.set(self.before));
    }
}
