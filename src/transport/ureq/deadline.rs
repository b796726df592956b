//! The moment at which an exchange gives up.

use std::io;
use std::time::{Duration, Instant};

/// A longer time limit is none, and would overflow the arithmetic with system times.
pub(super) const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn after(limit: Duration) -> Self {
        Self::from(Instant::now(), limit)
    }

    pub(super) fn from(start: Instant, limit: Duration) -> Self {
        Self(start + limit.min(LONGEST_TIMEOUT))
    }

    /// What is left, or an error of kind `TimedOut`. Never zero: a socket takes zero for "no
    /// limit".
    pub(super) fn left(self) -> io::Result<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}
