//! Whose certificates are trusted, and the one that this side shows: from PEM to values that hold.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::secret::Secret;

#[derive(Clone)]
pub(super) struct Certificates {
    pub(super) authorities: Vec<CertificateDer<'static>>,
    /// Whether Mozilla's roots are trusted.
    pub(super) bundled: bool,
    pub(super) own: Option<Own>,
}

/// The certificate that this side shows, with those that it rests on, and its key.
#[derive(Clone)]
pub(super) struct Own {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) pem: Secret,
}

impl Default for Certificates {
    fn default() -> Self {
        Self { authorities: Vec::new(), bundled: true, own: None }
    }
}

impl Certificates {
    /// Adds the authorities in `pem`. The fault begins with `what`.
    pub(super) fn trust(&mut self, what: &str, pem: &[u8]) -> Result<(), String> {
        let before = self.authorities.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| format!("{what} is not PEM: {error}"))?;
            RootCertStore::empty().add(certificate.clone()).map_err(|error| {
                format!("{what} holds a certificate that cannot be an authority: {error}")
            })?;
            self.authorities.push(certificate);
        }
        if self.authorities.len() == before {
            return Err(format!("{what} holds no certificate"));
        }
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

impl Own {
    /// No part of the text stands in the fault.
    pub(super) fn from_pem(pem: &Secret) -> Result<Self, String> {
        let text = pem.expose().as_bytes();
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
        let chain = chain.map_err(|_| "is not PEM")?;
        if chain.is_empty() {
            return Err("holds no certificate".to_owned());
        }
        let key = PrivateKeyDer::from_pem_slice(text)
            .map_err(|_| "holds no private key as PKCS#8, PKCS#1 or SEC1 that is not encrypted")?;
        match CertifiedKey::from_der(chain.clone(), key, &crypto()) {
            Ok(_) => Ok(Self { chain, pem: pem.clone() }),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err("has a key that is not the first certificate's".to_owned())
            }
            Err(error) => Err(format!("cannot be used: {error}")),
        }
    }

    pub(super) fn certified_key(&self) -> Result<CertifiedKey, rustls::Error> {
        let key = PrivateKeyDer::from_pem_slice(self.pem.expose().as_bytes())
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        CertifiedKey::from_der(self.chain.clone(), key, &crypto())
    }
}

/// What the program has installed for the whole process, or else ring.
pub(super) fn crypto() -> Arc<CryptoProvider> {
    CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_authorities_are_trusted_side_by_side() {
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
        let bundled = webpki_roots::TLS_SERVER_ROOTS.len();
        assert!(bundled > 100);
        for (with_bundled, expected) in [(true, bundled + 1), (false, 1)] {
            let mut certificates = Certificates { bundled: with_bundled, ..Default::default() };
            certificates.trust("ours", pem.as_bytes()).unwrap();
            assert_eq!(certificates.roots().unwrap().len(), expected);
        }
    }
}
