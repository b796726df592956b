//! What stands in the log at level trace when answers come over real sockets. A binary of its own,
//! for the logger must be there before the first exchange.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use cognito_identity_credentials::CognitoIdentityCredentials;
use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::transport::UreqTransport;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

const IDENTITY: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";
const GUID: &str = "12345678-dead";
const TOKEN: &str = "SENTINEL-TOKEN";
const OPEN_ID_TOKEN: &str = "SENTINEL-OPEN-ID";

/// Whether the logger filters by itself what would print the answers; the library leaves the level of
/// such a program alone.
static FILTERS: AtomicBool = AtomicBool::new(false);

/// Whether the server raises the level while the client waits for the answer, as a program does whose
/// log settings are changed in the middle of an exchange.
static RAISES: AtomicBool = AtomicBool::new(false);

/// Whether the logger panics at the next line that ureq writes with the lock of its pool held.
static PANICS: AtomicBool = AtomicBool::new(false);

static LOG: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

struct Recorder;

impl log::Log for Recorder {
    fn enabled(&self, line: &log::Metadata<'_>) -> bool {
        let dump = line.target().starts_with("ureq_proto") && line.level() == log::Level::Trace;
        !(FILTERS.load(Ordering::SeqCst) && dump)
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if PANICS.load(Ordering::SeqCst) && record.args().to_string().starts_with("Use pooled") {
            PANICS.store(false, Ordering::SeqCst);
            panic!("as the test wants");
        }
        let source = format!("{} {}", record.level(), record.target());
        let line = (source, record.args().to_string());
        LOG.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

/// The service, and a proxy that opens tunnels to it. Below `/refuse` it answers with what it was sent.
fn serve(mut stream: impl Read + Write) {
    let (mut request, mut part) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut part) {
        request.extend_from_slice(part.get(..length).unwrap_or_default());
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let tunnel = head.starts_with("CONNECT");
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        if !tunnel && body.len() < length.unwrap_or(0) {
            continue;
        }
        let answer = if tunnel { "HTTP/1.1 200 OK\r\n\r\n".to_owned() } else { answer(head, body) };
        request.clear();
        if RAISES.load(Ordering::SeqCst) {
            log::set_max_level(log::LevelFilter::Trace);
        }
        if stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}

fn answer(head: &str, body: &str) -> String {
    const KEYS: &str = r#""AccessKeyId": "K", "SecretKey": "SENTINEL-SECRET", "SessionToken": "SENTINEL-SESSION", "Expiration": 1767229200"#;
    let refused = head.starts_with("POST /refuse");
    let (status, more, body) = if refused {
        let echo = if body.contains(OPEN_ID_TOKEN) { OPEN_ID_TOKEN } else { TOKEN };
        let message = format!("{echo} \u{1b}[31m\u{202e}\u{9b} {IDENTITY} {echo}");
        let body = match body.strip_prefix('{') {
            Some(_) => {
                serde_json::json!({ "__type": "NotAuthorizedException", "message": message })
                    .to_string()
            }
            None => format!(
                "<R><Error><Code>AccessDenied</Code><Message>{echo} {IDENTITY}</Message></Error></R>"
            ),
        };
        let headers = ["x-amzn-requestid", "x-amzn-errormessage", "retry-after", "x-other"];
        (400, headers.map(|name| format!("{name}: {echo}\r\n")).concat(), body)
    } else if head.contains("GetOpenIdToken") {
        (200, String::new(), format!(r#"{{"Token": "{OPEN_ID_TOKEN}"}}"#))
    } else if body.starts_with('{') {
        (
            200,
            String::new(),
            format!(r#"{{"IdentityId": "{IDENTITY}", "Credentials": {{{KEYS}}}}}"#),
        )
    } else {
        let keys = "<AccessKeyId>K</AccessKeyId><SecretAccessKey>SENTINEL-SECRET</SecretAccessKey><SessionToken>SENTINEL-SESSION</SessionToken><Expiration>2026-01-01T01:00:00Z</Expiration>";
        let result = format!("<Credentials>{keys}</Credentials>");
        let result =
            format!("<AssumeRoleWithWebIdentityResult>{result}</AssumeRoleWithWebIdentityResult>");
        (200, String::new(), format!("<R>{result}</R>"))
    };
    let date = "Date: Thu, 01 Jan 2026 00:00:00 GMT";
    format!("HTTP/1.1 {status} X\r\n{date}\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// The address of a server, and the authority that vouches for it.
fn start_tls() -> (SocketAddr, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let address = start(move |stream| {
        let connection = ServerConnection::new(config.clone()).unwrap();
        serve(StreamOwned::new(connection, stream));
    });
    (address, authority)
}

fn start(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

/// Every flow against one server: what it grants, and what it refuses.
fn all_flows(url: &str, transport: &Arc<UreqTransport>) {
    let urls = [(String::new(), String::new()), ("/refuse".into(), "/refuse".into())];
    for (cognito, sts) in urls.into_iter().chain([(String::new(), "/refuse".into())]) {
        for classic in [false, true] {
            let mut builder = CognitoIdentityCredentials::builder()
                .identity_id(IDENTITY)
                .login("accounts.google.com", TOKEN)
                .endpoint_url(format!("{url}{cognito}"))
                .transport(transport.clone())
                .clock(ManualClock::new());
            if classic {
                let role = "arn:aws:iam::123456789012:role/r";
                builder = builder.role_arn(role).sts_endpoint_url(format!("{url}{sts}"));
            }
            let refused = !cognito.is_empty() || (classic && !sts.is_empty());
            let credentials = builder.build().unwrap();
            let result = credentials.get();
            assert_eq!(result.is_err(), refused, "{cognito} {sts} {result:?}");
            let print = format!("{result:?} {:?} {credentials:?}", credentials.status());
            assert!(!print.contains("SENTINEL") && !print.contains(GUID), "{print}");
            if let Err(error) = result {
                let print = format!("{error} {error:#}");
                let odd = print.chars().any(|c| c.is_control() || c == '\u{202e}');
                assert!(!odd && !print.contains("SENTINEL") && !print.contains(GUID), "{print}");
            }
        }
    }
}

/// The HTTP library underneath would print every answer, sixteen bytes a line.
#[test]
fn answers_and_passwords_are_not_in_the_log() {
    log::set_logger(&Recorder).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let address = start(serve);
    let url = format!("http://{address}");
    let (tls, authority) = start_tls();
    let over_tls = || {
        let transport = UreqTransport::builder().ca_pem(authority.clone());
        let transport = Arc::new(transport.build().unwrap());
        all_flows(&format!("https://{tls}"), &transport);
        all_flows(&url, &transport);
    };
    let proxied = || {
        let transport = UreqTransport::builder()
            .proxy(format!("http://ann:hunter2@{address}"))
            .build()
            .unwrap();
        let credentials = CognitoIdentityCredentials::builder()
            .identity_id(IDENTITY)
            .endpoint_url("http://emulator.example")
            .danger_allow_http(true)
            .transport(transport)
            .build()
            .unwrap();
        for _ in 0..10 {
            credentials.refresh().unwrap();
        }
    };
    let refreshes = || {
        let credentials = CognitoIdentityCredentials::builder()
            .identity_id(IDENTITY)
            .endpoint_url(&url)
            .build()
            .unwrap();
        for _ in 0..50 {
            credentials.refresh().unwrap();
        }
    };
    for filters in [false, true] {
        FILTERS.store(filters, Ordering::SeqCst);
        thread::scope(|scope| {
            scope.spawn(proxied);
            scope.spawn(over_tls);
            (0..8).for_each(|_| drop(scope.spawn(refreshes)));
        });
        assert_eq!(log::max_level(), log::LevelFilter::Trace, "the level is what it was");
    }
    // One exchange at a time: where another one reads at that moment, the level may be raised in the
    // microseconds before the line is logged.
    FILTERS.store(false, Ordering::SeqCst);
    RAISES.store(true, Ordering::SeqCst);
    over_tls();
    assert_eq!(log::max_level(), log::LevelFilter::Trace, "the program has raised it");

    RAISES.store(false, Ordering::SeqCst);
    let credentials = CognitoIdentityCredentials::builder()
        .identity_id(IDENTITY)
        .endpoint_url(&url)
        .build()
        .unwrap();
    credentials.refresh().unwrap();
    PANICS.store(true, Ordering::SeqCst);
    let panicking = std::panic::AssertUnwindSafe(|| credentials.refresh());
    assert!(std::panic::catch_unwind(panicking).is_err(), "the panic reaches the caller");
    for _ in 0..3 {
        credentials.refresh().expect("the transport works again");
    }

    let log = LOG.lock().unwrap();
    let ours = "TRACE cognito_identity_credentials";
    for source in [ours, "DEBUG ureq", "DEBUG rustls::client", "TRACE rustls::client"] {
        assert!(log.iter().any(|(of, _)| of.starts_with(source)), "nothing of {source}");
    }
    let dumped = log.iter().find(|(of, _)| of == "TRACE ureq_proto::util");
    assert_eq!(dumped, None, "a part of an answer is in the log");
    for secret in ["SENTINEL", "SessionToken", GUID, "hunter2", "YW5uOmh1bnRlcjI"] {
        let found = log.iter().find(|(_, text)| text.contains(secret));
        assert_eq!(found, None, "{secret}");
    }
}
