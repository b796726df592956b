//! Faults that a test schedules for the next requests.

use std::time::SystemTime;

use crate::transport::TransportErrorKind;

/// Describes what goes wrong with a request to the fake service.
///
/// [`FakeCognito::fail_next`](super::FakeCognito::fail_next) schedules a fault.
///
/// # Example
///
/// ```
/// use cognito_identity_credentials::testing::{FakeCognito, Fault};
///
/// let cognito = FakeCognito::new();
/// cognito.fail_next("GetId", 2, Fault::throttled());
/// cognito.fail_next("GetId", 1, Fault::internal_error());
/// cognito.fail_next("GetId", 1, Fault::error(503, "ServiceUnavailable", "Try again later"));
/// cognito.fail_next("GetId", 1, Fault::not_authorized("Token is not from a supported provider"));
/// cognito.fail_next("GetId", 1, Fault::raw(200, "<html>Welcome to our hotel</html>"));
/// cognito.fail_next("GetId", 1, Fault::timeout());
///
/// // Add any header. So a `Date` can be any text, and an answer can have two of them.
/// cognito.fail_next("GetId", 1, Fault::throttled().with_header("retry-after", "30"));
/// cognito.fail_next("GetId", 1, Fault::Date(None).with_header("date", "yesterday"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The service returns an error: JSON from Cognito, XML from STS.
    #[non_exhaustive]
    Error {
        /// The HTTP status.
        status: u16,
        /// The error code, such as `ResourceNotFoundException`.
        code: String,
        /// The error message.
        message: String,
    },
    /// The answer has this status and body, and no headers.
    #[non_exhaustive]
    Raw {
        /// The HTTP status.
        status: u16,
        /// The body.
        body: String,
    },
    /// The request does not reach the service: the transport returns an error of this kind.
    NoAnswer(TransportErrorKind),
    /// The service carries out the request, but its answer is lost: the transport returns an error
    /// of this kind.
    AnswerLost(TransportErrorKind),
    /// The service carries out the request. Its answer has this `Date` header, or none if this is
    /// `None`.
    Date(Option<SystemTime>),
    /// The service carries out the request, and merges the identity of its answer into the identity
    /// with this ID. The answer then has this ID.
    IdentityId(String),
    /// The answer of another fault has one more header. If that fault has no answer, nothing
    /// changes.
    #[non_exhaustive]
    WithHeader {
        /// The other fault.
        fault: Box<Fault>,
        /// The name of the header.
        name: String,
        /// The value of the header.
        value: String,
    },
}

impl Fault {
    /// Returns the service's `TooManyRequestsException`, with status 429.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn throttled() -> Self {
        Self::error(429, "TooManyRequestsException", "Rate exceeded")
    }

    /// Returns the service's `InternalErrorException`, with status 500.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn internal_error() -> Self {
        Self::error(500, "InternalErrorException", "Internal failure")
    }

    /// Returns the service's `NotAuthorizedException` with this message, with status 400.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn not_authorized(message: impl Into<String>) -> Self {
        Self::error(400, "NotAuthorizedException", message)
    }

    /// Returns an error of the service.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn error(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Error { status, code: code.into(), message: message.into() }
    }

    /// Returns an answer with any status and body, such as the page of a captive portal.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn raw(status: u16, body: impl Into<String>) -> Self {
        Self::Raw { status, body: body.into() }
    }

    /// Returns a time-out: the transport gets no answer in time.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn timeout() -> Self {
        Self::NoAnswer(TransportErrorKind::Timeout)
    }

    /// Adds a header to the answer, such as `retry-after`.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn with_header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::WithHeader { fault: Box::new(self), name: name.into(), value: value.into() }
    }
}
