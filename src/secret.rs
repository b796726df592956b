//! Text that cannot be printed and is wiped when it is dropped.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use zeroize::Zeroizing;

const MIN_BUFFER: usize = 511;

/// A login token or a key. Clones share one copy of the text. The last clone wipes it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Takes ownership of a `String` without copying it.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(text.into())))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<Zeroizing<String>> for Secret {
    fn from(text: Zeroizing<String>) -> Self {
        Self(Arc::new(text))
    }
}

/// Reads to the end, and wipes all its buffers. It needs only one buffer if there are at most
/// `expected` bytes.
pub(crate) fn read_to_end(
    mut reader: impl Read,
    expected: usize,
) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(vec![0; expected.max(MIN_BUFFER).saturating_add(1)]);
    let mut length = 0;
    loop {
        match reader.read(buffer.get_mut(length..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(new) => length += new,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if length >= buffer.len() {
            let mut larger = Zeroizing::new(vec![0; buffer.len() * 2]);
            larger.iter_mut().zip(&*buffer).for_each(|(new, old)| *new = *old);
            buffer = larger;
        }
    }
    buffer.truncate(length);
    Ok(buffer)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[redacted]");
    }

    /// Returns at most `at_a_time` bytes per call. Each call is interrupted once before.
    struct Trickle<'a> {
        left: &'a [u8],
        at_a_time: usize,
        interrupted: bool,
    }

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            assert!(!buffer.is_empty(), "an empty buffer would look like the end");
            self.interrupted = !self.interrupted;
            if self.interrupted {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let length = self.left.len().min(self.at_a_time).min(buffer.len());
            self.left.read(&mut buffer[..length])
        }
    }

    #[test]
    fn everything_is_read_for_any_expected_length_and_any_chunks() {
        let text: Vec<u8> = (0..=250).cycle().take(5_000).collect();
        for length in [0, 1, 510, 511, 512, 513, 1_024, 5_000] {
            for expected in [0, 1, 511, 512, length, 4_096] {
                for at_a_time in [1, 7, 512, 9_999] {
                    let left = &text[..length];
                    let reader = Trickle { left, at_a_time, interrupted: false };
                    let read = read_to_end(reader, expected).unwrap();
                    assert_eq!(*read, left, "{length} {expected} {at_a_time}");
                    let fits = length <= expected.max(MIN_BUFFER);
                    assert!(!fits || read.capacity() <= expected.max(MIN_BUFFER) + 1);
                }
            }
        }
        assert!(read_to_end(io::empty().chain(Failing), 5).is_err());
    }

    struct Failing;

    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
}
