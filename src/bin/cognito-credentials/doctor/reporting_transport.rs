//! [`ReportingTransport`]: reports service calls for the command `doctor`.

use std::sync::Arc;
use std::time::Instant;

use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError,
};
use serde_json::json;

use crate::doctor::report::{Report, Step};
use crate::messages::failure::NETWORK;
use crate::messages::logging_transport::operation;

pub(crate) struct ReportingTransport {
    inner: Arc<dyn Transport>,
    report: Arc<Report>,
}

impl ReportingTransport {
    pub(crate) fn new(inner: Arc<dyn Transport>, report: Arc<Report>) -> Self {
        Self { inner, report }
    }
}

impl Transport for ReportingTransport {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let begun = Instant::now();
        let outcome = self.inner.send(request);
        let took = begun.elapsed();
        let operation = operation(request);
        let status = outcome.as_ref().ok().map(HttpResponse::status);
        let step = match &outcome {
            Ok(response) => {
                let date = response.header("date").map_or(", without a Date", |_| "");
                let ms = took.as_millis();
                let text =
                    format!("{operation}: HTTP status {} in {ms} ms{date}", response.status());
                match response.status() {
                    200..300 => Step::ok("call", text),
                    // The step `credentials` explains the rejection.
                    _ => Step::bad("call", None, text),
                }
            }
            Err(error) => Step::bad("call", NETWORK, format!("{operation}: {error}")),
        };
        self.report.add(step.details(json!({
            "operation": operation,
            "http_status": status,
            "seconds": took.as_secs_f64(),
        })));
        outcome
    }
}
