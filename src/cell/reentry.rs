//! Detects a clock or a listener that calls the cell which calls it.

use std::sync::PoisonError;

use crate::cell::state::RefreshState;
use crate::cell::sync::{self, Mutex, MutexGuard, READING_CLOCK, ThreadId};

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

/// Marks that this thread is in the program's listener, until it is dropped, also by a panic.
pub(super) struct ListenerGuard<'a, T, S> {
    state: &'a Mutex<RefreshState<T, S>>,
    thread: ThreadId,
}

impl<'a, T, S> ListenerGuard<'a, T, S> {
    pub(super) fn enter(state: &'a Mutex<RefreshState<T, S>>) -> Self {
        let thread = sync::current().id();
        lock(state).listening.push(thread);
        Self { state, thread }
    }
}

impl<T, S> Drop for ListenerGuard<'_, T, S> {
    fn drop(&mut self) {
        lock(self.state).listening.retain(|thread| *thread != self.thread);
    }
}

fn lock<T, S>(state: &Mutex<RefreshState<T, S>>) -> MutexGuard<'_, RefreshState<T, S>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
