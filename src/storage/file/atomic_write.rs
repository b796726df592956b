//! Writes and removes a record so that a loss of power at any moment leaves the old or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::names::{self, FileKind, record_name, temporary_name};
use super::permissions::check_directory;
use super::read::{open_without_following, read};

/// The number of attempts to write, if other processes remove the temporary file or take its name.
const ATTEMPTS: u32 = 20;

/// The operations that change the disk, so that tests can record them and make them fail.
pub(super) trait FileSystem {
    type Handle;

    fn make_directory(&self, path: &Path) -> io::Result<()>;
    fn create_new(&self, path: &Path) -> io::Result<Self::Handle>;
    fn write(&self, file: &mut Self::Handle, bytes: &[u8]) -> io::Result<()>;
    fn sync(&self, file: &Self::Handle) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn unlink(&self, path: &Path) -> io::Result<()>;
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

pub(super) struct Disk;

impl FileSystem for Disk {
    type Handle = File;

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        #[cfg_attr(not(unix), expect(unused_mut))]
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)
    }

    /// `create_new` fails if the name is taken, by a link too.
    fn create_new(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        try_lock(&file);
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

/// Writes the record, unless it holds the value already.
pub(super) fn store<O: FileSystem>(
    disk: &O,
    directory: &Path,
    key: &str,
    value: &[u8],
) -> io::Result<()> {
    let name = record_name(key)?;
    let path = directory.join(&name);
    if check_directory(directory)? {
        if read(&path).is_ok_and(|old| old.is_some_and(|old| *old == value)) {
            // The process that wrote it may have died before it synced the directory.
            return disk.sync_directory(directory);
        }
        let _ = remove_temporary_files(disk, directory, &name, true);
    } else {
        ensure_directory(disk, directory)?;
    }
    for attempt in 1.. {
        let temporary = directory.join(temporary_name(&name));
        let Err(error) = write_and_rename(disk, &temporary, &path, value) else { break };
        let taken = error.kind() == io::ErrorKind::AlreadyExists;
        let swept = error.kind() == io::ErrorKind::NotFound;
        if !taken {
            let _ = fs::remove_file(&temporary);
        }
        if !(taken || swept) || attempt >= ATTEMPTS {
            return Err(error);
        }
    }
    disk.sync_directory(directory)
}

/// Removes the record, and the temporary files that unfinished writes left.
pub(super) fn remove<O: FileSystem>(disk: &O, directory: &Path, key: &str) -> io::Result<()> {
    let name = record_name(key)?;
    if !check_directory(directory)? {
        return Ok(());
    }
    let outcome = unlink(disk, &directory.join(&name));
    remove_temporary_files(disk, directory, &name, false).and(outcome)?;
    // Also if the record is gone already: the process that removed it may have died before this.
    disk.sync_directory(directory)
}

/// Removes a file. Returns `false` if there is none.
pub(super) fn unlink<O: FileSystem>(disk: &O, path: &Path) -> io::Result<bool> {
    match disk.unlink(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        outcome => outcome.map(|()| true),
    }
}

/// Creates the directory if it is missing, and checks it.
pub(super) fn ensure_directory<O: FileSystem>(disk: &O, directory: &Path) -> io::Result<()> {
    if !check_directory(directory)? {
        make_directories(disk, directory)?;
        check_directory(directory)?;
    }
    Ok(())
}

/// Creates the missing directories one by one, each durable before the next.
fn make_directories<O: FileSystem>(disk: &O, directory: &Path) -> io::Result<()> {
    let parent = parent(directory);
    if parent != directory && !parent.exists() {
        make_directories(disk, parent)?;
    }
    match disk.make_directory(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // The next attempt must create again what is not durable.
    disk.sync_directory(parent).inspect_err(|_| drop(fs::remove_dir(directory)))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

fn write_and_rename<O: FileSystem>(
    disk: &O,
    temporary: &Path,
    path: &Path,
    value: &[u8],
) -> io::Result<()> {
    let mut file = disk.create_new(temporary)?;
    disk.write(&mut file, value)?;
    disk.sync(&file)?;
    // `file` holds its lock until here, so that no other writer sweeps it.
    disk.rename(temporary, path)
}

/// Removes the temporary files of the record, or only those of writers that died. A living writer
/// holds a lock on its file; a writer whose file is removed starts again.
fn remove_temporary_files<O: FileSystem>(
    disk: &O,
    directory: &Path,
    record: &str,
    only_dead: bool,
) -> io::Result<()> {
    let mut outcome = Ok(());
    let Ok(entries) = fs::read_dir(directory) else { return outcome };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_str().and_then(names::parse) != Some((record, FileKind::Temporary)) {
            continue;
        }
        let path = entry.path();
        if !only_dead || open_without_following(&path).is_ok_and(|file| try_lock(&file)) {
            outcome = outcome.and(unlink(disk, &path).map(drop));
        }
    }
    outcome
}

/// Locks a file until it is closed. `false` if another process holds the lock, or if there are no
/// locks.
#[cfg(unix)]
fn try_lock(file: &File) -> bool {
    rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok()
}

#[cfg(not(unix))]
fn try_lock(_: &File) -> bool {
    false
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::super::FileStorage;
    use super::super::tests::{files, temporary};
    use super::*;
    use crate::random;
    use crate::storage::Storage;
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    /// The seed makes the random name known beforehand.
    #[test]
    fn a_link_in_place_of_a_temporary_file_is_not_followed() {
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
    fn temporary_files_of_dead_writers_are_swept_and_those_of_living_ones_are_not() {
        let root = temporary();
        let storage = FileStorage::new(root.path());
        let names =
            ["k.0123456789abcdef", "k.fedcba9876543210", "k.other", "other.0123456789abcdef"];
        for name in names {
            fs::write(root.path().join(name), "half").unwrap();
            fs::set_permissions(root.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        let living = File::open(root.path().join(names[1])).unwrap();
        assert!(try_lock(&living));
        storage.store("k", b"new").unwrap();
        assert_eq!(
            files(root.path()),
            ["k", "k.fedcba9876543210", "k.other", "other.0123456789abcdef"]
        );
        storage.remove("k").unwrap();
        assert_eq!(files(root.path()), ["k.other", "other.0123456789abcdef"], "they go with it");
    }

    /// An operation that `store` or `remove` made.
    #[derive(Clone, Debug, PartialEq)]
    enum FileSystemCall {
        Make(PathBuf),
        Create(PathBuf),
        Write(PathBuf, Vec<u8>),
        Sync(PathBuf),
        Rename(PathBuf, PathBuf),
        Unlink(PathBuf),
        SyncDirectory(PathBuf),
    }

    /// Records every operation, and makes one of them fail.
    #[derive(Default)]
    struct Recorder {
        did: RefCell<Vec<FileSystemCall>>,
        failure: Cell<Option<(usize, i32)>>,
    }

    impl Recorder {
        fn run(&self, did: FileSystemCall) -> io::Result<()> {
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

    impl FileSystem for Recorder {
        type Handle = (File, PathBuf);

        fn make_directory(&self, path: &Path) -> io::Result<()> {
            self.run(FileSystemCall::Make(path.into())).and_then(|()| Disk.make_directory(path))
        }

        fn create_new(&self, path: &Path) -> io::Result<Self::Handle> {
            self.run(FileSystemCall::Create(path.into()))?;
            Ok((Disk.create_new(path)?, path.into()))
        }

        /// Writes two parts, so that the power can fail between them.
        fn write(&self, file: &mut Self::Handle, bytes: &[u8]) -> io::Result<()> {
            let (first, second) = bytes.split_at(bytes.len() / 2);
            for part in [first, second] {
                self.run(FileSystemCall::Write(file.1.clone(), part.into()))?;
                Disk.write(&mut file.0, part)?;
            }
            Ok(())
        }

        fn sync(&self, file: &Self::Handle) -> io::Result<()> {
            self.run(FileSystemCall::Sync(file.1.clone())).and_then(|()| Disk.sync(&file.0))
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.run(FileSystemCall::Rename(from.into(), to.into()))
                .and_then(|()| Disk.rename(from, to))
        }

        fn unlink(&self, path: &Path) -> io::Result<()> {
            self.run(FileSystemCall::Unlink(path.into())).and_then(|()| Disk.unlink(path))
        }

        fn sync_directory(&self, path: &Path) -> io::Result<()> {
            self.run(FileSystemCall::SyncDirectory(path.into()))
                .and_then(|()| Disk.sync_directory(path))
        }
    }

    /// What may be left after a loss of power: names and contents, each as far as it was synced, or
    /// as far as it got by luck.
    fn after_power_cut(
        before: Option<&[u8]>,
        did: &[FileSystemCall],
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
                FileSystemCall::Make(path) => made.push(path.clone()),
                FileSystemCall::Create(path) => {
                    files.push((Vec::new(), Vec::new()));
                    now.insert(name(path), files.len() - 1);
                }
                FileSystemCall::Write(path, bytes) => files[now[&name(path)]].0.extend(bytes),
                FileSystemCall::Sync(path) => {
                    let file = &mut files[now[&name(path)]];
                    file.1.clone_from(&file.0);
                }
                FileSystemCall::Rename(from, to) => {
                    let file = now.remove(&name(from)).unwrap();
                    now.insert(name(to), file);
                }
                FileSystemCall::Unlink(path) => drop(now.remove(&name(path))),
                FileSystemCall::SyncDirectory(path) => {
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
    fn a_failure_of_any_operation_is_an_error_and_leaves_the_old_or_the_new_record() {
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
    fn a_directory_that_is_not_durable_is_created_again() {
        let root = temporary();
        let directory = root.path().join("a/b");
        let recorder = Recorder::default();
        recorder.failure.set(Some((1, 5)));
        store(&recorder, &directory, "k", b"value").unwrap_err();
        let again = Recorder::default();
        store(&again, &directory, "k", b"value").unwrap();
        let synced = FileSystemCall::SyncDirectory(root.path().to_owned());
        assert!(again.did.into_inner().contains(&synced));
        assert!(FileStorage::new("").store("k", b"value").is_err(), "no path is no directory");
    }

    #[test]
    fn a_failed_removal_is_an_error_and_leaves_the_record_or_nothing() {
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
            let synced = FileSystemCall::SyncDirectory(root.path().to_owned());
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
        let synced = FileSystemCall::SyncDirectory(root.path().to_owned());
        assert_eq!(
            recorder.did.into_inner(),
            [synced],
            "whoever wrote it may not have got to that"
        );
    }
}
