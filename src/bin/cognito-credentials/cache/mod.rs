//! The cache: where it is, whether it can be used, and the records in it.
//!
//! * this file: `Cache`, and the directory that the options or the system name
//! * `directory`: opens and creates the directory, and checks its owner
//! * `fault`: why a directory must not be used
//! * `remedy`: what to do if others may write to the directory
//! * `bound_to_token`: credentials are returned only for the token that they were requested with

mod bound_to_token;
#[cfg(unix)]
mod directory;
#[cfg(not(unix))]
#[path = "directory_without_owners.rs"]
mod directory;
mod fault;
#[cfg(unix)]
mod remedy;

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cognito_identity_credentials::{Storage, StorageLock};

use crate::messages::failure::Failure;
use crate::messages::logger;
use crate::messages::os_error::{TEMPORARY_HINT, is_temporary};
use crate::options::arguments::Options;

pub(crate) use bound_to_token::BoundToToken;
use directory::{Directory, NAME};
use fault::Fault;

/// The key of a test record, which shows whether records can be stored.
const TRIAL: &str = "trial";

/// The records in the cache directory. The first call opens the directory. The first call that
/// stores or locks something creates it. Clones share the open directory.
#[derive(Clone)]
pub(crate) struct Cache(Arc<Inner>);

struct Inner {
    path: PathBuf,
    creates: bool,
    open: Mutex<Option<Arc<Directory>>>,
}

/// Returns the cache for a command that only reads. `None` with `--no-cache`.
pub(crate) fn existing(options: &Options) -> Result<Option<Cache>, Failure> {
    cache(options, false)
}

/// Returns the cache for a command that stores records. `None` with `--no-cache`.
pub(crate) fn directory(options: &Options) -> Result<Option<Cache>, Failure> {
    cache(options, true)
}

fn cache(options: &Options, creates: bool) -> Result<Option<Cache>, Failure> {
    if options.no_cache {
        return Ok(None);
    }
    let cache = |path| Cache(Arc::new(Inner { path, creates, open: Mutex::default() }));
    if let Some(directory) = &options.cache_dir {
        return Ok(Some(cache(directory.clone())));
    }
    let advice = "use --cache-dir with a directory of this user, or --no-cache";
    let Some(directory) = default_directory(|name| env::var_os(name)) else {
        let why = "there is no cache directory because HOME is not set to an absolute path";
        return Err(Failure::usage(why).advice(advice));
    };
    let cache = cache(directory);
    // Root may run with another user's HOME. That user could put links there, which make root write
    // to other files, and could not write to the cache that root creates.
    if let Err(error) = cache.existing_directory() {
        if Fault::in_error(&error).is_some_and(|fault| fault.is_of_another_user) {
            let path = cache.path().display();
            let why = format!("the cache directory {path} is not used: {error}");
            return Err(Failure::usage(why).advice(advice));
        }
    }
    Ok(Some(cache))
}

/// Returns the cache if it can be used. Otherwise prints a warning with the consequence.
pub(crate) fn usable(options: &Options) -> Result<Option<Cache>, Failure> {
    let Some(cache) = directory(options)? else { return Ok(None) };
    // Flash memory wears out, so nothing is written if the directory exists.
    let tried = match cache.existing_directory() {
        Ok(Some(_)) => cache.load(TRIAL).map(drop),
        Ok(None) => cache.check_writable(),
        Err(error) => Err(error),
    };
    let Err(error) = tried else { return Ok(Some(cache)) };
    let so = if options.is_guest() {
        "each call creates another guest"
    } else {
        "each call asks the service, and a rotated refresh token is lost"
    };
    let directory = cache.path().display();
    let (why, advice) = explain(&error);
    logger::warn(format_args!("the cache {directory} cannot be used: {why}; so {so}"));
    logger::advise(&advice);
    Ok(None)
}

/// Returns why the cache cannot be used, and what to do about it.
pub(crate) fn explain(error: &io::Error) -> (String, String) {
    let general =
        "set --cache-dir to a directory that only this user can write to, or use --no-cache";
    match Fault::in_error(error) {
        Some(Fault { text, remedy: Some(remedy), .. }) => (text.clone(), remedy.clone()),
        _ if is_temporary(error) => (format!("{error:#}"), TEMPORARY_HINT.to_owned()),
        _ => (format!("{error:#}"), general.to_owned()),
    }
}

impl Cache {
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Returns `true` if a usable directory exists.
    pub(crate) fn exists(&self) -> bool {
        self.existing_directory().is_ok_and(|directory| directory.is_some())
    }

    /// Creates the directory if it is missing, and tries to write to it.
    pub(crate) fn check_writable(&self) -> io::Result<()> {
        self.store(TRIAL, b"trial")?;
        self.remove(TRIAL)
    }

    /// Returns why nothing can be written to the directory, or to the parent in which it would be
    /// created. Writes nothing.
    pub(crate) fn not_writable(&self) -> Option<String> {
        directory::check_access(self.path()).err().map(|error| format!("{error:#}"))
    }

    pub(crate) fn contains(&self, key: &str) -> io::Result<bool> {
        let Some(directory) = self.existing_directory()? else { return Ok(false) };
        let keys = directory.storage.keys(key).map_err(|error| directory.explain(error))?;
        Ok(keys.iter().any(|found| found == key))
    }

    /// Removes the records whose keys begin with `prefix`. Returns how many there were.
    pub(crate) fn remove_all(&self, prefix: &str) -> io::Result<usize> {
        let Some(directory) = self.existing_directory()? else { return Ok(0) };
        directory.storage.remove_all(prefix).map_err(|error| directory.explain(error))
    }

    pub(crate) fn remove_locks(&self, prefix: &str) -> io::Result<()> {
        let Some(directory) = self.existing_directory()? else { return Ok(()) };
        let removed = directory.storage.remove_locks(prefix);
        removed.map(drop).map_err(|error| directory.explain(error))
    }

    fn existing_directory(&self) -> io::Result<Option<Arc<Directory>>> {
        let open = self.open().clone();
        if let Some(open) = open.filter(|open| !open.is_removed()) {
            return Ok(Some(open));
        }
        let found = directory::open(self.path())?.map(Arc::new);
        self.open().clone_from(&found);
        Ok(found)
    }

    /// Returns the directory. Creates it if it is missing and `creates` is true.
    fn directory(&self) -> io::Result<Option<Arc<Directory>>> {
        if let Some(open) = self.existing_directory()? {
            return Ok(Some(open));
        }
        if !self.0.creates {
            return Ok(None);
        }
        let created = Arc::new(directory::open_or_create(self.path())?);
        *self.open() = Some(Arc::clone(&created));
        Ok(Some(created))
    }

    fn open(&self) -> MutexGuard<'_, Option<Arc<Directory>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for Cache {
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        let Some(directory) = self.existing_directory()? else { return Ok(None) };
        directory.storage.load(key).map_err(|error| directory.explain(error))
    }

    fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
        let directory = self.directory()?.ok_or(io::ErrorKind::NotFound)?;
        directory.storage.store(key, value).map_err(|error| directory.explain(error))
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        let Some(directory) = self.existing_directory()? else { return Ok(()) };
        directory.storage.remove(key).map_err(|error| directory.explain(error))
    }

    fn lock(&self, key: &str, wait: Duration) -> io::Result<Option<StorageLock>> {
        let Some(directory) = self.directory()? else { return Ok(None) };
        directory.storage.lock(key, wait).map_err(|error| directory.explain(error))
    }
}

/// Returns the cache directory of the user, by the convention of the system.
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
    fn the_cache_is_where_the_system_keeps_caches() {
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
