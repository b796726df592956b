//! Providers with fakes, and single answers.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cognito_identity_credentials::testing::{FakeCognito, ManualClock};
#[cfg(feature = "ureq")]
use cognito_identity_credentials::testing::{FakeServer, Fault};
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError,
};
use cognito_identity_credentials::{Builder, CognitoIdentityCredentials};

pub(crate) use ids::{IDENTITY, POOL, PROVIDER, ROLE};

#[path = "../support/ids.rs"]
mod ids;

pub(crate) const GET_CREDENTIALS: &str = "GetCredentialsForIdentity";

/// Returns a JWT with this payload.
pub(crate) fn jwt(payload: &str) -> String {
    format!("eyJhbGciOiJSUzI1NiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A provider with a fake service and a clock that the test moves.
pub(crate) struct Stage {
    pub(crate) clock: ManualClock,
    pub(crate) cognito: FakeCognito,
    pub(crate) credentials: CognitoIdentityCredentials,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(settings: impl FnOnce(Builder) -> Builder) -> Self {
        Self::on(ManualClock::new(), settings)
    }

    pub(crate) fn on(clock: ManualClock, settings: impl FnOnce(Builder) -> Builder) -> Self {
        let cognito = FakeCognito::with_clock(clock.clone());
        let builder = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .transport(cognito.clone())
            .clock(clock.clone());
        Self { clock, cognito, credentials: settings(builder).build().unwrap() }
    }

    /// Returns how many calls for credentials the service received.
    pub(crate) fn contacts(&self) -> usize {
        self.cognito.calls(GET_CREDENTIALS)
    }
}

/// Returns the operation of a request.
pub(crate) fn operation(request: &HttpRequest) -> &str {
    let target = request.headers().iter().find(|(name, _)| name == "x-amz-target");
    target.map_or("AssumeRoleWithWebIdentity", |(_, target)| {
        target.strip_prefix("AWSCognitoIdentityService.").unwrap()
    })
}

/// Returns an answer with credentials that expire an hour after its `Date`.
pub(crate) fn issued(key: &str) -> HttpResponse {
    let body = format!(
        r#"{{"IdentityId": "{IDENTITY}", "Credentials": {{"AccessKeyId": "{key}",
        "SecretKey": "secret", "SessionToken": "token", "Expiration": 1767229200}}}}"#
    );
    HttpResponse::new(200, body).with_header("Date", "Thu, 01 Jan 2026 00:00:00 GMT")
}

/// The body of an answer with credentials that expired in 1970.
pub(crate) const EXPIRED: &str = r#"{"Credentials": {"AccessKeyId": "ASIAEXPIRED",
    "SecretKey": "s", "SessionToken": "t", "Expiration": 1}}"#;

/// Returns a provider with a known identity. The transport answers each call with `answer`.
pub(crate) fn answering(
    answer: impl Fn(&HttpRequest) -> Result<HttpResponse, TransportError> + Send + Sync + 'static,
) -> CognitoIdentityCredentials {
    CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .identity_id(IDENTITY)
        .transport(answer)
        .clock(ManualClock::new())
        .max_attempts(1)
        .failure_cooldown(Duration::ZERO)
        .build()
        .unwrap()
}

/// Checks how a provider handles `answer`, first over a socket, then without one.
pub(crate) fn with_and_without_socket(
    answer: HttpResponse,
    check: impl Fn(CognitoIdentityCredentials),
) {
    #[cfg(feature = "ureq")]
    {
        let cognito = FakeCognito::new();
        let mut fault = Fault::raw(answer.status(), std::str::from_utf8(answer.body()).unwrap());
        for name in HEADERS {
            if let Some(value) = answer.header(name) {
                fault = fault.with_header(name, value);
            }
        }
        cognito.fail_next(GET_CREDENTIALS, 1, fault);
        let server = FakeServer::start(cognito.clone()).unwrap();
        let settings = CognitoIdentityCredentials::builder()
            .endpoint_url(server.url())
            .identity_id(IDENTITY)
            .max_attempts(1)
            .clock(ManualClock::new());
        check(settings.build().unwrap());
        assert_eq!(cognito.requests().len(), 1);
    }
    check(answering(move |_| Ok(answer.clone())));
}

/// The headers that the library reads.
pub(crate) const HEADERS: [&str; 6] = [
    "x-amzn-errortype",
    "x-amzn-errormessage",
    "retry-after",
    "x-amz-retry-after",
    "x-amzn-requestid",
    "date",
];

pub(crate) use emulator::runnable;

#[path = "../support/emulator.rs"]
mod emulator;

/// Returns a command that runs one test of this program in another process.
#[cfg(feature = "ureq")]
pub(crate) fn this_test_again(test: &str) -> std::process::Command {
    let mut command = runnable(&std::env::current_exe().unwrap());
    command.args(["--nocapture", "--exact", test]);
    command
}

/// Returns settings for a service at this URL that answers with the date of a new `ManualClock`.
#[cfg(feature = "ureq")]
pub(crate) fn at(url: &str) -> Builder {
    CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .endpoint_url(url)
        .clock(ManualClock::new())
}

/// A transport that holds each request for credentials until the test lets it pass.
pub(crate) struct Gate {
    inner: Arc<dyn Transport>,
    arrived: Sender<()>,
    released: Mutex<Receiver<()>>,
}

/// The test's side of a [`Gate`].
pub(crate) struct Gatekeeper {
    arrived: Receiver<()>,
    release: Sender<()>,
}

impl Gate {
    pub(crate) fn before(inner: impl Transport + 'static) -> (Self, Gatekeeper) {
        let (arrived, arrivals) = channel();
        let (release, released) = channel();
        let gate = Self { inner: Arc::new(inner), arrived, released: Mutex::new(released) };
        (gate, Gatekeeper { arrived: arrivals, release })
    }
}

impl Transport for Gate {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        if operation(request) == GET_CREDENTIALS {
            self.arrived.send(()).unwrap();
            self.released.lock().unwrap().recv().unwrap();
        }
        self.inner.send(request)
    }
}

impl Gatekeeper {
    /// Waits until a request arrives.
    pub(crate) fn await_request(&self) {
        self.arrived.recv_timeout(seconds(30)).expect("no request arrived");
    }

    /// Returns `true` if a request has arrived.
    #[cfg(feature = "aws-sdk")]
    pub(crate) fn has_request(&self) -> bool {
        self.arrived.try_recv().is_ok()
    }

    /// Lets one request pass, now or when it arrives.
    pub(crate) fn let_pass(&self) {
        self.release.send(()).unwrap();
    }
}
