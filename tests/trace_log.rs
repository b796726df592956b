//! What the log has at level trace when answers come over sockets. A test target by itself, because
//! the logger must be set before the first exchange.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/ids.rs"]
mod ids;
#[path = "support/recorder.rs"]
mod recorder;
#[path = "support/server.rs"]
mod server;

use std::io::{BufReader, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use authority::{Authority, accept, for_names};
use cognito_identity_credentials::CognitoIdentityCredentials;
use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::transport::UreqTransport;
use ids::{IDENTITY, PROVIDER, ROLE};
use recorder::Recorder;
use server::{Request, listen};

const GUID: &str = "12345678-dead";
const TOKEN: &str = "SENTINEL-TOKEN";
const OPEN_ID_TOKEN: &str = "SENTINEL-OPEN-ID";

/// Whether the logger rejects the lines with answers. Then the library does not change the level.
static FILTERS: AtomicBool = AtomicBool::new(false);

/// Whether the server raises the level while the client waits for the answer. A program may change
/// its log settings during an exchange.
static RAISES: AtomicBool = AtomicBool::new(false);

/// Whether the logger panics at the next line that ureq writes while it holds the lock of its pool.
static PANICS: AtomicBool = AtomicBool::new(false);

struct Line {
    source: String,
    text: String,
}

static LOG: Mutex<Vec<Line>> = Mutex::new(Vec::new());

static RECORDER: Recorder = Recorder { takes_answers: || !FILTERS.load(Ordering::SeqCst), keep };

fn keep(record: &log::Record<'_>) {
    let text = record.args().to_string();
    let panics = text.starts_with("Use pooled") && PANICS.swap(false, Ordering::SeqCst);
    assert!(!panics, "the test wants this panic");
    let source = format!("{} {}", record.level(), record.target());
    LOG.lock().unwrap().push(Line { source, text });
}

/// Serves as the service, and as a proxy with tunnels to it. Below `/refuse`, the answers contain
/// what the client sent.
fn serve(stream: impl Read + Write) {
    let mut stream = BufReader::new(stream);
    while let Some(Request { head, body }) = Request::read(&mut stream) {
        let tunnel = head.starts_with("CONNECT");
        let answer =
            if tunnel { "HTTP/1.1 200 OK\r\n\r\n".to_owned() } else { answer(&head, &body) };
        if RAISES.load(Ordering::SeqCst) {
            log::set_max_level(log::LevelFilter::Trace);
        }
        let stream = stream.get_mut();
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

/// Starts a server with TLS. Returns its address, and the authority to trust.
fn start_tls() -> (SocketAddr, String) {
    let authority = Authority::new();
    let config = authority.server_config(for_names(&["127.0.0.1"]));
    (listen(move |stream| serve(accept(&config, stream))), authority.pem)
}

/// Runs every flow twice: the service issues credentials, and it refuses.
fn all_flows(url: &str, transport: &Arc<UreqTransport>) {
    for (cognito, sts) in [("", ""), ("/refuse", "/refuse"), ("", "/refuse")] {
        for classic in [false, true] {
            let mut builder = CognitoIdentityCredentials::builder()
                .identity_id(IDENTITY)
                .login(PROVIDER, TOKEN)
                .endpoint_url(format!("{url}{cognito}"))
                .transport(transport.clone())
                .clock(ManualClock::new());
            if classic {
                builder = builder.role_arn(ROLE).sts_endpoint_url(format!("{url}{sts}"));
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

/// Without a lower log level, the HTTP library prints every answer, sixteen bytes on each line.
#[test]
fn answers_and_passwords_are_not_in_the_log() {
    log::set_logger(&RECORDER).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let address = listen(serve);
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
    let plain = || CognitoIdentityCredentials::builder().identity_id(IDENTITY).endpoint_url(&url);
    let refreshes = || {
        let credentials = plain().build().unwrap();
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
        assert_eq!(log::max_level(), log::LevelFilter::Trace, "the level is the same as before");
    }
    // One exchange at a time: another exchange may raise the level just before a line is logged.
    FILTERS.store(false, Ordering::SeqCst);
    RAISES.store(true, Ordering::SeqCst);
    over_tls();
    assert_eq!(log::max_level(), log::LevelFilter::Trace, "the program raised the level");

    RAISES.store(false, Ordering::SeqCst);
    let credentials = plain().build().unwrap();
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
        assert!(log.iter().any(|line| line.source.starts_with(source)), "no line from {source}");
    }
    let has_answer = log.iter().any(|line| line.source == "TRACE ureq_proto::util");
    assert!(!has_answer, "a part of an answer is in the log");
    for secret in ["SENTINEL", "SessionToken", GUID, "hunter2", "YW5uOmh1bnRlcjI"] {
        let found = log.iter().find(|line| line.text.contains(secret));
        assert!(found.is_none(), "{secret}");
    }
}
