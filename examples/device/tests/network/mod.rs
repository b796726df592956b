//! Servers on loopback that can fail and recover, and a bucket of S3.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Works,
    /// Closes new connections at once.
    Refuses,
    /// Never answers.
    Silent,
}

/// Serves each connection on its own thread, until the test ends.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    mode: Mutex<Mode>,
    connections: Mutex<Vec<TcpStream>>,
}

impl Server {
    pub fn start(serve: impl Fn(&TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let (accepting, serve) = (Arc::clone(&shared), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mode = accepting.mode.lock().unwrap();
                if *mode == Mode::Refuses {
                    continue;
                }
                accepting.connections.lock().unwrap().push(stream.try_clone().unwrap());
                let (silent, serve) = (*mode == Mode::Silent, Arc::clone(&serve));
                thread::spawn(move || {
                    if silent {
                        let _ = io::copy(&mut &stream, &mut io::sink());
                    } else {
                        serve(&stream);
                    }
                    // The server keeps another handle of the connection.
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Self { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes the behaviour of the server, and closes the open connections.
    pub fn set(&self, mode: Mode) {
        let mut current = self.shared.mode.lock().unwrap();
        *current = mode;
        for stream in self.shared.connections.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// The number of connections since the last change.
    pub fn connections(&self) -> usize {
        self.shared.connections.lock().unwrap().len()
    }
}

/// A bucket that accepts every signed upload, unless the test sets an error.
#[derive(Clone, Default)]
pub struct Bucket(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: Vec<Object>,
    refusals: Vec<(u16, &'static str)>,
}

#[derive(Clone)]
pub struct Object {
    pub path: String,
    /// The time in its signature.
    pub time: String,
    pub body: String,
}

impl Bucket {
    pub fn objects(&self) -> Vec<Object> {
        self.0.lock().unwrap().objects.clone()
    }

    /// The next uploads get an error.
    pub fn refuse(&self, status: u16, code: &'static str, times: usize) {
        self.0.lock().unwrap().refusals = vec![(status, code); times];
    }

    /// Answers one request.
    pub fn serve(&self, stream: &TcpStream) {
        let Some((path, body)) = read(stream) else { return };
        let (status, text) = self.answer(&path, body);
        let length = text.len();
        let _ = write!(
            &mut &*stream,
            "HTTP/1.1 {status} -\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
        );
    }

    fn answer(&self, target: &str, body: String) -> (u16, String) {
        let state = &mut *self.0.lock().unwrap();
        let error = |code| format!("<Error><Code>{code}</Code><Message>No.</Message></Error>");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let signed = ["X-Amz-Signature=", "X-Amz-Security-Token=", "X-Amz-Credential="];
        if !signed.iter().all(|part| query.contains(part)) {
            return (403, error("AccessDenied"));
        }
        if let Some((status, code)) = state.refusals.pop() {
            return (status, error(code));
        }
        let time = query.split('&').find_map(|part| part.strip_prefix("X-Amz-Date="));
        let (path, time) = (path.to_owned(), time.unwrap_or_default().to_owned());
        state.objects.retain(|object| object.path != path); // S3 replaces it
        state.objects.push(Object { path, time, body });
        (200, String::new())
    }
}

/// Reads a `PUT`, and returns its target and body.
fn read(stream: &TcpStream) -> Option<(String, String)> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let target = line.strip_prefix("PUT ")?.split(' ').next()?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        stream.read_line(&mut line).ok()?;
        match line.trim_end().to_ascii_lowercase().split_once(':') {
            None => break,
            Some(("content-length", value)) => length = value.trim().parse().ok()?,
            Some(_) => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((target, String::from_utf8(body).ok()?))
}
