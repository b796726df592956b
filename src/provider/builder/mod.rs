//! The builder: every setting with its default, and `build`.
//!
//! The setters are in files by subject. The order of the files is the order of the setters in the
//! API documentation.
//!
//! * `identity`: the pool, the identity, the region, new guests
//! * `logins`: the tokens of signed-in users, and your own backend
//! * `refresh`: the refresh windows, the cooldown, `on_refresh` and the clock
//! * `role`: the roles and the classic flow
//! * `service`: time limits, attempts, endpoints and the transport
//! * `storage`: where records are stored, for whom, and whether credentials are too

mod identity;
mod logins;
mod refresh;
mod role;
mod service;
mod storage;

use std::fmt;
use std::sync::Arc;

use crate::cell::{Limits, RefreshCell};
use crate::error::{ConfigFaults, Error};
use crate::provider::CognitoIdentityCredentials;
#[cfg(feature = "aws-sdk")]
use crate::provider::background::BackgroundRefresh;
use crate::provider::settings::{Persistence, ROLE_SESSION_NAME, Settings};
use crate::provider::shared::{CurrentSettings, Shared};
use crate::refresh::identity::{Identity, IdentityOrigin};
use crate::refresh::{
    CredentialsFlow, DEFAULT_LIFETIME, Developer, Principal, Refresher, StaleIdentities,
};
use crate::service::cognito_identity::Id;
use crate::service::endpoint;
use crate::service::sts::RoleRequest;

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
    /// For each setting that came from an environment variable: the setting and the variable.
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
        let is_from_variable = |setting| variables.iter().any(|(name, _)| *name == setting);
        // Other programs need these variables too, so they never contradict other settings.
        if settings.identity_pool_id.is_none() && is_from_variable("account_id") {
            settings.account_id = None;
        }
        if settings.role_arn.is_none() && is_from_variable("sts_endpoint_url") {
            settings.sts_endpoint_url = None;
        }
        let mut faults = ConfigFaults::default();
        let parsed = settings.parse(&mut faults);
        let storage = settings.storage.as_ref();
        let store = storage.and_then(|storage| (storage.identities)(&settings, &parsed));
        let stored_credentials = settings
            .persistence
            .and_then(|Persistence(make)| make(&settings, &parsed, &mut faults));
        let client = settings.calls.client(&mut faults);
        let (Some(client), true) = (client, faults.is_empty()) else {
            faults.name_variables(&variables);
            return Err(faults.into());
        };

        let flow = credentials_flow(&settings, parsed.sts_url);
        let developer = settings.developer.map(|provider| {
            let login = endpoint::cognito_login(&parsed.region);
            Developer { provider, login }
        });
        let refresher = Refresher {
            client,
            cognito_url: parsed.cognito_url,
            region: settings.calls.endpoint_url.is_none().then_some(parsed.region),
            pool: parsed.pool,
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
        let current = CurrentSettings { principal, data: None };
        Ok(CognitoIdentityCredentials(Arc::new(Shared {
            cell: RefreshCell::new(settings.calls.clock, limits, current),
            refresher,
            stored_credentials,
            on_identity_change: settings.on_identity_change,
            on_refresh: settings.on_refresh,
            #[cfg(feature = "aws-sdk")]
            background: BackgroundRefresh::new(limits.timeout),
        })))
    }

    /// Checks each value by itself, without the rules that compare settings.
    pub(super) fn check_each(&self, faults: &mut ConfigFaults) {
        self.settings.check_each(faults);
        faults.name_variables(&self.variables);
    }

    /// Notes which variable a setting came from, so that an error can name it.
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

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.settings;
        // An unchecked text could be a secret, so only a valid ID is shown.
        let pool = settings.identity_pool_id.as_deref().and_then(|id| Id::parse(id).ok());
        f.debug_struct("Builder")
            .field("identity_pool_id", &pool.as_ref().map(Id::as_str))
            .field("identity_id", &settings.identity_id.as_ref().map(|_| "[redacted]"))
            .field("region", &settings.region)
            .field("logins", &settings.logins)
            .finish_non_exhaustive()
    }
}
