//! The settings of the provider: environment variables, and options, which take precedence.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::sync::Arc;

use cognito_identity_credentials::transport::Transport;
use cognito_identity_credentials::{
    Builder, Clock, CognitoIdentityCredentials, SystemClock, UserPoolTokensBuilder,
};

use crate::arguments::Options;
use crate::cache::{BoundToToken, Cache};
use crate::failure::Failure;
use crate::login_id;
use crate::user_pool_login::UserPoolLogin;

pub(crate) struct Settings {
    pub(crate) builder: Builder,
    pub(crate) pool: Option<String>,
    /// The user pool of the login, without the secrets.
    pub(crate) user_pool: Option<UserPoolTokensBuilder>,
    pub(crate) cache: Option<Cache>,
    pub(crate) cache_contents: CacheContents,
}

/// What the cache may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheContents {
    /// The identity and the credentials.
    Credentials,
    /// Only the identity, because this system has no boot ID.
    IdentityWithoutBootId,
}

impl CacheContents {
    /// What the cache is limited to, and why.
    pub(crate) fn limit(self) -> Option<&'static str> {
        match self {
            Self::Credentials => None,
            Self::IdentityWithoutBootId => Some("only the identity: this system has no boot ID"),
        }
    }
}

type Apply = fn(Builder, String) -> Builder;
type ApplyFlag = fn(Builder, bool) -> Builder;

/// The options with a text, the variables that they override, and the setting.
const TEXTS: [(&str, &[&str], Apply); 10] = [
    ("identity-pool-id", &[POOL], Builder::identity_pool_id),
    ("identity-id", &["AWS_COGNITO_IDENTITY_ID"], Builder::identity_id),
    ("region", &[], Builder::region),
    ("account-id", &["AWS_ACCOUNT_ID"], Builder::account_id),
    ("custom-role-arn", &["AWS_COGNITO_CUSTOM_ROLE_ARN"], Builder::custom_role_arn),
    ("role-arn", &["AWS_COGNITO_ROLE_ARN"], Builder::role_arn),
    ("role-session-name", &[SESSION_NAME], Builder::role_session_name),
    ("endpoint-url", &["AWS_ENDPOINT_URL_COGNITO_IDENTITY"], Builder::endpoint_url),
    ("sts-endpoint-url", &["AWS_ENDPOINT_URL_STS"], Builder::sts_endpoint_url),
    ("login-id", &[], Builder::login_id),
];

/// The same for flags.
const FLAGS: [(&str, &[&str], ApplyFlag); 3] = [
    ("fips", &["AWS_USE_FIPS_ENDPOINT"], Builder::use_fips),
    ("dual-stack", &["AWS_USE_DUALSTACK_ENDPOINT"], Builder::use_dual_stack),
    ("danger-allow-http", &[], Builder::danger_allow_http),
];

const POOL: &str = "AWS_COGNITO_IDENTITY_POOL_ID";
const SESSION_NAME: &str = "AWS_ROLE_SESSION_NAME";
/// Longer than any policy with white space around it, so that a file without an end is not read for ever.
const LONGEST_POLICY: u64 = 64 * 1024;

impl Settings {
    /// Reads the files and variables that the options name. If there is a cache, reads the login tokens
    /// too, because they name the user.
    pub(crate) fn new(
        options: &Options,
        transport: Arc<dyn Transport>,
        cache: impl Fn(&Options) -> Result<Option<Cache>, Failure>,
    ) -> Result<Self, Failure> {
        let mut builder = Builder::from_variables(|name| variable(options, name))?;
        for (option, _, apply) in TEXTS {
            if let Some(value) = options.text(option)? {
                builder = apply(builder, value);
            }
        }
        for (option, _, apply) in FLAGS {
            if let Some(on) = options.switch(option) {
                builder = apply(builder, on);
            }
        }
        // The library reads the session name only with the variable for the role.
        let role_is_an_option = options.value("role-arn").is_some();
        if role_is_an_option && options.value("role-session-name").is_none() {
            if let Some(name) = env::var(SESSION_NAME).ok().filter(|name| !name.is_empty()) {
                builder = builder.role_session_name(name);
            }
        }
        if let Some(duration) = options.time("duration")? {
            builder = builder.duration(duration);
        }
        if let Some(policy) = policy(options)? {
            builder = builder.policy(policy);
        }
        if let Some(timeout) = options.time("timeout")? {
            builder = builder.timeout(timeout);
        }
        if let Some(attempts) = options.attempts()? {
            builder = builder.max_attempts(attempts);
        }
        let pool = pool(options)?;
        let settings = Self {
            builder: builder.transport(Arc::clone(&transport)),
            // Without a pool there is no key for the records.
            cache: if pool.is_some() { cache(options)? } else { None },
            pool,
            user_pool: None,
            cache_contents: CacheContents::Credentials,
        };
        settings.with_user(options, UserPoolLogin::new(options, transport)?)
    }

    pub(crate) fn build(&self) -> Result<CognitoIdentityCredentials, Failure> {
        Ok(self.builder.clone().build()?)
    }

    /// Adds the logins, and the cache of their user.
    fn with_user(
        mut self,
        options: &Options,
        mut pool_login: Option<UserPoolLogin>,
    ) -> Result<Self, Failure> {
        let explicit = options.text("login-id")?;
        let is_guest = options.logins.is_empty() && pool_login.is_none();
        if let Some(cache) = self.cache.clone() {
            let mut login_id = explicit;
            let mut bound_to = Vec::new();
            if login_id.is_none() && !is_guest {
                let derived = login_id::derive(&options.logins, pool_login.as_ref());
                let derived = derived.map_err(Failure::login)?;
                self.builder = self.builder.login_id(derived.as_str());
                login_id = Some(derived);
                bound_to.clone_from(&options.logins);
            }
            if SystemClock.boot_id().is_none() {
                self.cache_contents = CacheContents::IdentityWithoutBootId;
            }
            if let (Some(login), Some(login_id)) = (&mut pool_login, login_id) {
                login.store_in(cache.clone(), login_id);
            }
            self.user_pool = pool_login.as_ref().map(|login| login.offline.clone());
            self.builder = if bound_to.is_empty() {
                self.builder.storage(cache)
            } else {
                self.builder.storage(BoundToToken::new(cache, bound_to))
            };
            let persist = self.cache_contents == CacheContents::Credentials;
            self.builder = self.builder.persist_credentials(persist);
        }
        for login in &options.logins {
            let source = Arc::clone(login);
            self.builder = self.builder.login_from(login.provider.clone(), move || source.token());
        }
        if let Some(login) = pool_login {
            self.builder = login.add_to(self.builder);
        }
        Ok(self)
    }
}

/// Returns the value of a variable that the provider reads, unless an option overrides it.
fn variable(options: &Options, name: &str) -> Option<OsString> {
    let texts = TEXTS.iter().map(|(option, variables, _)| (option, variables));
    let flags = FLAGS.iter().map(|(option, variables, _)| (option, variables));
    let overridden = texts.chain(flags).any(|(option, variables)| {
        let given = options.value(option).is_some() || options.switch(option).is_some();
        given && variables.contains(&name)
    });
    // The transport reads the bundle.
    if overridden || name == "AWS_CA_BUNDLE" { None } else { env::var_os(name) }
}

/// Returns the ID of the identity pool.
pub(crate) fn pool(options: &Options) -> Result<Option<String>, Failure> {
    let set = || variable(options, POOL).and_then(|value| value.into_string().ok());
    let pool = options.text("identity-pool-id")?.or_else(set);
    Ok(pool.filter(|pool| !pool.is_empty()))
}

fn policy(options: &Options) -> Result<Option<String>, Failure> {
    let Some(value) = options.text("policy")? else { return Ok(None) };
    let Some(path) = value.strip_prefix('@').filter(|path| !path.is_empty()) else {
        return Err(Failure::usage("--policy: must be @FILE"));
    };
    let read = fs::File::open(path).and_then(|file| io::read_to_string(file.take(LONGEST_POLICY)));
    match read {
        Ok(policy) => Ok(Some(policy.trim().to_owned())),
        Err(error) => Err(Failure::usage(format!("--policy: {path}: {error}"))),
    }
}
