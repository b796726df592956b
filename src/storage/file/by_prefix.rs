//! Lists and removes all records whose keys begin alike.

use std::io;
use std::path::Path;

use super::disk::FileSystem;
use super::names::{self, FileKind};
use super::permissions::check_directory;

/// Returns the keys of all records that begin with the prefix, sorted.
pub(super) fn keys<F: FileSystem>(
    disk: &F,
    directory: &Path,
    prefix: &str,
) -> io::Result<Vec<String>> {
    let files = files(disk, directory, prefix)?.unwrap_or_default();
    let mut keys: Vec<_> = files.iter().filter_map(|(name, _)| names::key(name)).collect();
    keys.sort();
    keys.dedup();
    Ok(keys)
}

/// Removes the records and their temporary files, or the locks. Returns how many, without the
/// temporary files.
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
        match disk.unlink(&directory.join(name)) {
            Ok(was_there) => removed += usize::from(was_there && kind != FileKind::Temporary),
            Err(error) => outcome = Err(error),
        }
    }
    outcome.and(disk.sync_directory(directory)).map(|()| removed)
}

/// The names and kinds of the files of all keys that begin with the prefix. `None` if there is no
/// directory.
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
