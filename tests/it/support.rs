//! A provider on the fakes, and answers made by hand.

use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cognito_identity_credentials::testing::{FakeCognito, ManualClock};
#[cfg(feature = "ureq")]
use cognito_identity_credentials::testing::{FakeServer, Fault};
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError,
};
use cognito_identity_credentials::{Builder, CognitoIdentityCredentials};

pub(crate) const POOL: &str = FakeCognito::POOL_ID;
pub(crate) const IDENTITY: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";
pub(crate) const GET_CREDENTIALS: &str = "GetCredentialsForIdentity";
pub(crate) const PROVIDER: &str = "accounts.google.com";

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A provider, its service and its time.
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

    /// How many times the service was asked for credentials.
    pub(crate) fn contacts(&self) -> usize {
        self.cognito.calls(GET_CREDENTIALS)
    }
}

/// The operation that a request is for.
pub(crate) fn operation(request: &HttpRequest) -> &str {
    let target = request.headers().iter().find(|(name, _)| name == "x-amz-target").unwrap();
    target.1.strip_prefix("AWSCognitoIdentityService.").unwrap()
}

/// An answer with credentials that live for an hour of the answer's own date.
pub(crate) fn issued(key: &str) -> HttpResponse {
    let body = format!(
        r#"{{"IdentityId": "{IDENTITY}", "Credentials": {{"AccessKeyId": "{key}",
        "SecretKey": "secret", "SessionToken": "token", "Expiration": 1767229200}}}}"#
    );
    HttpResponse::new(200, body).with_header("Date", "Thu, 01 Jan 2026 00:00:00 GMT")
}

/// A provider with a known identity whose every call gets `answer`.
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

/// Checks what a provider makes of `answer`: from memory, and over a real socket.
pub(crate) fn both(answer: HttpResponse, check: impl Fn(CognitoIdentityCredentials)) {
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

/// The headers that the library looks at.
pub(crate) const HEADERS: [&str; 6] = [
    "x-amzn-errortype",
    "x-amzn-errormessage",
    "retry-after",
    "x-amz-retry-after",
    "x-amzn-requestid",
    "date",
];

/// A command that runs a program of this machine's kind. Where the kernel cannot run those, the
/// variable `TEST_RUNNER` names the emulator, with its arguments, that runs the tests.
pub(crate) fn runnable(program: &Path) -> Command {
    let runner = std::env::var("TEST_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace();
    let Some(emulator) = words.next() else { return Command::new(program) };
    let mut command = Command::new(emulator);
    command.args(words).arg(program);
    command
}

/// Holds up the requests for credentials until the test lets them go, one by one.
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
    /// Waits for a request to arrive.
    pub(crate) fn await_request(&self) {
        self.arrived.recv_timeout(seconds(30)).expect("no request came");
    }

    /// Whether a request has arrived.
    #[cfg(feature = "aws-sdk")]
    pub(crate) fn has_request(&self) -> bool {
        self.arrived.try_recv().is_ok()
    }

    /// Lets one request pass, at once or when it comes.
    pub(crate) fn let_pass(&self) {
        self.release.send(()).unwrap();
    }
}
