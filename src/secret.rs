//! Text that must not be printed, and is wiped when the last owner lets go of it.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use zeroize::Zeroizing;

/// A login token or a key. Clones share one copy of the text.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Takes the text over without copying it.
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

/// Reads to the end, into memory that is wiped, also the parts that it outgrows.
pub(crate) fn read_to_end(
    mut reader: impl Read,
    expected: usize,
) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut read = Zeroizing::new(Vec::with_capacity(expected));
    let mut chunk = Zeroizing::new([0; 4096]);
    loop {
        let new = match reader.read(&mut chunk[..]) {
            Ok(0) => return Ok(read),
            Ok(length) => chunk.get(..length).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if read.len() + new.len() > read.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity((read.len() + new.len()) * 2));
            larger.extend_from_slice(&read);
            read = larger;
        }
        read.extend_from_slice(new);
    }
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
    fn a_secret_prints_nothing_of_itself() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[redacted]");
    }
}
