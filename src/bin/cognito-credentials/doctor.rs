//! The command `doctor`: tries every step, from the settings to the credentials, and reports each.

use std::env;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::{CognitoIdentityCredentials, FileStorage};

use crate::arguments::Options;
use crate::cache;
use crate::display::{self, masked, rounded};
use crate::failure::{Failure, LOGIN, REFUSED};
use crate::issuer;
use crate::logger;
use crate::provider_login::Claims;
use crate::report;
use crate::reporting_transport::ReportingTransport;
use crate::secret_source::SecretSource;
use crate::settings::{CacheContents, Settings};
use crate::transport;
use crate::variables::endpoint_variables;

/// AWS rejects signatures whose time differs by more.
const MAX_SKEW: Duration = Duration::from_secs(5 * 60);

/// Tries every step and prints the report.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    // The report shows what fails.
    logger::silence();
    let bad_settings = |failure: Failure| report::failure("settings", &failure);
    let transport = transport::new(options).map_err(bad_settings)?;
    let transport = Arc::new(ReportingTransport::new(transport));
    login_tokens(options);
    let mut settings = Settings::new(options, transport, cache::directory).map_err(|failure| {
        let what = if failure.status == LOGIN { "login" } else { "settings" };
        report::failure(what, &failure)
    })?;
    if options.max_attempts.is_none() {
        settings.builder = settings.builder.max_attempts(1);
    }
    let credentials = settings.build().map_err(bad_settings)?;
    let pool = settings.pool.as_deref().unwrap_or("none, an identity is given");
    report::ok("settings", &format!("identity pool {pool}; {}", display::logins(options)));
    report::ok("settings", &origins(options, settings.pool.as_deref()));
    let usable = cache_directory(&settings);

    let outcome = credentials.refresh();
    if let (true, Some(error)) = (usable, credentials.status().storage_error) {
        let _ = report::failure("cache", &error.into());
    }
    clock(&credentials);
    match outcome {
        Ok(keys) => {
            let left = credentials.status().expires_in.unwrap_or_default();
            let identity = keys.identity_id().map(masked).unwrap_or_default();
            let (key, left) = (keys.access_key_id(), rounded(left));
            report::ok("credentials", &format!("{key}, valid for {left}; identity {identity}"));
            report::result()
        }
        Err(error) => Err(report::failure("credentials", &error.into())),
    }
}

/// Reports when the login tokens expire, measured on the clock of this machine.
fn login_tokens(options: &Options) {
    for login in &options.logins {
        let (provider, source) = (&login.provider, &login.source);
        // A failure is reported when the token is needed.
        let Ok(claims) = login.claims() else { continue };
        let issuer = claims.as_ref().and_then(|claims| claims.iss.as_deref());
        let needed = issuer.and_then(|issuer| Some((issuer, issuer::mismatch(provider, issuer)?)));
        if let Some((issuer, needed)) = needed {
            let text = format!("{provider}: the token from {source} was issued by {issuer}");
            report::bad(LOGIN, "login", &text);
            report::advise(&format!("name the login as its token needs it: --login {needed}=…"));
            continue;
        }
        if claims.as_ref().is_some_and(Claims::is_access_token) {
            let text = format!(
                "{provider}: the token from {source} is an access token, but the identity pool needs the ID token"
            );
            report::bad(LOGIN, "login", &text);
            report::advise(
                "give --login the ID token; the user pool issues both tokens at the sign-in",
            );
            continue;
        }
        let Some(end) = claims.and_then(|claims| claims.end()) else {
            report::ok("login", &format!("{provider}: a token without an expiry time"));
            continue;
        };
        match (end.duration_since(SystemTime::now()), SystemTime::now().duration_since(end)) {
            (Ok(left), _) if !left.is_zero() => {
                report::ok("login", &format!("{provider}: a token valid for {}", rounded(left)));
            }
            (_, past) => {
                let ago = rounded(past.unwrap_or_default());
                report::bad(
                    LOGIN,
                    "login",
                    &format!("{provider}: the token from {source} expired {ago} ago"),
                );
                report::advise(
                    "sign in again, or give --login a source that refreshes the token; if the token is new, this machine's clock is wrong",
                );
            }
        }
    }
}

/// Reports whether the cache can be written, and what it holds. Returns false if it cannot.
fn cache_directory(settings: &Settings) -> bool {
    let Some(directory) = &settings.cache else {
        report::ok("cache", "no cache");
        return true;
    };
    let storage = FileStorage::new(directory);
    let shown = directory.display();
    match cache::check_writable(&storage) {
        Ok(()) => {
            report::ok("cache", &shown.to_string());
            if let Some(limit) = settings.cache_contents.limit() {
                report::ok("cache", limit);
            }
            if settings.cache_contents == CacheContents::IdentityWithoutBootId {
                report::advise(
                    "on Linux, make /proc/sys/kernel/random/boot_id readable; without it no credentials are kept, and each call asks the service",
                );
            }
            true
        }
        Err(error) => {
            report::bad(REFUSED, "cache", &format!("{shown}: {error}"));
            report::advise(
                "set --cache-dir to a directory that only this user can write to, or use --no-cache; without a cache each call creates a new guest",
            );
            false
        }
    }
}

/// Reports whether the clock of this machine agrees with the clock of the service.
fn clock(credentials: &CognitoIdentityCredentials) {
    let Some(service) = credentials.service_time() else { return };
    let now = SystemTime::now();
    let (off, way) = match now.duration_since(service) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    if off <= MAX_SKEW {
        let said = if off.as_secs() < 2 {
            "right".to_owned()
        } else {
            format!("{} {way} the service's", rounded(off))
        };
        return report::ok("clock", &said);
    }
    report::bad(
        REFUSED,
        "clock",
        &format!("this machine's clock is {} {way} the service's", rounded(off)),
    );
    report::advise("set it (NTP): AWS rejects requests that are signed with a wrong time");
}

/// Describes the network settings and where they come from.
fn origins(options: &Options, pool: Option<&str>) -> String {
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

/// Returns the value and the name of an option, or else of the first variable that is not empty.
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
    let variables = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
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
