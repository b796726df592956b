//! TCP connections: tries all addresses of a host, and starts the next attempt before the last one
//! has failed (RFC 8305, section 5).

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpStream};

use super::deadline::Deadline;
use super::dns::LookUp;
use super::error::{DialError, NetworkError};

pub(super) fn dial(
    look_up: LookUp,
    port: u16,
    deadline: Deadline,
) -> Result<TcpStream, NetworkError> {
    let stream = connect(look_up, port, deadline)?;
    // If this fails, the connection is only slower.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Addresses to try. IPv6 and IPv4 take turns, and IPv6 is first.
#[derive(Default)]
struct Addresses {
    v6: VecDeque<SocketAddr>,
    v4: VecDeque<SocketAddr>,
    v4_is_next: bool,
    known: Vec<SocketAddr>,
}

impl Addresses {
    fn add(&mut self, found: Vec<SocketAddr>, port: u16) {
        for mut address in found {
            address.set_port(port);
            if !self.known.contains(&address) {
                self.known.push(address);
                if address.is_ipv6() { &mut self.v6 } else { &mut self.v4 }.push_back(address);
            }
        }
    }

    fn next(&mut self) -> Option<SocketAddr> {
        let (mut first, mut second) = (&mut self.v6, &mut self.v4);
        if self.v4_is_next {
            std::mem::swap(&mut first, &mut second);
        }
        let address = first.pop_front().or_else(|| second.pop_front())?;
        self.v4_is_next = address.is_ipv6();
        Some(address)
    }

    fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

/// Waits for more addresses. If none arrive, returns the failures of the addresses so far.
fn wait_for_addresses(
    look_up: &mut LookUp,
    deadline: Deadline,
    failed: &mut Vec<(SocketAddr, DialError)>,
) -> Result<(), NetworkError> {
    match look_up.wait(deadline) {
        Err(_) if !failed.is_empty() => Err(NetworkError::Dial(std::mem::take(failed))),
        waited => waited.map_err(NetworkError::Dns),
    }
}

/// Starts one attempt after the other and waits for all of them. Returns the first connection that
/// succeeds, and closes the others.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn connect(mut look_up: LookUp, port: u16, deadline: Deadline) -> Result<TcpStream, NetworkError> {
    use std::os::fd::OwnedFd;
    use std::time::{Duration, Instant};

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;
    use rustix::net::sockopt::socket_error;

    /// The next attempt starts after this time without an answer (RFC 8305, section 5).
    const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
    /// How often to check whether the look-up has found another address.
    const LOOK_UP_INTERVAL: Duration = Duration::from_millis(50);

    let mut addresses = Addresses::default();
    let mut attempts: Vec<(SocketAddr, OwnedFd)> = Vec::new();
    let mut failed: Vec<(SocketAddr, DialError)> = Vec::new();
    let mut next_attempt = Instant::now();
    loop {
        addresses.add(look_up.take(), port);
        let now = Instant::now();
        if attempts.is_empty() || next_attempt <= now {
            if let Some(address) = addresses.next() {
                match start_connecting(&address) {
                    Ok(socket) => {
                        attempts.push((address, socket));
                        next_attempt = now + ATTEMPT_DELAY;
                    }
                    Err(error) => failed.push((address, error)),
                }
                continue;
            }
        }
        if attempts.is_empty() {
            wait_for_addresses(&mut look_up, deadline, &mut failed)?;
            continue;
        }
        let Ok(mut wait) = deadline.left() else {
            failed.extend(attempts.into_iter().map(|(address, _)| (address, DialError::TimedOut)));
            return Err(NetworkError::Dial(failed));
        };
        if !addresses.is_empty() {
            wait = wait.min(next_attempt.saturating_duration_since(now));
        } else if !look_up.is_over() {
            wait = wait.min(LOOK_UP_INTERVAL);
        }
        let mut polled: Vec<_> =
            attempts.iter().map(|(_, socket)| PollFd::new(socket, PollFlags::OUT)).collect();
        match poll(&mut polled, wait.try_into().ok().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(NetworkError::Socket(error.into())),
        }
        let Some(answered) = polled.iter().position(|socket| !socket.revents().is_empty()) else {
            continue;
        };
        drop(polled);
        let (address, socket) = attempts.swap_remove(answered);
        match socket_error(&socket).and_then(|outcome| outcome) {
            Ok(()) => {
                let stream = TcpStream::from(socket);
                stream.set_nonblocking(false).map_err(NetworkError::Socket)?;
                return Ok(stream);
            }
            Err(error) => {
                failed.push((address, DialError::Failed(error.into())));
                next_attempt = now;
            }
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn start_connecting(address: &SocketAddr) -> Result<std::os::fd::OwnedFd, DialError> {
    use rustix::io::Errno;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)
        .map_err(|error| DialError::NoSocket(error.into()))?;
    match connect(&socket, address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket),
        Err(error) => Err(DialError::Failed(error.into())),
    }
}

/// Tries one address after the other. Divides the time left among the addresses.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn connect(mut look_up: LookUp, port: u16, deadline: Deadline) -> Result<TcpStream, NetworkError> {
    let mut addresses = Addresses::default();
    let mut failed = Vec::new();
    loop {
        addresses.add(look_up.take(), port);
        let Some(address) = addresses.next() else {
            wait_for_addresses(&mut look_up, deadline, &mut failed)?;
            continue;
        };
        // If the look-up is not over, it may find one more address.
        let others = addresses.v4.len() + addresses.v6.len() + usize::from(!look_up.is_over());
        let others = u32::try_from(others).unwrap_or(u32::MAX - 1);
        let share = deadline.left().map(|left| left / (others + 1)).unwrap_or_default();
        match TcpStream::connect_timeout(&address, share.max(std::time::Duration::from_millis(1))) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                failed.push((address, DialError::TimedOut));
                if deadline.left().is_err() {
                    return Err(NetworkError::Dial(failed));
                }
            }
            Err(error) => failed.push((address, DialError::Failed(error))),
        }
    }
}

/// Returns a socket that answers no more connections while the caller keeps the pair.
#[cfg(test)]
pub(super) fn full(address: SocketAddr) -> (socket2::Socket, TcpStream) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(0).unwrap();
    let first = TcpStream::connect(socket.local_addr().unwrap().as_socket().unwrap()).unwrap();
    (socket, first)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr, TcpListener};
    use std::thread;
    use std::time::{Duration, Instant};

    use socket2::Socket;

    use super::*;
    use crate::transport::ureq::dns::{Family, Resolver};

    const LONG: Duration = Duration::from_secs(60);

    fn local(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    const GOOD: u8 = 1;
    const SILENT: u8 = 2;
    const LATE: u8 = 3;
    /// No socket listens on this address.
    const REFUSING: u8 = 4;

    /// Addresses that answer in different ways on the same port.
    struct Host {
        listener: TcpListener,
        _silent: (Socket, TcpStream),
        late: (Socket, TcpStream),
    }

    impl Host {
        fn new() -> Self {
            let listener = TcpListener::bind((local(GOOD), 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            let full = |last| full(SocketAddr::new(local(last), port));
            Self { listener, _silent: full(SILENT), late: full(LATE) }
        }

        fn port(&self) -> u16 {
            self.listener.local_addr().unwrap().port()
        }

        fn dial(&self, addresses: &[IpAddr], limit: Duration) -> Result<TcpStream, NetworkError> {
            let addresses: Vec<_> =
                addresses.iter().map(|address| SocketAddr::new(*address, 0)).collect();
            dial(LookUp::found(&addresses), self.port(), Deadline::after(limit))
        }
    }

    fn failed(outcome: Result<TcpStream, NetworkError>) -> Vec<(IpAddr, &'static str)> {
        let Err(NetworkError::Dial(failed)) = outcome else { panic!("{outcome:?}") };
        let name = |error| match error {
            DialError::TimedOut => "silent",
            DialError::Failed(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                "refused"
            }
            _ => "other",
        };
        failed.into_iter().map(|(address, error)| (address.ip(), name(error))).collect()
    }

    #[test]
    fn ipv6_and_ipv4_take_turns_and_ipv6_is_first() {
        let parsed = |list: &str| -> Vec<SocketAddr> {
            let addresses = list.split_whitespace().map(|text| text.parse().unwrap());
            addresses.map(|address| SocketAddr::new(address, 443)).collect()
        };
        for (found, tried) in [
            ("", ""),
            ("1.1.1.1", "1.1.1.1"),
            ("::1 ::2", "::1 ::2"),
            ("::1 1.1.1.1 ::1 1.1.1.1", "::1 1.1.1.1"),
            ("1.1.1.1 ::1", "::1 1.1.1.1"),
            ("::1 ::2 1.1.1.1", "::1 1.1.1.1 ::2"),
            ("1.1.1.1 1.1.1.2 ::1 ::2", "::1 1.1.1.1 ::2 1.1.1.2"),
            ("::1 1.1.1.1 1.1.1.2 1.1.1.3", "::1 1.1.1.1 1.1.1.2 1.1.1.3"),
        ] {
            let mut addresses = Addresses::default();
            addresses.add(parsed(found), 443);
            let order: Vec<_> = std::iter::from_fn(|| addresses.next()).collect();
            assert_eq!(order, parsed(tried), "{found}");
            assert!(addresses.is_empty());
        }
    }

    #[test]
    fn an_address_keeps_its_scope() {
        let address = std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 0, 0, 3);
        let mut addresses = Addresses::default();
        addresses.add(vec![address.into()], 443);
        assert_eq!(addresses.next().unwrap().to_string(), "[fe80::1%3]:443");
    }

    #[test]
    fn an_address_that_answers_is_found_after_addresses_that_do_not() {
        let host = Host::new();
        let rows: [&[u8]; 6] = [
            &[GOOD],
            &[REFUSING, GOOD],
            &[SILENT, GOOD],
            &[SILENT, SILENT, REFUSING, GOOD],
            &[SILENT, GOOD, SILENT],
            &(100..140).chain([GOOD]).collect::<Vec<_>>(),
        ];
        for row in rows {
            let addresses: Vec<_> = row.iter().map(|last| local(*last)).collect();
            let start = Instant::now();
            let stream = host.dial(&addresses, LONG).unwrap();
            assert_eq!(stream.peer_addr().unwrap().ip(), local(GOOD), "{row:?}");
            assert!(stream.nodelay().unwrap(), "{row:?}: a small packet would wait for an answer");
            assert!(start.elapsed() < LONG / 3, "{row:?}: a silent address took too much time");
        }
    }

    #[test]
    fn if_no_address_answers_the_error_lists_each_failure_within_the_time_limit() {
        struct Row {
            addresses: &'static [u8],
            failed: &'static [(u8, &'static str)],
        }
        let host = Host::new();
        let limit = Duration::from_millis(300);
        let refused_and_silent = &[(REFUSING, "refused"), (SILENT, "silent")];
        let rows = [
            Row { addresses: &[SILENT], failed: &[(SILENT, "silent")] },
            Row { addresses: &[REFUSING, SILENT], failed: refused_and_silent },
            Row { addresses: &[SILENT, REFUSING], failed: refused_and_silent },
            Row { addresses: &[REFUSING, REFUSING], failed: &[(REFUSING, "refused")] },
        ];
        for Row { addresses, failed: expected } in rows {
            let tried: Vec<_> = addresses.iter().map(|last| local(*last)).collect();
            let expected: Vec<_> =
                expected.iter().map(|(last, error)| (local(*last), *error)).collect();
            let start = Instant::now();
            assert_eq!(failed(host.dial(&tried, limit)), expected, "{addresses:?}");
            assert!(start.elapsed() < 10 * limit, "{addresses:?}: {:?}", start.elapsed());
        }
        let nothing = host.dial(&[], limit);
        assert!(matches!(nothing, Err(NetworkError::Dns(_))), "{nothing:?}");
    }

    /// The kernel sends its first packet again after one second. At that time, the address answers.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[test]
    fn an_address_that_answers_late_is_still_used() {
        let host = Host::new();
        let late = host.late.0.try_clone().unwrap();
        let answering = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            (late.accept().unwrap(), late.accept().unwrap())
        });
        let addresses = [LATE, REFUSING, SILENT].map(local);
        let stream = host.dial(&addresses, LONG).unwrap();
        assert_eq!(stream.peer_addr().unwrap().ip(), local(LATE));
        drop(answering.join().unwrap());
    }

    /// IPv6 is tried first. If it fails, the IPv4 addresses that arrive later are tried.
    #[test]
    fn addresses_that_arrive_later_are_tried_too() {
        static RESOLVER: Resolver = Resolver::new(|host, family| match family {
            Family::V6 if host == "silent" => Ok(vec!["[::ffff:127.0.0.2]:0".parse().unwrap()]),
            Family::V6 => Ok(vec![(Ipv6Addr::LOCALHOST, 0).into()]),
            Family::V4 => {
                thread::sleep(Duration::from_millis(100));
                Ok(vec![(local(GOOD), 0).into()])
            }
        });
        let host = Host::new();
        for name in ["refusing", "silent"] {
            let look_up = RESOLVER.look_up(name, &[Family::V6, Family::V4]);
            let stream = dial(look_up, host.port(), Deadline::after(LONG)).unwrap();
            assert_eq!(stream.peer_addr().unwrap().ip(), local(GOOD), "{name}");
        }
    }
}
