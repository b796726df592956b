//! What stands in the log at level trace when answers come over real sockets. A binary of its own,
//! for the logger must be there before the first exchange.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;

use cognito_identity_credentials::CognitoIdentityCredentials;
use cognito_identity_credentials::transport::UreqTransport;

const IDENTITY: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";

static LOG: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

struct Recorder;

impl log::Log for Recorder {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = (record.target().to_owned(), record.args().to_string());
        LOG.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

/// The service, and a proxy that opens tunnels to it.
fn serve(mut stream: TcpStream) {
    let body = format!(
        r#"{{"IdentityId": "{IDENTITY}", "Credentials": {{"AccessKeyId": "K",
        "SecretKey": "SENTINEL-SECRET", "SessionToken": "SENTINEL-SESSION", "Expiration": 1767229200}}}}"#
    );
    let date = "Date: Thu, 01 Jan 2026 00:00:00 GMT";
    let head = format!("HTTP/1.1 200 OK\r\n{date}\r\nContent-Length: {}\r\n\r\n", body.len());
    let (mut request, mut part) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut part) {
        request.extend_from_slice(part.get(..length).unwrap_or_default());
        if request.starts_with(b"CONNECT") && request.ends_with(b"\r\n\r\n") {
            request.clear();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        }
        // The body of each request is one JSON object.
        if request.ends_with(b"}") {
            request.clear();
            if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// The HTTP library underneath would print every answer, sixteen bytes a line.
#[test]
fn answers_and_passwords_are_not_in_the_log() {
    log::set_logger(&Recorder).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("http://{address}");
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
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
    thread::scope(|scope| {
        scope.spawn(proxied);
        for _ in 0..8 {
            scope.spawn(|| {
                let credentials = CognitoIdentityCredentials::builder()
                    .identity_id(IDENTITY)
                    .endpoint_url(&url)
                    .build()
                    .unwrap();
                for _ in 0..50 {
                    credentials.refresh().unwrap();
                }
            });
        }
    });
    assert_eq!(log::max_level(), log::LevelFilter::Trace, "the level is what it was");

    let log = LOG.lock().unwrap();
    assert!(log.iter().any(|(target, _)| target.starts_with("cognito_identity_credentials")));
    let dumped = log.iter().find(|(target, _)| target == "ureq_proto::util");
    assert_eq!(dumped, None, "a part of an answer is in the log");
    for secret in ["SENTINEL", "SessionToken", "12345678-dead", "hunter2", "YW5uOmh1bnRlcjI"] {
        let found = log.iter().find(|(_, text)| text.contains(secret));
        assert_eq!(found, None, "{secret}");
    }
}
