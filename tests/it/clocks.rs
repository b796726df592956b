//! Clocks that are wrong, jump, or stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::testing::{FakeCognito, Fault, ManualClock};
use cognito_identity_credentials::transport::{HttpRequest, HttpResponse, Transport};
use cognito_identity_credentials::{
    Clock, CognitoIdentityCredentials, Error, ErrorKind, MemoryStorage,
};

use crate::refusals::STS;
use crate::sharing::with_transport;
use crate::support::{GET_CREDENTIALS, IDENTITY, POOL, ROLE, Stage, operation, seconds};

const YEARS_56: Duration = Duration::from_secs(56 * 365 * 86_400);

#[test]
fn a_wall_clock_that_jumps_back_changes_nothing() {
    let stage = Stage::new();
    let first = stage.credentials.get().unwrap();
    stage.clock.set_wall(stage.clock.wall() - YEARS_56);
    stage.clock.advance(seconds(2600));
    assert_eq!(stage.credentials.get().unwrap(), first);
    stage.clock.advance(seconds(1000));
    assert_ne!(stage.credentials.get().unwrap(), first, "by the boot clock they expire on time");
}

#[test]
fn a_wall_clock_that_jumps_ahead_causes_one_attempt_and_no_failure() {
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

/// The service is in 2026. NTP corrects the clock of the device while it has credentials.
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
fn credentials_that_expire_during_suspend_are_refreshed() {
    let stage = Stage::new();
    let first = stage.credentials.get().unwrap();
    stage.clock.suspend(seconds(7200));
    assert!(stage.credentials.needs_refresh());
    assert_ne!(stage.credentials.get().unwrap(), first);

    // If the boot clock stops in suspend, the wall clock shows that they have expired.
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

/// When the service issues credentials, in seconds since 1970: Thu, 01 Jan 2026 00:00:00 GMT.
const ISSUED: u64 = 1_767_225_600;

fn at(time: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + seconds(time)
}

/// A flow, and the lifetime that it requests.
#[derive(Clone, Copy, Debug)]
enum Flow {
    Enhanced,
    ClassicDefault,
    Classic(u64),
}

impl Flow {
    fn requested(self) -> u64 {
        match self {
            Self::Enhanced | Self::ClassicDefault => 3600,
            Self::Classic(duration) => duration,
        }
    }
}

/// A device, and a service that issues the requested credentials at `ISSUED`.
struct Device {
    clock: ManualClock,
    storage: Arc<MemoryStorage>,
    /// The `Date` headers of each answer.
    dates: Vec<String>,
    contacts: Arc<AtomicUsize>,
}

impl Device {
    /// A new process of this device.
    fn start(&self, flow: Flow) -> CognitoIdentityCredentials {
        let end = ISSUED + flow.requested();
        let (dates, contacts) = (self.dates.clone(), self.contacts.clone());
        let builder = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .identity_id(IDENTITY)
            .storage(self.storage.clone())
            .persist_credentials(true)
            .failure_cooldown(Duration::ZERO)
            .clock(self.clock.clone())
            .transport(move |request: &HttpRequest| {
                contacts.fetch_add(1, Ordering::SeqCst);
                let body = if operation(request) == STS {
                    let end = humantime::format_rfc3339_seconds(at(end));
                    format!(
                        "<R><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>K</AccessKeyId>\
                         <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
                         <Expiration>{end}</Expiration></Credentials>\
                         </AssumeRoleWithWebIdentityResult></R>"
                    )
                } else if operation(request) == GET_CREDENTIALS {
                    let keys = r#""AccessKeyId": "K", "SecretKey": "s", "SessionToken": "t""#;
                    format!(r#"{{"Credentials": {{{keys}, "Expiration": {end}}}}}"#)
                } else {
                    r#"{"Token": "token"}"#.to_owned()
                };
                let answer = HttpResponse::new(200, body);
                Ok(dates.iter().fold(answer, |answer, date| answer.with_header("Date", date)))
            });
        let builder = match flow {
            Flow::Enhanced => builder,
            Flow::ClassicDefault => builder.role_arn(ROLE),
            Flow::Classic(duration) => builder.role_arn(ROLE).duration(seconds(duration)),
        };
        builder.build().unwrap()
    }
}

fn life(credentials: &CognitoIdentityCredentials) -> Result<Duration, Error> {
    credentials.get()?;
    Ok(credentials.status().expires_in.unwrap())
}

#[test]
fn no_date_and_no_clock_make_credentials_live_longer_than_requested() {
    const HOUR: u64 = 3600;
    let imf = |time| httpdate::fmt_http_date(at(time));
    let right = || imf(ISSUED);
    let text = |date: &str| vec![date.to_owned()];
    // The `Date` headers, and the time that the library reads.
    let dates = [
        (vec![right()], Some(ISSUED)),
        (vec![imf(ISSUED - 2 * HOUR)], Some(ISSUED - 2 * HOUR)),
        (vec![imf(ISSUED + 2 * HOUR)], Some(ISSUED + 2 * HOUR)),
        (vec![imf(ISSUED + HOUR)], Some(ISSUED + HOUR)),
        (vec![imf(0)], Some(0)),
        (vec![imf(2_208_988_800)], Some(2_208_988_800)),
        (vec![], None),
        (vec![right(), right()], Some(ISSUED)),
        (vec![right(), imf(ISSUED - 2 * HOUR)], None),
        (vec![imf(ISSUED - 2 * HOUR), right()], None),
        (vec![right(), "soon".to_owned()], None),
        (text("Thursday, 01-Jan-26 00:00:00 GMT"), Some(ISSUED)),
        (text("Thu Jan  1 00:00:00 2026"), Some(ISSUED)),
        (text("Thu, 01 Jan 2026 00:00:60 GMT"), None),
        (text("Thu, 01 Jan 2026 00:00:00 UTC"), None),
        (text("Thu, 01 Jan 2026 00:00:00 +0000"), None),
        (text("01 Jan 2026 00:00:00 GMT"), None),
        (text("2026-01-01T00:00:00Z"), None),
        (text(""), None),
    ];
    let clocks = [
        ("right", ISSUED),
        ("in 1970", 30),
        ("2 hours ahead", ISSUED + 2 * HOUR),
        ("2 hours behind", ISSUED - 2 * HOUR),
        ("in 2099", 4_070_908_800),
    ];
    let flows =
        [Flow::Enhanced, Flow::ClassicDefault, Flow::Classic(15 * 60), Flow::Classic(12 * HOUR)];
    let (mut errors, mut sets) = (0, 0);
    for (headers, date) in dates {
        for (what, wall) in clocks {
            for flow in flows {
                let case = format!("Date {headers:?}, clock {what}, {flow:?}");
                let device = Device {
                    clock: ManualClock::at(at(wall)),
                    storage: Arc::new(MemoryStorage::new()),
                    dates: headers.clone(),
                    contacts: Arc::default(),
                };
                let requested = flow.requested();
                let end = ISSUED + requested;
                let after = |now: u64| end.checked_sub(now).filter(|life| *life > 0);
                let expected = date.and_then(after).or(after(wall)).map(|life| life.min(requested));

                let credentials = device.start(flow);
                let outcome = life(&credentials);
                let right = date.filter(|date| after(*date).is_some_and(|life| life <= 12 * HOUR));
                assert_eq!(credentials.service_time(), right.map(at), "{case}");
                let Some(expected) = expected.map(seconds) else {
                    let error = outcome.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Response, "{case}");
                    assert!(error.message().ends_with("expired when they were issued"), "{case}");
                    assert!(!error.is_retryable(), "{case}");
                    assert_eq!(credentials.cached(), None, "{case}");
                    errors += 1;
                    continue;
                };
                assert_eq!(outcome.unwrap(), expected, "{case}");
                assert!(expected <= seconds(requested), "{case}");
                let contacts = device.contacts.load(Ordering::SeqCst);
                assert_eq!(life(&device.start(flow)).unwrap(), expected, "{case}, stored");
                assert_eq!(device.contacts.load(Ordering::SeqCst), contacts, "{case}, stored");
                device.clock.advance(expected);
                assert!(credentials.needs_refresh(), "{case}");
                sets += 1;
            }
        }
    }
    assert!(errors > 50 && sets > 250, "{errors} errors, {sets} sets");
}

/// The wall clock of the device is right here.
#[test]
fn a_wrong_date_does_not_make_fresh_credentials_expired() {
    for ahead in [seconds(3600), seconds(3601), seconds(7200), seconds(86_400 * 365 * 20)] {
        let stage = Stage::new();
        let date = stage.clock.wall() + ahead;
        stage.cognito.fail_next(GET_CREDENTIALS, 1, Fault::Date(Some(date)));
        stage.credentials.get().unwrap();
        assert_eq!(stage.credentials.status().expires_in, Some(seconds(3600)), "{ahead:?}");
        assert_eq!(stage.credentials.service_time(), None, "{ahead:?}");
        assert_eq!(stage.contacts(), 1);
        stage.credentials.refresh().unwrap();
        assert_eq!(stage.credentials.service_time(), Some(stage.clock.wall()), "{ahead:?}");
    }
}

/// The lifetime begins just before the request, so that a slow network does not make it longer.
#[test]
fn the_duration_of_the_exchange_is_subtracted_from_the_lifetime() {
    let slow = |cognito: &FakeCognito, clock: &ManualClock, request: &HttpRequest| {
        let answer = cognito.send(request);
        clock.advance(seconds(8));
        answer
    };
    let Stage { credentials, .. } = with_transport(slow, |builder| builder);
    credentials.get().unwrap();
    assert_eq!(credentials.status().expires_in, Some(seconds(3592)));
}

#[test]
fn the_wall_clock_is_read_at_most_once_a_second() {
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
fn every_answer_updates_service_time_even_a_refusal() {
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
