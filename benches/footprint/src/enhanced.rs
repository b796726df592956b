//! The smallest program with the library: the credentials of one guest in the enhanced flow.
//!
//! `enhanced URL [CA_FILE]`

use std::error::Error;

use cognito_identity_credentials::CognitoIdentityCredentials;
use cognito_identity_credentials::transport::UreqTransport;

mod report;

const POOL: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("which URL?")?;
    let mut transport = UreqTransport::builder();
    if let Some(path) = arguments.next() {
        transport = transport.ca_file(path);
    }
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .endpoint_url(url)
        .transport(transport.build()?)
        .build()?;
    println!("key {}", credentials.get()?.access_key_id());
    report::report()?;
    Ok(())
}
