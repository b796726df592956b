//! Parsers of proxy and certificate settings, for the fuzz targets. An error is the text of the
//! fault, without the name of the setting.

use crate::secret::Secret;
use crate::transport;

/// Returns `true` if a list in the form of `NO_PROXY` covers a host and port.
#[must_use]
pub fn no_proxy_covers(list: &str, host: &str, port: u16) -> bool {
    transport::no_proxy_covers(list, host, port)
}

/// Returns the number of certificate authorities in a PEM text.
pub fn authorities(pem: &[u8]) -> Result<usize, String> {
    transport::authorities(pem).map(|authorities| authorities.len())
}

/// Parses a PEM text as a client certificate.
pub fn client_certificate(pem: &str) -> Result<(), String> {
    transport::ClientCertificate::from_pem(&Secret::new(pem)).map(|_| ())
}
