//! One device: a program that uploads once a minute, and the policy of its SDK.

use std::num::NonZeroU16;
use std::time::Duration;

use cognito_identity_credentials::internals::retry_policy::{self, RetryableFailure};
use fastrand::Rng;

pub(crate) type Nanos = u64;

pub(crate) const SECOND: Nanos = 1_000_000_000;

/// The lifetime of credentials in the enhanced flow.
pub(crate) const LIFETIME: Nanos = 3600 * SECOND;

/// The program needs credentials for an upload once a minute, counted from its first call.
pub(crate) const UPLOAD: Nanos = 60 * SECOND;

const NONE: Nanos = Nanos::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    GetId,
    GetCredentials,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Issued,
    /// The failure, and the wait that the service asks for.
    Failed(RetryableFailure, Option<Duration>),
}

pub(crate) trait Service {
    /// Returns the answer to a call, and how long it takes.
    fn answer(&mut self, call: Call, at: Nanos) -> (Answer, Nanos);
}

/// When a program calls `get()` again after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    After(Nanos),
    /// At `status().next_attempt_in`, or after 10 s if the policy has no such time.
    AsTold,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Policy {
    /// `AWS.CognitoIdentityCredentials` of the SDK for JavaScript v2.
    JavaScript,
    /// The standard mode of AWS's SDKs, with the cache of the SDK for Rust.
    Standard,
    /// This library, or a variant of it for comparison.
    Ours(Ours),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ours {
    pub(crate) throttling: Throttling,
    pub(crate) window: Window,
}

/// The effect of consecutive throttled refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Throttling {
    /// As in the library.
    Library,
    /// Throttled refreshes double the cooldown at most this many times.
    Doublings(u32),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Window {
    /// As in the library.
    Library,
    /// Each program sets `advisory_window` to a random number of seconds in this range.
    Set(u16, u16),
}

pub(crate) const LIBRARY: Policy = windows(Window::Library);

/// The library with another limit for the cooldown.
pub(crate) const fn throttling(doublings: u32) -> Policy {
    Policy::Ours(Ours { throttling: Throttling::Doublings(doublings), window: Window::Library })
}

/// The library with another advisory window.
pub(crate) const fn windows(window: Window) -> Policy {
    Policy::Ours(Ours { throttling: Throttling::Library, window })
}

/// The rules for all devices.
pub(crate) struct Rules {
    pub(crate) policy: Policy,
    pub(crate) again: Again,
    defaults: retry_policy::Defaults,
    advisory_window: Duration,
}

impl Rules {
    pub(crate) fn new(policy: Policy, again: Again) -> Self {
        let advisory_window = retry_policy::advisory_window(Duration::from_nanos(LIFETIME));
        Self { policy, again, defaults: retry_policy::defaults(), advisory_window }
    }
}

pub(crate) struct Device {
    /// From `refresh_from` on, `get()` tries a refresh. From `refresh_at_last` on, it needs one.
    refresh_from: Nanos,
    refresh_at_last: Nanos,
    keep_away_until: Nanos,
    /// The time of the program's first call.
    first_asked: Nanos,
    /// The time limit of this call of `get()`.
    deadline: Nanos,
    /// Since when the program has needed credentials and has none, or `NONE`.
    without_since: Nanos,
    /// The retry quota of the standard mode.
    tokens: u16,
    spent: u16,
    /// The advisory window in seconds, if the program sets it.
    window: Option<NonZeroU16>,
    attempt: u8,
    throttled: u8,
    stage: Stage,
    has_identity: bool,
    ever_held: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    /// `get()` needs credentials.
    Fetching,
    /// `get()` has valid credentials and tries a refresh.
    RefreshingEarly,
}

/// The result of one step of a device.
pub(crate) struct Step {
    /// The time of the next step.
    pub(crate) next: Nanos,
    pub(crate) got: Option<Got>,
}

/// The device received credentials.
pub(crate) struct Got {
    pub(crate) at: Nanos,
    /// Since when the program had been without credentials.
    pub(crate) without_since: Option<Nanos>,
    pub(crate) first: bool,
}

impl Device {
    pub(crate) fn new(
        first_asked: Nanos,
        has_identity: bool,
        rules: &Rules,
        rng: &mut Rng,
    ) -> Self {
        let window = match rules.policy {
            Policy::Ours(Ours { window: Window::Set(from, to), .. }) => rng.u16(from..to),
            _ => 0,
        };
        Self {
            refresh_from: 0,
            refresh_at_last: 0,
            keep_away_until: 0,
            first_asked,
            deadline: 0,
            without_since: NONE,
            tokens: 500,
            spent: 0,
            window: NonZeroU16::new(window),
            attempt: 0,
            throttled: 0,
            has_identity,
            stage: Stage::Idle,
            ever_held: false,
        }
    }

    /// Gives the device credentials that expire at `end`. Returns the time of its next step.
    pub(crate) fn hold(&mut self, end: Nanos, rules: &Rules, rng: &mut Rng) -> Nanos {
        self.take(end, rules, rng);
        self.next_refresh(self.first_asked.saturating_sub(1))
    }

    pub(crate) fn without_since(&self) -> Option<Nanos> {
        Some(self.without_since).filter(|since| *since != NONE)
    }

    pub(crate) fn step(
        &mut self,
        now: Nanos,
        rules: &Rules,
        service: &mut impl Service,
        rng: &mut Rng,
    ) -> Step {
        if self.stage == Stage::Idle {
            self.ask(now, rules);
        }
        self.attempt += 1;
        let call = if self.has_identity { Call::GetCredentials } else { Call::GetId };
        let (answer, latency) = service.answer(call, now);
        let then = now + latency;
        match (answer, call) {
            (Answer::Issued, Call::GetId) => {
                self.has_identity = true;
                self.pay_back();
                self.attempt = 0;
                if then < self.deadline {
                    return Step { next: then, got: None };
                }
                Step { next: self.fail(then, None, rules, rng), got: None }
            }
            (Answer::Issued, Call::GetCredentials) => {
                self.pay_back();
                self.stage = Stage::Idle;
                self.take(now + LIFETIME, rules, rng);
                if let Policy::Ours(_) = rules.policy {
                    // The library takes two random numbers after every refresh, also after a
                    // success.
                    let _ = (rng.f64(), rng.f64());
                }
                let got = Got {
                    at: then,
                    without_since: self.without_since(),
                    first: !std::mem::replace(&mut self.ever_held, true),
                };
                self.without_since = NONE;
                Step { next: self.next_refresh(then), got: Some(got) }
            }
            (Answer::Failed(failure, asked), _) => {
                let delay = self.delay(failure, asked, rules, rng);
                let next = match delay.map(|delay| then + delay) {
                    Some(next) if next < self.deadline => next,
                    _ => self.fail(then, Some((failure, asked)), rules, rng),
                };
                Step { next, got: None }
            }
        }
    }

    fn ask(&mut self, now: Nanos, rules: &Rules) {
        let early = now < self.refresh_at_last;
        self.stage = if early { Stage::RefreshingEarly } else { Stage::Fetching };
        self.attempt = 0;
        self.spent = 0;
        let limit = match rules.policy {
            Policy::Ours(_) if early => nanos(rules.defaults.attempt_timeout),
            Policy::Ours(_) => nanos(rules.defaults.timeout),
            Policy::JavaScript | Policy::Standard => NONE - now,
        };
        self.deadline = now + limit;
        if !early && self.without_since == NONE {
            self.without_since = now;
        }
    }

    fn delay(
        &mut self,
        failure: RetryableFailure,
        asked: Option<Duration>,
        rules: &Rules,
        rng: &mut Rng,
    ) -> Option<Nanos> {
        let attempt = u32::from(self.attempt);
        match rules.policy {
            Policy::JavaScript => {
                (attempt < 4).then(|| share((SECOND / 10) << (attempt - 1), rng.f64()))
            }
            Policy::Standard => {
                let (base, cost) = match failure {
                    RetryableFailure::Throttled => (SECOND, 5),
                    _ => (SECOND / 20, 14),
                };
                if attempt >= 3 || self.tokens < cost {
                    return None;
                }
                (self.tokens, self.spent) = (self.tokens - cost, cost);
                Some(share((base << (attempt - 1)).min(20 * SECOND), rng.f64()))
            }
            Policy::Ours(_) => {
                let attempts =
                    if self.stage == Stage::RefreshingEarly { 1 } else { rules.defaults.attempts };
                retry_policy::delay(failure, attempt, attempts, asked, rng.f64()).map(nanos)
            }
        }
    }

    /// After a success, returns the tokens of the last retry, or one token if there was no retry.
    fn pay_back(&mut self) {
        let back = if self.spent == 0 { 1 } else { self.spent };
        (self.tokens, self.spent) = ((self.tokens + back).min(500), 0);
    }

    fn take(&mut self, end: Nanos, rules: &Rules, rng: &mut Rng) {
        self.keep_away_until = 0;
        self.throttled = 0;
        let before_end = |window: Duration| (end + 1).saturating_sub(nanos(window));
        (self.refresh_from, self.refresh_at_last) = match rules.policy {
            Policy::JavaScript => (before_end(Duration::from_secs(15)), 0),
            Policy::Standard => (end + 1 - 5 * SECOND - share(5 * SECOND, rng.f64()), 0),
            Policy::Ours(_) => {
                (before_end(self.window(rules)), before_end(rules.defaults.expiry_window))
            }
        };
    }

    fn window(&self, rules: &Rules) -> Duration {
        self.window.map_or(rules.advisory_window, |window| Duration::from_secs(window.get().into()))
    }

    /// Handles a failed refresh. The program sees the error if it has no valid credentials.
    fn fail(
        &mut self,
        then: Nanos,
        failure: Option<(RetryableFailure, Option<Duration>)>,
        rules: &Rules,
        rng: &mut Rng,
    ) -> Nanos {
        let stage = std::mem::replace(&mut self.stage, Stage::Idle);
        if let Policy::Ours(ours) = rules.policy {
            let (thirds, fifths) = (rng.f64(), rng.f64());
            if stage == Stage::RefreshingEarly {
                let asked = failure.and_then(|(_, asked)| asked);
                let pause = retry_policy::advisory_pause(self.window(rules), asked, thirds);
                self.refresh_from = then + nanos(pause);
                if then < self.refresh_at_last {
                    return self.next_refresh(then);
                }
                // The credentials expired during the attempt. The same `get()` continues with a
                // refresh.
                let asked_at = self.deadline - nanos(rules.defaults.attempt_timeout);
                self.deadline = asked_at + nanos(rules.defaults.timeout);
                (self.stage, self.attempt, self.without_since) = (Stage::Fetching, 0, then);
                return then;
            }
            if let Some((failure, asked)) = failure {
                let throttled = failure == RetryableFailure::Throttled;
                self.throttled = if throttled { self.throttled.saturating_add(1) } else { 0 };
                let (limit, times) = (rules.defaults.cooldown, u32::from(self.throttled));
                let cooldown = match ours.throttling {
                    Throttling::Library => retry_policy::cooldown(limit, times, asked, fifths),
                    Throttling::Doublings(most) => {
                        let limit = limit * (1 << times.saturating_sub(1).min(most));
                        retry_policy::cooldown(limit, 1, asked, fifths)
                    }
                };
                self.keep_away_until = then + nanos(cooldown);
            }
        }
        match rules.again {
            Again::AsTold if self.keep_away_until > then => self.keep_away_until,
            Again::AsTold => then + 10 * SECOND,
            // During the cooldown `get()` makes no call, so the simulation skips these calls of
            // `get()`.
            Again::After(pause) => {
                then + pause * (self.keep_away_until.saturating_sub(then)).div_ceil(pause).max(1)
            }
        }
    }

    /// Returns the first upload after `after` at which `get()` calls the service. The simulation
    /// skips the uploads before it.
    fn next_refresh(&self, after: Nanos) -> Nanos {
        let from = match self.refresh_at_last {
            // This policy has no early refresh.
            0 => self.refresh_from,
            at_last => self.refresh_from.min(at_last),
        };
        let from = from.max(after + 1).max(self.first_asked);
        self.first_asked + (from - self.first_asked).div_ceil(UPLOAD) * UPLOAD
    }
}

pub(crate) fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap()
}

fn share(of: Nanos, roll: f64) -> Nanos {
    (of as f64 * roll) as Nanos
}
