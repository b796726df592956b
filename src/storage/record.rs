//! One record of a storage, with its log messages.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Storage, StorageLock};

/// Loads, stores, removes and locks one record. It logs what a refresh continues without.
pub(crate) struct RecordStore {
    storage: Arc<dyn Storage>,
    key: String,
    /// What the log calls the record.
    name: &'static str,
    /// What the log says of a record that cannot be used.
    unusable: &'static str,
}

/// The storage failed, so it is unknown whether there is a record. This is logged already.
pub(crate) struct Unreadable;

impl RecordStore {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        key: String,
        name: &'static str,
        unusable: &'static str,
    ) -> Self {
        Self { storage, key, name, unusable }
    }

    /// Loads the record. `None` if there is none, or if `parse` returns `None`.
    pub(crate) fn load<T>(
        &self,
        parse: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, Unreadable> {
        let Some(value) = self.bytes()? else { return Ok(None) };
        let record = parse(&value);
        if record.is_none() {
            self.warn_unusable();
        }
        Ok(record)
    }

    pub(crate) fn store(&self, value: &[u8]) -> io::Result<()> {
        self.storage.store(&self.key, value)
    }

    /// Removes the record. Returns `false` if it may still be there.
    pub(crate) fn remove(&self) -> bool {
        let outcome = self.storage.remove(&self.key);
        if let Err(error) = &outcome {
            log::warn!("the stored {} could not be removed: {error}", self.name);
        }
        outcome.is_ok()
    }

    /// Locks the record against other processes. `None` without a lock within `wait`.
    pub(crate) fn lock(&self, wait: Duration) -> Option<StorageLock> {
        self.storage.lock(&self.key, wait).unwrap_or_else(|error| {
            log::warn!("the stored {} could not be locked: {error}", self.name);
            None
        })
    }

    fn bytes(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Unreadable> {
        let value = self.storage.load(&self.key).map_err(|error| {
            log::warn!("the stored {} could not be read: {error}", self.name);
            Unreadable
        })?;
        Ok(value.map(Zeroizing::new))
    }

    fn warn_unusable(&self) {
        log::warn!("the stored {} {}", self.name, self.unusable);
    }
}
