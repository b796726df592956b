//! What is known without network.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::{CognitoIdentityCredentials, Credentials, IdentityOrigin};

use crate::arguments::Options;
use crate::cache;
use crate::failure::{Failure, LOGIN, REFUSED};
use crate::logger;
use crate::output;
use crate::settings::{self, Keeps, Settings};

/// The identity ID and nothing else.
pub(crate) fn identity(options: &Options) -> Result<(), Failure> {
    let (_, credentials) = offline(options).map_err(without_token)?;
    match credentials.identity_id() {
        Some(id) => output::print(format!("{id}\n").as_bytes()),
        None => Err(Failure {
            advice: Some("cognito-credentials process asks the service for one".to_owned()),
            ..Failure::new(REFUSED, "no identity is known yet")
        }),
    }
}

pub(crate) fn status(options: &Options) -> Result<(), Failure> {
    let (settings, credentials) = match offline(options) {
        Err(failure) if failure.status == LOGIN => return status_of_nobody(options, &failure),
        known => known?,
    };
    logger::hush();
    let found = kept(&settings, &credentials);
    let status = credentials.status();
    let identity = match (status.identity_id.as_deref(), status.identity_origin) {
        (None, _) => "none known yet".to_owned(),
        (Some(id), Some(IdentityOrigin::Given)) => format!("{}, as given", masked(id)),
        (Some(id), _) => masked(id),
    };
    let at_hand = match (found, status.expires_in) {
        (Some(keys), Some(left)) => format!("{}, good for {}", keys.access_key_id(), rough(left)),
        _ => "none at hand: the next call asks the service".to_owned(),
    };
    let kept = settings.cache.as_ref().map(|directory| {
        let but = match settings.keeps {
            Keeps::Credentials => "",
            Keeps::IdentityForSystem => " (the identity alone, on this system)",
            Keeps::IdentityForToken => {
                " (the identity alone: the token does not say whose it is, as --login-id would)"
            }
        };
        format!("{}{but}", directory.display())
    });
    let lines = [
        ("identity pool", settings.pool.unwrap_or_else(|| "none given".to_owned())),
        ("user", user(options)),
        ("identity", identity),
        ("credentials", at_hand),
        ("kept in", kept.unwrap_or_else(|| "nothing is kept".to_owned())),
    ];
    print(lines)
}

/// Without the login token it is not known whose cache to look into.
fn status_of_nobody(options: &Options, failure: &Failure) -> Result<(), Failure> {
    let whose = "not found: the token that tells the user, or else --login-id, is missing";
    let kept = cache::directory(options)?.map(|directory| directory.display().to_string());
    print([
        ("identity pool", settings::pool(options)?.unwrap_or_else(|| "none given".to_owned())),
        ("user", user(options)),
        ("login", failure.message.clone()),
        ("identity", whose.to_owned()),
        ("credentials", whose.to_owned()),
        ("kept in", kept.unwrap_or_else(|| "nothing is kept".to_owned())),
    ])
}

fn print<const N: usize>(lines: [(&str, String); N]) -> Result<(), Failure> {
    let mut text = String::new();
    for (what, said) in lines {
        let _ = writeln!(text, "{what:<14} {said}");
    }
    output::print(text.as_bytes())
}

/// What to do where the user is not known for want of a token.
pub(crate) fn without_token(failure: Failure) -> Failure {
    if failure.status != LOGIN {
        return failure;
    }
    let advice = "say --login-id NAME if the cache was made with one, or sign in again; cognito-credentials forget --all removes everybody's";
    Failure { advice: Some(advice.to_owned()), ..failure }
}

/// A provider that reaches nobody.
pub(crate) fn offline(
    options: &Options,
) -> Result<(Settings, CognitoIdentityCredentials), Failure> {
    let nobody = |_: &HttpRequest| -> Result<HttpResponse, TransportError> {
        Err(TransportError::new(TransportErrorKind::Other, "no network is used"))
    };
    let nobody: Arc<dyn Transport> = Arc::new(nobody);
    let mut settings = Settings::new(options, nobody, cache::directory)?;
    settings.builder = settings.builder.max_attempts(1);
    let credentials = settings.build()?;
    Ok((settings, credentials))
}

/// The kept credentials. They are found by asking for some: what is not kept is not got, for there
/// is no network. To ask makes the directory.
fn kept(settings: &Settings, offline: &CognitoIdentityCredentials) -> Option<Credentials> {
    let directory = settings.cache.as_ref().filter(|directory| directory.exists());
    directory.and_then(|_| offline.get_within(Duration::from_secs(2)).ok())
}

/// Who the user is, by the logins.
pub(crate) fn user(options: &Options) -> String {
    let logins = options.logins.iter();
    let logins = logins.map(|login| format!("{}, by {}", login.provider, login.source));
    let pool = options.value("user-pool-id").and_then(OsStr::to_str);
    let pool = pool.map(|id| format!("user pool {id}, by a refresh token"));
    let all: Vec<_> = logins.chain(pool).collect();
    if all.is_empty() { "guest".to_owned() } else { all.join("; ") }
}

/// Enough of an identity ID to tell it from another. A guest's whole one fetches credentials.
pub(crate) fn masked(id: &str) -> String {
    let region = id.split_once(':').map_or("", |(region, _)| region);
    let last: String = id.chars().skip(id.chars().count().saturating_sub(4)).collect();
    format!("{region}:…{last}")
}

/// A time as people say it.
pub(crate) fn rough(time: Duration) -> String {
    let (count, unit) = match time.as_secs() {
        seconds @ 0..120 => (seconds, "second"),
        seconds @ 120..7200 => (seconds / 60, "minute"),
        seconds @ 7200..172_800 => (seconds / 3600, "hour"),
        seconds => (seconds / 86400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_told_by_its_end_alone() {
        assert_eq!(masked("us-east-1:12345678-dead-beef-cafe-123456790ab0"), "us-east-1:…0ab0");
        assert_eq!(masked("é"), ":…é");
    }

    #[test]
    fn times_are_told_in_one_unit() {
        let rows = [
            (0, "0 seconds"),
            (1, "1 second"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (7199, "119 minutes"),
            (7200, "2 hours"),
            (200_000, "2 days"),
        ];
        for (seconds, expected) in rows {
            assert_eq!(rough(Duration::from_secs(seconds)), expected);
        }
    }
}
