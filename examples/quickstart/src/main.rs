//! Gets credentials, gets them again from the cache, and refreshes them.
//!
//! ```sh
//! cargo run --manifest-path examples/quickstart/Cargo.toml
//! ```
//!
//! Without settings it uses `FakeCognito`, a fake service in memory. With
//! `AWS_COGNITO_IDENTITY_POOL_ID` in the environment it calls AWS, as a guest of that pool.
//! `Builder::from_env` lists the other variables: for example, `AWS_ENDPOINT_URL` is the URL of an
//! emulator, and `AWS_COGNITO_ROLE_ARN` chooses the classic flow.

use std::env;
use std::time::Instant;

use cognito_identity_credentials::testing::FakeCognito;
use cognito_identity_credentials::{Builder, CognitoIdentityCredentials, Credentials, Error};
use log::{LevelFilter, Log, Metadata, Record};

fn main() {
    if log::set_logger(&Stderr).is_ok() {
        log::set_max_level(LevelFilter::Debug);
    }
    if let Err(error) = run() {
        eprintln!("error: {error:#}");
        if let Some(hint) = error.hint() {
            eprintln!("hint: {hint}");
        }
        std::process::exit(1);
    }
}

fn run() -> Result<(), Error> {
    let pool = env::var("AWS_COGNITO_IDENTITY_POOL_ID").ok().filter(|pool| !pool.is_empty());
    let settings = if let Some(pool) = &pool {
        println!("Cognito, with the identity pool {pool}\n");
        Builder::from_env()?
    } else {
        println!("FakeCognito, a fake service in memory (no network, no AWS account)\n");
        CognitoIdentityCredentials::builder()
            .identity_pool_id(FakeCognito::POOL_ID)
            .transport(FakeCognito::new())
    };
    let credentials = settings.build()?;

    let start = Instant::now();
    let first = credentials.get()?;
    show("get() called the service", &first, start);

    let start = Instant::now();
    let second = credentials.get()?;
    show("get() returned the cached credentials", &second, start);
    assert_eq!(first, second);

    let start = Instant::now();
    let refreshed = credentials.refresh()?;
    show("refresh() called the service for new credentials", &refreshed, start);
    assert_eq!(first.identity_id(), refreshed.identity_id());
    if let Some(role) = credentials.data().and_then(|data| data.assumed_role_arn) {
        println!("  assumed role   {role}");
    }

    println!("\nNext:");
    if pool.is_none() {
        println!("* To use AWS, set AWS_COGNITO_IDENTITY_POOL_ID to the ID of a pool that allows");
        println!("  guests, and run this program again.");
    } else {
        println!(
            "* This program stores no identity, so each run creates a new guest. Your program"
        );
        println!("  can keep the identity: see \"Keep the identity\" in docs/simple-program.md.");
    }
    println!("* To write a program of your own, read docs/simple-program.md.");
    println!("* To upload to S3 or call another AWS service, read docs/aws-services.md.");
    Ok(())
}

fn show(what: &str, credentials: &Credentials, start: Instant) {
    println!("{what} ({:.1?}):", start.elapsed());
    println!("  identity ID    {}", credentials.identity_id().unwrap_or("unknown"));
    println!("  access key ID  {}", credentials.access_key_id());
    println!("  expires        {}", humantime::format_rfc3339_seconds(credentials.expiration()));
}

/// Prints what the library logs, for example each failed attempt. Without a logger, a program waits
/// up to 60 s for a service that does not answer, and nothing shows why.
struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("cognito_identity_credentials")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("{}: {}", record.level(), record.args());
        }
    }

    fn flush(&self) {}
}
