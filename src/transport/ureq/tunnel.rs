//! A tunnel through an HTTP proxy: the request `CONNECT` and its answers (RFC 9110, section 9.3.6).

use std::io::{self, Read, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::Proxy;
use zeroize::Zeroizing;

use super::stream::MaybeTlsStream;
use crate::redact;

/// The longest head of an answer to `CONNECT`.
const MAX_ANSWER: usize = 16 * 1024;
const MAX_HEADERS: usize = 128;

#[derive(Debug)]
pub(super) enum TunnelError {
    /// The proxy answered with this status.
    Refused(u16),
    Unauthorized {
        credentials_sent: bool,
        /// The authentication schemes that the proxy offers, if Basic is not one of them.
        offered: Option<String>,
    },
    Closed,
    NotHttp,
    Io(io::Error),
}

/// Opens a tunnel to `target` (host and port), within the stream's deadline.
pub(super) fn open(
    stream: &mut MaybeTlsStream,
    proxy: &Proxy,
    target: &str,
    user_agent: &str,
) -> Result<(), TunnelError> {
    let authorization = authorization(proxy);
    let mut head = vec![("Host", target), ("User-Agent", user_agent)];
    head.push(("Proxy-Connection", "Keep-Alive"));
    head.extend(authorization.as_ref().map(|value| ("Proxy-Authorization", value.as_str())));
    let lengths = head.iter().map(|(name, value)| name.len() + value.len() + 4);
    // The final size, because a string that grows leaves copies that are not wiped.
    let length = "CONNECT  HTTP/1.1\r\n\r\n".len() + target.len() + lengths.sum::<usize>();
    let mut request = Zeroizing::new(String::with_capacity(length));
    request.extend(["CONNECT ", target, " HTTP/1.1\r\n"]);
    for (name, value) in head.into_iter().filter(|(_, value)| !value.is_empty()) {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).map_err(TunnelError::Io)?;
    read_answer(stream, authorization.is_some())
}

/// Returns the header for Basic authentication (RFC 7617).
fn authorization(proxy: &Proxy) -> Option<Zeroizing<String>> {
    proxy.username().or(proxy.password())?;
    let (user, password) = (proxy.username().unwrap_or(""), proxy.password().unwrap_or(""));
    let pair = Zeroizing::new(format!("{user}:{password}"));
    let pair = Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes()));
    Some(Zeroizing::new(["Basic ", pair.as_str()].concat()))
}

fn read_answer(stream: &mut MaybeTlsStream, credentials_sent: bool) -> Result<(), TunnelError> {
    loop {
        match read_status(stream, credentials_sent)? {
            // An interim answer. Another answer follows it (RFC 9110, section 15.2).
            100 | 102..=199 => {}
            200..=299 => return Ok(()),
            status => return Err(TunnelError::Refused(status)),
        }
    }
}

/// Returns the status of the next answer. Reads byte by byte, because the bytes after the head
/// belong to the tunnel. Parses after each line, because a peer that does not use HTTP may never
/// stop.
fn read_status(stream: &mut MaybeTlsStream, credentials_sent: bool) -> Result<u16, TunnelError> {
    let mut head = Vec::new();
    let mut byte = [0];
    while head.len() < MAX_ANSWER {
        match stream.read(&mut byte) {
            Ok(0) if head.is_empty() => return Err(TunnelError::Closed),
            Ok(0) => break,
            Ok(_) => head.extend(byte),
            Err(error) => return Err(TunnelError::Io(error)),
        }
        if byte != *b"\n" {
            continue;
        }
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        match (response.parse(&head), response.code) {
            (Ok(httparse::Status::Complete(_)), Some(407)) => {
                return Err(TunnelError::Unauthorized {
                    credentials_sent,
                    offered: offered_schemes(response.headers),
                });
            }
            (Ok(httparse::Status::Complete(_)), Some(status)) => return Ok(status),
            (Ok(httparse::Status::Partial), _) => {}
            _ => break,
        }
    }
    Err(TunnelError::NotHttp)
}

/// Returns the authentication schemes in `Proxy-Authenticate`, unless Basic is one of them. A
/// scheme has only letters, digits and hyphens. Other words are parameters (RFC 9110, section
/// 11.6.1).
fn offered_schemes(headers: &[httparse::Header<'_>]) -> Option<String> {
    let offers = headers.iter().filter(|h| h.name.eq_ignore_ascii_case("proxy-authenticate"));
    let offers: Vec<_> = offers.map(|offer| String::from_utf8_lossy(offer.value)).collect();
    let words = offers.iter().flat_map(|offer| offer.split(','));
    let schemes: Vec<_> = words
        .filter_map(|word| word.split_whitespace().next())
        .filter(|word| word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
        .collect();
    let basic = schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case("basic"));
    (!basic && !schemes.is_empty()).then(|| redact::clean(&schemes.join(", ")))
}
