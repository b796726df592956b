//! The data under the cell's mutex: the cached value, the flight, and the pauses after failures.

use std::mem;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::cell::lease::{Lease, Windows};
use crate::cell::sync::ThreadId;
use crate::error::{Error, ErrorKind};
use crate::service::budget::Budget;
use crate::service::retry;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The name of the value in errors and logs.
    pub(crate) what: &'static str,
    pub(crate) windows: Windows,
    /// The time limit of one `get` or `refresh`.
    pub(crate) timeout: Duration,
    /// The time limit of an advisory attempt.
    pub(crate) attempt_timeout: Duration,
    pub(crate) attempts: u32,
    pub(crate) cooldown: Duration,
}

pub(crate) struct Refreshed<T> {
    pub(crate) value: T,
    pub(crate) lease: Lease,
    /// Whether another process has stored the value. The callers of `refresh` do not get it then.
    pub(crate) from_storage: bool,
    /// The error of the early refresh, if `value` is a stored value that it could not replace.
    pub(crate) early_error: Option<Error>,
}

pub(super) struct RefreshState<T, S> {
    pub(super) settings: S,
    pub(super) epoch: Epoch,
    pub(super) cached: Option<Cached<T>>,
    /// Set by `expire` and `invalidate`. Then `get` does not return the cached value any more.
    pub(super) invalidated: bool,
    pub(super) expired_since_flight: bool,
    /// The boot time of the first flight after the last `expire`.
    pub(super) stored_after: Option<Duration>,
    pub(super) flight: Option<Arc<Flight<T>>>,
    /// The threads that are inside the program's listener, each with the ID of its process.
    pub(super) in_listener: Vec<(u32, ThreadId)>,
    pub(super) flights: u64,
    /// There is no advisory attempt before this boot time.
    pub(super) pause_until: Option<Duration>,
    /// Until this boot time, `get` returns this error.
    pub(super) cooldown: Option<(Duration, Error)>,
    /// How many refreshes in a row ended in throttling.
    throttled: u32,
    pub(super) last_error: Option<Error>,
}

pub(super) struct Cached<T> {
    pub(super) value: T,
    pub(super) lease: Lease,
    /// The number of the flight in which the service issued the value. `None` if the value comes
    /// from the storage.
    issued_in: Option<u64>,
    pub(super) wall: Option<WallReading>,
    /// Before this boot time, the value is fresh unless it is invalidated, and nobody reads the
    /// wall clock.
    pub(super) fresh_until: Duration,
}

/// The time left of a lease by the wall clock, and the boot time of this reading.
#[derive(Clone, Copy)]
pub(super) struct WallReading {
    pub(super) at: Duration,
    pub(super) left: Duration,
}

/// Identifies the settings that a refresh began with. The value of a refresh of an older epoch goes
/// to the callers that already wait for it, and is not cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch {
    /// Counts the changes of the settings.
    pub(super) settings: u64,
    /// Counts the calls of `expire`. They make the value of a running refresh out of date, but not
    /// the identity that it has found.
    pub(super) expired: u64,
}

/// A running refresh.
pub(super) struct Flight<T> {
    pub(super) number: u64,
    pub(super) process: u32,
    pub(super) leader: ThreadId,
    pub(super) epoch: Epoch,
    pub(super) budget: Budget,
    pub(super) outcome: OnceLock<Outcome<T>>,
}

#[derive(Clone)]
pub(super) enum Outcome<T> {
    Value { value: T, from_storage: bool },
    Failed(Error),
    LeaderPanicked,
}

impl<T: Clone, S> RefreshState<T, S> {
    pub(super) fn new(settings: S) -> Self {
        Self {
            settings,
            epoch: Epoch { settings: 0, expired: 0 },
            cached: None,
            invalidated: false,
            expired_since_flight: false,
            stored_after: None,
            flight: None,
            in_listener: Vec::new(),
            flights: 0,
            pause_until: None,
            cooldown: None,
            throttled: 0,
            last_error: None,
        }
    }

    /// Returns the cached value, unless `expire` or `invalidate` was called. It may have expired.
    pub(super) fn valid(&self) -> Option<&Cached<T>> {
        self.cached.as_ref().filter(|_| !self.invalidated)
    }

    /// Returns the cached value if the service issued it in a flight with a number above `flights`.
    pub(super) fn issued_after(&self, flights: u64) -> Option<T> {
        let cached = self.valid()?;
        cached.issued_in.filter(|flight| *flight > flights).map(|_| cached.value.clone())
    }

    pub(super) fn allows_advisory_attempt(&self, now: Duration) -> bool {
        self.flight.is_none() && self.pause_until.is_none_or(|until| now >= until)
    }

    pub(super) fn cooldown_error(&self, now: Duration) -> Option<Error> {
        let (until, error) = self.cooldown.as_ref()?;
        (now < *until).then(|| error.clone())
    }

    /// Begins a flight. Returns its number. The flight may use only stored values that were
    /// requested after the returned boot time.
    pub(super) fn begin_flight(&mut self, now: Duration) -> (u64, Option<Duration>) {
        self.flights += 1;
        if mem::take(&mut self.expired_since_flight) {
            self.stored_after = Some(now);
        }
        let cached = self.cached.as_ref().map(|cached| cached.lease.start());
        (self.flights, cached.max(self.stored_after))
    }

    /// Records the result of a flight, unless it is of an older epoch. Returns the errors that it
    /// replaces. The caller drops them outside the lock. The `rolls` are random numbers from 0 up
    /// to 1, for the length of the advisory pause and of the cooldown.
    #[must_use]
    pub(super) fn record(
        &mut self,
        flight: &Flight<T>,
        result: &Result<Refreshed<T>, Error>,
        now: Duration,
        limits: &Limits,
        rolls: [f64; 2],
    ) -> (Option<Error>, Option<(Duration, Error)>) {
        // After `expire`, a value is out of date, but a failure is not.
        let same_settings = self.epoch.settings == flight.epoch.settings;
        if !same_settings || (result.is_ok() && self.epoch != flight.epoch) {
            return (None, None);
        }
        match result {
            Ok(Refreshed { value, lease, from_storage, early_error }) => {
                self.cached = Some(Cached {
                    value: value.clone(),
                    lease: *lease,
                    issued_in: (!from_storage).then_some(flight.number),
                    wall: None,
                    fresh_until: Duration::ZERO,
                });
                self.invalidated = false;
                let replaced = mem::replace(&mut self.last_error, early_error.clone());
                let ended = self.end_backoff();
                if let Some(error) = early_error {
                    self.pause_advisory_attempts(error, now, limits, rolls);
                }
                (replaced, ended)
            }
            Err(error) => {
                let replaced = self.last_error.replace(error.clone());
                (replaced, self.begin_backoff(flight, error, now, limits, rolls))
            }
        }
    }

    /// Ends all pauses, so that the next caller makes an attempt at once. Returns the error of the
    /// cooldown. The caller drops it outside the lock.
    #[must_use]
    pub(super) fn end_backoff(&mut self) -> Option<(Duration, Error)> {
        self.pause_until = None;
        self.throttled = 0;
        self.cooldown.take()
    }

    /// After a failed advisory attempt, pauses such attempts. After any other error that the
    /// service answered, begins a cooldown.
    fn begin_backoff(
        &mut self,
        flight: &Flight<T>,
        error: &Error,
        now: Duration,
        limits: &Limits,
        rolls: [f64; 2],
    ) -> Option<(Duration, Error)> {
        if flight.budget.is_advisory() {
            self.pause_advisory_attempts(error, now, limits, rolls);
            return None;
        }
        if !error.was_answered() {
            return None;
        }
        let throttled = error.kind() == ErrorKind::Throttled;
        self.throttled = if throttled { self.throttled.saturating_add(1) } else { 0 };
        let asked = error.cooldown_asked();
        let pause = retry::cooldown(limits.cooldown, self.throttled, asked, rolls[1]);
        self.cooldown.replace((now.saturating_add(pause), error.clone()))
    }

    fn pause_advisory_attempts(
        &mut self,
        error: &Error,
        now: Duration,
        limits: &Limits,
        [roll, _]: [f64; 2],
    ) {
        let Some(cached) = &self.cached else { return };
        let mut window = limits.windows.advisory_for(cached.lease.lifetime);
        // With a window of zero, there is an advisory attempt only if the wall clock alone says
        // that the lease has ended.
        if window.is_zero() {
            let by_lifetime = Windows { advisory: None, ..limits.windows };
            window = by_lifetime.advisory_for(cached.lease.lifetime);
        }
        let pause = retry::advisory_pause(window, error.cooldown_asked(), roll);
        self.pause_until = Some(now.saturating_add(pause));
    }
}
