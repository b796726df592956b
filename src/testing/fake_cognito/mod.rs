//! [`FakeCognito`]: Amazon Cognito Identity and a part of STS, in memory.
//!
//! * `service.rs` holds the identity pools and carries out their operations.
//! * `sts.rs` carries out `AssumeRoleWithWebIdentity`.
//! * `user_pool.rs` holds the user pool.
//! * `users.rs` has the public methods for the user pool.
//! * `tokens.rs` holds the login tokens and OpenID tokens that the service accepts.
//! * `request.rs` parses and records requests.
//! * `service_error.rs` has the errors that the service returns.
//! * `fault.rs` has the faults that a test schedules.

mod fault;
mod request;
mod service;
mod service_error;
mod sts;
mod tokens;
#[cfg(feature = "user-pool")]
mod user_pool;
#[cfg(feature = "user-pool")]
mod users;

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::json;
use zeroize::Zeroizing;

use super::fault_queue::FaultQueue;
use super::http;
use crate::clock::{Clock, SystemClock};
use crate::credentials::clamp_to_rfc3339;
use crate::developer::DeveloperIdentity;
use crate::transport::{HttpRequest, HttpResponse, Transport, TransportError};

use request::STS_OPERATION;
use service::ServiceState;
use service_error::ServiceError;

pub use fault::Fault;
pub use request::ReceivedRequest;

/// Simulates Amazon Cognito Identity in memory, with the part of STS that the classic flow needs.
/// It is a [`Transport`].
///
/// It behaves like the real service:
///
/// * `GetId` without logins creates a new guest each time.
/// * The same user always gets the same identity. A login of a new user is linked to the identity
///   in the request.
/// * If the login's user has another identity, the service merges the identity in the request into
///   it. The answer then has the user's identity ID, and the ID in the request is forbidden.
/// * Credentials live for one hour, OpenID tokens for ten minutes.
/// * Errors have the codes and messages of the service.
///
/// It records every request. [`fail_next`](Self::fail_next) schedules faults. A fault takes no
/// time: advance the clock if your test needs that.
///
/// It does not check `AccountId`, `CustomRoleArn`, roles or policies. Any text can be a login
/// token.
///
/// It starts with one pool that allows guests, [`POOL_ID`](Self::POOL_ID). Clones share one
/// service. The service's time starts at the wall time of the given clock, and then follows its
/// boot time. A change of the device's wall clock does not move it.
///
/// # Example
///
/// ```
/// use cognito_identity_credentials::CognitoIdentityCredentials;
/// use cognito_identity_credentials::testing::FakeCognito;
///
/// # fn main() -> Result<(), cognito_identity_credentials::Error> {
/// let cognito = FakeCognito::new();
/// cognito.set_guests(FakeCognito::POOL_ID, false);
/// cognito.accept_login("accounts.google.com", "token-of-ann", "ann");
///
/// let credentials = CognitoIdentityCredentials::builder()
///     .identity_pool_id(FakeCognito::POOL_ID)
///     .login("accounts.google.com", "token-of-ann")
///     .transport(cognito.clone())
///     .build()?;
/// credentials.get()?;
/// assert_eq!(cognito.requests()[1].operation(), "GetCredentialsForIdentity");
/// assert_eq!(cognito.requests()[1].login("accounts.google.com"), Some("token-of-ann"));
///
/// credentials.remove_login("accounts.google.com");
/// let error = credentials.refresh().unwrap_err();
/// assert_eq!(error.code(), Some("NotAuthorizedException"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FakeCognito {
    clock: Arc<dyn Clock>,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    /// The time of the service when the boot clock was at zero.
    epoch: SystemTime,
    state: ServiceState,
    faults: FaultQueue<Fault>,
    /// The time of `Date` headers minus the time of the service, in seconds.
    date_offset: i64,
    requests: Vec<ReceivedRequest>,
}

const OPERATIONS: [&str; 4] =
    ["GetId", "GetCredentialsForIdentity", "GetOpenIdToken", STS_OPERATION];

impl FakeCognito {
    /// The ID of the pool that exists from the start.
    ///
    /// See the [example](Self#example).
    pub const POOL_ID: &str = "us-east-1:00000000-0000-4000-8000-0000000000aa";

    /// Creates a service that uses the clock of the system.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// Creates a service that uses this clock, usually a [`ManualClock`](super::ManualClock).
    ///
    /// See the [example](crate::testing).
    #[must_use]
    pub fn with_clock(clock: impl Clock + 'static) -> Self {
        let shared = Shared {
            epoch: clock.wall() - clock.boot(),
            state: ServiceState::new(),
            faults: FaultQueue::new(),
            date_offset: 0,
            requests: Vec::new(),
        };
        let cognito = Self { clock: Arc::new(clock), shared: Arc::new(Mutex::new(shared)) };
        cognito.add_pool(Self::POOL_ID);
        cognito
    }

    /// Adds a pool that allows guests. The ID must begin with the region and a colon.
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    /// use cognito_identity_credentials::testing::FakeCognito;
    ///
    /// let pool = "eu-west-1:00000000-0000-4000-8000-0000000000bb";
    /// let cognito = FakeCognito::new();
    /// cognito.add_pool(pool);
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id(pool)
    ///     .transport(cognito.clone())
    ///     .build()?;
    /// credentials.get()?;
    /// assert_eq!((cognito.calls("GetId"), cognito.identities()), (1, 1));
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn add_pool(&self, pool_id: impl Into<String>) {
        self.lock().state.pools.insert(pool_id.into(), true);
    }

    /// Turns guest access of a pool on or off.
    ///
    /// See the [example](Self#example).
    ///
    /// # Panics
    ///
    /// If there is no such pool.
    pub fn set_guests(&self, pool_id: &str, allowed: bool) {
        let pools = &mut self.lock().state.pools;
        assert!(pools.contains_key(pool_id), "there is no pool {pool_id}");
        pools.insert(pool_id.to_owned(), allowed);
    }

    /// Accepts `token` as a token of `provider` for `user`. A user may have several tokens.
    ///
    /// See the [example](Self#example).
    pub fn accept_login(
        &self,
        provider: impl Into<String>,
        token: impl Into<String>,
        user: impl Into<String>,
    ) {
        self.lock().state.logins.accept(provider.into(), token.into(), user.into(), None);
    }

    /// Makes a login token expire now.
    ///
    /// See the example of [`needs_sign_in`](crate::Error::needs_sign_in).
    ///
    /// # Panics
    ///
    /// If the token was never [accepted](Self::accept_login).
    pub fn expire_login(&self, provider: &str, token: &str) {
        let was_accepted = self.lock().state.logins.expire(provider, token);
        assert!(was_accepted, "no such token of {provider} was ever accepted");
    }

    /// Returns an identity ID and a token, as a developer's backend gets them from
    /// `GetOpenIdTokenForDeveloperIdentity`. A user always has the same identity. The token lives
    /// for ten minutes.
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    /// use cognito_identity_credentials::testing::FakeCognito;
    ///
    /// let cognito = FakeCognito::new();
    /// let backend = cognito.clone();
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id(FakeCognito::POOL_ID)
    ///     .developer_identity(move || Ok(backend.developer_identity(FakeCognito::POOL_ID, "ann")))
    ///     .transport(cognito)
    ///     .build()?;
    /// credentials.get()?; // Ann's
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If there is no such pool.
    #[must_use]
    pub fn developer_identity(&self, pool_id: &str, user: &str) -> DeveloperIdentity {
        let now = self.now();
        let state = &mut self.lock().state;
        assert!(state.pools.contains_key(pool_id), "there is no pool {pool_id}");
        let (id, token) = state.developer_identity(pool_id, user, now);
        DeveloperIdentity::new(id, token)
    }

    /// Disables an identity, as a merge does. Its ID is forbidden from now on.
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    /// use cognito_identity_credentials::testing::FakeCognito;
    ///
    /// let cognito = FakeCognito::new();
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id(FakeCognito::POOL_ID)
    ///     .transport(cognito.clone())
    ///     .build()?;
    /// let old = credentials.get()?.identity_id().map(str::to_owned).unwrap();
    ///
    /// cognito.disable_identity(&old);
    /// let new = credentials.refresh()?.identity_id().map(str::to_owned).unwrap();
    /// assert_ne!(new, old); // a new guest
    /// cognito.delete_identity(&new);
    /// assert_ne!(credentials.refresh()?.identity_id(), Some(&*new)); // the next one
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If there is no such identity.
    pub fn disable_identity(&self, identity_id: &str) {
        let identities = &mut self.lock().state.identities;
        let disabled = identities.get_mut(identity_id).map(|identity| identity.enabled = false);
        assert!(disabled.is_some(), "there is no such identity");
    }

    /// Deletes an identity. Its ID is unknown from now on.
    ///
    /// See the [example](Self::disable_identity).
    pub fn delete_identity(&self, identity_id: &str) {
        self.lock().state.identities.remove(identity_id);
    }

    /// Sets the lifetime of credentials that are issued from now on. Default: one hour.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cognito_identity_credentials::{Clock, CognitoIdentityCredentials};
    /// use cognito_identity_credentials::testing::{FakeCognito, ManualClock};
    ///
    /// let clock = ManualClock::new();
    /// let cognito = FakeCognito::with_clock(clock.clone());
    /// cognito.set_lifetime(Duration::from_secs(15 * 60));
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id(FakeCognito::POOL_ID)
    ///     .transport(cognito.clone())
    ///     .clock(clock.clone())
    ///     .build()?;
    /// credentials.get()?;
    /// clock.advance(Duration::from_secs(15 * 60));
    /// assert!(credentials.needs_refresh());
    ///
    /// let end = clock.wall() + Duration::from_secs(20 * 60);
    /// cognito.set_expiration(Some(end));
    /// assert_eq!(credentials.get()?.expiration(), end);
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.lock().state.lifetime = lifetime;
    }

    /// Sets the `Expiration` of credentials that are issued from now on, in place of their
    /// lifetime. It may be in the past. Default: `None`.
    ///
    /// See the [example](Self::set_lifetime).
    pub fn set_expiration(&self, expiration: Option<SystemTime>) {
        self.lock().state.expiration = expiration;
    }

    /// Sets how many seconds every `Date` header is ahead of the service's time. A negative number
    /// sets it back. `Expiration` does not change. Default: 0.
    ///
    /// See the [example](Self::set_time).
    pub fn set_date_offset(&self, seconds: i64) {
        self.lock().date_offset = seconds;
    }

    /// Sets the service's own clock.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    /// use cognito_identity_credentials::testing::{FakeCognito, ManualClock};
    ///
    /// // The clock of the device starts in 1970. The service knows the time.
    /// let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
    /// let cognito = FakeCognito::with_clock(clock.clone());
    /// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    /// cognito.set_time(now);
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id(FakeCognito::POOL_ID)
    ///     .transport(cognito.clone())
    ///     .clock(clock)
    ///     .build()?;
    /// credentials.get()?;
    /// assert_eq!(credentials.service_time(), Some(now));
    ///
    /// cognito.set_date_offset(30 * 60); // the library trusts the `Date` of the answers
    /// credentials.refresh()?;
    /// assert_eq!(credentials.service_time(), Some(now + Duration::from_secs(30 * 60)));
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn set_time(&self, time: SystemTime) {
        let boot = self.clock.boot();
        self.lock().epoch = time - boot;
    }

    /// Makes `fault` happen to the next `times` requests for `operation`. Faults that were
    /// scheduled earlier for the same operation happen first. With `usize::MAX`, requests fail
    /// until [`clear_faults`](Self::clear_faults).
    ///
    /// ```
    /// use cognito_identity_credentials::{CognitoIdentityCredentials, ErrorKind};
    /// use cognito_identity_credentials::testing::{FakeCognito, Fault};
    ///
    /// # fn main() -> Result<(), cognito_identity_credentials::Error> {
    /// let cognito = FakeCognito::new();
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id(FakeCognito::POOL_ID)
    ///     .transport(cognito.clone())
    ///     .max_attempts(1)
    ///     .build()?;
    /// cognito.fail_next("GetId", usize::MAX, Fault::throttled().with_header("retry-after", "60"));
    /// assert_eq!(credentials.get().unwrap_err().kind(), ErrorKind::Throttled);
    /// cognito.clear_faults();
    /// assert!(credentials.get().is_err()); // the service asked for a pause of one minute
    /// assert_eq!(cognito.calls("GetId"), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If the service has no such operation.
    pub fn fail_next(&self, operation: &str, times: usize, fault: Fault) {
        #[cfg(feature = "user-pool")]
        let operations = [OPERATIONS.as_slice(), user_pool::OPERATIONS].concat();
        #[cfg(not(feature = "user-pool"))]
        let operations = OPERATIONS;
        self.lock().faults.push(&operations, operation, times, fault);
    }

    /// Removes all faults that have not happened yet.
    ///
    /// See the [example](Self::fail_next).
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// Answers the HTTP/1.1 requests that arrive on `connection`. Blocks until the client closes
    /// the connection. Returns earlier after a malformed request, after a request with
    /// `connection: close`, or after a fault that breaks the connection.
    ///
    /// Use it in your own server, for example one with TLS. [`FakeServer`](super::FakeServer) has
    /// no TLS.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::net::{TcpListener, TcpStream};
    /// use cognito_identity_credentials::testing::FakeCognito;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let address = listener.local_addr()?;
    /// let server = std::thread::spawn(move || FakeCognito::new().serve(listener.accept()?.0));
    ///
    /// let mut client = TcpStream::connect(address)?;
    /// client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    /// let mut answer = String::new();
    /// client.read_to_string(&mut answer)?;
    /// assert!(answer.starts_with("HTTP/1.1 404 ")); // each operation is a POST request
    /// server.join().unwrap()
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the connection fails.
    pub fn serve(&self, connection: impl Read + Write) -> io::Result<()> {
        http::serve(connection, |request| {
            if request.method != "POST" {
                let number = self.lock().requests.len();
                let body = "<UnknownOperationException/>".to_owned();
                return Ok(response(number, 404, Some(self.now()), body));
            }
            let http::Request { target, headers, body, .. } = request;
            let request = HttpRequest::new(&target, headers, Zeroizing::new(body));
            self.send(&request).map_err(|error| error.kind())
        })
    }

    /// Returns every request so far, in order, including failed ones.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.lock().requests.clone()
    }

    /// Returns the number of requests for `operation` so far.
    ///
    /// See the [example](Self::add_pool).
    #[must_use]
    pub fn calls(&self, operation: &str) -> usize {
        self.lock().requests.iter().filter(|request| request.operation == operation).count()
    }

    /// Returns the number of identities, including disabled ones.
    ///
    /// See the [example](Self::add_pool).
    #[must_use]
    pub fn identities(&self) -> usize {
        self.lock().state.identities.len()
    }

    /// Returns the service's time.
    fn now(&self) -> SystemTime {
        let boot = self.clock.boot();
        self.lock().epoch + boot
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for FakeCognito {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FakeCognito {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeCognito")
            .field("identities", &self.identities())
            .finish_non_exhaustive()
    }
}

impl Transport for FakeCognito {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let now = self.now();
        let request = ReceivedRequest::new(request);
        let shared = &mut *self.lock();
        shared.requests.push(request.clone());

        let fault = shared.faults.next(&request.operation, |_| true);
        shared.answer(&request, fault, now)
    }
}

impl Shared {
    fn answer(
        &mut self,
        request: &ReceivedRequest,
        fault: Option<Fault>,
        now: SystemTime,
    ) -> Result<HttpResponse, TransportError> {
        let lost = |kind| Err(TransportError::new(kind, "a fault that the test asked for"));
        let number = self.requests.len();
        let offset = Duration::from_secs(self.date_offset.unsigned_abs());
        let mut date =
            if self.date_offset < 0 { now.checked_sub(offset) } else { now.checked_add(offset) };
        let mut identity_id = None;
        match fault {
            None => {}
            Some(Fault::Date(header)) => date = header,
            Some(Fault::IdentityId(id)) => identity_id = Some(id),
            Some(Fault::WithHeader { fault, name, value }) => {
                let answer = self.answer(request, Some(*fault), now)?;
                return Ok(answer.with_header(name, value));
            }
            Some(Fault::NoAnswer(kind)) => return lost(kind),
            Some(Fault::AnswerLost(kind)) => {
                let _carried_out = self.state.answer(request, now);
                return lost(kind);
            }
            Some(Fault::Raw { status, body }) => return Ok(HttpResponse::new(status, body)),
            Some(Fault::Error { status, code, message }) => {
                let body = error_document(request, &code, &message);
                return Ok(response(number, status, date, body));
            }
        }
        let (status, body) = match (self.state.answer(request, now), identity_id) {
            (Ok(body), Some(id)) => (200, self.state.with_identity(body, &id)),
            (Ok(body), None) => (200, body),
            (Err(ServiceError(code, message)), _) => (400, error_document(request, code, &message)),
        };
        Ok(response(number, status, date, body))
    }
}

fn error_document(request: &ReceivedRequest, code: &str, message: &str) -> String {
    if request.form_field("Action").is_some() {
        return sts::error_document(code, message);
    }
    json!({ "__type": code, "message": message }).to_string()
}

fn response(number: usize, status: u16, date: Option<SystemTime>, body: String) -> HttpResponse {
    let response = HttpResponse::new(status, body)
        .with_header("x-amzn-requestid", format!("request-{number}"));
    match date {
        // `fmt_http_date` panics for a date after the year 9999 or before 1970.
        Some(date) => response.with_header("date", httpdate::fmt_http_date(clamp_to_rfc3339(date))),
        None => response,
    }
}
