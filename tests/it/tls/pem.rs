//! Certificates and keys as PEM: of authorities, and of clients.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cognito_identity_credentials::ErrorKind;
use cognito_identity_credentials::transport::UreqTransport;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, PKCS_RSA_SHA256};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, SupportedProtocolVersion};

use super::{Server, assert_tls_error, trusting};
use crate::authority::{Authority, Identity, for_names};
use crate::support::IDENTITY;

/// The certificates, and the key in the form that its label says.
fn bundle(identity: &Identity, label: &str, key: &[u8]) -> String {
    let chain = identity.chain.iter().map(|der| encode("CERTIFICATE", der)).collect::<String>();
    chain + &encode(label, key)
}

fn encode(label: &str, der: &[u8]) -> String {
    pem::encode(&pem::Pem::new(label, der))
}

#[test]
fn a_server_that_asks_for_a_client_certificate_gets_the_configured_one() {
    let authority = Authority::new();
    let ecdsa = authority.issue(for_clients());
    let ecdsa_key = ecdsa.key.serialize_der();
    let deeper = authority.intermediate(|_| {}).issue(for_clients());
    let deeper_key = deeper.key.serialize_der();
    let rsa =
        KeyPair::from_pkcs8_pem_and_sign_algo(include_str!("../rsa_key.pem"), &PKCS_RSA_SHA256);
    let rsa = authority.issue_for(rsa.unwrap(), for_clients());
    let rsa_key = rsa.key.serialize_der();
    let stranger = Authority::new().issue(for_clients());
    let stranger_key = stranger.key.serialize_der();
    let inner = |key: &[u8], begin: &[u8]| {
        let at = key.windows(begin.len()).rposition(|window| window == begin).unwrap();
        key[at..].to_vec()
    };
    // The inner keys begin with these bytes: an EC key of 107 bytes; an RSA key with its version
    // and its modulus.
    let sec1 = inner(&ecdsa_key, &[0x30, 0x6b, 2, 1, 1, 4, 0x20]);
    let pkcs1 = inner(&rsa_key, &[0x30, 0x82, rsa_key[24 + 4], rsa_key[24 + 5], 2, 1, 0, 2, 0x82]);

    let not_accepted = "does not accept the client certificate";
    let rows = [
        ("PKCS#8", Some(bundle(&ecdsa, "PRIVATE KEY", &ecdsa_key)), None),
        ("SEC1", Some(bundle(&ecdsa, "EC PRIVATE KEY", &sec1)), None),
        ("RSA, PKCS#8", Some(bundle(&rsa, "PRIVATE KEY", &rsa_key)), None),
        ("RSA, PKCS#1", Some(bundle(&rsa, "RSA PRIVATE KEY", &pkcs1)), None),
        ("with an intermediate", Some(bundle(&deeper, "PRIVATE KEY", &deeper_key)), None),
        (
            "of another authority",
            Some(bundle(&stranger, "PRIVATE KEY", &stranger_key)),
            Some(not_accepted),
        ),
        ("none", None, Some("asks for a client certificate")),
    ];
    for version in rustls::ALL_VERSIONS {
        for (what, pem, rejected) in &rows {
            let server = asking_for_client_certificates(&authority, &[version]);
            let settings = UreqTransport::builder().ca_pem(authority.pem.clone());
            let settings = match pem {
                Some(pem) => settings.client_cert_pem(pem),
                None => settings,
            };
            let case = format!("{what}, {version:?}");
            match (server.get("localhost", settings.build().unwrap()), rejected) {
                (Ok(identity), None) => assert_eq!(identity, IDENTITY),
                (Err(error), Some(says)) => assert_tls_error(&case, &error, says),
                (outcome, _) => panic!("{case}: {outcome:?}"),
            }
            assert_eq!(server.connections.load(Ordering::SeqCst), 1, "{case}");
        }
    }
}

#[test]
fn pem_is_accepted_in_every_common_form() {
    let forms: [(&str, fn(&str) -> String); 14] = [
        ("as tools write it", str::to_owned),
        ("a byte order mark", |pem| format!("\u{feff}{pem}")),
        ("byte order marks of joined files", |pem| pem.replace("-----BEGIN", "\u{feff}-----BEGIN")),
        ("CRLF", |pem| pem.replace('\n', "\r\n")),
        ("CR", |pem| pem.replace('\n', "\r")),
        ("joined files without a final line break", |pem| {
            pem.trim_end().replace("-----\n-----", "----------")
        }),
        ("white space around lines", |pem| pem.replace('\n', " \t\n  ")),
        ("text and comments between", |pem| {
            let text = "Certificate:\n    Data:\n# -----BEGIN CERTIFICATE-----\n-----BEGIN";
            pem.replace("-----BEGIN", text)
        }),
        ("one line", |pem| pem.replace('\n', "")),
        ("one line with spaces", |pem| pem.replace('\n', " ")),
        ("one line with \\n", |pem| pem.replace('\n', "\\n")),
        ("in quotes", |pem| format!("CERTIFICATES=\"{}\"\n", pem.replace('\n', "\\n"))),
        ("X509 CERTIFICATE", |pem| pem.replace(" CERTIFICATE", " X509 CERTIFICATE")),
        ("TRUSTED CERTIFICATE without settings", |pem| {
            pem.replace(" CERTIFICATE", " TRUSTED CERTIFICATE")
        }),
    ];
    let authority = Authority::new();
    let server = Server::with(&authority, for_names(&["localhost"]));
    let asking = asking_for_client_certificates(&authority, rustls::ALL_VERSIONS);
    let client = authority.intermediate(|_| {}).issue(for_clients());
    let client = bundle(&client, "PRIVATE KEY", &client.key.serialize_der()).replace('\r', "");
    let (ours, other) = (authority.pem.replace('\r', ""), Authority::new().pem.replace('\r', ""));
    for (name, write) in forms {
        for bundle in [[&*ours, &*other], [&*other, &*ours]] {
            let transport = UreqTransport::builder().ca_pem(write(&bundle.concat())).build();
            let transport = transport.unwrap_or_else(|error| panic!("{name}: {error}"));
            let got = server.get("localhost", transport);
            assert_eq!(got.map_err(|error| format!("{name}: {error:#}")), Ok(IDENTITY.to_owned()));
        }
        let transport = UreqTransport::builder().ca_pem(&*ours).client_cert_pem(write(&client));
        let transport = transport.build().unwrap_or_else(|error| panic!("{name}: {error}"));
        let got = asking.get("localhost", transport);
        assert_eq!(got.map_err(|error| format!("{name}: {error:#}")), Ok(IDENTITY.to_owned()));
    }
}

/// `openssl x509 -trustout` appends the settings to the certificate.
#[test]
fn a_trusted_certificate_is_an_authority_if_its_settings_allow_it() {
    const TRUSTED: &[u8] = b"\x30\x0c\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01";
    const REJECTED: &[u8] = b"\x30\x0c\xa0\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01";
    let authority = Authority::new();
    let server = Server::with(&authority, for_names(&["localhost"]));
    let certificate = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
    let with = |settings: &[u8]| encode("TRUSTED CERTIFICATE", &[&*certificate, settings].concat());
    let transport = trusting(&(Authority::new().pem + &with(TRUSTED)));
    assert_eq!(server.get("localhost", transport).unwrap(), IDENTITY);
    let error = UreqTransport::builder().ca_pem(with(REJECTED)).build().unwrap_err();
    let says = "ca_pem: block 1 (TRUSTED CERTIFICATE, line 1) is not trusted for TLS servers";
    assert!(error.message().starts_with(says), "{error}");
}

/// OpenSSL 3.0 wrote them: certificates with `-text`, one of them with trust settings, and a client
/// certificate of version 1 with parameters and key.
#[test]
fn files_that_openssl_writes_are_accepted() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/");
    UreqTransport::builder()
        .ca_file(format!("{folder}openssl_authorities.pem"))
        .client_cert_pem(include_str!("../openssl_client.pem"))
        .build()
        .unwrap();
}

#[test]
fn a_fault_in_pem_names_the_setting_the_file_and_the_block() {
    let good = Authority::new().pem;
    let broken = good.replacen("MI", "M-", 1);
    let lines = good.lines().count();
    let file = std::env::temp_dir().join(format!("broken-{}.pem", std::process::id()));
    std::fs::write(&file, [&*good, &*good, &*broken, &*good].concat()).unwrap();
    let outcome = UreqTransport::builder()
        .ca_file(&file)
        .ca_pem(&*broken)
        .client_cert_pem([&*good, "\n", &*broken].concat())
        .build();
    std::fs::remove_file(&file).unwrap();
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let expected = format!(
        "ca_file: {}: block 3 (CERTIFICATE, line {}) is not valid base64; ca_pem: block 1 (CERTIFICATE, line 1) is not valid base64; client_cert_pem: block 2 (CERTIFICATE, line {}) is not valid base64",
        file.display(),
        2 * lines + 1,
        lines + 2
    );
    assert_eq!(error.message(), expected);
}

/// Starts a server that asks for a client certificate of this authority.
fn asking_for_client_certificates(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
) -> Server {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let server = authority.issue(for_names(&["localhost"]));
    Server::start(server.config_for(versions, clients.build().unwrap()))
}

fn for_clients() -> CertificateParams {
    let mut params = for_names(&["device"]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}
