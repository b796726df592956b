//! A hostile peer on raw sockets: whatever it does, `get()` is back in time with the right kind of
//! error, has used little memory, leaves nothing behind, and works again once the peer behaves.
//!
//! A binary of its own, for it counts the memory, the threads and the sockets of the whole process.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::too_many_lines,
    clippy::print_stdout,
    clippy::format_collect,
    reason = "a test fails by panicking, and a table of cases is one long function"
)]
#![allow(unsafe_code, reason = "an allocator that counts cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use cognito_identity_credentials::transport::UreqTransport;
use cognito_identity_credentials::{CognitoIdentityCredentials, Error, ErrorKind};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Counts what is allocated at any moment, and the most since the last reset.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn count(size: usize) {
    let now = ALLOCATED.fetch_add(size, Ordering::SeqCst) + size;
    PEAK.fetch_max(now, Ordering::SeqCst);
}

// SAFETY: every call goes on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::SeqCst);
        unsafe { System.dealloc(block, layout) }
    }

    /// While a block moves, both copies count.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        let moved = unsafe { System.realloc(block, layout, size) };
        ALLOCATED.fetch_sub(layout.size(), Ordering::SeqCst);
        moved
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const POOL: &str = "us-east-1:12345678-dead-beef-cafe-123456790abc";
const IDENTITY: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";
const ROLE: &str = "arn:aws:iam::123456789012:role/r";
const DATE: &str = "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n";

const MOST_MEMORY: usize = 2 * 1024 * 1024;
/// What a loaded machine may add to a time limit.
const MARGIN: Duration = Duration::from_secs(3);
/// Between two bytes of a slow peer.
const SLOW: Duration = Duration::from_millis(20);
/// A peer that is left alone gives up, so that the test ends in any case.
const PEER_LIMIT: Duration = Duration::from_secs(20);

/// What the peer does with one connection. After the last step it ends its side and reads on until
/// the other side has ended too.
#[derive(Clone, Debug)]
enum Step {
    /// Reads one request.
    Request,
    /// Answers the last request as the service would.
    Answer,
    /// Reads one request and answers it, if it is the first of the calls that a `get()` makes;
    /// falls silent at any other.
    First,
    Say(Vec<u8>),
    /// Says it so many times, or until nobody listens any more.
    Repeat(Vec<u8>, usize),
    /// Says both in one go, over TLS each in a record of its own.
    Together([Vec<u8>; 2]),
    /// Says it slowly, byte by byte.
    Drip(Vec<u8>),
    /// Says it when the first `get()` is over, before the next begins.
    SayLate(Vec<u8>),
    /// Says it beneath the TLS.
    SayBeneath(Vec<u8>),
    /// Reads some bytes, whatever they are.
    Listen,
    /// Does nothing until the other side has ended.
    Hold,
    /// Ends beneath the TLS, without a farewell.
    Cut,
    /// Ends with RST.
    Reset,
    /// Behaves from now on.
    Serve,
}

use Step::{
    Answer, Cut, Drip, First, Hold, Listen, Repeat, Request, Reset, Say, SayBeneath, SayLate,
    Serve, Together,
};

/// How the two sides talk.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wire {
    Plain,
    Tls,
    /// A TLS server of which only so many bytes come through, the rest never or slowly.
    TlsStuck(usize),
    TlsSlow,
    TlsCut(usize),
    /// The library wants TLS; the steps are what stands beneath.
    Beneath,
}

/// Which calls one `get()` makes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Calls {
    /// `GetCredentialsForIdentity`.
    One,
    /// `GetId` before it.
    Two,
    /// `GetOpenIdToken` and STS.
    Classic,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    /// With this access key.
    Key(&'static str),
    /// With this kind, and whether it is worth a repeat.
    Fails(ErrorKind, bool),
}

const TAKEN: Outcome = Outcome::Key("HOSTILE");
const HEALTHY: Outcome = Outcome::Key("HEALTHY");
const TIMEOUT: Outcome = Outcome::Fails(ErrorKind::Timeout, true);
const BROKEN: Outcome = Outcome::Fails(ErrorKind::Unreachable, true);
const REFUSED_TLS: Outcome = Outcome::Fails(ErrorKind::Tls, false);
const UNUSABLE: Outcome = Outcome::Fails(ErrorKind::Response, false);
const UNAVAILABLE: Outcome = Outcome::Fails(ErrorKind::Unavailable, true);

struct Case {
    name: String,
    wire: Wire,
    calls: Calls,
    steps: Vec<Step>,
    outcome: Outcome,
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

/// The answer to the first request; then the peer behaves, on the same connection.
fn answer(name: impl Into<String>, outcome: Outcome, bytes: impl Into<Vec<u8>>) -> Case {
    plain(name, outcome, [Request, say(bytes), Serve])
}

/// The answer to each request; then the peer ends the connection.
fn last(name: impl Into<String>, outcome: Outcome, bytes: impl Into<Vec<u8>>) -> Case {
    plain(name, outcome, [Request, say(bytes)])
}

fn say(bytes: impl Into<Vec<u8>>) -> Step {
    Say(bytes.into())
}

/// An answer of HTTP that is complete.
fn http(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{DATE}{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    http("200 OK", "", body)
}

/// An answer of HTTP with any headers; the body follows as it is.
fn raw(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{DATE}{headers}\r\n");
    [head.as_bytes(), body.as_ref()].concat()
}

fn chunked(body: impl AsRef<[u8]>) -> Vec<u8> {
    raw("Transfer-Encoding: chunked\r\n", body)
}

fn keys(access_key: &str) -> String {
    format!(
        r#"{{"AccessKeyId":"{access_key}","SecretKey":"secret","SessionToken":"token","Expiration":1767229200}}"#
    )
}

fn issued(access_key: &str) -> String {
    format!(r#"{{"IdentityId":"{IDENTITY}","Credentials":{}}}"#, keys(access_key))
}

fn assumed(access_key: &str) -> String {
    format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2026-01-01T01:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )
}

/// Before the declaration and the document of STS, and inside the document.
fn sts(name: &str, outcome: Outcome, xml: impl AsRef<[u8]>) -> Case {
    let steps = [Request, Answer, Request, say(ok(xml)), Serve];
    case(format!("sts: {name}"), Wire::Plain, Calls::Classic, outcome, steps)
}

fn utf16(text: &str, with_mark: bool) -> Vec<u8> {
    let mark = with_mark.then_some(0xfeff);
    mark.into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

/// A record of TLS.
fn record(kind: u8, version: u16, length: u16, content: &[u8]) -> Vec<u8> {
    [&[kind][..], &version.to_be_bytes(), &length.to_be_bytes(), content].concat()
}

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const TLS12: u16 = 0x0303;

fn cases(elsewhere: SocketAddr) -> Vec<Case> {
    let good = issued("HOSTILE");
    let length = good.len();
    let half = &good[..length / 2];
    let size = format!("{length:x}");
    let one_chunk = format!("{size}\r\n{good}\r\n0\r\n\r\n");
    let noise = |length, seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..length).map(|_| random.u8(..)).collect::<Vec<u8>>()
    };
    let megabyte = vec![b'x'; 64 * 1024];
    let mut all = Vec::new();

    // Falls silent.
    all.extend([
        plain("silent from the start", TIMEOUT, [Hold]),
        plain("silent after the request", TIMEOUT, [Request, Hold]),
        plain("silent in the status line", TIMEOUT, [Request, say("HTTP/1.1 2"), Hold]),
        plain("silent in a header", TIMEOUT, [Request, say("HTTP/1.1 200 OK\r\nDa"), Hold]),
        plain(
            "silent before the end of the head",
            TIMEOUT,
            [Request, say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"), Hold],
        ),
        plain(
            "silent after the head",
            TIMEOUT,
            [Request, say(raw("Content-Length: 9\r\n", "")), Hold],
        ),
        plain(
            "silent in the body",
            TIMEOUT,
            [Request, say(raw("Content-Length: 9999\r\n", half)), Hold],
        ),
        plain("silent in a chunk's size", TIMEOUT, [Request, say(chunked("f")), Hold]),
        plain("silent in a chunk", TIMEOUT, [Request, say(chunked("ff\r\nhalf")), Hold]),
        plain(
            "silent before the last chunk",
            TIMEOUT,
            [Request, say(chunked(format!("{size}\r\n{good}\r\n"))), Hold],
        ),
        plain(
            "silent in the last chunk",
            TIMEOUT,
            [Request, say(chunked(format!("{size}\r\n{good}\r\n0\r\n"))), Hold],
        ),
        plain(
            "a body without an end of its own, and no end",
            TIMEOUT,
            [Request, say(raw("", &good)), Hold],
        ),
        plain("100 and then silence", TIMEOUT, [Request, say("HTTP/1.1 100 C\r\n\r\n"), Hold]),
        plain(
            "Content-Length too long, and silence",
            TIMEOUT,
            [Request, say(raw(&format!("Content-Length: {}\r\n", length + 1), &good)), Hold],
        ),
        plain(
            "chunks with bare line feeds, and silence",
            TIMEOUT,
            [Request, say(chunked(format!("{size}\n{good}\n0\n\n"))), Hold],
        ),
        case("silent at the second call", Wire::Plain, Calls::Two, TIMEOUT, [First, Request, Hold]),
        case("sts: silent", Wire::Plain, Calls::Classic, TIMEOUT, [First, Request, Hold]),
    ]);

    // Slow, or without an end.
    all.extend([
        plain("a slow status line", TIMEOUT, [Request, Drip(ok(&good)), Hold]),
        plain(
            "a slow header",
            TIMEOUT,
            [Request, say("HTTP/1.1 200 OK\r\n"), Drip(megabyte.clone())],
        ),
        plain(
            "a slow body",
            TIMEOUT,
            [
                Request,
                say(raw(&format!("Content-Length: {length}\r\n"), "")),
                Drip(good.clone().into()),
            ],
        ),
        plain(
            "a slow body without a length",
            TIMEOUT,
            [Request, say(raw("", "")), Drip(megabyte.clone())],
        ),
        plain(
            "slow chunks",
            TIMEOUT,
            [Request, say(chunked("")), Drip("1\r\n \r\n".repeat(999).into())],
        ),
        plain("a slow 103", TIMEOUT, [Request, Drip("HTTP/1.1 103 E\r\n\r\n".repeat(99).into())]),
        plain(
            "103 without end",
            UNUSABLE,
            [
                Request,
                Repeat("HTTP/1.1 103 Early\r\nLink: <x>\r\n\r\n".repeat(2000).into(), usize::MAX),
            ],
        ),
        plain(
            "100 without end",
            UNUSABLE,
            [Request, Repeat("HTTP/1.1 100 Continue\r\n\r\n".repeat(2000).into(), usize::MAX)],
        ),
        plain(
            "trailers without end",
            TIMEOUT,
            [Request, say(chunked("0\r\n")), Repeat("a: b\r\n".repeat(99).into(), usize::MAX)],
        ),
    ]);

    // Ends.
    for (how, end) in [("FIN", None), ("RST", Some(Reset))] {
        let mut broken = |name: &str, bytes: Vec<u8>| {
            let steps = [Request, say(bytes)].into_iter().chain(end.clone());
            all.push(plain(format!("{how} {name}"), BROKEN, steps.collect::<Vec<_>>()));
        };
        broken("after the request", Vec::new());
        broken("in the status line", "HTTP/1.1 2".into());
        broken("after the status line", "HTTP/1.1 200 OK\r\n".into());
        broken("in a header", "HTTP/1.1 200 OK\r\nContent-".into());
        broken("after the head", raw("Content-Length: 9\r\n", ""));
        broken("in the body", raw(&format!("Content-Length: {length}\r\n"), half));
        broken("in a chunk's size", chunked("f"));
        broken("in a chunk", chunked(format!("{size}\r\n{half}")));
        broken("after a chunk", chunked(format!("{size}\r\n{good}\r\n")));
    }
    all.extend([
        plain("FIN at once", BROKEN, []),
        plain("RST at once", BROKEN, [Reset]),
        plain("FIN in the request", BROKEN, [Listen, Cut]),
        last("FIN in the last chunk", TAKEN, chunked(format!("{size}\r\n{good}\r\n0\r\n"))),
        case("FIN between the calls", Wire::Plain, Calls::Two, HEALTHY, [Request, Answer]),
        case(
            "RST between the calls",
            Wire::Plain,
            Calls::Two,
            HEALTHY,
            [Request, Answer, Listen, Reset],
        ),
        case(
            "FIN at the second call",
            Wire::Plain,
            Calls::Two,
            HEALTHY,
            [Request, Answer, Request, Cut],
        ),
        case(
            "RST in the second answer",
            Wire::Plain,
            Calls::Two,
            HEALTHY,
            [Request, Answer, Request, say(raw("Content-Length: 9\r\n", "{")), Reset],
        ),
        case(
            "sts: FIN in the answer",
            Wire::Plain,
            Calls::Classic,
            HEALTHY,
            [Request, Answer, Request, say(raw("Content-Length: 9\r\n", "<"))],
        ),
    ]);

    // Lengths.
    let with_length = |value: &str| raw(&format!("Content-Length: {value}\r\n"), &good);
    all.extend([
        last("Content-Length too long", BROKEN, with_length(&(length + 1).to_string())),
        answer("Content-Length too short", UNUSABLE, with_length(&(length - 1).to_string())),
        answer("Content-Length zero", UNUSABLE, with_length("0")),
        last("Content-Length missing", TAKEN, raw("", &good)),
        last("Content-Length missing, and half a body", UNUSABLE, raw("", half)),
        answer("Content-Length twice", TAKEN, with_length(&format!("{length}, {length}"))),
        answer(
            "Content-Length on two lines",
            TAKEN,
            with_length(&format!("{length}\r\nContent-Length: {length}")),
        ),
        last("two Content-Lengths", BROKEN, with_length(&format!("{length}\r\nContent-Length: 2"))),
        last("Content-Length 18446744073709551615", UNUSABLE, with_length("18446744073709551615")),
        last("Content-Length beside chunks", TAKEN, {
            raw("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", &one_chunk)
        }),
        last("Content-Length after chunks", TAKEN, {
            raw("Transfer-Encoding: chunked\r\nContent-Length: 999999\r\n", &one_chunk)
        }),
    ]);
    for value in ["-1", "+5", "0x10", "5 5", "1.5", "ten", "", "5,", "18446744073709551616"] {
        all.push(last(format!("Content-Length {value:?}"), BROKEN, with_length(value)));
    }

    // Chunks.
    all.extend([
        answer("chunks with an extension", TAKEN, {
            chunked(format!("{size};a=b\r\n{good}\r\n0\r\n\r\n"))
        }),
        answer("chunks with trailers", TAKEN, {
            chunked(format!("{size}\r\n{good}\r\n0\r\nDate: x\r\nContent-Length: 7\r\n\r\n"))
        }),
        plain(
            "a chunk's extension without end",
            BROKEN,
            [Request, say(chunked("1;")), Repeat(megabyte.clone(), 1600)],
        ),
        plain(
            "a trailer without end",
            BROKEN,
            [Request, say(chunked("0\r\na:")), Repeat(megabyte.clone(), 1600)],
        ),
        plain(
            "many trailers",
            TAKEN,
            [
                Request,
                say(chunked(format!("{size}\r\n{good}\r\n0\r\n"))),
                Repeat("a: b\r\n".repeat(99).into(), 100),
                say("\r\n"),
                Serve,
            ],
        ),
        last("Transfer-Encoding identity", TAKEN, raw("Transfer-Encoding: identity\r\n", &good)),
        last(
            "Transfer-Encoding gzip, chunked",
            UNUSABLE,
            raw("Transfer-Encoding: gzip, chunked\r\n", "3\r\n\x1f\u{b}\x08\r\n0\r\n\r\n"),
        ),
    ]);
    for (name, body) in [
        ("size is no number", "xyz\r\nabc\r\n0\r\n\r\n".to_owned()),
        ("size is negative", "-5\r\nabc\r\n0\r\n\r\n".to_owned()),
        ("size is empty", "\r\nabc\r\n0\r\n\r\n".to_owned()),
        ("size overflows", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n".to_owned()),
        ("size is huge", "ffffffffffffffff\r\nabc\r\n0\r\n\r\n".to_owned()),
        ("size has 50 digits", format!("{}1\r\n \r\n0\r\n\r\n", "0".repeat(49))),
        ("has no line end", format!("{size}\r\n{good}0\r\n\r\n")),
        ("is longer than its size", format!("{:x}\r\n{good}\r\n0\r\n\r\n", length - 1)),
        ("is shorter than its size", format!("{:x}\r\n{good}\r\n0\r\n\r\n", length + 1)),
        ("has bare line feeds", format!("{size}\n{good}\n0\n\n")),
    ] {
        all.push(last(format!("a chunk that {name}"), BROKEN, chunked(body)));
    }

    // Floods.
    let flood = |name: &str, outcome, head: Vec<u8>, block: Vec<u8>, times| {
        plain(name, outcome, [Request, say(head), Repeat(block, times)])
    };
    let chunk = [b"10000\r\n", &megabyte[..], b"\r\n"].concat();
    all.extend([
        flood(
            "a body of 100 MB",
            UNUSABLE,
            raw("Content-Length: 104857600\r\n", ""),
            megabyte.clone(),
            1600,
        ),
        flood("a body of 100 MB without a length", UNUSABLE, raw("", ""), megabyte.clone(), 1600),
        flood("a body of 100 MB in chunks", UNUSABLE, chunked(""), chunk.clone(), 1600),
        flood(
            "a body of 20 MB in chunks of one byte",
            UNUSABLE,
            chunked(""),
            "1\r\n \r\n".repeat(9999).into(),
            350,
        ),
        flood(
            "an error with a body of 100 MB",
            UNUSABLE,
            http("500 Oops", "Connection: close\r\n", "")
                .strip_suffix(b"Content-Length: 0\r\n\r\n")
                .map(|head| [head, b"\r\n"].concat())
                .unwrap(),
            megabyte.clone(),
            1600,
        ),
        flood(
            "10,000 headers",
            BROKEN,
            "HTTP/1.1 200 OK\r\n".into(),
            "name: value\r\n".repeat(100).into(),
            100,
        ),
        last("200 headers", BROKEN, http("200 OK", &"a: b\r\n".repeat(200), &good)),
        answer("100 headers", TAKEN, http("200 OK", &"a: b\r\n".repeat(100), &good)),
        answer("15 KiB of headers", TAKEN, {
            http("200 OK", &format!("a: {}\r\n", "x".repeat(15 * 1024)), &good)
        }),
        last("a header of 20 KiB", UNUSABLE, {
            http("200 OK", &format!("a: {}\r\n", "x".repeat(20 * 1024)), &good)
        }),
        flood("a header of 1 MB", UNUSABLE, "HTTP/1.1 200 OK\r\na: ".into(), megabyte.clone(), 16),
        flood(
            "a header's name of 1 MB",
            UNUSABLE,
            "HTTP/1.1 200 OK\r\n".into(),
            megabyte.clone(),
            16,
        ),
        flood("a status line of 1 MB", UNUSABLE, "HTTP/1.1 200 ".into(), megabyte.clone(), 16),
        flood("1 MB of empty lines", UNUSABLE, Vec::new(), vec![b'\n'; 65536], 16),
        plain(
            "100,000 times 100 and then the answer",
            UNUSABLE,
            [
                Request,
                Repeat("HTTP/1.1 100 Continue\r\n\r\n".repeat(2000).into(), 50),
                say(ok(&good)),
            ],
        ),
        plain(
            "100,000 times 103 and then the answer",
            UNUSABLE,
            [
                Request,
                Repeat("HTTP/1.1 103 E\r\nLink: </x>\r\n\r\n".repeat(2000).into(), 50),
                say(ok(&good)),
            ],
        ),
        answer("300 times 100 and then the answer", TAKEN, {
            [&b"HTTP/1.1 100 Continue\r\n\r\n".repeat(300), &ok(&good)[..]].concat()
        }),
    ]);

    // Heads.
    for (name, outcome, header) in [
        ("NUL in a header", BROKEN, &b"a: x\0y\r\n"[..]),
        ("NUL in a header's name", BROKEN, b"a\0: xy\r\n"),
        ("a control character in a header", BROKEN, b"a: \x01\r\n"),
        ("a header without a colon", BROKEN, b"nothing\r\n"),
        ("a header without a name", BROKEN, b": x\r\n"),
        ("a space before the colon", BROKEN, b"a : x\r\n"),
        ("a header that begins with a space", BROKEN, b" a: x\r\n"),
        ("a folded header", BROKEN, b"a: x\r\n y\r\n"),
        ("a header with a bare line feed", TAKEN, b"a: x\n"),
        ("a header with a bare carriage return", BROKEN, b"a: x\ry\r\n"),
        ("a header that is not ASCII", TAKEN, b"a: \xe4\xff\r\n"),
        ("a header's name that is not ASCII", BROKEN, b"\xe4: x\r\n"),
        ("the same date again", TAKEN, DATE.as_bytes()),
        // Then the local clock decides, which is later than the end of the keys.
        ("two other dates", UNUSABLE, b"Date: never\r\nDate: \xff\r\n"),
        ("gzip that nobody asked for", TAKEN, b"Content-Encoding: gzip\r\n"),
        ("another type", TAKEN, b"Content-Type: text/html; charset=utf-16\r\n"),
        ("an upgrade", TAKEN, b"Upgrade: h2c\r\nConnection: upgrade\r\n"),
    ] {
        let head = ["HTTP/1.1 200 OK\r\n", DATE].concat();
        let end = format!("Content-Length: {length}\r\n\r\n{good}");
        let bytes = [head.as_bytes(), header, end.as_bytes()].concat();
        let row = if outcome == BROKEN { last } else { answer };
        all.push(row(name, outcome, bytes));
    }
    for (line, outcome) in [
        ("HTTP/1.1 200", TAKEN),
        ("HTTP/1.1 200 ", TAKEN),
        ("HTTP/1.0 200 OK", TAKEN),
        ("\r\n\r\nHTTP/1.1 200 OK", TAKEN),
        ("HTTP/1.1 299 Fine", TAKEN),
        ("HTTP/0.9 200 OK", BROKEN),
        ("HTTP/1.2 200 OK", BROKEN),
        ("HTTP/2 200", BROKEN),
        ("HTTP/3.0 200 OK", BROKEN),
        ("http/1.1 200 OK", BROKEN),
        ("HTTP/1.1 99 Low", BROKEN),
        ("HTTP/1.1 099 Low", BROKEN),
        ("HTTP/1.1 0 Zero", BROKEN),
        ("HTTP/1.1 000 Zero", BROKEN),
        ("HTTP/1.1 1000 High", BROKEN),
        ("HTTP/1.1 -200 OK", BROKEN),
        ("HTTP/1.1 2xx OK", BROKEN),
        ("HTTP/1.1  OK", BROKEN),
        ("HTTP/1.1 200 O\0K", BROKEN),
        ("HTTP/1.1 200 \u{e4}", TAKEN),
        ("HTTP/1.1 999 High", UNUSABLE),
        ("HTTP/1.1 600 High", UNUSABLE),
        ("ICY 200 OK", BROKEN),
        ("POST / HTTP/1.1", BROKEN),
    ] {
        let bytes = format!("{line}\r\n{DATE}Content-Length: {length}\r\n\r\n{good}");
        all.push(last(format!("status line {line:?}"), outcome, bytes));
    }
    all.extend([
        last("HTTP/1.0 without a length", TAKEN, format!("HTTP/1.0 200 OK\r\n{DATE}\r\n{good}")),
        answer("HTTP/1.0 that stays", TAKEN, {
            format!("HTTP/1.0 200 OK\r\n{DATE}Connection: keep-alive\r\nContent-Length: {length}\r\n\r\n{good}")
        }),
        answer("a date beyond the expiration", UNUSABLE, {
            format!("HTTP/1.1 200 OK\r\nDate: Fri, 31 Dec 9999 23:59:59 GMT\r\nContent-Length: {length}\r\n\r\n{good}")
        }),
        last("HTTP/1.0 with chunks", UNUSABLE, {
            format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{one_chunk}")
        }),
        last("HTTP/0.9", BROKEN, good.clone()),
        last("the preface of HTTP/2", BROKEN, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        last("a frame of HTTP/2", BROKEN, [0, 0, 0, 4, 0, 0, 0, 0, 0]),
        last("the banner of SSH", BROKEN, "SSH-2.0-OpenSSH_9.2\r\n"),
        plain("the banner of SMTP", BROKEN, [say("220 mail ESMTP\r\n"), Request]),
        last("an alert of TLS", BROKEN, record(ALERT, TLS12, 2, &[2, 40])),
        last("NULs", BROKEN, [0; 4096]),
        last("100 bytes of noise", BROKEN, noise(100, 1)),
        last("10 KB of noise", BROKEN, noise(10_000, 2)),
        plain("the answer before the request", TAKEN, [say(ok(&good)), Request, Serve]),
    ]);

    // Statuses.
    let portal = "<!DOCTYPE html><html><body>Welcome to our WiFi! <b>Sign in</b></body></html>";
    for status in ["100 Continue", "102 Processing", "103 Early Hints"] {
        let interim = format!("HTTP/1.1 {status}\r\n\r\n").into_bytes();
        all.push(answer(format!("one {status}"), TAKEN, [interim, ok(&good)].concat()));
    }
    all.extend([
        last("100 with a header", BROKEN, {
            [b"HTTP/1.1 100 Continue\r\na: b\r\n\r\n", &ok(&good)[..]].concat()
        }),
        last("101", UNUSABLE, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nxyz"),
        answer("204", UNUSABLE, "HTTP/1.1 204 No Content\r\n\r\n"),
        answer("204 with a body", UNUSABLE, http("204 No Content", "", &good)),
        answer("205", UNUSABLE, http("205 Reset Content", "", "")),
        answer("206 with a part", UNUSABLE, {
            http("206 Partial Content", "Content-Range: bytes 0-9/999\r\n", half)
        }),
        answer("304", UNUSABLE, "HTTP/1.1 304 Not Modified\r\n\r\n"),
        answer("304 with a body", UNUSABLE, http("304 Not Modified", "", &good)),
        last("503 for ever", UNAVAILABLE, {
            http("503 Busy", "Connection: close\r\n", "<html>busy</html>")
        }),
        answer("503 and come back at a time beyond counting", HEALTHY, {
            http("503 Busy", "Retry-After: 99999999999999999999999\r\n", "")
        }),
        answer("511 and come back in three years", UNUSABLE, {
            http("511 Sign In", "Retry-After: 99999999\r\n", portal)
        }),
        answer("511", UNUSABLE, http("511 Sign In", "", "<html>")),
        answer("407", UNUSABLE, http("407 Proxy", "Proxy-Authenticate: Basic\r\n", "<html>")),
        answer("404", UNUSABLE, http("404 Not Found", "", "not found")),
    ]);

    // Redirects, and portals.
    for status in [300, 301, 302, 303, 307, 308] {
        let location = format!("Location: http://{elsewhere}/\r\n");
        let bytes = http(&format!("{status} There"), &location, "");
        all.push(answer(format!("{status} to another host"), UNUSABLE, bytes));
    }
    all.extend([
        answer("302 to itself", UNUSABLE, http("302 Found", "Location: /\r\n", "")),
        answer("302 to nowhere", UNUSABLE, http("302 Found", "", "")),
        answer("302 to two places", UNUSABLE, {
            let locations = format!("Location: /\r\nLocation: http://{elsewhere}/\r\n");
            http("302 Found", &locations, portal)
        }),
        answer("302 to no URL", UNUSABLE, http("302 Found", "Location: ::\u{e4}\r\n", portal)),
        plain(
            "302 in half a head",
            TIMEOUT,
            [
                Request,
                say(format!("HTTP/1.1 302 Found\r\nLocation: http://{elsewhere}/\r\n")),
                Hold,
            ],
        ),
        case(
            "a portal with 200 at the first call",
            Wire::Plain,
            Calls::Two,
            UNUSABLE,
            [Request, say(ok(portal)), Serve],
        ),
        answer("a portal with 200", UNUSABLE, ok(portal)),
        answer("a portal with 200 in chunks", UNUSABLE, {
            chunked(format!("{:x}\r\n{portal}\r\n0\r\n\r\n", portal.len()))
        }),
        last("a portal over HTTP/1.0", UNUSABLE, format!("HTTP/1.0 200 OK\r\n\r\n{portal}")),
        answer("a portal with 403", UNUSABLE, http("403 Forbidden", "", portal)),
        answer("a portal with 200 KiB", UNUSABLE, ok(portal.repeat(2700))),
    ]);

    // Bodies.
    let many_keys = |count: usize| {
        let keys: String = (0..count).map(|key| format!("\"{key:x}\":0,")).collect();
        format!("{{{keys}\"\":0}}")
    };
    let nested = |open: &str, close: &str, depth| open.repeat(depth) + &close.repeat(depth);
    let with_field = |field: &str| format!("{{{field},{}", &good[1..]);
    let expiring = |value: &str| good.replace("1767229200", value);
    let numbers = format!("[{}0]", "0,".repeat(120_000));
    let lists = format!("[{}0]", "[],".repeat(80_000));
    let escapes = "\\u0041".repeat(200 * 1024 / 6);
    for (name, outcome, body) in [
        ("empty", UNUSABLE, Vec::new()),
        ("null", UNUSABLE, "null".into()),
        ("a list", UNUSABLE, "[]".into()),
        ("a text", UNUSABLE, "\"x\"".into()),
        ("an empty object", UNUSABLE, "{}".into()),
        ("true", UNUSABLE, "true".into()),
        ("a number", UNUSABLE, "1e9999".into()),
        ("spaces", UNUSABLE, vec![b' '; 200_000]),
        ("NULs", UNUSABLE, vec![0; 200_000]),
        ("0xff", UNUSABLE, vec![0xff; 200_000]),
        ("noise", UNUSABLE, noise(200_000, 3)),
        ("deflate", UNUSABLE, [&[0x78, 0x9c][..], &noise(200, 11)].concat()),
        ("brotli", UNUSABLE, [&[0x8b, 0x80][..], &noise(200, 12)].concat()),
        ("gzip", UNUSABLE, [&[0x1f, 0x8b, 8, 0][..], &noise(200, 4)].concat()),
        ("UTF-16", UNUSABLE, utf16(&good, false)),
        ("UTF-16 with a mark", UNUSABLE, utf16(&good, true)),
        ("UTF-8 with a mark", UNUSABLE, format!("\u{feff}{good}").into()),
        ("Latin-1", UNUSABLE, good.replace("secret", "\0").bytes().map(|b| b.max(0xe4)).collect()),
        ("NUL in a text", UNUSABLE, good.replace("secret", "se\0cret").into()),
        ("more after the end", UNUSABLE, format!("{good}{good}").into()),
        ("100,000 nested arrays", UNUSABLE, nested("[", "]", 100_000).into()),
        ("100,000 open arrays", UNUSABLE, "[".repeat(100_000).into()),
        ("40,000 nested objects", UNUSABLE, nested("{\"\":", "}", 40_000).into()),
        ("100,000 open objects", UNUSABLE, "{\"\":".repeat(50_000).into()),
        ("a deep field", TAKEN, with_field(&format!("\"x\":{}", nested("[", "]", 100_000))).into()),
        ("a text of escapes", UNUSABLE, format!("\"{escapes}\"").into()),
        ("a field of escapes", TAKEN, with_field(&format!("\"x\":\"{escapes}\"")).into()),
        ("an ID of escapes", UNUSABLE, format!(r#"{{"IdentityId":"{escapes}"}}"#).into()),
        ("many keys", UNUSABLE, many_keys(28_000).into()),
        ("50,000 keys", UNUSABLE, many_keys(50_000).into()),
        ("a list of numbers", UNUSABLE, numbers.clone().into()),
        ("an ID that is a list", UNUSABLE, format!(r#"{{"IdentityId":{numbers}}}"#).into()),
        ("an expiration of many numbers", UNUSABLE, expiring(&numbers).into()),
        ("an expiration of many lists", UNUSABLE, expiring(&lists).into()),
        ("an expiration of many keys", UNUSABLE, expiring(&many_keys(28_000)).into()),
        ("an expiration of 100,000 digits", UNUSABLE, expiring(&"9".repeat(100_000)).into()),
        ("an expiration of 100,000 decimals", TAKEN, {
            expiring(&format!("1767229200.{}", "9".repeat(100_000))).into()
        }),
        ("a negative expiration", UNUSABLE, expiring("-1767229200").into()),
        ("an expiration in the past", UNUSABLE, expiring("1").into()),
        ("an expiration beyond time", UNUSABLE, expiring("1e300").into()),
        ("a doubled key", UNUSABLE, with_field(&format!("\"IdentityId\":\"{IDENTITY}\"")).into()),
        ("doubled credentials", UNUSABLE, {
            with_field(&format!("\"Credentials\":{}", keys("OTHER"))).into()
        }),
        ("empty secrets", UNUSABLE, good.replace("secret", "").into()),
        ("an ID of 10 KB", UNUSABLE, good.replace("us-east-1", &"a".repeat(10_000)).into()),
        ("an ID with a line end", UNUSABLE, good.replace("us-east-1:", "us-east-1:\\n").into()),
        ("credentials that are a text", UNUSABLE, r#"{"Credentials":"x"}"#.into()),
    ] {
        all.push(answer(format!("body: {name}"), outcome, ok(body)));
    }
    // What says that the service refuses is read by another way.
    for (name, body) in [
        ("empty", Vec::new()),
        ("a list of numbers", numbers.clone().into()),
        ("a list of lists", lists.clone().into()),
        ("many keys", many_keys(28_000).into()),
        ("a code that is a list", format!(r#"{{"__type":{lists}}}"#).into()),
        ("a code that is an object", format!(r#"{{"__type":{}}}"#, many_keys(28_000)).into()),
        ("a message that is a list", format!(r#"{{"message":{numbers}}}"#).into()),
        ("a long message", format!(r#"{{"message":"{escapes}"}}"#).into()),
        ("100,000 nested arrays", nested("[", "]", 100_000).into()),
        ("0xff", vec![0xff; 200_000]),
        ("NULs", vec![0; 200_000]),
        ("a code of 200 KiB", format!(r#"{{"__type":"{escapes}"}}"#).into()),
        ("UTF-16", utf16(r#"{"__type":"NotAuthorizedException"}"#, true)),
    ] {
        all.push(answer(format!("error: {name}"), UNUSABLE, http("400 Bad", "", body)));
    }
    all.push(answer("error: a code of 10 KiB", Outcome::Fails(ErrorKind::Refused, false), {
        http("400 Bad", "", format!(r#"{{"__type":"{}"}}"#, "x".repeat(10 * 1024)))
    }));

    // STS.
    let role = assumed("HOSTILE");
    let inside = |what: &str| role.replacen("<AssumeRoleWithWebIdentityResult>", what, 1);
    let beside = |what: &str| inside(&format!("{what}<AssumeRoleWithWebIdentityResult>"));
    let bomb: String = ('b'..='j')
        .zip('a'..)
        .map(|(name, of)| format!("<!ENTITY {name} \"{}\">", format!("&{of};").repeat(10)))
        .collect();
    let bomb = format!("<!DOCTYPE r [<!ENTITY a \"aaaaaaaaaa\">{bomb}]>");
    let entity = |definition: &str| {
        let document = role.replacen("HOSTILE", "&x;", 1);
        format!("<!DOCTYPE r [<!ENTITY x {definition}>]>{document}")
    };
    let declared =
        |encoding: &str| format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>{role}");
    let attributes: String = (0..400).map(|n| format!(" a{n}='x'")).collect();
    let namespaces: String = (0..19).map(|n| format!(" xmlns:n{n}='x'")).collect();
    all.extend([
        sts("empty", UNUSABLE, ""),
        sts("spaces", UNUSABLE, " ".repeat(200_000)),
        sts("a portal", UNUSABLE, portal),
        sts("JSON", UNUSABLE, &good),
        sts("an empty root", UNUSABLE, "<a/>"),
        sts("a document type", UNUSABLE, format!("<!DOCTYPE r>{role}")),
        sts("an entity", UNUSABLE, entity("\"HOSTILE\"")),
        sts("a billion laughs", UNUSABLE, format!("{bomb}<r>&j;</r>")),
        sts("an entity of itself", UNUSABLE, entity("\"&x;\"")),
        sts("an external entity", UNUSABLE, entity("SYSTEM \"file:///etc/passwd\"")),
        sts(
            "an entity from elsewhere",
            UNUSABLE,
            entity(&format!("SYSTEM \"http://{elsewhere}/\"")),
        ),
        sts("an external document type", UNUSABLE, {
            format!("<!DOCTYPE r SYSTEM \"http://{elsewhere}/\">{role}")
        }),
        sts("an unknown entity", UNUSABLE, role.replace("HOSTILE", "&nbsp;")),
        sts("a character that is none", UNUSABLE, role.replace("HOSTILE", "&#0;")),
        sts("30,000 nested elements", UNUSABLE, nested("<a>", "</a>", 30_000)),
        sts("9,000 nested elements", UNUSABLE, nested("<a>", "</a>", 9_000)),
        sts("400 nested elements", TAKEN, beside(&nested("<a>", "</a>", 400))),
        sts("30,000 open elements", UNUSABLE, "<a>".repeat(20_000)),
        sts("60,000 tags", UNUSABLE, "<".repeat(60_000)),
        sts("60,000 values", UNUSABLE, "=".repeat(60_000)),
        sts("10,000 elements", UNUSABLE, beside(&"<a/>".repeat(10_000))),
        sts("400 attributes", TAKEN, beside(&format!("<a{attributes}/>"))),
        sts("10,000 attributes", UNUSABLE, beside(&format!("<a{}/>", attributes.repeat(10)))),
        sts("doubled attributes", UNUSABLE, beside("<a b='1' b='2'/>")),
        sts("19 namespaces", TAKEN, beside(&format!("<a{namespaces}/>"))),
        sts("10,000 namespaces", UNUSABLE, beside(&"<a xmlns:b='c'/>".repeat(3_000))),
        sts("an unknown namespace", UNUSABLE, beside("<a:b/>")),
        sts("a text of 200 KiB", UNUSABLE, beside(&format!("<a>{}</a>", "x".repeat(200 * 1024)))),
        sts("200 KiB of references", UNUSABLE, beside(&"&lt;".repeat(50_000))),
        sts("60 KiB of references", TAKEN, beside(&format!("<a>{}</a>", "&lt;".repeat(15_000)))),
        sts("60 KiB of comments", UNUSABLE, beside(&"<!---->".repeat(8_000))),
        sts("60 KiB of instructions", UNUSABLE, beside(&"<?a?>".repeat(10_000))),
        sts("a key in CDATA", TAKEN, role.replace("HOSTILE", "<![CDATA[HOSTILE]]>")),
        sts("CDATA without end", UNUSABLE, beside("<![CDATA[")),
        sts("unclosed", UNUSABLE, &role[..role.len() - 9]),
        sts("closed in the wrong order", UNUSABLE, beside("<a><b></a></b>")),
        sts("two roots", UNUSABLE, format!("{role}{role}")),
        sts("declared as UTF-16", TAKEN, declared("UTF-16")),
        sts("declared as nothing known", TAKEN, declared("x-none")),
        sts("UTF-16", UNUSABLE, utf16(&declared("UTF-16"), true)),
        sts("Latin-1", UNUSABLE, [declared("ISO-8859-1").as_bytes(), b"<!--\xe4-->"].concat()),
        sts("UTF-8 with a mark", TAKEN, format!("\u{feff}{role}")),
        sts("NUL in the key", UNUSABLE, role.replace("HOSTILE", "HOS\0TILE")),
        sts("NULs", UNUSABLE, vec![0; 60_000]),
        sts("noise", UNUSABLE, noise(60_000, 5)),
        sts("an empty key", UNUSABLE, role.replace("HOSTILE", " ")),
        sts("the first of two keys", TAKEN, {
            role.replace("<SecretAccessKey>", "<AccessKeyId>OTHER</AccessKeyId><SecretAccessKey>")
        }),
        sts("an expiration of 50,000 digits", UNUSABLE, role.replace("2026", &"9".repeat(50_000))),
    ]);

    // What is said beyond an answer does not answer the next call.
    let injected = ok(issued("INJECTED"));
    all.extend([
        answer("a second answer behind the first", TAKEN, [ok(&good), injected.clone()].concat()),
        answer("a second answer behind an error", UNUSABLE, {
            [http("400 Bad", "", "{}"), injected.clone()].concat()
        }),
        answer("a second answer behind chunks", TAKEN, {
            [chunked(&one_chunk), injected.clone()].concat()
        }),
        answer("a second answer behind 204", UNUSABLE, {
            [b"HTTP/1.1 204 No\r\n\r\n", &injected[..]].concat()
        }),
        answer("a line end behind the answer", TAKEN, [ok(&good), b"\r\n".into()].concat()),
        plain(
            "a second answer a moment later",
            TAKEN,
            [Request, say(ok(&good)), SayLate(injected.clone()), Serve],
        ),
    ]);

    // TLS: what an authenticated peer may still do.
    let tls = |name: &str, outcome, steps: Vec<Step>| {
        case(format!("tls: {name}"), Wire::Tls, Calls::One, outcome, steps)
    };
    let beneath = |name: &str, outcome, steps: Vec<Step>| {
        case(format!("tls: {name}"), Wire::Beneath, Calls::One, outcome, steps)
    };
    let whole = raw("", &good);
    all.extend([
        tls("a good answer", TAKEN, vec![Request, say(ok(&good)), Serve]),
        tls("an answer without a length and a farewell", TAKEN, vec![Request, say(whole.clone())]),
        tls("an answer without a length, cut", TAKEN, vec![Request, say(whole), Cut]),
        tls("half an answer without a length, cut", UNUSABLE, {
            vec![Request, say(raw("", half)), Cut]
        }),
        tls("silent after the handshake", TIMEOUT, vec![Hold]),
        tls("silent after the request", TIMEOUT, vec![Request, Hold]),
        tls("silent in the body", TIMEOUT, {
            vec![Request, say(raw("Content-Length: 9\r\n", "{")), Hold]
        }),
        tls("a slow body", TIMEOUT, vec![Request, say(raw("", "")), Drip(megabyte.clone())]),
        tls("farewell after the handshake", BROKEN, vec![]),
        tls("cut after the handshake", BROKEN, vec![Cut]),
        tls("RST after the handshake", BROKEN, vec![Reset]),
        tls("farewell after the request", BROKEN, vec![Request]),
        tls("cut after the request", BROKEN, vec![Request, Cut]),
        tls("farewell in the body", BROKEN, vec![Request, say(raw("Content-Length: 9\r\n", "{"))]),
        tls("cut in the body", BROKEN, {
            vec![Request, say(raw("Content-Length: 9\r\n", "{")), Cut]
        }),
        tls("RST in the body", BROKEN, {
            vec![Request, say(raw("Content-Length: 9\r\n", "{")), Reset]
        }),
        tls("cut in a chunk", BROKEN, vec![Request, say(chunked("9\r\n{")), Cut]),
        tls("a body of 100 MB", UNUSABLE, {
            vec![Request, say(raw("", "")), Repeat(megabyte.clone(), 1600)]
        }),
        tls("103 without end", TIMEOUT, {
            vec![Request, Repeat("HTTP/1.1 103 E\r\n\r\n".repeat(99).into(), usize::MAX)]
        }),
        tls("302 to another host", UNUSABLE, {
            let location = format!("Location: https://{elsewhere}/\r\n");
            vec![Request, say(http("302 Found", &location, "")), Serve]
        }),
        tls("302 to plain text", UNUSABLE, {
            let location = format!("Location: http://{elsewhere}/\r\n");
            vec![Request, say(http("302 Found", &location, "")), Serve]
        }),
        tls("a second answer behind the first", TAKEN, {
            vec![Request, say([ok(&good), injected.clone()].concat()), Serve]
        }),
        tls("a second answer in a record of its own", TAKEN, {
            vec![Request, Together([ok(&good), injected.clone()]), Serve]
        }),
        tls("noise beneath the answer", BROKEN, {
            vec![Request, say(raw("Content-Length: 999\r\n", "")), SayBeneath(noise(999, 6)), Hold]
        }),
        tls("a forged record beneath the answer", BROKEN, {
            vec![Request, SayBeneath(record(23, TLS12, 99, &noise(99, 7))), Hold]
        }),
        tls("a plain answer beneath the TLS", BROKEN, {
            vec![Request, SayBeneath(ok(&good)), Hold]
        }),
        beneath("silent from the start", TIMEOUT, vec![Hold]),
        beneath("silent after the hello", TIMEOUT, vec![Listen, Hold]),
        beneath("half a record's head", TIMEOUT, vec![Listen, say([HANDSHAKE, 3]), Hold]),
        beneath("half a record", TIMEOUT, {
            vec![Listen, say(record(HANDSHAKE, TLS12, 99, &[2])), Hold]
        }),
        beneath("a slow record", TIMEOUT, {
            vec![Listen, Drip(record(HANDSHAKE, TLS12, 16000, &[2, 0, 0x40]))]
        }),
        beneath("slow fragments without end", TIMEOUT, {
            let fragments = record(HANDSHAKE, TLS12, 1, &[0]).repeat(999);
            vec![Listen, say(record(HANDSHAKE, TLS12, 4, &[2, 0, 0xff, 0])), Drip(fragments)]
        }),
        beneath("FIN at once", BROKEN, vec![]),
        beneath("RST at once", BROKEN, vec![Reset]),
        beneath("FIN after the hello", BROKEN, vec![Listen]),
        beneath("RST after the hello", BROKEN, vec![Listen, Reset]),
        beneath("FIN in a record", BROKEN, vec![Listen, say(record(HANDSHAKE, TLS12, 9, &[2]))]),
        beneath("farewell at once", BROKEN, vec![Listen, say(record(ALERT, TLS12, 2, &[1, 0]))]),
        beneath("plain HTTP", REFUSED_TLS, vec![Listen, say(ok(&good))]),
        beneath("plain HTTP from a portal", REFUSED_TLS, {
            vec![Listen, say("HTTP/1.1 302 Found\r\nLocation: http://wifi.example/\r\n\r\n")]
        }),
        beneath("the banner of SSH", REFUSED_TLS, vec![say("SSH-2.0-OpenSSH_9.2\r\n"), Listen]),
        beneath("the banner of SMTP", REFUSED_TLS, vec![say("220 mail ESMTP\r\n"), Listen]),
        beneath("100 bytes of noise", REFUSED_TLS, vec![Listen, say(noise(100, 8))]),
        beneath("64 KiB of noise", REFUSED_TLS, vec![Listen, say(noise(65536, 9))]),
        beneath("NULs", REFUSED_TLS, vec![Listen, say([0; 4096])]),
        beneath("a record of another version", REFUSED_TLS, {
            vec![Listen, say(record(HANDSHAKE, 0x9999, 4, &[2, 0, 0, 0]))]
        }),
        beneath("a record that is too long", REFUSED_TLS, {
            vec![Listen, say(record(HANDSHAKE, TLS12, 0xffff, &[2; 999]))]
        }),
        beneath("empty records without end", REFUSED_TLS, {
            vec![Listen, Repeat(record(HANDSHAKE, TLS12, 0, &[]).repeat(99), usize::MAX)]
        }),
        beneath("a handshake message of 16 MB", REFUSED_TLS, {
            vec![
                Listen,
                say(record(HANDSHAKE, TLS12, 4, &[2, 0xff, 0xff, 0xff])),
                Repeat(record(HANDSHAKE, TLS12, 0x4000, &[0; 0x4000]), usize::MAX),
            ]
        }),
        beneath("a handshake message in fragments of one byte", REFUSED_TLS, {
            vec![
                Listen,
                say(record(HANDSHAKE, TLS12, 4, &[2, 0, 0x20, 0])),
                Repeat(record(HANDSHAKE, TLS12, 1, &[0]).repeat(999), usize::MAX),
            ]
        }),
        beneath("data before the handshake", REFUSED_TLS, {
            vec![Listen, say(record(23, TLS12, 99, &noise(99, 10)))]
        }),
        beneath("another hello of a client", REFUSED_TLS, {
            vec![Listen, say(record(HANDSHAKE, TLS12, 4, &[1, 0, 0, 0]))]
        }),
        beneath("a refusal", REFUSED_TLS, vec![Listen, say(record(ALERT, TLS12, 2, &[2, 40]))]),
        beneath(
            "an old version",
            REFUSED_TLS,
            vec![Listen, say(record(ALERT, 0x301, 2, &[2, 70]))],
        ),
        beneath("warnings without end", REFUSED_TLS, {
            vec![Listen, Repeat(record(ALERT, TLS12, 2, &[1, 90]).repeat(99), usize::MAX)]
        }),
        beneath("changes of cipher without end", REFUSED_TLS, {
            vec![Listen, Repeat(record(20, TLS12, 1, &[1]).repeat(99), usize::MAX)]
        }),
        case("tls: a slow handshake", Wire::TlsSlow, Calls::One, TIMEOUT, [Serve]),
    ]);
    for bytes in [5, 60, 130, 400] {
        for (how, wire, outcome) in
            [("silent", Wire::TlsStuck(bytes), TIMEOUT), ("cut", Wire::TlsCut(bytes), BROKEN)]
        {
            let name = format!("tls: {how} after {bytes} bytes of the handshake");
            all.push(case(name, wire, Calls::One, outcome, [Serve]));
        }
    }
    all
}

/// The listener, one connection after another: the steps of a case, and then the service.
struct Peer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: thread::JoinHandle<()>,
}

struct Shared {
    steps: Vec<Step>,
    wire: Wire,
    tls: Arc<ServerConfig>,
    healthy: AtomicBool,
    said_late: AtomicBool,
    over: AtomicBool,
    open: Mutex<Option<TcpStream>>,
    /// How many connections came before the peer began to behave.
    connections: AtomicUsize,
}

impl Peer {
    fn start(wire: Wire, steps: Vec<Step>, tls: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            steps,
            wire,
            tls,
            healthy: AtomicBool::new(false),
            said_late: AtomicBool::new(false),
            over: AtomicBool::new(false),
            open: Mutex::new(None),
            connections: AtomicUsize::new(0),
        });
        let peer = shared.clone();
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if peer.over.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(stream) = stream {
                    *peer.open.lock().unwrap() = stream.try_clone().ok();
                    peer.meet(stream);
                    *peer.open.lock().unwrap() = None;
                }
            }
        });
        Self { address, shared, thread }
    }

    fn stop(self) -> thread::Result<()> {
        self.shared.over.store(true, Ordering::SeqCst);
        // Should the library have left the connection behind, the peer need not wait for its end.
        if let Some(open) = &*self.shared.open.lock().unwrap() {
            open.shutdown(Shutdown::Both).ok();
        }
        drop(TcpStream::connect(self.address));
        self.thread.join()
    }
}

impl Shared {
    fn meet(&self, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PEER_LIMIT)).unwrap();
        stream.set_write_timeout(Some(PEER_LIMIT)).unwrap();
        let healthy = self.healthy.load(Ordering::SeqCst);
        if !healthy {
            self.connections.fetch_add(1, Ordering::SeqCst);
        }
        let wire = match (self.wire, healthy) {
            (Wire::Plain, _) => return self.talk(&mut Plain(stream), healthy),
            (Wire::Beneath, false) => return self.talk(&mut Plain(stream), false),
            (_, true) => Wire::Tls,
            (wire, false) => wire,
        };
        let narrow = Narrow { stream, wire, written: 0 };
        let connection = ServerConnection::new(self.tls.clone()).unwrap();
        self.talk(&mut StreamOwned::new(connection, narrow), healthy);
    }

    /// Errors end the connection: the other side may end it at any time.
    fn talk(&self, link: &mut impl Link, healthy: bool) {
        let steps = if healthy { &[Serve][..] } else { &self.steps };
        if self.play(steps, link).is_ok() {
            link.farewell();
            link.socket().shutdown(Shutdown::Write).ok();
            drain(link.socket());
        }
    }

    fn play(&self, steps: &[Step], link: &mut impl Link) -> io::Result<()> {
        let mut request = String::new();
        let over = || Err(io::ErrorKind::ConnectionAborted.into());
        for step in steps {
            match step {
                Request => request = read_request(link)?,
                Answer => link.say(&serve(&request))?,
                Say(bytes) => link.say(bytes)?,
                Repeat(bytes, times) => {
                    for _ in 0..*times {
                        link.say(bytes)?;
                    }
                }
                Together(parts) => link.say_together(parts)?,
                Drip(bytes) => {
                    thread::sleep(SLOW);
                    for byte in bytes {
                        link.say(&[*byte])?;
                        thread::sleep(SLOW);
                    }
                }
                First => {
                    request = read_request(link)?;
                    if !["getid", "getopenidtoken"].iter().any(|call| request.contains(call)) {
                        drain(link.socket());
                        return over();
                    }
                    link.say(&serve(&request))?;
                }
                SayLate(bytes) => {
                    while !self.healthy.load(Ordering::SeqCst) {
                        thread::sleep(Duration::from_millis(1));
                    }
                    link.say(bytes)?;
                    self.said_late.store(true, Ordering::SeqCst);
                }
                SayBeneath(bytes) => link.socket().write_all(bytes)?,
                Listen => {
                    if link.socket().read(&mut [0; 4096])? == 0 {
                        return over();
                    }
                }
                Hold => {
                    drain(link.socket());
                    return over();
                }
                Cut => {
                    link.socket().shutdown(Shutdown::Write)?;
                    drain(link.socket());
                    return over();
                }
                Reset => {
                    let socket = socket2::SockRef::from(link.socket());
                    socket.set_linger(Some(Duration::ZERO))?;
                    return over();
                }
                Serve => loop {
                    request = read_request(link)?;
                    link.say(&serve(&request))?;
                },
            }
        }
        Ok(())
    }
}

/// Reads and forgets until the other side has ended.
fn drain(mut socket: &TcpStream) {
    while matches!(socket.read(&mut [0; 4096]), Ok(1..)) {}
}

/// One request, head and body, in small letters.
fn read_request(link: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        link.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    link.read_exact(&mut vec![0; length])?;
    Ok(head)
}

/// What the service answers.
fn serve(request: &str) -> Vec<u8> {
    let target = request.lines().find_map(|line| line.strip_prefix("x-amz-target: "));
    ok(match target {
        Some("awscognitoidentityservice.getid") => format!(r#"{{"IdentityId":"{IDENTITY}"}}"#),
        Some("awscognitoidentityservice.getopenidtoken") => {
            format!(r#"{{"IdentityId":"{IDENTITY}","Token":"open"}}"#)
        }
        Some(_) => issued("HEALTHY"),
        None => assumed("HEALTHY"),
    })
}

/// A connection, with or without TLS.
trait Link: Read {
    fn say(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn say_together(&mut self, parts: &[Vec<u8>]) -> io::Result<()>;
    fn farewell(&mut self);
    fn socket(&mut self) -> &TcpStream;
}

struct Plain(TcpStream);

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Link for Plain {
    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn say_together(&mut self, parts: &[Vec<u8>]) -> io::Result<()> {
        self.say(&parts.concat())
    }

    fn farewell(&mut self) {}

    fn socket(&mut self) -> &TcpStream {
        &self.0
    }
}

impl Link for StreamOwned<ServerConnection, Narrow> {
    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.flush()
    }

    fn say_together(&mut self, parts: &[Vec<u8>]) -> io::Result<()> {
        for part in parts {
            self.conn.writer().write_all(part)?;
        }
        self.flush()
    }

    fn farewell(&mut self) {
        if self.conn.is_handshaking() {
            self.conn.complete_io(&mut self.sock).ok();
        }
        self.conn.send_close_notify();
        self.flush().ok();
    }

    fn socket(&mut self) -> &TcpStream {
        if self.conn.is_handshaking() {
            self.conn.complete_io(&mut self.sock).ok();
        }
        &self.sock.stream
    }
}

/// What a TLS server writes, through a wire that may be slow or fail.
struct Narrow {
    stream: TcpStream,
    wire: Wire,
    written: usize,
}

impl Read for Narrow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = match self.wire {
            Wire::TlsSlow => {
                thread::sleep(SLOW);
                1
            }
            Wire::TlsStuck(most) | Wire::TlsCut(most) => most - self.written,
            _ => bytes.len(),
        };
        if most == 0 {
            if let Wire::TlsCut(_) = self.wire {
                self.stream.shutdown(Shutdown::Write)?;
            }
            drain(&self.stream);
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let written = self.stream.write(&bytes[..bytes.len().min(most)])?;
        self.written += written;
        Ok(written)
    }

    /// All records in one piece.
    fn write_vectored(&mut self, records: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match self.wire {
            Wire::Tls => self.stream.write_vectored(records),
            _ => self.write(records.first().map_or(&[], |first| first)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An authority of the test's own, and a server that it vouches for.
fn authority() -> (String, Arc<ServerConfig>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
    (pem, Arc::new(config))
}

/// The time limits of one attempt and of one `get()`. What ends by itself has time enough on any
/// machine, so that only what hangs runs into them.
fn limits(outcome: Outcome) -> (Duration, Duration) {
    if outcome == TIMEOUT {
        (Duration::from_millis(150), Duration::from_millis(220))
    } else {
        (Duration::from_secs(10), Duration::from_secs(20))
    }
}

fn provider(case: &Case, address: SocketAddr, pem: &str) -> CognitoIdentityCredentials {
    let scheme = if case.wire == Wire::Plain { "http" } else { "https" };
    let url = format!("{scheme}://{address}");
    let (attempt, whole) = limits(case.outcome);
    let builder = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .endpoint_url(&url)
        .transport(UreqTransport::builder().ca_pem(pem).build().unwrap())
        .attempt_timeout(attempt)
        .timeout(whole)
        .max_attempts(2)
        .failure_cooldown(Duration::ZERO);
    let builder = match case.calls {
        Calls::One => builder.identity_id(IDENTITY),
        Calls::Two => builder,
        Calls::Classic => builder.identity_id(IDENTITY).role_arn(ROLE).sts_endpoint_url(&url),
    };
    builder.build().unwrap()
}

/// The threads and the sockets of this process.
fn left_behind() -> (usize, usize) {
    let entries = |path| std::fs::read_dir(path).into_iter().flatten().flatten();
    let is_socket = |entry: &std::fs::DirEntry| {
        std::fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
    };
    (entries("/proc/self/task").count(), entries("/proc/self/fd").filter(is_socket).count())
}

struct Measured {
    memory: usize,
    over: Duration,
}

/// Plays one case. What does not hold goes to `faults`.
fn run(case: &Case, pem: &str, tls: &Arc<ServerConfig>, faults: &mut Vec<String>) -> Measured {
    // Once anything has failed, the rest need not wait long for what may never end.
    let patience = if faults.is_empty() { Duration::from_secs(5) } else { SLOW };
    let mut fault = |text: String| faults.push(format!("{}: {text}", case.name));
    let before = left_behind();
    let peer = Peer::start(case.wire, case.steps.clone(), tls.clone());
    let credentials = provider(case, peer.address, pem);
    let (attempt, whole) = limits(case.outcome);

    let start = ALLOCATED.load(Ordering::SeqCst);
    PEAK.store(start, Ordering::SeqCst);
    let begin = Instant::now();
    let outcome = credentials.get();
    let took = begin.elapsed();
    let memory = PEAK.load(Ordering::SeqCst).saturating_sub(start);
    peer.shared.healthy.store(true, Ordering::SeqCst);

    let is = match &outcome {
        Ok(set) if set.access_key_id() == "HOSTILE" => TAKEN,
        Ok(set) if set.access_key_id() == "HEALTHY" => HEALTHY,
        Ok(_) => Outcome::Key("another"),
        Err(error) => Outcome::Fails(error.kind(), error.is_retryable()),
    };
    if is != case.outcome {
        let error = outcome.as_ref().err().map(|error| format!("{error:#}"));
        fault(format!("expected {:?}, got {is:?}: {error:?}", case.outcome));
    }
    if memory > MOST_MEMORY {
        fault(format!("{} KiB of memory", memory / 1024));
    }
    if took > whole + MARGIN {
        fault(format!("back after {took:?}, the limit is {whole:?}"));
    }
    if case.outcome == TIMEOUT && took < attempt {
        fault(format!("back after {took:?}, before the limit of {attempt:?}"));
    }
    let connections = peer.shared.connections.load(Ordering::SeqCst);
    let repeated = match case.outcome {
        Outcome::Fails(ErrorKind::Timeout, _) | Outcome::Key(_) => None,
        Outcome::Fails(_, false) => Some(1),
        Outcome::Fails(_, true) => Some(2),
    };
    if repeated.is_some_and(|expected| connections != expected) {
        fault(format!("{connections} connections"));
    }

    let late = case.steps.iter().any(|step| matches!(step, SayLate(_)));
    while late && !peer.shared.said_late.load(Ordering::SeqCst) && begin.elapsed() < PEER_LIMIT {
        thread::sleep(Duration::from_millis(1));
    }
    credentials.expire();
    match next(&credentials, case.outcome) {
        Ok(set) if set.access_key_id() == "HEALTHY" => {}
        Ok(set) => fault(format!("the next get() took {}", set.access_key_id())),
        Err(error) => fault(format!("the next get() failed: {error:#}")),
    }

    drop(credentials);
    if peer.stop().is_err() {
        fault("the peer panicked".to_owned());
    }
    let deadline = Instant::now() + patience;
    let mut after = left_behind();
    while after != before && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
        after = left_behind();
    }
    if after != before {
        fault(format!("(threads, sockets) were {before:?} and are {after:?}"));
    }
    Measured { memory, over: took.saturating_sub(whole) }
}

/// The `get()` after the peer has begun to behave. The short limits of the cases that wait for them
/// may be too short for a loaded machine.
fn next(
    credentials: &CognitoIdentityCredentials,
    outcome: Outcome,
) -> Result<cognito_identity_credentials::Credentials, Error> {
    let deadline = Instant::now() + MARGIN;
    loop {
        let next = credentials.get();
        let late = next.as_ref().is_err_and(|error| error.kind() == ErrorKind::Timeout);
        if outcome != TIMEOUT || !late || Instant::now() > deadline {
            return next;
        }
    }
}

#[test]
fn a_hostile_peer_costs_neither_time_nor_memory_nor_the_next_get() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let (pem, tls) = authority();
    let cases = cases(elsewhere.local_addr().unwrap());
    assert!(cases.len() >= 120);

    let mut faults = Vec::new();
    let mut most = (0, "");
    let mut longest = Duration::ZERO;
    for case in &cases {
        match catch_unwind(AssertUnwindSafe(|| run(case, &pem, &tls, &mut faults))) {
            Ok(measured) => {
                most = most.max((measured.memory, &case.name));
                longest = longest.max(measured.over);
            }
            Err(_) => faults.push(format!("{}: a panic", case.name)),
        }
        if elsewhere.accept().is_ok() {
            faults.push(format!("{}: a connection to another host", case.name));
        }
    }
    println!(
        "hostile peer: {} cases, largest peak {} KiB above the start ({}), longest {:.2} s over its limit",
        cases.len(),
        most.0 / 1024,
        most.1,
        longest.as_secs_f64()
    );
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
