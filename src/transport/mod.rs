//! The seam to HTTP: one method, which a closure can be.
//!
//! [`Transport::send`] carries one POST request and brings back the answer. `UreqTransport`
//! (feature `ureq`, on by default) is the real one. A device with its own HTTP stack, or a unit
//! test, plugs in another:
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
pub(crate) use self::ureq::{ClientCertificate, authorities, covers};
#[cfg(feature = "ureq")]
pub use self::ureq::{IpFamily, UreqTransport, UreqTransportBuilder};

/// The largest body that is taken in. The service's answers have a few KiB.
pub(crate) const LARGEST_BODY: usize = 256 * 1024;

/// Sends one HTTP request and returns the answer, whatever its status.
///
/// What an implementation must do:
///
/// 1. Send `POST` with exactly the given [headers](HttpRequest::headers) and
///    [body](HttpRequest::body); `Host`, `Content-Length` and `User-Agent` are its own to add.
/// 2. Return within [`HttpRequest::timeout`], counted over everything: name look-up, connect, TLS
///    handshake, sending and receiving. The library's own time limits rest on this.
/// 3. Follow no redirect (the body may carry login tokens), and make no second attempt of its own.
/// 4. Return every status as an answer; an error means that there is no complete answer. Name the
///    cause with the [`TransportErrorKind`] that fits: it decides whether the call is repeated.
/// 5. Refuse answers that are unreasonably large ([`TransportErrorKind::TooLarge`]); over 256 KiB
///    they are refused in any case.
/// 6. Log neither bodies nor answers.
/// 7. Pass the answer's headers on, `Date` above all: without it the life of the credentials is
///    measured on the device's own wall clock, which may be wrong.
///
/// Closures are transports, and so are `Arc<T>` and `Box<dyn Transport>`. `send` may be called
/// from several threads at once (for several providers that share it). No lock of this library is
/// held during the call. A panic reaches the caller of `get()` and harms nobody else; a `get()`
/// of the same provider from inside is an error of kind
/// [`Reentrant`](crate::ErrorKind::Reentrant).
pub trait Transport: Send + Sync {
    /// Sends `request` and waits for the complete answer.
    ///
    /// # Errors
    ///
    /// When there is no complete answer: see [`TransportErrorKind`].
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

/// One request to the service, always a `POST`.
///
/// The body may hold login tokens; it is wiped from memory when the request is dropped, and `Debug`
/// shows its length alone.
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

    /// The absolute URL to post to.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The headers to send, in order: names in lower case and values, all printable ASCII.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The body to send.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// How long sending and receiving may take in all.
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

/// A complete answer: status, headers and body.
///
/// The body may hold credentials, and a header may repeat a token; both are wiped from memory when
/// the response is dropped. `Debug` shows the status, the names of the headers and the length of the body.
#[derive(Clone)]
pub struct HttpResponse {
    status: u16,
    headers: Vec<(String, Zeroizing<String>)>,
    body: Zeroizing<Vec<u8>>,
}

impl HttpResponse {
    /// An answer without headers. Passing a `Vec<u8>` or a `String` moves it; anything else is
    /// copied.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: Zeroizing::new(body.into()) }
    }

    /// Adds a header. The library looks at `date`, `x-amzn-errortype`, `x-amzn-errormessage`,
    /// `x-amzn-requestid`, `x-amz-request-id`, `retry-after` and `x-amz-retry-after`.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), Zeroizing::new(value.into())));
        self
    }

    /// The HTTP status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first header of this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body.
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

/// Why a [`Transport`] has no complete answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// No connection: the name did not resolve, nobody listens there, or a proxy could not connect.
    /// Repeated.
    Connect,
    /// The peer is not who it should be, or the TLS handshake was refused. Not repeated: the same
    /// certificate would come again.
    Tls,
    /// The request took longer than [`HttpRequest::timeout`]. Repeated.
    Timeout,
    /// The peer closed the connection before any of the answer came, as happens to a connection
    /// that was idle for too long. Repeated at once, without a delay, when it is a call's first
    /// attempt.
    Closed,
    /// The connection broke during the exchange, or what came was not HTTP. Repeated.
    Io,
    /// The answer is larger than anything that the service sends. Not repeated.
    TooLarge,
    /// Anything else, such as a proxy that refuses. Not repeated.
    Other,
}

/// The failure of a [`Transport`]: its kind, and its cause.
///
/// [`Error::transport_error`] returns it to the caller of `get()`.
#[derive(Clone, Debug)]
pub struct TransportError {
    kind: TransportErrorKind,
    /// In place of the text of the kind.
    text: Option<Arc<str>>,
    hint: Option<&'static str>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl TransportError {
    /// Creates a failure with its cause. The cause is printed, so its text must hold no secret.
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
    #[must_use]
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    /// What to do about it, if that is known.
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
    /// use cognito_identity_credentials::transport::{HttpRequest, TransportError, TransportErrorKind};
    ///
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .transport(|_: &HttpRequest| Err(TransportError::new(TransportErrorKind::Other, "no modem")))
    ///     .build()?;
    /// let error = credentials.get().unwrap_err();
    /// let kind = error.transport_error().map(TransportError::kind);
    /// assert_eq!(kind, Some(TransportErrorKind::Other));
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    #[must_use]
    pub fn transport_error(&self) -> Option<&TransportError> {
        self.origin()?.downcast_ref()
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
    fn requests_and_responses_print_no_body_and_no_header_value_of_an_answer() {
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
