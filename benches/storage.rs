//! What a storage costs, and a start of the program from what is stored.
//!
//! ```sh
//! cargo bench --bench storage --features testing
//! ```
//!
//! `floor_read` is `std::fs::read` of the same file, without the checks of its owner, its directory and
//! links; `floor_provider` is a provider that is made and never asked. Nothing here writes but the
//! preparations: an unchanged record is compared, and the directory synced.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails by panicking")]

#[path = "shared/answers.rs"]
mod answers;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::{
    Builder, CognitoIdentityCredentials, FileStorage, MemoryStorage, Storage,
};
use tempfile::TempDir;

use answers::{IDENTITY, POOL};

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

const KEY: &str = "identity/us-east-1:00000000-0000-4000-8000-0000000000aa";

/// A record as a guest's identity has it.
fn record() -> Vec<u8> {
    format!(r#"{{"version":2,"key":"{KEY}","identity_id":"{IDENTITY}","providers":[]}}"#).into()
}

/// A directory with one record, which goes when the bench ends.
fn stored() -> (TempDir, FileStorage) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let storage = FileStorage::new(directory.path().join("records"));
    storage.store(KEY, &record()).unwrap();
    assert_eq!(storage.load(KEY).unwrap(), Some(record()));
    (directory, storage)
}

fn builder() -> Builder {
    CognitoIdentityCredentials::builder().identity_pool_id(POOL)
}

fn unreachable(_: &HttpRequest) -> Result<HttpResponse, TransportError> {
    Err(TransportError::new(TransportErrorKind::Other, "the service must not be asked"))
}

/// Answers `GetCredentialsForIdentity`, and nothing else: the identity comes from the storage.
fn transport() -> impl Fn(&HttpRequest) -> Result<HttpResponse, TransportError> + Clone {
    let answer = answers::credentials_for_an_hour();
    move |request| {
        let body = std::str::from_utf8(request.body()).unwrap();
        assert!(body.contains(r#""IdentityId""#), "GetId must not be asked");
        Ok(answer.clone())
    }
}

#[divan::bench]
fn file_load(bencher: divan::Bencher<'_, '_>) {
    let (_directory, storage) = stored();
    bencher.bench(|| storage.load(KEY).unwrap());
}

#[divan::bench]
fn file_load_of_an_absent_record(bencher: divan::Bencher<'_, '_>) {
    let (_directory, storage) = stored();
    assert_eq!(storage.load("absent").unwrap(), None);
    bencher.bench(|| storage.load("absent").unwrap());
}

#[divan::bench]
fn file_store_of_an_unchanged_record(bencher: divan::Bencher<'_, '_>) {
    let (directory, storage) = stored();
    let record = record();
    let mut files = fs::read_dir(directory.path().join("records")).unwrap();
    let path = files.next().unwrap().unwrap().path();
    // A file that is written anew gets a time of its own, however soon.
    let before = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    let written = || fs::metadata(&path).unwrap().modified().unwrap();
    storage.store(KEY, &record).unwrap();
    assert_eq!(written(), before, "an unchanged record was written");
    assert_eq!(storage.load(KEY).unwrap().as_ref(), Some(&record));
    bencher.bench(|| storage.store(KEY, &record).unwrap());
    assert_eq!(written(), before, "an unchanged record was written");
}

#[divan::bench]
fn floor_read(bencher: divan::Bencher<'_, '_>) {
    let (directory, _storage) = stored();
    let mut files = fs::read_dir(directory.path().join("records")).unwrap();
    let path = files.next().unwrap().unwrap().path();
    assert_eq!(fs::read(&path).unwrap(), record());
    bencher.bench(|| fs::read(&path).unwrap());
}

#[divan::bench(sample_size = 1000)]
fn memory_load(bencher: divan::Bencher<'_, '_>) {
    let storage = MemoryStorage::new();
    storage.store(KEY, &record()).unwrap();
    assert_eq!(storage.load(KEY).unwrap(), Some(record()));
    bencher.bench(|| storage.load(KEY).unwrap());
}

/// The first `get()` of a program that has run before: one call, of `GetCredentialsForIdentity`.
#[divan::bench]
fn start_with_a_stored_identity(bencher: divan::Bencher<'_, '_>) {
    let (_directory, storage) = stored();
    let transport = transport();
    let start = || {
        let builder = builder().storage(storage.clone()).transport(transport.clone());
        builder.build().unwrap().get().unwrap()
    };
    assert_eq!(start().identity_id(), Some(IDENTITY));
    bencher.bench(start);
}

/// The first `get()` of a program that shares the credentials of another: no call at all.
#[divan::bench]
fn start_with_stored_credentials(bencher: divan::Bencher<'_, '_>) {
    let (_directory, storage) = stored();
    start_with_credentials(bencher, &storage);
}

/// The same without a disk.
#[divan::bench]
fn start_with_credentials_in_memory(bencher: divan::Bencher<'_, '_>) {
    let storage = Arc::new(MemoryStorage::new());
    storage.store(KEY, &record()).unwrap();
    start_with_credentials(bencher, &storage);
}

fn start_with_credentials(
    bencher: divan::Bencher<'_, '_>,
    storage: &(impl Storage + Clone + 'static),
) {
    let persisted = || builder().storage(storage.clone()).persist_credentials(true);
    let fetched = persisted().transport(transport()).build().unwrap().get().unwrap();
    let start = || persisted().transport(unreachable).build().unwrap().get().unwrap();
    assert_eq!(start(), fetched);
    bencher.bench(start);
}

#[divan::bench]
fn floor_provider(bencher: divan::Bencher<'_, '_>) {
    let build = || builder().transport(unreachable).build().unwrap();
    assert!(build().needs_refresh());
    bencher.bench(build);
}

fn main() {
    divan::main();
}
