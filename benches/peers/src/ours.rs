//! The job with this library: `ours URL CA_FILE [THREADS]`.

use std::error::Error;

use cognito_identity_credentials::CognitoIdentityCredentials;
use cognito_identity_credentials::transport::UreqTransport;

#[path = "../../footprint/src/report.rs"]
mod report;
#[cfg(feature = "cached")]
mod threads;

const POOL: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("which URL?")?;
    let transport = UreqTransport::builder().ca_file(arguments.next().ok_or("whose authority?")?);
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .endpoint_url(url)
        .transport(transport.build()?)
        .build()?;
    println!("key {}", credentials.get()?.access_key_id());
    #[cfg(feature = "cached")]
    if let Some(threads) = arguments.next() {
        threads::get(threads.parse()?, || {
            let set = credentials.get().unwrap_or_else(|_| std::process::abort());
            std::hint::black_box(set);
        });
    }
    report::report()?;
    Ok(())
}
