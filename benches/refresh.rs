//! What a refresh costs besides the network: over a transport that answers from memory, each flow with
//! each kind of logins.
//!
//! ```sh
//! cargo bench --bench refresh --features testing
//! ```
//!
//! `floor_…` is what the transport itself costs, making the answers of the flow: its allocations are in
//! the rows above and none of the library's. The body of the request holds each login once, so with
//! long logins its bytes are most of the row: `floor_copy_of_10_logins` copies as much.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails by panicking")]

use std::time::{Duration, SystemTime};

use cognito_identity_credentials::transport::{HttpRequest, HttpResponse};
use cognito_identity_credentials::{Builder, CognitoIdentityCredentials};

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

const POOL: &str = "us-east-1:00000000-0000-4000-8000-0000000000aa";
const IDENTITY: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";
const ROLE: &str = "arn:aws:iam::123456789012:role/device";

/// The longest that the service takes.
const LONG: usize = 50_000;

/// As long as the service's, in characters.
const SESSION_TOKEN: usize = 1_200;

/// The answers of the service, made once and copied for each request.
struct Answers {
    get_id: HttpResponse,
    credentials: HttpResponse,
    open_id_token: HttpResponse,
    assumed_role: HttpResponse,
}

impl Answers {
    fn new() -> Self {
        let end = SystemTime::now() + Duration::from_secs(3600);
        let seconds = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let (secret, token) = ("s".repeat(40), "t".repeat(SESSION_TOKEN));
        let keys = format!(
            r#""AccessKeyId":"ASIAEXAMPLE","SecretKey":"{secret}","SessionToken":"{token}","Expiration":{seconds}"#
        );
        let end = rfc3339(end);
        let xml = format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult><SubjectFromWebIdentityToken>{IDENTITY}</SubjectFromWebIdentityToken><Audience>{POOL}</Audience><AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/device/device</Arn><AssumedRoleId>AROACLKWSDQRAOEXAMPLE:device</AssumedRoleId></AssumedRoleUser><Credentials><SessionToken>{token}</SessionToken><SecretAccessKey>{secret}</SecretAccessKey><Expiration>{end}</Expiration><AccessKeyId>ASIAEXAMPLE</AccessKeyId></Credentials><Provider>cognito-identity.amazonaws.com</Provider></AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>ad4156e9-bce1-11e2-82e6-6b6ef4e1a2b3</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>"
        );
        Self {
            get_id: answer(format!(r#"{{"IdentityId":"{IDENTITY}"}}"#)),
            credentials: answer(format!(
                r#"{{"IdentityId":"{IDENTITY}","Credentials":{{{keys}}}}}"#
            )),
            open_id_token: answer(format!(r#"{{"IdentityId":"{IDENTITY}","Token":"{token}"}}"#)),
            assumed_role: answer(xml),
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

fn answer(body: String) -> HttpResponse {
    HttpResponse::new(200, body)
        .with_header("date", httpdate::fmt_http_date(SystemTime::now()))
        .with_header("x-amzn-requestid", "d0f4f0a5-6d37-4c9a-9c3b-0b8ff6d5f7a1")
}

/// RFC 3339, to the second.
fn rfc3339(moment: SystemTime) -> String {
    jiff::Timestamp::try_from(moment).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn token(length: usize) -> String {
    "x".repeat(length)
}

/// A provider whose refreshes are as good as the settings say.
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

fn logins(builder: Builder, number: usize, length: usize) -> Builder {
    (0..number).fold(builder, |builder, n| builder.login(format!("p{n}.example"), token(length)))
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
fn login_of_1_kib(bencher: divan::Bencher<'_, '_>) {
    let provider = provider(|builder| logins(known(builder), 1, 1024));
    bencher.bench(|| provider.refresh().unwrap());
}

#[divan::bench(args = [1, 10])]
fn logins_of_50_000_characters(bencher: divan::Bencher<'_, '_>, number: usize) {
    let provider = provider(|builder| logins(known(builder), number, LONG));
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

/// The tokens once over, as the body of a request must hold them.
#[divan::bench]
fn floor_copy_of_10_logins(bencher: divan::Bencher<'_, '_>) {
    let tokens = token(10 * LONG);
    assert_eq!(tokens.clone().len(), 10 * LONG);
    bencher.bench(|| tokens.clone());
}

fn main() {
    divan::main();
}
