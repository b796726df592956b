//! What the cell shares between threads: the standard library's, or loom's, which runs a test
//! through every order in which threads can meet.

#[cfg(all(loom, test))]
pub(crate) use self::explored::*;
#[cfg(not(all(loom, test)))]
pub(crate) use self::standard::*;

#[cfg(not(all(loom, test)))]
mod standard {
    use std::cell::Cell;
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::thread::{ThreadId, current};

    thread_local! {
        /// The cell whose clock is being read on this thread, by its address.
        pub(crate) static INSIDE: Cell<usize> = const { Cell::new(0) };
    }
}

#[cfg(all(loom, test))]
mod explored {
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use loom::thread::{ThreadId, current};
    use std::cell::Cell;

    loom::thread_local! {
        pub(crate) static INSIDE: Cell<usize> = Cell::new(0);
    }
}
