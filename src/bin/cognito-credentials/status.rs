//! The commands `identity` and `status`: what is known without network.

use std::fmt::Write as _;
use std::time::Duration;

use cognito_identity_credentials::IdentityOrigin;

use crate::arguments::Options;
use crate::cache;
use crate::display::{self, masked, rounded};
use crate::failure::{Failure, LOGIN, REFUSED};
use crate::logger;
use crate::offline;
use crate::output;
use crate::settings;

/// Prints the identity ID and nothing else.
pub(crate) fn identity(options: &Options) -> Result<(), Failure> {
    let (_, credentials) = offline::provider(options).map_err(offline::without_token)?;
    match credentials.identity_id() {
        Some(id) => output::print(format!("{id}\n").as_bytes()),
        None => Err(Failure {
            advice: Some("cognito-credentials process requests one from the service".to_owned()),
            ..Failure::new(REFUSED, "no identity is known yet")
        }),
    }
}

pub(crate) fn status(options: &Options) -> Result<(), Failure> {
    let (settings, credentials) = match offline::provider(options) {
        Err(failure) if failure.status == LOGIN => return status_without_token(options, &failure),
        provider => provider?,
    };
    logger::silence();
    // Without stored credentials this would only ask for a login token.
    let cache = settings.cache.as_ref().filter(|cache| cache.exists());
    let found = cache.and_then(|_| credentials.get_within(Duration::from_secs(2)).ok());
    let status = credentials.status();
    let identity = match (status.identity_id.as_deref(), status.identity_origin) {
        (None, _) => "none known yet".to_owned(),
        (Some(id), Some(IdentityOrigin::Given)) => format!("{}, as given", masked(id)),
        (Some(id), _) => masked(id),
    };
    let cached = match (found, status.expires_in) {
        (Some(keys), Some(left)) => {
            format!("{}, valid for {}", keys.access_key_id(), rounded(left))
        }
        _ => "none cached: the next call asks the service".to_owned(),
    };
    let directory = settings.cache.as_ref().map(|cache| {
        let trouble = status.storage_error.map(|error| format!("{error:#}"));
        let trouble = trouble.or_else(|| cache.not_writable());
        let limit = match (trouble, settings.cache_contents.limit()) {
            (Some(trouble), _) => format!(" (cannot be used: {trouble})"),
            (None, Some(limit)) => format!(" ({limit})"),
            (None, None) => String::new(),
        };
        format!("{}{limit}", cache.path().display())
    });
    let lines = [
        ("identity pool", settings.pool.unwrap_or_else(|| "none given".to_owned())),
        ("user", display::logins(options)),
        ("identity", identity),
        ("credentials", cached),
        ("cache", directory.unwrap_or_else(|| "no cache".to_owned())),
    ];
    print(lines)
}

/// Prints the status if the user is unknown because the login token is missing.
fn status_without_token(options: &Options, failure: &Failure) -> Result<(), Failure> {
    let unknown =
        "not found: the token that names the user is missing; --login-id can name the user";
    let directory = cache::existing(options)?.map(|cache| cache.path().display().to_string());
    print([
        ("identity pool", settings::pool(options).unwrap_or_else(|| "none given".to_owned())),
        ("user", display::logins(options)),
        ("login", failure.message.clone()),
        ("identity", unknown.to_owned()),
        ("credentials", unknown.to_owned()),
        ("cache", directory.unwrap_or_else(|| "no cache".to_owned())),
    ])
}

fn print<const N: usize>(lines: [(&str, String); N]) -> Result<(), Failure> {
    let mut text = String::new();
    for (what, said) in lines {
        let _ = writeln!(text, "{what:<14} {said}");
    }
    output::print(text.as_bytes())
}
