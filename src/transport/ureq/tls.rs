//! TLS by rustls itself, for what ureq's own settings cannot say: the clock that certificates are
//! checked by, both kinds of authorities at once, and one small store of sessions.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use rustls::client::Resumption;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use super::certificates::{Certificates, crypto};
use super::dial::Deadline;
use crate::clock::{Clock, SystemClock};

/// 24 November 2026, 00:00 UTC. Each release sets this to its own date.
const RELEASED: Duration = Duration::from_secs(1_795_478_400);

/// rustls keeps up to eight tickets for a server, and counts in tickets. Four servers are those of
/// Cognito and STS, a proxy, and one to spare.
const SESSIONS: usize = 4 * 8;

/// How the time is told by which certificates are checked.
#[derive(Clone)]
pub(super) struct Time {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) earliest: SystemTime,
}

pub(super) fn released() -> SystemTime {
    SystemTime::UNIX_EPOCH + RELEASED
}

impl Default for Time {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), earliest: released() }
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Time").finish_non_exhaustive()
    }
}

/// The wall clock, but no earlier than a floor. The floor rises with the boot clock, so that a device
/// which runs for months without the time follows the certificates that are issued meanwhile.
#[derive(Debug)]
struct Floored {
    time: Time,
    /// By the boot clock, when the floor stood at its beginning.
    begun: Duration,
}

impl Floored {
    fn new(time: Time) -> Self {
        let begun = time.clock.boot();
        Self { time, begun }
    }
}

impl TimeProvider for Floored {
    fn current_time(&self) -> Option<UnixTime> {
        let Time { clock, earliest } = &self.time;
        let since = clock.boot().saturating_sub(self.begun);
        let floor = earliest.checked_add(since).unwrap_or(*earliest);
        let now = clock.wall().max(floor);
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Some(UnixTime::since_unix_epoch(since))
    }
}

/// Speaks TLS over the connection that it is given, where the URL says `https`.
pub(super) struct Tls {
    certificates: Certificates,
    time: Arc<Floored>,
    config: OnceLock<Result<Arc<ClientConfig>, rustls::Error>>,
}

impl Tls {
    pub(super) fn new(certificates: Certificates, time: Time) -> Self {
        Self { certificates, time: Arc::new(Floored::new(time)), config: OnceLock::new() }
    }

    /// Made when the first connection needs it.
    fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        let config = self.config.get_or_init(|| self.make_config().map(Arc::new));
        config.clone().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error).into())
    }

    fn make_config(&self) -> Result<ClientConfig, rustls::Error> {
        let builder = ClientConfig::builder_with_details(crypto(), self.time.clone())
            .with_protocol_versions(rustls::ALL_VERSIONS)?
            .with_root_certificates(self.certificates.roots()?);
        let mut config = match &self.certificates.own {
            Some(own) => {
                let shown = SingleCertAndKey::from(own.certified_key()?);
                builder.with_client_cert_resolver(Arc::new(shown))
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(config)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, Secured>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host)
            .map_err(|_| Error::Tls("the host is no name that a certificate can have"))?;
        let mut connection = ClientConnection::new(self.config()?, name)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let mut below = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        below.set_timeout(Deadline::of(details).timeout()?);
        // The handshake, so that it counts as connecting.
        connection.complete_io(&mut below)?;
        let buffers = LazyBuffers::new(
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        Ok(Some(Either::B(Secured { stream: StreamOwned::new(connection, below), buffers })))
    }
}

/// A connection with TLS.
pub(super) struct Secured {
    stream: StreamOwned<ClientConnection, TransportAdapter>,
    buffers: LazyBuffers,
}

impl Transport for Secured {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.sock.set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        Ok(self.stream.write_all(output)?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.sock.set_timeout(timeout);
        let read = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secured").finish_non_exhaustive()
    }
}
