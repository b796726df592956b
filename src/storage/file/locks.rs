//! Locks between processes, by `flock` on files beside the records.
//!
//! Only [`remove_locks`](super::FileStorage::remove_locks) removes these files: a waiting process
//! may have one open.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use super::disk::{Errno, FileSystem, Files, LockMode, has_errno, is_unsupported, unlock};
use super::names::lock_name;
use super::permissions::{check_permissions, give_file_mode, permission_denied, tighten};

const PAUSE: Duration = Duration::from_millis(10);

pub(super) struct Lock {
    file: File,
    process: u32,
}

impl Drop for Lock {
    /// Unlocks the file: closing it is not enough if a child process has it open too. In a child,
    /// it does nothing, because the lock belongs to the parent.
    fn drop(&mut self) {
        if self.process == process::id() {
            unlock(&self.file);
        }
    }
}

impl<F: FileSystem> Files<F> {
    /// Locks a key. Returns `None` if another holder has the lock for all of `wait`, or if there
    /// are no locks.
    pub(super) fn lock(&self, key: &str, wait: Duration) -> io::Result<Option<Lock>> {
        let name = lock_name(key)?;
        self.ensure_directory()?;
        lock(&self.disk, &self.directory.join(name), wait)
    }
}

/// Locks a file and creates it if it is missing. Returns `None` if another holder has the lock for
/// all of `wait`, or if the file system has no locks.
fn lock<F: FileSystem>(disk: &F, path: &Path, wait: Duration) -> io::Result<Option<Lock>> {
    let start = Instant::now();
    let file = open(disk, path)?;
    loop {
        match disk.try_lock(path, &file, LockMode::Exclusive) {
            Ok(()) => return Ok(Some(Lock { file, process: process::id() })),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if is_unsupported(&error) || has_errno(&error, &[Errno::NOLCK]) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        let left = wait.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Ok(None);
        }
        thread::sleep(PAUSE.min(left));
    }
}

fn open<F: FileSystem>(disk: &F, path: &Path) -> io::Result<File> {
    let file = match disk.open_to_write(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match create(disk, path) {
            // Another process has just created it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => disk.open_to_write(path),
            created => return created,
        },
        opened => opened,
    }?;
    let metadata = disk.stat_file(path, &file)?;
    if !metadata.is_file() {
        return Err(permission_denied("the lock is not a regular file"));
    }
    check_permissions(&metadata, "the lock")?;
    tighten(disk, path, &file, &metadata)?;
    Ok(file)
}

fn create<F: FileSystem>(disk: &F, path: &Path) -> io::Result<File> {
    let file = disk.create_new(path)?;
    give_file_mode(disk, path, &file).inspect_err(|_| drop(disk.unlink(path)))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::super::FileStorage;
    use super::super::disk::{Call, Disk};
    use super::super::faulty_disk::Watched;
    use super::super::tests::{chmod, files, mode, on, temporary};
    use super::*;
    use crate::storage::Storage;
    use std::cell::Cell;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_lock_has_one_holder_until_it_is_dropped() {
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
        assert!((50..20_000).contains(&start.elapsed().as_millis()), "it waits at least 50 ms");
        one.store("../k", b"1").unwrap();
        one.remove("../k").unwrap();
        assert!(now(&other, "../k").is_none(), "the record does not affect the lock");

        drop(held);
        // A child process that has the file open does not keep the lock.
        let path = directory.join("%2E%2E%2Fk.lock");
        let held = super::lock(&Disk, &path, Duration::ZERO).unwrap().unwrap();
        let in_a_child = held.file.try_clone().unwrap();
        drop(held);
        drop(now(&other, "../k").unwrap());
        drop(in_a_child);

        let held = now(&one, "../k").unwrap();
        let waiting = std::thread::spawn(move || other.lock("../k", Duration::from_secs(60)));
        drop(held);
        assert!(waiting.join().unwrap().unwrap().is_some(), "the waiting thread gets the lock");
    }

    #[test]
    fn a_lock_file_that_is_a_link_a_pipe_or_writable_for_others_is_an_error() {
        let (root, elsewhere) = (temporary(), temporary());
        let storage = FileStorage::new(root.path());
        let lock = |key: &str| storage.lock(key, Duration::ZERO);
        let theirs = elsewhere.path().join("theirs");
        symlink(&theirs, root.path().join("k.lock")).unwrap();
        assert!(lock("k").is_err() && !theirs.exists());
        fs::create_dir(root.path().join("d.lock")).unwrap();
        assert!(lock("d").is_err());
        let status = std::process::Command::new("mkfifo").arg(root.path().join("p.lock")).status();
        assert!(status.unwrap().success());
        assert!(lock("p").is_err());
        drop(lock("w").unwrap().unwrap());
        chmod(&root.path().join("w.lock"), 0o660);
        assert!(lock("w").is_err());
        chmod(root.path(), 0o770);
        assert_eq!(lock("new").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(lock("").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_file_system_without_locks_is_no_error_and_any_other_failure_is_one() {
        let root = temporary();
        let rows = [
            (Errno::AGAIN, Ok(false)),
            (Errno::NOTSUP, Ok(false)),
            (Errno::NOSYS, Ok(false)),
            (Errno::NOLCK, Ok(false)),
            (Errno::IO, Err(Errno::IO)),
        ];
        for (errno, expected) in rows {
            let disk = Watched(|call: Call<'_>| match call {
                Call::Lock(_) => Err(errno.into()),
                _ => Ok(()),
            });
            let outcome = on(&disk, root.path()).lock("k", Duration::ZERO);
            let outcome = outcome.map(|lock| lock.is_some());
            let outcome = outcome.map_err(|error| Errno::from_io_error(&error).unwrap());
            assert_eq!(outcome, expected, "{errno}");
        }
    }

    #[test]
    fn a_lock_file_that_another_process_creates_at_the_same_time_is_used() {
        let root = temporary();
        let disk = Watched(|call: Call<'_>| match call {
            Call::Create(path) => Disk.create_new(path).map(drop),
            _ => Ok(()),
        });
        assert!(on(&disk, root.path()).lock("k", Duration::ZERO).unwrap().is_some());
    }

    #[test]
    fn a_lock_file_that_cannot_be_opened_or_created_is_an_error() {
        let root = temporary();
        drop(on(Disk, root.path()).lock("there", Duration::ZERO).unwrap().unwrap());
        for key in ["there", "missing"] {
            let opens = Cell::new(0);
            let disk = Watched(|call: Call<'_>| match call {
                Call::Open(_) if key == "there" => {
                    opens.set(opens.get() + 1);
                    if opens.get() == 1 { Err(Errno::ACCESS.into()) } else { Ok(()) }
                }
                Call::Create(_) if key == "missing" => Err(Errno::ACCESS.into()),
                _ => Ok(()),
            });
            let error = on(&disk, root.path()).lock(key, Duration::ZERO).err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{key}");
        }
    }
}
