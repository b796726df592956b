//! Who owns a directory or a file, and who may read it or write to it.

#[cfg(unix)]
use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::path::Path;

#[cfg(unix)]
use super::disk::is_unsupported;
use super::disk::{FileSystem, Files};

impl<F: FileSystem> Files<F> {
    /// Checks the directory. Returns `false` if it does not exist.
    pub(super) fn check_directory(&self) -> io::Result<bool> {
        // With a slash at its end, the path would name the target of the link.
        let path = self.directory.components().as_path();
        let mut metadata = match self.disk.stat_link(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            metadata => metadata?,
        };
        if metadata.is_symlink() {
            check_permissions(&metadata, "the link to the directory")?;
            // A link without a target is an error: the disk with the records may not be mounted
            // yet.
            metadata = self.disk.stat(path)?;
        }
        if !metadata.is_dir() {
            return Err(permission_denied("the path is not a directory"));
        }
        check_permissions(&metadata, "the directory").map(|()| true)
    }
}

#[cfg(unix)]
pub(super) fn check_permissions(metadata: &Metadata, what: &str) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;

    let own = rustix::process::geteuid().as_raw();
    // Every link has mode 0777, which has no meaning.
    let mode = if metadata.is_symlink() { 0 } else { metadata.mode() };
    match owner_fault(what, mode, metadata.uid(), own) {
        Some(fault) => Err(permission_denied(&fault)),
        None => Ok(()),
    }
}

#[cfg(unix)]
fn owner_fault(what: &str, mode: u32, owner: u32, own: u32) -> Option<String> {
    if ![0, own].contains(&owner) {
        return Some(format!("{what} belongs to another user"));
    }
    (mode & 0o022 != 0).then(|| format!("others may write to {what}; run `chmod go-w` on it"))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on Unix there is something to check")]
pub(super) fn check_permissions(_: &Metadata, _: &str) -> io::Result<()> {
    Ok(())
}

/// Sets mode 0600 on a file of this user that others may use. A file of root stays as it is,
/// because this user could not read it with mode 0600.
#[cfg(unix)]
pub(super) fn tighten<F: FileSystem>(
    disk: &F,
    path: &Path,
    file: &File,
    metadata: &Metadata,
) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;

    let for_others = metadata.mode() & 0o077;
    if for_others == 0 || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    set_mode(disk, path, file, 0o600).map_err(|error| {
        let path = path.display();
        let text = format!("others may read {path} ({error}); run `chmod 600 {path}`");
        io::Error::new(error.kind(), text)
    })
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on Unix there is something to do")]
pub(super) fn tighten<F: FileSystem>(
    _: &F,
    _: &Path,
    _: &std::fs::File,
    _: &Metadata,
) -> io::Result<()> {
    Ok(())
}

/// Gives a new file mode 0600, because the umask may have removed bits.
#[cfg(unix)]
pub(super) fn give_file_mode<F: FileSystem>(disk: &F, path: &Path, file: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;

    let mode = disk.stat_file(path, file)?.mode() & 0o777;
    if mode == 0o600 {
        return Ok(());
    }
    match set_mode(disk, path, file, 0o600) {
        // vfat and CIFS take the mode from the mount options, and may not allow another one.
        Err(_) if mode & 0o677 == 0o600 => Ok(()),
        outcome => outcome,
    }
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on Unix there is something to do")]
pub(super) fn give_file_mode<F: FileSystem>(_: &F, _: &Path, _: &std::fs::File) -> io::Result<()> {
    Ok(())
}

/// Gives a new directory mode 0700, because the umask may have removed bits.
#[cfg(unix)]
pub(super) fn give_directory_mode<F: FileSystem>(disk: &F, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;

    if disk.stat_link(path)?.mode() & 0o777 == 0o700 {
        return Ok(());
    }
    match disk.open(path) {
        Ok(directory) => set_mode(disk, path, &directory, 0o700),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            disk.set_mode_unopened(path, 0o700)
        }
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on Unix there is something to do")]
pub(super) fn give_directory_mode<F: FileSystem>(_: &F, _: &Path) -> io::Result<()> {
    Ok(())
}

/// A file system without modes is not an error.
#[cfg(unix)]
fn set_mode<F: FileSystem>(disk: &F, path: &Path, file: &File, mode: u32) -> io::Result<()> {
    match disk.set_mode(path, file, mode) {
        Err(error) if is_unsupported(&error) => Ok(()),
        outcome => outcome,
    }
}

pub(super) fn permission_denied(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::super::disk::{Call, Errno};
    use super::super::faulty_disk::Watched;
    use super::super::tests::{chmod, mode, temporary};
    use super::*;
    use std::fs;
    use std::time::Duration;

    #[test]
    fn another_owner_and_other_writers_have_different_errors() {
        let (theirs, open) = (Some("it belongs to another user"), Some("others may write to it"));
        let rows = [
            (0o700, 7, None),
            (0o755, 0, None),
            (0o700, 8, theirs),
            (0o777, 8, theirs),
            (0o720, 7, open),
            (0o702, 0, open),
        ];
        for (mode, owner, says) in rows {
            let fault = owner_fault("it", mode, owner, 7);
            let fault = fault.as_deref().map(|fault| fault.split(';').next().unwrap());
            assert_eq!(fault, says, "{mode:o} {owner}");
        }
    }

    #[test]
    fn a_new_file_whose_mode_cannot_be_set_is_used_if_it_is_private() {
        let all = [Errno::PERM, Errno::ACCESS, Errno::ROFS, Errno::INVAL, Errno::IO];
        let no_modes = [Errno::OPNOTSUPP, Errno::NOSYS];
        let rows = [
            (0o700, &all[..], true),
            (0o755, &all[..], false),
            (0o640, &all[..], false),
            (0o601, &all[..], false),
            (0o400, &all[..], false),
            (0o200, &all[..], false),
            (0o755, &no_modes[..], true),
        ];
        for (created, errors, is_ok) in rows {
            for &errno in errors {
                let root = temporary();
                let disk = Watched(|call: Call<'_>| match call {
                    // As a file system that takes all modes from its mount options.
                    Call::StatFile(path) => {
                        chmod(path, created);
                        Ok(())
                    }
                    Call::SetMode(_) => Err(errno.into()),
                    _ => Ok(()),
                });
                let storage = Files { disk, directory: root.path().to_owned() };
                let what = format!("{created:o} {errno}");
                assert_eq!(storage.store("k", b"v").is_ok(), is_ok, "{what}");
                assert_eq!(storage.lock("k", Duration::ZERO).is_ok(), is_ok, "{what}");
                let loaded = storage.load("k").unwrap();
                assert_eq!(loaded.as_deref(), is_ok.then_some(&b"v"[..]), "{what}");
            }
        }
    }

    #[test]
    fn a_new_directory_that_its_owner_may_not_read_gets_its_mode_and_a_broken_one_is_an_error() {
        for (errno, is_ok) in [(Errno::ACCESS, true), (Errno::IO, false)] {
            let root = temporary();
            let path = root.path().join("d");
            fs::create_dir(&path).unwrap();
            chmod(&path, 0o300);
            let disk = Watched(|call: Call<'_>| match call {
                Call::Open(_) => Err(errno.into()),
                _ => Ok(()),
            });
            assert_eq!(give_directory_mode(&disk, &path).is_ok(), is_ok, "{errno}");
            assert_eq!(mode(&path), if is_ok { 0o700 } else { 0o300 }, "{errno}");
        }
    }
}
