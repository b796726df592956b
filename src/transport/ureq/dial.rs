//! TCP connections, directly or through a proxy: a name is looked up when a connection is made and
//! not when one of the pool serves, every address is given a chance, and time is limited as a whole.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout,
    Transport, time,
};
use ureq::{Agent, Error, Timeout};

use super::LONGEST_TIMEOUT;
use super::dns::{self, LookUps};
use super::tls::Tls;

/// More addresses of one host are not tried.
const MOST_ADDRESSES: usize = 16;

/// After this long without an answer the next address is tried too: the delay that RFC 8305
/// recommends.
#[cfg(any(target_os = "linux", target_os = "android"))]
const STAGGER: Duration = Duration::from_millis(250);

pub(super) fn agent(config: Config, tls: Tls) -> Agent {
    agent_with(config, tls, &dns::SYSTEM)
}

fn agent_with(config: Config, tls: Tls, look_ups: &'static LookUps) -> Agent {
    let chain = ().chain(Proxied(ConnectProxyConnector::default())).chain(Tcp(look_ups)).chain(tls);
    Agent::with_parts(config, chain, Later)
}

/// Knows no address. ureq asks it before it looks for a connection in its pool; [`Tcp`] looks the
/// name up when there is none.
#[derive(Debug)]
struct Later;

impl Resolver for Later {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}

/// When something must have ended, and which time limit says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    reason: Timeout,
}

impl Deadline {
    fn after(timeout: NextTimeout) -> Self {
        Self { at: Instant::now() + (*timeout.after).min(LONGEST_TIMEOUT), reason: timeout.reason }
    }

    /// That of the whole connecting, which began when `details` were made.
    pub(super) fn of(details: &ConnectionDetails<'_>) -> Self {
        let begin = match details.now {
            time::Instant::Exact(begin) => begin,
            _ => Instant::now(),
        };
        Self {
            at: begin + (*details.timeout.after).min(LONGEST_TIMEOUT),
            reason: details.timeout.reason,
        }
    }

    fn left(self) -> Result<Duration, Error> {
        let left = self.at.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(Error::Timeout(self.reason)) } else { Ok(left) }
    }

    pub(super) fn timeout(self) -> Result<NextTimeout, Error> {
        let after = time::Duration::Exact(self.left()?);
        Ok(NextTimeout { after, reason: self.reason, ..NextTimeout::default() })
    }
}

/// Asks a proxy for a tunnel, within the time for connecting: ureq limits each read of the proxy's
/// answer but not their sum.
#[derive(Debug)]
struct Proxied(ConnectProxyConnector);

impl<In: Transport> Connector<In> for Proxied {
    type Out = <ConnectProxyConnector as Connector<In>>::Out;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let connected = Arc::new(AtomicBool::new(false));
        let (deadline, run, is_connected) =
            (Deadline::of(details), details.run_connector.clone(), connected.clone());
        let hurried = move |to_proxy: &ConnectionDetails<'_>| {
            let transport = run(to_proxy)?;
            Ok(Hurried { transport, deadline, connected: is_connected.clone() }.boxed())
        };
        let details = ConnectionDetails {
            uri: details.uri,
            addrs: details.addrs.clone(),
            config: details.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: Arc::new(hurried),
            register_shutdown: details.register_shutdown.clone(),
        };
        let tunnel = self.0.connect(&details, chained);
        connected.store(true, Ordering::Relaxed);
        tunnel
    }
}

/// A connection to a proxy, which until there is a tunnel must keep to the time for connecting.
#[derive(Debug)]
struct Hurried {
    transport: Box<dyn Transport>,
    deadline: Deadline,
    connected: Arc<AtomicBool>,
}

impl Hurried {
    fn limited(&self, timeout: NextTimeout) -> Result<NextTimeout, Error> {
        if self.connected.load(Ordering::Relaxed) { Ok(timeout) } else { self.deadline.timeout() }
    }
}

impl Transport for Hurried {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.transport.transmit_output(amount, self.limited(timeout)?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.transport.await_input(self.limited(timeout)?)
    }

    fn is_open(&mut self) -> bool {
        self.transport.is_open()
    }

    fn is_tls(&self) -> bool {
        self.transport.is_tls()
    }
}

/// Connects to the host of the URL, unless there is a tunnel already.
struct Tcp(&'static LookUps);

impl<In: Transport> Connector<In> for Tcp {
    type Out = Either<In, Stream>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        if let Some(tunnel) = chained {
            return Ok(Some(Either::A(tunnel)));
        }
        let deadline = Deadline::of(details);
        let host = details.uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = details.uri.port_u16().unwrap_or(if details.needs_tls() { 443 } else { 80 });
        let found = self.0.addresses(host, deadline.left()?)?;
        let found = found.ok_or(Error::Timeout(deadline.reason))?;
        let family = details.config.ip_family();
        let mut addresses = in_turn(family.keep_wanted(found.into_iter()).collect());
        for address in &mut addresses {
            address.set_port(port);
        }
        let stream = dial(&addresses, deadline)?;
        stream.set_nodelay(true)?;
        let buffers = LazyBuffers::new(
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        Ok(Some(Either::B(Stream { stream, buffers })))
    }
}

impl std::fmt::Debug for Tcp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tcp").finish_non_exhaustive()
    }
}

/// The families in turn, beginning with that of the address that the resolver prefers, so that one
/// family that leads nowhere holds up a single try.
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let six_first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == six_first);
    let mut second = second.into_iter();
    let mut in_turn: Vec<_> =
        first.into_iter().flat_map(|address| [Some(address), second.next()]).flatten().collect();
    in_turn.extend(second);
    in_turn.truncate(MOST_ADDRESSES);
    in_turn
}

/// Tries one address after the other, and goes on waiting for the earlier ones; the first that
/// answers is taken, the others are closed.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn dial(addresses: &[SocketAddr], deadline: Deadline) -> Result<TcpStream, Error> {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

    let begin = |address: &SocketAddr| {
        let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        match connect(&socket, address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
            Err(error) => Err(error),
        }
    };
    let mut addresses = addresses.iter();
    let mut tries = Vec::new();
    let mut failed = Error::HostNotFound;
    let mut next = Instant::now();
    loop {
        let left = deadline.left()?;
        let to_next = next.saturating_duration_since(Instant::now());
        if to_next.is_zero() || tries.is_empty() {
            if let Some(address) = addresses.next() {
                match begin(address) {
                    Ok(socket) => tries.push(socket),
                    Err(error) => {
                        failed = Error::Io(error.into());
                        continue;
                    }
                }
                next = Instant::now() + STAGGER;
                continue;
            }
            if tries.is_empty() {
                return Err(failed);
            }
        }
        let wait = if addresses.len() == 0 { left } else { left.min(to_next) };
        let mut polled: Vec<_> =
            tries.iter().map(|socket| PollFd::new(socket, PollFlags::OUT)).collect();
        match poll(&mut polled, wait.try_into().ok().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Error::Io(error.into())),
        }
        let Some(answered) = polled.iter().position(|socket| !socket.revents().is_empty()) else {
            continue;
        };
        drop(polled);
        let socket = tries.swap_remove(answered);
        match sockopt::socket_error(&socket).and_then(|outcome| outcome) {
            Ok(()) => {
                let stream = TcpStream::from(socket);
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) => {
                failed = Error::Io(error.into());
                next = Instant::now();
            }
        }
    }
}

/// Tries one address after the other, each for its share of what is left of the time.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn dial(addresses: &[SocketAddr], deadline: Deadline) -> Result<TcpStream, Error> {
    let mut failed = Error::HostNotFound;
    for (others, address) in (1..=addresses.len() as u32).rev().zip(addresses) {
        match TcpStream::connect_timeout(
            address,
            (deadline.left()? / others).max(Duration::from_millis(1)),
        ) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = Error::Io(error),
        }
    }
    Err(failed)
}

/// A TCP connection.
#[derive(Debug)]
struct Stream {
    stream: TcpStream,
    buffers: LazyBuffers,
}

impl Transport for Stream {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let deadline = Deadline::after(timeout);
        let mut rest = self.buffers.output().get(..amount).unwrap_or_default();
        while !rest.is_empty() {
            self.stream.set_write_timeout(Some(deadline.left()?))?;
            let written = passed(self.stream.write(rest), deadline)?;
            if written == Some(0) {
                return Err(Error::Io(io::ErrorKind::WriteZero.into()));
            }
            rest = rest.get(written.unwrap_or(0)..).unwrap_or_default();
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let deadline = Deadline::after(timeout);
        loop {
            self.stream.set_read_timeout(Some(deadline.left()?))?;
            let read = self.stream.read(self.buffers.input_append_buf());
            if let Some(read) = passed(read, deadline)? {
                self.buffers.input_appended(read);
                return Ok(read > 0);
            }
        }
    }

    /// Nothing must be there to read: neither the peer's end nor what nobody asked for.
    fn is_open(&mut self) -> bool {
        let waits = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        self.stream.set_nonblocking(true).is_ok()
            && self.stream.peek(&mut [0]).is_err_and(waits)
            && self.stream.set_nonblocking(false).is_ok()
    }
}

/// How much has passed; nothing if a signal came in between.
fn passed(outcome: io::Result<usize>, deadline: Deadline) -> Result<Option<usize>, Error> {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    match outcome {
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == Interrupted => Ok(None),
        Err(error) if matches!(error.kind(), TimedOut | WouldBlock) => {
            Err(Error::Timeout(deadline.reason))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc::{self, Receiver};
    use std::thread;

    use socket2::{Domain, Socket, Type};

    use super::*;
    use crate::transport::ureq::certificates::Certificates;
    use crate::transport::ureq::tls::Time;

    fn within(limit: Duration) -> Deadline {
        Deadline { at: Instant::now() + limit, reason: Timeout::Connect }
    }

    /// An address that answers no more connections, for as long as the rest is kept.
    fn silent() -> (SocketAddr, Socket, TcpStream) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let first = TcpStream::connect(address).unwrap();
        (address, socket, first)
    }

    fn refusing() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    #[test]
    fn the_families_take_turns_and_the_preferred_one_begins() {
        let rows: [(&[&str], &[&str]); 7] = [
            (&[], &[]),
            (&["1.1.1.1"], &["1.1.1.1"]),
            (&["::1", "::2", "1.1.1.1"], &["::1", "1.1.1.1", "::2"]),
            (&["::1", "::2", "1.1.1.1", "1.1.1.2"], &["::1", "1.1.1.1", "::2", "1.1.1.2"]),
            (&["1.1.1.1", "1.1.1.2", "::1"], &["1.1.1.1", "::1", "1.1.1.2"]),
            (&["::1", "1.1.1.1", "1.1.1.2", "1.1.1.3"], &["::1", "1.1.1.1", "1.1.1.2", "1.1.1.3"]),
            (&["1.1.1.1", "1.1.1.2"], &["1.1.1.1", "1.1.1.2"]),
        ];
        let parsed = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect()
        };
        for (found, tried) in rows {
            assert_eq!(in_turn(parsed(found)), parsed(tried), "{found:?}");
        }
        let many: Vec<_> = (0..40).map(|port| SocketAddr::from(([1, 1, 1, 1], port))).collect();
        assert_eq!(in_turn(many.clone()), many[..MOST_ADDRESSES]);
    }

    #[test]
    fn an_address_that_answers_is_found_behind_those_that_do_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let (hanging, _socket, _first) = silent();
        let rows: [&[SocketAddr]; 5] = [
            &[good],
            &[refusing(), good],
            &[hanging, good],
            &[hanging, hanging, refusing(), good],
            &[hanging, good, hanging],
        ];
        for addresses in rows {
            let begin = Instant::now();
            let stream = dial(addresses, within(Duration::from_secs(60))).unwrap();
            assert_eq!(stream.peer_addr().unwrap(), good);
            assert!(begin.elapsed() < Duration::from_secs(20), "not half of the time for one");
        }
    }

    #[test]
    fn where_no_address_answers_the_time_is_kept_and_the_last_refusal_is_told() {
        let (hanging, _socket, _first) = silent();
        let limit = Duration::from_millis(300);
        for addresses in [vec![hanging], vec![hanging; 3], vec![refusing(), hanging]] {
            let begin = Instant::now();
            let error = dial(&addresses, within(limit)).unwrap_err();
            assert!(matches!(error, Error::Timeout(Timeout::Connect)), "{error}");
            assert!((limit..10 * limit).contains(&begin.elapsed()), "{:?}", begin.elapsed());
        }
        let error = dial(&[refusing(), refusing()], within(limit)).unwrap_err();
        assert!(
            matches!(&error, Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused)
        );
        assert!(matches!(dial(&[], within(limit)), Err(Error::HostNotFound)));
    }

    /// The kernel repeats its first packet after a second; by then somebody listens again.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[test]
    fn an_address_that_answers_late_is_still_waited_for() {
        let (late, socket, _first) = silent();
        let (hanging, _socket, _other) = silent();
        let answering = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            (socket.accept().unwrap(), socket.accept().unwrap())
        });
        let addresses = [late, refusing(), hanging];
        let stream = dial(&addresses, within(Duration::from_secs(60))).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), late);
        drop(answering.join().unwrap());
    }

    /// Answers so many requests on each connection, and tells when it has closed it.
    fn server(requests: usize) -> (u16, Receiver<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, closed) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                for _ in 0..requests {
                    let (mut head, mut byte) = (Vec::new(), [0]);
                    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                        head.push(byte[0]);
                    }
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
                }
                drop(stream);
                sender.send(()).unwrap();
            }
        });
        (port, closed)
    }

    #[test]
    fn a_name_is_looked_up_once_for_each_connection_and_a_live_one_of_the_pool_needs_none() {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        static LOOK_UPS: LookUps = LookUps::new(|host| {
            assert_eq!(host, "service.example");
            COUNT.fetch_add(1, Ordering::SeqCst);
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
        });
        let (port, closed) = server(3);
        let tls = Tls::new(Certificates::default(), Time::default());
        let agent = agent_with(Agent::config_builder().build(), tls, &LOOK_UPS);
        for request in 0..7 {
            agent.post(format!("http://service.example:{port}/")).send_empty().unwrap();
            assert_eq!(COUNT.load(Ordering::SeqCst), 1 + request / 3, "request {request}");
            if request % 3 == 2 {
                closed.recv().unwrap();
            }
        }
    }
}
