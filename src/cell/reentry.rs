//! Detects a clock or a listener that calls its own cell.

use std::process;

use crate::cell::state::RefreshState;
use crate::cell::sync::{self, Mutex, READING_CLOCK, ThreadId};

/// While it exists, this thread is reading the clock of a cell.
pub(super) struct ReentryGuard {
    before: usize,
}

impl ReentryGuard {
    /// Returns `None` if this thread is already reading the clock of this cell. `cell` is the
    /// address of the cell.
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

/// While it exists, this thread is inside the program's listener. A panic drops it too.
pub(super) struct ListenerGuard<'a, T, S> {
    state: &'a Mutex<RefreshState<T, S>>,
    thread: (u32, ThreadId),
}

impl<'a, T, S> ListenerGuard<'a, T, S> {
    pub(super) fn enter(state: &'a Mutex<RefreshState<T, S>>) -> Self {
        let thread = (process::id(), sync::current().id());
        sync::lock(state).in_listener.push(thread);
        Self { state, thread }
    }
}

impl<T, S> Drop for ListenerGuard<'_, T, S> {
    fn drop(&mut self) {
        sync::lock(self.state).in_listener.retain(|thread| *thread != self.thread);
    }
}

/// Returns `true` if this thread is inside the listener. A forked process first removes the threads
/// of its parent, because they never leave the listener here.
pub(super) fn is_in_listener(threads: &mut Vec<(u32, ThreadId)>) -> bool {
    if threads.is_empty() {
        return false;
    }
    let own = process::id();
    threads.retain(|(process, _)| *process == own);
    threads.contains(&(own, sync::current().id()))
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn only_threads_of_this_process_count_as_inside_the_listener() {
        type Row<'a> = (&'a [(u32, ThreadId)], bool, usize);

        let (own, foreign) = (process::id(), process::id() + 1);
        let this = sync::current().id();
        let other = std::thread::spawn(|| sync::current().id()).join().unwrap();
        // The threads in the list, whether this thread is inside the listener, and how many stay.
        let rows: [Row<'_>; 5] = [
            (&[], false, 0),
            (&[(own, this)], true, 1),
            (&[(own, other)], false, 1),
            (&[(foreign, this), (foreign, other)], false, 0),
            (&[(foreign, other), (own, other), (own, this)], true, 2),
        ];
        for (threads, inside, stay) in rows {
            let mut left = threads.to_vec();
            assert_eq!(is_in_listener(&mut left), inside, "{threads:?}");
            assert_eq!(left.len(), stay, "{threads:?}");
        }
    }
}
