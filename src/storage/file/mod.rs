//! Keeps records in the files of a directory. A loss of power at any moment damages none of them.
//!
//! * this file: `FileStorage`
//! * `names.rs`: file names for keys, and back
//! * `disk.rs`: the directory, and the calls that reach the disk; tests make them fail
//!   (`faulty_disk.rs`)
//! * `permissions.rs`: who owns a file, and who may read it or write to it
//! * `read.rs`: reads a record without following a link
//! * `atomic_write.rs`: writes and removes a record so that it survives a loss of power
//! * `sweep.rs`: removes temporary files
//! * `by_prefix.rs`: lists and removes all records whose keys begin with a prefix
//! * `locks.rs`: locks between processes

mod atomic_write;
mod by_prefix;
mod disk;
#[cfg(test)]
#[cfg(unix)]
mod faulty_disk;
#[cfg(unix)]
mod locks;
mod names;
mod permissions;
mod read;
mod sweep;

use std::fmt;
use std::io;
use std::path::PathBuf;
#[cfg(unix)]
use std::time::Duration;

use self::disk::{Disk, Files};
use super::Storage;
#[cfg(unix)]
use super::StorageLock;

#[cfg(all(test, unix, feature = "testing"))]
pub(crate) use self::faulty_disk::{ERRORS, FaultyDisk, Lasts};

/// Keeps each record in its own file, in one directory. It is a [`Storage`].
///
/// * **Durable.** A loss of power at any moment leaves the old or the new record. `store` writes a
///   temporary file, syncs it, renames it and syncs the directory. It writes only if the record
///   changes, because flash memory wears out. `remove` also removes temporary files that an
///   interrupted `store` left.
/// * **Private.** Only the owner may read a record: mode 0600, whatever the umask. When the
///   storage reads a record that others may read, it sets this mode. If that fails, the error names
///   the file. A new directory gets mode 0700. The mode of an existing directory stays as it is,
///   but every call returns an error if other users may write to the directory. If they may read
///   it, they can also lock it with `flock`. Then each `store` waits up to 100 ms more, and
///   temporary files of killed processes stay.
/// * **Parents** are not checked. They must belong to root or to the user, and be sticky if others
///   may write to them. Otherwise others can rename the directory: records are lost, or older ones
///   come back.
/// * **No links.** The storage follows no symbolic links inside the directory. The path of the
///   directory may be a link if it belongs to root or to the user.
/// * **Shared.** Several processes may use one directory. The last process that writes a record
///   wins.
/// * **Locks** are `flock` locks. The lock file is empty, has the name of the record plus `.lock`
///   and mode 0600, and is not removed. The kernel releases the lock of a process that ends. A
///   waiting process tries again every 10 ms. Locks need Unix and a file system with `flock`.
/// * **Names.** The file name is the key. In it, everything but lower-case letters, digits, `-` and
///   `_` is escaped. It has at most 103 bytes (120 with the suffix of a temporary file). A longer
///   one is cut and ends with a digest of the key; then the first line of the file is the whole
///   key.
/// * **File systems.** If a file system has no locks or no modes, or cannot sync a directory, the
///   storage works without that. If the user may write to the directory but not read it, only
///   `remove` returns an error, because it cannot look for temporary files. If mode 0600 cannot be
///   set, a new file may keep its mode if only the owner may read and write it. A call that a
///   signal interrupts is repeated.
///
/// A record of more than 64 KiB counts as absent. Nothing is read or written before the first call.
/// Each call waits for the disk.
///
/// # Example
///
/// ```
/// use cognito_identity_credentials::{FileStorage, Storage};
///
/// # fn main() -> std::io::Result<()> {
/// let directory = std::env::temp_dir().join(format!("identity-{}", std::process::id()));
/// let storage = FileStorage::new(&directory);
/// storage.store("key", b"value")?;
/// assert_eq!(storage.load("key")?.as_deref(), Some(&b"value"[..]));
/// storage.remove("key")?;
/// # std::fs::remove_dir(&directory)
/// # }
/// ```
#[derive(Clone)]
pub struct FileStorage(Files<Disk>);

impl FileStorage {
    /// Creates a storage that keeps its records in `directory`.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self(Files { disk: Disk, directory: directory.into() })
    }

    /// Returns the keys of all records that begin with `prefix`, sorted.
    ///
    /// See the [example](Self::remove_all).
    ///
    /// # Errors
    ///
    /// If the directory cannot be read, if other users may write to it, or if a record whose name
    /// is cut cannot be read. A missing directory is empty.
    pub fn keys(&self, prefix: &str) -> io::Result<Vec<String>> {
        self.0.keys(prefix)
    }

    /// Removes all records whose keys begin with `prefix`, and their temporary files. Returns how
    /// many records it removed.
    ///
    /// The lock files stay, because another process may hold one.
    ///
    /// ```
    /// use cognito_identity_credentials::{FileStorage, Storage};
    ///
    /// # let directory = std::env::temp_dir().join(format!("remove-all-{}", std::process::id()));
    /// let storage = FileStorage::new(&directory);
    /// storage.store("identity/first", b"value")?;
    /// storage.store("identity/second", b"value")?;
    /// assert_eq!(storage.keys("identity/")?, ["identity/first", "identity/second"]);
    ///
    /// // A factory reset: forgets everything.
    /// assert_eq!(storage.remove_all("")?, 2);
    /// storage.remove_locks("")?;
    /// # std::fs::remove_dir(&directory)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If [`keys`](Self::keys) would fail, or if a file cannot be removed. It still removes the
    /// other files.
    pub fn remove_all(&self, prefix: &str) -> io::Result<usize> {
        self.0.remove_files(prefix, false)
    }

    /// Removes the lock files of all keys that begin with `prefix`, as
    /// [`remove_all`](Self::remove_all) does with records. Returns how many it removed.
    ///
    /// If another process still holds such a lock, that lock has no effect any more.
    ///
    /// If the name of a lock file is cut and its record is gone, the end of the key is unknown. The
    /// lock is then removed if the known part of the key fits `prefix`.
    ///
    /// See the [example](Self::remove_all).
    ///
    /// # Errors
    ///
    /// The same as [`remove_all`](Self::remove_all).
    pub fn remove_locks(&self, prefix: &str) -> io::Result<usize> {
        self.0.remove_files(prefix, true)
    }
}

impl fmt::Debug for FileStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStorage").field("directory", &self.0.directory).finish()
    }
}

impl Storage for FileStorage {
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        self.0.load(key)
    }

    fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
        self.0.store(key, value)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        self.0.remove(key)
    }

    #[cfg(unix)]
    fn lock(&self, key: &str, wait: Duration) -> io::Result<Option<StorageLock>> {
        Ok(self.0.lock(key, wait)?.map(StorageLock::new))
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::disk::{Call, FileSystem};
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    pub(super) fn temporary() -> tempfile::TempDir {
        tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().unwrap()
    }

    impl<F: FileSystem> FileSystem for &F {
        fn call<T>(
            &self,
            call: Call<'_>,
            operation: impl FnOnce() -> io::Result<T>,
        ) -> io::Result<T> {
            (**self).call(call, operation)
        }
    }

    pub(super) fn on<F: FileSystem>(disk: F, directory: &Path) -> Files<F> {
        Files { disk, directory: directory.to_owned() }
    }

    pub(super) fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Writes a file that only its owner may use.
    pub(super) fn write_private(path: &Path, bytes: &[u8]) {
        fs::write(path, bytes).unwrap();
        chmod(path, 0o600);
    }

    pub(super) fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    pub(super) fn files(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn debug_shows_the_directory() {
        let storage = FileStorage::new("/var/lib/sensor");
        assert_eq!(format!("{storage:?}"), r#"FileStorage { directory: "/var/lib/sensor" }"#);
    }

    #[test]
    fn records_and_new_directories_are_private_to_their_owner() {
        let root = temporary();
        let directory = root.path().join("a/b");
        let storage = FileStorage::new(&directory);
        assert_eq!(storage.load("k").unwrap(), None, "there is no directory");
        storage.remove("k").unwrap();
        assert!(!root.path().join("a").exists(), "a load creates no directory");

        storage.store("k", b"one").unwrap();
        assert_eq!(storage.load("k").unwrap().unwrap(), b"one");
        assert_eq!((mode(&directory), mode(&directory.join("k"))), (0o700, 0o600));
        storage.store("k", b"two").unwrap();
        storage.store("../k", b"three").unwrap();
        assert_eq!(storage.load("k").unwrap().unwrap(), b"two");
        assert_eq!(files(&directory), ["%2E%2E%2Fk", "k"]);
        storage.remove("k").unwrap();
        storage.remove("k").unwrap();
        assert_eq!(storage.load("k").unwrap(), None);

        chmod(&directory, 0o755);
        storage.store("k", b"four").unwrap();
        assert_eq!(mode(&directory), 0o755, "an existing directory is left as it is");
    }

    #[test]
    fn a_directory_or_record_that_others_may_write_to_is_an_error() {
        let root = temporary();
        let storage = FileStorage::new(root.path());
        storage.store("k", b"one").unwrap();
        for bad in [0o770, 0o702, 0o1777] {
            chmod(root.path(), bad);
            for error in [
                storage.load("k").unwrap_err(),
                storage.store("k", b"two").unwrap_err(),
                storage.remove("k").unwrap_err(),
            ] {
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{bad:o}: {error}");
            }
        }
        chmod(root.path(), 0o700);
        chmod(&root.path().join("k"), 0o620);
        assert!(storage.load("k").is_err());
        storage.store("k", b"two").unwrap();
        assert_eq!(storage.load("k").unwrap().unwrap(), b"two", "a store replaces it");
        assert_eq!(mode(&root.path().join("k")), 0o600);
    }

    #[test]
    fn a_link_or_pipe_in_place_of_a_record_is_not_followed() {
        let (root, elsewhere) = (temporary(), temporary());
        let storage = FileStorage::new(root.path());
        let theirs = elsewhere.path().join("theirs");
        fs::write(&theirs, "theirs").unwrap();
        symlink(&theirs, root.path().join("k")).unwrap();
        assert!(storage.load("k").is_err());
        storage.store("k", b"ours").unwrap();
        assert_eq!(storage.load("k").unwrap().unwrap(), b"ours");
        assert_eq!(fs::read(&theirs).unwrap(), b"theirs");

        let status = std::process::Command::new("mkfifo").arg(root.path().join("p")).status();
        assert!(status.unwrap().success());
        assert!(storage.load("p").is_err(), "a load does not wait for a writer of the pipe");
        fs::create_dir(root.path().join("d")).unwrap();
        assert!(storage.load("d").is_err());
        assert!(FileStorage::new(&theirs).load("k").is_err(), "the directory is a file");
    }

    #[test]
    fn a_record_that_is_too_long_counts_as_absent() {
        let root = temporary();
        let storage = FileStorage::new(root.path());
        let longest = vec![b'x'; 64 * 1024];
        // The file of a long key begins with a header, which does not count.
        for key in ["k", &"k".repeat(300)] {
            storage.store(key, &longest).unwrap();
            assert_eq!(storage.load(key).unwrap().unwrap(), longest);
            storage.store(key, &vec![b'x'; 64 * 1024 + 1]).unwrap();
            assert_eq!(storage.load(key).unwrap(), None);
        }
    }

    #[test]
    fn records_are_listed_and_removed_by_the_beginning_of_their_keys() {
        let root = temporary();
        let storage = FileStorage::new(root.path().join("d"));
        assert_eq!(storage.keys("").unwrap(), [""; 0], "there is no directory");
        assert_eq!((storage.remove_all("").unwrap(), storage.remove_locks("").unwrap()), (0, 0));
        assert!(!root.path().join("d").exists());
        let long = |end: &str| format!("a/{}{end}", "x".repeat(200));
        for key in ["b", "a/B.c", "a/", "a", &long("1"), &long("2")] {
            storage.store(key, b"value").unwrap();
        }
        drop(storage.lock("a/B.c", Duration::ZERO).unwrap().unwrap());
        let directory = root.path().join("d");
        for stranger in ["a%2F.old", "a%2F.0123", "a%2F.lock.0123456789abcdef"] {
            fs::write(directory.join(stranger), "").unwrap();
        }
        fs::write(directory.join("a%2Fdead.0123456789abcdef"), "").unwrap();

        let [one, two] = [&*long("1"), &*long("2")];
        assert_eq!(storage.keys("").unwrap(), ["a", "a/", "a/B.c", one, two, "b"]);
        assert_eq!(storage.keys("a/").unwrap(), ["a/", "a/B.c", one, two]);
        assert_eq!(storage.remove_all("a/y").unwrap(), 0);
        assert_eq!(storage.keys(&long("")).unwrap(), [one, two]);
        assert_eq!(storage.remove_all(&long("3")).unwrap(), 0);
        assert_eq!(storage.remove_all(&long("1")).unwrap(), 1, "only one of two similar names");
        assert_eq!(storage.remove_all("a/").unwrap(), 3);
        let left = ["a", "a%2F%42%2Ec.lock", "a%2F.0123", "a%2F.lock.0123456789abcdef", "a%2F.old"];
        assert_eq!(files(&directory), [&left[..], &["b"]].concat());
        assert_eq!(
            (storage.remove_locks("b").unwrap(), storage.remove_locks("a/").unwrap()),
            (0, 1)
        );

        fs::create_dir(directory.join("a%2F")).unwrap();
        assert!(storage.remove_all("a").is_err());
        assert_eq!(storage.keys("a").unwrap(), ["a/"], "the other records are removed");
        chmod(&directory, 0o777);
        assert!(storage.keys("").is_err() && storage.remove_all("b").is_err());
        assert!(directory.join("b").exists());
    }

    /// Cut names can begin with the same text although the keys differ.
    #[test]
    fn locks_are_removed_by_the_beginning_of_their_keys_also_if_their_names_are_cut() {
        let long = |end: &str| format!("{}/{end}", "x".repeat(150));
        let [own, other, unknown] = ["own/1", "other", "own/2"].map(long);
        // the prefix, whether the records are removed before the locks, and which locks are left
        let rows: [(&str, bool, &[&str]); 5] = [
            (&long("own"), false, &[&other]),
            (&own, false, &[&other]),
            (&long(""), false, &[]),
            (&long("own"), true, &[&other]),
            ("y", false, &[&own, &other, &unknown]),
        ];
        for (prefix, without_records, left) in rows {
            let root = temporary();
            let storage = FileStorage::new(root.path());
            for key in [&own, &other] {
                storage.store(key, b"value").unwrap();
            }
            for key in [&own, &other, &unknown] {
                drop(storage.lock(key, Duration::ZERO).unwrap().unwrap());
            }
            if without_records {
                storage.remove_all(prefix).unwrap();
            }
            assert_eq!(storage.remove_locks(prefix).unwrap(), 3 - left.len(), "{prefix}");
            let mut locks = files(root.path());
            locks.retain(|name| matches!(names::parse(name), Some((_, names::FileKind::Lock))));
            let mut expected: Vec<_> = left
                .iter()
                .map(|key| format!("{}.lock", names::names(key).unwrap().record))
                .collect();
            expected.sort();
            assert_eq!(locks, expected, "{prefix}");
        }
    }

    #[test]
    fn a_lock_that_is_held_has_no_effect_after_the_removal_of_its_file() {
        let root = temporary();
        let [one, other] = [(); 2].map(|()| FileStorage::new(root.path()));
        let now = |storage: &FileStorage| storage.lock("k", Duration::ZERO).unwrap();
        let held = now(&one).unwrap();
        assert!(now(&other).is_none());
        assert_eq!(other.remove_locks("k").unwrap(), 1);
        let held_by_other = now(&other).unwrap();
        drop(held);
        assert!(now(&one).is_none(), "the first holder does not release the new lock");
        drop(held_by_other);
        assert!(now(&one).is_some());
    }

    #[test]
    fn a_record_of_an_earlier_version_is_found_and_moves_to_its_shorter_name() {
        type Row = (&'static str, fn(&FileStorage, &str), usize);

        let key = &format!("credentials/{}", "x".repeat(150));
        let names = names::names(key).unwrap();
        let earlier = names.earlier.clone().unwrap();
        let left_over = format!("{earlier}.0123456789abcdef");
        let root = temporary();
        let storage = FileStorage::new(root.path());
        let put = |name: &str, bytes: &[u8]| write_private(&root.path().join(name), bytes);
        let plant = || [&earlier, &left_over].map(|name| put(name, b"old"));
        // the operation on it, and how many files are left
        let rows: [Row; 4] = [
            ("a new value", |storage, key| storage.store(key, b"new").unwrap(), 1),
            ("the same value", |storage, key| storage.store(key, b"old").unwrap(), 1),
            ("a removal", |storage, key| storage.remove(key).unwrap(), 0),
            (
                "a removal by prefix",
                |storage, _| assert_eq!(storage.remove_all("credentials/").unwrap(), 1),
                0,
            ),
        ];
        for (what, act, left) in rows {
            plant();
            assert_eq!(storage.load(key).unwrap().as_deref(), Some(&b"old"[..]), "{what}");
            assert_eq!(storage.keys("credentials/x").unwrap(), [key.as_str()], "{what}");
            act(&storage, key);
            assert_eq!(files(root.path()), vec![&*names.record; left], "{what}");
            storage.remove(key).unwrap();
        }

        storage.store(key, b"new").unwrap();
        put(&earlier, b"old");
        assert_eq!(
            storage.load(key).unwrap().as_deref(),
            Some(&b"new"[..]),
            "the record with the new name is read"
        );
        storage.store(key, b"new").unwrap();
        assert_eq!(files(root.path()), [&*names.record], "an unchanged record moves too");

        let other = format!("{key}y");
        let copy = names::names(&other).unwrap().record;
        fs::copy(root.path().join(&names.record), root.path().join(&copy)).unwrap();
        let error = storage.load(&other).unwrap_err();
        assert_eq!(error.to_string(), "the record belongs to another key");
        put(&copy, b"half of a he");
        assert_eq!(storage.load(&other).unwrap(), None);
        storage.remove(&other).unwrap();

        let longer = &"y".repeat(300);
        let cut = names::names(longer).unwrap().earlier.unwrap();
        put(&cut, b"old");
        assert_eq!(storage.load(longer).unwrap(), None, "a cut name counts as absent");
        storage.remove(longer).unwrap();
        assert_eq!(files(root.path()), [&*names.record], "a removal removes it too");
    }

    #[test]
    fn a_record_or_lock_that_others_may_read_is_tightened() {
        let root = temporary();
        let storage = FileStorage::new(root.path());
        storage.store("k", b"one").unwrap();
        drop(storage.lock("k", Duration::ZERO).unwrap().unwrap());
        let actions: [fn(&FileStorage); 3] = [
            |storage| assert!(storage.load("k").unwrap().is_some()),
            |storage| storage.store("k", b"one").unwrap(),
            |storage| drop(storage.lock("k", Duration::ZERO).unwrap().unwrap()),
        ];
        for lax in [0o644, 0o640, 0o604, 0o611, 0o755] {
            for (act, name) in actions.iter().zip(["k", "k", "k.lock"]) {
                let path = root.path().join(name);
                chmod(&path, lax);
                act(&storage);
                assert_eq!(mode(&path), 0o600, "{name} {lax:o}");
            }
        }
    }

    #[test]
    fn the_directory_may_be_a_link_of_root_or_the_user_that_leads_somewhere() {
        let root = temporary();
        let (target, link) = (root.path().join("target"), root.path().join("link"));
        symlink(&target, &link).unwrap();
        // With a slash or a dot at its end, a path names the target of the link.
        for path in ["link", "link/", "link/."].map(|name| root.path().join(name)) {
            let storage = FileStorage::new(&path);
            assert!(storage.load("k").is_err() && storage.store("k", b"one").is_err());
            assert!(storage.remove("k").is_err() && storage.keys("").is_err() && !target.exists());
        }
        FileStorage::new(&target).store("k", b"one").unwrap();
        for path in ["link", "link/", "link/."].map(|name| root.path().join(name)) {
            let storage = FileStorage::new(&path);
            assert_eq!(storage.load("k").unwrap().as_deref(), Some(&b"one"[..]));
            storage.store("k", path.as_os_str().as_encoded_bytes()).unwrap();
            storage.store("k", b"one").unwrap();
        }
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::lchown(&link, Some(1234), None).unwrap();
            for path in ["link", "link/", "link/."].map(|name| root.path().join(name)) {
                let error = FileStorage::new(&path).load("k").unwrap_err();
                assert_eq!(error.to_string(), "the link to the directory belongs to another user");
            }
        }
    }
}
