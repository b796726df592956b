//! Causes every network error with a real socket.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use rcgen::date_time_ymd;
use socket2::SockRef;
use zeroize::Zeroizing;

use super::super::authority::{Authority, accept, for_names};
use super::super::dial::full;
use super::super::dns::Resolver;
use super::super::server::{closed_address, drain, listen};
use super::*;
use crate::transport::ureq::{UreqTransport, UreqTransportBuilder};
use crate::transport::{HttpRequest, Transport};

/// The time limit of a row that must time out.
const SHORT: Duration = Duration::from_millis(200);
/// The time limit of every other row.
const LONG: Duration = Duration::from_secs(60);

static RESOLVER: Resolver = Resolver::new(|host, _| match host {
    "none.example" => Err(DnsError::NotFound),
    "failed.example" => Err(DnsError::Failed("planned by the test".to_owned())),
    "silent.example" => loop {
        thread::park();
    },
    _ => Ok(vec![([127, 0, 0, 1], 0).into()]),
});

struct Row {
    what: &'static str,
    url: String,
    transport: UreqTransportBuilder,
    limit: Duration,
    kind: Kind,
    text: &'static [&'static str],
    hint: &'static str,
}

/// Reads from the client up to `end`, sends `answer`, and then calls `then`.
fn after(end: &'static [u8], answer: &'static [u8], then: fn(TcpStream)) -> u16 {
    listen(move |mut stream| {
        let (mut read, mut byte) = (Vec::new(), [0]);
        while !read.ends_with(end) && stream.read(&mut byte).is_ok_and(|length| length == 1) {
            read.push(byte[0]);
        }
        let _ = stream.write_all(answer);
        then(stream);
    })
    .port()
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Starts a TLS server for `name` whose certificate is valid in these years. Returns its port and
/// the authority that signed the certificate.
fn tls(name: &str, years: (i32, i32)) -> (u16, String) {
    let authority = Authority::new();
    let mut params = for_names(&[name]);
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    let config = authority.server_config(params);
    let port = listen(move |stream| {
        drain(accept(&config, stream));
    });
    (port.port(), authority.pem)
}

/// A row without a proxy.
fn direct(what: &'static str, url: String, kind: Kind) -> Row {
    let transport = UreqTransport::builder();
    Row { what, url, transport, limit: LONG, kind, text: &[], hint: "" }
}

fn proxied(what: &'static str, proxy: u16, kind: Kind) -> Row {
    let transport = UreqTransport::builder().proxy(format!("http://proxy.example:{proxy}"));
    Row { transport, ..direct(what, "https://service.example/".to_owned(), kind) }
}

fn refused_by_proxy(what: &'static str, answer: &'static [u8]) -> Row {
    proxied(what, after(b"\r\n\r\n", answer, drop), Kind::Other)
}

fn look_ups() -> Vec<Row> {
    let at = |host: &str| format!("https://{host}/");
    vec![
        Row {
            text: &["could not connect to none.example:443: no address was found"],
            hint: "check the region and the endpoint URL",
            ..direct("no such name", at("none.example"), Kind::Connect)
        },
        Row {
            text: &["failed.example:443: the name could not be looked up: planned by the test"],
            hint: "name server",
            ..direct("a look-up that fails", at("failed.example"), Kind::Connect)
        },
        Row {
            text: &["silent.example:443: the name server did not answer"],
            hint: "name server",
            limit: SHORT,
            ..direct("a silent name server", at("silent.example"), Kind::Timeout)
        },
    ]
}

fn connections(silent: u16) -> Vec<Row> {
    let at = |port: u16| format!("http://service.example:{port}/");
    let request: &[u8] = b"{}";
    vec![
        Row {
            text: &["could not connect to service.example:", "127.0.0.1 refused the connection"],
            hint: "nothing listens on that port",
            ..direct("refused", at(closed_address().port()), Kind::Connect)
        },
        Row {
            text: &["could not connect to service.example:", "127.0.0.1 did not answer"],
            hint: "a firewall may drop the connection",
            limit: SHORT,
            ..direct("silent", at(silent), Kind::Timeout)
        },
        Row {
            text: &["no complete answer from service.example:"],
            hint: "allow more time",
            limit: SHORT,
            ..direct("no answer", at(after(request, b"", drain)), Kind::Timeout)
        },
        Row {
            text: &["no complete answer from service.example:"],
            hint: "allow more time",
            limit: SHORT,
            ..direct(
                "half an answer",
                at(after(request, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", drain)),
                Kind::Timeout,
            )
        },
        Row {
            text: &["service.example:", "closed the connection without a complete answer"],
            hint: "between the device and the service",
            ..direct("closed", at(after(request, b"", drop)), Kind::Closed)
        },
        Row {
            text: &["the connection to service.example:", "broke: Connection reset by peer"],
            hint: "between the device and the service",
            ..direct("reset", at(after(request, b"", reset)), Kind::Closed)
        },
        Row {
            text: &["service.example:", "ended the connection in the middle of the answer"],
            hint: "between the device and the service",
            ..direct(
                "broken answer",
                at(after(request, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", drop)),
                Kind::Io,
            )
        },
        Row {
            text: &["the answer of service.example:", "is not HTTP"],
            hint: "captive portal",
            ..direct("not HTTP", at(after(request, b"SSH-2.0-OpenSSH_9.6\r\n", drain)), Kind::Io)
        },
        Row {
            text: &["the answer of service.example:", "is larger than any answer of the service"],
            hint: "captive portal",
            ..direct(
                "too large",
                at(after(request, b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n", drain)),
                Kind::TooLarge,
            )
        },
    ]
}

fn handshakes() -> Vec<Row> {
    let at = |port: u16| format!("https://service.example:{port}/");
    let trusting = |(port, pem): (u16, String)| (port, UreqTransport::builder().ca_pem(pem));
    let row = |what, (port, transport), text, hint| Row {
        transport,
        text,
        hint,
        ..direct(what, at(port), Kind::Tls)
    };
    let (stranger, _) = tls("service.example", (2020, 2999));
    let plain = listen(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        drain(stream);
    })
    .port();
    vec![
        row(
            "another name",
            trusting(tls("portal.example", (2020, 2999))),
            &["no TLS connection to service.example:", "for another name: portal.example"],
            "check the host in the endpoint URL",
        ),
        row(
            "an unknown authority",
            (stranger, UreqTransport::builder()),
            &["an authority that is not trusted"],
            "trust the authority with ca_file",
        ),
        row(
            "expired",
            trusting(tls("service.example", (2020, 2021))),
            &["has expired: it ended on 2021-01-01T00:00:00Z, and the device's clock says 2"],
            "renew the server's certificate",
        ),
        row(
            "not yet valid",
            trusting(tls("service.example", (2998, 2999))),
            &["not valid yet: it begins on 2998-01-01T00:00:00Z, and the device's clock says 2"],
            "set the device's clock",
        ),
        row(
            "plain text",
            (plain, UreqTransport::builder()),
            &["the answer is not TLS"],
            "check the scheme and the port",
        ),
        Row {
            kind: Kind::Closed,
            ..row(
                "closed in the handshake",
                (after(b"\x16", b"", drop), UreqTransport::builder()),
                &["no TLS connection to service.example:", "ended the connection in the handshake"],
                "does not use TLS on this port",
            )
        },
        Row {
            kind: Kind::Timeout,
            limit: SHORT,
            ..row(
                "silent in the handshake",
                (after(b"\x16", b"", drain), UreqTransport::builder()),
                &["no TLS connection to service.example:", "did not answer in the handshake"],
                "does not use TLS on this port",
            )
        },
    ]
}

fn proxies() -> Vec<Row> {
    let request: &[u8] = b"\r\n\r\n";
    vec![
        Row {
            text: &[
                "could not connect to the proxy http://proxy.example:",
                "(for service.example:443): 127.0.0.1 refused the connection",
            ],
            hint: "check host and port in the proxy's URL",
            ..proxied("a proxy that refuses", closed_address().port(), Kind::Connect)
        },
        Row {
            transport: UreqTransport::builder().proxy("http://none.example:3128"),
            text: &["to the proxy http://none.example:3128 (for service.example:443): no address"],
            hint: "check the host in the proxy's URL",
            ..proxied("a proxy without an address", 1, Kind::Connect)
        },
        Row {
            text: &[
                "no connection to service.example:443 through the proxy http://proxy.example:",
                "the proxy answered with status 403",
            ],
            hint: "allow the host in the proxy's configuration",
            ..refused_by_proxy("403", b"HTTP/1.1 403 Forbidden\r\n\r\n")
        },
        Row {
            kind: Kind::Connect,
            text: &["the proxy answered with status 503"],
            hint: "look at the log of the proxy",
            ..refused_by_proxy("503", b"HTTP/1.1 503 Busy\r\n\r\n")
        },
        Row {
            text: &["the proxy answered with status 101"],
            ..refused_by_proxy("101", b"HTTP/1.1 101 Switching\r\n\r\n")
        },
        Row {
            text: &["the proxy asks for a user name and password (status 407)"],
            hint: "http://user:password@host:port",
            ..refused_by_proxy(
                "407",
                b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x, NTLM\"\r\n\r\n",
            )
        },
        Row {
            text: &["asks for authentication by Negotiate, NTLM (status 407), and only Basic"],
            hint: "use a proxy that accepts Basic authentication",
            ..refused_by_proxy(
                "407 without Basic",
                b"HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nproxy-authenticate: NTLM\r\n\r\n",
            )
        },
        Row {
            text: &["asks for a user name and password (status 407)"],
            ..refused_by_proxy(
                "407 with Basic among others",
                b"HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate, basic realm=x\r\n\r\n",
            )
        },
        Row {
            text: &["the proxy closed the connection without an answer"],
            hint: "check that the address is that of an HTTP proxy",
            ..proxied("a proxy that closes", after(request, b"", drop), Kind::Connect)
        },
        Row {
            text: &["through the proxy http://proxy.example:", "the proxy did not answer"],
            limit: SHORT,
            ..proxied("a silent proxy", after(request, b"", drain), Kind::Timeout)
        },
        Row {
            text: &["the answer of the proxy is not HTTP"],
            ..proxied("no proxy", after(request, b"SSH-2.0\r\n\r\n", drain), Kind::Io)
        },
    ]
}

#[test]
fn each_cause_has_its_kind_its_text_and_its_hint() {
    let (silent, _first) = full(([127, 0, 0, 1], 0).into());
    let silent_port = silent.local_addr().unwrap().as_socket().unwrap().port();
    let rows =
        [look_ups(), connections(silent_port), handshakes(), proxies()].into_iter().flatten();
    for row in rows {
        let what = row.what;
        let mut transport = row.transport.build().unwrap();
        transport.client.resolver = &RESOLVER;
        let body = Zeroizing::new(b"{}".to_vec());
        let mut request = HttpRequest::new(&row.url, Vec::new(), body);
        request.set_timeout(row.limit);
        let error = transport.send(&request).expect_err(what);
        let text = error.to_string();
        assert_eq!(error.kind(), row.kind, "{what}: {text}");
        for part in row.text {
            assert!(text.contains(part), "{what}: {text}");
        }
        assert!(text.ends_with(" s)") && text.contains(" (after "), "{what}: {text}");
        let hint = error.hint().unwrap_or_else(|| panic!("{what} has no hint"));
        assert!(hint.contains(row.hint), "{what}: {hint}");
        for internal in ["ureq", "rustls", "webpki", "timeout: ", "input or output"] {
            assert!(!text.contains(internal), "{what}: {text}");
        }
        assert!(error.source().is_none(), "{what}: the text already has the cause");
    }
}

#[test]
fn the_failures_of_all_addresses_are_listed_and_the_most_useful_one_decides() {
    struct Row {
        failed: &'static [(&'static str, i32)],
        kind: Kind,
        text: &'static str,
        hint: &'static str,
    }
    // The error numbers of Linux. 0 means that the address did not answer.
    const SILENT: i32 = 0;
    const EPERM: i32 = 1;
    const EACCES: i32 = 13;
    const EINVAL: i32 = 22;
    const ENETUNREACH: i32 = 101;
    const ECONNREFUSED: i32 = 111;
    const EHOSTUNREACH: i32 = 113;
    let rows = [
        Row {
            failed: &[("::1", ENETUNREACH), ("10.0.0.1", ECONNREFUSED)],
            kind: Kind::Connect,
            text: "10.0.0.1 refused the connection; ::1: Network is unreachable (os error 101)",
            hint: "nothing listens",
        },
        Row {
            failed: &[("::1", ENETUNREACH), ("10.0.0.1", SILENT)],
            kind: Kind::Timeout,
            text: "10.0.0.1 did not answer; ::1: Network",
            hint: "a firewall may drop",
        },
        Row {
            failed: &[("::1", EACCES), ("10.0.0.1", EHOSTUNREACH)],
            kind: Kind::Connect,
            text: "10.0.0.1: No route to host (os error 113); ::1: Permission denied",
            hint: "its routes",
        },
        Row {
            failed: &[("10.0.0.1", EPERM)],
            kind: Kind::Connect,
            text: "10.0.0.1: Operation not permitted (os error 1)",
            hint: "the system forbids",
        },
        Row {
            failed: &[("10.0.0.1", EINVAL)],
            kind: Kind::Connect,
            text: "10.0.0.1: Invalid argument (os error 22)",
            hint: "the system forbids",
        },
        Row {
            failed: &[("::1", SILENT), ("::2", SILENT), ("::3", SILENT), ("::4", SILENT)],
            kind: Kind::Timeout,
            text: "::1 did not answer; ::2 did not answer; ::3 did not answer; and 1 more",
            hint: "a firewall may drop",
        },
    ];
    for row in rows {
        let failed = row.failed.iter().map(|(address, number)| {
            let error = match *number {
                SILENT => DialError::TimedOut,
                number => DialError::Failed(io::Error::from_raw_os_error(number)),
            };
            (SocketAddr::new(address.parse().unwrap(), 443), error)
        });
        let error = NetworkError::Dial(failed.collect());
        let text = error.text_for("h:443");
        let start = format!("could not connect to h:443: {}", row.text);
        if cfg!(target_os = "linux") {
            assert!(text.starts_with(&start), "{text}");
            assert_eq!(error.kind(), row.kind, "{text}");
            assert!(error.hint().unwrap().contains(row.hint), "{text}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_that_cannot_be_opened_says_whether_resources_or_rights_are_missing() {
    let rows = [
        ("EMFILE", 24, "no file descriptor left"),
        ("ENFILE", 23, "no file descriptor left"),
        ("ENOMEM", 12, "no memory"),
        ("ENOBUFS", 105, "no memory"),
        ("EACCES", 13, "the system forbids"),
        ("EPERM", 1, "the system forbids"),
        ("EAFNOSUPPORT", 97, "the system forbids"),
    ];
    for (name, number, hint) in rows {
        let error = DialError::NoSocket(io::Error::from_raw_os_error(number));
        let error = NetworkError::Dial(vec![(([127, 0, 0, 1], 443).into(), error)]);
        assert_eq!(error.kind(), Kind::Connect, "{name}");
        assert!(error.hint().unwrap().contains(hint), "{name}: {:?}", error.hint());
        let text = error.text_for("h:443");
        let start = "could not connect to h:443: no socket could be opened: ";
        assert!(text.starts_with(start), "{name}: {text}");
    }
}
