//! Keeps the HTTP library from printing answers.
//!
//! ureq-proto writes every byte that it receives to the log at level trace, session tokens
//! included, and has no setting against it. While an exchange is under way and the program's logger
//! would take those lines, the level of the whole process is kept at debug.

use std::sync::{Mutex, MutexGuard, PoisonError};

use log::{Level, LevelFilter, Metadata};

/// What prints the answers.
const TARGET: &str = "ureq_proto::util";

static STATE: Mutex<State> = Mutex::new(State { exchanges: 0, before: LevelFilter::Off });

struct State {
    /// How many exchanges are under way with the level kept down.
    exchanges: usize,
    /// The level that the program has set.
    before: LevelFilter,
}

/// For as long as this lives, the HTTP library prints no answer.
pub(super) struct Quiet {
    counted: bool,
}

impl Quiet {
    pub(super) fn begin() -> Self {
        // The logger itself is asked, for the level may be down already; and without the lock held,
        // for it is the program's own code.
        let line = Metadata::builder().level(Level::Trace).target(TARGET).build();
        let counted = log::logger().enabled(&line);
        if counted {
            let mut state = state();
            let now = log::max_level();
            // The program may have raised it since another exchange began.
            if state.exchanges == 0 || now > LevelFilter::Debug {
                state.before = now;
                log::set_max_level(now.min(LevelFilter::Debug));
            }
            state.exchanges += 1;
        }
        Self { counted }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if self.counted {
            let mut state = state();
            state.exchanges -= 1;
            // Unless the program has set another level meanwhile.
            if state.exchanges == 0 && log::max_level() == state.before.min(LevelFilter::Debug) {
                log::set_max_level(state.before);
            }
        }
    }
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
