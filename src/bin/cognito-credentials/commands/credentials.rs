//! The credentials of the commands `process`, `env`, `exec` and `serve`.

use cognito_identity_credentials::{CognitoIdentityCredentials, Credentials};

use crate::cache;
use crate::messages::failure::Failure;
use crate::messages::steps;
use crate::messages::wait_notice::WaitNotice;
use crate::options::arguments::Options;
use crate::settings::Settings;
use crate::transport;

/// Returns settings with network and cache. With `--verbose`, each step is printed.
pub(crate) fn settings(options: &Options) -> Result<Settings, Failure> {
    let mut settings = Settings::new(options, transport::new(options)?, cache::usable)?;
    let is_stored = settings.stores_credentials();
    settings.builder = steps::log_refreshes(settings.builder, is_stored);
    steps::log_settings(options, &settings);
    Ok(settings)
}

/// Gets credentials. On a terminal, prints a line if this takes long.
pub(crate) fn get(
    provider: &CognitoIdentityCredentials,
    options: &Options,
) -> Result<Credentials, Failure> {
    let _notice = WaitNotice::start("the service", options.limit());
    let credentials = provider.get().map_err(|error| Failure::of_refresh(&error, options))?;
    steps::log_credentials(provider, &credentials);
    Ok(credentials)
}
