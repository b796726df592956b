//! The log of the library on standard error: warnings, and more with `--verbose`. Other libraries
//! are left out, because they may log requests.

use std::fmt;
use std::io::{self, Write};
#[cfg(unix)]
use std::sync::atomic::{AtomicBool, Ordering};

use log::{LevelFilter, Log, Metadata, Record};

#[cfg(unix)]
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::messages::printable::printable;

struct Logger;

#[cfg(unix)]
static NEVER_WAITS: AtomicBool = AtomicBool::new(false);

pub(crate) fn start(verbose: bool) {
    // Fails only if a logger is set already.
    let _ = log::set_logger(&Logger);
    log::set_max_level(if verbose { LevelFilter::Debug } else { LevelFilter::Warn });
}

/// Turns warnings off, for commands that print failures themselves.
pub(crate) fn silence() {
    if !is_verbose() {
        log::set_max_level(LevelFilter::Off);
    }
}

/// From now on, drops a line if writing it would block, for example because the parent process does
/// not read its pipe. The endpoint must not block.
#[cfg(unix)]
pub(crate) fn never_wait() {
    NEVER_WAITS.store(true, Ordering::Relaxed);
}

#[cfg(unix)]
fn would_wait() -> bool {
    let stderr = io::stderr();
    let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
    NEVER_WAITS.load(Ordering::Relaxed) && poll(&mut ready, Some(&Timespec::default())) == Ok(0)
}

#[cfg(not(unix))]
fn would_wait() -> bool {
    false
}

pub(crate) fn warn(text: fmt::Arguments<'_>) {
    line("warn", text);
}

pub(crate) fn step(text: fmt::Arguments<'_>) {
    if is_verbose() {
        line("info", text);
    }
}

pub(crate) fn is_verbose() -> bool {
    log::max_level() >= LevelFilter::Debug
}

fn line(level: &str, text: fmt::Arguments<'_>) {
    if would_wait() {
        return;
    }
    let text = text.to_string();
    // Standard error may be closed, so an error is ignored.
    let _ = writeln!(io::stderr(), "cognito-credentials: {level}: {}", printable(&text));
}

pub(crate) fn advise(text: &str) {
    // Standard error may be closed, so an error is ignored.
    let _ = writeln!(io::stderr(), "  what to do: {}", printable(text));
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let library = "cognito_identity_credentials";
        let rest = metadata.target().strip_prefix(library);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = record.level().as_str().to_ascii_lowercase();
            line(&level, *record.args());
        }
    }

    fn flush(&self) {}
}
