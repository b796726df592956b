//! One record of a storage. It remembers the failures of its operations.

use std::io;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Storage, StorageLock};
use crate::error::Error;

/// The version that is written. A record of version 1 does not contain its key.
pub(crate) const RECORD_VERSION: u32 = 2;

/// [`RECORD_VERSION`] as a JSON text.
pub(crate) const RECORD_VERSION_JSON: &str = "2";

/// A record of this version must be written again, in the current version.
pub(crate) const VERSION_1_JSON: &str = "1";

const OTHER_KEY_HINT: &str = "the stored record belongs to another user or pool: choose another login_id, or remove it with clear_cached_id or forget_refresh_token";

/// The key of a record. The record contains it too.
#[derive(Clone)]
pub(crate) struct RecordKey {
    text: String,
    /// Only AWS has records of version 1.
    is_aws: bool,
}

/// The parts of a record. The version and the key are not checked yet.
pub(crate) struct ParsedRecord<'a, T> {
    pub(crate) version: Option<&'a str>,
    pub(crate) key: Option<Zeroizing<String>>,
    /// `None` if the rest of the record cannot be used.
    pub(crate) content: Option<T>,
}

impl RecordKey {
    /// Joins the kind of the record, the service (unless it is AWS), and the parts that name its
    /// owner.
    pub(crate) fn new(kind: &str, service: Option<&str>, parts: &[Option<&str>]) -> Self {
        let mut text = kind.to_owned();
        for part in [service].iter().chain(parts).flatten() {
            text.push('/');
            text.push_str(part);
        }
        Self { text, is_aws: service.is_none() }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// Loads, stores, removes and locks one record. It remembers the last failure of each kind of
/// operation until an operation of that kind succeeds.
pub(crate) struct RecordStore {
    storage: Arc<dyn Storage>,
    key: RecordKey,
    name: &'static str,
    failures: Mutex<[Option<Error>; 4]>,
}

#[derive(Clone, Copy)]
pub(crate) enum StorageFailure {
    Read,
    /// Also a failed removal.
    Write,
    Lock,
    /// The settings or the system do not allow a record.
    NotStored,
}

impl RecordStore {
    pub(crate) fn new(storage: Arc<dyn Storage>, key: RecordKey, name: &'static str) -> Self {
        Self { storage, key, name, failures: Mutex::default() }
    }

    /// Loads the record. Returns `None` if there is none, or if it is damaged or of an unknown
    /// version. The error means that the storage failed, or that the record belongs to another key;
    /// it is already logged. Do not overwrite or remove the record then.
    pub(crate) fn load<T>(
        &self,
        parse: impl for<'a> FnOnce(&'a [u8]) -> Option<ParsedRecord<'a, T>>,
    ) -> Result<Option<T>, Error> {
        let value = self.storage.load(&self.key.text).map(|value| value.map(Zeroizing::new));
        let value = self.outcome(StorageFailure::Read, "could not be read", value);
        let value = value.inspect_err(warn)?;
        let Some(value) = value else { return Ok(None) };
        let mut content = None;
        if let Some(record) = parse(&value) {
            if self.check(record.version, record.key.as_ref().map(|key| key.as_str()))? {
                content = record.content;
            }
        }
        if content.is_none() {
            log::warn!("the record of the {} cannot be used; it counts as absent", self.name);
        }
        Ok(content)
    }

    /// Returns whether this version of the record can be used.
    fn check(&self, version: Option<&str>, key: Option<&str>) -> Result<bool, Error> {
        match (version, key) {
            (Some(VERSION_1_JSON), _) => Ok(self.key.is_aws),
            (_, Some(key)) if key != self.key.text => {
                let text = ["the ", self.name, " could not be read: its record has another key"];
                let error = Error::storage_unused(text.concat(), OTHER_KEY_HINT);
                log::warn!("{error}");
                self.set_failure(StorageFailure::Read, Some(error.clone()));
                Err(error)
            }
            (Some(RECORD_VERSION_JSON), Some(_)) => Ok(true),
            _ => Ok(false),
        }
    }

    pub(crate) fn key(&self) -> &str {
        self.key.as_str()
    }

    /// Stores the record. The caller logs the error, because it knows the consequences.
    pub(crate) fn store(&self, value: &[u8]) -> Result<(), Error> {
        let outcome = self.storage.store(&self.key.text, value);
        self.outcome(StorageFailure::Write, "could not be stored", outcome)
    }

    /// Removes the record. Returns `false` if it may still be there.
    pub(crate) fn remove(&self) -> bool {
        let outcome = self.storage.remove(&self.key.text);
        let outcome = self.outcome(StorageFailure::Write, "could not be removed", outcome);
        outcome.inspect_err(warn).is_ok()
    }

    /// Locks the record against other processes. Returns `None` if there is no lock within `wait`.
    pub(crate) fn lock(&self, wait: Duration) -> Option<StorageLock> {
        let outcome = self.storage.lock(&self.key.text, wait);
        let outcome = self.outcome(StorageFailure::Lock, "could not be locked", outcome);
        outcome.inspect_err(warn).ok().flatten()
    }

    pub(crate) fn write_failed(&self) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(StorageFailure::Write as usize).is_some_and(Option::is_some)
    }

    pub(crate) fn storage_error(&self) -> Option<Error> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.iter().flatten().next().cloned()
    }

    /// Remembers the failure of this kind of operation. `None` clears it. Returns whether there was
    /// one.
    pub(crate) fn set_failure(&self, kind: StorageFailure, error: Option<Error>) -> bool {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = failures.get_mut(kind as usize);
        let before = failure.and_then(|failure| mem::replace(failure, error));
        // Dropping `before` can run code of the program: release the lock first.
        drop(failures);
        before.is_some()
    }

    fn outcome<T>(
        &self,
        kind: StorageFailure,
        what: &str,
        outcome: io::Result<T>,
    ) -> Result<T, Error> {
        let outcome =
            outcome.map_err(|error| Error::storage(["the ", self.name, " ", what].concat(), error));
        self.set_failure(kind, outcome.as_ref().err().cloned());
        outcome
    }
}

fn warn(error: &Error) {
    log::warn!("{error:#}");
}
