//! What the AWS SDK for Rust needs of this crate: its credentials, and its trait for providers.

use std::time::Duration;

use aws_credential_types::Credentials as SdkCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};

use crate::cell::NextAction;
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::provider::CognitoIdentityCredentials;

/// What the SDK calls the source of the credentials.
const NAME: &str = "CognitoIdentity";

/// The SDK's credentials, which end when these do. They hold copies of the secrets: the SDK wipes its
/// own, but what it makes of them on the way to a request is its business.
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

/// For the `credentials_provider` of an SDK client, under any executor. Needs the feature `aws-sdk`.
///
/// A future never blocks the thread that polls it and needs no runtime. Good credentials are there at
/// the first poll; when their renewal is due, a thread begins it, and nobody waits for that. Without
/// good ones the future waits for a thread that does what
/// [`get`](CognitoIdentityCredentials::get) does: one for each refresh, shared by all futures, and gone
/// when it has ended. A future that is dropped leaves the thread at work, for the next one to profit.
///
/// A future is there within `timeout` (60 s by default). Only a token source or a transport of the
/// program's own that takes longer holds up those who wait for it; who comes later than `timeout`
/// after its beginning waits for that time, and no longer.
///
/// # The SDK's own cache
///
/// An SDK client asks once and keeps the answer until 5 to 10 s before its end (`buffer_time`, less
/// up to a half), by the wall clock. By then the set is inside our `expiry_window` of 15 s, so the
/// client gets new credentials and not the old ones again; a window below 10 s would have it ask
/// until they are new. But so late it has no profit of `advisory_window`, knows nothing of `expire`
/// and `invalidate`, and goes by a clock that may be wrong; and it gives up after `load_timeout`
/// (5 s in older versions of the SDK, about 22 s in newer ones), where this provider tries for 60 s.
/// With `IdentityCache::no_cache()` it asks for each request, which costs a copy of the credentials,
/// and all is as with `get`.
///
/// # Errors
///
/// | [`ErrorKind`] | `CredentialsError` |
/// |---|---|
/// | `Config` | `InvalidConfiguration` |
/// | `IdentityUnknown` | `CredentialsNotLoaded`, on which a chain asks its next provider |
/// | `Timeout` | `ProviderTimedOut`, with the `timeout` of the settings |
/// | `Reentrant` | `Unhandled` |
/// | any other | `ProviderError` |
///
/// The source is our [`Error`], but for a timeout, which has none:
/// [`status`](CognitoIdentityCredentials::status) tells more of it. `Unhandled` is also a transport or
/// token source that panicked, and a future that waited for a refresh before a fork and is polled in the
/// child. `ProviderError` is also a thread that the system does not grant.
impl ProvideCredentials for CognitoIdentityCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.provide())
    }

    /// The cached credentials for as long as they are alive, though `get` may not hand them out any
    /// more: for a client that has lost its patience.
    fn fallback_on_interrupt(&self) -> Option<SdkCredentials> {
        self.alive().map(Into::into)
    }
}

impl CognitoIdentityCredentials {
    async fn provide(&self) -> provider::Result {
        let failed = |error| refusal(error, self.timeout());
        let epoch = match self.next_action().map_err(failed)? {
            NextAction::ReturnCached(credentials) => return Ok(credentials.into()),
            NextAction::ReturnError(error) => return Err(failed(error)),
            NextAction::AdvisoryAttempt(credentials, epoch) => {
                if let Err(error) = self.get_elsewhere(epoch) {
                    log::warn!(
                        "the credentials are still valid, but no thread renews them: {error}"
                    );
                }
                return Ok(credentials.into());
            }
            NextAction::Refresh(epoch) => epoch,
        };
        match self.get_elsewhere(epoch).map_err(CredentialsError::provider_error)?.await {
            Some(result) => result.map(Into::into).map_err(failed),
            None => Err(CredentialsError::unhandled(
                "the thread that was to refresh panicked, or this process was forked from its process",
            )),
        }
    }
}

fn refusal(error: Error, timeout: Duration) -> CredentialsError {
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

    /// Each step brings the provider into a state of its own. What is to come is said, and then
    /// `get()` shows that it does come.
    #[test]
    fn what_get_will_do_is_known_before_it_does_it() {
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
        let later_in_vain = |seconds| {
            later(seconds);
            cognito.fail_next(OPERATION, 1, Fault::not_authorized("No."));
        };
        let steps: [(&str, &dyn Fn(), &str); 9] = [
            ("nothing is loaded", &|| {}, "load"),
            ("fresh", &|| {}, "value"),
            ("to be renewed, in vain", &|| later_in_vain(2701), "renewal"),
            ("a pause after that", &|| later(60), "value"),
            ("the pause is over", &|| later(600), "renewal"),
            ("called off", &|| credentials.expire(), "load"),
            ("over, in vain", &|| later_in_vain(3600), "load"),
            ("a refusal stands", &|| {}, "refusal"),
            ("it stands no longer", &|| later(5), "load"),
        ];
        for (state, step, expected) in steps {
            step();
            let (said, value) = match credentials.next_action().unwrap() {
                NextAction::ReturnCached(value) => ("value", Some(value)),
                NextAction::AdvisoryAttempt(value, _) => ("renewal", Some(value)),
                NextAction::ReturnError(_) => ("refusal", None),
                NextAction::Refresh(_) => ("load", None),
            };
            assert_eq!(said, expected, "{state}");
            let before = cognito.calls(OPERATION);
            let got = credentials.get();
            let contacts = cognito.calls(OPERATION) - before;
            assert_eq!(contacts, usize::from(matches!(said, "renewal" | "load")), "{state}");
            assert_eq!(got.is_err(), said == "refusal" || state == "over, in vain", "{state}");
            if said == "value" {
                assert_eq!(got.ok(), value, "{state}");
            }
        }
    }
}
