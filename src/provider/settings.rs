//! The values of the settings, with their defaults.

use std::sync::Arc;
use std::time::Duration;

use crate::cell::lease::Windows;
use crate::developer::DeveloperIdentityProvider;
use crate::error::ConfigFaults;
use crate::logins::Logins;
use crate::provider::status::RefreshReport;
use crate::refresh::ClassicFlow;
use crate::refresh::identity::{IdentityChange, IdentityRecords};
use crate::refresh::stored_credentials::LoadOrRefresh;
use crate::service::call_settings::CallSettings;
use crate::service::cognito_identity::Id;
use crate::storage::Storage;

pub(super) type IdentityListener = dyn Fn(&IdentityChange) + Send + Sync;

pub(super) type RefreshListener = dyn Fn(&RefreshReport) + Send + Sync;

pub(super) const ROLE_SESSION_NAME: &str = "web-identity";

/// [`Builder`](super::Builder) documents each setting.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) identity_pool_id: Option<String>,
    pub(super) identity_id: Option<String>,
    pub(super) account_id: Option<String>,
    pub(super) region: Option<String>,
    pub(super) custom_role_arn: Option<String>,
    pub(super) role_arn: Option<String>,
    /// `Some` if `role_arn` is set.
    pub(super) classic: Option<ClassicFlow>,
    pub(super) role_session_name: Option<String>,
    pub(super) policy: Option<String>,
    pub(super) policy_arns: Vec<String>,
    pub(super) provider_id: Option<String>,
    pub(super) duration: Option<Duration>,
    pub(super) logins: Logins,
    pub(super) developer: Option<Arc<dyn DeveloperIdentityProvider>>,
    pub(super) login_id: Option<String>,
    pub(super) storage: Option<ConfiguredStorage>,
    pub(super) persistence: Option<Persistence>,
    pub(super) on_identity_change: Option<Arc<IdentityListener>>,
    pub(super) on_refresh: Option<Arc<RefreshListener>>,
    pub(super) sts_endpoint_url: Option<String>,
    pub(super) calls: CallSettings,
    pub(super) windows: Windows,
    pub(super) failure_cooldown: Duration,
    pub(super) allow_new_guest: bool,
}

/// The parts of the settings that are parsed texts.
pub(super) struct Parsed {
    pub(super) pool: Option<Id>,
    pub(super) identity: Option<Id>,
    pub(super) region: String,
    pub(super) cognito_url: String,
    pub(super) sts_url: String,
}

/// The storage, and a function that creates the store of identities. Only the setter
/// `Builder::storage` names this function, so the linker drops its code from programs that never
/// call the setter.
#[derive(Clone)]
pub(super) struct ConfiguredStorage {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) identities: fn(&Settings, &Parsed) -> Option<Box<dyn IdentityRecords>>,
}

/// The function that creates the store of credentials. The linker can drop its code in the same
/// way.
#[derive(Clone, Copy)]
pub(super) struct Persistence(
    pub(super) fn(&Settings, &Parsed, &mut ConfigFaults) -> Option<Box<dyn LoadOrRefresh>>,
);

impl Default for Settings {
    fn default() -> Self {
        Self {
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
            on_refresh: None,
            sts_endpoint_url: None,
            calls: CallSettings::new(Duration::from_secs(60)),
            windows: Windows { expiry: Duration::from_secs(15), advisory: None },
            failure_cooldown: Duration::from_secs(5),
            allow_new_guest: true,
        }
    }
}
