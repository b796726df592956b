//! The HTTPS transport of the command.

use std::env;
use std::sync::Arc;

use cognito_identity_credentials::transport::{Transport, UreqTransport};
use zeroize::Zeroizing;

use crate::arguments::Options;
use crate::failure::Failure;
use crate::option_names;
use crate::secret_source::SecretSource;

/// The variables of a proxy. The first that is set counts.
pub(crate) const PROXY_VARIABLES: [&str; 4] =
    ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

const CA_BUNDLE: &str = "AWS_CA_BUNDLE";

/// Creates the transport with the authorities and the proxy of the options or the environment.
pub(crate) fn new(options: &Options) -> Result<Arc<dyn Transport>, Failure> {
    let mut builder = UreqTransport::builder().proxy_from_env(true);
    let mut variable = None;
    if let Some(path) = &options.ca_file {
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
            _ => option_names::of_setting(setting),
        })),
    }
}

/// Returns the URL of the proxy, read from its source if it contains a password.
pub(crate) fn proxy(options: &Options) -> Result<Option<Zeroizing<String>>, Failure> {
    let Some(value) = &options.proxy else { return Ok(None) };
    match SecretSource::of_proxy(value) {
        Err(fault) => Err(Failure::invalid("--proxy", fault)),
        Ok(None) => Ok(Some(Zeroizing::new(value.clone()))),
        Ok(Some(source)) => match source.read(options.limit()) {
            Ok(url) => Ok(Some(url)),
            Err(error) => Err(Failure::usage(format!("--proxy: {error}"))),
        },
    }
}
