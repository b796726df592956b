//! The AWS SDK with the provider, on the executor smol. The SDK's own HTTP client needs tokio, so
//! ureq sends the requests on smol's thread pool for blocking work.
//!
//! `AWS_COGNITO_IDENTITY_POOL_ID` is the pool, and `AWS_ENDPOINT_URL` an emulator on loopback.

mod caller_identity;

use std::error::Error;
use std::time::Duration;

use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;

fn main() -> Result<(), Box<dyn Error>> {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let connector = SharedHttpConnector::new(Unblocked(agent));
    let http = http_client_fn(move |_, _| connector.clone());
    let under_smol = |config: aws_sdk_sts::config::Builder| {
        config.http_client(http.clone()).sleep_impl(SmolSleep)
    };
    smol::block_on(caller_identity::run(under_smol))
}

#[derive(Debug)]
struct SmolSleep;

impl AsyncSleep for SmolSleep {
    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(async move {
            smol::Timer::after(duration).await;
        })
    }
}

#[derive(Debug)]
struct Unblocked(ureq::Agent);

impl HttpConnector for Unblocked {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let agent = self.0.clone();
        HttpConnectorFuture::new(smol::unblock(move || {
            send(&agent, request).map_err(|error| ConnectorError::other(error, None))
        }))
    }
}

fn send(
    agent: &ureq::Agent,
    request: HttpRequest,
) -> Result<HttpResponse, Box<dyn Error + Send + Sync>> {
    let (head, body) = request.try_into_http1x()?.into_parts();
    let body = body.bytes().ok_or("a body that is streamed")?.to_vec();
    let (head, mut body) = agent.run(http::Request::from_parts(head, body))?.into_parts();
    let body = SdkBody::from(body.read_to_vec()?);
    Ok(http::Response::from_parts(head, body).try_into()?)
}
