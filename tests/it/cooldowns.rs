//! How long `get()` makes no call after a failed refresh.

use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::testing::{FakeCognito, Fault, ManualClock, seed_delays};
use cognito_identity_credentials::transport::{HttpRequest, HttpResponse, Transport};
use cognito_identity_credentials::{Clock, CognitoIdentityCredentials, ErrorKind, Logins};

use crate::sharing::with_transport;
use crate::support::{GET_CREDENTIALS, IDENTITY, POOL, PROVIDER, Stage, answering, seconds};

#[test]
fn after_a_refusal_get_makes_no_call_for_a_fifth_to_all_of_the_cooldown() {
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
        assert_eq!(again.request_id(), error.request_id(), "the same error");
        assert_eq!(stage.cognito.requests().len(), 1);
        stage.clock.advance(Duration::from_nanos(1));
        assert!(stage.credentials.get().is_err());
        assert_eq!(stage.cognito.requests().len(), 2);
    }
    assert!((2_000..2_400).contains(&shortest.as_millis()), "{shortest:?}");
    assert!((9_600..=10_000).contains(&longest.as_millis()), "{longest:?}");
}

/// A stage with one attempt for each refresh and a cooldown of 10 seconds. The service has already
/// throttled this many refreshes.
fn throttled_stage(times: u32) -> Stage {
    let stage = Stage::with(|builder| builder.max_attempts(1).failure_cooldown(seconds(10)));
    for _ in 0..times {
        fail_after_the_cooldown(&stage, Fault::throttled());
    }
    stage
}

/// Waits for the end of the cooldown, makes one refresh fail, and returns the next cooldown.
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

/// After five throttled refreshes the next cooldown is at least 32 s. If something has
/// reset the doubling, it is at most 10 s.
#[test]
fn what_resets_the_doubling_of_a_cooldown_and_what_does_not() {
    type Step = fn(&Stage);
    fn fails(stage: &Stage, fault: Fault) {
        fail_after_the_cooldown(stage, fault);
    }
    fn succeeds(stage: &Stage) {
        stage.clock.advance(stage.credentials.status().next_attempt_in.unwrap());
        stage.credentials.get().unwrap();
    }
    let keep: [(&str, Step); 5] = [
        ("nothing", |_| {}),
        ("time", |s| s.clock.advance(seconds(100_000))),
        ("expire", |s| s.credentials.expire()),
        ("invalidate", |s| s.credentials.invalidate("ASIAFAKE")),
        ("no answer", |s| fails(s, Fault::timeout())),
    ];
    let reset: [(&str, Step); 9] = [
        ("unavailable", |s| fails(s, Fault::internal_error())),
        ("a refusal", |s| fails(s, Fault::not_authorized("No."))),
        ("refresh", |s| drop(s.credentials.refresh())),
        ("success", succeeds),
        ("set_login", |s| s.credentials.set_login(PROVIDER, "t")),
        ("set_logins", |s| s.credentials.set_logins(Logins::new())),
        ("remove_login", |s| s.credentials.remove_login(PROVIDER)),
        ("set_identity_id", |s| s.credentials.set_identity_id(IDENTITY).unwrap()),
        ("clear_cached_id", |s| s.credentials.clear_cached_id()),
    ];
    let rows = keep.map(|row| (row, false)).into_iter().chain(reset.map(|row| (row, true)));
    for ((name, step), resets) in rows {
        let stage = throttled_stage(5);
        assert!(stage.credentials.status().next_attempt_in >= Some(seconds(32)), "{name}");
        step(&stage);
        stage.credentials.expire();
        let wait = fail_after_the_cooldown(&stage, Fault::throttled()).unwrap();
        assert_eq!(wait <= seconds(10), resets, "{name}: {wait:?}");
        assert!(resets || wait >= seconds(32), "{name}: {wait:?}");
    }

    // `refresh()` resets the doubling, so its own failure is the first one.
    let stage = throttled_stage(5);
    stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::throttled());
    stage.credentials.refresh().unwrap_err();
    assert!(stage.credentials.status().next_attempt_in.unwrap() <= seconds(10));
}

#[test]
fn earlier_throttling_never_reduces_the_attempts_of_a_refresh() {
    let stage = Stage::new();
    stage.cognito.fail_next(GET_CREDENTIALS, 99, Fault::throttled());
    for refresh in 1..=7 {
        stage.clock.advance(stage.credentials.status().next_attempt_in.unwrap_or_default());
        let contacts = stage.contacts();
        assert_eq!(stage.credentials.get().unwrap_err().kind(), ErrorKind::Throttled);
        assert_eq!(stage.contacts() - contacts, 4, "refresh {refresh}");
    }
}

#[test]
fn throttled_early_refreshes_do_not_lengthen_a_cooldown() {
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
fn which_calls_end_a_cooldown() {
    type Change = fn(&CognitoIdentityCredentials);
    let end: [(&str, Change); 6] = [
        ("refresh", |c| drop(c.refresh())),
        ("set_login", |c| c.set_login(PROVIDER, "t")),
        ("set_logins", |c| c.set_logins(Logins::new())),
        ("remove_login", |c| c.remove_login(PROVIDER)),
        ("set_identity_id", |c| c.set_identity_id(IDENTITY).unwrap()),
        ("clear_cached_id", CognitoIdentityCredentials::clear_cached_id),
    ];
    let keep: [(&str, Change); 3] = [
        ("expire", CognitoIdentityCredentials::expire),
        ("invalidate", |c| c.invalidate("ASIAFAKE")),
        ("nothing", |_| {}),
    ];
    let rows = end.map(|row| (row, true)).into_iter().chain(keep.map(|row| (row, false)));
    for ((name, change), ends) in rows {
        let stage = Stage::new();
        stage.cognito.fail_next("GetId", 1, Fault::not_authorized("Something new."));
        stage.credentials.get().unwrap_err();
        let before = stage.cognito.requests().len();
        change(&stage.credentials);
        let _ = stage.credentials.get();
        assert_eq!(stage.cognito.requests().len() > before, ends, "{name}");
    }
}

#[test]
fn only_answers_begin_a_cooldown_and_retry_after_sets_its_length() {
    let cooldown = |fault: Fault| {
        let stage = Stage::with(|builder| builder.identity_id(IDENTITY).max_attempts(1));
        stage.cognito.fail_next(GET_CREDENTIALS, 1, fault);
        stage.credentials.get().unwrap_err();
        stage.credentials.status().next_attempt_in
    };
    assert_eq!(cooldown(Fault::timeout()), None);
    assert!(cooldown(Fault::throttled()).is_some());
    assert!(cooldown(Fault::internal_error()).is_some());
    assert!(cooldown(Fault::raw(200, "<html>")).is_some());

    for (status, counts) in [(503, true), (511, false), (403, false)] {
        let credentials = answering(move |_| {
            Ok(HttpResponse::new(status, "<html>").with_header("Retry-After", "120"))
        });
        credentials.get().unwrap_err();
        let wait = credentials.status().next_attempt_in;
        assert_eq!(wait.is_some(), counts, "{status}: not from a captive portal");
        assert!(wait.is_none_or(|wait| (seconds(120)..=seconds(240)).contains(&wait)), "{wait:?}");
    }
}

#[test]
fn no_header_stops_calls_for_more_than_5_minutes() {
    const THROTTLED: &str = r#"{"__type": "TooManyRequestsException"}"#;
    const DENIED: &str = r#"{"__type": "NotAuthorizedException"}"#;
    /// A header, and the seconds for which it may stop calls.
    struct Header {
        name: &'static str,
        value: &'static str,
        wait: RangeInclusive<u64>,
    }
    struct Answer {
        status: u16,
        body: &'static str,
        is_retried: bool,
    }
    let retry_after = |value, wait| Header { name: "Retry-After", value, wait };
    let milliseconds = |value, wait| Header { name: "x-amz-retry-after", value, wait };
    let headers = [
        retry_after("7", 7..=14),
        retry_after("300", 300..=300),
        retry_after("301", 150..=300),
        retry_after("31536000", 150..=300),
        retry_after("18446744073709551615", 150..=300),
        retry_after("Fri, 01 Jan 2027 00:00:00 GMT", 150..=300),
        retry_after("Fri, 31 Dec 9999 23:59:59 GMT", 150..=300),
        milliseconds("7000", 7..=14),
        milliseconds("31536000000", 150..=300),
        milliseconds("18446744073709551615", 150..=300),
    ];
    let answers = [
        Answer { status: 429, body: THROTTLED, is_retried: true },
        Answer { status: 503, body: "", is_retried: true },
        Answer { status: 408, body: "", is_retried: true },
        Answer { status: 400, body: DENIED, is_retried: false },
    ];
    for Header { name, value, wait } in headers {
        let allowed = seconds(*wait.start())..=seconds(*wait.end());
        for &Answer { status, body, is_retried } in &answers {
            for cooldown in [0, 5, 5 * 3600] {
                let Stage { clock, credentials, .. } = Stage::with(|builder| {
                    let transport = move |_: &HttpRequest| {
                        Ok(HttpResponse::new(status, body)
                            .with_header("date", "Thu, 01 Jan 2026 00:00:00 GMT")
                            .with_header(name, value))
                    };
                    let builder = builder.identity_id(IDENTITY).transport(transport);
                    let builder = builder.timeout(seconds(900)).max_attempts(2);
                    builder.failure_cooldown(seconds(cooldown))
                });
                credentials.get().unwrap_err();
                let case = format!("{status}, {name}: {value}, cooldown {cooldown} s");
                assert_eq!(clock.sleeps().len(), usize::from(is_retried), "{case}");
                assert!(clock.sleeps().iter().all(|sleep| allowed.contains(sleep)), "{case}");
                let wait = credentials.status().next_attempt_in.unwrap();
                // Only a cooldown of the program may be longer than the header allows.
                let is_long = cooldown > 300;
                let fits = if is_long { wait >= seconds(3600) } else { allowed.contains(&wait) };
                assert!(fits, "{case}: {wait:?}");
            }
        }
    }
}

/// Any thread that sees `ExpiredToken` may call `expire` while a refresh fails.
#[test]
fn expire_during_a_failing_refresh_does_not_end_the_cooldown() {
    let provider: Arc<OnceLock<CognitoIdentityCredentials>> = Arc::default();
    let own = Arc::clone(&provider);
    let transport = move |cognito: &FakeCognito, _: &ManualClock, request: &HttpRequest| {
        own.get().unwrap().expire();
        cognito.send(request)
    };
    let stage = with_transport(transport, |builder| builder.identity_id(IDENTITY).max_attempts(1));
    let fault = Fault::throttled().with_header("Retry-After", "120");
    stage.cognito.fail_next(GET_CREDENTIALS, 9, fault);
    let credentials = provider.get_or_init(|| stage.credentials.clone());
    for _ in 0..5 {
        assert_eq!(credentials.get().unwrap_err().kind(), ErrorKind::Throttled);
    }
    let status = credentials.status();
    assert_eq!(stage.contacts(), 1);
    assert_eq!(status.last_error.unwrap().kind(), ErrorKind::Throttled);
    assert_eq!(status.next_attempt_in, Some(seconds(120)));
}

/// A transport may reject such an answer before the library sees its status.
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

/// A clock whose delays take twice as long as requested, as on a device that is suspended.
struct Oversleeping(ManualClock);

impl Clock for Oversleeping {
    fn wall(&self) -> SystemTime {
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
    let Stage { cognito, credentials, .. } =
        Stage::on(clock.clone(), |builder| builder.clock(Oversleeping(clock)).timeout(seconds(30)));
    cognito.fail_next("GetId", 9, Fault::throttled().with_header("Retry-After", "20"));
    for _ in 0..3 {
        assert_eq!(credentials.get().unwrap_err().kind(), ErrorKind::Throttled);
    }
    assert_eq!(cognito.calls("GetId"), 1);
}
