//! For the AWS SDK for Rust: the conversion to its credentials, and its provider trait.

use std::io;
use std::time::Duration;

use aws_credential_types::Credentials as SdkCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};

use crate::cell::{Epoch, NextAction};
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::provider::CognitoIdentityCredentials;
use crate::provider::background::JobFuture;
use crate::provider::shared::ProviderCall;

/// The SDK shows this name as the source of the credentials.
const NAME: &str = "CognitoIdentity";

/// Converts to credentials of the SDK with the same expiry. They hold copies of the secrets. The
/// SDK wipes them, but not the values that it derives from them for a request.
impl From<&Credentials> for SdkCredentials {
    fn from(credentials: &Credentials) -> Self {
        Self::new(
            credentials.access_key_id(),
            credentials.secret_access_key(),
            Some(credentials.session_token().to_owned()),
            Some(credentials.expiration()),
            NAME,
        )
    }
}

impl From<Credentials> for SdkCredentials {
    fn from(credentials: Credentials) -> Self {
        (&credentials).into()
    }
}

/// Serves as the `credentials_provider` of an SDK client, under any executor. Needs the feature
/// `aws-sdk`.
///
/// A future never blocks the thread that polls it, and needs no runtime.
///
/// * Fresh credentials are ready at the first poll.
/// * Inside the advisory window, the cached credentials are ready at the first poll. A new thread
///   refreshes them, and no future waits for it.
/// * Otherwise the future waits for a thread that does the same as
///   [`get`](CognitoIdentityCredentials::get). There is one thread for each refresh. All futures
///   share this thread, which ends when the refresh ends. If a future is dropped, the thread
///   continues, and the next future can use its result.
///
/// A future is ready within `timeout` (60 s by default). It can take longer only if your own token
/// source or transport does not return in time. If such a refresh still runs after `timeout`, the
/// next future starts another one.
///
/// # The SDK's own cache
///
/// An SDK client keeps the credentials until 5 to 10 seconds before they expire on the wall clock
/// (`buffer_time`, minus up to half of it). That is inside the default `expiry_window` of 15
/// seconds, so the client then gets new credentials. With an `expiry_window` below 10 seconds, it
/// could get the same credentials again and call this provider for each request.
///
/// The SDK's cache has disadvantages:
///
/// * It calls this provider so late that the `advisory_window` has no effect.
/// * It does not notice `expire` and `invalidate`.
/// * It uses the wall clock, which can be wrong.
/// * It gives up after `load_timeout` (5 seconds in older versions of the SDK, about 22 seconds in
///   newer ones). This provider tries for 60 seconds.
///
/// With `IdentityCache::no_cache()`, the client calls this provider for each request, and
/// everything works as with `get`. Each call copies the credentials.
///
/// # Errors
///
/// | [`ErrorKind`] | `CredentialsError` |
/// |---|---|
/// | `Config` | `InvalidConfiguration` |
/// | `IdentityUnknown` | `CredentialsNotLoaded`; a provider chain then calls its next provider |
/// | `Timeout` | `ProviderTimedOut`, with the `timeout` of the settings |
/// | `Reentrant` | `Unhandled` |
/// | any other | `ProviderError` |
///
/// The source is our [`Error`]. `ProviderTimedOut` has no source, but
/// [`status`](CognitoIdentityCredentials::status) shows the error. `Unhandled` also means that a
/// transport or a token source panicked, or that the process was forked while the future waited.
/// `ProviderError` also means that the system did not grant a thread.
impl ProvideCredentials for CognitoIdentityCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.provide())
    }

    /// Returns the cached credentials if they have not expired, even inside the expiry window. The
    /// SDK calls this if it stops waiting for the future.
    fn fallback_on_interrupt(&self) -> Option<SdkCredentials> {
        self.0.cell.unexpired().map(Into::into)
    }
}

impl CognitoIdentityCredentials {
    async fn provide(&self) -> provider::Result {
        let failed = |error| sdk_error(error, self.0.cell.timeout());
        let epoch = match self.0.cell.next_action().map_err(failed)? {
            NextAction::ReturnCached(credentials) => return Ok(credentials.into()),
            NextAction::ReturnError(error) => return Err(failed(error)),
            NextAction::AdvisoryAttempt(credentials, epoch) => {
                if let Err(error) = self.get_in_background(epoch) {
                    log::warn!(
                        "the credentials are still valid, but no thread could be started to refresh them: {error}"
                    );
                }
                return Ok(credentials.into());
            }
            NextAction::Refresh(epoch) => epoch,
        };
        match self.get_in_background(epoch).map_err(CredentialsError::provider_error)?.await {
            Some(result) => result.map(Into::into).map_err(failed),
            None => Err(CredentialsError::unhandled(
                "the thread that was to refresh panicked, or this process was forked from its process",
            )),
        }
    }

    /// Calls [`get`](Self::get) on another thread. Futures of the same epoch share one thread.
    fn get_in_background(&self, epoch: Epoch) -> io::Result<JobFuture<Result<Credentials, Error>>> {
        let provider = self.clone();
        self.0.background.join(epoch, move |publish| {
            let mut call = ProviderCall::new(&provider.0);
            call.publish = Some(publish);
            call.get(Duration::MAX)
        })
    }
}

fn sdk_error(error: Error, timeout: Duration) -> CredentialsError {
    match error.kind() {
        ErrorKind::Config => CredentialsError::invalid_configuration(error),
        ErrorKind::IdentityUnknown => CredentialsError::not_loaded(error),
        ErrorKind::Timeout => CredentialsError::provider_timed_out(timeout),
        ErrorKind::Reentrant => CredentialsError::unhandled(error),
        _ => CredentialsError::provider_error(error),
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::testing::{FakeCognito, Fault, ManualClock};

    #[test]
    fn get_does_what_next_action_returned() {
        const OPERATION: &str = "GetCredentialsForIdentity";
        let clock = ManualClock::new();
        let cognito = FakeCognito::with_clock(clock.clone());
        let credentials = CognitoIdentityCredentials::builder()
            .identity_pool_id(FakeCognito::POOL_ID)
            .transport(cognito.clone())
            .clock(clock.clone())
            .build()
            .unwrap();
        let later = |seconds| clock.advance(Duration::from_secs(seconds));
        let later_and_failing = |seconds| {
            later(seconds);
            cognito.fail_next(OPERATION, 1, Fault::not_authorized("No."));
        };
        let steps: [(&str, &dyn Fn(), &str); 9] = [
            ("nothing is cached", &|| {}, "refresh"),
            ("fresh", &|| {}, "cached"),
            ("advisory, and the attempt fails", &|| later_and_failing(2701), "advisory"),
            ("a pause after that", &|| later(60), "cached"),
            ("the pause is over", &|| later(600), "advisory"),
            ("expire() was called", &|| credentials.expire(), "refresh"),
            ("expired, and the refresh fails", &|| later_and_failing(3600), "refresh"),
            ("a cooldown", &|| {}, "error"),
            ("the cooldown is over", &|| later(5), "refresh"),
        ];
        for (state, step, expected) in steps {
            step();
            let (action, value) = match credentials.0.cell.next_action().unwrap() {
                NextAction::ReturnCached(value) => ("cached", Some(value)),
                NextAction::AdvisoryAttempt(value, _) => ("advisory", Some(value)),
                NextAction::ReturnError(_) => ("error", None),
                NextAction::Refresh(_) => ("refresh", None),
            };
            assert_eq!(action, expected, "{state}");
            let before = cognito.calls(OPERATION);
            let got = credentials.get();
            let contacts = cognito.calls(OPERATION) - before;
            assert_eq!(contacts, usize::from(matches!(action, "advisory" | "refresh")), "{state}");
            assert_eq!(
                got.is_err(),
                action == "error" || state == "expired, and the refresh fails",
                "{state}"
            );
            if action == "cached" {
                assert_eq!(got.ok(), value, "{state}");
            }
        }
    }
}
