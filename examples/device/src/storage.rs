//! Decides where each record is stored: the identity and the refresh token on flash, the
//! credentials in memory.
//!
//! Each refresh writes the credentials, and flash wears out. After a restart of the system the
//! stored credentials are useless anyway. The other records change rarely and must not be lost.

use std::io;
use std::path::Path;
use std::time::Duration;

use cognito_identity_credentials::{FileStorage, Storage, StorageLock};

pub struct DeviceStorage {
    flash: FileStorage,
    memory: Option<FileStorage>,
}

impl DeviceStorage {
    /// `memory` is a directory below `/run`, as systemd's `RuntimeDirectory=` makes it.
    pub fn new(flash: &Path, memory: Option<&Path>) -> Self {
        Self { flash: FileStorage::new(flash), memory: memory.map(FileStorage::new) }
    }

    fn place(&self, key: &str) -> &FileStorage {
        match &self.memory {
            Some(memory) if key.starts_with("credentials/") => memory,
            _ => &self.flash,
        }
    }
}

impl Storage for DeviceStorage {
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        self.place(key).load(key)
    }

    fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
        self.place(key).store(key, value)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        self.place(key).remove(key)
    }

    fn lock(&self, key: &str, wait: Duration) -> io::Result<Option<StorageLock>> {
        self.place(key).lock(key, wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_credentials_are_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let (flash, memory) = (folder.path().join("flash"), folder.path().join("memory"));
        let storage = DeviceStorage::new(&flash, Some(&memory));
        for key in ["identity/a", "credentials/a", "refresh-token/a"] {
            storage.store(key, key.as_bytes()).unwrap();
            assert_eq!(storage.load(key).unwrap().unwrap(), key.as_bytes());
        }
        let keys = |folder| FileStorage::new(folder).keys("").unwrap();
        assert_eq!(keys(flash), ["identity/a", "refresh-token/a"]);
        assert_eq!(keys(memory), ["credentials/a"]);
    }
}
