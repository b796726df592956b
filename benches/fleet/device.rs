//! One device: a program that needs credentials for an upload a minute, and the policy of its SDK.

use std::num::NonZeroU16;
use std::time::Duration;

use cognito_identity_credentials::internals::retry_policy::{self, RetryableFailure};
use fastrand::Rng;

pub(crate) type Nanos = u64;

pub(crate) const SECOND: Nanos = 1_000_000_000;

/// How long credentials live that the enhanced flow issues.
pub(crate) const LIFETIME: Nanos = 3600 * SECOND;

/// A program uploads once a minute, from its first upload on, and needs credentials for that.
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
    /// With the wait in seconds that the service asks for.
    Failed(RetryableFailure, Option<Duration>),
}

pub(crate) trait Service {
    /// The answer to a call, and how long it takes to come.
    fn answer(&mut self, call: Call, at: Nanos) -> (Answer, Nanos);
}

/// When a program whose `get()` failed calls it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    After(Nanos),
    /// When `status().next_attempt_in` says so, where the policy knows that, else after 10 s.
    AsTold,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Policy {
    /// `AWS.CognitoIdentityCredentials` of the SDK for JavaScript v2.
    JavaScript,
    /// The standard mode of AWS's SDKs, with the cache of the SDK for Rust.
    Standard,
    /// This library. Alternatives to its constants are for comparison.
    Ours(Ours),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ours {
    pub(crate) throttling: Throttling,
    pub(crate) window: Window,
}

/// What throttled refreshes in a row lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Throttling {
    /// What the library does.
    Library,
    /// They double the cooldown so many times at most, and after so many of them a refresh makes one
    /// attempt.
    Other(u32, Option<u32>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Window {
    /// What the library does.
    Library,
    /// It opens later by a random part of this share of it.
    Late(f64),
    /// The program of each device sets `advisory_window` to so many seconds.
    Set(u16, u16),
}

/// The library as it is.
pub(crate) const LIBRARY: Policy = windows(Window::Library);

/// The library with another answer to throttling.
pub(crate) const fn throttling(doublings: u32, one_attempt_after: Option<u32>) -> Policy {
    let throttling = Throttling::Other(doublings, one_attempt_after);
    Policy::Ours(Ours { throttling, window: Window::Library })
}

/// The library but for the windows.
pub(crate) const fn windows(window: Window) -> Policy {
    Policy::Ours(Ours { throttling: Throttling::Library, window })
}

/// What is the same for all devices.
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
    /// From when on `get()` would renew the credentials, and from when on it would have to.
    renew_from: Nanos,
    renew_at_last: Nanos,
    keep_away_until: Nanos,
    /// When the program asked for the first time.
    first_asked: Nanos,
    /// When the call of `get()` must be over.
    deadline: Nanos,
    /// Since when the program goes without, or `NONE`.
    without_since: Nanos,
    /// The standard mode's quota of retries.
    tokens: u16,
    spent: u16,
    /// The advisory window in seconds, if the program has set it.
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
    /// In a call of `get()` that needs credentials.
    Fetching,
    /// In one that has good ones, and tries for others.
    Renewing,
}

/// What became of one event.
pub(crate) struct Step {
    /// When the device acts next.
    pub(crate) next: Nanos,
    pub(crate) got: Option<Got>,
}

/// A device has got credentials.
pub(crate) struct Got {
    pub(crate) at: Nanos,
    /// Since when its program had to go without.
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
            renew_from: 0,
            renew_at_last: 0,
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

    /// Hands the device credentials that end at `end`, and says when it acts next.
    pub(crate) fn hold(&mut self, end: Nanos, rules: &Rules, rng: &mut Rng) -> Nanos {
        self.take(end, rules, rng);
        self.next_renewal(self.first_asked.saturating_sub(1))
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
                    // A flight that lands rolls for both kinds of pause, whatever it brings.
                    let _ = (rng.f64(), rng.f64());
                }
                let got = Got {
                    at: then,
                    without_since: self.without_since(),
                    first: !std::mem::replace(&mut self.ever_held, true),
                };
                self.without_since = NONE;
                Step { next: self.next_renewal(then), got: Some(got) }
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

    /// The program calls `get()`.
    fn ask(&mut self, now: Nanos, rules: &Rules) {
        let renewing = now < self.renew_at_last;
        self.stage = if renewing { Stage::Renewing } else { Stage::Fetching };
        self.attempt = 0;
        self.spent = 0;
        let limit = match rules.policy {
            Policy::Ours(_) if renewing => nanos(rules.defaults.attempt_timeout),
            Policy::Ours(_) => nanos(rules.defaults.timeout),
            Policy::JavaScript | Policy::Standard => NONE - now,
        };
        self.deadline = now + limit;
        if !renewing && self.without_since == NONE {
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
            Policy::Ours(ours) => {
                let attempts = match ours.throttling {
                    _ if self.stage == Stage::Renewing => 1,
                    Throttling::Other(_, Some(after)) if u32::from(self.throttled) >= after => 1,
                    _ => rules.defaults.attempts,
                };
                retry_policy::delay(failure, attempt, attempts, asked, rng.f64()).map(nanos)
            }
        }
    }

    /// A call succeeded: the last retry's tokens come back, or else one of those spent before.
    fn pay_back(&mut self) {
        let back = if self.spent == 0 { 1 } else { self.spent };
        (self.tokens, self.spent) = ((self.tokens + back).min(500), 0);
    }

    fn take(&mut self, end: Nanos, rules: &Rules, rng: &mut Rng) {
        self.keep_away_until = 0;
        self.throttled = 0;
        let before_end = |window: Duration| (end + 1).saturating_sub(nanos(window));
        (self.renew_from, self.renew_at_last) = match rules.policy {
            Policy::JavaScript => (before_end(Duration::from_secs(15)), 0),
            Policy::Standard => (end + 1 - 5 * SECOND - share(5 * SECOND, rng.f64()), 0),
            Policy::Ours(ours) => {
                let mut window = self.window(rules);
                if let Window::Late(share) = ours.window {
                    window -= window.mul_f64(share * rng.f64());
                }
                let from = before_end(window);
                (from, before_end(rules.defaults.expiry_window))
            }
        };
    }

    fn window(&self, rules: &Rules) -> Duration {
        self.window.map_or(rules.advisory_window, |window| Duration::from_secs(window.get().into()))
    }

    /// A call of `get()` has failed, which the program sees unless it was only renewing.
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
            if stage == Stage::Renewing {
                let asked = failure.and_then(|(_, asked)| asked);
                let pause = retry_policy::advisory_pause(self.window(rules), asked, thirds);
                self.renew_from = then + nanos(pause);
                if then < self.renew_at_last {
                    return self.next_renewal(then);
                }
                // The attempt outlasted the window. The same call of `get()` goes on with a refresh.
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
                    Throttling::Other(most, _) => {
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
            // Calls that a cooldown answers reach nobody, and are left out.
            Again::After(pause) => {
                then + pause * (self.keep_away_until.saturating_sub(then)).div_ceil(pause).max(1)
            }
        }
    }

    /// The first upload after `after` at which `get()` contacts the service. Those between reach
    /// nobody, and are left out.
    fn next_renewal(&self, after: Nanos) -> Nanos {
        let from = match self.renew_at_last {
            // Nothing is renewed ahead of time.
            0 => self.renew_from,
            at_last => self.renew_from.min(at_last),
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
