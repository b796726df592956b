//! Every step tried, from the settings to the credentials, and told in plain words.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::net::ToSocketAddrs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::{CognitoIdentityCredentials, FileStorage, Storage};

use crate::arguments::Options;
use crate::failure::{Failure, LOGIN};
use crate::known::{masked, rough, user};
use crate::logger;
use crate::output;
use crate::settings::{self, Settings};

/// AWS's services refuse signatures that are off by more.
const MOST_SKEW: Duration = Duration::from_secs(5 * 60);

pub(crate) fn examine(options: &Options) -> Result<(), Failure> {
    // What fails is told here.
    logger::hush();
    let transport = settings::transport(options).map_err(|failure| bad("settings", &failure))?;
    let witness = Arc::new(Witness {
        inner: transport,
        through_proxy: options.value("proxy").is_some() || proxy_in_environment(),
        hosts: Mutex::default(),
    });
    tokens(options);
    let mut settings =
        Settings::new(options, Arc::<Witness>::clone(&witness)).map_err(|failure| {
            bad(if failure.status == LOGIN { "login" } else { "settings" }, &failure)
        })?;
    if options.value("max-attempts").is_none() {
        settings.builder = settings.builder.max_attempts(1);
    }
    let credentials = settings.build().map_err(|failure| bad("settings", &failure))?;
    let pool = settings.pool.as_deref().unwrap_or("none, an identity is given");
    tell("ok", "settings", &format!("identity pool {pool}; {}", user(options)));
    kept(&settings);

    let outcome = credentials.refresh();
    let clock = skew(&credentials);
    match outcome {
        Ok(keys) => {
            let left = credentials.status().expires_in.unwrap_or_default();
            let identity = keys.identity_id().map(masked).unwrap_or_default();
            let (key, left) = (keys.access_key_id(), rough(left));
            tell("ok", "credentials", &format!("{key}, good for {left}; identity {identity}"));
            if clock { Ok(()) } else { Err(Failure::told(crate::failure::REFUSED)) }
        }
        Err(error) => Err(bad("credentials", &error.into())),
    }
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
    tell("BAD", what, &failure.message);
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
                tell(
                    "BAD",
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
    let tried = storage.store("doctor", b"doctor").and_then(|()| storage.remove("doctor"));
    match tried {
        Ok(()) => tell("ok", "cache", &shown.to_string()),
        Err(error) => {
            tell("BAD", "cache", &format!("{shown}: {error}"));
            advise(
                "let --cache-dir name a directory of this user's alone, or say --no-cache; without a cache a guest is somebody else each time",
            );
        }
    }
}

/// Whether this machine's clock is right by the service's.
fn skew(credentials: &CognitoIdentityCredentials) -> bool {
    let Some(service) = credentials.service_time() else { return true };
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
        tell("ok", "clock", &second);
        return true;
    }
    tell("BAD", "clock", &format!("this machine's clock is {} {way} the service's", rough(off)));
    advise("set it (NTP): AWS refuses requests that are signed with a wrong time");
    false
}

fn proxy_in_environment() -> bool {
    let names = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    names.iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// A transport that tells each step of each request.
struct Witness {
    inner: Arc<dyn Transport>,
    through_proxy: bool,
    /// Those that have been looked up, and those that have answered.
    hosts: Mutex<(BTreeSet<String>, BTreeSet<String>)>,
}

impl Transport for Witness {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let (host, port) = host(request.url());
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.0.insert(host.to_owned()) {
            self.look_up(host, port);
        }
        let begun = Instant::now();
        let outcome = self.inner.send(request);
        let took = begun.elapsed().as_millis();
        let operation = operation(request);
        match &outcome {
            Ok(response) => {
                if hosts.1.insert(host.to_owned()) {
                    let tls = request.url().starts_with("https:");
                    let how = if tls { "TLS" } else { "plain http, without TLS" };
                    tell("ok", "connection", &format!("{host}: {how}"));
                }
                let fine = (200..300).contains(&response.status());
                let mut said = format!("HTTP status {} in {took} ms", response.status());
                if response.header("date").is_none() {
                    let _ = write!(said, ", without a Date");
                }
                tell(if fine { "ok" } else { "BAD" }, operation, &said);
            }
            Err(error) => {
                let what = match error.kind() {
                    TransportErrorKind::Tls => "TLS",
                    _ => "connection",
                };
                tell("BAD", what, &format!("{host}: {error}, after {took} ms"));
            }
        }
        outcome
    }
}

impl Witness {
    fn look_up(&self, host: &str, port: u16) {
        if self.through_proxy {
            return tell("ok", "name", &format!("{host}: left to the proxy"));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match (bare, port).to_socket_addrs().map(Iterator::count) {
            Ok(count) if count > 0 => {
                let plural = if count == 1 { "" } else { "es" };
                tell("ok", "name", &format!("{host}: {count} address{plural}"));
            }
            failed => {
                let why = failed.err().map_or("no address".to_owned(), |error| error.to_string());
                tell("BAD", "name", &format!("{host}: {why}"));
                advise(
                    "look at the network and at its name servers (/etc/resolv.conf); behind a proxy, say --proxy or set HTTPS_PROXY",
                );
            }
        }
    }
}

fn host(url: &str) -> (&str, u16) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let standard = if scheme == "http" { 80 } else { 443 };
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(standard)),
        _ => (authority, standard),
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
                ("cognito-identity.us-east-1.amazonaws.com", 443),
            ),
            ("http://localhost:5000/x", ("localhost", 5000)),
            ("http://[::1]/", ("[::1]", 80)),
            ("https://[::1]:8443", ("[::1]", 8443)),
        ];
        for (url, expected) in rows {
            assert_eq!(host(url), expected);
        }
    }
}
