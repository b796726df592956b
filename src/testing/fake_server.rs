//! [`FakeServer`]: [`FakeCognito`] on a loopback port.

use std::collections::HashMap;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::fake_cognito::FakeCognito;

/// Serves a [`FakeCognito`] over HTTP on 127.0.0.1, on a free port, for tests of whole programs in
/// any language.
///
/// One [`url`](Self::url) serves Cognito Identity, STS and the user pool. Several clients can be
/// connected at the same time, and a slow one does not delay the others.
///
/// Dropping the server closes its port and its connections, and waits for its threads. It connects
/// to its own port to wake the thread that accepts connections. If that fails within 500 ms, this
/// thread keeps running and the port stays open.
///
/// If a [`Fault`](super::Fault) has no answer, its kind decides what the server does:
///
/// | kind | the server |
/// |---|---|
/// | `Timeout` | stays silent until the client closes the connection |
/// | `Io` | closes the connection in the middle of the answer |
/// | `TooLarge` | sends 300 KiB |
/// | any other | closes the connection without an answer |
///
/// # Example
///
/// ```
/// # #[cfg(feature = "ureq")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use cognito_identity_credentials::CognitoIdentityCredentials;
/// use cognito_identity_credentials::testing::{FakeCognito, FakeServer};
///
/// let cognito = FakeCognito::new();
/// let server = FakeServer::start(cognito.clone())?;
///
/// let credentials = CognitoIdentityCredentials::builder()
///     .identity_pool_id(FakeCognito::POOL_ID)
///     .endpoint_url(server.url()) // for another program: AWS_ENDPOINT_URL
///     .build()?;
/// credentials.get()?;
/// assert_eq!(cognito.calls("GetId"), 1);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "ureq"))]
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct FakeServer {
    url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    cognito: FakeCognito,
    stopped: AtomicBool,
    /// The key is the number of the connection.
    connections: Mutex<HashMap<u64, Connection>>,
}

#[derive(Debug)]
struct Connection {
    stream: Arc<TcpStream>,
    thread: JoinHandle<()>,
}

impl FakeServer {
    /// Starts a server on its own thread. The server accepts connections when this returns.
    ///
    /// See the [example](Self#example).
    ///
    /// # Errors
    ///
    /// If it cannot open a port or start a thread.
    pub fn start(cognito: FakeCognito) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            cognito,
            stopped: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let accepting = shared.clone();
        let acceptor = thread::Builder::new()
            .name("fake-server".to_owned())
            .spawn(move || accept(&listener, &accepting))?;
        Ok(Self { url: format!("http://{address}"), address, shared, acceptor: Some(acceptor) })
    }

    /// Returns the URL of all services, such as `http://127.0.0.1:34567`.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // The acceptor checks `stopped` only after a connection arrives. Without one, `join` would
        // never return.
        let woken = TcpStream::connect_timeout(&self.address, Duration::from_millis(500)).is_ok();
        if let Some(acceptor) = self.acceptor.take().filter(|_| woken) {
            let _ = acceptor.join();
        }
        let connections = std::mem::take(&mut *self.shared.connections());
        for connection in connections.values() {
            let _ = connection.stream.shutdown(Shutdown::Both);
        }
        for connection in connections.into_values() {
            let _ = connection.thread.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, stream) in (0..).zip(listener.incoming()) {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        match stream {
            Ok(stream) => Shared::open(shared, number, stream),
            // No file descriptor is left: wait until another connection ends.
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

impl Shared {
    /// Serves a connection on its own thread. If no thread can be started, the connection is
    /// closed.
    fn open(self: &Arc<Self>, number: u64, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let stream = Arc::new(stream);
        let serving = Serving { shared: self.clone(), number, stream: stream.clone() };
        let mut connections = self.connections();
        let thread =
            thread::Builder::new().name("fake-server".to_owned()).spawn(move || serving.run());
        if let Ok(thread) = thread {
            connections.insert(number, Connection { stream, thread });
        }
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<u64, Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves one connection. Dropping it removes the connection from the open ones.
struct Serving {
    shared: Arc<Shared>,
    number: u64,
    stream: Arc<TcpStream>,
}

impl Serving {
    fn run(self) {
        let stream = &*self.stream;
        let _ = self.shared.cognito.serve(stream);
        // If unread bytes are left, closing resets the connection, and the client may lose the
        // answer.
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
        let _ = io::copy(&mut stream.take(8 * 1024 * 1024), &mut io::sink());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.shared.connections().remove(&self.number);
    }
}
