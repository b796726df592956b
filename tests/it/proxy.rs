//! `UreqTransport` through proxies on loopback. The service has a name that only they know.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use cognito_identity_credentials::testing::{FakeCognito, FakeServer, ManualClock};
use cognito_identity_credentials::transport::{
    TransportErrorKind, UreqTransport, UreqTransportBuilder,
};
use cognito_identity_credentials::{Builder, CognitoIdentityCredentials, Error, ErrorKind};
use rustls::{ServerConnection, StreamOwned};

use crate::support::{IDENTITY, POOL, PROVIDER, runnable};
use crate::tls::{Authority, answer, for_names};
use crate::wire::{read_request, respond};

const HOST: &str = "cognito.example";
const AGENT: &str = concat!("cognito-identity-credentials/", env!("CARGO_PKG_VERSION"));

/// What a proxy has seen: the head of each request to it, and what clients sent through it.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<(Vec<String>, Vec<u8>)>>);

impl Seen {
    fn heads(&self) -> Vec<String> {
        self.0.lock().unwrap().0.clone()
    }

    fn passed(&self) -> Vec<u8> {
        self.0.lock().unwrap().1.clone()
    }
}

/// A proxy that does with a connection whatever the test says.
pub(crate) fn proxy(serve: impl Fn(TcpStream, &Seen) + Send + Sync + 'static) -> (u16, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let (serve, kept) = (Arc::new(serve), seen.clone());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (serve, kept) = (serve.clone(), kept.clone());
            thread::spawn(move || serve(stream.unwrap(), &kept));
        }
    });
    (port, seen)
}

/// A proxy that opens every tunnel to one server, whatever its name.
pub(crate) fn tunnel_to(server: u16) -> (u16, Seen) {
    proxy(move |mut client, seen| {
        take_head(&mut client, seen);
        let mut server = TcpStream::connect(("127.0.0.1", server)).unwrap();
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        let (mut back, mut answers) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let answering = thread::spawn(move || {
            let _ = io::copy(&mut answers, &mut back);
            let _ = back.shutdown(Shutdown::Both);
        });
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = client.read(&mut chunk) {
            seen.0.lock().unwrap().1.extend_from_slice(&chunk[..length]);
            server.write_all(&chunk[..length]).unwrap();
        }
        let _ = server.shutdown(Shutdown::Both);
        answering.join().unwrap();
    })
}

fn take_head(client: &mut impl Read, seen: &Seen) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|length| length == 1) {
        head.push(byte[0]);
    }
    seen.0.lock().unwrap().0.push(String::from_utf8(head).unwrap());
}

/// The service: a TLS server on loopback with a certificate for `names`.
fn service(names: &[&str]) -> (u16, Authority) {
    let authority = Authority::new();
    let config = authority.server_config(for_names(names));
    let (port, _) = proxy(move |stream, _| answer(stream, config.clone()));
    (port, authority)
}

fn through(port: u16, authority: &Authority) -> UreqTransportBuilder {
    UreqTransport::builder()
        .proxy(format!("http://ann:hunter2@127.0.0.1:{port}"))
        .ca_pem(authority.pem.clone())
}

fn provider(url: &str, transport: UreqTransportBuilder) -> Builder {
    CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .endpoint_url(url)
        .clock(ManualClock::new())
        .transport(transport.build().unwrap())
}

fn transport_kind(error: &Error) -> TransportErrorKind {
    error.transport_error().unwrap().kind()
}

#[test]
fn a_tunnel_is_asked_for_exactly_and_what_passes_is_tls_for_the_service() {
    let (server, authority) = service(&[HOST, "10.1.2.3", "fd00::1"]);
    let (port, seen) = tunnel_to(server);
    let rows = [
        ("ann:hunter2@", "", HOST, "Proxy-Authorization: Basic YW5uOmh1bnRlcjI=\r\n"),
        (
            "a%40n:p%3a%25%c3%a9%20@",
            ":8443",
            HOST,
            "Proxy-Authorization: Basic YUBuOnA6JcOpIA==\r\n",
        ),
        ("ann@", ":443", HOST, "Proxy-Authorization: Basic YW5uOg==\r\n"),
        ("", "", "10.1.2.3", ""),
        ("", ":8443", "[fd00::1]", ""),
    ];
    for (user, target, host, authorization) in rows {
        seen.0.lock().unwrap().0.clear();
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
    let passed = seen.passed();
    assert!(passed.starts_with(&[22, 3]), "a TLS handshake");
    let plain = String::from_utf8_lossy(&passed);
    for secret in ["a-login-token", "GetId", IDENTITY, POOL, "hunter2", "YW5uOmh1"] {
        assert!(!plain.contains(secret), "{secret} passed in the clear");
    }
}

#[test]
fn the_services_certificate_is_checked_through_a_proxy_too() {
    let (server, authority) = service(&["other.example"]);
    let (port, seen) = tunnel_to(server);
    for trusted in [&authority, &Authority::new()] {
        seen.0.lock().unwrap().0.clear();
        let settings = provider(&format!("https://{HOST}"), through(port, trusted));
        let error = settings.build().unwrap().get().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls, "{error:#}");
        let text = format!("{error:#}");
        assert!(text.contains(&format!("through the proxy http://127.0.0.1:{port}: ")), "{text}");
        assert!(!text.contains("hunter2") && !format!("{error:?}").contains("hunter2"), "{text}");
        assert_eq!(seen.heads().len(), 1, "one attempt");
    }
}

#[test]
fn a_proxy_speaks_tls_itself_if_its_url_says_https() {
    let authority = Authority::new();
    let outer = authority.server_config(for_names(&["localhost"]));
    let inner = authority.server_config(for_names(&[HOST]));
    let (port, seen) = proxy(move |stream, seen| {
        let mut stream = StreamOwned::new(ServerConnection::new(outer.clone()).unwrap(), stream);
        take_head(&mut stream, seen);
        if stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").is_ok() {
            answer(stream, inner.clone());
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
    seen.0.lock().unwrap().0.clear();
    let error = to("127.0.0.1").get().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:#}");
    assert!(!seen.heads().concat().contains("Basic"), "no password without the right name");
}

/// Any 2xx opens the tunnel, and 1xx is interim (RFC 9110, sections 9.3.6 and 15.2).
#[test]
fn whatever_opens_a_tunnel_is_taken() {
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
            answer(stream, config.clone());
        });
        let credentials = provider(&format!("https://{HOST}"), through(port, &authority));
        let credentials = credentials.max_attempts(1).build().unwrap();
        let got = credentials.get().map_err(|error| format!("{opens:?}: {error:#}"));
        assert_eq!(got.unwrap().access_key_id(), "K", "{opens:?}");
        assert_eq!(seen.heads().len(), 1, "{opens:?}");
    }
}

#[test]
fn a_refused_tunnel_is_asked_for_again_if_that_may_help() {
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
        let credentials = provider(&format!("https://{HOST}"), through(port, &Authority::new()))
            .max_attempts(3)
            .build()
            .unwrap();
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
fn a_proxy_that_is_not_there_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = provider(&format!("https://{HOST}"), through(port, &Authority::new()));
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
fn whatever_a_proxy_does_the_attempt_ends_in_time() {
    type Serve = fn(TcpStream, &Seen);
    let tunnelled = b"HTTP/1.1 200 OK\r\n\r\n";
    let short = Duration::from_millis(400);
    let rows: [(&str, &[u8], Serve, &[TransportErrorKind]); 8] = {
        use TransportErrorKind::{Closed, Connect, Io, Timeout, Tls};
        [
            ("closes at once", b"", |_, _| {}, &[Connect, Closed]),
            ("closes when asked", b"", |mut client, seen| take_head(&mut client, seen), &[Connect]),
            ("says nothing", b"", hold, &[Timeout]),
            ("drips", b"HTTP/1.1 200 OK\r\n", drip, &[Timeout]),
            ("talks garbage", b"SSH-2.0-OpenSSH_9.6\r\n\r\n", hold, &[Io]),
            ("talks without end", b"HTTP/1.1 200 OK\r\n", flood, &[Connect, Io, Timeout]),
            ("opens the tunnel and says nothing", tunnelled, hold, &[Timeout]),
            ("talks garbage in the tunnel", b"HTTP/1.1 200 OK\r\n\r\nhello", hold, &[Tls]),
        ]
    };
    for (what, first, then, expected) in rows {
        // Where time does not decide, a loaded machine shall not either.
        let limit =
            if expected.contains(&TransportErrorKind::Timeout) { short } else { 25 * short };
        let (port, seen) = proxy(move |mut client, seen| {
            if !first.is_empty() {
                take_head(&mut client, seen);
                client.write_all(first).unwrap();
            }
            then(client, seen);
        });
        let credentials = provider(&format!("https://{HOST}"), through(port, &Authority::new()))
            .attempt_timeout(limit)
            .max_attempts(1)
            .build()
            .unwrap();
        let begin = Instant::now();
        let error = credentials.get().unwrap_err();
        let took = begin.elapsed();
        assert!(took < 10 * limit, "{what}: {took:?}");
        let kind = transport_kind(&error);
        assert!(expected.contains(&kind), "{what}: {kind:?} {error:#}");
        assert!(kind != TransportErrorKind::Timeout || took >= limit, "{what}: {took:?}");
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
    assert!(begin.elapsed() < Duration::from_secs(5), "not the attempt's ten seconds");
}

#[test]
fn what_goes_through_a_tunnel_may_take_longer_than_connecting() {
    let limit = Duration::from_secs(2);
    let authority = Authority::new();
    let config = authority.server_config(for_names(&[HOST]));
    let (server, _) = proxy(move |stream, _| {
        let connection = ServerConnection::new(config.clone()).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
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

/// One is kept waiting by the proxy; the others share the transport and not its fate.
#[test]
fn exchanges_through_a_proxy_do_not_end_each_other() {
    let (server, authority) = service(&[HOST]);
    let (good, _) = tunnel_to(server);
    let (port, _) = proxy(move |mut client, seen| {
        let mut peeked = [0; 64];
        while client.peek(&mut peeked).unwrap() < peeked.len() {}
        if peeked.starts_with(b"CONNECT slow") {
            return hold(client, seen);
        }
        let mut onward = TcpStream::connect(("127.0.0.1", good)).unwrap();
        let (mut back, mut answers) = (client.try_clone().unwrap(), onward.try_clone().unwrap());
        thread::spawn(move || {
            let _ = io::copy(&mut answers, &mut back);
        });
        let _ = io::copy(&mut client, &mut onward);
        let _ = onward.shutdown(Shutdown::Both);
    });
    let transport = Arc::new(through(port, &authority).build().unwrap());
    let at = |host: &str, limit| {
        CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .endpoint_url(format!("https://{host}"))
            .clock(ManualClock::new())
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

/// Waits for the client to go.
fn hold(mut client: TcpStream, _: &Seen) {
    let _ = io::copy(&mut client, &mut io::sink());
}

/// A byte now and then, each well within the time limit, for far longer than that.
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
fn loopback_is_reached_without_the_proxy_and_other_plain_http_stays_forbidden() {
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
fn a_wrong_proxy_is_an_error_of_the_settings() {
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
        assert!(text.contains(setting), "every fault at once: {text}");
    }
}

/// The host of the service in what the child does: an address that leads back here and yet is not a
/// loopback address.
#[cfg(target_os = "linux")]
const HERE: &str = "0.0.0.0";

/// The environment is the child's own, in which it runs this test alone.
#[cfg(target_os = "linux")]
#[test]
fn the_proxy_environment_is_read_only_if_the_builder_says_so() {
    const CHILD: &str = "PROXY_CHILD";
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
    let rows: [(&str, &[(&str, &str)], &str, usize); 9] = [
        ("false", &[("HTTPS_PROXY", own), ("ALL_PROXY", own), ("http_proxy", own)], "K", 0),
        ("true", &[], "K", 0),
        ("true", &[("HTTPS_PROXY", own)], "K", 1),
        ("true", &[("all_proxy", own)], "K", 1),
        ("true", &[("http_proxy", own), ("HTTP_PROXY", own)], "K", 0),
        ("true", &[("https_proxy", own), ("NO_PROXY", "a, 0.0.0.0/8")], "K", 0),
        ("true", &[("https_proxy", own), ("no_proxy", "0.0.0.0:443")], "K", 1),
        (
            "true",
            &[("https_proxy", "socks5://ann:hunter2@h:1")],
            "Config https_proxy: is a SOCKS",
            0,
        ),
        ("false", &[("https_proxy", "socks5://ann:hunter2@h:1")], "K", 0),
    ];
    for (from_env, variables, expected, tunnels) in rows {
        seen.0.lock().unwrap().0.clear();
        let mut child = runnable(&std::env::current_exe().unwrap());
        child.args(["--nocapture", "--exact"]);
        child.arg("proxy::the_proxy_environment_is_read_only_if_the_builder_says_so");
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            child.env_remove(name).env_remove(name.to_ascii_uppercase());
        }
        let task = format!("{from_env} https://{HERE}:{server} {}", authority.pem);
        let output = child.envs(variables.iter().copied()).env(CHILD, task).output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let outcome = output.split_once("OUTCOME: ").unwrap().1;
        assert!(outcome.starts_with(expected), "{from_env} {variables:?}: {outcome}");
        assert!(!outcome.contains("hunter2"), "{outcome}");
        assert_eq!(seen.heads().len(), tunnels, "{from_env} {variables:?}: {outcome}");
    }
}
