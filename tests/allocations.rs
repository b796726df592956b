//! What a cached `get()` and a refresh allocate. A test target by itself, because the allocator
//! counts the whole process.

#![allow(clippy::unwrap_used, clippy::type_complexity, reason = "tests fail by panicking")]

#[path = "../benches/shared/answers.rs"]
mod answers;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use answers::{IDENTITY, POOL, ROLE, SESSION_TOKEN, get_id, open_id_token};
use cognito_identity_credentials::testing::FakeCognito;
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError,
};
use cognito_identity_credentials::{
    Builder, CognitoIdentityCredentials, DeveloperIdentity, FileStorage, MemoryStorage, Storage,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// The tests take turns, because each would count the allocations of the others.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_cached_get_allocates_nothing() {
    let _alone = alone();
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .transport(FakeCognito::new())
        .build()
        .unwrap();
    let region = Region::new(ALLOCATOR);
    let first = credentials.get().unwrap();
    assert!(region.change().allocations > 10, "the allocator counts");

    // Threads of the test harness may allocate at any time, so the test takes the smallest of many
    // counts.
    let least = (0..100).map(|_| {
        let region = Region::new(ALLOCATOR);
        for _ in 0..100 {
            assert_eq!(credentials.get().unwrap(), first);
        }
        region.change().allocations
    });
    assert_eq!(least.min(), Some(0));
}

/// A transport that allocates nothing: each prepared answer is for one request.
#[derive(Clone, Default)]
struct Prepared(Arc<Mutex<Exchange>>);

#[derive(Default)]
struct Exchange {
    answers: VecDeque<HttpResponse>,
    /// The bytes of all request bodies.
    sent: usize,
}

impl Transport for Prepared {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let mut exchange = self.0.lock().unwrap();
        exchange.sent += request.body().len();
        Ok(exchange.answers.pop_front().unwrap())
    }
}

impl Prepared {
    fn prepare(&self, answers: &[HttpResponse]) {
        let mut exchange = self.0.lock().unwrap();
        exchange.sent = 0;
        exchange.answers = answers.iter().cloned().collect();
    }

    fn sent(&self) -> usize {
        let exchange = self.0.lock().unwrap();
        assert!(exchange.answers.is_empty(), "no request took an answer");
        exchange.sent
    }
}

fn credentials() -> HttpResponse {
    answers::credentials_for_an_hour()
}

fn assumed_role() -> HttpResponse {
    answers::assumed_role(&humantime::format_rfc3339_seconds(answers::in_an_hour()).to_string())
}

fn logins(builder: Builder, number: usize, length: usize) -> Builder {
    (0..number).fold(builder, |builder, n| builder.login(format!("p{n}.example"), token(length)))
}

fn token(length: usize) -> String {
    "e".repeat(length)
}

/// A refresh that is counted.
struct Row {
    what: &'static str,
    settings: fn(Builder) -> Builder,
    /// Whether the identity is configured, and a refresh took place before.
    known: bool,
    answers: Vec<HttpResponse>,
    storage: Kept,
    /// Whether the credentials are stored too.
    persisted: bool,
    /// The bytes of the token that a token source creates.
    of_source: usize,
    most: Most,
}

/// The limits of a refresh.
#[derive(Clone, Copy)]
struct Most {
    allocations: usize,
    /// How many times an allocation grows.
    growths: usize,
    /// The allocated memory, without the request bodies and the token of a source.
    kib: usize,
}

/// The limits without a storage. The lists of the XML parser grow.
const LITTLE: Most = most(60, 0, 16);
const CLASSIC: Most = most(60, 6, 16);

const fn most(allocations: usize, growths: usize, kib: usize) -> Most {
    Most { allocations, growths, kib }
}

/// Where a row stores its records.
#[derive(Clone, Copy, PartialEq)]
enum Kept {
    Nowhere,
    Memory,
    /// In a directory that does not exist yet.
    Files,
}

/// A refresh that is not the first, without a storage.
fn row(what: &'static str, settings: fn(Builder) -> Builder, answers: Vec<HttpResponse>) -> Row {
    let (known, storage, persisted, of_source, most) = (true, Kept::Nowhere, false, 0, LITTLE);
    Row { what, settings, known, answers, storage, persisted, of_source, most }
}

const LONG: usize = 50_000;

fn role(builder: Builder) -> Builder {
    builder.role_arn(ROLE)
}

fn all(builder: Builder) -> Builder {
    logins(role(builder), 10, LONG)
}

/// Returns the fewest allocations of some refreshes, and how many bytes were request bodies.
fn refresh(row: &Row) -> (Stats, usize) {
    let counts = (0..4).map(|_| {
        let transport = Prepared::default();
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let storage: Option<Arc<dyn Storage>> = match row.storage {
            Kept::Nowhere => None,
            Kept::Memory => Some(Arc::new(MemoryStorage::new())),
            Kept::Files => Some(Arc::new(FileStorage::new(directory.path().join("records")))),
        };
        let provider = || {
            let mut builder = CognitoIdentityCredentials::builder()
                .identity_pool_id(POOL)
                .transport(transport.clone());
            if row.known {
                builder = builder.identity_id(IDENTITY);
            }
            if let Some(storage) = &storage {
                builder = builder.storage(storage.clone()).persist_credentials(row.persisted);
            }
            (row.settings)(builder).build().unwrap()
        };
        let (provider, next) = (provider(), provider());
        if row.known {
            transport.prepare(&row.answers);
            provider.refresh().unwrap();
        }
        transport.prepare(&row.answers);
        let region = Region::new(ALLOCATOR);
        let loaded = provider.refresh();
        let stats = region.change();
        let (loaded, sent) = (loaded.unwrap(), transport.sent());
        assert_eq!(loaded.session_token().len(), SESSION_TOKEN);
        if storage.is_some() {
            assert_eq!(next.identity_id().as_deref(), Some(IDENTITY), "{}: not stored", row.what);
        }
        if row.persisted {
            transport.prepare(&[]);
            assert_eq!(next.get().unwrap(), loaded, "{}: not stored", row.what);
        }
        (stats, sent)
    });
    counts.min_by_key(|(stats, _)| (stats.allocations, stats.reallocations)).unwrap()
}

#[test]
fn a_refresh_allocates_little_and_copies_each_token_at_most_once() {
    let _alone = alone();
    let enhanced = || vec![credentials()];
    let classic = || vec![open_id_token(), assumed_role()];
    let first = |mut answers: Vec<HttpResponse>| {
        answers.insert(0, get_id());
        answers
    };
    let rows = [
        Row { known: false, ..row("a guest's first", |b| b, first(enhanced())) },
        row("a guest", |b| b, enhanced()),
        row("a login of 1 KiB", |b| logins(b, 1, 1024), enhanced()),
        row("a login of 50,000 characters", |b| logins(b, 1, LONG), enhanced()),
        row("10 of them", |b| logins(b, 10, LONG), enhanced()),
        Row {
            known: false,
            ..row("10 of them, the first time", |b| logins(b, 10, LONG), first(enhanced()))
        },
        Row {
            of_source: LONG,
            ..row(
                "a source that makes one",
                |b| b.login_from("p.example", || Ok(token(LONG))),
                enhanced(),
            )
        },
        Row { most: CLASSIC, ..row("a guest's classic flow", role, classic()) },
        Row { most: CLASSIC, ..row("the classic flow with 10 logins", all, classic()) },
        Row {
            known: false,
            most: CLASSIC,
            ..row("all of it, the first time", all, first(classic()))
        },
        Row {
            known: false,
            of_source: LONG,
            most: most(28, 0, 16),
            ..row(
                "a backend's identity",
                |b| b.developer_identity(|| Ok(DeveloperIdentity::new(IDENTITY, token(LONG)))),
                enhanced(),
            )
        },
        Row {
            known: false,
            storage: Kept::Memory,
            most: most(41, 0, 16),
            ..row("a guest's first, stored in memory", |b| b, first(enhanced()))
        },
        Row {
            known: false,
            storage: Kept::Files,
            most: most(53, 60, 24), // usually 48 and 23; a longer path costs more
            ..row("a guest's first, stored in a file", |b| b, first(enhanced()))
        },
        Row {
            known: false,
            storage: Kept::Memory,
            persisted: true,
            most: most(51, 2, 16),
            ..row("the credentials too, in memory", |b| b, first(enhanced()))
        },
        // The allocations above 60 are for the record of credentials: its name, its lock, reading
        // and writing. The buffers of the names and of the text are small at first, and grow.
        Row {
            known: false,
            storage: Kept::Memory,
            persisted: true,
            most: most(75, 9, 20),
            ..row("those of the classic flow", role, first(classic()))
        },
        Row {
            known: false,
            storage: Kept::Files,
            persisted: true,
            most: most(128, 100, 32), // usually 116 and 63; a longer path costs more
            ..row("those of 10 logins, in files", |b| all(b).login_id("user"), first(classic()))
        },
    ];
    for row in &rows {
        let (stats, sent) = refresh(row);
        let what = row.what;
        let Stats { allocations, reallocations, bytes_allocated, .. } = stats;
        let besides = bytes_allocated - sent - row.of_source;
        println!(
            "{what}: {allocations} allocations, {reallocations} that grew, {bytes_allocated} bytes, {besides} besides the request bodies"
        );
        assert!(allocations <= row.most.allocations, "{what}: {allocations} allocations");
        assert!(reallocations <= row.most.growths, "{what}: {reallocations} that grew");
        assert!(
            besides <= row.most.kib * 1024,
            "{what}: {besides} bytes besides the request bodies"
        );
    }
}

/// An error replaces each token in the text of the service, and must not copy the tokens for that.
#[test]
fn a_refusal_copies_no_token() {
    let _alone = alone();
    let least = (0..4).map(|_| {
        let sent = Arc::new(AtomicUsize::new(0));
        let body = sent.clone();
        let refusal =
            HttpResponse::new(400, r#"{"__type":"NotAuthorizedException","message":"no"}"#)
                .with_header("x-amzn-requestid", "request 1");
        let refusal = Mutex::new(Some(refusal));
        let builder = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .identity_id(IDENTITY)
            .transport(move |request: &HttpRequest| {
                body.store(request.body().len(), Ordering::Relaxed);
                Ok(refusal.lock().unwrap().take().unwrap())
            });
        let provider = logins(builder, 10, LONG).build().unwrap();
        let region = Region::new(ALLOCATOR);
        let error = provider.refresh().unwrap_err();
        let bytes = region.change().bytes_allocated;
        assert_eq!((error.message(), error.request_id()), ("no", Some("request 1")));
        bytes - sent.load(Ordering::Relaxed)
    });
    let besides = least.min().unwrap();
    assert!(besides <= 16 * 1024, "{besides} bytes besides the request bodies");
}
