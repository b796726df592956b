//! [`Stored`]: the contents of the cache, for the commands `status` and `doctor`.

use std::fmt;
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::{BoxError, IdentityOrigin};
use serde::Serialize;

use crate::cache::Cache;
use crate::commands::forget::RemovedKeys;
use crate::commands::offline;
use crate::messages::display::{masked, rfc_3339, rounded};
use crate::messages::failure::Failure;
use crate::options::arguments::Options;
use crate::settings::Settings;

#[derive(Default, Serialize)]
pub(crate) struct Stored {
    pub(crate) identity: Option<Identity>,
    pub(crate) credentials: Option<StoredCredentials>,
    /// Whether the cache holds a refresh token that the user pool has rotated.
    pub(crate) rotated_refresh_token: bool,
    pub(crate) cache: Option<CacheState>,
}

#[derive(Serialize)]
pub(crate) struct Identity {
    /// Masked, because the ID of a guest is enough to get its credentials.
    id: String,
    /// Whether the ID is a setting.
    given: bool,
}

#[derive(Serialize)]
pub(crate) struct StoredCredentials {
    access_key_id: String,
    expiration: String,
    expires_in_seconds: u64,
}

#[derive(Serialize)]
pub(crate) struct CacheState {
    pub(crate) directory: String,
    /// Why the cache cannot be used.
    pub(crate) problem: Option<String>,
    /// Why the cache holds only the identity.
    pub(crate) limit: Option<&'static str>,
}

impl Stored {
    /// Reads the cache. Makes no calls and reads no tokens.
    pub(crate) fn read(options: &Options, settings: &Settings) -> Result<Self, Failure> {
        let mut builder = settings.builder.clone().transport(offline::no_network()).max_attempts(1);
        let unread = || Err::<String, BoxError>("no token is read".into());
        for login in &options.logins {
            builder = builder.login_from(login.provider.clone(), unread);
        }
        if let Some(user_pool) = &settings.user_pool {
            builder = builder.login_from(user_pool.clone().build()?.provider(), unread);
        }
        let provider = builder.build()?;
        // Without a cache nothing is stored, and `get` would only read a login token.
        let cache = settings.cache.as_ref();
        let found = cache.filter(|cache| cache.exists());
        let keys = found.and_then(|_| provider.get_within(Duration::from_secs(2)).ok());
        let status = provider.status();
        let identity = status.identity_id.map(|id| Identity {
            id: masked(&id),
            given: status.identity_origin == Some(IdentityOrigin::Given),
        });
        let problem = status.storage_error.map(|error| format!("{error:#}"));
        Ok(Self {
            identity,
            credentials: keys.zip(status.expires_in).map(|(keys, left)| StoredCredentials {
                access_key_id: keys.access_key_id().to_owned(),
                expiration: rfc_3339(SystemTime::now() + left),
                expires_in_seconds: left.as_secs(),
            }),
            rotated_refresh_token: found.is_some_and(|found| has_refresh_token(found, settings)),
            cache: cache.map(|cache| CacheState::new(cache, problem, settings.cache_limit)),
        })
    }

    pub(crate) fn identity(&self) -> String {
        match &self.identity {
            None => "none known yet".to_owned(),
            Some(Identity { id, given: true }) => format!("{id}, as given"),
            Some(Identity { id, given: false }) => id.clone(),
        }
    }

    pub(crate) fn credentials(&self) -> String {
        match &self.credentials {
            Some(StoredCredentials { access_key_id, expiration, expires_in_seconds }) => {
                let left = rounded(Duration::from_secs(*expires_in_seconds));
                format!("{access_key_id}, valid for {left}, until {expiration}")
            }
            None => "none cached: the next call asks the service".to_owned(),
        }
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.identity {
            None => f.write_str("no identity")?,
            Some(_) => write!(f, "identity {}", self.identity())?,
        }
        match &self.credentials {
            None => f.write_str("; no credentials")?,
            Some(_) => write!(f, "; credentials {}", self.credentials())?,
        }
        if self.rotated_refresh_token {
            f.write_str("; a rotated refresh token")?;
        }
        Ok(())
    }
}

impl CacheState {
    pub(crate) fn new(cache: &Cache, problem: Option<String>, limit: Option<&'static str>) -> Self {
        let problem = problem.or_else(|| cache.not_writable());
        Self { directory: cache.path().display().to_string(), problem, limit }
    }
}

impl fmt::Display for CacheState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { directory, problem, limit } = self;
        match (problem, limit) {
            (Some(problem), _) => {
                write!(f, "nothing stored: {directory} cannot be used: {problem}")
            }
            (None, Some(limit)) => write!(f, "{directory} ({limit})"),
            (None, None) => f.write_str(directory),
        }
    }
}

fn has_refresh_token(cache: &Cache, settings: &Settings) -> bool {
    let Some(user_pool) = &settings.user_pool else { return false };
    // Only the library knows the key of the record.
    let keys = RemovedKeys::default();
    let Ok(tokens) = user_pool.clone().storage(keys.clone()).build() else { return false };
    tokens.forget_refresh_token();
    keys.take().iter().any(|key| cache.contains(key).unwrap_or_default())
}
