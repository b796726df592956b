//! Which certificates of a server are accepted, and which are rejected.

use std::sync::atomic::Ordering;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, NameConstraints, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType, date_time_ymd,
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
    const WRONG_SIGNATURE: &str = "or one above it, has a wrong signature";
    const NOT_ITS_NAMES: &str = "does not allow its names (nameConstraints)";
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

    let mut version_1 = root.issue(local());
    // The version in its element [0]: 2 is version 3.
    let (version_of_3, version_of_1) = (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x00");
    version_1.chain[0] = replaced(&version_1.chain[0], version_of_3, version_of_1);
    let mut damaged = root.issue(local());
    damaged.chain[0] = damaged.chain[0][..99].to_vec().into();
    let too_deep = (0..8).fold(root.intermediate(|_| {}), |above, _| above.intermediate(|_| {}));
    let too_deep = too_deep.issue(local());

    // An authority whose certificate has another curve than its key, as object identifiers.
    let p384 = b"\x06\x05\x2b\x81\x04\x00\x22";
    let p521 = b"\x06\x05\x2b\x81\x04\x00\x23";
    let named_authority = |kind| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate_for(kind).unwrap();
        let own = params.self_signed(&key).unwrap();
        (own.der().clone(), own.pem(), Issuer::new(params, key))
    };
    let issued_by = |issuer: &Issuer<'_, KeyPair>| {
        let key = KeyPair::generate().unwrap();
        let own = local().signed_by(&key, issuer).unwrap();
        Identity { chain: vec![own.der().clone()], key }
    };
    let (p384_root, _, p384_issuer) = named_authority(&PKCS_ECDSA_P384_SHA384);
    let other_curve = replaced(&p384_root, p384, p521);
    let other_curve = pem::encode(&pem::Pem::new("CERTIFICATE", other_curve.to_vec()));
    let (by_other_curve, by_p384) = (issued_by(&p384_issuer), issued_by(&p384_issuer));
    let (_, _, old_issuer) = named_authority(&PKCS_ECDSA_P256_SHA256);
    let by_old = issued_by(&old_issuer);
    let (_, namesake, _) = named_authority(&PKCS_ECDSA_P256_SHA256);
    let (_, other_kind, _) = named_authority(&PKCS_ED25519);

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
            "or one above it, has expired",
        ),
        row(
            "an authority is not valid yet",
            root.intermediate(|c| c.not_before = date_time_ymd(2999, 1, 1)).issue(local()),
            "or one above it, is not valid yet",
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
        row("another key", forged, WRONG_SIGNATURE),
        Row { host: "localhoot", ..row("altered after signing", altered, WRONG_SIGNATURE) },
        row("weak signature", weak, "has a signature that is not supported: SHA-224"),
        Row {
            trusted: Some(&other_curve),
            ..row(
                "an authority with a key that is not supported",
                by_other_curve,
                "has a signature that is not supported: P-521",
            )
        },
        Row {
            trusted: Some(&namesake),
            ..row("another authority of the same name is trusted", by_old, WRONG_SIGNATURE)
        },
        Row {
            trusted: Some(&other_kind),
            ..row("the same, with another kind of key", by_p384, WRONG_SIGNATURE)
        },
        row("version 1", version_1, "is not of version 3 of X.509"),
        row("damaged", damaged, "or one above it, is not valid"),
        row(
            "a critical extension",
            changed(|c| {
                let mut extension =
                    CustomExtension::from_oid_content(&[2, 5, 29, 36], vec![0x30, 0]);
                extension.set_criticality(true);
                c.custom_extensions = vec![extension];
            }),
            "has a critical extension that is not supported",
        ),
        row(
            "the end is before the beginning",
            changed(|c| {
                (c.not_before, c.not_after) =
                    (date_time_ymd(2003, 1, 1), date_time_ymd(2002, 1, 1));
            }),
            "ends before it begins",
        ),
        row("too many authorities", too_deep, "sends too many certificates"),
        row(
            "only for clients",
            changed(|c| c.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
            "or one above it, is not meant for a server",
        ),
        row(
            "an authority only for clients",
            root.intermediate(|c| {
                c.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            })
            .issue(local()),
            "or one above it, is not meant for a server",
        ),
        row(
            "an authority's own certificate",
            changed(|c| c.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            "is that of an authority (CA:TRUE)",
        ),
        row(
            "issued by a server",
            root.intermediate(|c| c.is_ca = IsCa::ExplicitNoCa).issue(local()),
            "is not that of an authority (CA:FALSE)",
        ),
        row(
            "more intermediates than allowed",
            no_authority_below.intermediate(|_| {}).issue(local()),
            "does not allow another authority below it (pathlen)",
        ),
        Row {
            trusted: Some(&constrained.pem),
            ..row("outside the root's names", constrained.issue(local()), NOT_ITS_NAMES)
        },
        row(
            "outside an intermediate's names",
            root.intermediate(only_example).issue(local()),
            NOT_ITS_NAMES,
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
