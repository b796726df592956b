//! Every setting, with its default. `build` parses them once into values that cannot be wrong.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cell::Limits;
use crate::client::Client;
use crate::clock::{Clock, SystemClock};
use crate::cognito::Id;
use crate::endpoint;
use crate::error::Error;
use crate::flow::{Flow, Identity, IdentityOrigin, Subject};
use crate::lease::Windows;
use crate::logins::{Logins, TokenSource};
use crate::provider::CognitoIdentityCredentials;
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
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Builder {
    identity_pool_id: Option<String>,
    identity_id: Option<String>,
    account_id: Option<String>,
    region: Option<String>,
    custom_role_arn: Option<String>,
    logins: Logins,
    endpoint_url: Option<String>,
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
            logins: Logins::new(),
            endpoint_url: None,
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
        }
    }
}

impl Builder {
    /// The identity pool, `REGION:GUID`: at most 55 characters, letters, digits, `_` and `-` before
    /// the colon, `0-9a-f` and `-` behind it. Needed unless [`identity_id`](Self::identity_id) is
    /// set.
    #[doc(alias = "IdentityPoolId")]
    pub fn identity_pool_id(mut self, id: impl Into<String>) -> Self {
        self.identity_pool_id = Some(id.into());
        self
    }

    /// The identity, `REGION:GUID` as the pool, if it is known already: the service is not asked for one then. Default: the
    /// service is asked (`GetId`) with the first refresh, and its answer is remembered.
    #[doc(alias = "IdentityId")]
    pub fn identity_id(mut self, id: impl Into<String>) -> Self {
        self.identity_id = Some(id.into());
        self
    }

    /// The AWS account that owns the identity pool, 1 to 15 digits; sent with `GetId` alone.
    /// Default: not sent, and the service does not need it.
    #[doc(alias = "AccountId")]
    pub fn account_id(mut self, id: impl Into<String>) -> Self {
        self.account_id = Some(id.into());
        self
    }

    /// The region to call. It can only repeat the one that the pool's or the identity's ID begins
    /// with, which is the default; any other is an error, instead of the service's "not found".
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// The role to assume instead of the pool's default, for users whose login token allows several
    /// roles: 20 to 2048 characters. Sent with `GetCredentialsForIdentity`. Default: none.
    #[doc(alias = "CustomRoleArn")]
    pub fn custom_role_arn(mut self, arn: impl Into<String>) -> Self {
        self.custom_role_arn = Some(arn.into());
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

    /// Another URL for Cognito Identity, such as an emulator's. `https`, or `http` to loopback
    /// (`127.0.0.0/8`, `[::1]`, `localhost`). Default: AWS's endpoint of the region.
    #[doc(alias = "endpoint")]
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(url.into());
        self
    }

    /// Uses the endpoint whose cryptography is validated by FIPS 140. Default: `false`.
    #[doc(alias = "useFipsEndpoint")]
    pub fn use_fips(mut self, fips: bool) -> Self {
        self.use_fips = fips;
        self
    }

    /// Uses the endpoint that is reachable by IPv4 and IPv6. Default: `false`.
    #[doc(alias = "useDualstackEndpoint")]
    pub fn use_dual_stack(mut self, dual_stack: bool) -> Self {
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
        let url = self.parse_url(&region, &mut faults);
        self.check_values(&mut faults);
        let transport = self.transport.or_else(default_transport);
        if transport.is_none() {
            faults.add("transport: not set, and this build has none (feature `ureq` is off)");
        }
        let (Some(transport), true) = (transport, faults.0.is_empty()) else {
            return Err(Error::config(faults.0.join("; ")));
        };

        let checks_region = self.endpoint_url.is_none();
        let limits = Limits {
            windows: self.windows,
            timeout: self.timeout,
            attempt_timeout: self.attempt_timeout,
            attempts: self.max_attempts,
            cooldown: self.failure_cooldown,
        };
        let flow = Flow {
            client: Client::new(transport, Arc::clone(&self.clock), self.attempt_timeout),
            url,
            pool,
            account_id: self.account_id,
            custom_role_arn: self.custom_role_arn,
            allow_new_guest: self.allow_new_guest,
        };
        let subject = Subject {
            logins: Arc::new(self.logins),
            identity: identity.map(|id| Identity { id, origin: IdentityOrigin::Given }),
        };
        Ok(CognitoIdentityCredentials::new(
            flow,
            region,
            checks_region,
            subject,
            self.clock,
            limits,
        ))
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
                crate::redact::Masks::default().clean(set)
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

    fn parse_url(&self, region: &str, faults: &mut Faults) -> String {
        let Some(url) = &self.endpoint_url else {
            if !region.is_empty() && !endpoint::is_region(region) {
                faults.add(
                    "region: it cannot stand in a host name; set endpoint_url for an emulator",
                );
            }
            return endpoint::cognito_identity(region, self.use_fips, self.use_dual_stack);
        };
        if self.use_fips {
            faults.add("use_fips: cannot go with endpoint_url");
        }
        if self.use_dual_stack {
            faults.add("use_dual_stack: cannot go with endpoint_url");
        }
        endpoint::custom(url, self.danger_allow_http).unwrap_or_else(|fault| {
            faults.add(format!("endpoint_url: {fault}"));
            String::new()
        })
    }

    fn check_values(&self, faults: &mut Faults) {
        match self.account_id.as_deref() {
            Some(id)
                if !(1..=15).contains(&id.len()) || !id.bytes().all(|b| b.is_ascii_digit()) =>
            {
                faults.add("account_id: must be 1 to 15 digits");
            }
            _ => {}
        }
        match self.custom_role_arn.as_deref().map(|arn| arn.chars().count()) {
            Some(length) if !(20..=2048).contains(&length) => faults
                .add(format!("custom_role_arn: has {length} characters, it must have 20 to 2048")),
            _ => {}
        }
        faults.0.extend(self.logins.faults());
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
}

struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, fault: impl Into<String>) {
        self.0.push(fault.into());
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
fn default_transport() -> Option<Arc<dyn Transport>> {
    Some(Arc::new(crate::transport::UreqTransport::new()))
}

#[cfg(not(feature = "ureq"))]
fn default_transport() -> Option<Arc<dyn Transport>> {
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
