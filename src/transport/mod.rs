//! The interface to HTTP.
//!
//! [`Transport::send`] sends one POST request and returns the answer. The default is
//! `UreqTransport` (feature `ureq`, on by default). A device with its own HTTP stack, or a unit
//! test, sets another one. A closure is enough:
//!
//! ```
//! use cognito_identity_credentials::CognitoIdentityCredentials;
//! use cognito_identity_credentials::transport::{HttpRequest, HttpResponse};
//!
//! # fn main() -> Result<(), cognito_identity_credentials::Error> {
//! let credentials = CognitoIdentityCredentials::builder()
//!     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
//!     .transport(|request: &HttpRequest| {
//!         assert_eq!(request.url(), "https://cognito-identity.us-east-1.amazonaws.com/");
//!         Ok(HttpResponse::new(400, r#"{"__type": "InternalErrorException"}"#))
//!     })
//!     .max_attempts(1)
//!     .build()?;
//! assert_eq!(credentials.get().unwrap_err().code(), Some("InternalErrorException"));
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "ureq")]
mod ureq;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::Error;

#[cfg(all(fuzzing, feature = "ureq"))]
pub(crate) use self::ureq::{ClientCertificate, authorities, no_proxy_covers};
#[cfg(feature = "ureq")]
pub use self::ureq::{IpFamily, UreqTransport, UreqTransportBuilder};

/// The largest body that is accepted. The service's answers have a few KiB.
pub(crate) const MAX_BODY: usize = 256 * 1024;

/// Sends one HTTP request and returns the answer.
///
/// Rules for an implementation:
///
/// 1. Send a `POST` with exactly the given [headers](HttpRequest::headers) and
///    [body](HttpRequest::body). Add only `Host`, `Content-Length` and `User-Agent`.
/// 2. Return within [`HttpRequest::timeout`]. This limit includes the name look-up, the connection,
///    the TLS handshake, sending and receiving. The time limits of `get()` depend on it.
/// 3. Do not follow redirects, because the body may hold login tokens. Do not retry.
/// 4. Return the answer for every HTTP status. Return an error only if there is no complete answer.
///    Choose the [`TransportErrorKind`] that fits: it decides whether the library retries the call.
/// 5. Return [`TooLarge`](TransportErrorKind::TooLarge) for a very large answer. The library
///    rejects every answer over 256 KiB.
/// 6. Do not log bodies or answers.
/// 7. Return the headers of the answer. The most important is `Date`: without it, the library
///    measures the lifetime of the credentials on the device's wall clock, which may be wrong.
///
/// A closure is a transport. So are `Arc<T>` and `Box<dyn Transport>`.
///
/// Several threads may call `send` at the same time, if several providers share the transport. The
/// library holds no lock during the call. If `send` panics, only the caller of `get()` sees the
/// panic. If `send` calls `get()` of the same provider, it returns an error of kind
/// [`Reentrant`](crate::ErrorKind::Reentrant).
///
/// # Example
///
/// ```
/// use std::sync::Mutex;
/// use cognito_identity_credentials::transport::{
///     HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
/// };
/// # struct Modem;
/// # struct Answer { status: u16, date: String, body: Vec<u8> }
/// # impl Modem {
/// #     fn post(&mut self, url: &str, headers: &[(String, String)], body: &[u8],
/// #         limit: std::time::Duration) -> std::io::Result<Answer> {
/// #         Err(std::io::ErrorKind::TimedOut.into())
/// #     }
/// # }
///
/// struct ModemTransport(Mutex<Modem>);
///
/// impl Transport for ModemTransport {
///     fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
///         let mut modem = self.0.lock().unwrap();
///         let (url, headers, body) = (request.url(), request.headers(), request.body());
///         let answer = modem.post(url, headers, body, request.timeout()).map_err(|error| {
///             let kind = match error.kind() {
///                 std::io::ErrorKind::TimedOut => TransportErrorKind::Timeout,
///                 _ => TransportErrorKind::Io,
///             };
///             TransportError::new(kind, error)
///         })?;
///         Ok(HttpResponse::new(answer.status, answer.body).with_header("date", answer.date))
///     }
/// }
/// ```
pub trait Transport: Send + Sync {
    /// Sends `request` and waits for the complete answer.
    ///
    /// See the [example](Self#example).
    ///
    /// # Errors
    ///
    /// Return an error if there is no complete answer; see [`TransportErrorKind`].
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError>;
}

impl<F> Transport for F
where
    F: Fn(&HttpRequest) -> Result<HttpResponse, TransportError> + Send + Sync,
{
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        self(request)
    }
}

impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        (**self).send(request)
    }
}

impl Transport for Box<dyn Transport> {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        (**self).send(request)
    }
}

/// Holds one request to the service, always a `POST`.
///
/// The body may hold login tokens. It is wiped from memory when the request is dropped. `Debug`
/// shows only its length.
///
/// See the [example](Transport#example).
pub struct HttpRequest {
    url: String,
    headers: Vec<(String, String)>,
    body: Zeroizing<Vec<u8>>,
    timeout: Duration,
}

impl HttpRequest {
    pub(crate) fn new(url: &str, headers: Vec<(String, String)>, body: Zeroizing<Vec<u8>>) -> Self {
        Self { url: url.to_owned(), headers, body, timeout: Duration::ZERO }
    }

    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Returns the absolute URL of the request.
    ///
    /// See the [example](Transport#example).
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the headers to send, in order. Names are in lower case; names and values are
    /// printable ASCII.
    ///
    /// See the [example](Transport#example).
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Returns the body to send.
    ///
    /// See the [example](Transport#example).
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns how long the whole exchange may take.
    ///
    /// See the [example](Transport#example).
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("url", &self.url)
            .field("headers", &self.headers)
            .field("body", &format_args!("[{} bytes]", self.body.len()))
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// Holds a complete answer: status, headers and body.
///
/// The body may hold credentials, and a header may repeat a token. Both are wiped from memory when
/// the response is dropped. `Debug` shows only the status, the names of the headers and the length
/// of the body.
///
/// # Example
///
/// ```
/// use cognito_identity_credentials::transport::HttpResponse;
///
/// let answer = HttpResponse::new(200, "{}").with_header("Date", "Thu, 01 Jan 2026 00:00:00 GMT");
/// assert_eq!((answer.status(), answer.body()), (200, &b"{}"[..]));
/// assert_eq!(answer.header("date"), Some("Thu, 01 Jan 2026 00:00:00 GMT"));
/// ```
#[derive(Clone)]
pub struct HttpResponse {
    status: u16,
    headers: Vec<(String, Zeroizing<String>)>,
    body: Zeroizing<Vec<u8>>,
}

impl HttpResponse {
    /// Creates an answer without headers. A `Vec<u8>` or `String` is moved, other types are copied.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: Zeroizing::new(body.into()) }
    }

    /// Adds a header. The library reads `date`, `x-amzn-errortype`, `x-amzn-errormessage`,
    /// `x-amzn-requestid`, `x-amz-request-id`, `retry-after` and `x-amz-retry-after`.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), Zeroizing::new(value.into())));
        self
    }

    /// Returns the HTTP status code.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the value of the first header with this name. Upper and lower case are the same.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_values(name).next()
    }

    /// Returns the value of a header, unless it occurs more than once with different values.
    pub(crate) fn header_without_conflict(&self, name: &str) -> Option<&str> {
        let mut values = self.header_values(name);
        let first = values.next()?;
        values.all(|value| value == first).then_some(first)
    }

    pub(crate) fn header_values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = move |(key, _): &&(String, _)| key.eq_ignore_ascii_case(name);
        self.headers.iter().filter(named).map(|(_, value)| value.as_str())
    }

    #[cfg(feature = "testing")]
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the body.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("HttpResponse")
            .field("status", &self.status)
            .field("headers", &names)
            .field("body", &format_args!("[{} bytes]", self.body.len()))
            .finish()
    }
}

/// Tells why a [`Transport`] has no complete answer.
///
/// See the [example](Transport#example).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// There is no connection: the name look-up failed, the address refused the connection, or a
    /// proxy could not connect. Retried.
    Connect,
    /// The peer's certificate is not valid, or the TLS handshake failed. Not retried, because the
    /// certificate would be the same.
    Tls,
    /// The exchange took longer than [`HttpRequest::timeout`]. Retried.
    Timeout,
    /// The peer closed the connection before the answer began, as happens after a long idle time.
    /// The first attempt of a call is retried without delay, later ones with the usual delay.
    Closed,
    /// The connection broke during the exchange, or the answer was not HTTP. Retried.
    Io,
    /// The answer is larger than any answer of the service. Not retried.
    TooLarge,
    /// Another failure, such as a proxy that rejected the request. Not retried.
    Other,
}

/// Holds the failure of a [`Transport`]: its kind, and its cause.
///
/// [`Error::transport_error`] returns it to the caller of `get()`.
///
/// # Example
///
/// ```
/// use cognito_identity_credentials::transport::{TransportError, TransportErrorKind};
///
/// let error = TransportError::new(TransportErrorKind::Connect, "the modem has no signal");
/// assert_eq!(error.kind(), TransportErrorKind::Connect);
/// ```
#[derive(Clone, Debug)]
pub struct TransportError {
    kind: TransportErrorKind,
    /// Replaces the text of the kind.
    text: Option<Arc<str>>,
    hint: Option<&'static str>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl TransportError {
    /// Creates a failure with its cause. The cause is printed, so its text must hold no secret.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn new(
        kind: TransportErrorKind,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self { kind, text: None, hint: None, source: Some(Arc::from(source.into())) }
    }

    /// Creates a failure whose text names its cause.
    #[cfg(feature = "ureq")]
    pub(crate) fn described(
        kind: TransportErrorKind,
        text: String,
        hint: Option<&'static str>,
    ) -> Self {
        Self { kind, text: Some(text.into()), hint, source: None }
    }

    /// Returns the kind of the failure.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    pub(crate) fn hint(&self) -> Option<&'static str> {
        self.hint
    }
}

impl Error {
    /// Returns the error of the [`Transport`], if this error was made from one. Its
    /// [`kind`](TransportError::kind) is more precise than that of this error.
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    /// use cognito_identity_credentials::transport::{
    ///     HttpRequest, TransportError, TransportErrorKind,
    /// };
    ///
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .transport(|_: &HttpRequest| {
    ///         Err(TransportError::new(TransportErrorKind::Other, "no modem"))
    ///     })
    ///     .build()?;
    /// let error = credentials.get().unwrap_err();
    /// let kind = error.transport_error().map(TransportError::kind);
    /// assert_eq!(kind, Some(TransportErrorKind::Other));
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[must_use]
    pub fn transport_error(&self) -> Option<&TransportError> {
        self.cause()?.downcast_ref()
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.text {
            return f.write_str(text);
        }
        f.write_str(match self.kind {
            TransportErrorKind::Connect => "could not connect",
            TransportErrorKind::Tls => "the TLS connection was refused",
            TransportErrorKind::Timeout => "no answer in time",
            TransportErrorKind::Closed => "the peer closed the connection before answering",
            TransportErrorKind::Io => "the connection broke",
            TransportErrorKind::TooLarge => "the answer is too large",
            TransportErrorKind::Other => "the transport failed",
        })
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_body_and_no_header_value_of_an_answer() {
        let mut request = HttpRequest::new(
            "https://example.com/",
            vec![("x-amz-target".into(), "T".into())],
            Zeroizing::new(b"hunter2".to_vec()),
        );
        request.set_timeout(Duration::from_secs(1));
        assert_eq!(
            format!("{request:?}"),
            r#"HttpRequest { url: "https://example.com/", headers: [("x-amz-target", "T")], body: [7 bytes], timeout: 1s }"#
        );
        let response = HttpResponse::new(200, "hunter2").with_header("Date", "hunter2");
        assert_eq!(
            format!("{response:?}"),
            r#"HttpResponse { status: 200, headers: ["Date"], body: [7 bytes] }"#
        );
        assert_eq!(response.header("dATE"), Some("hunter2"));
    }
}
