//! Gets the credentials with the AWS SDK for Rust: `aws URL CA_FILE [THREADS | steps]`. The SDK has
//! no provider for identity pools, so this program makes the two calls itself. For the cached get,
//! it passes them to the SDK's own cache.

use std::error::Error;

use aws_credential_types::Credentials;
use aws_sdk_cognitoidentity::config::{BehaviorVersion, Region};
use aws_sdk_cognitoidentity::{Client, Config};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
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

#[cfg(feature = "aws-ring")]
const CRYPTO: CryptoMode = CryptoMode::Ring;
#[cfg(not(feature = "aws-ring"))]
const CRYPTO: CryptoMode = CryptoMode::AwsLc;

#[derive(Debug)]
struct Cognito {
    client: Client,
}

impl Cognito {
    fn new(url: &str, authority: &[u8]) -> Fallible<Self> {
        let trust = TrustStore::empty().with_pem_certificate(authority);
        let tls = TlsContext::builder().with_trust_store(trust).build()?;
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CRYPTO))
            .tls_context(tls)
            .build_https();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(url)
            .http_client(http)
            .build();
        Ok(Self { client: Client::from_conf(config) })
    }

    async fn fetch(&self) -> Fallible<Credentials> {
        self.get_credentials(&self.get_id().await?).await
    }

    async fn get_id(&self) -> Fallible<String> {
        let minted = self.client.get_id().identity_pool_id(POOL).send().await?;
        Ok(minted.identity_id.ok_or("no identity")?)
    }

    async fn get_credentials(&self, identity: &str) -> Fallible<Credentials> {
        let answer =
            self.client.get_credentials_for_identity().identity_id(identity).send().await?;
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
    let authority = std::fs::read(arguments.next().ok_or("which CA_FILE?")?)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let cognito = Cognito::new(&url, &authority)?;
    #[cfg(feature = "extra")]
    match arguments.next().as_deref() {
        Some("steps") => {
            let mut cognito = cognito;
            let mut identity = None;
            return steps::run(|restart| {
                runtime.block_on(tasks::idle());
                if restart {
                    cognito = Cognito::new(&url, &authority)?;
                }
                let identity = match &identity {
                    Some(identity) => identity,
                    None => identity.insert(runtime.block_on(cognito.get_id())?),
                };
                let set = runtime.block_on(cognito.get_credentials(identity))?;
                Ok(set.access_key_id().to_owned())
            });
        }
        Some(threads) => {
            cached::run(&runtime, cognito, threads.parse()?)?;
            drop(runtime);
            report::report()?;
            return Ok(());
        }
        None => {}
    }
    println!("key {}", runtime.block_on(cognito.fetch())?.access_key_id());
    drop((cognito, runtime));
    report::report()?;
    Ok(())
}
