//! Opens or creates the cache directory. Other users cannot make the command use another directory.
//!
//! The path is walked one name at a time, from one open directory to the next. A link is followed
//! if it belongs to root or to this user. The last directory must belong to this user, and nobody
//! else may write to it. A missing directory is created only if its parent belongs to root or to
//! this user. A sticky parent of another user does not count, because its owner can rename what is
//! in it. With `/proc`, the command then uses the open directory, even if another one gets
//! its name.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use cognito_identity_credentials::FileStorage;
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

use super::fault::Fault;
use super::remedy;
use crate::messages::os_error::SystemFault;

/// The name of a cache directory that the command chooses.
pub(super) const NAME: &str = "cognito-credentials";

/// The most links that are followed, as in the kernel.
const MAX_LINKS: u32 = 40;

/// Opens a directory on the path even if this user may not read it. Only Linux can do that.
#[cfg(any(target_os = "linux", target_os = "android"))]
const ON_THE_WAY: OFlags = OFlags::PATH;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const ON_THE_WAY: OFlags = OFlags::RDONLY;

pub(super) struct Directory {
    pub(super) storage: FileStorage,
    open: OwnedFd,
    /// A path below `/proc` that `storage` uses instead of `path`.
    alias: Option<String>,
    path: PathBuf,
}

enum Found {
    Directory(Directory),
    /// Nothing. The walk ended in the parent of the missing directory, whose name this is.
    Missing(Walk, OsString),
}

/// Opens the directory. Returns `None` if it is missing and can be created.
pub(super) fn open(path: &Path) -> io::Result<Option<Directory>> {
    match Walk::new(path)?.run(false)? {
        Found::Directory(directory) => Ok(Some(directory)),
        Found::Missing(walk, name) => walk.check_parent_of(&name).map(|()| None),
    }
}

pub(super) fn open_or_create(path: &Path) -> io::Result<Directory> {
    match Walk::new(path)?.run(true)? {
        Found::Directory(directory) => Ok(directory),
        Found::Missing(..) => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Checks that the directory can be written, or created. Changes nothing.
pub(super) fn check_access(path: &Path) -> io::Result<()> {
    let (open, path) = match Walk::new(path)?.run(false)? {
        Found::Directory(Directory { open, path, .. }) => (open, path),
        Found::Missing(walk, name) => {
            walk.check_parent_of(&name)?;
            (walk.directory, walk.path)
        }
    };
    is_writable(&open).map_err(|error| at(&path, error))
}

impl Directory {
    fn new(open: OwnedFd, path: PathBuf) -> Self {
        let alias = alias(&open);
        let storage = FileStorage::new(alias.as_ref().map_or(&*path, Path::new));
        Self { storage, open, alias, path }
    }

    pub(super) fn is_removed(&self) -> bool {
        rustix::fs::fstat(&self.open).is_ok_and(|stat| stat.st_nlink == 0)
    }

    /// Replaces the alias in an error of `storage` with the path of the directory.
    pub(super) fn explain(&self, error: io::Error) -> io::Error {
        let Some(alias) = &self.alias else { return error };
        let text = error.to_string();
        if !text.contains(&**alias) {
            return error;
        }
        io::Error::new(error.kind(), text.replace(&**alias, &self.path.to_string_lossy()))
    }
}

/// Returns the path below `/proc` that leads to the open directory. Without `/proc`, returns
/// `None`, and the storage checks the path itself.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn alias(open: &OwnedFd) -> Option<String> {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;

    let alias = format!("/proc/self/fd/{}", open.as_raw_fd());
    let (found, own) = (std::fs::metadata(&alias).ok()?, rustix::fs::fstat(open).ok()?);
    #[expect(clippy::useless_conversion, reason = "the types differ between architectures")]
    let same = u64::from(own.st_dev) == found.dev() && u64::from(own.st_ino) == found.ino();
    same.then_some(alias)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn alias(_: &OwnedFd) -> Option<String> {
    None
}

struct Walk {
    directory: OwnedFd,
    /// The path of `directory`, without links.
    path: PathBuf,
    left: VecDeque<OsString>,
    /// How many names in `left` come from a link.
    of_link: usize,
    links: u32,
}

impl Walk {
    fn new(path: &Path) -> io::Result<Self> {
        let (start, shown) = if path.is_absolute() {
            ("/", PathBuf::from("/"))
        } else {
            (".", std::env::current_dir().unwrap_or_default())
        };
        let directory = open_directory(CWD, OsStr::new(start))?;
        Ok(Self { directory, path: shown, left: names(path), of_link: 0, links: 0 })
    }

    fn run(mut self, create: bool) -> io::Result<Found> {
        while let Some(name) = self.left.pop_front() {
            let is_of_link = self.of_link > 0;
            self.of_link = self.of_link.saturating_sub(1);
            if self.enter(&name)? {
                continue;
            }
            // The link may lead to a disk that is not mounted yet, so nothing is created there.
            if is_of_link {
                let path = self.path.join(&name);
                return Err(Fault::new(format!(
                    "{} is missing, to which a link leads",
                    path.display()
                ))
                .into());
            }
            if !create {
                return Ok(Found::Missing(self, name));
            }
            self.create(&name)?;
        }
        self.check_last()?;
        Ok(Found::Directory(Directory::new(self.directory, self.path)))
    }

    /// Goes to the next directory, or follows a link. Returns `false` if there is nothing.
    fn enter(&mut self, name: &OsStr) -> io::Result<bool> {
        match open_directory(&self.directory, name) {
            Ok(directory) => self.directory = directory,
            Err(Errno::NOENT) => return Ok(false),
            // The error for a link depends on the system.
            Err(Errno::NOTDIR | Errno::LOOP | Errno::MLINK) => {
                return self.follow(name).map(|()| true);
            }
            Err(error) => return Err(at(&self.path.join(name), error)),
        }
        match Path::new(name).components().next() {
            Some(Component::ParentDir) => drop(self.path.pop()),
            _ => self.path.push(name),
        }
        Ok(true)
    }

    fn follow(&mut self, name: &OsStr) -> io::Result<()> {
        let path = self.path.join(name);
        let link = read_link(&self.directory, name).map_err(|error| at(&path, error))?;
        let Some((owner, target)) = link else {
            return Err(Fault::new(format!("{} is not a directory", path.display())).into());
        };
        if !is_trusted(owner) {
            return Err(Fault::of_another_user(&format!("the link {}", path.display())).into());
        }
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(at(&path, Errno::LOOP));
        }
        let target = names(&target);
        self.of_link += target.len();
        target.into_iter().rev().for_each(|name| self.left.push_front(name));
        Ok(())
    }

    /// Creates the next directory with mode 0700, makes it durable, and goes there.
    fn create(&mut self, name: &OsStr) -> io::Result<()> {
        self.check_parent_of(name)?;
        let path = self.path.join(name);
        match rustix::fs::mkdirat(&self.directory, name, Mode::RWXU) {
            // If another process has created it, it may not be synced yet, so continue.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(at(&path, error)),
        }
        let parent = self.directory.try_clone()?;
        if !self.enter(name)? {
            return Err(at(&path, Errno::NOENT));
        }
        self.give_mode();
        sync(&parent).map_err(|error| at(&path, error))
    }

    /// Sets the mode 0700 if the umask has removed rights of the owner.
    fn give_mode(&self) {
        let Ok(stat) = rustix::fs::fstat(&self.directory) else { return };
        let is_own = stat.st_uid == own();
        if let Some(alias) = alias(&self.directory).filter(|_| is_own && !may(&stat, Mode::RWXU)) {
            // If this fails, storing the first record returns the error.
            let _ = rustix::fs::chmod(alias, Mode::RWXU);
        }
    }

    fn check_parent_of(&self, name: &OsStr) -> io::Result<()> {
        let stat = rustix::fs::fstat(&self.directory)?;
        if is_trusted(stat.st_uid) || (may(&stat, Mode::SVTX) && owns_root_directory(&stat)) {
            return Ok(());
        }
        let (path, parent) = (self.path.join(name), self.path.display());
        let what = format!("{} is missing, and {parent}", path.display());
        Err(Fault::of_another_user(&what).into())
    }

    fn check_last(&self) -> io::Result<()> {
        let stat = rustix::fs::fstat(&self.directory)?;
        if stat.st_uid != own() && (stat.st_uid != 0 || !is_open_to_others(&stat)) {
            return Err(Fault::of_another_user("the directory").into());
        }
        if !is_open_to_others(&stat) {
            return Ok(());
        }
        let fault = Fault::new("others may write to the directory".to_owned());
        // The advice is to use a directory inside this one. Creating it needs the right to write
        // here.
        let can_write = is_writable(&self.directory).is_ok();
        let remedy = can_write.then(|| remedy::for_shared(&self.path, NAME, own())).flatten();
        Err(Fault { remedy, ..fault }.into())
    }
}

fn names(path: &Path) -> VecDeque<OsString> {
    let names = path.components().filter(|name| *name != Component::CurDir);
    names.map(|name| name.as_os_str().to_owned()).collect()
}

fn own() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn is_trusted(owner: u32) -> bool {
    [0, own()].contains(&owner)
}

/// In a user namespace, `/` and `/tmp` often belong to root outside, who has no number there. All
/// other users without a number look the same.
fn owns_root_directory(stat: &Stat) -> bool {
    rustix::fs::stat("/").is_ok_and(|root| root.st_uid == stat.st_uid)
}

fn may(stat: &Stat, mode: Mode) -> bool {
    Mode::from_raw_mode(stat.st_mode).contains(mode)
}

fn is_open_to_others(stat: &Stat) -> bool {
    Mode::from_raw_mode(stat.st_mode).intersects(Mode::WGRP | Mode::WOTH)
}

fn open_directory(parent: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = ON_THE_WAY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    retry_on_intr(|| rustix::fs::openat(&parent, name, flags, Mode::empty()))
}

/// Returns the owner and the target of a link. `None` if it is not a link.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn read_link(parent: &OwnedFd, name: &OsStr) -> Result<Option<(u32, PathBuf)>, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // An open link cannot be replaced between the check of its owner and the read.
    let link = retry_on_intr(|| rustix::fs::openat(parent, name, flags, Mode::empty()))?;
    let stat = rustix::fs::fstat(&link)?;
    if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_symlink() {
        return Ok(None);
    }
    let target = rustix::fs::readlinkat(&link, "", Vec::new())?;
    Ok(Some((stat.st_uid, OsString::from_vec(target.into_bytes()).into())))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn read_link(parent: &OwnedFd, name: &OsStr) -> Result<Option<(u32, PathBuf)>, Errno> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_symlink() {
        return Ok(None);
    }
    let target = rustix::fs::readlinkat(parent, name, Vec::new())?;
    Ok(Some((stat.st_uid, OsString::from_vec(target.into_bytes()).into())))
}

fn is_writable(directory: &OwnedFd) -> Result<(), Errno> {
    let access = Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::accessat(directory, ".", access, AtFlags::empty())
}

/// Syncs the names in a directory to the disk, if the file system can do it.
fn sync(directory: &OwnedFd) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = retry_on_intr(|| rustix::fs::openat(directory, ".", flags, Mode::empty()));
    match open.and_then(|open| retry_on_intr(|| rustix::fs::fsync(&open))) {
        // This user may not read the directory, or the file system cannot sync it.
        Err(Errno::ACCESS | Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => Ok(()),
        outcome => outcome,
    }
}

fn at(path: &Path, error: Errno) -> io::Error {
    let error = io::Error::from(error);
    io::Error::new(error.kind(), SystemFault::new(path.display().to_string())(error))
}
