//! The commands that run now, so that none is left when the process ends.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

struct Commands {
    running: usize,
    must_end: bool,
}

static COMMANDS: Mutex<Commands> = Mutex::new(Commands { running: 0, must_end: false });
static ENDED: Condvar = Condvar::new();

pub(super) struct Running(());

impl Running {
    /// Returns `None` if the process is about to end.
    pub(super) fn begin() -> Option<Self> {
        let mut commands = commands();
        if commands.must_end {
            return None;
        }
        commands.running += 1;
        Some(Self(()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        commands().running -= 1;
        ENDED.notify_all();
    }
}

pub(super) fn must_end() -> bool {
    commands().must_end
}

/// Ends the commands of other threads, and prevents new ones. Waits for them at most `limit`.
pub(crate) fn end_all(limit: Duration) {
    let mut commands = commands();
    commands.must_end = true;
    // The result says only whether they have ended in time.
    let _ = ENDED.wait_timeout_while(commands, limit, |commands| commands.running > 0);
}

fn commands() -> MutexGuard<'static, Commands> {
    COMMANDS.lock().unwrap_or_else(PoisonError::into_inner)
}
