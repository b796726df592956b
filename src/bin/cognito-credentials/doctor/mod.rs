//! The command `doctor`: tries every step, from the settings to the credentials, and reports each.
//!
//! * `report`: the steps, as lines or as one JSON document
//! * `login_check`: checks each login token
//! * `probe`, `tls_probe`, `certificate`, `x509`: addresses, proxy and TLS of a separate connection
//! * `reporting_transport`: reports the calls of the service

mod certificate;
mod login_check;
mod probe;
mod report;
mod reporting_transport;
mod tls_probe;
mod x509;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::{CognitoIdentityCredentials, Credentials};
use serde_json::json;

use crate::cache::{self, Cache};
use crate::commands::offline;
use crate::commands::stored::{CacheState, Stored};
use crate::messages::display::{self, masked, rfc_3339, rounded};
use crate::messages::failure::{Failure, REFUSED};
use crate::messages::logger;
use crate::messages::origins::origins;
use crate::options::arguments::Options;
use crate::settings::Settings;
use crate::transport;
use report::{Report, Step};
use reporting_transport::ReportingTransport;

/// The largest clock difference at which AWS accepts signatures.
const MAX_SKEW: Duration = Duration::from_secs(5 * 60);

pub(crate) fn run(options: &Options, json: bool) -> Result<(), Failure> {
    // The report shows the failures, so the log does not have to.
    logger::silence();
    let report = Arc::new(Report::new(json));
    let tokens_are_read = login_check::report_tokens(&report, options);
    let transport = transport::new(options);
    if let Err(failure) = &transport {
        report.add(Step::failure("settings", failure));
    }
    let transport =
        transport.map(|inner| Arc::new(ReportingTransport::new(inner, Arc::clone(&report))));
    let prepared = prepare(&report, options, transport.as_ref().ok(), tokens_are_read);
    let is_usable = if let Some((settings, _)) = &prepared {
        let stored = settings.cache.as_ref().and_then(|_| Stored::read(options, settings).ok());
        if let Some(stored) = stored {
            report.add(Step::ok("stored", stored.to_string()).details(stored));
        }
        cache_of(&report, options, settings.cache.as_ref(), settings.cache_limit)
    } else {
        cache_alone(&report, options);
        false
    };
    let url = endpoint(options);
    if url.is_none() {
        report.add(Step::skipped("connection", "the settings name no endpoint"));
    }
    let connection = url.and_then(|url| probe::connect(&report, options, &url));
    let credentials = prepared.as_ref().map(|(_, credentials)| credentials);
    let can_refresh = transport.is_ok() && tokens_are_read;
    let outcome =
        credentials.filter(|_| can_refresh).map(|credentials| (credentials, credentials.refresh()));
    if let Some(credentials) = credentials.filter(|_| is_usable) {
        if let Some(error) = credentials.status().storage_error {
            report.add(Step::failure("cache", &error.into()));
        }
    }
    let service_time = credentials.and_then(CognitoIdentityCredentials::service_time);
    clock(&report, service_time.or_else(|| connection?.service_time()));
    report.add(match outcome {
        Some((credentials, Ok(keys))) => obtained(credentials, &keys),
        Some((_, Err(error))) => {
            Step::failure("credentials", &Failure::of_refresh(&error, options))
        }
        None => Step::skipped("credentials", "a step above is needed for them"),
    });
    report.finish()
}

fn obtained(provider: &CognitoIdentityCredentials, keys: &Credentials) -> Step {
    let left = provider.status().expires_in.unwrap_or_default();
    let identity = keys.identity_id().map(masked).unwrap_or_default();
    let (key, rounded) = (keys.access_key_id(), rounded(left));
    let text = format!("{key}, valid for {rounded}; identity {identity}");
    Step::ok("credentials", text).details(json!({
        "access_key_id": key,
        "expiration": rfc_3339(keys.expiration()),
        "expires_in_seconds": left.as_secs(),
        "identity_id": identity,
    }))
}

/// Reads and reports the settings. `None` if they are wrong or a login token is missing.
fn prepare(
    report: &Report,
    options: &Options,
    transport: Option<&Arc<ReportingTransport>>,
    tokens_are_read: bool,
) -> Option<(Settings, CognitoIdentityCredentials)> {
    let transport: Arc<dyn Transport> = match transport {
        Some(transport) => transport.clone(),
        None => offline::no_network(),
    };
    let settings = Settings::new(options, transport, cache::directory);
    let prepared = settings.and_then(|mut settings| {
        if options.max_attempts.is_none() {
            settings.builder = settings.builder.max_attempts(1);
        }
        let credentials = settings.build()?;
        Ok((settings, credentials))
    });
    match prepared {
        Ok((settings, credentials)) => {
            let pool = settings.pool.as_deref().unwrap_or("none, an identity is given");
            let text = format!("identity pool {pool}; {}", display::logins(options));
            let details = json!({ "identity_pool_id": settings.pool });
            report.add(Step::ok("settings", text).details(details));
            report.add(Step::ok("settings", origins(options, settings.pool.as_deref())));
            Some((settings, credentials))
        }
        Err(failure) if failure.is_of_login => {
            // The step `login` has already reported a missing token of `--login`.
            if tokens_are_read {
                report.add(Step::failure("login", &failure));
            }
            report.add(match offline::pool_without_tokens(options) {
                Ok(pool) => Step::ok("settings", origins(options, pool.as_deref())),
                Err(failure) => Step::failure("settings", &failure),
            });
            None
        }
        Err(failure) => {
            report.add(Step::failure("settings", &failure));
            None
        }
    }
}

/// Returns the URL of the first call. Only the library knows it, so this starts a call, which a
/// transport without network stops. Settings that do not change the URL are left out, because a
/// wrong one would stop the call earlier.
fn endpoint(options: &Options) -> Option<String> {
    let mut options = options.clone();
    options.logins.clear();
    for text in [
        &mut options.user_pool_id,
        &mut options.account_id,
        &mut options.custom_role_arn,
        &mut options.role_arn,
        &mut options.role_session_name,
        &mut options.policy,
    ] {
        *text = None;
    }
    (options.duration, options.timeout, options.max_attempts) = (None, None, Some(1));
    let url = first_url(&options);
    let region = options
        .region
        .clone()
        .or_else(|| options.endpoint_url.as_ref().map(|_| "us-east-1".to_owned()));
    url.or_else(|| {
        options.identity_pool_id = Some(format!("{}:{NO_POOL}", region?));
        first_url(&options)
    })
}

/// Replaces the identity pool if only its region is known.
const NO_POOL: &str = "00000000-0000-4000-8000-000000000000";

fn first_url(options: &Options) -> Option<String> {
    let noted = Arc::new(Mutex::new(None));
    let url = Arc::clone(&noted);
    let transport = move |request: &HttpRequest| -> Result<HttpResponse, TransportError> {
        *url.lock().unwrap_or_else(PoisonError::into_inner) = Some(request.url().to_owned());
        Err(TransportError::new(TransportErrorKind::Other, "no network is used"))
    };
    let settings = Settings::new(options, Arc::new(transport), |_| Ok(None)).ok()?;
    settings.build().ok()?.refresh().err()?;
    noted.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Reports whether the cache can be written, and what it may hold. Returns `false` if it cannot be
/// written.
fn cache_of(
    report: &Report,
    options: &Options,
    cache: Option<&Cache>,
    limit: Option<&'static str>,
) -> bool {
    let Some(cache) = cache else {
        report.add(Step::ok("cache", "no cache"));
        return true;
    };
    let (problem, advice) =
        cache.check_writable().err().map(|error| cache::explain(&error)).unzip();
    let directory = cache.path().display().to_string();
    let is_usable = problem.is_none();
    let state = CacheState { directory, problem, limit };
    let step = match &state.problem {
        Some(problem) => {
            let text = format!("{}: {problem}", state.directory);
            let so = if options.is_guest() { "creates a new guest" } else { "asks the service" };
            let advice = advice.unwrap_or_default();
            let advice = format!("{advice}; without a cache each call {so}");
            Step::bad("cache", REFUSED, text).advice(advice)
        }
        None if limit.is_some() => {
            Step::ok("cache", format!("{state}, can be written")).advice(
                "on Linux, make /proc/sys/kernel/random/boot_id and /proc/self/timens_offsets readable; without it no credentials are stored, and each call asks the service",
            )
        }
        None => Step::ok("cache", format!("{state}, can be written")),
    };
    report.add(step.details(&state));
    is_usable
}

/// Like `cache_of`, if the settings are wrong.
fn cache_alone(report: &Report, options: &Options) {
    match cache::directory(options) {
        Ok(cache) => {
            cache_of(report, options, cache.as_ref(), None);
        }
        Err(failure) => report.add(Step::failure("cache", &failure)),
    }
    report.add(Step::skipped("stored", "without right settings it is unknown whose cache it is"));
}

/// Compares the clock of this machine with the clock of the service.
fn clock(report: &Report, service: Option<SystemTime>) {
    let Some(service) = service else {
        return report.add(Step::skipped("clock", "the service did not tell its time"));
    };
    let now = SystemTime::now();
    let (off, way, sign) = match now.duration_since(service) {
        Ok(ahead) => (ahead, "ahead of", 1),
        Err(behind) => (behind.duration(), "behind", -1),
    };
    let seconds = i64::try_from(off.as_secs()).unwrap_or(i64::MAX).saturating_mul(sign);
    let difference = format!("{} {way} the service's", rounded(off));
    let step = if off > MAX_SKEW {
        Step::bad("clock", REFUSED, format!("this machine's clock is {difference}"))
            .advice("set it (NTP): AWS rejects requests that are signed with a wrong time")
    } else if off.as_secs() < 2 {
        Step::ok("clock", "right")
    } else {
        Step::ok("clock", difference)
    };
    report.add(step.details(json!({ "difference_seconds": seconds })));
}
