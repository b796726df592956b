//! A transport that logs each call of another transport, for `--verbose`. It also sets the host in
//! the line about a long wait.

use std::time::Instant;

use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError,
};
use ureq::http::Uri;

use crate::messages::logger;
use crate::messages::wait_notice;

pub(crate) struct LoggingTransport<T>(pub(crate) T);

impl<T: Transport> Transport for LoggingTransport<T> {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let (host, operation) = (host(request.url()), operation(request));
        wait_notice::name_host(&host);
        let begun = Instant::now();
        let outcome = self.0.send(request);
        let took = begun.elapsed().as_millis();
        match &outcome {
            Ok(response) => {
                let status = response.status();
                logger::step(format_args!(
                    "{host}: {operation}: HTTP status {status} in {took} ms"
                ));
            }
            Err(error) => {
                logger::step(format_args!("{host}: {operation}: no answer in {took} ms: {error}"));
            }
        }
        outcome
    }
}

fn host(url: &str) -> String {
    let uri = url.parse::<Uri>();
    uri.ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default()
}

/// Returns the operation name of the AWS documentation.
pub(crate) fn operation(request: &HttpRequest) -> &str {
    let target = request.headers().iter().find(|(name, _)| name == "x-amz-target");
    match target.and_then(|(_, target)| target.rsplit_once('.')) {
        Some((_, operation)) => operation,
        None => "AssumeRoleWithWebIdentity",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_found_in_any_endpoint() {
        let rows = [
            (
                "https://cognito-identity.us-east-1.amazonaws.com/",
                "cognito-identity.us-east-1.amazonaws.com",
            ),
            ("http://localhost:5000/x", "localhost"),
            ("http://[::1]/", "[::1]"),
            ("https://[::1]:8443", "[::1]"),
        ];
        for (url, expected) in rows {
            assert_eq!(host(url), expected);
        }
    }
}
