//! Servers on loopback.

#![allow(dead_code, reason = "each test target uses some of it")]

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Listens on a free port, and serves each connection on a thread of its own.
pub(crate) fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

/// Returns an address that refuses connections.
pub(crate) fn closed_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// An HTTP request. The head ends with the empty line.
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    /// Reads one request and no byte more. Returns `None` if the connection ends before.
    pub(crate) fn read(stream: &mut impl Read) -> Option<Self> {
        let head = read_head(stream)?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).ok()?;
        Some(Self { head, body: String::from_utf8(body).unwrap() })
    }
}

/// Reads up to the first empty line. Returns `None` if the connection ends before.
pub(crate) fn read_head(stream: &mut impl Read) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    Some(String::from_utf8(head).unwrap())
}

/// Reads until the client closes the connection. A server that closes first, with bytes unread,
/// resets the connection, and its last bytes are lost.
pub(crate) fn drain(mut stream: impl Read) {
    let _ = io::copy(&mut stream, &mut io::sink());
}
