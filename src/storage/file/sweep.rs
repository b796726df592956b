//! Removes the temporary files of writers that died. A sweep keeps the files of running writers.
//!
//! A running writer holds a lock on its temporary file. While it creates and locks this file, it
//! also holds a shared lock on the directory. A sweep needs an exclusive lock on both.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::disk::{FileSystem, LockMode, unlock};
use super::names::{self, FileKind, Names};

/// A writer waits for a sweep for at most 100 ms, because the sweeping process may be stopped. Then
/// it continues. If the sweep removes its file, it writes another one.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(1);

/// An open file or directory. Dropping it releases its lock.
pub(super) struct LockedFile(pub(super) File);

impl Drop for LockedFile {
    /// Closing the file is not enough if a child process has it open too. The next sweep would then
    /// keep a file that has no writer.
    fn drop(&mut self) {
        unlock(&self.0);
    }
}

/// Prevents sweeps until the returned lock is dropped. Returns `None` if there are no locks,
/// because then there are no sweeps, and if another sweep runs for longer than 100 ms.
pub(super) fn hold_off_sweepers<F: FileSystem>(disk: &F, directory: &Path) -> Option<LockedFile> {
    let file = disk.open_directory(directory).ok()?;
    for _ in 0..TRIES {
        match disk.try_lock(directory, &file, LockMode::Shared) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            outcome => return outcome.ok().map(|()| LockedFile(file)),
        }
    }
    None
}

/// Removes the temporary files of writers that died. Does nothing if there are no locks, or if a
/// running writer is just creating its file.
pub(super) fn sweep<F: FileSystem>(disk: &F, directory: &Path, names: &Names) -> io::Result<()> {
    let lock = lock(disk, directory, disk.open_directory(directory)?)?;
    for path in temporary_files(disk, directory, names)? {
        // `locked` holds the lock while the file is removed.
        let locked = disk.open(&path).and_then(|file| self::lock(disk, &path, file));
        if locked.is_ok() {
            disk.unlink(&path)?;
        }
    }
    drop(lock);
    Ok(())
}

/// Removes all temporary files of the record. A running writer then writes another one.
pub(super) fn remove_temporary_files<F: FileSystem>(
    disk: &F,
    directory: &Path,
    names: &Names,
) -> io::Result<()> {
    let mut outcome = Ok(());
    for path in temporary_files(disk, directory, names)? {
        outcome = outcome.and(disk.unlink(&path).map(drop));
    }
    outcome
}

fn temporary_files<F: FileSystem>(
    disk: &F,
    directory: &Path,
    names: &Names,
) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for name in disk.list(directory)? {
        match names::parse(&name) {
            Some((record, FileKind::Temporary)) if names.contains(record) => {
                files.push(directory.join(&name));
            }
            _ => {}
        }
    }
    Ok(files)
}

fn lock<F: FileSystem>(disk: &F, path: &Path, file: File) -> io::Result<LockedFile> {
    disk.try_lock(path, &file, LockMode::Exclusive).map(|()| LockedFile(file))
}
