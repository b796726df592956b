//! The certificates of a connection: the authorities that are trusted, and the client certificate.

use std::mem;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer, TrustAnchor};
use rustls::sign::{CertifiedKey, SigningKey};
use zeroize::Zeroizing;

use super::pem::{self, Block, Label};
use crate::secret::Secret;

const SEQUENCE: u8 = 0x30;

#[derive(Clone)]
pub(super) struct Certificates {
    pub(super) authorities: Vec<CertificateDer<'static>>,
    /// Whether Mozilla's roots are trusted.
    pub(super) bundled: bool,
    pub(super) client: Option<ClientCertificate>,
}

/// The certificate for a server that asks for one, the certificates of its issuers, and its private
/// key.
#[derive(Clone)]
pub(crate) struct ClientCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<Zeroizing<Vec<u8>>>,
}

impl Default for Certificates {
    fn default() -> Self {
        Self { authorities: Vec::new(), bundled: true, client: None }
    }
}

impl Certificates {
    /// Adds all authorities in `pem`. If one of them is faulty, adds none.
    pub(super) fn trust(&mut self, pem: &[u8]) -> Result<(), String> {
        self.authorities.extend(authorities(pem)?);
        Ok(())
    }

    pub(super) fn roots(&self) -> Result<RootCertStore, rustls::Error> {
        let mut roots = RootCertStore::empty();
        if self.bundled {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        for authority in &self.authorities {
            roots.add(authority.clone())?;
        }
        Ok(roots)
    }
}

/// Returns the authorities in a PEM text. A private key or a revocation list is an error too: the
/// key belongs to another setting, and the list would have no effect.
pub(crate) fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let blocks = pem::blocks(pem)?;
    let read = |block: &Block<'_>| match block.label {
        Label::Certificate | Label::TrustedCertificate => {
            let certificate = Certificate::read(block)?;
            if trusts_servers(&certificate.trust_settings) != Some(true) {
                return Err(format!("{block} is not trusted for TLS servers by its own settings"));
            }
            Ok(certificate.der)
        }
        Label::PrivateKey | Label::EncryptedPrivateKey => {
            Err(format!("{block} is a private key, not a certificate: remove it"))
        }
        Label::Parameters => Err(format!("{block} is not a certificate: remove it")),
        Label::Other(problem) => Err(format!("{block} {problem}")),
    };
    blocks.iter().map(read).collect()
}

impl ClientCertificate {
    /// The error shows no part of the text.
    pub(crate) fn from_pem(pem: &Secret) -> Result<Self, String> {
        let blocks = pem::blocks(pem.expose().as_bytes())?;
        let (mut certificates, mut keys) = (Vec::new(), Vec::new());
        for block in &blocks {
            match block.label {
                Label::Certificate | Label::TrustedCertificate => {
                    certificates.push((block, Certificate::read(block)?));
                }
                Label::PrivateKey => keys.push(block),
                Label::EncryptedPrivateKey => {
                    return Err(format!(
                        "{block} is encrypted, which is not supported: decrypt it with `openssl pkey -in KEY.pem -out NEW.pem`"
                    ));
                }
                Label::Parameters => {}
                Label::Other(problem) => return Err(format!("{block} {problem}")),
            }
        }
        let Some((first, first_certificate)) = certificates.first() else {
            return Err("holds no certificate".to_owned());
        };
        let key = match keys[..] {
            [] => return Err("holds no private key: append that of the certificate".to_owned()),
            [key] => key,
            [_, second, ..] => return Err(format!("{second} is a second private key: remove one")),
        };
        let der = key.der()?;
        let signing_key = load(&der).map_err(|_| {
            format!(
                "{key} is damaged or not supported: TLS takes RSA with 2048 to 4096 bits, ECDSA with P-256 or P-384, and Ed25519"
            )
        })?;
        // Keys of other cryptography providers may not give their public key.
        if let Some(public) = signing_key.public_key().filter(|key| !first_certificate.is_for(key))
        {
            let owner = certificates.iter().find(|(_, certificate)| certificate.is_for(&public));
            return Err(match owner {
                Some((owner, _)) => {
                    format!(
                        "{key} belongs to {owner}: put that certificate first, then its issuers"
                    )
                }
                None => format!("{key} does not belong to {first}"),
            });
        }
        let chain = certificates.into_iter().map(|(_, certificate)| certificate.der).collect();
        Ok(Self { chain, key: Arc::new(der) })
    }

    pub(super) fn certified_key(&self) -> Result<CertifiedKey, rustls::Error> {
        Ok(CertifiedKey::new(self.chain.clone(), load(&self.key)?))
    }
}

/// Finds the form in the key itself, because the label in the PEM text is often wrong.
fn load(der: &[u8]) -> Result<Arc<dyn SigningKey>, rustls::Error> {
    let key =
        PrivateKeyDer::try_from(der).map_err(|error| rustls::Error::General(error.to_owned()))?;
    crypto().key_provider.load_private_key(key.clone_key())
}

struct Certificate {
    der: CertificateDer<'static>,
    anchor: TrustAnchor<'static>,
    /// OpenSSL's trust settings. Empty if there are none.
    trust_settings: Vec<u8>,
}

impl Certificate {
    fn read(block: &Block<'_>) -> Result<Self, String> {
        let mut der = block.der()?;
        let trust_settings = match (block.label, element(SEQUENCE, &der)) {
            (Label::TrustedCertificate, Some((_, after))) => after.to_vec(),
            _ => Vec::new(),
        };
        let length = der.len() - trust_settings.len();
        der.truncate(length);
        let der = CertificateDer::from(mem::take(&mut *der));
        let mut store = RootCertStore::empty();
        match (store.add(der.clone()), store.roots.pop()) {
            (Ok(()), Some(anchor)) => Ok(Self { der, anchor, trust_settings }),
            _ => Err(format!("{block} is damaged: it is not an X.509 certificate as DER")),
        }
    }

    fn is_for(&self, key: &SubjectPublicKeyInfoDer<'_>) -> bool {
        element(SEQUENCE, key) == Some((&self.anchor.subject_public_key_info, &[]))
    }
}

/// Returns whether OpenSSL's trust settings allow TLS servers. `None` if they are malformed. As in
/// OpenSSL, a rejected use wins, and a list of trusted uses excludes every other use. Linux
/// distributions store distrusted authorities in this form.
fn trusts_servers(settings: &[u8]) -> Option<bool> {
    // serverAuth and anyExtendedKeyUsage.
    const USES: [&[u8]; 2] = [&[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1], &[6, 4, 0x55, 0x1d, 0x25, 0]];
    const REJECTED: u8 = 0xa0;
    let lists_servers =
        |list: &[u8]| USES.iter().any(|used| list.windows(used.len()).any(|found| found == *used));
    if settings.is_empty() {
        return Some(true);
    }
    let (settings, _) = element(SEQUENCE, settings)?;
    let (trusted, settings) = optional_element(SEQUENCE, settings)?;
    let (rejected, _) = optional_element(REJECTED, settings)?;
    Some(trusted.is_none_or(lists_servers) && !rejected.is_some_and(lists_servers))
}

fn optional_element(tag: u8, der: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    if der.first() == Some(&tag) {
        element(tag, der).map(|(content, after)| (Some(content), after))
    } else {
        Some((None, der))
    }
}

/// Returns the content of the first element of `der`, if it has this tag, and the bytes after it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let [found, length, rest @ ..] = der else { return None };
    let (length, rest) = match usize::from(*length) {
        short @ 0..0x80 => (short, rest),
        long => {
            let (length, rest) = rest.split_at_checked(long - 0x80)?;
            let length = length
                .iter()
                .try_fold(0_usize, |sum, byte| Some(sum.checked_mul(256)? + usize::from(*byte)))?;
            (length, rest)
        }
    };
    if *found == tag { rest.split_at_checked(length) } else { None }
}

/// Returns the provider that the program has installed, or ring if there is none.
pub(super) fn crypto() -> Arc<CryptoProvider> {
    CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
}

#[cfg(test)]
mod tests {
    use super::super::authority::Authority;
    use super::pem::block;
    use super::*;

    #[test]
    fn mozillas_roots_and_given_authorities_can_be_trusted_together() {
        let pem = Authority::new().pem;
        let bundled = webpki_roots::TLS_SERVER_ROOTS.len();
        assert!(bundled > 100);
        for (with_bundled, expected) in [(true, bundled + 1), (false, 1)] {
            let mut certificates = Certificates { bundled: with_bundled, ..Default::default() };
            certificates.trust(pem.as_bytes()).unwrap();
            assert_eq!(certificates.roots().unwrap().len(), expected);
        }
    }

    struct Pair {
        certificate: String,
        key: String,
    }

    fn pair() -> Pair {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    fn der(certificate: &str) -> Vec<u8> {
        let block = &pem::blocks(certificate.as_bytes()).unwrap()[0];
        block.der().unwrap().to_vec()
    }

    /// Checks that the error shows no part of the text except labels, and no bytes as numbers.
    fn assert_shows_nothing(fault: &str, text: &[u8]) {
        let error = crate::Error::config("", fault);
        let error = format!("{error} {error:#} {error:?}");
        let text = String::from_utf8_lossy(text);
        let is_label = |part: &&str| part.starts_with("BEGIN ") || part.starts_with("END ");
        for text in text.split("-----").filter(|part| !is_label(part)).map(str::as_bytes) {
            for part in text.windows(8) {
                assert!(!error.contains(&*String::from_utf8_lossy(part)), "{error}");
            }
            for part in text.windows(3) {
                let [a, b, c] = part else { unreachable!() };
                let numbers = [
                    format!("{a}, {b}, {c}"),
                    format!("{a:x}, {b:x}, {c:x}"),
                    format!("{a:02x}{b:02x}{c:02x}"),
                ];
                assert!(!numbers.iter().any(|numbers| error.contains(numbers)), "{error}");
            }
        }
    }

    #[test]
    fn one_bad_block_makes_the_bundle_an_error_that_names_the_block() {
        struct Row {
            name: &'static str,
            bad: String,
            says: &'static str,
        }
        let row = |name, bad, says| Row { name, bad, says };
        let Pair { certificate, key } = pair();
        let damaged = der(&certificate);
        let rows = [
            row("a lost character", certificate.replacen("MI", "M", 1), "is not valid base64"),
            row(
                "cut off",
                block("CERTIFICATE", &damaged[..damaged.len() - 9]),
                "is damaged: it is not an X.509 certificate as DER",
            ),
            row(
                "empty",
                block("CERTIFICATE", b""),
                "is damaged: it is not an X.509 certificate as DER",
            ),
            row(
                "a key under the label of a certificate",
                key.replace("PRIVATE KEY", "CERTIFICATE"),
                "is damaged: it is not an X.509 certificate as DER",
            ),
            row("a key", key.clone(), "is a private key, not a certificate: remove it"),
            row(
                "a key on one line",
                key.replace('\n', "\\n"),
                "is a private key, not a certificate: remove it",
            ),
            row(
                "a key on one line, cut off",
                key.replace('\n', "")[..99].to_owned(),
                "has no END line with the same label",
            ),
            row(
                "an encrypted key",
                key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
                "is a private key, not a certificate: remove it",
            ),
            row(
                "a revocation list",
                certificate.replace("CERTIFICATE", "X509 CRL"),
                "is a revocation list, which is not supported: remove it",
            ),
            row(
                "a request",
                certificate.replace("CERTIFICATE", "CERTIFICATE REQUEST"),
                "is a request for a certificate, not the certificate",
            ),
            row(
                "PKCS#7",
                certificate.replace("CERTIFICATE", "PKCS7"),
                "is PKCS#7: convert the file with `openssl pkcs7 -print_certs -in FILE -out NEW.pem`",
            ),
            row(
                "parameters",
                certificate.replace("CERTIFICATE", "EC PARAMETERS"),
                "is not a certificate: remove it",
            ),
            row(
                "another label",
                certificate.replace("CERTIFICATE", "hunter2 hunter2"),
                "is neither a certificate nor a private key: remove it",
            ),
        ];
        for Row { name, bad, says } in rows {
            let text = [pair().certificate, pair().certificate, bad.clone(), pair().certificate];
            let text = text.concat();
            let mut certificates = Certificates::default();
            let fault = certificates.trust(text.as_bytes()).unwrap_err();
            let line = 1 + text[..text.find(&bad).unwrap()].lines().count();
            let label = &bad["-----BEGIN ".len()..bad[5..].find("-----").unwrap() + 5];
            let label = if label.contains("hunter2") { "unknown label" } else { label };
            let expected = format!("block 3 ({label}, line {line}) {says}");
            assert_eq!(fault, expected, "{name}");
            assert!(certificates.authorities.is_empty(), "{name}");
            assert_shows_nothing(&fault, text.as_bytes());
        }
    }

    #[test]
    fn trust_settings_of_openssl_decide_whether_an_authority_is_trusted() {
        struct Row {
            name: &'static str,
            settings: &'static [u8],
            trusted: bool,
        }
        const SERVERS: &[u8] = b"\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01";
        // `openssl x509 -trustout` wrote these settings with -addtrust, -addreject and -setalias.
        let rows = [
            Row { name: "no settings", settings: b"", trusted: true },
            Row {
                name: "trusted for servers, and a name",
                settings: b"\x30\x11\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01\x0c\x03foo",
                trusted: true,
            },
            Row { name: "a name", settings: b"\x30\x05\x0c\x03foo", trusted: true },
            Row {
                name: "trusted for all, rejected for mail",
                settings: b"\x30\x14\x30\x06\x06\x04\x55\x1d\x25\x00\xa0\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x04",
                trusted: true,
            },
            Row {
                name: "trusted for mail",
                settings: b"\x30\x0c\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x04",
                trusted: false,
            },
            Row {
                name: "rejected for servers",
                settings: b"\x30\x0c\xa0\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01",
                trusted: false,
            },
            Row {
                name: "trusted and rejected for servers",
                settings: b"\x30\x18\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01\xa0\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01",
                trusted: false,
            },
            Row { name: "rejected for all", settings: b"\x30\x08\xa0\x06\x06\x04\x55\x1d\x25\x00", trusted: false },
            Row { name: "malformed", settings: SERVERS, trusted: false },
            Row { name: "cut off", settings: b"\x30\x0c\x30\x0a", trusted: false },
            Row { name: "trust cut off", settings: b"\x30\x02\x30\x0a", trusted: false },
            Row { name: "rejection cut off", settings: b"\x30\x02\xa0\x0a", trusted: false },
        ];
        for Row { name, settings, trusted } in rows {
            let text =
                block("TRUSTED CERTIFICATE", &[&*der(&pair().certificate), settings].concat());
            let mut certificates = Certificates::default();
            match certificates.trust(text.as_bytes()) {
                Ok(()) => assert!(trusted && certificates.authorities.len() == 1, "{name}"),
                Err(fault) => {
                    assert!(!trusted, "{name}: {fault}");
                    assert!(
                        fault.ends_with("is not trusted for TLS servers by its own settings"),
                        "{fault}"
                    );
                }
            }
        }
    }

    struct Unusable {
        name: &'static str,
        text: String,
        says: String,
    }

    fn unusable(name: &'static str, parts: &[&str], says: impl Into<String>) -> Unusable {
        Unusable { name, text: parts.concat(), says: says.into() }
    }

    fn assert_unusable(rows: impl IntoIterator<Item = Unusable>) {
        for Unusable { name, text, says } in rows {
            let Err(fault) = ClientCertificate::from_pem(&Secret::new(&*text)) else {
                panic!("{name} is accepted");
            };
            assert_eq!(fault, says, "{name}");
            assert_shows_nothing(&fault, text.as_bytes());
        }
    }

    #[test]
    fn the_error_for_a_client_certificate_without_its_key_says_why() {
        let (Pair { certificate, key }, other) = (pair(), pair());
        let second = 1 + certificate.lines().count();
        let third = second + key.lines().count();
        let encrypted_pkcs8 = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let headers = "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,5A5FD2447B2E575F\n\n";
        let encrypted =
            key.replace("PRIVATE KEY", "EC PRIVATE KEY").replacen("-----\n", headers, 1);
        let decrypt = "is encrypted, which is not supported: decrypt it with `openssl pkey -in KEY.pem -out NEW.pem`";
        // X25519, which is not for signatures.
        let x25519 =
            [b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x6e\x04\x22\x04\x20", &[7; 32][..]];
        let x25519 = block("PRIVATE KEY", &x25519.concat());
        let not_supported = format!(
            "block 2 (PRIVATE KEY, line {second}) is damaged or not supported: TLS takes RSA with 2048 to 4096 bits, ECDSA with P-256 or P-384, and Ed25519"
        );
        assert_unusable([
            unusable(
                "no key",
                &[&certificate],
                "holds no private key: append that of the certificate",
            ),
            unusable("no certificate", &[&key], "holds no certificate"),
            unusable(
                "parameters",
                &[&key.replace("PRIVATE KEY", "EC PARAMETERS")],
                "holds no certificate",
            ),
            unusable(
                "PKCS#8, encrypted",
                &[&certificate, &encrypted_pkcs8],
                format!("block 2 (ENCRYPTED PRIVATE KEY, line {second}) {decrypt}"),
            ),
            unusable(
                "SEC1, encrypted",
                &[&encrypted, &certificate],
                format!("block 1 (EC PRIVATE KEY, line 1) {decrypt}"),
            ),
            unusable(
                "SEC1, encrypted, on one line",
                &[&encrypted.replace('\n', " ")],
                format!("block 1 (EC PRIVATE KEY, line 1) {decrypt}"),
            ),
            unusable(
                "two keys",
                &[&certificate, &key, &other.key],
                format!("block 3 (PRIVATE KEY, line {third}) is a second private key: remove one"),
            ),
            unusable(
                "another key",
                &[&certificate, &other.key],
                format!(
                    "block 2 (PRIVATE KEY, line {second}) does not belong to block 1 (CERTIFICATE, line 1)"
                ),
            ),
            unusable(
                "the chain in the wrong order",
                &[&other.certificate, &certificate, &key],
                format!(
                    "block 3 (PRIVATE KEY, line {}) belongs to block 2 (CERTIFICATE, line {second}): put that certificate first, then its issuers",
                    second + certificate.lines().count()
                ),
            ),
            unusable("a key for something else", &[&certificate, &x25519], &*not_supported),
            unusable(
                "a damaged key",
                &[&certificate, &block("PRIVATE KEY", b"hunter2hunter2")],
                &*not_supported,
            ),
            unusable("an empty key", &[&certificate, &block("PRIVATE KEY", b"")], &*not_supported),
            unusable(
                "a key that is not base64",
                &[&certificate, &key.replacen("MI", "M*", 1)],
                format!("block 2 (PRIVATE KEY, line {second}) is not valid base64"),
            ),
        ]);
    }

    #[test]
    fn the_error_for_a_text_without_a_client_certificate_says_what_it_is() {
        let Pair { certificate, key } = pair();
        let third = 1 + certificate.lines().count() + key.lines().count();
        let no_certificate = "is damaged: it is not an X.509 certificate as DER";
        assert_unusable([
            unusable("empty", &[], "is empty"),
            unusable(
                "a path",
                &["/etc/ssl/device.pem"],
                "holds no PEM block, which begins with a line like -----BEGIN CERTIFICATE-----",
            ),
            unusable(
                "a damaged issuer",
                &[&certificate, &key, &block("CERTIFICATE", b"hunter2hunter2")],
                format!("block 3 (CERTIFICATE, line {third}) {no_certificate}"),
            ),
            unusable(
                "key and certificate swapped",
                &[
                    &key.replace("PRIVATE KEY", "CERTIFICATE"),
                    &certificate.replace("CERTIFICATE", "PRIVATE KEY"),
                ],
                format!("block 1 (CERTIFICATE, line 1) {no_certificate}"),
            ),
            unusable(
                "a key for SSH",
                &[&key.replace("PRIVATE", "OPENSSH PRIVATE")],
                "block 1 (OPENSSH PRIVATE KEY, line 1) is a key for SSH, not for TLS",
            ),
            unusable(
                "a DSA key",
                &[&key.replace("PRIVATE", "DSA PRIVATE")],
                "block 1 (DSA PRIVATE KEY, line 1) is a DSA key, which is not supported",
            ),
            unusable(
                "a public key",
                &[&key.replace("PRIVATE", "PUBLIC")],
                "block 1 (PUBLIC KEY, line 1) is a public key, not a certificate",
            ),
            unusable(
                "UTF-16",
                &[&key.replace("", "\0")],
                "is UTF-16 text: save it as UTF-8 or ASCII",
            ),
            unusable(
                "DER in a string",
                &[&String::from_utf8_lossy(&der(&certificate))],
                "is PKCS#12 or DER, not PEM: convert it with `openssl pkcs12 -nodes -in FILE -out NEW.pem`",
            ),
        ]);
    }

    #[test]
    fn a_key_is_read_under_the_label_of_another_form_and_after_parameters() {
        let Pair { certificate, key } = pair();
        let parameters = block("EC PARAMETERS", b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07");
        for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
            let text = [&*parameters, &key.replace("PRIVATE KEY", label), &certificate].concat();
            let client = ClientCertificate::from_pem(&Secret::new(text)).unwrap();
            client.certified_key().unwrap().keys_match().unwrap();
        }
    }
}
