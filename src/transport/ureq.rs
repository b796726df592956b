//! HTTPS by ureq and rustls. Nothing else in the crate names them, but `proxy`, which holds ureq's.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::mem;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, SystemTime};

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body, Proxy};
use zeroize::Zeroizing;

use super::proxy::{Name, Route};
use super::quiet::Quiet;
use super::{
    HttpRequest, HttpResponse, LARGEST_BODY, Transport, TransportError, TransportErrorKind,
};
use crate::error::Error;
use crate::secret::{Secret, read_to_end};

/// A longer time limit is none, and would overflow the arithmetic with system times.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
const BUFFER: usize = 16 * 1024;
const USER_AGENT: &str = concat!("cognito-identity-credentials/", env!("CARGO_PKG_VERSION"));

/// The default [`Transport`]: HTTP/1.1 over TLS 1.2 or 1.3, by ureq and rustls with ring.
///
/// It reads no environment unless [told to](UreqTransportBuilder::proxy_from_env), follows no
/// redirect, takes answers with at most 128 headers of less than 16 KiB and 256 KiB of body, keeps idle
/// connections for 15 seconds, and buffers 16 KiB in each direction. Server certificates are always
/// checked, against Mozilla's roots as built in, or against the authorities that
/// [`builder`](Self::builder) was given. A name look-up runs on a thread of its own, so that its time
/// can be limited; the thread ends with the look-up, which may be after the attempt has given up.
/// Nothing else runs in the background.
///
/// Through a proxy, every request has a connection of its own, which ends with it, and a thread
/// that watches its time; that too ends with the request.
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
pub struct UreqTransport {
    agent: Agent,
    route: Route,
}

impl UreqTransport {
    /// A transport with the defaults of [`builder`](Self::builder).
    #[must_use]
    pub fn new() -> Self {
        Self::with(&UreqTransportBuilder::default(), RootCerts::WebPki, Route::default())
    }

    /// Settings to start from: the defaults.
    pub fn builder() -> UreqTransportBuilder {
        UreqTransportBuilder::default()
    }

    fn with(settings: &UreqTransportBuilder, roots: RootCerts, route: Route) -> Self {
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
        Self { agent: config.into(), route }
    }

    /// Sends through a proxy. ureq limits each read of the proxy's answer to CONNECT but not their
    /// sum, so a thread watches the time and ends what is late. Ending it ends the agent, which is
    /// why that serves this one exchange.
    fn send_through(
        &self,
        proxy: &Proxy,
        request: &HttpRequest,
    ) -> Result<HttpResponse, TransportError> {
        let agent = self.agent.config().new_agent();
        let limit = time_limit(request);
        thread::scope(|scope| {
            let (finished, watched) = mpsc::channel::<()>();
            let its_agent = agent.clone();
            let watch = move || {
                let late = watched.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
                if late {
                    its_agent.shutdown();
                }
                late
            };
            let watch = thread::Builder::new()
                .spawn_scoped(scope, watch)
                .map_err(|error| TransportError::new(TransportErrorKind::Other, error))?;
            let answer = exchange(&agent, Some(proxy), request);
            drop(finished);
            match (answer, watch.join()) {
                (Err(_), Ok(true)) => {
                    let late = ureq::Error::Timeout(ureq::Timeout::Global);
                    Err(failure(late, Stage::BeforeAnswer, Some(proxy)))
                }
                (answer, _) => answer,
            }
        })
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
    proxy: Option<Secret>,
    proxy_from_env: bool,
}

impl Default for UreqTransportBuilder {
    fn default() -> Self {
        Self {
            ca_files: Vec::new(),
            ca_pems: Vec::new(),
            connect_timeout: None,
            user_agent: USER_AGENT.to_owned(),
            proxy: None,
            proxy_from_env: false,
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

    /// Sends requests through this HTTP proxy: `http://user:password@host:port`. Default: none, and
    /// the environment is not looked at.
    ///
    /// The proxy is asked for a tunnel (`CONNECT`, with the host's name, which the proxy looks up),
    /// whatever the scheme of the endpoint; inside it TLS goes to the service itself, whose
    /// certificate is checked as ever. Loopback endpoints (`localhost`, `127.0.0.0/8`, `::1`) are
    /// reached without the proxy. Plain `http` to other hosts needs
    /// [`danger_allow_http`](crate::Builder::danger_allow_http) as without a proxy, and goes through
    /// the tunnel unprotected.
    ///
    /// User name and password are optional, are sent as Basic authentication, and must be
    /// percent-encoded (`p%40ss` for `p@ss`). They cross the network to an `http` proxy in the
    /// clear. To an `https` proxy the connection is TLS, with the same authorities as for the
    /// service. Without a scheme `http` is meant, without a port 80, or 443 for `https`. SOCKS is
    /// not supported. `Debug` and errors never show the user name or the password.
    ///
    /// A proxy that cannot be reached or answers with a status from 500, 408 or 429 is asked again
    /// like a service that cannot be reached; one that refuses with another status is not.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(Secret::new(url));
        self
    }

    /// Whether [`build`](Self::build) reads the proxy from the environment. Default: `false`.
    ///
    /// It is the first that is set and not empty of `https_proxy`, `HTTPS_PROXY`, `all_proxy` and
    /// `ALL_PROXY`, with a value as for [`proxy`](Self::proxy). It is for `https` alone: plain
    /// `http`, which only emulators speak, goes past it, and `http_proxy` is not read. Another
    /// [`proxy`](Self::proxy) wins, and these four are then not looked at.
    ///
    /// `no_proxy`, else `NO_PROXY`, lists what is reached without either: `example.com`,
    /// `.example.com` and `*.example.com` for a domain and everything below it, an IP address, a
    /// network such as `10.0.0.0/8`, any of these with `:port` to mean that port alone (an IPv6
    /// address then in brackets), `*` for everything, with commas or spaces in between. An entry of
    /// another form covers nothing.
    pub fn proxy_from_env(mut self, read: bool) -> Self {
        self.proxy_from_env = read;
        self
    }

    /// Reads and checks the certificates and makes the transport. Reads the files given with
    /// [`ca_file`](Self::ca_file), and environment variables if
    /// [`proxy_from_env`](Self::proxy_from_env) says so; makes no connection.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config), with every fault in its text: a file that cannot be
    /// read, PEM without a certificate that can be an authority, a `User-Agent` that no header can
    /// hold, a proxy that is malformed or not supported, with the name of the setting or of the
    /// variable.
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
        let route = self.route(&mut faults);
        if !faults.is_empty() {
            return Err(Error::config(faults.join("; ")));
        }
        let roots = if authorities.is_empty() {
            RootCerts::WebPki
        } else {
            RootCerts::new_with_certs(&authorities)
        };
        Ok(UreqTransport::with(&self, roots, route))
    }

    fn route(&self, faults: &mut Vec<String>) -> Route {
        let set = match &self.proxy {
            Some(url) => Route::through(url.expose()).map_err(|fault| vec![fault]),
            None => Ok(Route::default()),
        };
        let read = |set: Route| set.or_from_variables(|name| std::env::var_os(name));
        let route = if self.proxy_from_env { set.and_then(read) } else { set };
        route.unwrap_or_else(|found| {
            faults.extend(found);
            Route::default()
        })
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
        match self.route.proxy_for(request.url()) {
            Some(proxy) => self.send_through(proxy, request),
            None => exchange(&self.agent, None, request),
        }
    }
}

fn time_limit(request: &HttpRequest) -> Duration {
    request.timeout().min(LONGEST_TIMEOUT)
}

fn exchange(
    agent: &Agent,
    proxy: Option<&Proxy>,
    request: &HttpRequest,
) -> Result<HttpResponse, TransportError> {
    let mut post = agent.post(request.url());
    for (name, value) in request.headers() {
        post = post.header(name, value);
    }
    let answer = post
        .config()
        .proxy(proxy.cloned())
        .timeout_global(Some(time_limit(request)))
        .build()
        .send(request.body())
        .map_err(|error| failure(error, Stage::BeforeAnswer, proxy))?;
    let (parts, body) = answer.into_parts();
    let mut body = read(body).map_err(|error| failure(error, Stage::InBody, proxy))?;
    let mut response = HttpResponse::new(parts.status.as_u16(), mem::take(&mut *body));
    for (name, value) in &parts.headers {
        if let Ok(value) = value.to_str() {
            response = response.with_header(name.as_str(), value);
        }
    }
    Ok(response)
}

fn read(mut body: Body) -> Result<Zeroizing<Vec<u8>>, ureq::Error> {
    let expected = usize::try_from(body.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
    if expected > LARGEST_BODY {
        return Err(ureq::Error::BodyExceedsLimit(LARGEST_BODY as u64));
    }
    let reader = body.with_config().limit(LARGEST_BODY as u64).reader();
    Ok(read_to_end(reader, expected)?)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    BeforeAnswer,
    InBody,
}

fn failure(error: ureq::Error, stage: Stage, proxy: Option<&Proxy>) -> TransportError {
    use TransportErrorKind as Kind;
    use ureq::Error as E;
    let kind = match &error {
        E::Timeout(_) => Kind::Timeout,
        E::Tls(_) | E::Pem(_) | E::Rustls(_) | E::TlsRequired => Kind::Tls,
        E::Io(error) if refused_by_rustls(error).is_some() => Kind::Tls,
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
        E::ConnectProxyFailed(reason) => match refusal(reason) {
            Some(408 | 429 | 500..) | None => Kind::Connect,
            // It would refuse again.
            Some(_) => Kind::Other,
        },
        E::HostNotFound | E::ConnectionFailed => Kind::Connect,
        E::BodyExceedsLimit(_) | E::LargeResponseHeader(..) => Kind::TooLarge,
        E::Protocol(_) | E::BodyStalled => Kind::Io,
        _ => Kind::Other,
    };
    TransportError::new(kind, Cause { error, proxy: proxy.map(|proxy| Name(proxy).to_string()) })
}

/// The status with which a proxy refused a tunnel. ureq has it in its text alone.
fn refusal(reason: &str) -> Option<u16> {
    reason.strip_prefix("proxy server responded ")?.get(..3)?.parse().ok()
}

fn refused_by_rustls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// What is wrong, and what to look at, in front of what rustls says of it.
fn describe(refusal: &rustls::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use rustls::{CertificateError as C, Error as E};
    f.write_str(match refusal {
        E::InvalidCertificate(fault) => match fault {
            C::ExpiredContext { time, .. } => {
                return write!(
                    f,
                    "the server's certificate has expired, or the device's clock is wrong: it says {}",
                    Date(*time)
                );
            }
            C::NotValidYetContext { time, .. } => {
                return write!(
                    f,
                    "the server's certificate is not valid yet, or the device's clock is wrong: it says {}",
                    Date(*time)
                );
            }
            C::UnknownIssuer => {
                "the server's certificate is from no authority that is trusted (ca_file and ca_pem say which are), or the server does not send the certificates in between"
            }
            C::NotValidForName | C::NotValidForNameContext { .. } => {
                "the server's certificate is for another name"
            }
            C::InvalidPurpose | C::InvalidPurposeContext { .. } => {
                "the server's certificate is not meant for a server"
            }
            C::UnsupportedSignatureAlgorithmContext { .. }
            | C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                "the server's certificate, or one that it rests on, is signed in a way that is too weak or unknown"
            }
            _ => "the server's certificate, or one that it rests on, does not hold",
        },
        E::NoCertificatesPresented => "the server has no certificate",
        E::PeerIncompatible(_) | E::AlertReceived(rustls::AlertDescription::ProtocolVersion) => {
            "the server does not speak TLS 1.2 or 1.3 as it is needed"
        }
        E::InvalidMessage(_) => "what answers there does not speak TLS",
        E::AlertReceived(_) => "the server refused the TLS handshake",
        _ => "TLS failed",
    })
}

struct Date(rustls::pki_types::UnixTime);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// The end of the year 9999; RFC 3339 knows no later one.
        const LAST: u64 = 253_402_300_799;
        let since = Duration::from_secs(self.0.as_secs().min(LAST));
        humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + since).fmt(f)
    }
}

/// A failed name look-up comes from the resolver, which has no error numbers, with a text of its own
/// and a kind that cannot be named.
fn is_look_up_failure(error: &io::Error) -> bool {
    let text = error.get_ref().map(ToString::to_string).unwrap_or_default();
    error.raw_os_error().is_none() && text.starts_with("failed to lookup address")
}

/// An error of ureq with its causes, which ureq itself only prints, and with the proxy on the way.
#[derive(Debug)]
struct Cause {
    error: ureq::Error,
    proxy: Option<String>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(proxy) = &self.proxy {
            write!(f, "through the proxy {proxy}: ")?;
        }
        match &self.error {
            ureq::Error::Io(error) => match refused_by_rustls(error) {
                Some(refusal) => describe(refusal, f),
                None => f.write_str("input or output failed"),
            },
            ureq::Error::Rustls(error) => describe(error, f),
            ureq::Error::ConnectProxyFailed(reason) => match refusal(reason) {
                Some(407) => f.write_str("it takes no request without the right user name and password (status 407); they belong in its URL"),
                Some(status) => write!(f, "it refused the connection (status {status})"),
                None if reason.contains("did not respond") => {
                    f.write_str("it closed the connection instead of answering")
                }
                None => f.write_str("it opened no tunnel"),
            },
            other => other.fmt(f),
        }
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.error {
            ureq::Error::Io(error) => Some(error),
            ureq::Error::Rustls(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builder_prints_no_proxy() {
        let builder = UreqTransport::builder().proxy("http://ann:hunter2@proxy:3128");
        assert_eq!(
            format!("{builder:?}"),
            format!(
                "UreqTransportBuilder {{ ca_files: [], ca_pems: [], connect_timeout: None, user_agent: {USER_AGENT:?}, proxy: Some([redacted]), proxy_from_env: false }}"
            )
        );
        assert_eq!(format!("{:?}", builder.build().unwrap()), "UreqTransport { .. }");
    }
}
