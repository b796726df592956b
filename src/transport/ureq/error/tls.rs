//! The errors of TLS: the text and the hint of each cause. This file uses no other file of the
//! crate, because the command compiles it too.

use std::io;
use std::time::{Duration, SystemTime};

use rustls::AlertDescription;
use rustls::pki_types::{UnixTime, alg_id};

const MAX_NAMES: usize = 3;

/// The text may contain names from the server.
pub(super) fn tls_text(error: &io::Error) -> String {
    match rustls_error(error) {
        Some(error) => tls_cause(error).0,
        None if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
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
            "it may require a client certificate (client_cert_pem), or have no TLS version, cipher or kind of key in common with this device",
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
        E::InappropriateMessage { .. }
        | E::InappropriateHandshakeMessage { .. }
        | E::PeerSentOversizedRecord => (
            "the server, or a gateway in front of it, does not follow the rules of TLS",
            "update the server, or the gateway in front of it",
        ),
        E::DecryptError => (
            "a part of the handshake was damaged on the way",
            "check what stands between the device and the server, if it happens again",
        ),
        other => {
            return (
                other.to_string(),
                "look at the log of the server or of a gateway in front of it",
            );
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
                "the server's certificate, or one above it, has expired: it ended on {end}, and the device's clock says {time}"
            );
            return (text, "renew the certificate, or set the device's clock");
        }
        // webpki reports this also for a certificate that ends before it begins.
        C::Expired => (
            "the server's certificate, or one above it, has expired, or ends before it begins",
            "have the certificate issued again, or set the device's clock",
        ),
        C::NotValidYetContext { time, not_before } => {
            let (time, begin) = (date(*time), date(*not_before));
            let text = format!(
                "the server's certificate, or one above it, is not valid yet: it begins on {begin}, and the device's clock says {time}"
            );
            return (text, CLOCK);
        }
        C::NotValidYet => ("the server's certificate, or one above it, is not valid yet", CLOCK),
        C::UnknownIssuer => (
            "the server's certificate is signed by an authority that is not trusted",
            "trust the authority with ca_file, or have the server send its intermediate certificates",
        ),
        C::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            let names = presented.iter().take(MAX_NAMES).map(|name| inner_name(name));
            let names = names.collect::<Vec<_>>().join(", ");
            return (format!("the server's certificate is for another name: {names}"), OTHER_NAME);
        }
        C::NotValidForName | C::NotValidForNameContext { .. } => {
            ("the server's certificate is for another name", OTHER_NAME)
        }
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => WRONG_PURPOSE,
        C::UnsupportedSignatureAlgorithmForPublicKeyContext { public_key_algorithm_id, .. }
            if is_supported_key(public_key_algorithm_id) =>
        {
            WRONG_SIGNATURE
        }
        C::BadSignature => WRONG_SIGNATURE,
        C::UnsupportedSignatureAlgorithmContext { signature_algorithm_id: id, .. }
        | C::UnsupportedSignatureAlgorithmForPublicKeyContext {
            public_key_algorithm_id: id, ..
        } => return unsupported_signature(id),
        C::UnhandledCriticalExtension => CRITICAL_EXTENSION,
        C::Revoked => ("the server's certificate was revoked", "have a new one issued"),
        // The display text of an error of webpki is its name. rustls does not export the type.
        C::Other(error) => cause_of_webpki(&error.to_string()),
        _ => NOT_VALID,
    };
    (text.to_owned(), hint)
}

type Cause = (&'static str, &'static str);

const WRONG_PURPOSE: Cause = (
    "the server's certificate, or one above it, is not meant for a server",
    "have the certificate issued with the extended key usage serverAuth",
);
const WRONG_SIGNATURE: Cause = (
    "the server's certificate, or one above it, has a wrong signature",
    "perhaps ca_file has another authority of the same name, or an RSA key is not of 2048 to 8192 bits, or the server's key is not that of its certificate",
);
const CRITICAL_EXTENSION: Cause = (
    "the server's certificate, or one above it, has a critical extension that is not supported",
    "have the certificate issued without this extension, or with the extension not critical",
);
const NOT_VALID: Cause = (
    "the server's certificate, or one above it, is not valid",
    "have the certificate issued again, or check what answers instead of the server",
);

fn cause_of_webpki(name: &str) -> Cause {
    match name {
        "CaUsedAsEndEntity" => (
            "the server's certificate is that of an authority (CA:TRUE)",
            "have an authority issue a certificate with CA:FALSE to the server, and put the authority's certificate into ca_file, not the server's",
        ),
        "EndEntityUsedAsCa" => (
            "a certificate above the server's is not that of an authority (CA:FALSE)",
            "have the server's certificate issued by an authority, whose certificate has CA:TRUE",
        ),
        "PathLenConstraintViolated" => (
            "an authority above the server's certificate does not allow another authority below it (pathlen)",
            "have the server's certificate issued by an authority that is nearer to the trusted one",
        ),
        "NameConstraintViolation" => (
            "an authority above the server's certificate does not allow its names (nameConstraints)",
            "have the certificate issued only for names that this authority allows, or by another authority",
        ),
        "UnsupportedCertVersion" => (
            "the server's certificate, or one above it, is not of version 3 of X.509",
            "have the certificate issued as version 3, with the host as subjectAltName",
        ),
        "EmptyEkuExtension" => WRONG_PURPOSE,
        "UnsupportedCriticalExtension" => CRITICAL_EXTENSION,
        "MaximumPathDepthExceeded"
        | "MaximumPathBuildCallsExceeded"
        | "MaximumSignatureChecksExceeded"
        | "MaximumNameConstraintComparisonsExceeded" => (
            "the server sends too many certificates, or certificates with too many names",
            "have the server send only its certificate and the intermediate certificates above it",
        ),
        _ => NOT_VALID,
    }
}

fn is_supported_key(id: &[u8]) -> bool {
    [alg_id::RSA_ENCRYPTION, alg_id::ECDSA_P256, alg_id::ECDSA_P384, alg_id::ED25519]
        .iter()
        .any(|supported| supported.as_ref() == id)
}

/// Describes a signature by its algorithm, or by the key that made it.
fn unsupported_signature(id: &[u8]) -> (String, &'static str) {
    /// The last bytes of each OID, for Ed448 with its length.
    const NAMES: [([u8; 4], &str); 12] = [
        (*b"\x0d\x01\x01\x04", "MD5"),
        (*b"\x0d\x01\x01\x05", "SHA-1"),
        (*b"\x0d\x01\x01\x0a", "RSASSA-PSS"),
        (*b"\x0d\x01\x01\x0e", "SHA-224"),
        (*b"\xce\x3d\x04\x01", "SHA-1"),
        (*b"\x3d\x04\x03\x01", "SHA-224"),
        (*b"\x3d\x04\x03\x04", "ECDSA-SHA-512"),
        (*b"\x81\x04\x00\x0a", "secp256k1"),
        (*b"\x81\x04\x00\x21", "P-224"),
        (*b"\x81\x04\x00\x23", "P-521"),
        (*b"\x02\x08\x01\x01", "Brainpool"),
        (*b"\x03\x2b\x65\x71", "Ed448"),
    ];
    const TEXT: &str =
        "the server's certificate, or one above it, has a signature that is not supported";
    const HINT: &str = "have the certificate signed with an RSA key of 2048 to 8192 bits (SHA-256, SHA-384, SHA-512), an ECDSA key P-256 or P-384 (SHA-256, SHA-384), or Ed25519";
    let is_in = |part: &[u8; 4]| id.windows(4).any(|bytes| bytes == part);
    let text = match NAMES.iter().find(|(part, _)| is_in(part)) {
        Some((_, name)) => format!("{TEXT}: {name}"),
        None => TEXT.to_owned(),
    };
    (text, HINT)
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

/// Returns `true` if a server ended TLS because of a certificate, a version, a cipher or a name.
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

pub(super) fn is_other_name(error: &rustls::Error) -> bool {
    use rustls::{CertificateError as C, Error as E};
    matches!(
        error,
        E::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. })
            | E::AlertReceived(AlertDescription::UnrecognisedName)
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
