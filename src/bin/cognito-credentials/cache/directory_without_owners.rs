//! The cache directory on systems whose files have no Unix owners and modes.

use std::io;
use std::path::Path;

use cognito_identity_credentials::FileStorage;

pub(super) const NAME: &str = "cognito-credentials";

pub(super) struct Directory {
    pub(super) storage: FileStorage,
}

/// Returns `None` if the directory is missing.
#[expect(clippy::unnecessary_wraps, reason = "on Unix there is something to check")]
pub(super) fn open(path: &Path) -> io::Result<Option<Directory>> {
    Ok(path.exists().then(|| Directory { storage: FileStorage::new(path) }))
}

/// Returns the directory, which the first record creates.
#[expect(clippy::unnecessary_wraps, reason = "on Unix there is something to check")]
pub(super) fn open_or_create(path: &Path) -> io::Result<Directory> {
    Ok(Directory { storage: FileStorage::new(path) })
}

#[expect(clippy::unnecessary_wraps, reason = "on Unix there is something to check")]
pub(super) fn check_access(_: &Path) -> io::Result<()> {
    Ok(())
}

impl Directory {
    #[expect(clippy::unused_self, reason = "on Unix the directory is open")]
    pub(super) fn is_removed(&self) -> bool {
        false
    }

    #[expect(clippy::unused_self, reason = "on Unix the path is another one")]
    pub(super) fn explain(&self, error: io::Error) -> io::Error {
        error
    }
}
