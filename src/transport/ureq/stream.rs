//! A byte stream to a peer: TCP, or TLS over another stream. Transfers end at the deadline.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustls::{ClientConnection, StreamOwned};

use super::deadline::Deadline;

pub(super) enum MaybeTlsStream {
    Tcp { stream: TcpStream, deadline: Deadline },
    Tls(Box<StreamOwned<ClientConnection, MaybeTlsStream>>),
}

impl MaybeTlsStream {
    pub(super) fn set_deadline(&mut self, new: Deadline) {
        match self {
            Self::Tcp { deadline, .. } => *deadline = new,
            Self::Tls(tls) => tls.sock.set_deadline(new),
        }
    }

    /// Returns `true` if there is nothing to read: no end of the stream and no unexpected bytes.
    pub(super) fn is_idle(&self) -> bool {
        match self {
            Self::Tcp { stream, .. } => {
                let waits = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
                stream.set_nonblocking(true).is_ok()
                    && stream.peek(&mut [0]).is_err_and(waits)
                    && stream.set_nonblocking(false).is_ok()
            }
            Self::Tls(tls) => tls.sock.is_idle(),
        }
    }
}

impl Read for MaybeTlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp { stream, deadline } => with_deadline(*deadline, |left| {
                stream.set_read_timeout(Some(left))?;
                stream.read(buffer)
            }),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for MaybeTlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp { stream, deadline } => with_deadline(*deadline, |left| {
                stream.set_write_timeout(Some(left))?;
                stream.write(bytes)
            }),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp { .. } => Ok(()),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

/// Repeats a transfer that a signal interrupts. On Unix, a socket reports its time limit as
/// `WouldBlock`.
fn with_deadline(
    deadline: Deadline,
    mut transfer: impl FnMut(std::time::Duration) -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        match transfer(deadline.left()?) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            outcome => return outcome,
        }
    }
}

impl fmt::Debug for MaybeTlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaybeTlsStream").finish_non_exhaustive()
    }
}
