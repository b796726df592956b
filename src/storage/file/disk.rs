//! The directory of a storage, and the calls that reach the disk. Tests record these calls and make
//! them fail.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

#[cfg(unix)]
use rustix::fs::{FlockOperation, flock};
use zeroize::Zeroizing;

use crate::secret::read_to_end;

/// There is a limit because a broken file system may interrupt every call.
const MAX_INTERRUPTIONS: u32 = 1000;

#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "only tests read the paths, mostly as text")]
pub(super) enum Call<'a> {
    Stat(&'a Path),
    StatLink(&'a Path),
    StatFile(&'a Path),
    Open(&'a Path),
    Read(&'a Path),
    OpenDirectory(&'a Path),
    ReadDirectory(&'a Path),
    SetMode(&'a Path),
    MakeDirectory(&'a Path),
    RemoveDirectory(&'a Path),
    Create(&'a Path),
    Lock(&'a Path),
    Write(&'a Path, &'a [u8]),
    Sync(&'a Path),
    Rename(&'a Path, &'a Path),
    Unlink(&'a Path),
    SyncDirectory(&'a Path),
}

#[derive(Clone, Copy)]
pub(super) enum LockMode {
    Shared,
    Exclusive,
}

pub(super) trait FileSystem {
    /// Runs the operation. In tests, records the call or makes it fail.
    fn call<T>(&self, call: Call<'_>, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T>;

    fn retry_interrupted<T>(
        &self,
        call: Call<'_>,
        mut operation: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        let mut left = MAX_INTERRUPTIONS;
        loop {
            match self.call(call, &mut operation) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted && left > 0 => left -= 1,
                outcome => return outcome,
            }
        }
    }

    /// Follows a link.
    fn stat(&self, path: &Path) -> io::Result<Metadata> {
        self.retry_interrupted(Call::Stat(path), || fs::metadata(path))
    }

    fn stat_link(&self, path: &Path) -> io::Result<Metadata> {
        self.retry_interrupted(Call::StatLink(path), || fs::symlink_metadata(path))
    }

    fn stat_file(&self, path: &Path, file: &File) -> io::Result<Metadata> {
        self.retry_interrupted(Call::StatFile(path), || file.metadata())
    }

    /// Opens a file or a directory for reading. Does not follow a link or wait for the writer of a
    /// pipe.
    fn open(&self, path: &Path) -> io::Result<File> {
        self.retry_interrupted(Call::Open(path), || open(path, false))
    }

    #[cfg(unix)]
    fn open_to_write(&self, path: &Path) -> io::Result<File> {
        self.retry_interrupted(Call::Open(path), || open(path, true))
    }

    /// Reads at most `longest` bytes. Allocates one buffer if the file has at most `expected`
    /// bytes.
    fn read(
        &self,
        path: &Path,
        file: &File,
        expected: usize,
        longest: u64,
    ) -> io::Result<Zeroizing<Vec<u8>>> {
        self.retry_interrupted(Call::Read(path), || read_to_end(file.take(longest), expected))
    }

    /// Returns the file names in a directory, without names that are not UTF-8.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        // An interrupted listing cannot be continued, so it starts again.
        self.retry_interrupted(Call::ReadDirectory(directory), || {
            let entries =
                self.retry_interrupted(Call::OpenDirectory(directory), || fs::read_dir(directory))?;
            let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
            names.filter_map(Result::transpose).collect()
        })
    }

    #[cfg(unix)]
    fn set_mode(&self, path: &Path, file: &File, mode: u32) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;

        self.retry_interrupted(Call::SetMode(path), || {
            file.set_permissions(fs::Permissions::from_mode(mode))
        })
    }

    /// Sets the mode of a directory that its owner may not even open.
    #[cfg(unix)]
    fn set_mode_unopened(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.retry_interrupted(Call::SetMode(path), || set_mode_unopened(path, mode))
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        #[cfg_attr(not(unix), expect(unused_mut))]
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        self.retry_interrupted(Call::MakeDirectory(path), || builder.create(path))
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.retry_interrupted(Call::RemoveDirectory(path), || fs::remove_dir(path))
    }

    /// Creates a file. Fails if the name exists, also as a link.
    fn create_new(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        self.retry_interrupted(Call::Create(path), || options.open(path))
    }

    /// Locks a file until it is closed. Returns an error of kind `WouldBlock` if the lock is taken.
    fn try_lock(&self, path: &Path, file: &File, mode: LockMode) -> io::Result<()> {
        self.retry_interrupted(Call::Lock(path), || try_lock(file, mode))
    }

    fn write(&self, path: &Path, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        self.retry_interrupted(Call::Write(path, bytes), || file.write_all(bytes))
    }

    fn sync(&self, path: &Path, file: &File) -> io::Result<()> {
        self.retry_interrupted(Call::Sync(path), || file.sync_all())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.retry_interrupted(Call::Rename(from, to), || fs::rename(from, to))
    }

    /// Returns `false` if there is no such file.
    fn unlink(&self, path: &Path) -> io::Result<bool> {
        match self.retry_interrupted(Call::Unlink(path), || fs::remove_file(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }

    /// Opens the directory of a storage. Its path may be a link.
    fn open_directory(&self, path: &Path) -> io::Result<File> {
        self.retry_interrupted(Call::OpenDirectory(path), || File::open(path))
    }

    /// Makes the file names in the directory durable, if the file system can do that.
    #[cfg(unix)]
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let directory = match self.open_directory(path) {
            // This user may write to the directory, but not read it.
            Err(error) if has_errno(&error, &[Errno::ACCESS]) => return Ok(()),
            directory => directory?,
        };
        match self.retry_interrupted(Call::SyncDirectory(path), || directory.sync_all()) {
            // CIFS, vboxsf and others cannot. Another attempt would not succeed either.
            Err(error) if is_unsupported(&error) || has_errno(&error, &[Errno::INVAL]) => Ok(()),
            outcome => outcome,
        }
    }

    #[cfg(not(unix))]
    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// The directory of a storage. Tests use another disk, whose calls fail.
#[derive(Clone)]
pub(super) struct Files<F> {
    pub(super) disk: F,
    pub(super) directory: PathBuf,
}

#[derive(Clone)]
pub(super) struct Disk;

impl FileSystem for Disk {
    fn call<T>(&self, _: Call<'_>, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        operation()
    }
}

#[cfg(unix)]
pub(super) use rustix::io::Errno;

/// Returns `true` if the file system lacks the operation.
#[cfg(unix)]
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    // A sandbox or an emulator answers ENOSYS if the whole system call is missing.
    has_errno(error, &[Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS])
}

/// Returns `true` if the name is too long for the file system. No file can have it then.
#[cfg(unix)]
pub(super) fn is_name_too_long(error: &io::Error) -> bool {
    has_errno(error, &[Errno::NAMETOOLONG])
}

// cargo-mutants does not evaluate `cfg`. `mutants::skip`, which is never active, keeps it from
// functions that Linux does not compile.
#[cfg(not(unix))]
#[cfg_attr(unix, mutants::skip)]
pub(super) fn is_name_too_long(_: &io::Error) -> bool {
    false
}

#[cfg(unix)]
pub(super) fn has_errno(error: &io::Error, numbers: &[Errno]) -> bool {
    Errno::from_io_error(error).is_some_and(|number| numbers.contains(&number))
}

#[cfg(unix)]
fn open(path: &Path, write: bool) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};

    let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
    // Without NONBLOCK, opening a named pipe would wait for a writer.
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

#[cfg(not(unix))]
#[cfg_attr(unix, mutants::skip)]
fn open(path: &Path, _: bool) -> io::Result<File> {
    if fs::symlink_metadata(path)?.is_symlink() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is a symbolic link"));
    }
    File::open(path)
}

#[cfg(unix)]
fn try_lock(file: &File, mode: LockMode) -> io::Result<()> {
    let operation = match mode {
        LockMode::Shared => FlockOperation::NonBlockingLockShared,
        LockMode::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    Ok(flock(file, operation)?)
}

#[cfg(not(unix))]
#[cfg_attr(unix, mutants::skip)]
fn try_lock(_: &File, _: LockMode) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The error does not matter: closing the file releases the lock too.
#[cfg(unix)]
pub(super) fn unlock(file: &File) {
    let _ = flock(file, FlockOperation::Unlock);
}

#[cfg(not(unix))]
pub(super) fn unlock(_: &File) {}

/// The path below `/proc` names the open directory itself, even if its name now leads elsewhere.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn set_mode_unopened(path: &Path, mode: u32) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags, chmod};
    use std::os::fd::AsRawFd;

    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty())?;
    Ok(chmod(format!("/proc/self/fd/{}", directory.as_raw_fd()), Mode::from_raw_mode(mode))?)
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
#[cfg_attr(windows, mutants::skip)]
fn set_mode_unopened(path: &Path, mode: u32) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, Mode, RawMode, chmodat};

    let mode = Mode::from_raw_mode(mode as RawMode);
    Ok(chmodat(CWD, path, mode, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_a_signal_interrupts_is_repeated_at_most_1000_times() {
        for (interruptions, is_ok) in [(0, true), (1, true), (1000, true), (1001, false)] {
            let mut calls = 0;
            let outcome = Disk.retry_interrupted(Call::Stat(Path::new("k")), || {
                calls += 1;
                if calls > interruptions { Ok(()) } else { Err(io::ErrorKind::Interrupted.into()) }
            });
            assert_eq!(outcome.is_ok(), is_ok, "{interruptions}");
            assert_eq!(calls, interruptions.min(1000) + 1, "{interruptions}");
        }
    }

    #[test]
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn a_directory_gets_its_mode_and_neither_a_file_nor_what_a_link_leads_to() {
        use super::super::tests::{chmod, mode, temporary};
        use std::os::unix::fs::symlink;

        let root = temporary();
        let [directory, link, file] =
            ["directory", "link", "file"].map(|name| root.path().join(name));
        fs::create_dir(&directory).unwrap();
        symlink(&directory, &link).unwrap();
        fs::write(&file, "").unwrap();
        for path in [&directory, &file] {
            chmod(path, 0o500);
        }
        for wrong in [&link, &file] {
            assert!(Disk.set_mode_unopened(wrong, 0o700).is_err(), "{}", wrong.display());
        }
        assert_eq!((mode(&directory), mode(&file)), (0o500, 0o500));
        Disk.set_mode_unopened(&directory, 0o700).unwrap();
        assert_eq!(mode(&directory), 0o700);
    }
}
