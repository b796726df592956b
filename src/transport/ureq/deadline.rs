//! The time at which an exchange must end.

use std::io;
use std::time::{Duration, Instant};

/// A longer time limit is shortened to this one, because it could overflow the system's times.
pub(super) const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn after(limit: Duration) -> Self {
        Self::from(Instant::now(), limit)
    }

    pub(super) fn from(start: Instant, limit: Duration) -> Self {
        Self(start + limit.min(MAX_TIMEOUT))
    }

    /// Returns the time left, or an error of kind `TimedOut`. The time is never zero, because
    /// sockets reject a time limit of zero.
    pub(super) fn left(self) -> io::Result<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}
