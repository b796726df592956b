//! Where identities and credentials are kept.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::arguments::Options;
use crate::failure::Failure;

const NAME: &str = "cognito-credentials";

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
        Some(directory) => Ok(Some(directory)),
        None => Err(Failure::usage(
            "there is no cache directory, for HOME is not set: say --cache-dir DIRECTORY, or --no-cache",
        )),
    }
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
