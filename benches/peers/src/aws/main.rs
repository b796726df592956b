//! The job with the AWS SDK for Rust: `aws URL CA_FILE [THREADS]`. It has no provider for Cognito,
//! so this makes the two calls as its users do, and for the cached get hands them to the SDK's own
//! cache.

use std::error::Error;

use aws_credential_types::Credentials;
use aws_sdk_cognitoidentity::config::{BehaviorVersion, Region};
use aws_sdk_cognitoidentity::{Client, Config};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

#[cfg(feature = "cached")]
mod cached;
#[path = "../../../footprint/src/report.rs"]
mod report;

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

const POOL: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";

#[cfg(feature = "aws-ring")]
const CRYPTO: CryptoMode = CryptoMode::Ring;
#[cfg(not(feature = "aws-ring"))]
const CRYPTO: CryptoMode = CryptoMode::AwsLc;

#[derive(Debug)]
struct Cognito {
    client: Client,
}

impl Cognito {
    fn new(url: String, authority: Vec<u8>) -> Fallible<Self> {
        let trust = TrustStore::empty().with_pem_certificate(authority);
        let tls = TlsContext::builder().with_trust_store(trust).build()?;
        let http =
            Builder::new().tls_provider(Provider::Rustls(CRYPTO)).tls_context(tls).build_https();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(url)
            .http_client(http)
            .build();
        Ok(Self { client: Client::from_conf(config) })
    }

    async fn fetch(&self) -> Fallible<Credentials> {
        let minted = self.client.get_id().identity_pool_id(POOL).send().await?;
        let answer = self
            .client
            .get_credentials_for_identity()
            .identity_id(minted.identity_id.ok_or("no identity")?)
            .send()
            .await?;
        let set = answer.credentials.ok_or("no credentials")?;
        Ok(Credentials::new(
            set.access_key_id.ok_or("no key")?,
            set.secret_key.ok_or("no secret")?,
            set.session_token,
            set.expiration.map(TryInto::try_into).transpose()?,
            "cognito",
        ))
    }
}

fn main() -> Fallible<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("which URL?")?;
    let authority = std::fs::read(arguments.next().ok_or("whose authority?")?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cognito = Cognito::new(url, authority)?;
    #[cfg(feature = "cached")]
    if let Some(threads) = arguments.next() {
        cached::run(&runtime, cognito, threads.parse()?)?;
        drop(runtime);
        report::report()?;
        return Ok(());
    }
    println!("key {}", runtime.block_on(cognito.fetch())?.access_key_id());
    drop((cognito, runtime));
    report::report()?;
    Ok(())
}
