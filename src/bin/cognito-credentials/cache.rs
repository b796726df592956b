//! The cache directory: where it is, and whether it can be used.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use cognito_identity_credentials::{FileStorage, Storage};

use crate::arguments::Options;
use crate::failure::Failure;
use crate::logger;

const NAME: &str = "cognito-credentials";

/// The key of a record that only shows whether records can be stored.
const TRIAL: &str = "trial";

/// Returns the cache directory. `None` with `--no-cache`.
pub(crate) fn directory(options: &Options) -> Result<Option<PathBuf>, Failure> {
    if options.no_cache {
        return Ok(None);
    }
    if let Some(directory) = &options.cache_dir {
        return Ok(Some(directory.clone()));
    }
    match default_directory(|name| env::var_os(name)) {
        // Root may run with another user's HOME. That user could not write to root's files there.
        Some(directory) if is_in_directory_of_another_user(&directory) => {
            Err(Failure::usage(format!(
                "the cache directory would be {}, in a directory that belongs to another user: use --cache-dir DIRECTORY, or --no-cache",
                directory.display()
            )))
        }
        Some(directory) => Ok(Some(directory)),
        None => Err(Failure::usage(
            "there is no cache directory because HOME is not set: use --cache-dir DIRECTORY, or --no-cache",
        )),
    }
}

/// Returns the cache directory if it can be used. Otherwise a warning names the consequence.
pub(crate) fn usable(options: &Options) -> Result<Option<PathBuf>, Failure> {
    let Some(directory) = directory(options)? else { return Ok(None) };
    let storage = FileStorage::new(&directory);
    // Flash memory wears out, so nothing is written if the directory exists.
    let tried =
        if directory.exists() { storage.load(TRIAL).map(drop) } else { check_writable(&storage) };
    let Err(error) = tried else { return Ok(Some(directory)) };
    let is_guest = options.logins.is_empty() && options.user_pool_id.is_none();
    let so = if is_guest {
        "each call creates another guest"
    } else {
        "each call asks the service, and a rotated refresh token is lost"
    };
    let directory = directory.display();
    logger::warn(format_args!("the cache {directory} cannot be used: {error}; so {so}"));
    Ok(None)
}

/// Creates the directory if it is missing, and tries to write to it.
pub(crate) fn check_writable(storage: &FileStorage) -> io::Result<()> {
    storage.store(TRIAL, b"trial")?;
    storage.remove(TRIAL)
}

/// Returns why nothing can be written to the directory, or to the parent in which it would be
/// created. Writes nothing.
#[cfg(unix)]
pub(crate) fn not_writable(directory: &Path) -> Option<String> {
    use rustix::fs::{Access, access};

    let existing = directory.ancestors().find(|path| path.exists())?;
    if !existing.is_dir() {
        return Some(format!("{} is not a directory", existing.display()));
    }
    let error = access(existing, Access::WRITE_OK | Access::EXEC_OK).err()?;
    Some(format!("{}: {}", existing.display(), io::Error::from(error)))
}

#[cfg(not(unix))]
pub(crate) fn not_writable(_: &Path) -> Option<String> {
    None
}

/// Whether the directory does not exist yet and its parent belongs to another user.
#[cfg(unix)]
fn is_in_directory_of_another_user(directory: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let own = rustix::process::geteuid().as_raw();
    let owner =
        directory.ancestors().skip(1).find_map(|parent| Some(parent.metadata().ok()?.uid()));
    !directory.exists() && owner.is_some_and(|owner| ![0, own].contains(&owner))
}

#[cfg(not(unix))]
fn is_in_directory_of_another_user(_: &Path) -> bool {
    false
}

/// Returns the user's cache directory by the convention of the system.
fn default_directory(lookup: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name: &str| lookup(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let root = if cfg!(windows) {
        path("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        path("HOME").map(|home| home.join("Library/Caches"))
    } else {
        path("XDG_CACHE_HOME").or_else(|| path("HOME").map(|home| home.join(".cache")))
    };
    root.map(|root| root.join(NAME))
}

#[cfg(test)]
#[cfg(all(unix, not(target_os = "macos")))]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_the_convention_has_it() {
        let rows: [(&[(&str, &str)], _); 6] = [
            (&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")], Some("/x/cognito-credentials")),
            (&[("HOME", "/h")], Some("/h/.cache/cognito-credentials")),
            (&[("XDG_CACHE_HOME", ""), ("HOME", "/h")], Some("/h/.cache/cognito-credentials")),
            (&[("XDG_CACHE_HOME", "x"), ("HOME", "/h")], Some("/h/.cache/cognito-credentials")),
            (&[("HOME", "h")], None),
            (&[], None),
        ];
        for (variables, expected) in rows {
            let found = default_directory(|name| {
                let found = variables.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| OsString::from(value))
            });
            assert_eq!(found, expected.map(PathBuf::from), "{variables:?}");
        }
    }
}
