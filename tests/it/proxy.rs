//! `UreqTransport` through proxies on loopback. Only the proxies know the host name of the service.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use cognito_identity_credentials::testing::{FakeCognito, FakeServer};
use cognito_identity_credentials::transport::{
    TransportErrorKind, UreqTransport, UreqTransportBuilder,
};
use cognito_identity_credentials::{Builder, ErrorKind};

use crate::authority::{Authority, accept, for_names};
use crate::server::{closed_address, drain, listen, read_head};
use crate::support::{IDENTITY, POOL, PROVIDER, at, this_test_again};
use crate::tls::answer;
use crate::wire::{read_request, respond, transport_kind};

const HOST: &str = "cognito.example";
const AGENT: &str = concat!("cognito-identity-credentials/", env!("CARGO_PKG_VERSION"));

/// What a proxy received.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// The head of each request to the proxy.
    heads: Arc<Mutex<Vec<String>>>,
    /// What clients sent through the tunnels.
    passed: Arc<Mutex<Vec<u8>>>,
}

impl Seen {
    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    fn forget_heads(&self) {
        self.heads.lock().unwrap().clear();
    }
}

/// Starts a proxy that serves each connection as the test says.
pub(crate) fn proxy(serve: impl Fn(TcpStream, &Seen) + Send + Sync + 'static) -> (u16, Seen) {
    let seen = Seen::default();
    let kept = seen.clone();
    (listen(move |stream| serve(stream, &kept)).port(), seen)
}

/// Starts a proxy whose tunnels all lead to one server.
pub(crate) fn tunnel_to(server: u16) -> (u16, Seen) {
    proxy(move |mut client, seen| {
        take_head(&mut client, seen);
        let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        relay(client, server, |bytes| seen.passed.lock().unwrap().extend_from_slice(bytes));
    })
}

/// Copies both ways until one side closes its connection. `passed` gets what the client sends.
fn relay(mut client: TcpStream, mut server: TcpStream, passed: impl Fn(&[u8])) {
    let (mut back, mut answers) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let answering = thread::spawn(move || {
        let _ = io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let mut chunk = [0; 4096];
    while let Ok(length @ 1..) = client.read(&mut chunk) {
        passed(&chunk[..length]);
        if server.write_all(&chunk[..length]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
    answering.join().unwrap();
}

fn take_head(client: &mut impl Read, seen: &Seen) {
    seen.heads.lock().unwrap().extend(read_head(client));
}

/// Starts the service: a TLS server with a certificate for `names`.
fn service(names: &[&str]) -> (u16, Authority) {
    let authority = Authority::new();
    let config = authority.server_config(for_names(names));
    (listen(move |stream| answer(stream, &config)).port(), authority)
}

fn through(port: u16, authority: &Authority) -> UreqTransportBuilder {
    UreqTransport::builder()
        .proxy(format!("http://ann:hunter2@127.0.0.1:{port}"))
        .ca_pem(authority.pem.clone())
}

fn provider(url: &str, transport: UreqTransportBuilder) -> Builder {
    at(url).transport(transport.build().unwrap())
}

/// A provider of the service at `HOST`, through the proxy.
fn behind(port: u16, authority: &Authority) -> Builder {
    provider(&format!("https://{HOST}"), through(port, authority))
}

#[test]
fn the_connect_request_is_exact_and_only_tls_passes_the_tunnel() {
    struct Row {
        user: &'static str,
        host: &'static str,
        /// The port of the service, if the endpoint URL has one.
        port: &'static str,
        authorization: &'static str,
    }
    let (server, authority) = service(&[HOST, "10.1.2.3", "fd00::1"]);
    let (port, seen) = tunnel_to(server);
    let rows = [
        Row {
            user: "ann:hunter2@",
            host: HOST,
            port: "",
            authorization: "Proxy-Authorization: Basic YW5uOmh1bnRlcjI=\r\n",
        },
        Row {
            user: "a%40n:p%3a%25%c3%a9%20@",
            host: HOST,
            port: ":8443",
            authorization: "Proxy-Authorization: Basic YUBuOnA6JcOpIA==\r\n",
        },
        Row {
            user: "ann@",
            host: HOST,
            port: ":443",
            authorization: "Proxy-Authorization: Basic YW5uOg==\r\n",
        },
        Row { user: "", host: "10.1.2.3", port: "", authorization: "" },
        Row { user: "", host: "[fd00::1]", port: ":8443", authorization: "" },
    ];
    for Row { user, host, port: target, authorization } in rows {
        seen.forget_heads();
        let transport = UreqTransport::builder()
            .proxy(format!("http://{user}127.0.0.1:{port}"))
            .ca_pem(authority.pem.clone());
        let credentials = provider(&format!("https://{host}{target}"), transport)
            .login(PROVIDER, "a-login-token")
            .build()
            .unwrap();
        assert_eq!(credentials.get().unwrap().access_key_id(), "K", "{host}");
        let target = if target.is_empty() { ":443" } else { target };
        let head = format!(
            "CONNECT {host}{target} HTTP/1.1\r\nHost: {host}{target}\r\nUser-Agent: {AGENT}\r\nProxy-Connection: Keep-Alive\r\n{authorization}\r\n"
        );
        assert_eq!(seen.heads(), [head]);
    }
    let passed = seen.passed.lock().unwrap();
    assert!(passed.starts_with(&[22, 3]), "a TLS handshake");
    let plain = String::from_utf8_lossy(&passed);
    for secret in ["a-login-token", "GetId", IDENTITY, POOL, "hunter2", "YW5uOmh1"] {
        assert!(!plain.contains(secret), "{secret} passed in the clear");
    }
}

#[test]
fn the_certificate_of_the_service_is_also_checked_through_a_proxy() {
    let (server, authority) = service(&["other.example"]);
    let (port, seen) = tunnel_to(server);
    for trusted in [&authority, &Authority::new()] {
        seen.forget_heads();
        let error = behind(port, trusted).build().unwrap().get().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls, "{error:#}");
        let text = format!("{error:#}");
        assert!(text.contains(&format!("through the proxy http://127.0.0.1:{port}: ")), "{text}");
        assert!(!text.contains("hunter2") && !format!("{error:?}").contains("hunter2"), "{text}");
        assert_eq!(seen.heads().len(), 1, "one attempt");
    }
}

#[test]
fn an_https_proxy_url_means_tls_to_the_proxy() {
    let authority = Authority::new();
    let outer = authority.server_config(for_names(&["localhost"]));
    let inner = authority.server_config(for_names(&[HOST]));
    let (port, seen) = proxy(move |stream, seen| {
        let mut stream = accept(&outer, stream);
        take_head(&mut stream, seen);
        if stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").is_ok() {
            answer(stream, &inner);
        }
    });
    let to = |host: &str| {
        let transport = UreqTransport::builder()
            .proxy(format!("https://ann:hunter2@{host}:{port}"))
            .ca_pem(authority.pem.clone());
        provider(&format!("https://{HOST}"), transport).build().unwrap()
    };
    assert_eq!(to("localhost").get().unwrap().access_key_id(), "K");
    assert!(seen.heads().iter().all(|head| head.contains("Basic YW5uOmh1bnRlcjI=")));
    seen.forget_heads();
    let error = to("127.0.0.1").get().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:#}");
    assert!(!seen.heads().concat().contains("Basic"), "no password for a proxy with another name");
}

/// Any 2xx opens the tunnel, and 1xx is interim (RFC 9110, sections 9.3.6 and 15.2).
#[test]
fn every_2xx_status_opens_the_tunnel() {
    let rows = [
        "HTTP/1.1 200 Connection established\r\n\r\n",
        "HTTP/1.0 200 OK\r\nProxy-Agent: x\r\n\r\n",
        "HTTP/1.1 200\n\n",
        "HTTP/1.1 201 Created\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 299 Fine\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 x\r\n\r\nHTTP/1.1 201 x\r\n\r\n",
    ];
    for opens in rows {
        let authority = Authority::new();
        let config = authority.server_config(for_names(&[HOST]));
        let (port, seen) = proxy(move |mut stream, seen| {
            take_head(&mut stream, seen);
            stream.write_all(opens.as_bytes()).unwrap();
            answer(stream, &config);
        });
        let credentials = behind(port, &authority).max_attempts(1).build().unwrap();
        let got = credentials.get().map_err(|error| format!("{opens:?}: {error:#}"));
        assert_eq!(got.unwrap().access_key_id(), "K", "{opens:?}");
        assert_eq!(seen.heads().len(), 1, "{opens:?}");
    }
}

#[test]
fn a_refused_tunnel_is_retried_if_the_status_is_temporary() {
    let rows = [
        (
            "407 Proxy Authentication Required",
            "did not accept the user name and password (status 407)",
            1,
        ),
        ("403 Forbidden", "the proxy answered with status 403", 1),
        ("404 Not Found", "status 404", 1),
        ("400 Bad Request", "status 400", 1),
        ("302 Found\r\nLocation: http://portal.example/", "status 302", 1),
        ("408 Request Timeout", "status 408", 3),
        ("429 Too Many Requests", "status 429", 3),
        ("500 Internal Server Error", "status 500", 3),
        ("502 Bad Gateway", "status 502", 3),
        ("503 Service Unavailable", "status 503", 3),
        ("504 Gateway Timeout", "status 504", 3),
    ];
    for (status, says, attempts) in rows {
        let (port, seen) = proxy(move |mut client, seen| {
            take_head(&mut client, seen);
            let body = "Content-Length: 7\r\n\r\nhunter2";
            client.write_all(format!("HTTP/1.1 {status}\r\n{body}").as_bytes()).unwrap();
        });
        let credentials = behind(port, &Authority::new()).max_attempts(3).build().unwrap();
        let error = credentials.get().unwrap_err();
        let text = format!("{error:#}");
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{status}: {text}");
        assert_eq!(error.is_retryable(), attempts > 1, "{status}");
        assert_eq!(seen.heads().len(), attempts, "{status}");
        assert!(text.contains(&format!("through the proxy http://127.0.0.1:{port}: ")), "{text}");
        assert!(text.contains(says), "{text}");
        assert!(!text.contains("hunter2") && !format!("{error:?}").contains("hunter2"), "{text}");
    }
}

#[test]
fn an_unreachable_proxy_is_named_in_the_error() {
    let port = closed_address().port();
    let settings = behind(port, &Authority::new());
    let error = settings.max_attempts(2).build().unwrap().get().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert_eq!(transport_kind(&error), TransportErrorKind::Connect, "{error:#}");
    assert!(error.is_retryable());
    let text = format!("{error:#}");
    let proxy =
        format!("could not connect to the proxy http://127.0.0.1:{port} (for {HOST}:443): ");
    assert!(text.contains(&proxy), "{text}");
}

#[test]
fn every_attempt_through_a_bad_proxy_ends_in_time() {
    use TransportErrorKind::{Closed, Connect, Io, Timeout, Tls};
    struct Row {
        what: &'static str,
        /// The answer to the CONNECT request. Empty: the proxy does not read the request.
        answer: &'static [u8],
        then: fn(TcpStream, &Seen),
        expected: &'static [TransportErrorKind],
    }
    let row = |what, answer, then, expected| Row { what, answer, then, expected };
    let open = b"HTTP/1.1 200 OK\r\n\r\n";
    let short = Duration::from_millis(400);
    let rows = [
        row("closes immediately", b"", |_, _| {}, &[Connect, Closed]),
        row(
            "closes after the request",
            b"",
            |mut client, seen| take_head(&mut client, seen),
            &[Connect],
        ),
        row("is silent", b"", hold, &[Timeout]),
        row("is slow", b"HTTP/1.1 200 OK\r\n", drip, &[Timeout]),
        row("sends garbage", b"SSH-2.0-OpenSSH_9.6\r\n\r\n", hold, &[Io]),
        row("sends without end", b"HTTP/1.1 200 OK\r\n", flood, &[Connect, Io, Timeout]),
        row("opens the tunnel and is silent", open, hold, &[Timeout]),
        row("sends garbage in the tunnel", b"HTTP/1.1 200 OK\r\n\r\nhello", hold, &[Tls]),
    ];
    for Row { what, answer, then, expected } in rows {
        // Only rows that time out need a short limit; a loaded machine may be slow.
        let limit = if expected.contains(&Timeout) { short } else { 25 * short };
        let (port, seen) = proxy(move |mut client, seen| {
            if !answer.is_empty() {
                take_head(&mut client, seen);
                client.write_all(answer).unwrap();
            }
            then(client, seen);
        });
        let settings = behind(port, &Authority::new()).attempt_timeout(limit).max_attempts(1);
        let credentials = settings.build().unwrap();
        let begin = Instant::now();
        let error = credentials.get().unwrap_err();
        let took = begin.elapsed();
        assert!(took < 10 * limit, "{what}: {took:?}");
        let kind = transport_kind(&error);
        assert!(expected.contains(&kind), "{what}: {kind:?} {error:#}");
        assert!(kind != Timeout || took >= limit, "{what}: {took:?}");
        let text = format!("{error:#}");
        assert!(text.contains(&format!("through the proxy http://127.0.0.1:{port}: ")), "{text}");
        assert!(seen.heads().len() <= 1, "{what}: one attempt");
    }
}

#[test]
fn the_connect_timeout_bounds_the_wait_for_the_tunnel() {
    let (port, _) = proxy(hold);
    let transport = through(port, &Authority::new()).connect_timeout(Duration::from_millis(100));
    let credentials =
        provider(&format!("https://{HOST}"), transport).max_attempts(1).build().unwrap();
    let begin = Instant::now();
    assert_eq!(credentials.get().unwrap_err().kind(), ErrorKind::Timeout);
    assert!(begin.elapsed() < Duration::from_secs(5), "the limit of the attempt is ten seconds");
}

#[test]
fn the_connect_timeout_does_not_limit_the_answer_through_a_tunnel() {
    let limit = Duration::from_secs(2);
    let authority = Authority::new();
    let config = authority.server_config(for_names(&[HOST]));
    let (server, _) = proxy(move |stream, _| {
        let mut stream = accept(&config, stream);
        assert!(read_request(&mut stream));
        thread::sleep(limit + Duration::from_millis(200));
        respond(&mut stream, 1);
        while read_request(&mut stream) {
            respond(&mut stream, 1);
        }
    });
    let (port, _) = tunnel_to(server);
    let transport = through(port, &authority).connect_timeout(limit);
    let credentials = provider(&format!("https://{HOST}"), transport).max_attempts(1);
    assert_eq!(credentials.build().unwrap().get().unwrap().access_key_id(), "K");
}

/// The proxy holds one exchange. The others share the transport, and must not wait.
#[test]
fn a_slow_exchange_through_a_proxy_does_not_disturb_the_others() {
    let (server, authority) = service(&[HOST]);
    let (good, _) = tunnel_to(server);
    let (port, _) = proxy(move |client, seen| {
        let mut peeked = [0; 64];
        while client.peek(&mut peeked).unwrap() < peeked.len() {}
        if peeked.starts_with(b"CONNECT slow") {
            return hold(client, seen);
        }
        relay(client, TcpStream::connect(("127.0.0.1", good)).unwrap(), |_| {});
    });
    let transport = Arc::new(through(port, &authority).build().unwrap());
    let at = |host: &str, limit| {
        crate::support::at(&format!("https://{host}"))
            .attempt_timeout(Duration::from_millis(limit))
            .max_attempts(1)
            .transport(transport.clone())
            .build()
            .unwrap()
    };
    let slow = at("slow.example", 300);
    thread::scope(|scope| {
        let late = scope.spawn(|| slow.get().unwrap_err().kind());
        while !late.is_finished() {
            at(HOST, 10_000).get().unwrap();
        }
        assert_eq!(late.join().unwrap(), ErrorKind::Timeout);
    });
    at(HOST, 10_000).get().unwrap();
}

fn hold(client: TcpStream, _: &Seen) {
    drain(client);
}

/// Sends a byte every 50 ms, for much longer than the time limit.
fn drip(mut client: TcpStream, _: &Seen) {
    let mut left = 100;
    while left > 0 && client.write_all(b"x").is_ok() {
        left -= 1;
        thread::sleep(Duration::from_millis(50));
    }
}

fn flood(mut client: TcpStream, _: &Seen) {
    while client.write_all(&[b'x'; 1024]).is_ok() {}
}

#[test]
fn loopback_needs_no_proxy_and_plain_http_to_other_hosts_is_an_error() {
    let cognito = FakeCognito::new();
    let emulator = FakeServer::start(cognito.clone()).unwrap();
    let (port, seen) = tunnel_to(emulator.url().rsplit(':').next().unwrap().parse().unwrap());
    let settings = || UreqTransport::builder().proxy(format!("127.0.0.1:{port}"));
    provider(emulator.url(), settings()).build().unwrap().get().unwrap();
    assert_eq!(seen.heads().len(), 0);

    let elsewhere = provider("http://emulator.example:5000", settings());
    let error = elsewhere.clone().build().unwrap_err();
    assert!(error.message().starts_with("endpoint_url: is plain http"), "{error}");
    elsewhere.danger_allow_http(true).build().unwrap().get().unwrap();
    let asked = seen.heads();
    assert!(asked.iter().all(|head| head.starts_with("CONNECT emulator.example:5000 ")));
    assert_eq!(asked.len(), 1, "both calls go through one tunnel");
    assert_eq!(cognito.requests().len(), 4);
}

#[test]
fn an_invalid_proxy_url_is_a_configuration_error() {
    let rows = [
        ("socks5://ann:hunter2@127.0.0.1:1080", "proxy: is a SOCKS proxy (socks5)"),
        ("http://ann:hunter2@", "proxy: has no valid host name"),
        ("http://ann:hunter2@h:x", "proxy: has a port"),
        ("", "proxy: has no valid host name"),
    ];
    for (url, says) in rows {
        let error = UreqTransport::builder().proxy(url).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().starts_with(says), "{error}");
        assert!(!format!("{error:#} {error:?}").contains("hunter2"), "{error}");
    }
    let error = UreqTransport::builder().ca_pem("x").proxy("x:y").user_agent("\n").build();
    let text = error.unwrap_err().message().to_owned();
    for setting in ["ca_pem: ", "proxy: ", "user_agent: "] {
        assert!(text.contains(setting), "every fault in one error: {text}");
    }
}

/// An address that leads to this machine, and that the library does not treat as loopback.
#[cfg(target_os = "linux")]
const HERE: &str = "0.0.0.0";

/// A child process with its own environment runs this test.
#[cfg(target_os = "linux")]
#[test]
fn proxy_variables_are_read_only_if_the_builder_says_so() {
    const CHILD: &str = "PROXY_CHILD";
    struct Row<'a> {
        from_env: bool,
        variables: Vec<(&'a str, &'a str)>,
        /// How the outcome begins.
        expected: &'a str,
        /// How many tunnels the proxy was asked for.
        tunnels: usize,
    }
    if let Ok(task) = std::env::var(CHILD) {
        let [from_env, url, pem] = task.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
        let builder = UreqTransport::builder().ca_pem(pem).proxy_from_env(from_env == "true");
        let outcome = builder.build().and_then(|transport| {
            let settings = provider(url, UreqTransport::builder()).transport(transport);
            settings.max_attempts(1).build()?.get()
        });
        match outcome {
            Ok(set) => println!("OUTCOME: {}", set.access_key_id()),
            Err(error) => println!("OUTCOME: {:?} {error:#}", error.kind()),
        }
        return;
    }
    let (server, authority) = service(&[HERE]);
    let (port, seen) = tunnel_to(server);
    let own = &format!("http://ann:hunter2@127.0.0.1:{port}");
    let row = |variables| Row { from_env: true, variables, expected: "K", tunnels: 0 };
    let socks = "socks5://ann:hunter2@h:1";
    let rows = [
        Row {
            from_env: false,
            ..row(vec![("HTTPS_PROXY", own), ("ALL_PROXY", own), ("http_proxy", own)])
        },
        row(vec![]),
        Row { tunnels: 1, ..row(vec![("HTTPS_PROXY", own)]) },
        Row { tunnels: 1, ..row(vec![("all_proxy", own)]) },
        row(vec![("http_proxy", own), ("HTTP_PROXY", own)]),
        row(vec![("https_proxy", own), ("NO_PROXY", "a, 0.0.0.0/8")]),
        Row { tunnels: 1, ..row(vec![("https_proxy", own), ("no_proxy", "0.0.0.0:443")]) },
        Row { expected: "Config https_proxy: is a SOCKS", ..row(vec![("https_proxy", socks)]) },
        Row { from_env: false, ..row(vec![("https_proxy", socks)]) },
    ];
    for Row { from_env, variables, expected, tunnels } in rows {
        seen.forget_heads();
        let mut child =
            this_test_again("proxy::proxy_variables_are_read_only_if_the_builder_says_so");
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            child.env_remove(name).env_remove(name.to_ascii_uppercase());
        }
        let task = format!("{from_env} https://{HERE}:{server} {}", authority.pem);
        let output = child.envs(variables.clone()).env(CHILD, task).output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let outcome = output.split_once("OUTCOME: ").unwrap().1;
        assert!(outcome.starts_with(expected), "{from_env} {variables:?}: {outcome}");
        assert!(!outcome.contains("hunter2"), "{outcome}");
        assert_eq!(seen.heads().len(), tunnels, "{from_env} {variables:?}: {outcome}");
    }
}
