//! [`Connections`]: the connections of all clients, on one thread. No client can block another.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Resource, getrlimit};
use zeroize::Zeroizing;

use super::answer::Answer;
use super::keeper::{Keeper, Wait};
use super::request::{Guard, MAX_HEAD};
use crate::messages::logger;

/// The most open connections, which also limits the memory. For one more connection, the oldest is
/// closed.
const MAX_CONNECTIONS: u64 = 256;
/// The time limit for a client to send its request, and again to read the answer.
const IO_TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit for a client to close its connection. If this side closed it while it has unread
/// data, the client could lose the answer.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause after a connection cannot be accepted, for example because no file descriptor is left.
const PAUSE: Duration = Duration::from_millis(200);
/// The most new connections that are accepted before the open ones are served.
const ACCEPTED_AT_ONCE: usize = 32;

pub(super) struct Connections {
    most: usize,
    /// From the oldest to the newest.
    list: Vec<Connection>,
    paused_until: Option<Duration>,
}

struct Connection {
    stream: TcpStream,
    state: State,
    deadline: Duration,
    /// Method and path, for the log.
    line: String,
}

enum State {
    Reading(Zeroizing<Vec<u8>>),
    Waiting(Wait),
    Writing { answer: Answer, written: usize },
    Closing,
    Closed,
}

impl Connections {
    /// Half of the file descriptors stay free for the service, files and commands.
    pub(super) fn new() -> Self {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let most = usize::try_from(MAX_CONNECTIONS.min(descriptors / 2)).unwrap_or_default().max(1);
        Self { most, list: Vec::new(), paused_until: None }
    }

    /// Returns what to poll: first the connections in their order, then the listener.
    pub(super) fn sources<'a>(&'a self, listener: &'a TcpListener) -> Vec<PollFd<'a>> {
        let connections = self.list.iter().map(|connection| {
            let events = match connection.state {
                State::Writing { .. } => PollFlags::OUT,
                // A client that has closed its half still gets the answer.
                State::Waiting(_) => PollFlags::empty(),
                _ => PollFlags::IN,
            };
            PollFd::new(&connection.stream, events)
        });
        let accepts = if self.paused_until.is_some() { PollFlags::empty() } else { PollFlags::IN };
        connections.chain([PollFd::new(listener, accepts)]).collect()
    }

    /// Returns when the first connection times out.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let deadlines = self.list.iter().map(|connection| connection.deadline);
        deadlines.chain(self.paused_until).min()
    }

    /// Does everything that does not block. `ready` says which sources are ready.
    pub(super) fn advance(
        &mut self,
        ready: &[bool],
        listener: &TcpListener,
        guard: &Guard,
        keeper: &mut Keeper,
        now: Duration,
    ) {
        let accepts = ready.get(self.list.len()).copied().unwrap_or_default();
        let ready = ready.iter().copied().chain(std::iter::repeat(false));
        for (connection, is_ready) in self.list.iter_mut().zip(ready) {
            connection.advance(is_ready, guard, keeper, now);
        }
        self.list.retain(|connection| !matches!(connection.state, State::Closed));
        self.paused_until = self.paused_until.filter(|until| now < *until);
        if accepts {
            self.accept(listener, now);
        }
    }

    fn accept(&mut self, listener: &TcpListener, now: Duration) {
        for _ in 0..ACCEPTED_AT_ONCE {
            let accepted = listener.accept().and_then(|(stream, _)| {
                stream.set_nonblocking(true)?;
                Ok(stream)
            });
            match accepted {
                Ok(stream) => {
                    if self.list.len() >= self.most {
                        self.close_oldest();
                    }
                    self.list.push(Connection::new(stream, now));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The client has already closed the connection.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.close_oldest();
                    self.paused_until = Some(now + PAUSE);
                    return;
                }
            }
        }
    }

    /// Closes the oldest connection that does not wait for credentials. If all wait, closes the
    /// oldest.
    fn close_oldest(&mut self) {
        let waits = |connection: &Connection| matches!(connection.state, State::Waiting(_));
        let oldest = self.list.iter().position(|connection| !waits(connection)).unwrap_or(0);
        if oldest < self.list.len() {
            self.list.remove(oldest);
        }
    }
}

impl Connection {
    fn new(stream: TcpStream, now: Duration) -> Self {
        // An idle connection needs no memory for a request.
        let state = State::Reading(Zeroizing::new(Vec::new()));
        Self { stream, state, deadline: now + IO_TIMEOUT, line: String::new() }
    }

    fn advance(&mut self, is_ready: bool, guard: &Guard, keeper: &mut Keeper, now: Duration) {
        match &mut self.state {
            State::Reading(_) if is_ready => self.read(guard, keeper, now),
            State::Writing { .. } if is_ready => self.write(now),
            // Both halves are closed, or the connection is broken.
            State::Waiting(_) if is_ready => self.state = State::Closed,
            State::Closing if is_ready && is_at_end(&self.stream) => self.state = State::Closed,
            _ => {}
        }
        if let State::Waiting(wait) = &mut self.state {
            if let Some(answer) = keeper.waiting(wait, now) {
                self.answer(answer, now);
            }
        } else if now >= self.deadline {
            self.state = State::Closed;
        }
    }

    fn read(&mut self, guard: &Guard, keeper: &mut Keeper, now: Duration) {
        let State::Reading(head) = &mut self.state else { return };
        // It never grows, so that no copy of the token is left in memory.
        let room = MAX_HEAD.saturating_sub(head.len());
        head.reserve_exact(room);
        let read = (&self.stream).take(room as u64).read_to_end(head);
        let Some(request) = guard.read(head) else {
            let is_open = read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
            if !is_open {
                self.state = State::Closed;
            }
            return;
        };
        self.line = request.line;
        match request.refusal {
            Some(refusal) => self.answer(Answer::refusal(&refusal), now),
            None => match keeper.request(now) {
                Ok(answer) => self.answer(answer, now),
                Err(wait) => {
                    self.deadline = wait.until;
                    self.state = State::Waiting(wait);
                }
            },
        }
    }

    fn answer(&mut self, answer: Answer, now: Duration) {
        let port = self.stream.peer_addr().map_or(0, |address| address.port());
        logger::step(format_args!("{} from port {port}: {}", self.line, answer.status));
        self.deadline = now + IO_TIMEOUT;
        self.state = State::Writing { answer, written: 0 };
        self.write(now);
    }

    fn write(&mut self, now: Duration) {
        let State::Writing { answer, written } = &mut self.state else { return };
        while let Some(rest) = answer.bytes.get(*written..).filter(|rest| !rest.is_empty()) {
            match (&self.stream).write(rest) {
                Ok(count) if count > 0 => *written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => {
                    self.state = State::Closed;
                    return;
                }
            }
        }
        let _ = self.stream.shutdown(Shutdown::Write);
        self.deadline = now + CLOSE_TIMEOUT;
        self.state = State::Closing;
    }
}

/// Discards the bytes after the request. Returns whether the client has closed the connection.
fn is_at_end(stream: &TcpStream) -> bool {
    let most = MAX_HEAD as u64;
    match io::copy(&mut stream.take(most), &mut io::sink()) {
        Ok(count) => count < most,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}
