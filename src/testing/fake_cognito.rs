//! Amazon Cognito Identity and the one operation of STS, in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::json;

use crate::clock::{Clock, SystemClock};
use crate::credentials::clamp_to_rfc3339;
use crate::developer::DeveloperIdentity;
use crate::service::cognito_identity::Id;
use crate::transport::{HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind};

/// An Amazon Cognito Identity service in memory, and the part of STS that the classic flow needs, which
/// is a [`Transport`].
///
/// It behaves as the service does: `GetId` without logins mints a new guest each time; the same
/// login always leads to the same identity; a login that nobody owns is linked to the identity it
/// comes with; one that belongs to another identity merges the two, after which the old ID is
/// forbidden and the answer carries the other; credentials live for an hour; refusals have the
/// service's codes and texts. Every request is recorded, and faults come on demand.
///
/// It does not judge `AccountId`, `CustomRoleArn`, roles and policies, and takes any text as a token
/// that it was told to accept. OpenID tokens of its own live for ten minutes. No fault passes time by itself: advance the clock where that matters.
///
/// It starts with one pool, [`POOL_ID`](Self::POOL_ID), that allows guests. Clones share one
/// service. The service's clock starts with the given clock's wall time and then goes by its boot
/// time: nothing that happens to the device's wall clock moves it.
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
    service: Arc<Mutex<Service>>,
}

pub(super) struct Service {
    /// The service's time at boot time zero.
    epoch: SystemTime,
    lifetime: Duration,
    pools: BTreeMap<String, Pool>,
    pub(super) logins: BTreeMap<(String, String), Login>,
    identities: BTreeMap<String, Identity>,
    open_id_tokens: BTreeMap<String, OpenIdToken>,
    faults: Vec<(String, Fault)>,
    requests: Vec<ReceivedRequest>,
    pub(super) serial: u64,
    #[cfg(feature = "user-pool")]
    pub(super) user_pool: super::user_pool::UserPool,
}

struct Pool {
    guests: bool,
}

pub(super) struct Login {
    pub(super) user: String,
    pub(super) expired: bool,
    /// `None` where it ends by [`FakeCognito::expire_login`] alone.
    pub(super) end: Option<SystemTime>,
}

struct OpenIdToken {
    identity: String,
    end: SystemTime,
}

struct Identity {
    pool: String,
    /// Provider and user.
    owners: BTreeSet<(String, String)>,
    enabled: bool,
}

/// What a request to the service carried. `Debug` shows no token and no identity ID.
#[derive(Clone)]
pub struct ReceivedRequest {
    operation: String,
    input: Input,
    /// What STS was sent, in order.
    form: Vec<(String, String)>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Input {
    identity_pool_id: Option<String>,
    identity_id: Option<String>,
    account_id: Option<String>,
    custom_role_arn: Option<String>,
    logins: BTreeMap<String, String>,
    #[cfg(feature = "user-pool")]
    pub(super) auth_flow: Option<String>,
    #[cfg(feature = "user-pool")]
    pub(super) auth_parameters: BTreeMap<String, String>,
    #[cfg(feature = "user-pool")]
    pub(super) client_id: Option<String>,
    #[cfg(feature = "user-pool")]
    pub(super) client_secret: Option<String>,
    #[cfg(feature = "user-pool")]
    refresh_token: Option<String>,
}

#[cfg(feature = "user-pool")]
impl Input {
    /// Where the operation has it.
    pub(super) fn refresh_token(&self) -> Option<&str> {
        let parameter = self.auth_parameters.get("REFRESH_TOKEN");
        self.refresh_token.as_ref().or(parameter).map(String::as_str)
    }
}

impl ReceivedRequest {
    /// The operation, such as `GetId`.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// `IdentityPoolId`, if it was sent.
    #[must_use]
    pub fn identity_pool_id(&self) -> Option<&str> {
        self.input.identity_pool_id.as_deref()
    }

    /// `IdentityId`, if it was sent.
    #[must_use]
    pub fn identity_id(&self) -> Option<&str> {
        self.input.identity_id.as_deref()
    }

    /// `AccountId`, if it was sent.
    #[must_use]
    pub fn account_id(&self) -> Option<&str> {
        self.input.account_id.as_deref()
    }

    /// `CustomRoleArn`, if it was sent.
    #[must_use]
    pub fn custom_role_arn(&self) -> Option<&str> {
        self.input.custom_role_arn.as_deref()
    }

    /// A field of a request to STS, such as `RoleSessionName` or `PolicyArns.member.1.arn`.
    #[must_use]
    pub fn form_field(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The names of the fields of a request to STS, in order.
    pub fn form_fields(&self) -> impl Iterator<Item = &str> {
        self.form.iter().map(|(key, _)| key.as_str())
    }

    /// The providers' names in `Logins`.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.input.logins.keys().map(String::as_str)
    }

    /// The token that was sent for a provider.
    #[must_use]
    pub fn login(&self, provider: &str) -> Option<&str> {
        self.input.logins.get(provider).map(String::as_str)
    }

    /// The refresh token that was sent to the user pool (feature `user-pool`).
    #[cfg(feature = "user-pool")]
    #[must_use]
    pub fn refresh_token(&self) -> Option<&str> {
        self.input.refresh_token()
    }

    /// A parameter of `InitiateAuth`, such as `SECRET_HASH` (feature `user-pool`).
    #[cfg(feature = "user-pool")]
    #[must_use]
    pub fn auth_parameter(&self, name: &str) -> Option<&str> {
        self.input.auth_parameters.get(name).map(String::as_str)
    }
}

impl fmt::Debug for ReceivedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedRequest")
            .field("operation", &self.operation)
            .field("providers", &self.input.logins.keys())
            .finish_non_exhaustive()
    }
}

/// What happens to a request instead of what would have happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The service answers with an error: as JSON, or from STS as XML.
    #[non_exhaustive]
    Error {
        /// The HTTP status.
        status: u16,
        /// The code.
        code: String,
        /// The text.
        message: String,
    },
    /// Somebody answers with this status and body.
    #[non_exhaustive]
    Raw {
        /// The HTTP status.
        status: u16,
        /// The body.
        body: String,
    },
    /// There is no answer.
    NoAnswer(TransportErrorKind),
    /// The service carries the request out, but the answer is lost.
    AnswerLost(TransportErrorKind),
    /// The service carries the request out, and its answer has this `Date` header, or none.
    Date(Option<SystemTime>),
}

impl Fault {
    /// `TooManyRequestsException`.
    #[must_use]
    pub fn throttled() -> Self {
        Self::error(429, "TooManyRequestsException", "Rate exceeded")
    }

    /// `InternalErrorException` with status 500.
    #[must_use]
    pub fn internal_error() -> Self {
        Self::error(500, "InternalErrorException", "Internal failure")
    }

    /// `NotAuthorizedException` with this text.
    #[must_use]
    pub fn not_authorized(message: impl Into<String>) -> Self {
        Self::error(400, "NotAuthorizedException", message)
    }

    /// An error of the service.
    #[must_use]
    pub fn error(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Error { status, code: code.into(), message: message.into() }
    }

    /// An answer of somebody else, such as the page of a captive portal.
    #[must_use]
    pub fn raw(status: u16, body: impl Into<String>) -> Self {
        Self::Raw { status, body: body.into() }
    }

    /// No answer in time.
    #[must_use]
    pub fn timeout() -> Self {
        Self::NoAnswer(TransportErrorKind::Timeout)
    }
}

/// What the fake answers.
const OPERATIONS: [&str; 4] =
    ["GetId", "GetCredentialsForIdentity", "GetOpenIdToken", STS_OPERATION];
const USER_POOL_OPERATIONS: &[&str] =
    if cfg!(feature = "user-pool") { &["InitiateAuth", "GetTokensFromRefreshToken"] } else { &[] };
const STS_OPERATION: &str = "AssumeRoleWithWebIdentity";

/// How long an OpenID token lives.
const TOKEN_LIFETIME: Duration = Duration::from_secs(600);

impl FakeCognito {
    /// The pool that is there from the start.
    pub const POOL_ID: &str = "us-east-1:00000000-0000-4000-8000-0000000000aa";

    /// A service that goes by the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// A service that goes by this clock, usually a [`ManualClock`](super::ManualClock).
    #[must_use]
    pub fn with_clock(clock: impl Clock + 'static) -> Self {
        let service = Service {
            epoch: clock.wall() - clock.boot(),
            lifetime: Duration::from_secs(3600),
            pools: BTreeMap::from([(Self::POOL_ID.to_owned(), Pool { guests: true })]),
            logins: BTreeMap::new(),
            identities: BTreeMap::new(),
            open_id_tokens: BTreeMap::new(),
            faults: Vec::new(),
            requests: Vec::new(),
            serial: 0,
            #[cfg(feature = "user-pool")]
            user_pool: super::user_pool::UserPool::default(),
        };
        Self { clock: Arc::new(clock), service: Arc::new(Mutex::new(service)) }
    }

    /// Adds a pool that allows guests. Its ID begins with its region.
    pub fn add_pool(&self, pool_id: impl Into<String>) {
        self.service().pools.insert(pool_id.into(), Pool { guests: true });
    }

    /// Turns guest access of a pool on or off.
    ///
    /// # Panics
    ///
    /// If there is no such pool.
    pub fn set_guests(&self, pool_id: &str, allowed: bool) {
        let mut service = self.service();
        let pool = service.pools.get_mut(pool_id);
        assert!(pool.is_some(), "there is no pool {pool_id}");
        if let Some(pool) = pool {
            pool.guests = allowed;
        }
    }

    /// Makes `token` a valid token of `provider` for `user`. The same user may have several.
    pub fn accept_login(
        &self,
        provider: impl Into<String>,
        token: impl Into<String>,
        user: impl Into<String>,
    ) {
        let login = Login { user: user.into(), expired: false, end: None };
        self.service().logins.insert((provider.into(), token.into()), login);
    }

    /// Lets a token expire.
    ///
    /// # Panics
    ///
    /// If the token was never [accepted](Self::accept_login).
    pub fn expire_login(&self, provider: &str, token: &str) {
        let mut service = self.service();
        let login = service.logins.get_mut(&(provider.into(), token.into()));
        assert!(login.is_some(), "no such token of {provider} was ever accepted");
        if let Some(login) = login {
            login.expired = true;
        }
    }

    /// What the maker's backend gets from `GetOpenIdTokenForDeveloperIdentity` for its user: always
    /// the same identity of the pool, and a fresh token that lives for ten minutes.
    ///
    /// # Panics
    ///
    /// If there is no such pool.
    #[must_use]
    pub fn developer_identity(&self, pool_id: &str, user: &str) -> DeveloperIdentity {
        let boot = self.clock.boot();
        let mut service = self.service();
        assert!(service.pools.contains_key(pool_id), "there is no pool {pool_id}");
        let owner = ("developer".to_owned(), user.to_owned());
        let owners = BTreeSet::from([owner.clone()]);
        let known = service.identities_of(pool_id, &owners).into_iter().next();
        let id = known.unwrap_or_else(|| service.mint(pool_id));
        if let Some(identity) = service.identities.get_mut(&id) {
            identity.owners.insert(owner);
        }
        let end = service.epoch + boot + TOKEN_LIFETIME;
        let token = service.open_id_token(&id, end);
        DeveloperIdentity::new(id, token)
    }

    /// Disables an identity, as a merge does: its ID is forbidden from now on.
    ///
    /// # Panics
    ///
    /// If there is no such identity.
    pub fn disable_identity(&self, identity_id: &str) {
        let mut service = self.service();
        let identity = service.identities.get_mut(identity_id);
        assert!(identity.is_some(), "there is no such identity");
        if let Some(identity) = identity {
            identity.enabled = false;
        }
    }

    /// Deletes an identity: its ID is unknown from now on.
    pub fn delete_identity(&self, identity_id: &str) {
        self.service().identities.remove(identity_id);
    }

    /// Sets how long the credentials that are issued from now on live. Default: one hour.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.service().lifetime = lifetime;
    }

    /// Sets the service's own clock.
    pub fn set_time(&self, time: SystemTime) {
        let boot = self.clock.boot();
        self.service().epoch = time - boot;
    }

    /// Lets `fault` happen to the next `times` requests for `operation`, after those that were
    /// ordered before.
    ///
    /// # Panics
    ///
    /// If the service has no such operation.
    pub fn fail_next(&self, operation: &str, times: usize, fault: Fault) {
        let known = [OPERATIONS.as_slice(), USER_POOL_OPERATIONS].concat();
        assert!(known.contains(&operation), "{operation} is none of {known:?}");
        let fault = (operation.to_owned(), fault);
        self.service().faults.extend(std::iter::repeat_n(fault, times));
    }

    /// Every request so far, in order, also those that failed.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.service().requests.clone()
    }

    /// How many requests for `operation` there were.
    #[must_use]
    pub fn calls(&self, operation: &str) -> usize {
        self.service().requests.iter().filter(|request| request.operation == operation).count()
    }

    /// How many identities there are, disabled ones included.
    #[must_use]
    pub fn identities(&self) -> usize {
        self.service().identities.len()
    }

    /// The service's time.
    #[cfg(feature = "user-pool")]
    pub(super) fn now(&self) -> SystemTime {
        let boot = self.clock.boot();
        self.service().epoch + boot
    }

    pub(super) fn service(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
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
        let boot = self.clock.boot();
        let mut service = self.service();
        let now = service.epoch + boot;
        let form = form(request);
        let operation = operation(request, &form);
        let input: Option<Input> = serde_json::from_slice(request.body()).ok();
        service.requests.push(ReceivedRequest {
            operation: operation.clone(),
            input: input.clone().unwrap_or_default(),
            form: form.clone(),
        });

        let lost = |kind| Err(TransportError::new(kind, "a fault that the test asked for"));
        let at = service.faults.iter().position(|(name, _)| *name == operation);
        let mut date = Some(now);
        match at.map(|at| service.faults.remove(at).1) {
            None => {}
            Some(Fault::Date(header)) => date = header,
            Some(Fault::NoAnswer(kind)) => return lost(kind),
            Some(Fault::AnswerLost(kind)) => {
                let _carried_out = service.answer(&operation, input, &form, now);
                return lost(kind);
            }
            Some(Fault::Raw { status, body }) => return Ok(HttpResponse::new(status, body)),
            Some(Fault::Error { status, code, message }) => {
                let body = error_document(&operation, &code, &message);
                return Ok(reply(&service, status, Some(now), body));
            }
        }
        let (status, body) = match service.answer(&operation, input, &form, now) {
            Ok(body) => (200, body),
            Err(Refusal(code, message)) => (400, error_document(&operation, code, &message)),
        };
        Ok(reply(&service, status, date, body))
    }
}

/// The fields of a request to STS; none for one to Cognito.
fn form(request: &HttpRequest) -> Vec<(String, String)> {
    let is_form = request.headers().iter().any(|(_, value)| value.contains("urlencoded"));
    let body = std::str::from_utf8(request.body()).unwrap_or_default();
    let pairs = body.split('&').filter(|_| is_form).filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (unescape(key), unescape(value))).collect()
}

fn unescape(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (hex, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        bytes.extend(u8::from_str_radix(hex, 16).ok());
        bytes.extend(rest.bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last part of the `x-amz-target` header, or STS's `Action`.
fn operation(request: &HttpRequest, form: &[(String, String)]) -> String {
    if let Some((_, action)) = form.iter().find(|(key, _)| key == "Action") {
        return action.clone();
    }
    let target = request.headers().iter().find(|(name, _)| name == "x-amz-target");
    let target = target.map_or("", |(_, value)| value.as_str());
    let services = ["AWSCognitoIdentityService.", "AWSCognitoIdentityProviderService."];
    let bare = services.iter().find_map(|service| target.strip_prefix(service));
    bare.unwrap_or(target).to_owned()
}

fn error_document(operation: &str, code: &str, message: &str) -> String {
    if operation == STS_OPERATION {
        let (code, message) = (xml(code), xml(message));
        return format!(
            "<ErrorResponse xmlns=\"{STS_NAMESPACE}\"><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        );
    }
    json!({ "__type": code, "message": message }).to_string()
}

const STS_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn reply(service: &Service, status: u16, date: Option<SystemTime>, body: String) -> HttpResponse {
    let response = HttpResponse::new(status, body)
        .with_header("x-amzn-requestid", format!("request-{}", service.requests.len()));
    match date {
        // A header cannot hold other dates.
        Some(date) => {
            let last = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
            let date = httpdate::fmt_http_date(date.clamp(SystemTime::UNIX_EPOCH, last));
            response.with_header("date", date)
        }
        None => response,
    }
}

pub(super) struct Refusal(pub(super) &'static str, pub(super) String);

pub(super) fn not_authorized(message: impl Into<String>) -> Refusal {
    Refusal("NotAuthorizedException", message.into())
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal("InvalidParameterException", message.into())
}

impl Service {
    fn answer(
        &mut self,
        operation: &str,
        input: Option<Input>,
        form: &[(String, String)],
        now: SystemTime,
    ) -> Result<String, Refusal> {
        if operation == STS_OPERATION {
            return self.assume_role(form, now);
        }
        let input = input.ok_or_else(|| {
            Refusal("SerializationException", "the request is not an object".to_owned())
        })?;
        if input.logins.len() > 10 {
            return Err(invalid("Logins may have at most 10 entries"));
        }
        let answer = match operation {
            "GetId" => self.get_id(&input, now)?,
            "GetCredentialsForIdentity" => {
                let id = self.authenticate(&input, now)?;
                self.issue(&id, now)
            }
            "GetOpenIdToken" => {
                let id = self.authenticate(&input, now)?;
                let token = self.open_id_token(&id, now + TOKEN_LIFETIME);
                json!({ "IdentityId": id, "Token": token })
            }
            #[cfg(feature = "user-pool")]
            operation if USER_POOL_OPERATIONS.contains(&operation) => {
                self.renew(operation, &input, now)?
            }
            _ => return Err(Refusal("UnknownOperationException", String::new())),
        };
        Ok(answer.to_string())
    }

    fn assume_role(
        &mut self,
        form: &[(String, String)],
        now: SystemTime,
    ) -> Result<String, Refusal> {
        let field = |name: &str| {
            let found = form.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.as_str()).ok_or_else(|| {
                Refusal(
                    "ValidationError",
                    format!("1 validation error detected: {name} is missing"),
                )
            })
        };
        let (role, session) = (xml(field("RoleArn")?), xml(field("RoleSessionName")?));
        let token = self.open_id_tokens.get(field("WebIdentityToken")?).ok_or_else(|| {
            Refusal("InvalidIdentityToken", "The ID Token provided is not a valid JWT".to_owned())
        })?;
        if token.end <= now {
            return Err(Refusal("ExpiredTokenException", "Token expired".to_owned()));
        }
        let subject = token.identity.clone();
        let lifetime = match field("DurationSeconds") {
            Ok(seconds) => Duration::from_secs(seconds.parse().unwrap_or_default()),
            Err(_) => self.lifetime,
        };
        self.serial += 1;
        let (n, end) =
            (self.serial, humantime::format_rfc3339_seconds(clamp_to_rfc3339(now + lifetime)));
        Ok(format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"{STS_NAMESPACE}\">
              <AssumeRoleWithWebIdentityResult>
                <SubjectFromWebIdentityToken>{subject}</SubjectFromWebIdentityToken>
                <Provider>cognito-identity.amazonaws.com</Provider>
                <AssumedRoleUser>
                  <Arn>{role}/{session}</Arn><AssumedRoleId>AROAFAKE:{session}</AssumedRoleId>
                </AssumedRoleUser>
                <Credentials>
                  <AccessKeyId>ASIAFAKE{n:012}</AccessKeyId>
                  <SecretAccessKey>fake/secret/key/{n:024}</SecretAccessKey>
                  <SessionToken>fake+session+token+{n}=</SessionToken>
                  <Expiration>{end}</Expiration>
                </Credentials>
              </AssumeRoleWithWebIdentityResult>
            </AssumeRoleWithWebIdentityResponse>"
        ))
    }

    fn open_id_token(&mut self, identity: &str, end: SystemTime) -> String {
        self.serial += 1;
        let token = format!("fake-open-id-token-{}", self.serial);
        let issued = OpenIdToken { identity: identity.to_owned(), end };
        self.open_id_tokens.insert(token.clone(), issued);
        token
    }

    fn get_id(&mut self, input: &Input, now: SystemTime) -> Result<serde_json::Value, Refusal> {
        let pool_id = checked_id(input.identity_pool_id.as_deref(), "identityPoolId")?;
        let pool = self.pool(pool_id)?;
        if input.logins.is_empty() && !pool.guests {
            return Err(guests_off());
        }
        let owners = self.owners(&input.logins, now)?;
        let id = match self.identities_of(pool_id, &owners).as_slice() {
            [] => self.mint(pool_id),
            [parent, rest @ ..] => {
                for id in rest {
                    self.merge(id, parent);
                }
                parent.clone()
            }
        };
        if let Some(identity) = self.identities.get_mut(&id) {
            identity.owners.extend(owners);
        }
        Ok(json!({ "IdentityId": id }))
    }

    /// Whose credentials or token these logins get: the identity that was asked for, or the one that
    /// a login merges it into.
    fn authenticate(&mut self, input: &Input, now: SystemTime) -> Result<String, Refusal> {
        let id = checked_id(input.identity_id.as_deref(), "identityId")?;
        let Some(identity) = self.identities.get(id) else {
            return Err(Refusal(
                "ResourceNotFoundException",
                format!("Identity '{id}' not found."),
            ));
        };
        let pool_id = identity.pool.clone();
        let owners = self.owners(&input.logins, now)?;
        let guest = identity.owners.is_empty();
        if !identity.enabled || (owners.is_empty() && !guest) {
            return Err(not_authorized(format!("Access to Identity '{id}' is forbidden.")));
        }
        if owners.is_empty() && !self.pool(&pool_id)?.guests {
            return Err(guests_off());
        }
        if !owners.is_empty() && !guest && identity.owners.is_disjoint(&owners) {
            return Err(not_authorized(
                "Logins don't match. Please include at least one valid login for this identity or identity pool.",
            ));
        }
        let others = self.identities_of(&pool_id, &owners);
        let parent = others.into_iter().find(|other| other != id).unwrap_or_else(|| id.to_owned());
        if parent != id {
            self.merge(id, &parent);
        }
        if let Some(identity) = self.identities.get_mut(&parent) {
            identity.owners.extend(owners);
        }
        Ok(parent)
    }

    fn pool(&self, id: &str) -> Result<&Pool, Refusal> {
        self.pools.get(id).ok_or_else(|| {
            Refusal("ResourceNotFoundException", format!("IdentityPool '{id}' not found."))
        })
    }

    /// Whose tokens these are: provider and user.
    fn owners(
        &self,
        logins: &BTreeMap<String, String>,
        now: SystemTime,
    ) -> Result<BTreeSet<(String, String)>, Refusal> {
        let mut owners = BTreeSet::new();
        for (provider, token) in logins {
            if provider.starts_with("cognito-identity") {
                owners.extend(self.owners_by_open_id_token(token, now)?);
                continue;
            }
            let login = self.logins.get(&(provider.clone(), token.clone())).ok_or_else(|| {
                let elsewhere = self.logins.keys().any(|(_, known)| known == token);
                not_authorized(if elsewhere {
                    "Invalid login token. Issuer doesn't match providerName"
                } else {
                    "Invalid login token. Couldn't verify signed token."
                })
            })?;
            if login.expired || login.end.is_some_and(|end| end <= now) {
                return Err(not_authorized(
                    "Invalid login token. Token expired: 1515184654 >= 1515167855",
                ));
            }
            owners.insert((provider.clone(), login.user.clone()));
        }
        Ok(owners)
    }

    /// A token of Cognito's own stands for the identity that it was made for.
    fn owners_by_open_id_token(
        &self,
        token: &str,
        now: SystemTime,
    ) -> Result<BTreeSet<(String, String)>, Refusal> {
        let token = self
            .open_id_tokens
            .get(token)
            .ok_or_else(|| not_authorized("Invalid login token. Couldn't verify signed token."))?;
        if token.end <= now {
            return Err(not_authorized(
                "Invalid login token. Token expired: 1515184654 >= 1515167855",
            ));
        }
        let identity = self.identities.get(&token.identity);
        Ok(identity.map(|identity| identity.owners.clone()).unwrap_or_default())
    }

    /// The identities of a pool that these users own, oldest first.
    fn identities_of(&self, pool: &str, owners: &BTreeSet<(String, String)>) -> Vec<String> {
        let theirs = |identity: &Identity| {
            identity.enabled && identity.pool == pool && !identity.owners.is_disjoint(owners)
        };
        self.identities.iter().filter(|(_, i)| theirs(i)).map(|(id, _)| id.clone()).collect()
    }

    /// Identity IDs count up, so that they sort by age.
    fn mint(&mut self, pool_id: &str) -> String {
        self.serial += 1;
        let region = pool_id.split_once(':').map_or("", |(region, _)| region);
        let id = format!("{region}:00000000-0000-4000-8000-{:012x}", self.serial);
        let pool = pool_id.to_owned();
        let identity = Identity { pool, owners: BTreeSet::new(), enabled: true };
        self.identities.insert(id.clone(), identity);
        id
    }

    fn merge(&mut self, child: &str, parent: &str) {
        let Some(child) = self.identities.get_mut(child) else { return };
        child.enabled = false;
        let owners = std::mem::take(&mut child.owners);
        if let Some(parent) = self.identities.get_mut(parent) {
            parent.owners.extend(owners);
        }
    }

    fn issue(&mut self, identity_id: &str, now: SystemTime) -> serde_json::Value {
        self.serial += 1;
        let expiration = (now + self.lifetime)
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        json!({
            "IdentityId": identity_id,
            "Credentials": {
                "AccessKeyId": format!("ASIAFAKE{:012}", self.serial),
                "SecretKey": format!("fake/secret/key/{:024}", self.serial),
                "SessionToken": format!("fake+session+token+{}=", self.serial),
                "Expiration": expiration,
            },
        })
    }
}

fn guests_off() -> Refusal {
    not_authorized("Unauthenticated access is not supported for this identity pool.")
}

fn checked_id<'a>(id: Option<&'a str>, field: &str) -> Result<&'a str, Refusal> {
    match id {
        Some(id) if Id::parse(id).is_ok() => Ok(id),
        _ => Err(invalid(format!(
            "1 validation error detected: Value at '{field}' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w-]+:[0-9a-f-]+"
        ))),
    }
}
