//! A fleet of devices and the service that they share.

use std::time::Duration;

use fastrand::Rng;

use crate::device::{Again, Answer, Call, Device, LIFETIME, Nanos, Policy, Rules, SECOND, Service};
use crate::queue::Queue;
use cognito_identity_credentials::internals::retry_policy::{self, RetryableFailure};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Quotas {
    /// The quota of `GetCredentialsForIdentity`, in calls per second.
    pub(crate) credentials: f64,
    /// The quota of `GetId`, in calls per second.
    pub(crate) get_id: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Start {
    /// The power returns. Each program starts at once, or after a random delay of at most `delay`.
    PowerUp { delay: Nanos },
    /// All devices have credentials that expire in the same second.
    Lockstep,
}

/// The `Retry-After` of a throttled answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RetryAfter {
    None,
    Seconds(u64),
    /// A date: the next full multiple of this many seconds. It is the same for all devices.
    Until(u64),
}

impl RetryAfter {
    /// Returns the wait as the library reads it. The library spreads the wait until a date.
    fn asked(self, at: Nanos, rng: &mut Rng) -> Option<Duration> {
        match self {
            Self::None => None,
            Self::Seconds(seconds) => Some(Duration::from_secs(seconds)),
            Self::Until(seconds) => {
                let wait = Duration::from_secs(seconds - at / SECOND % seconds);
                Some(retry_policy::spread_until(wait, rng.f64()))
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) devices: u32,
    pub(crate) quotas: Quotas,
    pub(crate) stored: bool,
    pub(crate) start: Start,
    pub(crate) policy: Policy,
    pub(crate) again: Again,
    pub(crate) retry_after: RetryAfter,
    /// How long to continue after all devices have credentials.
    pub(crate) day: Nanos,
    pub(crate) outage: Option<(Nanos, Nanos)>,
    pub(crate) seed: u64,
}

/// Totals of a period.
#[derive(Clone, Debug, Default)]
pub(crate) struct Period {
    pub(crate) calls: u64,
    pub(crate) throttled: u64,
    pub(crate) minted: u64,
    /// The seconds that programs waited for credentials, over all devices.
    pub(crate) without: f64,
    /// The longest wait of one device, in seconds.
    pub(crate) worst: f64,
    /// The number of devices that waited for more than one second.
    pub(crate) hit: u64,
}

impl Period {
    pub(crate) fn throttled_share(&self) -> f64 {
        self.throttled as f64 / (self.calls as f64).max(1.0)
    }

    /// Adds a wait of one device. `hit` is whether this device is already counted in `self.hit`.
    fn waited(&mut self, from: Nanos, to: Nanos, hit: &mut bool) {
        let seconds = (to - from) as f64 / SECOND as f64;
        self.without += seconds;
        self.worst = self.worst.max(seconds);
        if seconds > 1.0 && !std::mem::replace(hit, true) {
            self.hit += 1;
        }
    }
}

/// Totals of one second, for the curves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Second {
    pub(crate) calls: u32,
    /// Devices that received their first credentials.
    pub(crate) served: u32,
    /// Devices that began to wait, minus devices that stopped waiting.
    pub(crate) without: i64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Seconds until 50 % of the devices had credentials. `most` is for 99 %, `all` for 100 %.
    pub(crate) half: f64,
    pub(crate) most: f64,
    pub(crate) all: f64,
    /// The time until all devices had credentials.
    pub(crate) power_up: Period,
    pub(crate) day: Period,
    pub(crate) seconds: Vec<Second>,
}

struct Bucket {
    tokens: f64,
    per_second: f64,
    filled: Nanos,
}

impl Bucket {
    fn new(per_second: f64) -> Self {
        Self { tokens: per_second.max(1.0), per_second, filled: 0 }
    }

    /// A rejected call takes no token.
    fn take(&mut self, at: Nanos) -> bool {
        let more = (at - self.filled) as f64 / SECOND as f64 * self.per_second;
        self.tokens = (self.tokens + more).min(self.per_second.max(1.0));
        self.filled = at;
        let has = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(has));
        has
    }
}

struct Cognito {
    credentials: Bucket,
    get_id: Bucket,
    retry_after: RetryAfter,
    outage: Option<(Nanos, Nanos)>,
    latency: Rng,
    period: Period,
    seconds: Vec<Second>,
}

impl Cognito {
    fn second(&mut self, at: Nanos) -> &mut Second {
        let index = usize::try_from(at / SECOND).unwrap();
        if index >= self.seconds.len() {
            self.seconds.resize(index + 1, Second::default());
        }
        &mut self.seconds[index]
    }
}

impl Service for Cognito {
    fn answer(&mut self, call: Call, at: Nanos) -> (Answer, Nanos) {
        let latency = SECOND / 50 + self.latency.u64(0..SECOND * 6 / 100);
        let out = self.outage.is_some_and(|(from, to)| (from..to).contains(&at));
        let bucket = match call {
            Call::GetId => &mut self.get_id,
            Call::GetCredentials => &mut self.credentials,
        };
        let answer = if out {
            Answer::Failed(RetryableFailure::ServerError, None)
        } else if bucket.take(at) {
            Answer::Issued
        } else {
            Answer::Failed(
                RetryableFailure::Throttled,
                self.retry_after.asked(at, &mut self.latency),
            )
        };
        let throttled = matches!(answer, Answer::Failed(RetryableFailure::Throttled, _));
        self.period.calls += 1;
        self.period.throttled += u64::from(throttled);
        self.period.minted += u64::from(call == Call::GetId && answer == Answer::Issued);
        self.second(at).calls += 1;
        (answer, latency)
    }
}

/// The power of all devices returns within this time.
const POWER_UP: Nanos = 60 * SECOND;

/// Runs a fleet until all devices have credentials, and then for the `day` of the scenario.
pub(crate) fn run(scenario: &Scenario) -> Outcome {
    let rules = Rules::new(scenario.policy, scenario.again);
    let mut rng = Rng::with_seed(scenario.seed);
    let Quotas { credentials, get_id } = scenario.quotas;
    let mut service = Cognito {
        credentials: Bucket::new(credentials),
        get_id: Bucket::new(get_id),
        retry_after: scenario.retry_after,
        outage: None,
        latency: rng.fork(),
        period: Period::default(),
        seconds: Vec::new(),
    };
    let mut queue = Queue::new();
    let mut devices: Vec<Device> = Vec::new();
    for number in 0..scenario.devices {
        let on = rng.u64(0..POWER_UP);
        let (device, next) = match scenario.start {
            Start::PowerUp { delay } => {
                let first = on + if delay > 0 { rng.u64(0..delay) } else { 0 };
                (Device::new(first, scenario.stored, &rules, &mut rng), first)
            }
            Start::Lockstep => {
                let mut device = Device::new(on, true, &rules, &mut rng);
                let next = device.hold(LIFETIME + rng.u64(0..SECOND), &rules, &mut rng);
                (device, next)
            }
        };
        devices.push(device);
        queue.push(next, number);
    }

    let mut hit = vec![false; devices.len()];
    let all = u64::from(scenario.devices);
    let mut outcome = Outcome::default();
    let mut served = 0;
    let mut end = Nanos::MAX;
    if scenario.start == Start::Lockstep {
        served = all;
        end = scenario.day;
        service.outage = scenario.outage;
    }
    while let Some((now, number)) = queue.pop() {
        if now >= end {
            break;
        }
        let device = &mut devices[number as usize];
        let was_without = device.without_since();
        let step = device.step(now, &rules, &mut service, &mut rng);
        if let (None, Some(since)) = (was_without, device.without_since()) {
            service.second(since).without += 1;
        }
        if let Some(got) = step.got {
            // The device asked and got credentials in this step. Count that wait too.
            let since = got.without_since;
            if let Some(since) = since {
                if was_without.is_none() {
                    service.second(since).without += 1;
                }
                service.second(got.at).without -= 1;
                service.period.waited(since, got.at, &mut hit[number as usize]);
            }
            if got.first && served < all {
                served += 1;
                service.second(got.at).served += 1;
                let at = got.at as f64 / SECOND as f64;
                for (share, time) in
                    [(50, &mut outcome.half), (99, &mut outcome.most), (100, &mut outcome.all)]
                {
                    if served == (all * share).div_ceil(100) {
                        *time = at;
                    }
                }
                if served == all {
                    outcome.power_up = std::mem::take(&mut service.period);
                    hit.fill(false);
                    end = got.at + scenario.day;
                    service.outage = scenario.outage.map(|(from, to)| (got.at + from, got.at + to));
                }
            }
        }
        queue.push(step.next, number);
    }
    // Count the waits that have not ended.
    for (device, hit) in devices.iter().zip(&mut hit) {
        if let Some(since) = device.without_since().filter(|since| *since < end) {
            service.period.waited(since, end, hit);
        }
    }
    outcome.day = service.period;
    outcome.seconds = service.seconds;
    outcome
}
