//! Makes the connections that ureq requests, directly or through a proxy: name look-up, TCP, tunnel
//! and TLS, within the time for connecting.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver as UreqResolver};
use ureq::unversioned::transport::{
    ConnectionDetails, Connector as UreqConnector, LazyBuffers, NextTimeout, time,
};
use ureq::{Error, config::Config};

use super::connection::{Connection, LastExchange};
use super::deadline::Deadline;
use super::dial::dial;
use super::dns::{Family, Resolver};
use super::error::NetworkError;
use super::proxy::Route;
use super::stream::MaybeTlsStream;
use super::tls::Tls;
use super::tunnel;

pub(super) struct Connector {
    pub(super) resolver: &'static Resolver,
    pub(super) families: &'static [Family],
    pub(super) route: Arc<Route>,
    pub(super) tls: Tls,
    pub(super) user_agent: String,
    pub(super) last_exchange: LastExchange,
}

impl UreqConnector for Connector {
    type Out = Connection;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Connection>, Error> {
        let start = match details.now {
            time::Instant::Exact(start) => start,
            _ => Instant::now(),
        };
        let deadline = Deadline::from(start, *details.timeout.after);
        let stream = self.open_stream(details.uri, details.needs_tls(), deadline);
        let stream = stream.map_err(|error| Error::Other(Box::new(error)))?;
        let buffers = LazyBuffers::new(
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        Ok(Some(Connection::new(stream, details.needs_tls(), buffers, &self.last_exchange)))
    }
}

impl Connector {
    fn open_stream(
        &self,
        url: &Uri,
        needs_tls: bool,
        deadline: Deadline,
    ) -> Result<MaybeTlsStream, NetworkError> {
        let host = without_brackets(url.host().unwrap_or_default());
        let port = url.port_u16().unwrap_or(if needs_tls { 443 } else { 80 });
        let mut stream = match self.route.proxy_for(url) {
            None => self.connect_tcp(host, port, deadline)?,
            Some(proxy) => {
                let mut stream = self
                    .connect_to_proxy(proxy, deadline)
                    .map_err(|error| NetworkError::ToProxy(Box::new(error)))?;
                let target = format!("{}:{port}", url.host().unwrap_or_default());
                tunnel::open(&mut stream, proxy, &target, &self.user_agent)
                    .map_err(NetworkError::Tunnel)?;
                stream
            }
        };
        if needs_tls {
            stream = self.tls.handshake(stream, host)?;
        }
        Ok(stream)
    }

    fn connect_to_proxy(
        &self,
        proxy: &ureq::Proxy,
        deadline: Deadline,
    ) -> Result<MaybeTlsStream, NetworkError> {
        let host = without_brackets(proxy.host());
        let stream = self.connect_tcp(host, proxy.port(), deadline)?;
        if proxy.uri().scheme_str() == Some("https") {
            return self.tls.handshake(stream, host);
        }
        Ok(stream)
    }

    fn connect_tcp(
        &self,
        host: &str,
        port: u16,
        deadline: Deadline,
    ) -> Result<MaybeTlsStream, NetworkError> {
        let look_up = self.resolver.look_up(host, self.families);
        Ok(MaybeTlsStream::Tcp { stream: dial(look_up, port, deadline)?, deadline })
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

fn without_brackets(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Returns no addresses. ureq asks for them even if its pool has a connection. The [`Connector`]
/// looks up the name itself, and only for a new connection.
#[derive(Debug)]
pub(super) struct NoAddresses;

impl UreqResolver for NoAddresses {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}
