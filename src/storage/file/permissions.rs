//! Checks that no other user owns a directory or a file, or may write to it.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;

/// Checks the directory of a storage. Returns `false` if it does not exist.
pub(super) fn check_directory(path: &Path) -> io::Result<bool> {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        metadata => metadata?,
    };
    if !metadata.is_dir() {
        return Err(permission_denied("what should be the directory is something else"));
    }
    check_permissions(&metadata, "the directory").map(|()| true)
}

#[cfg(unix)]
pub(super) fn check_permissions(metadata: &Metadata, what: &str) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;

    let own = rustix::process::geteuid().as_raw();
    match owner_fault(what, metadata.mode(), metadata.uid(), own) {
        Some(fault) => Err(permission_denied(&fault)),
        None => Ok(()),
    }
}

#[cfg(unix)]
fn owner_fault(what: &str, mode: u32, owner: u32, own: u32) -> Option<String> {
    if ![0, own].contains(&owner) {
        return Some(format!("{what} belongs to another user"));
    }
    (mode & 0o022 != 0).then(|| format!("others may write to {what}; take that right from them"))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on Unix there is something to check")]
pub(super) fn check_permissions(_: &Metadata, _: &str) -> io::Result<()> {
    Ok(())
}

pub(super) fn permission_denied(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

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
}
