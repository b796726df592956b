//! The calls of the storage: their order, locks, failures and files.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cognito_identity_credentials::testing::FaultyStorage;
use cognito_identity_credentials::transport::{HttpRequest, Transport};
use cognito_identity_credentials::{ErrorKind, FileStorage, MemoryStorage, Storage, StorageLock};

use super::{Device, ann};
use crate::secrets::{logged, record_log};
use crate::storages::Hooked;
use crate::support::{POOL, operation, seconds};

/// A storage that records its calls, and makes some operations on credentials fail.
#[derive(Default)]
struct Recorded {
    inner: MemoryStorage,
    /// The operation that fails.
    fails: Option<&'static str>,
    calls: Mutex<Vec<String>>,
    locks_held: Arc<AtomicUsize>,
}

struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Recorded {
    fn record(&self, operation: &'static str, key: &str) -> io::Result<()> {
        if !key.starts_with("credentials/") {
            return Ok(());
        }
        self.calls.lock().unwrap().push(operation.to_owned());
        if self.fails == Some(operation) {
            return Err(io::Error::other("the storage is broken"));
        }
        Ok(())
    }

    /// Returns the calls for credentials since the last call of this.
    fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

impl Storage for Recorded {
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        self.record("load", key)?;
        self.inner.load(key)
    }

    fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
        self.record("store", key)?;
        self.inner.store(key, value)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        self.record("remove", key)?;
        self.inner.remove(key)
    }

    fn lock(&self, key: &str, wait: Duration) -> io::Result<Option<StorageLock>> {
        self.record("lock", key)?;
        self.calls.lock().unwrap().push(format!("wait {wait:?}"));
        self.locks_held.fetch_add(1, Ordering::SeqCst);
        Ok(Some(StorageLock::new(Guard(self.locks_held.clone()))))
    }
}

#[test]
fn storage_failures_fail_no_get_and_are_logged_without_secrets() {
    record_log();
    for fails in ["load", "store", "lock", "remove"] {
        let logged_before = logged().len();
        let device = Device::new();
        let storage = Arc::new(Recorded { fails: Some(fails), ..Recorded::default() });
        let process = || device.process(|builder| builder.storage(storage.clone()));
        let first = process();
        let (set, _) = device.get(&first);
        let are_stored = matches!(fails, "lock" | "remove");
        let (next, called) = device.get(&process());
        assert_eq!((next == set, called), (are_stored, !are_stored), "{fails}");
        device.clock.advance(seconds(2));
        first.refresh().unwrap();
        first.clear_cached_id();
        device.clock.advance(seconds(2));
        first.expire();
        first.get().unwrap();
        let locks_held = storage.locks_held.load(Ordering::SeqCst);
        assert_eq!(locks_held, 0, "{fails}: every lock is released");
        let log = logged().split_off(logged_before);
        assert!(log.contains("the storage is broken"), "{fails}: {log}");
        for secret in [set.secret_access_key(), set.session_token(), set.identity_id().unwrap()] {
            assert!(!log.contains(secret), "{fails}: {log}");
        }
    }
}

/// The order: load, lock, load again, call the service, store, release the lock. `refresh()` does
/// not wait for the lock. Other calls wait for at most half of their time limit.
#[test]
fn a_refresh_locks_the_storage_once_for_a_limited_time() {
    let device = Device::new();
    let storage = Arc::new(Recorded::default());
    let locks_at_requests = Arc::new(Mutex::new(Vec::new()));
    let process = || {
        device.process(|builder| {
            let (cognito, locks_held) = (device.cognito.clone(), storage.locks_held.clone());
            let seen = locks_at_requests.clone();
            builder.storage(storage.clone()).transport(move |request: &HttpRequest| {
                seen.lock().unwrap().push(locks_held.load(Ordering::SeqCst));
                cognito.send(request)
            })
        })
    };
    let first = process();
    first.get().unwrap();
    assert_eq!(storage.take_calls(), ["load", "lock", "wait 30s", "load", "store"]);
    assert_eq!(*locks_at_requests.lock().unwrap(), [1, 1], "GetId and GetCredentialsForIdentity");
    first.get().unwrap();
    assert_eq!(storage.take_calls(), [""; 0], "from memory");
    process().get().unwrap();
    assert_eq!(storage.take_calls(), ["load"], "from the storage, without a lock");
    first.refresh().unwrap();
    assert_eq!(storage.take_calls(), ["lock", "wait 0ns", "load", "store"]);
    device.clock.advance(seconds(2800));
    first.get().unwrap();
    assert_eq!(storage.take_calls()[2], "wait 5s", "an early refresh has one attempt_timeout");
    device.clock.advance(seconds(3600));
    first.get_within(seconds(8)).unwrap();
    assert_eq!(storage.take_calls()[2], "wait 4s");
    assert_eq!(storage.locks_held.load(Ordering::SeqCst), 0);
}

#[test]
fn a_panic_releases_the_lock() {
    let device = Device::new();
    let storage = Arc::new(Recorded::default());
    let credentials = device.process(|builder| {
        builder.storage(storage.clone()).transport(|request: &HttpRequest| {
            panic!("a transport with a fault in {}", operation(request))
        })
    });
    catch_unwind(AssertUnwindSafe(|| credentials.get())).unwrap_err();
    assert_eq!(storage.locks_held.load(Ordering::SeqCst), 0);
    assert!(storage.take_calls().contains(&"lock".to_owned()));
}

/// The library holds no internal lock while the code of a storage runs.
#[test]
fn a_storage_that_calls_get_receives_an_error() {
    let (device, storage) = (Device::new(), Arc::new(Hooked::<FaultyStorage>::default()));
    let credentials = device.process(|builder| builder.storage(storage.clone()));
    let inside = credentials.clone();
    storage.run(move |operation, _| {
        if ["load", "lock"].contains(&operation) {
            assert_eq!(inside.get().unwrap_err().kind(), ErrorKind::Reentrant);
            assert_eq!((inside.cached(), inside.needs_refresh()), (None, true));
            inside.set_login("x", "y");
            inside.remove_login("x");
        }
    });
    credentials.get().unwrap();
    assert!(storage.inner.calls("load") > 0 && storage.inner.calls("lock") > 0);
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_record_files_and_their_names_hold_no_secret() {
    use std::os::unix::fs::PermissionsExt;

    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("d");
    let device = Device::new();
    let process =
        || device.process(|builder| ann(builder).storage(Arc::new(FileStorage::new(&directory))));
    let (set, _) = device.get(&process());
    assert_eq!(device.get(&process()), (set.clone(), false));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode(), 0o100_600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    let pool = POOL.replace(':', "%3A");
    let record = format!("credentials%2F{pool}%2Fann");
    assert_eq!(
        names,
        [record.clone(), format!("{record}.lock"), format!("identity%2F{pool}%2Fann")]
    );
    let text = std::fs::read_to_string(directory.join(&record)).unwrap();
    assert!(text.contains(set.session_token()), "the record holds the session token");

    process().clear_cached_id();
    assert!(!directory.join(&record).exists());
}

#[test]
fn debug_of_a_lock_hides_its_guard() {
    assert_eq!(format!("{:?}", StorageLock::new("SENTINEL")), "StorageLock { .. }");
    let lock = MemoryStorage::new().lock("k", seconds(60)).unwrap();
    assert!(lock.is_none(), "the default is no lock");
}
