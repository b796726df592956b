//! The peer: a server that does what the steps of a case say, and then answers as the service does.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::authority::accept;
use crate::server::{Request, drain};
use crate::service::serve;

/// The pause between two bytes of a slow peer.
pub(crate) const SLOW: Duration = Duration::from_millis(20);
/// The peer gives up after this time, so that the test ends in any case.
pub(crate) const PEER_LIMIT: Duration = Duration::from_secs(20);

/// What the peer does with one connection. After the last step it closes its side, and reads until
/// the client closes the connection too.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Reads one request.
    Request,
    /// Answers the last request as the service does.
    Answer,
    /// Reads one request. Answers the first call of a `get()`, and falls silent at the second.
    First,
    Say(Vec<u8>),
    /// Sends it this many times, or until the client closes the connection.
    Repeat(Vec<u8>, usize),
    /// Sends both in one write; with TLS, each in its own record.
    Together([Vec<u8>; 2]),
    /// Sends it slowly, byte by byte.
    Drip(Vec<u8>),
    /// Sends it after the first `get()` and before the next.
    SayLate(Vec<u8>),
    /// Sends it past TLS, as plain bytes.
    SayBeneath(Vec<u8>),
    /// Reads some bytes, whatever they are.
    Listen,
    /// Does nothing until the client closes the connection.
    Hold,
    /// Closes the TCP connection without `close_notify`.
    Cut,
    /// Resets the TCP connection.
    Reset,
    /// Answers all further requests as the service does.
    Serve,
}

use Step::*;

/// How the client and the peer are connected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wire {
    Plain,
    Tls,
    /// TLS that falls silent after this many bytes.
    TlsStuck(usize),
    /// TLS that comes byte by byte.
    TlsSlow,
    /// TLS that is cut after this many bytes.
    TlsCut(usize),
    /// The client expects TLS, and the steps send plain bytes.
    Beneath,
}

/// Serves one connection after another: first by the steps of a case, then as the service.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    thread: thread::JoinHandle<()>,
}

pub(crate) struct Shared {
    steps: Vec<Step>,
    wire: Wire,
    tls: Arc<ServerConfig>,
    /// Whether the peer answers as the service does.
    pub(crate) healthy: AtomicBool,
    /// Whether `SayLate` is done.
    pub(crate) said_late: AtomicBool,
    stopped: AtomicBool,
    open: Mutex<Option<TcpStream>>,
    /// How many connections came before `healthy`.
    pub(crate) connections: AtomicUsize,
}

impl Peer {
    pub(crate) fn start(wire: Wire, steps: Vec<Step>, tls: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            steps,
            wire,
            tls,
            healthy: AtomicBool::new(false),
            said_late: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            open: Mutex::new(None),
            connections: AtomicUsize::new(0),
        });
        let peer = shared.clone();
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if peer.stopped.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(stream) = stream {
                    *peer.open.lock().unwrap() = stream.try_clone().ok();
                    peer.meet(stream);
                    *peer.open.lock().unwrap() = None;
                }
            }
        });
        Self { address, shared, thread }
    }

    pub(crate) fn stop(self) -> thread::Result<()> {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // The library may have left a connection open: do not wait until it ends.
        if let Some(open) = &*self.shared.open.lock().unwrap() {
            open.shutdown(Shutdown::Both).ok();
        }
        drop(TcpStream::connect(self.address));
        self.thread.join()
    }
}

impl Shared {
    fn meet(&self, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PEER_LIMIT)).unwrap();
        stream.set_write_timeout(Some(PEER_LIMIT)).unwrap();
        let healthy = self.healthy.load(Ordering::SeqCst);
        if !healthy {
            self.connections.fetch_add(1, Ordering::SeqCst);
        }
        let wire = match (self.wire, healthy) {
            (Wire::Plain, _) => return self.talk(&mut Plain(stream), healthy),
            (Wire::Beneath, false) => return self.talk(&mut Plain(stream), false),
            (_, true) => Wire::Tls,
            (wire, false) => wire,
        };
        let narrow = Narrow { stream, wire, written: 0 };
        self.talk(&mut accept(&self.tls, narrow), healthy);
    }

    /// An error ends the connection: the client may close it at any time.
    fn talk(&self, link: &mut impl Link, healthy: bool) {
        let steps = if healthy { &[Serve][..] } else { &self.steps };
        if self.play(steps, link).is_ok() {
            link.close_notify();
            link.socket().shutdown(Shutdown::Write).ok();
            drain(link.socket());
        }
    }

    fn play(&self, steps: &[Step], link: &mut impl Link) -> io::Result<()> {
        let mut request = String::new();
        let closed = || io::Error::from(io::ErrorKind::ConnectionAborted);
        let read_request = |link: &mut _| Request::read(link).map(|it| it.head).ok_or_else(closed);
        for step in steps {
            match step {
                Request => request = read_request(link)?,
                Answer => link.say(&serve(&request))?,
                Say(bytes) => link.say(bytes)?,
                Repeat(bytes, times) => {
                    for _ in 0..*times {
                        link.say(bytes)?;
                    }
                }
                Together(parts) => link.say_together(parts)?,
                Drip(bytes) => {
                    thread::sleep(SLOW);
                    for byte in bytes {
                        link.say(&[*byte])?;
                        thread::sleep(SLOW);
                    }
                }
                First => {
                    request = read_request(link)?;
                    if !["GetId", "GetOpenIdToken"]
                        .iter()
                        .any(|call| request.contains(&format!(".{call}\r")))
                    {
                        drain(link.socket());
                        return Err(closed());
                    }
                    link.say(&serve(&request))?;
                }
                SayLate(bytes) => {
                    while !self.healthy.load(Ordering::SeqCst) {
                        thread::sleep(Duration::from_millis(1));
                    }
                    link.say(bytes)?;
                    self.said_late.store(true, Ordering::SeqCst);
                }
                SayBeneath(bytes) => link.socket().write_all(bytes)?,
                Listen => {
                    if link.socket().read(&mut [0; 4096])? == 0 {
                        return Err(closed());
                    }
                }
                Hold => {
                    drain(link.socket());
                    return Err(closed());
                }
                Cut => {
                    link.socket().shutdown(Shutdown::Write)?;
                    drain(link.socket());
                    return Err(closed());
                }
                Reset => {
                    let socket = socket2::SockRef::from(link.socket());
                    socket.set_linger(Some(Duration::ZERO))?;
                    return Err(closed());
                }
                Serve => loop {
                    request = read_request(link)?;
                    link.say(&serve(&request))?;
                },
            }
        }
        Ok(())
    }
}

/// One connection, with or without TLS.
trait Link: Read {
    fn say(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn say_together(&mut self, parts: &[Vec<u8>]) -> io::Result<()>;
    fn close_notify(&mut self);
    fn socket(&mut self) -> &TcpStream;
}

struct Plain(TcpStream);

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Link for Plain {
    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn say_together(&mut self, parts: &[Vec<u8>]) -> io::Result<()> {
        self.say(&parts.concat())
    }

    fn close_notify(&mut self) {}

    fn socket(&mut self) -> &TcpStream {
        &self.0
    }
}

impl Link for StreamOwned<ServerConnection, Narrow> {
    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.flush()
    }

    fn say_together(&mut self, parts: &[Vec<u8>]) -> io::Result<()> {
        for part in parts {
            self.conn.writer().write_all(part)?;
        }
        self.flush()
    }

    fn close_notify(&mut self) {
        if self.conn.is_handshaking() {
            self.conn.complete_io(&mut self.sock).ok();
        }
        self.conn.send_close_notify();
        self.flush().ok();
    }

    fn socket(&mut self) -> &TcpStream {
        if self.conn.is_handshaking() {
            self.conn.complete_io(&mut self.sock).ok();
        }
        &self.sock.stream
    }
}

/// The TCP connection below a TLS server, which may be slow or fail.
struct Narrow {
    stream: TcpStream,
    wire: Wire,
    written: usize,
}

impl Read for Narrow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = match self.wire {
            Wire::TlsSlow => {
                thread::sleep(SLOW);
                1
            }
            Wire::TlsStuck(most) | Wire::TlsCut(most) => most - self.written,
            _ => bytes.len(),
        };
        if most == 0 {
            if let Wire::TlsCut(_) = self.wire {
                self.stream.shutdown(Shutdown::Write)?;
            }
            drain(&self.stream);
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let written = self.stream.write(&bytes[..bytes.len().min(most)])?;
        self.written += written;
        Ok(written)
    }

    /// Sends all records in one piece.
    fn write_vectored(&mut self, records: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match self.wire {
            Wire::Tls => self.stream.write_vectored(records),
            _ => self.write(records.first().map_or(&[], |first| first)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
