//! The one error type, and the table that says what a code of the service means.

mod config_fault;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::redact::Masks;
use crate::transport::{TransportError, TransportErrorKind};

pub use self::config_fault::ConfigFault;
pub(crate) use self::config_fault::ConfigFaults;

/// What code plugged into this library may fail with: any error.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why there are no credentials.
///
/// Cheap to clone; every thread that waited for the same refresh gets the same error. `{}` prints
/// one line, `{:#}` adds the causes, which [`source`](StdError::source) walks too. No secret is in
/// it: login tokens, keys and identity IDs are masked in what the service says. (Causes from code
/// of the program's own, a token source or a transport, are printed as they are.)
///
/// ```
/// use cognito_identity_credentials::{Error, ErrorKind};
///
/// fn advice(error: &Error) -> &'static str {
///     match error.kind() {
///         _ if error.needs_sign_in() => "sign in again",
///         ErrorKind::Config => "mend the settings",
///         _ if error.is_retryable() => "try again later",
///         _ => error.hint().unwrap_or("ask whoever runs the identity pool"),
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    repeat: Repeat,
    message: String,
    operation: Option<&'static str>,
    answer: Option<AnswerInfo>,
    cause: Cause,
    hint: Option<&'static str>,
    config_faults: Vec<ConfigFault>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What an error keeps of the answer that it came from, already fit for printing.
#[derive(Clone, Debug, Default)]
pub(crate) struct AnswerInfo {
    pub(crate) status: u16,
    pub(crate) code: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) retry_after: Option<Duration>,
}

/// What went wrong, by what there is to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is missing, malformed or contradicts another. Mend the program or its
    /// configuration; the message names each setting.
    Config,
    /// A login token could not be had: its source failed, or returned something that cannot be a
    /// token. Have the user sign in again if [`needs_sign_in`](Error::needs_sign_in) says so, else
    /// look at [`source`](StdError::source). (A source that failed with an error of this library
    /// that is no fault of the login, such as [`Unreachable`](Self::Unreachable), has that kind.)
    Login,
    /// No identity is known and none may be asked for. Set an identity ID, set an identity pool ID,
    /// or allow new guests.
    IdentityUnknown,
    /// `get()` or `refresh()` was called from inside the provider's own transport, token source or
    /// clock. Mend the program: such code must not need the credentials it helps to fetch.
    Reentrant,
    /// Time ran out. Try again later; the device may have no network.
    Timeout,
    /// The service could not be reached. Look at the network, then try again; if
    /// [`is_retryable`](Error::is_retryable) is false, look at the transport first.
    Unreachable,
    /// The TLS connection was refused: unknown authority, wrong name, certificate not valid at
    /// this time. Look at the device's clock and at the authorities that the transport trusts.
    Tls,
    /// The service asks for fewer requests. Try again later.
    Throttled,
    /// The service has a fault of its own. Try again later if [`is_retryable`](Error::is_retryable)
    /// says so.
    Unavailable,
    /// The service refuses this identity, this login or this role, or a user pool the refresh
    /// token. [`hint`](Error::hint) tells which setting to look at where the service's text is a
    /// known one; [`needs_sign_in`](Error::needs_sign_in), whether to have the user sign in again.
    NotAuthorized,
    /// The identity or the identity pool does not exist. Look at the IDs and at the region.
    NotFound,
    /// The service refuses the request for another reason; [`code`](Error::code) and
    /// [`message`](Error::message) say which.
    Refused,
    /// What came back is not an answer of the service, or cannot be used: a captive portal, a
    /// proxy, credentials that had already expired. Look at what stands between the program and
    /// AWS.
    Response,
}

/// How a failed attempt may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    Never,
    /// A connection that the peer had closed: nothing was processed.
    AtOnce,
    AfterFault,
    AfterThrottling,
}

impl Error {
    /// What went wrong, by what there is to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// One sentence: the service's own text where there is one (at most 256 characters, control
    /// characters stripped, login tokens and identity IDs masked), else what this library says.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The service's error code, such as `NotAuthorizedException`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.answer.as_ref()?.code.as_deref()
    }

    /// The HTTP status of the answer, if one came.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.answer.as_ref().map(|answer| answer.status)
    }

    /// The ID that AWS support asks for.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.answer.as_ref()?.request_id.as_deref()
    }

    /// The service call that failed, such as `GetId`.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// Whether the same call may succeed later without anything being changed. The library has
    /// already repeated it as often as its settings allow.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.repeat != Repeat::Never
    }

    /// Whether the user has to sign in again: the user pool refused the refresh token or the user
    /// (see `UserPoolTokens`), or the identity pool refused a login token as expired or invalid and
    /// its source had no better one. It looks through the [`source`](StdError::source)s of this
    /// error, so it also holds for what `get()` returns when a token source fails for such a reason.
    ///
    /// What passes by itself, such as a user pool that cannot be reached, does not call for it:
    /// see [`is_retryable`](Self::is_retryable).
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use cognito_identity_credentials::{CognitoIdentityCredentials, testing::FakeCognito};
    /// let cognito = FakeCognito::new();
    /// cognito.accept_login("accounts.google.com", "token-of-ann", "ann");
    /// cognito.expire_login("accounts.google.com", "token-of-ann");
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id(FakeCognito::POOL_ID)
    ///     .login("accounts.google.com", "token-of-ann")
    ///     .transport(cognito)
    ///     .build()?;
    /// assert!(credentials.get().unwrap_err().needs_sign_in());
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[must_use]
    pub fn needs_sign_in(&self) -> bool {
        let mut next: Option<&(dyn StdError + 'static)> = Some(self);
        while let Some(error) = next {
            if error.downcast_ref::<Self>().is_some_and(|error| error.cause().needs_sign_in()) {
                return true;
            }
            next = error.source();
        }
        false
    }

    /// What to look at first, where the cause is a known one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        self.0.hint.or_else(|| self.0.cause.hint()).or_else(|| match self.0.kind {
            ErrorKind::Tls => Some(
                "check the device's clock, and that the transport trusts the authority that signed the certificate",
            ),
            _ => self.source()?.downcast_ref::<Self>()?.hint(),
        })
    }

    /// Returns the settings that are wrong, if [`kind`](Self::kind) is
    /// [`Config`](ErrorKind::Config). [`message`](Self::message) joins their texts.
    #[must_use]
    pub fn config_faults(&self) -> &[ConfigFault] {
        &self.0.config_faults
    }

    /// One fault, as `setting: what is wrong`.
    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::config_texts(&[message.into()])
    }

    /// Several faults, each as `setting: what is wrong`.
    pub(crate) fn config_texts(texts: &[String]) -> Self {
        let mut faults = ConfigFaults::default();
        faults.add_texts(texts);
        faults.into()
    }

    /// No login token could be had. Where the program's code failed with an error of this library,
    /// what is no fault of the login keeps its kind, and what may pass stays so.
    pub(crate) fn login(message: String, source: Option<BoxError>) -> Self {
        use ErrorKind as Kind;
        let own = source.as_ref().and_then(|source| source.downcast_ref::<Self>());
        let kind = match own.map_or(Kind::Login, Self::kind) {
            Kind::Config
            | Kind::IdentityUnknown
            | Kind::NotAuthorized
            | Kind::NotFound
            | Kind::Refused => Kind::Login,
            kind => kind,
        };
        let repeat = own.map_or(Repeat::Never, Self::repeat);
        Self(Arc::new(Inner {
            repeat,
            source: source.map(Arc::from),
            ..Inner::local(kind, message)
        }))
    }

    /// Nothing can be done without the user.
    #[cfg(feature = "user-pool")]
    pub(crate) fn sign_in(message: &str) -> Self {
        let inner = Inner::local(ErrorKind::Login, message.to_owned());
        Self(Arc::new(Inner { cause: Cause::SignIn, ..inner }))
    }

    /// A user pool wants more of the user than the refresh token.
    #[cfg(feature = "user-pool")]
    pub(crate) fn challenge(operation: &'static str, answer: AnswerInfo, name: &str) -> Self {
        let message = format!("the user pool asks the user for more: {name}");
        Self(Arc::new(Inner {
            operation: Some(operation),
            answer: Some(answer),
            cause: Cause::SignIn,
            ..Inner::local(ErrorKind::NotAuthorized, message)
        }))
    }

    /// The same error, read as a user pool's refusal: its codes mean something else there.
    #[cfg(feature = "user-pool")]
    pub(crate) fn of_user_pool(mut self) -> Self {
        let (Some(code), Some(inner)) = (self.code().map(str::to_owned), Arc::get_mut(&mut self.0))
        else {
            return self;
        };
        inner.cause = Cause::of_user_pool(&code, &inner.message);
        if inner.cause == Cause::SignIn {
            inner.kind = ErrorKind::NotAuthorized;
        }
        self
    }

    pub(crate) fn identity_unknown(message: &str) -> Self {
        Self::local(ErrorKind::IdentityUnknown, message.to_owned())
    }

    pub(crate) fn reentrant() -> Self {
        let message = "credentials were asked for from inside the provider's own transport, token source or clock";
        Self::local(ErrorKind::Reentrant, message.to_owned())
    }

    /// Time ran out before anything could be tried, or while another thread was trying.
    pub(crate) fn timeout(message: &str) -> Self {
        Self(Arc::new(Inner {
            repeat: Repeat::AfterFault,
            ..Inner::local(ErrorKind::Timeout, message.to_owned())
        }))
    }

    pub(crate) fn transport(operation: &'static str, error: &TransportError) -> Self {
        use TransportErrorKind as Kind;
        let (kind, repeat) = match error.kind() {
            Kind::Connect | Kind::Io => (ErrorKind::Unreachable, Repeat::AfterFault),
            Kind::Closed => (ErrorKind::Unreachable, Repeat::AtOnce),
            Kind::Timeout => (ErrorKind::Timeout, Repeat::AfterFault),
            Kind::Tls => (ErrorKind::Tls, Repeat::Never),
            Kind::TooLarge => (ErrorKind::Response, Repeat::Never),
            Kind::Other => (ErrorKind::Unreachable, Repeat::Never),
        };
        let cause = match error.kind() {
            Kind::TooLarge => Cause::NotTheService,
            _ => Cause::Other,
        };
        Self(Arc::new(Inner {
            repeat,
            cause,
            hint: error.hint(),
            operation: Some(operation),
            source: Some(Arc::new(error.clone())),
            ..Inner::local(kind, error.to_string())
        }))
    }

    /// The service, or something in its place, answered with an error. What it means is read off
    /// its own words; only what is kept of them is cleaned.
    pub(crate) fn service(
        operation: &'static str,
        answer: AnswerInfo,
        code: Option<&str>,
        message: Option<&str>,
        masks: &Masks<'_>,
    ) -> Self {
        let (kind, repeat) = classify(code, answer.status);
        let cause = match (code, kind) {
            (None, ErrorKind::Response) => Cause::NotTheService,
            _ => Cause::of(code, message.unwrap_or_default()),
        };
        let message = message.map(|message| masks.clean(message)).filter(|text| !text.is_empty());
        let message = message.unwrap_or_else(|| match (code, kind) {
            (None, ErrorKind::Response) => {
                "the answer is not one that the service gives".to_owned()
            }
            _ => "the service gave no message".to_owned(),
        });
        let code = code.map(|code| masks.clean(code));
        Self(Arc::new(Inner {
            repeat,
            operation: Some(operation),
            answer: Some(AnswerInfo { code, ..answer }),
            cause,
            ..Inner::local(kind, message)
        }))
    }

    /// Something answered "fine", but the answer is none of the service's.
    pub(crate) fn response(
        operation: &'static str,
        answer: AnswerInfo,
        message: impl Into<String>,
    ) -> Self {
        Self::unusable(operation, answer, message.into(), Cause::NotTheService)
    }

    /// The service answered "fine", with credentials that nobody can use any more.
    pub(crate) fn expired(operation: &'static str, answer: AnswerInfo, message: &str) -> Self {
        Self::unusable(operation, answer, message.to_owned(), Cause::Other)
    }

    pub(crate) fn cause(&self) -> Cause {
        self.0.cause
    }

    pub(crate) fn repeat(&self) -> Repeat {
        self.0.repeat
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.0.answer.as_ref()?.retry_after
    }

    /// How long to stay away, if it is the service that asks: a captive portal has no say.
    pub(crate) fn cooldown_asked(&self) -> Option<Duration> {
        self.retry_after().filter(|_| self.kind() != ErrorKind::Response)
    }

    /// Whether somebody answered, as opposed to a failure of the network or of local code.
    pub(crate) fn was_answered(&self) -> bool {
        self.0.answer.is_some()
    }

    fn unusable(
        operation: &'static str,
        answer: AnswerInfo,
        message: String,
        cause: Cause,
    ) -> Self {
        Self(Arc::new(Inner {
            operation: Some(operation),
            answer: Some(answer),
            cause,
            ..Inner::local(ErrorKind::Response, message)
        }))
    }

    fn local(kind: ErrorKind, message: String) -> Self {
        Self(Arc::new(Inner::local(kind, message)))
    }
}

impl Inner {
    fn local(kind: ErrorKind, message: String) -> Self {
        Self {
            kind,
            repeat: Repeat::Never,
            message,
            operation: None,
            answer: None,
            cause: Cause::Other,
            hint: None,
            config_faults: Vec::new(),
            source: None,
        }
    }
}

impl From<ConfigFaults> for Error {
    fn from(faults: ConfigFaults) -> Self {
        let (message, config_faults) = faults.into_parts();
        Self(Arc::new(Inner { config_faults, ..Inner::local(ErrorKind::Config, message) }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = self.operation() {
            write!(f, "{operation}: ")?;
        }
        if let Some(code) = self.code() {
            write!(f, "{code}: ")?;
        }
        f.write_str(self.message())?;
        match (self.status(), self.request_id()) {
            (Some(status), Some(id)) => write!(f, " (HTTP status {status}, request ID {id})")?,
            (Some(status), None) => write!(f, " (HTTP status {status})")?,
            _ => {}
        }
        if f.alternate() {
            let mut error: &(dyn StdError + 'static) = self;
            while let Some(source) = error.source() {
                // A transport error's own text is the message of the error above it already.
                if !(error.is::<Self>() && source.is::<TransportError>()) {
                    write!(f, ": {source}")?;
                }
                error = source;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind())
            .field("message", &self.message())
            .field("operation", &self.operation())
            .field("code", &self.code())
            .field("status", &self.status())
            .field("request_id", &self.request_id())
            .field("is_retryable", &self.is_retryable())
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// The codes decide; the status only where no known code came. The throttling codes are AWS's
/// standard list without `LimitExceededException`, which Cognito uses for limits that do not pass
/// by waiting.
fn classify(code: Option<&str>, status: u16) -> (ErrorKind, Repeat) {
    match code.unwrap_or_default() {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "ProvisionedThroughputExceededException"
        | "TransactionInProgressException"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "RequestThrottled"
        | "SlowDown"
        | "PriorRequestNotComplete"
        | "EC2ThrottledException" => (ErrorKind::Throttled, Repeat::AfterThrottling),
        "InternalErrorException" | "ExternalServiceException" | "IDPCommunicationError" => {
            (ErrorKind::Unavailable, Repeat::AfterFault)
        }
        "NotAuthorizedException"
        | "AccessDenied"
        | "AccessDeniedException"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "InvalidIdentityToken"
        | "InvalidIdentityTokenException"
        | "IDPRejectedClaim" => (ErrorKind::NotAuthorized, Repeat::Never),
        "ResourceNotFoundException" => (ErrorKind::NotFound, Repeat::Never),
        "InvalidParameterException"
        | "InvalidIdentityPoolConfigurationException"
        | "ResourceConflictException"
        | "LimitExceededException"
        | "ValidationException" => (ErrorKind::Refused, Repeat::Never),
        code => match status {
            429 => (ErrorKind::Throttled, Repeat::AfterThrottling),
            500 | 502 | 503 | 504 => (ErrorKind::Unavailable, Repeat::AfterFault),
            501 | 505..=510 | 512..=599 => (ErrorKind::Unavailable, Repeat::Never),
            _ if code.is_empty() => (ErrorKind::Response, Repeat::Never),
            _ => (ErrorKind::Refused, Repeat::Never),
        },
    }
}

/// What stands behind a refusal, as far as the service's text tells. One code,
/// `NotAuthorizedException`, means many things; an unknown text is `Other`, for which nothing is
/// forgotten and nothing repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    IdentityForbidden,
    IdentityNotFound,
    PoolNotFound,
    LoginsMismatch,
    TokenExpired,
    TokenInvalid,
    IssuerMismatch,
    CognitoTokenMisplaced,
    GuestsOff,
    NoProviders,
    NoRole,
    LoginConflict,
    OpenIdTokenRejected,
    RoleRefused,
    /// A user pool refuses the refresh token or the user.
    #[cfg(feature = "user-pool")]
    SignIn,
    /// A user pool refuses the app client's secret.
    #[cfg(feature = "user-pool")]
    ClientSecret,
    /// A user pool knows no such app client.
    #[cfg(feature = "user-pool")]
    NoClient,
    /// The app client does not allow this operation, or not in this form.
    #[cfg(feature = "user-pool")]
    FlowOff,
    /// What answered is not the service.
    NotTheService,
    Other,
}

impl Cause {
    fn of(code: Option<&str>, message: &str) -> Self {
        let says = |text: &str| message.contains(text);
        match code.unwrap_or_default() {
            "NotAuthorizedException" if message.starts_with("Access to Identity") => {
                Self::IdentityForbidden
            }
            "NotAuthorizedException" if message.starts_with("Invalid login token") => {
                if says("Token expired") {
                    Self::TokenExpired
                } else if says("Issuer doesn't match") {
                    Self::IssuerMismatch
                } else if says("Can't pass in a Cognito token") {
                    Self::CognitoTokenMisplaced
                } else {
                    Self::TokenInvalid
                }
            }
            "NotAuthorizedException" if message.starts_with("Logins don't match") => {
                Self::LoginsMismatch
            }
            "NotAuthorizedException" if message.starts_with("Unauthenticated access") => {
                Self::GuestsOff
            }
            "NotAuthorizedException" if says("does not have identity providers") => {
                Self::NoProviders
            }
            "ResourceNotFoundException" if message.starts_with("IdentityPool") => {
                Self::PoolNotFound
            }
            "ResourceNotFoundException" if message.starts_with("Identity ") => {
                Self::IdentityNotFound
            }
            "InvalidIdentityPoolConfigurationException" => Self::NoRole,
            "ResourceConflictException" => Self::LoginConflict,
            "ExpiredTokenException"
            | "ExpiredToken"
            | "InvalidIdentityToken"
            | "InvalidIdentityTokenException" => Self::OpenIdTokenRejected,
            "AccessDenied" | "AccessDeniedException" | "IDPRejectedClaim" => Self::RoleRefused,
            _ => Self::Other,
        }
    }

    /// What a user pool's refusal means. A refresh token is all that its call is about, so a "not
    /// authorized" of unknown text is about that.
    #[cfg(feature = "user-pool")]
    fn of_user_pool(code: &str, message: &str) -> Self {
        let message = message.to_ascii_lowercase();
        match code {
            "NotAuthorizedException" if message.contains("secret") => Self::ClientSecret,
            "NotAuthorizedException" if message.contains("not enabled") => Self::FlowOff,
            "NotAuthorizedException"
            | "RefreshTokenReuseException"
            | "UserNotFoundException"
            | "UserNotConfirmedException"
            | "PasswordResetRequiredException" => Self::SignIn,
            "ResourceNotFoundException" => Self::NoClient,
            "InvalidParameterException"
            | "UnsupportedOperationException"
            | "OperationNotEnabledException" => Self::FlowOff,
            _ => Self::Other,
        }
    }

    fn needs_sign_in(self) -> bool {
        match self {
            #[cfg(feature = "user-pool")]
            Self::SignIn => true,
            Self::TokenExpired | Self::TokenInvalid => true,
            _ => false,
        }
    }

    fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::IdentityForbidden => {
                "the identity was merged or disabled, or it belongs to a signed-in user and no valid login was sent: clear the cached ID, or set the login"
            }
            Self::IdentityNotFound => {
                "the identity was deleted or belongs to another region: clear the cached ID"
            }
            Self::PoolNotFound => "check identity_pool_id and region",
            Self::LoginsMismatch => {
                "the identity ID belongs to another user: clear the cached ID or set the right login"
            }
            Self::TokenExpired => {
                "the login token has expired: set a fresh one, or give login_from a source that renews it"
            }
            Self::TokenInvalid => {
                "the login token is not accepted: check that it is the provider's ID token and belongs to the app client that the pool knows"
            }
            Self::IssuerMismatch => {
                "the login's provider name is not the one that issued the token: a user pool's is cognito-idp.REGION.amazonaws.com/USER_POOL_ID"
            }
            Self::CognitoTokenMisplaced => {
                "a token of cognito-identity.amazonaws.com goes with the identity ID it was made for: set identity_id too"
            }
            Self::NotTheService => {
                "look at what stands between the program and AWS: a captive portal, a proxy, or an endpoint URL of something else"
            }
            Self::GuestsOff => "the pool allows no guests: set a login, or turn guest access on",
            Self::NoProviders => "add the login's provider to the identity pool",
            Self::NoRole => {
                "the identity pool has no role for this kind of user, or the role does not trust it: check the pool's roles and their trust policy"
            }
            Self::LoginConflict => {
                "a login belongs to another identity, or two logins are of one provider"
            }
            Self::OpenIdTokenRejected => {
                "STS does not accept the token of the identity: check that the role's account trusts the identity provider, and the device's time if the token is the program's own"
            }
            Self::RoleRefused => {
                "check role_arn, and that the role's trust policy names the identity pool and this kind of user"
            }
            #[cfg(feature = "user-pool")]
            Self::SignIn => {
                "have the user sign in again, and set the refresh token that comes of it; a token that is called invalid may also be of another app client, or need its device_key"
            }
            #[cfg(feature = "user-pool")]
            Self::ClientSecret => {
                "check client_secret and username: the pool's own name of the user, as the claim cognito:username has it"
            }
            #[cfg(feature = "user-pool")]
            Self::NoClient => "check user_pool_id and client_id",
            #[cfg(feature = "user-pool")]
            Self::FlowOff => {
                "check that the app client allows ALLOW_REFRESH_TOKEN_AUTH, or rotates refresh tokens, and the values of the settings"
            }
            Self::Other => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_decide_before_statuses() {
        use ErrorKind as K;
        use Repeat::{AfterFault, AfterThrottling, Never};
        let rows = [
            ("TooManyRequestsException", 400, K::Throttled, AfterThrottling),
            ("SlowDown", 200, K::Throttled, AfterThrottling),
            ("LimitExceededException", 400, K::Refused, Never),
            ("LimitExceededException", 429, K::Refused, Never),
            ("", 429, K::Throttled, AfterThrottling),
            ("SomethingNew", 429, K::Throttled, AfterThrottling),
            ("InternalErrorException", 400, K::Unavailable, AfterFault),
            ("ExternalServiceException", 400, K::Unavailable, AfterFault),
            ("IDPCommunicationError", 400, K::Unavailable, AfterFault),
            ("", 500, K::Unavailable, AfterFault),
            ("", 501, K::Unavailable, Never),
            ("", 502, K::Unavailable, AfterFault),
            ("", 503, K::Unavailable, AfterFault),
            ("", 511, K::Response, Never),
            ("SomethingNew", 504, K::Unavailable, AfterFault),
            ("NotAuthorizedException", 500, K::NotAuthorized, Never),
            ("NotAuthorizedException", 400, K::NotAuthorized, Never),
            ("ResourceNotFoundException", 404, K::NotFound, Never),
            ("InvalidParameterException", 400, K::Refused, Never),
            ("ExpiredTokenException", 400, K::NotAuthorized, Never),
            ("InvalidIdentityToken", 400, K::NotAuthorized, Never),
            ("IDPRejectedClaim", 403, K::NotAuthorized, Never),
            ("AccessDenied", 403, K::NotAuthorized, Never),
            ("MalformedPolicyDocument", 400, K::Refused, Never),
            ("PackedPolicyTooLarge", 400, K::Refused, Never),
            ("RegionDisabledException", 403, K::Refused, Never),
            ("SomethingNew", 418, K::Refused, Never),
            ("", 403, K::Response, Never),
            ("", 302, K::Response, Never),
        ];
        for (code, status, kind, repeat) in rows {
            let code = Some(code).filter(|code| !code.is_empty());
            assert_eq!(classify(code, status), (kind, repeat), "{code:?} {status}");
        }
    }

    #[test]
    fn every_known_text_has_its_cause_and_an_unknown_one_has_none() {
        const DENIED: &str = "NotAuthorizedException";
        const MISSING: &str = "ResourceNotFoundException";
        let rows = [
            (DENIED, "Access to Identity '[redacted]' is forbidden.", Cause::IdentityForbidden),
            (DENIED, "Invalid login token. Token expired: 1 >= 0", Cause::TokenExpired),
            (DENIED, "Invalid login token. Couldn't verify signed token.", Cause::TokenInvalid),
            (
                DENIED,
                "Invalid login token. Issuer doesn't match providerName",
                Cause::IssuerMismatch,
            ),
            (
                DENIED,
                "Invalid login token. Can't pass in a Cognito token.",
                Cause::CognitoTokenMisplaced,
            ),
            (
                DENIED,
                "Unauthenticated access is not supported for this identity pool.",
                Cause::GuestsOff,
            ),
            (
                DENIED,
                "Logins don't match. Please include at least one valid login for this identity or identity pool.",
                Cause::LoginsMismatch,
            ),
            (
                DENIED,
                "Identity pool - x does not have identity providers configured.",
                Cause::NoProviders,
            ),
            (DENIED, "Something new.", Cause::Other),
            (MISSING, "Identity '[redacted]' not found.", Cause::IdentityNotFound),
            (MISSING, "IdentityPool 'us-east-1:x' not found.", Cause::PoolNotFound),
            (MISSING, "", Cause::Other),
            ("InvalidIdentityPoolConfigurationException", "", Cause::NoRole),
            ("ResourceConflictException", "", Cause::LoginConflict),
            ("ExpiredTokenException", "", Cause::OpenIdTokenRejected),
            ("InvalidIdentityToken", "", Cause::OpenIdTokenRejected),
            ("AccessDenied", "Not authorized", Cause::RoleRefused),
            ("IDPRejectedClaim", "", Cause::RoleRefused),
            ("Other", "Access to Identity '' is forbidden.", Cause::Other),
        ];
        for (code, message, cause) in rows {
            assert_eq!(Cause::of(Some(code), message), cause, "{code}: {message}");
            assert_eq!(cause.hint().is_some(), cause != Cause::Other);
        }
    }

    #[cfg(feature = "user-pool")]
    #[test]
    fn a_user_pools_refusals_are_told_apart() {
        const DENIED: &str = "NotAuthorizedException";
        use ErrorKind as K;
        let rows = [
            (DENIED, "Refresh Token has expired", Cause::SignIn, K::NotAuthorized),
            (DENIED, "Refresh Token has been revoked", Cause::SignIn, K::NotAuthorized),
            (DENIED, "Invalid Refresh Token", Cause::SignIn, K::NotAuthorized),
            (DENIED, "User is disabled.", Cause::SignIn, K::NotAuthorized),
            (DENIED, "Something new.", Cause::SignIn, K::NotAuthorized),
            (
                DENIED,
                "Unable to verify secret hash for client x",
                Cause::ClientSecret,
                K::NotAuthorized,
            ),
            (DENIED, "SecretHash does not match the client", Cause::ClientSecret, K::NotAuthorized),
            (
                DENIED,
                "Client x is configured for secret but secret was not received",
                Cause::ClientSecret,
                K::NotAuthorized,
            ),
            (DENIED, "Auth flow not enabled for this client", Cause::FlowOff, K::NotAuthorized),
            ("RefreshTokenReuseException", "", Cause::SignIn, K::NotAuthorized),
            ("UserNotFoundException", "User does not exist.", Cause::SignIn, K::NotAuthorized),
            ("UserNotConfirmedException", "", Cause::SignIn, K::NotAuthorized),
            ("PasswordResetRequiredException", "", Cause::SignIn, K::NotAuthorized),
            ("ResourceNotFoundException", "", Cause::NoClient, K::NotFound),
            ("InvalidParameterException", "", Cause::FlowOff, K::Refused),
            ("UnsupportedOperationException", "", Cause::FlowOff, K::Refused),
            ("OperationNotEnabledException", "", Cause::FlowOff, K::Refused),
            ("UnsupportedTokenTypeException", "", Cause::Other, K::Refused),
            ("UserLambdaValidationException", "", Cause::Other, K::Refused),
            ("ForbiddenException", "", Cause::Other, K::Refused),
            ("TooManyRequestsException", "", Cause::Other, K::Throttled),
            ("InternalErrorException", "", Cause::Other, K::Unavailable),
        ];
        for (code, message, cause, kind) in rows {
            let answer = AnswerInfo { status: 400, ..AnswerInfo::default() };
            let masks = Masks::default();
            let error = Error::service("InitiateAuth", answer, Some(code), Some(message), &masks);
            let error = error.of_user_pool();
            assert_eq!((error.cause(), error.kind()), (cause, kind), "{code}: {message}");
            assert_eq!(error.hint().is_some(), cause != Cause::Other);
            assert_eq!(error.needs_sign_in(), cause == Cause::SignIn);
            assert_eq!(error.is_retryable(), matches!(kind, K::Throttled | K::Unavailable));
        }
    }

    /// A token source may fail with an error of this library's.
    #[test]
    fn a_failed_source_keeps_what_is_no_fault_of_the_login() {
        use ErrorKind as K;
        let service = |code: &str, message: &str| {
            let answer = AnswerInfo { status: 400, ..AnswerInfo::default() };
            Error::service("GetId", answer, Some(code), Some(message), &Masks::default())
        };
        let lost = |kind| Error::transport("GetId", &TransportError::new(kind, "x"));
        let expired = "Invalid login token. Token expired: 1 >= 0";
        let rows = [
            (lost(TransportErrorKind::Connect), K::Unreachable, true, false),
            (lost(TransportErrorKind::Timeout), K::Timeout, true, false),
            (lost(TransportErrorKind::Tls), K::Tls, false, false),
            (service("TooManyRequestsException", ""), K::Throttled, true, false),
            (service("InternalErrorException", ""), K::Unavailable, true, false),
            (service("NotAuthorizedException", "No."), K::Login, false, false),
            (service("NotAuthorizedException", expired), K::Login, false, true),
            (service("ResourceNotFoundException", ""), K::Login, false, false),
            (service("InvalidParameterException", ""), K::Login, false, false),
            (Error::config("x"), K::Login, false, false),
            (Error::identity_unknown("x"), K::Login, false, false),
            (Error::reentrant(), K::Reentrant, false, false),
            (Error::timeout("x"), K::Timeout, true, false),
        ];
        for (source, kind, retryable, sign_in) in rows {
            let hint = source.hint();
            let text = format!("it failed: {source}");
            let error = Error::login("it failed".to_owned(), Some(source.into()));
            assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{text}");
            assert_eq!((error.needs_sign_in(), error.hint()), (sign_in, hint), "{text}");
            assert!(format!("{error:#}").starts_with(&text), "{error:#}");
            assert!(!error.was_answered(), "nobody who asked for credentials was answered");
        }
        let error = Error::login("it failed".to_owned(), Some("disk on fire".into()));
        assert_eq!((error.kind(), error.is_retryable()), (K::Login, false));
        assert!(!error.needs_sign_in());
    }

    #[test]
    fn the_plain_form_is_one_line_and_the_alternate_form_adds_the_causes() {
        let io = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let error =
            Error::transport("GetId", &TransportError::new(TransportErrorKind::Connect, io));
        assert_eq!(error.to_string(), "GetId: could not connect");
        assert_eq!(format!("{error:#}"), "GetId: could not connect: connection refused");
        let source = error.source().and_then(|s| s.downcast_ref::<TransportError>());
        assert_eq!(source.map(TransportError::kind), Some(TransportErrorKind::Connect));

        let answer =
            AnswerInfo { status: 400, request_id: Some("r-1".into()), ..AnswerInfo::default() };
        let code = Some("NotAuthorizedException");
        let error = Error::service("GetId", answer, code, Some("No."), &Masks::default());
        assert_eq!(
            error.to_string(),
            "GetId: NotAuthorizedException: No. (HTTP status 400, request ID r-1)"
        );

        let error = Error::login("the token source failed".into(), Some("disk on fire".into()));
        assert_eq!(format!("{error:#}"), "the token source failed: disk on fire");
    }
}
