//! A provider that makes no calls, for the commands `identity`, `status` and `forget`.

use std::sync::Arc;

use cognito_identity_credentials::CognitoIdentityCredentials;
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
};

use crate::cache;
use crate::messages::failure::{Failure, LOGIN};
use crate::options::arguments::Options;
use crate::settings::Settings;

pub(crate) fn provider(
    options: &Options,
) -> Result<(Settings, CognitoIdentityCredentials), Failure> {
    let mut settings = Settings::new(options, no_network(), cache::existing)?;
    settings.builder = settings.builder.max_attempts(1);
    let credentials = settings.build()?;
    Ok((settings, credentials))
}

/// Checks the settings without the login tokens, because one is missing. Returns the identity pool.
pub(crate) fn pool_without_tokens(options: &Options) -> Result<Option<String>, Failure> {
    let mut options = options.clone();
    // The policy has been read before, and its file may be a pipe.
    options.policy = None;
    let settings = Settings::new(&options, no_network(), |_| Ok(None))?;
    settings.build()?;
    Ok(settings.pool)
}

pub(crate) fn no_network() -> Arc<dyn Transport> {
    let no_network = |_: &HttpRequest| -> Result<HttpResponse, TransportError> {
        Err(TransportError::new(TransportErrorKind::Other, "no network is used"))
    };
    Arc::new(no_network)
}

/// Adds advice: the login token is missing that would name the user.
pub(crate) fn without_token(failure: Failure) -> Failure {
    if failure.status != LOGIN {
        return failure;
    }
    let advice = "use --login-id NAME if the cache was made with it, or sign in again; cognito-credentials forget --all removes the records of all users";
    failure.advice(advice)
}
