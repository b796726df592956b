//! TLS for real: a rustls server on loopback with an authority of the test's own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::transport::{TransportError, TransportErrorKind, UreqTransport};
use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, NameConstraints, SanType, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

use crate::support::{IDENTITY, POOL};
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
        let key = KeyPair::generate().unwrap();
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

/// What a server shows.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Identity {
    fn config(self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let provider = rustls::crypto::ring::default_provider();
        let key = provider.key_provider.load_private_key(key).unwrap();
        // Shown as it is: a server would not start with some of these.
        let shown = SingleCertAndKey::from(CertifiedKey::new(self.chain, key));
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(shown));
        Arc::new(config)
    }
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

    /// Checks that one attempt is made, and refused for the reason that is told.
    fn assert_refused(&self, what: &str, host: &str, pem: Option<&str>, says: &str) {
        let error = self.get_trusting(host, pem).expect_err(what);
        let text = format!("{error:#}");
        assert_eq!(error.kind(), ErrorKind::Tls, "{what}: {text}");
        let source = std::error::Error::source(&error).unwrap();
        let kind = source.downcast_ref::<TransportError>().unwrap().kind();
        assert_eq!(kind, TransportErrorKind::Tls, "{what}");
        assert!(!error.is_retryable(), "{what}");
        assert!(error.hint().is_some(), "{what}");
        assert!(text.contains(says), "{what}: {text}");
        assert_eq!(self.connections.load(Ordering::SeqCst), 1, "{what}: one attempt");
    }
}

/// Serves what comes on one connection.
pub(crate) fn answer(stream: impl Read + Write, config: Arc<ServerConfig>) {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    while read_request(&mut stream) {
        // The answer with the credentials has the identity too, and so serves for both calls.
        respond(&mut stream, 1);
        stream.flush().unwrap();
    }
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
    const UNTRUSTED: &str = "from no authority that is trusted";
    const OTHER_NAME: &str = "is for another name";
    const BROKEN: &str = "or one that it rests on, does not hold";
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
            "has expired, or the device's clock is wrong: it says 2",
        ),
        (
            "not yet valid",
            "localhost",
            changed(|c| c.not_before = date_time_ymd(2999, 1, 1)),
            trusted,
            "is not valid yet, or the device's clock is wrong: it says 2",
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
        ("weak signature", "localhost", weak, trusted, "is signed in a way"),
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
    let needed = "does not speak TLS 1.2 or 1.3";
    let rows = [
        ("SSL 3.0", hello(0), needed),
        ("TLS 1.0", hello(1), needed),
        ("TLS 1.1", hello(2), needed),
        ("TLS 1.2 with a weak cipher", hello(3), "TLS failed"),
        ("alert protocol_version", vec![21, 3, 1, 0, 2, 2, 70], needed),
        ("alert handshake_failure", vec![21, 3, 3, 0, 2, 2, 40], "refused the TLS handshake"),
        ("alert unrecognized_name", vec![21, 3, 3, 0, 2, 2, 112], "refused the TLS handshake"),
        (
            "an answer in plain text",
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            "what answers there does not speak TLS",
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
