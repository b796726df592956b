//! Keeps the HTTP library from printing answers.
//!
//! ureq-proto writes every byte that it receives to the log at level trace, session tokens
//! included, and has no setting against it. While an exchange is under way and the program's logger
//! would take those lines, the level of the whole process is lowered to debug.

use std::sync::{Mutex, MutexGuard, PoisonError};

use log::{Level, LevelFilter};

/// How many exchanges are under way with the level lowered, and what it was before.
static LOWERED: Mutex<(usize, LevelFilter)> = Mutex::new((0, LevelFilter::Off));

/// For as long as this lives, the HTTP library prints no answer.
pub(super) struct Quiet {
    lowered: bool,
}

impl Quiet {
    pub(super) fn begin() -> Self {
        // The logger is asked without the lock held: it is the program's own code.
        let would_print = log::log_enabled!(target: "ureq_proto::util", Level::Trace);
        let mut state = lowered();
        let lowered = would_print || state.0 > 0;
        if lowered {
            if state.0 == 0 {
                state.1 = log::max_level();
                log::set_max_level(LevelFilter::Debug);
            }
            state.0 += 1;
        }
        Self { lowered }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if self.lowered {
            let mut state = lowered();
            state.0 -= 1;
            if state.0 == 0 && log::max_level() == LevelFilter::Debug {
                log::set_max_level(state.1);
            }
        }
    }
}

fn lowered() -> MutexGuard<'static, (usize, LevelFilter)> {
    LOWERED.lock().unwrap_or_else(PoisonError::into_inner)
}
