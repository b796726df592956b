//! Your own transport, for builds without HTTP and TLS crates. It sends plain HTTP over a socket to
//! a gateway on the same device. The gateway speaks TLS to the service, for example stunnel or the
//! daemon of a modem.
//!
//! ```sh
//! cargo run --example device_transport --no-default-features
//! ```
//!
//! Without settings, a thread plays the gateway. Set `GATEWAY=127.0.0.1:8080` and
//! `AWS_COGNITO_IDENTITY_POOL_ID` to call Cognito through your gateway.

use std::error::Error;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant, SystemTime};
use std::{env, thread};

use cognito_identity_credentials::CognitoIdentityCredentials;
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
};

const MAX_BODY: u64 = 256 * 1024;
const MAX_LINE: u64 = 8 * 1024;
/// With the head.
const MAX_ANSWER: usize = 300 * 1024;

/// Sends every request to a gateway. The `Host` header names the service.
pub(crate) struct Gateway(pub(crate) SocketAddr);

impl Transport for Gateway {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let begin = Instant::now();
        // A longer timeout would overflow the sum.
        let deadline = begin + request.timeout().min(Duration::from_secs(24 * 3600));
        let stream = left(deadline).and_then(|left| TcpStream::connect_timeout(&self.0, left));
        let stream = stream.map_err(|error| failure(error, TransportErrorKind::Connect))?;
        let mut socket =
            BufReader::new(Socket { stream, deadline, left: MAX_ANSWER, answered: false });
        exchange(&mut socket, request).map_err(|error| {
            let closed = !socket.get_ref().answered
                && matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof
                        | ErrorKind::ConnectionReset
                        | ErrorKind::ConnectionAborted
                        | ErrorKind::BrokenPipe
                );
            failure(error, if closed { TransportErrorKind::Closed } else { TransportErrorKind::Io })
        })
    }
}

fn failure(error: io::Error, otherwise: TransportErrorKind) -> TransportError {
    let kind = match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => TransportErrorKind::Timeout,
        ErrorKind::FileTooLarge => TransportErrorKind::TooLarge,
        _ => otherwise,
    };
    TransportError::new(kind, error)
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// A connection with one limit for the whole time and the whole size. With a limit for each read, a
/// server that sends single bytes could keep the connection open forever.
struct Socket {
    stream: TcpStream,
    deadline: Instant,
    left: usize,
    answered: bool,
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.stream.set_read_timeout(Some(left(self.deadline)?))?;
        let most = buffer.len().min(self.left);
        let read = self.stream.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.left -= read;
        self.answered |= read > 0;
        Ok(read)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.deadline)?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Uses HTTP/1.0, so the answer has no chunks, and no interim answer comes first.
fn exchange(socket: &mut BufReader<Socket>, request: &HttpRequest) -> io::Result<HttpResponse> {
    let (_, rest) = request.url().split_once("://").unwrap_or_default();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut head = Vec::new();
    write!(head, "POST /{path} HTTP/1.0\r\nhost: {host}\r\n")?;
    for (name, value) in request.headers() {
        write!(head, "{name}: {value}\r\n")?;
    }
    write!(head, "content-length: {}\r\n\r\n", request.body().len())?;
    socket.get_mut().write_all(&head)?;
    socket.get_mut().write_all(request.body())?;

    let first = read_line(socket)?;
    let version = first.strip_prefix("HTTP/1.0 ").or_else(|| first.strip_prefix("HTTP/1.1 "));
    let status = version.and_then(|rest| rest.get(..3)?.parse().ok());
    let Some(status @ 200..600) = status else { return Err(not_http()) };
    let mut headers = Vec::new();
    loop {
        let line = read_line(socket)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(not_http)?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let body = read_body(socket, &headers)?;
    Ok(headers.into_iter().fold(HttpResponse::new(status, body), |answer, (name, value)| {
        answer.with_header(name, value)
    }))
}

/// Reads a line without its line break.
fn read_line(socket: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    socket.take(MAX_LINE).read_until(b'\n', &mut line)?;
    match line.strip_suffix(b"\n") {
        Some(line) => Ok(String::from_utf8_lossy(line).trim_end_matches('\r').to_owned()),
        None if line.len() as u64 == MAX_LINE => Err(ErrorKind::FileTooLarge.into()),
        None => Err(ErrorKind::UnexpectedEof.into()),
    }
}

/// Reads as many bytes as `content-length` says, or until the connection ends.
fn read_body(socket: &mut impl BufRead, headers: &[(String, String)]) -> io::Result<Vec<u8>> {
    let mut expected = None;
    for (name, value) in headers {
        let length = value.parse::<u64>();
        match name.as_str() {
            "content-length" if expected.is_none_or(|other| Ok(other) == length) => {
                expected = Some(length.map_err(|_| not_http())?);
            }
            "content-length" | "transfer-encoding" => return Err(not_http()),
            _ => {}
        }
    }
    let mut body = Vec::new();
    let most = MAX_BODY + 1;
    socket.take(expected.unwrap_or(most).min(most)).read_to_end(&mut body)?;
    match body.len() as u64 {
        length if length > MAX_BODY => Err(ErrorKind::FileTooLarge.into()),
        length if expected.is_some_and(|expected| length < expected) => {
            Err(ErrorKind::UnexpectedEof.into())
        }
        _ => Ok(body),
    }
}

fn not_http() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "what answers there does not speak HTTP")
}

fn main() -> Result<(), Box<dyn Error>> {
    let variables = (env::var("GATEWAY"), env::var("AWS_COGNITO_IDENTITY_POOL_ID"));
    let (gateway, pool) = if let (Ok(gateway), Ok(pool)) = variables {
        (gateway.parse()?, pool)
    } else {
        println!("GATEWAY or AWS_COGNITO_IDENTITY_POOL_ID is not set: a thread stands in.");
        (stand_in()?, "us-east-1:12345678-dead-beef-cafe-123456790ab0".to_owned())
    };
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(pool)
        .transport(Gateway(gateway))
        .build()?;
    println!("{:?}", credentials.get()?);
    Ok(())
}

/// Answers every request with the same credentials.
fn stand_in() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let answer = |mut stream: &TcpStream| {
        let (mut request, mut headers) = (BufReader::new(stream), Vec::new());
        while let Some((name, value)) = read_line(&mut request)?.split_once(' ') {
            headers.push((name.trim_end_matches(':').to_owned(), value.to_owned()));
        }
        read_body(&mut request, &headers)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let body = format!(
            r#"{{"IdentityId": "us-east-1:12345678-dead-beef-cafe-123456790ab0", "Credentials": {{"AccessKeyId": "ASIATEST", "SecretKey": "secret", "SessionToken": "token", "Expiration": {}}}}}"#,
            now.as_secs() + 3600
        );
        write!(stream, "HTTP/1.0 200 OK\r\n\r\n{body}")
    };
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Err(error) = answer(&stream) {
                eprintln!("the gateway's stand-in: {error}");
            }
        }
    });
    Ok(address)
}
