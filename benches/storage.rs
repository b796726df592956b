//! Measures how long `FileStorage` takes to load a record.
//!
//! ```sh
//! cargo bench --bench storage --features testing
//! ```
//!
//! `floor_read` is `std::fs::read` of the same file. It does not check owners, the directory or
//! links.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails by panicking")]

use std::fs;

use cognito_identity_credentials::{FileStorage, Storage};
use tempfile::TempDir;

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

const KEY: &str = "identity/us-east-1:00000000-0000-4000-8000-0000000000aa";

/// The record of a guest's identity.
fn record() -> Vec<u8> {
    let id = "us-east-1:12345678-dead-beef-cafe-123456790ab0";
    format!(r#"{{"version":2,"key":"{KEY}","identity_id":"{id}","providers":[]}}"#).into()
}

/// A directory with one record. It is removed when the bench ends.
fn stored() -> (TempDir, FileStorage) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let storage = FileStorage::new(directory.path().join("records"));
    storage.store(KEY, &record()).unwrap();
    assert_eq!(storage.load(KEY).unwrap(), Some(record()));
    (directory, storage)
}

#[divan::bench]
fn file_load(bencher: divan::Bencher<'_, '_>) {
    let (_directory, storage) = stored();
    bencher.bench(|| storage.load(KEY).unwrap());
}

#[divan::bench]
fn floor_read(bencher: divan::Bencher<'_, '_>) {
    let (directory, _storage) = stored();
    let mut files = fs::read_dir(directory.path().join("records")).unwrap();
    let path = files.next().unwrap().unwrap().path();
    assert_eq!(fs::read(&path).unwrap(), record());
    bencher.bench(|| fs::read(&path).unwrap());
}

fn main() {
    divan::main();
}
