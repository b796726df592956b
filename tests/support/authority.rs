//! A certificate authority, and TLS servers with its certificates.

#![allow(dead_code, reason = "each test target uses some of it")]
#![allow(clippy::needless_pass_by_value, reason = "callers create the parameters in place")]

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

/// A root, or an intermediate authority below a root.
pub(crate) struct Authority {
    /// The certificate of the root.
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
    /// The intermediate certificates, its own first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::root(|_| {})
    }

    pub(crate) fn root(settings: impl FnOnce(&mut CertificateParams)) -> Self {
        let (params, key) = authority(settings);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key), chain: Vec::new() }
    }

    /// Creates an authority with a certificate from this one.
    pub(crate) fn intermediate(&self, settings: impl FnOnce(&mut CertificateParams)) -> Self {
        let (params, key) = authority(settings);
        let chain = self.chain_of(&params, &key);
        Self { pem: self.pem.clone(), issuer: Issuer::new(params, key), chain }
    }

    pub(crate) fn issue(&self, params: CertificateParams) -> Identity {
        self.issue_for(KeyPair::generate().unwrap(), params)
    }

    pub(crate) fn issue_for(&self, key: KeyPair, params: CertificateParams) -> Identity {
        Identity { chain: self.chain_of(&params, &key), key }
    }

    pub(crate) fn server_config(&self, params: CertificateParams) -> Arc<ServerConfig> {
        self.issue(params).config(rustls::ALL_VERSIONS)
    }

    fn chain_of(&self, params: &CertificateParams, key: &KeyPair) -> Vec<CertificateDer<'static>> {
        let own = params.signed_by(key, &self.issuer).unwrap().der().clone();
        [own].into_iter().chain(self.chain.iter().cloned()).collect()
    }
}

/// Each authority has a different name, because certificates are chained by name.
fn authority(settings: impl FnOnce(&mut CertificateParams)) -> (CertificateParams, KeyPair) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let name = format!("authority {}", COUNT.fetch_add(1, Ordering::SeqCst));
    params.distinguished_name.push(DnType::CommonName, name);
    settings(&mut params);
    (params, KeyPair::generate().unwrap())
}

/// The certificates that a server or a client shows, and its private key.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: KeyPair,
}

impl Identity {
    pub(crate) fn config(
        self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        self.config_for(versions, WebPkiClientVerifier::no_client_auth())
    }

    pub(crate) fn config_for(
        self,
        versions: &[&'static SupportedProtocolVersion],
        clients: Arc<dyn ClientCertVerifier>,
    ) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let provider = rustls::crypto::ring::default_provider();
        let key = provider.key_provider.load_private_key(key).unwrap();
        // `with_single_cert` would reject some of the faulty certificates.
        let shown = SingleCertAndKey::from(CertifiedKey::new(self.chain, key));
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(shown));
        Arc::new(config)
    }
}

pub(crate) fn for_names(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// Begins the server's side of TLS. The handshake takes place with the first read or write.
pub(crate) fn accept<S: Read + Write>(
    config: &Arc<ServerConfig>,
    stream: S,
) -> StreamOwned<ServerConnection, S> {
    StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream)
}
