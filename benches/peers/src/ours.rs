//! Gets the credentials with this library: `ours URL CA_FILE [THREADS | steps]`.

use std::error::Error;

use cognito_identity_credentials::transport::UreqTransport;
use cognito_identity_credentials::{Builder, CognitoIdentityCredentials};

#[path = "../../footprint/src/report.rs"]
mod report;
#[cfg(feature = "extra")]
mod steps;
#[cfg(feature = "extra")]
mod threads;

const POOL: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("which URL?")?;
    let ca_file = arguments.next().ok_or("which CA_FILE?")?;
    #[cfg(feature = "extra")]
    let extra = arguments.next();
    #[cfg(feature = "extra")]
    if extra.as_deref() == Some("steps") {
        return by_steps(&url, &ca_file);
    }
    let credentials = builder(&url, &ca_file)?.build()?;
    println!("key {}", credentials.get()?.access_key_id());
    #[cfg(feature = "extra")]
    if let Some(threads) = extra {
        threads::get(threads.parse()?, || {
            let set = credentials.get().unwrap_or_else(|_| std::process::abort());
            std::hint::black_box(set);
        });
    }
    report::report()?;
    Ok(())
}

fn builder(url: &str, ca_file: &str) -> Result<Builder, Box<dyn Error>> {
    Ok(CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .endpoint_url(url)
        .transport(UreqTransport::builder().ca_file(ca_file).build()?))
}

#[cfg(feature = "extra")]
fn by_steps(url: &str, ca_file: &str) -> Result<(), Box<dyn Error>> {
    let storage = std::sync::Arc::new(cognito_identity_credentials::MemoryStorage::default());
    let start =
        || Ok::<_, Box<dyn Error>>(builder(url, ca_file)?.storage(storage.clone()).build()?);
    let mut credentials = start()?;
    steps::run(|restart| {
        if restart {
            credentials = start()?;
        }
        Ok(credentials.refresh()?.access_key_id().to_owned())
    })
}
