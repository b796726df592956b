//! A client of the endpoint for container credentials, and `serve` as a process that a test ends.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::service::{Machine, PATIENCE, signal};

/// The URL of an endpoint, and its token.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: String,
    pub(crate) path: String,
    pub(crate) token: String,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn parse(text: &str) -> Self {
        let (headers, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
        let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
        let body = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {text}"));
        Self { status, headers: headers.to_ascii_lowercase(), body }
    }

    /// Returns the access key ID. The answer must have credentials.
    pub(crate) fn key(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.body["AccessKeyId"].as_str().unwrap().to_owned()
    }
}

impl Endpoint {
    pub(crate) fn new(uri: &str, token: impl Into<String>) -> Self {
        let rest = uri.strip_prefix("http://").unwrap();
        let (address, path) = rest.split_once('/').unwrap();
        Self { address: address.into(), path: format!("/{path}"), token: token.into() }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Returns the request that an SDK sends.
    pub(crate) fn request(&self) -> String {
        let Self { address, path, token } = self;
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {token}\r\n\r\n")
    }

    pub(crate) fn get(&self) -> Answer {
        Answer::parse(&self.send(self.request().as_bytes()))
    }

    /// Sends these bytes and returns the answer.
    pub(crate) fn send(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }
}

/// `serve`, which is killed when the test ends.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) child: Child,
    pub(crate) endpoint: Endpoint,
    pub(crate) token_file: PathBuf,
}

impl Serving {
    pub(crate) fn start(machine: &Machine) -> Self {
        Self::spawn(command(machine, &[]))
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let mut value = |name: &str| {
            let line = lines.next().unwrap_or_else(|| panic!("no {name}")).unwrap();
            line.strip_prefix(&format!("{name}=")).unwrap_or_else(|| panic!("{line}")).to_owned()
        };
        let uri = value("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        let token_file = PathBuf::from(value("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"));
        let endpoint = Endpoint::new(&uri, fs::read_to_string(&token_file).unwrap());
        Self { child, endpoint, token_file }
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Sends SIGTERM. `serve` must end within 2 s.
    pub(crate) fn end(mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended(Duration::from_secs(2))
    }

    pub(crate) fn ended(&mut self, limit: Duration) -> ExitStatus {
        let begun = Instant::now();
        let status = within(PATIENCE, || self.child.try_wait().unwrap());
        assert!(begun.elapsed() < limit, "{:?}", begun.elapsed());
        status
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `serve` with a token file in the machine's home.
pub(crate) fn command(machine: &Machine, arguments: &[&str]) -> Command {
    let mut command = machine.command(&[&["serve"], arguments].concat());
    command.env("XDG_RUNTIME_DIR", machine.home.path());
    command
}

/// Calls `ask` until it returns an answer.
pub(crate) fn within<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < limit, "nothing within {limit:?}");
        thread::sleep(Duration::from_millis(5));
    }
}
