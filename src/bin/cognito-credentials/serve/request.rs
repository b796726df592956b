//! One request: [`Guard`] reads its header, and refuses all requests but those of an SDK.

use std::net::SocketAddr;

use httparse::{EMPTY_HEADER, Error, Header, Status};

use super::token::Token;

/// The most bytes of a request header. SDKs send less than 1 KiB.
pub(super) const MAX_HEAD: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;
const PATH: &str = "/credentials";
/// The most characters of a path in the log.
const MAX_SHOWN: usize = 64;

/// Why a request is refused. The SDKs show this text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The status line, without the version.
    pub(super) status: &'static str,
    pub(super) code: &'static str,
    pub(super) message: &'static str,
}

const MALFORMED: Refusal = Refusal {
    status: "400 Bad Request",
    code: "BadRequest",
    message: "this is not an HTTP request with one Host and at most one Authorization header",
};
const HAS_BODY: Refusal = Refusal { message: "the request must not have a body", ..MALFORMED };
const TOO_LONG: Refusal = Refusal {
    status: "431 Request Header Fields Too Large",
    code: "BadRequest",
    message: "the head of the request is too long",
};
const WRONG_HOST: Refusal = Refusal {
    status: "403 Forbidden",
    code: "AccessDenied",
    message: "the Host header must be the address of AWS_CONTAINER_CREDENTIALS_FULL_URI",
};
const WRONG_TOKEN: Refusal = Refusal {
    message: "the Authorization header must be the token of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or AWS_CONTAINER_AUTHORIZATION_TOKEN; it changes with each start",
    ..WRONG_HOST
};
const WRONG_PATH: Refusal = Refusal {
    status: "404 Not Found",
    code: "NotFound",
    message: "use the path of AWS_CONTAINER_CREDENTIALS_FULL_URI",
};
const WRONG_METHOD: Refusal = Refusal {
    status: "405 Method Not Allowed",
    code: "BadRequest",
    message: "only GET is allowed",
};

/// A request whose header is complete.
pub(super) struct Request {
    /// Method and path, for the log.
    pub(super) line: String,
    pub(super) refusal: Option<Refusal>,
}

pub(super) struct Guard {
    host: String,
    pub(super) token: Token,
}

impl Guard {
    pub(super) fn new(address: SocketAddr, token: Token) -> Self {
        Self { host: address.to_string(), token }
    }

    pub(super) fn uri(&self) -> String {
        format!("http://{}{PATH}", self.host)
    }

    /// Reads the header of a request. `None` if it is not complete yet.
    pub(super) fn read(&self, bytes: &[u8]) -> Option<Request> {
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        let refusal = match head.parse(bytes) {
            Ok(Status::Complete(_)) => self.refusal(&head),
            Ok(Status::Partial) if bytes.len() < MAX_HEAD => return None,
            Ok(Status::Partial) | Err(Error::TooManyHeaders) => Some(TOO_LONG),
            Err(_) => Some(MALFORMED),
        };
        let [method, path] = [head.method, head.path].map(Option::unwrap_or_default).map(shown);
        Some(Request { line: format!("{method} {path}"), refusal })
    }

    fn refusal(&self, head: &httparse::Request<'_, '_>) -> Option<Refusal> {
        let (Ok(Some(host)), Ok(token)) =
            (only(head.headers, "host"), only(head.headers, "authorization"))
        else {
            return Some(MALFORMED);
        };
        // Web pages can reach this port through a host name that resolves to 127.0.0.1.
        if !self.is_own_host(host) {
            return Some(WRONG_HOST);
        }
        if head.path != Some(PATH) {
            return Some(WRONG_PATH);
        }
        if head.method != Some("GET") {
            return Some(WRONG_METHOD);
        }
        if has_body(head.headers) {
            return Some(HAS_BODY);
        }
        let is_right = token.is_some_and(|token| self.token.is(token));
        (!is_right).then_some(WRONG_TOKEN)
    }

    /// Returns `true` if a Host header names this endpoint. Clients leave out the port if it is 80.
    fn is_own_host(&self, host: &[u8]) -> bool {
        host == self.host.as_bytes()
            || self.host.strip_suffix(":80").is_some_and(|name| host == name.as_bytes())
    }
}

/// Returns the value of a header. Returns an error if the header appears twice.
fn only<'a>(headers: &[Header<'a>], name: &str) -> Result<Option<&'a [u8]>, ()> {
    let mut found = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(()),
        (first, None) => Ok(first.map(|header| header.value)),
    }
}

fn has_body(headers: &[Header<'_>]) -> bool {
    headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("transfer-encoding")
            || header.name.eq_ignore_ascii_case("content-length") && header.value != b"0"
    })
}

/// Shortens a text from a client for the log, and escapes control characters.
fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(port: u16) -> Guard {
        Guard::new(SocketAddr::from(([127, 0, 0, 1], port)), Token::new().unwrap())
    }

    #[test]
    fn a_request_of_an_sdk_is_granted_and_every_other_one_is_refused() {
        let guard = guard(4711);
        let host = "Host: 127.0.0.1:4711\r\n";
        let token = &format!("Authorization: {}\r\n", guard.token.as_str());
        let long = &format!("X: {}\r\n", "x".repeat(MAX_HEAD));
        let many = &"X: x\r\n".repeat(MAX_HEADERS + 1);
        let get = "GET /credentials HTTP/1.1\r\n";
        let rows: &[(&[&str], Option<Refusal>)] = &[
            (&[get, host, token], None),
            (&["GET /credentials HTTP/1.0\r\n", host, token], None),
            (&[get, "hOST:   127.0.0.1:4711  \r\n", "Content-Length: 0\r\n", token], None),
            (&[get, host], Some(WRONG_TOKEN)),
            (&[get, host, "Authorization: \r\n"], Some(WRONG_TOKEN)),
            (&[get, host, "Authorization: Bearer x\r\n"], Some(WRONG_TOKEN)),
            (&[get, host, token, token], Some(MALFORMED)),
            (&[get, token], Some(MALFORMED)),
            (&[get, host, host, token], Some(MALFORMED)),
            (&[get, "Host: localhost:4711\r\n", token], Some(WRONG_HOST)),
            (&[get, "Host: 127.0.0.1\r\n", token], Some(WRONG_HOST)),
            (&[get, "Host: evil.example:4711\r\n", token], Some(WRONG_HOST)),
            (&["GET / HTTP/1.1\r\n", host, token], Some(WRONG_PATH)),
            (&["GET /credentials?a HTTP/1.1\r\n", host, token], Some(WRONG_PATH)),
            (
                &["GET http://127.0.0.1:4711/credentials HTTP/1.1\r\n", host, token],
                Some(WRONG_PATH),
            ),
            (&["POST /credentials HTTP/1.1\r\n", host, token], Some(WRONG_METHOD)),
            (&["HEAD /credentials HTTP/1.1\r\n", host, token], Some(WRONG_METHOD)),
            (&["OPTIONS /credentials HTTP/1.1\r\n", host, token], Some(WRONG_METHOD)),
            (&["get /credentials HTTP/1.1\r\n", host, token], Some(WRONG_METHOD)),
            (&[get, host, "Content-Length: 1\r\n", token], Some(HAS_BODY)),
            (&[get, host, "Transfer-Encoding: chunked\r\n", token], Some(HAS_BODY)),
            (&[get, host, long, token], Some(TOO_LONG)),
            (&[get, host, many, token], Some(TOO_LONG)),
            (&["GET /credentials\r\n", host, token], Some(MALFORMED)),
            (&["GET /credentials HTTP/2.0\r\n", host, token], Some(MALFORMED)),
            (&["\u{16}\u{3}\u{1}"], Some(MALFORMED)),
            (&[get, host, "No colon\r\n", token], Some(MALFORMED)),
            (&[get, host, " folded\r\n", token], Some(MALFORMED)),
        ];
        for (lines, expected) in rows {
            let head = format!("{}\r\n", lines.concat());
            let received = &head.as_bytes()[..head.len().min(MAX_HEAD)];
            let request = guard.read(received).unwrap();
            assert_eq!(request.refusal, *expected, "{head}");
            assert!(!request.line.contains(guard.token.as_str()), "{}", request.line);
        }
    }

    #[test]
    fn a_request_is_read_only_when_its_head_is_complete() {
        let guard = guard(80);
        let token = guard.token.as_str();
        let head = format!(
            "GET /credentials HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {token}\r\n\r\n"
        );
        for end in 0..head.len() {
            assert!(guard.read(&head.as_bytes()[..end]).is_none(), "{end}");
        }
        assert_eq!(guard.read(head.as_bytes()).unwrap().refusal, None);
    }

    #[test]
    fn text_from_a_client_is_escaped_and_shortened_for_the_log() {
        let guard = guard(1);
        let head = format!("GET /\u{9b}2J{} HTTP/1.1\r\n\r\n", "x".repeat(300));
        let line = guard.read(head.as_bytes()).unwrap().line;
        assert!(line.len() < 100 && !line.contains(char::is_control), "{line}");
    }
}
