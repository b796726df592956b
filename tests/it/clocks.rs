//! Clocks that are wrong, jump, or stand still.

use std::time::{Duration, SystemTime};

use cognito_identity_credentials::testing::{FakeCognito, Fault, ManualClock};
use cognito_identity_credentials::{Clock, CognitoIdentityCredentials, ErrorKind};

use crate::support::{GET_CREDENTIALS, IDENTITY, POOL, Stage, seconds};

const YEARS_56: Duration = Duration::from_secs(56 * 365 * 86_400);

#[test]
fn a_wall_clock_that_jumps_back_changes_nothing() {
    let stage = Stage::new();
    let first = stage.credentials.get().unwrap();
    stage.clock.set_wall(stage.clock.wall() - YEARS_56);
    stage.clock.advance(seconds(2600));
    assert_eq!(stage.credentials.get().unwrap(), first);
    stage.clock.advance(seconds(1000));
    assert_ne!(stage.credentials.get().unwrap(), first, "the boot clock ends it on time");
}

#[test]
fn a_wall_clock_that_jumps_ahead_costs_one_attempt_and_no_failure() {
    for broken in [false, true] {
        let stage = Stage::new();
        let first = stage.credentials.get().unwrap();
        stage.clock.set_wall(stage.clock.wall() + YEARS_56);
        stage.clock.advance(seconds(1));
        if broken {
            stage.cognito.fail_next(GET_CREDENTIALS, 99, Fault::timeout());
        }
        assert!(!stage.credentials.needs_refresh());
        for _ in 0..5 {
            assert_eq!(stage.credentials.get().unwrap() == first, broken);
            stage.clock.advance(seconds(10));
        }
        assert_eq!(stage.contacts(), 2, "broken: {broken}");
    }
}

/// The device starts in 1970, the service lives in 2026, and NTP corrects the device while it holds
/// credentials.
#[test]
fn a_device_that_starts_in_1970_gets_and_keeps_credentials() {
    let device = ManualClock::at(SystemTime::UNIX_EPOCH + seconds(30));
    let stage = Stage::on(device.clone(), |builder| builder);
    let now = SystemTime::UNIX_EPOCH + seconds(1_767_225_600);
    stage.cognito.set_time(now);

    let first = stage.credentials.get().unwrap();
    assert_eq!(first.expiration(), now + seconds(3600));
    assert_eq!(stage.credentials.status().expires_in, Some(seconds(3600)));
    assert_eq!(stage.credentials.service_time(), Some(now));
    device.advance(seconds(600));
    assert_eq!(stage.credentials.get().unwrap(), first);
    assert_eq!(stage.credentials.service_time(), Some(now + seconds(600)));

    device.set_wall(now + seconds(600));
    for _ in 0..100 {
        device.advance(seconds(10));
        stage.credentials.get().unwrap();
    }
    assert!(stage.contacts() <= 2, "at most one extra refresh, not {}", stage.contacts() - 1);
}

#[test]
fn suspend_over_the_end_is_noticed() {
    let stage = Stage::new();
    let first = stage.credentials.get().unwrap();
    stage.clock.suspend(seconds(7200));
    assert!(stage.credentials.needs_refresh());
    assert_ne!(stage.credentials.get().unwrap(), first);

    // Where the boot clock stops in suspend, the wall clock ends the set.
    let clock = ManualClock::new().stopping_in_suspend();
    let stage = Stage::on(clock, |builder| builder);
    let first = stage.credentials.get().unwrap();
    stage.clock.advance(seconds(1));
    stage.clock.suspend(seconds(3590));
    stage.clock.advance(seconds(1));
    assert!(stage.credentials.needs_refresh());
    stage.cognito.set_time(stage.clock.wall());
    assert_ne!(stage.credentials.get().unwrap(), first);
}

#[test]
fn lifetimes_of_90_seconds_are_refreshed_in_their_second_half() {
    let stage = Stage::new();
    stage.cognito.set_lifetime(seconds(90));
    let mut last = stage.credentials.get().unwrap();
    for _ in 0..20 {
        stage.clock.advance(seconds(45));
        assert_eq!(stage.credentials.get().unwrap(), last);
        stage.clock.advance(seconds(1));
        let next = stage.credentials.get().unwrap();
        assert_ne!(next, last);
        last = next;
    }
}

#[test]
fn an_answer_that_has_expired_is_an_error_and_never_served() {
    for lifetime in [Duration::ZERO, seconds(1)] {
        let stage = Stage::with(|builder| builder.identity_id(IDENTITY));
        // The service issues for an hour, but its answer is dated at or after the end.
        let end = stage.clock.wall() + seconds(3600) + lifetime;
        let credentials = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .transport(stage.cognito.clone())
            .clock(stage.clock.clone())
            .build()
            .unwrap();
        stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::Date(Some(end)));
        let error = credentials.get().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Response);
        assert_eq!(error.operation(), Some(GET_CREDENTIALS));
        assert_eq!(error.message(), "the credentials had already expired when they were issued");
        assert_eq!(credentials.cached(), None);
        assert!(!error.is_retryable());
    }
}

#[test]
fn without_a_date_the_local_wall_clock_counts_and_no_life_is_longer_than_12_hours() {
    let stage = Stage::new();
    stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::Date(None));
    stage.credentials.get().unwrap();
    assert_eq!(stage.credentials.status().expires_in, Some(seconds(3600)));

    stage.cognito.set_lifetime(seconds(86_400));
    stage.credentials.refresh().unwrap();
    assert_eq!(stage.credentials.status().expires_in, Some(seconds(12 * 3600)));
}

/// A slow network must not lengthen a life: it counts from before the request.
#[test]
fn the_time_of_the_exchange_is_taken_off_the_life() {
    let clock = ManualClock::new();
    let cognito = FakeCognito::with_clock(clock.clone());
    let (slow, service) = (clock.clone(), cognito.clone());
    let credentials = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .transport(move |request: &cognito_identity_credentials::transport::HttpRequest| {
            use cognito_identity_credentials::transport::Transport;
            let answer = service.send(request);
            slow.advance(seconds(8));
            answer
        })
        .clock(clock)
        .build()
        .unwrap();
    credentials.get().unwrap();
    assert_eq!(credentials.status().expires_in, Some(seconds(3592)));
}

#[test]
fn the_wall_clock_is_looked_at_once_a_second_at_most() {
    let stage = Stage::new();
    stage.credentials.get().unwrap();
    let before = stage.clock.wall_reads();
    for _ in 0..1_000 {
        stage.credentials.get().unwrap();
        let _ = stage.credentials.needs_refresh();
        let _ = stage.credentials.status();
    }
    assert!(stage.clock.wall_reads() <= before + 1);
    for _ in 0..10 {
        stage.clock.advance(Duration::from_millis(500));
        stage.credentials.get().unwrap();
    }
    assert_eq!(stage.clock.wall_reads() - before, 6);
}

#[test]
fn service_time_comes_with_every_answer_also_a_refusal() {
    let stage = Stage::new();
    assert_eq!(stage.credentials.service_time(), None);
    stage.cognito.set_guests(POOL, false);
    stage.credentials.get().unwrap_err();
    let now = stage.clock.wall();
    assert_eq!(stage.credentials.service_time(), Some(now));
    stage.clock.set_wall(SystemTime::UNIX_EPOCH);
    stage.clock.advance(seconds(5));
    assert_eq!(stage.credentials.service_time(), Some(now + seconds(5)));
}
