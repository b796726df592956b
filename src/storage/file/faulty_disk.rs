//! A disk whose calls fail on demand, for the tests of [`FileStorage`](super::FileStorage).

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
#[cfg(feature = "testing")]
use std::time::Duration;

#[cfg(feature = "testing")]
use super::super::{Storage, StorageLock};
use super::disk::{Call, Disk, FileSystem, Files};
#[cfg(test)]
use rustix::io::Errno;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Lasts {
    Once,
    Always,
}

/// A real directory with a fault at one of its calls. Clones share the fault.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultyDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    calls: usize,
    fault: Option<(usize, i32, Lasts)>,
    failed: Option<String>,
}

impl FaultyDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes call number `at` fail with this error of the system. The next call has number 0.
    pub(crate) fn fail(&self, at: usize, errno: i32, lasts: Lasts) {
        *self.state() = State { fault: Some((at, errno, lasts)), ..State::default() };
    }

    /// Ends the fault. Returns the first call that failed, if any.
    pub(crate) fn mend(&self) -> Option<String> {
        std::mem::take(&mut *self.state()).failed
    }

    #[cfg(feature = "testing")]
    pub(crate) fn storage(&self, directory: &Path) -> Arc<dyn Storage> {
        Arc::new(self.files(directory))
    }

    fn files(&self, directory: &Path) -> Files<Self> {
        Files { disk: self.clone(), directory: directory.to_owned() }
    }
}

impl FileSystem for FaultyDisk {
    fn call<T>(&self, call: Call<'_>, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        {
            let state = &mut *self.state();
            let number = state.calls;
            state.calls += 1;
            if let Some((at, errno, lasts)) = state.fault {
                if number == at || (number > at && lasts == Lasts::Always) {
                    state.failed.get_or_insert_with(|| format!("{call:?}"));
                    return Err(io::Error::from_raw_os_error(errno));
                }
            }
        }
        Disk.call(call, operation)
    }
}

/// Calls the methods of `Files` that have the same names.
#[cfg(feature = "testing")]
impl Storage for Files<FaultyDisk> {
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        self.load(key)
    }

    fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
        self.store(key, value)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        self.remove(key)
    }

    fn lock(&self, key: &str, wait: Duration) -> io::Result<Option<StorageLock>> {
        Ok(self.lock(key, wait)?.map(StorageLock::new))
    }
}

/// Errors of the system. The first ones differ most in what they mean for a record.
#[cfg(test)]
pub(crate) const ERRORS: &[Errno] = &[
    Errno::INTR,
    Errno::IO,
    Errno::ACCESS,
    Errno::ROFS,
    Errno::INVAL,
    Errno::OPNOTSUPP,
    Errno::NOSYS,
    Errno::LOOP,
    Errno::NAMETOOLONG,
    Errno::NOTDIR,
    Errno::NOENT,
    Errno::EXIST,
    Errno::AGAIN,
    Errno::MFILE,
    Errno::NFILE,
    Errno::NOMEM,
    Errno::STALE,
    Errno::PERM,
    Errno::NOSPC,
    Errno::DQUOT,
    Errno::BUSY,
    Errno::TIMEDOUT,
    Errno::NOLCK,
    Errno::BADF,
    Errno::NODEV,
    Errno::NXIO,
    Errno::ISDIR,
    Errno::FBIG,
    Errno::HOSTDOWN,
];

/// A real directory. The closure sees each call first, and may make it fail.
pub(super) struct Watched<W>(pub(super) W);

impl<W: Fn(Call<'_>) -> io::Result<()>> FileSystem for Watched<W> {
    fn call<T>(&self, call: Call<'_>, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        (self.0)(call)?;
        Disk.call(call, operation)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::super::super::Storage;
    use super::super::names::FileKind;
    use super::super::tests::{chmod, files, mode, temporary, write_private};
    use super::super::{FileStorage, names};
    use super::*;

    /// The tests try this many errors. With `SOAK` they try all.
    const KINDS: usize = 13;

    const OLD: &[u8] = b"old";
    const NEW: &[u8] = b"new";

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Before {
        NoDirectory,
        NoRecord,
        Record,
        /// A record that others may read.
        LaxRecord,
        /// A record with the name of an earlier version.
        Earlier,
        /// A record, and the temporary file of a writer that died.
        Litter,
    }

    const BEFORE: [Before; 6] = [
        Before::NoDirectory,
        Before::NoRecord,
        Before::Record,
        Before::LaxRecord,
        Before::Earlier,
        Before::Litter,
    ];

    impl Before {
        fn has_record(self) -> bool {
            !matches!(self, Self::NoDirectory | Self::NoRecord)
        }

        fn make(self, directory: &Path, key: &str) {
            let name = names::names(key).unwrap();
            let header = name.header.clone().unwrap_or_default();
            let put = |name: &str, bytes: &[u8]| write_private(&directory.join(name), bytes);
            if self == Self::NoDirectory {
                return;
            }
            fs::create_dir(directory).unwrap();
            chmod(directory, 0o700);
            match self {
                Self::Earlier if !header.is_empty() => put(&name.earlier.unwrap(), OLD),
                _ if self.has_record() => put(&name.record, &[header.as_bytes(), OLD].concat()),
                _ => {}
            }
            if self == Self::LaxRecord {
                let record = files(directory).pop().unwrap();
                chmod(&directory.join(record), 0o644);
            }
            if self == Self::Litter {
                let name = names::names(key).unwrap().record;
                put(&format!("{name}.0123456789abcdef"), NEW);
            }
        }
    }

    fn is_lock(name: &str) -> bool {
        matches!(names::parse(name), Some((_, FileKind::Lock)))
    }

    /// One fault, the call that it hit, and the disk after the fault has ended.
    struct Case<'a> {
        before: Before,
        errno: Errno,
        lasts: Lasts,
        failed: String,
        storage: Files<FaultyDisk>,
        key: &'a str,
    }

    impl Case<'_> {
        fn now(&self) -> Option<Vec<u8>> {
            FileStorage::new(&self.storage.directory).load(self.key).unwrap()
        }

        /// Returns `true` if the error means that a file does not exist. The storage has to believe
        /// it.
        fn means_absent(&self) -> bool {
            [Errno::NOENT, Errno::NAMETOOLONG].contains(&self.errno)
        }

        /// The files without the locks, which are never removed.
        fn records(&self) -> Vec<String> {
            let mut files = self.files();
            files.retain(|name| !is_lock(name));
            files
        }

        fn files(&self) -> Vec<String> {
            if self.storage.directory.exists() {
                files(&self.storage.directory)
            } else {
                Vec::new()
            }
        }
    }

    impl Debug for Case<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            let Self { before, errno, lasts, failed, .. } = self;
            write!(f, "{before:?}, {errno:?} {lasts:?} at {failed}")
        }
    }

    /// Returns a directory in memory if possible, because syncing each store to a disk takes
    /// minutes.
    fn in_memory() -> tempfile::TempDir {
        let private = fs::Permissions::from_mode(0o700);
        let mut builder = tempfile::Builder::new();
        builder.permissions(private).tempdir_in("/dev/shm").unwrap_or_else(|_| temporary())
    }

    fn with_fault_at<T: Debug>(
        call: &str,
        errno: Errno,
        before: Before,
        operation: impl Fn(&Files<FaultyDisk>) -> io::Result<T>,
    ) -> io::Result<T> {
        for at in 0.. {
            let root = in_memory();
            before.make(&root.path().join("d"), "k");
            let disk = FaultyDisk::default();
            disk.fail(at, errno.raw_os_error(), Lasts::Once);
            let outcome = operation(&disk.files(&root.path().join("d")));
            if disk.mend().expect(call).starts_with(call) {
                return outcome;
            }
        }
        unreachable!()
    }

    #[test]
    fn a_directory_that_cannot_be_synced_is_no_failure_unless_the_disk_is_broken() {
        // the error, and whether the record counts as stored if it arises: when the directory is
        // synced, and when it is opened for that
        let rows = [
            (Errno::INVAL, true, false),
            (Errno::NOTSUP, true, false),
            (Errno::OPNOTSUPP, true, false),
            (Errno::NOSYS, true, false),
            (Errno::ACCESS, false, true),
            (Errno::PERM, false, false),
            (Errno::IO, false, false),
            (Errno::NOSPC, false, false),
            (Errno::DQUOT, false, false),
            (Errno::ROFS, false, false),
            (Errno::STALE, false, false),
            (Errno::MFILE, false, false),
        ];
        for (errno, synced, opened) in rows {
            for before in [Before::NoDirectory, Before::NoRecord, Before::Record] {
                let stored = with_fault_at("SyncDirectory(", errno, before, |storage| {
                    storage.store("k", NEW)
                });
                assert_eq!(stored.is_ok(), synced, "{errno:?}, {before:?}");

                let root = in_memory();
                let directory = root.path().join("d");
                before.make(&directory, "k");
                let disk = Watched(|call: Call<'_>| match call {
                    Call::OpenDirectory(_) => Err(errno.into()),
                    _ => Ok(()),
                });
                let stored = Files { disk, directory: directory.clone() }.store("k", NEW);
                assert_eq!(stored.is_ok(), opened, "{errno:?}, {before:?}");
                if opened {
                    let loaded = FileStorage::new(directory).load("k").unwrap();
                    assert_eq!(loaded.as_deref(), Some(NEW), "{errno:?}, {before:?}");
                }
            }
            for call in ["Sync(", "Write("] {
                with_fault_at(call, errno, Before::Record, |storage| storage.store("k", NEW))
                    .unwrap_err();
            }
        }
    }

    #[test]
    fn a_record_that_stays_readable_for_others_is_an_error_unless_there_are_no_modes() {
        let rows = [
            (Errno::PERM, false),
            (Errno::ROFS, false),
            (Errno::IO, false),
            (Errno::OPNOTSUPP, true),
            (Errno::NOSYS, true),
        ];
        for (errno, serves) in rows {
            let loaded =
                with_fault_at("SetMode(", errno, Before::LaxRecord, |storage| storage.load("k"));
            assert_eq!(loaded.is_ok(), serves, "{errno:?}: {loaded:?}");
            if let Err(error) = loaded {
                let says = error.to_string();
                assert!(says.contains("; run `chmod 600 /") && says.ends_with("/d/k`"), "{says}");
            }
        }
    }

    /// Runs the operation with every fault, one at a time. Returns how many faults it hit. Without
    /// `SOAK`, this is the number that it would hit with all errors.
    fn for_every_fault<T: Debug + PartialEq>(
        operation: impl Fn(&Files<FaultyDisk>, &str) -> io::Result<T>,
        check: impl Fn(&Case<'_>, &io::Result<T>),
    ) -> usize {
        let mut faults = 0;
        let all = std::env::var_os("SOAK").is_some();
        let errors = &ERRORS[..if all { ERRORS.len() } else { KINDS }];
        // a short key, and one whose name is cut now but was not cut in earlier versions
        for key in ["k", &"long".repeat(40)] {
            for before in BEFORE {
                for &errno in errors {
                    for lasts in [Lasts::Once, Lasts::Always] {
                        for at in 0.. {
                            let root = in_memory();
                            let directory = root.path().join("d");
                            before.make(&directory, key);
                            let disk = FaultyDisk::default();
                            let storage = disk.files(&directory);
                            disk.fail(at, errno.raw_os_error(), lasts);
                            let outcome = operation(&storage, key);
                            let Some(failed) = disk.mend() else { break };
                            let case = Case { before, errno, lasts, failed, storage, key };
                            if errno == Errno::INTR && lasts == Lasts::Once {
                                assert!(outcome.is_ok(), "{case:?}: {outcome:?}");
                            }
                            check(&case, &outcome);
                            faults += 1;
                            case.storage.store(key, b"newest").unwrap();
                            assert_eq!(case.now().as_deref(), Some(&b"newest"[..]), "{case:?}");
                            let left = case.records();
                            assert_eq!(left.len(), 1, "{case:?}: {left:?}");
                            assert_eq!(mode(&directory), 0o700, "{case:?}");
                            assert_eq!(mode(&directory.join(&left[0])), 0o600, "{case:?}");
                        }
                    }
                }
            }
        }
        faults * ERRORS.len() / errors.len()
    }

    #[test]
    fn a_load_returns_the_record_or_an_error_whatever_fails() {
        let faults = for_every_fault(Files::load, |case, outcome| {
            let there = case.before.has_record().then(|| OLD.to_vec());
            assert_eq!(case.now(), there, "{case:?}");
            match outcome {
                Ok(None) if case.means_absent() => {}
                Ok(loaded) => assert_eq!(*loaded, there, "{case:?}"),
                Err(_) => {}
            }
        });
        assert!(faults > 2000, "{faults}");
    }

    #[test]
    fn a_store_is_durable_or_an_error_and_leaves_the_old_or_the_new_record_whatever_fails() {
        let faults = for_every_fault(
            |storage, key| storage.store(key, NEW),
            |case, outcome| {
                let now = case.now();
                let old = case.before.has_record().then_some(OLD);
                match outcome {
                    Ok(()) => assert_eq!(now.as_deref(), Some(NEW), "{case:?}"),
                    Err(_) => assert!(now.as_deref() == old || now.as_deref() == Some(NEW)),
                }
                let synced = case.failed.starts_with("Sync(") || case.failed.starts_with("Rename(");
                let taken = [Errno::NOENT, Errno::EXIST, Errno::INTR].contains(&case.errno);
                if synced && !(taken && case.lasts == Lasts::Once) {
                    assert!(outcome.is_err(), "{case:?}");
                }
                if case.failed.starts_with("SyncDirectory(") && case.errno == Errno::IO {
                    assert!(outcome.is_err(), "{case:?}");
                }
            },
        );
        assert!(faults > 6000, "{faults}");
    }

    #[test]
    fn a_removal_is_complete_or_an_error_whatever_fails() {
        let faults = for_every_fault(Files::remove, |case, outcome| {
            let now = case.now();
            assert!(now.is_none() || now.as_deref() == Some(OLD), "{case:?}");
            if outcome.is_ok() && !case.means_absent() {
                assert_eq!(case.files(), [""; 0], "{case:?}");
            }
        });
        assert!(faults > 2000, "{faults}");
    }

    #[test]
    fn removal_by_prefix_is_complete_or_an_error_whatever_fails() {
        let faults = for_every_fault(
            |storage, key| storage.remove_files(&key[..1], false),
            |case, outcome| {
                let now = case.now();
                assert!(now.is_none() || now.as_deref() == Some(OLD), "{case:?}");
                if outcome.is_ok() && !case.means_absent() {
                    assert_eq!(case.files(), [""; 0], "{case:?}");
                }
            },
        );
        assert!(faults > 1500, "{faults}");
    }

    #[test]
    fn a_listing_is_complete_or_an_error_whatever_fails() {
        let faults = for_every_fault(
            |storage, key| storage.keys(&key[..1]),
            |case, outcome| {
                if let Ok(keys) = outcome {
                    let all = keys.len() == usize::from(case.before.has_record());
                    assert!(all || case.means_absent(), "{case:?}: {keys:?}");
                }
            },
        );
        assert!(faults > 1000, "{faults}");
    }

    #[test]
    fn a_lock_is_held_or_missing_or_an_error_whatever_fails() {
        let faults = for_every_fault(
            |storage, key| Ok(storage.lock(key, Duration::ZERO)?.is_some()),
            |case, outcome| {
                // The file system has no locks, or another holder has this one.
                let none = [Errno::OPNOTSUPP, Errno::NOSYS, Errno::NOLCK, Errno::AGAIN]
                    .contains(&case.errno);
                if let Ok(locked) = outcome {
                    assert!(*locked || none, "{case:?}");
                }
                assert!(case.storage.lock(case.key, Duration::ZERO).unwrap().is_some(), "{case:?}");
                for name in case.files().iter().filter(|name| is_lock(name)) {
                    assert_eq!(mode(&case.storage.directory.join(name)), 0o600, "{case:?}");
                }
                assert_eq!(case.storage.remove_files(&case.key[..1], true).unwrap(), 1, "{case:?}");
            },
        );
        assert!(faults > 1500, "{faults}");
    }
}
