//! What the wire formats cost: each request as it is written, each answer as it is read.
//!
//! ```sh
//! cargo bench --bench codecs --features testing
//! ```
//!
//! Floors: `floor_serde_…` reads the same answer into a bare typed struct, which refuses no field that is
//! there twice, wipes nothing, and quotes secrets in its errors; `floor_roxmltree` parses the document and
//! looks at nothing; `floor_copy` copies the body of a request. Requests are timed with the wiping of
//! their body, answers are borrowed.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails by panicking")]

use std::time::{Duration, SystemTime};

use cognito_identity_credentials::Logins;
use cognito_identity_credentials::testing::wire::{Wire, json_timestamp, xml_timestamp};
use cognito_identity_credentials::transport::HttpResponse;
use divan::Bencher;
use divan::counter::BytesCount;
use serde::Deserialize;

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

const POOL: &str = "us-east-1:00000000-0000-4000-8000-0000000000aa";
const IDENTITY: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";
const SESSION_TOKEN: usize = 1_200;

fn end() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_589_200)
}

/// With so many logins of the greatest length that the service takes.
fn wire(logins: usize) -> Wire {
    let logins: Logins =
        (0..logins).map(|n| (format!("p{n}.example"), "x".repeat(50_000))).collect();
    let role = "arn:aws:iam::123456789012:role/device";
    Wire::new(POOL, IDENTITY, &logins, role, &"o".repeat(SESSION_TOKEN)).unwrap()
}

fn get_id() -> HttpResponse {
    HttpResponse::new(200, format!(r#"{{"IdentityId":"{IDENTITY}"}}"#))
}

fn get_credentials() -> HttpResponse {
    let (secret, token) = ("s".repeat(40), "t".repeat(SESSION_TOKEN));
    let keys = format!(
        r#""AccessKeyId":"ASIAEXAMPLE","SecretKey":"{secret}","SessionToken":"{token}","Expiration":1.7855892E9"#
    );
    HttpResponse::new(200, format!(r#"{{"IdentityId":"{IDENTITY}","Credentials":{{{keys}}}}}"#))
}

fn get_open_id_token() -> HttpResponse {
    let token = "o".repeat(SESSION_TOKEN);
    HttpResponse::new(200, format!(r#"{{"IdentityId":"{IDENTITY}","Token":"{token}"}}"#))
}

fn assume_role() -> HttpResponse {
    let (secret, token) = ("s".repeat(40), "t".repeat(SESSION_TOKEN));
    let xml = format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult><SubjectFromWebIdentityToken>{IDENTITY}</SubjectFromWebIdentityToken><Audience>{POOL}</Audience><AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/device/device</Arn><AssumedRoleId>AROACLKWSDQRAOEXAMPLE:device</AssumedRoleId></AssumedRoleUser><Credentials><SessionToken>{token}</SessionToken><SecretAccessKey>{secret}</SecretAccessKey><Expiration>2026-08-01T13:00:00Z</Expiration><AccessKeyId>ASIAEXAMPLE</AccessKeyId></Credentials><Provider>cognito-identity.amazonaws.com</Provider></AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>ad4156e9-bce1-11e2-82e6-6b6ef4e1a2b3</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>"
    );
    HttpResponse::new(200, xml)
}

fn json_error() -> HttpResponse {
    let body = r#"{"__type":"NotAuthorizedException","message":"Unauthenticated access is not supported for this identity pool."}"#;
    HttpResponse::new(400, body)
}

fn xml_error() -> HttpResponse {
    let body = r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error><RequestId>ad4156e9-bce1-11e2-82e6-6b6ef4e1a2b3</RequestId></ErrorResponse>"#;
    HttpResponse::new(403, body)
}

#[divan::bench_group]
mod encode {
    use super::{Bencher, BytesCount, IDENTITY, POOL, SESSION_TOKEN, Wire, wire};

    fn bench(
        bencher: Bencher<'_, '_>,
        logins: usize,
        expected: &str,
        encode: impl Fn(&Wire) -> usize + Sync,
    ) {
        let wire = wire(logins);
        let length = encode(&wire);
        assert!(length > expected.len() + logins * 50_000, "{length} bytes are too few");
        bencher.counter(BytesCount::new(length)).bench(|| encode(&wire));
    }

    #[divan::bench(args = [0, 10])]
    fn get_id(bencher: Bencher<'_, '_>, logins: usize) {
        bench(bencher, logins, POOL, |wire| wire.encode_get_id().unwrap().len());
    }

    #[divan::bench(args = [0, 10])]
    fn get_credentials_for_identity(bencher: Bencher<'_, '_>, logins: usize) {
        bench(bencher, logins, IDENTITY, |wire| wire.encode_get_credentials().unwrap().len());
    }

    #[divan::bench(args = [0, 10])]
    fn get_open_id_token(bencher: Bencher<'_, '_>, logins: usize) {
        bench(bencher, logins, IDENTITY, |wire| wire.encode_get_open_id_token().unwrap().len());
    }

    /// It has one token, whatever the logins.
    #[divan::bench]
    fn assume_role_with_web_identity(bencher: Bencher<'_, '_>) {
        let token = "o".repeat(SESSION_TOKEN);
        bench(bencher, 0, &token, |wire| wire.encode_assume_role().unwrap().len());
    }

    #[divan::bench(args = [0, 10])]
    fn floor_copy(bencher: Bencher<'_, '_>, logins: usize) {
        let body = wire(logins).encode_get_id().unwrap();
        assert_eq!(body.to_vec(), *body);
        bencher
            .counter(BytesCount::new(body.len()))
            .bench(|| divan::black_box(body.to_vec()).len());
    }
}

#[divan::bench_group]
mod decode {
    use super::{
        Bencher, BytesCount, Deserialize, HttpResponse, IDENTITY, SESSION_TOKEN, Wire, assume_role,
        end, get_credentials, wire,
    };

    fn bench<T>(
        bencher: Bencher<'_, '_>,
        answer: &HttpResponse,
        decode: impl Fn(&Wire, &HttpResponse) -> T + Sync,
        is_right: impl Fn(&T) -> bool,
    ) {
        let wire = wire(0);
        assert!(is_right(&decode(&wire, answer)));
        bencher.counter(BytesCount::new(answer.body().len())).bench(|| decode(&wire, answer));
    }

    #[divan::bench]
    fn get_id(bencher: Bencher<'_, '_>) {
        bench(bencher, &super::get_id(), Wire::decode_get_id, |id| *id == Some(IDENTITY.len()));
    }

    #[divan::bench]
    fn get_credentials_for_identity(bencher: Bencher<'_, '_>) {
        bench(bencher, &get_credentials(), Wire::decode_get_credentials, |credentials| {
            let credentials = credentials.as_ref().unwrap();
            credentials.expiration() == end() && credentials.session_token().len() == SESSION_TOKEN
        });
    }

    #[divan::bench]
    fn get_open_id_token(bencher: Bencher<'_, '_>) {
        let answer = super::get_open_id_token();
        bench(bencher, &answer, Wire::decode_get_open_id_token, |token| {
            *token == Some(SESSION_TOKEN)
        });
    }

    #[divan::bench]
    fn json_error(bencher: Bencher<'_, '_>) {
        bench(bencher, &super::json_error(), Wire::json_error, |code| {
            code.as_ref().is_some_and(|code| **code == "NotAuthorizedException")
        });
    }

    #[divan::bench]
    fn assume_role_with_web_identity(bencher: Bencher<'_, '_>) {
        bench(bencher, &assume_role(), Wire::decode_assume_role, |credentials| {
            let credentials = credentials.as_ref().unwrap();
            credentials.expiration() == end() && credentials.session_token().len() == SESSION_TOKEN
        });
    }

    #[divan::bench]
    fn xml_error(bencher: Bencher<'_, '_>) {
        bench(bencher, &super::xml_error(), Wire::xml_error, |code| {
            code.as_ref().is_some_and(|code| **code == "AccessDenied")
        });
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    #[expect(dead_code, reason = "read into, and dropped")]
    struct Answer {
        identity_id: String,
        credentials: Keys,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    #[expect(dead_code, reason = "read into, and dropped")]
    struct Keys {
        access_key_id: String,
        secret_key: String,
        session_token: String,
        expiration: f64,
    }

    #[divan::bench]
    fn floor_serde_get_credentials_for_identity(bencher: Bencher<'_, '_>) {
        let answer = get_credentials();
        let read = |_: &Wire, answer: &HttpResponse| {
            serde_json::from_slice::<Answer>(answer.body()).unwrap()
        };
        bench(bencher, &answer, read, |read| read.credentials.session_token.len() == SESSION_TOKEN);
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Identity {
        identity_id: String,
    }

    #[divan::bench]
    fn floor_serde_get_id(bencher: Bencher<'_, '_>) {
        let read = |_: &Wire, answer: &HttpResponse| {
            serde_json::from_slice::<Identity>(answer.body()).unwrap()
        };
        bench(bencher, &super::get_id(), read, |read| read.identity_id == IDENTITY);
    }

    #[divan::bench]
    fn floor_roxmltree_assume_role_with_web_identity(bencher: Bencher<'_, '_>) {
        let answer = assume_role();
        let text = std::str::from_utf8(answer.body()).unwrap();
        let parse = || roxmltree::Document::parse(text).unwrap();
        assert_eq!(parse().root_element().tag_name().name(), "AssumeRoleWithWebIdentityResponse");
        bencher.counter(BytesCount::new(text.len())).bench(parse);
    }
}

#[divan::bench(args = ["1785589200", "1.7855892E9", "\"2026-08-01T13:00:00Z\""])]
fn json_timestamp_of(bencher: Bencher<'_, '_>, json: &str) {
    assert_eq!(json_timestamp(json), Some(end()));
    bencher.bench(|| json_timestamp(divan::black_box(json)));
}

#[divan::bench(args = ["2026-08-01T13:00:00Z", "2026-08-01T15:00:00+02:00"])]
fn xml_timestamp_of(bencher: Bencher<'_, '_>, text: &str) {
    assert_eq!(xml_timestamp(text), Some(end()));
    bencher.bench(|| xml_timestamp(divan::black_box(text)));
}

fn main() {
    divan::main();
}
