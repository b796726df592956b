//! A tunnel through an HTTP proxy: the request `CONNECT` and what proxies answer to it (RFC 9110,
//! section 9.3.6).

use std::io::{self, Read, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::Proxy;
use zeroize::Zeroizing;

use super::link::Link;
use crate::redact::Masks;

/// A longer answer to `CONNECT` is none.
const LONGEST_ANSWER: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;

/// Why a proxy opened no tunnel.
#[derive(Debug)]
pub(super) enum TunnelError {
    /// It answered with this status.
    Refused(u16),
    /// It asks for a user name and password.
    Unauthorized {
        sent: bool,
        /// The ways to authenticate that it offers, if Basic is not among them.
        offered: Option<String>,
    },
    Closed,
    NotHttp,
    Io(io::Error),
}

/// Asks for a tunnel to `target`, a host and a port. The link's deadline limits the whole of it.
pub(super) fn open(
    link: &mut Link,
    proxy: &Proxy,
    target: &str,
    user_agent: &str,
) -> Result<(), TunnelError> {
    let authorization = authorization(proxy);
    let mut request = Zeroizing::new(format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Connection: Keep-Alive\r\n"
    ));
    for (name, value) in [
        ("User-Agent", Some(user_agent)),
        ("Proxy-Authorization", authorization.as_deref().map(String::as_str)),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            request.reserve_exact(name.len() + value.len() + 8);
            for part in [name, ": ", value, "\r\n"] {
                request.push_str(part);
            }
        }
    }
    request.push_str("\r\n");
    link.write_all(request.as_bytes()).map_err(TunnelError::Io)?;
    answer(link, authorization.is_some())
}

/// Basic authentication (RFC 7617).
fn authorization(proxy: &Proxy) -> Option<Zeroizing<String>> {
    proxy.username().or(proxy.password())?;
    let (user, password) = (proxy.username().unwrap_or(""), proxy.password().unwrap_or(""));
    let pair = Zeroizing::new(format!("{user}:{password}"));
    Some(Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes()))))
}

fn answer(link: &mut Link, sent: bool) -> Result<(), TunnelError> {
    let mut received = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let read = link.read(&mut chunk).map_err(TunnelError::Io)?;
        received.extend_from_slice(chunk.get(..read).unwrap_or_default());
        if read == 0 {
            return Err(TunnelError::Closed);
        }
        while let Some((status, length, offered)) = head(&received)? {
            match status {
                // Interim answers: another one follows (RFC 9110, section 15.2).
                100 | 102..=199 => drop(received.drain(..length)),
                // Nothing may follow, for the client speaks first in the tunnel.
                200..=299 if received.len() == length => return Ok(()),
                200..=299 => return Err(TunnelError::NotHttp),
                407 => return Err(TunnelError::Unauthorized { sent, offered }),
                status => return Err(TunnelError::Refused(status)),
            }
        }
        if received.len() > LONGEST_ANSWER {
            return Err(TunnelError::NotHttp);
        }
    }
}

/// The status of a complete head, its length, and the offers that are not Basic authentication.
fn head(received: &[u8]) -> Result<Option<(u16, usize, Option<String>)>, TunnelError> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(received) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(TunnelError::NotHttp),
    };
    let offers = response.headers.iter();
    let offers = offers.filter(|header| header.name.eq_ignore_ascii_case("proxy-authenticate"));
    let offers: Vec<_> = offers.map(|header| String::from_utf8_lossy(header.value)).collect();
    Ok(Some((response.code.unwrap_or(0), length, other_offers(&offers.join(", ")))))
}

/// The schemes in a `Proxy-Authenticate`, unless Basic is one of them. A scheme is a word that no `=`
/// follows: that would be a parameter (RFC 9110, section 11.6.1).
fn other_offers(offers: &str) -> Option<String> {
    let first_words = offers.split(',').filter_map(|offer| offer.split_whitespace().next());
    let schemes: Vec<_> = first_words.filter(|word| !word.contains('=')).collect();
    let basic = schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case("basic"));
    (!basic && !schemes.is_empty()).then(|| Masks::default().clean(&schemes.join(", ")))
}
