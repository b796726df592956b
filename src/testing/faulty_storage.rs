//! [`FaultyStorage`]: a storage that fails when the test says so.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::fault_queue::FaultQueue;
use crate::storage::{MemoryStorage, Storage, StorageLock};

const OPERATIONS: [&str; 4] = ["load", "store", "remove", "lock"];

/// Wraps a [`Storage`], counts its calls, and makes calls fail on demand.
///
/// Clones share the records, the faults and the counts.
///
/// # Example
///
/// ```
/// use std::io;
/// use cognito_identity_credentials::{CognitoIdentityCredentials, Error};
/// use cognito_identity_credentials::testing::{FakeCognito, FaultyStorage};
///
/// # fn main() -> Result<(), Error> {
/// let (cognito, storage) = (FakeCognito::new(), FaultyStorage::new());
/// let start = || {
///     CognitoIdentityCredentials::builder()
///         .identity_pool_id(FakeCognito::POOL_ID)
///         .transport(cognito.clone())
///         .storage(storage.clone())
///         .build()
/// };
/// let guest = start()?.get()?;
///
/// // A record that cannot be read is not overwritten, so the identity is not lost.
/// storage.fail_next("load", usize::MAX, io::ErrorKind::PermissionDenied);
/// assert_ne!(start()?.get()?.identity_id(), guest.identity_id()); // a temporary guest
/// storage.clear_faults();
/// assert_eq!(start()?.get()?.identity_id(), guest.identity_id());
///
/// // A write that fails never makes a refresh fail.
/// let full = io::Error::from_raw_os_error(28); // ENOSPC
/// storage.fail_next_for("store", "identity/", usize::MAX, full);
/// let credentials = start()?;
/// credentials.clear_cached_id();
/// assert_ne!(credentials.get()?.identity_id(), guest.identity_id());
/// assert!(storage.calls("store") > 1);
/// assert!(credentials.status().storage_error.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FaultyStorage {
    inner: Arc<dyn Storage>,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    faults: FaultQueue<Failure>,
    /// The number of calls of each of [`OPERATIONS`].
    calls: [usize; OPERATIONS.len()],
}

/// The parts of an `io::Error` (which cannot be cloned).
#[derive(Clone)]
struct Failure {
    /// The fault happens only to keys that begin with this.
    prefix: String,
    errno: Option<i32>,
    kind: io::ErrorKind,
}

impl FaultyStorage {
    /// Creates an empty storage in memory, without faults.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn new() -> Self {
        Self::around(MemoryStorage::new())
    }

    /// Creates a storage that passes each call on to `storage`, unless a fault makes it fail.
    ///
    /// ```
    /// use cognito_identity_credentials::FileStorage;
    /// use cognito_identity_credentials::testing::FaultyStorage;
    ///
    /// let storage = FaultyStorage::around(FileStorage::new("/tmp/records-of-this-test"));
    /// assert_eq!(storage.calls("load"), 0);
    /// ```
    #[must_use]
    pub fn around(storage: impl Storage + 'static) -> Self {
        let shared = Shared { faults: FaultQueue::new(), calls: [0; OPERATIONS.len()] };
        Self { inner: Arc::new(storage), shared: Arc::new(Mutex::new(shared)) }
    }

    /// Makes the next `times` calls of `operation` fail: `load`, `store`, `remove` or `lock`. A
    /// call that fails changes nothing.
    ///
    /// `error` is an [`io::ErrorKind`], or an [`io::Error`] with an error number of the system. The
    /// text of an `io::Error` is not used. With `usize::MAX`, calls fail until
    /// [`clear_faults`](Self::clear_faults).
    ///
    /// See the [example](Self#example).
    ///
    /// # Panics
    ///
    /// If `operation` has another name.
    pub fn fail_next(&self, operation: &str, times: usize, error: impl Into<io::Error>) {
        self.fail_next_for(operation, "", times, error);
    }

    /// Like [`fail_next`](Self::fail_next), but only for keys that begin with `prefix`, such as
    /// `identity/`. Calls for other keys work, and `times` does not include them.
    ///
    /// See the [example](Self#example).
    ///
    /// # Panics
    ///
    /// If `operation` has another name.
    pub fn fail_next_for(
        &self,
        operation: &str,
        prefix: &str,
        times: usize,
        error: impl Into<io::Error>,
    ) {
        let (prefix, error) = (prefix.to_owned(), error.into());
        let failure = Failure { prefix, errno: error.raw_os_error(), kind: error.kind() };
        self.shared().faults.push(&OPERATIONS, operation, times, failure);
    }

    /// Removes all faults that have not happened yet.
    ///
    /// See the [example](Self#example).
    pub fn clear_faults(&self) {
        self.shared().faults.clear();
    }

    /// Returns the number of calls of `operation` so far, including failed ones.
    ///
    /// See the [example](Self#example).
    ///
    /// # Panics
    ///
    /// If `operation` is not one of the four of [`fail_next`](Self::fail_next).
    #[must_use]
    pub fn calls(&self, operation: &str) -> usize {
        let count =
            OPERATIONS.iter().zip(self.shared().calls).find(|(name, _)| **name == operation);
        assert!(count.is_some(), "{operation} is none of {OPERATIONS:?}");
        count.map_or(0, |(_, count)| count)
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call. Returns an error if a fault happens to it.
    fn begin(&self, operation: &str, key: &str) -> io::Result<()> {
        let mut shared = self.shared();
        for (name, count) in OPERATIONS.iter().zip(&mut shared.calls) {
            *count += usize::from(*name == operation);
        }
        match shared.faults.next(operation, |failure| key.starts_with(&failure.prefix)) {
            None => Ok(()),
            Some(Failure { errno: Some(errno), .. }) => Err(io::Error::from_raw_os_error(errno)),
            Some(Failure { kind, .. }) => Err(kind.into()),
        }
    }
}

impl Default for FaultyStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl Storage for FaultyStorage {
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        self.begin("load", key)?;
        self.inner.load(key)
    }

    fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
        self.begin("store", key)?;
        self.inner.store(key, value)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        self.begin("remove", key)?;
        self.inner.remove(key)
    }

    fn lock(&self, key: &str, wait: Duration) -> io::Result<Option<StorageLock>> {
        self.begin("lock", key)?;
        self.inner.lock(key, wait)
    }
}

impl fmt::Debug for FaultyStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStorage")
            .field("calls", &self.shared().calls.iter().sum::<usize>())
            .finish_non_exhaustive()
    }
}
