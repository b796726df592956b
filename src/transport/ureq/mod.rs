//! HTTPS by ureq and rustls: the settings, and one exchange.

mod certificates;
mod connection;
mod connector;
mod deadline;
mod dial;
mod dns;
mod error;
mod exchange;
mod log_guard;
mod pem;
mod proxy;
mod stream;
mod tls;
mod tunnel;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use self::certificates::Certificates;
use self::dns::Family;
use self::exchange::HttpClient;
use self::proxy::Route;
use self::tls::{FlooredTime, Time};
use super::{HttpRequest, HttpResponse, Transport, TransportError};
use crate::clock::Clock;
use crate::error::{ConfigFaults, Error};
use crate::secret::Secret;

pub(crate) use self::certificates::ClientCertificate;
#[cfg(fuzzing)]
pub(crate) use self::certificates::authorities;
#[cfg(fuzzing)]
pub(crate) use self::proxy::no_proxy_covers;

const USER_AGENT: &str = concat!("cognito-identity-credentials/", env!("CARGO_PKG_VERSION"));

/// The default [`Transport`]: HTTP/1.1 over TLS 1.2 or 1.3, by ureq and rustls.
///
/// It reads no environment unless [told to](UreqTransportBuilder::proxy_from_env), follows no
/// redirect, and accepts answers with at most 128 headers in less than 16 KiB and 256 KiB of body. Making
/// one is cheap. Share it among several providers with an `Arc`.
///
/// * **Names.** `localhost`, the names below it, and addresses are never looked up (RFC 6761). Other
///   names are looked up for a new connection, within the time for connecting. IPv4 and IPv6 addresses
///   are asked for at the same time, each on a thread of its own, because the system's resolver knows no
///   time limit; a thread ends with its question, which may be after the attempt has ended. There are
///   at most two threads for each name, and the next attempt joins a question that is under way.
/// * **Addresses.** The first IPv6 address is tried as soon as it is known, an IPv4 address after
///   50 ms more (RFC 8305). Each further address is tried when the one before has failed, or after
///   250 ms without an answer; IPv6 and IPv4 take turns. The first address that answers is used. (Elsewhere
///   than on Linux, each address has its share of the time.)
/// * **Connections** are kept for 15 s after the beginning of their last exchange, measured on the boot
///   clock, so that a device that wakes up does not use one that the network has forgotten. A forked
///   process makes its own.
/// * **TLS.** Server certificates are always checked, against Mozilla's roots as built in, or against the
///   authorities that the [`builder`](Self::builder) was given, at the time of the device's clock, but at
///   no time before [`earliest_time`](UreqTransportBuilder::earliest_time). Sessions are kept in memory
///   for four servers and resumed, which saves the certificates and their check. The cryptography is that
///   of rustls's `CryptoProvider::install_default` if the program has called it (of rustls 0.23) before the
///   first request, and else ring.
/// * **Logs.** ureq logs every answer at level trace (target `ureq_proto`), keys included. While an
///   exchange is under way and the program's logger would take that, the transport lowers the maximum level
///   of the process to debug, and lowers it again if the program raises it before a part of the answer
///   is read. A level that is raised in the microseconds between that and ureq's log line is not noticed. A logger that filters
///   `ureq_proto` to debug itself is left alone.
///
/// Cargo feature: `ureq` (on by default). The connector uses traits that ureq may change in a minor
/// version, so this crate requires `ureq ~3.5`. A program that needs another minor version of ureq
/// turns the default features of this crate off and brings a [`Transport`] of its own until there is a
/// release of this crate for it.
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
    client: HttpClient,
}

impl UreqTransport {
    /// A transport with the defaults of [`builder`](Self::builder).
    #[must_use]
    pub fn new() -> Self {
        Self::with(UreqTransportBuilder::default(), Certificates::default(), Route::default())
    }

    /// Settings to start from: the defaults.
    pub fn builder() -> UreqTransportBuilder {
        UreqTransportBuilder::default()
    }

    /// When this crate was released: the default of
    /// [`earliest_time`](UreqTransportBuilder::earliest_time), for programs that set a later one.
    #[must_use]
    pub fn release_time() -> SystemTime {
        tls::released()
    }

    fn with(settings: UreqTransportBuilder, certificates: Certificates, route: Route) -> Self {
        let client = HttpClient {
            certificates: Arc::new(certificates),
            time: Arc::new(FlooredTime::new(settings.time)),
            route: Arc::new(route),
            families: settings.ip_family.families(),
            connect_timeout: settings.connect_timeout,
            user_agent: settings.user_agent,
            resolver: &dns::SYSTEM,
            agent: Mutex::default(),
        };
        Self { client }
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
#[derive(Clone)]
pub struct UreqTransportBuilder {
    ca_files: Vec<PathBuf>,
    ca_pems: Vec<Vec<u8>>,
    bundled_roots: Option<bool>,
    client_cert: Option<Secret>,
    connect_timeout: Option<Duration>,
    ip_family: IpFamily,
    user_agent: String,
    proxy: Option<Secret>,
    proxy_from_env: bool,
    time: Time,
}

/// Shows no certificate and no key: a key that was given as an authority by mistake would be shown too.
impl fmt::Debug for UreqTransportBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UreqTransportBuilder")
            .field("ca_files", &self.ca_files)
            .field("ca_pems", &self.ca_pems.len())
            .field("bundled_roots", &self.bundled_roots)
            .field("client_cert", &self.client_cert)
            .field("connect_timeout", &self.connect_timeout)
            .field("ip_family", &self.ip_family)
            .field("user_agent", &self.user_agent)
            .field("proxy", &self.proxy)
            .field("proxy_from_env", &self.proxy_from_env)
            .field("time", &self.time)
            .finish()
    }
}

impl Default for UreqTransportBuilder {
    fn default() -> Self {
        Self {
            ca_files: Vec::new(),
            ca_pems: Vec::new(),
            bundled_roots: None,
            client_cert: None,
            connect_timeout: None,
            ip_family: IpFamily::Any,
            user_agent: USER_AGENT.to_owned(),
            proxy: None,
            proxy_from_env: false,
            time: Time::default(),
        }
    }
}

impl UreqTransportBuilder {
    /// Trusts the certificate authorities in this PEM file, which [`build`](Self::build) reads
    /// once, instead of Mozilla's roots. May be called several times. Default: Mozilla's roots.
    ///
    /// Accepts blocks labelled `CERTIFICATE`, `X509 CERTIFICATE` or `TRUSTED CERTIFICATE`, with any line
    /// breaks, a byte order mark, and text or `#` comments between them. Every block must be a
    /// certificate: if one is damaged or something else (a private key, a revocation list),
    /// [`build`](Self::build) returns an error that names the first such block, and trusts none of the
    /// file. A `TRUSTED CERTIFICATE` that its settings do not trust for TLS servers is an error.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_files.push(path.into());
        self
    }

    /// Trusts the certificate authorities in this PEM text, as [`ca_file`](Self::ca_file) does in a
    /// file. May be called several times, and beside `ca_file`. Default: Mozilla's roots.
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_pems.push(pem.into());
        self
    }

    /// Whether Mozilla's roots, as built in, are trusted. Default: unless
    /// [`ca_file`](Self::ca_file) or [`ca_pem`](Self::ca_pem) says who is.
    ///
    /// `true` trusts both kinds side by side. `false` without a `ca_file` or `ca_pem` is an error of
    /// [`build`](Self::build), for nobody would be trusted.
    pub fn bundled_roots(mut self, trusted: bool) -> Self {
        self.bundled_roots = Some(trusted);
        self
    }

    /// The certificate that this side shows to a server that asks for one. Default: none.
    ///
    /// PEM text with the certificate, then its issuers in order, and exactly one private key anywhere:
    /// PKCS#8, PKCS#1 or SEC1, not encrypted; RSA with 2048 to 4096 bits, ECDSA with P-256 or P-384, or
    /// Ed25519. Cognito asks for no certificate; a gateway before it may, and so may an `https`
    /// [`proxy`](Self::proxy). `Debug` and errors never show any of it. This crate's own copies of the
    /// key are wiped; those of the TLS library are not.
    pub fn client_cert_pem(mut self, pem: impl Into<String>) -> Self {
        self.client_cert = Some(Secret::new(pem));
        self
    }

    /// Which addresses of a host are looked up and tried. Default: [`Any`](IpFamily::Any).
    pub fn ip_family(mut self, family: IpFamily) -> Self {
        self.ip_family = family;
        self
    }

    /// Certificates are never checked at a time before this, so that a device whose clock starts in
    /// 1970 can reach the service before it has the time from anywhere. Default: the date of this
    /// crate's release ([`UreqTransport::release_time`]).
    ///
    /// From [`build`](Self::build) on it moves with the boot clock. What has expired by then stays
    /// refused. A certificate that was issued later is not valid yet for a device whose clock says
    /// less, so the later the better, as long as it is surely past: say, the later one of
    /// the default and the time at which the program last ran (see
    /// [`service_time`](crate::CognitoIdentityCredentials::service_time)), kept in a file.
    pub fn earliest_time(mut self, time: SystemTime) -> Self {
        self.time.earliest = time;
        self
    }

    /// The clock of the transport. Default: [`SystemClock`](crate::SystemClock).
    ///
    /// Certificates are checked at its [`wall`](Clock::wall) time. Its [`boot`](Clock::boot) time moves
    /// the [`earliest_time`](Self::earliest_time) on and measures how long a connection was idle. It is
    /// read before each exchange and in the TLS handshake, so it must answer at once. It is a setting of
    /// its own: the [clock of the provider](crate::Builder::clock) has no part in the transport.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.time.clock = Arc::new(clock);
        self
    }

    /// The longest time for connecting: name look-up, TCP, the tunnel through a proxy, and the TLS
    /// handshake. Default: no limit but that of the request.
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
    /// Any status from 200 to 299 opens the tunnel (RFC 9110, section 9.3.6). A proxy that cannot be
    /// reached or answers with status 408, 429 or from 500 on is asked again; one that refuses with another
    /// status is not.
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
    /// [`Config`](crate::ErrorKind::Config), with every fault in its text: a file that cannot be read,
    /// PEM that cannot be used (with the block and its line; no part of the text is shown), no authority
    /// to trust, a `User-Agent` that no header can hold, or a proxy that is malformed or not supported.
    /// Each fault names the setting or the variable.
    pub fn build(self) -> Result<UreqTransport, Error> {
        let mut faults = ConfigFaults::default();
        let certificates = self.certificates(&mut faults);
        if self.user_agent.bytes().any(|b| !(b' '..=b'~').contains(&b)) {
            faults.add("user_agent", "has a character other than printable ASCII");
        }
        let route = self.route(&mut faults);
        if !faults.is_empty() {
            return Err(faults.into());
        }
        Ok(UreqTransport::with(self, certificates, route))
    }

    fn certificates(&self, faults: &mut ConfigFaults) -> Certificates {
        let mut certificates = Certificates::default();
        for path in &self.ca_files {
            let read = std::fs::read(path).map_err(|error| error.to_string());
            if let Err(fault) = read.and_then(|pem| certificates.trust(&pem)) {
                faults.add_text("ca_file", format!("{}: {fault}", path.display()));
            }
        }
        for pem in &self.ca_pems {
            if let Err(fault) = certificates.trust(pem) {
                faults.add_text("ca_pem", fault);
            }
        }
        let given = !(self.ca_files.is_empty() && self.ca_pems.is_empty());
        certificates.bundled = self.bundled_roots.unwrap_or(!given);
        if !given && !certificates.bundled {
            faults.add("bundled_roots", "is false, and no ca_file or ca_pem says who is trusted");
        }
        if let Some(pem) = &self.client_cert {
            match ClientCertificate::from_pem(pem) {
                Ok(client) => certificates.client = Some(client),
                Err(fault) => faults.add_text("client_cert_pem", fault),
            }
        }
        certificates
    }

    fn route(&self, faults: &mut ConfigFaults) -> Route {
        let mut route = Route::default();
        if let Some(url) = &self.proxy {
            match Route::through(url.expose()) {
                Ok(through) => route = through,
                Err(fault) => {
                    faults.add_text("proxy", fault);
                    return route;
                }
            }
        }
        if self.proxy_from_env {
            route.add_variables(|name| std::env::var_os(name), faults);
        }
        route
    }
}

/// Which addresses of a host [`UreqTransport`] looks up and tries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IpFamily {
    /// All of them.
    #[default]
    Any,
    /// Only IPv4.
    Ipv4Only,
    /// Only IPv6.
    Ipv6Only,
}

impl IpFamily {
    fn families(self) -> &'static [Family] {
        match self {
            Self::Any => &[Family::V6, Family::V4],
            Self::Ipv4Only => &[Family::V4],
            Self::Ipv6Only => &[Family::V6],
        }
    }
}

impl Transport for UreqTransport {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        self.client.send(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_of_ones_own_is_trusted_alone_unless_both_kinds_are_asked_for() {
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
        let none = UreqTransport::builder;
        let rows = [
            (none(), true),
            (none().bundled_roots(true), true),
            (none().ca_pem(&*pem), false),
            (none().ca_pem(&*pem).bundled_roots(false), false),
            (none().ca_pem(&*pem).bundled_roots(true), true),
        ];
        for (builder, bundled) in rows {
            let certificates = builder.certificates(&mut ConfigFaults::default());
            assert_eq!(certificates.bundled, bundled, "{builder:?}");
            assert_eq!(certificates.authorities.len(), builder.ca_pems.len());
        }
    }

    #[test]
    fn the_builder_prints_no_proxy_and_no_key() {
        let builder = UreqTransport::builder()
            .proxy("http://ann:hunter2@proxy:3128")
            .ca_pem("hunter2")
            .client_cert_pem("hunter2");
        assert_eq!(
            format!("{builder:?}"),
            format!(
                "UreqTransportBuilder {{ ca_files: [], ca_pems: 1, bundled_roots: None, client_cert: Some([redacted]), connect_timeout: None, ip_family: Any, user_agent: {USER_AGENT:?}, proxy: Some([redacted]), proxy_from_env: false, time: Time {{ .. }} }}"
            )
        );
        assert_eq!(format!("{:?}", UreqTransport::new()), "UreqTransport { .. }");
    }
}
