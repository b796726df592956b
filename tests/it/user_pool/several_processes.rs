//! Several processes that share one storage: each uses the refresh tokens that the others stored.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use cognito_identity_credentials::testing::Fault;
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError,
};
use cognito_identity_credentials::{
    FileStorage, MemoryStorage, Storage, StorageLock, UserPoolTokensBuilder,
};

use super::{GET_TOKENS, KEY, Pool, stored};
use crate::secrets::{logged, record_log};
use crate::support::seconds;

fn is_rotating(request: &HttpRequest) -> bool {
    request.headers().iter().any(|(_, value)| value.contains(GET_TOKENS))
}

#[test]
fn processes_that_share_a_storage_use_each_others_tokens() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let process = || pool.settings().storage(storage.clone()).build().unwrap();
    let (one, other) = (process(), process());
    for _ in 0..3 {
        one.id_token().unwrap();
        other.id_token().unwrap();
        pool.clock.advance(seconds(3600));
    }
    assert_eq!(pool.cognito.calls(GET_TOKENS), 6);
    assert_eq!(pool.initiate_calls(), 1, "the other process finds the record of the first");
}

/// The other process refreshes while the request of this one is on its way.
#[test]
fn a_token_replaced_by_another_process_is_read_again_once() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let settings = || pool.settings().storage(storage.clone()).refresh_token_rotation(true);
    // If no other process has replaced the token, a refusal is final after one call.
    pool.cognito.fail_next(GET_TOKENS, 1, Fault::not_authorized("Refresh Token has been revoked"));
    assert!(settings().build().unwrap().id_token().unwrap_err().needs_sign_in());
    assert_eq!(pool.cognito.calls(GET_TOKENS), 1);

    let other = settings().build().unwrap();
    let (service, calls) = (pool.cognito.clone(), AtomicUsize::new(0));
    let transport = move |request: &HttpRequest| {
        if calls.fetch_add(1, Ordering::SeqCst) == 0 {
            other.id_token().unwrap();
        }
        service.send(request)
    };
    let tokens = settings().transport(transport).build().unwrap();
    tokens.id_token().unwrap();
    let sent = pool.sent(GET_TOKENS);
    assert_eq!(sent.len(), 4);
    assert_eq!(sent[1..3], [&*pool.given; 2], "the request of the other process, and the late one");
    let next = stored(&storage).unwrap();
    pool.clock.advance(seconds(3600));
    tokens.id_token().unwrap();
    assert_eq!(pool.sent(GET_TOKENS).split_off(4), [next]);

    pool.clock.advance(seconds(3600));
    pool.cognito.fail_next(GET_TOKENS, 1, Fault::not_authorized("Refresh Token has been revoked"));
    tokens.id_token().unwrap_err();
    assert_eq!(pool.cognito.calls(GET_TOKENS), 6, "the stored token is the refused one");
}

/// Records and one lock for all of them.
#[derive(Default)]
struct Locked {
    records: MemoryStorage,
    is_taken: Mutex<bool>,
    released: Condvar,
    /// The arguments of each call of `lock`.
    calls: Mutex<Vec<(String, Duration)>>,
    fails: AtomicBool,
}

impl Locked {
    fn is_taken(&self) -> bool {
        *self.is_taken.lock().unwrap()
    }

    fn calls(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    /// Waits until `lock` has been called this many times.
    fn await_calls(&self, count: usize) {
        let start = Instant::now();
        while self.calls() < count {
            assert!(start.elapsed() < seconds(8), "the lock was called {} times", self.calls());
            thread::yield_now();
        }
    }
}

struct Guard(Arc<Locked>);

impl Drop for Guard {
    fn drop(&mut self) {
        *self.0.is_taken.lock().unwrap() = false;
        self.0.released.notify_all();
    }
}

/// The storage of one process.
struct LockedStorage(Arc<Locked>);

impl Storage for LockedStorage {
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        self.0.records.load(key)
    }

    fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
        assert!(self.0.is_taken(), "stored without the lock");
        self.0.records.store(key, value)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        self.0.records.remove(key)
    }

    fn lock(&self, key: &str, wait: Duration) -> io::Result<Option<StorageLock>> {
        self.0.calls.lock().unwrap().push((key.to_owned(), wait));
        let is_taken = self.0.is_taken.lock().unwrap();
        if self.0.fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("no locks"));
        }
        let (mut is_taken, waited) =
            self.0.released.wait_timeout_while(is_taken, wait, |is_taken| *is_taken).unwrap();
        if waited.timed_out() {
            return Ok(None);
        }
        *is_taken = true;
        Ok(Some(StorageLock::new(Guard(self.0.clone()))))
    }
}

#[test]
fn two_processes_that_refresh_together_take_turns() {
    for rotation_is_set in [true, false] {
        let pool = Pool::rotating(0);
        let storage = Arc::new(Locked::default());
        let process = || {
            let (service, locks) = (pool.cognito.clone(), storage.clone());
            let transport = move |request: &HttpRequest| {
                let answer = service.send(request);
                if is_rotating(request) {
                    // The old token is invalid, and the new one is not stored yet.
                    locks.await_calls(2);
                }
                answer
            };
            let settings =
                pool.settings().refresh_token_rotation(rotation_is_set).transport(transport);
            settings.storage(LockedStorage(storage.clone())).build().unwrap()
        };
        let (one, other) = (process(), process());
        thread::scope(|scope| {
            let threads = [&one, &other].map(|tokens| scope.spawn(|| tokens.id_token()));
            for thread in threads {
                thread.join().unwrap().unwrap();
            }
        });
        let sent = pool.sent(GET_TOKENS);
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[0], pool.given);
        assert_ne!(sent[1], pool.given, "the token that the first one stored");
        let calls = storage.calls.lock().unwrap().clone();
        assert_eq!(calls, [(KEY.to_owned(), seconds(10)), (KEY.to_owned(), seconds(10))]);
        assert!(!storage.is_taken());
    }
}

#[test]
fn every_refresh_releases_the_lock_and_only_rotation_takes_it() {
    record_log();
    let pool = Pool::rotating(0);
    let storage = Arc::new(Locked::default());
    let settings =
        || pool.settings().storage(LockedStorage(storage.clone())).refresh_token_rotation(true);
    pool.cognito.fail_next(GET_TOKENS, 1, Fault::not_authorized("Refresh Token has been revoked"));
    settings().build().unwrap().id_token().unwrap_err();
    assert!(!storage.is_taken());
    let panics = |_: &HttpRequest| -> Result<HttpResponse, TransportError> { panic!("on purpose") };
    let tokens = settings().transport(panics).build().unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| tokens.id_token())).is_err());
    assert!(!storage.is_taken());
    assert_eq!(storage.calls(), 2);

    // A process that holds the lock for too long does not stop the refreshes of the others.
    *storage.is_taken.lock().unwrap() = true;
    settings().timeout(Duration::from_millis(20)).build().unwrap().id_token().unwrap();
    storage.fails.store(true, Ordering::SeqCst);
    settings().build().unwrap().id_token().unwrap();
    let warning = "WARN cognito_identity_credentials::storage::record the refresh token could not be locked: no locks";
    assert!(logged().contains(warning), "{}", logged());

    let pool = Pool::new();
    let storage = Arc::new(Locked::default());
    let tokens = pool.settings().storage(LockedStorage(storage.clone())).build().unwrap();
    tokens.id_token().unwrap();
    assert_eq!(storage.calls(), 0);
}

#[cfg(unix)]
#[test]
fn processes_that_share_a_directory_need_no_grace_period() {
    let pool = Pool::rotating(0);
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("records");
    let process = || pool.settings().storage(FileStorage::new(&directory)).build().unwrap();
    let (one, other, start) = (process(), process(), Barrier::new(2));
    for round in 0..5 {
        thread::scope(|scope| {
            for tokens in [&one, &other] {
                scope.spawn(|| {
                    start.wait();
                    tokens.id_token().unwrap();
                });
            }
        });
        assert_eq!(pool.cognito.calls(GET_TOKENS), 2 * (round + 1));
        pool.clock.advance(seconds(3600));
    }
}

/// The call without rotation is refused, because another process has rotated the token.
#[test]
fn a_rotation_detected_by_another_process_is_respected() {
    let pool = Pool::rotating(0);
    for is_rotated in [true, false] {
        let given = pool.cognito.sign_in("ann");
        let storage = Arc::new(MemoryStorage::new());
        let settings = || pool.bare().refresh_token(&given).storage(storage.clone());
        let (other, service) = (settings().build().unwrap(), pool.cognito.clone());
        let transport = move |request: &HttpRequest| {
            if is_rotating(request) {
                return service.send(request);
            }
            if is_rotated {
                other.id_token().unwrap();
            }
            let body = r#"{"__type":"NotAuthorizedException","message":"Invalid Refresh Token"}"#;
            Ok(HttpResponse::new(400, body))
        };
        let tokens = settings().transport(transport).build().unwrap();
        match tokens.id_token() {
            Ok(_) => assert!(is_rotated),
            Err(error) => assert!(error.needs_sign_in() && !is_rotated, "{error}"),
        }
    }
    assert_eq!(pool.cognito.calls(GET_TOKENS), 2);
}

/// Without locks, the other process refreshes while the request of an early refresh is on its way.
#[test]
fn an_early_refresh_also_reads_a_replaced_token_again() {
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let other = pool.settings().storage(storage.clone()).build().unwrap();
    let (service, calls) = (pool.cognito.clone(), AtomicUsize::new(0));
    let transport = move |request: &HttpRequest| {
        if calls.fetch_add(1, Ordering::SeqCst) == 1 {
            other.id_token().unwrap();
        }
        service.send(request)
    };
    let settings = pool.settings().storage(storage).refresh_token_rotation(true);
    let tokens = settings.transport(transport).build().unwrap();
    let first = tokens.id_token().unwrap();
    pool.clock.advance(seconds(2_800));
    assert_ne!(tokens.id_token().unwrap(), first);
    assert_eq!(pool.cognito.calls(GET_TOKENS), 4);
}

#[test]
fn an_earlier_sign_in_never_replaces_a_later_one() {
    record_log();
    let pool = Pool::rotating(0);
    let storage = Arc::new(MemoryStorage::new());
    let start = |settings: UserPoolTokensBuilder| {
        settings.storage(storage.clone()).refresh_token_rotation(true).build().unwrap()
    };
    let earlier = start(pool.settings());
    earlier.id_token().unwrap();
    let from_storage = start(pool.settings());
    let later = pool.cognito.sign_in("bob");
    let process = || start(pool.bare().refresh_token(&later));
    process().id_token().unwrap();
    let of_bob = stored(&storage);

    let warning = "another sign-in has replaced the stored refresh token";
    let before = logged().matches(warning).count();
    for _ in 0..2 {
        pool.clock.advance(seconds(3600));
        earlier.id_token().unwrap();
        assert_eq!(stored(&storage), of_bob);
    }
    assert_eq!(logged().matches(warning).count(), before + 2);
    process().id_token().unwrap();
    assert_ne!(stored(&storage), of_bob, "the later sign-in still stores its tokens");
    // A process that has read a token of the later sign-in, but stored none yet, does not replace
    // the token of a third sign-in either.
    let third = pool.cognito.sign_in("cid");
    let of_third = start(pool.bare().refresh_token(&third));
    let (service, calls) = (pool.cognito.clone(), AtomicUsize::new(0));
    let transport = move |request: &HttpRequest| {
        let answer = service.send(request);
        if calls.fetch_add(1, Ordering::SeqCst) == 0 {
            of_third.id_token().unwrap();
        }
        answer
    };
    start(pool.bare().transport(transport)).id_token().unwrap();
    pool.clock.advance(seconds(3600));
    start(pool.bare().refresh_token(&third)).id_token().unwrap();
    assert_eq!(pool.sent(GET_TOKENS).iter().filter(|sent| **sent == third).count(), 1);

    // `earlier` has rotated the token that this process read, and nothing of that sign-in is
    // stored.
    assert!(from_storage.id_token().unwrap_err().needs_sign_in());
}
