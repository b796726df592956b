//! Keeps the identity across restarts, and on request also credentials or a refresh token.
//!
//! * this file: the traits of a storage, `Storage` and `StorageLock`
//! * `memory.rs`: `MemoryStorage`, for tests
//! * `file/`: `FileStorage`, records in the files of a directory
//! * `record.rs`: one record of a storage, with its failures
//! * `digest.rs`: the checksum of file names and records

mod digest;
mod file;
mod memory;
mod record;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use digest::digest;
pub use file::FileStorage;
#[cfg(all(test, unix, feature = "testing"))]
pub(crate) use file::{ERRORS, FaultyDisk, Lasts};
pub use memory::MemoryStorage;
pub(crate) use record::{
    ParsedRecord, RECORD_VERSION, RECORD_VERSION_JSON, RecordKey, RecordStore, StorageFailure,
    VERSION_1_JSON,
};

/// Stores small records under keys, so that an identity survives a restart of the program.
///
/// A device cannot get a lost guest identity back: its next start creates a new guest, without
/// access to anything that belongs to the old one. [`FileStorage`] keeps records on disk.
/// [`MemoryStorage`] is for tests, and lets several providers share an identity.
///
/// | key begins with | value | stored |
/// |---|---|---|
/// | `identity/` | the identity ID and the names of the login providers, never a token | always |
/// | `credentials/` | the current credentials | with [`persist_credentials`] |
/// | `refresh-token/` | the newest refresh token of `UserPoolTokens` | if refresh tokens rotate |
///
/// The rest of the key names the pool, and whatever distinguishes users, roles and app clients. If
/// the service is not AWS, the key also names the service, such as `http://127.0.0.1:4566`. Each
/// value contains the whole key. A refresh never uses, overwrites or removes a value that contains
/// another key.
///
/// A failure of a provider's storage does not make a refresh fail, with one exception: without a
/// known identity and with `allow_new_guest(false)`. The failure is logged, and
/// [`Status::storage_error`](crate::Status::storage_error) returns it.
///
/// [`persist_credentials`]: crate::Builder::persist_credentials
///
/// # Example
///
/// A storage that keeps the credentials of [`persist_credentials`] in memory below `/run`, and
/// everything else on flash:
///
/// ```
/// use std::io;
/// use std::time::Duration;
/// use cognito_identity_credentials::{FileStorage, Storage, StorageLock};
///
/// struct SpareFlash {
///     flash: FileStorage,
///     run: FileStorage,
/// }
///
/// impl SpareFlash {
///     fn of(&self, key: &str) -> &FileStorage {
///         if key.starts_with("credentials/") { &self.run } else { &self.flash }
///     }
/// }
///
/// impl Storage for SpareFlash {
///     fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
///         self.of(key).load(key)
///     }
///     fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
///         self.of(key).store(key, value)
///     }
///     fn remove(&self, key: &str) -> io::Result<()> {
///         self.of(key).remove(key)
///     }
///     fn lock(&self, key: &str, wait: Duration) -> io::Result<Option<StorageLock>> {
///         self.of(key).lock(key, wait)
///     }
/// }
///
/// let storage = SpareFlash {
///     flash: FileStorage::new("/var/lib/sensor/identity"),
///     run: FileStorage::new("/run/sensor"),
/// };
/// ```
///
/// # Rules for implementors
///
/// * Keep the values secret: credentials and refresh tokens are among them.
/// * Make [`store`](Self::store) atomic: after a crash or a loss of power at any moment, `load`
///   must return the old value or the new one.
/// * Expect calls from several threads at the same time. The library holds no lock during a call.
pub trait Storage: Send + Sync {
    /// Returns the value of `key`. Return `Ok(None)` if there is no value, or if it is damaged.
    ///
    /// See the [example](Self#example).
    ///
    /// # Errors
    ///
    /// Return an error if it is unknown whether there is a value. A refresh then leaves a stored
    /// identity as it is.
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>>;

    /// Sets the value of `key`. Return only when the value is durable.
    ///
    /// See the [example](Self#example).
    ///
    /// # Errors
    ///
    /// Return an error if a loss of power may undo the change.
    fn store(&self, key: &str, value: &[u8]) -> io::Result<()>;

    /// Removes the value of `key`. Return `Ok(())` if there is none.
    ///
    /// See the [example](Self#example).
    ///
    /// # Errors
    ///
    /// Return an error if the value may still be there.
    fn remove(&self, key: &str) -> io::Result<()>;

    /// Locks `key` against all other callers, in this process and in others, until the returned
    /// lock is dropped. While another caller holds the lock, wait at most `wait`; if `wait` is
    /// zero, try once. Return `Ok(None)` if the lock is still held after that, or if the storage
    /// has no locks.
    ///
    /// Default: `Ok(None)`. A storage that wraps another one must pass the call on.
    ///
    /// * When a process ends or crashes, release its lock.
    /// * Do not let the lock block `load`, `store` or `remove`: they are called without it too.
    ///
    /// The lock saves calls. If several processes start together, one requests the credentials and
    /// the others load them (see [`persist_credentials`](crate::Builder::persist_credentials)). If
    /// the user pool rotates refresh tokens, the lock also keeps two processes from sending the
    /// same one.
    ///
    /// See the [example](Self#example).
    ///
    /// # Errors
    ///
    /// Return an error if locking failed. The library logs it and continues without a lock.
    fn lock(&self, key: &str, wait: Duration) -> io::Result<Option<StorageLock>> {
        let _ = (key, wait);
        Ok(None)
    }
}

/// Holds a lock that [`Storage::lock`] granted. Dropping it releases the lock. See the
/// [example](Self::new).
///
/// The lock belongs to the process that took it. A child process does not inherit it: if the child
/// drops its copy, the lock of a [`FileStorage`] stays with the parent.
#[must_use = "dropping this releases the lock"]
pub struct StorageLock {
    _guard: Box<dyn Send>,
}

impl StorageLock {
    /// Creates a lock that drops `guard` to release itself.
    ///
    /// ```
    /// use cognito_identity_credentials::StorageLock;
    ///
    /// struct Guard;
    ///
    /// impl Drop for Guard {
    ///     fn drop(&mut self) {
    ///         println!("released");
    ///     }
    /// }
    ///
    /// let lock = StorageLock::new(Guard);
    /// drop(lock); // drops the guard
    /// ```
    pub fn new(guard: impl Send + 'static) -> Self {
        Self { _guard: Box::new(guard) }
    }
}

impl fmt::Debug for StorageLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageLock").finish_non_exhaustive()
    }
}

impl<T: Storage + ?Sized> Storage for Arc<T> {
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        (**self).load(key)
    }

    fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
        (**self).store(key, value)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        (**self).remove(key)
    }

    fn lock(&self, key: &str, wait: Duration) -> io::Result<Option<StorageLock>> {
        (**self).lock(key, wait)
    }
}
