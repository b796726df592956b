//! The credentials of the commands `process`, `env`, `exec` and `serve`.

use cognito_identity_credentials::{CognitoIdentityCredentials, Credentials};

use crate::cache;
use crate::messages::failure::Failure;
use crate::messages::logger;
use crate::messages::steps;
use crate::messages::wait_notice::WaitNotice;
use crate::options::arguments::Options;
use crate::settings::Settings;
use crate::transport;

const BOOT_ID: &str = "make /proc/sys/kernel/random/boot_id and /proc/self/timens_offsets readable (in a systemd unit: no ProcSubset=pid), or use serve, which keeps the credentials in memory";

/// Returns settings with network and cache. With `--verbose`, each step is printed.
pub(crate) fn settings(options: &Options) -> Result<Settings, Failure> {
    let mut settings = Settings::new(options, transport::new(options)?, cache::usable)?;
    let is_stored = settings.stores_credentials();
    settings.builder = steps::log_refreshes(settings.builder, is_stored);
    steps::log_settings(options, &settings);
    Ok(settings)
}

/// Prints a warning if the cache cannot hold credentials. `serve` needs none: it keeps the
/// credentials in memory.
pub(crate) fn warn_if_not_cached(settings: &Settings) {
    // On other systems this is always so.
    if cfg!(any(target_os = "linux", target_os = "android"))
        && settings.cache.is_some()
        && !settings.stores_credentials()
    {
        logger::warn(format_args!(
            "no credentials are cached, so each call asks the service: the boot ID cannot be read"
        ));
        logger::advise(BOOT_ID);
    }
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
