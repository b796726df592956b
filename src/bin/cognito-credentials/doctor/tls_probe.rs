//! A TLS handshake that shows version, cipher and certificate, even if the certificate is not
//! trusted.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use cognito_identity_credentials::transport::UreqTransport;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::time_provider::TimeProvider;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ProtocolVersion, RootCertStore,
    SignatureScheme, StreamOwned,
};
use serde_json::json;

use crate::doctor::certificate::Certificate;
use crate::doctor::report::{Report, Step};
use crate::login::bounded_file;
use crate::messages::failure::NETWORK;
use crate::options::arguments::Options;
use crate::transport::{self, MAX_CA_FILE};

// This is a file of the library, so that both describe an error of TLS in the same way.
#[path = "../../../transport/ureq/error/tls.rs"]
#[expect(dead_code, reason = "the command needs only the text of an error")]
mod tls_error;

use tls_error::tls_text;

pub(crate) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Returns the time of this machine, but at least the day of the release, as the library does. A
/// machine without a clock starts in 1970, and the clock of rustls panics before 1970.
#[derive(Debug)]
struct Time;

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let now = SystemTime::now().max(UreqTransport::release_time());
        now.duration_since(SystemTime::UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

/// Keeps the certificate that a server presents. The functions of rustls check it.
#[derive(Debug)]
struct Recorder {
    authorities: RootCertStore,
    algorithms: WebPkiSupportedAlgorithms,
    presented: Mutex<Option<CertificateDer<'static>>>,
}

pub(crate) fn handshake(
    report: &Report,
    options: &Options,
    mut stream: TcpStream,
    host: &str,
) -> Option<Box<dyn Stream>> {
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let Some(recorder) = Recorder::new(options, provider.signature_verification_algorithms) else {
        report.add(Step::skipped("TLS", "the authorities cannot be read"));
        return None;
    };
    let recorder = Arc::new(recorder);
    let config = ClientConfig::builder_with_details(provider, Arc::new(Time))
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(recorder.clone())
        .with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), name).ok()?;
    let outcome = connection.complete_io(&mut stream);
    if let Err(error) = outcome {
        report.add(Step::bad("TLS", NETWORK, tls_text(&error)));
        recorder.report(report, false);
        return None;
    }
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS",
    };
    let cipher = connection.negotiated_cipher_suite();
    let cipher = cipher.and_then(|suite| suite.suite().as_str()).unwrap_or_default();
    let details = json!({ "version": version, "cipher": cipher });
    report.add(Step::ok("TLS", format!("{version}, {cipher}")).details(details));
    recorder.report(report, true);
    Some(Box::new(StreamOwned::new(connection, stream)))
}

impl Recorder {
    /// Trusts the authorities that the library trusts.
    fn new(options: &Options, algorithms: WebPkiSupportedAlgorithms) -> Option<Self> {
        let mut roots = RootCertStore::empty();
        match transport::ca_file(options) {
            Some((_, path)) => {
                let pem = bounded_file::read(&path, MAX_CA_FILE, options.limit()).ok()?;
                let authorities = CertificateDer::pem_slice_iter(&pem);
                roots.add_parsable_certificates(authorities.map_while(Result::ok));
            }
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let is_any = !roots.is_empty();
        is_any.then(|| Self { authorities: roots, algorithms, presented: Mutex::default() })
    }

    fn report(&self, report: &Report, is_accepted: bool) {
        let presented = self.presented.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(der) = presented.as_ref() else { return };
        let certificate = Certificate::read(der, SystemTime::now());
        let text = certificate.as_ref().map_or("it is malformed".to_owned(), ToString::to_string);
        let step = match &certificate {
            Some(_) if is_accepted => Step::ok("certificate", text),
            _ => Step::bad("certificate", NETWORK, text),
        };
        report.add(step.details(certificate));
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let presented = end_entity.clone().into_owned();
        *self.presented.lock().unwrap_or_else(PoisonError::into_inner) = Some(presented);
        // The verifier of rustls makes these checks too. It is not used, because it also brings
        // code for revocation lists.
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.authorities,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        verify_server_name(&certificate, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
