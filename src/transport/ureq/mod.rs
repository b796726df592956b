//! HTTPS with ureq and rustls.
//!
//! * this file: [`UreqTransport`] and its settings
//! * `exchange`: one exchange, with the agent of this process
//! * `connector`: makes a connection, with `dns`, `dial`, `tunnel` and `tls`
//! * `connection`: a connection as ureq uses it, over a `stream` with a `deadline`
//! * `proxy`, `no_proxy`: which requests use a proxy, and the list of hosts that do not
//! * `certificates`, `pem`: the authorities, the client certificate, and their files
//! * `error`: the kind, the text and the hint of each network error
//! * `log_guard`: keeps ureq from logging answers

mod certificates;
mod connection;
mod connector;
mod deadline;
mod dial;
mod dns;
mod error;
mod exchange;
mod log_guard;
mod no_proxy;
mod pem;
mod proxy;
mod stream;
mod tls;
mod tunnel;

#[cfg(test)]
#[path = "../../../tests/support/authority.rs"]
mod authority;
#[cfg(test)]
#[path = "../../../tests/support/server.rs"]
mod server;

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
pub(crate) use self::no_proxy::no_proxy_covers;

const USER_AGENT: &str = concat!("cognito-identity-credentials/", env!("CARGO_PKG_VERSION"));

/// Sends requests with HTTP/1.1 over TLS 1.2 or 1.3, with ureq and rustls. It is the default
/// [`Transport`].
///
/// It follows no redirects, and reads environment variables only with
/// [`proxy_from_env`](UreqTransportBuilder::proxy_from_env). It accepts answers with at most 128
/// headers, less than 16 KiB of headers and at most 256 KiB of body. Several providers can share it
/// with an `Arc`.
///
/// * **Names.** Each new connection looks up the host name, within the time for connecting. IPv4
///   and IPv6 addresses are looked up at the same time on two threads, because the system's
///   resolver has no time limit. If a thread outlives its attempt, the next attempt uses its
///   result. `localhost`, names below it (RFC 6761) and addresses are not looked up.
/// * **Addresses.** IPv4 addresses wait for the IPv6 look-up, but at most 50 ms (RFC 8305). IPv6
///   and IPv4 take turns. The next address is tried when one has failed, or after 250 ms without an
///   answer. The first address that answers is used. (Only Linux and Android try several addresses
///   at the same time. Other systems divide the time among the addresses.)
/// * **Connections.** A connection is used again for 15 s after its last exchange began, measured
///   on the boot clock. An older one may be dead. A forked process makes its own connections.
/// * **TLS.** Server certificates are always checked. The trusted authorities are Mozilla's roots,
///   which are built in, or those of the [`builder`](Self::builder). The time of the check is the
///   device's time, or [`earliest_time`](UreqTransportBuilder::earliest_time) if that is later. TLS
///   sessions with four servers are kept in memory and resumed. The cryptography is ring, unless
///   the program calls `CryptoProvider::install_default` of rustls 0.23 before the first request.
/// * **Logs.** At level trace, ureq logs every answer with its keys (target `ureq_proto`). If the
///   program's logger accepts that, the transport lowers the log level of the process to debug
///   during each exchange. If the program raises the level meanwhile, the transport lowers it again
///   before it reads more of the answer. A raise in the last microseconds before ureq logs is not
///   noticed. The level is not changed if the logger limits `ureq_proto` to debug.
///
/// It needs the feature `ureq` (on by default) and ureq 3.5, because it uses traits that ureq may
/// change in a minor version. A program with another minor version of ureq turns off the default
/// features of this crate and sets a [`Transport`] of its own.
///
/// # Example
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
#[doc(alias = "httpOptions")]
pub struct UreqTransport {
    client: HttpClient,
}

impl UreqTransport {
    /// Creates a transport with the defaults of [`builder`](Self::builder).
    ///
    /// See the example of [`Builder::transport`](crate::Builder::transport).
    #[must_use]
    pub fn new() -> Self {
        Self::with(UreqTransportBuilder::default(), Certificates::default(), Route::default())
    }

    /// Returns a [builder](UreqTransportBuilder) with the default settings.
    pub fn builder() -> UreqTransportBuilder {
        UreqTransportBuilder::default()
    }

    /// Returns the release date of this crate, the default of
    /// [`earliest_time`](UreqTransportBuilder::earliest_time).
    ///
    /// See the [example](UreqTransportBuilder::earliest_time).
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

/// Holds the settings of a [`UreqTransport`].
///
/// # Example
///
/// ```no_run
/// use std::time::Duration;
/// use cognito_identity_credentials::transport::{IpFamily, UreqTransport, UreqTransportBuilder};
///
/// let builder: UreqTransportBuilder = UreqTransport::builder();
/// let transport = builder
///     .ca_file("/etc/ssl/our-ca.pem")
///     .bundled_roots(true) // besides our own
///     .connect_timeout(Duration::from_secs(5))
///     .ip_family(IpFamily::Ipv4Only)
///     .user_agent("sensor/1.0")
///     .build()?;
/// # Ok::<(), cognito_identity_credentials::Error>(())
/// ```
#[must_use]
#[derive(Clone, Debug)]
pub struct UreqTransportBuilder {
    ca_files: Vec<PathBuf>,
    ca_pems: Pems,
    bundled_roots: Option<bool>,
    client_cert: Option<Secret>,
    connect_timeout: Option<Duration>,
    ip_family: IpFamily,
    user_agent: String,
    proxy: Option<Secret>,
    proxy_from_env: bool,
    time: Time,
}

/// `Debug` shows only how many there are, because one could hold a key by mistake.
#[derive(Clone, Default)]
struct Pems(Vec<Vec<u8>>);

impl fmt::Debug for Pems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.len(), f)
    }
}

impl Default for UreqTransportBuilder {
    fn default() -> Self {
        Self {
            ca_files: Vec::new(),
            ca_pems: Pems::default(),
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
    /// Trusts the certificate authorities in this PEM file, instead of Mozilla's roots. It can be
    /// called several times. [`build`](Self::build) reads the file once. Default: Mozilla's roots.
    ///
    /// The file has one or more blocks labelled `CERTIFICATE`, `X509 CERTIFICATE` or `TRUSTED
    /// CERTIFICATE`. Any line breaks, a byte order mark, and text or comments between the blocks
    /// are allowed. [`build`](Self::build) returns an error if a block is damaged, is no
    /// certificate (such as a private key), or is a `TRUSTED CERTIFICATE` that is not trusted for
    /// TLS servers.
    ///
    /// See the [example](Self#example).
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_files.push(path.into());
        self
    }

    /// Trusts the certificate authorities in this PEM text. The rules are those of
    /// [`ca_file`](Self::ca_file), and both can be used together. Default: Mozilla's roots.
    ///
    /// ```no_run
    /// use cognito_identity_credentials::transport::UreqTransport;
    ///
    /// let authority = std::fs::read("/etc/ssl/our-ca.pem").expect("our authority is readable");
    /// let transport = UreqTransport::builder().ca_pem(authority).build()?;
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_pems.0.push(pem.into());
        self
    }

    /// Sets whether Mozilla's roots, which are built in, are trusted. Default: `true`, or `false`
    /// with a [`ca_file`](Self::ca_file) or [`ca_pem`](Self::ca_pem).
    ///
    /// With `true` and a `ca_file` or `ca_pem`, both are trusted. `false` without a `ca_file` or
    /// `ca_pem` is an error of [`build`](Self::build), because nothing would be trusted.
    ///
    /// See the [example](Self#example).
    pub fn bundled_roots(mut self, trusted: bool) -> Self {
        self.bundled_roots = Some(trusted);
        self
    }

    /// Sets the client certificate, as PEM text. It is sent to a server that asks for one. Default:
    /// none.
    ///
    /// The text holds the certificate, then its issuers in order, and one private key at any
    /// position. The key is PKCS#8, PKCS#1 or SEC1, not encrypted: RSA (2048 to 4096 bits), ECDSA
    /// (P-256 or P-384) or Ed25519. Cognito asks for no certificate, but a gateway or an `https`
    /// [`proxy`](Self::proxy) may. `Debug` and errors never show the text. This crate wipes its
    /// copies of the key; the TLS library does not.
    ///
    /// ```no_run
    /// use cognito_identity_credentials::transport::UreqTransport;
    ///
    /// let pem = std::fs::read_to_string("/etc/ssl/device.pem").expect("certificate and key");
    /// let transport = UreqTransport::builder().client_cert_pem(pem).build()?;
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn client_cert_pem(mut self, pem: impl Into<String>) -> Self {
        self.client_cert = Some(Secret::new(pem));
        self
    }

    /// Sets which addresses of a host are looked up and tried. Default: [`Any`](IpFamily::Any).
    ///
    /// See the [example](Self#example).
    pub fn ip_family(mut self, family: IpFamily) -> Self {
        self.ip_family = family;
        self
    }

    /// Sets the earliest time at which certificates are checked. With it, a device whose clock
    /// starts in 1970 can connect. Default: the date of this crate's release
    /// ([`UreqTransport::release_time`]).
    ///
    /// After [`build`](Self::build), it advances with the boot clock. A certificate that expired
    /// before this time is never accepted. If the clock is behind, a certificate that was issued
    /// after this time is not valid yet. So set the latest time that has certainly passed. For
    /// example, keep the last [`service_time`](crate::CognitoIdentityCredentials::service_time) in
    /// a file, and set it if it is later than the default.
    ///
    /// ```
    /// use cognito_identity_credentials::transport::UreqTransport;
    /// # fn time_of_the_last_run() -> Option<std::time::SystemTime> { None }
    ///
    /// let floor = UreqTransport::release_time();
    /// let floor = time_of_the_last_run().map_or(floor, |time| time.max(floor));
    /// let transport = UreqTransport::builder().earliest_time(floor).build()?;
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn earliest_time(mut self, time: SystemTime) -> Self {
        self.time.earliest = time;
        self
    }

    /// Sets the clock of the transport. Default: [`SystemClock`](crate::SystemClock). It does not
    /// change with the [clock of the provider](crate::Builder::clock).
    ///
    /// Certificates are checked at its [`wall`](Clock::wall) time. Its [`boot`](Clock::boot) time
    /// advances [`earliest_time`](Self::earliest_time) and measures the age of connections. The
    /// transport reads the clock before each exchange and in each TLS handshake, so its methods
    /// must return at once.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use cognito_identity_credentials::testing::ManualClock;
    /// use cognito_identity_credentials::transport::UreqTransport;
    ///
    /// let transport = UreqTransport::builder().clock(ManualClock::new()).build()?;
    /// # }
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.time.clock = Arc::new(clock);
        self
    }

    /// Sets the time limit for a new connection: name look-up, TCP, tunnel through a proxy, and TLS
    /// handshake. Default: the time limit of the request.
    ///
    /// See the [example](Self#example).
    #[doc(alias = "connectTimeout")]
    #[doc(alias = "httpOptions")]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// Sets the `User-Agent` header. Default: `cognito-identity-credentials/` and the version.
    ///
    /// See the [example](Self#example).
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Sends requests through this HTTP proxy: `http://user:password@host:port`. Default: none.
    ///
    /// The scheme can be `http` (the default) or `https`; the default port is 80 or 443. The
    /// connection to an `https` proxy uses TLS, with the same trusted authorities as for the
    /// service. SOCKS is not supported.
    ///
    /// User name and password are optional and sent as Basic authentication. Write them
    /// percent-encoded (`p%40ss` for `p@ss`). Anyone between the device and an `http` proxy can
    /// read them. `Debug` and errors never show them.
    ///
    /// Every request uses a tunnel (`CONNECT`), and the proxy looks up the host name. TLS goes
    /// through the tunnel to the service, whose certificate is always checked. Plain `http` to
    /// other hosts still needs [`danger_allow_http`](crate::Builder::danger_allow_http), and is not
    /// encrypted in the tunnel. Loopback endpoints (`localhost`, `127.0.0.0/8`, `::1`) are reached
    /// without the proxy.
    ///
    /// Any status from 200 to 299 opens the tunnel (RFC 9110, section 9.3.6). A proxy that cannot
    /// be reached, or that answers with status 408, 429, or 500 and above, is retried. Any other
    /// status is not retried.
    ///
    /// ```
    /// use cognito_identity_credentials::CognitoIdentityCredentials;
    /// use cognito_identity_credentials::transport::UreqTransport;
    ///
    /// let proxy = "http://user:p%40ss@proxy.test:3128";
    /// let transport = UreqTransport::builder().proxy(proxy).build()?;
    /// let credentials = CognitoIdentityCredentials::builder()
    ///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
    ///     .transport(transport)
    ///     .build()?;
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(Secret::new(url));
        self
    }

    /// Sets whether [`build`](Self::build) reads the proxy from the environment. Default: `false`.
    ///
    /// The proxy is the first of `https_proxy`, `HTTPS_PROXY`, `all_proxy` and `ALL_PROXY` that is
    /// not empty. Its form is that of [`proxy`](Self::proxy). If `proxy` is set, the four variables
    /// are not read. The proxy of the environment is not used for plain `http`; `http_proxy` is not
    /// read.
    ///
    /// `no_proxy`, or `NO_PROXY` if that is empty, lists the hosts that are reached without any
    /// proxy, separated by commas or spaces. An entry is a domain, an IP address, a network such as
    /// `10.0.0.0/8`, or `*` for every host. `example.com`, `.example.com` and `*.example.com` all
    /// mean the domain and everything below it. An entry can end with `:port`; an IPv6 address is
    /// then in brackets. An entry of another form has no effect.
    ///
    /// ```no_run
    /// use cognito_identity_credentials::transport::UreqTransport;
    ///
    /// let transport = UreqTransport::builder().proxy_from_env(true).build()?;
    /// # Ok::<(), cognito_identity_credentials::Error>(())
    /// ```
    pub fn proxy_from_env(mut self, read: bool) -> Self {
        self.proxy_from_env = read;
        self
    }

    /// Checks the settings and returns the transport. It reads the files of
    /// [`ca_file`](Self::ca_file), and the environment if [`proxy_from_env`](Self::proxy_from_env)
    /// is set. It makes no connection.
    ///
    /// See the [example](Self#example).
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config), with every fault of the settings. Faults are: a file
    /// that cannot be read, unusable PEM, no trusted authority, a `User-Agent` that is not
    /// printable ASCII, or a proxy that is malformed or not supported. Each fault names the setting
    /// or the variable. A fault in PEM names the block and its line, and shows no part of the text.
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
        for pem in &self.ca_pems.0 {
            faults.check_text("ca_pem", certificates.trust(pem));
        }
        let given = !(self.ca_files.is_empty() && self.ca_pems.0.is_empty());
        certificates.bundled = self.bundled_roots.unwrap_or(!given);
        if !given && !certificates.bundled {
            faults.add(
                "bundled_roots",
                "is false, and no ca_file or ca_pem is set, so nothing is trusted",
            );
        }
        let client = self.client_cert.as_ref().map(ClientCertificate::from_pem);
        certificates.client = client.and_then(|read| faults.check_text("client_cert_pem", read));
        certificates
    }

    fn route(&self, faults: &mut ConfigFaults) -> Route {
        let given = self.proxy.as_ref().map(|url| Route::through(url.expose())).transpose();
        let Some(given) = faults.check_text("proxy", given) else { return Route::default() };
        let mut route = given.unwrap_or_default();
        if self.proxy_from_env {
            route.add_variables(|name| std::env::var_os(name), faults);
        }
        route
    }
}

/// Selects the addresses of a host that [`UreqTransport`] looks up and tries.
///
/// See the [example](UreqTransportBuilder#example).
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
    fn given_authorities_replace_mozillas_roots_unless_bundled_roots_is_set() {
        let pem = authority::Authority::new().pem;
        let builder = UreqTransport::builder;
        let rows = [
            (builder(), true),
            (builder().bundled_roots(true), true),
            (builder().ca_pem(&*pem), false),
            (builder().ca_pem(&*pem).bundled_roots(false), false),
            (builder().ca_pem(&*pem).bundled_roots(true), true),
        ];
        for (builder, bundled) in rows {
            let certificates = builder.certificates(&mut ConfigFaults::default());
            assert_eq!(certificates.bundled, bundled, "{builder:?}");
            assert_eq!(certificates.authorities.len(), builder.ca_pems.0.len());
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
