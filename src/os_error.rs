//! Tells which errors of the operating system are temporary, and keeps such an error as the source
//! of another one. The command also compiles this file, so that the same errors are temporary for
//! the library and for the command.

use std::error::Error;
use std::fmt;
use std::io;

/// The hint for a temporary error.
pub(crate) const TEMPORARY_HINT: &str = "try again later: the settings and the login are not the cause; check the disk, the network, and the limits of memory, processes and open files";

/// Returns `true` if this error, or one of its sources, is an error of the operating system that
/// is temporary. An error about the file itself, such as a missing one, is not temporary.
pub(crate) fn is_temporary(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let number = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        if number.is_some_and(|number| TEMPORARY.contains(&number)) {
            return true;
        }
        next = error.source();
    }
    false
}

/// The system failed. Its error is the source, which tells whether it is temporary. `{}` prints
/// what failed, and `{:#}` adds the source.
#[derive(Debug)]
pub(crate) struct SystemFault {
    what: String,
    error: io::Error,
}

impl SystemFault {
    pub(crate) fn new(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self { what, error }
    }
}

impl fmt::Display for SystemFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if f.alternate() { write!(f, ": {}", self.error) } else { Ok(()) }
    }
}

impl Error for SystemFault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(unix)]
const TEMPORARY: [i32; 19] = {
    use rustix::io::Errno;

    [
        // Lack of memory, processes or descriptors.
        Errno::AGAIN.raw_os_error(),
        Errno::MFILE.raw_os_error(),
        Errno::NFILE.raw_os_error(),
        Errno::NOBUFS.raw_os_error(),
        Errno::NOMEM.raw_os_error(),
        // A disk.
        Errno::BUSY.raw_os_error(),
        Errno::INTR.raw_os_error(),
        Errno::IO.raw_os_error(),
        Errno::TXTBSY.raw_os_error(),
        // A file system or a service in the network.
        Errno::CONNABORTED.raw_os_error(),
        Errno::CONNREFUSED.raw_os_error(),
        Errno::CONNRESET.raw_os_error(),
        Errno::HOSTDOWN.raw_os_error(),
        Errno::HOSTUNREACH.raw_os_error(),
        Errno::NETDOWN.raw_os_error(),
        Errno::NETUNREACH.raw_os_error(),
        Errno::NOTCONN.raw_os_error(),
        Errno::STALE.raw_os_error(),
        Errno::TIMEDOUT.raw_os_error(),
    ]
};

/// `ERROR_TOO_MANY_OPEN_FILES`, `ERROR_NOT_ENOUGH_MEMORY`, `ERROR_OUTOFMEMORY`,
/// `ERROR_SHARING_VIOLATION`, `ERROR_LOCK_VIOLATION`, `ERROR_NO_SYSTEM_RESOURCES` and
/// `ERROR_COMMITMENT_LIMIT` of Windows.
#[cfg(windows)]
const TEMPORARY: [i32; 7] = [4, 8, 14, 32, 33, 1450, 1455];

#[cfg(not(any(unix, windows)))]
const TEMPORARY: [i32; 0] = [];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_is_temporary_unless_it_is_about_the_file() {
        for number in TEMPORARY {
            let error = io::Error::from_raw_os_error(number);
            assert!(is_temporary(&error), "{error}");
            assert!(!is_temporary(&io::Error::new(error.kind(), "a text")), "{error}");
        }
        #[cfg(unix)]
        {
            use rustix::io::Errno;

            let temporary = [
                Errno::AGAIN,
                Errno::MFILE,
                Errno::NFILE,
                Errno::NOBUFS,
                Errno::NOMEM,
                Errno::BUSY,
                Errno::INTR,
                Errno::IO,
                Errno::TXTBSY,
                Errno::CONNABORTED,
                Errno::CONNREFUSED,
                Errno::CONNRESET,
                Errno::HOSTDOWN,
                Errno::HOSTUNREACH,
                Errno::NETDOWN,
                Errno::NETUNREACH,
                Errno::NOTCONN,
                Errno::STALE,
                Errno::TIMEDOUT,
            ];
            assert_eq!(TEMPORARY, temporary.map(Errno::raw_os_error));
            let lasting = [
                Errno::NOENT,
                Errno::ACCESS,
                Errno::PERM,
                Errno::ISDIR,
                Errno::NOTDIR,
                Errno::LOOP,
                Errno::NAMETOOLONG,
                Errno::NXIO,
                Errno::INVAL,
                Errno::NOEXEC,
            ];
            for errno in lasting {
                assert!(!is_temporary(&io::Error::from(errno)), "{errno}");
            }
        }
    }
}
