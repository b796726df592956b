//! A hostile peer on raw sockets. Whatever it does, `get()` returns in time with the right kind of
//! error, uses little memory, leaves no thread or socket behind, and works again with a good peer.
//!
//! A test target by itself, because it counts the memory, threads and sockets of the whole process.
//! `cases/` has the cases, `peer.rs` plays them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::too_many_lines,
    clippy::print_stdout,
    clippy::format_collect,
    clippy::wildcard_imports,
    clippy::enum_glob_use,
    reason = "a test fails by panicking, and the tables of cases are long and use short names"
)]

mod cases;
mod memory;
mod peer;
mod service;

#[path = "../support/authority.rs"]
mod authority;
#[path = "../support/ids.rs"]
mod ids;
#[path = "../support/server.rs"]
mod server;

use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use authority::{Authority, for_names};
use cases::{Calls, Case, HEALTHY, Outcome, TAKEN, TIMEOUT};
use cognito_identity_credentials::transport::UreqTransport;
use cognito_identity_credentials::{
    Clock, CognitoIdentityCredentials, Credentials, Error, ErrorKind, SystemClock,
};
use ids::{IDENTITY, POOL, ROLE};
use memory::{ALLOCATED, PEAK};
use peer::{PEER_LIMIT, Peer, SLOW, Step, Wire};
use rustls::ServerConfig;

/// The bytes that one `get()` may allocate at most.
const MAX_MEMORY: usize = 2 * 1024 * 1024;
/// What a loaded machine may add to a time limit.
const MARGIN: Duration = Duration::from_secs(3);

/// The time limits of one attempt and of one whole `get()`.
struct Limits {
    attempt: Duration,
    whole: Duration,
}

/// Returns short limits only for a case that waits for them: other cases need time on a loaded
/// machine.
fn limits(outcome: Outcome) -> Limits {
    let [attempt, whole] = if outcome == TIMEOUT { [150, 220] } else { [10_000, 20_000] };
    Limits { attempt: Duration::from_millis(attempt), whole: Duration::from_millis(whole) }
}

/// The clock of the system, without the pauses between two attempts.
struct NoPauses;

impl Clock for NoPauses {
    fn wall(&self) -> SystemTime {
        SystemClock.wall()
    }

    fn boot(&self) -> Duration {
        SystemClock.boot()
    }

    fn sleep(&self, _: Duration) {}
}

fn provider(case: &Case, address: SocketAddr, pem: &str) -> CognitoIdentityCredentials {
    let scheme = if case.wire == Wire::Plain { "http" } else { "https" };
    let url = format!("{scheme}://{address}");
    let Limits { attempt, whole } = limits(case.outcome);
    let builder = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .endpoint_url(&url)
        .transport(UreqTransport::builder().ca_pem(pem).build().unwrap())
        .clock(NoPauses)
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

/// Counts the threads and the sockets of this process.
fn threads_and_sockets() -> (usize, usize) {
    let entries = |path| std::fs::read_dir(path).into_iter().flatten().flatten();
    let is_socket = |entry: &std::fs::DirEntry| {
        std::fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
    };
    (entries("/proc/self/task").count(), entries("/proc/self/fd").filter(is_socket).count())
}

struct Measured {
    memory: usize,
    /// How late `get()` was.
    over: Duration,
}

/// Plays one case. Adds each broken promise to `faults`.
fn run(case: &Case, pem: &str, tls: &Arc<ServerConfig>, faults: &mut Vec<String>) -> Measured {
    // After a fault, threads and sockets may never end: do not wait long for them.
    let patience = if faults.is_empty() { Duration::from_secs(5) } else { SLOW };
    let mut fault = |text: String| faults.push(format!("{}: {text}", case.name));
    let before = threads_and_sockets();
    let peer = Peer::start(case.wire, case.steps.clone(), tls.clone());
    let credentials = provider(case, peer.address, pem);
    let Limits { attempt, whole } = limits(case.outcome);

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
        Err(error) => Outcome::Fails { kind: error.kind(), retryable: error.is_retryable() },
    };
    if is != case.outcome {
        let error = outcome.as_ref().err().map(|error| format!("{error:#}"));
        fault(format!("expected {:?}, got {is:?}: {error:?}", case.outcome));
    }
    if memory > MAX_MEMORY {
        fault(format!("allocated {} KiB", memory / 1024));
    }
    if took > whole + MARGIN {
        fault(format!("returned after {took:?}, the limit is {whole:?}"));
    }
    if case.outcome == TIMEOUT && took < attempt {
        fault(format!("returned after {took:?}, before the limit of {attempt:?}"));
    }
    let connections = peer.shared.connections.load(Ordering::SeqCst);
    let expected_connections = match case.outcome {
        Outcome::Fails { kind: ErrorKind::Timeout, .. } | Outcome::Key(_) => None,
        Outcome::Fails { retryable, .. } => Some(1 + usize::from(retryable)),
    };
    if expected_connections.is_some_and(|expected| connections != expected) {
        fault(format!("{connections} connections"));
    }

    let late = case.steps.iter().any(|step| matches!(step, Step::SayLate(_)));
    while late && !peer.shared.said_late.load(Ordering::SeqCst) && begin.elapsed() < PEER_LIMIT {
        thread::sleep(Duration::from_millis(1));
    }
    credentials.expire();
    match next(&credentials, case.outcome) {
        Ok(set) if set.access_key_id() == "HEALTHY" => {}
        Ok(set) => fault(format!("the next get() returned {}", set.access_key_id())),
        Err(error) => fault(format!("the next get() failed: {error:#}")),
    }

    drop(credentials);
    if peer.stop().is_err() {
        fault("the peer panicked".to_owned());
    }
    let deadline = Instant::now() + patience;
    let mut after = threads_and_sockets();
    while after != before && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
        after = threads_and_sockets();
    }
    if after != before {
        fault(format!("(threads, sockets) were {before:?} and are {after:?}"));
    }
    Measured { memory, over: took.saturating_sub(whole) }
}

/// Calls `get()` after the peer has become a good one. Repeats it if a loaded machine needs more
/// than a short limit.
fn next(credentials: &CognitoIdentityCredentials, outcome: Outcome) -> Result<Credentials, Error> {
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
    let authority = Authority::new();
    let tls = authority.server_config(for_names(&["127.0.0.1"]));
    let cases = cases::all(elsewhere.local_addr().unwrap());
    assert!(cases.len() >= 120);

    let mut faults = Vec::new();
    let mut most = (0, "");
    let mut longest = Duration::ZERO;
    for case in &cases {
        match catch_unwind(AssertUnwindSafe(|| run(case, &authority.pem, &tls, &mut faults))) {
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
