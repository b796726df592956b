//! One record of a storage, with its failures.

use std::io;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Storage, StorageLock};
use crate::error::Error;

/// Loads, stores, removes and locks one record. It remembers the last failure of each kind of
/// operation until an operation of that kind succeeds.
pub(crate) struct RecordStore {
    storage: Arc<dyn Storage>,
    key: String,
    /// What the log calls the record.
    name: &'static str,
    /// What the log says of a record that cannot be used.
    unusable: &'static str,
    failures: Mutex<[Option<Error>; 4]>,
}

/// A kind of failure that a [`RecordStore`] remembers.
#[derive(Clone, Copy)]
pub(crate) enum StorageFailure {
    Read,
    /// Also a removal that failed.
    Write,
    Lock,
    /// The settings or the system forbid a record.
    NotStored,
}

impl RecordStore {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        key: String,
        name: &'static str,
        unusable: &'static str,
    ) -> Self {
        Self { storage, key, name, unusable, failures: Mutex::default() }
    }

    /// Loads the record. `None` if there is none, or if `parse` returns `None`. The error is
    /// logged: it is unknown whether there is a record.
    pub(crate) fn load<T>(
        &self,
        parse: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.bytes()? else { return Ok(None) };
        let record = parse(&value);
        if record.is_none() {
            self.warn_unusable();
        }
        Ok(record)
    }

    /// Stores the record. The caller logs the error with what follows from it.
    pub(crate) fn store(&self, value: &[u8]) -> Result<(), Error> {
        let outcome = self.storage.store(&self.key, value);
        self.outcome(StorageFailure::Write, "could not be stored", outcome.err())
    }

    /// Removes the record. Returns `false` if it may still be there.
    pub(crate) fn remove(&self) -> bool {
        let outcome = self.storage.remove(&self.key);
        self.logged_outcome(StorageFailure::Write, "could not be removed", outcome.err()).is_ok()
    }

    /// Locks the record against other processes. `None` without a lock within `wait`.
    pub(crate) fn lock(&self, wait: Duration) -> Option<StorageLock> {
        let (lock, error) = match self.storage.lock(&self.key, wait) {
            Ok(lock) => (lock, None),
            Err(error) => (None, Some(error)),
        };
        let outcome = self.logged_outcome(StorageFailure::Lock, "could not be locked", error);
        outcome.ok().and(lock)
    }

    /// Returns the storage's present failure.
    pub(crate) fn storage_error(&self) -> Option<Error> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.iter().flatten().next().cloned()
    }

    /// Remembers a failure, or that there is none any more. Returns whether there was one before.
    pub(crate) fn set_failure(&self, kind: StorageFailure, error: Option<Error>) -> bool {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let before = mem::replace(&mut failures[kind as usize], error);
        // The error of the program's own storage is dropped without the lock.
        drop(failures);
        before.is_some()
    }

    fn bytes(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let (value, error) = match self.storage.load(&self.key) {
            Ok(value) => (value.map(Zeroizing::new), None),
            Err(error) => (None, Some(error)),
        };
        self.logged_outcome(StorageFailure::Read, "could not be read", error)?;
        Ok(value)
    }

    fn outcome(
        &self,
        kind: StorageFailure,
        what: &str,
        error: Option<io::Error>,
    ) -> Result<(), Error> {
        let error =
            error.map(|error| Error::storage(["the ", self.name, " ", what].concat(), error));
        self.set_failure(kind, error.clone());
        error.map_or(Ok(()), Err)
    }

    fn logged_outcome(
        &self,
        kind: StorageFailure,
        what: &str,
        error: Option<io::Error>,
    ) -> Result<(), Error> {
        self.outcome(kind, what, error).inspect_err(|error| log::warn!("{error:#}"))
    }

    fn warn_unusable(&self) {
        log::warn!("the stored {} {}", self.name, self.unusable);
    }
}
