//! Reads a record without following a link.

use std::io;
use std::mem;

use zeroize::Zeroizing;

use super::disk::{FileSystem, Files, is_name_too_long};
use super::names::{self, names};
use super::permissions::{check_permissions, permission_denied, tighten};

/// A longer record counts as absent.
const MAX_RECORD: u64 = 64 * 1024;

impl<F: FileSystem> Files<F> {
    pub(super) fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        let names = names(key)?;
        if !self.check_directory()? {
            return Ok(None);
        }
        let header = names.header.as_deref();
        let mut value = self.read(&names.record, header)?;
        if let (None, Some(earlier)) = (&value, names.earlier_uncut()) {
            value = match self.read(earlier, None) {
                // Another process may have moved the record between the two reads.
                Ok(None) => self.read(&names.record, header)?,
                Err(error) if is_name_too_long(&error) => None,
                value => value?,
            };
        }
        Ok(value.map(|mut value| mem::take(&mut *value)))
    }

    /// Returns the key in the first line of a file with a cut name. Returns `None` if there is no
    /// file, or if the line is not the key.
    pub(super) fn read_key(&self, name: &str, record: &str) -> io::Result<Option<String>> {
        let Some(contents) = self.read(name, None)? else { return Ok(None) };
        let line = contents.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Ok(std::str::from_utf8(line).ok().and_then(|line| names::key(record, line)))
    }

    /// Reads a record without its header. It may hold secrets. Returns `None` if there is no
    /// record, if it is too long, or if it ends within the header.
    pub(super) fn read(
        &self,
        name: &str,
        header: Option<&str>,
    ) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let path = &self.directory.join(name);
        let file = match self.disk.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let metadata = self.disk.stat_file(path, &file)?;
        if !metadata.is_file() {
            return Err(permission_denied("the record is not a regular file"));
        }
        check_permissions(&metadata, "the record")?;
        tighten(&self.disk, path, &file, &metadata)?;
        let header = header.unwrap_or_default();
        let longest = MAX_RECORD + header.len() as u64;
        let expected = usize::try_from(metadata.len().min(longest)).unwrap_or_default();
        let mut value = self.disk.read(path, &file, expected, longest + 1)?;
        if value.len() as u64 > longest {
            return Ok(None);
        }
        if !value.starts_with(header.as_bytes()) {
            // The digests of two keys are equal, or the file was copied from another key.
            return if value.contains(&b'\n') {
                Err(io::Error::new(io::ErrorKind::InvalidData, "the record belongs to another key"))
            } else {
                Ok(None)
            };
        }
        value.drain(..header.len());
        Ok(Some(value))
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::super::disk::{Call, Errno};
    use super::super::faulty_disk::Watched;
    use super::super::tests::{on, temporary};
    use super::*;

    #[test]
    fn a_file_system_that_takes_no_long_names_has_no_record_under_the_earlier_name() {
        let root = temporary();
        let key = "x".repeat(150);
        let earlier = root.path().join(names(&key).unwrap().earlier_uncut().unwrap());
        for (errno, is_ok) in [(Errno::NAMETOOLONG, true), (Errno::IO, false)] {
            let disk = Watched(|call: Call<'_>| match call {
                Call::Open(path) if path == earlier => Err(errno.into()),
                _ => Ok(()),
            });
            let outcome = on(&disk, root.path()).load(&key);
            assert!(outcome.as_ref().is_ok_and(Option::is_none) == is_ok, "{errno}: {outcome:?}");
        }
    }
}
