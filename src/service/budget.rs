//! How much time and how many attempts one refresh may spend.

use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// No attempt starts or ends after this boot time.
    pub(crate) deadline: Duration,
    /// The most attempts of one service call.
    pub(crate) attempts: u32,
    is_advisory: bool,
}

impl Budget {
    /// Allows one attempt and no recovery. If it fails, the cached value is still valid.
    pub(crate) fn advisory(deadline: Duration) -> Self {
        Self { deadline, attempts: 1, is_advisory: true }
    }

    pub(crate) fn full(deadline: Duration, attempts: u32) -> Self {
        Self { deadline, attempts, is_advisory: false }
    }

    pub(crate) fn is_advisory(&self) -> bool {
        self.is_advisory
    }

    /// Returns `true` if the refresh may replace a refused identity or login.
    pub(crate) fn allows_recovery(&self) -> bool {
        !self.is_advisory()
    }
}
