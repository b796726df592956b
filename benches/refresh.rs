//! What a refresh costs besides the network: over a transport that answers from memory.
//!
//! ```sh
//! cargo bench --bench refresh --features testing
//! ```
//!
//! `floor` is what the transport itself costs: making the answer.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails by panicking")]

use std::time::{Duration, SystemTime};

use cognito_identity_credentials::CognitoIdentityCredentials;
use cognito_identity_credentials::transport::{HttpRequest, HttpResponse};

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

const IDENTITY: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";

/// As long as the service's: the session token alone has about 1,200 characters.
fn answer() -> HttpResponse {
    let end = SystemTime::now() + Duration::from_secs(3600);
    let end = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let (secret, token) = ("s".repeat(40), "t".repeat(1_200));
    let keys = format!(
        r#""AccessKeyId":"ASIAEXAMPLE","SecretKey":"{secret}","SessionToken":"{token}","Expiration":{end}"#
    );
    HttpResponse::new(200, format!(r#"{{"IdentityId":"{IDENTITY}","Credentials":{{{keys}}}}}"#))
        .with_header("date", httpdate::fmt_http_date(SystemTime::now()))
}

fn provider(login: &str) -> CognitoIdentityCredentials {
    let prepared = answer();
    let builder = CognitoIdentityCredentials::builder()
        .identity_pool_id("us-east-1:00000000-0000-4000-8000-0000000000aa")
        .identity_id(IDENTITY)
        .transport(move |_: &HttpRequest| Ok(prepared.clone()));
    let builder = if login.is_empty() { builder } else { builder.login("example.com", login) };
    let provider = builder.build().unwrap();
    assert_eq!(provider.refresh().unwrap().session_token().len(), 1_200);
    provider
}

#[divan::bench]
fn refresh_as_guest(bencher: divan::Bencher<'_, '_>) {
    let provider = provider("");
    bencher.bench(|| provider.refresh().unwrap());
}

#[divan::bench]
fn refresh_with_a_login_of_1_kib(bencher: divan::Bencher<'_, '_>) {
    let provider = provider(&"x".repeat(1024));
    bencher.bench(|| provider.refresh().unwrap());
}

#[divan::bench]
fn floor(bencher: divan::Bencher<'_, '_>) {
    let prepared = answer();
    assert_eq!(prepared.status(), 200);
    bencher.bench(|| prepared.clone());
}

fn main() {
    divan::main();
}
