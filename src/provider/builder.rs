//! The builder: every setting with its default, and `build`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cell::Limits;
use crate::clock::Clock;
use crate::developer::DeveloperIdentityProvider;
use crate::error::{ConfigFaults, Error};
use crate::logins::{Logins, TokenSource};
use crate::provider::CognitoIdentityCredentials;
use crate::provider::settings::{
    ConfiguredStorage, Persistence, ROLE_SESSION_NAME, RecordOwner, Settings,
};
use crate::provider::status::RefreshReport;
use crate::refresh::credential_record::CredentialStore;
use crate::refresh::identity::{
    Identity, IdentityChange, IdentityOrigin, IdentityRecords, IdentityStore,
};
use crate::refresh::stored_credentials::{LoadOrRefresh, StoredCredentials};
use crate::refresh::{
    ClassicFlow, CredentialsFlow, DEFAULT_LIFETIME, Developer, Principal, Refresher,
    StaleIdentities,
};
use crate::service::cognito_identity::Id;
use crate::service::endpoint;
use crate::service::sts::RoleRequest;
use crate::storage::Storage;
use crate::transport::Transport;
#[cfg(feature = "user-pool")]
use crate::user_pool_tokens::UserPoolTokens;

/// Holds the settings of a [`CognitoIdentityCredentials`].
///
/// The setters accept any value. [`build`](Self::build) checks the settings and returns one error
/// that reports every fault. `Debug` shows no login token and no identity ID.
///
/// # Example
///
/// ```
/// use cognito_identity_credentials::{Builder, CognitoIdentityCredentials};
///
/// # #[cfg(feature = "ureq")] {
/// let builder: Builder = CognitoIdentityCredentials::builder();
/// let credentials = builder
///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
///     .account_id("123456789012") // most programs leave this out
///     .region("us-east-1") // the pool names it
///     .on_refresh(|report| {
///         if let Err(error) = &report.result {
///             eprintln!("refresh failed: {error:#}");
///         }
///     })
///     .build()?;
/// # }
/// # Ok::<(), cognito_identity_credentials::Error>(())
/// ```
///
/// Wrong settings:
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use std::time::Duration;
/// use cognito_identity_credentials::CognitoIdentityCredentials;
///
/// let error = CognitoIdentityCredentials::builder()
///     .identity_pool_id("eu-west-1:12345678-dead-beef-cafe-123456790ab0")
///     .region("us-east-1")
///     .timeout(Duration::ZERO)
/// #   .transport(cognito_identity_credentials::testing::FakeCognito::new())
///     .build()
///     .unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "region: us-east-1 contradicts the identity pool, which is in region eu-west-1; \
///      leave region out; timeout: must be longer than zero"
/// );
/// # }
/// ```
#[must_use]
#[derive(Clone)]
#[doc(alias = "params")]
#[doc(alias = "clientConfig")]
#[doc(alias = "_clientConfig")]
#[doc(alias = "client")]
#[doc(alias = "parentClientConfig")]
pub struct Builder {
    settings: Settings,
    /// The settings that came from environment variables, and which variables these are.
    variables: Vec<(&'static str, &'static str)>,
}

impl CognitoIdentityCredentials {
    /// Returns a [builder](Builder) with the default settings.
    #[doc(alias = "AWS.CognitoIdentityCredentials")]
    #[doc(alias = "fromCognitoIdentityPool")]
    pub fn builder() -> Builder {
        Builder { settings: Settings::default(), variables: Vec::new() }
    }
}

impl Builder {
    /// Sets the identity pool. Required, unless [`identity_id`](Self::identity_id) is set.
    ///
    /// The ID has the form `REGION:GUID` and at most 55 characters. The region may have letters,
    /// digits, `_` and `-`; the GUID `0-9`, `a-f` and `-`.
    ///
    /// See the [example](Self#example).
    #[doc(alias = "IdentityPoolId")]
    pub fn identity_pool_id(mut self, id: impl Into<String>) -> Self {
        self.set_by_program("identity_pool_id");
        self.settings.identity_pool_id = Some(id.into());
        self
    }

    /// Sets the identity, in the same form as the [pool](Self::identity_pool_id). The provider then
    /// never calls `GetId`.
    ///
    /// Default: none. The first refresh calls `GetId`, and the provider remembers the answer.
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "IdentityId")]
    #[doc(alias = "fromCognitoIdentity")]
    pub fn identity_id(mut self, id: impl Into<String>) -> Self {
        self.set_by_program("identity_id");
        self.settings.identity_id = Some(id.into());
        self
    }

    /// Sets the AWS account that owns the identity pool: 1 to 15 digits. It needs
    /// [`identity_pool_id`](Self::identity_pool_id), because only `GetId` sends it.
    ///
    /// Default: none. The service does not need it.
    ///
    /// See the [example](Self#example).
    #[doc(alias = "AccountId")]
    pub fn account_id(mut self, id: impl Into<String>) -> Self {
        self.set_by_program("account_id");
        self.settings.account_id = Some(id.into());
        self
    }

    /// Sets the region to call. You can leave it out, because the ID of the pool or identity names
    /// the region. Another region is an error.
    ///
    /// Default: the region in the ID of the pool. Without a pool it is the region in the ID of the
    /// identity.
    ///
    /// See the [example](Self#example).
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.set_by_program("region");
        self.settings.region = Some(region.into());
        self
    }

    /// Sets the role to use instead of the pool's default role: 20 to 2048 characters. It is for
    /// users whose login token allows several roles.
    ///
    /// The enhanced flow sends it with `GetCredentialsForIdentity`. It cannot be combined with
    /// [`role_arn`](Self::role_arn). Default: none.
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .login("accounts.google.com", "token")
    ///     .custom_role_arn("arn:aws:iam::123456789012:role/operator")
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "CustomRoleArn")]
    pub fn custom_role_arn(mut self, arn: impl Into<String>) -> Self {
        self.set_by_program("custom_role_arn");
        self.settings.custom_role_arn = Some(arn.into());
        self
    }

    /// Sets the role to assume with the classic flow: 20 to 2048 characters. The classic flow calls
    /// `GetOpenIdToken`, then `AssumeRoleWithWebIdentity` of STS.
    ///
    /// The pool must allow the classic flow, and the role must trust the pool. Default: none. The
    /// enhanced flow is used then, with the roles that the pool names.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// const READ_ONLY: &str = r#"{"Version": "2012-10-17", "Statement": [
    ///     {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    /// ]}"#;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .role_arn("arn:aws:iam::123456789012:role/uploader")
    ///     .role_session_name("sensor-7")
    ///     .duration(Duration::from_secs(15 * 60))
    ///     .policy_arns(["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"])
    ///     .policy(READ_ONLY)
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "RoleArn")]
    #[doc(alias = "webIdentityCredentials")]
    #[doc(alias = "getCredentialsFromSTS")]
    pub fn role_arn(mut self, arn: impl Into<String>) -> Self {
        self.set_by_program("role_arn");
        self.settings.role_arn = Some(arn.into());
        self.settings.classic = Some(ClassicFlow::new());
        self
    }

    /// Sets the session name for [`role_arn`](Self::role_arn). AWS shows it in its logs.
    ///
    /// It has 2 to 64 characters of `A-Z a-z 0-9 _ + = , . @ -`. Default: `web-identity`.
    ///
    /// See the [example](Self::role_arn).
    #[doc(alias = "RoleSessionName")]
    pub fn role_session_name(mut self, name: impl Into<String>) -> Self {
        self.set_by_program("role_session_name");
        self.settings.role_session_name = Some(name.into());
        self
    }

    /// Sets a session policy (JSON) that restricts [`role_arn`](Self::role_arn): 1 to 2048
    /// characters. Default: none.
    ///
    /// See the [example](Self::role_arn).
    #[doc(alias = "Policy")]
    pub fn policy(mut self, policy: impl Into<String>) -> Self {
        self.settings.policy = Some(policy.into());
        self
    }

    /// Sets managed policies that restrict [`role_arn`](Self::role_arn): at most 10 ARNs, each with
    /// 20 to 2048 characters. They replace the policies of an earlier call. Default: none.
    ///
    /// See the [example](Self::role_arn).
    #[doc(alias = "PolicyArns")]
    pub fn policy_arns<A: Into<String>>(mut self, arns: impl IntoIterator<Item = A>) -> Self {
        self.settings.policy_arns = arns.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the `ProviderId` that STS receives: 4 to 2048 characters. Default: none.
    ///
    /// STS only needs it for OAuth 2.0 access tokens. Cognito issues OpenID tokens, so most
    /// programs never set it.
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// let builder = CognitoIdentityCredentials::builder().provider_id("www.amazon.com");
    /// ```
    #[doc(alias = "ProviderId")]
    pub fn provider_id(mut self, id: impl Into<String>) -> Self {
        self.settings.provider_id = Some(id.into());
        self
    }

    /// Sets the lifetime to request for the credentials of [`role_arn`](Self::role_arn).
    ///
    /// It is 15 minutes to 12 hours, in whole seconds, and at most what the role allows. Default:
    /// none. STS then grants one hour. In the enhanced flow the lifetime is always one hour.
    ///
    /// See the [example](Self::role_arn).
    #[doc(alias = "DurationSeconds")]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.settings.duration = Some(duration);
        self
    }

    /// Adds the login token of a provider, or replaces the provider's earlier token. See [`Logins`]
    /// for the provider names.
    ///
    /// Default: no logins. Without a login the user is a guest.
    ///
    /// ```
    /// use cognito_identity_credentials::{CognitoIdentityCredentials, FileStorage};
    ///
    /// # #[cfg(feature = "ureq")] {
    /// # let id_token = "token-of-a-sign-in";
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .login("accounts.google.com", id_token)
    ///     .login_id("ann") // one of several users of this device
    ///     .storage(FileStorage::new("/var/lib/app/identity"))
    ///     .build();
    /// # assert!(credentials.is_ok());
    /// # }
    /// ```
    #[doc(alias = "Logins")]
    pub fn login(mut self, provider: impl Into<String>, token: impl Into<String>) -> Self {
        self.settings.logins.insert(provider, token);
        self
    }

    /// Adds a login whose token comes from a [`TokenSource`]. Each refresh asks the source for the
    /// current token, so the provider keeps working after one token expires.
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .login_from("accounts.google.com", || {
    ///         Ok(std::fs::read_to_string("/run/app/id-token")?.trim().to_owned())
    ///     })
    ///     .build();
    /// # assert!(credentials.is_ok());
    /// # }
    /// ```
    #[doc(alias = "Logins")]
    pub fn login_from(
        mut self,
        provider: impl Into<String>,
        source: impl TokenSource + 'static,
    ) -> Self {
        self.settings.logins.insert_source(provider.into(), source);
        self
    }

    /// Adds the login of a user pool whose tokens refresh themselves. Same as
    /// [`login_from`](Self::login_from) with [`UserPoolTokens::provider`] and a clone of `tokens`.
    ///
    /// A `get()` that needs a new ID token also waits for the user pool. If the app client rotates
    /// refresh tokens, a refresh is never abandoned midway. The caller that leads it then waits up
    /// to the `timeout` of `tokens` (20 s by default), even if its own limit is shorter.
    ///
    /// See the [example](UserPoolTokens#example).
    #[cfg(feature = "user-pool")]
    #[doc(alias = "Logins")]
    pub fn login_from_user_pool(self, tokens: &UserPoolTokens) -> Self {
        self.login_from(tokens.provider(), tokens.clone())
    }

    /// Replaces all logins, including those of [`login_from`](Self::login_from). Default: none.
    ///
    /// ```
    /// use cognito_identity_credentials::{CognitoIdentityCredentials, Logins};
    ///
    /// # let id_token = "token-of-a-sign-in";
    /// let logins = Logins::new().with("accounts.google.com", id_token);
    /// let builder = CognitoIdentityCredentials::builder().logins(logins);
    /// ```
    #[doc(alias = "Logins")]
    pub fn logins(mut self, logins: Logins) -> Self {
        self.settings.logins = logins;
        self
    }

    /// Sets your own backend as the source of the identity, for developer-authenticated identities.
    /// Default: none.
    ///
    /// Each refresh asks the backend for an identity ID and a token. The enhanced flow sends the
    /// token to Cognito as a login; the classic flow sends it to STS. It cannot be combined with
    /// logins or with [`identity_id`](Self::identity_id).
    ///
    /// ```
    /// use cognito_identity_credentials::{CognitoIdentityCredentials, DeveloperIdentity};
    ///
    /// # #[cfg(feature = "ureq")] {
    /// # fn ask_our_backend() -> std::io::Result<(String, String)> { unimplemented!() }
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .developer_identity(|| {
    ///         let (identity_id, token) = ask_our_backend()?;
    ///         Ok(DeveloperIdentity::new(identity_id, token))
    ///     })
    ///     .build();
    /// # assert!(credentials.is_ok());
    /// # }
    /// ```
    #[doc(alias = "WebIdentityToken")]
    #[doc(alias = "IdentityId")]
    #[doc(alias = "Logins")]
    pub fn developer_identity(
        mut self,
        provider: impl DeveloperIdentityProvider + 'static,
    ) -> Self {
        self.settings.developer = Some(Arc::new(provider));
        self
    }

    /// Sets the name of the user, if several users share one [`storage`](Self::storage). Never use
    /// a token as the name.
    ///
    /// The identity and the [credentials](Self::persist_credentials) are stored under the pool and
    /// this name. Default: none. The storage then holds one identity for the pool.
    ///
    /// See the [example](Self::login).
    #[doc(alias = "LoginId")]
    #[doc(alias = "userIdentifier")]
    pub fn login_id(mut self, id: impl Into<String>) -> Self {
        self.settings.login_id = Some(id.into());
        self
    }

    /// Sets where the identity ID is stored, to keep the identity across restarts. Most programs
    /// use [`FileStorage`](crate::FileStorage). Default: none. The ID is then only kept in memory.
    ///
    /// It needs [`identity_pool_id`](Self::identity_pool_id), because the ID is stored under the
    /// pool.
    ///
    /// * A guest's new identity is stored at once. A signed-in user's identity is stored after the
    ///   service has accepted it.
    /// * A guest uses the stored identity. A signed-in user uses it if it was stored with a login
    ///   of the same provider.
    /// * An identity that a [developer identity provider](Self::developer_identity) returns is not
    ///   stored.
    /// * A service other than AWS, such as an emulator at
    ///   [`endpoint_url`](Self::endpoint_url), has records of its own.
    ///
    /// A failure of the storage never makes a refresh fail.
    /// [`Status::storage_error`](crate::Status::storage_error) returns it. A record that cannot be
    /// read is not overwritten. If no identity is known, the provider requests a temporary guest.
    /// Each later refresh reads the record again: it then uses the stored identity, or stores the
    /// guest if there is no record.
    ///
    /// ```
    /// use cognito_identity_credentials::{CognitoIdentityCredentials, FileStorage};
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .storage(FileStorage::new("/var/lib/sensor/identity"))
    ///     .on_refresh(|report| {
    ///         report.storage_error.iter().for_each(|error| eprintln!("storage: {error:#}"));
    ///     })
    ///     .build();
    /// # assert!(credentials.is_ok());
    /// # }
    /// ```
    #[doc(alias = "localStorage")]
    #[doc(alias = "localStorageKey")]
    #[doc(alias = "cacheId")]
    #[doc(alias = "getStorage")]
    #[doc(alias = "setStorage")]
    #[doc(alias = "cache")]
    pub fn storage(mut self, storage: impl Storage + 'static) -> Self {
        let storage = Arc::new(storage);
        self.settings.storage = Some(ConfiguredStorage { storage, identities: stored_identities });
        self
    }

    /// Sets whether the current credentials are stored in the [`storage`](Self::storage) too, so
    /// that other processes can use them. It is for programs that run often and briefly, and for
    /// several programs on one device. Default: `false`.
    ///
    /// # When stored credentials are used
    ///
    /// A `get()` that would contact the service reads the storage first. It uses the stored
    /// credentials if all of these conditions hold. No service and no token source is called then.
    ///
    /// * They were issued since the system started. [`Clock::boot_id`] tells that. The default
    ///   clock knows the boot ID on Linux and Android only; elsewhere nothing is stored.
    /// * They were issued for the same settings: pool, login ID, names of the login providers,
    ///   endpoints, role and everything that restricts the role.
    /// * They belong to the identity that this provider would use. (A developer identity provider
    ///   is not called for this check. The login ID stands for its identity.)
    /// * They live longer than [`expiry_window`](Self::expiry_window). Inside the
    ///   [`advisory_window`](Self::advisory_window), one attempt to refresh comes first, and the
    ///   stored credentials are used if it fails. The same happens if only the wall clock says that
    ///   they have expired.
    /// * They were requested after the credentials that this provider has cached, and after the
    ///   last [`expire`](CognitoIdentityCredentials::expire).
    ///
    /// Expiry is measured on the boot clock, so a wrong wall clock cannot make expired credentials
    /// valid. If the boot clock stops while the system is suspended, the wall clock must agree.
    /// [`refresh`](CognitoIdentityCredentials::refresh) never uses stored credentials.
    ///
    /// # What is required
    ///
    /// * [`storage`](Self::storage) and [`identity_pool_id`](Self::identity_pool_id).
    /// * [`login_id`](Self::login_id), if there are logins or a developer identity provider. It
    ///   must name the user, so that no user gets the credentials of another.
    ///
    /// One login ID means one user. For another user, build another provider with another login ID.
    /// Do not set the login of another user on this provider. If a login is set later and there is
    /// no login ID, nothing is stored and nothing is read.
    ///
    /// # Storage
    ///
    /// Each refresh writes one record, about every 45 minutes. Flash memory wears out with each write.
    /// A restart of the system makes the record useless, so it can be kept in memory. A [`Storage`]
    /// of your own can put keys that begin with `credentials/` below `/run`. It must keep the other
    /// keys, which hold the identity, in a permanent place.
    ///
    /// Anyone who can read the record has the credentials until they expire.
    /// [`FileStorage`](crate::FileStorage) lets only the owner read it. A failure of the storage
    /// never makes a `get()` fail. A record that cannot be read is not overwritten.
    /// [`Status::storage_error`](crate::Status::storage_error) returns why nothing is stored.
    ///
    /// If the storage has [locks](Storage::lock), processes that start together make one request.
    /// One process contacts the service, and the others wait for what it stores. They wait for at
    /// most half of their time: half of `timeout`, or half of `attempt_timeout` while the cached
    /// credentials are still good. After that they contact the service themselves.
    ///
    /// ```
    /// use cognito_identity_credentials::{CognitoIdentityCredentials, FileStorage};
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .storage(FileStorage::new("/var/lib/sensor/identity"))
    ///     .persist_credentials(true)
    ///     .on_refresh(|report| {
    ///         report.storage_error.iter().for_each(|error| eprintln!("storage: {error:#}"));
    ///     })
    ///     .build();
    /// # assert!(credentials.is_ok());
    /// # }
    /// ```
    pub fn persist_credentials(mut self, persist: bool) -> Self {
        self.settings.persistence = persist.then_some(Persistence(stored_credentials));
        self
    }

    /// Sets a function to call when the identity ID changes. It gets the old ID, the new ID and the
    /// reason. Default: none.
    ///
    /// The function runs on the thread that caused the change, and that thread waits for it. No
    /// lock is held. Reading a stored identity again is not a change.
    ///
    /// ```
    /// use cognito_identity_credentials::{
    ///     CognitoIdentityCredentials, IdentityChange, IdentityChangeReason,
    /// };
    ///
    /// fn log(change: &IdentityChange) {
    ///     match change.reason {
    ///         IdentityChangeReason::Minted => println!("this is a new identity"),
    ///         reason => println!("the identity changed: {reason:?}"),
    ///     }
    /// }
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .on_identity_change(log)
    ///     .build();
    /// # assert!(credentials.is_ok());
    /// # }
    /// ```
    pub fn on_identity_change(
        mut self,
        listener: impl Fn(&IdentityChange) + Send + Sync + 'static,
    ) -> Self {
        self.settings.on_identity_change = Some(Arc::new(listener));
        self
    }

    /// Sets a function that the provider calls after each refresh, successful or not. It shows
    /// failures without a logger. Some of them `get()` does not return: an early refresh that
    /// failed, or a storage that cannot be written. Default: none.
    ///
    /// It is called once for each refresh, on the thread that led it. The threads that wait for the
    /// same refresh already have the result, and no lock is held. The calling thread's own `get()`
    /// or `refresh()` returns after the function, so keep it short. If it panics, only that call
    /// panics.
    ///
    /// It is also called if the credentials come from another process, which
    /// [stored](Self::persist_credentials) them. It is not called:
    ///
    /// * for cached credentials;
    /// * for an error that `get()` returns during a [cooldown](Self::failure_cooldown);
    /// * if your own code panics during the refresh.
    ///
    /// If `get()` finds stored credentials in their advisory window and cannot refresh them, it
    /// returns them. `result` is then the error of the refresh, and `early` is true.
    ///
    /// Inside the function, `get()`, `get_within()` and `refresh()` return
    /// [`Reentrant`](crate::ErrorKind::Reentrant). All other methods of the provider work.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use cognito_identity_credentials::RefreshReport;
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, testing::FakeCognito};
    ///
    /// #[derive(Default)]
    /// struct Metrics {
    ///     refreshes: AtomicU64,
    ///     failures: AtomicU64,
    /// }
    ///
    /// let metrics = Arc::new(Metrics::default());
    /// let counted = Arc::clone(&metrics);
    /// let credentials = CognitoIdentityCredentials::builder()
    /// #   .transport(FakeCognito::new())
    ///     .identity_pool_id(FakeCognito::POOL_ID)
    ///     .on_refresh(move |report: &RefreshReport| {
    ///         counted.refreshes.fetch_add(1, Ordering::Relaxed);
    ///         if let Err(error) = &report.result {
    ///             counted.failures.fetch_add(1, Ordering::Relaxed);
    ///             eprintln!("refresh failed after {:?}: {error:#}", report.duration);
    ///         }
    ///         if let Some(error) = &report.storage_error {
    ///             eprintln!("storage: {error:#}");
    ///         }
    ///     })
    ///     .build()?;
    ///
    /// credentials.get()?;
    /// assert_eq!(metrics.refreshes.load(Ordering::Relaxed), 1);
    /// assert_eq!(metrics.failures.load(Ordering::Relaxed), 0);
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "logger")]
    pub fn on_refresh(mut self, listener: impl Fn(&RefreshReport) + Send + Sync + 'static) -> Self {
        self.settings.on_refresh = Some(Arc::new(listener));
        self
    }

    /// Sets another URL for Cognito Identity, such as the URL of an emulator. Default: AWS's
    /// endpoint in the region.
    ///
    /// It must begin with `https`. Plain `http` is allowed to loopback only: `127.0.0.0/8`, `[::1]`
    /// and `localhost`. See also [`danger_allow_http`](Self::danger_allow_http).
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .endpoint_url("http://127.0.0.1:4566") // an emulator
    ///     .sts_endpoint_url("http://127.0.0.1:4566") // only for the classic flow
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "endpoint")]
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.set_by_program("endpoint_url");
        self.settings.calls.endpoint_url = Some(url.into());
        self
    }

    /// Sets another URL for STS. The rules are those of [`endpoint_url`](Self::endpoint_url).
    /// Default: AWS's endpoint in the region.
    ///
    /// See the [example](Self::endpoint_url).
    #[doc(alias = "endpoint")]
    pub fn sts_endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.set_by_program("sts_endpoint_url");
        self.settings.sts_endpoint_url = Some(url.into());
        self
    }

    /// Sets whether to use endpoints with FIPS 140 validated cryptography. Default: `false`.
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .use_fips(true)
    ///     .use_dual_stack(true)
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "useFipsEndpoint")]
    pub fn use_fips(mut self, fips: bool) -> Self {
        self.set_by_program("use_fips");
        self.settings.calls.use_fips = fips;
        self
    }

    /// Sets whether to use endpoints with both IPv4 and IPv6. Default: `false`.
    ///
    /// See the [example](Self::use_fips).
    #[doc(alias = "useDualstackEndpoint")]
    pub fn use_dual_stack(mut self, dual_stack: bool) -> Self {
        self.set_by_program("use_dual_stack");
        self.settings.calls.use_dual_stack = dual_stack;
        self
    }

    /// Sets whether [`endpoint_url`](Self::endpoint_url) and
    /// [`sts_endpoint_url`](Self::sts_endpoint_url) may use plain `http` to any host. It is for
    /// emulators on a private network. Default: `false`.
    ///
    /// Anyone who can read that network can read the login tokens and the credentials.
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .endpoint_url("http://emulator.test:4566")
    ///     .danger_allow_http(true)
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn danger_allow_http(mut self, allow: bool) -> Self {
        self.settings.calls.danger_allow_http = allow;
        self
    }

    /// Sets the transport that sends the requests. Default: a new `UreqTransport` (feature `ureq`).
    ///
    /// To share one transport and its connections among several providers, pass an `Arc`.
    ///
    /// ```
    /// # #[cfg(feature = "ureq")] {
    /// use std::sync::Arc;
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    /// use cognito_identity_credentials::transport::UreqTransport;
    ///
    /// let transport = Arc::new(UreqTransport::new());
    /// let provider = |pool| {
    ///     CognitoIdentityCredentials::builder()
    ///         .identity_pool_id(pool)
    ///         .transport(Arc::clone(&transport))
    ///         .build()
    /// };
    /// let first = provider("us-east-1:12345678-dead-beef-cafe-123456790ab0")?;
    /// let second = provider("us-east-1:12345678-dead-beef-cafe-123456790ab1")?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "httpOptions")]
    #[doc(alias = "agent")]
    #[doc(alias = "cognito")]
    #[doc(alias = "sts")]
    #[doc(alias = "createClients")]
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.settings.calls.transport = Some(Arc::new(transport));
        self
    }

    /// Sets the clock that measures expiry, time limits and delays. Default:
    /// [`SystemClock`](crate::SystemClock).
    ///
    /// Threads that wait for the refresh of another thread always use the clock of the system.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use std::time::Duration;
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    /// use cognito_identity_credentials::testing::{FakeCognito, ManualClock};
    ///
    /// let clock = ManualClock::new();
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id(FakeCognito::POOL_ID)
    ///     .transport(FakeCognito::with_clock(clock.clone()))
    ///     .clock(clock.clone())
    ///     .build()?;
    /// credentials.get()?;
    /// clock.advance(Duration::from_secs(60 * 60));
    /// assert!(credentials.needs_refresh());
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.settings.calls.clock = Arc::new(clock);
        self
    }

    /// Sets how long cached credentials must still be valid so that `get()` returns them without a
    /// new request. Default: 15 seconds.
    ///
    /// If the window is as long as the lifetime, every `get()` contacts the service.
    ///
    /// See the [example](Self::advisory_window).
    #[doc(alias = "expiryWindow")]
    pub fn expiry_window(mut self, window: Duration) -> Self {
        self.settings.windows.expiry = window;
        self
    }

    /// Sets how long before their expiry `get()` starts to refresh the credentials early. During
    /// this time, it still returns the cached credentials. After a failed attempt, it waits a
    /// random third to two thirds of the window before the next one. That is at most 10 minutes, or
    /// a longer `Retry-After`.
    ///
    /// Default: it depends on the lifetime of the credentials, and is never more than half of it.
    ///
    /// | lifetime | window |
    /// |---|---|
    /// | up to 20 minutes | 5 minutes |
    /// | below 90 minutes | 15 minutes |
    /// | longer | 60 minutes |
    ///
    /// If the window is as long as the lifetime, every `get()` contacts the service.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .expiry_window(Duration::from_secs(60)) // an upload takes up to a minute
    ///     .advisory_window(Duration::from_secs(20 * 60))
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn advisory_window(mut self, window: Duration) -> Self {
        self.settings.windows.advisory = Some(window);
        self
    }

    /// Sets how long `get()` sends no request after the service has answered with an error.
    /// Default: 5 seconds.
    ///
    /// During the cooldown, a `get()` without usable credentials returns the same error at once.
    /// The cooldown is a random time between a fifth of this value and all of it. Zero turns it
    /// off.
    ///
    /// If the service sent a longer `Retry-After`, that is the cooldown, also with zero:
    ///
    /// | `Retry-After` | cooldown |
    /// |---|---|
    /// | seconds, up to 5 minutes | exactly this time |
    /// | a date, up to 5 minutes ahead | a random 1 to 2 times the time until then, at most 5 minutes |
    /// | above 5 minutes, either form | a random 2.5 to 5 minutes |
    ///
    /// While the service answers `Throttled`, each such failure in a row doubles the cooldown, up
    /// to 16 times. With the default it is 1 to 5 seconds after the first failure, and 16 to 80
    /// seconds from the fifth. This keeps many devices from blocking each other with requests that
    /// cannot succeed. A success or another answer resets the doubling.
    ///
    /// `refresh()` and every change of a login or of the identity ID end the cooldown and reset the
    /// doubling. A failed connection causes no cooldown and does not affect the doubling.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .failure_cooldown(Duration::from_secs(30)) // 6 to 30 s after a failure
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn failure_cooldown(mut self, cooldown: Duration) -> Self {
        self.settings.failure_cooldown = cooldown;
        self
    }

    /// Sets the time limit of one attempt at one service call, from the look-up of the host name to
    /// the last byte of the answer. Default: 10 seconds. Zero is an error.
    ///
    /// See the [example](Self::timeout).
    #[doc(alias = "httpOptions")]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.settings.calls.attempt_timeout = timeout;
        self
    }

    /// Sets the time limit of one `get()` or `refresh()`, with all calls, retries and delays.
    /// Default: 60 seconds. Zero is an error.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .timeout(Duration::from_secs(8)) // a person waits for the result
    ///     .attempt_timeout(Duration::from_secs(3))
    ///     .max_attempts(2)
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "httpOptions")]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.calls.timeout = timeout;
        self
    }

    /// Sets how many times a service call is attempted before its last error is returned. Default:
    /// 4. With 1 there are no retries. Zero is an error.
    ///
    /// See the [example](Self::timeout).
    #[doc(alias = "maxRetries")]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.settings.calls.max_attempts = attempts;
        self
    }

    /// Sets whether a guest without an identity may get a new one. Default: `true`.
    ///
    /// With `false`, `get()` returns an error if the identity is lost or the service rejects it. So
    /// the device never changes to another identity unnoticed.
    ///
    /// ```
    /// use cognito_identity_credentials::{CognitoIdentityCredentials, FileStorage};
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .storage(FileStorage::new("/var/lib/sensor/identity")) // holds an identity
    ///     .allow_new_guest(false)
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[doc(alias = "clearIdOnNotAuthorized")]
    pub fn allow_new_guest(mut self, allow: bool) -> Self {
        self.settings.allow_new_guest = allow;
        self
    }

    /// Checks the settings and returns the provider. It never blocks: the first `get()` makes the
    /// first call.
    ///
    /// See the [example](Self#example).
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config), with every fault of the settings. See
    /// [`Error::config_faults`].
    pub fn build(self) -> Result<CognitoIdentityCredentials, Error> {
        let limits = self.limits();
        let Self { mut settings, variables } = self;
        // Other programs need the variable too, so it is no contradiction.
        if settings.identity_pool_id.is_none() && variables.iter().any(|it| it.0 == "account_id") {
            settings.account_id = None;
        }
        let is_classic = settings.role_arn.is_some();
        if !is_classic && variables.iter().any(|it| it.0 == "sts_endpoint_url") {
            settings.sts_endpoint_url = None;
        }
        let mut faults = ConfigFaults::default();
        let parsed = settings.parse(&mut faults);
        let pool = parsed.pool;
        let flow = credentials_flow(&settings, parsed.sts_url);
        let owner = RecordOwner {
            cognito_url: &parsed.cognito_url,
            region: &parsed.region,
            pool: pool.as_ref(),
        };
        let storage = settings.storage.as_ref();
        let store = storage.and_then(|storage| (storage.identities)(&settings, &owner));
        let stored_credentials =
            settings.persistence.and_then(|Persistence(make)| make(&settings, &owner, &mut faults));
        let client = settings.calls.client(&mut faults);
        let (Some(client), true) = (client, faults.is_empty()) else {
            faults.name_variables(&variables);
            return Err(faults.into());
        };

        let developer = settings.developer.map(|provider| {
            let login = endpoint::cognito_login(&parsed.region);
            Developer { provider, login }
        });
        let refresher = Refresher {
            client,
            cognito_url: parsed.cognito_url,
            region: settings.calls.endpoint_url.is_none().then_some(parsed.region),
            pool,
            account_id: settings.account_id,
            flow,
            lifetime: settings.duration.unwrap_or(DEFAULT_LIFETIME),
            developer,
            store,
            allow_new_guest: settings.allow_new_guest,
        };
        let principal = Principal {
            logins: Arc::new(settings.logins),
            identity: parsed.identity.map(|id| Identity::new(id, IdentityOrigin::Given)),
            stale: StaleIdentities::default(),
        };
        Ok(CognitoIdentityCredentials::new(
            refresher,
            stored_credentials,
            settings.on_identity_change,
            settings.on_refresh,
            principal,
            settings.calls.clock,
            limits,
        ))
    }

    /// Checks each value by itself, while other settings may still change.
    pub(super) fn check_each(&self, faults: &mut ConfigFaults) {
        self.settings.check_each(faults);
        faults.name_variables(&self.variables);
    }

    /// Remembers which variable a setting came from, so that a fault can name it.
    pub(super) fn set_by_variable(&mut self, setting: &'static str, variable: &'static str) {
        self.variables.push((setting, variable));
    }

    fn set_by_program(&mut self, setting: &str) {
        self.variables.retain(|(name, _)| *name != setting);
    }

    pub(crate) fn limits(&self) -> Limits {
        let calls = &self.settings.calls;
        Limits {
            what: "the credentials",
            windows: self.settings.windows,
            timeout: calls.timeout,
            attempt_timeout: calls.attempt_timeout,
            attempts: calls.max_attempts,
            cooldown: self.settings.failure_cooldown,
        }
    }
}

/// The classic flow if there is a role, else the enhanced flow.
fn credentials_flow(settings: &Settings, sts_url: String) -> CredentialsFlow {
    let (Some(role_arn), Some(flow)) = (settings.role_arn.clone(), settings.classic) else {
        return CredentialsFlow::Enhanced { custom_role_arn: settings.custom_role_arn.clone() };
    };
    let session_name = settings.role_session_name.as_deref().unwrap_or(ROLE_SESSION_NAME);
    let role = RoleRequest {
        role_arn,
        session_name: session_name.to_owned(),
        provider_id: settings.provider_id.clone(),
        policy_arns: settings.policy_arns.clone(),
        policy: settings.policy.clone(),
        duration_seconds: settings.duration.map(|duration| duration.as_secs().to_string()),
    };
    CredentialsFlow::Classic { flow, sts_url, role }
}

/// What stores and reads credentials.
fn stored_identities(
    settings: &Settings,
    owner: &RecordOwner<'_>,
) -> Option<Box<dyn IdentityRecords>> {
    let storage = Arc::clone(&settings.storage.as_ref()?.storage);
    let service = endpoint::custom_service(owner.cognito_url, owner.region);
    let login_id = settings.login_id.as_deref();
    Some(Box::new(IdentityStore::new(storage, service.as_deref(), owner.pool?, login_id)))
}

fn stored_credentials(
    settings: &Settings,
    owner: &RecordOwner<'_>,
    faults: &mut ConfigFaults,
) -> Option<Box<dyn LoadOrRefresh>> {
    settings.check_persistence(faults);
    let role_arn = settings.role_arn.as_deref().or(settings.custom_role_arn.as_deref());
    let storage = Arc::clone(&settings.storage.as_ref()?.storage);
    let login_id = settings.login_id.clone();
    let service = endpoint::custom_service(owner.cognito_url, owner.region);
    let service = service.as_deref();
    let store = CredentialStore::new(storage, service, owner.pool?, login_id.as_deref(), role_arn);
    Some(Box::new(StoredCredentials::new(
        store,
        Arc::clone(&settings.calls.clock),
        settings.windows,
        settings.calls.attempt_timeout,
        login_id,
    )))
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.settings;
        // Unchecked text may be anything, so only what is a pool's ID is shown.
        let pool = settings.identity_pool_id.as_deref().and_then(|id| Id::parse(id).ok());
        f.debug_struct("Builder")
            .field("identity_pool_id", &pool.as_ref().map(Id::as_str))
            .field("identity_id", &settings.identity_id.as_ref().map(|_| "[redacted]"))
            .field("region", &settings.region)
            .field("logins", &settings.logins)
            .finish_non_exhaustive()
    }
}
