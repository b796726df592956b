//! HTTPS by ureq and rustls. Nothing else in the crate names them.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, Read};
use std::mem;
use std::path::PathBuf;
use std::time::Duration;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body};
use zeroize::Zeroizing;

use super::quiet::Quiet;
use super::{
    HttpRequest, HttpResponse, LARGEST_BODY, Transport, TransportError, TransportErrorKind,
};
use crate::error::Error;

/// A longer time limit is none, and would overflow the arithmetic with system times.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
const BUFFER: usize = 16 * 1024;
const USER_AGENT: &str = concat!("cognito-identity-credentials/", env!("CARGO_PKG_VERSION"));

/// The default [`Transport`]: HTTP/1.1 over TLS 1.2 or 1.3, by ureq and rustls with ring.
///
/// It reads no environment and no proxy settings, follows no redirect, takes answers with less than
/// 16 KiB of headers and at most 256 KiB of body, keeps idle connections for 15 seconds, and buffers
/// 16 KiB in each direction. Server certificates are always checked, against Mozilla's roots as
/// built in, or against the authorities that [`builder`](Self::builder) was given. A name look-up
/// runs on a thread of its own, so that its time can be limited; the thread ends with the look-up,
/// which may be after the attempt has given up. Nothing else runs in the background.
///
/// The HTTP library underneath prints every answer at log level trace. While an exchange is under way
/// and the program's logger would take that (target `ureq_proto`), the maximum level of the process
/// is lowered to debug; a logger that filters `ureq_proto` to debug itself is left alone.
///
/// Cargo feature: `ureq` (on by default).
///
/// The handle is cheap to make; the TLS settings are built with each connection. Share one among
/// several providers with an `Arc`.
///
/// ```no_run
/// use cognito_identity_credentials::CognitoIdentityCredentials;
/// use cognito_identity_credentials::transport::UreqTransport;
///
/// # fn main() -> Result<(), cognito_identity_credentials::Error> {
/// let transport = UreqTransport::builder().ca_file("/etc/ssl/our-ca.pem").build()?;
/// let credentials = CognitoIdentityCredentials::builder()
///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
///     .transport(transport)
///     .build()?;
/// # Ok(())
/// # }
/// ```
pub struct UreqTransport(Agent);

impl UreqTransport {
    /// A transport with the defaults of [`builder`](Self::builder).
    #[must_use]
    pub fn new() -> Self {
        Self::with(&UreqTransportBuilder::default(), RootCerts::WebPki)
    }

    /// Settings to start from: the defaults.
    pub fn builder() -> UreqTransportBuilder {
        UreqTransportBuilder::default()
    }

    fn with(settings: &UreqTransportBuilder, roots: RootCerts) -> Self {
        let tls = TlsConfig::builder().provider(TlsProvider::Rustls).root_certs(roots).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(settings.user_agent.as_str())
            .accept("")
            .timeout_connect(settings.connect_timeout.map(|limit| limit.min(LONGEST_TIMEOUT)))
            .input_buffer_size(BUFFER)
            // A head that fills the buffer leaves no room to read into, which would be taken for the
            // end of the connection, and the call be repeated.
            .max_response_header_size(BUFFER - 1)
            .output_buffer_size(BUFFER)
            .build();
        Self(config.into())
    }
}

impl Default for UreqTransport {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for UreqTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UreqTransport").finish_non_exhaustive()
    }
}

/// The settings of a [`UreqTransport`].
#[must_use]
#[derive(Clone, Debug)]
pub struct UreqTransportBuilder {
    ca_files: Vec<PathBuf>,
    ca_pems: Vec<Vec<u8>>,
    connect_timeout: Option<Duration>,
    user_agent: String,
}

impl Default for UreqTransportBuilder {
    fn default() -> Self {
        Self {
            ca_files: Vec::new(),
            ca_pems: Vec::new(),
            connect_timeout: None,
            user_agent: USER_AGENT.to_owned(),
        }
    }
}

impl UreqTransportBuilder {
    /// Trusts the certificate authorities in this PEM file, which [`build`](Self::build) reads
    /// once, instead of Mozilla's roots. May be said several times. Default: Mozilla's roots.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_files.push(path.into());
        self
    }

    /// Trusts the certificate authorities in this PEM text instead of Mozilla's roots. May be said
    /// several times, and beside [`ca_file`](Self::ca_file). Default: Mozilla's roots.
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_pems.push(pem.into());
        self
    }

    /// The longest that connecting takes, with the TLS handshake, so that an address which does not
    /// answer leaves time for another attempt. Default: no limit but the request's own.
    #[doc(alias = "connectTimeout")]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// The `User-Agent` header. Default: `cognito-identity-credentials/` and the version.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Reads and checks the certificates and makes the transport. Reads the files given with
    /// [`ca_file`](Self::ca_file); makes no connection.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config), with every fault in its text: a file that cannot be
    /// read, PEM without a certificate that can be an authority, a `User-Agent` that no header can
    /// hold.
    pub fn build(self) -> Result<UreqTransport, Error> {
        let mut faults = Vec::new();
        let mut authorities = Vec::new();
        for path in &self.ca_files {
            match std::fs::read(path) {
                Ok(pem) => add_authorities(
                    &format!("ca_file: {}", path.display()),
                    &pem,
                    &mut authorities,
                    &mut faults,
                ),
                Err(error) => faults.push(format!("ca_file: {}: {error}", path.display())),
            }
        }
        for pem in &self.ca_pems {
            add_authorities("ca_pem: the text", pem, &mut authorities, &mut faults);
        }
        if self.user_agent.bytes().any(|b| !(b' '..=b'~').contains(&b)) {
            faults.push("user_agent: has a character other than printable ASCII".to_owned());
        }
        if !faults.is_empty() {
            return Err(Error::config(faults.join("; ")));
        }
        let roots = if authorities.is_empty() {
            RootCerts::WebPki
        } else {
            RootCerts::new_with_certs(&authorities)
        };
        Ok(UreqTransport::with(&self, roots))
    }
}

fn add_authorities(
    what: &str,
    pem: &[u8],
    authorities: &mut Vec<Certificate<'static>>,
    faults: &mut Vec<String>,
) {
    let before = authorities.len();
    for item in ureq::tls::parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => {
                let der = rustls::pki_types::CertificateDer::from(certificate.der());
                match rustls::RootCertStore::empty().add(der) {
                    Ok(()) => authorities.push(certificate),
                    Err(error) => {
                        return faults.push(format!(
                            "{what} holds a certificate that cannot be an authority: {error}"
                        ));
                    }
                }
            }
            Ok(_) => {}
            Err(error) => return faults.push(format!("{what} is not PEM: {error}")),
        }
    }
    if authorities.len() == before {
        faults.push(format!("{what} holds no certificate"));
    }
}

impl Transport for UreqTransport {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let _quiet = Quiet::begin();
        let mut post = self.0.post(request.url());
        for (name, value) in request.headers() {
            post = post.header(name, value);
        }
        let answer = post
            .config()
            .timeout_global(Some(request.timeout().min(LONGEST_TIMEOUT)))
            .build()
            .send(request.body())
            .map_err(|error| failure(error, Stage::BeforeAnswer))?;
        let (parts, body) = answer.into_parts();
        let mut body = read(body).map_err(|error| failure(error, Stage::InBody))?;
        let mut response = HttpResponse::new(parts.status.as_u16(), mem::take(&mut *body));
        for (name, value) in &parts.headers {
            if let Ok(value) = value.to_str() {
                response = response.with_header(name.as_str(), value);
            }
        }
        Ok(response)
    }
}

/// Reads a body into memory that is wiped, also the parts that it outgrows.
fn read(mut body: Body) -> Result<Zeroizing<Vec<u8>>, ureq::Error> {
    let expected = usize::try_from(body.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
    if expected > LARGEST_BODY {
        return Err(ureq::Error::BodyExceedsLimit(LARGEST_BODY as u64));
    }
    let mut read = Zeroizing::new(Vec::with_capacity(expected));
    let mut reader = body.with_config().limit(LARGEST_BODY as u64).reader();
    let mut chunk = Zeroizing::new([0; 4096]);
    loop {
        let new = match reader.read(&mut chunk[..]) {
            Ok(0) => return Ok(read),
            Ok(length) => chunk.get(..length).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        if read.len() + new.len() > read.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity((read.len() + new.len()) * 2));
            larger.extend_from_slice(&read);
            read = larger;
        }
        read.extend_from_slice(new);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    BeforeAnswer,
    InBody,
}

fn failure(error: ureq::Error, stage: Stage) -> TransportError {
    use TransportErrorKind as Kind;
    use ureq::Error as E;
    let kind = match &error {
        E::Timeout(_) => Kind::Timeout,
        E::Tls(_) | E::Pem(_) | E::Rustls(_) | E::TlsRequired => Kind::Tls,
        E::Io(error) if caused_by_rustls(error) => Kind::Tls,
        E::Io(error) => match (error.kind(), stage) {
            (io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock, _) => Kind::Timeout,
            (
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe,
                Stage::BeforeAnswer,
            ) => Kind::Closed,
            (
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::NetworkDown
                | io::ErrorKind::AddrNotAvailable,
                _,
            ) => Kind::Connect,
            (_, Stage::BeforeAnswer) if is_look_up_failure(error) => Kind::Connect,
            _ => Kind::Io,
        },
        E::HostNotFound | E::ConnectionFailed | E::ConnectProxyFailed(_) => Kind::Connect,
        E::BodyExceedsLimit(_) | E::LargeResponseHeader(..) => Kind::TooLarge,
        E::Protocol(_) | E::BodyStalled => Kind::Io,
        _ => Kind::Other,
    };
    TransportError::new(kind, Cause(error))
}

fn caused_by_rustls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn StdError + Send + Sync>::is::<rustls::Error>)
}

/// A failed name look-up comes from the resolver, which has no error numbers, with a text of its own
/// and a kind that cannot be named.
fn is_look_up_failure(error: &io::Error) -> bool {
    let text = error.get_ref().map(ToString::to_string).unwrap_or_default();
    error.raw_os_error().is_none() && text.starts_with("failed to lookup address")
}

/// An error of ureq with its causes, which ureq itself only prints.
#[derive(Debug)]
struct Cause(ureq::Error);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ureq::Error::Io(_) => f.write_str("input or output failed"),
            ureq::Error::Rustls(_) => f.write_str("TLS failed"),
            other => other.fmt(f),
        }
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0 {
            ureq::Error::Io(error) => Some(error),
            ureq::Error::Rustls(error) => Some(error),
            _ => None,
        }
    }
}
