//! The default settings and the delays of the library, for the simulation in `benches/fleet`.

use std::time::Duration;

use crate::error::Retry;
use crate::provider::CognitoIdentityCredentials;
use crate::service::retry;

/// A failure after which a call is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryableFailure {
    /// More calls than the quota allows.
    Throttled,
    /// An internal error of the service.
    ServerError,
}

/// The defaults of the builder.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Defaults {
    /// `Builder::expiry_window`.
    pub expiry_window: Duration,
    /// `Builder::timeout`.
    pub timeout: Duration,
    /// `Builder::attempt_timeout`.
    pub attempt_timeout: Duration,
    /// `Builder::max_attempts`.
    pub attempts: u32,
    /// `Builder::failure_cooldown`.
    pub cooldown: Duration,
}

/// Returns the defaults of the builder.
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

/// Returns the default advisory window of credentials with this lifetime.
#[must_use]
pub fn advisory_window(lifetime: Duration) -> Duration {
    CognitoIdentityCredentials::builder().limits().windows.advisory_for(lifetime)
}

/// Returns the delay after attempt `attempt` (from 1) of `attempts`, or `None` if there is no
/// retry. `asked` is the wait that the service asks for.
#[must_use]
pub fn delay(
    failure: RetryableFailure,
    attempt: u32,
    attempts: u32,
    asked: Option<Duration>,
    roll: f64,
) -> Option<Duration> {
    let retry = match failure {
        RetryableFailure::Throttled => Retry::AfterThrottling,
        RetryableFailure::ServerError => Retry::AfterFailure,
    };
    retry::delay(retry, attempt, attempts, asked, roll)
}

/// Returns the wait for a `Retry-After` date that is `wait` ahead.
#[must_use]
pub fn spread_until(wait: Duration, roll: f64) -> Duration {
    retry::spread_until(wait, roll)
}

/// Returns the cooldown after a failed refresh. `throttled` counts the throttled refreshes in a
/// row.
#[must_use]
pub fn cooldown(limit: Duration, throttled: u32, asked: Option<Duration>, roll: f64) -> Duration {
    retry::cooldown(limit, throttled, asked, roll)
}

/// Returns the pause after an advisory refresh that failed.
#[must_use]
pub fn advisory_pause(window: Duration, asked: Option<Duration>, roll: f64) -> Duration {
    retry::advisory_pause(window, asked, roll)
}
