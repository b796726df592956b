//! Connections as ureq makes them.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Proxy};

use super::certificates::{Certificates, Own};
use super::failure::{Stage, failure};
use super::ureq::{exchange, time_limit};
use super::{HttpRequest, HttpResponse, TransportError, TransportErrorKind};

pub(super) fn tls_config(certificates: &Certificates) -> TlsConfig {
    let roots = if certificates.bundled {
        RootCerts::WebPki
    } else {
        let authorities = certificates.authorities.iter();
        RootCerts::from(authorities.map(|der| Certificate::from_der(der).to_owned()))
    };
    TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(roots)
        .client_cert(certificates.own.as_ref().and_then(shown))
        .build()
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
