//! TLS with rustls, and what ureq's own settings lack: the clock for certificate checks, both kinds
//! of authorities together, and one small store of sessions.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use rustls::client::Resumption;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::certificates::{Certificates, crypto};
use super::error::NetworkError;
use super::stream::MaybeTlsStream;
use crate::clock::{Clock, SystemClock};

/// 28 November 2026, 00:00 UTC. Each release sets this to its own date.
const RELEASED: Duration = Duration::from_secs(1_795_824_000);

/// rustls counts tickets, and keeps up to eight for each server. Four servers are enough: Cognito,
/// STS, a proxy, and one more.
const SESSIONS: usize = 4 * 8;

/// The clock of a transport, and the earliest time at which it checks certificates.
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

/// The wall clock, but not earlier than a floor. The floor advances with the boot clock. So a
/// device that runs for months with a wrong clock accepts new certificates.
#[derive(Debug)]
pub(super) struct FlooredTime {
    time: Time,
    /// The boot time at which the floor was `time.earliest`.
    start: Duration,
}

impl FlooredTime {
    pub(super) fn new(time: Time) -> Self {
        let start = time.clock.boot();
        Self { time, start }
    }

    pub(super) fn boot(&self) -> Duration {
        self.time.clock.boot()
    }
}

impl TimeProvider for FlooredTime {
    fn current_time(&self) -> Option<UnixTime> {
        let Time { clock, earliest } = &self.time;
        let since = clock.boot().saturating_sub(self.start);
        let floor = earliest.checked_add(since).unwrap_or(*earliest);
        let now = clock.wall().max(floor);
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Some(UnixTime::since_unix_epoch(since))
    }
}

/// The TLS settings and sessions of one process.
pub(super) struct Tls {
    certificates: Arc<Certificates>,
    time: Arc<FlooredTime>,
    config: OnceLock<Result<Arc<ClientConfig>, rustls::Error>>,
}

impl Tls {
    pub(super) fn new(certificates: Arc<Certificates>, time: Arc<FlooredTime>) -> Self {
        Self { certificates, time, config: OnceLock::new() }
    }

    /// Makes the handshake with `host` over a stream whose deadline is set.
    pub(super) fn handshake(
        &self,
        mut stream: MaybeTlsStream,
        host: &str,
    ) -> Result<MaybeTlsStream, NetworkError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| NetworkError::InvalidName)?;
        let connection = self.config().and_then(|config| ClientConnection::new(config, name));
        let mut connection = connection.map_err(NetworkError::TlsSettings)?;
        connection.complete_io(&mut stream).map_err(NetworkError::Handshake)?;
        Ok(MaybeTlsStream::Tls(Box::new(StreamOwned::new(connection, stream))))
    }

    fn config(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        self.config.get_or_init(|| self.make_config().map(Arc::new)).clone()
    }

    fn make_config(&self) -> Result<ClientConfig, rustls::Error> {
        let builder = ClientConfig::builder_with_details(crypto(), self.time.clone())
            .with_protocol_versions(rustls::ALL_VERSIONS)?
            .with_root_certificates(self.certificates.roots()?);
        let mut config = match &self.certificates.client {
            Some(client) => {
                let shown = SingleCertAndKey::from(client.certified_key()?);
                builder.with_client_cert_resolver(Arc::new(shown))
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(config)
    }
}
