//! The methods that get, refresh and expire the credentials of a provider.

use std::time::Duration;

use crate::credentials::Credentials;
use crate::error::Error;
use crate::provider::CognitoIdentityCredentials;
use crate::provider::shared::ProviderCall;

impl CognitoIdentityCredentials {
    /// Returns credentials that are valid for at least
    /// [`expiry_window`](crate::Builder::expiry_window), which is 15 seconds by default. It
    /// contacts the service only if that is necessary.
    ///
    /// | cached credentials | what `get()` does |
    /// |---|---|
    /// | fresh | It returns them at once: no network, no allocation. |
    /// | inside the [advisory window](crate::Builder::advisory_window) | One caller makes one attempt to refresh them. All other callers get the cached credentials at once. If the attempt fails, the first caller gets them too, and [`status`](Self::status) shows the error. |
    /// | inside the expiry window, expired, or none | One caller contacts the service, with retries. The others wait and get the same result. |
    ///
    /// With [`persist_credentials`](crate::Builder::persist_credentials), `get()` reads the storage
    /// before it contacts the service.
    ///
    /// After an error of the service, a [cooldown](crate::Builder::failure_cooldown) of 1 to 5
    /// seconds begins. During it, calls in the last row return the same error and send no request.
    ///
    /// The lifetime is `Expiration` minus the `Date` of the answer, so a wrong local clock does not
    /// matter. If the `Date` is missing, unreadable or not before `Expiration`, the library uses
    /// the local wall clock. The lifetime begins just before the request. It is at most
    /// what was requested: one hour, or in the classic flow [`duration`](crate::Builder::duration).
    /// If the service issues a lifetime shorter than `expiry_window`, the callers of that refresh
    /// still get the credentials.
    ///
    /// # Blocking
    ///
    /// At most `timeout` (60 s by default). In the advisory window at most `attempt_timeout` (10 s
    /// by default). The caller that leads the refresh can block longer in two cases:
    ///
    /// * Your own token source, storage or transport does not return in time.
    /// * An app client rotates refresh tokens. A refresh that rotates the token is never abandoned
    ///   midway. It takes at most the `timeout` of the `UserPoolTokens` (20 s by default).
    ///
    /// # Errors
    ///
    /// Any [`ErrorKind`](crate::ErrorKind), but only if the cached credentials are valid for less
    /// than `expiry_window`. [`Reentrant`](crate::ErrorKind::Reentrant), if a refresh calls this
    /// method through your own code, such as a token source. `get()` never returns expired
    /// credentials.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{*, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// let keys = credentials.get()?; // contacts the service
    /// assert_eq!(credentials.get()?, keys); // returns the cached credentials
    /// assert_eq!(cognito.requests().len(), 2); // GetId, GetCredentialsForIdentity
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "getPromise")]
    #[doc(alias = "load")]
    #[doc(alias = "loadCredentials")]
    #[doc(alias = "getId")]
    #[doc(alias = "getCredentialsForIdentity")]
    pub fn get(&self) -> Result<Credentials, Error> {
        self.get_within(Duration::MAX)
    }

    /// Returns credentials like [`get`](Self::get), within `limit` or `timeout`, whichever is
    /// shorter. With a `limit` of zero, it never contacts the service.
    ///
    /// # Blocking
    ///
    /// At most `limit`, with the exceptions of [`get`](Self::get).
    ///
    /// # Errors
    ///
    /// The errors of [`get`](Self::get). [`Timeout`](crate::ErrorKind::Timeout), if the time was
    /// over.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{*, testing::*};
    /// # let clock = ManualClock::new();
    /// # let cognito = FakeCognito::with_clock(clock.clone());
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone())
    /// #     .clock(clock).build()?;
    /// use std::time::Duration;
    ///
    /// cognito.fail_next("GetId", 4, Fault::throttled());
    /// let error = credentials.get_within(Duration::from_secs(1)).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Throttled);
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "getPromise")]
    pub fn get_within(&self, limit: Duration) -> Result<Credentials, Error> {
        ProviderCall::new(&self.0).get(limit)
    }

    /// Requests new credentials from the service, even if the cached or stored credentials are
    /// fresh. If a refresh is already running, it waits for that one and returns its result.
    ///
    /// If it fails, the cached credentials do not change. [`get`](Self::get) returns them while
    /// they are valid.
    ///
    /// # Blocking
    ///
    /// At most `timeout` (60 s by default), with the exceptions of [`get`](Self::get).
    ///
    /// # Errors
    ///
    /// Any [`ErrorKind`](crate::ErrorKind).
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{*, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// let keys = credentials.get()?;
    /// cognito.fail_next("GetCredentialsForIdentity", 1, Fault::not_authorized("No."));
    /// assert!(credentials.refresh().is_err());
    /// assert_eq!(credentials.get()?, keys); // still good
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "refreshPromise")]
    #[doc(alias = "coalesceRefresh")]
    #[doc(alias = "refreshCallbacks")]
    pub fn refresh(&self) -> Result<Credentials, Error> {
        ProviderCall::new(&self.0).refresh()
    }

    /// Returns `true` if the next [`get`](Self::get) needs new credentials, from the service or
    /// from the [storage](crate::Builder::persist_credentials). It does if nothing is cached, after
    /// [`expire`](Self::expire), or if the credentials have expired or will expire within the
    /// expiry window. Never blocks.
    ///
    /// See the [example](Self::expire).
    #[must_use]
    #[doc(alias = "needsRefresh")]
    #[doc(alias = "expired")]
    pub fn needs_refresh(&self) -> bool {
        self.0.cell.needs_refresh()
    }

    /// Returns the credentials of the last successful refresh, even if they have expired. Never
    /// blocks.
    ///
    /// See the [example](Self::expire).
    #[must_use]
    #[doc(alias = "accessKeyId")]
    #[doc(alias = "secretAccessKey")]
    #[doc(alias = "sessionToken")]
    #[doc(alias = "expireTime")]
    pub fn cached(&self) -> Option<Credentials> {
        self.0.cell.cached()
    }

    /// Makes the cached credentials count as expired, so that the next [`get`](Self::get) refreshes
    /// them. Never blocks.
    ///
    /// * The result of a refresh that is already running is not cached.
    /// * This provider does not use the credentials that are in the
    ///   [storage](crate::Builder::persist_credentials) at this moment. Other processes still can.
    ///   [`refresh`](Self::refresh) replaces them in the storage.
    /// * A [cooldown](crate::Builder::failure_cooldown) continues. [`refresh`](Self::refresh) ends
    ///   it.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{*, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// assert!(credentials.needs_refresh());
    /// let keys = credentials.get()?;
    /// assert!(!credentials.needs_refresh());
    ///
    /// credentials.expire();
    /// assert!(credentials.needs_refresh());
    /// assert_eq!(credentials.cached(), Some(keys.clone()));
    /// assert_ne!(credentials.get()?, keys); // contacts the service again
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "expired")]
    pub fn expire(&self) {
        self.0.cell.expire();
    }

    /// Does the same as [`expire`](Self::expire), but only if the cached credentials have this
    /// access key ID. Never blocks.
    ///
    /// Call it when an AWS service has rejected the credentials. If another thread has already
    /// refreshed them, nothing happens.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{*, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// let keys = credentials.get()?;
    /// // … S3 answers "ExpiredToken" to a request signed with them …
    /// credentials.invalidate(keys.access_key_id());
    /// assert_ne!(credentials.get()?, keys);
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "expired")]
    pub fn invalidate(&self, access_key_id: &str) {
        self.0.cell.invalidate(|cached| cached.access_key_id() == access_key_id);
    }
}
