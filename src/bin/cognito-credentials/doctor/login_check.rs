//! The step `login` of the command `doctor`: checks each login token before a call uses it.

use std::time::SystemTime;

use serde::Serialize;

use crate::doctor::report::{Report, Step};
use crate::login::issuer;
use crate::login::provider_login::{Claims, ProviderLogin};
use crate::messages::display::{rfc_3339, rounded};
use crate::messages::failure::{Failure, LOGIN};
use crate::options::arguments::Options;

#[derive(Default, Serialize)]
struct Details {
    provider: String,
    source: String,
    issuer: Option<String>,
    /// The name that the login needs, if it does not fit the issuer of the token.
    needed_provider: Option<String>,
    expiration: Option<String>,
}

/// Reports each login token. Returns whether all could be read.
pub(crate) fn report_tokens(report: &Report, options: &Options) -> bool {
    let mut all_read = true;
    for login in &options.logins {
        let details = Details {
            provider: login.provider.clone(),
            source: login.source.to_string(),
            ..Details::default()
        };
        match login.claims() {
            Ok(claims) => report.add(step(login, details, claims)),
            Err(error) => {
                all_read = false;
                let failure = Failure::no_token(login.no_token(&error), &*error);
                report.add(Step::failure("login", &failure).details(details));
            }
        }
    }
    all_read
}

fn step(login: &ProviderLogin, mut details: Details, claims: Option<Claims>) -> Step {
    let (provider, source) = (&login.provider, &login.source);
    let Some(claims) = claims else {
        return Step::ok("login", format!("{provider}: a token that is no JWT")).details(details);
    };
    details.issuer.clone_from(&claims.iss);
    details.expiration = claims.end().map(rfc_3339);
    let needed = claims.iss.as_deref().and_then(|issuer| issuer::mismatch(provider, issuer));
    details.needed_provider.clone_from(&needed);
    if claims.is_access_token() {
        let text = format!(
            "{provider}: the token from {source} is an access token, but the identity pool needs the ID token"
        );
        let advice = "give --login the ID token; the provider issues both tokens at the sign-in";
        return Step::bad("login", LOGIN, text).advice(advice).details(details);
    }
    if let (Some(issuer), Some(needed)) = (&claims.iss, needed) {
        let text = format!(
            "{provider}: the token from {source} was issued by {issuer}, and needs the name {needed}"
        );
        let advice = format!("write --login {needed}=…, or give this login a token of {provider}");
        return Step::bad("login", LOGIN, text).advice(advice).details(details);
    }
    let now = SystemTime::now();
    let step = match claims.end() {
        None => Step::ok("login", format!("{provider}: a token without an expiry time")),
        Some(end) => match end.duration_since(now) {
            Ok(left) if !left.is_zero() => {
                Step::ok("login", format!("{provider}: a token valid for {}", rounded(left)))
            }
            _ => {
                let ago = rounded(now.duration_since(end).unwrap_or_default());
                let text = format!("{provider}: the token from {source} expired {ago} ago");
                Step::bad("login", LOGIN, text).advice(
                    "sign in again, or give --login a source that refreshes the token; if the token is new, this machine's clock is wrong",
                )
            }
        },
    };
    step.details(details)
}
