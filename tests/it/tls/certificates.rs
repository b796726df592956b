//! Which certificates of a server are accepted, and which are rejected.

use std::sync::atomic::Ordering;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    KeyPair, NameConstraints, SanType, date_time_ymd,
};
use rustls::pki_types::CertificateDer;

use super::Server;
use crate::authority::{Authority, Identity, for_names};
use crate::support::IDENTITY;

/// A server with a certificate, and a client that connects to it by a host name.
struct Row<'a> {
    what: &'static str,
    host: &'static str,
    shown: Identity,
    /// The authority that the client trusts. `None`: the bundled roots.
    trusted: Option<&'a str>,
    /// A part of the error.
    says: &'static str,
}

#[test]
fn an_invalid_certificate_is_rejected_without_a_retry() {
    const UNTRUSTED: &str = "signed by an authority that is not trusted";
    const OTHER_NAME: &str = "is for another name";
    const NOT_VALID: &str = "or one above it, is not valid";
    let root = Authority::new();
    let stranger = Authority::new();
    let row =
        |what, shown, says| Row { what, host: "localhost", shown, trusted: Some(&root.pem), says };
    let of_host = |host, what, shown| Row { host, ..row(what, shown, OTHER_NAME) };
    let changed = |settings: fn(&mut CertificateParams)| {
        let mut params = for_names(&["localhost"]);
        settings(&mut params);
        root.issue(params)
    };
    let local = || for_names(&["localhost"]);
    let named = |name| root.issue(for_names(&[name]));
    let only_example = |params: &mut CertificateParams| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("example.com".into())],
            excluded_subtrees: Vec::new(),
        });
    };
    let constrained = Authority::root(only_example);
    let no_authority_below = root.intermediate(|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    let (self_signed, own_key) = (local(), KeyPair::generate().unwrap());
    let self_signed = self_signed.self_signed(&own_key).unwrap().der().clone();
    let mut without_intermediate = root.intermediate(|_| {}).issue(local());
    without_intermediate.chain.truncate(1);
    let mut forged = root.issue(local());
    forged.key = KeyPair::generate().unwrap();
    let mut altered = root.issue(local());
    altered.chain[0] = replaced(&altered.chain[0], b"localhost", b"localhoot");
    let mut weak = root.issue(local());
    // ECDSA with SHA-256 and with SHA-224, as object identifiers.
    let (sha256, sha224) =
        (b"\x2a\x86\x48\xce\x3d\x04\x03\x02", b"\x2a\x86\x48\xce\x3d\x04\x03\x01");
    weak.chain[0] = replaced(&weak.chain[0], sha256, sha224);

    let address_as_name = changed(|c| {
        c.subject_alt_names = vec![SanType::DnsName("127.0.0.1".try_into().unwrap())];
    });
    let rows = [
        row(
            "expired",
            changed(|c| c.not_after = date_time_ymd(2002, 1, 1)),
            "has expired: it ended on 2",
        ),
        row(
            "not yet valid",
            changed(|c| c.not_before = date_time_ymd(2999, 1, 1)),
            "is not valid yet: it begins on 2",
        ),
        row(
            "an authority expired",
            root.intermediate(|c| c.not_after = date_time_ymd(2002, 1, 1)).issue(local()),
            "has expired",
        ),
        row("another name", named("example.com"), OTHER_NAME),
        row("an address instead of the name", named("127.0.0.1"), OTHER_NAME),
        of_host("127.0.0.1", "a name instead of the address", named("localhost")),
        of_host("127.0.0.1", "the address as a name", address_as_name),
        of_host("127.0.0.1", "another address", named("127.0.0.2")),
        row(
            "the name only in CN",
            changed(|c| {
                c.subject_alt_names.clear();
                c.distinguished_name.push(DnType::CommonName, "localhost");
            }),
            OTHER_NAME,
        ),
        row("no names", changed(|c| c.subject_alt_names.clear()), OTHER_NAME),
        of_host("a.b.example.com", "wildcard, two labels", named("*.example.com")),
        of_host("example.com", "wildcard, no label", named("*.example.com")),
        of_host("ab.example.com", "wildcard, part of a label", named("a*.example.com")),
        of_host("a.b.example.com", "wildcard in the middle", named("a.*.example.com")),
        of_host("example.com.evil", "the name is a part of the host", named("example.com")),
        Row {
            trusted: Some(&stranger.pem),
            ..row("another authority is trusted", root.issue(local()), UNTRUSTED)
        },
        Row { trusted: None, ..row("bundled roots", root.issue(local()), UNTRUSTED) },
        row("self-signed", Identity { chain: vec![self_signed], key: own_key }, UNTRUSTED),
        row("the intermediate is missing", without_intermediate, UNTRUSTED),
        row("another key", forged, NOT_VALID),
        Row { host: "localhoot", ..row("altered after signing", altered, NOT_VALID) },
        row("weak signature", weak, "has a signature"),
        row(
            "only for clients",
            changed(|c| c.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
            "is not meant for a server",
        ),
        row(
            "an authority's own certificate",
            changed(|c| c.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            NOT_VALID,
        ),
        row(
            "issued by a server",
            root.intermediate(|c| c.is_ca = IsCa::ExplicitNoCa).issue(local()),
            NOT_VALID,
        ),
        row(
            "more intermediates than allowed",
            no_authority_below.intermediate(|_| {}).issue(local()),
            NOT_VALID,
        ),
        Row {
            trusted: Some(&constrained.pem),
            ..row("outside the root's names", constrained.issue(local()), NOT_VALID)
        },
        row(
            "outside an intermediate's names",
            root.intermediate(only_example).issue(local()),
            NOT_VALID,
        ),
    ];
    for Row { what, host, shown, trusted, says } in rows {
        let server = Server::start(shown.config(rustls::ALL_VERSIONS));
        server.assert_rejected(what, host, trusted, says);
    }
}

/// Replaces every occurrence of `from`. Both have the same length.
fn replaced(certificate: &CertificateDer<'_>, from: &[u8], to: &[u8]) -> CertificateDer<'static> {
    let mut der = certificate.to_vec();
    let found: Vec<_> = (0..der.len()).filter(|at| der[*at..].starts_with(from)).collect();
    assert!(!found.is_empty());
    for at in found {
        der[at..at + to.len()].copy_from_slice(to);
    }
    der.into()
}

#[test]
fn a_valid_certificate_is_accepted_in_every_form() {
    let root = Authority::new();
    let middle = root.intermediate(|_| {});
    let lower = middle.intermediate(|_| {});
    let named = |name| root.issue(for_names(&[name]));
    let local = || for_names(&["localhost"]);
    let mut wrong_order = lower.issue(local());
    wrong_order.chain[1..].reverse();
    let mut with_more = lower.issue(local());
    with_more.chain.push(Authority::new().intermediate(|_| {}).chain[0].clone());
    let constrained = Authority::root(|params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("localhost".into())],
            excluded_subtrees: Vec::new(),
        });
    });
    let mut for_servers = local();
    for_servers.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    let (params, key) = (local(), KeyPair::generate().unwrap());
    let own = params.self_signed(&key).unwrap();
    let own_pem = own.pem();
    let self_signed = Identity { chain: vec![own.der().clone()], key };
    let row =
        |what, shown| Row { what, host: "localhost", shown, trusted: Some(&root.pem), says: "" };
    let rows = [
        row("the name", named("localhost")),
        Row { host: "LOCALHOST", ..row("the name in other letters", named("LocalHost")) },
        Row { host: "127.0.0.1", ..row("the address", named("127.0.0.1")) },
        row("one of many names", root.issue(for_names(&["a", "localhost"]))),
        Row { host: "a.example.com", ..row("wildcard", named("*.example.com")) },
        Row { host: "a.example.com.", ..row("a name with a final dot", named("a.example.com")) },
        row("for clients and servers", root.issue(for_servers)),
        row("one intermediate", middle.issue(local())),
        row("two intermediates", lower.issue(local())),
        row("two intermediates in the wrong order", wrong_order),
        row("another certificate in the chain", with_more),
        Row {
            trusted: Some(&constrained.pem),
            ..row("inside the root's names", constrained.issue(local()))
        },
        Row { trusted: Some(&own_pem), ..row("self-signed, and trusted", self_signed) },
    ];
    for Row { what, host, shown, trusted, .. } in rows {
        let server = Server::start(shown.config(rustls::ALL_VERSIONS));
        let got = server.get_trusting(host, trusted);
        assert_eq!(got.map_err(|error| format!("{what}: {error:#}")), Ok(IDENTITY.to_owned()));
    }
    for version in rustls::ALL_VERSIONS {
        let server = Server::start(named("localhost").config(&[version]));
        assert_eq!(server.get_trusting("localhost", Some(&root.pem)).unwrap(), IDENTITY);
        assert_eq!(server.connections.load(Ordering::SeqCst), 1, "{version:?}");
    }
}
