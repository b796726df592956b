//! From nothing to credentials, and what a second `get()` and a refresh do.
//!
//! Without settings it runs on the embedded `FakeCognito`:
//!
//! ```sh
//! cargo run --example quickstart --features testing
//! ```
//!
//! With `AWS_COGNITO_IDENTITY_POOL_ID` in the environment it talks to AWS, as a guest of that pool.
//! `Builder::from_env` lists the other variables: `AWS_ENDPOINT_URL` sends it to an emulator,
//! `AWS_COGNITO_ROLE_ARN` chooses the classic flow.

use std::env;
use std::time::Instant;

use cognito_identity_credentials::testing::FakeCognito;
use cognito_identity_credentials::{Builder, CognitoIdentityCredentials, Credentials, Error};

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error:#}");
        if let Some(hint) = error.hint() {
            eprintln!("hint: {hint}");
        }
        std::process::exit(1);
    }
}

fn run() -> Result<(), Error> {
    let settings = if let Ok(pool) = env::var("AWS_COGNITO_IDENTITY_POOL_ID") {
        println!("Asking Cognito for credentials of pool {pool}.");
        Builder::from_env()?
    } else {
        println!("AWS_COGNITO_IDENTITY_POOL_ID is not set: running on FakeCognito, in memory.");
        CognitoIdentityCredentials::builder()
            .identity_pool_id(FakeCognito::POOL_ID)
            .transport(FakeCognito::new())
    };
    let credentials = settings.build()?;

    let start = Instant::now();
    let first = credentials.get()?;
    show("first get()", &first, start);

    let start = Instant::now();
    let second = credentials.get()?;
    show("second get(), from memory", &second, start);
    assert_eq!(first, second);

    let start = Instant::now();
    let refreshed = credentials.refresh()?;
    show("refresh()", &refreshed, start);
    assert_eq!(first.identity_id(), refreshed.identity_id());
    if let Some(role) = credentials.data().and_then(|data| data.assumed_role_arn) {
        println!("  assumed role   {role}");
    }
    Ok(())
}

fn show(what: &str, credentials: &Credentials, start: Instant) {
    println!("{what} ({:?}):", start.elapsed());
    println!("  identity ID    {}", credentials.identity_id().unwrap_or("unknown"));
    println!("  access key ID  {}", credentials.access_key_id());
    println!("  expires        {}", humantime::format_rfc3339_seconds(credentials.expiration()));
}
