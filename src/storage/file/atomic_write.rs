//! Writes and removes a record so that a loss of power at any moment leaves the old or the new one.

use std::fs::File;
use std::io;
use std::path::Path;

use super::disk::{FileSystem, Files, LockMode, is_name_too_long};
use super::names::{Names, names, temporary_name};
use super::permissions::{give_directory_mode, give_file_mode};
use super::sweep::LockedFile;

/// A new attempt is only needed if the random name is taken, or if another process removes the
/// record and its temporary files.
const ATTEMPTS: u32 = 20;

impl<F: FileSystem> Files<F> {
    pub(super) fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
        let names = names(key)?;
        if !self.check_directory()? {
            self.make_directory()?;
            self.write(&names, value)?;
        } else if !self
            .read(&names.record, names.header.as_deref())
            .is_ok_and(|old| old.is_some_and(|old| *old == value))
        {
            let _ = self.sweep(&names);
            self.write(&names, value)?;
        }
        // Also for an unchanged record: the process that wrote it may have died before it synced.
        self.disk.sync_directory(&self.directory)?;
        if self.remove_earlier(&names)? {
            self.disk.sync_directory(&self.directory)?;
        }
        Ok(())
    }

    /// Removes the record, and the temporary files that unfinished writes left.
    pub(super) fn remove(&self, key: &str) -> io::Result<()> {
        let names = names(key)?;
        if !self.check_directory()? {
            return Ok(());
        }
        // Remove the file with the earlier name first. If the process dies in between, a later read
        // must not find only that file.
        let earlier = self.remove_earlier(&names);
        let record = self.disk.unlink(&self.directory.join(&names.record));
        self.remove_temporary_files(&names).and(earlier).and(record)?;
        // Also for a missing record: the process that removed it may have died before it synced.
        self.disk.sync_directory(&self.directory)
    }

    /// Removes the file with the name of earlier versions.
    fn remove_earlier(&self, names: &Names) -> io::Result<bool> {
        let Some(earlier) = &names.earlier else { return Ok(false) };
        match self.disk.unlink(&self.directory.join(earlier)) {
            Err(error) if is_name_too_long(&error) => Ok(false),
            outcome => outcome,
        }
    }

    #[cfg(unix)]
    pub(super) fn ensure_directory(&self) -> io::Result<()> {
        if self.check_directory()? { Ok(()) } else { self.make_directory() }
    }

    fn make_directory(&self) -> io::Result<()> {
        make_directories(&self.disk, &self.directory)?;
        if self.check_directory()? { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn write(&self, names: &Names, value: &[u8]) -> io::Result<()> {
        let mut left = ATTEMPTS;
        loop {
            left -= 1;
            let temporary = self.directory.join(temporary_name(&names.record));
            match self.write_and_rename(&temporary, names, value) {
                Err(error) if left > 0 && is_taken_or_gone(&error) => {}
                outcome => return outcome,
            }
        }
    }

    fn write_and_rename(&self, temporary: &Path, names: &Names, value: &[u8]) -> io::Result<()> {
        let disk = &self.disk;
        let sweeper_lock = self.hold_off_sweepers();
        let locked = LockedFile(disk.create_new(temporary)?);
        let file = &locked.0;
        let ready = prepare(disk, temporary, file);
        drop(sweeper_lock);
        // `locked` is held until after the rename, so no sweep removes the file.
        let header = names.header.as_deref().unwrap_or_default();
        ready
            .and_then(|()| disk.write(temporary, file, header.as_bytes()))
            .and_then(|()| disk.write(temporary, file, value))
            .and_then(|()| disk.sync(temporary, file))
            .and_then(|()| disk.rename(temporary, &self.directory.join(&names.record)))
            .inspect_err(|_| drop(disk.unlink(temporary)))
    }
}

/// Creates the missing directories one by one, each durable before the next.
fn make_directories<F: FileSystem>(disk: &F, directory: &Path) -> io::Result<()> {
    let parent = parent(directory);
    let mut outcome = disk.make_directory(directory);
    if outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        && parent != directory
    {
        make_directories(disk, parent)?;
        outcome = disk.make_directory(directory);
    }
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // The process that created it may not have synced it yet.
            return disk.sync_directory(parent);
        }
        made => made?,
    }
    // If this fails, the directory must not stay: the next attempt creates it again.
    give_directory_mode(disk, directory)
        .and_then(|()| disk.sync_directory(parent))
        .inspect_err(|_| drop(disk.remove_directory(directory)))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

fn is_taken_or_gone(error: &io::Error) -> bool {
    [io::ErrorKind::AlreadyExists, io::ErrorKind::NotFound].contains(&error.kind())
}

fn prepare<F: FileSystem>(disk: &F, path: &Path, file: &File) -> io::Result<()> {
    give_file_mode(disk, path, file)?;
    match disk.try_lock(path, file, LockMode::Exclusive) {
        // A sweep did not respect `sweeper_lock` and is about to remove the file.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::ErrorKind::NotFound.into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::super::FileStorage;
    use super::super::disk::{Call, Disk, Errno};
    use super::super::faulty_disk::{FaultyDisk, Lasts, Watched};
    use super::super::tests::{files, on, temporary, write_private};
    use super::*;
    use crate::random;
    use crate::storage::Storage;
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    /// With a seed, the random name is known in advance.
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
        assert_eq!(files(root.path()), left, "files of others stay");
    }

    #[test]
    fn the_lock_of_a_writer_ends_with_it_although_a_child_process_has_the_file_open() {
        let root = temporary();
        let storage = FileStorage::new(root.path());
        storage.store("k", b"old").unwrap();
        let path = root.path().join("k.0123456789abcdef");
        let writer = LockedFile(Disk.create_new(&path).unwrap());
        prepare(&Disk, &path, &writer.0).unwrap();
        let in_a_child = writer.0.try_clone().unwrap();
        storage.store("k", b"new").unwrap();
        assert!(path.exists(), "the writer still runs");
        drop(writer);
        storage.store("k", b"newer").unwrap();
        assert_eq!(files(root.path()), ["k"]);
        drop(in_a_child);
    }

    #[test]
    fn temporary_files_of_dead_writers_are_swept_and_those_of_living_ones_are_not() {
        let root = temporary();
        let storage = FileStorage::new(root.path());
        let names =
            ["k.0123456789abcdef", "k.fedcba9876543210", "k.other", "other.0123456789abcdef"];
        for name in names {
            write_private(&root.path().join(name), b"half");
        }
        let living = File::open(root.path().join(names[1])).unwrap();
        Disk.try_lock(root.path(), &living, LockMode::Exclusive).unwrap();
        storage.store("k", b"new").unwrap();
        assert_eq!(
            files(root.path()),
            ["k", "k.fedcba9876543210", "k.other", "other.0123456789abcdef"]
        );
        storage.remove("k").unwrap();
        assert_eq!(files(root.path()), ["k.other", "other.0123456789abcdef"], "only these stay");
    }

    #[derive(Clone, Debug, PartialEq)]
    enum Change {
        Make(PathBuf),
        Create(PathBuf),
        Write(PathBuf, Vec<u8>),
        Sync(PathBuf),
        Rename(PathBuf, PathBuf),
        Unlink(PathBuf),
        SyncDirectory(PathBuf),
    }

    #[derive(Default)]
    struct Recorder(RefCell<Vec<Change>>);

    impl FileSystem for Recorder {
        fn call<T>(
            &self,
            call: Call<'_>,
            operation: impl FnOnce() -> io::Result<T>,
        ) -> io::Result<T> {
            let done = operation()?;
            let changes = match call {
                Call::MakeDirectory(path) => vec![Change::Make(path.into())],
                Call::Create(path) => vec![Change::Create(path.into())],
                // Two parts, because the power can fail between them.
                Call::Write(path, bytes) => {
                    let (first, second) = bytes.split_at(bytes.len() / 2);
                    [first, second].map(|part| Change::Write(path.into(), part.into())).into()
                }
                Call::Sync(path) => vec![Change::Sync(path.into())],
                Call::Rename(from, to) => vec![Change::Rename(from.into(), to.into())],
                Call::Unlink(path) => vec![Change::Unlink(path.into())],
                Call::SyncDirectory(path) => vec![Change::SyncDirectory(path.into())],
                _ => vec![],
            };
            self.0.borrow_mut().extend(changes);
            Ok(done)
        }
    }

    /// Returns the directory as a loss of power may leave it: the names, and the contents of each
    /// file, as far as they were synced or happened to reach the disk.
    fn after_power_cut(
        before: Option<&[u8]>,
        did: &[Change],
        names_survive: bool,
        data_survives: bool,
    ) -> Option<Vec<u8>> {
        /// A file's contents in memory and on the disk.
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
                Change::Make(path) => made.push(path.clone()),
                Change::Create(path) => {
                    files.push((Vec::new(), Vec::new()));
                    now.insert(name(path), files.len() - 1);
                }
                Change::Write(path, bytes) => files[now[&name(path)]].0.extend(bytes),
                Change::Sync(path) => {
                    let file = &mut files[now[&name(path)]];
                    file.1.clone_from(&file.0);
                }
                Change::Rename(from, to) => {
                    let file = now.remove(&name(from)).unwrap();
                    now.insert(name(to), file);
                }
                Change::Unlink(path) => drop(now.remove(&name(path))),
                Change::SyncDirectory(path) => {
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
                on(Disk, &directory).store("k", before).unwrap();
            }
            let recorder = Recorder::default();
            on(&recorder, &directory).store("k", b"new record").unwrap();
            let did = recorder.0.into_inner();
            for cut in 0..=did.len() {
                for (names, data) in [(false, false), (true, false), (false, true), (true, true)] {
                    let left = after_power_cut(before, &did[..cut], names, data);
                    let is_new = left.as_deref() == Some(b"new record");
                    assert!(
                        is_new || left.as_deref() == before,
                        "cut at {cut} of {did:?}: {left:?}"
                    );
                    assert!(is_new || cut < did.len(), "`store` succeeded, but the record is lost");
                    cuts += 1;
                    new_ones += usize::from(is_new);
                }
            }
        }
        assert!(cuts > 60 && new_ones > 8, "{cuts} cuts, {new_ones} with the new record");
    }

    #[test]
    fn a_directory_that_is_not_durable_is_created_again() {
        let root = temporary();
        let directory = root.path().join("a/b");
        let disk = FaultyDisk::default();
        for at in 0.. {
            disk.fail(at, 5, Lasts::Once);
            let outcome = on(&disk, &directory).store("k", b"value");
            if disk.mend().unwrap() == format!("{:?}", Call::SyncDirectory(root.path())) {
                outcome.unwrap_err();
                break;
            }
        }
        let again = Recorder::default();
        on(&again, &directory).store("k", b"value").unwrap();
        let synced = Change::SyncDirectory(root.path().to_owned());
        assert!(again.0.into_inner().contains(&synced));
        assert!(FileStorage::new("").store("k", b"value").is_err(), "the path is empty");
    }

    #[test]
    fn a_loss_of_power_during_a_removal_leaves_the_record_or_nothing() {
        let root = temporary();
        on(Disk, root.path()).store("k", b"value").unwrap();
        let recorder = Recorder::default();
        on(&recorder, root.path()).remove("k").unwrap();
        let did = recorder.0.into_inner();
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
        on(Disk, root.path()).store("k", b"value").unwrap();
        let recorder = Recorder::default();
        on(&recorder, root.path()).store("k", b"value").unwrap();
        let synced = Change::SyncDirectory(root.path().to_owned());
        assert_eq!(recorder.0.into_inner(), [synced], "the writer may not have synced");
    }

    #[test]
    fn the_directory_of_a_relative_path_without_a_slash_is_the_current_one() {
        for (path, directory) in [("k", "."), ("a/k", "a"), ("/k", "/"), ("/", "/")] {
            assert_eq!(parent(Path::new(path)), Path::new(directory), "{path}");
        }
    }

    #[test]
    fn a_file_system_that_takes_no_long_names_has_no_record_under_the_earlier_name() {
        let key = "x".repeat(300);
        let earlier = names(&key).unwrap().earlier.unwrap();
        for (errno, is_ok) in [(Errno::NAMETOOLONG, true), (Errno::IO, false)] {
            let root = temporary();
            let path = root.path().join(&earlier);
            let disk = Watched(|call: Call<'_>| match call {
                Call::Unlink(unlinked) if unlinked == path => Err(errno.into()),
                _ => Ok(()),
            });
            assert_eq!(on(&disk, root.path()).store(&key, b"value").is_ok(), is_ok, "{errno}");
            assert_eq!(on(&disk, root.path()).remove(&key).is_ok(), is_ok, "{errno}");
        }
    }

    #[test]
    fn a_directory_that_another_process_creates_at_the_same_time_is_used_and_made_durable() {
        let root = temporary();
        let directory = root.path().join("d");
        let synced = RefCell::new(Vec::new());
        let disk = Watched(|call: Call<'_>| {
            match call {
                Call::MakeDirectory(path) => Disk.make_directory(path)?,
                Call::SyncDirectory(path) => synced.borrow_mut().push(path.to_owned()),
                _ => {}
            }
            Ok(())
        });
        on(&disk, &directory).store("k", b"value").unwrap();
        assert_eq!(synced.into_inner(), [root.path(), &directory]);
    }

    #[test]
    fn the_error_is_that_of_the_directory_that_could_not_be_created() {
        let root = temporary();
        let disk = Watched(|call: Call<'_>| match call {
            Call::MakeDirectory(_) => Err(Errno::ROFS.into()),
            _ => Ok(()),
        });
        let error = on(&disk, &root.path().join("d")).store("k", b"value").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem);
    }

    /// Only a sweeper locks the temporary file of another process. It is about to remove the file.
    #[test]
    fn a_temporary_file_that_a_sweeper_has_locked_is_replaced_by_another_one() {
        // the error of the first lock, and how many files are created
        for (errno, files_created) in [(None, 1), (Some(Errno::AGAIN), 2), (Some(Errno::NOLCK), 1)]
        {
            let root = temporary();
            let (error, created) = (Cell::new(errno), Cell::new(0));
            let disk = Watched(|call: Call<'_>| match call {
                Call::Create(_) => {
                    created.set(created.get() + 1);
                    Ok(())
                }
                Call::Lock(path) if path != root.path() => {
                    error.take().map_or(Ok(()), |errno| Err(errno.into()))
                }
                _ => Ok(()),
            });
            on(&disk, root.path()).store("k", b"value").unwrap();
            assert_eq!(created.get(), files_created, "{errno:?}");
            assert_eq!(files(root.path()), ["k"], "{errno:?}");
        }
    }

    #[test]
    fn a_writer_waits_for_a_sweeper_and_then_keeps_others_away_while_it_creates_its_file() {
        struct Row {
            /// What the writer's first attempts to lock the directory return.
            errors: Vec<Errno>,
            attempts: usize,
            /// Whether the writer holds the lock when it creates the file.
            is_held: bool,
        }

        let rows = [
            Row { errors: vec![], attempts: 1, is_held: true },
            Row { errors: vec![Errno::AGAIN; 3], attempts: 4, is_held: true },
            Row { errors: vec![Errno::AGAIN; 100], attempts: 100, is_held: false },
            Row { errors: vec![Errno::NOLCK; 100], attempts: 1, is_held: false },
        ];
        for Row { errors, attempts, is_held } in rows {
            let what = format!("{errors:?}");
            let errors = RefCell::new(errors);
            let root = temporary();
            let path = root.path();
            let (locks, held) = (Cell::new(0), Cell::new(false));
            let disk = Watched(|call: Call<'_>| match call {
                Call::Lock(locked) if locked == path => {
                    locks.set(locks.get() + 1);
                    errors.borrow_mut().pop().map_or(Ok(()), |errno| Err(errno.into()))
                }
                Call::Create(_) => {
                    let other = Disk.open_directory(path)?;
                    let sweeper = Disk.try_lock(path, &other, LockMode::Exclusive);
                    held.set(sweeper.is_err());
                    Ok(())
                }
                _ => Ok(()),
            });
            on(&disk, path).write(&names("k").unwrap(), b"value").unwrap();
            assert_eq!((held.get(), locks.get()), (is_held, attempts), "{what}");
        }
    }

    #[test]
    fn the_mode_of_what_is_already_private_is_not_set_again() {
        let root = temporary();
        let directory = root.path().join("d");
        let disk = Watched(|call: Call<'_>| match call {
            Call::SetMode(path) => panic!("{}", path.display()),
            _ => Ok(()),
        });
        for value in [b"one", b"two"] {
            on(&disk, &directory).store("k", value).unwrap();
            assert!(on(&disk, &directory).read("k", None).unwrap().is_some());
        }
    }
}
