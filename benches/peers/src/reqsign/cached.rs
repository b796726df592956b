//! reqsign's cache is inside its signer, which uses credentials only for a signature. So the
//! signature here does nothing.

use std::error::Error;
use std::hint::black_box;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::request::Parts;
use reqsign_aws_core::{CognitoIdentityCredentialProvider, Credential};
use reqsign_core::{Context, SignRequest, Signer};
use tokio::runtime::Runtime;

use crate::tasks;

pub fn run(
    runtime: &Runtime,
    context: Context,
    provider: CognitoIdentityCredentialProvider,
    threads: usize,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let unsigned = Unsigned::default();
    let key = unsigned.key.clone();
    let cache = Arc::new(Cache { signer: Signer::new(context, provider, unsigned) });
    runtime.block_on(cache.sign())?;
    println!("key {}", key.get().ok_or("no credentials")?);
    tasks::get(threads, &cache)
}

#[derive(Clone, Debug, Default)]
struct Unsigned {
    key: Arc<OnceLock<String>>,
}

impl SignRequest for Unsigned {
    type Credential = Credential;

    async fn sign_request(
        &self,
        _: &Context,
        _: &mut Parts,
        credential: Option<&Credential>,
        _: Option<Duration>,
    ) -> reqsign_core::Result<()> {
        if let Some(credential) = black_box(credential) {
            self.key.get_or_init(|| credential.access_key_id.clone());
        }
        Ok(())
    }
}

struct Cache {
    signer: Signer<Credential>,
}

impl Cache {
    async fn sign(&self) -> reqsign_core::Result<()> {
        let (mut request, ()) = http::Request::new(()).into_parts();
        self.signer.sign(&mut request, None).await
    }
}

impl tasks::Get for Cache {
    async fn get(&self) {
        self.sign().await.unwrap_or_else(|_| std::process::abort());
    }
}
