//! Reads a record without following a link.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::permissions::{check_permissions, permission_denied};
use crate::secret::read_to_end;

/// The library stores no longer record.
const LONGEST_RECORD: u64 = 64 * 1024;

/// Reads a record, which may hold secrets. `None` if there is none, or if it is too long.
pub(super) fn read(path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let file = match open_without_following(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(permission_denied("the record is not a regular file"));
    }
    check_permissions(&metadata, "the record")?;
    let expected = usize::try_from(metadata.len().min(LONGEST_RECORD)).unwrap_or_default();
    let value = read_to_end(file.take(LONGEST_RECORD + 1), expected)?;
    Ok(Some(value).filter(|value| value.len() as u64 <= LONGEST_RECORD))
}

#[cfg(unix)]
pub(super) fn open_without_following(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};

    // Without NONBLOCK, opening a named pipe would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

#[cfg(not(unix))]
pub(super) fn open_without_following(path: &Path) -> io::Result<File> {
    if std::fs::symlink_metadata(path)?.is_symlink() {
        return Err(permission_denied("the record is a symbolic link"));
    }
    File::open(path)
}
