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
    /// The present failure of the storage, or why `persist_credentials` stores nothing. `None` if
    /// there is neither. It has the kind [`Storage`](crate::ErrorKind::Storage).
    ///
    /// A failure of the storage never makes a refresh fail. If no identity is known and the stored
    /// one cannot be read, the provider uses a temporary guest. If the identity cannot be written,
    /// a restart of the program may lose it.
    pub storage_error: Option<Error>,
}

/// Describes one refresh. [`Builder::on_refresh`](crate::Builder::on_refresh) passes it to the
/// program.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RefreshReport {
    /// Whether the refresh got credentials, or why it failed.
    ///
    /// If an early refresh fails, `get()` returns the credentials that are still valid, and this is
    /// the error.
    pub result: Result<(), Error>,
    /// How long the refresh took, on the boot clock.
    pub duration: Duration,
    /// How many operations were sent to Cognito Identity and STS. The retries of an operation are
    /// not counted. Zero if stored credentials were used without a call (see
    /// [`persist_credentials`](crate::Builder::persist_credentials)).
    ///
    /// The calls of a `UserPoolTokens` are not counted, because it has its own connection to the
    /// service.
    pub service_calls: u32,
    /// Whether this was an early refresh by `get()`: inside the [advisory
    /// window](crate::Builder::advisory_window), while older credentials were still valid. It is
    /// also true if the refresh failed.
    pub early: bool,
    /// The error of the storage after this refresh, as in
    /// [`status`](crate::CognitoIdentityCredentials::status). It never makes a refresh fail.
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
