//! Every setting, with its default. `build` parses them once into values that cannot be wrong.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cell::Limits;
use crate::cell::lease::Windows;
use crate::clock::{Clock, SystemClock};
use crate::developer::DeveloperIdentityProvider;
use crate::error::Error;
use crate::logins::{Logins, TokenSource};
use crate::provider::{ChangeListener, CognitoIdentityCredentials};
use crate::refresh::identity::{Identity, IdentityChange, IdentityOrigin, IdentityStore};
use crate::refresh::stored_credentials::{LoadOrRefresh, StoredCredentials};
use crate::refresh::{ClassicFlow, CredentialsFlow, Developer, Principal, Refresher};
use crate::service::client::Client;
use crate::service::cognito_identity::Id;
use crate::service::endpoint;
use crate::service::sts::RoleRequest;
use crate::storage::Storage;
use crate::transport::Transport;

/// The settings of a [`CognitoIdentityCredentials`].
///
/// Setters take what they are given; [`build`](Self::build) checks everything and reports every
/// fault at once. `Debug` shows neither login tokens nor identity IDs.
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
///     "region: us-east-1 contradicts the identity pool, which is of region eu-west-1; \
///      timeout: must be longer than zero"
/// );
/// # }
/// ```
#[must_use]
#[derive(Clone)]
#[doc(alias = "params")]
#[doc(alias = "clientConfig")]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Builder {
    identity_pool_id: Option<String>,
    identity_id: Option<String>,
    account_id: Option<String>,
    region: Option<String>,
    custom_role_arn: Option<String>,
    role_arn: Option<String>,
    /// Set with `role_arn`.
    classic: Option<ClassicFlow>,
    role_session_name: Option<String>,
    policy: Option<String>,
    policy_arns: Vec<String>,
    provider_id: Option<String>,
    duration: Option<Duration>,
    logins: Logins,
    developer: Option<Arc<dyn DeveloperIdentityProvider>>,
    login_id: Option<String>,
    storage: Option<Arc<dyn Storage>>,
    persistence: Option<Persistence>,
    on_identity_change: Option<Arc<ChangeListener>>,
    endpoint_url: Option<String>,
    sts_endpoint_url: Option<String>,
    use_fips: bool,
    use_dual_stack: bool,
    danger_allow_http: bool,
    transport: Option<Arc<dyn Transport>>,
    clock: Arc<dyn Clock>,
    windows: Windows,
    failure_cooldown: Duration,
    attempt_timeout: Duration,
    timeout: Duration,
    max_attempts: u32,
    allow_new_guest: bool,
    /// The settings that came from the environment, and the variables that they came from.
    variables: Vec<(&'static str, &'static str)>,
}

impl CognitoIdentityCredentials {
    /// Settings to start from: the defaults.
    pub fn builder() -> Builder {
        Builder {
            identity_pool_id: None,
            identity_id: None,
            account_id: None,
            region: None,
            custom_role_arn: None,
            role_arn: None,
            classic: None,
            role_session_name: None,
            policy: None,
            policy_arns: Vec::new(),
            provider_id: None,
            duration: None,
            logins: Logins::new(),
            developer: None,
            login_id: None,
            storage: None,
            persistence: None,
            on_identity_change: None,
            endpoint_url: None,
            sts_endpoint_url: None,
            use_fips: false,
            use_dual_stack: false,
            danger_allow_http: false,
            transport: None,
            clock: Arc::new(SystemClock),
            windows: Windows { expiry: Duration::from_secs(15), advisory: None },
            failure_cooldown: Duration::from_secs(5),
            attempt_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(60),
            max_attempts: 4,
            allow_new_guest: true,
            variables: Vec::new(),
        }
    }
}

impl Builder {
    /// The identity pool, `REGION:GUID`: at most 55 characters, letters, digits, `_` and `-` before
    /// the colon, `0-9a-f` and `-` behind it. Needed unless [`identity_id`](Self::identity_id) is
    /// set.
    #[doc(alias = "IdentityPoolId")]
    pub fn identity_pool_id(mut self, id: impl Into<String>) -> Self {
        self.own("identity_pool_id");
        self.identity_pool_id = Some(id.into());
        self
    }

    /// The identity, `REGION:GUID` as the pool, if it is known already: the service is not asked for one then. Default: the
    /// service is asked (`GetId`) with the first refresh, and its answer is remembered.
    #[doc(alias = "IdentityId")]
    pub fn identity_id(mut self, id: impl Into<String>) -> Self {
        self.own("identity_id");
        self.identity_id = Some(id.into());
        self
    }

    /// The AWS account that owns the identity pool, 1 to 15 digits; sent with `GetId` alone.
    /// Default: not sent, and the service does not need it.
    #[doc(alias = "AccountId")]
    pub fn account_id(mut self, id: impl Into<String>) -> Self {
        self.own("account_id");
        self.account_id = Some(id.into());
        self
    }

    /// The region to call. It can only repeat the one that the pool's or the identity's ID begins
    /// with, which is the default; any other is an error, instead of the service's "not found".
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.own("region");
        self.region = Some(region.into());
        self
    }

    /// The role to assume instead of the pool's default, for users whose login token allows several
    /// roles: 20 to 2048 characters. Sent with `GetCredentialsForIdentity`. Default: none.
    #[doc(alias = "CustomRoleArn")]
    pub fn custom_role_arn(mut self, arn: impl Into<String>) -> Self {
        self.own("custom_role_arn");
        self.custom_role_arn = Some(arn.into());
        self
    }

    /// The role to assume by the classic flow (`GetOpenIdToken`, then STS): 20 to 2048 characters.
    /// The pool must allow that flow, and the role must trust the pool. Default: none, which is the
    /// enhanced flow, with the roles that the pool names.
    #[doc(alias = "RoleArn")]
    pub fn role_arn(mut self, arn: impl Into<String>) -> Self {
        self.own("role_arn");
        self.role_arn = Some(arn.into());
        self.classic = Some(ClassicFlow::new());
        self
    }

    /// The name of the session of [`role_arn`](Self::role_arn), which shows in AWS's logs: 2 to 64
    /// characters of `A-Z a-z 0-9 _ + = , . @ -`. Default: `web-identity`.
    #[doc(alias = "RoleSessionName")]
    pub fn role_session_name(mut self, name: impl Into<String>) -> Self {
        self.own("role_session_name");
        self.role_session_name = Some(name.into());
        self
    }

    /// A session policy (JSON) that narrows what [`role_arn`](Self::role_arn) allows: 1 to 2048
    /// characters. Default: none.
    #[doc(alias = "Policy")]
    pub fn policy(mut self, policy: impl Into<String>) -> Self {
        self.policy = Some(policy.into());
        self
    }

    /// Managed policies that narrow what [`role_arn`](Self::role_arn) allows: at most 10 ARNs of 20
    /// to 2048 characters. Replaces those of an earlier call. Default: none.
    #[doc(alias = "PolicyArns")]
    pub fn policy_arns<A: Into<String>>(mut self, arns: impl IntoIterator<Item = A>) -> Self {
        self.policy_arns = arns.into_iter().map(Into::into).collect();
        self
    }

    /// The provider of an OAuth 2.0 access token, for STS: 4 to 2048 characters. Cognito's tokens
    /// are OpenID tokens, for which STS wants none. Default: none.
    #[doc(alias = "ProviderId")]
    pub fn provider_id(mut self, id: impl Into<String>) -> Self {
        self.provider_id = Some(id.into());
        self
    }

    /// How long the credentials of [`role_arn`](Self::role_arn) shall live: 15 minutes to 12 hours,
    /// in whole seconds, and no longer than the role allows. Default: not sent, and STS grants an
    /// hour. The enhanced flow knows one hour alone.
    #[doc(alias = "DurationSeconds")]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// Adds the login token of a provider, or replaces the one that it had. Default: no logins,
    /// which makes the program a guest. See [`Logins`] for the names.
    #[doc(alias = "Logins")]
    pub fn login(mut self, provider: impl Into<String>, token: impl Into<String>) -> Self {
        self.logins.insert(provider, token);
        self
    }

    /// Adds a login whose token is asked for afresh at every refresh, so that the provider outlives
    /// any one token. See [`TokenSource`].
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
        self.logins.insert_source(provider.into(), source);
        self
    }

    /// Replaces all logins, those of [`login_from`](Self::login_from) included. Default: none.
    #[doc(alias = "Logins")]
    pub fn logins(mut self, logins: Logins) -> Self {
        self.logins = logins;
        self
    }

    /// Names the identity by the maker's own backend, for developer-authenticated identities. Goes
    /// with neither logins nor [`identity_id`](Self::identity_id). In the enhanced flow its token is
    /// sent as the login of Cognito itself, in the classic flow to STS. Default: none.
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
    pub fn developer_identity(
        mut self,
        provider: impl DeveloperIdentityProvider + 'static,
    ) -> Self {
        self.developer = Some(Arc::new(provider));
        self
    }

    /// Who the user is, where several share a [`storage`](Self::storage): the stored identity, and
    /// [stored credentials](Self::persist_credentials), are kept for the pool and this name. Never a
    /// token. Default: none, one identity for the pool.
    #[doc(alias = "LoginId")]
    pub fn login_id(mut self, id: impl Into<String>) -> Self {
        self.login_id = Some(id.into());
        self
    }

    /// Where the identity ID is kept, so that a restart does not make the device somebody else:
    /// [`FileStorage`](crate::FileStorage) for most. Needs
    /// [`identity_pool_id`](Self::identity_pool_id), for which it is kept. Default: nowhere but in
    /// memory.
    ///
    /// One that a [developer identity provider](Self::developer_identity) names is not stored. A
    /// guest's new identity is stored at once, a user's when the service has accepted it. A stored
    /// one is used by a guest as it is, and by a user if it was stored with a login of the same
    /// provider.
    ///
    /// ```
    /// use cognito_identity_credentials::{CognitoIdentityCredentials, FileStorage};
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .storage(FileStorage::new("/var/lib/sensor/identity"))
    ///     .build();
    /// # assert!(credentials.is_ok());
    /// # }
    /// ```
    #[doc(alias = "localStorage")]
    #[doc(alias = "localStorageKey")]
    #[doc(alias = "cacheId")]
    #[doc(alias = "getStorage")]
    #[doc(alias = "setStorage")]
    pub fn storage(mut self, storage: impl Storage + 'static) -> Self {
        self.storage = Some(Arc::new(storage));
        self
    }

    /// Keeps the current credentials in the [`storage`](Self::storage) too, for the next process: for
    /// programs that run often and briefly, and for several on one device. Default: `false`.
    ///
    /// A `get()` that would ask the service, or make an attempt to renew what it has, looks into the
    /// storage first, and is served from there, without a call and without asking a token source, if
    /// all of this holds for the stored set:
    ///
    /// * It was issued in this run of the system, told by [`Clock::boot_id`]: on Linux and Android,
    ///   and nowhere else with [`SystemClock`]. Its end is counted on the boot clock, so no wrong wall
    ///   clock revives it. Where the boot clock stops in suspend, the wall clock must agree.
    /// * It was issued for these settings: pool, login ID, names of the login providers (or that a
    ///   backend names the identity), endpoints, role and all that goes with the role.
    /// * It belongs to the identity that this provider would use: given, remembered or stored. (A
    ///   backend is not asked for it: its identity is the one of this login ID.)
    /// * It has more life than [`expiry_window`](Self::expiry_window). Inside its
    ///   [`advisory_window`](Self::advisory_window), or when the wall clock alone says that it is over,
    ///   one attempt to renew it comes first, as for a set that is held, and it serves if that fails.
    /// * It was asked for after the set that this provider holds, and after the last
    ///   [`expire`](CognitoIdentityCredentials::expire).
    ///
    /// [`refresh`](CognitoIdentityCredentials::refresh) always asks the service.
    ///
    /// What the service issues is written once for each refresh, every hour or so, which wears flash.
    /// The record is of no use after a restart of the system, so memory is good enough for it: a
    /// [`Storage`] of the program's own may keep keys that begin with `credentials/` in a directory
    /// below `/run`, and the others, the identity's, where they last. Whoever can read the record has
    /// the credentials until they end: [`FileStorage`](crate::FileStorage) lets its owner alone.
    ///
    /// Processes that start together fetch once where the storage has [locks](Storage::lock): one
    /// asks the service, the others wait for what it stores, for at most half of the time that they
    /// have (`timeout`; `attempt_timeout` while the old set is good), then ask for themselves.
    ///
    /// Needs [`storage`](Self::storage) and [`identity_pool_id`](Self::identity_pool_id); with logins
    /// or a developer identity also [`login_id`](Self::login_id), which must name the user, so that
    /// nobody gets another's credentials. When logins are set later and there is none, nothing is
    /// stored or reused. One login ID is one user: for another user, make another provider with
    /// another login ID, and do not set the other's login in this one. Failures of the storage are
    /// logged and fail nothing.
    ///
    /// ```
    /// use cognito_identity_credentials::{CognitoIdentityCredentials, FileStorage};
    ///
    /// # #[cfg(feature = "ureq")] {
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .storage(FileStorage::new("/var/lib/sensor/identity"))
    ///     .persist_credentials(true)
    ///     .build();
    /// # assert!(credentials.is_ok());
    /// # }
    /// ```
    pub fn persist_credentials(mut self, persist: bool) -> Self {
        self.persistence = persist.then_some(Persistence(Self::reuse));
        self
    }

    /// Tells the program when the identity ID changes: the old one, the new one, and why. Called on
    /// the thread that causes the change, without any lock held; what it does holds up that thread.
    /// A stored identity that is found again is no change. Default: nobody is told.
    pub fn on_identity_change(
        mut self,
        listener: impl Fn(&IdentityChange) + Send + Sync + 'static,
    ) -> Self {
        self.on_identity_change = Some(Arc::new(listener));
        self
    }

    /// Another URL for Cognito Identity, such as an emulator's. `https`, or `http` to loopback
    /// (`127.0.0.0/8`, `[::1]`, `localhost`). Default: AWS's endpoint of the region.
    #[doc(alias = "endpoint")]
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.own("endpoint_url");
        self.endpoint_url = Some(url.into());
        self
    }

    /// Another URL for STS, by the same rule as [`endpoint_url`](Self::endpoint_url). Default: AWS's
    /// regional endpoint.
    #[doc(alias = "endpoint")]
    pub fn sts_endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.own("sts_endpoint_url");
        self.sts_endpoint_url = Some(url.into());
        self
    }

    /// Uses the endpoint whose cryptography is validated by FIPS 140. Default: `false`.
    #[doc(alias = "useFipsEndpoint")]
    pub fn use_fips(mut self, fips: bool) -> Self {
        self.own("use_fips");
        self.use_fips = fips;
        self
    }

    /// Uses the endpoint that is reachable by IPv4 and IPv6. Default: `false`.
    #[doc(alias = "useDualstackEndpoint")]
    pub fn use_dual_stack(mut self, dual_stack: bool) -> Self {
        self.own("use_dual_stack");
        self.use_dual_stack = dual_stack;
        self
    }

    /// Allows plain `http` to any host in [`endpoint_url`](Self::endpoint_url), for emulators on a
    /// private network. Whoever can read that network reads the login tokens and the credentials.
    /// Default: `false`.
    pub fn danger_allow_http(mut self, allow: bool) -> Self {
        self.danger_allow_http = allow;
        self
    }

    /// What carries the requests, over whatever network there is. Default: `UreqTransport` (feature `ureq`). Pass an `Arc` to share
    /// one transport, and with it its connections, among several providers.
    #[doc(alias = "httpOptions")]
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// The clocks to go by. Default: [`SystemClock`]. Threads that wait for another thread's refresh
    /// go by the system's clock in any case.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How long before their end credentials are not handed out any more. Default: 15 seconds. A
    /// window as long as the lifetime makes every `get()` contact the service.
    #[doc(alias = "expiryWindow")]
    pub fn expiry_window(mut self, window: Duration) -> Self {
        self.windows.expiry = window;
        self
    }

    /// How long before their end one caller begins to try for new credentials, while the old ones
    /// are still handed out. Default: by their lifetime, 5 minutes up to 20 minutes, 15 minutes
    /// below 90 minutes, else 60 minutes, but at most half of it. A window as long as the lifetime
    /// makes every `get()` contact the service.
    pub fn advisory_window(mut self, window: Duration) -> Self {
        self.windows.advisory = Some(window);
        self
    }

    /// After a failure that came as an answer, `get()` without usable credentials returns the same
    /// error without contact for a random time of a fifth of this to all of it, or for as long as the
    /// service asked with `Retry-After`. `refresh()` and every change of a login or the identity ID
    /// end it. Failures to connect are not remembered. Default: 5 seconds. Zero leaves `Retry-After`.
    ///
    /// While the service throttles (`Throttled`), each such failure in a row doubles it, up to 16
    /// times: 1 to 5 seconds after the first, 16 to 80 from the fifth on. More devices than the quota
    /// serves would otherwise keep each other out with calls in vain. Success, another answer, and
    /// what ends the cooldown begin anew; a failure to connect counts neither way.
    pub fn failure_cooldown(mut self, cooldown: Duration) -> Self {
        self.failure_cooldown = cooldown;
        self
    }

    /// The longest that one attempt at one service call takes, from name look-up to the last byte.
    /// Default: 10 seconds. Zero is an error.
    #[doc(alias = "httpOptions")]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// The longest that `get()` or `refresh()` takes, with all calls, attempts and delays.
    /// Default: 60 seconds. Zero is an error.
    #[doc(alias = "httpOptions")]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a service call is attempted before its last error is returned. 1 turns repeats
    /// off. Default: 4.
    #[doc(alias = "maxRetries")]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Whether a guest without a known identity may be given a new one. With `false`, a device
    /// whose identity is lost or refused gets an error instead of silently becoming somebody else.
    /// Default: `true`.
    pub fn allow_new_guest(mut self, allow: bool) -> Self {
        self.allow_new_guest = allow;
        self
    }

    /// Checks the settings and makes the provider. No I/O, no call: the first `get()` makes those.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config), with every fault in its text: the setting, what is
    /// wrong with its value, and the rule.
    pub fn build(self) -> Result<CognitoIdentityCredentials, Error> {
        let mut faults = Faults(Vec::new());
        let pool = faults.id("identity_pool_id", self.identity_pool_id.as_deref());
        let identity = faults.id("identity_id", self.identity_id.as_deref());
        if self.identity_pool_id.is_none() && self.identity_id.is_none() {
            faults.add("identity_pool_id: not set; set it, or identity_id");
        }
        let region = self.parse_region(pool.as_ref(), identity.as_ref(), &mut faults);
        let cognito_url = self.parse_url(
            &region,
            ("endpoint_url", self.endpoint_url.as_deref()),
            endpoint::cognito_identity,
            &mut faults,
        );
        let sts_url = self.parse_url(
            &region,
            ("sts_endpoint_url", self.sts_endpoint_url.as_deref()),
            endpoint::sts,
            &mut faults,
        );
        self.check_values(&mut faults);
        self.check_together(&mut faults);
        let flow = self.flow(sts_url);
        let reuse =
            self.persistence.and_then(|Persistence(make)| make(&self, pool.as_ref(), &mut faults));
        let limits = self.limits();
        let transport = self.transport.or_else(default_transport);
        if transport.is_none() {
            faults.add("transport: not set, and this build has none (feature `ureq` is off)");
        }
        let (Some(transport), true) = (transport, faults.0.is_empty()) else {
            return Err(Error::config(faults.named(&self.variables).join("; ")));
        };

        let store = self.storage.as_ref().zip(pool.as_ref()).map(|(storage, pool)| {
            IdentityStore::new(Arc::clone(storage), pool, self.login_id.as_deref())
        });
        let developer = self.developer.map(|provider| {
            let login = endpoint::cognito_login(&region);
            Developer { provider, login }
        });
        let refresher = Refresher {
            client: Client::new(transport, Arc::clone(&self.clock), self.attempt_timeout),
            cognito_url,
            region: self.endpoint_url.is_none().then_some(region),
            pool,
            account_id: self.account_id,
            flow,
            developer,
            store,
            allow_new_guest: self.allow_new_guest,
        };
        let principal = Principal {
            logins: Arc::new(self.logins),
            identity: identity.map(|id| Identity::new(id, IdentityOrigin::Given)),
            storage_cleared: false,
        };
        Ok(CognitoIdentityCredentials::new(
            refresher,
            reuse,
            self.on_identity_change,
            principal,
            self.clock,
            limits,
        ))
    }

    /// Notes which variable a setting came from, so that a fault can name it.
    pub(crate) fn came_from(&mut self, setting: &'static str, variable: &'static str) {
        self.variables.push((setting, variable));
    }

    /// Notes that the program has set it itself.
    fn own(&mut self, setting: &str) {
        self.variables.retain(|(name, _)| *name != setting);
    }

    /// What is wrong with any value by itself, whatever the others are.
    pub(crate) fn check_alone(&self) -> Vec<String> {
        let mut faults = Faults(Vec::new());
        faults.id("identity_pool_id", self.identity_pool_id.as_deref());
        faults.id("identity_id", self.identity_id.as_deref());
        if self.region.as_deref().is_some_and(|region| !endpoint::is_region(region)) {
            faults.add("region: is not the name of a region");
        }
        for (setting, url) in
            [("endpoint_url", &self.endpoint_url), ("sts_endpoint_url", &self.sts_endpoint_url)]
        {
            // Whether plain http is allowed, the program may still say.
            if let Some(Err(fault)) = url.as_deref().map(|url| endpoint::custom(url, true)) {
                faults.add(format!("{setting}: {fault}"));
            }
        }
        self.check_values(&mut faults);
        faults.named(&self.variables)
    }

    /// What the cell goes by.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            what: "the credentials",
            windows: self.windows,
            timeout: self.timeout,
            attempt_timeout: self.attempt_timeout,
            attempts: self.max_attempts,
            cooldown: self.failure_cooldown,
        }
    }

    fn parse_region(
        &self,
        pool: Option<&Id>,
        identity: Option<&Id>,
        faults: &mut Faults,
    ) -> String {
        let (owner, region) = match (pool, identity) {
            (Some(pool), _) => ("identity pool", pool.region()),
            (None, Some(identity)) => ("identity", identity.region()),
            (None, None) => return self.region.clone().unwrap_or_default(),
        };
        match &self.region {
            Some(set) if set != region => faults.add(format!(
                "region: {} contradicts the {owner}, which is of region {region}",
                crate::redact::clean(set)
            )),
            _ => {}
        }
        match identity {
            Some(identity) if self.endpoint_url.is_none() && identity.region() != region => faults
                .add(format!(
                    "identity_id: it is of region {}, but the {owner} is of region {region}",
                    identity.region()
                )),
            _ => {}
        }
        region.to_owned()
    }

    fn parse_url(
        &self,
        region: &str,
        (setting, custom): (&str, Option<&str>),
        standard: fn(&str, bool, bool) -> String,
        faults: &mut Faults,
    ) -> String {
        let Some(url) = custom else {
            let sends = setting == "endpoint_url" || self.role_arn.is_some();
            if sends && !region.is_empty() && !endpoint::is_region(region) {
                faults.add(format!(
                    "region: it cannot stand in a host name; set {setting} for an emulator"
                ));
            }
            return standard(region, self.use_fips, self.use_dual_stack);
        };
        // The enhanced flow does not call STS, whatever its URL.
        let called = setting == "endpoint_url" || self.role_arn.is_some();
        if called && self.use_fips {
            faults.add(format!("use_fips: cannot go with {setting}"));
        }
        if called && self.use_dual_stack {
            faults.add(format!("use_dual_stack: cannot go with {setting}"));
        }
        endpoint::custom(url, self.danger_allow_http).unwrap_or_else(|fault| {
            faults.add(format!("{setting}: {fault}"));
            String::new()
        })
    }

    /// The classic flow with a role, else the enhanced one.
    fn flow(&self, sts_url: String) -> CredentialsFlow {
        let (Some(role_arn), Some(flow)) = (self.role_arn.clone(), self.classic) else {
            return CredentialsFlow::Enhanced { custom_role_arn: self.custom_role_arn.clone() };
        };
        let role = RoleRequest {
            role_arn,
            session_name: self.role_session_name.clone().unwrap_or_else(|| "web-identity".into()),
            provider_id: self.provider_id.clone(),
            policy_arns: self.policy_arns.clone(),
            policy: self.policy.clone(),
            duration_seconds: self.duration.map(|duration| duration.as_secs().to_string()),
        };
        CredentialsFlow::Classic { flow, sts_url, role }
    }

    /// What stores and reuses credentials, with its own rules.
    fn reuse(&self, pool: Option<&Id>, faults: &mut Faults) -> Option<Box<dyn LoadOrRefresh>> {
        if self.storage.is_none() {
            faults.add("persist_credentials: needs storage, in which they are kept");
        }
        if self.identity_pool_id.is_none() {
            faults.add("persist_credentials: needs identity_pool_id, for which they are kept");
        }
        let user = self.developer.is_some() || self.logins.providers().next().is_some();
        if user && self.login_id.is_none() {
            faults.add(
                "persist_credentials: needs login_id where there are logins or a \
                 developer_identity, lest one user get another's credentials",
            );
        }
        let role_arn = self.role_arn.as_deref().or(self.custom_role_arn.as_deref());
        Some(Box::new(StoredCredentials::new(
            Arc::clone(self.storage.as_ref()?),
            Arc::clone(&self.clock),
            self.windows,
            self.attempt_timeout,
            pool?,
            self.login_id.clone(),
            role_arn,
        )))
    }

    /// Each value by itself.
    fn check_values(&self, faults: &mut Faults) {
        match self.account_id.as_deref() {
            Some(id)
                if !(1..=15).contains(&id.len()) || !id.bytes().all(|b| b.is_ascii_digit()) =>
            {
                faults.add("account_id: must be 1 to 15 digits");
            }
            _ => {}
        }
        faults.length("custom_role_arn", self.custom_role_arn.as_deref(), 20, 2048);
        faults.length("role_arn", self.role_arn.as_deref(), 20, 2048);
        faults.length("policy", self.policy.as_deref(), 1, 2048);
        faults.length("provider_id", self.provider_id.as_deref(), 4, 2048);
        if self.policy_arns.len() > 10 {
            let count = self.policy_arns.len();
            faults.add(format!("policy_arns: {count} given, the service takes at most 10"));
        }
        for arn in &self.policy_arns {
            faults.length("policy_arns", Some(arn), 20, 2048);
        }
        if let Some(name) = &self.role_session_name {
            faults.length("role_session_name", Some(name), 2, 64);
            let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
            if !name.chars().all(allowed) {
                faults.add("role_session_name: may have A-Z a-z 0-9 _ + = , . @ - alone");
            }
        }
        if let Some(duration) = self.duration {
            if !(900..=43_200).contains(&duration.as_secs()) || duration.subsec_nanos() != 0 {
                faults.add("duration: must be whole seconds, from 15 minutes to 12 hours");
            }
        }
        faults.0.extend(self.logins.faults());
        if self.login_id.as_deref() == Some("") {
            faults.add("login_id: is empty");
        }
        if self.timeout.is_zero() {
            faults.add("timeout: must be longer than zero");
        }
        if self.attempt_timeout.is_zero() {
            faults.add("attempt_timeout: must be longer than zero");
        }
        if self.max_attempts == 0 {
            faults.add("max_attempts: must be at least 1");
        }
    }

    /// The values that contradict or need each other.
    fn check_together(&self, faults: &mut Faults) {
        let rules = [
            (
                self.role_arn.is_some() && self.custom_role_arn.is_some(),
                "custom_role_arn: cannot go with role_arn, which chooses the classic flow",
            ),
            (
                self.developer.is_some() && self.logins.providers().next().is_some(),
                "login: cannot go with developer_identity",
            ),
            (
                self.developer.is_some() && self.identity_id.is_some(),
                "identity_id: cannot go with developer_identity",
            ),
            (
                self.storage.is_some() && self.identity_pool_id.is_none(),
                "storage: needs identity_pool_id, for which the identity is kept",
            ),
            (
                self.login_id.is_some() && self.storage.is_none(),
                "login_id: names a stored identity, but no storage is set",
            ),
        ];
        for (broken, fault) in rules {
            if broken {
                faults.add(fault);
            }
        }
        for (setting, set) in [
            ("role_session_name", self.role_session_name.is_some()),
            ("policy", self.policy.is_some()),
            ("policy_arns", !self.policy_arns.is_empty()),
            ("provider_id", self.provider_id.is_some()),
            ("duration", self.duration.is_some()),
        ] {
            if set && self.role_arn.is_none() {
                faults.add(format!("{setting}: is of the classic flow, which role_arn chooses"));
            }
        }
    }
}

/// Storing and reusing credentials as a value. The setting is all that makes one, so a program without
/// it is linked without all that does it.
#[derive(Clone, Copy)]
#[expect(clippy::type_complexity, reason = "it is the signature of one function")]
struct Persistence(fn(&Builder, Option<&Id>, &mut Faults) -> Option<Box<dyn LoadOrRefresh>>);

/// What is wrong with the settings.
pub(crate) struct Faults(pub(crate) Vec<String>);

impl Faults {
    /// What is wrong, with the names of the environment variables that it came from.
    fn named(self, variables: &[(&str, &str)]) -> Vec<String> {
        let named = self.0.into_iter().map(|fault| {
            let setting = fault.split_once(": ").map_or("", |(setting, _)| setting);
            match variables.iter().find(|(name, _)| *name == setting) {
                Some((_, variable)) => format!("{variable}, {fault}"),
                None => fault,
            }
        });
        named.collect()
    }

    pub(crate) fn add(&mut self, fault: impl Into<String>) {
        self.0.push(fault.into());
    }

    pub(crate) fn length(&mut self, setting: &str, text: Option<&str>, least: usize, most: usize) {
        match text.map(|text| text.chars().count()) {
            Some(length) if !(least..=most).contains(&length) => self
                .add(format!("{setting}: has {length} characters, it must have {least} to {most}")),
            _ => {}
        }
    }

    fn id(&mut self, setting: &str, text: Option<&str>) -> Option<Id> {
        match Id::parse(text?) {
            Ok(id) => Some(id),
            Err(fault) => {
                self.add(format!("{setting}: {fault}"));
                None
            }
        }
    }
}

#[cfg(feature = "ureq")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature there is none")]
pub(crate) fn default_transport() -> Option<Arc<dyn Transport>> {
    Some(Arc::new(crate::transport::UreqTransport::new()))
}

#[cfg(not(feature = "ureq"))]
pub(crate) fn default_transport() -> Option<Arc<dyn Transport>> {
    None
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Unchecked text may be anything, so only what is a pool's ID is shown.
        let pool = self.identity_pool_id.as_deref().and_then(|id| Id::parse(id).ok());
        f.debug_struct("Builder")
            .field("identity_pool_id", &pool.as_ref().map(Id::as_str))
            .field("identity_id", &self.identity_id.as_ref().map(|_| "[redacted]"))
            .field("region", &self.region)
            .field("logins", &self.logins)
            .finish_non_exhaustive()
    }
}
