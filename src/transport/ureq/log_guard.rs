//! Keeps the HTTP library from logging answers.
//!
//! At level trace, ureq-proto logs every byte that it receives, including session tokens. No
//! setting turns that off. `UreqTransport` documents how this file lowers the log level instead.

use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};

use log::{Level, LevelFilter, Metadata};

/// The target of the log lines with answers.
const TARGET: &str = "ureq_proto::util";

static STATE: Mutex<State> = Mutex::new(State { process: 0, exchanges: 0, lowered: false });

struct State {
    /// A forked process inherits the count of its parent, but none of the exchanges.
    process: u32,
    exchanges: usize,
    /// Whether the level was trace before it was lowered.
    lowered: bool,
}

/// While this value exists, ureq-proto logs no answer.
pub(super) struct LogGuard(());

impl LogGuard {
    pub(super) fn begin() -> Self {
        let mut state = state();
        if state.process != process::id() {
            state.restore();
            *state = State { process: process::id(), exchanges: 0, lowered: false };
        }
        state.exchanges += 1;
        drop(state);
        // The guard exists before `lower` calls the logger, which may panic.
        let guard = Self(());
        lower();
        guard
    }
}

/// Lowers the level if ureq-proto would log answers.
pub(super) fn lower() {
    let line = Metadata::builder().level(Level::Trace).target(TARGET).build();
    // The logger is the program's code, so it must not run under the lock.
    if log::max_level() == LevelFilter::Trace && log::logger().enabled(&line) {
        state().lowered = true;
        log::set_max_level(LevelFilter::Debug);
    }
}

impl State {
    /// Raises the level again, unless the program has changed it meanwhile.
    fn restore(&mut self) {
        if self.lowered && log::max_level() == LevelFilter::Debug {
            log::set_max_level(LevelFilter::Trace);
        }
        self.lowered = false;
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let mut state = state();
        state.exchanges = state.exchanges.saturating_sub(1);
        if state.exchanges == 0 {
            state.restore();
        }
    }
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
