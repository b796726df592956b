//! The error type of the library.
//!
//! * this file: [`Error`]
//! * `config_fault`: [`ConfigFault`], one wrong setting
//! * `kind`: [`ErrorKind`], and whether a failed attempt may be retried
//! * `codes`: the kind of each error code of the services
//! * `refusals`: the meaning of the services' codes and messages, and the hints

mod codes;
mod config_fault;
mod kind;
mod refusals;

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

pub use config_fault::ConfigFault;
pub(crate) use config_fault::ConfigFaults;
pub use kind::ErrorKind;
pub(crate) use kind::Retry;
#[cfg(feature = "user-pool")]
pub(crate) use refusals::USER_POOL;
pub(crate) use refusals::{
    GET_ID, IDENTITY, IDENTITY_POOL, KnownRefusal, NOT_THE_SERVICE, OPEN_ID_TOKEN, Refusal, STS,
};

use crate::os_error;
use crate::redact::Redactor;

/// Holds any error. The program's own code, such as a [token source](crate::TokenSource#example),
/// can fail with it.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Tells why there are no credentials.
///
/// A clone is cheap. Every thread that waited for the same refresh gets the same error.
///
/// `{}` prints one line. `{:#}` adds the causes, which [`source`](StdError::source) returns.
///
/// If the [`Transport`](crate::transport::Transport) failed, [`message`](Self::message) is the text
/// of its error. `source` then returns the cause of that error, so that no text is printed twice.
/// [`transport_error`](Self::transport_error) returns the error itself.
///
/// The text holds no secret: login tokens, keys and identity IDs in the service's message are
/// masked. Errors of the program's own token source or transport are printed unchanged.
///
/// # Example
///
/// ```
/// use cognito_identity_credentials::{Error, ErrorKind};
///
/// fn advice(error: &Error) -> &str {
///     match error.kind() {
///         _ if error.needs_sign_in() => "sign in again",
///         ErrorKind::Config => "correct the settings",
///         _ if error.is_retryable() => "try again later",
///         _ => error.hint().unwrap_or(error.message()),
///     }
/// }
///
/// fn log(error: &Error) {
///     eprintln!("{error:#}"); // the message with its causes
///     if let Some(operation) = error.operation() {
///         let (status, code) = (error.status(), error.code());
///         eprintln!("{operation}: status {status:?}, code {code:?}, {:?}", error.request_id());
///     }
///     for fault in error.config_faults() {
///         eprintln!("wrong setting: {fault}");
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    retry: Retry,
    message: String,
    operation: Option<&'static str>,
    response: Option<ResponseMetadata>,
    refusal: Refusal,
    hint: Option<&'static str>,
    cause: Option<Arc<dyn StdError + Send + Sync>>,
    /// `message` is the text of `cause`, so `source()` skips `cause` and returns its source.
    repeats_cause: bool,
    config_faults: Vec<ConfigFault>,
}

/// The part of the service's response that an error keeps. The texts are redacted.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResponseMetadata {
    pub(crate) status: u16,
    pub(crate) code: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) retry_after: Option<Duration>,
}

impl Error {
    /// Returns the kind of the failure. The documentation of each kind says what to do.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns one sentence: the service's message, or another text if it sent none. The
    /// service's message has at most 256 characters and no control characters. Login tokens and
    /// identity IDs in it are masked.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the service's error code, such as `NotAuthorizedException`.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.response.as_ref()?.code.as_deref()
    }

    /// Returns the HTTP status of the answer, if there was an answer.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.response.as_ref().map(|response| response.status)
    }

    /// Returns the request ID, which AWS support asks for.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.response.as_ref()?.request_id.as_deref()
    }

    /// Returns the service call that failed, such as `GetId`.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// Returns `true` if the same call may succeed later without any change. The library has
    /// already retried calls of the service as often as its settings allow. It calls a token source
    /// that failed only once.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retry != Retry::Never
    }

    /// Returns `true` if the user has to sign in again.
    ///
    /// It returns `true` in three cases:
    ///
    /// * `UserPoolTokens` has no refresh token.
    /// * The user pool rejected the refresh token, or the user must answer a challenge.
    /// * The identity pool rejected a login token as expired or invalid, and the token source
    ///   returned no other token.
    ///
    /// The method also searches the [`source`](StdError::source)s of this error, because `get()`
    /// wraps the error of a token source.
    ///
    /// It returns `false` for a failure that may pass without the user, such as a user pool that
    /// cannot be reached (see [`is_retryable`](Self::is_retryable)). It also returns `false` if a
    /// new sign-in would not help: an access token, another app client, a disabled user.
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
        let first: &(dyn StdError + 'static) = self;
        iter::successors(Some(first), |&error| error.source())
            .filter_map(|error| error.downcast_ref::<Self>())
            .any(|error| error.refusal().needs_sign_in())
    }

    /// Returns what to check first, if the cause is known.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        let inner = || self.source()?.downcast_ref::<Self>()?.hint();
        self.0.hint.or_else(inner).or_else(|| self.0.kind.hint())
    }

    /// Returns the settings that are wrong, if [`kind`](Self::kind) is
    /// [`Config`](ErrorKind::Config). [`message`](Self::message) joins their texts.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn config_faults(&self) -> &[ConfigFault] {
        &self.0.config_faults
    }

    /// Creates an error with one fault. `setting` is empty if the fault belongs to no setting.
    pub(crate) fn config(setting: &'static str, text: impl Into<String>) -> Self {
        let mut faults = ConfigFaults::default();
        faults.add_text(setting, text.into());
        faults.into()
    }

    /// Creates the error of a failed token source. If `source` is an error of this library and is
    /// not about the login, the new error has the same kind and the same `retry`. It is retryable
    /// too after a temporary failure of the operating system.
    pub(crate) fn login(message: String, source: Option<BoxError>) -> Self {
        use ErrorKind as Kind;
        let ours = source.as_ref().and_then(|source| source.downcast_ref::<Self>());
        let kind = match ours.map_or(Kind::Login, Self::kind) {
            Kind::Config
            | Kind::IdentityUnknown
            | Kind::NotAuthorized
            | Kind::NotFound
            | Kind::Refused => Kind::Login,
            kind => kind,
        };
        let (retry, hint) = match (ours, &source) {
            (Some(ours), _) => (ours.retry(), None),
            (None, Some(source)) => retry_and_hint(&**source),
            (None, None) => (Retry::Never, None),
        };
        let cause = source.map(Arc::from);
        Self(Arc::new(Inner { retry, hint, cause, ..Inner::local(kind, message) }))
    }

    pub(crate) fn unsuitable_token(message: String) -> Self {
        let hint = Some(refusals::UNSUITABLE_TOKEN);
        Self(Arc::new(Inner { hint, ..Inner::local(ErrorKind::Login, message) }))
    }

    #[cfg(feature = "user-pool")]
    pub(crate) fn sign_in(message: &str) -> Self {
        let inner = Inner::local(ErrorKind::Login, message.to_owned());
        let hint = Some(refusals::SIGN_IN_AGAIN);
        Self(Arc::new(Inner { refusal: Refusal::SignIn, hint, ..inner }))
    }

    #[cfg(feature = "user-pool")]
    pub(crate) fn challenge(
        operation: &'static str,
        response: ResponseMetadata,
        name: &str,
    ) -> Self {
        let message = format!("the user pool asks the user for more: {name}");
        let inner = Inner::answered(ErrorKind::NotAuthorized, operation, response, message);
        let hint = Some(refusals::SIGN_IN_AGAIN);
        Self(Arc::new(Inner { refusal: Refusal::SignIn, hint, ..inner }))
    }

    /// Creates the error of a failed storage. It is retryable after a temporary failure of the
    /// operating system.
    pub(crate) fn storage(message: String, cause: io::Error) -> Self {
        let (retry, hint) = retry_and_hint(&cause);
        let cause: Option<Arc<dyn StdError + Send + Sync>> = Some(Arc::new(cause));
        Self(Arc::new(Inner { retry, hint, cause, ..Inner::local(ErrorKind::Storage, message) }))
    }

    /// Creates the error for a storage that works, but that the library must not use.
    pub(crate) fn storage_unused(message: String, hint: &'static str) -> Self {
        Self(Arc::new(Inner { hint: Some(hint), ..Inner::local(ErrorKind::Storage, message) }))
    }

    pub(crate) fn identity_unknown(message: &str) -> Self {
        Self(Arc::new(Inner::local(ErrorKind::IdentityUnknown, message.to_owned())))
    }

    pub(crate) fn reentrant() -> Self {
        let message = "credentials were requested from inside code that the provider itself calls: a transport, token source, storage, clock or listener";
        Self(Arc::new(Inner::local(ErrorKind::Reentrant, message.to_owned())))
    }

    /// Creates the error for a time limit that passed before the first attempt, or while another
    /// thread refreshed.
    pub(crate) fn timeout(message: &str) -> Self {
        Self(Arc::new(Inner {
            retry: Retry::AfterFailure,
            ..Inner::local(ErrorKind::Timeout, message.to_owned())
        }))
    }

    /// Creates the error for a call without a complete answer. The text of `cause` becomes the
    /// message.
    pub(crate) fn no_response(
        operation: &'static str,
        kind: ErrorKind,
        retry: Retry,
        hint: Option<&'static str>,
        cause: Arc<dyn StdError + Send + Sync>,
    ) -> Self {
        Self(Arc::new(Inner {
            retry,
            hint,
            operation: Some(operation),
            repeats_cause: true,
            message: cause.to_string(),
            cause: Some(cause),
            ..Inner::local(kind, String::new())
        }))
    }

    /// Creates the error for an answer that reports an error. Its meaning comes from the original
    /// text, but it keeps only the redacted text.
    pub(crate) fn service(
        operation: &'static str,
        known: &[&[KnownRefusal]],
        response: ResponseMetadata,
        code: Option<&str>,
        message: Option<&str>,
        redactor: &Redactor<'_>,
    ) -> Self {
        let (kind, retry) = codes::classify(code, response.status);
        let not_the_service = code.is_none() && kind == ErrorKind::Response;
        let (refusal, hint) =
            refusals::find(known, code.unwrap_or_default(), message.unwrap_or_default()).unzip();
        let refusal = refusal.unwrap_or(Refusal::Other);
        let (kind, retry) = match refusal {
            #[cfg(feature = "user-pool")]
            Refusal::SignIn => (ErrorKind::NotAuthorized, retry),
            Refusal::ProviderUnreachable => (ErrorKind::Unavailable, Retry::AfterFailure),
            _ => (kind, retry),
        };
        let message =
            message.map(|message| redactor.clean(message)).filter(|text| !text.is_empty());
        let instead = if not_the_service {
            "the answer is not one that the service gives"
        } else {
            "the service gave no message"
        };
        let message = message.unwrap_or_else(|| instead.to_owned());
        let code = code.map(|code| redactor.clean(code));
        let response = ResponseMetadata { code, ..response };
        let hint = hint.or(not_the_service.then_some(NOT_THE_SERVICE));
        let inner = Inner::answered(kind, operation, response, message);
        Self(Arc::new(Inner { retry, refusal, hint, ..inner }))
    }

    /// Creates the error for an answer that does not seem to come from the service.
    pub(crate) fn response(
        operation: &'static str,
        response: ResponseMetadata,
        message: impl Into<String>,
    ) -> Self {
        let inner = Inner::answered(ErrorKind::Response, operation, response, message.into());
        Self(Arc::new(Inner { hint: Some(NOT_THE_SERVICE), ..inner }))
    }

    /// Creates the error for credentials that had already expired when they arrived.
    pub(crate) fn expired(
        operation: &'static str,
        response: ResponseMetadata,
        message: &str,
    ) -> Self {
        let message = message.to_owned();
        Self(Arc::new(Inner::answered(ErrorKind::Response, operation, response, message)))
    }

    pub(crate) fn refusal(&self) -> Refusal {
        self.0.refusal
    }

    pub(crate) fn retry(&self) -> Retry {
        self.0.retry
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.0.response.as_ref()?.retry_after
    }

    /// Returns the wait that the service asks for. It ignores the answer of a captive portal.
    pub(crate) fn cooldown_asked(&self) -> Option<Duration> {
        self.retry_after().filter(|_| self.kind() != ErrorKind::Response)
    }

    /// Returns `true` if an answer arrived, even if it was too large. A failure of the network or
    /// of local code, such as a token source, is not an answer.
    pub(crate) fn was_answered(&self) -> bool {
        self.0.response.is_some()
            || (self.0.operation.is_some() && self.kind() == ErrorKind::Response)
    }

    pub(crate) fn cause(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }
}

/// Returns whether to retry after an error of the operating system or of the program, and the hint.
fn retry_and_hint(error: &(dyn StdError + 'static)) -> (Retry, Option<&'static str>) {
    if os_error::is_temporary(error) {
        (Retry::AfterFailure, Some(os_error::TEMPORARY_HINT))
    } else {
        (Retry::Never, None)
    }
}

impl Inner {
    fn local(kind: ErrorKind, message: String) -> Self {
        Self {
            kind,
            retry: Retry::Never,
            message,
            operation: None,
            response: None,
            refusal: Refusal::Other,
            hint: None,
            cause: None,
            repeats_cause: false,
            config_faults: Vec::new(),
        }
    }

    fn answered(
        kind: ErrorKind,
        operation: &'static str,
        response: ResponseMetadata,
        message: String,
    ) -> Self {
        let (operation, response) = (Some(operation), Some(response));
        Self { operation, response, ..Self::local(kind, message) }
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
            for source in iter::successors(self.source(), |&source| source.source()) {
                write!(f, ": {source}")?;
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
            .field("source", &self.0.cause)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let cause = self.cause()?;
        if self.0.repeats_cause { cause.source() } else { Some(cause) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_token_source_keeps_a_kind_that_is_not_about_the_login() {
        use ErrorKind as K;

        struct Row {
            source: Error,
            kind: K,
            retryable: bool,
            needs_sign_in: bool,
        }
        let service = |code: &str, message: &str| {
            let response = ResponseMetadata { status: 400, ..ResponseMetadata::default() };
            Error::service(
                "GetId",
                &[GET_ID, IDENTITY_POOL],
                response,
                Some(code),
                Some(message),
                &Redactor::default(),
            )
        };
        let lost = |kind, retry| {
            Error::no_response("GetId", kind, retry, None, Arc::new(io::Error::other("x")))
        };
        let expired = "Invalid login token. Token expired: 1 >= 0";
        let row = |source, kind| Row { source, kind, retryable: false, needs_sign_in: false };
        let rows = [
            Row { retryable: true, ..row(lost(K::Unreachable, Retry::AtOnce), K::Unreachable) },
            Row { retryable: true, ..row(lost(K::Timeout, Retry::AfterFailure), K::Timeout) },
            row(lost(K::Tls, Retry::Never), K::Tls),
            Row { retryable: true, ..row(service("TooManyRequestsException", ""), K::Throttled) },
            Row { retryable: true, ..row(service("InternalErrorException", ""), K::Unavailable) },
            row(service("NotAuthorizedException", "No."), K::Login),
            Row {
                needs_sign_in: true,
                ..row(service("NotAuthorizedException", expired), K::Login)
            },
            row(service("ResourceNotFoundException", ""), K::Login),
            row(service("InvalidParameterException", ""), K::Login),
            row(Error::config("", "x"), K::Login),
            row(Error::identity_unknown("x"), K::Login),
            row(Error::reentrant(), K::Reentrant),
            Row { retryable: true, ..row(Error::timeout("x"), K::Timeout) },
        ];
        for Row { source, kind, retryable, needs_sign_in } in rows {
            let hint = source.hint();
            let text = format!("it failed: {source}");
            let error = Error::login("it failed".to_owned(), Some(source.into()));
            assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{text}");
            assert_eq!((error.needs_sign_in(), error.hint()), (needs_sign_in, hint), "{text}");
            assert!(format!("{error:#}").starts_with(&text), "{error:#}");
            assert!(!error.was_answered(), "a failed token source is not an answer");
        }
        let error = Error::login("it failed".to_owned(), Some("disk on fire".into()));
        assert_eq!((error.kind(), error.is_retryable()), (K::Login, false));
        assert!(!error.needs_sign_in());
    }

    #[cfg(unix)]
    #[test]
    fn a_token_source_that_failed_for_lack_of_resources_makes_a_retryable_error() {
        use rustix::io::Errno;

        /// An error of the program, whose cause is an error of the system.
        #[derive(Debug)]
        struct Own(io::Error);

        impl fmt::Display for Own {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("no token")
            }
        }

        impl StdError for Own {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(&self.0)
            }
        }

        let too_many = || io::Error::from(Errno::MFILE);
        let no_file = io::Error::from(Errno::NOENT);
        let denied = || io::Error::from(Errno::ACCESS);
        let rows: [(BoxError, bool); 6] = [
            (too_many().into(), true),
            (Own(too_many()).into(), true),
            (Error::storage("x".to_owned(), too_many()).into(), true),
            (no_file.into(), false),
            (Own(denied()).into(), false),
            (Error::storage("x".to_owned(), denied()).into(), false),
        ];
        for (source, retryable) in rows {
            let text = source.to_string();
            let error = Error::login("it failed".to_owned(), Some(source));
            assert_eq!(error.is_retryable(), retryable, "{text}");
            assert_eq!(error.hint() == Some(os_error::TEMPORARY_HINT), retryable, "{text}");
            assert!(!error.needs_sign_in() && !error.was_answered(), "{text}");
        }
    }

    #[test]
    fn the_plain_form_is_one_line_and_the_alternate_form_adds_the_causes() {
        let cause =
            io::Error::new(io::ErrorKind::InvalidData, Error::login("a".into(), Some("b".into())));
        let (kind, retry) = (ErrorKind::Unreachable, Retry::AfterFailure);
        let error = Error::no_response("GetId", kind, retry, None, Arc::new(cause));
        assert_eq!(error.to_string(), "GetId: a");
        assert_eq!(format!("{error:#}"), "GetId: a: b", "the text of the cause appears once");
        assert!(error.cause().unwrap().is::<io::Error>());

        let response = ResponseMetadata {
            status: 400,
            request_id: Some("r-1".into()),
            ..ResponseMetadata::default()
        };
        let code = Some("NotAuthorizedException");
        let error = Error::service("GetId", &[], response, code, Some("No."), &Redactor::default());
        assert_eq!(
            error.to_string(),
            "GetId: NotAuthorizedException: No. (HTTP status 400, request ID r-1)"
        );

        let error = Error::login("the token source failed".into(), Some("disk on fire".into()));
        assert_eq!(format!("{error:#}"), "the token source failed: disk on fire");
    }
}
