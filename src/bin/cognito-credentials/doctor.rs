//! Every step tried, from the settings to the credentials, and told in plain words.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::{CognitoIdentityCredentials, FileStorage};

use crate::arguments::Options;
use crate::cache;
use crate::failure::{Failure, LOGIN, NETWORK, REFUSED};
use crate::known::{masked, rough, user};
use crate::logger;
use crate::output;
use crate::settings::{self, Settings};

/// The exit status for the first thing that was found bad.
static BAD: AtomicU8 = AtomicU8::new(0);

/// AWS's services refuse signatures that are off by more.
const MOST_SKEW: Duration = Duration::from_secs(5 * 60);

pub(crate) fn examine(options: &Options) -> Result<(), Failure> {
    // What fails is told here.
    logger::hush();
    let transport = settings::transport(options).map_err(|failure| bad("settings", &failure))?;
    let witness = Arc::new(Witness { inner: transport, hosts: Mutex::default() });
    tokens(options);
    let mut settings = Settings::new(options, Arc::<Witness>::clone(&witness), cache::directory)
        .map_err(|failure| {
            bad(if failure.status == LOGIN { "login" } else { "settings" }, &failure)
        })?;
    if options.value("max-attempts").is_none() {
        settings.builder = settings.builder.max_attempts(1);
    }
    let credentials = settings.build().map_err(|failure| bad("settings", &failure))?;
    let pool = settings.pool.as_deref().unwrap_or("none, an identity is given");
    tell("ok", "settings", &format!("identity pool {pool}; {}", user(options)));
    tell("ok", "settings", &origins(options, settings.pool.as_deref()));
    kept(&settings);

    let outcome = credentials.refresh();
    skew(&credentials);
    match outcome {
        Ok(keys) => {
            let left = credentials.status().expires_in.unwrap_or_default();
            let identity = keys.identity_id().map(masked).unwrap_or_default();
            let (key, left) = (keys.access_key_id(), rough(left));
            tell("ok", "credentials", &format!("{key}, good for {left}; identity {identity}"));
            match BAD.load(Ordering::Relaxed) {
                0 => Ok(()),
                status => Err(Failure::told(status)),
            }
        }
        Err(error) => Err(bad("credentials", &error.into())),
    }
}

fn tell_bad(status: u8, what: &str, said: &str) {
    let _ = BAD.compare_exchange(0, status, Ordering::Relaxed, Ordering::Relaxed);
    tell("BAD", what, said);
}

fn tell(verdict: &str, what: &str, said: &str) {
    // Who reads the report may stop reading it.
    let _ = output::print(format!("{verdict:<5} {what:<12} {said}\n").as_bytes());
}

fn advise(advice: &str) {
    let _ = output::print(format!("{:18} what to do: {advice}\n", "").as_bytes());
}

/// Tells a failure in the report, and leaves its exit status.
fn bad(what: &str, failure: &Failure) -> Failure {
    tell_bad(failure.status, what, &failure.message);
    if let Some(advice) = &failure.advice {
        advise(advice);
    }
    Failure::told(failure.status)
}

/// What the login tokens say of their end, by the clock of this machine.
fn tokens(options: &Options) {
    for login in &options.logins {
        let (provider, source) = (&login.provider, &login.source);
        // A failure is told when the token is needed.
        let Ok(claims) = login.claims() else { continue };
        let Some(end) = claims.and_then(|claims| claims.end()) else {
            tell("ok", "login", &format!("{provider}: a token that does not tell its end"));
            continue;
        };
        match (end.duration_since(SystemTime::now()), SystemTime::now().duration_since(end)) {
            (Ok(left), _) if !left.is_zero() => {
                tell("ok", "login", &format!("{provider}: a token good for {}", rough(left)));
            }
            (_, past) => {
                let ago = rough(past.unwrap_or_default());
                tell_bad(
                    LOGIN,
                    "login",
                    &format!("{provider}: the token from {source} ended {ago} ago"),
                );
                advise(
                    "sign in again, or let --login name what renews it; if the token is new, this machine's clock is wrong",
                );
            }
        }
    }
}

/// Whether the cache can be written to.
fn kept(settings: &Settings) {
    let Some(directory) = &settings.cache else {
        return tell("ok", "cache", "nothing is kept");
    };
    let storage = FileStorage::new(directory);
    let shown = directory.display();
    let tried = cache::try_out(&storage);
    match tried {
        Ok(()) => tell("ok", "cache", &shown.to_string()),
        Err(error) => {
            tell_bad(REFUSED, "cache", &format!("{shown}: {error}"));
            advise(
                "let --cache-dir name a directory of this user's alone, or say --no-cache; without a cache a guest is somebody else each time",
            );
        }
    }
}

/// Whether this machine's clock is right by the service's.
fn skew(credentials: &CognitoIdentityCredentials) {
    let Some(service) = credentials.service_time() else { return };
    let now = SystemTime::now();
    let (off, way) = match now.duration_since(service) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    if off <= MOST_SKEW {
        let second = if off.as_secs() < 2 {
            "right".to_owned()
        } else {
            format!("{} {way} the service's", rough(off))
        };
        return tell("ok", "clock", &second);
    }
    tell_bad(
        REFUSED,
        "clock",
        &format!("this machine's clock is {} {way} the service's", rough(off)),
    );
    advise("set it (NTP): AWS refuses requests that are signed with a wrong time");
}

/// Which settings of the machine's count, and where they come from.
fn origins(options: &Options, pool: Option<&str>) -> String {
    let (owner, id) = match pool {
        Some(pool) => ("pool", Some(pool.to_owned())),
        None => {
            ("identity", found(options, "identity-id", &["AWS_COGNITO_IDENTITY_ID"]).map(|it| it.0))
        }
    };
    let region = id.as_deref().and_then(|id| id.split_once(':')).map_or("", |(region, _)| region);
    let urls = ["AWS_ENDPOINT_URL_COGNITO_IDENTITY", "AWS_ENDPOINT_URL"];
    let endpoint = match found(options, "endpoint-url", &urls) {
        Some((url, from)) => format!("endpoint {url} ({from})"),
        None => "AWS's endpoint".to_owned(),
    };
    let authorities = match found(options, "ca-file", &["AWS_CA_BUNDLE"]) {
        Some((file, from)) => format!("authorities of {file} ({from})"),
        None => "built-in authorities".to_owned(),
    };
    let proxy = proxy(options).map_or("no proxy".to_owned(), |proxy| format!("proxy {proxy}"));
    format!("region {region} (of the {owner}'s ID); {endpoint}; {authorities}; {proxy}")
}

/// An option's value, or that of the first variable that is set and not empty; and its name.
fn found(options: &Options, option: &str, variables: &[&str]) -> Option<(String, String)> {
    if let Some(value) = options.value(option) {
        return Some((value.to_string_lossy().into_owned(), format!("--{option}")));
    }
    let set = |name: &&str| env::var_os(name).filter(|value| !value.is_empty());
    let (name, value) = variables.iter().find_map(|name| Some((name, set(name)?)))?;
    Some((value.to_string_lossy().into_owned(), (*name).to_owned()))
}

/// The proxy without its user and password, and where it comes from.
fn proxy(options: &Options) -> Option<String> {
    let variables = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let (value, from) = found(options, "proxy", &variables)?;
    if from == "--proxy" {
        if let Ok(Some(source)) = settings::proxy_source(&value) {
            return Some(format!("by {source} ({from})"));
        }
    }
    let host = match value.rsplit_once('@') {
        Some((_, host)) => host,
        None => value.split_once("://").map_or(&*value, |(_, host)| host),
    };
    Some(format!("{} ({from})", host.trim_end_matches('/')))
}

/// A transport that tells each step of each request.
struct Witness {
    inner: Arc<dyn Transport>,
    /// Those that have answered.
    hosts: Mutex<BTreeSet<String>>,
}

impl Transport for Witness {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let host = host(request.url());
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = Instant::now();
        let outcome = self.inner.send(request);
        let took = begun.elapsed().as_millis();
        let operation = operation(request);
        match &outcome {
            Ok(response) => {
                if hosts.insert(host.to_owned()) {
                    let tls = request.url().starts_with("https:");
                    let how = if tls { "TLS" } else { "plain http, without TLS" };
                    tell("ok", "connection", &format!("{host}: {how}"));
                }
                let fine = (200..300).contains(&response.status());
                let mut said = format!("HTTP status {} in {took} ms", response.status());
                if response.header("date").is_none() {
                    let _ = write!(said, ", without a Date");
                }
                if fine {
                    tell("ok", operation, &said);
                } else {
                    tell_bad(REFUSED, operation, &said);
                }
            }
            Err(error) => {
                let what = match error.kind() {
                    TransportErrorKind::Tls => "TLS",
                    _ => "connection",
                };
                tell_bad(NETWORK, what, &error.to_string());
            }
        }
        outcome
    }
}

fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    }
}

/// The service call, by its name in AWS's documentation.
fn operation(request: &HttpRequest) -> &str {
    let target = request.headers().iter().find(|(name, _)| name == "x-amz-target");
    match target.and_then(|(_, target)| target.rsplit_once('.')) {
        Some((_, operation)) => operation,
        None => "AssumeRoleWithWebIdentity",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_found_in_any_endpoint() {
        let rows = [
            (
                "https://cognito-identity.us-east-1.amazonaws.com/",
                "cognito-identity.us-east-1.amazonaws.com",
            ),
            ("http://localhost:5000/x", "localhost"),
            ("http://[::1]/", "[::1]"),
            ("https://[::1]:8443", "[::1]"),
        ];
        for (url, expected) in rows {
            assert_eq!(host(url), expected);
        }
    }
}
