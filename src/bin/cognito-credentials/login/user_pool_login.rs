//! [`UserPoolLogin`]: a login of a user pool, which gets login tokens with a refresh token.

use std::env;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cognito_identity_credentials::transport::Transport;
use cognito_identity_credentials::{
    BoxError, Builder, TokenSource, UserPoolTokens, UserPoolTokensBuilder,
};
use zeroize::Zeroizing;

use crate::cache::Cache;
use crate::login::secret_source::SecretSource;
use crate::messages::failure::Failure;
use crate::messages::os_error::is_temporary;
use crate::options::arguments::Options;
use crate::options::variables::{self, endpoint_variables};
use crate::options::{option_names, set};

/// Reads its secrets at the first use. While the cached credentials are valid, it reads nothing.
pub(crate) struct UserPoolLogin {
    settings: UserPoolTokensBuilder,
    provider: String,
    /// The user pool and the app client.
    client: [String; 2],
    /// The settings without the secrets.
    pub(crate) offline: UserPoolTokensBuilder,
    refresh_token: Option<SecretSource>,
    /// The time limit for reading a secret.
    limit: Duration,
    client_secret: Option<SecretSource>,
    /// A refresh token that was read to derive a login ID.
    read: Mutex<Option<Zeroizing<String>>>,
    tokens: Mutex<Option<UserPoolTokens>>,
}

impl UserPoolLogin {
    /// Returns the login that the options describe; `None` without `--user-pool-id`.
    pub(crate) fn new(
        options: &Options,
        transport: Arc<dyn Transport>,
    ) -> Result<Option<Self>, Failure> {
        let Some(user_pool_id) = &options.user_pool_id else { return Ok(None) };
        let client = [user_pool_id.clone(), options.client_id.clone().unwrap_or_default()];
        // If a variable is malformed, the settings of the identity pool report it.
        let variable = || env::var("AWS_MAX_ATTEMPTS").ok()?.parse().ok();
        let attempts = options.max_attempts.or_else(variable);
        let mut settings = UserPoolTokens::builder()
            .transport(transport)
            .user_pool_id(user_pool_id)
            .use_fips(is_on(options.use_fips, "AWS_USE_FIPS_ENDPOINT"))
            .use_dual_stack(is_on(options.use_dual_stack, "AWS_USE_DUALSTACK_ENDPOINT"))
            .danger_allow_http(options.danger_allow_http);
        settings = set(settings, UserPoolTokensBuilder::client_id, options.client_id.clone());
        settings = set(settings, UserPoolTokensBuilder::device_key, options.device_key.clone());
        settings = set(settings, UserPoolTokensBuilder::username, options.username.clone());
        settings = set(settings, UserPoolTokensBuilder::endpoint_url, endpoint(options)?);
        settings = set(settings, UserPoolTokensBuilder::timeout, options.timeout);
        settings = set(settings, UserPoolTokensBuilder::max_attempts, attempts);
        if options.refresh_token.is_none() && options.login_id.is_none() {
            let how =
                "--refresh-token: not given; to use a stored one, name its user with --login-id";
            return Err(Failure::usage(how));
        }
        // Checks the settings without reading a secret.
        let unread = options.client_secret.as_ref().map(|_| "unread");
        let offline = set(settings.clone(), UserPoolTokensBuilder::client_secret, unread);
        let provider = offline.clone().build().map_err(|error| {
            Failure::naming_settings(&error, &|setting| match setting {
                "endpoint_url" => option_names::of_setting("user_pool_endpoint_url"),
                setting => option_names::of_setting(setting),
            })
        })?;
        let provider = provider.provider().to_owned();
        if options.logins.iter().any(|login| login.provider == provider) {
            let why = "--login: cannot name the user pool of --user-pool-id; leave one of them out";
            return Err(Failure::usage(why));
        }
        Ok(Some(Self {
            settings,
            provider,
            client,
            offline,
            refresh_token: options.refresh_token.clone(),
            limit: options.limit(),
            client_secret: options.client_secret.clone(),
            read: Mutex::default(),
            tokens: Mutex::default(),
        }))
    }

    /// Adds the user of this login to a digest. Reads the refresh token and keeps it for later.
    pub(crate) fn add_to_digest(&self, mut add: impl FnMut(&str)) -> Result<(), BoxError> {
        self.client.iter().for_each(|text| add(text));
        let token = self.read_refresh_token()?;
        add(token.as_ref().map_or("", |token| token));
        *lock(&self.read) = token;
        Ok(())
    }

    pub(crate) fn store_in(&mut self, storage: Cache, login_id: String) {
        self.offline = self.offline.clone().storage(storage.clone()).login_id(login_id.as_str());
        self.settings = self.settings.clone().storage(storage).login_id(login_id);
    }

    pub(crate) fn add_to(self, builder: Builder) -> Builder {
        builder.login_from(self.provider.clone(), self)
    }

    fn read_refresh_token(&self) -> Result<Option<Zeroizing<String>>, BoxError> {
        let read = lock(&self.read).take();
        match (read, &self.refresh_token) {
            (None, Some(source)) => Ok(Some(source.read(self.limit)?)),
            (read, _) => Ok(read),
        }
    }

    /// Holds no lock while it reads files and runs commands.
    fn tokens(&self) -> Result<UserPoolTokens, BoxError> {
        let made = lock(&self.tokens).clone();
        if let Some(tokens) = made {
            return Ok(tokens);
        }
        let mut settings = self.settings.clone();
        if let Some(mut token) = self.read_refresh_token()? {
            settings = settings.refresh_token(std::mem::take(&mut *token));
        }
        if let Some(source) = &self.client_secret {
            let named = |error: BoxError| {
                if is_temporary(&*error) {
                    return error;
                }
                format!("--user-pool-client-secret: {error:#}").into()
            };
            let mut secret = source.read_as("client secret", self.limit).map_err(named)?;
            settings = settings.client_secret(std::mem::take(&mut *secret));
        }
        let tokens = settings.build()?;
        *lock(&self.tokens) = Some(tokens.clone());
        Ok(tokens)
    }
}

impl TokenSource for UserPoolLogin {
    fn token(&self) -> Result<String, BoxError> {
        self.tokens()?.token()
    }

    fn token_within(&self, limit: Duration) -> Result<String, BoxError> {
        self.tokens()?.token_within(limit)
    }

    fn token_after_refusal(&self, refused: &str, limit: Duration) -> Result<String, BoxError> {
        self.tokens()?.token_after_refusal(refused, limit)
    }
}

/// Returns the URL of the user pool. `None` for AWS.
fn endpoint(options: &Options) -> Result<Option<String>, Failure> {
    if let Some(url) = &options.user_pool_endpoint_url {
        return Ok(Some(url.clone()));
    }
    let names = ["AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", "AWS_ENDPOINT_URL"];
    let mut urls = endpoint_variables(&names).iter().map(|name| variables::text(name));
    urls.find_map(Result::transpose).transpose()
}

fn is_on(option: Option<bool>, variable: &str) -> bool {
    option.unwrap_or_else(|| variables::is_on(variable))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
