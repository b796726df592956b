//! The errors of the network: kind, text and hint of each cause. `tls` has those of TLS.

mod tls;

use std::error::Error as StdError;
use std::fmt::{self, Write as _};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::AlertDescription;
use ureq::Proxy;
use ureq::http::Uri;

use self::tls::{ended, is_other_name, is_refusal, rustls_error, tls_cause, tls_text};
use super::dns::DnsError;
use super::proxy::ProxyName;
use super::tunnel::TunnelError;
use crate::error::NOT_THE_SERVICE;
use crate::redact;
use crate::transport::{TransportError, TransportErrorKind as Kind};

const MAX_LISTED: usize = 3;

/// Why there is no complete answer.
pub(super) enum NetworkError {
    Dns(DnsError),
    /// The connection to each address of the host failed.
    Dial(Vec<(SocketAddr, DialError)>),
    /// A system call for a socket failed.
    Socket(io::Error),
    /// No certificate can contain this host name.
    InvalidName,
    TlsSettings(rustls::Error),
    Handshake(io::Error),
    /// The connection to the proxy failed.
    ToProxy(Box<NetworkError>),
    Tunnel(TunnelError),
    /// The connection was made, but no complete answer arrived in time.
    TimedOut,
    /// The connection ended before the answer began.
    Closed,
    Broken(io::Error, Stage),
    NotHttp,
    TooLarge,
    /// Any other error of ureq.
    Other(String),
}

pub(super) enum DialError {
    TimedOut,
    NoSocket(io::Error),
    Failed(io::Error),
}

/// The part of an exchange in which it failed.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    BeforeAnswer,
    InBody,
}

impl NetworkError {
    pub(super) fn from_ureq(error: ureq::Error, stage: Stage) -> Self {
        use ureq::Error as E;
        match error {
            E::Other(error) => match error.downcast::<Self>() {
                Ok(error) => *error,
                Err(error) => Self::other(&error),
            },
            E::Timeout(_) => Self::TimedOut,
            E::Io(error) => match (error.kind(), stage) {
                (io::ErrorKind::TimedOut, _) => Self::TimedOut,
                (io::ErrorKind::UnexpectedEof, Stage::BeforeAnswer) => Self::Closed,
                // With TLS 1.3, a server may reject the client certificate after the handshake.
                _ if rustls_error(&error).is_some_and(is_refusal) => Self::Handshake(error),
                _ => Self::Broken(error, stage),
            },
            E::BodyExceedsLimit(_) | E::LargeResponseHeader(..) => Self::TooLarge,
            E::Protocol(_) | E::BodyStalled => Self::NotHttp,
            error => Self::other(&error),
        }
    }

    fn other(error: &dyn fmt::Display) -> Self {
        Self::Other(redact::clean(&error.to_string()))
    }

    /// Describes the failure of an exchange with `url`, through `proxy`, after `elapsed`.
    pub(super) fn report(
        &self,
        url: &Uri,
        proxy: Option<&Proxy>,
        elapsed: Duration,
    ) -> TransportError {
        let target = target(url);
        let proxy = proxy.map(|proxy| format!("the proxy {}", ProxyName(proxy)));
        let peer = match (self, proxy) {
            (Self::ToProxy(_), Some(proxy)) => format!("{proxy} (for {target})"),
            (_, Some(proxy)) => format!("{target} through {proxy}"),
            (_, None) => target,
        };
        let text = self.text_for(&peer);
        // Only integers: code that prints floats would make the program larger.
        let elapsed = elapsed.as_millis() / 100;
        TransportError::described(
            self.kind(),
            format!("{text} (after {}.{} s)", elapsed / 10, elapsed % 10),
            self.hint(),
        )
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Dns(DnsError::TimedOut) | Self::TimedOut => Kind::Timeout,
            Self::Dns(_) | Self::Socket(_) => Kind::Connect,
            Self::Dial(failed) => match most_useful(failed) {
                Some(DialError::TimedOut) => Kind::Timeout,
                _ => Kind::Connect,
            },
            Self::InvalidName | Self::TlsSettings(_) => Kind::Tls,
            Self::ToProxy(error) => error.kind(),
            Self::Handshake(error) => match (rustls_error(error), error.kind()) {
                (Some(rustls::Error::AlertReceived(AlertDescription::InternalError)), _) => {
                    Kind::Io
                }
                (Some(_), _) => Kind::Tls,
                (None, io::ErrorKind::TimedOut) => Kind::Timeout,
                (None, _) if ended(error) => Kind::Closed,
                (None, _) => Kind::Io,
            },
            Self::Tunnel(error) => match error {
                // Not retried, because the proxy would refuse the host again.
                TunnelError::Unauthorized { .. } => Kind::Other,
                TunnelError::Refused(status) if !matches!(status, 408 | 429 | 500..) => Kind::Other,
                TunnelError::Io(error) if error.kind() == io::ErrorKind::TimedOut => Kind::Timeout,
                TunnelError::NotHttp => Kind::Io,
                _ => Kind::Connect,
            },
            Self::Closed => Kind::Closed,
            Self::Broken(error, Stage::BeforeAnswer) if ended(error) => Kind::Closed,
            Self::Broken(..) | Self::NotHttp => Kind::Io,
            Self::TooLarge => Kind::TooLarge,
            Self::Other(_) => Kind::Other,
        }
    }

    fn text_for(&self, peer: &str) -> String {
        const NO_TLS: &str = "no TLS connection to";
        let (what, cause) = match self {
            Self::Dns(error) => ("could not connect to", dns_text(error)),
            Self::Dial(failed) => ("could not connect to", dial_text(failed)),
            Self::Socket(error) => ("could not connect to", error.to_string()),
            Self::InvalidName => (NO_TLS, "no certificate can hold this host name".to_owned()),
            Self::TlsSettings(error) => {
                (NO_TLS, format!("the TLS settings cannot be used: {error}"))
            }
            Self::Handshake(error) => (NO_TLS, redact::clean(&tls_text(error))),
            Self::ToProxy(error) => return error.text_for(peer),
            Self::Tunnel(error) => ("no connection to", tunnel_text(error)),
            Self::TimedOut => return format!("no complete answer from {peer}"),
            Self::Closed => {
                return format!("{peer} closed the connection without a complete answer");
            }
            Self::Broken(error, Stage::InBody) if ended(error) => {
                return format!("{peer} ended the connection in the middle of the answer");
            }
            Self::Broken(error, _) if rustls_error(error).is_some() => {
                return format!(
                    "the TLS connection to {peer} broke: a part of it was damaged on the way"
                );
            }
            Self::Broken(error, _) => {
                return format!("the connection to {peer} broke: {error}");
            }
            Self::NotHttp => return format!("the answer of {peer} is not HTTP"),
            Self::TooLarge => {
                return format!("the answer of {peer} is larger than any answer of the service");
            }
            Self::Other(text) => ("no answer from", text.clone()),
        };
        format!("{what} {peer}: {cause}")
    }

    fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Dns(DnsError::NotFound) => {
                "check the region and the endpoint URL, and that the device's name server knows the host"
            }
            Self::Dns(DnsError::Failed(_) | DnsError::TimedOut) => {
                "check the device's network and its name server"
            }
            Self::Dns(DnsError::NoThread(_)) => {
                "the process cannot start more threads: raise the limit of its user or its container"
            }
            Self::Dial(failed) => return most_useful(failed).map(DialError::hint),
            Self::Dns(DnsError::System(_)) | Self::Socket(_) => NO_RESOURCES_HINT,
            Self::InvalidName => "check the host in the endpoint URL",
            Self::TlsSettings(_) => "check the certificates that the transport was given",
            Self::ToProxy(error) => return error.proxy_hint(),
            Self::Handshake(error) => match rustls_error(error) {
                Some(error) => tls_cause(error).1,
                None => {
                    "perhaps the peer does not use TLS on this port: check the scheme and the port of the URL"
                }
            },
            Self::Tunnel(error) => match error {
                TunnelError::Unauthorized { offered: Some(_), .. } => {
                    "use a proxy that accepts Basic authentication, or a local relay that adds the other kind"
                }
                TunnelError::Unauthorized { credentials_sent: true, .. } => {
                    "check the user name and password in the proxy's URL, percent-encoded"
                }
                TunnelError::Unauthorized { .. } => {
                    "put user name and password into the proxy's URL: http://user:password@host:port"
                }
                TunnelError::Refused(408 | 429 | 500..) => {
                    "try again later, or look at the log of the proxy: it could not connect to the host"
                }
                TunnelError::Refused(_) => {
                    "allow the host in the proxy's configuration, or list it in no_proxy"
                }
                _ => "check that the address is that of an HTTP proxy",
            },
            Self::TimedOut => "check the network, or allow more time",
            Self::Closed | Self::Broken(..) => {
                "check the network, and what stands between the device and the service"
            }
            Self::NotHttp | Self::TooLarge => NOT_THE_SERVICE,
            Self::Other(_) => return None,
        })
    }

    /// Returns the hint for a failed connection to a proxy.
    fn proxy_hint(&self) -> Option<&'static str> {
        const OTHER_NAME: &str = "check the host in the proxy's URL";
        Some(match self {
            Self::Dns(DnsError::NotFound) => {
                "check the host in the proxy's URL, and that the device's name server knows it"
            }
            Self::Dial(failed) => match most_useful(failed).map(DialError::rank) {
                Some(Rank::Refused | Rank::Silent) => {
                    "check host and port in the proxy's URL, and that the proxy runs"
                }
                _ => return self.hint(),
            },
            Self::InvalidName => OTHER_NAME,
            Self::Handshake(error) => match rustls_error(error) {
                None | Some(rustls::Error::InvalidMessage(_)) => {
                    "perhaps the proxy does not use TLS: write http:// instead of https:// in its URL"
                }
                Some(error) if is_other_name(error) => OTHER_NAME,
                Some(_) => return self.hint(),
            },
            _ => return self.hint(),
        })
    }
}

const NO_RESOURCES_HINT: &str = "the process has no file descriptor left, or the system no memory: raise the limit, or find what keeps files open";

impl DialError {
    fn hint(&self) -> &'static str {
        match self.rank() {
            Rank::Refused => {
                "nothing listens on that port, or a firewall rejects the connection: check the endpoint URL"
            }
            Rank::Silent => "a firewall may drop the connection, or the network may need a proxy",
            Rank::Unreachable => "check the device's network and its routes",
            Rank::NotAllowed => {
                "the system forbids this connection: check its firewall, its routes and the limits of the service unit"
            }
            Rank::NoResources => NO_RESOURCES_HINT,
            Rank::Other => "check the device's network",
        }
    }

    fn rank(&self) -> Rank {
        use io::ErrorKind as E;
        match self {
            Self::TimedOut => Rank::Silent,
            Self::NoSocket(error) if lacks_resources(error) => Rank::NoResources,
            Self::NoSocket(_) => Rank::NotAllowed,
            Self::Failed(error) => match error.kind() {
                E::ConnectionRefused => Rank::Refused,
                E::TimedOut => Rank::Silent,
                E::HostUnreachable
                | E::NetworkUnreachable
                | E::NetworkDown
                | E::AddrNotAvailable => Rank::Unreachable,
                E::PermissionDenied | E::InvalidInput => Rank::NotAllowed,
                _ => Rank::Other,
            },
        }
    }
}

/// How useful the failure of one address is to the user, the most useful first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Refused,
    Silent,
    Unreachable,
    NotAllowed,
    NoResources,
    Other,
}

fn most_useful(failed: &[(SocketAddr, DialError)]) -> Option<&DialError> {
    failed.iter().map(|(_, error)| error).min_by_key(|error| error.rank())
}

fn dns_text(error: &DnsError) -> String {
    match error {
        DnsError::NotFound => "no address was found for the name".to_owned(),
        DnsError::Failed(text) | DnsError::System(text) => {
            format!("the name could not be looked up: {text}")
        }
        DnsError::NoThread(text) => format!("no thread could be started for the look-up: {text}"),
        DnsError::TimedOut => "the name server did not answer".to_owned(),
    }
}

/// Lists up to [`MAX_LISTED`] addresses with their failures, the most useful first.
fn dial_text(failed: &[(SocketAddr, DialError)]) -> String {
    use Rank::{NoResources, NotAllowed, Other, Refused, Silent, Unreachable};
    const RANKS: [Rank; 6] = [Refused, Silent, Unreachable, NotAllowed, NoResources, Other];
    let of_rank = |rank| failed.iter().filter(move |(_, error)| error.rank() == rank);
    let mut text = String::new();
    for (address, error) in RANKS.into_iter().flat_map(of_rank).take(MAX_LISTED) {
        let address = address.ip();
        text.push_str(if text.is_empty() { "" } else { "; " });
        let _ = match (error.rank(), error) {
            (Refused, _) => write!(text, "{address} refused the connection"),
            (Silent, _) | (_, DialError::TimedOut) => write!(text, "{address} did not answer"),
            (_, DialError::NoSocket(error)) => write!(text, "no socket could be opened: {error}"),
            (_, DialError::Failed(error)) => write!(text, "{address}: {error}"),
        };
    }
    if failed.len() > MAX_LISTED {
        let _ = write!(text, "; and {} more", failed.len() - MAX_LISTED);
    }
    text
}

fn tunnel_text(error: &TunnelError) -> String {
    match error {
        TunnelError::Refused(status) => format!("the proxy answered with status {status}"),
        TunnelError::Unauthorized { offered: Some(offered), .. } => format!(
            "the proxy asks for authentication by {offered} (status 407), and only Basic is supported"
        ),
        TunnelError::Unauthorized { credentials_sent: true, .. } => {
            "the proxy did not accept the user name and password (status 407)".to_owned()
        }
        TunnelError::Unauthorized { .. } => {
            "the proxy asks for a user name and password (status 407)".to_owned()
        }
        TunnelError::Closed => "the proxy closed the connection without an answer".to_owned(),
        TunnelError::NotHttp => "the answer of the proxy is not HTTP".to_owned(),
        TunnelError::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
            "the proxy did not answer".to_owned()
        }
        TunnelError::Io(error) => format!("the connection to the proxy broke: {error}"),
    }
}

/// Returns `true` if the process has no file descriptor left, or the system has no memory.
fn lacks_resources(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let number = Errno::from_io_error(error);
        matches!(number, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS))
    }
    #[cfg(not(unix))]
    {
        error.kind() == io::ErrorKind::OutOfMemory
    }
}

/// Returns the host and port of a URL.
fn target(url: &Uri) -> String {
    let port = if url.scheme_str() == Some("https") { 443 } else { 80 };
    format!("{}:{}", url.host().unwrap_or_default(), url.port_u16().unwrap_or(port))
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text_for("the peer"))
    }
}

impl fmt::Debug for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for NetworkError {}

#[cfg(test)]
mod tests;
