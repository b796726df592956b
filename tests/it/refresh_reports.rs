//! `on_refresh`: one report for each refresh, from the thread that led it.

mod listeners;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cognito_identity_credentials::testing::{FakeCognito, Fault, FaultyStorage, ManualClock};
use cognito_identity_credentials::transport::{HttpRequest, Transport as _, TransportErrorKind};
use cognito_identity_credentials::{
    Builder, Clock, CognitoIdentityCredentials, Error, ErrorKind, MemoryStorage, RefreshReport,
};

use crate::persisted::NoBootId;
#[cfg(feature = "user-pool")]
use crate::refusals::tokens_of;
use crate::sharing::{gated, get_while, with_transport};
use crate::stored::again;
use crate::support::{GET_CREDENTIALS, PROVIDER, ROLE, Stage, seconds};

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

/// What the tests compare of a report.
#[derive(Clone, Debug, PartialEq)]
struct Summary {
    error: Option<ErrorKind>,
    service_calls: u32,
    early: bool,
}

impl Summary {
    fn ok(service_calls: u32) -> Self {
        Self { error: None, service_calls, early: false }
    }

    fn failed(error: ErrorKind, service_calls: u32) -> Self {
        Self { error: Some(error), ..Self::ok(service_calls) }
    }

    fn early(self) -> Self {
        Self { early: true, ..self }
    }
}

fn summaries(reports: &[RefreshReport]) -> Vec<Summary> {
    let summary = |report: &RefreshReport| Summary {
        error: report.result.as_ref().err().map(Error::kind),
        service_calls: report.service_calls,
        early: report.early,
    };
    reports.iter().map(summary).collect()
}

/// A step of a test. Only `Get` and `Refresh` cause reports.
enum Act {
    Get,
    Refresh,
    Expire,
    ClearIdentity,
    SetLogin,
    /// Advances the clock by this many seconds.
    Pass(u64),
    /// Makes the next requests of an operation fail: the operation, how many, and the fault.
    Fail(&'static str, usize, Fault),
}

#[test]
fn each_refresh_is_reported_once_with_its_result_and_its_service_calls() {
    use Act::{ClearIdentity, Expire, Fail, Get, Pass, Refresh, SetLogin};

    struct Row<'a> {
        name: &'static str,
        settings: &'a dyn Fn(Builder) -> Builder,
        acts: Vec<Act>,
        reports: Vec<Summary>,
    }

    let forbidden = || Fault::not_authorized("Access to Identity 'x' is forbidden.");
    let plain = |builder: Builder| builder;
    let classic = |builder: Builder| builder.role_arn(ROLE);
    let classic_user =
        |builder: Builder| builder.role_arn(ROLE).login(PROVIDER, "token").max_attempts(1);
    let no_new_guest = |builder: Builder| builder.allow_new_guest(false);
    let lost = || Fault::NoAnswer(TransportErrorKind::Io);
    let refused = || Fault::not_authorized("No.");
    let ok = Summary::ok;
    let throttled = |calls| Summary::failed(ErrorKind::Throttled, calls);
    let not_authorized = |calls| Summary::failed(ErrorKind::NotAuthorized, calls);
    let row = |name, settings, acts, reports| Row { name, settings, acts, reports };
    let rows = [
        row("no call", &plain, vec![], vec![]),
        row("the first get of a guest", &plain, vec![Get], vec![ok(2)]),
        row("a cached get", &plain, vec![Get, Get, Get], vec![ok(2)]),
        row("a refresh with a known identity", &plain, vec![Get, Refresh], vec![ok(2), ok(1)]),
        row("after expire", &plain, vec![Get, Expire, Get], vec![ok(2), ok(1)]),
        row(
            "after the credentials have expired",
            &plain,
            vec![Get, Pass(3600), Get],
            vec![ok(2), ok(1)],
        ),
        row("the classic flow", &classic, vec![Get, Refresh], vec![ok(3), ok(2)]),
        row("the classic flow of a user", &classic_user, vec![Get, Refresh], vec![ok(3), ok(2)]),
        row("a login is set", &plain, vec![Get, SetLogin, Expire, Get], vec![ok(2), ok(1)]),
        row(
            "the identity is cleared",
            &plain,
            vec![Get, ClearIdentity, Refresh],
            vec![ok(2), ok(2)],
        ),
        row(
            "a call counts once, with all its retries",
            &plain,
            vec![Fail("GetId", 2, lost()), Fail(GET_CREDENTIALS, 3, Fault::internal_error()), Get],
            vec![ok(2)],
        ),
        row(
            "a failed first call",
            &plain,
            vec![Fail("GetId", 4, Fault::throttled()), Get],
            vec![throttled(1)],
        ),
        row(
            "a failed second call",
            &plain,
            vec![Fail(GET_CREDENTIALS, 1, refused()), Get],
            vec![not_authorized(2)],
        ),
        row(
            "gets during a cooldown",
            &plain,
            vec![Fail(GET_CREDENTIALS, 2, refused()), Get, Get, Get, Pass(5), Get],
            vec![not_authorized(2), not_authorized(1)],
        ),
        row(
            "no network, without a cooldown",
            &plain,
            vec![Fail("GetId", 8, lost()), Get, Get],
            vec![Summary::failed(ErrorKind::Unreachable, 1); 2],
        ),
        row(
            "an early refresh",
            &plain,
            vec![Get, Pass(3000), Get, Get],
            vec![ok(2), ok(1).early()],
        ),
        row(
            "an early refresh that fails, and the pause after it",
            &plain,
            vec![Get, Pass(3000), Fail(GET_CREDENTIALS, 1, Fault::throttled()), Get, Get],
            vec![ok(2), throttled(1).early()],
        ),
        row(
            "refresh() in the advisory window is not early",
            &plain,
            vec![Get, Pass(3000), Refresh],
            vec![ok(2), ok(1)],
        ),
        row(
            "a recovery with another guest",
            &plain,
            vec![Get, Fail(GET_CREDENTIALS, 1, forbidden()), Refresh],
            // GetCredentialsForIdentity, GetId, GetCredentialsForIdentity
            vec![ok(2), ok(3)],
        ),
        row(
            "a recovery that fails",
            &plain,
            vec![Get, Fail(GET_CREDENTIALS, 1, forbidden()), Fail("GetId", 1, refused()), Refresh],
            vec![ok(2), not_authorized(2)],
        ),
        row(
            "an error before the first call",
            &no_new_guest,
            vec![Get],
            vec![Summary::failed(ErrorKind::IdentityUnknown, 0)],
        ),
    ];
    for Row { name, settings, acts, reports: expected } in rows {
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
        assert_eq!(summaries(&reports), expected, "{name}");
        assert!(reports.iter().all(|report| report.storage_error.is_none()), "{name}");
    }
}

#[test]
fn credentials_from_the_storage_are_reported_with_no_service_call() {
    struct Row {
        age: u64,
        faults: usize,
        report: Summary,
    }
    let rows = [
        Row { age: 60, faults: 0, report: Summary::ok(0) },
        Row { age: 3000, faults: 0, report: Summary::ok(1) },
        // The stored credentials are still valid, and the caller gets them.
        Row { age: 3000, faults: 1, report: Summary::failed(ErrorKind::Throttled, 1).early() },
        Row { age: 3600, faults: 0, report: Summary::ok(1) },
    ];
    for Row { age, faults, report } in rows {
        let storage = Arc::new(MemoryStorage::new());
        let stored = |builder: Builder| builder.storage(storage.clone()).persist_credentials(true);
        let first = Stage::with(stored);
        first.credentials.get().unwrap();
        first.clock.advance(seconds(age));
        first.cognito.fail_next(GET_CREDENTIALS, faults, Fault::throttled());
        let reports = Reports::default();
        let next = again(&first, |builder| stored(builder).on_refresh(collect(&reports)));
        next.credentials.get().unwrap();
        assert_eq!(summaries(&take(&reports)), [report], "{age} {faults}");
        next.credentials.get().unwrap();
        assert!(take(&reports).is_empty(), "{age} {faults}: the next get is cached");
    }
}

#[test]
fn a_report_shows_the_failure_of_the_storage_until_it_works_again() {
    struct Row {
        /// The operation of the storage that fails during the first of three refreshes.
        fails: Option<&'static str>,
        persist: bool,
    }
    let rows = [
        Row { fails: None, persist: false },
        Row { fails: Some("store"), persist: false },
        Row { fails: Some("load"), persist: false },
        Row { fails: Some("store"), persist: true },
        Row { fails: Some("load"), persist: true },
    ];
    for Row { fails, persist } in rows {
        let disk = FaultyStorage::new();
        let (stage, reports) =
            reporting(|builder| builder.storage(disk.clone()).persist_credentials(persist));
        if let Some(operation) = fails {
            disk.fail_next(operation, usize::MAX, io::ErrorKind::StorageFull);
        }
        for expected in [fails.is_some(), false, false] {
            stage.credentials.refresh().unwrap();
            let [report] = &take(&reports)[..] else { panic!("one report") };
            let kind = report.storage_error.as_ref().map(Error::kind);
            let case = format!("{fails:?} fails, persist: {persist}");
            assert_eq!(kind, expected.then_some(ErrorKind::Storage), "{case}");
            assert!(report.result.is_ok(), "a failure of the storage never makes a refresh fail");
            let status = stage.credentials.status().storage_error;
            assert_eq!(
                status.map(|error| error.to_string()),
                kind.map(|_| { report.storage_error.as_ref().unwrap().to_string() })
            );
            disk.clear_faults();
        }
    }
}

#[test]
fn without_a_boot_id_every_report_says_that_no_credentials_are_stored() {
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
fn a_refresh_that_panics_is_not_reported() {
    let reports = Reports::default();
    let panics = AtomicBool::new(true);
    let transport = move |cognito: &FakeCognito, _: &ManualClock, request: &HttpRequest| {
        assert!(!panics.swap(false, Ordering::SeqCst), "the modem driver has a fault");
        cognito.send(request)
    };
    let Stage { credentials, .. } =
        with_transport(transport, |builder| builder.on_refresh(collect(&reports)));
    let panic = catch_unwind(AssertUnwindSafe(|| credentials.get())).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"the modem driver has a fault"));
    assert!(take(&reports).is_empty());
    credentials.get().unwrap();
    assert_eq!(summaries(&take(&reports)), [Summary::ok(2)]);
}

#[test]
fn an_outdated_refresh_reports_its_own_result() {
    type Change = fn(&CognitoIdentityCredentials);
    let rows: [(&str, Change); 3] = [
        ("expire", |credentials| credentials.expire()),
        ("set_login", |credentials| credentials.set_login(PROVIDER, "token")),
        ("clear_cached_id", |credentials| credentials.clear_cached_id()),
    ];
    for (name, change) in rows {
        let reports = Reports::default();
        let (Stage { credentials, .. }, keeper) =
            gated(|builder| builder.on_refresh(collect(&reports)));
        get_while(&credentials, &keeper, || change(&credentials)).unwrap();
        assert_eq!(credentials.cached(), None, "{name}");
        assert_eq!(summaries(&take(&reports)), [Summary::ok(2)], "{name}");
    }
}

#[cfg(feature = "user-pool")]
#[test]
fn the_calls_of_a_user_pool_are_not_counted() {
    let cognito = FakeCognito::new();
    let tokens = tokens_of(&cognito);
    let (stage, reports) =
        reporting(|builder| builder.login_from_user_pool(&tokens).transport(cognito.clone()));
    stage.credentials.get().unwrap();
    assert_eq!(cognito.requests().len(), 3);
    assert_eq!(summaries(&take(&reports)), [Summary::ok(2)]);
}

#[test]
fn the_duration_is_the_boot_time_from_start_to_end() {
    for faults in [0, 1, 3] {
        let (stage, reports) = reporting(|builder| builder);
        stage.cognito.fail_next("GetId", faults, Fault::throttled());
        let before = stage.clock.clone();
        stage.credentials.get().unwrap();
        let slept: Duration = before.sleeps().iter().sum();
        assert_eq!(slept.is_zero(), faults == 0);
        assert_eq!(take(&reports)[0].duration, slept);
    }
    // A jump of the wall clock does not change the duration.
    let reports = Reports::default();
    let jumps = |cognito: &FakeCognito, clock: &ManualClock, request: &HttpRequest| {
        clock.set_wall(clock.wall() + seconds(86_400));
        cognito.send(request)
    };
    let stage = with_transport(jumps, |builder| builder.on_refresh(collect(&reports)));
    stage.credentials.get().unwrap();
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
