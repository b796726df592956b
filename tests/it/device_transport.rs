//! The example of a transport without an HTTP crate, with good and bad gateways.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::transport::TransportErrorKind;
use cognito_identity_credentials::{CognitoIdentityCredentials, Credentials, Error, ErrorKind};

use crate::server::{Request, closed_address, drain};
use crate::support::{IDENTITY, POOL, issued};

#[allow(dead_code, reason = "the test does not call its main function")]
#[path = "../../examples/device_transport.rs"]
mod example;

/// What a gateway does after its answer.
enum Then {
    Close,
    /// Waits until the client closes the connection.
    Hold,
    /// Sends the text again and again.
    Repeat {
        text: &'static [u8],
        pause_ms: u64,
    },
    /// Closes the connection before it reads the request or answers.
    CloseUnread,
}

/// Starts a gateway for one request. Returns its address, and a channel with the request.
fn gateway(answer: Vec<u8>, then: Then) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        if matches!(then, Then::CloseUnread) {
            return;
        }
        let Request { head, body } = Request::read(&mut stream).unwrap();
        sender.send(head + &body).unwrap();
        // The client may have closed the connection.
        let _ = stream.write_all(&answer);
        match then {
            Then::Close | Then::CloseUnread => {}
            Then::Hold => drain(stream),
            Then::Repeat { text, pause_ms } => {
                let end = Instant::now() + Duration::from_secs(20);
                while stream.write_all(text).is_ok() && Instant::now() < end {
                    thread::sleep(Duration::from_millis(pause_ms));
                }
            }
        }
    });
    (address, requests)
}

fn get(address: SocketAddr, limit: Duration) -> Result<Credentials, Error> {
    CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .identity_id(IDENTITY)
        .transport(example::Gateway(address))
        .clock(ManualClock::new())
        .attempt_timeout(limit)
        .max_attempts(1)
        .build()
        .unwrap()
        .get()
}

fn body(length: usize) -> Vec<u8> {
    let mut body = issued("K").body().to_vec();
    body.resize(length.max(body.len()), b' ');
    body
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    [format!("{head}\r\n\r\n").as_bytes(), body].concat()
}

#[test]
fn the_request_is_exact() {
    let (address, requests) = gateway(answer("HTTP/1.0 200 OK", &body(0)), Then::Close);
    get(address, Duration::from_secs(10)).unwrap();
    let sent = format!(r#"{{"IdentityId":"{IDENTITY}"}}"#);
    let expected = format!(
        "POST / HTTP/1.0\r\nhost: cognito-identity.us-east-1.amazonaws.com\r\ncontent-type: application/x-amz-json-1.1\r\nx-amz-target: AWSCognitoIdentityService.GetCredentialsForIdentity\r\ncontent-length: {}\r\n\r\n{sent}",
        sent.len()
    );
    assert_eq!(requests.recv().unwrap(), expected);
}

#[test]
fn an_answer_is_accepted_in_every_form_of_http_1() {
    let length = body(0).len();
    let most = 256 * 1024;
    let rows = [
        ("up to the end", answer("HTTP/1.0 200 OK", &body(0)), Then::Close),
        ("of HTTP/1.1", answer("HTTP/1.1 200 OK", &body(0)), Then::Close),
        ("without a reason", answer("HTTP/1.1 200", &body(0)), Then::Close),
        ("bare line feeds", [b"HTTP/1.1 200 OK\n\n", &body(0)[..]].concat(), Then::Close),
        (
            "with a length, on a connection that stays open",
            answer(&format!("HTTP/1.1 200 OK\r\ncontent-LENGTH:{length}"), &body(0)),
            Then::Hold,
        ),
        (
            "with the length twice",
            answer(
                &format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nContent-Length: {length}"),
                &body(0),
            ),
            Then::Hold,
        ),
        ("the largest body", answer("HTTP/1.0 200 OK", &body(most)), Then::Close),
        (
            "the largest body, with a length",
            answer(&format!("HTTP/1.0 200 OK\r\nContent-Length: {most}"), &body(most)),
            Then::Hold,
        ),
    ];
    for (what, answer, then) in rows {
        let (address, _requests) = gateway(answer, then);
        match get(address, Duration::from_secs(10)) {
            Ok(set) => assert_eq!(set.access_key_id(), "K", "{what}"),
            Err(error) => panic!("{what}: {error:#}"),
        }
    }
    let dated = "HTTP/1.1 400 Bad Request\r\nx-amzn-ErrorType: ResourceNotFoundException:x";
    let (address, _requests) = gateway(answer(dated, b"{}"), Then::Close);
    let error = get(address, Duration::from_secs(10)).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::NotFound, Some(400)), "{error:#}");
}

#[test]
fn each_fault_of_a_gateway_has_its_error_kind_within_the_limits_of_time_and_size() {
    use TransportErrorKind::{Closed, Connect, Io, Timeout, TooLarge};
    struct Row {
        what: &'static str,
        answer: Vec<u8>,
        then: Then,
        expected: TransportErrorKind,
    }
    let limit = Duration::from_millis(300);
    let over = 256 * 1024 + 1;
    let ok = |more: &str| answer(&format!("HTTP/1.1 200 OK\r\n{more}"), b"{}");
    let row = |what, answer, then, expected| Row { what, answer, then, expected };
    let status_line = || b"HTTP/1.1 200 OK\r\n".to_vec();
    let slow = |text: &'static [u8]| Then::Repeat { text, pause_ms: 20 };
    let endless = |text: &'static [u8]| Then::Repeat { text, pause_ms: 0 };
    let rows = [
        row("closes", Vec::new(), Then::Close, Closed),
        row("closes before it reads", Vec::new(), Then::CloseUnread, Closed),
        row("is silent", Vec::new(), Then::Hold, Timeout),
        row("breaks off in the head", b"HTTP/1.1 200 OK\r\nDate: x".to_vec(), Then::Close, Io),
        row("breaks off in the body", ok("Content-Length: 3"), Then::Close, Io),
        row("stops in the head", status_line(), Then::Hold, Timeout),
        row("stops in the body", ok("Content-Length: 3"), Then::Hold, Timeout),
        row("slow headers", status_line(), slow(b"a: b\r\n"), Timeout),
        row("a slow body", ok("a: b"), slow(b" "), Timeout),
        row(
            "a line without end",
            b"HTTP/1.1 200 OK\r\na:".to_vec(),
            endless(&[b'x'; 4096]),
            TooLarge,
        ),
        row("headers without end", status_line(), endless(b"a: b\r\n"), TooLarge),
        row("a body without end", ok("a: b"), endless(&[b' '; 4096]), TooLarge),
        row(
            "a body that is one byte too long",
            answer("HTTP/1.0 200 OK", &body(over)),
            Then::Close,
            TooLarge,
        ),
        row(
            "a length that is too large",
            ok("Content-Length: 262145"),
            endless(&[b' '; 4096]),
            TooLarge,
        ),
        row("another protocol", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), Then::Hold, Io),
        row("another version", b"HTTP/2.0 200 OK\r\n\r\n".to_vec(), Then::Hold, Io),
        row("no status", b"HTTP/1.1 OK\r\n\r\n".to_vec(), Then::Hold, Io),
        row("a short status", b"HTTP/1.1 20\r\n\r\n".to_vec(), Then::Hold, Io),
        row("an interim answer", b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), Then::Hold, Io),
        row(
            "a header without a colon",
            b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n".to_vec(),
            Then::Hold,
            Io,
        ),
        row("a length that is not a number", ok("Content-Length: two"), Then::Hold, Io),
        row("a negative length", ok("Content-Length: -2"), Then::Hold, Io),
        row("two different lengths", ok("Content-Length: 2\r\nContent-Length: 3"), Then::Hold, Io),
        row("chunks", ok("Transfer-Encoding: chunked"), Then::Hold, Io),
    ];
    let kind = |error: &Error| error.transport_error().unwrap().kind();
    for Row { what, answer, then, expected } in rows {
        let (address, _requests) = gateway(answer, then);
        // Only rows that time out need a short limit.
        let limit = if expected == Timeout { limit } else { Duration::from_secs(10) };
        let begin = Instant::now();
        let error = get(address, limit).expect_err(what);
        assert_eq!(kind(&error), expected, "{what}: {error:#}");
        assert!(begin.elapsed() < limit + Duration::from_secs(3), "{what}: {:?}", begin.elapsed());
        assert!(expected != Timeout || begin.elapsed() >= limit, "{what}");
    }
    assert_eq!(kind(&get(closed_address(), limit).unwrap_err()), Connect);
}
