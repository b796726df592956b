//! What `get()` does in each state of the cached credentials, and the pause after a failed early
//! refresh.

use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use cognito_identity_credentials::testing::{FakeCognito, Fault, ManualClock, seed_delays};
use cognito_identity_credentials::transport::{HttpRequest, Transport};
use cognito_identity_credentials::{Clock, CognitoIdentityCredentials, ErrorKind, Logins};

use crate::sharing::{gated, with_transport};
use crate::support::{
    EXPIRED, GET_CREDENTIALS, IDENTITY, PROVIDER, ROLE, Stage, answering, issued, seconds,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Old,
    New,
    Error,
}

/// The credentials live for one hour. The advisory window is the last 15 minutes, the mandatory
/// window the last 15 seconds.
#[test]
fn each_state_calls_the_service_or_not_to_the_second() {
    use Outcome::{Error, New, Old};
    struct Row {
        ages: &'static [u64],
        outcome: Outcome,
        outcome_if_broken: Outcome,
        calls_if_broken: usize,
    }
    let rows = [
        Row { ages: &[0, 1, 2700], outcome: Old, outcome_if_broken: Old, calls_if_broken: 0 },
        Row { ages: &[2701, 3585], outcome: New, outcome_if_broken: Old, calls_if_broken: 1 },
        Row {
            ages: &[3586, 3600, 3601, 100_000_000],
            outcome: New,
            outcome_if_broken: Error,
            calls_if_broken: 4,
        },
    ];
    for (row, age) in rows.iter().flat_map(|row| row.ages.iter().map(move |age| (row, *age))) {
        for broken in [false, true] {
            let case = format!("after {age} s, broken: {broken}");
            let stage = Stage::new();
            let first = stage.credentials.get().unwrap();
            stage.clock.advance(seconds(age));
            if broken {
                stage.cognito.fail_next(GET_CREDENTIALS, 99, Fault::internal_error());
            }
            assert_eq!(stage.credentials.needs_refresh(), age >= 3586, "{case}");
            let before = stage.contacts();
            let outcome = match stage.credentials.get() {
                Ok(set) if set == first => Old,
                Ok(_) => New,
                Err(_) => Error,
            };
            let (expected, calls) = if broken {
                (row.outcome_if_broken, row.calls_if_broken)
            } else {
                (row.outcome, usize::from(row.outcome == New))
            };
            assert_eq!(outcome, expected, "{case}");
            assert_eq!(stage.contacts() - before, calls, "{case}");
            if outcome == Error {
                assert_eq!(stage.credentials.cached(), Some(first), "they stay readable");
            }
        }
    }
}

/// The pause is a third to two thirds of the window.
#[test]
fn a_failed_early_refresh_is_repeated_after_part_of_the_window() {
    let mut shortest = Duration::MAX;
    let mut longest = Duration::ZERO;
    for seed in 0..200 {
        seed_delays(seed);
        let stage = Stage::new();
        let first = stage.credentials.get().unwrap();
        stage.clock.advance(seconds(2701));
        stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::throttled());
        assert_eq!(stage.credentials.get().unwrap(), first);
        let status = stage.credentials.status();
        assert_eq!(status.last_error.unwrap().kind(), ErrorKind::Throttled);
        let pause = status.next_attempt_in.unwrap();
        (shortest, longest) = (shortest.min(pause), longest.max(pause));

        stage.clock.advance(pause - Duration::from_nanos(1));
        assert_eq!(stage.credentials.get().unwrap(), first);
        assert_eq!(stage.contacts(), 2, "no call during the pause");
        stage.clock.advance(Duration::from_nanos(1));
        assert_ne!(stage.credentials.get().unwrap(), first);
        assert!(stage.credentials.status().last_error.is_none());
        assert!(stage.credentials.status().next_attempt_in.is_none());
        assert!(stage.clock.sleeps().is_empty(), "an early refresh does not wait");
    }
    assert!((300..330).contains(&shortest.as_secs()), "{shortest:?}");
    assert!((570..=600).contains(&longest.as_secs()), "{longest:?}");
}

#[test]
fn an_early_refresh_makes_no_recovery_and_its_failure_fails_no_get() {
    let faults = [
        Fault::throttled(),
        Fault::internal_error(),
        Fault::timeout(),
        Fault::raw(200, "<html>"),
        Fault::not_authorized(format!("Access to Identity '{IDENTITY}' is forbidden.")),
        Fault::raw(200, EXPIRED),
    ];
    for fault in faults {
        let stage = Stage::new();
        let first = stage.credentials.get().unwrap();
        stage.clock.advance(seconds(3000));
        stage.cognito.fail_next(GET_CREDENTIALS, 1, fault.clone());
        assert_eq!(stage.credentials.get().unwrap(), first, "{fault:?}");
        assert_eq!(stage.contacts(), 2, "{fault:?}");
        assert_eq!(stage.cognito.calls("GetId"), 1, "{fault:?}");
        assert!(stage.credentials.status().last_error.is_some(), "{fault:?}");
        assert_eq!(stage.credentials.identity_id().as_deref(), first.identity_id());
    }
}

#[test]
fn the_mandatory_window_and_every_change_end_a_pause() {
    type Change = fn(&CognitoIdentityCredentials);
    let changes: [(&str, Change); 9] = [
        ("expire", CognitoIdentityCredentials::expire),
        ("invalidate", |c| c.invalidate(c.cached().unwrap().access_key_id())),
        ("refresh", |c| drop(c.refresh())),
        ("set_login", |c| c.set_login(PROVIDER, "t")),
        ("set_logins", |c| c.set_logins(Logins::new())),
        ("remove_login", |c| c.remove_login(PROVIDER)),
        ("set_identity_id", |c| c.set_identity_id(c.identity_id().unwrap()).unwrap()),
        ("clear_cached_id", CognitoIdentityCredentials::clear_cached_id),
        ("nothing", |_| {}),
    ];
    for (name, change) in changes {
        let stage = Stage::new();
        stage.cognito.accept_login(PROVIDER, "t", "ann");
        let first = stage.credentials.get().unwrap();
        stage.clock.advance(seconds(2701));
        stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::internal_error());
        assert_eq!(stage.credentials.get().unwrap(), first);
        assert!(stage.credentials.status().next_attempt_in.is_some());
        change(&stage.credentials);
        let ended = name != "nothing";
        assert_eq!(stage.credentials.status().next_attempt_in.is_none(), ended, "{name}");
        assert_eq!(stage.credentials.get().unwrap() != first, ended, "{name}");
    }

    let stage = Stage::new();
    let first = stage.credentials.get().unwrap();
    stage.clock.advance(seconds(3580));
    stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::internal_error());
    assert_eq!(stage.credentials.get().unwrap(), first);
    stage.clock.advance(seconds(10));
    assert!(stage.credentials.status().next_attempt_in.is_none());
    assert_ne!(stage.credentials.get().unwrap(), first, "the mandatory window ends a pause");
}

#[test]
fn while_one_caller_refreshes_early_the_others_get_the_cached_credentials() {
    let (Stage { clock, cognito, credentials }, keeper) = gated(|builder| builder);
    keeper.let_pass();
    let first = credentials.get().unwrap();
    keeper.await_request();

    clock.advance(seconds(3000));
    thread::scope(|scope| {
        let leader = scope.spawn(|| credentials.get().unwrap());
        keeper.await_request();
        for _ in 0..8 {
            assert_eq!(credentials.get().unwrap(), first);
        }
        keeper.let_pass();
        assert_ne!(leader.join().unwrap(), first);
    });
    assert_eq!(cognito.calls(GET_CREDENTIALS), 2);
}

#[test]
fn expired_credentials_are_not_returned_even_if_the_refresh_fails() {
    let stage = Stage::with(|builder| builder.expiry_window(Duration::ZERO));
    let first = stage.credentials.get().unwrap();
    stage.cognito.fail_next(GET_CREDENTIALS, 99, Fault::timeout());
    stage.clock.advance(seconds(3599));
    assert_eq!(stage.credentials.get().unwrap(), first);
    stage.clock.advance(seconds(1));
    assert_eq!(stage.credentials.get().unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(stage.credentials.cached(), Some(first));
    assert_eq!(stage.credentials.status().expires_in, Some(Duration::ZERO));
}

#[test]
fn configured_windows_replace_the_defaults() {
    let stage = Stage::with(|b| b.expiry_window(seconds(600)).advisory_window(seconds(3000)));
    let first = stage.credentials.get().unwrap();
    for (age, contacts) in [(600, 1), (601, 2), (2999, 2)] {
        let stage = Stage::with(|b| b.expiry_window(seconds(600)).advisory_window(seconds(3000)));
        stage.credentials.get().unwrap();
        stage.clock.advance(seconds(age));
        assert!(!stage.credentials.needs_refresh(), "{age}");
        stage.credentials.get().unwrap();
        assert_eq!(stage.contacts(), contacts, "{age}");
    }
    stage.clock.advance(seconds(3001));
    assert!(stage.credentials.needs_refresh());
    assert_ne!(stage.credentials.get().unwrap(), first);
}

/// `get` reads the wall clock at most once a second; this must not delay the window. In some rows
/// the mandatory window is longer than the advisory one.
#[test]
fn a_window_opens_on_time_however_recent_the_last_get_was() {
    for (expiry, advisory) in [(15, 900), (600, 900), (900, 15), (900, 0)] {
        let stage =
            Stage::with(|b| b.expiry_window(seconds(expiry)).advisory_window(seconds(advisory)));
        let first = stage.credentials.get().unwrap();
        stage.clock.advance(seconds(2700) - Duration::from_millis(500));
        for _ in 0..6 {
            assert_eq!(stage.credentials.get().unwrap(), first, "{expiry} {advisory}");
            stage.clock.advance(Duration::from_millis(100));
        }
        assert_ne!(stage.credentials.get().unwrap(), first, "{expiry} {advisory}");
    }
}

/// It makes two calls here, with one attempt each. Both together have the time of one attempt.
#[test]
fn an_early_refresh_takes_at_most_one_attempt_timeout() {
    let timeouts = Arc::new(Mutex::new(Vec::new()));
    let seen = timeouts.clone();
    let slow = move |cognito: &FakeCognito, clock: &ManualClock, request: &HttpRequest| {
        seen.lock().unwrap().push(request.timeout());
        clock.advance(seconds(6));
        cognito.send(request)
    };
    let Stage { clock, credentials, .. } = with_transport(slow, |builder| builder);
    credentials.get().unwrap();
    credentials.clear_cached_id();
    clock.advance(seconds(3000));
    timeouts.lock().unwrap().clear();
    credentials.get().unwrap();
    assert_eq!(*timeouts.lock().unwrap(), [seconds(10), seconds(4)]);
}

/// The settings change during the attempt, so its failure begins no pause.
#[test]
fn one_get_makes_one_early_refresh() {
    let slot = Arc::new(OnceLock::<CognitoIdentityCredentials>::new());
    let inner = slot.clone();
    let changes = move |cognito: &FakeCognito, _: &ManualClock, request: &HttpRequest| {
        let answer = cognito.send(request);
        if answer.as_ref().is_ok_and(|answer| answer.status() != 200) {
            let credentials = inner.get().unwrap();
            credentials.set_identity_id(credentials.identity_id().unwrap()).unwrap();
        }
        answer
    };
    let stage = with_transport(changes, |builder| builder);
    let credentials = &stage.credentials;
    slot.set(credentials.clone()).unwrap();
    let first = credentials.get().unwrap();
    stage.clock.advance(seconds(3000));
    stage.cognito.fail_next(GET_CREDENTIALS, 99, Fault::internal_error());
    assert_eq!(credentials.get().unwrap(), first);
    assert_eq!(stage.contacts(), 2);
    assert_eq!(credentials.status().next_attempt_in, None);
}

#[test]
fn with_a_window_of_zero_a_wall_clock_jump_still_causes_a_pause() {
    let stage = Stage::with(|builder| builder.advisory_window(Duration::ZERO));
    stage.credentials.get().unwrap();
    stage.clock.set_wall(stage.clock.wall() + seconds(100_000));
    stage.clock.advance(seconds(1));
    stage.cognito.fail_next(GET_CREDENTIALS, 99, Fault::timeout());
    for _ in 0..20 {
        stage.credentials.get().unwrap();
    }
    assert_eq!(stage.contacts(), 2);
}

#[test]
fn a_failed_refresh_ends_a_pause_and_retry_after_makes_one_longer() {
    let stage = Stage::new();
    stage.credentials.get().unwrap();
    stage.clock.advance(seconds(2800));
    stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::internal_error());
    stage.credentials.get().unwrap();
    assert!(stage.credentials.status().next_attempt_in.is_some());
    stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::not_authorized("No."));
    stage.credentials.refresh().unwrap_err();
    assert_eq!(stage.credentials.status().next_attempt_in, None);

    let stage = Stage::with(|builder| builder.advisory_window(seconds(60)));
    stage.credentials.get().unwrap();
    stage.clock.advance(seconds(3541));
    let fault = Fault::raw(503, "").with_header("Retry-After", "100");
    stage.cognito.fail_next(GET_CREDENTIALS, 1, fault);
    stage.credentials.get().unwrap();
    let pause = stage.credentials.status().next_attempt_in.unwrap();
    assert!((seconds(100)..=seconds(200)).contains(&pause), "{pause:?}");
}

/// Credentials of 6 hours have a window of 60 minutes.
#[test]
fn an_outage_in_a_long_advisory_window_causes_an_attempt_every_5_to_10_minutes() {
    for seed in 0..50 {
        seed_delays(seed);
        let stage = Stage::with(|b| b.role_arn(ROLE).duration(seconds(6 * 3600)));
        let first = stage.credentials.get().unwrap();
        stage.clock.advance(seconds(5 * 3600 + 1));
        stage.cognito.fail_next("GetOpenIdToken", 99, Fault::internal_error());
        for attempt in 1..=5 {
            assert_eq!(stage.credentials.get().unwrap(), first);
            assert_eq!(stage.cognito.calls("GetOpenIdToken"), attempt + 1);
            let pause = stage.credentials.status().next_attempt_in.unwrap();
            assert!((seconds(300)..=seconds(600)).contains(&pause), "{pause:?}");
            stage.clock.advance(pause);
        }
    }
}

#[test]
fn get_within_returns_in_time() {
    // Each attempt may take what is left of the limit, and no delay goes beyond it.
    let stage = Stage::with(|builder| builder.identity_id(IDENTITY));
    stage.cognito.fail_next(GET_CREDENTIALS, 99, Fault::throttled());
    assert!(stage.credentials.get_within(Duration::from_millis(500)).is_err());
    assert!(stage.clock.sleeps().iter().sum::<Duration>() < Duration::from_millis(500));

    let timeouts = Arc::new(Mutex::new(Vec::new()));
    let seen = timeouts.clone();
    let credentials = answering(move |request| {
        seen.lock().unwrap().push(request.timeout());
        Ok(issued("K"))
    });
    credentials.get_within(seconds(3)).unwrap();
    credentials.refresh().unwrap();
    credentials.expire();
    credentials.get_within(seconds(999)).unwrap();
    assert_eq!(*timeouts.lock().unwrap(), [seconds(3), seconds(10), seconds(10)]);

    let stage = Stage::new();
    let error = stage.credentials.get_within(Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let first = stage.credentials.get().unwrap();
    stage.clock.advance(seconds(3000));
    assert_eq!(stage.credentials.get_within(Duration::ZERO).unwrap(), first);
    assert_eq!(stage.contacts(), 1, "with a limit of zero there is no call");
}

#[test]
fn status_shows_the_identity_and_the_remaining_time() {
    let stage = Stage::new();
    let status = stage.credentials.status();
    assert_eq!((status.identity_id, status.expires_in, status.needs_refresh), (None, None, true));
    let set = stage.credentials.get().unwrap();
    stage.clock.advance(seconds(100));
    let status = stage.credentials.status();
    assert_eq!(status.identity_id.as_deref(), set.identity_id());
    assert_eq!((status.expires_in, status.needs_refresh), (Some(seconds(3500)), false));
    assert!(status.last_error.is_none() && status.next_attempt_in.is_none());
}
