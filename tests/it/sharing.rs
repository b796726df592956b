//! Many threads and one refresh: shared results, panics, calls from inside a refresh, and settings
//! that change during a refresh.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use cognito_identity_credentials::testing::{FakeCognito, Fault, ManualClock};
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::{
    Builder, Clock, CognitoIdentityCredentials, Credentials, Error, ErrorKind, Logins, SystemClock,
};

use crate::support::{GET_CREDENTIALS, Gate, Gatekeeper, IDENTITY, POOL, PROVIDER, Stage, seconds};

#[test]
fn sixty_four_threads_on_an_empty_cell_make_one_call_of_each_kind() {
    let stage = Stage::new();
    let start = Barrier::new(64);
    let sets = thread::scope(|scope| {
        let threads: Vec<_> = (0..64)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    stage.credentials.clone().get().unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(sets.iter().all(|set| *set == sets[0]));
    assert_eq!((stage.cognito.calls("GetId"), stage.contacts()), (1, 1));
}

#[test]
fn sixty_four_threads_share_one_failure() {
    let stage = Stage::new();
    stage.cognito.set_guests(POOL, false);
    let start = Barrier::new(64);
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                start.wait();
                let error = stage.credentials.get().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotAuthorized);
                assert_eq!(error.request_id(), Some("request-1"));
            });
        }
    });
    assert_eq!(stage.cognito.requests().len(), 1);
}

#[test]
fn a_panicking_transport_blocks_no_thread() {
    let calls = AtomicUsize::new(0);
    let fails_once = move |cognito: &FakeCognito, _: &ManualClock, request: &HttpRequest| {
        assert!(calls.fetch_add(1, Ordering::Relaxed) != 1, "the modem driver has a fault");
        cognito.send(request)
    };
    let Stage { cognito, credentials, .. } = with_transport(fails_once, |builder| builder);
    let panics = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| match catch_unwind(AssertUnwindSafe(|| credentials.get())) {
                Ok(set) => drop(set.unwrap()),
                Err(_) => drop(panics.fetch_add(1, Ordering::Relaxed)),
            });
        }
    });
    assert_eq!(panics.into_inner(), 1, "only the caller that led the refresh gets the panic");
    assert_eq!(cognito.identities(), 1, "the identity from before the panic stays");
}

#[test]
fn a_panicking_token_source_blocks_no_thread() {
    let calls = AtomicUsize::new(0);
    let Stage { cognito, credentials, .. } = Stage::with(|builder| {
        builder.login_from(PROVIDER, move || {
            assert!(calls.fetch_add(1, Ordering::Relaxed) > 0, "the source has a fault");
            Ok("token".to_owned())
        })
    });
    cognito.accept_login(PROVIDER, "token", "ann");
    assert!(catch_unwind(AssertUnwindSafe(|| credentials.get())).is_err());
    credentials.get().unwrap();
}

#[test]
fn get_from_inside_a_refresh_is_an_error() {
    type Slot = Arc<OnceLock<CognitoIdentityCredentials>>;
    fn ask(slot: &Slot) -> ErrorKind {
        let credentials = slot.get().unwrap();
        let is_cached = credentials.cached().is_some();
        assert_eq!(credentials.needs_refresh(), !is_cached, "calls without a refresh still work");
        assert_eq!(credentials.refresh().unwrap_err().kind(), ErrorKind::Reentrant);
        assert_eq!(credentials.get_within(seconds(1)).unwrap_err().kind(), ErrorKind::Reentrant);
        credentials.clone().get().unwrap_err().kind()
    }

    let slot = Slot::default();
    let seen = Arc::new(OnceLock::new());
    let (inner, tell) = (slot.clone(), seen.clone());
    let transport = move |cognito: &FakeCognito, _: &ManualClock, request: &HttpRequest| {
        let _ = tell.set(ask(&inner));
        cognito.send(request)
    };
    slot.set(with_transport(transport, |builder| builder).credentials).unwrap();
    assert!(slot.get().unwrap().get().is_ok());
    assert_eq!(seen.get(), Some(&ErrorKind::Reentrant));

    let slot = Slot::default();
    let inner = slot.clone();
    let Stage { cognito, credentials, .. } = Stage::with(|builder| {
        builder.login_from(PROVIDER, move || {
            assert_eq!(ask(&inner), ErrorKind::Reentrant);
            Ok("token".to_owned())
        })
    });
    cognito.accept_login(PROVIDER, "token", "ann");
    slot.set(credentials.clone()).unwrap();
    credentials.get().unwrap();
    credentials.get().unwrap();
    credentials.refresh().unwrap();
}

/// A clock that runs code of the test whenever it is read.
struct HookedClock<F>(F);

impl<F: Fn() + Send + Sync> Clock for HookedClock<F> {
    fn wall(&self) -> SystemTime {
        (self.0)();
        SystemClock.wall()
    }

    fn boot(&self) -> Duration {
        (self.0)();
        SystemClock.boot()
    }

    fn sleep(&self, _: Duration) {
        (self.0)();
    }
}

#[test]
fn a_clock_that_calls_get_receives_an_error() {
    let slot = Arc::new(OnceLock::<CognitoIdentityCredentials>::new());
    let calls = Arc::new(AtomicUsize::new(0));
    let (inner, counter) = (slot.clone(), calls.clone());
    let clock = HookedClock(move || {
        if let Some(credentials) = inner.get() {
            assert_eq!(credentials.get().unwrap_err().kind(), ErrorKind::Reentrant);
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let Stage { cognito, credentials, .. } = Stage::with(|builder| builder.clock(clock));
    cognito.fail_next("GetId", 1, Fault::throttled());
    slot.set(credentials.clone()).unwrap();
    let first = credentials.get().unwrap();
    assert_eq!(credentials.get().unwrap(), first);
    assert!(calls.load(Ordering::Relaxed) > 5);
}

/// The clock calls the methods that only read, once each time that it is armed.
#[test]
fn a_clock_may_read_the_provider_that_reads_it() {
    let slot = Arc::new(OnceLock::<CognitoIdentityCredentials>::new());
    let armed = Arc::new(AtomicBool::new(false));
    let (inner, is_armed) = (slot.clone(), armed.clone());
    let clock = HookedClock(move || {
        if let Some(credentials) = inner.get().filter(|_| is_armed.swap(false, Ordering::SeqCst)) {
            let _ = (credentials.service_time(), credentials.identity_id());
            let _ = (credentials.cached(), credentials.needs_refresh(), credentials.status());
        }
    });
    let credentials = Stage::with(|builder| builder.clock(clock)).credentials;
    slot.set(credentials.clone()).unwrap();
    let (sender, finished) = mpsc::channel();
    thread::spawn(move || {
        let calls: [fn(&CognitoIdentityCredentials); 5] = [
            |credentials| drop(credentials.refresh().unwrap()),
            |credentials| drop(credentials.get().unwrap()),
            |credentials| assert!(credentials.service_time().is_some()),
            |credentials| assert!(!credentials.needs_refresh()),
            |credentials| assert!(!credentials.status().needs_refresh),
        ];
        for call in calls {
            armed.store(true, Ordering::SeqCst);
            call(&credentials);
            assert!(!armed.load(Ordering::SeqCst), "the clock was read");
            sender.send(()).unwrap();
        }
    });
    for call in 0..5 {
        let done = finished.recv_timeout(seconds(30));
        done.unwrap_or_else(|_| panic!("call {call} waits for its own lock, or has failed"));
    }
}

#[test]
fn another_provider_works_inside_a_refresh() {
    let inner = Stage::new();
    let other = inner.credentials.clone();
    let transport = move |cognito: &FakeCognito, _: &ManualClock, request: &HttpRequest| {
        other.get().unwrap();
        cognito.send(request)
    };
    with_transport(transport, |builder| builder).credentials.get().unwrap();
    assert_eq!(inner.contacts(), 1);
}

/// A stage whose requests for credentials wait for the test.
pub(crate) fn gated(settings: impl FnOnce(Builder) -> Builder) -> (Stage, Gatekeeper) {
    let clock = ManualClock::new();
    let cognito = FakeCognito::with_clock(clock.clone());
    cognito.accept_login(PROVIDER, "token", "ann");
    let (gate, keeper) = Gate::before(cognito.clone());
    let stage = Stage::on(clock, |builder| settings(builder.transport(gate)));
    (Stage { cognito, ..stage }, keeper)
}

/// A stage with a transport of the test, which may call the service and advance the clock.
pub(crate) fn with_transport(
    send: impl Fn(&FakeCognito, &ManualClock, &HttpRequest) -> Result<HttpResponse, TransportError>
    + Send
    + Sync
    + 'static,
    settings: impl FnOnce(Builder) -> Builder,
) -> Stage {
    let clock = ManualClock::new();
    let cognito = FakeCognito::with_clock(clock.clone());
    let (service, time) = (cognito.clone(), clock.clone());
    let transport = move |request: &HttpRequest| send(&service, &time, request);
    let stage = Stage::on(clock, |builder| settings(builder.transport(transport)));
    Stage { cognito, ..stage }
}

/// Calls `get` in another thread, runs `during` while its request waits, and returns the result.
pub(crate) fn get_while(
    credentials: &CognitoIdentityCredentials,
    keeper: &Gatekeeper,
    during: impl FnOnce(),
) -> Result<Credentials, Error> {
    thread::scope(|scope| {
        let leader = scope.spawn(|| credentials.get());
        keeper.await_request();
        during();
        keeper.let_pass();
        leader.join().unwrap()
    })
}

#[test]
fn a_change_during_a_refresh_outdates_its_result() {
    type Change = fn(&CognitoIdentityCredentials);
    let changes: [(&str, Change); 5] = [
        ("expire", CognitoIdentityCredentials::expire),
        ("set_login", |c| c.set_login(PROVIDER, "token")),
        ("set_logins", |c| c.set_logins([(PROVIDER, "token")].into_iter().collect())),
        ("set_identity_id", |c| c.set_identity_id(IDENTITY).unwrap()),
        ("clear_cached_id", CognitoIdentityCredentials::clear_cached_id),
    ];
    for (name, change) in changes {
        let (Stage { credentials, cognito, .. }, keeper) = gated(|builder| builder);
        let answered = get_while(&credentials, &keeper, || change(&credentials)).unwrap();
        assert!(answered.identity_id().is_some(), "{name}: the caller gets the answer");
        assert_eq!(credentials.cached(), None, "{name}: the outdated answer is not cached");
        assert_eq!(credentials.data(), None, "{name}");
        let expected = match name {
            "set_identity_id" => Some(IDENTITY),
            "clear_cached_id" => None,
            _ => answered.identity_id(),
        };
        assert_eq!(credentials.identity_id().as_deref(), expected, "{name}");
        if name == "expire" {
            keeper.let_pass();
            let next = credentials.get().unwrap();
            assert_eq!(next.identity_id(), answered.identity_id(), "no second guest is created");
        }
        if name == "set_login" {
            keeper.let_pass();
            credentials.get().unwrap();
            assert_eq!(cognito.requests().last().unwrap().login(PROVIDER), Some("token"));
        }
    }
}

#[test]
fn a_call_that_changes_nothing_does_not_outdate_a_refresh() {
    let (Stage { credentials, cognito, .. }, keeper) = gated(|builder| builder);
    let answered = get_while(&credentials, &keeper, || {
        credentials.remove_login("not.set.example.com");
        credentials.set_logins(Logins::new());
    });
    assert_eq!(credentials.cached(), Some(answered.unwrap()));
    assert_eq!(cognito.identities(), 1, "the guest keeps its new identity");
}

#[test]
fn a_failure_with_outdated_settings_is_not_kept() {
    let (Stage { credentials, cognito, .. }, keeper) = gated(|builder| builder);
    cognito.fail_next(GET_CREDENTIALS, 1, Fault::not_authorized("Something new."));
    let result = get_while(&credentials, &keeper, || credentials.set_login(PROVIDER, "token"));
    assert!(result.is_err());
    let status = credentials.status();
    assert!(status.last_error.is_none() && status.next_attempt_in.is_none());
}

/// A destructor of the program may call the provider.
#[test]
fn replaced_values_are_dropped_without_a_lock() {
    struct Curious(Arc<OnceLock<CognitoIdentityCredentials>>, Arc<AtomicUsize>);
    impl Drop for Curious {
        fn drop(&mut self) {
            if let Some(credentials) = self.0.get() {
                let _ = credentials.status();
                self.1.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
    impl std::fmt::Debug for Curious {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Curious")
        }
    }
    impl std::fmt::Display for Curious {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("curious")
        }
    }
    impl std::error::Error for Curious {}

    let slot = Arc::new(OnceLock::new());
    let dropped = Arc::new(AtomicUsize::new(0));
    let source = Curious(slot.clone(), dropped.clone());
    let (inner, count) = (slot.clone(), dropped.clone());
    let fails = move |_: &FakeCognito, _: &ManualClock, _: &HttpRequest| {
        let cause = Curious(inner.clone(), count.clone());
        Err(TransportError::new(TransportErrorKind::Other, cause))
    };
    let Stage { credentials, .. } = with_transport(fails, |builder| {
        builder.login_from(PROVIDER, move || {
            let _ = &source;
            Ok("token".to_owned())
        })
    });
    slot.set(credentials.clone()).unwrap();
    let done = thread::spawn(move || {
        for _ in 0..3 {
            drop(credentials.get().unwrap_err());
        }
        credentials.set_login(PROVIDER, "other");
        credentials.set_logins(Logins::new());
        credentials.get().unwrap_err();
    });
    let limit = Instant::now() + seconds(20);
    while !done.is_finished() {
        assert!(Instant::now() < limit, "a destructor waits for the lock");
        thread::yield_now();
    }
    done.join().unwrap();
    assert!(dropped.load(Ordering::SeqCst) >= 3);
}

#[test]
fn waiters_of_a_hanging_refresh_return_after_the_timeout() {
    let (hang, wake) = mpsc::channel::<()>();
    let (entered, inside) = mpsc::channel();
    let wake = Mutex::new(wake);
    let Stage { credentials, .. } = Stage::with(|builder| {
        builder.timeout(Duration::from_millis(100)).login_from(PROVIDER, move || {
            entered.send(())?;
            let _ = wake.lock().unwrap().recv();
            Err("gave up".into())
        })
    });
    thread::scope(|scope| {
        let leader = scope.spawn(|| credentials.get().unwrap_err());
        inside.recv().unwrap();
        assert_eq!(credentials.get().unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(credentials.refresh().unwrap_err().kind(), ErrorKind::Timeout);
        let limit = Duration::from_millis(10);
        assert_eq!(credentials.get_within(limit).unwrap_err().kind(), ErrorKind::Timeout);
        assert!(credentials.status().needs_refresh, "calls without a refresh still work");
        drop(hang);
        assert_eq!(leader.join().unwrap().kind(), ErrorKind::Login);
    });
}
