//! Removes the temporary files of writers that died. A sweep keeps the files of running writers.
//!
//! A running writer holds a lock on its temporary file. While it creates and locks this file, it
//! also holds a shared lock on the directory. A sweep needs an exclusive lock on both.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::disk::{FileSystem, Files, LockMode, unlock};
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

impl<F: FileSystem> Files<F> {
    /// Prevents sweeps until the returned lock is dropped. Returns `None` if there are no locks,
    /// because then there are no sweeps, and if another sweep runs for longer than 100 ms.
    pub(super) fn hold_off_sweepers(&self) -> Option<LockedFile> {
        let file = self.disk.open_directory(&self.directory).ok()?;
        for _ in 0..TRIES {
            match self.disk.try_lock(&self.directory, &file, LockMode::Shared) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
                outcome => return outcome.ok().map(|()| LockedFile(file)),
            }
        }
        None
    }

    /// Removes the temporary files of writers that died. Does nothing if there are no locks, or if
    /// a running writer is just creating its file.
    pub(super) fn sweep(&self, names: &Names) -> io::Result<()> {
        let directory = self.disk.open_directory(&self.directory)?;
        let _lock = self.lock_file(&self.directory, directory)?;
        for path in self.temporary_files(names)? {
            // `locked` holds the lock while the file is removed.
            let locked = self.disk.open(&path).and_then(|file| self.lock_file(&path, file));
            if locked.is_ok() {
                self.disk.unlink(&path)?;
            }
        }
        Ok(())
    }

    /// Removes all temporary files of the record. A running writer then writes another one.
    pub(super) fn remove_temporary_files(&self, names: &Names) -> io::Result<()> {
        let mut outcome = Ok(());
        for path in self.temporary_files(names)? {
            outcome = outcome.and(self.disk.unlink(&path).map(drop));
        }
        outcome
    }

    fn temporary_files(&self, names: &Names) -> io::Result<Vec<PathBuf>> {
        let is_of_record = |name: &String| match names::parse(name) {
            Some((record, FileKind::Temporary)) => names.contains(record),
            _ => false,
        };
        let files = self.disk.list(&self.directory)?.into_iter().filter(is_of_record);
        Ok(files.map(|name| self.directory.join(name)).collect())
    }

    fn lock_file(&self, path: &Path, file: File) -> io::Result<LockedFile> {
        self.disk.try_lock(path, &file, LockMode::Exclusive).map(|()| LockedFile(file))
    }
}
