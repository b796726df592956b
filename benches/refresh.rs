//! Measures a refresh without the network: each flow, and the longest logins, over a transport that
//! answers from memory.
//!
//! ```sh
//! cargo bench --bench refresh --features testing
//! ```
//!
//! `floor_…` is the cost of the transport: it copies the answers of the flow. Subtract its
//! allocations from the row of the flow. The body of a request contains each login once:
//! `floor_copy_of_10_logins` copies the same number of bytes.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails by panicking")]

#[path = "shared/answers.rs"]
mod answers;

use cognito_identity_credentials::transport::{HttpRequest, HttpResponse};
use cognito_identity_credentials::{Builder, CognitoIdentityCredentials};

use answers::{IDENTITY, POOL, ROLE, SESSION_TOKEN};

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

/// The answers of the service. Each request gets a copy.
struct Answers {
    get_id: HttpResponse,
    credentials: HttpResponse,
    open_id_token: HttpResponse,
    assumed_role: HttpResponse,
}

impl Answers {
    fn new() -> Self {
        let end = humantime::format_rfc3339_seconds(answers::in_an_hour()).to_string();
        Self {
            get_id: answers::get_id(),
            credentials: answers::credentials_for_an_hour(),
            open_id_token: answers::open_id_token(),
            assumed_role: answers::assumed_role(&end),
        }
    }

    fn to(&self, request: &HttpRequest) -> HttpResponse {
        let target = request.headers().iter().find(|(name, _)| name == "x-amz-target");
        match target.map(|(_, target)| target.rsplit('.').next().unwrap()) {
            None => self.assumed_role.clone(),
            Some("GetId") => self.get_id.clone(),
            Some("GetOpenIdToken") => self.open_id_token.clone(),
            Some(_) => self.credentials.clone(),
        }
    }
}

fn tokens(number: usize) -> String {
    "x".repeat(50_000 * number)
}

/// Creates a provider and checks one refresh.
fn provider(settings: impl FnOnce(Builder) -> Builder) -> CognitoIdentityCredentials {
    let answers = Answers::new();
    let builder = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .transport(move |request: &HttpRequest| Ok(answers.to(request)));
    let provider = settings(builder).build().unwrap();
    assert_eq!(provider.refresh().unwrap().session_token().len(), SESSION_TOKEN);
    assert_eq!(provider.identity_id().as_deref(), Some(IDENTITY));
    provider
}

fn known(builder: Builder) -> Builder {
    builder.identity_id(IDENTITY)
}

/// `GetId`, then `GetCredentialsForIdentity`.
#[divan::bench]
fn first_fetch_of_a_guest(bencher: divan::Bencher<'_, '_>) {
    let provider = provider(|builder| builder);
    bencher.bench(|| {
        provider.clear_cached_id();
        provider.refresh().unwrap()
    });
}

#[divan::bench]
fn guest(bencher: divan::Bencher<'_, '_>) {
    let provider = provider(known);
    bencher.bench(|| provider.refresh().unwrap());
}

#[divan::bench]
fn ten_logins_of_50_000_characters(bencher: divan::Bencher<'_, '_>) {
    let provider = provider(|builder| {
        (0..10).fold(known(builder), |builder, n| builder.login(format!("p{n}.example"), tokens(1)))
    });
    bencher.bench(|| provider.refresh().unwrap());
}

/// `GetOpenIdToken`, then `AssumeRoleWithWebIdentity`.
#[divan::bench]
fn classic_flow_of_a_guest(bencher: divan::Bencher<'_, '_>) {
    let provider = provider(|builder| known(builder).role_arn(ROLE));
    let data = provider.data().unwrap();
    assert!(data.assumed_role_arn.is_some(), "STS must have been asked");
    bencher.bench(|| provider.refresh().unwrap());
}

#[divan::bench]
fn floor_answer_of_the_enhanced_flow(bencher: divan::Bencher<'_, '_>) {
    let answers = Answers::new();
    assert!(answers.credentials.body().len() > SESSION_TOKEN);
    bencher.bench(|| answers.credentials.clone());
}

#[divan::bench]
fn floor_answers_of_a_first_fetch(bencher: divan::Bencher<'_, '_>) {
    let answers = Answers::new();
    assert!(answers.get_id.body().len() > IDENTITY.len());
    bencher.bench(|| [answers.get_id.clone(), answers.credentials.clone()]);
}

#[divan::bench]
fn floor_answers_of_the_classic_flow(bencher: divan::Bencher<'_, '_>) {
    let answers = Answers::new();
    assert!(answers.assumed_role.body().len() > SESSION_TOKEN);
    bencher.bench(|| [answers.open_id_token.clone(), answers.assumed_role.clone()]);
}

/// One copy of the tokens, as in the body of a request.
#[divan::bench]
fn floor_copy_of_10_logins(bencher: divan::Bencher<'_, '_>) {
    let tokens = tokens(10);
    assert_eq!(tokens.clone().len(), 500_000);
    bencher.bench(|| tokens.clone());
}

fn main() {
    divan::main();
}
