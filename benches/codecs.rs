//! Measures the wire formats: how long writing a request and reading an answer take.
//!
//! ```sh
//! cargo bench --bench codecs --features _bench
//! ```
//!
//! Each `floor_…` is the least that the same work can cost:
//!
//! * `floor_serde_json` of a request writes the same JSON with `serde_json::to_vec` and wipes the
//!   buffer. That buffer grows, so it leaves copies of the tokens in memory.
//! * `floor_serde_json` of an answer reads it into a plain struct. It accepts a field that occurs
//!   twice, wipes nothing, and its errors quote secrets.
//! * `floor_roxmltree` parses the document and reads nothing from it.
//!
//! The last line shows the ratio for the request. It is the median of alternating rounds, so it
//! does not depend on the machine or its load.

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

use cognito_identity_credentials::internals::wire_format::WireFormat;
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

/// The most logins that a request may have, each as long as the service allows.
fn logins() -> BTreeMap<String, String> {
    (0..10).map(|n| (format!("p{n}.example"), "x".repeat(50_000))).collect()
}

fn wire() -> WireFormat {
    let logins: Logins = logins().into_iter().collect();
    WireFormat::new(POOL, IDENTITY, &logins, ROLE, &"o".repeat(SESSION_TOKEN)).unwrap()
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetId {
    identity_pool_id: &'static str,
    logins: BTreeMap<String, String>,
}

impl GetId {
    fn new() -> Self {
        Self { identity_pool_id: POOL, logins: logins() }
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(serde_json::to_vec(self).unwrap())
    }
}

#[divan::bench_group(sample_size = 100, sample_count = 20)]
mod encode_get_id {
    use super::{Bencher, BytesCount, GetId, POOL, Value, Zeroizing, json, logins, wire};

    fn bench(bencher: Bencher<'_, '_>, encode: impl Fn() -> Zeroizing<Vec<u8>> + Sync) {
        let value: Value = serde_json::from_slice(&encode()).unwrap();
        assert!(value == json!({ "IdentityPoolId": POOL, "Logins": logins() }), "another body");
        bencher.counter(BytesCount::new(encode().len())).bench(|| encode().len());
    }

    #[divan::bench]
    fn ours(bencher: Bencher<'_, '_>) {
        let wire = wire();
        bench(bencher, || wire.encode_get_id().unwrap());
    }

    #[divan::bench]
    fn floor_serde_json(bencher: Bencher<'_, '_>) {
        let request = GetId::new();
        bench(bencher, || request.encode());
    }
}

fn assert_credentials(credentials: &Credentials) {
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_589_200);
    assert_eq!(credentials.access_key_id(), "ASIAEXAMPLE");
    assert_eq!(credentials.secret_access_key(), "s".repeat(40));
    assert_eq!(credentials.session_token(), "t".repeat(SESSION_TOKEN));
    assert_eq!(credentials.expiration(), end);
    assert_eq!(credentials.identity_id(), Some(IDENTITY));
}

#[divan::bench_group]
mod decode_get_credentials_for_identity {
    use super::{
        Bencher, BytesCount, Deserialize, HttpResponse, SESSION_TOKEN, answers, assert_credentials,
        wire,
    };

    fn answer() -> HttpResponse {
        answers::credentials("1.7855892E9")
    }

    #[divan::bench]
    fn ours(bencher: Bencher<'_, '_>) {
        let (wire, answer) = (wire(), answer());
        assert_credentials(&wire.decode_get_credentials(&answer).unwrap());
        bencher
            .counter(BytesCount::new(answer.body().len()))
            .bench(|| wire.decode_get_credentials(&answer));
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    #[expect(dead_code, reason = "the bench only fills the fields")]
    struct Answer {
        identity_id: String,
        credentials: Keys,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    #[expect(dead_code, reason = "the bench only fills the fields")]
    struct Keys {
        access_key_id: String,
        secret_key: String,
        session_token: String,
        expiration: f64,
    }

    #[divan::bench]
    fn floor_serde_json(bencher: Bencher<'_, '_>) {
        let answer = answer();
        let read = || serde_json::from_slice::<Answer>(answer.body()).unwrap();
        assert_eq!(read().credentials.session_token.len(), SESSION_TOKEN);
        bencher.counter(BytesCount::new(answer.body().len())).bench(read);
    }
}

#[divan::bench_group]
mod decode_assume_role_with_web_identity {
    use super::{Bencher, BytesCount, HttpResponse, answers, assert_credentials, wire};

    fn answer() -> HttpResponse {
        answers::assumed_role("2026-08-01T13:00:00Z")
    }

    #[divan::bench]
    fn ours(bencher: Bencher<'_, '_>) {
        let (wire, answer) = (wire(), answer());
        assert_credentials(&wire.decode_assume_role(&answer).unwrap());
        bencher
            .counter(BytesCount::new(answer.body().len()))
            .bench(|| wire.decode_assume_role(&answer));
    }

    #[divan::bench]
    fn floor_roxmltree(bencher: Bencher<'_, '_>) {
        let answer = answer();
        let text = std::str::from_utf8(answer.body()).unwrap();
        let parse = || roxmltree::Document::parse(text).unwrap();
        assert_eq!(parse().root_element().tag_name().name(), "AssumeRoleWithWebIdentityResponse");
        bencher.counter(BytesCount::new(text.len())).bench(parse);
    }
}

fn main() {
    divan::main();
    if rounds::only_tested() {
        return;
    }
    let (wire, request) = (wire(), GetId::new());
    let rounds = Rounds::run(|| {
        [
            rounds::time(10, || drop(divan::black_box(wire.encode_get_id().unwrap()))),
            rounds::time(10, || drop(divan::black_box(request.encode()))),
        ]
    });
    println!(
        "GetId with 10 logins: {:.0} ns; {:.2} of serde_json's {:.0} ns",
        rounds.ns(0),
        rounds.ratio(0, 1),
        rounds.ns(1)
    );
}
