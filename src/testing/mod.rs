//! Fakes for unit tests of programs that use this crate (feature `testing`).
//!
//! * [`FakeCognito`] is the service in memory: a [`Transport`](crate::transport::Transport) that
//!   creates identities, checks logins and returns the service's own errors. [`Fault`] makes a
//!   request fail, and [`ReceivedRequest`] shows what the library sent.
//! * [`FakeServer`] serves a [`FakeCognito`] over HTTP on loopback, for tests of whole programs.
//! * [`FaultyStorage`] is a storage that fails when the test says so.
//! * [`ManualClock`] is a clock that the test moves.
//! * [`seed_delays`] makes random delays repeatable. [`http_request`] makes a request to test a
//!   transport with.
//!
//! With [`FakeCognito`] and [`ManualClock`], a test of one hour takes milliseconds. It opens no
//! socket and has the same result each time:
//!
//! ```
//! use std::time::Duration;
//! use cognito_identity_credentials::{CognitoIdentityCredentials, ErrorKind};
//! use cognito_identity_credentials::testing::{FakeCognito, Fault, ManualClock};
//!
//! # fn main() -> Result<(), cognito_identity_credentials::Error> {
//! let clock = ManualClock::new();
//! let cognito = FakeCognito::with_clock(clock.clone());
//! let credentials = CognitoIdentityCredentials::builder()
//!     .identity_pool_id(FakeCognito::POOL_ID)
//!     .transport(cognito.clone())
//!     .clock(clock.clone())
//!     .build()?;
//!
//! let first = credentials.get()?;
//! clock.advance(Duration::from_secs(50 * 60)); // 10 of 60 minutes are left
//! cognito.fail_next("GetCredentialsForIdentity", 1, Fault::throttled());
//! assert_eq!(credentials.get()?, first); // still valid, so `get` does not fail
//! assert_eq!(credentials.status().last_error.unwrap().kind(), ErrorKind::Throttled);
//!
//! clock.advance(Duration::from_secs(10 * 60));
//! assert_ne!(credentials.get()?, first); // expired, so `get` returns new ones
//! assert_eq!(cognito.calls("GetId"), 1); // for the same identity
//! # Ok(())
//! # }
//! ```

mod fake_cognito;
mod fake_server;
mod fault_queue;
mod faulty_storage;
mod http;
mod manual_clock;

use std::time::Duration;

use zeroize::Zeroizing;

use crate::random;
use crate::transport::HttpRequest;

pub use fake_cognito::{FakeCognito, Fault, ReceivedRequest};
pub use fake_server::FakeServer;
pub use faulty_storage::FaultyStorage;
pub use manual_clock::ManualClock;

/// Seeds the random delays of this thread, so that they are the same in each run.
///
/// These are the delays between two attempts, and the [wait](crate::Status::next_attempt_in) before
/// the next refresh after a failure.
///
/// ```
/// use cognito_identity_credentials::CognitoIdentityCredentials;
/// use cognito_identity_credentials::testing::{FakeCognito, Fault, ManualClock, seed_delays};
///
/// let delays = |seed| {
///     seed_delays(seed);
///     let (cognito, clock) = (FakeCognito::new(), ManualClock::new());
///     let credentials = CognitoIdentityCredentials::builder()
///         .identity_pool_id(FakeCognito::POOL_ID)
///         .transport(cognito.clone())
///         .clock(clock.clone())
///         .build()
///         .unwrap();
///     cognito.fail_next("GetId", 2, Fault::throttled());
///     credentials.get().unwrap();
///     clock.sleeps()
/// };
/// assert_eq!(delays(7), delays(7));
/// assert_ne!(delays(7), delays(8));
/// ```
pub fn seed_delays(seed: u64) {
    random::seed(seed);
}

/// Creates a request, so that you can test your own transport. Write the names of headers in lower
/// case, as the library does.
///
/// ```
/// use std::time::Duration;
/// use cognito_identity_credentials::testing::{FakeCognito, http_request};
/// use cognito_identity_credentials::transport::Transport;
///
/// let headers = [("x-amz-target", "AWSCognitoIdentityService.GetId")];
/// let body = format!(r#"{{"IdentityPoolId": "{}"}}"#, FakeCognito::POOL_ID);
/// let request = http_request("https://localhost/", headers, body, Duration::from_secs(1));
/// assert_eq!(FakeCognito::new().send(&request).unwrap().status(), 200);
/// ```
pub fn http_request<N: Into<String>, V: Into<String>>(
    url: &str,
    headers: impl IntoIterator<Item = (N, V)>,
    body: impl Into<Vec<u8>>,
    timeout: Duration,
) -> HttpRequest {
    let headers = headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let mut request = HttpRequest::new(url, headers, Zeroizing::new(body.into()));
    request.set_timeout(timeout);
    request
}
