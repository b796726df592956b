//! What a provider knows at one moment.

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
    /// The present failure of the storage, or `None` if the last operations on it succeeded. It has
    /// the kind [`Storage`](crate::ErrorKind::Storage).
    ///
    /// A storage failure never fails a refresh. While the identity cannot be read, the provider
    /// uses a temporary guest. While it cannot be written, a restart of the program may lose it.
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
