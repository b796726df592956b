//! What went wrong on the way, told as a kind and in words to act on.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::{Duration, SystemTime};

use ureq::Proxy;

use super::proxy::Name;
use crate::transport::{TransportError, TransportErrorKind};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    BeforeAnswer,
    InBody,
}

pub(super) fn failure(error: ureq::Error, stage: Stage, proxy: Option<&Proxy>) -> TransportError {
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
    use rustls::{AlertDescription as A, CertificateError as C, Error as E};
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
        E::PeerIncompatible(_) | E::AlertReceived(A::ProtocolVersion) => {
            "the server does not speak TLS 1.2 or 1.3 as it is needed"
        }
        E::AlertReceived(A::CertificateRequired) => {
            "the server asks for a certificate of this side (client_cert_pem)"
        }
        E::AlertReceived(
            A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA,
        ) => "the server does not accept the certificate that it was shown (client_cert_pem)",
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
