//! The policy of the library itself, for the benches of this crate that simulate many devices. It is
//! not public API: programs set what they want with the [`Builder`](crate::provider::builder::Builder).

use std::time::Duration;

use crate::error::Retry;
use crate::provider::CognitoIdentityCredentials;
use crate::service::retry;

/// What may pass by waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// More calls than the quota allows.
    Throttled,
    /// A fault of the service.
    Fault,
}

/// The defaults of the builder.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Defaults {
    /// How long before their end credentials are not handed out any more.
    pub expiry_window: Duration,
    /// The longest that a `get()` takes.
    pub timeout: Duration,
    /// The longest that an attempt to renew ahead of time takes.
    pub attempt_timeout: Duration,
    /// Attempts for each service call.
    pub attempts: u32,
    /// The bound of the first cooldown.
    pub cooldown: Duration,
}

/// The defaults of the builder.
#[must_use]
pub fn defaults() -> Defaults {
    let limits = CognitoIdentityCredentials::builder().limits();
    Defaults {
        expiry_window: limits.windows.expiry,
        timeout: limits.timeout,
        attempt_timeout: limits.attempt_timeout,
        attempts: limits.attempts,
        cooldown: limits.cooldown,
    }
}

/// How long before their end credentials of this lifetime are renewed.
#[must_use]
pub fn advisory_window(lifetime: Duration) -> Duration {
    CognitoIdentityCredentials::builder().limits().windows.advisory_for(lifetime)
}

/// How long to wait before attempt `attempt` (from 1) of `attempts` is repeated.
#[must_use]
pub fn delay(failure: Failure, attempt: u32, attempts: u32, roll: f64) -> Option<Duration> {
    let retry = match failure {
        Failure::Throttled => Retry::AfterThrottling,
        Failure::Fault => Retry::AfterFailure,
    };
    retry::delay(retry, attempt, attempts, None, roll)
}

/// How long `get()` keeps away after a failure that was answered, the last of so many throttled ones.
#[must_use]
pub fn cooldown(limit: Duration, throttled: u32, roll: f64) -> Duration {
    retry::cooldown(limit, throttled, roll)
}

/// How long a good set is left alone after an attempt to renew it failed.
#[must_use]
pub fn advisory_pause(window: Duration, roll: f64) -> Duration {
    retry::advisory_pause(window, roll)
}
