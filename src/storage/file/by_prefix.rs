//! Lists and removes all records whose keys begin with a prefix.

use std::io;
use std::path::Path;

use super::disk::FileSystem;
use super::names::{self, FileKind};
use super::permissions::check_directory;
use super::read::read_key;

pub(super) fn keys<F: FileSystem>(
    disk: &F,
    directory: &Path,
    prefix: &str,
) -> io::Result<Vec<String>> {
    let mut keys = Vec::new();
    for (name, kind) in files(disk, directory, prefix)?.unwrap_or_default() {
        if kind == FileKind::Record {
            let key = key(disk, directory, &name, &name)?;
            keys.extend(key.filter(|key| key.starts_with(prefix)));
        }
    }
    keys.sort();
    keys.dedup();
    Ok(keys)
}

/// Removes the records with their temporary files, or the locks. Returns how many records or locks
/// it removed.
pub(super) fn remove_files<F: FileSystem>(
    disk: &F,
    directory: &Path,
    prefix: &str,
    locks: bool,
) -> io::Result<usize> {
    let Some(files) = files(disk, directory, prefix)? else { return Ok(0) };
    let (mut removed, mut outcome) = (0, Ok(()));
    for (name, kind) in files {
        if locks != (kind == FileKind::Lock) {
            continue;
        }
        match remove(disk, directory, &name, prefix) {
            Ok(was_there) => removed += usize::from(was_there && kind != FileKind::Temporary),
            Err(error) => outcome = Err(error),
        }
    }
    outcome.and(disk.sync_directory(directory)).map(|()| removed)
}

/// Removes a file, unless its name is cut and the key in the file does not begin with the prefix.
fn remove<F: FileSystem>(disk: &F, directory: &Path, name: &str, prefix: &str) -> io::Result<bool> {
    if !name.starts_with(&names::escape(prefix)) {
        let (record, kind) = names::parse(name).unwrap_or((name, FileKind::Record));
        // A lock is empty. The record with its name has the key.
        let file = if kind == FileKind::Lock { record } else { name };
        if key(disk, directory, file, record)?.is_some_and(|key| !key.starts_with(prefix)) {
            return Ok(false);
        }
    }
    disk.unlink(&directory.join(name))
}

/// Returns the key of a record: from the file if the name is cut, else from the name.
fn key<F: FileSystem>(
    disk: &F,
    directory: &Path,
    file: &str,
    record: &str,
) -> io::Result<Option<String>> {
    if names::has_header(record) {
        return read_key(disk, &directory.join(file), record);
    }
    Ok(names::key(record, record))
}

/// Returns `None` if there is no directory.
fn files<F: FileSystem>(
    disk: &F,
    directory: &Path,
    prefix: &str,
) -> io::Result<Option<Vec<(String, FileKind)>>> {
    if !check_directory(disk, directory)? {
        return Ok(None);
    }
    let prefix = names::escape(prefix);
    let files = disk.list(directory)?.into_iter().filter_map(|name| {
        let (record, kind) = names::parse(&name)?;
        names::may_begin_with(record, &prefix).then_some((name, kind))
    });
    Ok(Some(files.collect()))
}
