//! What users call: [`CognitoIdentityCredentials`].
//!
//! * `builder`: the settings with their documentation, and `build`
//! * `settings`: their values and defaults
//! * `validate`: their checks; one error reports every fault
//! * `environment`: settings from environment variables
//! * `newer_records`: tests of a provider whose records another process changed
//! * `storage_faults`: tests of a provider on a disk whose calls fail
//! * `status`: what a provider knows at one moment, and what it reports about each refresh
//! * `aws_sdk`: `ProvideCredentials` of the AWS SDK (feature `aws-sdk`)
//! * `background`: a refresh on its own thread, for the futures of `aws_sdk`

#[cfg(feature = "aws-sdk")]
mod aws_sdk;
#[cfg(feature = "aws-sdk")]
mod background;
pub(crate) mod builder;
mod environment;
#[cfg(test)]
#[cfg(feature = "testing")]
mod newer_records;
mod settings;
mod status;
#[cfg(test)]
#[cfg(all(unix, feature = "testing"))]
mod storage_faults;
mod validate;

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::cell::{
    CompletedRefresh, Epoch, Limits, OnCompleted, RefreshCell, RefreshInput, Refreshed,
};
use crate::clock::Clock;
use crate::credentials::{Credentials, ResponseData};
use crate::error::Error;
use crate::logins::Logins;
#[cfg(feature = "aws-sdk")]
use crate::provider::background::BackgroundRefresh;
use crate::provider::settings::{IdentityListener, RefreshListener};
use crate::redact;
use crate::refresh::identity::{Identity, IdentityChange, IdentityChangeReason, IdentityOrigin};
use crate::refresh::stored_credentials::{LoadOptions, LoadOrRefresh};
use crate::refresh::{CredentialSet, Principal, ProviderState, Refresher, StaleIdentities};
use crate::service::cognito_identity::Id;

pub use self::builder::Builder;
pub use self::status::{RefreshReport, Status};

/// Provides temporary AWS credentials from an Amazon Cognito identity pool and refreshes them.
///
/// Create it with [`builder`](Self::builder), give a clone to each thread, and call
/// [`get`](Self::get) whenever credentials are needed. `get()` returns the cached credentials while
/// they are fresh, and contacts the service when they are not. There are no background threads; an
/// unused provider does nothing.
///
/// Clones share one identity, one set of cached credentials and one refresh at a time.
///
/// ```
/// # fn main() -> Result<(), cognito_identity_credentials::Error> {
/// # #[cfg(feature = "testing")] {
/// use cognito_identity_credentials::CognitoIdentityCredentials;
/// use cognito_identity_credentials::testing::FakeCognito;
///
/// let credentials = CognitoIdentityCredentials::builder()
///     .identity_pool_id(FakeCognito::POOL_ID)
///     .transport(FakeCognito::new()) // leave this out to talk to AWS
///     .build()?;
///
/// let keys = credentials.get()?;
/// assert_eq!(keys.identity_id(), credentials.identity_id().as_deref());
/// # }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "AWS.CognitoIdentityCredentials")]
pub struct CognitoIdentityCredentials(Arc<Inner>);

struct Inner {
    cell: RefreshCell<Credentials, CurrentSettings>,
    refresher: Refresher,
    stored_credentials: Option<Box<dyn LoadOrRefresh>>,
    on_identity_change: Option<Arc<IdentityListener>>,
    on_refresh: Option<Arc<RefreshListener>>,
    #[cfg(feature = "aws-sdk")]
    background: BackgroundRefresh<Epoch, Result<Credentials, Error>>,
}

/// What callers can change while the provider lives, and what a refresh learns.
#[derive(Clone)]
struct CurrentSettings {
    principal: Principal,
    data: Option<Arc<ResponseData>>,
}

impl CognitoIdentityCredentials {
    pub(crate) fn new(
        refresher: Refresher,
        stored_credentials: Option<Box<dyn LoadOrRefresh>>,
        on_identity_change: Option<Arc<IdentityListener>>,
        on_refresh: Option<Arc<RefreshListener>>,
        principal: Principal,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Self {
        #[cfg(feature = "aws-sdk")]
        let background = BackgroundRefresh::new(limits.timeout);
        let cell = RefreshCell::new(clock, limits, CurrentSettings { principal, data: None });
        Self(Arc::new(Inner {
            cell,
            refresher,
            stored_credentials,
            on_identity_change,
            on_refresh,
            #[cfg(feature = "aws-sdk")]
            background,
        }))
    }

    /// Returns credentials that are valid for at least [`expiry_window`](Builder::expiry_window),
    /// which is 15 seconds by default. It contacts the service only if that is necessary.
    ///
    /// | cached credentials | what `get()` does |
    /// |---|---|
    /// | fresh | It returns them at once: no network, no allocation. |
    /// | inside the [advisory window](Builder::advisory_window) | One caller makes one attempt to refresh them. All other callers get the cached credentials at once. If the attempt fails, the first caller gets them too, and [`status`](Self::status) shows the error. |
    /// | inside the expiry window, expired, or none | One caller contacts the service, with retries. The others wait and get the same result. |
    ///
    /// With [`persist_credentials`](Builder::persist_credentials), `get()` reads the storage before
    /// it contacts the service.
    ///
    /// After the service has answered with an error, calls in the last row return the same error
    /// for 1 to 5 seconds by default, without a request. The time is longer while the service
    /// throttles. See [`failure_cooldown`](Builder::failure_cooldown).
    ///
    /// The lifetime is `Expiration` minus the `Date` of the answer, so a wrong local clock does not
    /// matter. If the answer has no readable `Date`, or one that is not before `Expiration`, the
    /// local wall clock is used. The lifetime starts before the request is sent. It is never longer
    /// than what was requested: one hour, or in the classic flow [`duration`](Builder::duration).
    /// If the service issues a lifetime shorter than `expiry_window`, the caller that requested the
    /// credentials still gets them.
    ///
    /// # Blocking
    ///
    /// At most `timeout` (60 s by default). In the advisory window at most `attempt_timeout` (10 s
    /// by default). The caller that leads the refresh can block longer in two cases:
    ///
    /// * Your own token source, storage or transport does not return in time.
    /// * An app client rotates refresh tokens. Such a rotation always completes, within the
    ///   `timeout` of the `UserPoolTokens` (20 s by default).
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
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// let keys = credentials.get()?; // asks the service
    /// assert_eq!(credentials.get()?, keys); // does not
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

    /// Returns credentials like [`get`](Self::get), but returns within `limit`. If `timeout` is
    /// shorter, that is the limit.
    ///
    /// With a `limit` of zero the service is never contacted.
    ///
    /// # Blocking
    ///
    /// At most `limit`, with the exceptions of [`get`](Self::get).
    ///
    /// # Errors
    ///
    /// The errors of [`get`](Self::get). [`Timeout`](crate::ErrorKind::Timeout), if no time was
    /// left.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// use std::time::Duration;
    ///
    /// cognito.fail_next("GetId", 4, Fault::throttled()); // a delay of a second or more each time
    /// let error = credentials.get_within(Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Throttled);
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "getPromise")]
    pub fn get_within(&self, limit: Duration) -> Result<Credentials, Error> {
        LoadCall::new(self, false).get(limit)
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
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind, testing::*};
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
        LoadCall::new(self, true).refresh()
    }

    /// Returns whether the next [`get`](Self::get) needs new credentials, from the service or from
    /// the [storage](Builder::persist_credentials). It does if nothing is cached, after
    /// [`expire`](Self::expire), or if the credentials have expired or will expire within the
    /// expiry window. Never blocks.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// assert!(credentials.needs_refresh());
    /// credentials.get()?;
    /// assert!(!credentials.needs_refresh());
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "needsRefresh")]
    #[doc(alias = "expired")]
    pub fn needs_refresh(&self) -> bool {
        self.0.cell.needs_refresh()
    }

    /// Returns the credentials of the last successful refresh, even if they have expired. Never
    /// blocks.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// assert_eq!(credentials.cached(), None);
    /// let keys = credentials.get()?;
    /// assert_eq!(credentials.cached(), Some(keys));
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
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
    /// * This provider does not use credentials that are [stored](Builder::persist_credentials)
    ///   now. Other processes still can. [`refresh`](Self::refresh) replaces them in the storage.
    /// * A [cooldown](Builder::failure_cooldown) stays in force. [`refresh`](Self::refresh) ends
    ///   it.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// let keys = credentials.get()?;
    /// credentials.expire();
    /// assert_ne!(credentials.get()?, keys); // asks the service again
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
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind, testing::*};
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

    /// Returns the identity ID, or `None` if it is not known yet. The program gave it, the storage
    /// held it, or the service returned it.
    ///
    /// It never uses the network. If no ID is known, it reads the storage and waits for it.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// assert_eq!(credentials.identity_id(), None);
    /// let keys = credentials.get()?;
    /// assert_eq!(credentials.identity_id().as_deref(), keys.identity_id());
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "identityId")]
    #[doc(alias = "loadCachedId")]
    #[doc(alias = "_identityId")]
    pub fn identity_id(&self) -> Option<String> {
        Some(self.identity()?.id.as_str().to_owned())
    }

    /// Sets the identity ID that the next refresh uses. The cached credentials do not change; call
    /// [`expire`](Self::expire) to refresh them. Never blocks.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) in these cases. Nothing is changed then.
    ///
    /// * The ID is malformed.
    /// * The ID belongs to another region, and `endpoint_url` is not set. (Emulators mix regions.)
    /// * A developer identity provider is set.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// credentials.set_identity_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")?;
    /// assert_eq!(credentials.set_identity_id("me").unwrap_err().kind(), ErrorKind::Config);
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "IdentityId")]
    pub fn set_identity_id(&self, id: impl Into<String>) -> Result<(), Error> {
        let id = Id::parse(&id.into()).map_err(|fault| Error::config("identity_id", fault))?;
        if let Some(region) =
            self.0.refresher.region.as_deref().filter(|region| *region != id.region())
        {
            let text = format!(
                "it is in region {}, but the provider works in {region}",
                redact::clean(id.region())
            );
            return Err(Error::config("identity_id", text));
        }
        if self.0.refresher.developer.is_some() {
            return Err(Error::config("identity_id", "cannot be combined with developer_identity"));
        }
        let identity = Identity::new(id, IdentityOrigin::Given);
        let old = self.swap_identity(Some(&identity));
        self.notify_if_changed(old.as_ref(), Some(&identity), IdentityChangeReason::Given);
        Ok(())
    }

    /// Forgets the identity ID, even one that was given, and removes it from the storage. It also
    /// removes [stored credentials](Builder::persist_credentials). The next refresh gets an ID from
    /// the service. The cached credentials do not change.
    ///
    /// It never uses the network, but waits for the storage.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// let before = credentials.get()?.identity_id().map(str::to_owned);
    /// credentials.clear_cached_id();
    /// assert_eq!(credentials.identity_id(), None);
    /// assert_ne!(credentials.refresh()?.identity_id(), before.as_deref()); // another guest
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "clearCachedId")]
    pub fn clear_cached_id(&self) {
        let old = self.swap_identity(None);
        if let Some(store) = &self.0.refresher.store {
            let (epoch, _) = self.0.cell.settings_with_epoch();
            let forgotten = self
                .0
                .stored_credentials
                .as_ref()
                .is_none_or(|stored_credentials| stored_credentials.remove());
            if store.remove() && forgotten {
                self.0.cell.update_if_no_older_flight(epoch, |settings| {
                    settings.principal.stale = StaleIdentities::default();
                });
            }
            // Another thread may have got and stored a new one before the removal.
            let Principal { identity, logins, .. } = self.0.cell.settings().principal;
            let minted = |identity: &Identity| !identity.given && !identity.temporary;
            if let Some(identity) = identity.filter(minted) {
                store.save(&identity.id, &mut logins.providers());
                // It was cleared while it was being written.
                if self.0.cell.settings().principal.identity.is_none() {
                    store.remove();
                }
            }
        }
        self.notify_if_changed(old.as_ref(), None, IdentityChangeReason::Cleared);
    }

    /// Sets the login token of a provider, for the next refresh. Never blocks.
    ///
    /// The cached credentials do not change. Call [`expire`](Self::expire) to refresh them, for
    /// example when the user changes. With [`persist_credentials`](Builder::persist_credentials),
    /// each user needs another provider, because a login ID means one user.
    ///
    /// If the token breaks a limit of the service, the next refresh returns an error.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// cognito.accept_login("accounts.google.com", "token-of-ann", "ann");
    /// credentials.get()?; // a guest's
    ///
    /// credentials.set_login("accounts.google.com", "token-of-ann");
    /// credentials.expire();
    /// credentials.get()?; // Ann's
    /// let requests = cognito.requests();
    /// let login = requests.last().and_then(|request| request.login("accounts.google.com"));
    /// assert_eq!(login, Some("token-of-ann"));
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "Logins")]
    pub fn set_login(&self, provider: impl Into<String>, token: impl Into<String>) {
        let (provider, token) = (provider.into(), token.into());
        self.change_logins(|logins| logins.insert(provider, token));
    }

    /// Replaces all logins, including those with a token source, for the next refresh. See
    /// [`set_login`](Self::set_login). Never blocks.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// use cognito_identity_credentials::Logins;
    ///
    /// cognito.accept_login("accounts.google.com", "token-of-ann", "ann");
    /// credentials.set_logins(Logins::new().with("accounts.google.com", "token-of-ann"));
    /// credentials.get()?; // Ann's
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "Logins")]
    pub fn set_logins(&self, logins: Logins) {
        self.change_logins(|all| *all = logins);
    }

    /// Removes the login of a provider, for the next refresh. See [`set_login`](Self::set_login).
    /// Never blocks.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// cognito.accept_login("accounts.google.com", "token-of-ann", "ann");
    /// credentials.set_login("accounts.google.com", "token-of-ann");
    /// credentials.remove_login("accounts.google.com");
    /// credentials.get()?; // a guest's
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "Logins")]
    pub fn remove_login(&self, provider: &str) {
        self.change_logins(|logins| logins.remove(provider));
    }

    /// Returns the fields of the last answer other than the credentials. Never blocks.
    ///
    /// It returns `None` before the first answer, and for credentials that another process
    /// [stored](Builder::persist_credentials). It also returns `None` from the start of a refresh
    /// with retries until a refresh succeeds.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// use cognito_identity_credentials::ResponseData;
    ///
    /// assert!(credentials.data().is_none());
    /// credentials.get()?;
    /// let data: ResponseData = credentials.data().unwrap();
    /// assert_eq!(Some(data.identity_id), credentials.identity_id());
    /// assert_eq!(data.assumed_role_arn, None); // only the classic flow has one
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[must_use]
    pub fn data(&self) -> Option<ResponseData> {
        self.0.cell.settings().data.map(Arc::unwrap_or_clone)
    }

    /// Returns what the provider knows: the identity, the remaining lifetime and the last error.
    ///
    /// It never uses the network. Like [`identity_id`](Self::identity_id), it can read the storage.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// use std::time::Duration;
    /// use cognito_identity_credentials::{IdentityOrigin, Status};
    ///
    /// credentials.get()?;
    /// let status: Status = credentials.status();
    /// assert_eq!(status.identity_origin, Some(IdentityOrigin::Minted));
    /// assert!(status.expires_in > Some(Duration::from_secs(3500)));
    /// assert!(status.last_error.is_none());
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[must_use]
    pub fn status(&self) -> Status {
        let identity = self.identity();
        let cell = self.0.cell.status();
        Status {
            identity_origin: identity.as_ref().map(|identity| identity.origin),
            identity_id: identity.map(|identity| identity.id.as_str().to_owned()),
            expires_in: cell.left,
            needs_refresh: cell.needs_refresh,
            last_error: cell.last_error,
            next_attempt_in: cell.next_attempt_in,
            storage_error: self.0.storage_error(),
        }
    }

    /// Returns the current time on the clock of the service, or `None` before the first answer.
    /// Never blocks.
    ///
    /// It is the `Date` of the last answer plus the time since then. With [stored
    /// credentials](Builder::persist_credentials), that can be an answer to another process. A
    /// wrong `Date` makes this time wrong until the next answer. It returns `None` again after a
    /// `Date` that cannot be right, because new credentials end before it or more than 12 hours
    /// after it.
    ///
    /// Use it to sign requests on a device whose clock is wrong. AWS services usually reject a
    /// signature whose time is wrong by more than five minutes. The error of this time is about one
    /// second plus the time that the answer took to arrive.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind, testing::*};
    /// # let cognito = FakeCognito::new();
    /// # let credentials = CognitoIdentityCredentials::builder()
    /// #     .identity_pool_id(FakeCognito::POOL_ID).transport(cognito.clone()).build()?;
    /// assert_eq!(credentials.service_time(), None);
    /// credentials.get()?;
    /// let now = credentials.service_time().unwrap(); // the time to sign with
    /// # assert!(now > std::time::SystemTime::UNIX_EPOCH);
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "systemClockOffset")]
    #[doc(alias = "correctClockSkew")]
    pub fn service_time(&self) -> Option<SystemTime> {
        self.0.refresher.client.service_time()
    }

    /// `new`: from the service, even if stored credentials are good.
    fn load(
        &self,
        input: &RefreshInput<CurrentSettings>,
        new: bool,
    ) -> Result<Refreshed<Credentials>, Error> {
        let Inner { cell, refresher, stored_credentials, .. } = &*self.0;
        if !input.budget.is_advisory() {
            cell.update_if_same_epoch(input.epoch, |settings| settings.data = None);
        }
        let state = ProviderAtEpoch { inner: &self.0, epoch: input.epoch };
        let (principal, budget) = (&input.settings.principal, &input.budget);
        let done = match stored_credentials {
            None => refresher.refresh(principal, budget, &state)?,
            Some(stored_credentials) => {
                let (from_service, requested_after) = (new, input.stored_after);
                let options = LoadOptions { principal, budget, from_service, requested_after };
                stored_credentials.load_or_refresh(refresher, &options, &state)?
            }
        };
        let (from_storage, data) = (done.data.is_none(), done.data.map(Arc::new));
        cell.update_if_same_epoch(input.epoch, |settings| settings.data = data);
        let CredentialSet { credentials: value, lease, early_error, .. } = done;
        Ok(Refreshed { value, lease, from_storage, early_error })
    }

    /// The identity that is known, read from the storage if necessary.
    fn identity(&self) -> Option<Identity> {
        let (epoch, settings) = self.0.cell.settings_with_epoch();
        if settings.principal.identity.is_some() {
            return settings.principal.identity;
        }
        let stored = self.0.refresher.stored_identity(&settings.principal).ok()??;
        let noted = self.0.cell.update_if_same_settings(epoch, |settings| {
            settings.principal.identity.get_or_insert_with(|| stored.clone()).clone()
        });
        noted.or(Some(stored))
    }

    fn swap_identity(&self, identity: Option<&Identity>) -> Option<Identity> {
        self.0.cell.change_settings(|settings| {
            if identity.is_none() {
                settings.principal.stale.any = true;
            }
            (true, std::mem::replace(&mut settings.principal.identity, identity.cloned()))
        })
    }

    fn notify_if_changed(
        &self,
        old: Option<&Identity>,
        new: Option<&Identity>,
        reason: IdentityChangeReason,
    ) {
        let (old, new) = (old.map(|old| &old.id), new.map(|new| &new.id));
        if old != new {
            self.0.notify(&IdentityChange::new(old, new, reason));
        }
    }

    /// The logins are replaced as a whole: the old ones may own a token source, whose destructor
    /// must not run under the lock.
    fn change_logins(&self, change: impl FnOnce(&mut Logins)) {
        let old = self.0.cell.change_settings(|settings| {
            let mut logins = (*settings.principal.logins).clone();
            change(&mut logins);
            let changed = !logins.same(&settings.principal.logins);
            (changed, std::mem::replace(&mut settings.principal.logins, Arc::new(logins)))
        });
        drop(old);
    }
}

/// One call of `get` or `refresh`. Each refresh that it leads is reported to the program.
struct LoadCall<'a> {
    provider: &'a CognitoIdentityCredentials,
    /// From the service, even if stored credentials are good.
    new: bool,
    /// Of the last refresh, for its report: another thread may lead the next one by then.
    service_calls: Cell<u32>,
    storage_error: Cell<Option<Error>>,
    /// Gives the result to the futures that wait for this call.
    #[cfg(feature = "aws-sdk")]
    publish: Option<&'a dyn Fn(Result<Credentials, Error>)>,
}

impl<'a> LoadCall<'a> {
    fn new(provider: &'a CognitoIdentityCredentials, new: bool) -> Self {
        Self {
            provider,
            new,
            service_calls: Cell::new(0),
            storage_error: Cell::new(None),
            #[cfg(feature = "aws-sdk")]
            publish: None,
        }
    }

    fn get(&self, limit: Duration) -> Result<Credentials, Error> {
        self.reported(|report| self.provider.0.cell.get(limit, self.load(), report))
    }

    fn refresh(&self) -> Result<Credentials, Error> {
        self.reported(|report| self.provider.0.cell.refresh(self.load(), report))
    }

    fn reported<R>(&self, call: impl FnOnce(Option<&OnCompleted<'_, Credentials>>) -> R) -> R {
        let report = |completed: &CompletedRefresh<'_, Credentials>| self.report(completed);
        call(self.is_reported().then_some(&report as _))
    }

    fn is_reported(&self) -> bool {
        self.provider.0.on_refresh.is_some()
    }

    fn load(
        &self,
    ) -> impl Fn(&RefreshInput<CurrentSettings>) -> Result<Refreshed<Credentials>, Error> {
        move |input| {
            let inner = &self.provider.0;
            let before = inner.refresher.client.calls();
            let result = self.provider.load(input, self.new);
            if self.is_reported() {
                self.service_calls.set(inner.refresher.client.calls().wrapping_sub(before));
                self.storage_error.set(inner.storage_error());
            }
            result
        }
    }

    fn report(&self, completed: &CompletedRefresh<'_, Credentials>) {
        let &CompletedRefresh { result, duration, early, .. } = completed;
        #[cfg(feature = "aws-sdk")]
        if let Some(publish) = self.publish {
            match (completed.value, result) {
                (Some(value), _) => publish(Ok(value.clone())),
                // After an early attempt that failed, `get` returns the cached credentials.
                (None, Err(error)) if !early => publish(Err(error.clone())),
                _ => {}
            }
        }
        if let Some(listener) = &self.provider.0.on_refresh {
            listener(&RefreshReport {
                result: result.map(drop).map_err(Error::clone),
                duration,
                service_calls: self.service_calls.get(),
                early,
                storage_error: self.storage_error.take(),
            });
        }
    }
}

impl Inner {
    fn notify(&self, change: &IdentityChange) {
        if let Some(listener) = &self.on_identity_change {
            listener(change);
        }
    }

    /// Returns the present failure of the storage.
    fn storage_error(&self) -> Option<Error> {
        let identity = self.refresher.store.as_ref().and_then(|store| store.storage_error());
        identity.or_else(|| self.stored_credentials.as_ref()?.storage_error())
    }
}

/// Keeps what a refresh learns, unless the settings have changed since it started.
struct ProviderAtEpoch<'a> {
    inner: &'a Inner,
    epoch: Epoch,
}

impl ProviderState for ProviderAtEpoch<'_> {
    fn set_identity(&self, identity: &Identity) -> bool {
        let noted = self.inner.cell.update_if_same_settings(self.epoch, |settings| {
            settings.principal.identity = Some(identity.clone());
        });
        noted.is_some()
    }

    fn reject_identity(&self, rejected: &Identity) -> Option<StaleIdentities> {
        self.inner.cell.update_if_same_settings(self.epoch, |settings| {
            settings.principal.identity = None;
            settings.principal.stale.reject(rejected);
            settings.principal.stale.clone()
        })
    }

    fn mark_stored_identity_current(&self) {
        self.inner.cell.update_if_same_settings(self.epoch, |settings| {
            settings.principal.stale = StaleIdentities::default();
        });
    }

    fn is_current(&self) -> bool {
        self.inner.cell.settings_with_epoch().0 == self.epoch
    }

    fn identity(&self) -> Option<Identity> {
        self.inner.cell.settings().principal.identity
    }

    fn notify(&self, change: IdentityChange) {
        self.inner.notify(&change);
    }
}

impl fmt::Debug for CognitoIdentityCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CurrentSettings { principal, .. } = self.0.cell.settings();
        f.debug_struct("CognitoIdentityCredentials")
            .field("identity_pool_id", &self.0.refresher.pool.as_ref().map(Id::as_str))
            .field("identity", &principal.identity)
            .field("logins", &principal.logins)
            .field("cached", &self.0.cell.cached())
            .finish_non_exhaustive()
    }
}
