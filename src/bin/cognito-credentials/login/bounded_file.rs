//! [`read`]: reads any kind of file, up to a maximal length and within a time limit. For tokens,
//! `FileToken` of the library does the same.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

#[cfg(unix)]
use unix::open;

/// Reads a file of at most `longest` bytes, a multiple of 1 KiB. `limit` is the time for a pipe, a
/// terminal or a device. The buffer is zeroized, because a wrong file may hold a secret.
pub(crate) fn read(path: &Path, longest: usize, limit: Duration) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut source = open(path, limit)?;
    let mut text = Zeroizing::new(Vec::new());
    let mut part = Zeroizing::new([0; 4096]);
    loop {
        let length = match source.read(&mut *part) {
            Ok(0) => return Ok(text),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        text.extend_from_slice(part.get(..length).unwrap_or_default());
        if text.len() > longest {
            let fault = format!("is longer than {} KiB", longest / 1024);
            return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
        }
    }
}

#[cfg(not(unix))]
fn open(path: &Path, _limit: Duration) -> io::Result<File> {
    File::open(path)
}

#[cfg(unix)]
mod unix {
    use std::time::Instant;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::{Mode, OFlags};
    use rustix::io::{Errno, retry_on_intr};

    use super::{Duration, File, Path, Read, io};

    pub(super) struct TimedReader {
        file: File,
        begun: Instant,
        limit: Duration,
    }

    pub(super) fn open(path: &Path, limit: Duration) -> io::Result<TimedReader> {
        // Without NONBLOCK, opening a named pipe would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty())) {
            Ok(file) => Ok(TimedReader { file: file.into(), begun: Instant::now(), limit }),
            Err(Errno::NXIO) => Err(io::Error::other("is a socket or a missing device")),
            Err(error) => Err(error.into()),
        }
    }

    impl Read for TimedReader {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            loop {
                let left = self.limit.saturating_sub(self.begun.elapsed());
                let pause = Timespec::try_from(left).ok();
                // A regular file is always ready.
                match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], pause.as_ref()) {
                    Ok(0) => {
                        let fault = format!("did not end within {:?} (--timeout)", self.limit);
                        return Err(io::Error::new(io::ErrorKind::TimedOut, fault));
                    }
                    Ok(_) => {}
                    Err(Errno::INTR) => continue,
                    Err(error) => return Err(error.into()),
                }
                match self.file.read(buffer) {
                    // Another process has read the bytes first.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return read,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_have_the_longest_length_and_not_one_byte_more() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |length: usize| {
            std::fs::write(file.path(), vec![b'x'; length]).unwrap();
            read(file.path(), 8192, Duration::from_secs(60))
        };
        for length in [0, 4096, 8192] {
            assert_eq!(read(length).unwrap().len(), length);
        }
        assert_eq!(read(8193).unwrap_err().to_string(), "is longer than 8 KiB");
    }
}
