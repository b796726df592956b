//! Reads a record without following a link.

use std::io;
use std::mem;
use std::path::Path;

use zeroize::Zeroizing;

use super::disk::{FileSystem, is_name_too_long};
use super::names::names;
use super::permissions::{check_directory, check_permissions, permission_denied, tighten};

/// The library stores no longer record.
const LONGEST_RECORD: u64 = 64 * 1024;

/// Reads the record of a key.
pub(super) fn load<F: FileSystem>(
    disk: &F,
    directory: &Path,
    key: &str,
) -> io::Result<Option<Vec<u8>>> {
    let names = names(key)?;
    if !check_directory(disk, directory)? {
        return Ok(None);
    }
    let record = directory.join(&names.record);
    let mut value = read(disk, &record)?;
    if let (None, Some(earlier)) = (&value, names.earlier_whole()) {
        value = match read(disk, &directory.join(earlier)) {
            // Another process may have moved the record in between.
            Ok(None) => read(disk, &record)?,
            Err(error) if is_name_too_long(&error) => None,
            value => value?,
        };
    }
    Ok(value.map(|mut value| mem::take(&mut *value)))
}

/// Reads a record, which may hold secrets. `None` if there is none, or if it is too long.
pub(super) fn read<F: FileSystem>(disk: &F, path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = disk.stat_file(path, &file)?;
    if !metadata.is_file() {
        return Err(permission_denied("the record is not a regular file"));
    }
    check_permissions(&metadata, "the record")?;
    tighten(disk, path, &file, &metadata)?;
    let expected = usize::try_from(metadata.len().min(LONGEST_RECORD)).unwrap_or_default();
    let value = disk.read(path, &file, expected, LONGEST_RECORD + 1)?;
    Ok(Some(value).filter(|value| value.len() as u64 <= LONGEST_RECORD))
}
