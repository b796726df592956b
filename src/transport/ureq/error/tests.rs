//! Causes every network error with a real socket.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

use rcgen::date_time_ymd;
use rustls::OtherError;
use rustls::pki_types::alg_id;
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
            "renew the certificate",
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

fn proxies_with_tls() -> Vec<Row> {
    let by_tls = |what, port: u16, pem: String| {
        let url = format!("https://proxy.example:{port}");
        let transport = UreqTransport::builder().proxy(url).ca_pem(pem);
        Row { transport, ..proxied(what, port, Kind::Tls) }
    };
    let (other_name, its_authority) = tls("other.example", (2020, 2999));
    let (expired, authority_of_expired) = tls("proxy.example", (2020, 2021));
    let (stranger, _) = tls("proxy.example", (2020, 2999));
    let plain = after(b"\x16", b"HTTP/1.1 400 Bad Request\r\n\r\n", drain);
    let refusing = after(b"\x16", &[21, 3, 3, 0, 2, 2, 112], drain);
    let trusted = || Authority::new().pem;
    vec![
        Row {
            text: &[
                "no TLS connection to the proxy https://proxy.example:",
                "for another name: other.example",
            ],
            hint: "check the host in the proxy's URL",
            ..by_tls("a proxy with another name", other_name, its_authority)
        },
        Row {
            text: &["does not serve this host name"],
            hint: "check the host in the proxy's URL",
            ..by_tls("a proxy that refuses its name", refusing, trusted())
        },
        Row {
            text: &["or one above it, has expired"],
            hint: "renew the certificate",
            ..by_tls("a proxy with an expired certificate", expired, authority_of_expired)
        },
        Row {
            text: &["an authority that is not trusted"],
            hint: "trust the authority with ca_file",
            ..by_tls("a proxy of an unknown authority", stranger, trusted())
        },
        Row {
            text: &["the answer is not TLS"],
            hint: "perhaps the proxy does not use TLS",
            ..by_tls("a proxy without TLS", plain, trusted())
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
    let rows = [look_ups(), connections(silent_port), handshakes(), proxies_with_tls(), proxies()];
    let rows = rows.into_iter().flatten();
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
fn each_fault_of_a_certificate_says_what_to_change() {
    use rustls::CertificateError as C;
    let webpki = |name: &str| C::Other(OtherError(Arc::new(io::Error::other(name.to_owned()))));
    let signed_by = |id: &[u8]| C::UnsupportedSignatureAlgorithmContext {
        signature_algorithm_id: id.to_vec(),
        supported_algorithms: Vec::new(),
    };
    let key = |id: &[u8]| C::UnsupportedSignatureAlgorithmForPublicKeyContext {
        signature_algorithm_id: alg_id::ECDSA_SHA256.as_ref().to_vec(),
        public_key_algorithm_id: id.to_vec(),
    };
    let oid = |start: &[u8], end: &[u8]| [start, end].concat();
    let rsa = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01";
    let ecdsa = b"\x06\x08\x2a\x86\x48\xce\x3d\x04";
    let curve = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00";
    let (supported, other) = ("ECDSA key P-256 or P-384", "another authority of the same name");
    let rows = [
        (webpki("CaUsedAsEndEntity"), "that of an authority (CA:TRUE)", "CA:FALSE"),
        (webpki("EndEntityUsedAsCa"), "not that of an authority (CA:FALSE)", "CA:TRUE"),
        (webpki("PathLenConstraintViolated"), "(pathlen)", "nearer to the trusted one"),
        (webpki("NameConstraintViolation"), "(nameConstraints)", "names that this authority"),
        (webpki("UnsupportedCertVersion"), "version 3 of X.509", "as version 3"),
        (webpki("UnsupportedCriticalExtension"), "a critical extension", "not critical"),
        (C::UnhandledCriticalExtension, "a critical extension", "not critical"),
        (webpki("EmptyEkuExtension"), "not meant for a server", "serverAuth"),
        (C::InvalidPurpose, "not meant for a server", "serverAuth"),
        (webpki("MaximumPathDepthExceeded"), "too many certificates", "only its certificate"),
        (webpki("MaximumPathBuildCallsExceeded"), "too many", "only its certificate"),
        (webpki("MaximumSignatureChecksExceeded"), "too many", "only its certificate"),
        (webpki("MaximumNameConstraintComparisonsExceeded"), "too many names", "only its"),
        (webpki("MalformedExtensions"), "is not valid", "issued again"),
        (C::BadEncoding, "is not valid", "issued again"),
        (C::BadSignature, "a wrong signature", "RSA key is not of 2048 to 8192 bits"),
        (C::Expired, "ends before it begins", "issued again"),
        (C::NotValidYet, "is not valid yet", "set the device's clock"),
        (C::Revoked, "was revoked", "a new one"),
        (C::UnknownIssuer, "not trusted", "ca_file"),
        (C::NotValidForName, "for another name", "endpoint URL"),
        (signed_by(&oid(rsa, &[4, 5, 0])), "not supported: MD5", supported),
        (signed_by(&oid(rsa, &[5, 5, 0])), "not supported: SHA-1", supported),
        (signed_by(&oid(rsa, &[14, 5, 0])), "not supported: SHA-224", supported),
        (signed_by(&oid(ecdsa, &[1])), "not supported: SHA-1", supported),
        (signed_by(&oid(ecdsa, &[3, 1])), "not supported: SHA-224", supported),
        (signed_by(alg_id::ECDSA_SHA512.as_ref()), "not supported: ECDSA-SHA-512", supported),
        (signed_by(alg_id::ED448.as_ref()), "not supported: Ed448", supported),
        (signed_by(alg_id::RSA_PSS_SHA256.as_ref()), "not supported: RSASSA-PSS", supported),
        (signed_by(&[6, 1, 0]), "a signature that is not supported", supported),
        (key(alg_id::ECDSA_P521.as_ref()), "not supported: P-521", supported),
        (key(alg_id::ECDSA_P256K1.as_ref()), "not supported: secp256k1", supported),
        (key(&oid(curve, &[0x21])), "not supported: P-224", supported),
        (
            key(
                b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x07",
            ),
            "not supported: Brainpool",
            supported,
        ),
        (key(&oid(rsa, &[10])), "not supported: RSASSA-PSS", supported),
        (key(alg_id::RSA_ENCRYPTION.as_ref()), "a wrong signature", other),
        (key(alg_id::ECDSA_P256.as_ref()), "a wrong signature", other),
        (key(alg_id::ECDSA_P384.as_ref()), "a wrong signature", other),
        (key(alg_id::ED25519.as_ref()), "a wrong signature", other),
    ];
    for (fault, expected, remedy) in rows {
        let what = format!("{fault:?}");
        let (text, hint) = tls_cause(&rustls::Error::InvalidCertificate(fault));
        assert!(text.contains(expected), "{what}: {text}");
        assert!(hint.contains(remedy), "{what}: {hint}");
    }
}

#[test]
fn a_handshake_that_times_out_or_breaks_the_rules_of_tls_says_so() {
    use rustls::Error as E;
    const SILENT: &str = "the peer did not answer in the handshake";
    const AGAINST_RULES: &str =
        "the server, or a gateway in front of it, does not follow the rules of TLS";
    let rows = [
        (io::ErrorKind::TimedOut.into(), SILENT),
        // A socket with a time limit of its own reports this on Linux.
        (io::ErrorKind::WouldBlock.into(), SILENT),
        (io::Error::other(E::DecryptError), "a part of the handshake was damaged on the way"),
        (io::Error::other(E::PeerSentOversizedRecord), AGAINST_RULES),
    ];
    for (error, expected) in rows {
        assert_eq!(tls_text(&error), expected, "{error:?}");
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
