//! TLS for real: a rustls server on loopback with an authority of the test's own.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::transport::{TransportError, TransportErrorKind, UreqTransport};
use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::{IDENTITY, POOL};
use crate::wire::{read_request, respond};

/// A certificate authority.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A server with a certificate from this authority.
    fn serve(&self, certificate: CertificateParams) -> Served {
        let key = KeyPair::generate().unwrap();
        let certificate = certificate.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Served::start(Arc::new(config))
    }
}

struct Served {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Served {
    fn start(config: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = connections.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                counter.fetch_add(1, Ordering::SeqCst);
                let config = config.clone();
                thread::spawn(move || {
                    let connection = ServerConnection::new(config).unwrap();
                    let mut stream = StreamOwned::new(connection, stream.unwrap());
                    let mut request = 0;
                    while read_request(&mut stream) {
                        respond(&mut stream, request);
                        stream.flush().unwrap();
                        request += 1;
                    }
                });
            }
        });
        Self { port, connections }
    }

    fn get(&self, host: &str, transport: UreqTransport) -> Result<String, Error> {
        let credentials = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .endpoint_url(format!("https://{host}:{}", self.port))
            .transport(transport)
            .clock(ManualClock::new())
            .build()
            .unwrap();
        Ok(credentials.get()?.identity_id().unwrap().to_owned())
    }
}

fn for_names(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

fn trusting(pem: &str) -> UreqTransport {
    UreqTransport::builder().ca_pem(pem).build().unwrap()
}

#[test]
fn an_authority_of_ones_own_is_trusted_and_one_connection_is_enough() {
    let authority = Authority::new();
    let served = authority.serve(for_names(&["localhost"]));
    assert_eq!(served.get("localhost", trusting(&authority.pem)).unwrap(), IDENTITY);
    assert_eq!(served.connections.load(Ordering::SeqCst), 1);

    let file = std::env::temp_dir().join(format!("ca-{}.pem", std::process::id()));
    std::fs::write(&file, format!("# ours\n{}\n{}", Authority::new().pem, authority.pem)).unwrap();
    let transport = UreqTransport::builder().ca_file(&file).build();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(served.get("localhost", transport.unwrap()).unwrap(), IDENTITY);

    let served = authority.serve(for_names(&["127.0.0.1"]));
    let transport = UreqTransport::builder()
        .ca_pem(Authority::new().pem)
        .ca_pem(authority.pem.clone())
        .connect_timeout(Duration::from_secs(5))
        .build();
    assert_eq!(served.get("127.0.0.1", transport.unwrap()).unwrap(), IDENTITY);
}

#[test]
fn a_certificate_that_does_not_hold_is_refused_and_not_tried_again() {
    let authority = Authority::new();
    let mut expired = for_names(&["localhost"]);
    expired.not_before = date_time_ymd(2001, 1, 1);
    expired.not_after = date_time_ymd(2002, 1, 1);
    let mut future = for_names(&["localhost"]);
    future.not_before = date_time_ymd(2999, 1, 1);
    future.not_after = date_time_ymd(3000, 1, 1);
    let rows = [
        ("unknown authority", for_names(&["localhost"]), trusting(&Authority::new().pem)),
        ("bundled roots", for_names(&["localhost"]), UreqTransport::new()),
        ("wrong name", for_names(&["example.com"]), trusting(&authority.pem)),
        ("expired", expired, trusting(&authority.pem)),
        ("not yet valid", future, trusting(&authority.pem)),
    ];
    for (what, certificate, transport) in rows {
        let served = authority.serve(certificate);
        let error = served.get("localhost", transport).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Tls, "{what}: {error:#}");
        let source = std::error::Error::source(&error).unwrap();
        let kind = source.downcast_ref::<TransportError>().unwrap().kind();
        assert_eq!(kind, TransportErrorKind::Tls, "{what}");
        assert!(!error.is_retryable(), "{what}");
        assert!(error.hint().is_some(), "{what}");
        assert!(format!("{error:#}").contains("certificate"), "{what}: {error:#}");
        assert_eq!(served.connections.load(Ordering::SeqCst), 1, "{what}: one attempt");
    }
}

#[test]
fn the_connect_timeout_bounds_the_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let held = thread::spawn(move || listener.accept().unwrap());
    let limit = Duration::from_millis(100);
    let transport = UreqTransport::builder().connect_timeout(limit).build().unwrap();
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .endpoint_url(format!("https://127.0.0.1:{port}"))
        .transport(transport)
        .max_attempts(1)
        .build()
        .unwrap();
    let begin = std::time::Instant::now();
    assert_eq!(credentials.get().unwrap_err().kind(), ErrorKind::Timeout);
    assert!(begin.elapsed() < Duration::from_secs(5), "not the attempt's ten seconds");
    drop(held.join());
}
