//! The lines of the report of the command `doctor`.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::failure::Failure;
use crate::output;

/// The exit status of the first step that failed.
static STATUS: AtomicU8 = AtomicU8::new(0);

/// Returns the failure of the whole report, if a step failed.
pub(crate) fn result() -> Result<(), Failure> {
    match STATUS.load(Ordering::Relaxed) {
        0 => Ok(()),
        status => Err(Failure::already_printed(status)),
    }
}

/// Prints a step that failed. The first one decides the exit status.
pub(crate) fn bad(status: u8, what: &str, said: &str) {
    let _ = STATUS.compare_exchange(0, status, Ordering::Relaxed, Ordering::Relaxed);
    line("BAD", what, said);
}

/// Prints a step that worked.
pub(crate) fn ok(what: &str, said: &str) {
    line("ok", what, said);
}

fn line(verdict: &str, what: &str, said: &str) {
    // An error is ignored: the reader may close the pipe.
    let _ = output::print(format!("{verdict:<5} {what:<12} {said}\n").as_bytes());
}

pub(crate) fn advise(advice: &str) {
    let _ = output::print(format!("{:18} what to do: {advice}\n", "").as_bytes());
}

/// Prints a failure. What it returns has only the exit status.
pub(crate) fn failure(what: &str, failure: &Failure) -> Failure {
    bad(failure.status, what, &failure.message);
    if let Some(advice) = &failure.advice {
        advise(advice);
    }
    Failure::already_printed(failure.status)
}
