//! The fakes, because tests of other programs rely on them: `FakeServer` over sockets, the settings
//! of `FakeCognito`, and `FaultyStorage`.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime};

use cognito_identity_credentials::testing::{
    FakeCognito, FakeServer, Fault, FaultyStorage, http_request,
};
use cognito_identity_credentials::transport::{HttpResponse, Transport, TransportErrorKind};
use cognito_identity_credentials::{MemoryStorage, Storage};

use crate::support::{GET_CREDENTIALS, POOL, ROLE, Stage, seconds};

const GET_ID: &str = "X-Amz-Target: AWSCognitoIdentityService.GetId\r\n";

fn server() -> (FakeCognito, FakeServer) {
    let cognito = FakeCognito::new();
    let server = FakeServer::start(cognito.clone()).unwrap();
    (cognito, server)
}

fn connect(server: &FakeServer) -> TcpStream {
    let stream = TcpStream::connect(server.url().strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(seconds(30))).unwrap();
    stream
}

/// Sends these bytes, and returns what the server sends until it closes the connection.
fn say(server: &FakeServer, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = connect(server);
    stream.write_all(bytes.as_ref()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get_id_body() -> String {
    format!(r#"{{"IdentityPoolId":"{POOL}"}}"#)
}

/// Returns a `GetId` request. The headers must give the length of the body.
fn get_id(headers: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: x\r\n{GET_ID}{headers}\r\n{body}")
}

/// Returns a correct `GetId` request with these headers too.
fn sized_get_id(headers: &str) -> String {
    let body = get_id_body();
    get_id(&format!("Content-Length: {}\r\n{headers}", body.len()), &body)
}

#[test]
fn the_fake_server_reads_every_form_of_request() {
    struct Row {
        name: &'static str,
        request: String,
        /// How the answer begins, after `HTTP/1.1 `.
        begins: &'static str,
        /// A part of the answer.
        contains: &'static str,
    }
    let json = get_id_body();
    let (start, rest) = json.split_at(7);
    let chunks = format!("7;x=y\r\n{start}\r\n{:X}\r\n{rest}\r\n0\r\nT: t\r\n\r\n", rest.len());
    let close = "Connection: close\r\n";
    let sized = sized_get_id(close);
    let large = "x".repeat(7_000_000);
    let row = |name, request, begins| Row { name, request, begins, contains: "" };
    let ok = |name, request| Row { contains: "IdentityId", ..row(name, request, "200 ") };
    let rows = [
        Row { contains: "\"IdentityId\":\"us-east-1:", ..row("a length", sized.clone(), "200 ") },
        ok("bare line feeds", sized.replace("\r\n", "\n")),
        ok("empty lines before it", format!("\r\n\r\n{sized}")),
        Row {
            contains: "close",
            ..row("HTTP/1.0", sized.replace("/1.1", "/1.0").replace(close, ""), "200 ")
        },
        ok(
            "chunks with an extension and a trailer",
            get_id(&format!("Transfer-Encoding: chunked\r\n{close}"), &chunks),
        ),
        Row {
            begins: "100 Continue\r\n\r\nHTTP/1.1 200 ",
            ..ok(
                "a client that expects 100",
                sized_get_id(&format!("Expect: 100-continue\r\n{close}")),
            )
        },
        Row {
            contains: "<UnknownOperation",
            ..row("GET", format!("GET / HTTP/1.1\r\n{close}\r\n"), "404 ")
        },
        Row {
            contains: "content-length: 28",
            ..row("HEAD", format!("HEAD / HTTP/1.1\r\n{close}\r\n"), "404 ")
        },
        Row {
            contains: "__type",
            ..row("no operation", format!("POST / HTTP/1.1\r\n{close}\r\n"), "400 ")
        },
        Row { contains: "SerializationException", ..row("no body", get_id(close, ""), "400 ") },
        Row {
            contains: "<Code>InvalidAction</Code><Message>Could not find operation A +b ",
            ..row(
                "an unknown action of STS",
                format!(
                    "POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 13\r\n{close}\r\nAction=A+%2Bb"
                ),
                "400 ",
            )
        },
        row("not HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n".into(), "400 "),
        row("a future version", "POST / HTTP/9\r\n\r\n".into(), "400 "),
        row("a header without a colon", get_id("x\r\n", ""), "400 "),
        row("a space in a header's name", get_id("x : y\r\n", ""), "400 "),
        row("no number", get_id("Content-Length: +1\r\n", ""), "400 "),
        row(
            "a length and chunks",
            get_id("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", ""),
            "400 ",
        ),
        row("another encoding", get_id("Transfer-Encoding: gzip\r\n", ""), "501 "),
        row("a body of 7 MB", get_id("Content-Length: 7000000\r\n", &large), "413 "),
        row(
            "a chunk of 7 MB",
            get_id("Transfer-Encoding: chunked\r\n", &format!("6ACFC0\r\n{large}")),
            "413 ",
        ),
        row("a head of 100 KB", get_id(&large[..100_000], ""), "431 "),
    ];
    let (_, server) = server();
    for Row { name, request, begins, contains } in rows {
        let answer = say(&server, request);
        let begins = format!("HTTP/1.1 {begins}");
        assert!(answer.starts_with(&begins) && answer.contains(contains), "{name}: {answer}");
        if contains.contains("IdentityId") {
            for header in ["\r\ndate: ", "\r\nx-amzn-requestid: ", "\r\ncontent-type: applic"] {
                assert!(answer.contains(header), "{name}: {answer}");
            }
        }
        assert_eq!(answer.ends_with("\r\n\r\n"), name == "HEAD" || contains.is_empty(), "{name}");
    }
}

#[test]
fn requests_in_one_piece_and_byte_by_byte_are_answered_on_one_connection() {
    let (cognito, server) = server();
    let request = sized_get_id("");
    let mut stream = connect(&server);
    stream.set_nodelay(true).unwrap();
    for byte in request.as_bytes() {
        stream.write_all(&[*byte]).unwrap();
    }
    let last = request.replace("Host: x", "Connection: Close");
    stream.write_all(format!("{request}{last}").as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 3, "{answers}");
    assert_eq!(cognito.calls("GetId"), 3);
}

#[test]
fn open_connections_delay_neither_other_clients_nor_the_end() {
    let (cognito, server) = server();
    let request = sized_get_id("");
    cognito.fail_next("GetId", 1, Fault::timeout());
    let rows = [
        // name, what the client sends before it waits
        ("idle", String::new()),
        ("in the middle of the head", "POST / HTTP/1.1\r\nContent-Length: 9".to_owned()),
        ("in the middle of the body", request.trim_end_matches('}').to_owned()),
        ("waits for an answer that does not come", request),
        ("does not read its answers", "GET / HTTP/1.1\r\n\r\n".repeat(20_000)),
    ];
    let mut clients = rows.map(|(name, said)| {
        let mut client = connect(&server);
        client.set_nonblocking(true).unwrap();
        let _ = client.write_all(said.as_bytes());
        client.set_nonblocking(false).unwrap();
        (name, client)
    });
    while cognito.calls("GetId") == 0 {
        std::thread::yield_now();
    }
    assert!(say(&server, "HEAD / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 404 "));
    let begun = Instant::now();
    let url = server.url().to_owned();
    drop(server);
    assert!(begun.elapsed() < seconds(1), "{:?}", begun.elapsed());
    for (name, client) in &mut clients {
        // A reset also ends the connection.
        let _ = client.read_to_end(&mut Vec::new());
        assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)), "{name}");
    }
    assert!(TcpStream::connect(url.strip_prefix("http://").unwrap()).is_err(), "the port is free");
}

#[test]
fn a_fault_without_an_answer_is_the_same_over_a_socket() {
    let (cognito, server) = server();
    let request = sized_get_id("");
    let rows = [
        // kind, how many bytes the client receives
        (TransportErrorKind::Closed, 0..=0),
        (TransportErrorKind::Connect, 0..=0),
        (TransportErrorKind::Io, 20..=100),
        (TransportErrorKind::TooLarge, 256 * 1024 + 1..=400 * 1024),
    ];
    for (kind, expected) in rows {
        cognito.fail_next("GetId", 1, Fault::NoAnswer(kind));
        let length = say(&server, &request).len();
        assert!(expected.contains(&length), "{kind:?}: {length}");
    }
    cognito.fail_next("GetId", 1, Fault::AnswerLost(TransportErrorKind::Timeout));
    let mut stream = connect(&server);
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let silence = stream.read(&mut [0]).unwrap_err().kind();
    assert!(matches!(silence, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{silence}");
}

#[cfg(feature = "ureq")]
#[test]
fn every_flow_of_the_library_goes_over_the_fake_server() {
    use cognito_identity_credentials::CognitoIdentityCredentials;

    let (cognito, server) = server();
    for classic in [false, true] {
        let builder = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .endpoint_url(server.url())
            .sts_endpoint_url(server.url());
        let builder =
            if classic { builder.role_arn(ROLE).policy(r#"{"a": "+ %"}"#) } else { builder };
        let credentials = builder.build().unwrap();
        credentials.get().unwrap();
    }
    let requests = cognito.requests();
    assert_eq!(requests.last().unwrap().form_field("Policy"), Some(r#"{"a": "+ %"}"#));
    #[cfg(feature = "user-pool")]
    {
        let tokens = cognito_identity_credentials::UserPoolTokens::builder()
            .user_pool_id(FakeCognito::USER_POOL_ID)
            .client_id(FakeCognito::CLIENT_ID)
            .refresh_token(cognito.sign_in("ann"))
            .endpoint_url(server.url())
            .build()
            .unwrap();
        tokens.id_token().unwrap();
    }
}

fn send(cognito: &FakeCognito, target: &str, body: &str) -> HttpResponse {
    let target = format!("AWSCognitoIdentityService.{target}");
    let request = http_request("https://x/", [("x-amz-target", target)], body, seconds(1));
    cognito.send(&request).unwrap()
}

#[test]
fn the_date_of_the_fake_can_be_missing_fixed_shifted_any_text_or_doubled() {
    struct Row {
        fault: Fault,
        offset: i64,
        dates: Vec<&'static str>,
    }
    let epoch = SystemTime::UNIX_EPOCH;
    let date = |text: &str| Fault::Date(None).with_header("date", text);
    let row = |fault, dates| Row { fault, offset: 0, dates };
    let shifted = |offset, date| Row { offset, ..row(Fault::throttled(), vec![date]) };
    let rows = [
        row(Fault::Date(None), vec![]),
        row(Fault::Date(Some(epoch)), vec!["Thu, 01 Jan 1970 00:00:00 GMT"]),
        row(date("yesterday"), vec!["yesterday"]),
        row(date("a").with_header("date", "b"), vec!["a", "b"]),
        shifted(-60, "Wed, 31 Dec 2025 23:59:00 GMT"),
        shifted(3600, "Thu, 01 Jan 2026 01:00:00 GMT"),
    ];
    let cognito = Stage::new().cognito;
    for Row { fault, offset, dates } in rows {
        cognito.set_date_offset(offset);
        cognito.fail_next("GetId", 1, fault.clone());
        // Only over a socket are all headers visible.
        let server = FakeServer::start(cognito.clone()).unwrap();
        let answer = say(&server, sized_get_id("Connection: close\r\n"));
        let found: Vec<_> = answer.lines().filter_map(|line| line.strip_prefix("date: ")).collect();
        assert_eq!(found, dates, "{fault:?} {offset}");
    }
}

#[test]
fn the_expiration_of_the_fake_can_be_in_the_past_in_both_flows() {
    let end = SystemTime::UNIX_EPOCH + seconds(1_000_000_000);
    let Stage { cognito, .. } = Stage::new();
    cognito.set_expiration(Some(end));
    let id = send(&cognito, "GetId", &get_id_body());
    let answer = send(&cognito, GET_CREDENTIALS, std::str::from_utf8(id.body()).unwrap());
    let answer: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(answer["Credentials"]["Expiration"], 1_000_000_000.0);

    let stage = Stage::with(|builder| builder.role_arn(ROLE));
    stage.cognito.set_expiration(Some(end));
    let error = stage.credentials.get().unwrap_err();
    assert_eq!(error.operation(), Some("AssumeRoleWithWebIdentity"), "{error:#}");
    stage.cognito.set_expiration(None);
    stage.credentials.refresh().unwrap();
}

#[test]
fn the_fake_can_answer_with_another_identity_which_then_exists() {
    const OTHER: &str = "us-east-1:ffffffff-dead-beef-cafe-123456790ab0";
    for operation in ["GetId", GET_CREDENTIALS] {
        let stage = Stage::new();
        stage.cognito.fail_next(operation, 1, Fault::IdentityId(OTHER.to_owned()));
        assert_eq!(stage.credentials.get().unwrap().identity_id(), Some(OTHER), "{operation}");
        assert_eq!(stage.credentials.refresh().unwrap().identity_id(), Some(OTHER));
        assert_eq!(stage.cognito.identities(), 2);
    }
}

#[test]
fn faults_happen_in_order_and_as_often_as_set_until_they_are_cleared() {
    let cognito = FakeCognito::new();
    cognito.fail_next("GetId", 0, Fault::raw(418, ""));
    cognito.fail_next("GetId", 2, Fault::raw(500, ""));
    cognito.fail_next("GetOpenIdToken", 1, Fault::raw(501, ""));
    cognito.fail_next("GetId", usize::MAX, Fault::raw(503, "").with_header("retry-after", "9"));
    let statuses = [500, 500, 503, 503].map(|_| send(&cognito, "GetId", &get_id_body()).status());
    assert_eq!(statuses, [500, 500, 503, 503]);
    let answer = send(&cognito, "GetId", &get_id_body());
    assert_eq!(answer.header("retry-after"), Some("9"));
    cognito.clear_faults();
    assert_eq!(send(&cognito, "GetId", &get_id_body()).status(), 200);
}

#[test]
fn a_faulty_storage_fails_as_often_as_set_and_changes_no_record() {
    type Call = fn(&FaultyStorage) -> io::Result<()>;
    let rows: [(&str, Call); 4] = [
        ("load", |storage| storage.load("k").map(drop)),
        ("store", |storage| storage.store("k", b"new")),
        ("remove", |storage| storage.remove("k")),
        ("lock", |storage| storage.lock("k", Duration::ZERO).map(drop)),
    ];
    for (operation, call) in rows {
        let storage = FaultyStorage::around(MemoryStorage::new());
        storage.store("k", b"old").unwrap();
        let before = storage.calls(operation);
        storage.fail_next(operation, 1, io::ErrorKind::PermissionDenied);
        storage.clone().fail_next(operation, usize::MAX, io::Error::from_raw_os_error(5));
        assert_eq!(call(&storage).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        for _ in 0..2 {
            assert_eq!(call(&storage).unwrap_err().raw_os_error(), Some(5), "{operation}");
        }
        storage.clear_faults();
        assert_eq!(storage.load("k").unwrap().unwrap(), b"old", "{operation}");
        call(&storage).unwrap();
        assert!(storage.calls(operation) >= before + 4, "{operation}");
    }
}

#[test]
fn a_fault_for_a_prefix_does_not_affect_other_keys() {
    let storage = FaultyStorage::new();
    storage.fail_next_for("store", "identity/", 2, io::ErrorKind::StorageFull);
    // key, whether the call fails
    let rows = [
        ("identity/a", true),
        ("credentials/a", false),
        ("identity", false),
        ("", false),
        ("identity/b", true),
        ("identity/b", false),
    ];
    for (row, (key, fails)) in rows.into_iter().enumerate() {
        assert_eq!(storage.store(key, b"value").is_err(), fails, "row {row}: {key:?}");
    }
    assert_eq!((storage.calls("store"), storage.calls("load")), (rows.len(), 0));

    // A fault for other keys does not hide a later fault.
    storage.fail_next_for("load", "identity/", 1, io::ErrorKind::PermissionDenied);
    storage.fail_next("load", 1, io::ErrorKind::TimedOut);
    let kind = |key| storage.load(key).err().map(|error| error.kind());
    assert_eq!(kind("credentials/a"), Some(io::ErrorKind::TimedOut));
    assert_eq!(kind("credentials/a"), None);
    assert_eq!(kind("identity/a"), Some(io::ErrorKind::PermissionDenied));
}

#[test]
fn an_unknown_operation_name_panics() {
    let storage = FaultyStorage::new();
    let calls: [fn(&FaultyStorage); 3] = [
        |storage| storage.fail_next("laod", 1, io::ErrorKind::Other),
        |storage| storage.fail_next_for("Load", "", 1, io::ErrorKind::Other),
        |storage| assert_eq!(storage.calls("laod"), 0),
    ];
    for call in calls {
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call(&storage)));
        let text = panicked.unwrap_err().downcast::<String>().unwrap();
        assert!(text.contains("is none of") && text.contains("load"), "{text}");
    }
    storage.load("k").unwrap();
    let wrong = || FakeCognito::new().fail_next("getId", 1, Fault::timeout());
    std::panic::catch_unwind(wrong).expect_err("the service has no such operation");
}
