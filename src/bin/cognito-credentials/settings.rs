//! The provider's settings: the environment's variables, and options, which win.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use cognito_identity_credentials::transport::{Transport, UreqTransport};
use cognito_identity_credentials::{
    Builder, Clock, CognitoIdentityCredentials, FileStorage, SystemClock,
};
use zeroize::Zeroizing;

use crate::arguments::Options;
use crate::failure::{Failure, option};
use crate::login;
use crate::source::Source;
use crate::user_pool::PoolLogin;

pub(crate) struct Settings {
    pub(crate) builder: Builder,
    pub(crate) pool: Option<String>,
    /// The user pool and the app client.
    pub(crate) user_pool: Option<[String; 2]>,
    /// Who the user is, for the cache; none for a guest, and where there is no cache.
    pub(crate) login_id: Option<String>,
    /// Where things are kept, if anywhere.
    pub(crate) cache: Option<PathBuf>,
    pub(crate) keeps: Keeps,
}

/// What is kept in the cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    Credentials,
    /// The identity alone, for the system does not tell one run of it from another.
    IdentityForSystem,
    /// The identity alone, for the token does not say whose it is.
    IdentityForToken,
}

type Apply = fn(Builder, String) -> Builder;
type ApplyFlag = fn(Builder, bool) -> Builder;

/// The options that are texts, the variables that they win over, and what they set.
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

/// The same for those that are on or off.
const FLAGS: [(&str, &[&str], ApplyFlag); 3] = [
    ("fips", &["AWS_USE_FIPS_ENDPOINT"], Builder::use_fips),
    ("dual-stack", &["AWS_USE_DUALSTACK_ENDPOINT"], Builder::use_dual_stack),
    ("danger-allow-http", &[], Builder::danger_allow_http),
];

const POOL: &str = "AWS_COGNITO_IDENTITY_POOL_ID";
const SESSION_NAME: &str = "AWS_ROLE_SESSION_NAME";
const CA_BUNDLE: &str = "AWS_CA_BUNDLE";
const NOT_HERE: [&str; 3] = [CA_BUNDLE, "AWS_REGION", "AWS_DEFAULT_REGION"];

impl Settings {
    /// Reads what the options name, the tokens too where they say whose the cache is.
    pub(crate) fn new(
        options: &Options,
        transport: Arc<dyn Transport>,
        cache: impl Fn(&Options) -> Result<Option<PathBuf>, Failure>,
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
        // The library reads it with its variable for the role alone.
        let own_role = options.value("role-arn").is_some();
        if own_role && options.value("role-session-name").is_none() {
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
            // A cache is kept for a pool.
            cache: if pool.is_some() { cache(options)? } else { None },
            pool,
            user_pool: None,
            login_id: None,
            keeps: Keeps::Credentials,
        };
        settings.with_user(options, PoolLogin::new(options, transport)?)
    }

    pub(crate) fn build(&self) -> Result<CognitoIdentityCredentials, Failure> {
        Ok(self.builder.clone().build()?)
    }

    /// The logins, and the cache for whom they are of.
    fn with_user(
        mut self,
        options: &Options,
        mut pool_login: Option<PoolLogin>,
    ) -> Result<Self, Failure> {
        let mut certain = true;
        let mut login_id = options.text("login-id")?;
        let is_guest = options.logins.is_empty() && pool_login.is_none();
        if self.cache.is_some() && !is_guest && login_id.is_none() {
            let user = login::user(&options.logins, pool_login.as_ref()).map_err(Failure::login)?;
            certain = user.certain;
            self.builder = self.builder.login_id(user.login_id.as_str());
            login_id = Some(user.login_id);
        }
        if let Some(directory) = &self.cache {
            self.keeps = match (certain, SystemClock.boot_id()) {
                (true, Some(_)) => Keeps::Credentials,
                (true, None) => Keeps::IdentityForSystem,
                (false, _) => Keeps::IdentityForToken,
            };
            let persist = self.keeps == Keeps::Credentials;
            let storage = FileStorage::new(directory);
            self.login_id.clone_from(&login_id);
            if let (Some(login), Some(login_id)) = (&mut pool_login, login_id) {
                login.keep(storage.clone(), login_id);
            }
            self.user_pool = pool_login.as_ref().map(|login| login.client.clone());
            self.builder = self.builder.storage(storage).persist_credentials(persist);
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

/// HTTPS, with the authorities and the proxy of the options or the environment.
pub(crate) fn transport(options: &Options) -> Result<Arc<dyn Transport>, Failure> {
    let mut builder = UreqTransport::builder().proxy_from_env(true);
    let mut variable = None;
    if let Some(path) = options.value("ca-file") {
        builder = builder.ca_file(path);
    } else if let Some(path) = env::var_os(CA_BUNDLE).filter(|path| !path.is_empty()) {
        builder = builder.ca_file(path);
        variable = Some(CA_BUNDLE);
    }
    if let Some(proxy) = proxy(options)? {
        builder = builder.proxy(&**proxy);
    }
    match builder.build() {
        Ok(transport) => Ok(Arc::new(transport)),
        Err(error) => Err(Failure::naming_settings(&error, &|setting| match variable {
            Some(variable) if setting == "ca_file" => variable,
            _ => option(setting),
        })),
    }
}

/// A variable, unless an option wins over it or it is not for this. The authorities are for the
/// transport alone; the region is the SDKs', and may be another one than the pool's, which its ID
/// tells.
fn variable(options: &Options, name: &str) -> Option<OsString> {
    let texts = TEXTS.iter().map(|(option, variables, _)| (option, variables));
    let flags = FLAGS.iter().map(|(option, variables, _)| (option, variables));
    let beaten = texts.chain(flags).any(|(option, variables)| {
        let given = options.value(option).is_some() || options.switch(option).is_some();
        given && variables.contains(&name)
    });
    if beaten || NOT_HERE.contains(&name) { None } else { env::var_os(name) }
}

/// The identity pool.
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
    match fs::read_to_string(path) {
        Ok(policy) => Ok(Some(policy.trim().to_owned())),
        Err(error) => Err(Failure::usage(format!("--policy: {path}: {error}"))),
    }
}

/// The proxy's URL. One with a user name and password must not be on the command line either.
fn proxy(options: &Options) -> Result<Option<Zeroizing<String>>, Failure> {
    let Some(value) = options.text("proxy")? else { return Ok(None) };
    match proxy_source(&value)? {
        None => Ok(Some(Zeroizing::new(value))),
        Some(source) => match source.read(options.limit()?) {
            Ok(url) => Ok(Some(url)),
            Err(error) => Err(Failure::usage(format!("--proxy: {error}"))),
        },
    }
}

/// Where the URL comes from, if the option does not hold it itself.
pub(crate) fn proxy_source(value: &str) -> Result<Option<Source>, Failure> {
    let elsewhere = ["@", "env:", "cmd:"].iter().any(|prefix| value.starts_with(prefix));
    if elsewhere || value.contains('@') {
        Source::parse("--proxy", value).map(Some)
    } else {
        Ok(None)
    }
}
