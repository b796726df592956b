//! Where identities and credentials are kept.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use cognito_identity_credentials::{FileStorage, Storage};

use crate::arguments::Options;
use crate::failure::Failure;
use crate::logger;

const NAME: &str = "cognito-credentials";

/// The key of a record that tells whether there can be others.
pub(crate) const TRIAL: &str = "trial";

/// The directory, or none with `--no-cache`.
pub(crate) fn directory(options: &Options) -> Result<Option<PathBuf>, Failure> {
    if options.flag("no-cache") {
        return Ok(None);
    }
    if let Some(directory) = options.value("cache-dir") {
        if directory.is_empty() {
            return Err(Failure::usage("--cache-dir: is empty"));
        }
        return Ok(Some(directory.into()));
    }
    match users(|name| env::var_os(name)) {
        // With another user's HOME, as root may have it, files of this one's would be in the way there.
        Some(directory) if is_anothers(&directory) => Err(Failure::usage(format!(
            "the cache directory would be {}, in a directory that belongs to another user: say --cache-dir DIRECTORY, or --no-cache",
            directory.display()
        ))),
        Some(directory) => Ok(Some(directory)),
        None => Err(Failure::usage(
            "there is no cache directory, for HOME is not set: say --cache-dir DIRECTORY, or --no-cache",
        )),
    }
}

/// The directory, if things can be kept there; else a warning says what that means.
pub(crate) fn usable(options: &Options) -> Result<Option<PathBuf>, Failure> {
    let Some(directory) = directory(options)? else { return Ok(None) };
    let storage = FileStorage::new(&directory);
    // Nothing is written where there is a directory: flash wears out.
    let tried = if directory.exists() { storage.load(TRIAL).map(drop) } else { try_out(&storage) };
    let Err(error) = tried else { return Ok(Some(directory)) };
    let is_guest = options.logins.is_empty() && options.value("user-pool-id").is_none();
    let so = if is_guest {
        "each call makes another guest"
    } else {
        "each call asks the service, and a refresh token that is rotated is lost"
    };
    let directory = directory.display();
    logger::warn(format_args!("the cache {directory} cannot be used: {error}; so {so}"));
    Ok(None)
}

/// Whether the directory, which is made, can be written to.
pub(crate) fn try_out(storage: &FileStorage) -> io::Result<()> {
    storage.store(TRIAL, b"trial")?;
    storage.remove(TRIAL)
}

/// Whether the directory would be made in another user's.
#[cfg(unix)]
fn is_anothers(directory: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let own = rustix::process::geteuid().as_raw();
    let owner =
        directory.ancestors().skip(1).find_map(|parent| Some(parent.metadata().ok()?.uid()));
    !directory.exists() && owner.is_some_and(|owner| ![0, own].contains(&owner))
}

#[cfg(not(unix))]
fn is_anothers(_: &Path) -> bool {
    false
}

/// The user's cache directory, by the convention of the system.
fn users(lookup: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
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
            let found = users(|name| {
                let found = variables.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| OsString::from(value))
            });
            assert_eq!(found, expected.map(PathBuf::from), "{variables:?}");
        }
    }
}
