//! A program that can use everything: a role in the classic flow, an identity in files, logins,
//! retries and a proxy from the environment.
//!
//! `full URL CA_FILE FOLDER [ROLE_ARN [LOGIN_PROVIDER TOKEN_FILE]]`. Without a role it uses the
//! enhanced flow.

use std::error::Error;

use cognito_identity_credentials::transport::UreqTransport;
use cognito_identity_credentials::{CognitoIdentityCredentials, FileStorage, FileToken};

mod report;

const POOL: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next();
    let url = next().ok_or("which URL?")?;
    let transport = UreqTransport::builder()
        .ca_file(next().ok_or("which CA_FILE?")?)
        .proxy_from_env(true)
        .build()?;
    let mut builder = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .endpoint_url(url.clone())
        .sts_endpoint_url(url)
        .transport(transport)
        .storage(FileStorage::new(next().ok_or("which folder?")?))
        .on_identity_change(|change| println!("identity {:?}", change.reason));
    if let Some(role) = next() {
        builder = builder.role_arn(role);
    }
    if let (Some(provider), Some(path)) = (next(), next()) {
        builder = builder.login_from(provider, FileToken::new(path));
    }
    let credentials = builder.build()?;
    println!("key {}", credentials.get()?.access_key_id());
    println!("role {:?}", credentials.data().and_then(|data| data.assumed_role_arn));
    report::report()?;
    Ok(())
}
