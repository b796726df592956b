//! The steps that `--verbose` prints for a command that gets credentials.

use cognito_identity_credentials::{Builder, CognitoIdentityCredentials, Credentials};

use crate::messages::display::{self, masked, rounded};
use crate::messages::logger::{self, step};
use crate::messages::origins::origins;
use crate::options::arguments::Options;
use crate::options::near_misses::{NearMiss, near_misses};
use crate::settings::Settings;

/// Logs the settings, and variables that are not read although their names are nearly right.
pub(crate) fn log_settings(options: &Options, settings: &Settings) {
    if !logger::is_verbose() {
        return;
    }
    let pool = settings.pool.as_deref();
    let from = options.origin("AWS_COGNITO_IDENTITY_POOL_ID", "--identity-pool-id");
    match pool.zip(from) {
        Some((pool, from)) => step(format_args!("identity pool {pool} ({from})")),
        None => step(format_args!("no identity pool")),
    }
    step(format_args!("user: {}", display::logins(options)));
    step(format_args!("{}", origins(options, pool)));
    if let Some(from) = options.origin("AWS_COGNITO_IDENTITY_ID", "--identity-id") {
        step(format_args!("an identity is given ({from})"));
    }
    match &settings.cache {
        Some(cache) => step(format_args!("cache {}", cache.path().display())),
        None => step(format_args!("no cache")),
    }
    if let Some(limit) = settings.cache_limit {
        step(format_args!("the cache holds {limit}"));
    }
    for NearMiss { set, meant } in near_misses() {
        step(format_args!("{set} is set, but it is not read; did you mean {meant}?"));
    }
}

/// Logs each refresh: its calls and time, and whether the result is stored.
pub(crate) fn log_refreshes(builder: Builder, is_stored: bool) -> Builder {
    if !logger::is_verbose() {
        return builder;
    }
    builder.on_refresh(move |report| {
        let took = report.duration.as_millis();
        match (&report.result, report.service_calls) {
            (Ok(()), 0) => step(format_args!("credentials from the cache, without a call")),
            (Ok(()), calls) => step(format_args!("new credentials, {calls} calls in {took} ms")),
            (Err(_), _) => step(format_args!("no new credentials, after {took} ms")),
        }
        match (&report.result, &report.storage_error) {
            (_, Some(error)) => step(format_args!("the cache could not be used: {error:#}")),
            (Ok(()), None) if is_stored && report.service_calls > 0 => {
                step(format_args!("stored in the cache"));
            }
            _ => {}
        }
    })
}

/// Logs the key ID and the identity of the credentials, and how long they are valid.
pub(crate) fn log_credentials(provider: &CognitoIdentityCredentials, credentials: &Credentials) {
    let left = rounded(provider.status().expires_in.unwrap_or_default());
    let identity = credentials.identity_id().map(masked).unwrap_or_default();
    let key = credentials.access_key_id();
    step(format_args!("{key}, valid for {left}; identity {identity}"));
}
