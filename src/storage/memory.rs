//! Records in memory.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use super::Storage;

/// Keeps records in memory until the program ends. It is a [`Storage`]. To share it, use an `Arc`.
///
/// It wipes values when they are replaced or dropped, and has no locks. `Debug` shows only the
/// keys.
///
/// # Example
///
/// Two providers share one identity:
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use std::sync::Arc;
/// use cognito_identity_credentials::testing::FakeCognito;
/// use cognito_identity_credentials::{CognitoIdentityCredentials, MemoryStorage};
///
/// let (cognito, storage) = (FakeCognito::new(), Arc::new(MemoryStorage::new()));
/// let provider = || {
///     CognitoIdentityCredentials::builder()
///         .identity_pool_id(FakeCognito::POOL_ID)
///         .storage(Arc::clone(&storage))
///         .transport(cognito.clone())
///         .build()
/// };
/// let id = provider()?.get()?.identity_id().map(str::to_owned);
/// assert_eq!(provider()?.identity_id(), id);
/// # }
/// # Ok::<(), cognito_identity_credentials::Error>(())
/// ```
#[derive(Default)]
pub struct MemoryStorage(Mutex<HashMap<String, Zeroizing<Vec<u8>>>>);

impl MemoryStorage {
    /// Creates an empty storage.
    ///
    /// See the [example](Self#example).
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
