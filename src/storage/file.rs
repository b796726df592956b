//! Records in the files of a directory, which outlive a loss of power at any moment.

use std::fmt::Write as _;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::mem;
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::time::Duration;

use zeroize::Zeroizing;

use super::Storage;
#[cfg(unix)]
use super::StorageLock;
use crate::random;
use crate::secret::read_to_end;

/// A longer record is not one of ours.
const LONGEST_RECORD: u64 = 64 * 1024;

/// Leaves room for the name of the temporary file beside it.
const LONGEST_NAME: usize = 200;

/// How often a write is begun, if other processes sweep its temporary file away or take its name.
const ATTEMPTS: u32 = 20;

/// A [`Storage`] that keeps each record in a file of its own in one directory.
///
/// * A record is written under a temporary name, synced, renamed, and the directory synced: a loss
///   of power at any moment leaves the old or the new record behind. It is written only when it
///   changes, for flash wears out.
/// * Records are readable by their owner alone (mode 0600). A directory that does not exist is made
///   with mode 0700. One that exists is left as it is, but refused when others may write to it.
/// * Symbolic links are not followed, neither to records nor by temporary files.
/// * A record that is longer than 64 KiB counts as absent.
/// * Several processes may share a directory; the last one to write wins.
/// * A lock is a lock of the kernel's (`flock`) on an empty file beside the record, of the same name
///   with `.lock` and mode 0600, which stays. The kernel gives it back when its holder ends, however
///   that ends. Who waits looks every few milliseconds. Elsewhere than on Unix, and on file systems
///   that have none, there are no locks.
/// * A key becomes a file name with all but small letters, digits, `-` and `_` escaped; a long one is
///   cut and given a digest.
///
/// Nothing is touched before the first use. Each call blocks for as long as the disk does.
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
#[derive(Clone, Debug)]
pub struct FileStorage {
    directory: PathBuf,
}

impl FileStorage {
    /// Keeps records in this directory.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }
}

impl Storage for FileStorage {
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        let path = self.directory.join(file_name(key)?);
        match check_directory(&self.directory) {
            Ok(()) => Ok(read(&path)?.map(|mut value| mem::take(&mut *value))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
        store(&Disk, &self.directory, key, value)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        remove(&Disk, &self.directory, key)
    }

    #[cfg(unix)]
    fn lock(&self, key: &str, wait: Duration) -> io::Result<Option<StorageLock>> {
        let path = self.directory.join(format!("{}.lock", file_name(key)?));
        match check_directory(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_directories(&Disk, &self.directory)?;
                check_directory(&self.directory)?;
            }
            checked => checked?,
        }
        Ok(locked::wait_for(&path, wait)?.map(StorageLock::new))
    }
}

/// The operations that change the disk, so that tests can record them and make them fail.
trait Operations {
    type Handle;

    fn make_directory(&self, path: &Path) -> io::Result<()>;
    fn create_new(&self, path: &Path) -> io::Result<Self::Handle>;
    fn write(&self, file: &mut Self::Handle, bytes: &[u8]) -> io::Result<()>;
    fn sync(&self, file: &Self::Handle) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn unlink(&self, path: &Path) -> io::Result<()>;
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

struct Disk;

impl Operations for Disk {
    type Handle = File;

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        #[cfg_attr(not(unix), expect(unused_mut))]
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)
    }

    /// `create_new` follows no link: it fails if there is anything of that name.
    fn create_new(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        lock(&file);
        Ok(file)
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
    }
}

fn store<O: Operations>(disk: &O, directory: &Path, key: &str, value: &[u8]) -> io::Result<()> {
    let name = file_name(key)?;
    let path = directory.join(&name);
    match check_directory(directory) {
        Ok(()) if read(&path).is_ok_and(|old| old.is_some_and(|old| *old == value)) => {
            // Whoever wrote it may have died before this.
            return disk.sync_directory(directory);
        }
        Ok(()) => sweep(directory, &name),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_directories(disk, directory)?;
            check_directory(directory)?;
        }
        Err(error) => return Err(error),
    }
    for attempt in 1.. {
        let temporary = directory.join(temporary_name(&name));
        let written = write_and_rename(disk, &temporary, &path, value);
        match written {
            Ok(()) => break,
            Err(error) => {
                let taken = error.kind() == io::ErrorKind::AlreadyExists;
                let swept = error.kind() == io::ErrorKind::NotFound;
                if !taken {
                    let _ = fs::remove_file(&temporary);
                }
                if !(taken || swept) || attempt >= ATTEMPTS {
                    return Err(error);
                }
            }
        }
    }
    disk.sync_directory(directory)
}

fn remove<O: Operations>(disk: &O, directory: &Path, key: &str) -> io::Result<()> {
    let path = directory.join(file_name(key)?);
    match check_directory(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    match disk.unlink(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        // Whoever removed it may not have got to this.
        _ => disk.sync_directory(directory),
    }
}

/// Makes the missing directories one by one, each durable before the next.
fn make_directories<O: Operations>(disk: &O, directory: &Path) -> io::Result<()> {
    let parent = parent(directory);
    if parent != directory && !parent.exists() {
        make_directories(disk, parent)?;
    }
    match disk.make_directory(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // What is not durable must be made again by the next attempt.
    disk.sync_directory(parent).inspect_err(|_| drop(fs::remove_dir(directory)))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

fn write_and_rename<O: Operations>(
    disk: &O,
    temporary: &Path,
    path: &Path,
    value: &[u8],
) -> io::Result<()> {
    let mut file = disk.create_new(temporary)?;
    disk.write(&mut file, value)?;
    disk.sync(&file)?;
    // The file stays open, and with it its lock, until it has its final name.
    disk.rename(temporary, path)
}

/// Reads a record, which may hold secrets; `None` if there is none, or one that is too long.
fn read(path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let file = match open_without_following(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(refused("the record is not a regular file"));
    }
    check_owner(&metadata, "the record")?;
    let expected = usize::try_from(metadata.len().min(LONGEST_RECORD)).unwrap_or_default();
    let value = read_to_end(file.take(LONGEST_RECORD + 1), expected)?;
    Ok(Some(value).filter(|value| value.len() as u64 <= LONGEST_RECORD))
}

#[cfg(unix)]
fn open_without_following(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};

    // Without NONBLOCK, opening a planted pipe would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

#[cfg(not(unix))]
fn open_without_following(path: &Path) -> io::Result<File> {
    if fs::symlink_metadata(path)?.is_symlink() {
        return Err(refused("the record is a symbolic link"));
    }
    File::open(path)
}

/// A directory to which others may write could hold anything.
fn check_directory(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_dir() {
        return Err(refused("what should be the directory is something else"));
    }
    check_owner(&metadata, "the directory")
}

#[cfg(unix)]
fn check_owner(metadata: &Metadata, what: &str) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;

    let own = rustix::process::geteuid().as_raw();
    match owner_fault(what, metadata.mode(), metadata.uid(), own) {
        Some(fault) => Err(refused(&fault)),
        None => Ok(()),
    }
}

#[cfg(unix)]
fn owner_fault(what: &str, mode: u32, owner: u32, own: u32) -> Option<String> {
    if ![0, own].contains(&owner) {
        return Some(format!("{what} belongs to another user"));
    }
    (mode & 0o022 != 0).then(|| format!("others may write to {what}; take that right from them"))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on Unix there is something to check")]
fn check_owner(_: &Metadata, _: &str) -> io::Result<()> {
    Ok(())
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// A key may be anything, `../x` included. FAT takes no `:` and holds capital letters for small ones,
/// so both are escaped.
fn file_name(key: &str) -> io::Result<String> {
    let mut name = String::new();
    for byte in key.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte) {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
    }
    if name.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the key is empty"));
    }
    if name.len() > LONGEST_NAME {
        // The beginning for the reader, and a digest that tells the keys apart.
        name.truncate(LONGEST_NAME - 33);
        let _ = write!(name, "~{:032x}", digest(key));
    }
    Ok(name)
}

/// FNV-1a of 128 bits: the same in every version of this crate. It keeps keys apart that were not
/// made to collide; what a record is good for is decided by the service.
pub(crate) fn digest(text: &str) -> u128 {
    text.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    })
}

/// The `.` keeps it apart from every record.
fn temporary_name(name: &str) -> String {
    format!("{name}.{:016x}", random::u64())
}

/// Removes the temporary files of writers that died. A living one holds a lock on its file; one that
/// has made its file and not yet locked it begins again.
fn sweep(directory: &Path, name: &str) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let file_name = entry.file_name();
        let suffix =
            file_name.to_str().and_then(|entry| entry.strip_prefix(name)?.strip_prefix('.'));
        let ours =
            suffix.is_some_and(|s| s.len() == 16 && s.bytes().all(|b| b.is_ascii_hexdigit()));
        if ours && open_without_following(&entry.path()).is_ok_and(|file| lock(&file)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Locks a file until it is closed, if nobody else has. Where there are no locks, nothing is swept.
#[cfg(unix)]
fn lock(file: &File) -> bool {
    rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok()
}

#[cfg(not(unix))]
fn lock(_: &File) -> bool {
    false
}

/// Locks that last longer than a write. Their files are never removed: who waits for one has it open.
#[cfg(unix)]
mod locked {
    use std::fs::File;
    use std::io;
    use std::path::Path;
    use std::process;
    use std::thread;
    use std::time::{Duration, Instant};

    use rustix::fs::{FlockOperation, Mode, OFlags, flock};
    use rustix::io::Errno;

    use super::{check_owner, refused};

    /// How long who waits sleeps between two looks.
    const PAUSE: Duration = Duration::from_millis(10);

    pub(super) struct Lock {
        pub(super) file: File,
        /// The ID of the process that has the lock.
        process: u32,
    }

    /// Closing is not enough: a child process may have the file open too. Nor may such a child give the
    /// lock of its parent back.
    impl Drop for Lock {
        fn drop(&mut self) {
            if self.process == process::id() {
                let _ = flock(&self.file, FlockOperation::Unlock);
            }
        }
    }

    pub(super) fn wait_for(path: &Path, wait: Duration) -> io::Result<Option<Lock>> {
        let start = Instant::now();
        let file = open(path)?;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(Lock { file, process: process::id() })),
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            let left = wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            thread::sleep(PAUSE.min(left));
        }
    }

    fn open(path: &Path) -> io::Result<File> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(refused("the lock is not a regular file"));
        }
        check_owner(&metadata, "the lock")?;
        Ok(file)
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::Instant;

    fn temporary() -> tempfile::TempDir {
        tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn files(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn keys_become_names_that_every_file_system_takes() {
        let rows = [
            ("us-east-1:0a/ann", "us-east-1%3A0a%2Fann"),
            ("../x", "%2E%2E%2Fx"),
            ("Ann", "%41nn"),
            ("%41nn", "%2541nn"),
            ("\u{e9}\0", "%C3%A9%00"),
        ];
        for (key, name) in rows {
            assert_eq!(file_name(key).unwrap(), name);
        }
        assert_eq!(file_name("").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(file_name(&"x".repeat(200)).unwrap(), "x".repeat(200));
        let long = |end: &str| file_name(&format!("{}{end}", "X".repeat(200))).unwrap();
        assert_eq!(long("").len(), 200);
        assert_ne!(long("a"), long("b"));
        // The published test vectors of FNV-1a.
        assert_eq!(digest(""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(digest("a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
        assert_eq!(digest("foobar"), 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18);
    }

    #[test]
    fn records_and_new_directories_are_their_owners_alone() {
        let root = temporary();
        let directory = root.path().join("a/b");
        let storage = FileStorage::new(&directory);
        assert_eq!(storage.load("k").unwrap(), None, "no directory, no record");
        storage.remove("k").unwrap();
        assert!(!root.path().join("a").exists(), "nothing is made by reading");

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

        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        storage.store("k", b"four").unwrap();
        assert_eq!(mode(&directory), 0o755, "an existing directory is left as it is");
    }

    #[test]
    fn what_others_may_write_is_refused() {
        let root = temporary();
        let storage = FileStorage::new(root.path());
        storage.store("k", b"one").unwrap();
        for bad in [0o770, 0o702, 0o1777] {
            fs::set_permissions(root.path(), fs::Permissions::from_mode(bad)).unwrap();
            for error in [
                storage.load("k").unwrap_err(),
                storage.store("k", b"two").unwrap_err(),
                storage.remove("k").unwrap_err(),
            ] {
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{bad:o}: {error}");
            }
        }
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(root.path().join("k"), fs::Permissions::from_mode(0o620)).unwrap();
        assert!(storage.load("k").is_err());
        storage.store("k", b"two").unwrap();
        assert_eq!(storage.load("k").unwrap().unwrap(), b"two", "and is replaced");
        assert_eq!(mode(&root.path().join("k")), 0o600);
    }

    #[test]
    fn links_and_other_things_in_a_records_place_are_not_followed() {
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
        assert!(storage.load("p").is_err(), "and a pipe does not hang");
        fs::create_dir(root.path().join("d")).unwrap();
        assert!(storage.load("d").is_err());
        assert!(FileStorage::new(&theirs).load("k").is_err(), "a file is no directory");
    }

    /// The name is random; here it is known beforehand.
    #[test]
    fn a_link_in_a_temporary_files_place_is_not_followed() {
        let (root, elsewhere) = (temporary(), temporary());
        let theirs = elsewhere.path().join("theirs");
        fs::write(&theirs, "theirs").unwrap();
        random::seed(3);
        let names = [(); ATTEMPTS as usize].map(|()| temporary_name("k"));
        let plant = |name| symlink(&theirs, root.path().join(name)).unwrap();
        let store = |value: &[u8]| {
            random::seed(3);
            FileStorage::new(root.path()).store("k", value)
        };
        let (last, others) = names.split_last().unwrap();
        others.iter().for_each(plant);
        store(b"ours").unwrap();
        plant(last);
        assert_eq!(store(b"newer").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&theirs).unwrap(), b"theirs");
        assert_eq!(FileStorage::new(root.path()).load("k").unwrap().as_deref(), Some(&b"ours"[..]));
        let mut left = [&names[..], &["k".to_owned()]].concat();
        left.sort();
        assert_eq!(files(root.path()), left, "what is not ours stays");
    }

    #[test]
    fn a_lock_is_one_holders_until_it_is_dropped() {
        let root = temporary();
        let directory = root.path().join("a/b");
        let [one, other] = [(); 2].map(|()| FileStorage::new(&directory));
        let now = |storage: &FileStorage, key| storage.lock(key, Duration::ZERO).unwrap();
        let held = now(&one, "../k").unwrap();
        assert_eq!(files(&directory), ["%2E%2E%2Fk.lock"]);
        assert_eq!((mode(&directory), mode(&directory.join("%2E%2E%2Fk.lock"))), (0o700, 0o600));
        assert!(now(&other, "../k").is_none() && now(&one, "../k").is_none());
        assert!(now(&other, "another").is_some());
        let start = Instant::now();
        assert!(other.lock("../k", Duration::from_millis(50)).unwrap().is_none());
        assert!((50..20_000).contains(&start.elapsed().as_millis()), "it waits, and not for ever");
        one.store("../k", b"1").unwrap();
        one.remove("../k").unwrap();
        assert!(now(&other, "../k").is_none(), "the record has nothing to do with it");

        drop(held);
        // A child process that has the same file open does not keep the lock.
        let path = directory.join("%2E%2E%2Fk.lock");
        let held = locked::wait_for(&path, Duration::ZERO).unwrap().unwrap();
        let in_a_child = held.file.try_clone().unwrap();
        drop(held);
        drop(now(&other, "../k").unwrap());
        drop(in_a_child);

        let held = now(&one, "../k").unwrap();
        let waiting = std::thread::spawn(move || other.lock("../k", Duration::from_secs(60)));
        drop(held);
        assert!(waiting.join().unwrap().unwrap().is_some(), "who waits gets it");
    }

    #[test]
    fn a_lock_is_no_link_no_pipe_and_nothing_that_others_may_write() {
        let (root, elsewhere) = (temporary(), temporary());
        let storage = FileStorage::new(root.path());
        let lock = |key| storage.lock(key, Duration::ZERO);
        let theirs = elsewhere.path().join("theirs");
        symlink(&theirs, root.path().join("k.lock")).unwrap();
        assert!(lock("k").is_err() && !theirs.exists());
        fs::create_dir(root.path().join("d.lock")).unwrap();
        assert!(lock("d").is_err());
        let status = std::process::Command::new("mkfifo").arg(root.path().join("p.lock")).status();
        assert!(status.unwrap().success());
        assert!(lock("p").is_err());
        drop(lock("w").unwrap().unwrap());
        fs::set_permissions(root.path().join("w.lock"), fs::Permissions::from_mode(0o660)).unwrap();
        assert!(lock("w").is_err());
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o770)).unwrap();
        assert_eq!(lock("new").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(lock("").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn another_owner_is_told_from_others_who_may_write() {
        let (theirs, open) = (Some("it belongs to another user"), Some("others may write to it"));
        let rows = [
            (0o700, 7, None),
            (0o755, 0, None),
            (0o700, 8, theirs),
            (0o777, 8, theirs),
            (0o720, 7, open),
            (0o702, 0, open),
        ];
        for (mode, owner, says) in rows {
            let fault = owner_fault("it", mode, owner, 7);
            let fault = fault.as_deref().map(|fault| fault.split(';').next().unwrap());
            assert_eq!(fault, says, "{mode:o} {owner}");
        }
    }

    #[test]
    fn a_record_that_is_too_long_counts_as_absent() {
        let root = temporary();
        let storage = FileStorage::new(root.path());
        let longest = vec![b'x'; 64 * 1024];
        storage.store("k", &longest).unwrap();
        assert_eq!(storage.load("k").unwrap().unwrap(), longest);
        storage.store("k", &vec![b'x'; 64 * 1024 + 1]).unwrap();
        assert_eq!(storage.load("k").unwrap(), None);
    }

    #[test]
    fn leavings_of_the_dead_are_swept_and_those_of_the_living_are_not() {
        let root = temporary();
        let storage = FileStorage::new(root.path());
        let names =
            ["k.0123456789abcdef", "k.fedcba9876543210", "k.other", "other.0123456789abcdef"];
        for name in names {
            fs::write(root.path().join(name), "half").unwrap();
            fs::set_permissions(root.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        let living = File::open(root.path().join(names[1])).unwrap();
        assert!(lock(&living));
        storage.store("k", b"new").unwrap();
        assert_eq!(
            files(root.path()),
            ["k", "k.fedcba9876543210", "k.other", "other.0123456789abcdef"]
        );
    }

    /// What `store` did to the disk, in order.
    #[derive(Clone, Debug, PartialEq)]
    enum Did {
        Make(PathBuf),
        Create(PathBuf),
        Write(PathBuf, Vec<u8>),
        Sync(PathBuf),
        Rename(PathBuf, PathBuf),
        Unlink(PathBuf),
        SyncDirectory(PathBuf),
    }

    /// The disk, with every operation recorded, and one of them failing.
    #[derive(Default)]
    struct Recorder {
        did: RefCell<Vec<Did>>,
        failure: Cell<Option<(usize, i32)>>,
    }

    impl Recorder {
        fn run(&self, did: Did) -> io::Result<()> {
            let number = self.did.borrow().len();
            match self.failure.get() {
                Some((at, code)) if at == number => {
                    self.failure.set(None);
                    Err(io::Error::from_raw_os_error(code))
                }
                _ => {
                    self.did.borrow_mut().push(did);
                    Ok(())
                }
            }
        }
    }

    impl Operations for Recorder {
        type Handle = (File, PathBuf);

        fn make_directory(&self, path: &Path) -> io::Result<()> {
            self.run(Did::Make(path.into())).and_then(|()| Disk.make_directory(path))
        }

        fn create_new(&self, path: &Path) -> io::Result<Self::Handle> {
            self.run(Did::Create(path.into()))?;
            Ok((Disk.create_new(path)?, path.into()))
        }

        /// In two parts, so that the power can fail between them.
        fn write(&self, file: &mut Self::Handle, bytes: &[u8]) -> io::Result<()> {
            let (first, second) = bytes.split_at(bytes.len() / 2);
            for part in [first, second] {
                self.run(Did::Write(file.1.clone(), part.into()))?;
                Disk.write(&mut file.0, part)?;
            }
            Ok(())
        }

        fn sync(&self, file: &Self::Handle) -> io::Result<()> {
            self.run(Did::Sync(file.1.clone())).and_then(|()| Disk.sync(&file.0))
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.run(Did::Rename(from.into(), to.into())).and_then(|()| Disk.rename(from, to))
        }

        fn unlink(&self, path: &Path) -> io::Result<()> {
            self.run(Did::Unlink(path.into())).and_then(|()| Disk.unlink(path))
        }

        fn sync_directory(&self, path: &Path) -> io::Result<()> {
            self.run(Did::SyncDirectory(path.into())).and_then(|()| Disk.sync_directory(path))
        }
    }

    /// What may be left after a loss of power: names and contents, each as far as it was synced, or
    /// as far as it got by luck.
    fn after_power_cut(
        before: Option<&[u8]>,
        did: &[Did],
        names_survive: bool,
        data_survives: bool,
    ) -> Option<Vec<u8>> {
        /// A file's contents: in memory, and on the disk.
        type Contents = (Vec<u8>, Vec<u8>);
        let mut files: Vec<Contents> = Vec::new();
        let mut now: BTreeMap<PathBuf, usize> = BTreeMap::new();
        let record = PathBuf::from("k");
        let name = |path: &Path| PathBuf::from(path.file_name().unwrap());
        if let Some(before) = before {
            files.push((before.into(), before.into()));
            now.insert(record.clone(), 0);
        }
        let mut durable = now.clone();
        let (mut made, mut made_durable) = (Vec::new(), Vec::new());
        for step in did {
            match step {
                Did::Make(path) => made.push(path.clone()),
                Did::Create(path) => {
                    files.push((Vec::new(), Vec::new()));
                    now.insert(name(path), files.len() - 1);
                }
                Did::Write(path, bytes) => files[now[&name(path)]].0.extend(bytes),
                Did::Sync(path) => {
                    let file = &mut files[now[&name(path)]];
                    file.1.clone_from(&file.0);
                }
                Did::Rename(from, to) => {
                    let file = now.remove(&name(from)).unwrap();
                    now.insert(name(to), file);
                }
                Did::Unlink(path) => drop(now.remove(&name(path))),
                Did::SyncDirectory(path) => {
                    made_durable.extend(made.iter().filter(|made| parent(made) == path).cloned());
                    durable.clone_from(&now);
                }
            }
        }
        if !names_survive && made.iter().any(|path| !made_durable.contains(path)) {
            return None;
        }
        let names = if names_survive { now } else { durable };
        let file = &files[*names.get(&record)?];
        Some(if data_survives { file.0.clone() } else { file.1.clone() })
    }

    #[test]
    fn a_loss_of_power_at_any_moment_leaves_the_old_or_the_new_record() {
        let (mut cuts, mut new_ones) = (0, 0);
        for before in [None, Some(&b"old record"[..])] {
            let root = temporary();
            let directory = root.path().join("new/and/deep");
            if let Some(before) = before {
                store(&Disk, &directory, "k", before).unwrap();
            }
            let recorder = Recorder::default();
            store(&recorder, &directory, "k", b"new record").unwrap();
            let did = recorder.did.into_inner();
            for cut in 0..=did.len() {
                for (names, data) in [(false, false), (true, false), (false, true), (true, true)] {
                    let left = after_power_cut(before, &did[..cut], names, data);
                    let is_new = left.as_deref() == Some(b"new record");
                    assert!(
                        is_new || left.as_deref() == before,
                        "cut at {cut} of {did:?}: {left:?}"
                    );
                    assert!(is_new || cut < did.len(), "what is reported as stored is stored");
                    cuts += 1;
                    new_ones += usize::from(is_new);
                }
            }
        }
        assert!(cuts > 60 && new_ones > 8, "{cuts} cuts, {new_ones} with the new record");
    }

    #[test]
    fn a_failure_of_any_operation_is_told_and_leaves_the_old_or_the_new_record() {
        const EIO: i32 = 5;
        const ENOSPC: i32 = 28;
        let mut failures = 0;
        for code in [EIO, ENOSPC] {
            for fresh in [false, true] {
                for at in 0.. {
                    let root = temporary();
                    let directory = root.path().join("new");
                    if !fresh {
                        store(&Disk, &directory, "k", b"old").unwrap();
                    }
                    let recorder = Recorder::default();
                    recorder.failure.set(Some((at, code)));
                    let outcome = store(&recorder, &directory, "k", b"new");
                    if recorder.failure.get().is_some() {
                        outcome.unwrap();
                        break;
                    }
                    failures += 1;
                    assert_eq!(outcome.unwrap_err().raw_os_error(), Some(code));
                    let left = FileStorage::new(&directory).load("k").unwrap();
                    let old = (!fresh).then_some(&b"old"[..]);
                    assert!(left.as_deref() == old || left.as_deref() == Some(b"new"), "at {at}");
                    if directory.exists() {
                        assert!(
                            files(&directory).iter().all(|name| name == "k"),
                            "at {at}: litter"
                        );
                    }
                    FileStorage::new(&directory).store("k", b"newer").unwrap();
                }
            }
        }
        assert!(failures >= 24, "{failures}");
    }

    #[test]
    fn a_directory_that_is_not_durable_is_made_again() {
        let root = temporary();
        let directory = root.path().join("a/b");
        let recorder = Recorder::default();
        recorder.failure.set(Some((1, 5)));
        store(&recorder, &directory, "k", b"value").unwrap_err();
        let again = Recorder::default();
        store(&again, &directory, "k", b"value").unwrap();
        let synced = Did::SyncDirectory(root.path().to_owned());
        assert!(again.did.into_inner().contains(&synced));
        assert!(FileStorage::new("").store("k", b"value").is_err(), "no path is no directory");
    }

    #[test]
    fn a_removal_that_fails_is_told_and_leaves_the_record_or_nothing() {
        for at in 0..2 {
            let root = temporary();
            store(&Disk, root.path(), "k", b"value").unwrap();
            let recorder = Recorder::default();
            recorder.failure.set(Some((at, 5)));
            assert_eq!(remove(&recorder, root.path(), "k").unwrap_err().raw_os_error(), Some(5));
            let left = FileStorage::new(root.path()).load("k").unwrap();
            assert_eq!(left.is_some(), at == 0);
            let again = Recorder::default();
            remove(&again, root.path(), "k").unwrap();
            let synced = Did::SyncDirectory(root.path().to_owned());
            assert_eq!(again.did.into_inner().last(), Some(&synced));
        }
        let root = temporary();
        store(&Disk, root.path(), "k", b"value").unwrap();
        let recorder = Recorder::default();
        remove(&recorder, root.path(), "k").unwrap();
        let did = recorder.did.into_inner();
        for cut in 0..=did.len() {
            for names in [false, true] {
                let left = after_power_cut(Some(b"value"), &did[..cut], names, true);
                assert!(left.is_none() || left.as_deref() == Some(b"value"));
                assert!(
                    left.is_none() || cut < did.len(),
                    "what is reported as removed is removed"
                );
            }
        }
    }

    #[test]
    fn an_unchanged_record_is_not_written() {
        let root = temporary();
        store(&Disk, root.path(), "k", b"value").unwrap();
        let recorder = Recorder::default();
        store(&recorder, root.path(), "k", b"value").unwrap();
        let synced = Did::SyncDirectory(root.path().to_owned());
        assert_eq!(
            recorder.did.into_inner(),
            [synced],
            "whoever wrote it may not have got to that"
        );
    }
}
