//! `on_refresh`: one report for each refresh, from the thread that led it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::testing::{FakeCognito, Fault, ManualClock};
use cognito_identity_credentials::transport::{HttpRequest, Transport as _, TransportErrorKind};
use cognito_identity_credentials::{
    Builder, Clock, CognitoIdentityCredentials, Error, ErrorKind, MemoryStorage, RefreshReport,
    Storage,
};

use crate::classic::ROLE;
use crate::support::{GET_CREDENTIALS, Gate, POOL, PROVIDER, Stage, seconds};

type Reports = Arc<Mutex<Vec<RefreshReport>>>;

/// A stage whose reports are collected.
fn reporting(settings: impl FnOnce(Builder) -> Builder) -> (Stage, Reports) {
    let reports = Reports::default();
    let stage = Stage::with(|builder| settings(builder.on_refresh(collect(&reports))));
    (stage, reports)
}

fn collect(reports: &Reports) -> impl Fn(&RefreshReport) + Send + Sync + 'static {
    let reports = Arc::clone(reports);
    move |report| reports.lock().unwrap().push(report.clone())
}

fn take(reports: &Reports) -> Vec<RefreshReport> {
    std::mem::take(&mut reports.lock().unwrap())
}

/// The outcome as an error kind, the number of calls, and whether it was early.
type Summary = (Option<ErrorKind>, u32, bool);

fn summary(report: &RefreshReport) -> Summary {
    let error = report.result.as_ref().err().map(Error::kind);
    (error, report.service_calls, report.early)
}

/// What the program does; `get` and `refresh` make the reports.
enum Act {
    Get,
    Refresh,
    Expire,
    ClearIdentity,
    SetLogin,
    Pass(u64),
    /// The next so many requests of an operation fail.
    Fail(&'static str, usize, Fault),
}

#[test]
fn each_refresh_is_reported_once_with_its_result_and_its_service_calls() {
    use Act::{ClearIdentity, Expire, Fail, Get, Pass, Refresh, SetLogin};

    const FORBIDDEN: &str = "Access to Identity 'x' is forbidden.";
    let plain = |builder: Builder| builder;
    let classic = |builder: Builder| builder.role_arn(ROLE);
    let classic_user =
        |builder: Builder| builder.role_arn(ROLE).login(PROVIDER, "token").max_attempts(1);
    let no_new_guest = |builder: Builder| builder.allow_new_guest(false);
    let lost = || Fault::NoAnswer(TransportErrorKind::Io);
    let refused = || Fault::not_authorized("No.");
    let ok = |calls| (None, calls, false);
    let throttled = Some(ErrorKind::Throttled);
    let not_authorized = Some(ErrorKind::NotAuthorized);
    // The name, the settings, what is done, and the reports.
    let rows: Vec<(&str, &dyn Fn(Builder) -> Builder, Vec<Act>, Vec<Summary>)> = vec![
        ("nothing is done", &plain, vec![], vec![]),
        ("the first get of a guest", &plain, vec![Get], vec![ok(2)]),
        ("a cached get", &plain, vec![Get, Get, Get], vec![ok(2)]),
        ("a refresh with a known identity", &plain, vec![Get, Refresh], vec![ok(2), ok(1)]),
        ("after expire", &plain, vec![Get, Expire, Get], vec![ok(2), ok(1)]),
        (
            "after the credentials have expired",
            &plain,
            vec![Get, Pass(3600), Get],
            vec![ok(2), ok(1)],
        ),
        ("the classic flow", &classic, vec![Get, Refresh], vec![ok(3), ok(2)]),
        ("the classic flow of a user", &classic_user, vec![Get, Refresh], vec![ok(3), ok(2)]),
        ("a login is set", &plain, vec![Get, SetLogin, Expire, Get], vec![ok(2), ok(1)]),
        ("the identity is cleared", &plain, vec![Get, ClearIdentity, Refresh], vec![ok(2), ok(2)]),
        (
            "retries belong to their call",
            &plain,
            vec![Fail("GetId", 2, lost()), Fail(GET_CREDENTIALS, 3, Fault::internal_error()), Get],
            vec![ok(2)],
        ),
        (
            "a failed first call",
            &plain,
            vec![Fail("GetId", 4, Fault::throttled()), Get],
            vec![(throttled, 1, false)],
        ),
        (
            "a failed second call",
            &plain,
            vec![Fail(GET_CREDENTIALS, 1, refused()), Get],
            vec![(not_authorized, 2, false)],
        ),
        (
            "gets during a cooldown",
            &plain,
            vec![Fail(GET_CREDENTIALS, 2, refused()), Get, Get, Get, Pass(5), Get],
            vec![(not_authorized, 2, false), (not_authorized, 1, false)],
        ),
        (
            "no network, without a cooldown",
            &plain,
            vec![Fail("GetId", 8, lost()), Get, Get],
            vec![(Some(ErrorKind::Unreachable), 1, false); 2],
        ),
        ("an early refresh", &plain, vec![Get, Pass(3000), Get, Get], vec![ok(2), (None, 1, true)]),
        (
            "an early refresh that fails, and the pause after it",
            &plain,
            vec![Get, Pass(3000), Fail(GET_CREDENTIALS, 1, Fault::throttled()), Get, Get],
            vec![ok(2), (throttled, 1, true)],
        ),
        (
            "refresh() in the advisory window is not early",
            &plain,
            vec![Get, Pass(3000), Refresh],
            vec![ok(2), ok(1)],
        ),
        (
            "a recovery with another guest",
            &plain,
            vec![Get, Fail(GET_CREDENTIALS, 1, Fault::not_authorized(FORBIDDEN)), Refresh],
            // GetCredentialsForIdentity, GetId, GetCredentialsForIdentity
            vec![ok(2), ok(3)],
        ),
        (
            "a recovery that fails",
            &plain,
            vec![
                Get,
                Fail(GET_CREDENTIALS, 1, Fault::not_authorized(FORBIDDEN)),
                Fail("GetId", 1, refused()),
                Refresh,
            ],
            vec![ok(2), (not_authorized, 2, false)],
        ),
        (
            "an error before the first call",
            &no_new_guest,
            vec![Get],
            vec![(Some(ErrorKind::IdentityUnknown), 0, false)],
        ),
    ];
    for (name, settings, acts, expected) in rows {
        let (stage, reports) = reporting(settings);
        stage.cognito.accept_login(PROVIDER, "token", "ann");
        let credentials = &stage.credentials;
        for act in acts {
            match act {
                Get => drop(credentials.get()),
                Refresh => drop(credentials.refresh()),
                Expire => credentials.expire(),
                ClearIdentity => credentials.clear_cached_id(),
                SetLogin => credentials.set_login(PROVIDER, "token"),
                Pass(time) => stage.clock.advance(seconds(time)),
                Fail(operation, times, fault) => stage.cognito.fail_next(operation, times, fault),
            }
        }
        let reports = take(&reports);
        assert_eq!(reports.iter().map(summary).collect::<Vec<_>>(), expected, "{name}");
        assert!(reports.iter().all(|report| report.storage_error.is_none()), "{name}");
    }
}

#[test]
fn credentials_from_the_storage_are_reported_with_no_service_call() {
    // How old the stored credentials are, how many requests fail, and the report.
    let rows: [(u64, usize, Summary); 4] = [
        (60, 0, (None, 0, false)),
        (3000, 0, (None, 1, false)),
        // The stored credentials are still valid, and the caller gets them.
        (3000, 1, (Some(ErrorKind::Throttled), 1, true)),
        (3600, 0, (None, 1, false)),
    ];
    for (age, faults, expected) in rows {
        let storage = Arc::new(MemoryStorage::new());
        let stored = |builder: Builder| builder.storage(storage.clone()).persist_credentials(true);
        let first = Stage::with(stored);
        first.credentials.get().unwrap();
        first.clock.advance(seconds(age));
        first.cognito.fail_next(GET_CREDENTIALS, faults, Fault::throttled());
        let reports = Reports::default();
        let next = stored(CognitoIdentityCredentials::builder())
            .identity_pool_id(POOL)
            .transport(first.cognito.clone())
            .clock(first.clock.clone())
            .on_refresh(collect(&reports))
            .build()
            .unwrap();
        next.get().unwrap();
        let got = take(&reports);
        assert_eq!(got.iter().map(summary).collect::<Vec<_>>(), [expected], "{age} {faults}");
        next.get().unwrap();
        assert!(take(&reports).is_empty(), "{age} {faults}: the next get is cached");
    }
}

/// A storage whose reads or writes fail while the test says so.
#[derive(Default)]
struct Disk {
    records: MemoryStorage,
    reads_fail: AtomicBool,
    writes_fail: AtomicBool,
}

impl Disk {
    fn unless(fails: &AtomicBool) -> io::Result<()> {
        if fails.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Storage for Disk {
    fn load(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        Self::unless(&self.reads_fail)?;
        self.records.load(key)
    }

    fn store(&self, key: &str, value: &[u8]) -> io::Result<()> {
        Self::unless(&self.writes_fail)?;
        self.records.store(key, value)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        self.records.remove(key)
    }
}

#[test]
fn a_report_shows_the_failure_of_the_storage_until_it_works_again() {
    // What fails at the first refresh, whether credentials are kept, and which of three refreshes
    // report an error of the storage.
    let rows: [(bool, bool, bool, [bool; 3]); 5] = [
        (false, false, false, [false, false, false]),
        (false, true, false, [true, false, false]),
        (true, false, false, [true, false, false]),
        (false, true, true, [true, false, false]),
        (true, false, true, [true, false, false]),
    ];
    for (reads_fail, writes_fail, persist, expected) in rows {
        let disk = Arc::new(Disk::default());
        let (stage, reports) =
            reporting(|builder| builder.storage(Arc::clone(&disk)).persist_credentials(persist));
        disk.reads_fail.store(reads_fail, Ordering::SeqCst);
        disk.writes_fail.store(writes_fail, Ordering::SeqCst);
        for expected in expected {
            stage.credentials.refresh().unwrap();
            let [report] = &take(&reports)[..] else { panic!("one report") };
            let kind = report.storage_error.as_ref().map(Error::kind);
            let row = (reads_fail, writes_fail, persist);
            assert_eq!(kind, expected.then_some(ErrorKind::Storage), "{row:?}");
            assert!(report.result.is_ok(), "a failure of the storage never makes a refresh fail");
            let status = stage.credentials.status().storage_error;
            assert_eq!(
                status.map(|error| error.to_string()),
                kind.map(|_| { report.storage_error.as_ref().unwrap().to_string() })
            );
            disk.reads_fail.store(false, Ordering::SeqCst);
            disk.writes_fail.store(false, Ordering::SeqCst);
        }
    }
}

#[test]
fn credentials_that_cannot_be_kept_without_a_boot_id_are_in_every_report() {
    struct NoBootId(ManualClock);
    impl Clock for NoBootId {
        fn wall(&self) -> SystemTime {
            self.0.wall()
        }

        fn boot(&self) -> Duration {
            self.0.boot()
        }

        fn sleep(&self, duration: Duration) {
            self.0.sleep(duration);
        }
    }

    let (stage, reports) = reporting(|builder| {
        let storage = Arc::new(MemoryStorage::new());
        builder.clock(NoBootId(ManualClock::new())).storage(storage).persist_credentials(true)
    });
    for _ in 0..2 {
        stage.credentials.refresh().unwrap();
        let [report] = &take(&reports)[..] else { panic!("one report") };
        let error = report.storage_error.as_ref().unwrap();
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert!(error.to_string().contains("boot ID"), "{error}");
    }
}

#[test]
fn eight_waiters_and_their_leader_cause_one_report_on_the_leaders_thread() {
    for fails in [false, true] {
        let clock = ManualClock::new();
        let cognito = FakeCognito::with_clock(clock.clone());
        if fails {
            cognito.fail_next(GET_CREDENTIALS, 1, Fault::not_authorized("No."));
        }
        let (gate, keeper) = Gate::before(cognito);
        let threads = Arc::new(Mutex::new(Vec::new()));
        let reporters = Arc::clone(&threads);
        let credentials = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .transport(gate)
            .clock(clock)
            .on_refresh(move |report| {
                let reporter = (thread::current().id(), report.result.is_err());
                reporters.lock().unwrap().push(reporter);
            })
            .build()
            .unwrap();
        let start = Barrier::new(8);
        thread::scope(|scope| {
            let leader = scope.spawn(|| credentials.get().is_err());
            let leader_id = leader.thread().id();
            keeper.await_request();
            let waiters: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        credentials.get().is_err()
                    })
                })
                .collect();
            keeper.let_pass();
            assert_eq!(leader.join().unwrap(), fails);
            assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap() == fails));
            assert_eq!(*threads.lock().unwrap(), [(leader_id, fails)]);
        });
    }
}

/// A listener that waits for the test.
fn blocking() -> (impl Fn(&RefreshReport) + Send + Sync + 'static, Receiver<()>, impl Fn()) {
    let (entered, entries) = channel();
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let listener = move |_: &RefreshReport| {
        entered.send(()).unwrap();
        released.lock().unwrap().recv().unwrap();
    };
    (listener, entries, move || release.send(()).unwrap())
}

#[test]
fn the_waiters_have_the_result_while_the_listener_still_runs() {
    for fails in [false, true] {
        let clock = ManualClock::new();
        let cognito = FakeCognito::with_clock(clock.clone());
        if fails {
            cognito.fail_next(GET_CREDENTIALS, 1, Fault::not_authorized("No."));
        }
        let (gate, keeper) = Gate::before(cognito.clone());
        let (listener, entries, release) = blocking();
        let credentials = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .transport(gate)
            .clock(clock)
            .on_refresh(listener)
            .build()
            .unwrap();
        thread::scope(|scope| {
            let leader = scope.spawn(|| credentials.get());
            keeper.await_request();
            let waiter = scope.spawn(|| credentials.get());
            keeper.let_pass();
            entries.recv_timeout(seconds(30)).unwrap();
            let shared = waiter.join().unwrap();
            assert_eq!(shared.is_err(), fails);
            assert_eq!(credentials.get().is_err(), fails, "another caller gets it too");
            assert_eq!(credentials.status().last_error.is_some(), fails);
            assert!(!leader.is_finished(), "the leader is in the listener");
            release();
            assert_eq!(leader.join().unwrap().ok(), shared.ok());
        });
        assert_eq!(cognito.calls(GET_CREDENTIALS), 1);
    }
}

#[test]
fn a_listener_that_panics_reaches_the_leader_only() {
    for fails in [false, true] {
        let clock = ManualClock::new();
        let cognito = FakeCognito::with_clock(clock.clone());
        if fails {
            cognito.fail_next(GET_CREDENTIALS, 1, Fault::not_authorized("No."));
        }
        let (gate, keeper) = Gate::before(cognito.clone());
        let credentials = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .transport(gate)
            .clock(clock.clone())
            .on_refresh(|_| panic!("the listener has a fault"))
            .build()
            .unwrap();
        let call = || catch_unwind(AssertUnwindSafe(|| credentials.get()));
        thread::scope(|scope| {
            let leader = scope.spawn(call);
            keeper.await_request();
            let waiter = scope.spawn(call);
            keeper.let_pass();
            let panic = leader.join().unwrap().unwrap_err();
            assert_eq!(panic.downcast_ref(), Some(&"the listener has a fault"));
            assert_eq!(waiter.join().unwrap().unwrap().is_err(), fails);
        });
        assert_eq!(call().unwrap().is_err(), fails, "the cached set, or the cooldown's error");
        assert_eq!(credentials.status().last_error.is_some(), fails);
        assert_eq!(cognito.calls(GET_CREDENTIALS), 1);
        // The next refresh works as ever, and so does its report.
        clock.advance(seconds(3600));
        keeper.let_pass();
        call().unwrap_err();
        assert!(credentials.get().is_ok());
        assert_eq!(cognito.calls(GET_CREDENTIALS), 2);
    }
}

#[test]
fn a_refresh_that_panics_is_not_reported() {
    let reports = Reports::default();
    let cognito = FakeCognito::new();
    let service = cognito.clone();
    let panics = AtomicBool::new(true);
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .transport(move |request: &HttpRequest| {
            assert!(!panics.swap(false, Ordering::SeqCst), "the modem driver has a fault");
            service.send(request)
        })
        .on_refresh(collect(&reports))
        .build()
        .unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| credentials.get())).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"the modem driver has a fault"));
    assert!(take(&reports).is_empty());
    credentials.get().unwrap();
    let reports: Vec<_> = take(&reports).iter().map(summary).collect();
    assert_eq!(reports, [(None, 2, false)]);
}

#[test]
fn a_listener_may_use_the_provider_but_not_refresh() {
    // Whether the refresh fails, and whether it is early.
    for (fails, early) in [(false, false), (true, false), (false, true), (true, true)] {
        let provider: Arc<OnceLock<CognitoIdentityCredentials>> = Arc::default();
        let other = Stage::new();
        let others = other.credentials.clone();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (inside, record) = (Arc::clone(&provider), Arc::clone(&seen));
        let stage = Stage::with(|builder| {
            builder.on_refresh(move |_| {
                let Some(credentials) = inside.get() else { return };
                let kinds = [
                    credentials.get(),
                    credentials.get_within(Duration::ZERO),
                    credentials.refresh(),
                ]
                .map(|result| result.map_err(|error| error.kind()));
                assert!(others.get().is_ok(), "another provider works");
                credentials.set_login(PROVIDER, "token");
                credentials.remove_login(PROVIDER);
                let cached = credentials.cached();
                let state = (credentials.identity_id(), credentials.status().last_error.is_some());
                record.lock().unwrap().push((kinds, cached, state));
            })
        });
        if early {
            stage.credentials.get().unwrap();
            stage.clock.advance(seconds(3000));
        }
        provider.set(stage.credentials.clone()).unwrap();
        if fails {
            stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::not_authorized("No."));
        }
        let result = stage.credentials.get();
        assert_eq!(result.is_err(), fails && !early);
        let seen = seen.lock().unwrap();
        let [(kinds, cached, (id, failed))] = &seen[..] else { panic!("{} calls", seen.len()) };
        assert!(kinds.iter().all(|kind| *kind == Err(ErrorKind::Reentrant)), "{kinds:?}");
        assert_eq!(*cached, result.ok());
        assert_eq!((id, *failed), (&stage.credentials.identity_id(), fails));
    }
}

#[test]
fn two_listeners_that_call_each_others_provider_come_to_an_end() {
    let providers: Arc<OnceLock<[CognitoIdentityCredentials; 2]>> = Arc::default();
    let depth = Arc::new(Mutex::new(0));
    let make = |other: usize| {
        let (providers, depth) = (Arc::clone(&providers), Arc::clone(&depth));
        let stage = Stage::with(|builder| {
            builder.failure_cooldown(Duration::ZERO).on_refresh(move |_| {
                *depth.lock().unwrap() += 1;
                drop(providers.get().unwrap()[other].get());
            })
        });
        stage.cognito.set_guests(POOL, false);
        stage.credentials
    };
    let both = [make(1), make(0)];
    providers.set(both.clone()).unwrap();
    assert_eq!(both[0].get().unwrap_err().kind(), ErrorKind::NotAuthorized);
    assert_eq!(*depth.lock().unwrap(), 2);
}

#[test]
fn an_outdated_refresh_reports_its_own_result() {
    // What happens during the first refresh, and how many refreshes there are.
    type Change = fn(&CognitoIdentityCredentials);
    let rows: [(&str, Change); 3] = [
        ("expire", |credentials| credentials.expire()),
        ("set_login", |credentials| credentials.set_login(PROVIDER, "token")),
        ("clear_cached_id", |credentials| credentials.clear_cached_id()),
    ];
    for (name, change) in rows {
        let clock = ManualClock::new();
        let cognito = FakeCognito::with_clock(clock.clone());
        let (gate, keeper) = Gate::before(cognito);
        let reports = Reports::default();
        let credentials = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .transport(gate)
            .clock(clock)
            .on_refresh(collect(&reports))
            .build()
            .unwrap();
        thread::scope(|scope| {
            let leader = scope.spawn(|| credentials.get());
            keeper.await_request();
            change(&credentials);
            keeper.let_pass();
            leader.join().unwrap().unwrap();
        });
        assert_eq!(credentials.cached(), None, "{name}");
        let got = take(&reports);
        assert_eq!(got.iter().map(summary).collect::<Vec<_>>(), [(None, 2, false)], "{name}");
    }
}

/// They have a client of their own.
#[cfg(feature = "user-pool")]
#[test]
fn the_calls_of_a_user_pool_are_not_counted() {
    use cognito_identity_credentials::UserPoolTokens;

    let cognito = FakeCognito::new();
    let tokens = UserPoolTokens::builder()
        .user_pool_id(FakeCognito::USER_POOL_ID)
        .client_id(FakeCognito::CLIENT_ID)
        .refresh_token(cognito.sign_in("ann"))
        .transport(cognito.clone())
        .build()
        .unwrap();
    let reports = Reports::default();
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .login_from_user_pool(&tokens)
        .transport(cognito.clone())
        .on_refresh(collect(&reports))
        .build()
        .unwrap();
    credentials.get().unwrap();
    assert_eq!(cognito.requests().len(), 3);
    assert_eq!(take(&reports).iter().map(summary).collect::<Vec<_>>(), [(None, 2, false)]);
}

#[test]
fn the_duration_is_the_boot_time_from_start_to_end() {
    // How many requests fail before the one that succeeds.
    for faults in [0, 1, 3] {
        let (stage, reports) = reporting(|builder| builder);
        stage.cognito.fail_next("GetId", faults, Fault::throttled());
        let before = stage.clock.clone();
        stage.credentials.get().unwrap();
        let slept: Duration = before.sleeps().iter().sum();
        assert_eq!(slept.is_zero(), faults == 0);
        assert_eq!(take(&reports)[0].duration, slept);
    }
    // A wall clock that jumps does not count.
    let reports = Reports::default();
    let clock = ManualClock::new();
    let (cognito, jumping) = (FakeCognito::with_clock(clock.clone()), clock.clone());
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .transport(move |request: &_| {
            use cognito_identity_credentials::transport::Transport;
            jumping.set_wall(jumping.wall() + seconds(86_400));
            cognito.send(request)
        })
        .clock(clock)
        .on_refresh(collect(&reports))
        .build()
        .unwrap();
    credentials.get().unwrap();
    assert_eq!(take(&reports)[0].duration, Duration::ZERO);
}

#[test]
fn a_report_shows_the_error_of_the_refresh_and_no_secret() {
    let (stage, reports) = reporting(|builder| builder.login(PROVIDER, "hunter2"));
    stage.cognito.accept_login(PROVIDER, "hunter2", "ann");
    stage.cognito.fail_next("GetId", 1, Fault::not_authorized("hunter2 is refused"));
    let error = stage.credentials.get().unwrap_err();
    stage.clock.advance(seconds(5));
    stage.credentials.get().unwrap();
    let reports = take(&reports);
    let reported = reports[0].result.as_ref().unwrap_err();
    assert_eq!(format!("{reported:#}"), format!("{error:#}"));
    let shown = format!("{reports:?}");
    assert!(shown.contains("NotAuthorized") && !shown.contains("hunter2"), "{shown}");
    let id = stage.credentials.identity_id().unwrap();
    assert!(!shown.contains(&id), "{shown}");
}
