//! The example of a transport without an HTTP crate, against gateways of every sort.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::transport::TransportErrorKind;
use cognito_identity_credentials::{CognitoIdentityCredentials, Credentials, Error, ErrorKind};

use crate::support::{IDENTITY, POOL, issued};

#[allow(dead_code, reason = "its main function")]
#[path = "../../examples/device_transport.rs"]
mod example;

/// What a gateway does once it has the request.
enum Then {
    Close,
    /// Waits for the client to go.
    Hold,
    /// Says this again and again, with as many milliseconds in between.
    Repeat(&'static [u8], u64),
    /// Closes without having read the request.
    Deaf,
}

/// A gateway for one request, which the test gets to see.
fn gateway(answer: Vec<u8>, then: Then) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        if matches!(then, Then::Deaf) {
            return;
        }
        sender.send(read_request(&mut stream)).unwrap();
        // The client may have gone, having seen enough.
        let _ = stream.write_all(&answer);
        match then {
            Then::Close | Then::Deaf => {}
            Then::Hold => while stream.read(&mut [0; 64]).is_ok_and(|length| length > 0) {},
            Then::Repeat(text, pause) => {
                let end = Instant::now() + Duration::from_secs(20);
                while stream.write_all(text).is_ok() && Instant::now() < end {
                    thread::sleep(Duration::from_millis(pause));
                }
            }
        }
    });
    (address, requests)
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut request = String::new();
    let mut byte = [0];
    loop {
        if let Some((head, body)) = request.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() == length.unwrap().parse::<usize>().unwrap() {
                return request;
            }
        }
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0].into());
    }
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
fn an_answer_is_taken_in_every_form_that_a_gateway_may_give_it() {
    let length = body(0).len();
    let most = 256 * 1024;
    let rows = [
        ("up to the end", answer("HTTP/1.0 200 OK", &body(0)), Then::Close),
        ("of HTTP/1.1", answer("HTTP/1.1 200 OK", &body(0)), Then::Close),
        ("without a reason", answer("HTTP/1.1 200", &body(0)), Then::Close),
        ("bare line ends", [b"HTTP/1.1 200 OK\n\n", &body(0)[..]].concat(), Then::Close),
        (
            "with its length, held open",
            answer(&format!("HTTP/1.1 200 OK\r\ncontent-LENGTH:{length}"), &body(0)),
            Then::Hold,
        ),
        (
            "with its length twice",
            answer(
                &format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nContent-Length: {length}"),
                &body(0),
            ),
            Then::Hold,
        ),
        ("the largest", answer("HTTP/1.0 200 OK", &body(most)), Then::Close),
        (
            "the largest, with its length",
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
fn a_hostile_gateway_gets_the_kind_that_fits_and_no_more_than_the_time_and_the_size() {
    use TransportErrorKind::{Closed, Connect, Io, Timeout, TooLarge};
    let limit = Duration::from_millis(300);
    let over = 256 * 1024 + 1;
    let ok = |more: &str| answer(&format!("HTTP/1.1 200 OK\r\n{more}"), b"{}");
    let rows = [
        ("closes", Vec::new(), Then::Close, Closed),
        ("closes without reading", Vec::new(), Then::Deaf, Closed),
        ("is silent", Vec::new(), Then::Hold, Timeout),
        ("breaks off in the head", b"HTTP/1.1 200 OK\r\nDate: x".to_vec(), Then::Close, Io),
        ("breaks off in the body", ok("Content-Length: 3"), Then::Close, Io),
        ("stops in the head", b"HTTP/1.1 200 OK\r\n".to_vec(), Then::Hold, Timeout),
        ("stops in the body", ok("Content-Length: 3"), Then::Hold, Timeout),
        ("drips", b"HTTP/1.1 200 OK\r\n".to_vec(), Then::Repeat(b"a: b\r\n", 20), Timeout),
        ("drips a body", ok("a: b"), Then::Repeat(b" ", 20), Timeout),
        (
            "a line without end",
            b"HTTP/1.1 200 OK\r\na:".to_vec(),
            Then::Repeat(&[b'x'; 4096], 0),
            TooLarge,
        ),
        (
            "headers without end",
            b"HTTP/1.1 200 OK\r\n".to_vec(),
            Then::Repeat(b"a: b\r\n", 0),
            TooLarge,
        ),
        ("a body without end", ok("a: b"), Then::Repeat(&[b' '; 4096], 0), TooLarge),
        ("a byte too much", answer("HTTP/1.0 200 OK", &body(over)), Then::Close, TooLarge),
        (
            "a length too much",
            ok("Content-Length: 262145"),
            Then::Repeat(&[b' '; 4096], 0),
            TooLarge,
        ),
        ("another protocol", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), Then::Hold, Io),
        ("another version", b"HTTP/2.0 200 OK\r\n\r\n".to_vec(), Then::Hold, Io),
        ("no status", b"HTTP/1.1 OK\r\n\r\n".to_vec(), Then::Hold, Io),
        ("a short status", b"HTTP/1.1 20\r\n\r\n".to_vec(), Then::Hold, Io),
        ("an interim answer", b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), Then::Hold, Io),
        ("no header", b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n".to_vec(), Then::Hold, Io),
        ("no length", ok("Content-Length: two"), Then::Hold, Io),
        ("a length below nothing", ok("Content-Length: -2"), Then::Hold, Io),
        ("two lengths", ok("Content-Length: 2\r\nContent-Length: 3"), Then::Hold, Io),
        ("in chunks", ok("Transfer-Encoding: chunked"), Then::Hold, Io),
    ];
    let kind = |error: &Error| error.transport_error().unwrap().kind();
    for (what, answer, then, expected) in rows {
        let (address, _requests) = gateway(answer, then);
        // Only those who end at the limit need a short one.
        let limit = if expected == Timeout { limit } else { Duration::from_secs(10) };
        let begin = Instant::now();
        let error = get(address, limit).expect_err(what);
        assert_eq!(kind(&error), expected, "{what}: {error:#}");
        assert!(begin.elapsed() < limit + Duration::from_secs(3), "{what}: {:?}", begin.elapsed());
        assert!(expected != Timeout || begin.elapsed() >= limit, "{what}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(kind(&get(nobody, limit).unwrap_err()), Connect);
}
