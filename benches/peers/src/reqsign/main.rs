//! Gets the credentials with reqsign's provider: `reqsign URL CA_FILE [THREADS | steps]`.

use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;

use reqsign_aws_core::CognitoIdentityCredentialProvider;
use reqsign_core::{Context, Env, ProvideCredential};
use reqsign_http_send_reqwest::ReqwestHttpSend;
use reqwest::{Certificate, Client};
use tokio::runtime::Builder;

#[cfg(feature = "extra")]
mod cached;
#[path = "../../../footprint/src/report.rs"]
mod report;
#[cfg(feature = "extra")]
#[path = "../steps.rs"]
mod steps;
#[cfg(feature = "extra")]
#[path = "../tasks.rs"]
mod tasks;

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

const POOL: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";

/// reqsign reads the endpoint only from the environment.
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

fn context(url: &str, authority: &[u8]) -> Fallible<Context> {
    let client = Client::builder().tls_certs_only([Certificate::from_pem(authority)?]).build()?;
    let endpoint = Endpoint { url: url.to_owned() };
    Ok(Context::new().with_env(endpoint).with_http_send(ReqwestHttpSend::new(client)))
}

fn main() -> Fallible<()> {
    #[cfg(feature = "reqsign-ring")]
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "another provider")?;
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("which URL?")?;
    let authority = std::fs::read(arguments.next().ok_or("which CA_FILE?")?)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let context = context(&url, &authority)?;
    let provider = CognitoIdentityCredentialProvider::new()
        .with_identity_pool_id(POOL)
        .with_region("us-east-1");
    let fetch = |context: &Context| -> Fallible<String> {
        let set = runtime.block_on(provider.provide_credential(context))?;
        Ok(set.ok_or("no credentials")?.access_key_id)
    };
    #[cfg(feature = "extra")]
    match arguments.next().as_deref() {
        // reqsign does not return the identity, so it cannot be kept.
        Some("steps") => {
            let mut context = context;
            return steps::run(|restart| {
                runtime.block_on(tasks::idle());
                if restart {
                    context = self::context(&url, &authority)?;
                }
                fetch(&context)
            });
        }
        Some(threads) => {
            cached::run(&runtime, context, provider, threads.parse()?)?;
            drop(runtime);
            report::report()?;
            return Ok(());
        }
        None => {}
    }
    println!("key {}", fetch(&context)?);
    drop((context, runtime));
    report::report()?;
    Ok(())
}
