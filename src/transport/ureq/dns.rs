//! Look-ups of host names. IPv4 and IPv6 addresses are looked up on two threads at the same time,
//! with a time limit that the system's resolver does not have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{io, panic, process, thread};

use dns_lookup::{AddrFamily, AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};

use super::deadline::Deadline;
use crate::loopback;

/// How long IPv4 addresses wait for the IPv6 addresses of the same host: the resolution delay of
/// RFC 8305, section 3.
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// How long an attempt may use an answer that arrived after the previous attempt had ended.
const UNUSED_ANSWER: Duration = Duration::from_secs(10);

pub(super) static SYSTEM: Resolver = Resolver::new(system);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V6,
    V4,
}

#[derive(Clone, Debug)]
pub(super) enum DnsError {
    /// The name does not exist, or has no address of this family.
    NotFound,
    /// The name server failed or could not be reached. Holds the system's text.
    Failed(String),
    /// The system has no memory or file descriptor for the look-up.
    System(String),
    NoThread(String),
    TimedOut,
}

/// Addresses with port 0. An IPv6 address may have a scope.
type Answer = Result<Vec<SocketAddr>, DnsError>;

/// Runs at most one query at a time for each host and family, each on a new thread. If a query
/// outlives its attempt, the next attempt uses it, even if the answer has arrived in between.
pub(super) struct Resolver {
    query: fn(&str, Family) -> Answer,
    queries: Mutex<Vec<Arc<Query>>>,
    answered: Condvar,
}

struct Query {
    host: String,
    family: Family,
    /// A forked process inherits the list of queries, but not their threads.
    process: u32,
    answer: OnceLock<(Instant, Answer)>,
    /// Whether an attempt has used the answer. The next attempt then starts a new query.
    used: AtomicBool,
}

impl Query {
    fn serves(&self, process: u32) -> bool {
        let fresh = |(at, answer): &(Instant, Answer)| {
            let unused = !self.used.load(Ordering::Relaxed);
            unused && answer.is_ok() && at.elapsed() < UNUSED_ANSWER
        };
        self.process == process && self.answer.get().is_none_or(fresh)
    }
}

/// The look-up of one host for one attempt to connect.
pub(super) struct LookUp {
    resolver: &'static Resolver,
    pending: Vec<Arc<Query>>,
    /// Addresses that [`take`](Self::take) has not returned yet.
    found: Vec<SocketAddr>,
    /// `None` also stands for "not found".
    failure: Option<DnsError>,
}

impl Resolver {
    pub(super) const fn new(query: fn(&str, Family) -> Answer) -> Self {
        Self { query, queries: Mutex::new(Vec::new()), answered: Condvar::new() }
    }

    /// Starts to look up `host`. An IP address and `localhost` need no query.
    pub(super) fn look_up(&'static self, host: &str, families: &[Family]) -> LookUp {
        let mut look_up =
            LookUp { resolver: self, pending: Vec::new(), found: Vec::new(), failure: None };
        match without_dns(host) {
            Some(addresses) => {
                let wanted = |address: &SocketAddr| families.contains(&family_of(*address));
                look_up.found.extend(addresses.into_iter().filter(wanted));
            }
            None => {
                for family in families {
                    match self.join(host, *family) {
                        Ok(query) => look_up.pending.push(query),
                        Err(error) => look_up.record(Err(DnsError::NoThread(error.to_string()))),
                    }
                }
            }
        }
        look_up
    }

    /// Returns a query that this attempt can use, or starts a new one.
    fn join(&'static self, host: &str, family: Family) -> io::Result<Arc<Query>> {
        let process = process::id();
        let mut queries = lock(&self.queries);
        queries.retain(|query| query.serves(process));
        if let Some(query) = queries.iter().find(|q| q.host == host && q.family == family) {
            return Ok(query.clone());
        }
        let query = Arc::new(Query {
            host: host.to_owned(),
            family,
            process,
            answer: OnceLock::new(),
            used: AtomicBool::new(false),
        });
        let of_thread = query.clone();
        thread::Builder::new().name("dns".to_owned()).spawn(move || {
            // Every query must end with an answer, because later attempts wait for it.
            let query = || (self.query)(&of_thread.host, of_thread.family);
            let answer = panic::catch_unwind(query)
                .unwrap_or_else(|_| Err(DnsError::Failed("the look-up panicked".to_owned())));
            // The lock is held here, so that no waiter misses the answer.
            let queries = lock(&self.queries);
            let _ = of_thread.answer.set((Instant::now(), answer));
            drop(queries);
            self.answered.notify_all();
        })?;
        queries.push(query.clone());
        Ok(query)
    }
}

impl LookUp {
    /// Returns the addresses that arrived since the last call.
    pub(super) fn take(&mut self) -> Vec<SocketAddr> {
        self.collect();
        std::mem::take(&mut self.found)
    }

    pub(super) fn is_over(&self) -> bool {
        self.pending.is_empty()
    }

    /// Waits for addresses to try. IPv6 addresses end the wait. IPv4 addresses end it after
    /// [`RESOLUTION_DELAY`], because IPv6 addresses may still arrive. Returns an error if no more
    /// addresses arrive.
    pub(super) fn wait(&mut self, deadline: Deadline) -> Result<(), DnsError> {
        let mut delay_ends = None;
        let mut queries = lock(&self.resolver.queries);
        loop {
            self.collect();
            if self.found.iter().any(SocketAddr::is_ipv6) {
                return Ok(());
            }
            if self.is_over() {
                let failure = || self.failure.clone().unwrap_or(DnsError::NotFound);
                return if self.found.is_empty() { Err(failure()) } else { Ok(()) };
            }
            let mut left = deadline.left().unwrap_or_default();
            if !self.found.is_empty() {
                let now = Instant::now();
                let ends = *delay_ends.get_or_insert(now + RESOLUTION_DELAY);
                left = left.min(ends.saturating_duration_since(now));
                if left.is_zero() {
                    return Ok(());
                }
            }
            if left.is_zero() {
                return Err(DnsError::TimedOut);
            }
            let waited = self.resolver.answered.wait_timeout(queries, left);
            queries = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn collect(&mut self) {
        for query in std::mem::take(&mut self.pending) {
            match query.answer.get() {
                Some((_, answer)) => {
                    query.used.store(true, Ordering::Relaxed);
                    self.record(answer.clone());
                }
                None => self.pending.push(query),
            }
        }
    }

    fn record(&mut self, answer: Answer) {
        match answer {
            Ok(addresses) => self.found.extend(addresses),
            // Keep a failure rather than "not found", because the name may exist.
            Err(DnsError::NotFound) => {}
            Err(error) => self.failure = Some(error),
        }
    }
}

fn family_of(address: SocketAddr) -> Family {
    if address.is_ipv6() { Family::V6 } else { Family::V4 }
}

/// Returns the addresses of a host that needs no DNS: an IP address, `localhost`, or a name below
/// `localhost` (RFC 6761, section 6.3).
fn without_dns(host: &str) -> Option<Vec<SocketAddr>> {
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) if loopback::is_localhost(host) => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        Err(_) => return None,
    };
    Some(addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect())
}

/// Asks the system's resolver, which blocks without a time limit.
fn system(host: &str, family: Family) -> Answer {
    let address = match family {
        Family::V4 => AddrFamily::Inet,
        Family::V6 => AddrFamily::Inet6,
    };
    let hints = AddrInfoHints {
        address: address.into(),
        socktype: SockType::Stream.into(),
        ..AddrInfoHints::default()
    };
    match getaddrinfo(Some(host), None, Some(hints)) {
        Ok(found) => {
            let found: Vec<_> = found.flatten().map(|info| info.sockaddr).collect();
            if found.is_empty() { Err(DnsError::NotFound) } else { Ok(found) }
        }
        Err(error) => match (error.kind(), error.error_num()) {
            (LookupErrorKind::NoName | LookupErrorKind::NoData, _) | (_, NO_ADDRESS) => {
                Err(DnsError::NotFound)
            }
            _ => {
                let error = io::Error::from(error);
                let text = error.to_string();
                if error.raw_os_error().is_some() {
                    return Err(DnsError::System(text));
                }
                let prefix = "failed to lookup address information: ";
                Err(DnsError::Failed(text.strip_prefix(prefix).unwrap_or(&text).to_owned()))
            }
        },
    }
}

/// `EAI_ADDRFAMILY` of glibc and musl: the host has only addresses of the other family.
const NO_ADDRESS: i32 = -9;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
impl LookUp {
    pub(super) fn found(addresses: &[SocketAddr]) -> Self {
        let found = addresses.to_vec();
        Self { resolver: &SYSTEM, pending: Vec::new(), found, failure: None }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);
    const BOTH: &[Family] = &[Family::V6, Family::V4];
    const V6: SocketAddr = at(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)));
    const V4: SocketAddr = at(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    const LOCAL_V6: SocketAddr = at(IpAddr::V6(Ipv6Addr::LOCALHOST));
    const LOCAL_V4: SocketAddr = at(IpAddr::V4(Ipv4Addr::LOCALHOST));

    const fn at(address: IpAddr) -> SocketAddr {
        SocketAddr::new(address, 0)
    }

    fn has_no_query(resolver: &Resolver) -> bool {
        !lock(&resolver.queries).iter().any(|query| query.serves(process::id()))
    }

    fn addresses(
        resolver: &'static Resolver,
        host: &str,
        families: &[Family],
        limit: Duration,
    ) -> Answer {
        let mut look_up = resolver.look_up(host, families);
        look_up.wait(Deadline::after(limit)).map(|()| look_up.take())
    }

    #[test]
    fn an_answer_that_nobody_has_used_counts_for_ten_seconds() {
        let now = Instant::now();
        for (age, counts) in [(0, true), (9, true), (10, false), (600, false)] {
            let Some(at) = now.checked_sub(Duration::from_secs(age)) else { continue };
            let query = Query {
                host: "host.example".to_owned(),
                family: Family::V4,
                process: process::id(),
                answer: OnceLock::from((at, Ok(vec![]))),
                used: AtomicBool::new(false),
            };
            assert_eq!(query.serves(process::id()), counts, "{age} s");
        }
    }

    #[test]
    fn addresses_and_localhost_are_never_looked_up() {
        static RESOLVER: Resolver = Resolver::new(|host, _| panic!("{host} is looked up"));
        let this_machine = || vec![LOCAL_V4, LOCAL_V6];
        let rows = [
            ("127.0.0.1", BOTH, vec![LOCAL_V4]),
            ("::1", BOTH, vec![LOCAL_V6]),
            ("2001:db8::1", BOTH, vec![V6]),
            ("localhost", BOTH, this_machine()),
            ("LocalHost", BOTH, this_machine()),
            ("localhost.", BOTH, this_machine()),
            ("a.b.localhost", BOTH, this_machine()),
            ("localhost", &[Family::V4], vec![LOCAL_V4]),
            ("localhost", &[Family::V6], vec![LOCAL_V6]),
        ];
        for (host, families, expected) in rows {
            let found = addresses(&RESOLVER, host, families, Duration::ZERO).expect(host);
            assert_eq!(found, expected, "{host}");
        }
        let other_family = addresses(&RESOLVER, "127.0.0.1", &[Family::V6], Duration::ZERO);
        assert!(matches!(other_family, Err(DnsError::NotFound)), "{other_family:?}");
    }

    #[test]
    fn names_like_localhost_are_looked_up() {
        static RESOLVER: Resolver = Resolver::new(|_, _| Ok(vec![V4]));
        for host in ["notlocalhost", "localhost.example", "localhost..", "xn--localhost", "local"] {
            let found = addresses(&RESOLVER, host, &[Family::V4], LONG).expect(host);
            assert_eq!(found, [V4], "{host}");
        }
    }

    /// Answers as the host's name says, for IPv6 and then IPv4. `silent` never answers.
    fn as_named(host: &str, family: Family) -> Answer {
        let (six, four) = host.split_once('-').unwrap();
        let (how, address) = if family == Family::V6 { (six, V6) } else { (four, V4) };
        match how {
            // `unasked` has an address too, so that the test fails if it asks for this family.
            "found" | "unasked" => Ok(vec![address]),
            "none" => Err(DnsError::NotFound),
            "failed" => Err(DnsError::Failed("planned by the test".to_owned())),
            "panicked" => panic!("planned by the test"),
            _ => loop {
                thread::park();
            },
        }
    }

    #[test]
    fn the_answers_for_the_two_families_are_independent() {
        static RESOLVER: Resolver = Resolver::new(as_named);
        struct Row {
            host: &'static str,
            families: &'static [Family],
            /// The addresses that end the wait, or the beginning of the error's `Debug` text.
            first: Result<&'static [SocketAddr], &'static str>,
        }
        let rows = [
            Row { host: "found-silent", families: BOTH, first: Ok(&[V6]) },
            Row { host: "silent-found", families: BOTH, first: Ok(&[V4]) },
            Row { host: "none-found", families: BOTH, first: Ok(&[V4]) },
            Row { host: "failed-found", families: BOTH, first: Ok(&[V4]) },
            Row { host: "none-none", families: BOTH, first: Err("NotFound") },
            Row { host: "failed-none", families: BOTH, first: Err("Failed") },
            Row { host: "none-failed", families: BOTH, first: Err("Failed") },
            Row { host: "panicked-found", families: BOTH, first: Ok(&[V4]) },
            Row { host: "panicked-none", families: BOTH, first: Err("Failed") },
            Row { host: "failed-failed", families: BOTH, first: Err("Failed") },
            Row { host: "unasked-found", families: &[Family::V4], first: Ok(&[V4]) },
            Row { host: "found-unasked", families: &[Family::V6], first: Ok(&[V6]) },
            Row { host: "unasked-none", families: &[Family::V4], first: Err("NotFound") },
        ];
        for row in rows {
            let start = Instant::now();
            match (addresses(&RESOLVER, row.host, row.families, LONG), row.first) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{}", row.host),
                (Err(error), Err(expected)) => {
                    assert!(format!("{error:?}").starts_with(expected), "{}: {error:?}", row.host);
                }
                (found, _) => panic!("{}: {found:?}", row.host),
            }
            assert!(start.elapsed() < LONG / 3, "{}: {:?}", row.host, start.elapsed());
        }
        let limit = Duration::from_millis(20);
        for host in ["silent-silent", "silent-none", "none-silent", "failed-silent"] {
            let found = addresses(&RESOLVER, host, BOTH, limit);
            assert!(matches!(found, Err(DnsError::TimedOut)), "{host}: {found:?}");
        }
    }

    #[test]
    fn addresses_of_a_slow_query_are_returned_by_a_later_take() {
        static GATE: Mutex<()> = Mutex::new(());
        static RESOLVER: Resolver = Resolver::new(|_, family| match family {
            Family::V6 => Ok(vec![V6]),
            Family::V4 => {
                drop(lock(&GATE));
                Ok(vec![V4])
            }
        });
        let gate = lock(&GATE);
        let mut look_up = RESOLVER.look_up("host", BOTH);
        look_up.wait(Deadline::after(LONG)).unwrap();
        assert_eq!((look_up.take(), look_up.take(), look_up.is_over()), (vec![V6], vec![], false));
        drop(gate);
        look_up.wait(Deadline::after(LONG)).unwrap();
        assert_eq!((look_up.take(), look_up.is_over()), (vec![V4], true));
        assert!(look_up.wait(Deadline::after(LONG)).is_err(), "no more addresses arrive");
    }

    #[test]
    fn an_answer_between_two_attempts_serves_only_the_next_attempt() {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        static GATE: Mutex<()> = Mutex::new(());
        static RESOLVER: Resolver = Resolver::new(|host, _| {
            COUNT.fetch_add(1, Ordering::SeqCst);
            drop(lock(&GATE));
            if host == "found" { Ok(vec![V4]) } else { Err(DnsError::NotFound) }
        });
        for (host, queries) in [("found", [1, 1, 2]), ("not-found", [1, 2, 3])] {
            COUNT.store(0, Ordering::SeqCst);
            let ask = |limit| addresses(&RESOLVER, host, &[Family::V4], limit).ok();
            let gate = lock(&GATE);
            assert_eq!(ask(Duration::ZERO), None, "too late for {host}");
            let query = lock(&RESOLVER.queries).last().unwrap().clone();
            drop(gate);
            while query.answer.get().is_none() {
                thread::yield_now();
            }
            for expected in queries.into_iter().skip(1) {
                assert_eq!(ask(LONG).is_some(), host == "found");
                assert_eq!(COUNT.load(Ordering::SeqCst), expected, "{host}");
            }
        }
    }

    #[test]
    fn a_query_of_the_parent_process_is_not_used() {
        static RESOLVER: Resolver = Resolver::new(|_, _| Ok(vec![V4]));
        lock(&RESOLVER.queries).push(Arc::new(Query {
            host: "host".to_owned(),
            family: Family::V4,
            process: process::id() + 1,
            answer: OnceLock::new(),
            used: AtomicBool::new(false),
        }));
        assert_eq!(addresses(&RESOLVER, "host", &[Family::V4], LONG).unwrap(), [V4]);
        assert!(has_no_query(&RESOLVER));
    }

    #[test]
    fn a_query_that_outlives_its_attempt_serves_the_next_attempt() {
        static GATE: Mutex<()> = Mutex::new(());
        static SLOW: AtomicUsize = AtomicUsize::new(0);
        static RESOLVER: Resolver = Resolver::new(|host, family| {
            if host == "slow" {
                SLOW.fetch_add(1, Ordering::SeqCst);
                drop(lock(&GATE));
            }
            match (host, family) {
                ("slow" | "quick", Family::V4) => Ok(vec![V4]),
                _ => Err(DnsError::NotFound),
            }
        });
        let gate = lock(&GATE);
        for _ in 0..3 {
            let late = addresses(&RESOLVER, "slow", BOTH, Duration::from_millis(1));
            assert!(matches!(late, Err(DnsError::TimedOut)), "{late:?}");
            assert!(addresses(&RESOLVER, "nowhere", BOTH, LONG).is_err());
            assert_eq!(addresses(&RESOLVER, "quick", BOTH, LONG).unwrap(), [V4]);
        }
        thread::scope(|scope| {
            let waiting: Vec<_> =
                (0..4).map(|_| scope.spawn(|| addresses(&RESOLVER, "slow", BOTH, LONG))).collect();
            let slow = lock(&RESOLVER.queries)[0].clone();
            // Three references belong to the test, the list and the thread, and one to each caller.
            while Arc::strong_count(&slow) < 3 + 4 || SLOW.load(Ordering::SeqCst) < 2 {
                thread::yield_now();
            }
            drop(gate);
            for outcome in waiting {
                assert_eq!(outcome.join().unwrap().unwrap(), [V4]);
            }
        });
        assert_eq!(SLOW.load(Ordering::SeqCst), 2, "one query for each family");
        assert_eq!(addresses(&RESOLVER, "slow", BOTH, LONG).unwrap(), [V4]);
        assert_eq!(SLOW.load(Ordering::SeqCst), 4, "no answer is remembered");
        assert!(has_no_query(&RESOLVER));
    }
}
