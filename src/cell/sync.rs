//! The lock, the condition variable and the clock of the waiters, from the standard library or from
//! loom. Loom runs a test in every order in which threads can meet.

use std::sync::PoisonError;

#[cfg(all(loom, test))]
pub(crate) use self::explored::*;
#[cfg(not(all(loom, test)))]
pub(crate) use self::standard::*;

/// Locks a mutex. Every critical section leaves the data valid, so a poisoned mutex is ignored.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(not(all(loom, test)))]
mod standard {
    use std::cell::Cell;
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::thread::{ThreadId, current};
    pub(crate) use std::time::Instant;

    thread_local! {
        /// The address of the cell whose clock this thread is reading, or zero.
        pub(crate) static READING_CLOCK: Cell<usize> = const { Cell::new(0) };
    }
}

#[cfg(test)]
#[cfg(loom)]
mod explored {
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use loom::thread::{ThreadId, current};
    use std::cell::Cell;
    use std::time::Duration;

    loom::thread_local! {
        pub(crate) static READING_CLOCK: Cell<usize> = Cell::new(0);
    }

    thread_local! {
        /// The current time. Loom runs all its threads on one system thread, so they share it.
        /// Loom's condition variable has no time limits, so a thread that sets the time wakes the
        /// waiters.
        pub(crate) static TIME: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    #[derive(Clone, Copy)]
    pub(crate) struct Instant(Duration);

    impl Instant {
        pub(crate) fn now() -> Self {
            Self(TIME.get())
        }

        pub(crate) fn checked_add(self, duration: Duration) -> Option<Self> {
            self.0.checked_add(duration).map(Self)
        }

        pub(crate) fn saturating_duration_since(self, earlier: Self) -> Duration {
            self.0.saturating_sub(earlier.0)
        }
    }
}
