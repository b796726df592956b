//! How much time and how many attempts one refresh may spend.

use std::time::Duration;

/// What one refresh may spend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// On the boot clock: nothing starts after it, and no attempt may last beyond it.
    pub(crate) deadline: Duration,
    /// Attempts for each service call.
    pub(crate) attempts: u32,
    attempt: Attempt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    /// Ahead of time: if it fails, there still is a valid value.
    Advisory,
    Full,
}

impl Budget {
    /// One attempt, and no recovery.
    pub(crate) fn advisory(deadline: Duration) -> Self {
        Self { deadline, attempts: 1, attempt: Attempt::Advisory }
    }

    pub(crate) fn full(deadline: Duration, attempts: u32) -> Self {
        Self { deadline, attempts, attempt: Attempt::Full }
    }

    pub(crate) fn is_advisory(&self) -> bool {
        self.attempt == Attempt::Advisory
    }

    /// Whether a refused identity or login may be replaced.
    pub(crate) fn allows_recovery(&self) -> bool {
        !self.is_advisory()
    }
}
