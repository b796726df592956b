//! Lists and removes all records whose keys begin with a prefix.

use std::io;

use super::disk::{FileSystem, Files};
use super::names::{self, FileKind};

impl<F: FileSystem> Files<F> {
    pub(super) fn keys(&self, prefix: &str) -> io::Result<Vec<String>> {
        let mut keys = Vec::new();
        for (name, kind) in self.files(prefix)?.unwrap_or_default() {
            if kind == FileKind::Record {
                keys.extend(self.key(&name, &name)?.filter(|key| key.starts_with(prefix)));
            }
        }
        keys.sort();
        keys.dedup();
        Ok(keys)
    }

    /// Removes the records with their temporary files, or the locks. Returns how many records or
    /// locks it removed.
    pub(super) fn remove_files(&self, prefix: &str, locks: bool) -> io::Result<usize> {
        let Some(files) = self.files(prefix)? else { return Ok(0) };
        let (mut removed, mut outcome) = (0, Ok(()));
        for (name, kind) in files {
            if locks != (kind == FileKind::Lock) {
                continue;
            }
            match self.remove_file(&name, prefix) {
                Ok(was_there) => removed += usize::from(was_there && kind != FileKind::Temporary),
                Err(error) => outcome = Err(error),
            }
        }
        outcome.and(self.disk.sync_directory(&self.directory)).map(|()| removed)
    }

    /// Removes a file, unless its name is cut and the key in the file does not begin with the
    /// prefix.
    fn remove_file(&self, name: &str, prefix: &str) -> io::Result<bool> {
        if !name.starts_with(&names::escape(prefix)) {
            let (record, kind) = names::parse(name).unwrap_or((name, FileKind::Record));
            // A lock is empty. The record with its name has the key.
            let file = if kind == FileKind::Lock { record } else { name };
            if self.key(file, record)?.is_some_and(|key| !key.starts_with(prefix)) {
                return Ok(false);
            }
        }
        self.disk.unlink(&self.directory.join(name))
    }

    /// Returns the key of a record: from the file if the name is cut, else from the name.
    fn key(&self, file: &str, record: &str) -> io::Result<Option<String>> {
        if names::has_header(record) {
            return self.read_key(file, record);
        }
        Ok(names::key(record, record))
    }

    /// Returns `None` if there is no directory.
    fn files(&self, prefix: &str) -> io::Result<Option<Vec<(String, FileKind)>>> {
        if !self.check_directory()? {
            return Ok(None);
        }
        let prefix = names::escape(prefix);
        let files = self.disk.list(&self.directory)?.into_iter().filter_map(|name| {
            let (record, kind) = names::parse(&name)?;
            names::may_begin_with(record, &prefix).then_some((name, kind))
        });
        Ok(Some(files.collect()))
    }
}
