//! Why a command gives no token, and the limit of its output.

use std::time::Duration;

use crate::messages::time_limit::rounded_up;

/// The most bytes of a token, including white space around it.
pub(super) const MAX_OUTPUT: usize = 64 * 1024;

pub(super) const TOO_LONG: &str = "the command printed more text than a token can have";

pub(super) const CANNOT_RUN: &str = "the shell cannot be run";

pub(super) fn is_late(limit: Duration) -> String {
    format!("the command did not end within {:?} (--timeout)", rounded_up(limit))
}
