//! A connection as ureq uses it: buffers over a stream, and whether it may be used again.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ureq::Error;
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

use super::deadline::Deadline;
use super::log_guard;
use super::stream::MaybeTlsStream;

/// The longest idle time of a connection that is used again. Many gateways forget an idle
/// connection in less than a minute, and then a request on it gets no answer.
const MAX_IDLE: Duration = Duration::from_secs(15);

/// The boot time at which the last exchange of a transport began. Connections use it as the current
/// time, because the clock is the program's code and must not run under the lock of ureq's pool.
#[derive(Clone, Debug, Default)]
pub(super) struct LastExchange(Arc<Mutex<Duration>>);

impl LastExchange {
    pub(super) fn set(&self, boot: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = boot;
    }

    fn get(&self) -> Duration {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    stream: MaybeTlsStream,
    is_tls: bool,
    buffers: LazyBuffers,
    last_exchange: LastExchange,
    /// The boot time of the last exchange on this connection.
    used: Duration,
}

impl Connection {
    pub(super) fn new(
        stream: MaybeTlsStream,
        is_tls: bool,
        buffers: LazyBuffers,
        last_exchange: &LastExchange,
    ) -> Self {
        let used = last_exchange.get();
        Self { stream, is_tls, buffers, last_exchange: last_exchange.clone(), used }
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.used = self.last_exchange.get();
        self.stream.set_deadline(Deadline::after(*timeout.after));
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output).map_err(|error| timeout_error(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.set_deadline(Deadline::after(*timeout.after));
        let read = self.stream.read(self.buffers.input_append_buf());
        log_guard::lower();
        let read = read.map_err(|error| timeout_error(error, timeout))?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        let idle = self.last_exchange.get().saturating_sub(self.used);
        idle <= MAX_IDLE && self.stream.is_idle()
    }

    fn is_tls(&self) -> bool {
        self.is_tls
    }
}

fn timeout_error(error: io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        io::ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => Error::Io(error),
    }
}
