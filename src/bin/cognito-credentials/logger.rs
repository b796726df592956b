//! The library's log on standard error: warnings always, and what it does with `--verbose`. The
//! libraries underneath are left out: they may print requests.

use std::fmt;
use std::io::{self, Write};

use log::{LevelFilter, Log, Metadata, Record};

struct Logger;

pub(crate) fn start(verbose: bool) {
    // Fails only if there is a logger already.
    let _ = log::set_logger(&Logger);
    log::set_max_level(if verbose { LevelFilter::Debug } else { LevelFilter::Warn });
}

/// For the commands that try on purpose what cannot work.
pub(crate) fn hush() {
    if log::max_level() < LevelFilter::Debug {
        log::set_max_level(LevelFilter::Off);
    }
}

/// A warning of the command's own.
pub(crate) fn warn(text: fmt::Arguments<'_>) {
    // There is nobody to tell if standard error is closed.
    let _ = writeln!(io::stderr(), "cognito-credentials: warn: {text}");
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
            let _ = writeln!(io::stderr(), "cognito-credentials: {level}: {}", record.args());
        }
    }

    fn flush(&self) {}
}
