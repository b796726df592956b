//! `doctor` and TLS: versions, certificates and proxies.

use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::testing::FakeCognito;
use rcgen::{BasicConstraints, DnType, IsCa};
use rustls::SupportedProtocolVersion;

use crate::authority::{Authority, accept, for_names};
use crate::diagnosis::examine;
use crate::server::read_head;
use crate::service::{Machine, SECRET, listen};

const DAY: Duration = Duration::from_secs(86_400);

/// The certificate of a server. The default is valid.
pub(crate) struct Certificate {
    name: &'static str,
    subject: &'static str,
    /// The first and the last day, counted from now.
    validity: [i64; 2],
    is_authority: bool,
}

impl Default for Certificate {
    fn default() -> Self {
        Self { name: "localhost", subject: "the server", validity: [-10, 61], is_authority: false }
    }
}

fn days_from_now(days: i64) -> SystemTime {
    let span = DAY * u32::try_from(days.unsigned_abs()).unwrap();
    let now = SystemTime::now() + Duration::from_secs(60);
    if days < 0 { now - span } else { now + span }
}

/// Starts the service with TLS. Returns its URL, and its certificate authority as PEM.
pub(crate) fn tls_server(
    cognito: &FakeCognito,
    certificate: &Certificate,
    versions: &[&'static SupportedProtocolVersion],
) -> (String, String) {
    let authority = Authority::root(|params| {
        params.distinguished_name.push(DnType::CommonName, "the office's authority");
    });
    let mut params = for_names(&[certificate.name]);
    params.distinguished_name.push(DnType::CommonName, certificate.subject);
    params.not_before = days_from_now(certificate.validity[0]).into();
    params.not_after = days_from_now(certificate.validity[1]).into();
    if certificate.is_authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let config = authority.issue(params).config(versions);
    let cognito = cognito.clone();
    let url = listen(move |stream| {
        let _ = cognito.serve(accept(&config, stream));
    });
    (url.replace("http://127.0.0.1", "https://localhost"), authority.pem)
}

#[test]
fn the_doctor_shows_version_cipher_and_certificate_even_of_a_rejected_server() {
    struct Case<'a> {
        certificate: Certificate,
        versions: &'a [&'static SupportedProtocolVersion],
        /// Whether the command trusts the authority of the certificate.
        is_trusted: bool,
        status: i32,
        lines: [&'a str; 3],
    }

    let (tls12, both) = ([&rustls::version::TLS12], rustls::ALL_VERSIONS);
    let good = Certificate::default;
    let issuer = "; issuer CN=the office's authority";
    let case = || Case {
        certificate: good(),
        versions: both,
        is_trusted: true,
        status: 3,
        lines: [""; 3],
    };
    let rows: [Case<'_>; 8] = [
        Case {
            status: 0,
            lines: [
                "ok      TLS          TLS 1.3, TLS13_AES_256_GCM_SHA384\n",
                &format!(
                    "ok      certificate  CN=the server{issuer}; for localhost; expires in 61 days ("
                ),
                "ok      clock        right\n",
            ],
            ..case()
        },
        Case {
            versions: &tls12,
            status: 0,
            lines: [
                "ok      TLS          TLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\n",
                "ok      certificate  CN=the server",
                "ok      credentials  ASIAFAKE",
            ],
            ..case()
        },
        Case {
            certificate: Certificate { name: "other.example", ..good() },
            lines: [
                "BAD     TLS          the server's certificate is for another name: other.example\n",
                &format!(
                    "BAD     certificate  CN=the server{issuer}; for other.example; expires in "
                ),
                "BAD     call         GetId: ",
            ],
            ..case()
        },
        Case {
            is_trusted: false,
            lines: [
                "BAD     TLS          the server's certificate is signed by an authority that is not trusted\n",
                &format!("BAD     certificate  CN=the server{issuer}; for localhost; expires in "),
                "--ca-file",
            ],
            ..case()
        },
        Case {
            certificate: Certificate { validity: [-30, -3], ..good() },
            lines: [
                "BAD     TLS          the server's certificate, or one above it, has expired: it ended on ",
                &format!(
                    "BAD     certificate  CN=the server{issuer}; for localhost; expired 2 days ago ("
                ),
                "BAD     credentials  ",
            ],
            ..case()
        },
        Case {
            certificate: Certificate { validity: [4, 90], ..good() },
            lines: [
                "BAD     TLS          the server's certificate, or one above it, is not valid yet: it begins on ",
                &format!(
                    "BAD     certificate  CN=the server{issuer}; for localhost; begins in 4 days ("
                ),
                "BAD     credentials  ",
            ],
            ..case()
        },
        Case {
            certificate: Certificate { is_authority: true, ..good() },
            lines: [
                "BAD     TLS          the server's certificate is that of an authority (CA:TRUE)\n",
                &format!("BAD     certificate  CN=the server{issuer}; for localhost; expires in "),
                "put the authority's certificate into --ca-file",
            ],
            ..case()
        },
        Case {
            certificate: Certificate {
                subject: "the\u{1b}[31m\r\nok      server \u{202e}",
                ..good()
            },
            status: 0,
            lines: [
                "ok      certificate  CN=the\\1b[31m\\0d\\0aok      server \\u{202e}; ",
                "ok      TLS          TLS 1.3",
                "ok      credentials  ASIAFAKE",
            ],
            ..case()
        },
    ];
    for Case { certificate, versions, is_trusted, status, lines } in rows {
        let machine = Machine::new();
        let (url, authority) = tls_server(&machine.cognito, &certificate, versions);
        let mut arguments = vec!["--endpoint-url", &url];
        machine.file("ca.pem", authority);
        if is_trusted {
            arguments.push("--ca-file=ca.pem");
        }
        let said = examine(&machine, &arguments);
        assert_eq!(said.status, status, "{}", said.out);
        for line in lines {
            assert!(said.out.contains(line), "{line} not in\n{}", said.out);
        }
    }
}

#[test]
fn the_doctor_makes_no_handshake_without_authorities() {
    let machine = Machine::new();
    let certificate = Certificate::default();
    let (url, _) = tls_server(&machine.cognito, &certificate, rustls::ALL_VERSIONS);
    machine.file("ca.pem", "no certificate");
    for file in ["ca.pem", "missing.pem"] {
        let said = examine(&machine, &["--endpoint-url", &url, "--ca-file", file]);
        assert_ne!(said.status, 0, "{}", said.out);
        let skipped = "skipped TLS          the authorities cannot be read\n";
        assert!(said.out.contains(skipped), "{file}: {}", said.out);
    }
}

/// Starts a proxy that opens every tunnel to one server on this machine.
fn tunnel_to(url: &str) -> String {
    let server = url.rsplit_once(':').unwrap().1.to_owned();
    listen(move |mut client| {
        if read_head(&mut client).is_none() {
            return;
        }
        let mut server = TcpStream::connect(format!("127.0.0.1:{server}")).unwrap();
        let mut answer = &b"HTTP/1.1 200 OK\r\n\r\n"[..];
        std::io::copy(&mut answer, &mut client).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let _ = std::io::copy(&mut server, &mut client);
    })
}

#[test]
fn the_doctor_shows_the_proxy_and_the_certificate_behind_it() {
    let machine = Machine::new();
    let certificate = Certificate { name: "service.test", ..Certificate::default() };
    let (url, authority) = tls_server(&machine.cognito, &certificate, rustls::ALL_VERSIONS);
    machine.file("ca.pem", authority);
    let proxy = tunnel_to(&url);
    let address = proxy.trim_start_matches("http://");
    let with_password = proxy.replace("http://", &format!("http://ann:{SECRET}@"));
    machine.file("proxy", with_password);
    let port = url.rsplit_once(':').unwrap().1;
    let url = format!("--endpoint-url=https://service.test:{port}");
    for proxy in [&*proxy, "@proxy"] {
        let said = examine(&machine, &[&url, "--ca-file=ca.pem", "--proxy", proxy]);
        assert_eq!(said.status, 0, "{}", said.out);
        assert!(said.out.contains(&format!("ok      proxy        {address}\n")), "{}", said.out);
        assert!(said.out.contains("; for service.test; expires in 61 days"), "{}", said.out);
        assert!(!said.out.contains(SECRET), "{}", said.out);
    }
    // For a host in no_proxy, the proxy is not used.
    let variables = [("HTTPS_PROXY", &*proxy), ("NO_PROXY", ".test")];
    let said = machine.run_with(&variables, &["doctor", &url, "--ca-file=ca.pem", "--timeout=5"]);
    assert!(!said.out.contains("proxy        127.0.0.1"), "{}", said.out);
    assert!(said.out.contains("address      service.test:"), "{}", said.out);
}
