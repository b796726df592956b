//! Checks that the simulated device behaves like the library. A provider on a manual clock and a
//! simulated device get the same answers and random numbers. They must make their calls at the same
//! nanoseconds.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::internals::retry_policy::RetryableFailure;
use cognito_identity_credentials::testing::{ManualClock, seed_delays};
use cognito_identity_credentials::transport::{HttpRequest, HttpResponse};
use cognito_identity_credentials::{Clock, CognitoIdentityCredentials};
use fastrand::Rng;

use crate::device::{
    Again, Answer, Call, Device, LIBRARY, LIFETIME, Nanos, Rules, SECOND, Service, UPLOAD, nanos,
};

const POOL: &str = "us-east-1:00000000-0000-4000-8000-0000000000aa";
const IDENTITY: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";

/// A service whose state changes from time to time.
struct Script {
    /// Each state has its end (from the first call on), the share of failed calls, the failure, and
    /// the seconds in `Retry-After`.
    moods: Vec<(Nanos, f64, RetryableFailure, Option<u64>)>,
    rng: Rng,
    calls: Vec<(Call, Nanos)>,
}

impl Script {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut until = 0;
        let moods = (0..60)
            .map(|_| {
                until += rng.u64(1..20 * 60 * SECOND);
                let share = rng.choice([0.0, 0.5, 0.9, 1.0]).unwrap();
                let failure = if rng.u8(0..3) == 0 {
                    RetryableFailure::ServerError
                } else {
                    RetryableFailure::Throttled
                };
                let waits = [None, None, None, Some(1), Some(30), Some(200), Some(u64::MAX)];
                (until, share, failure, rng.choice(waits).unwrap())
            })
            .collect();
        Self { moods, rng, calls: Vec::new() }
    }
}

impl Service for Script {
    fn answer(&mut self, call: Call, at: Nanos) -> (Answer, Nanos) {
        self.calls.push((call, at));
        let roll = self.rng.f64();
        let latency = self.rng.u64(1..SECOND / 2);
        let mood = self.moods.iter().find(|mood| at < mood.0);
        let answer = match mood {
            Some((_, share, failure, asked)) if roll < *share => {
                Answer::Failed(*failure, asked.map(Duration::from_secs))
            }
            _ => Answer::Issued,
        };
        (answer, latency)
    }
}

/// Totals of all seeds.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    pub(crate) calls: usize,
    pub(crate) failures_seen: usize,
    pub(crate) refreshes_failed: usize,
    /// The longest `next_attempt_in` of the library.
    pub(crate) longest_cooldown: Duration,
}

/// Asserts that both make the same calls at the same times, for each seed and this many hours.
pub(crate) fn assert_same(seeds: u64, hours: u64) -> Compared {
    let mut compared = Compared::default();
    for seed in 0..seeds {
        let stored = seed % 2 == 0;
        let again = [Again::After(10 * SECOND), Again::After(SECOND), Again::AsTold]
            [usize::try_from(seed / 2 % 3).unwrap()];
        let library = library(seed, stored, again, hours * 3600 * SECOND, &mut compared);
        let device = device(seed, stored, again, hours * 3600 * SECOND);
        let first = library.iter().zip(&device).position(|(one, other)| one != other);
        assert_eq!(first, None, "seed {seed}: the first different call, of {}", library.len());
        assert_eq!(library.len(), device.len(), "seed {seed}");
        compared.calls += library.len();
    }
    compared
}

fn device(seed: u64, stored: bool, again: Again, end: Nanos) -> Vec<(Call, Nanos)> {
    let (rules, mut rng) = (Rules::new(LIBRARY, again), Rng::with_seed(seed));
    let mut script = Script::new(seed);
    let mut device = Device::new(0, stored, &rules, &mut rng);
    let mut now = 0;
    while now < end {
        now = device.step(now, &rules, &mut script, &mut rng).next;
    }
    let calls = script.calls;
    calls.into_iter().filter(|(_, at)| *at < end).collect()
}

/// Runs the library itself, with a program that calls `get()` before each upload.
fn library(
    seed: u64,
    stored: bool,
    again: Again,
    end: Nanos,
    compared: &mut Compared,
) -> Vec<(Call, Nanos)> {
    let clock = ManualClock::new();
    let zero = nanos(clock.boot());
    let script = Arc::new(Mutex::new(Script::new(seed)));
    let (service, time) = (Arc::clone(&script), clock.clone());
    let mut builder = CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .clock(clock.clone())
        .transport(move |request: &HttpRequest| {
            let call = call(request);
            let at = nanos(time.boot()) - zero;
            let (answer, latency) = service.lock().unwrap().answer(call, at);
            time.advance(Duration::from_nanos(latency));
            Ok(response(call, answer))
        });
    if stored {
        builder = builder.identity_id(IDENTITY);
    }
    let provider = builder.build().unwrap();
    seed_delays(seed);
    loop {
        let now = nanos(clock.boot()) - zero;
        if now >= end {
            break;
        }
        let pause = if provider.get().is_ok() {
            let status = provider.status();
            compared.refreshes_failed += usize::from(status.last_error.is_some());
            let now = nanos(clock.boot()) - zero;
            (now / UPLOAD + 1) * UPLOAD - now
        } else {
            compared.failures_seen += 1;
            let told = provider.status().next_attempt_in;
            compared.longest_cooldown = compared.longest_cooldown.max(told.unwrap_or_default());
            match again {
                Again::After(pause) => pause,
                Again::AsTold => told.map_or(10 * SECOND, nanos),
            }
        };
        clock.advance(Duration::from_nanos(pause));
    }
    let calls = script.lock().unwrap().calls.clone();
    calls.into_iter().filter(|(_, at)| *at < end).collect()
}

fn call(request: &HttpRequest) -> Call {
    let (_, target) = request.headers().iter().find(|(name, _)| name == "x-amz-target").unwrap();
    match target.as_str() {
        "AWSCognitoIdentityService.GetId" => Call::GetId,
        "AWSCognitoIdentityService.GetCredentialsForIdentity" => Call::GetCredentials,
        other => panic!("{other}"),
    }
}

fn response(call: Call, answer: Answer) -> HttpResponse {
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    let (status, body) = match (answer, call) {
        (Answer::Failed(RetryableFailure::Throttled, _), _) => {
            (429, r#"{"__type": "TooManyRequestsException"}"#.to_owned())
        }
        (Answer::Failed(..), _) => (500, r#"{"__type": "InternalErrorException"}"#.to_owned()),
        (Answer::Issued, Call::GetId) => (200, format!(r#"{{"IdentityId": "{IDENTITY}"}}"#)),
        (Answer::Issued, Call::GetCredentials) => {
            let end = 1_767_225_600 + LIFETIME / SECOND;
            let keys = r#""AccessKeyId": "ASIAEXAMPLE", "SecretKey": "s", "SessionToken": "t""#;
            let keys = format!(r#"{{{keys}, "Expiration": {end}}}"#);
            (200, format!(r#"{{"IdentityId": "{IDENTITY}", "Credentials": {keys}}}"#))
        }
    };
    let response =
        HttpResponse::new(status, body).with_header("date", httpdate::fmt_http_date(date));
    match answer {
        Answer::Failed(_, Some(asked)) => {
            response.with_header("retry-after", asked.as_secs().to_string())
        }
        _ => response,
    }
}
