//! Where an identity, credentials, or a rotated refresh token are kept between two runs of the program.

mod file;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use zeroize::Zeroizing;

pub use file::FileStorage;
pub(crate) use file::digest;

/// Keeps small records under names, so that an identity outlives the program.
///
/// A guest's identity ID is the one thing that a device cannot get back: without it the next start
/// makes a new guest, and everything that was kept for the old one is lost. What is stored for a
/// provider is the identity ID and the names of the login providers, never a token; with
/// [`persist_credentials`](crate::Builder::persist_credentials) also the current credentials, which
/// nobody else may read. `UserPoolTokens` (feature `user-pool`) stores a refresh token if the user pool
/// rotates them: then the last one is all that the user's sign-in is good for. Keys of identities begin
/// with `identity/`, those of credentials with `credentials/`, those of refresh tokens with
/// `refresh-token/`.
///
/// The methods are called without any lock held. Their failures are logged and never fail a
/// refresh. They need not be atomic together, but [`store`](Self::store) must leave the old or the
/// new value behind, whatever happens to the device meanwhile. [`FileStorage`] does, and
/// [`MemoryStorage`] is for tests and for sharing an identity among providers.
pub trait Storage: Send + Sync {
    /// The value of this key; `None` if there is none, or none that can be read as one.
    ///
    /// # Errors
    ///
    /// When it cannot be told whether there is a value.
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>>;

    /// Sets the value of this key.
    ///
    /// # Errors
    ///
    /// When the value may not outlive a loss of power.
    fn store(&self, key: &str, value: &[u8]) -> io::Result<()>;

    /// Removes the value of this key; one that is not there is removed already.
    ///
    /// # Errors
    ///
    /// When the value may still be there.
    fn remove(&self, key: &str) -> io::Result<()>;

    /// Keeps every other process (and every other caller in this one) from getting the lock of this
    /// key until the returned one is dropped, and waits up to `wait` while somebody else has it.
    /// `None` if it did not come by then, or if there are no locks, which is the default: a storage that
    /// wraps another must pass this on. With a `wait` of zero it is tried once. The key is a record's own,
    /// and the lock is apart from the record. The lock of
    /// a process that dies must come free by itself.
    ///
    /// It keeps processes that start together from fetching the same credentials each for itself;
    /// see [`persist_credentials`](crate::Builder::persist_credentials). It also keeps them from sending
    /// the same refresh token where a user pool rotates those. It guards nothing:
    /// [`load`](Self::load) and [`store`](Self::store) work without it, also while another has it.
    ///
    /// # Errors
    ///
    /// When there should be a lock and it cannot be had. It is logged, and the work goes on without.
    fn lock(&self, key: &str, wait: Duration) -> io::Result<Option<StorageLock>> {
        let _ = (key, wait);
        Ok(None)
    }
}

/// A lock that [`Storage::lock`] has granted, until it is dropped.
///
/// It belongs to the process that it was granted to. After a fork, the child does not have it: if the
/// child drops its copy, the lock of a [`FileStorage`] stays with the parent.
#[must_use = "the lock is given back when this is dropped"]
pub struct StorageLock {
    _guard: Box<dyn Send>,
}

impl StorageLock {
    /// A lock that is given back by dropping `guard`.
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

/// A [`Storage`] that lives as long as the program. Share one with an `Arc`.
///
/// Values are wiped when they are replaced or dropped. There are no locks. `Debug` shows the keys.
#[derive(Default)]
pub struct MemoryStorage(Mutex<HashMap<String, Zeroizing<Vec<u8>>>>);

impl MemoryStorage {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn values(&self) -> MutexGuard<'_, HashMap<String, Zeroizing<Vec<u8>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for MemoryStorage {
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.values().get(key).map(|value| value.to_vec()))
    }

    fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
        self.values().insert(key.to_owned(), Zeroizing::new(value.to_owned()));
        Ok(())
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        self.values().remove(key);
        Ok(())
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryStorage ")?;
        f.debug_set().entries(self.values().keys()).finish()
    }
}
