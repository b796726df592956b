//! What the wire formats cost: each request as it is written, each answer as it is read.
//!
//! ```sh
//! cargo bench --bench codecs --features testing
//! ```
//!
//! Floors: `floor_serde_…` reads the same answer into a bare typed struct, which refuses no field that is
//! there twice, wipes nothing, and quotes secrets in its errors; `floor_roxmltree` parses the document and
//! looks at nothing; `floor_serde_get_id` of the requests writes the same map by `serde_json::to_vec`,
//! whose buffer grows and leaves copies of the tokens behind, and wipes the last one; `floor_copy` copies
//! the body and escapes and wipes nothing. Requests are timed with the wiping of their body, answers are
//! borrowed. What takes nanoseconds is timed by a thousand calls a sample.
//!
//! The last lines show the ratios of a request's time to both floors, as the medians of alternated
//! rounds, which do not depend on the machine or its load.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark fails by panicking"
)]

#[path = "shared/answers.rs"]
mod answers;
#[path = "shared/rounds.rs"]
mod rounds;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::internals::wire_format::{
    WireFormat, json_timestamp, xml_timestamp,
};
use cognito_identity_credentials::transport::HttpResponse;
use cognito_identity_credentials::{Credentials, Logins};
use divan::Bencher;
use divan::counter::BytesCount;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use answers::{IDENTITY, POOL, ROLE, SESSION_TOKEN};
use rounds::Rounds;

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

/// As it is written in JSON and in XML.
const END: [&str; 2] = ["1.7855892E9", "2026-08-01T13:00:00Z"];

fn end() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_589_200)
}

/// So many logins of the greatest length that the service takes.
fn logins(number: usize) -> BTreeMap<String, String> {
    (0..number).map(|n| (format!("p{n}.example"), "x".repeat(50_000))).collect()
}

fn wire(number: usize) -> WireFormat {
    let logins: Logins = logins(number).into_iter().collect();
    WireFormat::new(POOL, IDENTITY, &logins, ROLE, &"o".repeat(SESSION_TOKEN)).unwrap()
}

fn json_error() -> HttpResponse {
    let body = r#"{"__type":"NotAuthorizedException","message":"Unauthenticated access is not supported for this identity pool."}"#;
    HttpResponse::new(400, body)
}

fn xml_error() -> HttpResponse {
    let body = r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error><RequestId>ad4156e9-bce1-11e2-82e6-6b6ef4e1a2b3</RequestId></ErrorResponse>"#;
    HttpResponse::new(403, body)
}

/// The request of `GetId` by the usual means.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    identity_pool_id: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    logins: BTreeMap<String, String>,
}

impl Request {
    fn new(number: usize) -> Self {
        Self { identity_pool_id: POOL, logins: logins(number) }
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(serde_json::to_vec(self).unwrap())
    }
}

/// A guest's body to the byte, and that of logins by what it says.
fn assert_body(body: &[u8], member: &str, id: &str, number: usize) {
    if number == 0 {
        assert_eq!(body, format!(r#"{{"{member}":"{id}"}}"#).as_bytes());
        return;
    }
    let said: Value = serde_json::from_slice(body).unwrap();
    assert!(said == json!({ member: id, "Logins": logins(number) }), "another body");
}

/// A guest's is written in nanoseconds, so that a sample has many; that of logins is not.
#[divan::bench_group(sample_size = 100, sample_count = 20)]
mod encode {
    use super::{
        Bencher, BytesCount, IDENTITY, POOL, Request, SESSION_TOKEN, Zeroizing, assert_body, wire,
    };

    const LOGINS: [usize; 2] = [0, 10];

    fn bench(bencher: Bencher<'_, '_>, encode: impl Fn() -> Zeroizing<Vec<u8>> + Sync) {
        bencher.counter(BytesCount::new(encode().len())).bench(|| encode().len());
    }

    #[divan::bench(args = LOGINS)]
    fn get_id(bencher: Bencher<'_, '_>, logins: usize) {
        let wire = wire(logins);
        let encode = || wire.encode_get_id().unwrap();
        assert_body(&encode(), "IdentityPoolId", POOL, logins);
        bench(bencher, encode);
    }

    #[divan::bench(args = LOGINS)]
    fn get_credentials_for_identity(bencher: Bencher<'_, '_>, logins: usize) {
        let wire = wire(logins);
        let encode = || wire.encode_get_credentials().unwrap();
        assert_body(&encode(), "IdentityId", IDENTITY, logins);
        bench(bencher, encode);
    }

    #[divan::bench(args = LOGINS)]
    fn get_open_id_token(bencher: Bencher<'_, '_>, logins: usize) {
        let wire = wire(logins);
        let encode = || wire.encode_get_open_id_token().unwrap();
        assert_body(&encode(), "IdentityId", IDENTITY, logins);
        bench(bencher, encode);
    }

    /// It has one token, whatever the logins.
    #[divan::bench]
    fn assume_role_with_web_identity(bencher: Bencher<'_, '_>) {
        let wire = wire(0);
        let encode = || wire.encode_assume_role().unwrap();
        let token = "o".repeat(SESSION_TOKEN);
        let arn = "arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fdevice";
        let expected = format!(
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={arn}&RoleSessionName=session&WebIdentityToken={token}"
        );
        assert_eq!(std::str::from_utf8(&encode()).unwrap(), expected);
        bench(bencher, encode);
    }

    #[divan::bench(args = LOGINS)]
    fn floor_serde_get_id(bencher: Bencher<'_, '_>, logins: usize) {
        let request = Request::new(logins);
        assert_eq!(request.encode(), wire(logins).encode_get_id().unwrap());
        bench(bencher, || request.encode());
    }

    #[divan::bench(args = LOGINS)]
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
        Bencher, BytesCount, Credentials, Deserialize, END, HttpResponse, IDENTITY, SESSION_TOKEN,
        WireFormat, answers, end, wire,
    };

    fn are_right(credentials: &Credentials) -> bool {
        let [secret, token] = [credentials.secret_access_key(), credentials.session_token()];
        credentials.access_key_id() == "ASIAEXAMPLE"
            && secret == "s".repeat(40)
            && token == "t".repeat(SESSION_TOKEN)
            && credentials.expiration() == end()
            && credentials.identity_id() == Some(IDENTITY)
    }

    fn bench<T>(
        bencher: Bencher<'_, '_>,
        answer: &HttpResponse,
        decode: impl Fn(&WireFormat, &HttpResponse) -> T + Sync,
        is_right: impl Fn(&T) -> bool,
    ) {
        let wire = wire(0);
        assert!(is_right(&decode(&wire, answer)));
        bencher.counter(BytesCount::new(answer.body().len())).bench(|| decode(&wire, answer));
    }

    #[divan::bench(sample_size = 1000)]
    fn get_id(bencher: Bencher<'_, '_>) {
        bench(bencher, &answers::get_id(), WireFormat::decode_get_id, |id| {
            id.as_ref().unwrap().expose() == IDENTITY
        });
    }

    #[divan::bench]
    fn get_credentials_for_identity(bencher: Bencher<'_, '_>) {
        bench(
            bencher,
            &answers::credentials(END[0]),
            WireFormat::decode_get_credentials,
            |credentials| are_right(credentials.as_ref().unwrap()),
        );
    }

    #[divan::bench]
    fn get_open_id_token(bencher: Bencher<'_, '_>) {
        let answer = answers::open_id_token();
        bench(bencher, &answer, WireFormat::decode_get_open_id_token, |token| {
            token.as_ref().unwrap().expose() == "o".repeat(SESSION_TOKEN)
        });
    }

    #[divan::bench(sample_size = 1000)]
    fn json_error(bencher: Bencher<'_, '_>) {
        bench(bencher, &super::json_error(), WireFormat::json_error, |code| {
            code.as_ref().is_some_and(|code| **code == "NotAuthorizedException")
        });
    }

    #[divan::bench]
    fn assume_role_with_web_identity(bencher: Bencher<'_, '_>) {
        bench(
            bencher,
            &answers::assumed_role(END[1]),
            WireFormat::decode_assume_role,
            |credentials| are_right(credentials.as_ref().unwrap()),
        );
    }

    #[divan::bench]
    fn xml_error(bencher: Bencher<'_, '_>) {
        bench(bencher, &super::xml_error(), WireFormat::xml_error, |code| {
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
        let answer = answers::credentials(END[0]);
        let read = |_: &WireFormat, answer: &HttpResponse| {
            serde_json::from_slice::<Answer>(answer.body()).unwrap()
        };
        bench(bencher, &answer, read, |read| read.credentials.session_token.len() == SESSION_TOKEN);
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Identity {
        identity_id: String,
    }

    #[divan::bench(sample_size = 1000)]
    fn floor_serde_get_id(bencher: Bencher<'_, '_>) {
        let read = |_: &WireFormat, answer: &HttpResponse| {
            serde_json::from_slice::<Identity>(answer.body()).unwrap()
        };
        bench(bencher, &answers::get_id(), read, |read| read.identity_id == IDENTITY);
    }

    #[divan::bench]
    fn floor_roxmltree_assume_role_with_web_identity(bencher: Bencher<'_, '_>) {
        let answer = answers::assumed_role(END[1]);
        let text = std::str::from_utf8(answer.body()).unwrap();
        let parse = || roxmltree::Document::parse(text).unwrap();
        assert_eq!(parse().root_element().tag_name().name(), "AssumeRoleWithWebIdentityResponse");
        bencher.counter(BytesCount::new(text.len())).bench(parse);
    }
}

#[divan::bench(sample_size = 1000, args = ["1785589200", "1.7855892E9", "\"2026-08-01T13:00:00Z\""])]
fn json_timestamp_of(bencher: Bencher<'_, '_>, json: &str) {
    assert_eq!(json_timestamp(json), Some(end()));
    bencher.bench(|| json_timestamp(divan::black_box(json)));
}

#[divan::bench(sample_size = 1000, args = ["2026-08-01T13:00:00Z", "2026-08-01T15:00:00+02:00"])]
fn xml_timestamp_of(bencher: Bencher<'_, '_>, text: &str) {
    assert_eq!(xml_timestamp(text), Some(end()));
    bencher.bench(|| xml_timestamp(divan::black_box(text)));
}

fn main() {
    divan::main();
    if rounds::only_tested() {
        return;
    }
    for (number, calls) in [(0, 10_000), (10, 10)] {
        let (wire, request) = (wire(number), Request::new(number));
        let body = wire.encode_get_id().unwrap();
        let rounds = Rounds::run(|| {
            [
                rounds::time(calls, || drop(divan::black_box(wire.encode_get_id().unwrap()))),
                rounds::time(calls, || drop(divan::black_box(request.encode()))),
                rounds::time(calls, || drop(divan::black_box(body.to_vec()))),
            ]
        });
        println!(
            "GetId with {number} logins: {:.0} ns; {:.2} of serde_json's {:.0} ns, {:.1} of a copy's {:.0} ns",
            rounds.ns(0),
            rounds.ratio(0, 1),
            rounds.ns(1),
            rounds.ratio(0, 2),
            rounds.ns(2)
        );
    }
}
