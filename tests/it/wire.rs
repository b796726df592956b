//! `UreqTransport` over sockets: the bytes of requests, and unusual answers.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::transport::{
    HttpResponse, IpFamily, TransportErrorKind, UreqTransport,
};
use cognito_identity_credentials::{Builder, CognitoIdentityCredentials, Error, ErrorKind};
use mockito::{Matcher, Mock, Server, ServerGuard};
use serde_json::json;

use crate::server::{Request, closed_address, listen};
use crate::support::{IDENTITY, POOL, PROVIDER, ROLE, at, issued};

/// Returns a mock that accepts only the exact request.
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
    struct Row {
        settings: fn(Builder) -> Builder,
        /// The fields besides `IdentityPoolId`.
        get_id: serde_json::Value,
        /// The fields besides `IdentityId`.
        get_credentials: serde_json::Value,
    }
    let login = json!({ "Logins": { PROVIDER: "to\"ken\\" } });
    let rows = [
        Row { settings: |b| b, get_id: json!({}), get_credentials: json!({}) },
        Row {
            settings: |b| b.account_id("123456789012"),
            get_id: json!({ "AccountId": "123456789012" }),
            get_credentials: json!({}),
        },
        Row {
            settings: |b| b.login(PROVIDER, "to\"ken\\"),
            get_id: login.clone(),
            get_credentials: login,
        },
        Row {
            settings: |b| b.custom_role_arn(ROLE),
            get_id: json!({}),
            get_credentials: json!({ "CustomRoleArn": ROLE }),
        },
        Row {
            settings: |b| b.account_id("1").login("a", "x").login("b", "y").custom_role_arn(ROLE),
            get_id: json!({ "AccountId": "1", "Logins": { "a": "x", "b": "y" } }),
            get_credentials: json!({ "Logins": { "a": "x", "b": "y" }, "CustomRoleArn": ROLE }),
        },
    ];
    for Row { settings, mut get_id, mut get_credentials } in rows {
        get_id["IdentityPoolId"] = json!(POOL);
        get_credentials["IdentityId"] = json!(IDENTITY);
        let mut server = Server::new();
        let first = exactly(&mut server, "GetId", get_id)
            .with_body(json!({ "IdentityId": IDENTITY }).to_string())
            .create();
        let second = exactly(&mut server, "GetCredentialsForIdentity", get_credentials);
        let second = answered(second, &issued("K"));
        let set = settings(at(&server.url())).build().unwrap().get().unwrap();
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
    let role = "arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fdevice";
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
    let credentials = at(&cognito.url())
        .identity_id(IDENTITY)
        .role_arn(ROLE)
        .sts_endpoint_url(sts.url())
        .build()
        .unwrap();
    assert_eq!(credentials.get().unwrap().access_key_id(), "K");
    assert_eq!(credentials.status().expires_in.map(|left| left.as_secs()), Some(3600));
    open_id.assert();
    assume.assert();
}

#[test]
fn an_answer_over_256_kib_is_an_error_without_a_retry() {
    struct Row {
        length: usize,
        chunked: bool,
        accepted: bool,
    }
    for Row { length, chunked, accepted } in [
        Row { length: 256 * 1024, chunked: false, accepted: true },
        Row { length: 256 * 1024 + 1, chunked: false, accepted: false },
        Row { length: 300 * 1024, chunked: true, accepted: false },
    ] {
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
        let outcome = at(&server.url()).identity_id(IDENTITY).build().unwrap().get();
        mock.assert();
        match outcome {
            Ok(_) => assert!(accepted, "{length}"),
            Err(error) => {
                assert!(!accepted, "{length}: {error:#}");
                assert_eq!(error.kind(), ErrorKind::Response);
                assert_eq!(transport_kind(&error), TransportErrorKind::TooLarge);
            }
        }
    }
}

pub(crate) fn transport_kind(error: &Error) -> TransportErrorKind {
    error.transport_error().unwrap().kind()
}

/// Starts a server. `answer` answers each request by its number, until it returns `false`.
fn server(answer: impl Fn(&mut TcpStream, usize) -> bool + Send + Sync + 'static) -> Served {
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    let requests = AtomicUsize::new(0);
    let address = listen(move |mut stream| {
        counter.fetch_add(1, Ordering::SeqCst);
        while read_request(&mut stream)
            && answer(&mut stream, requests.fetch_add(1, Ordering::SeqCst))
        {}
    });
    Served { url: format!("http://{address}"), connections }
}

struct Served {
    url: String,
    connections: Arc<AtomicUsize>,
}

/// Returns false at the end of the connection.
pub(crate) fn read_request(stream: &mut impl Read) -> bool {
    Request::read(stream).is_some()
}

/// Answers `GetId` if the number of the request is even, or else `GetCredentialsForIdentity`.
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
    at(&served.url).build().unwrap().get().unwrap();
    assert_eq!(served.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_connection_that_closes_before_the_answer_is_retried_without_a_wait() {
    let served = server(|stream, request| {
        if request > 0 {
            respond(stream, request + 1);
        }
        request > 0
    });
    let clock = ManualClock::new();
    at(&served.url).clock(clock.clone()).build().unwrap().get().unwrap();
    assert!(clock.sleeps().is_empty());
}

#[test]
fn broken_answers_and_closed_ports_have_their_own_error_kinds() {
    let broken = server(|stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").unwrap();
        false
    });
    let garbage = server(|stream, _| {
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").unwrap();
        false
    });
    let closed = server(|_, _| false);
    let nobody = format!("http://{}", closed_address());
    let rows = [
        (&broken.url, TransportErrorKind::Io),
        (&garbage.url, TransportErrorKind::Io),
        (&closed.url, TransportErrorKind::Closed),
        (&nobody, TransportErrorKind::Connect),
    ];
    for (url, kind) in rows {
        let credentials = at(url).max_attempts(1).build().unwrap();
        let error = credentials.get().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error:#}");
        assert_eq!(transport_kind(&error), kind, "{error:#}");
    }
}

/// A label of 64 characters is not valid, so the look-up fails without a request to a name server.
#[test]
fn an_unknown_host_name_is_a_connect_error() {
    let settings = at(&format!("https://{}.invalid", "x".repeat(64))).max_attempts(1);
    let error = settings.build().unwrap().get().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error:#}");
    assert_eq!(transport_kind(&error), TransportErrorKind::Connect, "{error:#}");
}

#[test]
fn faults_in_the_settings_of_the_transport_are_reported_together() {
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
fn time_limits_of_duration_max_work() {
    let served = server(|stream, request| {
        respond(stream, request);
        true
    });
    let transport = UreqTransport::builder().connect_timeout(Duration::MAX).build().unwrap();
    let settings = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .endpoint_url(&served.url)
        .transport(transport)
        .timeout(Duration::MAX)
        .attempt_timeout(Duration::MAX);
    settings.build().unwrap().get().unwrap();
}

#[test]
fn a_configured_user_agent_is_sent() {
    let mut server = Server::new();
    let mock = server.mock("POST", "/").match_header("user-agent", "sensor/7").create();
    let transport = UreqTransport::builder().user_agent("sensor/7").build().unwrap();
    at(&server.url()).transport(transport).build().unwrap().get().unwrap_err();
    mock.assert();
}

#[test]
fn an_ip_family_can_be_excluded() {
    use IpFamily::{Any, Ipv4Only, Ipv6Only};
    struct Row {
        url: String,
        family: IpFamily,
        reached: bool,
    }
    let served = server(|stream, _| {
        respond(stream, 1);
        true
    });
    let row = |url: &str, family, reached| Row { url: url.to_owned(), family, reached };
    let four = &*served.url;
    let mut rows =
        vec![row(four, Any, true), row(four, Ipv4Only, true), row(four, Ipv6Only, false)];
    // Some machines have no IPv6.
    if let Ok(listener) = TcpListener::bind("[::1]:0") {
        let six = &format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                while read_request(&mut stream) {
                    respond(&mut stream, 1);
                }
            }
        });
        rows.extend([row(six, Any, true), row(six, Ipv4Only, false), row(six, Ipv6Only, true)]);
    }
    for Row { url, family, reached } in rows {
        let transport = UreqTransport::builder().ip_family(family).build().unwrap();
        match at(&url).transport(transport).max_attempts(1).build().unwrap().get() {
            Ok(_) => assert!(reached, "{url} {family:?}"),
            Err(error) => {
                assert!(!reached, "{url} {family:?}: {error:#}");
                assert_eq!(transport_kind(&error), TransportErrorKind::Connect, "{error:#}");
            }
        }
    }
}
