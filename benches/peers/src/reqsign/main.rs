//! The job with reqsign's provider for Cognito: `reqsign URL CA_FILE [THREADS]`.

use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;

use reqsign_aws_core::CognitoIdentityCredentialProvider;
use reqsign_core::{Context, Env, ProvideCredential};
use reqsign_http_send_reqwest::ReqwestHttpSend;
use reqwest::{Certificate, Client};

#[cfg(feature = "cached")]
mod cached;
#[path = "../../../footprint/src/report.rs"]
mod report;

const POOL: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";

/// The one setting that it takes from the environment alone: the endpoint.
#[derive(Debug)]
struct Endpoint {
    url: String,
}

impl Env for Endpoint {
    fn var(&self, name: &str) -> Option<String> {
        (name == "AWS_COGNITO_ENDPOINT").then(|| self.url.clone())
    }

    fn vars(&self) -> HashMap<String, String> {
        HashMap::new()
    }

    fn home_dir(&self) -> Option<PathBuf> {
        None
    }
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    #[cfg(feature = "reqsign-ring")]
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "another provider")?;
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("which URL?")?;
    let authority = std::fs::read(arguments.next().ok_or("whose authority?")?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::builder().tls_certs_only([Certificate::from_pem(&authority)?]).build()?;
    let context =
        Context::new().with_env(Endpoint { url }).with_http_send(ReqwestHttpSend::new(client));
    let provider = CognitoIdentityCredentialProvider::new()
        .with_identity_pool_id(POOL)
        .with_region("us-east-1");
    #[cfg(feature = "cached")]
    if let Some(threads) = arguments.next() {
        cached::run(&runtime, context, provider, threads.parse()?)?;
        drop(runtime);
        report::report()?;
        return Ok(());
    }
    let set = runtime.block_on(provider.provide_credential(&context))?;
    println!("key {}", set.ok_or("no credentials")?.access_key_id);
    drop((context, runtime));
    report::report()?;
    Ok(())
}
