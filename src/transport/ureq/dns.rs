//! Names to addresses, within a time limit that the system's resolver does not know.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{process, thread};

/// Those of the whole process.
pub(super) static SYSTEM: LookUps =
    LookUps::new(|host| (host, 0).to_socket_addrs().map(Vec::from_iter));

/// The look-ups under way: at most one for each host, on a thread of its own, which ends with it. So a
/// look-up that began before the network was there holds up the next ones for as long as the system's
/// resolver goes on with it.
pub(super) struct LookUps {
    resolver: fn(&str) -> io::Result<Vec<SocketAddr>>,
    under_way: Mutex<Vec<Arc<LookUp>>>,
}

struct LookUp {
    host: String,
    /// A process that was forked off has the list and none of the threads. (One that was forked off
    /// in the moment in which the list is locked is beyond help.)
    process: u32,
    answer: Mutex<Option<Result<Vec<SocketAddr>, Failure>>>,
    answered: Condvar,
}

/// An error of the resolver, which all who wait for the look-up get.
#[derive(Clone)]
struct Failure(io::ErrorKind, String);

impl LookUps {
    pub(super) const fn new(resolver: fn(&str) -> io::Result<Vec<SocketAddr>>) -> Self {
        Self { resolver, under_way: Mutex::new(Vec::new()) }
    }

    /// The addresses of a host, with port 0; none if that takes longer than `limit`. An address
    /// is its own answer, without a thread.
    pub(super) fn addresses(
        &'static self,
        host: &str,
        limit: Duration,
    ) -> io::Result<Option<Vec<SocketAddr>>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Some(vec![SocketAddr::new(address, 0)]));
        }
        self.join(host)?.wait(limit)
    }

    /// The look-up of this host that is under way, or a new one.
    fn join(&'static self, host: &str) -> io::Result<Arc<LookUp>> {
        let mut under_way = lock(&self.under_way);
        let process = process::id();
        under_way.retain(|other| other.process == process);
        if let Some(same) = under_way.iter().find(|other| other.host == host) {
            return Ok(same.clone());
        }
        let look_up = Arc::new(LookUp {
            host: host.to_owned(),
            process,
            answer: Mutex::new(None),
            answered: Condvar::new(),
        });
        let its_own = look_up.clone();
        // With the lock held, so that it cannot end before it is entered. The error of a thread that
        // cannot be had looks like that of a time limit.
        thread::Builder::new()
            .name("name look-up".to_owned())
            .spawn(move || {
                let found = (self.resolver)(&its_own.host);
                lock(&self.under_way).retain(|other| !Arc::ptr_eq(other, &its_own));
                *lock(&its_own.answer) =
                    Some(found.map_err(|error| Failure(error.kind(), error.to_string())));
                its_own.answered.notify_all();
            })
            .map_err(io::Error::other)?;
        under_way.push(look_up.clone());
        Ok(look_up)
    }
}

impl LookUp {
    fn wait(&self, limit: Duration) -> io::Result<Option<Vec<SocketAddr>>> {
        let begin = Instant::now();
        let mut answer = lock(&self.answer);
        loop {
            match &*answer {
                Some(Ok(addresses)) => return Ok(Some(addresses.clone())),
                Some(Err(Failure(kind, text))) => return Err(io::Error::new(*kind, text.clone())),
                None => {}
            }
            let left = limit.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            let waited = self.answered.wait_timeout(answer, left);
            answer = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn none_left(look_ups: &LookUps) -> bool {
        lock(&look_ups.under_way).is_empty()
    }

    #[test]
    fn an_address_is_its_own_answer() {
        static LOOK_UPS: LookUps = LookUps::new(|_| panic!("looked up"));
        for address in ["127.0.0.1", "::1", "2001:db8::1"] {
            let expected = vec![SocketAddr::new(address.parse().unwrap(), 0)];
            assert_eq!(LOOK_UPS.addresses(address, Duration::ZERO).unwrap(), Some(expected));
        }
    }

    #[test]
    fn a_look_up_of_the_process_that_this_one_was_forked_from_is_not_waited_for() {
        static LOOK_UPS: LookUps = LookUps::new(|_| Ok(Vec::new()));
        lock(&LOOK_UPS.under_way).push(Arc::new(LookUp {
            host: "host".to_owned(),
            process: process::id() + 1,
            answer: Mutex::new(None),
            answered: Condvar::new(),
        }));
        assert_eq!(LOOK_UPS.addresses("host", LONG).unwrap(), Some(Vec::new()));
        assert!(none_left(&LOOK_UPS));
    }

    #[test]
    fn all_who_need_a_name_wait_for_one_look_up_and_those_of_other_names_do_not() {
        static GATE: Mutex<()> = Mutex::new(());
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        static LOOK_UPS: LookUps = LookUps::new(|host| {
            if host == "slow" {
                COUNT.fetch_add(1, Ordering::SeqCst);
                drop(lock(&GATE));
            }
            (host == "slow" || host == "quick")
                .then(|| vec![SocketAddr::from(([10, 0, 0, 1], 0))])
                .ok_or_else(|| io::Error::other("there is no such host"))
        });
        let held = lock(&GATE);
        for _ in 0..3 {
            let late = LOOK_UPS.addresses("slow", Duration::from_millis(1)).unwrap();
            assert_eq!(late, None, "within the limit");
            let error = LOOK_UPS.addresses("nowhere", LONG).unwrap_err();
            assert_eq!(error.to_string(), "there is no such host");
            assert!(LOOK_UPS.addresses("quick", LONG).unwrap().is_some());
        }
        thread::scope(|scope| {
            let waiting: Vec<_> =
                (0..4).map(|_| scope.spawn(|| LOOK_UPS.addresses("slow", LONG))).collect();
            let slow = lock(&LOOK_UPS.under_way)[0].clone();
            // The test's own, the list's and the thread's, and one of each who waits.
            while Arc::strong_count(&slow) < 3 + 4 || COUNT.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            assert_eq!(COUNT.load(Ordering::SeqCst), 1);
            drop(held);
            for outcome in waiting {
                assert!(outcome.join().unwrap().unwrap().is_some());
            }
        });
        assert!(none_left(&LOOK_UPS));
        assert!(LOOK_UPS.addresses("slow", LONG).unwrap().is_some());
        assert_eq!(COUNT.load(Ordering::SeqCst), 2, "nothing is remembered");
        assert!(none_left(&LOOK_UPS));
    }
}
