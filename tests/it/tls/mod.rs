//! `UreqTransport` with rustls servers on loopback. Each test has its own authority.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use cognito_identity_credentials::transport::{Transport, TransportErrorKind, UreqTransport};
use cognito_identity_credentials::{Error, ErrorKind};
use rcgen::CertificateParams;
use rustls::ServerConfig;

use crate::authority::{Authority, accept, for_names};
use crate::server::{drain, listen};
use crate::support::{IDENTITY, at, this_test_again};
use crate::wire::{read_request, respond, transport_kind};

mod certificates;
mod clock;
mod pem;
mod sessions;

/// A server, and a proxy that leads to it for every host that is not a loopback address.
struct Server {
    port: u16,
    proxy: u16,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Starts a server with a certificate from this authority.
    fn with(authority: &Authority, certificate: CertificateParams) -> Self {
        Self::start(authority.server_config(certificate))
    }

    fn start(config: Arc<ServerConfig>) -> Self {
        Self::on(move |stream| answer(stream, &config))
    }

    fn on(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = connections.clone();
        let address = listen(move |stream| {
            counter.fetch_add(1, Ordering::SeqCst);
            serve(stream);
        });
        let (proxy, _) = crate::proxy::tunnel_to(address.port());
        Self { port: address.port(), proxy, connections }
    }

    /// Gets an identity through the proxy. Trusts the authorities in `pem`, or the bundled roots.
    fn get_trusting(&self, host: &str, pem: Option<&str>) -> Result<String, Error> {
        let transport = UreqTransport::builder().proxy(format!("http://127.0.0.1:{}", self.proxy));
        let transport = match pem {
            Some(pem) => transport.ca_pem(pem),
            None => transport,
        };
        self.get(host, transport.build().unwrap())
    }

    fn get(&self, host: &str, transport: impl Transport + 'static) -> Result<String, Error> {
        let credentials = at(&self.url(host)).transport(transport).build().unwrap();
        Ok(credentials.get()?.identity_id().unwrap().to_owned())
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.port)
    }

    /// Checks that the client connects once, rejects the server, and gives this reason.
    fn assert_rejected(&self, what: &str, host: &str, pem: Option<&str>, says: &str) {
        let error = self.get_trusting(host, pem).expect_err(what);
        assert_tls_error(what, &error, says);
        assert_eq!(transport_kind(&error), TransportErrorKind::Tls, "{what}");
        assert!(!error.is_retryable(), "{what}");
        assert!(error.hint().is_some(), "{what}");
        assert_eq!(self.connections.load(Ordering::SeqCst), 1, "{what}: one attempt");
    }
}

fn assert_tls_error(what: &str, error: &Error, says: &str) {
    let text = format!("{error:#}");
    assert_eq!(error.kind(), ErrorKind::Tls, "{what}: {text}");
    assert!(text.contains(says), "{what}: {text}");
}

/// Answers each request of one connection.
pub(crate) fn answer(stream: impl Read + Write, config: &Arc<ServerConfig>) {
    let mut stream = accept(config, stream);
    while read_request(&mut stream) {
        // The answer with the credentials has the identity too, so it serves for both calls.
        respond(&mut stream, 1);
        stream.flush().unwrap();
    }
    drain(&mut stream.sock);
}

fn trusting(pem: &str) -> UreqTransport {
    UreqTransport::builder().ca_pem(pem).build().unwrap()
}

#[test]
fn a_configured_authority_is_trusted_and_one_connection_is_enough() {
    let authority = Authority::new();
    let server = Server::with(&authority, for_names(&["localhost"]));
    assert_eq!(server.get("localhost", trusting(&authority.pem)).unwrap(), IDENTITY);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);

    let file = std::env::temp_dir().join(format!("ca-{}.pem", std::process::id()));
    std::fs::write(&file, format!("# a comment\n{}\n{}", Authority::new().pem, authority.pem))
        .unwrap();
    let transport = UreqTransport::builder().ca_file(&file).build();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(server.get("localhost", transport.unwrap()).unwrap(), IDENTITY);

    let server = Server::with(&authority, for_names(&["127.0.0.1"]));
    let transport = UreqTransport::builder()
        .ca_pem(Authority::new().pem)
        .ca_pem(authority.pem.clone())
        .connect_timeout(Duration::from_secs(5))
        .build();
    assert_eq!(server.get("127.0.0.1", transport.unwrap()).unwrap(), IDENTITY);
}

#[test]
fn bundled_roots_can_be_trusted_in_addition_to_an_authority() {
    let authority = Authority::new();
    let settings = |pem: &str| UreqTransport::builder().ca_pem(pem).bundled_roots(true);
    let server = Server::with(&authority, for_names(&["localhost"]));
    let transport = settings(&authority.pem).build().unwrap();
    assert_eq!(server.get("localhost", transport).unwrap(), IDENTITY);
    let transport = settings(&Authority::new().pem).build().unwrap();
    assert_eq!(server.get("localhost", transport).unwrap_err().kind(), ErrorKind::Tls);
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
fn a_call_is_repeated_if_its_answer_is_damaged_on_the_way() {
    let authority = Authority::new();
    // The record type of TLS 1.2 tells answers (23) from the handshake (22).
    let config = authority.issue(for_names(&["localhost"])).config(&[&rustls::version::TLS12]);
    let behind = Server::start(config);
    let damaged = Arc::new(AtomicUsize::new(0));
    let counter = damaged.clone();
    let relay = listen(move |mut client| {
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
    let server = Server { port: relay.port(), proxy: 0, connections: Arc::default() };
    let got = server.get("localhost", trusting(&authority.pem));
    assert_eq!(got.map_err(|error| format!("{error:#}")), Ok(IDENTITY.to_owned()));
    assert!(damaged.load(Ordering::SeqCst) > 1);
}

#[test]
fn a_server_with_only_old_tls_is_rejected_without_a_retry() {
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
    let too_old = "supports no kind of TLS 1.2 or 1.3";
    let rows = [
        ("SSL 3.0", hello(0), too_old),
        ("TLS 1.0", hello(1), too_old),
        ("TLS 1.1", hello(2), too_old),
        ("TLS 1.2 with a weak cipher", hello(3), too_old),
        ("alert protocol_version", vec![21, 3, 1, 0, 2, 2, 70], too_old),
        ("alert handshake_failure", vec![21, 3, 3, 0, 2, 2, 40], "refused the TLS handshake"),
        ("alert unrecognized_name", vec![21, 3, 3, 0, 2, 2, 112], "does not serve this host name"),
        ("data before the handshake", vec![23, 3, 3, 0, 1, 0], "does not follow the rules of TLS"),
        (
            "an answer in plain text",
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            "the answer is not TLS",
        ),
    ];
    for (what, answer, says) in rows {
        let server = Server::on(move |mut stream| {
            let mut hello = [0; 4096];
            let length = stream.read(&mut hello).unwrap();
            assert!(length > 0);
            stream.write_all(&answer).unwrap();
            drain(stream);
        });
        server.assert_rejected(what, "localhost", None, says);
    }
}

#[test]
fn the_connect_timeout_bounds_the_handshake() {
    let silent = |_: &mut TcpStream| {};
    // The header of a handshake record of 16 KiB, and then a byte every 20 ms.
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
        let server = listen(move |mut stream| {
            then(&mut stream);
            drain(stream);
        });
        let limit = Duration::from_millis(100);
        let transport = UreqTransport::builder().connect_timeout(limit).build().unwrap();
        let credentials = at(&format!("https://{server}")).transport(transport).max_attempts(1);
        let credentials = credentials.build().unwrap();
        let begin = Instant::now();
        let error = credentials.get().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{what}: {error:#}");
        assert!(begin.elapsed() < Duration::from_secs(3), "{what}: {:?}", begin.elapsed());
    }
}

/// A provider is installed for the whole process, so a child process runs this test.
#[test]
fn the_crypto_provider_that_the_program_installs_is_used() {
    const CHILD: &str = "CRYPTO_CHILD";
    let only = rustls::crypto::ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256;
    if std::env::var(CHILD).is_err() {
        let mut child =
            this_test_again("tls::the_crypto_provider_that_the_program_installs_is_used");
        let output = child.env(CHILD, "1").output().unwrap();
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
    let server = Server::on(move |stream| {
        let mut stream = accept(&config, stream);
        while read_request(&mut stream) {
            let suite = stream.conn.negotiated_cipher_suite().unwrap().suite();
            seen.lock().unwrap().push(suite);
            respond(&mut stream, 1);
        }
    });
    server.get("localhost", trusting(&authority.pem)).unwrap();
    assert_eq!(*suites.lock().unwrap(), [only.suite(); 2]);
    println!("OUTCOME: its own");
}
