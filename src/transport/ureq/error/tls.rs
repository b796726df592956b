//! The errors of TLS: the text and the hint of each cause.

use std::io;
use std::time::{Duration, SystemTime};

use rustls::AlertDescription;
use rustls::pki_types::UnixTime;

use crate::redact;

const MOST_NAMES: usize = 3;

pub(super) fn tls_text(error: &io::Error) -> String {
    match rustls_error(error) {
        Some(error) => tls_cause(error).0,
        None if error.kind() == io::ErrorKind::TimedOut => {
            "the peer did not answer in the handshake".to_owned()
        }
        None if ended(error) => "the peer ended the connection in the handshake".to_owned(),
        None => format!("the connection broke in the handshake: {error}"),
    }
}

/// Returns the text and the hint.
pub(super) fn tls_cause(error: &rustls::Error) -> (String, &'static str) {
    use rustls::{AlertDescription as A, Error as E};
    const CLIENT_CERTIFICATE: &str =
        "check client_cert_pem, and ask the server's owner which certificates it accepts";
    let (text, hint) = match error {
        E::InvalidCertificate(fault) => return certificate_cause(fault),
        E::NoCertificatesPresented => {
            ("the server has no certificate", "correct the server's configuration")
        }
        E::PeerIncompatible(_)
        | E::PeerMisbehaved(_)
        | E::AlertReceived(A::ProtocolVersion | A::InsufficientSecurity) => (
            "the server supports no kind of TLS 1.2 or 1.3 that this device accepts",
            "update the server, or the gateway in front of it",
        ),
        E::AlertReceived(A::HandshakeFailure) => (
            "the server refused the TLS handshake",
            "it may require a client certificate (client_cert_pem), or have no TLS version or cipher in common with this device",
        ),
        E::AlertReceived(A::UnrecognisedName) => {
            ("the server does not serve this host name", "check the host in the endpoint URL")
        }
        E::AlertReceived(A::CertificateRequired) => {
            ("the server asks for a client certificate", "give one with client_cert_pem")
        }
        E::AlertReceived(
            A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA,
        ) => ("the server does not accept the client certificate", CLIENT_CERTIFICATE),
        E::InvalidMessage(_) => (
            "the answer is not TLS",
            "check the scheme and the port of the URL: the server uses plain http or another protocol there",
        ),
        E::AlertReceived(alert) => {
            let text = format!("the server refused the TLS handshake ({alert:?})");
            return (text, "look at the log of the server or of a gateway in front of it");
        }
        other => {
            let text = redact::clean(&other.to_string());
            return (text, "look at the server, or at a gateway in front of it");
        }
    };
    (text.to_owned(), hint)
}

fn certificate_cause(fault: &rustls::CertificateError) -> (String, &'static str) {
    use rustls::CertificateError as C;
    const CLOCK: &str = "set the device's clock; if the device has none, set a later earliest_time";
    const OTHER_NAME: &str =
        "check the host in the endpoint URL; a captive portal or a proxy may answer instead";
    let (text, hint) = match fault {
        C::ExpiredContext { time, not_after } => {
            let (time, end) = (date(*time), date(*not_after));
            let text = format!(
                "the server's certificate has expired: it ended on {end}, and the device's clock says {time}"
            );
            return (text, "renew the server's certificate, or set the device's clock");
        }
        C::Expired => {
            ("the server's certificate has expired", "renew it, or set the device's clock")
        }
        C::NotValidYetContext { time, not_before } => {
            let (time, begin) = (date(*time), date(*not_before));
            let text = format!(
                "the server's certificate is not valid yet: it begins on {begin}, and the device's clock says {time}"
            );
            return (text, CLOCK);
        }
        C::NotValidYet => ("the server's certificate is not valid yet", CLOCK),
        C::UnknownIssuer => (
            "the server's certificate is signed by an authority that is not trusted",
            "trust the authority with ca_file, or have the server send its intermediate certificates",
        ),
        C::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            let names = presented.iter().take(MOST_NAMES).map(|name| inner_name(name));
            let names = redact::clean(&names.collect::<Vec<_>>().join(", "));
            return (format!("the server's certificate is for another name: {names}"), OTHER_NAME);
        }
        C::NotValidForName | C::NotValidForNameContext { .. } => {
            ("the server's certificate is for another name", OTHER_NAME)
        }
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => (
            "the server's certificate is not meant for a server",
            "have a certificate issued with the extended key usage serverAuth",
        ),
        C::UnsupportedSignatureAlgorithmContext { .. }
        | C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => (
            "the server's certificate, or one above it, has a signature that is too weak or unknown",
            "have the certificate issued again, with SHA-256 or better",
        ),
        C::Revoked => ("the server's certificate was revoked", "have a new one issued"),
        _ => (
            "the server's certificate, or one above it, is not valid",
            "have the certificate issued again, or check what answers instead of the server",
        ),
    };
    (text.to_owned(), hint)
}

/// Returns the name inside a text of rustls, such as `DnsName("example.com")`.
fn inner_name(name: &str) -> &str {
    name.split('"').nth(1).unwrap_or(name)
}

fn date(time: UnixTime) -> String {
    /// The end of the year 9999, the last year of RFC 3339.
    const LAST: u64 = 253_402_300_799;
    let since = Duration::from_secs(time.as_secs().min(LAST));
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + since).to_string()
}

/// Returns whether a server ended TLS because of a certificate, a version, a cipher or a name.
pub(super) fn is_refusal(error: &rustls::Error) -> bool {
    use AlertDescription as A;
    matches!(
        error,
        rustls::Error::AlertReceived(
            A::AccessDenied
                | A::BadCertificate
                | A::CertificateExpired
                | A::CertificateRequired
                | A::CertificateRevoked
                | A::CertificateUnknown
                | A::HandshakeFailure
                | A::InsufficientSecurity
                | A::ProtocolVersion
                | A::UnknownCA
                | A::UnrecognisedName
                | A::UnsupportedCertificate
        )
    )
}

pub(super) fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

pub(super) fn ended(error: &io::Error) -> bool {
    use io::ErrorKind as E;
    matches!(
        error.kind(),
        E::UnexpectedEof | E::ConnectionReset | E::ConnectionAborted | E::BrokenPipe
    )
}
