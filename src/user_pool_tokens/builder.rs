//! The builder of [`UserPoolTokens`]: its settings with their defaults, the checks, and `build`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::store::{RefreshToken, TokenStore};
use super::{COOLDOWN, MIN_LIFETIME, SignInState, TokenRefresher, UserPoolTokens};
use crate::cell::lease::Windows;
use crate::cell::{Limits, RefreshCell};
use crate::clock::Clock;
use crate::error::{ConfigFaults, Error};
use crate::secret::Secret;
use crate::service::call_settings::{CallSettings, Endpoint};
use crate::service::cognito_idp::{self, AppClient, ClientSecret, UserPoolId};
use crate::service::endpoint;
use crate::storage::{RecordKey, Storage};
use crate::transport::Transport;

/// Holds the settings for a [`UserPoolTokens`].
///
/// The setters accept any value. [`build`](Self::build) checks the settings and returns one error
/// that reports every fault. `Debug` shows only the ID of the user pool.
///
/// # Example
///
/// ```
/// use cognito_identity_credentials::{FileStorage, UserPoolTokens, UserPoolTokensBuilder};
///
/// # #[cfg(feature = "ureq")] {
/// # let refresh_token = "token-of-a-sign-in";
/// let builder: UserPoolTokensBuilder = UserPoolTokens::builder();
/// let tokens = builder
///     .user_pool_id("us-east-1_aBcDeFgHi")
///     .client_id("1234567890abcdefghij")
///     .refresh_token(refresh_token)
///     .login_id("ann") // one of several users of this device
///     .storage(FileStorage::new("/var/lib/sensor/identity"))
///     .build();
/// # assert!(tokens.is_ok());
/// # }
/// ```
#[must_use]
#[derive(Clone)]
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
    calls: CallSettings,
}

impl UserPoolTokens {
    /// Returns a [builder](UserPoolTokensBuilder) with the default settings.
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
            calls: CallSettings::new(Duration::from_secs(20)),
        }
    }
}

impl UserPoolTokensBuilder {
    /// Sets the user pool: `REGION_NAME`, such as `us-east-1_aBcDeFgHi`, at most 55 characters. The
    /// calls go to this region. Required.
    ///
    /// See the [example](Self#example).
    pub fn user_pool_id(mut self, id: impl Into<String>) -> Self {
        self.user_pool_id = Some(id.into());
        self
    }

    /// Sets the app client that the user signed in with: 1 to 128 characters of `A-Z a-z 0-9 _ +`.
    /// Required.
    ///
    /// See the [example](Self#example).
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = Some(id.into());
        self
    }

    /// Sets the secret of the app client, if it has one: 1 to 128 printable characters. Default:
    /// none.
    ///
    /// It needs [`username`](Self::username), unless
    /// [`refresh_token_rotation`](Self::refresh_token_rotation) is set. A program on other people's
    /// devices cannot keep a secret: use an app client without a secret for it.
    ///
    /// ```
    /// use cognito_identity_credentials::UserPoolTokens;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// # let refresh_token = "token-of-a-sign-in";
    /// let tokens = UserPoolTokens::builder()
    ///     .user_pool_id("us-east-1_aBcDeFgHi")
    ///     .client_id("1234567890abcdefghij")
    ///     .refresh_token(refresh_token)
    ///     .client_secret("secret-of-the-app-client")
    ///     .username("5a7f6f0e-0d3b-4c58-9a1e-1f7f1c1f0a11") // the claim cognito:username
    ///     // only if the user pool remembers devices:
    ///     .device_key("us-east-1_0a1b2c3d-dead-beef-cafe-123456790ab0")
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn client_secret(mut self, secret: impl Into<String>) -> Self {
        self.client_secret = Some(Secret::new(secret));
        self
    }

    /// Sets the user name that goes into the hash of [`client_secret`](Self::client_secret): 1 to
    /// 128 characters. Nothing else uses it. Default: none.
    ///
    /// Use the name in the claim `cognito:username` of the tokens. It can differ from the name that
    /// the user types. If users sign in with an e-mail address or a phone number, it is the `sub`.
    /// For users of another identity provider, it is the name of that provider and the name of the
    /// user there.
    ///
    /// See the [example](Self::client_secret).
    pub fn username(mut self, name: impl Into<String>) -> Self {
        self.username = Some(Secret::new(name));
        self
    }

    /// Sets the refresh token from the sign-in of the user: 1 to 16,384 characters of
    /// `A-Z a-z 0-9 - _ = .`.
    ///
    /// Default: none. The token then comes from the [`storage`](Self::storage) or from
    /// [`set_refresh_token`](UserPoolTokens::set_refresh_token).
    ///
    /// If the storage has a token that replaced this one by rotation, the stored token is used. A
    /// stored token of another sign-in is not used.
    ///
    /// See the [example](Self#example).
    pub fn refresh_token(mut self, token: impl Into<String>) -> Self {
        self.refresh_token = Some(Secret::new(token));
        self
    }

    /// Sets whether the app client rotates refresh tokens. Default: `false`.
    ///
    /// With `true`, each refresh only calls `GetTokensFromRefreshToken`. With `false`, the first
    /// refresh tries `InitiateAuth`. If the app client rejects that, it is treated as rotating.
    ///
    /// See the [example](Self::timeout).
    pub fn refresh_token_rotation(mut self, rotates: bool) -> Self {
        self.rotates = rotates;
        self
    }

    /// Sets the device key, if the user pool remembers devices and confirmed this device at the
    /// sign-in: 1 to 55 characters. Default: none.
    ///
    /// Without the key, such a user pool rejects the refresh token as invalid.
    ///
    /// See the [example](Self::client_secret).
    pub fn device_key(mut self, key: impl Into<String>) -> Self {
        self.device_key = Some(key.into());
        self
    }

    /// Sets the name of the user, if several users share one [`storage`](Self::storage). Never use
    /// a token as the name.
    ///
    /// The refresh token is stored under the user pool, the app client and this name. Default:
    /// none. The storage then has the token of one user only.
    ///
    /// See the [example](Self#example).
    pub fn login_id(mut self, id: impl Into<String>) -> Self {
        self.login_id = Some(id.into());
        self
    }

    /// Sets where a rotated refresh token is stored. Default: none. The token is then only kept in
    /// memory.
    ///
    /// It can be the storage of the [`Builder`](crate::Builder), because the keys differ.
    /// [`FileStorage`](crate::FileStorage) writes a file that only its owner can read; the file is
    /// not encrypted. Without rotation nothing is written.
    ///
    /// If a write fails, the failure is logged (warn), and the token stays in memory. Each later
    /// request for a token tries the write again. While a record cannot be read, it is not
    /// overwritten. [`storage_error`](UserPoolTokens::storage_error) returns the failure.
    ///
    /// Several processes can share one storage. Each process reads the token that another one has
    /// stored, and reads it again after the user pool has rejected a token. A refresh holds the
    /// [`lock`](Storage::lock) of the storage until the new token is stored, so two processes do
    /// not send the same token. A process waits for the lock for at most half of its
    /// [`timeout`](Self::timeout), then it continues without the lock. If the storage has no locks,
    /// set a grace period on the app client.
    ///
    /// If a process still uses an earlier sign-in, it never replaces the stored token of a later
    /// sign-in with the same [`login_id`](Self::login_id). It logs this (warn).
    pub fn storage(mut self, storage: impl Storage + 'static) -> Self {
        self.storage = Some(Arc::new(storage));
        self
    }

    /// Sets another URL for the user pool, such as the URL of an emulator. The rules are those of
    /// [`Builder::endpoint_url`](crate::Builder::endpoint_url). Default: AWS's endpoint in the
    /// region.
    ///
    /// See the [example](Self#example).
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.calls.endpoint_url = Some(url.into());
        self
    }

    /// Sets whether to use the endpoint with FIPS 140 validated cryptography. Default: `false`.
    ///
    /// See the example of [`Builder::use_fips`](crate::Builder::use_fips).
    pub fn use_fips(mut self, fips: bool) -> Self {
        self.calls.use_fips = fips;
        self
    }

    /// Sets whether to use the endpoint with both IPv4 and IPv6. Default: `false`.
    ///
    /// See the example of [`Builder::use_fips`](crate::Builder::use_fips).
    pub fn use_dual_stack(mut self, dual_stack: bool) -> Self {
        self.calls.use_dual_stack = dual_stack;
        self
    }

    /// Sets whether [`endpoint_url`](Self::endpoint_url) may use plain `http` to any host, for
    /// emulators on a private network. Default: `false`.
    ///
    /// Anyone who can read the traffic of that network can read the refresh token.
    ///
    /// See the example of [`Builder::danger_allow_http`](crate::Builder::danger_allow_http).
    pub fn danger_allow_http(mut self, allow: bool) -> Self {
        self.calls.danger_allow_http = allow;
        self
    }

    /// Sets the transport that sends the requests. Default: a new `UreqTransport` (feature `ureq`).
    ///
    /// To share one transport with a provider, pass an `Arc`.
    ///
    /// ```
    /// # #[cfg(feature = "ureq")] {
    /// use std::sync::Arc;
    /// use cognito_identity_credentials::transport::UreqTransport;
    /// use cognito_identity_credentials::{CognitoIdentityCredentials, UserPoolTokens};
    ///
    /// let transport = Arc::new(UreqTransport::new());
    /// let tokens = UserPoolTokens::builder()
    ///     .user_pool_id("us-east-1_aBcDeFgHi")
    ///     .client_id("1234567890abcdefghij")
    ///     .transport(Arc::clone(&transport))
    ///     .build()?;
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .login_from_user_pool(&tokens)
    ///     .transport(transport)
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.calls.transport = Some(Arc::new(transport));
        self
    }

    /// Sets the clock that measures expiry, time limits and delays. Default:
    /// [`SystemClock`](crate::SystemClock).
    ///
    /// See the example of [`Builder::clock`](crate::Builder::clock).
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.calls.clock = Arc::new(clock);
        self
    }

    /// Sets the time limit of one attempt at one call. Default: 10 seconds. Zero is an error.
    ///
    /// See the [example](Self::timeout).
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.calls.attempt_timeout = timeout;
        self
    }

    /// Sets the time limit of one [`id_token`](UserPoolTokens::id_token), with all calls, retries
    /// and delays. Default: 20 seconds. Zero is an error.
    ///
    /// A token that a provider's `get()` requests must also arrive within the time of that `get()`.
    /// An app client that rotates refresh tokens is the exception: the refresh then takes up to
    /// this limit.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cognito_identity_credentials::UserPoolTokens;
    ///
    /// # #[cfg(feature = "ureq")] {
    /// # let refresh_token = "token-of-a-sign-in";
    /// let tokens = UserPoolTokens::builder()
    ///     .user_pool_id("us-east-1_aBcDeFgHi")
    ///     .client_id("1234567890abcdefghij")
    ///     .refresh_token(refresh_token)
    ///     .timeout(Duration::from_secs(15))
    ///     .attempt_timeout(Duration::from_secs(5))
    ///     .max_attempts(3)
    ///     .refresh_token_rotation(true)
    ///     .build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.calls.timeout = timeout;
        self
    }

    /// Sets how many times a call is attempted before its last error is returned. Default: 4. With
    /// 1 there are no retries. Zero is an error.
    ///
    /// See the [example](Self::timeout).
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.calls.max_attempts = attempts;
        self
    }

    /// Checks the settings and returns the token source. It never blocks: the first request for a
    /// token makes the first call.
    ///
    /// See the [example](Self#example).
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config), with every fault of the settings. See
    /// [`Error::config_faults`].
    pub fn build(self) -> Result<UserPoolTokens, Error> {
        let mut faults = ConfigFaults::default();
        let pool = self.parse_pool(&mut faults);
        let url = self.parse_url(pool.as_ref(), &mut faults);
        self.check(&mut faults);
        let client = self.calls.client(&mut faults);
        let (Some(pool), Some(id), Some(client), true) =
            (pool, self.client_id, client, faults.is_empty())
        else {
            return Err(faults.into());
        };

        let secret = self.client_secret.map(|secret| ClientSecret::new(secret, &id, self.username));
        let service = endpoint::custom_service(&url, pool.region());
        let parts = [Some(pool.as_str()), Some(&*id), self.login_id.as_deref()];
        let key = RecordKey::new("refresh-token", service.as_deref(), &parts);
        let given = self.refresh_token.map(|token| RefreshToken::given(token, key.as_str()));
        let given = given.transpose()?;
        let CallSettings { clock, timeout, attempt_timeout, max_attempts, .. } = self.calls;
        let limits = Limits {
            what: "the login token",
            windows: Windows { expiry: MIN_LIFETIME, advisory: None },
            timeout,
            attempt_timeout,
            attempts: max_attempts,
            cooldown: COOLDOWN,
        };
        let sign_in = SignInState { given, rotates: self.rotates, ..SignInState::default() };
        Ok(UserPoolTokens(Arc::new(TokenRefresher {
            client,
            cell: RefreshCell::new(clock, limits, sign_in),
            url,
            provider: pool.provider(),
            pool,
            app: AppClient { secret: secret.transpose()?, id, device_key: self.device_key },
            store: self.storage.map(|storage| TokenStore::new(storage, key.clone())),
            key,
        })))
    }

    fn parse_pool(&self, faults: &mut ConfigFaults) -> Option<UserPoolId> {
        if self.user_pool_id.is_none() {
            faults.add("user_pool_id", "not set");
        }
        faults.check("user_pool_id", UserPoolId::parse(self.user_pool_id.as_deref()?))
    }

    fn parse_url(&self, pool: Option<&UserPoolId>, faults: &mut ConfigFaults) -> String {
        let service = Endpoint {
            setting: "endpoint_url",
            custom_url: self.calls.endpoint_url.as_deref(),
            aws_url: endpoint::user_pools,
            region: pool.map_or("", UserPoolId::region),
            region_setting: ("user_pool_id", "its region"),
            is_called: true,
        };
        self.calls.url(&service, faults)
    }

    /// Checks each value, then the combinations of values.
    fn check(&self, faults: &mut ConfigFaults) {
        match &self.client_id {
            None => faults.add("client_id", "not set"),
            Some(id) => {
                faults.check_length("client_id", Some(id), 1, 128);
                if !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'+') {
                    faults.add("client_id", "may only have A-Z a-z 0-9 _ +");
                }
            }
        }
        let secret = self.client_secret.as_ref().map(Secret::expose);
        faults.check_length("client_secret", secret, 1, 128);
        if secret.is_some_and(|secret| !secret.bytes().all(|b| b.is_ascii_graphic())) {
            faults.add("client_secret", "has a space or a character that no secret has");
        }
        faults.check_length("username", self.username.as_ref().map(Secret::expose), 1, 128);
        let token = self.refresh_token.as_ref().map(Secret::expose);
        if let Some(rule) = token.and_then(cognito_idp::refresh_token_fault) {
            faults.add_rule("refresh_token", rule);
        }
        faults.check_length("device_key", self.device_key.as_deref(), 1, 55);
        if self.device_key.as_deref().is_some_and(|key| !is_device_key(key)) {
            faults.add("device_key", "must have the form REGION_GUID");
        }
        if self.login_id.as_deref() == Some("") {
            faults.add("login_id", "is empty");
        }
        self.calls.check_limits(faults);
        if self.login_id.is_some() && self.storage.is_none() {
            faults.add("login_id", "names a stored refresh token, but no storage is set");
        }
        if self.client_secret.is_some() && self.username.is_none() && !self.rotates {
            faults.add("client_secret", "needs {username}: the service gets a hash of both");
        }
        if self.username.is_some() && self.client_secret.is_none() {
            faults.add("username", "is only used with {client_secret}, which is not set");
        }
    }
}

fn is_device_key(key: &str) -> bool {
    let (region, guid) = key.rsplit_once('_').unwrap_or_default();
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-');
    !region.is_empty() && region.bytes().all(word) && !guid.is_empty() && guid.bytes().all(hex)
}

impl fmt::Debug for UserPoolTokensBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Unchecked text can be anything, also a secret. So only a valid ID is shown.
        let pool = self.user_pool_id.as_deref().and_then(|id| UserPoolId::parse(id).ok());
        f.debug_struct("UserPoolTokensBuilder")
            .field("user_pool_id", &pool.as_ref().map(UserPoolId::as_str))
            .field("refresh_token", &self.refresh_token)
            .field("client_secret", &self.client_secret)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_fault(settings: UserPoolTokensBuilder, setting: &str) -> bool {
        let error = settings.build().err().map(|error| error.to_string());
        error.is_some_and(|error| error.contains(setting))
    }

    #[test]
    fn a_client_id_has_letters_digits_underscores_and_plus_signs() {
        let rows = [("aZ09", true), ("a_b", true), ("a+b", true), ("a-b", false), ("a b", false)];
        for (id, is_good) in rows {
            let settings = UserPoolTokens::builder().client_id(id);
            assert_eq!(has_fault(settings, "client_id: may only"), !is_good, "{id}");
        }
    }

    #[test]
    fn a_device_key_is_a_region_and_a_guid() {
        let rows = [
            ("us-east-1_0123456789abcdef-0-f", true),
            ("us_east_1_0", true),
            ("us-east-1_", false),
            ("_0", false),
            ("us-east-1", false),
            ("us east-1_0", false),
            ("us-east-1_g", false),
            ("us-east-1_F", false),
            ("us-east-1_0 1", false),
        ];
        for (key, is_good) in rows {
            let settings = UserPoolTokens::builder().device_key(key);
            assert_eq!(has_fault(settings, "device_key: must have"), !is_good, "{key}");
        }
    }
}
