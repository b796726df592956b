//! The cases: what the peer does, and what `get()` returns.

use std::net::SocketAddr;

use cognito_identity_credentials::ErrorKind;

use crate::ids::IDENTITY;
use crate::peer::Step::{self, *};
use crate::peer::Wire;
use crate::service::{DATE, assumed, http, issued, keys, ok, raw};

mod bodies;
mod floods;
mod framing;
mod heads;
mod interruptions;
mod statuses;
mod tls;

pub(crate) fn all(elsewhere: SocketAddr) -> Vec<Case> {
    [
        interruptions::silent(),
        interruptions::slow(),
        interruptions::closed(),
        framing::lengths(),
        framing::chunks(),
        floods::floods(),
        heads::heads(),
        statuses::statuses(),
        statuses::redirects(elsewhere),
        bodies::json(),
        bodies::xml(elsewhere),
        framing::second_answers(),
        tls::tls(elsewhere),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The calls that one `get()` makes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Calls {
    /// `GetCredentialsForIdentity`.
    One,
    /// `GetId`, then `GetCredentialsForIdentity`.
    Two,
    /// `GetOpenIdToken`, then `AssumeRoleWithWebIdentity`.
    Classic,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// `get()` returns credentials with this access key.
    Key(&'static str),
    Fails {
        kind: ErrorKind,
        retryable: bool,
    },
}

pub(crate) const TAKEN: Outcome = Outcome::Key("HOSTILE");
pub(crate) const HEALTHY: Outcome = Outcome::Key("HEALTHY");
pub(crate) const TIMEOUT: Outcome = fails(ErrorKind::Timeout, true);
const BROKEN: Outcome = fails(ErrorKind::Unreachable, true);
const REFUSED_TLS: Outcome = fails(ErrorKind::Tls, false);
const UNUSABLE: Outcome = fails(ErrorKind::Response, false);
const UNAVAILABLE: Outcome = fails(ErrorKind::Unavailable, true);

const fn fails(kind: ErrorKind, retryable: bool) -> Outcome {
    Outcome::Fails { kind, retryable }
}

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) wire: Wire,
    pub(crate) calls: Calls,
    pub(crate) steps: Vec<Step>,
    pub(crate) outcome: Outcome,
}

fn case(
    name: impl Into<String>,
    wire: Wire,
    calls: Calls,
    outcome: Outcome,
    steps: impl Into<Vec<Step>>,
) -> Case {
    Case { name: name.into(), wire, calls, steps: steps.into(), outcome }
}

fn plain(name: impl Into<String>, outcome: Outcome, steps: impl Into<Vec<Step>>) -> Case {
    case(name, Wire::Plain, Calls::One, outcome, steps)
}

/// Answers the first request with these bytes, and all further ones as the service.
fn answer(name: impl Into<String>, outcome: Outcome, bytes: impl Into<Vec<u8>>) -> Case {
    plain(name, outcome, [Request, say(bytes), Serve])
}

/// Answers the request with these bytes, and closes the connection.
fn last(name: impl Into<String>, outcome: Outcome, bytes: impl Into<Vec<u8>>) -> Case {
    plain(name, outcome, [Request, say(bytes)])
}

/// Answers the request with these bytes, and falls silent.
fn silent_after(name: &str, bytes: impl Into<Vec<u8>>) -> Case {
    plain(name, TIMEOUT, [Request, say(bytes), Hold])
}

fn say(bytes: impl Into<Vec<u8>>) -> Step {
    Say(bytes.into())
}

fn chunked(body: impl AsRef<[u8]>) -> Vec<u8> {
    raw("Transfer-Encoding: chunked\r\n", body)
}

/// The whole answer in one chunk.
fn one_chunk() -> String {
    let good = issued("HOSTILE");
    format!("{:x}\r\n{good}\r\n0\r\n\r\n", good.len())
}

/// An answer that the peer sends without a request.
fn injected() -> Vec<u8> {
    ok(issued("INJECTED"))
}

const PORTAL: &str = "<!DOCTYPE html><html><body>Welcome to our WiFi! <b>Sign in</b></body></html>";

fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..length).map(|_| random.u8(..)).collect()
}

/// 64 KiB.
fn block() -> Vec<u8> {
    vec![b'x'; 64 * 1024]
}

fn nested(open: &str, close: &str, depth: usize) -> String {
    open.repeat(depth) + &close.repeat(depth)
}

/// Answers `AssumeRoleWithWebIdentity` with this document.
fn sts(name: &str, outcome: Outcome, xml: impl AsRef<[u8]>) -> Case {
    let steps = [Request, Answer, Request, say(ok(xml)), Serve];
    case(format!("sts: {name}"), Wire::Plain, Calls::Classic, outcome, steps)
}

fn utf16(text: &str, with_mark: bool) -> Vec<u8> {
    let mark = with_mark.then_some(0xfeff);
    mark.into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

/// A TLS record with this length in its header.
fn record(kind: u8, version: u16, length: u16, content: &[u8]) -> Vec<u8> {
    [&[kind][..], &version.to_be_bytes(), &length.to_be_bytes(), content].concat()
}

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const TLS12: u16 = 0x0303;
