//! [`FileToken`]: a login token in a file.

use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

#[cfg(unix)]
use self::unix::open;
use crate::error::BoxError;
use crate::logins::TokenSource;
use crate::os_error::{SystemFault, is_temporary};
use crate::secret::read_to_end;
use crate::token_text::token_in;

/// How long [`FileToken::token`] waits for a pipe.
const LIMIT: Duration = Duration::from_secs(5);

/// The largest size of the file, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// Reads a login token from a file, which another program keeps up to date.
///
/// This [`TokenSource`] reads the file at each refresh. It ignores a UTF-8 byte order mark and
/// white space around the token. The file can be a pipe: its writer must write the token and close
/// the pipe.
///
/// # Example
///
/// ```
/// use cognito_identity_credentials::{CognitoIdentityCredentials, FileToken};
///
/// # #[cfg(feature = "ureq")] {
/// let credentials = CognitoIdentityCredentials::builder()
///     .identity_pool_id("us-east-1:12345678-dead-beef-cafe-123456790ab0")
///     .login_from("accounts.google.com", FileToken::new("/run/app/id-token"))
///     .build()?;
/// # }
/// # Ok::<(), cognito_identity_credentials::Error>(())
/// ```
///
/// # Errors
///
/// Returns an error that names the file:
///
/// * if the file cannot be read, or is longer than 64 KiB;
/// * if it is empty, in UTF-16, in quotes, or JSON;
/// * if the token begins with `Bearer `, or has white space inside or a character that is not
///   printable ASCII.
///
/// After a temporary failure of the system, such as too many open files or an error of the disk,
/// the error of the system is the [`source`](std::error::Error::source) of the returned error:
/// `{}` prints the file, and `{:#}` adds the cause. The error of `get()`
/// [can be retried](crate::Error::is_retryable), even if your own token source wraps this one.
///
/// # Blocking
///
/// On Unix, reading a pipe, a terminal or a device takes at most the limit of [`token_within`], and
/// 5 s in [`token`]. There is no limit on other systems, or if a disk or a network file system does
/// not answer.
///
/// [`token`]: TokenSource::token
/// [`token_within`]: TokenSource::token_within
#[derive(Clone, Debug)]
pub struct FileToken {
    path: PathBuf,
}

impl FileToken {
    /// Creates a source that reads this file. The file can be created later.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl TokenSource for FileToken {
    fn token(&self) -> Result<String, BoxError> {
        self.token_within(LIMIT)
    }

    fn token_within(&self, limit: Duration) -> Result<String, BoxError> {
        let explain = |error: io::Error| -> BoxError {
            let (kind, path) = (error.kind(), self.path.display());
            if is_temporary(&error) {
                return io::Error::new(kind, SystemFault::new(path.to_string())(error)).into();
            }
            io::Error::new(kind, format!("{path}: {error}")).into()
        };
        let wrong = |fault| explain(io::Error::new(io::ErrorKind::InvalidData, fault));
        let file = open(&self.path, limit).map_err(explain)?;
        let text = read_to_end(file.take(MAX_FILE + 1), 4096).map_err(explain)?;
        if text.len() as u64 > MAX_FILE {
            return Err(wrong("is longer than 64 KiB, so it cannot be a token"));
        }
        Ok(token_in(&text).map_err(wrong)?.to_owned())
    }
}

#[cfg(not(unix))]
fn open(path: &std::path::Path, _limit: Duration) -> io::Result<std::fs::File> {
    std::fs::File::open(path)
}

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io::{self, Read};
    use std::path::Path;
    use std::time::{Duration, Instant};

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::fs::{Mode, OFlags};

    use crate::time_limit::rounded_up;

    /// A file of any kind. No read waits after `end`.
    pub(super) struct TimedReader {
        file: File,
        limit: Duration,
        /// `None` if the time is too late for `Instant`.
        end: Option<Instant>,
    }

    pub(super) fn open(path: &Path, limit: Duration) -> io::Result<TimedReader> {
        // Without NONBLOCK, opening a named pipe would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rustix::io::retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?;
        Ok(TimedReader { file: file.into(), limit, end: Instant::now().checked_add(limit) })
    }

    impl TimedReader {
        fn left(&self) -> Option<Duration> {
            self.end.map(|end| end.saturating_duration_since(Instant::now()))
        }

        /// Waits for bytes or for the end of the file. A regular file is always ready.
        fn wait(&self) -> io::Result<()> {
            let left = self.left().and_then(|left| left.try_into().ok());
            match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], left.as_ref())? {
                0 => Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!(
                        "did not end within {:?}; if it is a pipe, its writer must write the token and close it",
                        rounded_up(self.limit)
                    ),
                )),
                _ => Ok(()),
            }
        }
    }

    impl Read for TimedReader {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            loop {
                self.wait()?;
                match self.file.read(buffer) {
                    // Another process has read the bytes first.
                    Err(error)
                        if error.kind() == io::ErrorKind::WouldBlock
                            && self.left() != Some(Duration::ZERO) => {}
                    read => return read,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "linux")]
    use crate::Error;
    #[cfg(target_os = "linux")]
    use std::fmt;
    use std::fs;

    #[test]
    fn a_token_file_is_read_each_time_and_its_error_names_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = FileToken::new(file.path());
        let longest = "t".repeat(64 * 1024);
        for (text, token) in [
            ("one", "one"),
            (" two\r\n", "two"),
            ("\u{feff}three\n", "three"),
            (longest.as_str(), longest.as_str()),
        ] {
            fs::write(file.path(), text).unwrap();
            assert_eq!(source.token().unwrap(), token);
            assert_eq!(
                source.token_within(Duration::ZERO).unwrap(),
                token,
                "reading a file needs no time"
            );
        }
        let longer = format!("{longest}\n");
        for (bytes, fault) in [
            (&b""[..], "is empty"),
            (b"\xff\xfeS\0", "is UTF-16; save it as UTF-8"),
            (b"SENTINEL\xff", "is not UTF-8 text"),
            (b"{\"t\": \"SENTINEL\"}", "is JSON; give only the token in it"),
            (b"Bearer SENTINEL", "begins with Bearer; give only what follows it"),
            (b"SENTINEL\0", "has a NUL character; give only the token, as UTF-8"),
            (longer.as_bytes(), "is longer than 64 KiB, so it cannot be a token"),
        ] {
            fs::write(file.path(), bytes).unwrap();
            let error = source.token().unwrap_err().to_string();
            assert_eq!(error, format!("{}: {fault}", file.path().display()));
        }
        let error = FileToken::new("/no/such/token").token().unwrap_err();
        assert!(error.to_string().starts_with("/no/such/token: No such file"), "{error}");
    }

    /// Nothing is at address 0, so reading there is an error as of a broken disk.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_failure_of_the_system_is_retryable_if_a_token_source_of_the_program_wraps_it() {
        #[derive(Debug)]
        struct Own(BoxError);

        impl fmt::Display for Own {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("no token")
            }
        }

        impl std::error::Error for Own {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&*self.0)
            }
        }

        let error = FileToken::new("/proc/self/mem").token().unwrap_err();
        let text = "/proc/self/mem: Input/output error (os error 5)";
        assert_eq!(
            (error.to_string().as_str(), format!("{error:#}").as_str()),
            ("/proc/self/mem", text)
        );
        let error = Error::login("it failed".to_owned(), Some(Own(error).into()));
        assert!(error.is_retryable(), "{error:#}");
        assert_eq!(format!("{error:#}"), format!("it failed: no token: {text}"));
    }

    #[cfg(unix)]
    mod pipes {
        use super::*;
        use std::fs::OpenOptions;
        use std::io::Write;
        use std::path::Path;
        use std::thread;
        use std::time::Instant;

        /// Long enough for any machine. No test waits so long unless it fails.
        const LONG: Duration = Duration::from_secs(60);

        fn pipe() -> (tempfile::TempDir, PathBuf) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("pipe");
            let mode = rustix::fs::Mode::from(0o600);
            rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)
                .unwrap();
            (folder, path)
        }

        fn opened(path: &Path) -> fs::File {
            // Opening a pipe for reading and writing never waits for the other side.
            OpenOptions::new().read(true).write(true).open(path).unwrap()
        }

        #[test]
        fn a_token_is_read_from_a_pipe_whose_writer_opens_it_late_and_writes_in_parts() {
            let (_folder, path) = pipe();
            let source = FileToken::new(&path);
            for length in [1, 2, 9] {
                let path = path.clone();
                let writer = thread::spawn(move || {
                    let mut writer = OpenOptions::new().write(true).open(path).unwrap();
                    for part in b"\xef\xbb\xbftoken\n".chunks(length) {
                        writer.write_all(part).unwrap();
                        thread::yield_now();
                    }
                });
                assert_eq!(source.token_within(LONG).unwrap(), "token");
                writer.join().unwrap();
            }
        }

        #[test]
        fn reading_a_pipe_that_is_not_closed_ends_at_the_limit() {
            let (_folder, path) = pipe();
            let limit = Duration::from_millis(100);
            let late = |what: &str| {
                let begun = Instant::now();
                let error = FileToken::new(&path).token_within(limit).unwrap_err().to_string();
                let says = format!("{}: did not end within 100ms; if", path.display());
                assert!(error.starts_with(&says), "{what}: {error}");
                assert!(!error.contains("SENTINEL"), "{what}: {error}");
                assert!(begun.elapsed() >= limit, "{what}");
            };
            late("no writer");
            let mut writer = opened(&path);
            late("a writer who writes nothing");
            writer.write_all(b"SENTINEL").unwrap();
            late("a writer who does not close the pipe");
        }

        #[test]
        fn a_source_with_more_than_64_kib_is_an_error() {
            let (_folder, path) = pipe();
            let writer = {
                let path = path.clone();
                thread::spawn(move || {
                    let mut writer = OpenOptions::new().write(true).open(path).unwrap();
                    while writer.write_all(&[b'x'; 4096]).is_ok() {}
                })
            };
            for path in [path.as_path(), Path::new("/dev/zero")] {
                let error = FileToken::new(path).token_within(LONG).unwrap_err().to_string();
                assert!(
                    error.ends_with(": is longer than 64 KiB, so it cannot be a token"),
                    "{error}"
                );
            }
            writer.join().unwrap();
            let error = FileToken::new("/").token().unwrap_err().to_string();
            assert_eq!(error, "/: Is a directory (os error 21)");
        }
    }
}
