//! [`origins`]: the network settings, and the option or variable that sets each.

use std::env;
use std::ffi::OsStr;

use crate::login::secret_source::SecretSource;
use crate::options::arguments::Options;
use crate::options::variables::endpoint_variables;
use crate::transport;

pub(crate) fn origins(options: &Options, pool: Option<&str>) -> String {
    let (owner, id) = match pool {
        Some(pool) => ("pool", Some(pool.to_owned())),
        None => (
            "identity",
            found("--identity-id", options.identity_id.as_ref(), &["AWS_COGNITO_IDENTITY_ID"])
                .map(|it| it.0),
        ),
    };
    let region = id.as_deref().and_then(|id| id.split_once(':')).map_or("", |(region, _)| region);
    let urls = ["AWS_ENDPOINT_URL_COGNITO_IDENTITY", "AWS_ENDPOINT_URL"];
    let endpoint =
        match found("--endpoint-url", options.endpoint_url.as_ref(), endpoint_variables(&urls)) {
            Some((url, from)) => format!("endpoint {url} ({from})"),
            None => "AWS's endpoint".to_owned(),
        };
    let authorities = match found("--ca-file", options.ca_file.as_ref(), &["AWS_CA_BUNDLE"]) {
        Some((file, from)) => format!("authorities of {file} ({from})"),
        None => "built-in authorities".to_owned(),
    };
    let proxy = proxy(options).map_or("no proxy".to_owned(), |proxy| format!("proxy {proxy}"));
    format!("region {region} (of the {owner}'s ID); {endpoint}; {authorities}; {proxy}")
}

/// Returns the value and the name of an option. Without the option, uses the first variable that is
/// not empty.
fn found(
    option: &str,
    value: Option<&impl AsRef<OsStr>>,
    variables: &[&str],
) -> Option<(String, String)> {
    if let Some(value) = value {
        return Some((value.as_ref().to_string_lossy().into_owned(), option.to_owned()));
    }
    let set = |name: &&str| env::var_os(name).filter(|value| !value.is_empty());
    let (name, value) = variables.iter().find_map(|name| Some((name, set(name)?)))?;
    Some((value.to_string_lossy().into_owned(), (*name).to_owned()))
}

/// Describes the proxy, without its user and password.
fn proxy(options: &Options) -> Option<String> {
    let variables = transport::PROXY_VARIABLES;
    let (value, from) = found("--proxy", options.proxy.as_ref(), &variables)?;
    if from == "--proxy" {
        if let Ok(Some(source)) = SecretSource::of_proxy(&value) {
            return Some(format!("by {source} ({from})"));
        }
    }
    let host = match value.rsplit_once('@') {
        Some((_, host)) => host,
        None => value.split_once("://").map_or(&*value, |(_, host)| host),
    };
    Some(format!("{} ({from})", host.trim_end_matches('/')))
}
