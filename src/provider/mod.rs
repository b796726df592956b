//! What users call.

#[cfg(feature = "aws-sdk")]
mod aws_sdk;
#[cfg(feature = "aws-sdk")]
mod background;
pub(crate) mod builder;
mod environment;

use std::fmt;
#[cfg(feature = "aws-sdk")]
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

#[cfg(feature = "aws-sdk")]
use crate::cell::NextAction;
use crate::cell::{Epoch, Limits, RefreshCell, RefreshInput, Refreshed};
use crate::clock::Clock;
use crate::credentials::{Credentials, ResponseData};
use crate::error::Error;
use crate::logins::Logins;
#[cfg(feature = "aws-sdk")]
use crate::provider::background::{Errand, Wait};
use crate::refresh::identity::{Identity, IdentityChange, IdentityChangeReason, IdentityOrigin};
use crate::refresh::stored_credentials::{LoadOptions, LoadOrRefresh};
use crate::refresh::{Principal, ProviderState, Refresher};
use crate::service::cognito_identity::Id;

pub use self::builder::Builder;

/// Temporary AWS credentials from an Amazon Cognito identity pool, kept fresh.
///
/// Build one with [`builder`](Self::builder), share clones of it with every thread, and call
/// [`get`](Self::get) whenever credentials are needed: it answers from memory while they are fresh
/// and asks the service when they are not. There are no background threads; an unused provider does
/// nothing.
///
/// Clones share one cell: one identity, one set of credentials, one refresh at a time.
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
    cell: RefreshCell<Credentials, Settings>,
    refresher: Refresher,
    reuse: Option<Box<dyn LoadOrRefresh>>,
    on_identity_change: Option<Arc<ChangeListener>>,
    /// Refreshes that futures wait for.
    #[cfg(feature = "aws-sdk")]
    errand: Errand<Epoch, Result<Credentials, Error>>,
}

/// What is told of changes of the identity.
pub(crate) type ChangeListener = dyn Fn(&IdentityChange) + Send + Sync;

/// What callers may change while the provider lives, and what loads learn.
#[derive(Clone)]
struct Settings {
    principal: Principal,
    data: Option<Arc<ResponseData>>,
}

/// What a provider knows at one moment, without asking anybody.
///
/// `Debug` masks the identity ID.
#[derive(Clone)]
#[non_exhaustive]
pub struct Status {
    /// The identity ID, if one is known.
    pub identity_id: Option<String>,
    /// Where that ID came from.
    pub identity_origin: Option<IdentityOrigin>,
    /// How long the cached credentials live on; zero when they are over, `None` when there are
    /// none.
    pub expires_in: Option<Duration>,
    /// Whether the next `get()` must load credentials to succeed: from the service, or what another
    /// process has stored.
    pub needs_refresh: bool,
    /// The failure of the last refresh; `None` once one has succeeded.
    pub last_error: Option<Error>,
    /// How long `get()` holds back before it contacts the service again, after a failure.
    pub next_attempt_in: Option<Duration>,
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
            .finish()
    }
}

impl CognitoIdentityCredentials {
    pub(crate) fn new(
        refresher: Refresher,
        reuse: Option<Box<dyn LoadOrRefresh>>,
        on_identity_change: Option<Arc<ChangeListener>>,
        principal: Principal,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Self {
        #[cfg(feature = "aws-sdk")]
        let errand = Errand::new(limits.timeout);
        let cell = RefreshCell::new(clock, limits, Settings { principal, data: None });
        Self(Arc::new(Inner {
            cell,
            refresher,
            reuse,
            on_identity_change,
            #[cfg(feature = "aws-sdk")]
            errand,
        }))
    }

    /// Credentials with at least `expiry_window` of life, from memory or from the service. (If the
    /// service issues a shorter life than that, the caller that asked for it still gets it.) With
    /// [`persist_credentials`](crate::Builder::persist_credentials) a set that is stored may save
    /// asking the service.
    ///
    /// * *Fresh*: a clone of the cached set. No network, no allocation.
    /// * *Inside the advisory window*: one caller makes one attempt to renew them; everybody else
    ///   gets the cached set at once. If the attempt fails, that caller gets the cached set too,
    ///   and the error stands in [`status`](Self::status).
    /// * *Inside the expiry window, expired, or none loaded*: one caller asks the service, with
    ///   retries; the others wait for its outcome and share it.
    ///
    /// After a failure that came as an answer, calls in the last state return the same error without
    /// contact for a while, 1 to 5 s by default, and longer while the service goes on throttling: see
    /// [`failure_cooldown`](crate::Builder::failure_cooldown).
    ///
    /// Life is what the service says on its own clock (`Expiration` minus the answer's `Date`, which
    /// has a resolution of a second; without one, minus the local wall clock), at most 12 hours, and
    /// is counted from before the request was sent.
    ///
    /// # Blocking
    ///
    /// At most `timeout` (60 s by default) for the whole call, `attempt_timeout` (10 s) while the
    /// cached set is still good; a token source, a storage or a transport of the program's own that
    /// takes longer holds up the caller that leads, and nobody else. So does a user pool's rotation of
    /// refresh tokens, by the `timeout` of its tokens (20 s) at most.
    ///
    /// # Errors
    ///
    /// Any [`ErrorKind`](crate::ErrorKind), but only when no cached set with at least
    /// `expiry_window` of life is left; or [`Reentrant`](crate::ErrorKind::Reentrant), when called
    /// from inside a refresh. A set that has ended is never returned.
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
    pub fn get(&self) -> Result<Credentials, Error> {
        self.get_within(Duration::MAX)
    }

    /// [`get`](Self::get), but back within `limit` (or `timeout`, if that is shorter): for a device
    /// that must answer soon and prefers an error to waiting.
    ///
    /// With a `limit` of zero the service is never contacted.
    ///
    /// # Blocking
    ///
    /// At most `limit`, with the exceptions that [`get`](Self::get) names.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); [`Timeout`](crate::ErrorKind::Timeout) when there was no time left.
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
    pub fn get_within(&self, limit: Duration) -> Result<Credentials, Error> {
        self.0.cell.get(limit, |input| self.load(input, false))
    }

    /// New credentials from the service, however fresh the cached ones are, or stored ones. Joins a
    /// refresh that is under way.
    ///
    /// When it fails, the cached set stays where it was, and [`get`](Self::get) goes on returning
    /// it for as long as it is good.
    ///
    /// # Blocking
    ///
    /// At most `timeout` (60 s by default), with the exceptions that [`get`](Self::get) names.
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
    pub fn refresh(&self) -> Result<Credentials, Error> {
        self.0.cell.refresh(|input| self.load(input, true))
    }

    /// Whether the next [`get`](Self::get) must load credentials to succeed, from the service or
    /// [stored](crate::Builder::persist_credentials) ones: nothing is loaded, or what is loaded has
    /// expired, is about to, or was called off. Never blocks.
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

    /// The last loaded credentials, fresh or not. Never blocks.
    #[must_use]
    #[doc(alias = "accessKeyId")]
    #[doc(alias = "secretAccessKey")]
    #[doc(alias = "sessionToken")]
    #[doc(alias = "expireTime")]
    pub fn cached(&self) -> Option<Credentials> {
        self.0.cell.cached()
    }

    /// Makes the cached credentials count as over: the next [`get`](Self::get) asks the service. A
    /// refresh under way no longer counts, and what is stored by then is not reused by this provider. (A
    /// program that ends before it gets others leaves what is
    /// [stored](crate::Builder::persist_credentials) to the next one; [`refresh`](Self::refresh) puts
    /// something new in its place.) A cooldown after a refusal still stands; [`refresh`](Self::refresh)
    /// ends it. Never blocks.
    #[doc(alias = "expired")]
    pub fn expire(&self) {
        self.0.cell.expire();
    }

    /// Like [`expire`](Self::expire), but only if these are the cached credentials: for the program
    /// that was refused with them, while another thread may have renewed them already. Never
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
    /// let keys = credentials.get()?;
    /// // … S3 answers "ExpiredToken" to a request signed with them …
    /// credentials.invalidate(keys.access_key_id());
    /// assert_ne!(credentials.get()?, keys);
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn invalidate(&self, access_key_id: &str) {
        self.0.cell.invalidate(|cached| cached.access_key_id() == access_key_id);
    }

    /// The identity ID, if one is known: given, learned from the service, or stored. No network:
    /// while none is known otherwise, it asks the storage, and blocks for as long as that takes.
    #[must_use]
    #[doc(alias = "identityId")]
    #[doc(alias = "loadCachedId")]
    pub fn identity_id(&self) -> Option<String> {
        Some(self.identity()?.id.as_str().to_owned())
    }

    /// Sets the identity ID that the next refresh goes by. Cached credentials stay as they are;
    /// call [`expire`](Self::expire) to be rid of them. Never blocks.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) when the ID is malformed, or of another region (unless
    /// `endpoint_url` is set: emulators mix regions), or when a developer identity provider names
    /// the identity; nothing is changed then.
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
        let id = Id::parse(&id.into())
            .map_err(|fault| Error::config(format!("identity_id: {fault}")))?;
        if let Some(region) =
            self.0.refresher.region.as_deref().filter(|region| *region != id.region())
        {
            return Err(Error::config(format!(
                "identity_id: it is of region {}, but the provider works in {region}",
                id.region(),
            )));
        }
        if self.0.refresher.developer.is_some() {
            return Err(Error::config("identity_id: cannot go with developer_identity"));
        }
        let identity = Identity::new(id, IdentityOrigin::Given);
        let old = self.swap_identity(Some(&identity));
        self.tell_change(old.as_ref(), Some(&identity), IdentityChangeReason::Given);
        Ok(())
    }

    /// Forgets the identity ID, also one that was given, and removes it from the storage, and with it
    /// [stored credentials](crate::Builder::persist_credentials). The next refresh asks the service
    /// for one. Cached credentials stay as they are. No network; blocks for
    /// as long as the storage does.
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
            let (epoch, _) = self.0.cell.epoch();
            let forgotten = self.0.reuse.as_ref().is_none_or(|reuse| reuse.remove());
            if store.remove() && forgotten {
                self.0.cell.amend(epoch, |settings| settings.principal.storage_cleared = false);
            }
            // Another thread may have got and stored a new one before the removal.
            let Principal { identity, logins, .. } = self.0.cell.settings().principal;
            if let Some(identity) = identity.filter(|identity| !identity.given) {
                store.save(&identity.id, logins.providers());
            }
        }
        self.tell_change(old.as_ref(), None, IdentityChangeReason::Cleared);
    }

    /// Sets the login token of a provider, from the next refresh on. Cached credentials stay as
    /// they are; call [`expire`](Self::expire) to be rid of them, as when the user changes. (With
    /// [`persist_credentials`](crate::Builder::persist_credentials) a login ID is one user's: make another
    /// provider for another user.) A token that breaks the service's limits is an error of the next
    /// refresh. Never blocks.
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
    /// assert_eq!(cognito.requests().last().unwrap().login("accounts.google.com"), Some("token-of-ann"));
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "Logins")]
    pub fn set_login(&self, provider: impl Into<String>, token: impl Into<String>) {
        let (provider, token) = (provider.into(), token.into());
        self.change_logins(|logins| logins.insert(provider, token));
    }

    /// Replaces all logins, those from a token source included, from the next refresh on; see
    /// [`set_login`](Self::set_login). Never blocks.
    #[doc(alias = "Logins")]
    pub fn set_logins(&self, logins: Logins) {
        self.change_logins(|all| *all = logins);
    }

    /// Removes the login of a provider, from the next refresh on; see
    /// [`set_login`](Self::set_login). Never blocks.
    #[doc(alias = "Logins")]
    pub fn remove_login(&self, provider: &str) {
        self.change_logins(|logins| logins.remove(provider));
    }

    /// The other fields of the last answer: `None` before the first one, from the start of a refresh
    /// that `get()` cannot do without until one succeeds, and while the credentials are
    /// [stored ones](crate::Builder::persist_credentials) of another process. Never blocks.
    #[must_use]
    pub fn data(&self) -> Option<ResponseData> {
        self.0.cell.settings().data.map(Arc::unwrap_or_clone)
    }

    /// What the provider knows: identity, time left, last failure. No network; asks the storage as
    /// [`identity_id`](Self::identity_id) does.
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
    /// credentials.get()?;
    /// let status = credentials.status();
    /// assert!(status.expires_in > Some(Duration::from_secs(3500)));
    /// assert!(status.last_error.is_none());
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[must_use]
    pub fn status(&self) -> Status {
        let identity = self.identity();
        let view = self.0.cell.view();
        Status {
            identity_origin: identity.as_ref().map(|identity| identity.origin),
            identity_id: identity.map(|identity| identity.id.as_str().to_owned()),
            expires_in: view.left,
            needs_refresh: view.needs_refresh,
            last_error: view.last_error,
            next_attempt_in: view.next_attempt_in,
        }
    }

    /// The service's clock: the `Date` of its last answer plus the time since, by the boot clock.
    /// `None` before the first answer, which may be one to another process whose
    /// [stored credentials](crate::Builder::persist_credentials) are reused.
    ///
    /// AWS services usually refuse a signature whose time is off by more than five minutes; a signer
    /// on a device with a wrong clock goes by this one. Right to about a second plus the answer's
    /// time on the way. Never blocks.
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

    /// What [`get`](Self::get) would do now. Never blocks.
    #[cfg(feature = "aws-sdk")]
    pub(crate) fn next_action(&self) -> Result<NextAction<Credentials>, Error> {
        self.0.cell.next_action()
    }

    /// [`get`](Self::get) on another thread. Callers who find the same epoch share one. An error
    /// says that there is no thread to be had.
    #[cfg(feature = "aws-sdk")]
    pub(crate) fn get_elsewhere(
        &self,
        epoch: Epoch,
    ) -> io::Result<Wait<Result<Credentials, Error>>> {
        let provider = self.clone();
        self.0.errand.join(epoch, move || provider.get())
    }

    /// The cached credentials if they are neither over nor called off, though `get` may not hand
    /// them out any more. Never blocks.
    #[cfg(feature = "aws-sdk")]
    pub(crate) fn alive(&self) -> Option<Credentials> {
        self.0.cell.unexpired()
    }

    #[cfg(feature = "aws-sdk")]
    pub(crate) fn timeout(&self) -> Duration {
        self.0.cell.timeout()
    }

    /// `new`: from the service, whatever is stored.
    fn load(
        &self,
        input: &RefreshInput<Settings>,
        new: bool,
    ) -> Result<Refreshed<Credentials>, Error> {
        let Inner { cell, refresher, reuse, .. } = &*self.0;
        if !input.budget.is_advisory() {
            cell.annotate(input.epoch, |settings| settings.data = None);
        }
        let state = Remembered { inner: &self.0, epoch: input.epoch };
        let (principal, budget) = (&input.settings.principal, &input.budget);
        let done = match reuse {
            None => refresher.refresh(principal, budget, &state)?,
            Some(reuse) => {
                let (from_service, requested_after) = (new, input.stored_after);
                let options = LoadOptions { principal, budget, from_service, requested_after };
                reuse.load_or_refresh(refresher, &options, &state)?
            }
        };
        let from_storage = done.data.is_none();
        cell.annotate(input.epoch, |settings| settings.data = done.data.map(Arc::new));
        Ok(Refreshed { value: done.credentials, lease: done.lease, from_storage })
    }

    /// The identity that is known, looked for in the storage if need be.
    fn identity(&self) -> Option<Identity> {
        let (epoch, settings) = self.0.cell.epoch();
        if settings.principal.identity.is_some() {
            return settings.principal.identity;
        }
        let stored = self.0.refresher.stored_identity(&settings.principal)?;
        let noted = self.0.cell.amend(epoch, |settings| {
            settings.principal.identity.get_or_insert_with(|| stored.clone()).clone()
        });
        noted.or(Some(stored))
    }

    fn swap_identity(&self, identity: Option<&Identity>) -> Option<Identity> {
        self.0.cell.change(|settings| {
            settings.principal.storage_cleared |= identity.is_none();
            (true, std::mem::replace(&mut settings.principal.identity, identity.cloned()))
        })
    }

    fn tell_change(
        &self,
        old: Option<&Identity>,
        new: Option<&Identity>,
        reason: IdentityChangeReason,
    ) {
        let (old, new) = (old.map(|old| &old.id), new.map(|new| &new.id));
        if old != new {
            self.0.tell(&IdentityChange::new(old, new, reason));
        }
    }

    /// The logins are replaced as a whole: the old ones may own a token source, whose destructor
    /// must not run under the lock.
    fn change_logins(&self, change: impl FnOnce(&mut Logins)) {
        let old = self.0.cell.change(|settings| {
            let mut logins = (*settings.principal.logins).clone();
            change(&mut logins);
            let changed = !logins.same(&settings.principal.logins);
            (changed, std::mem::replace(&mut settings.principal.logins, Arc::new(logins)))
        });
        drop(old);
    }
}

impl Inner {
    fn tell(&self, change: &IdentityChange) {
        if let Some(listener) = &self.on_identity_change {
            listener(change);
        }
    }
}

/// What a refresh learns, for as long as the settings that it began with are in force.
struct Remembered<'a> {
    inner: &'a Inner,
    epoch: Epoch,
}

impl ProviderState for Remembered<'_> {
    fn set_identity(&self, identity: Option<&Identity>) -> bool {
        let noted = self.inner.cell.amend(self.epoch, |settings| {
            settings.principal.identity = identity.cloned();
            settings.principal.storage_cleared |= identity.is_none();
        });
        noted.is_some()
    }

    fn trust_storage(&self) {
        self.inner.cell.amend(self.epoch, |settings| settings.principal.storage_cleared = false);
    }

    fn is_current(&self) -> bool {
        self.inner.cell.epoch().0 == self.epoch
    }

    fn identity(&self) -> Option<Identity> {
        self.inner.cell.settings().principal.identity
    }

    fn notify(&self, change: IdentityChange) {
        self.inner.tell(&change);
    }
}

impl fmt::Debug for CognitoIdentityCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { principal, .. } = self.0.cell.settings();
        f.debug_struct("CognitoIdentityCredentials")
            .field("identity_pool_id", &self.0.refresher.pool.as_ref().map(Id::as_str))
            .field("identity", &principal.identity)
            .field("logins", &principal.logins)
            .field("cached", &self.0.cell.cached())
            .finish_non_exhaustive()
    }
}
