//! Connections as ureq makes them.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use rustls::pki_types::TrustAnchor;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Proxy};

use super::certificates::{Certificates, Own};
use super::failure::{Stage, failure};
use super::ureq::{exchange, time_limit};
use super::{HttpRequest, HttpResponse, TransportError, TransportErrorKind};

pub(super) fn tls_config(certificates: &Certificates) -> TlsConfig {
    let given = certificates.authorities.iter().map(|der| Certificate::from_der(der).to_owned());
    let roots = match (certificates.bundled, certificates.authorities.is_empty()) {
        (true, true) => RootCerts::WebPki,
        (true, false) => RootCerts::from(given.chain(bundled())),
        (false, _) => RootCerts::from(given),
    };
    TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(roots)
        .client_cert(certificates.own.as_ref().and_then(shown))
        .build()
}

/// Mozilla's roots as certificates, for that is how ureq takes what is not its own choice.
fn bundled() -> impl Iterator<Item = Certificate<'static>> {
    let certificates = webpki_roots::TLS_SERVER_ROOTS.iter().map(as_certificate);
    certificates.map(|der| Certificate::from_der(&der).to_owned())
}

/// The smallest certificate (RFC 5280, section 4.1) from which a root's name, key and constraints
/// are read. An authority is trusted because it was named, so nobody looks at its other fields.
fn as_certificate(root: &TrustAnchor<'_>) -> Vec<u8> {
    const SEQUENCE: u8 = 0x30;
    const VERSION_3: &[u8] = &[0xa0, 3, 2, 1, 2];
    const SERIAL_NUMBER: &[u8] = &[2, 1, 1];
    const EMPTY: &[u8] = &[SEQUENCE, 0];
    const NO_SIGNATURE: &[u8] = &[3, 1, 0];
    const NAME_CONSTRAINTS: &[u8] = &[6, 3, 0x55, 0x1d, 0x1e];
    let subject = der(SEQUENCE, &[&root.subject]);
    let key = der(SEQUENCE, &[&root.subject_public_key_info]);
    let extensions = root.name_constraints.as_ref().map(|constraints| {
        let value = der(0x04, &[&der(SEQUENCE, &[constraints])]);
        let extension = der(SEQUENCE, &[NAME_CONSTRAINTS, &value]);
        der(0xa3, &[&der(SEQUENCE, &[&extension])])
    });
    let extensions = extensions.unwrap_or_default();
    let (algorithm, issuer, validity) = (EMPTY, EMPTY, EMPTY);
    let fields: [&[u8]; 8] =
        [VERSION_3, SERIAL_NUMBER, algorithm, issuer, validity, &subject, &key, &extensions];
    der(SEQUENCE, &[&der(SEQUENCE, &fields), algorithm, NO_SIGNATURE])
}

/// A value of ASN.1, its length in as few bytes as can be.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len().to_be_bytes();
    let length = length.iter().copied().skip_while(|&byte| byte == 0);
    let mut value = vec![tag];
    if content.len() >= 0x80 {
        value.extend(u8::try_from(length.clone().count()).map(|bytes| 0x80 | bytes));
    }
    value.extend(length);
    if content.is_empty() {
        value.push(0);
    }
    value.extend(content);
    value
}

fn shown(own: &Own) -> Option<ClientCert> {
    let chain: Vec<_> = own.chain.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    Some(ClientCert::new_with_certs(
        &chain,
        PrivateKey::from_pem(own.pem.expose().as_bytes()).ok()?,
    ))
}

/// Sends through a proxy. ureq limits each read of the proxy's answer to CONNECT but not their
/// sum, so a thread watches the time and ends what is late. Ending it ends the agent, which is
/// why that serves this one exchange.
pub(super) fn exchange_through(
    agent: &Agent,
    proxy: &Proxy,
    request: &HttpRequest,
) -> Result<HttpResponse, TransportError> {
    let agent = agent.config().new_agent();
    let limit = time_limit(request);
    thread::scope(|scope| {
        let (finished, watched) = mpsc::channel::<()>();
        let its_agent = agent.clone();
        let watch = move || {
            let late = watched.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
            if late {
                its_agent.shutdown();
            }
            late
        };
        let watch = thread::Builder::new()
            .spawn_scoped(scope, watch)
            .map_err(|error| TransportError::new(TransportErrorKind::Other, error))?;
        let answer = exchange(&agent, Some(proxy), request);
        drop(finished);
        match (answer, watch.join()) {
            (Err(_), Ok(true)) => {
                let late = ureq::Error::Timeout(ureq::Timeout::Global);
                Err(failure(late, Stage::BeforeAnswer, Some(proxy)))
            }
            (answer, _) => answer,
        }
    })
}

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;

    use super::*;

    #[test]
    fn every_root_is_the_same_read_from_its_certificate() {
        let roots = webpki_roots::TLS_SERVER_ROOTS;
        assert!(roots.len() > 100);
        assert!(roots.iter().any(|root| root.name_constraints.is_some()));
        let mut read = RootCertStore::empty();
        for root in roots {
            read.add(as_certificate(root).into()).unwrap();
        }
        assert_eq!(read.roots, roots);
    }

    #[test]
    fn lengths_take_as_few_bytes_as_can_be() {
        for (length, head) in [
            (0, &[4, 0][..]),
            (0x7f, &[4, 0x7f]),
            (0x80, &[4, 0x81, 0x80]),
            (0xff, &[4, 0x81, 0xff]),
            (0x100, &[4, 0x82, 1, 0]),
        ] {
            let value = der(4, &[&vec![9; length]]);
            assert_eq!(value, [head, &vec![9; length]].concat());
        }
    }
}
