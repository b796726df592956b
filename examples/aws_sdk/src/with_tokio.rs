//! The AWS SDK with the provider, on tokio and with the SDK's own HTTP client.
//!
//! `AWS_COGNITO_IDENTITY_POOL_ID` is the pool, and `AWS_ENDPOINT_URL` an emulator on loopback,
//! because the client here has no TLS.

mod caller_identity;

use std::error::Error;

use aws_smithy_async::rt::sleep::TokioSleep;

fn main() -> Result<(), Box<dyn Error>> {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let under_tokio = |config: aws_sdk_sts::config::Builder| {
        config.http_client(http.clone()).sleep_impl(TokioSleep::new())
    };
    // The runtime has one thread, to show that a refresh does not block it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(caller_identity::run(under_tokio))
}
