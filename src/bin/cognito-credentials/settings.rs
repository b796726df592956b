//! The settings of the provider, from options and environment variables. Options take precedence.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use cognito_identity_credentials::transport::Transport;
use cognito_identity_credentials::{
    Builder, Clock, CognitoIdentityCredentials, SystemClock, UserPoolTokensBuilder,
};

use crate::cache::{BoundToToken, Cache};
use crate::login::bounded_file;
use crate::login::login_id;
use crate::login::user_pool_login::UserPoolLogin;
use crate::messages::failure::Failure;
use crate::options::arguments::Options;
use crate::options::{option_names, set, variables};

pub(crate) struct Settings {
    pub(crate) builder: Builder,
    pub(crate) pool: Option<String>,
    /// The variable from which this command has read the session name.
    session_name_variable: Option<&'static str>,
    /// The user pool of the login, without its secrets.
    pub(crate) user_pool: Option<UserPoolTokensBuilder>,
    pub(crate) cache: Option<Cache>,
    /// What the cache holds and why, if it does not hold credentials.
    pub(crate) cache_limit: Option<&'static str>,
}

const POOL: &str = "AWS_COGNITO_IDENTITY_POOL_ID";
const SESSION_NAME: &str = "AWS_ROLE_SESSION_NAME";
/// The most bytes of a policy. AWS allows fewer, so there is room for white space.
const MAX_POLICY: usize = 64 * 1024;

impl Settings {
    /// Reads the files and variables that the options name. If there is a cache, also reads the
    /// login tokens, because they name the user.
    pub(crate) fn new(
        options: &Options,
        transport: Arc<dyn Transport>,
        cache: fn(&Options) -> Result<Option<Cache>, Failure>,
    ) -> Result<Self, Failure> {
        let mut builder = Builder::from_variables(|name| variable(options, name))?;
        builder = set(builder, Builder::identity_pool_id, options.identity_pool_id.clone());
        builder = set(builder, Builder::identity_id, options.identity_id.clone());
        builder = set(builder, Builder::region, options.region.clone());
        builder = set(builder, Builder::account_id, options.account_id.clone());
        builder = set(builder, Builder::custom_role_arn, options.custom_role_arn.clone());
        builder = set(builder, Builder::role_arn, options.role_arn.clone());
        builder = set(builder, Builder::role_session_name, options.role_session_name.clone());
        builder = set(builder, Builder::endpoint_url, options.endpoint_url.clone());
        builder = set(builder, Builder::sts_endpoint_url, options.sts_endpoint_url.clone());
        builder = set(builder, Builder::use_fips, options.use_fips);
        builder = set(builder, Builder::use_dual_stack, options.use_dual_stack);
        builder = set(builder, Builder::duration, options.duration);
        builder = set(builder, Builder::timeout, options.timeout);
        builder = set(builder, Builder::max_attempts, options.max_attempts);
        builder = builder.danger_allow_http(options.danger_allow_http);
        // The library reads the session name only together with the role's variable.
        let mut session_name_variable = None;
        if options.role_arn.is_some() && options.role_session_name.is_none() {
            if let Some(name) = variables::text(SESSION_NAME)? {
                builder = builder.role_session_name(name);
                session_name_variable = Some(SESSION_NAME);
            }
        }
        builder = set(builder, Builder::policy, policy(options)?);
        let pool = pool(options);
        let settings = Self {
            builder: builder.transport(Arc::clone(&transport)),
            // The keys of the records contain the pool.
            cache: if pool.is_some() { cache(options)? } else { None },
            pool,
            session_name_variable,
            user_pool: None,
            cache_limit: None,
        };
        settings.with_user(options, UserPoolLogin::new(options, transport)?)
    }

    pub(crate) fn stores_credentials(&self) -> bool {
        self.cache.is_some() && self.cache_limit.is_none()
    }

    pub(crate) fn build(&self) -> Result<CognitoIdentityCredentials, Failure> {
        self.builder.clone().build().map_err(|error| {
            Failure::naming_settings(&error, &|setting| match self.session_name_variable {
                Some(variable) if setting == "role_session_name" => variable,
                _ => option_names::of_setting(setting),
            })
        })
    }

    /// Adds the logins, and the cache of their user.
    fn with_user(
        mut self,
        options: &Options,
        mut pool_login: Option<UserPoolLogin>,
    ) -> Result<Self, Failure> {
        if let Some(cache) = self.cache.clone() {
            let mut login_id = options.login_id.clone();
            let mut bound_to = Vec::new();
            if login_id.is_none() && !options.is_guest() {
                let derived = login_id::derive(&options.logins, pool_login.as_ref());
                login_id = Some(derived?);
                bound_to.clone_from(&options.logins);
            }
            if let Some(login_id) = &login_id {
                self.builder = self.builder.login_id(login_id.as_str());
            }
            if SystemClock.boot_id().is_none() {
                self.cache_limit = Some("only the identity: this system has no boot ID");
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
            self.builder = self.builder.persist_credentials(self.cache_limit.is_none());
        }
        for login in &options.logins {
            self.builder = self.builder.login_from(login.provider.clone(), Arc::clone(login));
        }
        if let Some(login) = pool_login {
            self.builder = login.add_to(self.builder);
        }
        Ok(self)
    }
}

/// Returns the value of a variable that the provider reads. `None` if an option replaces it.
fn variable(options: &Options, name: &str) -> Option<OsString> {
    // Only the transport reads this variable.
    let is_read = name != "AWS_CA_BUNDLE" && !options.overrides(name);
    env::var_os(name).filter(|_| is_read)
}

fn pool(options: &Options) -> Option<String> {
    let set = || env::var(POOL).ok();
    options.identity_pool_id.clone().or_else(set).filter(|pool| !pool.is_empty())
}

fn policy(options: &Options) -> Result<Option<String>, Failure> {
    let Some(value) = &options.policy else { return Ok(None) };
    let Some(path) = value.strip_prefix('@').filter(|path| !path.is_empty()) else {
        return Err(Failure::usage("--policy: must be @FILE"));
    };
    let wrong = |fault: &str| Failure::usage(format!("--policy: {path}: {fault}"));
    let bytes = bounded_file::read(Path::new(path), MAX_POLICY, options.limit())
        .map_err(|error| Failure::unreadable(format!("--policy: {path}: {error}"), &error))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong("is not UTF-8 text"))?;
    match text.strip_prefix('\u{feff}').unwrap_or(text).trim() {
        "" => Err(wrong("is empty")),
        policy => Ok(Some(policy.to_owned())),
    }
}
