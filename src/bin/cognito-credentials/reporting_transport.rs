//! [`ReportingTransport`]: reports connections and service calls for the command `doctor`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
};

use crate::failure::{NETWORK, REFUSED};
use crate::logging_transport::{host, operation};
use crate::report;

/// A transport that reports each exchange of another transport.
pub(crate) struct ReportingTransport {
    inner: Arc<dyn Transport>,
    /// The hosts that have answered.
    hosts: Mutex<BTreeSet<String>>,
}

impl ReportingTransport {
    pub(crate) fn new(inner: Arc<dyn Transport>) -> Self {
        Self { inner, hosts: Mutex::default() }
    }
}

impl Transport for ReportingTransport {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let host = host(request.url());
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = Instant::now();
        let outcome = self.inner.send(request);
        let took = begun.elapsed().as_millis();
        let operation = operation(request);
        match &outcome {
            Ok(response) => {
                if hosts.insert(host.to_owned()) {
                    let tls = request.url().starts_with("https:");
                    let how = if tls { "TLS" } else { "plain http, without TLS" };
                    report::ok("connection", &format!("{host}: {how}"));
                }
                let fine = (200..300).contains(&response.status());
                let mut said = format!("HTTP status {} in {took} ms", response.status());
                if response.header("date").is_none() {
                    let _ = write!(said, ", without a Date");
                }
                if fine {
                    report::ok(operation, &said);
                } else {
                    report::bad(REFUSED, operation, &said);
                }
            }
            Err(error) => {
                let what = match error.kind() {
                    TransportErrorKind::Tls => "TLS",
                    _ => "connection",
                };
                report::bad(NETWORK, what, &error.to_string());
            }
        }
        outcome
    }
}
