//! What `get()` does in each state of the cached set, and how long it keeps away after a failure.

use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use cognito_identity_credentials::testing::{FakeCognito, Fault, ManualClock, seed_delays};
use cognito_identity_credentials::transport::{HttpRequest, HttpResponse, Transport};
use cognito_identity_credentials::{Clock, CognitoIdentityCredentials, ErrorKind, Logins};

use crate::classic::ROLE;
use crate::support::{EXPIRED, GET_CREDENTIALS, Gate, IDENTITY, POOL, PROVIDER, Stage, seconds};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Old,
    New,
    Error,
}

/// One hour of life, 15 minutes of it advisory, the last 15 seconds mandatory.
#[test]
fn each_state_contacts_whom_it_should_to_the_second() {
    use Outcome::{Error, New, Old};
    let rows = [
        // after, with the service in order: outcome; out of order: outcome, contacts
        (0, Old, Old, 0),
        (1, Old, Old, 0),
        (2700, Old, Old, 0),
        (2701, New, Old, 1),
        (3585, New, Old, 1),
        (3586, New, Error, 4),
        (3600, New, Error, 4),
        (3601, New, Error, 4),
        (100_000_000, New, Error, 4),
    ];
    for (after, in_order, out_of_order, contacts) in rows {
        for broken in [false, true] {
            let stage = Stage::new();
            let first = stage.credentials.get().unwrap();
            stage.clock.advance(seconds(after));
            if broken {
                stage.cognito.fail_next(GET_CREDENTIALS, 99, Fault::internal_error());
            }
            assert_eq!(stage.credentials.needs_refresh(), after >= 3586, "after {after} s");
            let before = stage.contacts();
            let outcome = match stage.credentials.get() {
                Ok(set) if set == first => Old,
                Ok(_) => New,
                Err(_) => Error,
            };
            let expected = if broken { out_of_order } else { in_order };
            assert_eq!(outcome, expected, "after {after} s, broken: {broken}");
            let expected = if broken { contacts } else { usize::from(in_order == New) };
            assert_eq!(stage.contacts() - before, expected, "after {after} s, broken: {broken}");
            if outcome == Error {
                assert_eq!(stage.credentials.cached(), Some(first), "the keys stay readable");
            }
        }
    }
}

#[test]
fn without_a_loaded_set_the_first_get_loads_one() {
    let stage = Stage::new();
    assert!(stage.credentials.needs_refresh());
    assert_eq!(stage.credentials.cached(), None);
    let set = stage.credentials.get().unwrap();
    assert!(!stage.credentials.needs_refresh());
    assert_eq!(stage.credentials.cached(), Some(set.clone()));
    assert_eq!(stage.credentials.get().unwrap(), set);
    assert_eq!(stage.contacts(), 1);
    assert_ne!(stage.credentials.refresh().unwrap(), set, "refresh always contacts the service");
    assert_eq!(stage.contacts(), 2);
}

/// A failed advisory attempt is one attempt without recovery, keeps the set in use, and is repeated
/// after a third to two thirds of the window.
#[test]
fn a_failed_advisory_attempt_is_put_off_by_part_of_the_window() {
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
        assert_eq!(stage.contacts(), 2, "nobody is contacted during the pause");
        stage.clock.advance(Duration::from_nanos(1));
        assert_ne!(stage.credentials.get().unwrap(), first);
        assert!(stage.credentials.status().last_error.is_none());
        assert!(stage.credentials.status().next_attempt_in.is_none());
        assert!(stage.clock.sleeps().is_empty(), "an advisory attempt does not wait");
    }
    assert!((300..330).contains(&shortest.as_secs()), "{shortest:?}");
    assert!((570..=600).contains(&longest.as_secs()), "{longest:?}");
}

#[test]
fn an_advisory_attempt_makes_no_recovery_and_fails_for_any_reason_without_showing() {
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
    let clock = ManualClock::new();
    let cognito = FakeCognito::with_clock(clock.clone());
    let (gate, keeper) = Gate::before(cognito.clone());
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .transport(gate)
        .clock(clock.clone())
        .build()
        .unwrap();
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
fn after_a_refusal_get_keeps_away_for_a_fifth_to_all_of_the_cooldown() {
    let mut shortest = Duration::MAX;
    let mut longest = Duration::ZERO;
    for seed in 0..200 {
        seed_delays(seed);
        let stage = Stage::with(|builder| builder.failure_cooldown(seconds(10)));
        stage.cognito.set_guests(POOL, false);
        let error = stage.credentials.get().unwrap_err();
        let wait = stage.credentials.status().next_attempt_in.unwrap();
        (shortest, longest) = (shortest.min(wait), longest.max(wait));

        stage.clock.advance(wait - Duration::from_nanos(1));
        let again = stage.credentials.get().unwrap_err();
        assert_eq!(again.request_id(), error.request_id(), "it is the same error");
        assert_eq!(stage.cognito.requests().len(), 1);
        stage.clock.advance(Duration::from_nanos(1));
        assert!(stage.credentials.get().is_err());
        assert_eq!(stage.cognito.requests().len(), 2);
    }
    assert!((2_000..2_400).contains(&shortest.as_millis()), "{shortest:?}");
    assert!((9_600..=10_000).contains(&longest.as_millis()), "{longest:?}");
}

/// A provider that makes one attempt for each refresh and has a cooldown of 10 seconds, after so many
/// throttled ones.
fn throttled_stage(times: u32) -> Stage {
    let stage = Stage::with(|builder| builder.max_attempts(1).failure_cooldown(seconds(10)));
    for _ in 0..times {
        fail_after_the_cooldown(&stage, Fault::throttled());
    }
    stage
}

/// Lets the cooldown pass, has one refresh fail, and returns the next cooldown.
fn fail_after_the_cooldown(stage: &Stage, fault: Fault) -> Option<Duration> {
    stage.clock.advance(stage.credentials.status().next_attempt_in.unwrap_or_default());
    stage.cognito.fail_next(GET_CREDENTIALS, 1, fault);
    let contacts = stage.contacts();
    stage.credentials.get().unwrap_err();
    assert_eq!(stage.contacts(), contacts + 1);
    stage.credentials.status().next_attempt_in
}

#[test]
fn each_throttled_refresh_in_a_row_doubles_the_cooldown_up_to_sixteen_times() {
    let mut seen = [(Duration::MAX, Duration::ZERO); 7];
    for seed in 0..200 {
        seed_delays(seed);
        let stage = throttled_stage(0);
        for (shortest, longest) in &mut seen {
            let wait = fail_after_the_cooldown(&stage, Fault::throttled()).unwrap();
            (*shortest, *longest) = (wait.min(*shortest), wait.max(*longest));

            let contacts = stage.contacts();
            stage.clock.advance(wait - Duration::from_nanos(1));
            let error = stage.credentials.get().unwrap_err();
            assert_eq!((error.kind(), stage.contacts()), (ErrorKind::Throttled, contacts));
        }
    }
    for ((shortest, longest), bound) in seen.into_iter().zip([10, 20, 40, 80, 160, 160, 160]) {
        let bound = seconds(bound);
        assert!((bound / 5..bound / 4).contains(&shortest), "{bound:?}: {shortest:?}");
        assert!((bound * 24 / 25..=bound).contains(&longest), "{bound:?}: {longest:?}");
    }
}

/// After five throttled refreshes the next cooldown is 32 s at least, or again 10 s at most.
#[test]
fn what_ends_the_growth_of_a_cooldown_and_what_does_not() {
    type Step = fn(&Stage);
    fn fails(stage: &Stage, fault: Fault) {
        fail_after_the_cooldown(stage, fault);
    }
    fn succeeds(stage: &Stage) {
        stage.clock.advance(stage.credentials.status().next_attempt_in.unwrap());
        stage.credentials.get().unwrap();
    }
    let rows: [(&str, Step, bool); 14] = [
        ("nothing", |_| {}, false),
        ("time", |s| s.clock.advance(seconds(100_000)), false),
        ("expire", |s| s.credentials.expire(), false),
        ("invalidate", |s| s.credentials.invalidate("ASIAFAKE"), false),
        ("no answer", |s| fails(s, Fault::timeout()), false),
        ("unavailable", |s| fails(s, Fault::internal_error()), true),
        ("a refusal", |s| fails(s, Fault::not_authorized("No.")), true),
        ("refresh", |s| drop(s.credentials.refresh()), true),
        ("success", succeeds, true),
        ("set_login", |s| s.credentials.set_login(PROVIDER, "t"), true),
        ("set_logins", |s| s.credentials.set_logins(Logins::new()), true),
        ("remove_login", |s| s.credentials.remove_login(PROVIDER), true),
        ("set_identity_id", |s| s.credentials.set_identity_id(IDENTITY).unwrap(), true),
        ("clear_cached_id", |s| s.credentials.clear_cached_id(), true),
    ];
    for (name, step, ends) in rows {
        let stage = throttled_stage(5);
        assert!(stage.credentials.status().next_attempt_in >= Some(seconds(32)), "{name}");
        step(&stage);
        stage.credentials.expire();
        let wait = fail_after_the_cooldown(&stage, Fault::throttled()).unwrap();
        assert_eq!(wait <= seconds(10), ends, "{name}: {wait:?}");
        assert!(ends || wait >= seconds(32), "{name}: {wait:?}");
    }

    // The failure of `refresh()` counts as the first.
    let stage = throttled_stage(5);
    stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::throttled());
    stage.credentials.refresh().unwrap_err();
    assert!(stage.credentials.status().next_attempt_in.unwrap() <= seconds(10));
}

#[test]
fn a_refresh_makes_all_its_attempts_however_often_the_service_has_throttled() {
    let stage = Stage::new();
    stage.cognito.fail_next(GET_CREDENTIALS, 99, Fault::throttled());
    for refresh in 1..=7 {
        stage.clock.advance(stage.credentials.status().next_attempt_in.unwrap_or_default());
        let contacts = stage.contacts();
        assert_eq!(stage.credentials.get().unwrap_err().kind(), ErrorKind::Throttled);
        assert_eq!(stage.contacts() - contacts, 4, "refresh {refresh}");
    }
}

/// A good set is not touched by it: the pause of an attempt ahead of time stays as it was.
#[test]
fn throttled_attempts_ahead_of_time_do_not_count() {
    let stage = throttled_stage(0);
    stage.credentials.get().unwrap();
    stage.clock.advance(seconds(2_701));
    stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::throttled());
    stage.credentials.get().unwrap();
    stage.credentials.expire();
    let wait = fail_after_the_cooldown(&stage, Fault::throttled()).unwrap();
    assert!(wait <= seconds(10), "{wait:?}");
}

#[test]
fn who_clears_a_cooldown_and_who_does_not() {
    type Change = fn(&CognitoIdentityCredentials);
    let changes: [(&str, Change, bool); 9] = [
        ("refresh", |c| drop(c.refresh()), true),
        ("set_login", |c| c.set_login(PROVIDER, "t"), true),
        ("set_logins", |c| c.set_logins(Logins::new()), true),
        ("remove_login", |c| c.remove_login(PROVIDER), true),
        ("set_identity_id", |c| c.set_identity_id(IDENTITY).unwrap(), true),
        ("clear_cached_id", CognitoIdentityCredentials::clear_cached_id, true),
        ("expire", CognitoIdentityCredentials::expire, false),
        ("invalidate", |c| c.invalidate("ASIAFAKE"), false),
        ("nothing", |_| {}, false),
    ];
    for (name, change, clears) in changes {
        let stage = Stage::new();
        stage.cognito.fail_next("GetId", 1, Fault::not_authorized("Something new."));
        stage.credentials.get().unwrap_err();
        let before = stage.cognito.requests().len();
        change(&stage.credentials);
        let _ = stage.credentials.get();
        assert_eq!(stage.cognito.requests().len() > before, clears, "{name}");
    }
}

#[test]
fn a_cooldown_follows_answers_alone_and_lasts_as_long_as_the_service_asks() {
    let remembered = |fault: Fault| {
        let stage = Stage::with(|builder| builder.identity_id(IDENTITY).max_attempts(1));
        stage.cognito.fail_next(GET_CREDENTIALS, 1, fault);
        stage.credentials.get().unwrap_err();
        stage.credentials.status().next_attempt_in
    };
    assert_eq!(remembered(Fault::timeout()), None);
    assert!(remembered(Fault::throttled()).is_some());
    assert!(remembered(Fault::internal_error()).is_some());
    assert!(remembered(Fault::raw(200, "<html>")).is_some());

    for (status, obeyed) in [(503, true), (511, false), (403, false)] {
        let credentials = crate::support::answering(move |_| {
            use cognito_identity_credentials::transport::HttpResponse;
            Ok(HttpResponse::new(status, "<html>").with_header("Retry-After", "120"))
        });
        credentials.get().unwrap_err();
        let wait = credentials.status().next_attempt_in;
        assert_eq!(wait.is_some(), obeyed, "{status}: a captive portal's wish does not count");
        assert!(wait.is_none_or(|wait| (seconds(120)..=seconds(240)).contains(&wait)), "{wait:?}");
    }
}

#[test]
fn invalidate_hits_the_named_set_alone() {
    let stage = Stage::new();
    let first = stage.credentials.get().unwrap();
    stage.credentials.invalidate("ASIAOTHER");
    assert!(!stage.credentials.needs_refresh());
    stage.credentials.invalidate(first.access_key_id());
    assert!(stage.credentials.needs_refresh());
    let second = stage.credentials.get().unwrap();
    stage.credentials.invalidate(first.access_key_id());
    assert_eq!(stage.credentials.get().unwrap(), second, "the set is a newer one already");
}

#[test]
fn an_expired_set_is_not_served_even_if_nothing_else_can_be_had() {
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
fn configured_windows_win() {
    let stage = Stage::with(|b| b.expiry_window(seconds(600)).advisory_window(seconds(3000)));
    let first = stage.credentials.get().unwrap();
    for (at, contacts, needs_refresh) in [(600, 1, false), (601, 2, false), (2999, 3, false)] {
        let stage = Stage::with(|b| b.expiry_window(seconds(600)).advisory_window(seconds(3000)));
        stage.credentials.get().unwrap();
        stage.clock.advance(seconds(at));
        assert_eq!(stage.credentials.needs_refresh(), needs_refresh, "{at}");
        stage.credentials.get().unwrap();
        assert_eq!(stage.contacts(), contacts.min(2), "{at}");
    }
    stage.clock.advance(seconds(3001));
    assert!(stage.credentials.needs_refresh());
    assert_ne!(stage.credentials.get().unwrap(), first);
}

/// Also within the second for which the wall clock is not looked at again, and where the mandatory
/// window is the longer one.
#[test]
fn a_window_opens_at_its_moment_however_lately_get_was_called() {
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

/// Two calls, one attempt each, and one attempt's time for both.
#[test]
fn an_advisory_attempt_has_one_attempts_time_in_all() {
    let clock = ManualClock::new();
    let cognito = FakeCognito::with_clock(clock.clone());
    let timeouts = Arc::new(Mutex::new(Vec::new()));
    let (seen, time, service) = (timeouts.clone(), clock.clone(), cognito.clone());
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .transport(move |request: &HttpRequest| {
            seen.lock().unwrap().push(request.timeout());
            time.advance(seconds(6));
            service.send(request)
        })
        .clock(clock.clone())
        .build()
        .unwrap();
    credentials.get().unwrap();
    credentials.clear_cached_id();
    clock.advance(seconds(3000));
    timeouts.lock().unwrap().clear();
    credentials.get().unwrap();
    assert_eq!(*timeouts.lock().unwrap(), [seconds(10), seconds(4)]);
}

/// The settings change during the attempt, so that its failure leaves no pause behind.
#[test]
fn one_get_makes_one_advisory_attempt() {
    let stage = Stage::new();
    let slot = Arc::new(OnceLock::<CognitoIdentityCredentials>::new());
    let (inner, service) = (slot.clone(), stage.cognito.clone());
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .transport(move |request: &HttpRequest| {
            let answer = service.send(request);
            if answer.as_ref().is_ok_and(|answer| answer.status() != 200) {
                let credentials = inner.get().unwrap();
                credentials.set_identity_id(credentials.identity_id().unwrap()).unwrap();
            }
            answer
        })
        .clock(stage.clock.clone())
        .build()
        .unwrap();
    slot.set(credentials.clone()).unwrap();
    let first = credentials.get().unwrap();
    stage.clock.advance(seconds(3000));
    stage.cognito.fail_next(GET_CREDENTIALS, 99, Fault::internal_error());
    assert_eq!(credentials.get().unwrap(), first);
    assert_eq!(stage.contacts(), 2);
    assert_eq!(credentials.status().next_attempt_in, None);
}

#[test]
fn a_window_of_zero_still_pauses_when_the_wall_clock_says_over() {
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
fn a_failed_refresh_ends_a_pause_too_and_the_services_wish_lengthens_one() {
    let stage = Stage::new();
    stage.credentials.get().unwrap();
    stage.clock.advance(seconds(2800));
    stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::internal_error());
    stage.credentials.get().unwrap();
    assert!(stage.credentials.status().next_attempt_in.is_some());
    stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::not_authorized("No."));
    stage.credentials.refresh().unwrap_err();
    assert_eq!(stage.credentials.status().next_attempt_in, None);

    let first = Mutex::new(true);
    let clock = ManualClock::new();
    let credentials = CognitoIdentityCredentials::builder()
        .identity_id(IDENTITY)
        .transport(move |_: &HttpRequest| {
            if std::mem::take(&mut *first.lock().unwrap()) {
                return Ok(crate::support::issued("K"));
            }
            Ok(HttpResponse::new(503, "").with_header("Retry-After", "100"))
        })
        .clock(clock.clone())
        .advisory_window(seconds(60))
        .build()
        .unwrap();
    credentials.get().unwrap();
    clock.advance(seconds(3541));
    credentials.get().unwrap();
    let pause = credentials.status().next_attempt_in.unwrap();
    assert!((seconds(100)..=seconds(200)).contains(&pause), "{pause:?}");
}

/// Credentials of 6 hours have a window of 60 minutes.
#[test]
fn an_outage_in_a_long_advisory_window_is_met_by_an_attempt_every_5_to_10_minutes() {
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
fn no_header_keeps_get_away_for_more_than_5_minutes() {
    const THROTTLED: &str = r#"{"__type": "TooManyRequestsException"}"#;
    const DENIED: &str = r#"{"__type": "NotAuthorizedException"}"#;
    let waits = [
        // header, value, shortest and longest wait in seconds
        ("Retry-After", "7", 7, 14),
        ("Retry-After", "300", 300, 300),
        ("Retry-After", "301", 150, 300),
        ("Retry-After", "31536000", 150, 300),
        ("Retry-After", "18446744073709551615", 150, 300),
        ("Retry-After", "Fri, 01 Jan 2027 00:00:00 GMT", 150, 300),
        ("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT", 150, 300),
        ("x-amz-retry-after", "7000", 7, 14),
        ("x-amz-retry-after", "31536000000", 150, 300),
        ("x-amz-retry-after", "18446744073709551615", 150, 300),
    ];
    let answers = [
        // status, body, is it retried if there is time
        (429, THROTTLED, true),
        (503, "", true),
        (408, "", true),
        (400, DENIED, false),
    ];
    for (header, value, shortest, longest) in waits {
        let allowed = seconds(shortest)..=seconds(longest);
        for (status, body, retried) in answers {
            // cooldown, whether it is longer than any wait
            for (cooldown, long) in [(0, false), (5, false), (5 * 3600, true)] {
                let clock = ManualClock::new();
                let credentials = CognitoIdentityCredentials::builder()
                    .identity_id(IDENTITY)
                    .transport(move |_: &HttpRequest| {
                        Ok(HttpResponse::new(status, body)
                            .with_header("date", "Thu, 01 Jan 2026 00:00:00 GMT")
                            .with_header(header, value))
                    })
                    .clock(clock.clone())
                    .timeout(seconds(900))
                    .max_attempts(2)
                    .failure_cooldown(seconds(cooldown))
                    .build()
                    .unwrap();
                credentials.get().unwrap_err();
                let case = format!("{status}, {header}: {value}, cooldown {cooldown} s");
                assert_eq!(clock.sleeps().len(), usize::from(retried), "{case}");
                assert!(clock.sleeps().iter().all(|sleep| allowed.contains(sleep)), "{case}");
                let wait = credentials.status().next_attempt_in.unwrap();
                let kept = if long { wait >= seconds(3600) } else { allowed.contains(&wait) };
                assert!(kept, "{case}: {wait:?}");
            }
        }
    }
}

#[test]
fn get_within_is_back_in_time() {
    // Each attempt is given what is left of the limit, and no delay goes beyond it.
    let stage = Stage::with(|builder| builder.identity_id(IDENTITY));
    stage.cognito.fail_next(GET_CREDENTIALS, 99, Fault::throttled());
    let start = stage.clock.sleeps().iter().sum::<Duration>();
    assert!(stage.credentials.get_within(Duration::from_millis(500)).is_err());
    assert!(stage.clock.sleeps().iter().sum::<Duration>() - start < Duration::from_millis(500));

    let timeouts = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = timeouts.clone();
    let credentials = crate::support::answering(move |request| {
        seen.lock().unwrap().push(request.timeout());
        Ok(crate::support::issued("K"))
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
    assert_eq!(stage.contacts(), 1, "a limit of zero never contacts the service");
}

#[test]
fn status_tells_what_there_is() {
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

/// Any thread that sees `ExpiredToken` may call `expire` while a refresh fails.
#[test]
fn expire_during_a_failing_refresh_does_not_end_the_cooldown() {
    let clock = ManualClock::new();
    let provider: Arc<OnceLock<CognitoIdentityCredentials>> = Arc::default();
    let (own, contacts) = (Arc::clone(&provider), Arc::new(Mutex::new(0)));
    let counted = Arc::clone(&contacts);
    let transport = move |_: &HttpRequest| {
        *counted.lock().unwrap() += 1;
        own.get().unwrap().expire();
        let body = r#"{"__type":"TooManyRequestsException"}"#;
        Ok(HttpResponse::new(429, body).with_header("Retry-After", "120"))
    };
    let built = CognitoIdentityCredentials::builder()
        .identity_id(IDENTITY)
        .transport(transport)
        .clock(clock.clone())
        .max_attempts(1)
        .build()
        .unwrap();
    let credentials = provider.get_or_init(|| built);
    for _ in 0..5 {
        assert_eq!(credentials.get().unwrap_err().kind(), ErrorKind::Throttled);
    }
    let status = credentials.status();
    assert_eq!(*contacts.lock().unwrap(), 1);
    assert_eq!(status.last_error.unwrap().kind(), ErrorKind::Throttled);
    assert_eq!(status.next_attempt_in, Some(seconds(120)));
}

/// A transport may refuse an answer that is too large before the library sees its status.
#[test]
fn an_answer_that_is_too_large_begins_a_cooldown() {
    use cognito_identity_credentials::transport::TransportErrorKind::{Connect, TooLarge};
    for (kind, contacts) in [(TooLarge, 1), (Connect, 3)] {
        let stage = Stage::with(|builder| builder.max_attempts(1).identity_id(IDENTITY));
        stage.cognito.fail_next(GET_CREDENTIALS, 9, Fault::NoAnswer(kind));
        for _ in 0..3 {
            stage.credentials.get().unwrap_err();
        }
        assert_eq!(stage.contacts(), contacts, "{kind:?}");
    }
}

/// A clock whose delays take twice as long as they should, as on a device that is suspended.
struct Oversleeping(ManualClock);

impl Clock for Oversleeping {
    fn wall(&self) -> std::time::SystemTime {
        self.0.wall()
    }

    fn boot(&self) -> Duration {
        self.0.boot()
    }

    fn sleep(&self, duration: Duration) {
        self.0.sleep(duration * 2);
    }
}

#[test]
fn a_delay_that_takes_too_long_does_not_hide_the_error_of_the_service() {
    let clock = ManualClock::new();
    let cognito = FakeCognito::with_clock(clock.clone());
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .transport(cognito.clone())
        .clock(Oversleeping(clock))
        .timeout(seconds(30))
        .build()
        .unwrap();
    cognito.fail_next("GetId", 9, Fault::throttled().with_header("Retry-After", "20"));
    for _ in 0..3 {
        assert_eq!(credentials.get().unwrap_err().kind(), ErrorKind::Throttled);
    }
    assert_eq!(cognito.calls("GetId"), 1);
}
