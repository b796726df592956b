//! The HTTPS transport of the command.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use cognito_identity_credentials::transport::{Transport, UreqTransport};
use zeroize::Zeroizing;

use crate::login::bounded_file;
use crate::login::secret_source::SecretSource;
use crate::messages::failure::Failure;
use crate::messages::logging_transport::LoggingTransport;
use crate::options::arguments::Options;
use crate::options::option_names;

/// The variables for a proxy. The first one that is set is used.
pub(crate) const PROXY_VARIABLES: [&str; 4] =
    ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

const CA_BUNDLE: &str = "AWS_CA_BUNDLE";
/// The most bytes of a CA file. The bundle of an operating system is several times smaller.
pub(crate) const MAX_CA_FILE: usize = 1024 * 1024;

pub(crate) fn new(options: &Options) -> Result<Arc<dyn Transport>, Failure> {
    let mut builder = UreqTransport::builder().proxy_from_env(true);
    let mut ca_setting = String::new();
    if let Some((setting, path)) = ca_file(options) {
        // The error texts name the setting as the user typed it, and the file.
        ca_setting = format!("{setting}: {}", path.display());
        match bounded_file::read(&path, MAX_CA_FILE, options.limit()) {
            Ok(pem) => builder = builder.ca_pem(&**pem),
            Err(error) => {
                return Err(Failure::unreadable(format!("{ca_setting}: {error}"), &error));
            }
        }
    }
    if let Some(proxy) = proxy(options)? {
        builder = builder.proxy(&**proxy);
    }
    match builder.build() {
        Ok(transport) => Ok(Arc::new(LoggingTransport(transport))),
        Err(error) => Err(Failure::naming_settings(&error, &|setting| match setting {
            "ca_pem" => &ca_setting,
            setting => option_names::of_setting(setting),
        })),
    }
}

/// Returns the file with the certificate authorities, and the option or variable that names it.
pub(crate) fn ca_file(options: &Options) -> Option<(&'static str, PathBuf)> {
    let set = || env::var_os(CA_BUNDLE).filter(|path| !path.is_empty());
    match &options.ca_file {
        Some(path) => Some(("--ca-file", path.clone())),
        None => set().map(|path| (CA_BUNDLE, path.into())),
    }
}

/// Returns the URL of the proxy. If it contains a password, reads it from its source.
pub(crate) fn proxy(options: &Options) -> Result<Option<Zeroizing<String>>, Failure> {
    let Some(value) = &options.proxy else { return Ok(None) };
    match SecretSource::of_proxy(value) {
        Err(fault) => Err(Failure::invalid("--proxy", fault)),
        Ok(None) => Ok(Some(Zeroizing::new(value.clone()))),
        Ok(Some(source)) => match source.read_as("proxy URL", options.limit()) {
            Ok(url) => Ok(Some(url)),
            Err(error) => Err(Failure::unreadable(format!("--proxy: {error:#}"), &*error)),
        },
    }
}
