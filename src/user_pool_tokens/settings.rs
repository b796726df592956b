//! Every setting of [`UserPoolTokens`], with its default.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::store::TokenStore;
use super::{COOLDOWN, Inner, Link, SHORTEST_LIFE, Session, UserPoolTokens};
use crate::cell::lease::Windows;
use crate::cell::{Limits, RefreshCell};
use crate::clock::{Clock, SystemClock};
use crate::error::Error;
use crate::provider::builder::{Faults, default_transport};
use crate::secret::Secret;
use crate::service::client::Client;
use crate::service::cognito_idp::{self, AppClient, ClientSecret, UserPoolId};
use crate::service::endpoint;
use crate::storage::Storage;
use crate::transport::Transport;

/// The settings of a [`UserPoolTokens`].
///
/// Setters take what they are given; [`build`](Self::build) checks everything and reports every
/// fault at once. `Debug` shows no more than the user pool's ID.
#[must_use]
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct UserPoolTokensBuilder {
    user_pool_id: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Secret>,
    username: Option<Secret>,
    refresh_token: Option<Secret>,
    rotates: bool,
    device_key: Option<String>,
    login_id: Option<String>,
    storage: Option<Arc<dyn Storage>>,
    endpoint_url: Option<String>,
    use_fips: bool,
    use_dual_stack: bool,
    danger_allow_http: bool,
    transport: Option<Arc<dyn Transport>>,
    clock: Arc<dyn Clock>,
    attempt_timeout: Duration,
    timeout: Duration,
    max_attempts: u32,
}

impl UserPoolTokens {
    /// Settings to start from: the defaults.
    pub fn builder() -> UserPoolTokensBuilder {
        UserPoolTokensBuilder {
            user_pool_id: None,
            client_id: None,
            client_secret: None,
            username: None,
            refresh_token: None,
            rotates: false,
            device_key: None,
            login_id: None,
            storage: None,
            endpoint_url: None,
            use_fips: false,
            use_dual_stack: false,
            danger_allow_http: false,
            transport: None,
            clock: Arc::new(SystemClock),
            attempt_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(20),
            max_attempts: 4,
        }
    }
}

impl UserPoolTokensBuilder {
    /// The user pool, `REGION_NAME`, such as `us-east-1_aBcDeFgHi`: at most 55 characters. Its
    /// region is the one to call. Required.
    pub fn user_pool_id(mut self, id: impl Into<String>) -> Self {
        self.user_pool_id = Some(id.into());
        self
    }

    /// The app client that the user signed in with: 1 to 128 characters of `A-Z a-z 0-9 _ +`.
    /// Required.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = Some(id.into());
        self
    }

    /// The app client's secret, if it has one: 1 to 128 printable characters. A program in the hands
    /// of others cannot keep one; give it an app client without. Needs [`username`](Self::username),
    /// unless [`refresh_token_rotation`](Self::refresh_token_rotation) is set. Default: none.
    pub fn client_secret(mut self, secret: impl Into<String>) -> Self {
        self.client_secret = Some(Secret::new(secret));
        self
    }

    /// The user, by the name that the user pool itself has: the claim `cognito:username` of the
    /// tokens. That is not always what the user types: where they sign in with an e-mail address or
    /// a phone number it is the `sub`, and for users of another identity provider its name with
    /// theirs. 1 to 128 characters. It only goes into the hash of
    /// [`client_secret`](Self::client_secret). Default: none.
    pub fn username(mut self, name: impl Into<String>) -> Self {
        self.username = Some(Secret::new(name));
        self
    }

    /// The refresh token that the user's sign-in yielded: 1 to 16,384 characters of
    /// `A-Z a-z 0-9 - _ = .`. Default: none, and the one that is in the
    /// [`storage`](Self::storage) or comes by
    /// [`set_refresh_token`](UserPoolTokens::set_refresh_token).
    ///
    /// A stored token that descends from this one by rotation is used instead; a stored one of
    /// another sign-in is not.
    pub fn refresh_token(mut self, token: impl Into<String>) -> Self {
        self.refresh_token = Some(Secret::new(token));
        self
    }

    /// Says that the app client rotates refresh tokens: they are renewed with
    /// `GetTokensFromRefreshToken` alone, for which `InitiateAuth` does not have to be refused first.
    /// Default: `false`, and it is found out.
    pub fn refresh_token_rotation(mut self, rotates: bool) -> Self {
        self.rotates = rotates;
        self
    }

    /// The key of the device, if the user pool remembers devices and confirmed this one at the
    /// sign-in: 1 to 55 characters. Without it such a pool calls the refresh token invalid.
    /// Default: none.
    pub fn device_key(mut self, key: impl Into<String>) -> Self {
        self.device_key = Some(key.into());
        self
    }

    /// Who the user is, where several share a [`storage`](Self::storage): the refresh token is kept
    /// for the user pool, the app client and this name. Never a token. Default: none, one user.
    pub fn login_id(mut self, id: impl Into<String>) -> Self {
        self.login_id = Some(id.into());
        self
    }

    /// Where the refresh token is kept when the user pool rotates it: one of the provider will do,
    /// for the keys differ. With [`FileStorage`](crate::FileStorage) it is a file that its owner
    /// alone may read, not encrypted. Without rotation nothing is written. Default: nowhere but in
    /// memory.
    ///
    /// A write that fails is logged (warn), the token is kept in memory, and the write is tried again
    /// whenever a token is asked for.
    ///
    /// Several processes may share one: each takes what another has stored, and a token that is
    /// refused is looked up again. A renewal holds the storage's
    /// [`lock`](Storage::lock) until the new token is stored, so that two do not send the same one;
    /// who waits for it goes on without after half of its [`timeout`](Self::timeout). For a storage
    /// without locks give the app client a grace period.
    ///
    /// What a later sign-in has stored under the same [`login_id`](Self::login_id) is not replaced by
    /// a process that goes on with an earlier one; that is logged (warn).
    pub fn storage(mut self, storage: impl Storage + 'static) -> Self {
        self.storage = Some(Arc::new(storage));
        self
    }

    /// Another URL for the user pool, such as an emulator's. `https`, or `http` to loopback
    /// (`127.0.0.0/8`, `[::1]`, `localhost`). Default: AWS's endpoint of the region.
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(url.into());
        self
    }

    /// Uses the endpoint whose cryptography is validated by FIPS 140. Default: `false`.
    pub fn use_fips(mut self, fips: bool) -> Self {
        self.use_fips = fips;
        self
    }

    /// Uses the endpoint that is reachable by IPv4 and IPv6. Default: `false`.
    pub fn use_dual_stack(mut self, dual_stack: bool) -> Self {
        self.use_dual_stack = dual_stack;
        self
    }

    /// Allows plain `http` to any host in [`endpoint_url`](Self::endpoint_url), for emulators on a
    /// private network. Whoever can read that network reads the refresh token. Default: `false`.
    pub fn danger_allow_http(mut self, allow: bool) -> Self {
        self.danger_allow_http = allow;
        self
    }

    /// What carries the requests. Default: `UreqTransport` (feature `ureq`) of its own. Pass an
    /// `Arc` to share one with a provider.
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// The clocks to go by. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The longest that one attempt at one call takes. Default: 10 seconds. Zero is an error.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// The longest that [`id_token`](UserPoolTokens::id_token) takes, with all calls, attempts and
    /// delays. Asked for by a provider's `get()`, it takes no longer than that has, unless the app
    /// client rotates refresh tokens. Default: 20 seconds. Zero is an error.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a call is attempted before its last error is returned. 1 turns repeats off.
    /// Default: 4.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Checks the settings and makes the token source. No I/O, no call.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config), with every fault in its text: the setting, what is
    /// wrong with its value, and the rule.
    pub fn build(self) -> Result<UserPoolTokens, Error> {
        let mut faults = Faults(Vec::new());
        let pool = self.parse_pool(&mut faults);
        let url = self.parse_url(pool.as_ref(), &mut faults);
        self.check(&mut faults);
        let transport = self.transport.or_else(default_transport);
        if transport.is_none() {
            faults.add("transport: not set, and this build has none (feature `ureq` is off)");
        }
        let (Some(pool), Some(id), Some(transport), true) =
            (pool, self.client_id, transport, faults.0.is_empty())
        else {
            return Err(Error::config(faults.0.join("; ")));
        };

        let secret = self.client_secret;
        let secret = secret.map(|secret| ClientSecret::new(secret, &id, self.username));
        let mut key = format!("refresh-token/{}/{id}", pool.as_str());
        if let Some(login_id) = &self.login_id {
            key = format!("{key}/{login_id}");
        }
        let given = self.refresh_token.map(|token| Link::given(token, &key)).transpose()?;
        let limits = Limits {
            what: "the login token",
            windows: Windows { expiry: SHORTEST_LIFE, advisory: None },
            timeout: self.timeout,
            attempt_timeout: self.attempt_timeout,
            attempts: self.max_attempts,
            cooldown: COOLDOWN,
        };
        let session = Session { given, ..Session::default() };
        Ok(UserPoolTokens(Arc::new(Inner {
            client: Client::new(transport, Arc::clone(&self.clock), self.attempt_timeout),
            cell: RefreshCell::new(Arc::clone(&self.clock), limits, session),
            clock: self.clock,
            timeout: self.timeout,
            attempts: self.max_attempts,
            url,
            provider: pool.provider(),
            pool,
            app: AppClient { secret: secret.transpose()?, id, device_key: self.device_key },
            rotates: self.rotates,
            store: self.storage.map(|storage| TokenStore::new(storage, key.clone())),
            key,
        })))
    }

    fn parse_pool(&self, faults: &mut Faults) -> Option<UserPoolId> {
        let Some(id) = &self.user_pool_id else {
            faults.add("user_pool_id: not set");
            return None;
        };
        match UserPoolId::parse(id) {
            Ok(pool) => Some(pool),
            Err(fault) => {
                faults.add(format!("user_pool_id: {fault}"));
                None
            }
        }
    }

    fn parse_url(&self, pool: Option<&UserPoolId>, faults: &mut Faults) -> String {
        let Some(url) = &self.endpoint_url else {
            let region = pool.map_or("", UserPoolId::region);
            if pool.is_some() && !endpoint::is_region(region) {
                faults.add(
                    "user_pool_id: its region cannot stand in a host name; set endpoint_url for an emulator",
                );
            }
            return endpoint::user_pools(region, self.use_fips, self.use_dual_stack);
        };
        for (setting, set) in [("use_fips", self.use_fips), ("use_dual_stack", self.use_dual_stack)]
        {
            if set {
                faults.add(format!("{setting}: cannot go with endpoint_url"));
            }
        }
        endpoint::custom(url, self.danger_allow_http).unwrap_or_else(|fault| {
            faults.add(format!("endpoint_url: {fault}"));
            String::new()
        })
    }

    /// Each value by itself, then those that need each other.
    fn check(&self, faults: &mut Faults) {
        match &self.client_id {
            None => faults.add("client_id: not set"),
            Some(id) => {
                faults.length("client_id", Some(id), 1, 128);
                if !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'+') {
                    faults.add("client_id: may have A-Z a-z 0-9 _ + alone");
                }
            }
        }
        let secret = self.client_secret.as_ref().map(Secret::expose);
        faults.length("client_secret", secret, 1, 128);
        if secret.is_some_and(|secret| !secret.bytes().all(|b| b.is_ascii_graphic())) {
            faults.add("client_secret: has a space or a character that no secret has");
        }
        faults.length("username", self.username.as_ref().map(Secret::expose), 1, 128);
        if let Some(fault) =
            self.refresh_token.as_ref().and_then(|token| cognito_idp::token_fault(token.expose()))
        {
            faults.add(format!("refresh_token: {fault}"));
        }
        let of_device = |key: &str| {
            let (region, rest) = key.rsplit_once('_').unwrap_or_default();
            let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
            let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-');
            !region.is_empty()
                && region.bytes().all(word)
                && !rest.is_empty()
                && rest.bytes().all(hex)
        };
        faults.length("device_key", self.device_key.as_deref(), 1, 55);
        if self.device_key.as_deref().is_some_and(|key| !of_device(key)) {
            faults.add("device_key: must have the form REGION_GUID");
        }
        let rules = [
            (self.login_id.as_deref() == Some(""), "login_id: is empty"),
            (self.timeout.is_zero(), "timeout: must be longer than zero"),
            (self.attempt_timeout.is_zero(), "attempt_timeout: must be longer than zero"),
            (self.max_attempts == 0, "max_attempts: must be at least 1"),
            (
                self.login_id.is_some() && self.storage.is_none(),
                "login_id: names a stored refresh token, but no storage is set",
            ),
            (
                self.client_secret.is_some() && self.username.is_none() && !self.rotates,
                "client_secret: needs username, of which and the secret a hash is sent",
            ),
            (
                self.username.is_some() && self.client_secret.is_none(),
                "username: goes into the hash of client_secret alone, which is not set",
            ),
        ];
        for (broken, fault) in rules {
            if broken {
                faults.add(fault);
            }
        }
    }
}

impl fmt::Debug for UserPoolTokensBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Unchecked text may be anything, so only what is a pool's ID is shown.
        let pool = self.user_pool_id.as_deref().and_then(|id| UserPoolId::parse(id).ok());
        f.debug_struct("UserPoolTokensBuilder")
            .field("user_pool_id", &pool.as_ref().map(UserPoolId::as_str))
            .field("refresh_token", &self.refresh_token)
            .field("client_secret", &self.client_secret)
            .finish_non_exhaustive()
    }
}
