//! [`TokenFile`]: the file from which clients read the token.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, Stat, fchmod, flock, fstat, openat,
    renameat, statat, unlinkat,
};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::token::{LENGTH, Token};
use crate::messages::failure::{Failure, REFUSED};

/// Is added to the name of the token file while it is written. No other program makes such files.
const TEMPORARY: &str = ".cognito-credentials";

/// The file is removed when this is dropped.
pub(super) struct TokenFile {
    pub(super) path: PathBuf,
    directory: OwnedFd,
    name: OsString,
    /// Stays open, because its lock shows other processes that the file is in use.
    file: File,
}

impl TokenFile {
    /// Creates the file in a checked, open directory, so that nobody can replace the directory
    /// meanwhile. Replaces a file that a killed process has left.
    pub(super) fn create(path: &Path, token: &Token) -> Result<Self, Failure> {
        let path = std::path::absolute(path).map_err(|error| failure(path, error))?;
        // The path is printed on one line.
        if path.as_os_str().as_encoded_bytes().iter().any(u8::is_ascii_control) {
            return Err(Failure::usage("--token-file: has a control character in its name"));
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Failure::usage("--token-file: must be the path of a file"));
        };
        let directory = checked_directory(parent)?;
        Self::publish(directory, name, &path, token).map_err(|error| failure(&path, error))
    }

    /// Writes the token under a temporary name and renames the file. So a file that a killed
    /// process has left has a whole token, and cannot be confused with another file.
    fn publish(directory: OwnedFd, name: &OsStr, path: &Path, token: &Token) -> io::Result<Self> {
        let mut temporary = name.to_owned();
        temporary.push(TEMPORARY);
        let left_over = open_left_over(&directory, &temporary)?;
        if left_over.is_some() {
            unlinkat(&directory, &temporary, AtFlags::empty())?;
        }
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = openat(&directory, &temporary, flags, mode)?.into();
        let mut created = Self { path: path.to_owned(), directory, name: temporary, file };
        lock(&created.file)?;
        // The umask may have removed rights of the owner. vfat and CIFS may not allow another mode.
        let is_private = fstat(&created.file)?.st_mode & 0o677 == 0o600;
        fchmod(&created.file, mode)
            .or_else(|error| if is_private { Ok(()) } else { Err(error) })?;
        // Written without a newline, because several SDKs send the whole content as a header.
        created.file.write_all(token.as_str().as_bytes())?;
        // Without a sync, a loss of power can leave a damaged file. `serve` does not replace it.
        let _ = created.file.sync_data();
        if let Some(left_over) = open_left_over(&created.directory, name)? {
            check_token(left_over)?;
        }
        // Another process may have removed the file before it was locked.
        if !created.is_in_place() {
            return Err(in_use());
        }
        renameat(&created.directory, &created.name, &created.directory, name)?;
        name.clone_into(&mut created.name);
        Ok(created)
    }

    /// Returns `false` if another process has removed or replaced the file.
    fn is_in_place(&self) -> bool {
        let found = statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        matches!((found, fstat(&self.file)), (Ok(found), Ok(own))
            if (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino))
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        if self.is_in_place() {
            let _ = unlinkat(&self.directory, &self.name, AtFlags::empty());
        }
    }
}

/// Returns the default path: in the runtime directory of the service or the user, or else in the
/// cache.
pub(super) fn default_path(port: u16, cache: Option<&Path>) -> Result<PathBuf, Failure> {
    default_directory(|name| env::var_os(name), cache)
        .map(|directory| directory.join(format!("cognito-credentials-{port}.token")))
        .ok_or_else(|| {
            Failure::usage(
                "--token-file: is needed here, because neither RUNTIME_DIRECTORY nor XDG_RUNTIME_DIR is set and there is no cache directory",
            )
        })
}

fn default_directory(
    lookup: impl Fn(&str) -> Option<OsString>,
    cache: Option<&Path>,
) -> Option<PathBuf> {
    let path = |name| {
        let value = lookup(name)?;
        // In this variable, systemd separates several directories by colons.
        let first = value.to_str()?.split(':').next()?;
        Some(PathBuf::from(first)).filter(|path| path.is_absolute())
    };
    path("RUNTIME_DIRECTORY")
        .or_else(|| path("XDG_RUNTIME_DIR"))
        .or_else(|| cache.map(Path::to_path_buf))
}

/// Opens the directory. Returns an error if users other than this one and root can replace files in
/// it.
fn checked_directory(path: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let shown = path.display();
    let directory = match openat(CWD, path, flags, Mode::empty()) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => {
            let why = format!("--token-file: the directory {shown} does not exist");
            return Err(Failure::usage(why).advice(format!("create it: mkdir -m 700 {shown}")));
        }
        Err(error) => return Err(failure(path, error)),
    };
    let stat = fstat(&directory).map_err(|error| failure(path, error))?;
    let others = Mode::from_raw_mode(stat.st_mode) & (Mode::WGRP | Mode::WOTH);
    let is_foreign = stat.st_uid != 0 && !is_own(&stat);
    if is_foreign || !others.is_empty() {
        let why = format!("--token-file: other users can write to the directory {shown}");
        let how = format!("create a directory of your own in it: mkdir -m 700 {shown}/cognito");
        return Err(Failure::usage(why).advice(how));
    }
    Ok(directory)
}

/// Opens the file that a killed process may have left. `None` if there is nothing. Returns an error
/// if another process uses it. Follows no link.
fn open_left_over(directory: &OwnedFd, name: &OsStr) -> io::Result<Option<File>> {
    let stat = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || !is_own(&stat) {
        return Err(io::Error::other(
            "exists already and is not a file of this user; choose another path",
        ));
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(directory, name, flags, Mode::empty())?.into();
    lock(&file)?;
    Ok(Some(file))
}

/// If the file system has no locks, the file works without one.
fn lock(file: &File) -> io::Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(in_use()),
        _ => Ok(()),
    }
}

fn in_use() -> io::Error {
    io::Error::other("is in use by another cognito-credentials serve")
}

/// Returns an error unless the file has exactly a token. Any other file may be named by mistake.
fn check_token(file: File) -> io::Result<()> {
    let mut text = Zeroizing::new(Vec::with_capacity(LENGTH + 1));
    file.take(LENGTH as u64 + 1).read_to_end(&mut text)?;
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != LENGTH || !text.iter().all(is_digit) {
        return Err(io::Error::other("exists already and is not a token file; remove it"));
    }
    Ok(())
}

fn is_own(stat: &Stat) -> bool {
    stat.st_uid == rustix::process::geteuid().as_raw()
}

fn failure(path: &Path, error: impl Into<io::Error>) -> Failure {
    Failure::new(REFUSED, format!("--token-file: {}: {}", path.display(), error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_file_is_in_the_runtime_directory_or_else_in_the_cache() {
        type Variables<'a> = &'a [(&'a str, &'a str)];
        let rows: [(Variables<'_>, Option<&str>, Option<&str>); 7] = [
            (
                &[("RUNTIME_DIRECTORY", "/run/a"), ("XDG_RUNTIME_DIR", "/run/user/1")],
                None,
                Some("/run/a"),
            ),
            (&[("RUNTIME_DIRECTORY", "/run/a:/run/b")], None, Some("/run/a")),
            (&[("XDG_RUNTIME_DIR", "/run/user/1")], Some("/c"), Some("/run/user/1")),
            (&[("XDG_RUNTIME_DIR", "")], Some("/c"), Some("/c")),
            (&[("RUNTIME_DIRECTORY", "run"), ("XDG_RUNTIME_DIR", "/x")], None, Some("/x")),
            (&[], Some("/c"), Some("/c")),
            (&[], None, None),
        ];
        for (variables, cache, expected) in rows {
            let lookup = |name: &str| {
                let found = variables.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| OsString::from(value))
            };
            let found = default_directory(lookup, cache.map(Path::new));
            assert_eq!(found, expected.map(PathBuf::from), "{variables:?}");
        }
    }
}
