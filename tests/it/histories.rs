//! Random histories of time, answers, settings and calls. In all of them `get()` returns no expired
//! credentials, and cannot fail while the cached ones are valid.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::testing::{ManualClock, seed_delays};
use cognito_identity_credentials::transport::{
    HttpRequest, HttpResponse, TransportError, TransportErrorKind,
};
use cognito_identity_credentials::{Clock, CognitoIdentityCredentials};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::{GET_CREDENTIALS, IDENTITY, POOL, PROVIDER, operation, seconds};

/// The longest lifetime of credentials in the enhanced flow, whatever the answer says.
const MAX_LIFETIME: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    Suspend(u64),
    /// The wall clock jumps by this many seconds.
    Wall(i64),
    Get,
    GetWithin(u64),
    Refresh,
    Expire,
    Invalidate,
    SetLogin,
    RemoveLogin,
    SetIdentity,
    ClearId,
}

#[derive(Clone, Debug)]
enum Answer {
    /// Credentials that expire this many seconds after the `Date` of the answer. If this is not
    /// positive, their lifetime is measured on the wall clock.
    Issued(i64),
    Error(u16, &'static str),
    None(TransportErrorKind),
}

#[derive(Clone, Debug)]
struct Settings {
    expiry: u64,
    advisory: Option<u64>,
    cooldown: u64,
    attempts: u32,
    /// The boot clock stops while the device is suspended. Credentials then also expire by the wall
    /// clock, so it must be right.
    stops_in_suspend: bool,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..40).prop_map(Step::Advance),
        4 => (0_u64..4_000).prop_map(Step::Advance),
        1 => (0_u64..60_000).prop_map(Step::Advance),
        1 => (0_u64..10_000).prop_map(Step::Suspend),
        1 => (-100_000_i64..100_000).prop_map(Step::Wall),
        10 => Just(Step::Get),
        2 => (0_u64..30).prop_map(Step::GetWithin),
        1 => Just(Step::Refresh),
        1 => Just(Step::Expire),
        1 => Just(Step::Invalidate),
        1 => Just(Step::SetLogin),
        1 => Just(Step::RemoveLogin),
        1 => Just(Step::SetIdentity),
        1 => Just(Step::ClearId),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => (1_i64..50_000).prop_map(Answer::Issued),
        2 => (1_i64..100).prop_map(Answer::Issued),
        1 => (-5_i64..1).prop_map(Answer::Issued),
        3 => prop::sample::select(vec![
            Answer::Error(429, "TooManyRequestsException"),
            Answer::Error(500, "InternalErrorException"),
            Answer::Error(400, "NotAuthorizedException"),
            Answer::None(TransportErrorKind::Timeout),
            Answer::None(TransportErrorKind::Closed),
            Answer::None(TransportErrorKind::Tls),
        ]),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let advisory = prop::sample::select(vec![None, None, Some(0), Some(100), Some(5_000)]);
    let expiry = prop::sample::select(vec![0, 15, 300, 1_000]);
    let cooldown = prop::sample::select(vec![0, 5, 60]);
    (expiry, advisory, cooldown, 1_u32..5, any::<bool>()).prop_map(
        |(expiry, advisory, cooldown, attempts, stops_in_suspend)| Settings {
            expiry,
            advisory,
            cooldown,
            attempts,
            stops_in_suspend,
        },
    )
}

struct Issued {
    requested_at: Duration,
    life: Duration,
}

/// A service that gives these answers in turn, each after some time.
struct Service {
    clock: ManualClock,
    /// The time that passed while the boot clock stopped.
    missed: Duration,
    /// The answers, and how many seconds each takes.
    answers: Vec<(Answer, u64)>,
    requests: usize,
    credential_requests: usize,
    /// The issued credentials, by access key.
    issued: HashMap<String, Issued>,
}

impl Service {
    /// The true time since the start of the system.
    fn now(&self) -> Duration {
        self.clock.boot() + self.missed
    }

    fn answer(&mut self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let (sent, wall) = (self.now(), self.clock.wall());
        let (answer, after) = self.answers[self.requests % self.answers.len()].clone();
        self.requests += 1;
        self.clock.advance(seconds(after).min(request.timeout()));
        if seconds(after) > request.timeout() {
            return Err(TransportError::new(TransportErrorKind::Timeout, "too slow"));
        }
        let date = SystemTime::UNIX_EPOCH + seconds(1_800_000_000) + self.now();
        let at = i64::try_from(date.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
        let for_credentials = operation(request) == GET_CREDENTIALS;
        self.credential_requests += usize::from(for_credentials);
        let (status, body) = match answer {
            Answer::None(kind) => return Err(TransportError::new(kind, "nothing came")),
            Answer::Error(status, code) => (status, format!(r#"{{"__type": "{code}"}}"#)),
            Answer::Issued(lifetime) if for_credentials => {
                let key = format!("ASIA{}", self.requests);
                let end = at.unwrap() + lifetime;
                let life = u64::try_from(lifetime).ok().filter(|life| *life > 0).map(seconds);
                let life = life.unwrap_or_else(|| {
                    let end = SystemTime::UNIX_EPOCH + seconds(end.try_into().unwrap());
                    end.duration_since(wall).unwrap_or_default()
                });
                let issued = Issued { requested_at: sent, life: life.min(MAX_LIFETIME) };
                self.issued.insert(key.clone(), issued);
                (
                    200,
                    format!(
                        r#"{{"IdentityId": "{IDENTITY}", "Credentials": {{"AccessKeyId": "{key}",
                        "SecretKey": "s", "SessionToken": "t", "Expiration": {end}}}}}"#
                    ),
                )
            }
            Answer::Issued(_) => (200, format!(r#"{{"IdentityId": "{IDENTITY}"}}"#)),
        };
        Ok(HttpResponse::new(status, body).with_header("date", httpdate::fmt_http_date(date)))
    }
}

struct History {
    settings: Settings,
    clock: ManualClock,
    service: Arc<Mutex<Service>>,
    credentials: CognitoIdentityCredentials,
    /// The access key of the credentials that `expire` or `invalidate` has ended.
    ended: Option<String>,
    wall_jumped: bool,
}

/// The default advisory window, computed in another way than in the library.
fn advisory_window(settings: &Settings, life: Duration) -> Duration {
    let by_lifetime = match life.as_secs() {
        0..=1_200 => 300,
        1_201..5_400 => 900,
        _ => 3_600,
    };
    settings.advisory.map_or(seconds(by_lifetime).min(life / 2), seconds)
}

impl History {
    fn new(settings: Settings, answers: Vec<(Answer, u64)>) -> Self {
        let mut clock = ManualClock::new();
        if settings.stops_in_suspend {
            clock = clock.stopping_in_suspend();
        }
        let service = Arc::new(Mutex::new(Service {
            clock: clock.clone(),
            missed: Duration::ZERO,
            answers,
            requests: 0,
            credential_requests: 0,
            issued: HashMap::new(),
        }));
        let transport = Arc::clone(&service);
        let mut builder = CognitoIdentityCredentials::builder()
            .identity_pool_id(POOL)
            .transport(move |request: &HttpRequest| transport.lock().unwrap().answer(request))
            .clock(clock.clone())
            .expiry_window(seconds(settings.expiry))
            .failure_cooldown(seconds(settings.cooldown))
            .max_attempts(settings.attempts);
        if let Some(window) = settings.advisory {
            builder = builder.advisory_window(seconds(window));
        }
        let credentials = builder.build().unwrap();
        Self { settings, clock, service, credentials, ended: None, wall_jumped: false }
    }

    /// The access key of the cached credentials, the rest of their lifetime, and their whole
    /// lifetime.
    fn cached(&self) -> Option<(String, Duration, Duration)> {
        let key = self.credentials.cached()?.access_key_id().to_owned();
        let (left, life) = self.life(&key);
        Some((key, left, life))
    }

    fn life(&self, key: &str) -> (Duration, Duration) {
        let service = self.service.lock().unwrap();
        let Issued { requested_at, life } = service.issued[key];
        ((requested_at + life).saturating_sub(service.now()), life)
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Advance(time) => self.clock.advance(seconds(time)),
            Step::Suspend(time) => {
                self.clock.suspend(seconds(time));
                if self.settings.stops_in_suspend {
                    self.service.lock().unwrap().missed += seconds(time);
                }
            }
            Step::Wall(by) => {
                if !self.settings.stops_in_suspend {
                    let by = i128::from(by);
                    let wall = self.clock.wall().duration_since(SystemTime::UNIX_EPOCH).unwrap();
                    let wall = u64::try_from(i128::from(wall.as_secs()) + by).unwrap();
                    self.clock.set_wall(SystemTime::UNIX_EPOCH + seconds(wall));
                    self.wall_jumped = true;
                }
            }
            Step::Get => self.get(None),
            Step::GetWithin(limit) => self.get(Some(seconds(limit))),
            Step::Refresh => {
                let before = self.service.lock().unwrap().issued.len();
                if let Ok(set) = self.credentials.refresh() {
                    assert!(self.service.lock().unwrap().issued.len() > before);
                    assert!(
                        !self.life(set.access_key_id()).0.is_zero(),
                        "refresh() returned expired credentials"
                    );
                }
            }
            Step::Expire => {
                self.credentials.expire();
                self.ended = self.cached().map(|(key, ..)| key);
            }
            Step::Invalidate => {
                if let Some((key, ..)) = self.cached() {
                    self.credentials.invalidate(&key);
                    self.ended = Some(key);
                }
            }
            Step::SetLogin => self.credentials.set_login(PROVIDER, "token"),
            Step::RemoveLogin => self.credentials.remove_login(PROVIDER),
            Step::SetIdentity => self.credentials.set_identity_id(IDENTITY).unwrap(),
            Step::ClearId => self.credentials.clear_cached_id(),
        }
        self.check_status();
    }

    fn get(&self, within: Option<Duration>) {
        let expiry = seconds(self.settings.expiry);
        let requests = || self.service.lock().unwrap().credential_requests;
        let (cached, before) = (self.cached(), requests());
        let started = self.clock.boot();
        let limit = within.unwrap_or(seconds(60));
        let outcome = match within {
            Some(limit) => self.credentials.get_within(limit),
            None => self.credentials.get(),
        };
        assert!(self.clock.boot() - started <= limit.min(seconds(60)), "later than the limit");
        match outcome {
            Ok(set) => {
                let (left, _) = self.life(set.access_key_id());
                assert!(!left.is_zero(), "expired credentials");
                let old = cached.as_ref().is_some_and(|(key, ..)| key == set.access_key_id());
                if old {
                    assert!(left >= expiry, "credentials in their expiry window");
                    assert_ne!(
                        self.ended.as_deref(),
                        Some(set.access_key_id()),
                        "ended credentials"
                    );
                }
            }
            Err(error) => {
                if let Some((key, left, _)) = self.cached() {
                    let valid = left > expiry && self.ended != Some(key);
                    assert!(!valid, "{left:?} were left, and get() failed: {error:#}");
                }
            }
        }
        if let Some((key, left, life)) = cached {
            let fresh = left >= expiry.max(advisory_window(&self.settings, life))
                && !left.is_zero()
                && self.ended != Some(key);
            if fresh && !self.wall_jumped {
                assert_eq!(requests(), before, "a call of the service with fresh credentials");
            }
        }
    }

    /// Checks the status against the cached credentials.
    fn check_status(&self) {
        let status = self.credentials.status();
        let (usable, left) = match self.cached() {
            None => (false, None),
            Some((key, left, _)) => {
                let ends = left.is_zero() || left < seconds(self.settings.expiry);
                (!ends && self.ended != Some(key), Some(left))
            }
        };
        assert_eq!(self.credentials.needs_refresh(), !usable);
        assert_eq!((status.needs_refresh, status.expires_in), (!usable, left));
    }
}

#[test]
fn no_expired_credentials_are_returned_and_get_cannot_fail_while_they_are_valid() {
    let cases = if std::env::var_os("SOAK").is_some() { 5_000 } else { 500 };
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let after = prop_oneof![Just(0), 0_u64..13];
    let histories = (
        settings(),
        prop::collection::vec((answer(), after), 1..30),
        prop::collection::vec(step(), 1..=60),
        any::<u64>(),
    );
    let steps_made = Cell::new(0);
    let outcome = TestRunner::new(config).run(&histories, |(settings, answers, steps, seed)| {
        seed_delays(seed);
        let mut history = History::new(settings, answers);
        for step in &steps {
            history.step(step);
        }
        steps_made.set(steps_made.get() + steps.len());
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    println!("{cases} random histories of {} steps in all", steps_made.get());
}
