//! What a provider knows at one moment, and what it reports about each refresh.

use std::fmt;
use std::time::Duration;

use crate::error::Error;
use crate::refresh::identity::IdentityOrigin;

/// Holds what a provider knows at one moment.
/// [`status`](crate::CognitoIdentityCredentials::status) returns it.
///
/// `Debug` hides the identity ID.
#[derive(Clone)]
#[non_exhaustive]
pub struct Status {
    /// The identity ID, or `None` if none is known.
    pub identity_id: Option<String>,
    /// Where the identity ID came from.
    pub identity_origin: Option<IdentityOrigin>,
    /// How long the cached credentials are still valid. Zero if they have expired, `None` if there
    /// are none.
    pub expires_in: Option<Duration>,
    /// Whether the next `get()` needs new credentials, from the service or from the storage.
    pub needs_refresh: bool,
    /// The error of the last refresh, or `None` if the last refresh succeeded.
    pub last_error: Option<Error>,
    /// How long `get()` still sends no request after a failure.
    pub next_attempt_in: Option<Duration>,
    /// The present failure of the storage, or why `persist_credentials` stores nothing. It has the
    /// kind [`Storage`](crate::ErrorKind::Storage). `None` if nothing is wrong.
    ///
    /// [`Builder::storage`](crate::Builder::storage) says what the provider then does.
    pub storage_error: Option<Error>,
}

/// Describes one refresh. [`Builder::on_refresh`](crate::Builder::on_refresh) passes it to the
/// program.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RefreshReport {
    /// Whether the refresh got credentials, or why it failed.
    ///
    /// If an early refresh fails, this is its error, although `get()` returns credentials that are
    /// still valid.
    pub result: Result<(), Error>,
    /// How long the refresh took, on the boot clock.
    pub duration: Duration,
    /// How many operations were sent to Cognito Identity and STS. Retries are not counted, nor are
    /// the calls of a `UserPoolTokens`. Zero if
    /// [stored](crate::Builder::persist_credentials) credentials were used without a call.
    pub service_calls: u32,
    /// Whether this was an early refresh by `get()`, successful or not: inside the [advisory
    /// window](crate::Builder::advisory_window), while older credentials were still valid.
    pub early: bool,
    /// The failure of the storage after this refresh, as in [`Status`].
    pub storage_error: Option<Error>,
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status")
            .field("identity_id", &self.identity_id.as_ref().map(|_| "[redacted]"))
            .field("identity_origin", &self.identity_origin)
            .field("expires_in", &self.expires_in)
            .field("needs_refresh", &self.needs_refresh)
            .field("last_error", &self.last_error)
            .field("next_attempt_in", &self.next_attempt_in)
            .field("storage_error", &self.storage_error)
            .finish()
    }
}
