//! Why a command gives no token, and the limit of its output.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::messages::time_limit::rounded_up;

/// The most bytes of a token, including white space around it.
pub(super) const MAX_OUTPUT: usize = 64 * 1024;

pub(super) const TOO_LONG: &str = "the command printed more text than a token can have";

/// The system failed. Its error is the source, which tells whether it is temporary.
#[derive(Debug)]
pub(super) struct SystemFault {
    what: &'static str,
    error: io::Error,
}

impl SystemFault {
    pub(super) fn new(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self { what, error }
    }

    pub(super) fn cannot_run(error: io::Error) -> Self {
        Self { what: "the shell cannot be run", error }
    }
}

impl fmt::Display for SystemFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        if f.alternate() { write!(f, ": {}", self.error) } else { Ok(()) }
    }
}

impl Error for SystemFault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

pub(super) fn is_late(limit: Duration) -> String {
    format!("the command did not end within {:?} (--timeout)", rounded_up(limit))
}
