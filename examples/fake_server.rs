//! A fake Amazon Cognito on loopback, for tests of programs in any language.
//!
//! ```sh
//! cargo run --example fake_server --features testing
//! ```
//!
//! It prints two lines for a shell: the URL, and the ID of an identity pool that allows guests. It
//! runs until its standard input ends. The AWS SDKs read the first variable, and need no keys.

use std::io;

use cognito_identity_credentials::testing::{FakeCognito, FakeServer};

fn main() -> io::Result<()> {
    let server = FakeServer::start(FakeCognito::new())?;
    println!("export AWS_ENDPOINT_URL={}", server.url());
    println!("export AWS_COGNITO_IDENTITY_POOL_ID={}", FakeCognito::POOL_ID);
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
