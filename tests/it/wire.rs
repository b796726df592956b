//! `UreqTransport` over real sockets: what stands on the wire, and what it does with odd answers.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use cognito_identity_credentials::transport::{
    HttpResponse, TransportError, TransportErrorKind, UreqTransport,
};
use cognito_identity_credentials::{Builder, CognitoIdentityCredentials, Error, ErrorKind};
use mockito::{Matcher, Mock, Server, ServerGuard};
use serde_json::json;

use crate::support::{IDENTITY, POOL, PROVIDER, issued};

fn at(server: &ServerGuard) -> Builder {
    CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .endpoint_url(server.url())
        .clock(cognito_identity_credentials::testing::ManualClock::new())
}

/// A mock that takes nothing but the exact request.
fn exactly(server: &mut ServerGuard, operation: &str, body: serde_json::Value) -> Mock {
    server
        .mock("POST", "/")
        .match_header("content-type", "application/x-amz-json-1.1")
        .match_header("x-amz-target", &*format!("AWSCognitoIdentityService.{operation}"))
        .match_header(
            "user-agent",
            concat!("cognito-identity-credentials/", env!("CARGO_PKG_VERSION")),
        )
        .match_header("content-length", &*body.to_string().len().to_string())
        .match_header("transfer-encoding", Matcher::Missing)
        .match_header("authorization", Matcher::Missing)
        .match_header("accept-encoding", Matcher::Missing)
        .match_header("accept", Matcher::Missing)
        .match_header("cookie", Matcher::Missing)
        .match_body(Matcher::Json(body))
}

fn answered(mock: Mock, answer: &HttpResponse) -> Mock {
    let mock = mock.with_body(answer.body());
    match answer.header("date") {
        Some(date) => mock.with_header("date", date).create(),
        None => mock.create(),
    }
}

#[test]
fn both_requests_are_exact_with_and_without_each_optional_field() {
    type Settings = fn(Builder) -> Builder;
    let role = "arn:aws:iam::123456789012:role/r";
    let rows: [(Settings, serde_json::Value, serde_json::Value); 5] = [
        (|b| b, json!({}), json!({})),
        (|b| b.account_id("123456789012"), json!({ "AccountId": "123456789012" }), json!({})),
        (
            |b| b.login(PROVIDER, "to\"ken\\"),
            json!({ "Logins": { PROVIDER: "to\"ken\\" } }),
            json!({ "Logins": { PROVIDER: "to\"ken\\" } }),
        ),
        (
            |b| b.custom_role_arn("arn:aws:iam::123456789012:role/r"),
            json!({}),
            json!({ "CustomRoleArn": role }),
        ),
        (
            |b| {
                b.account_id("1")
                    .login("a", "x")
                    .login("b", "y")
                    .custom_role_arn("arn:aws:iam::123456789012:role/r")
            },
            json!({ "AccountId": "1", "Logins": { "a": "x", "b": "y" } }),
            json!({ "Logins": { "a": "x", "b": "y" }, "CustomRoleArn": role }),
        ),
    ];
    for (settings, mut get_id, mut get_credentials) in rows {
        get_id["IdentityPoolId"] = json!(POOL);
        get_credentials["IdentityId"] = json!(IDENTITY);
        let mut server = Server::new();
        let first = exactly(&mut server, "GetId", get_id)
            .with_body(json!({ "IdentityId": IDENTITY }).to_string())
            .create();
        let second = exactly(&mut server, "GetCredentialsForIdentity", get_credentials);
        let second = answered(second, &issued("K"));
        let set = settings(at(&server)).build().unwrap().get().unwrap();
        assert_eq!((set.access_key_id(), set.identity_id()), ("K", Some(IDENTITY)));
        first.assert();
        second.assert();
    }
}

#[test]
fn the_request_to_sts_is_exact() {
    let mut cognito = Server::new();
    let mut sts = Server::new();
    let open_id = exactly(&mut cognito, "GetOpenIdToken", json!({ "IdentityId": IDENTITY }));
    let open_id = answered(
        open_id,
        &HttpResponse::new(200, json!({ "IdentityId": IDENTITY, "Token": "a+b=" }).to_string()),
    );
    let role = "arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fr";
    let form = format!(
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={role}&RoleSessionName=web-identity&WebIdentityToken=a%2Bb%3D"
    );
    let keys = "<AccessKeyId>K</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2026-01-01T01:00:00Z</Expiration>";
    let assume = sts
        .mock("POST", "/")
        .match_header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .match_header("x-amz-target", Matcher::Missing)
        .match_header("authorization", Matcher::Missing)
        .match_body(Matcher::Exact(form))
        .with_header("date", "Thu, 01 Jan 2026 00:00:00 GMT")
        .with_body(format!(
            "<R><AssumeRoleWithWebIdentityResult><Credentials>{keys}</Credentials></AssumeRoleWithWebIdentityResult></R>"
        ))
        .create();
    let credentials = at(&cognito)
        .identity_id(IDENTITY)
        .role_arn("arn:aws:iam::123456789012:role/r")
        .sts_endpoint_url(sts.url())
        .build()
        .unwrap();
    assert_eq!(credentials.get().unwrap().access_key_id(), "K");
    assert_eq!(credentials.status().expires_in.map(|left| left.as_secs()), Some(3600));
    open_id.assert();
    assume.assert();
}

#[test]
fn answers_over_256_kib_are_refused_and_not_repeated() {
    for (length, chunked, accepted) in
        [(256 * 1024, false, true), (256 * 1024 + 1, false, false), (300 * 1024, true, false)]
    {
        let mut server = Server::new();
        let mut body = issued("K").body().to_vec();
        body.resize(length, b' ');
        let mock = server
            .mock("POST", "/")
            .with_header("date", issued("K").header("date").unwrap())
            .expect(1);
        let mock = if chunked {
            mock.with_chunked_body(move |writer| writer.write_all(&body))
        } else {
            mock.with_body(body)
        };
        let mock = mock.create();
        let outcome = at(&server).identity_id(IDENTITY).build().unwrap().get();
        mock.assert();
        match outcome {
            Ok(_) => assert!(accepted, "{length}"),
            Err(error) => {
                assert!(!accepted, "{length}: {error:#}");
                assert_eq!(error.kind(), ErrorKind::Response);
                assert_eq!(transport_kind(&error), Some(TransportErrorKind::TooLarge));
            }
        }
    }
}

fn transport_kind(error: &Error) -> Option<TransportErrorKind> {
    error.transport_error().map(TransportError::kind)
}

/// A server that reads requests and leaves the answer to `answer`, until it returns `false`.
fn server(answer: impl Fn(&mut TcpStream, usize) -> bool + Send + Sync + 'static) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let (counter, answer) = (connections.clone(), Arc::new(answer));
    let requests = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for stream in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
            let (answer, requests) = (answer.clone(), requests.clone());
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                while read_request(&mut stream) {
                    if !answer(&mut stream, requests.fetch_add(1, Ordering::SeqCst)) {
                        break;
                    }
                }
            });
        }
    });
    Served { url, connections }
}

struct Served {
    url: String,
    connections: Arc<AtomicUsize>,
}

impl Served {
    fn provider(&self, settings: impl FnOnce(Builder) -> Builder) -> CognitoIdentityCredentials {
        let builder =
            CognitoIdentityCredentials::builder().identity_pool_id(POOL).endpoint_url(&self.url);
        settings(builder).build().unwrap()
    }
}

/// Reads one request, head and body. False at the end of the connection.
pub(crate) fn read_request(stream: &mut impl Read) -> bool {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => request.push(byte[0]),
            _ => return false,
        }
    }
    let head = String::from_utf8(request).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).is_ok()
}

pub(crate) fn respond(stream: &mut impl Write, request: usize) {
    let body = if request % 2 == 0 {
        json!({ "IdentityId": IDENTITY }).to_string()
    } else {
        String::from_utf8(issued("K").body().to_vec()).unwrap()
    };
    let date = issued("K").header("date").unwrap().to_owned();
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
}

#[test]
fn both_calls_go_over_one_connection() {
    let served = server(|stream, request| {
        respond(stream, request);
        true
    });
    served.provider(|builder| builder).get().unwrap();
    assert_eq!(served.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_peer_that_closes_before_the_answer_is_tried_again_at_once() {
    let served = server(|stream, request| {
        if request > 0 {
            respond(stream, request + 1);
        }
        request > 0
    });
    let clock = cognito_identity_credentials::testing::ManualClock::new();
    let time = clock.clone();
    served.provider(|builder| builder.clock(time)).get().unwrap();
    assert!(clock.sleeps().is_empty());
}

#[test]
fn a_broken_answer_and_a_missing_peer_have_their_kinds() {
    let broken = server(|stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").unwrap();
        false
    });
    let garbage = server(|stream, _| {
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").unwrap();
        false
    });
    let closed = server(|_, _| false);
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let rows = [
        (&broken.url, TransportErrorKind::Io),
        (&garbage.url, TransportErrorKind::Io),
        (&closed.url, TransportErrorKind::Closed),
        (&nobody, TransportErrorKind::Connect),
    ];
    for (url, kind) in rows {
        let credentials = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .endpoint_url(url)
            .max_attempts(1)
            .build()
            .unwrap();
        let error = credentials.get().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error:#}");
        assert_eq!(transport_kind(&error), Some(kind), "{error:#}");
    }
}

/// No name has a label of 64 characters, so the look-up fails without asking a server.
#[test]
fn a_host_that_cannot_be_found_is_a_failure_to_connect() {
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .endpoint_url(format!("https://{}.invalid", "x".repeat(64)))
        .max_attempts(1)
        .build()
        .unwrap();
    let error = credentials.get().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error:#}");
    assert_eq!(transport_kind(&error), Some(TransportErrorKind::Connect), "{error:#}");
}

#[test]
fn the_transports_own_settings_are_checked() {
    let error = UreqTransport::builder()
        .ca_file("/no/such/file")
        .ca_pem("no PEM at all")
        .user_agent("a\nb")
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let no_authority = UreqTransport::builder().ca_pem(broken).build().unwrap_err();
    assert!(no_authority.message().contains("is not an X.509 certificate"), "{no_authority}");
    for part in ["ca_file: /no/such/file: ", "ca_pem: holds no PEM block", "user_agent: "] {
        assert!(error.message().contains(part), "{error}");
    }
}

#[test]
fn the_longest_time_limits_are_no_limits() {
    let served = server(|stream, request| {
        respond(stream, request);
        true
    });
    let transport = UreqTransport::builder().connect_timeout(Duration::MAX).build().unwrap();
    let long = |builder: Builder| builder.timeout(Duration::MAX).attempt_timeout(Duration::MAX);
    served.provider(|builder| long(builder).transport(transport)).get().unwrap();
}

#[test]
fn a_user_agent_of_ones_own_is_sent() {
    let mut server = Server::new();
    let mock = server.mock("POST", "/").match_header("user-agent", "sensor/7").create();
    let transport = UreqTransport::builder().user_agent("sensor/7").build().unwrap();
    at(&server).transport(transport).build().unwrap().get().unwrap_err();
    mock.assert();
}
