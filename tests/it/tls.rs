//! TLS for real: a rustls server on loopback with an authority of the test's own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::transport::{
    IpFamily, Transport, TransportErrorKind, UreqTransport,
};
use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, NameConstraints, PKCS_RSA_SHA256, SanType, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
};

use crate::support::{IDENTITY, POOL, runnable};
use crate::wire::{read_request, respond};

/// A certificate authority, with what its certificates rest on.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
    /// The certificates between its own and the root, its own first.
    chain: Vec<CertificateDer<'static>>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::root(|_| {})
    }

    fn root(settings: impl FnOnce(&mut CertificateParams)) -> Self {
        let (params, key) = authority(settings);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key), chain: Vec::new() }
    }

    /// An authority with a certificate from this one.
    fn intermediate(&self, settings: impl FnOnce(&mut CertificateParams)) -> Self {
        let (params, key) = authority(settings);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let mut chain = vec![certificate.der().clone()];
        chain.extend(self.chain.iter().cloned());
        Self { pem: self.pem.clone(), issuer: Issuer::new(params, key), chain }
    }

    /// A server with a certificate from this authority.
    fn serve(&self, certificate: CertificateParams) -> Served {
        Served::start(self.server_config(certificate))
    }

    pub(crate) fn server_config(&self, certificate: CertificateParams) -> Arc<ServerConfig> {
        self.issue(certificate).config(rustls::ALL_VERSIONS)
    }

    fn issue(&self, params: CertificateParams) -> Identity {
        self.issue_for(KeyPair::generate().unwrap(), params)
    }

    fn issue_for(&self, key: KeyPair, params: CertificateParams) -> Identity {
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let mut chain = vec![certificate.der().clone()];
        chain.extend(self.chain.iter().cloned());
        Identity { chain, key }
    }
}

/// Each has a name of its own: certificates are chained by name.
fn authority(settings: impl FnOnce(&mut CertificateParams)) -> (CertificateParams, KeyPair) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let name = format!("authority {}", COUNT.fetch_add(1, Ordering::SeqCst));
    params.distinguished_name.push(DnType::CommonName, name);
    settings(&mut params);
    (params, KeyPair::generate().unwrap())
}

/// What a server shows, or a client.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Identity {
    fn config(self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
        self.config_for(versions, WebPkiClientVerifier::no_client_auth())
    }

    fn config_for(
        self,
        versions: &[&'static SupportedProtocolVersion],
        clients: Arc<dyn ClientCertVerifier>,
    ) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let provider = rustls::crypto::ring::default_provider();
        let key = provider.key_provider.load_private_key(key).unwrap();
        // Shown as it is: a server would not start with some of these.
        let shown = SingleCertAndKey::from(CertifiedKey::new(self.chain, key));
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(shown));
        Arc::new(config)
    }

    /// The certificates as PEM, with a key in the form that its label says.
    fn pem(&self, label: &str, key: &[u8]) -> String {
        let chain = self.chain.iter().map(|der| pem("CERTIFICATE", der)).collect::<String>();
        chain + &pem(label, key)
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    pem::encode(&pem::Pem::new(label, der))
}

/// A server, and a proxy through which it has every name but the loopback ones.
struct Served {
    port: u16,
    proxy: u16,
    connections: Arc<AtomicUsize>,
}

impl Served {
    fn start(config: Arc<ServerConfig>) -> Self {
        Self::on(move |stream| answer(stream, config.clone()))
    }

    fn on(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = connections.clone();
        let (port, _) = crate::proxy::proxy(move |stream, _| {
            counter.fetch_add(1, Ordering::SeqCst);
            serve(stream);
        });
        let (proxy, _) = crate::proxy::tunnel_to(port);
        Self { port, proxy, connections }
    }

    /// Trusts the authorities in `pem`, or without any those that are built in.
    fn get_trusting(&self, host: &str, pem: Option<&str>) -> Result<String, Error> {
        let transport = UreqTransport::builder().proxy(format!("http://127.0.0.1:{}", self.proxy));
        let transport = match pem {
            Some(pem) => transport.ca_pem(pem),
            None => transport,
        };
        self.get(host, transport.build().unwrap())
    }

    fn get(&self, host: &str, transport: impl Transport + 'static) -> Result<String, Error> {
        let credentials = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .endpoint_url(format!("https://{host}:{}", self.port))
            .transport(transport)
            .clock(ManualClock::new())
            .build()
            .unwrap();
        Ok(credentials.get()?.identity_id().unwrap().to_owned())
    }

    /// Checks that one attempt is made, and refused for the reason that is told.
    fn assert_refused(&self, what: &str, host: &str, pem: Option<&str>, says: &str) {
        let error = self.get_trusting(host, pem).expect_err(what);
        let text = format!("{error:#}");
        assert_eq!(error.kind(), ErrorKind::Tls, "{what}: {text}");
        assert_eq!(transport_kind(&error), TransportErrorKind::Tls, "{what}");
        assert!(!error.is_retryable(), "{what}");
        assert!(error.hint().is_some(), "{what}");
        assert!(text.contains(says), "{what}: {text}");
        assert_eq!(self.connections.load(Ordering::SeqCst), 1, "{what}: one attempt");
    }
}

fn transport_kind(error: &Error) -> TransportErrorKind {
    error.transport_error().unwrap().kind()
}

/// Serves what comes on one connection.
pub(crate) fn answer(stream: impl Read + Write, config: Arc<ServerConfig>) {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    while read_request(&mut stream) {
        // The answer with the credentials has the identity too, and so serves for both calls.
        respond(&mut stream, 1);
        stream.flush().unwrap();
    }
    // Until the client has gone: closing with something unread would cut an alert off.
    while stream.sock.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {}
}

pub(crate) fn for_names(names: &[&str]) -> CertificateParams {
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
    const UNTRUSTED: &str = "signed by an authority that is not trusted";
    const OTHER_NAME: &str = "is for another name";
    const BROKEN: &str = "or one above it, is not valid";
    let root = Authority::new();
    let stranger = Authority::new();
    let trusted = Some(&*root.pem);
    let changed = |settings: fn(&mut CertificateParams)| {
        let mut params = for_names(&["localhost"]);
        settings(&mut params);
        root.issue(params)
    };
    let local = || for_names(&["localhost"]);
    let named = |name| root.issue(for_names(&[name]));
    let only_example = |params: &mut CertificateParams| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("example.com".into())],
            excluded_subtrees: Vec::new(),
        });
    };
    let constrained = Authority::root(only_example);
    let last = root.intermediate(|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    let (self_signed, own_key) = (local(), KeyPair::generate().unwrap());
    let self_signed = self_signed.self_signed(&own_key).unwrap().der().clone();
    let mut alone = root.intermediate(|_| {}).issue(local());
    alone.chain.truncate(1);
    let mut forged = root.issue(local());
    forged.key = KeyPair::generate().unwrap();
    let mut altered = root.issue(local());
    altered.chain[0] = replaced(&altered.chain[0], b"localhost", b"localhoot");
    let mut weak = root.issue(local());
    // ECDSA with SHA-256 and with SHA-224, as object identifiers.
    let (sha256, sha224) =
        (b"\x2a\x86\x48\xce\x3d\x04\x03\x02", b"\x2a\x86\x48\xce\x3d\x04\x03\x01");
    weak.chain[0] = replaced(&weak.chain[0], sha256, sha224);

    let rows = [
        (
            "expired",
            "localhost",
            changed(|c| c.not_after = date_time_ymd(2002, 1, 1)),
            trusted,
            "has expired: it ended on 2",
        ),
        (
            "not yet valid",
            "localhost",
            changed(|c| c.not_before = date_time_ymd(2999, 1, 1)),
            trusted,
            "is not valid yet: it begins on 2",
        ),
        (
            "an authority expired",
            "localhost",
            root.intermediate(|c| c.not_after = date_time_ymd(2002, 1, 1)).issue(local()),
            trusted,
            "has expired",
        ),
        ("wrong name", "localhost", named("example.com"), trusted, OTHER_NAME),
        ("an address in place of the name", "localhost", named("127.0.0.1"), trusted, OTHER_NAME),
        ("a name in place of the address", "127.0.0.1", named("localhost"), trusted, OTHER_NAME),
        (
            "the address as a name",
            "127.0.0.1",
            changed(|c| {
                c.subject_alt_names = vec![SanType::DnsName("127.0.0.1".try_into().unwrap())];
            }),
            trusted,
            OTHER_NAME,
        ),
        ("another address", "127.0.0.1", named("127.0.0.2"), trusted, OTHER_NAME),
        (
            "name only in CN",
            "localhost",
            changed(|c| {
                c.subject_alt_names.clear();
                c.distinguished_name.push(DnType::CommonName, "localhost");
            }),
            trusted,
            OTHER_NAME,
        ),
        (
            "no names at all",
            "localhost",
            changed(|c| c.subject_alt_names.clear()),
            trusted,
            OTHER_NAME,
        ),
        ("wildcard, two labels", "a.b.example.com", named("*.example.com"), trusted, OTHER_NAME),
        ("wildcard, no label", "example.com", named("*.example.com"), trusted, OTHER_NAME),
        (
            "wildcard, part of a label",
            "ab.example.com",
            named("a*.example.com"),
            trusted,
            OTHER_NAME,
        ),
        (
            "wildcard in the middle",
            "a.b.example.com",
            named("a.*.example.com"),
            trusted,
            OTHER_NAME,
        ),
        ("the name as a part", "example.com.evil", named("example.com"), trusted, OTHER_NAME),
        ("unknown authority", "localhost", root.issue(local()), Some(&stranger.pem), UNTRUSTED),
        ("built-in roots", "localhost", root.issue(local()), None, UNTRUSTED),
        (
            "self-signed",
            "localhost",
            Identity { chain: vec![self_signed], key: own_key },
            trusted,
            UNTRUSTED,
        ),
        ("missing intermediate", "localhost", alone, trusted, UNTRUSTED),
        ("key of somebody else", "localhost", forged, trusted, BROKEN),
        ("altered after signing", "localhoot", altered, trusted, BROKEN),
        ("weak signature", "localhost", weak, trusted, "has a signature"),
        (
            "for clients alone",
            "localhost",
            changed(|c| {
                c.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }),
            trusted,
            "is not meant for a server",
        ),
        (
            "an authority's own",
            "localhost",
            changed(|c| {
                c.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }),
            trusted,
            BROKEN,
        ),
        (
            "issued by a server",
            "localhost",
            root.intermediate(|c| c.is_ca = IsCa::ExplicitNoCa).issue(local()),
            trusted,
            BROKEN,
        ),
        (
            "more authorities than allowed",
            "localhost",
            last.intermediate(|_| {}).issue(local()),
            trusted,
            BROKEN,
        ),
        (
            "outside the root's names",
            "localhost",
            constrained.issue(local()),
            Some(&constrained.pem),
            BROKEN,
        ),
        (
            "outside an authority's names",
            "localhost",
            root.intermediate(only_example).issue(local()),
            trusted,
            BROKEN,
        ),
    ];
    for (what, host, identity, pem, says) in rows {
        let served = Served::start(identity.config(rustls::ALL_VERSIONS));
        served.assert_refused(what, host, pem, says);
    }
}

/// Replaces every occurrence; both have the same length.
fn replaced(certificate: &CertificateDer<'_>, from: &[u8], to: &[u8]) -> CertificateDer<'static> {
    let mut der = certificate.to_vec();
    let found: Vec<_> = (0..der.len()).filter(|at| der[*at..].starts_with(from)).collect();
    assert!(!found.is_empty());
    for at in found {
        der[at..at + to.len()].copy_from_slice(to);
    }
    der.into()
}

#[test]
fn a_certificate_that_holds_is_taken_whatever_its_form() {
    let root = Authority::new();
    let middle = root.intermediate(|_| {});
    let lower = middle.intermediate(|_| {});
    let named = |name| root.issue(for_names(&[name]));
    let local = || for_names(&["localhost"]);
    let mut wrong_order = lower.issue(local());
    wrong_order.chain[1..].reverse();
    let mut with_more = lower.issue(local());
    with_more.chain.push(Authority::new().intermediate(|_| {}).chain[0].clone());
    let constrained = Authority::root(|params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("localhost".into())],
            excluded_subtrees: Vec::new(),
        });
    });
    let mut for_servers = local();
    for_servers.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    let (params, key) = (local(), KeyPair::generate().unwrap());
    let own = params.self_signed(&key).unwrap();
    let own_pem = own.pem();
    let self_signed = Identity { chain: vec![own.der().clone()], key };
    let trusted = &*root.pem;
    let rows = [
        ("the name", "localhost", named("localhost"), trusted),
        ("the name in other letters", "LOCALHOST", named("LocalHost"), trusted),
        ("the address", "127.0.0.1", named("127.0.0.1"), trusted),
        ("one of many names", "localhost", root.issue(for_names(&["a", "localhost"])), trusted),
        ("wildcard", "a.example.com", named("*.example.com"), trusted),
        ("a full name", "a.example.com.", named("a.example.com"), trusted),
        ("for servers too", "localhost", root.issue(for_servers), trusted),
        ("one intermediate", "localhost", middle.issue(local()), trusted),
        ("two intermediates", "localhost", lower.issue(local()), trusted),
        ("two intermediates in the wrong order", "localhost", wrong_order, trusted),
        ("another certificate in the chain", "localhost", with_more, trusted),
        ("inside the root's names", "localhost", constrained.issue(local()), &constrained.pem),
        ("self-signed, and trusted by itself", "localhost", self_signed, &own_pem),
    ];
    for (what, host, identity, pem) in rows {
        let served = Served::start(identity.config(rustls::ALL_VERSIONS));
        let got = served.get_trusting(host, Some(pem));
        assert_eq!(got.map_err(|error| format!("{what}: {error:#}")), Ok(IDENTITY.to_owned()));
    }
    for version in rustls::ALL_VERSIONS {
        let served = Served::start(named("localhost").config(&[version]));
        assert_eq!(served.get_trusting("localhost", Some(trusted)).unwrap(), IDENTITY);
        assert_eq!(served.connections.load(Ordering::SeqCst), 1, "{version:?}");
    }
}

/// A part of an answer that is damaged on the way is no refusal: the call is repeated.
#[test]
fn an_answer_that_is_damaged_on_the_way_is_asked_for_again() {
    let authority = Authority::new();
    // TLS 1.2 tells answers (23) from the handshake (22).
    let config = authority.issue(for_names(&["localhost"])).config(&[&rustls::version::TLS12]);
    let behind = Served::start(config);
    let damaged = Arc::new(AtomicUsize::new(0));
    let counter = damaged.clone();
    let (relay, _) = crate::proxy::proxy(move |mut client, _| {
        let mut onward = TcpStream::connect(("127.0.0.1", behind.port)).unwrap();
        let (mut from_client, mut to_server) =
            (client.try_clone().unwrap(), onward.try_clone().unwrap());
        thread::spawn(move || {
            let _ = std::io::copy(&mut from_client, &mut to_server);
        });
        let mut part = [0; 16 * 1024];
        while let Ok(length @ 1..) = onward.read(&mut part) {
            if part[0] == 23 && counter.fetch_add(1, Ordering::SeqCst) == 0 {
                part[length - 1] ^= 1;
            }
            if client.write_all(&part[..length]).is_err() {
                break;
            }
        }
    });
    let served = Served { port: relay, proxy: 0, connections: Arc::default() };
    let got = served.get("localhost", trusting(&authority.pem));
    assert_eq!(got.map_err(|error| format!("{error:#}")), Ok(IDENTITY.to_owned()));
    assert!(damaged.load(Ordering::SeqCst) > 1);
}

#[test]
fn a_server_of_an_older_time_is_refused_and_not_tried_again() {
    let hello = |version: u8| {
        let mut body = vec![3, version];
        body.extend([7; 32]);
        // No session; TLS_RSA_WITH_AES_128_CBC_SHA; no compression.
        body.extend([0, 0, 0x2f, 0]);
        let length = u8::try_from(body.len()).unwrap();
        let mut record = vec![22, 3, version, 0, length + 4, 2, 0, 0, length];
        record.extend(body);
        record
    };
    let needed = "supports no kind of TLS 1.2 or 1.3";
    let rows = [
        ("SSL 3.0", hello(0), needed),
        ("TLS 1.0", hello(1), needed),
        ("TLS 1.1", hello(2), needed),
        ("TLS 1.2 with a weak cipher", hello(3), needed),
        ("alert protocol_version", vec![21, 3, 1, 0, 2, 2, 70], needed),
        ("alert handshake_failure", vec![21, 3, 3, 0, 2, 2, 40], "refused the TLS handshake"),
        ("alert unrecognized_name", vec![21, 3, 3, 0, 2, 2, 112], "does not serve this host name"),
        (
            "an answer in plain text",
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            "the answer is not TLS",
        ),
    ];
    for (what, answer, says) in rows {
        let served = Served::on(move |mut stream| {
            let mut hello = [0; 4096];
            let length = stream.read(&mut hello).unwrap();
            assert!(length > 0);
            stream.write_all(&answer).unwrap();
            // Until the client has gone: closing with something unread would cut the answer off.
            while stream.read(&mut hello).is_ok_and(|length| length > 0) {}
        });
        served.assert_refused(what, "localhost", None, says);
    }
}

#[test]
fn the_connect_timeout_bounds_the_handshake() {
    let silent = |_: &mut TcpStream| {};
    // The head of a handshake record of 16 KiB, and then a byte of it now and then.
    let dripping = |stream: &mut TcpStream| {
        let mut next: &[u8] = &[22, 3, 3, 0x40, 0];
        for _ in 0..200 {
            if stream.write_all(next).is_err() {
                break;
            }
            next = &[2];
            thread::sleep(Duration::from_millis(20));
        }
    };
    let rows: [(&str, fn(&mut TcpStream)); 2] = [("silent", silent), ("dripping", dripping)];
    for (what, then) in rows {
        let (port, _) = crate::proxy::proxy(move |mut stream, _| {
            then(&mut stream);
            while stream.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {}
        });
        let limit = Duration::from_millis(100);
        let transport = UreqTransport::builder().connect_timeout(limit).build().unwrap();
        let credentials = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .endpoint_url(format!("https://127.0.0.1:{port}"))
            .transport(transport)
            .max_attempts(1)
            .build()
            .unwrap();
        let begin = Instant::now();
        let error = credentials.get().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{what}: {error:#}");
        assert!(begin.elapsed() < Duration::from_secs(3), "{what}: {:?}", begin.elapsed());
    }
}

#[test]
fn a_server_that_asks_for_a_certificate_is_shown_the_one_that_was_given() {
    let authority = Authority::new();
    let ecdsa = authority.issue(for_clients());
    let ecdsa_key = ecdsa.key.serialize_der();
    let deeper = authority.intermediate(|_| {}).issue(for_clients());
    let deeper_key = deeper.key.serialize_der();
    let rsa = KeyPair::from_pkcs8_pem_and_sign_algo(include_str!("rsa_key.pem"), &PKCS_RSA_SHA256);
    let rsa = authority.issue_for(rsa.unwrap(), for_clients());
    let rsa_key = rsa.key.serialize_der();
    let stranger = Authority::new().issue(for_clients());
    let stranger_key = stranger.key.serialize_der();
    let inner = |key: &[u8], begin: &[u8]| {
        let at = key.windows(begin.len()).rposition(|window| window == begin).unwrap();
        key[at..].to_vec()
    };
    // As they stand inside the PKCS#8: an EC key of 107 bytes, an RSA key with its version and the
    // head of its modulus.
    let sec1 = inner(&ecdsa_key, &[0x30, 0x6b, 2, 1, 1, 4, 0x20]);
    let pkcs1 = inner(&rsa_key, &[0x30, 0x82, rsa_key[24 + 4], rsa_key[24 + 5], 2, 1, 0, 2, 0x82]);

    let not_accepted = "does not accept the client certificate";
    let rows = [
        ("PKCS#8", Some(ecdsa.pem("PRIVATE KEY", &ecdsa_key)), None),
        ("SEC1", Some(ecdsa.pem("EC PRIVATE KEY", &sec1)), None),
        ("RSA, PKCS#8", Some(rsa.pem("PRIVATE KEY", &rsa_key)), None),
        ("RSA, PKCS#1", Some(rsa.pem("RSA PRIVATE KEY", &pkcs1)), None),
        ("with an intermediate", Some(deeper.pem("PRIVATE KEY", &deeper_key)), None),
        ("of a stranger", Some(stranger.pem("PRIVATE KEY", &stranger_key)), Some(not_accepted)),
        ("none", None, Some("asks for a client certificate")),
    ];
    for version in rustls::ALL_VERSIONS {
        for (what, pem, refused) in &rows {
            let served = asking_for_certificates(&authority, &[version]);
            let settings = UreqTransport::builder().ca_pem(authority.pem.clone());
            let settings = match pem {
                Some(pem) => settings.client_cert_pem(pem),
                None => settings,
            };
            match (served.get("localhost", settings.build().unwrap()), refused) {
                (Ok(identity), None) => assert_eq!(identity, IDENTITY),
                (Err(error), Some(says)) => {
                    let text = format!("{error:#}");
                    assert_eq!(error.kind(), ErrorKind::Tls, "{what}, {version:?}: {text}");
                    assert!(text.contains(says), "{what}, {version:?}: {text}");
                }
                (outcome, _) => panic!("{what}, {version:?}: {outcome:?}"),
            }
            assert_eq!(served.connections.load(Ordering::SeqCst), 1, "{what}, {version:?}");
        }
    }
}

#[test]
fn pem_is_taken_in_every_form_in_which_it_is_found() {
    struct Form {
        name: &'static str,
        write: fn(&str) -> String,
    }
    let forms = [
        Form { name: "as tools write it", write: str::to_owned },
        Form { name: "a byte order mark", write: |pem| format!("\u{feff}{pem}") },
        Form {
            name: "byte order marks of joined files",
            write: |pem| pem.replace("-----BEGIN", "\u{feff}-----BEGIN"),
        },
        Form { name: "CRLF", write: |pem| pem.replace('\n', "\r\n") },
        Form { name: "CR", write: |pem| pem.replace('\n', "\r") },
        Form {
            name: "joined files without a final line break",
            write: |pem| pem.trim_end().replace("-----\n-----", "----------"),
        },
        Form { name: "white space around lines", write: |pem| pem.replace('\n', " \t\n  ") },
        Form {
            name: "text and comments between",
            write: |pem| {
                let text = "Certificate:\n    Data:\n# -----BEGIN CERTIFICATE-----\n-----BEGIN";
                pem.replace("-----BEGIN", text)
            },
        },
        Form { name: "one line", write: |pem| pem.replace('\n', "") },
        Form { name: "one line with spaces", write: |pem| pem.replace('\n', " ") },
        Form { name: "one line with \\n", write: |pem| pem.replace('\n', "\\n") },
        Form {
            name: "in quotes",
            write: |pem| format!("CERTIFICATES=\"{}\"\n", pem.replace('\n', "\\n")),
        },
        Form {
            name: "X509 CERTIFICATE",
            write: |pem| pem.replace(" CERTIFICATE", " X509 CERTIFICATE"),
        },
        Form {
            name: "TRUSTED CERTIFICATE without settings",
            write: |pem| pem.replace(" CERTIFICATE", " TRUSTED CERTIFICATE"),
        },
    ];
    let authority = Authority::new();
    let served = authority.serve(for_names(&["localhost"]));
    let asking = asking_for_certificates(&authority, rustls::ALL_VERSIONS);
    let client = authority.intermediate(|_| {}).issue(for_clients());
    let client = client.pem("PRIVATE KEY", &client.key.serialize_der()).replace('\r', "");
    let (ours, other) = (authority.pem.replace('\r', ""), Authority::new().pem.replace('\r', ""));
    for Form { name, write } in forms {
        for bundle in [[&*ours, &*other], [&*other, &*ours]] {
            let transport = UreqTransport::builder().ca_pem(write(&bundle.concat())).build();
            let transport = transport.unwrap_or_else(|error| panic!("{name}: {error}"));
            let got = served.get("localhost", transport);
            assert_eq!(got.map_err(|error| format!("{name}: {error:#}")), Ok(IDENTITY.to_owned()));
        }
        let transport = UreqTransport::builder().ca_pem(&*ours).client_cert_pem(write(&client));
        let transport = transport.build().unwrap_or_else(|error| panic!("{name}: {error}"));
        let got = asking.get("localhost", transport);
        assert_eq!(got.map_err(|error| format!("{name}: {error:#}")), Ok(IDENTITY.to_owned()));
    }
}

/// `openssl x509 -trustout` appends the settings to the certificate.
#[test]
fn a_trusted_certificate_is_an_authority_as_its_settings_say() {
    const TRUSTED: &[u8] = b"\x30\x0c\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01";
    const REJECTED: &[u8] = b"\x30\x0c\xa0\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01";
    let authority = Authority::new();
    let served = authority.serve(for_names(&["localhost"]));
    let certificate = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
    let with = |settings: &[u8]| pem("TRUSTED CERTIFICATE", &[&*certificate, settings].concat());
    let transport = trusting(&(Authority::new().pem + &with(TRUSTED)));
    assert_eq!(served.get("localhost", transport).unwrap(), IDENTITY);
    let error = UreqTransport::builder().ca_pem(with(REJECTED)).build().unwrap_err();
    let says = "ca_pem: block 1 (TRUSTED CERTIFICATE, line 1) is not trusted for TLS servers";
    assert!(error.message().starts_with(says), "{error}");
}

/// Of OpenSSL 3.0: certificates with `-text`, of which one has trust settings, and a client's of
/// version 1 with parameters and key.
#[test]
fn files_that_openssl_writes_are_taken() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/");
    UreqTransport::builder()
        .ca_file(format!("{folder}openssl_authorities.pem"))
        .client_cert_pem(include_str!("openssl_client.pem"))
        .build()
        .unwrap();
}

#[test]
fn a_fault_in_pem_names_the_setting_the_file_and_the_block() {
    let good = Authority::new().pem;
    let broken = good.replacen("MI", "M-", 1);
    let lines = good.lines().count();
    let file = std::env::temp_dir().join(format!("broken-{}.pem", std::process::id()));
    std::fs::write(&file, [&*good, &*good, &*broken, &*good].concat()).unwrap();
    let outcome = UreqTransport::builder()
        .ca_file(&file)
        .ca_pem(&*broken)
        .client_cert_pem([&*good, "\n", &*broken].concat())
        .build();
    std::fs::remove_file(&file).unwrap();
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let expected = format!(
        "ca_file: {}: block 3 (CERTIFICATE, line {}) is not valid base64; ca_pem: block 1 (CERTIFICATE, line 1) is not valid base64; client_cert_pem: block 2 (CERTIFICATE, line {}) is not valid base64",
        file.display(),
        2 * lines + 1,
        lines + 2
    );
    assert_eq!(error.message(), expected);
}

/// A server that wants a client certificate of this authority.
fn asking_for_certificates(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
) -> Served {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let server = authority.issue(for_names(&["localhost"]));
    Served::start(server.config_for(versions, clients.build().unwrap()))
}

fn for_clients() -> CertificateParams {
    let mut params = for_names(&["device"]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

#[test]
fn roots_that_are_built_in_are_trusted_beside_ones_own() {
    let authority = Authority::new();
    let settings = |pem: &str| UreqTransport::builder().ca_pem(pem).bundled_roots(true);
    let served = authority.serve(for_names(&["localhost"]));
    let transport = settings(&authority.pem).build().unwrap();
    assert_eq!(served.get("localhost", transport).unwrap(), IDENTITY);
    let transport = settings(&Authority::new().pem).build().unwrap();
    assert_eq!(served.get("localhost", transport).unwrap_err().kind(), ErrorKind::Tls);
    let error = UreqTransport::builder().bundled_roots(false).build().unwrap_err();
    assert!(error.message().starts_with("bundled_roots: is false, and no"), "{error}");
    for settings in [
        UreqTransport::builder().bundled_roots(true),
        UreqTransport::builder().ca_pem(authority.pem.clone()).bundled_roots(false),
    ] {
        settings.build().unwrap();
    }
}

#[test]
fn a_family_of_addresses_can_be_ruled_out() {
    use IpFamily::{Any, Ipv4Only, Ipv6Only};
    let serve = |address: &str| {
        let listener = TcpListener::bind((address, 0))?;
        let port = listener.local_addr()?.port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                while read_request(&mut stream) {
                    respond(&mut stream, 1);
                }
            }
        });
        std::io::Result::Ok(port)
    };
    let four = ("127.0.0.1", serve("127.0.0.1").unwrap());
    let mut rows = vec![(four, Any, true), (four, Ipv4Only, true), (four, Ipv6Only, false)];
    // Not every machine has it.
    if let Ok(port) = serve("::1") {
        let six = ("[::1]", port);
        rows.extend([(six, Any, true), (six, Ipv4Only, false), (six, Ipv6Only, true)]);
    }
    for ((host, port), family, reached) in rows {
        let credentials = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .endpoint_url(format!("http://{host}:{port}"))
            .transport(UreqTransport::builder().ip_family(family).build().unwrap())
            .clock(ManualClock::new())
            .max_attempts(1)
            .build()
            .unwrap();
        match credentials.get() {
            Ok(_) => assert!(reached, "{host} {family:?}"),
            Err(error) => {
                assert!(!reached, "{host} {family:?}: {error:#}");
                assert_eq!(transport_kind(&error), TransportErrorKind::Connect, "{error:#}");
            }
        }
    }
}

/// What is installed is so for the whole process, so a child runs this test alone.
#[test]
fn the_cryptography_that_the_program_has_installed_is_used() {
    const CHILD: &str = "CRYPTO_CHILD";
    let only = rustls::crypto::ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256;
    if std::env::var(CHILD).is_err() {
        let mut child = runnable(&std::env::current_exe().unwrap());
        child.args(["--nocapture", "--exact"]);
        child.arg("tls::the_cryptography_that_the_program_has_installed_is_used").env(CHILD, "1");
        let output = child.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("OUTCOME: its own"), "{text}");
        return;
    }
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites = vec![only];
    provider.install_default().unwrap();
    let authority = Authority::new();
    let config = authority.server_config(for_names(&["localhost"]));
    let suites = Arc::new(Mutex::new(Vec::new()));
    let seen = suites.clone();
    let served = Served::on(move |stream| {
        let connection = ServerConnection::new(config.clone()).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        while read_request(&mut stream) {
            let suite = stream.conn.negotiated_cipher_suite().unwrap().suite();
            seen.lock().unwrap().push(suite);
            respond(&mut stream, 1);
        }
    });
    served.get("localhost", trusting(&authority.pem)).unwrap();
    assert_eq!(*suites.lock().unwrap(), [only.suite(); 2]);
    println!("OUTCOME: its own");
}

mod clock_and_sessions {
    use std::time::SystemTime;

    use rustls::HandshakeKind::{self, Full, Resumed};

    use super::*;

    fn year(year: i32, month: u8) -> SystemTime {
        date_time_ymd(year, month, 1).into()
    }

    #[test]
    fn certificates_are_checked_at_the_time_of_the_clock_but_at_none_before_the_floor() {
        let authority = Authority::new();
        let too_early = "is not valid yet: ";
        let too_late = "has expired: ";
        // The clock, the floor, the certificate's begin and end, and what comes of it.
        let rows = [
            ("1970, the release", 1970, None, 2026, 2999, Ok(())),
            ("1970, the release, too new", 1970, None, 2999, 3000, Err((too_early, ""))),
            ("1970, a floor", 1970, Some(2026), 2025, 2027, Ok(())),
            ("before 1970, a floor", 1960, Some(2026), 2025, 2027, Ok(())),
            ("1970, floor too low", 1970, Some(2001), 2025, 2027, Err((too_early, "2001-11-01"))),
            ("1970, expired", 1970, Some(2026), 2020, 2025, Err((too_late, "2026-11-01"))),
            ("1970, expired by the release", 1970, None, 2020, 2025, Err((too_late, ""))),
            ("the clock is right", 2030, Some(2026), 2029, 2031, Ok(())),
            ("the clock is right, expired", 2030, Some(2026), 2025, 2027, Err((too_late, "2030"))),
            ("no floor", 1970, Some(1970), 2025, 2027, Err((too_early, "1970-11-01"))),
        ];
        for (what, now, floor, begin, end, expected) in rows {
            let mut certificate = for_names(&["localhost"]);
            certificate.not_before = date_time_ymd(begin, 1, 1);
            certificate.not_after = date_time_ymd(end, 1, 1);
            let served = authority.serve(certificate);
            let settings = UreqTransport::builder()
                .ca_pem(authority.pem.clone())
                .clock(ManualClock::at(year(now, 11)));
            let settings = match floor {
                Some(floor) => settings.earliest_time(year(floor, 11)),
                None => settings,
            };
            let outcome = served.get("localhost", settings.build().unwrap());
            match (outcome, expected) {
                (Ok(_), Ok(())) => {}
                (Err(error), Err((says, date))) => {
                    let text = format!("{error:#}");
                    assert_eq!(error.kind(), ErrorKind::Tls, "{what}: {text}");
                    assert!(
                        text.contains(says)
                            && text.contains(&format!("the device's clock says {date}")),
                        "{what}: {text}"
                    );
                    assert!(error.hint().unwrap().contains("clock"), "{what}");
                }
                (outcome, _) => panic!("{what}: {outcome:?}"),
            }
        }
    }

    /// A device that runs for months without the time takes what is issued meanwhile, and refuses what
    /// ends.
    #[test]
    fn the_floor_rises_with_the_boot_clock() {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let authority = Authority::new();
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
        let transport = UreqTransport::builder()
            .ca_pem(authority.pem.clone())
            .clock(clock.clone())
            .earliest_time(year(2026, 11))
            .build()
            .unwrap();
        let transport = Arc::new(transport);
        let mut outcomes = Vec::new();
        for (begin, end) in [((2026, 1), (2027, 2)), ((2027, 1), (2028, 1)), ((2026, 1), (2027, 2))]
        {
            let mut certificate = for_names(&["localhost"]);
            certificate.not_before = date_time_ymd(begin.0, begin.1, 1);
            certificate.not_after = date_time_ymd(end.0, end.1, 1);
            let served = authority.serve(certificate);
            outcomes.push(served.get("localhost", transport.clone()).map_err(|error| error.kind()));
            clock.advance(DAY * 180);
        }
        assert!(matches!(outcomes[..], [Ok(_), Ok(_), Err(ErrorKind::Tls)]), "{outcomes:?}");
    }

    /// Answers one request on each connection, and keeps how its handshake went.
    fn one_each(config: Arc<ServerConfig>) -> (Served, Arc<Mutex<Vec<HandshakeKind>>>) {
        let kinds = Arc::new(Mutex::new(Vec::new()));
        let seen = kinds.clone();
        let served = Served::on(move |stream| {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            if read_request(&mut stream) {
                seen.lock().unwrap().push(stream.conn.handshake_kind().unwrap());
                let mut answer = Vec::new();
                respond(&mut answer, 1);
                let answer = String::from_utf8(answer).unwrap();
                let answer = answer.replacen("\r\n", "\r\nConnection: close\r\n", 1);
                stream.write_all(answer.as_bytes()).unwrap();
                stream.conn.send_close_notify();
                stream.flush().unwrap();
            }
            while stream.sock.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {}
        });
        (served, kinds)
    }

    fn at(served: &Served, transport: &Arc<UreqTransport>) -> CognitoIdentityCredentials {
        CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .identity_id(IDENTITY)
            .endpoint_url(format!("https://localhost:{}", served.port))
            .transport(transport.clone())
            .clock(ManualClock::new())
            .build()
            .unwrap()
    }

    #[test]
    fn a_later_connection_resumes_the_session_also_of_a_second_server_in_between() {
        let authority = Authority::new();
        for version in rustls::ALL_VERSIONS {
            let serve = || {
                let server = authority.issue(for_names(&["localhost", "127.0.0.1"]));
                one_each(server.config(&[version]))
            };
            let (one, its_kinds) = serve();
            let transport = Arc::new(trusting(&authority.pem));
            for _ in 0..3 {
                at(&one, &transport).get().unwrap();
            }
            assert_eq!(*its_kinds.lock().unwrap(), [Full, Resumed, Resumed], "{version:?}");

            // Sessions are kept by name, without the port.
            let (other, other_kinds) = serve();
            let with_address = CognitoIdentityCredentials::builder()
                .identity_pool_id(POOL)
                .identity_id(IDENTITY)
                .endpoint_url(format!("https://127.0.0.1:{}", other.port))
                .transport(transport.clone())
                .clock(ManualClock::new())
                .build()
                .unwrap();
            with_address.get().unwrap();
            at(&one, &transport).get().unwrap();
            with_address.refresh().unwrap();
            assert_eq!(*other_kinds.lock().unwrap(), [Full, Resumed], "{version:?}");
            assert_eq!(its_kinds.lock().unwrap()[3], Resumed, "{version:?}");

            let fresh = Arc::new(trusting(&authority.pem));
            at(&one, &fresh).get().unwrap();
            assert_eq!(its_kinds.lock().unwrap()[4], Full, "not shared between transports");
        }
    }

    /// A session must not outlive the trust that it began with.
    #[test]
    fn a_transport_that_trusts_another_authority_resumes_nothing() {
        let authority = Authority::new();
        let (served, _) = one_each(authority.server_config(for_names(&["localhost"])));
        at(&served, &Arc::new(trusting(&authority.pem))).get().unwrap();
        let error = at(&served, &Arc::new(trusting(&Authority::new().pem))).get().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
    }
}
