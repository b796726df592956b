//! HTTP/1.1 on one connection of a fake server.

use std::io::{self, BufRead, BufReader, Read, Write};

use crate::transport::{HttpResponse, TransportErrorKind};

const MAX_HEAD: u64 = 64 * 1024;
const MAX_BODY: usize = 1024 * 1024;

pub(super) struct Request {
    pub(super) method: String,
    /// The part of the URL after the host.
    pub(super) target: String,
    /// The names are in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// Why no request was read.
enum Failure {
    Connection(io::Error),
    /// The server answers with this status and closes the connection.
    Refused(u16),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

/// Answers one request after another, until the client closes the connection or a fault ends it.
///
/// If `answer` returns an error, the client sees the same failure: no answer, half an answer, an
/// answer that is too large, or a closed connection.
pub(super) fn serve(
    connection: impl Read + Write,
    answer: impl Fn(Request) -> Result<HttpResponse, TransportErrorKind>,
) -> io::Result<()> {
    let mut stream = BufReader::new(connection);
    loop {
        let (request, persistent) = match read_request(&mut stream) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(Failure::Connection(error)) => return Err(error),
            Err(Failure::Refused(status)) => {
                let refusal = HttpResponse::new(status, "").with_header("connection", "close");
                return write_answer(stream.get_mut(), &refusal, true);
            }
        };
        let has_body = request.method != "HEAD";
        match answer(request) {
            Ok(answer) if persistent => write_answer(stream.get_mut(), &answer, has_body)?,
            Ok(answer) => {
                let last = answer.with_header("connection", "close");
                return write_answer(stream.get_mut(), &last, has_body);
            }
            Err(TransportErrorKind::Timeout) => {
                return io::copy(&mut stream, &mut io::sink()).map(|_| ());
            }
            Err(TransportErrorKind::Io) => {
                let half = HttpResponse::new(200, "{").with_header("content-length", "100");
                return write_answer(stream.get_mut(), &half, true);
            }
            Err(TransportErrorKind::TooLarge) => {
                let large = HttpResponse::new(200, vec![b' '; 300 * 1024]);
                return write_answer(stream.get_mut(), &large, true);
            }
            Err(_) => return Ok(()),
        }
    }
}

/// Returns the next request, and whether the connection stays open after it.
fn read_request(
    stream: &mut BufReader<impl Read + Write>,
) -> Result<Option<(Request, bool)>, Failure> {
    let mut left = MAX_HEAD;
    let mut line = String::new();
    while line.is_empty() {
        match read_line(stream, &mut left)? {
            Some(next) => line = next,
            None => return Ok(None),
        }
    }
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version @ ("HTTP/1.0" | "HTTP/1.1")), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Failure::Refused(400));
    };
    let headers = read_headers(stream, &mut left)?;
    let values = |name: &str| {
        let of_name = headers.iter().filter(|(key, _)| key == name);
        of_name.map(|(_, value)| value.to_ascii_lowercase()).collect::<Vec<_>>()
    };
    let (encodings, mut lengths) = (values("transfer-encoding"), values("content-length"));
    lengths.dedup();
    let length = match (encodings.as_slice(), lengths.as_slice()) {
        ([], []) => Some(0),
        ([], [length]) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
            let length = length.parse().ok().filter(|length| *length <= MAX_BODY);
            Some(length.ok_or(Failure::Refused(413))?)
        }
        ([encoding], []) if encoding == "chunked" => None,
        ([_, ..], []) => return Err(Failure::Refused(501)),
        _ => return Err(Failure::Refused(400)),
    };
    if length != Some(0) && values("expect").iter().any(|value| value == "100-continue") {
        stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        stream.get_mut().flush()?;
    }
    let body = match length {
        Some(length) => read_bytes(stream, length)?,
        None => read_chunks(stream)?,
    };
    let closes = values("connection").iter().any(|value| value.contains("close"));
    let persistent = version == "HTTP/1.1" && !closes;
    let (method, target) = (method.to_owned(), target.to_owned());
    Ok(Some((Request { method, target, headers, body }, persistent)))
}

fn read_headers(
    stream: &mut impl BufRead,
    left: &mut u64,
) -> Result<Vec<(String, String)>, Failure> {
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream, left)?.ok_or_else(ended_early)?;
        if line.is_empty() {
            return Ok(headers);
        }
        match line.split_once(':') {
            Some((name, value)) if !name.is_empty() && !name.contains([' ', '\t']) => {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            _ => return Err(Failure::Refused(400)),
        }
    }
}

fn read_chunks(stream: &mut impl BufRead) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream, &mut 1024)?.ok_or_else(ended_early)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Failure::Refused(400));
        }
        let size = usize::from_str_radix(size, 16).unwrap_or(usize::MAX);
        if size > MAX_BODY - body.len() {
            return Err(Failure::Refused(413));
        }
        if size == 0 {
            let mut trailer = MAX_HEAD;
            read_headers(stream, &mut trailer)?;
            return Ok(body);
        }
        body.extend(read_bytes(stream, size)?);
        if read_line(stream, &mut 1024)?.is_none_or(|line| !line.is_empty()) {
            return Err(Failure::Refused(400));
        }
    }
}

fn read_bytes(stream: &mut impl BufRead, length: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Returns a line without its line break, or `None` if the client has closed the connection. `left`
/// is the number of bytes that may still follow.
fn read_line(stream: &mut impl BufRead, left: &mut u64) -> Result<Option<String>, Failure> {
    let mut line = Vec::new();
    let length = stream.take(*left).read_until(b'\n', &mut line)?;
    *left -= length as u64;
    match line.last() {
        Some(b'\n') => {
            let line = String::from_utf8_lossy(&line);
            Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
        }
        _ if *left == 0 => Err(Failure::Refused(431)),
        Some(_) => Err(ended_early()),
        None => Ok(None),
    }
}

fn ended_early() -> Failure {
    Failure::Connection(io::ErrorKind::UnexpectedEof.into())
}

fn write_answer(stream: &mut impl Write, answer: &HttpResponse, with_body: bool) -> io::Result<()> {
    let (status, body) = (answer.status(), answer.body());
    let reason = if status < 400 { "OK" } else { "Error" };
    let mut text = format!("HTTP/1.1 {status} {reason}\r\n").into_bytes();
    for (name, value) in answer.headers() {
        write!(text, "{name}: {value}\r\n")?;
    }
    let content_type = match body.first() {
        Some(b'{') => Some("application/x-amz-json-1.1"),
        Some(b'<') => Some("text/xml"),
        _ => None,
    };
    if let Some(content_type) = content_type.filter(|_| answer.header("content-type").is_none()) {
        write!(text, "content-type: {content_type}\r\n")?;
    }
    let may_have_body = !matches!(status, 100..=199 | 204 | 304);
    if may_have_body && answer.header("content-length").is_none() {
        write!(text, "content-length: {}\r\n", body.len())?;
    }
    text.extend_from_slice(b"\r\n");
    if with_body && may_have_body {
        text.extend_from_slice(body);
    }
    stream.write_all(&text)?;
    stream.flush()
}
