//! Storages that fail, that run code of the test, or that confuse their records.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cognito_identity_credentials::testing::FaultyStorage;
use cognito_identity_credentials::{MemoryStorage, Storage, StorageLock};

/// Makes all later calls that store or remove a record fail.
pub(crate) fn fail_writes(storage: &FaultyStorage, error: io::ErrorKind) {
    for operation in ["store", "remove"] {
        storage.fail_next(operation, usize::MAX, error);
    }
}

type Hook = Box<dyn Fn(&str, &str) + Send + Sync>;

/// Runs code of the test in each call. The code gets the operation and the key.
#[derive(Default)]
pub(crate) struct Hooked<S = FaultyStorage> {
    pub(crate) inner: S,
    hook: OnceLock<Hook>,
}

impl<S> Hooked<S> {
    pub(crate) fn around(inner: S) -> Self {
        Self { inner, hook: OnceLock::new() }
    }

    /// Sets the code, which runs before each `load`, `store`, `remove` and `lock`, and again after
    /// each `store` (as `stored`).
    pub(crate) fn run(&self, hook: impl Fn(&str, &str) + Send + Sync + 'static) {
        assert!(self.hook.set(Box::new(hook)).is_ok(), "the code is set once");
    }

    fn hook(&self, operation: &str, key: &str) {
        if let Some(hook) = self.hook.get() {
            hook(operation, key);
        }
    }
}

impl<S: Storage> Storage for Hooked<S> {
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        self.hook("load", key);
        self.inner.load(key)
    }

    fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
        self.hook("store", key);
        self.inner.store(key, value)?;
        self.hook("stored", key);
        Ok(())
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        self.hook("remove", key);
        self.inner.remove(key)
    }

    fn lock(&self, key: &str, wait: Duration) -> io::Result<Option<StorageLock>> {
        self.hook("lock", key);
        self.inner.lock(key, wait)
    }
}

/// Has one place for all keys of each of these kinds, like a storage that shortens names.
pub(crate) struct Colliding {
    pub(crate) records: Arc<MemoryStorage>,
    pub(crate) kinds: &'static [&'static str],
}

impl Colliding {
    fn place<'a>(&self, key: &'a str) -> &'a str {
        let (kind, _) = key.split_once('/').unwrap();
        if self.kinds.contains(&kind) { kind } else { key }
    }
}

impl Storage for Colliding {
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        self.records.load(self.place(key))
    }

    fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
        self.records.store(self.place(key), value)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        self.records.remove(self.place(key))
    }
}
