//! The guard against a clock that asks the cell which is reading it.

use crate::cell::sync::READING_CLOCK;
use crate::error::Error;

/// Marks a cell's clock as being read on this thread, until it is dropped.
pub(super) struct ReentryGuard {
    before: usize,
}

impl ReentryGuard {
    /// Returns an error if the clock of this cell, told by its address, is being read already.
    pub(super) fn enter(cell: usize) -> Result<Self, Error> {
        let before = READING_CLOCK.with(|reading| reading.replace(cell));
        if before == cell { Err(Error::reentrant()) } else { Ok(Self { before }) }
    }
}

impl Drop for ReentryGuard {
    fn drop(&mut self) {
        READING_CLOCK.with(|reading| reading.set(self.before));
    }
}
