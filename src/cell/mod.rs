//! A cached value that many threads share. One thread at a time refreshes it.
//!
//! What [`RefreshCell::get`] does:
//!
//! | [`Freshness`] | who refreshes | on failure |
//! |---|---|---|
//! | fresh | nobody | – |
//! | advisory: inside the advisory window, or only the wall clock says that the value has expired | one caller, with one attempt; the others get the cached value at once | everybody gets the cached value; attempts pause |
//! | mandatory: inside the expiry window, expired, invalidated, or nothing cached | one caller, with retries and recovery; the others wait | everybody gets the error; after an answer of the service a cooldown begins |
//!
//! [`RefreshCell::refresh`] always refreshes, or joins the running refresh.
//!
//! The mutex protects plain data. It is never locked while other code runs: the refresh, the clock,
//! the listener, the logger, and the destructors of errors. Every critical section leaves the state
//! valid, so a poisoned mutex is ignored.
//!
//! | file | holds |
//! |---|---|
//! | `flight` | a running refresh: how its leader completes it, and how others wait |
//! | `state` | the data under the mutex: cached value, flight, pause and cooldown |
//! | `lease` | how long a value is valid, on two clocks; the windows |
//! | `reentry` | detects a clock or a listener that calls its own cell |
//! | `sync` | the lock and the condition variable, which the loom tests replace |
//! | `interleavings` | loom tests |

mod flight;
#[cfg(test)]
#[cfg(loom)]
mod interleavings;
pub(crate) mod lease;
mod reentry;
mod state;
mod sync;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use self::flight::FlightGuard;
use self::lease::Freshness;
use self::reentry::{ListenerGuard, ReentryGuard, is_in_listener};
use self::state::{Cached, Flight, Outcome, RefreshState, WallReading};
use self::sync::{Condvar, Instant, Mutex, MutexGuard};
use crate::clock::Clock;
use crate::error::Error;
use crate::service::budget::Budget;

pub(crate) use self::state::{Epoch, Limits, Refreshed};

/// How often the wall clock is read, unless a value expires by it.
const WALL_INTERVAL: Duration = Duration::from_secs(1);

const TOO_LATE: &str = "did not come in time";

/// `T` is the value. `S` holds the settings that a refresh uses.
pub(crate) struct RefreshCell<T, S> {
    clock: Arc<dyn Clock>,
    /// Whether a value also expires by the wall clock, because the boot clock stops during suspend.
    wall_decides: bool,
    limits: Limits,
    state: Mutex<RefreshState<T, S>>,
    /// Notified when a flight has an outcome.
    completed: Condvar,
}

pub(crate) struct RefreshInput<S> {
    pub(crate) settings: S,
    pub(crate) epoch: Epoch,
    pub(crate) budget: Budget,
    /// A stored value may be used only if it was requested after this boot time.
    pub(crate) stored_after: Option<Duration>,
}

/// A completed refresh. All waiters already have its result.
pub(crate) struct CompletedRefresh<'a, T> {
    pub(crate) result: Result<&'a T, &'a Error>,
    /// The value that the callers get. It can be a stored value whose early refresh failed.
    #[cfg(feature = "aws-sdk")]
    pub(crate) value: Option<&'a T>,
    /// Measured on the boot clock.
    pub(crate) duration: Duration,
    pub(crate) early: bool,
}

/// The listener. It is called on the thread that led a refresh, without a lock. `get` and `refresh`
/// return an error inside it.
pub(crate) type OnCompleted<'a, T> = dyn Fn(&CompletedRefresh<'_, T>) + 'a;

pub(crate) struct CellStatus {
    pub(crate) left: Option<Duration>,
    pub(crate) needs_refresh: bool,
    pub(crate) last_error: Option<Error>,
    pub(crate) next_attempt_in: Option<Duration>,
}

/// What `get` would do at this moment.
#[cfg(feature = "aws-sdk")]
pub(crate) enum NextAction<T> {
    ReturnCached(T),
    /// Make an advisory attempt. This value is still valid.
    AdvisoryAttempt(T, Epoch),
    ReturnError(Error),
    /// Refresh, or wait for the running refresh.
    Refresh(Epoch),
}

impl<T: Clone, S: Clone> RefreshCell<T, S> {
    pub(crate) fn new(clock: Arc<dyn Clock>, limits: Limits, settings: S) -> Self {
        let wall_decides = !clock.boot_counts_suspend();
        let state = Mutex::new(RefreshState::new(settings));
        Self { clock, wall_decides, limits, state, completed: Condvar::new() }
    }

    /// Returns a value that is outside its expiry window. Takes at most `within` or the timeout.
    pub(crate) fn get(
        &self,
        within: Duration,
        refresh: impl Fn(&RefreshInput<S>) -> Result<Refreshed<T>, Error>,
        on_completed: Option<&OnCompleted<'_, T>>,
    ) -> Result<T, Error> {
        if let Some(value) = self.fresh()? {
            return Ok(value);
        }
        let within = within.min(self.limits.timeout);
        let give_up = Instant::now().checked_add(within);
        let (mut deadline, mut attempted) = (None, false);
        loop {
            let (state, now) = self.lock_to_refresh()?;
            let deadline = *deadline.get_or_insert_with(|| now.saturating_add(within));
            match self.freshness(&state, now) {
                Freshness::Fresh(cached) => return Ok(cached.value.clone()),
                Freshness::Advisory(cached) => {
                    if attempted || now >= deadline || !state.allows_advisory_attempt(now) {
                        return Ok(cached.value.clone());
                    }
                    attempted = true;
                    let end = deadline.min(now.saturating_add(self.limits.attempt_timeout));
                    let budget = Budget::advisory(end);
                    match self.lead(state, now, budget, &refresh, on_completed) {
                        Ok(value) => return Ok(value),
                        Err(error) => {
                            let what = self.limits.what;
                            log::warn!("could not refresh {what} early: {error:#}");
                        }
                    }
                }
                Freshness::Mandatory => {
                    let Some(flight) = state.flight.clone() else {
                        return match state.cooldown_error(now) {
                            Some(error) => Err(error),
                            None => self.lead_full(state, now, deadline, &refresh, on_completed),
                        };
                    };
                    if let Some((value, _)) = self.join(state, &flight, now, deadline, give_up)? {
                        return Ok(value);
                    }
                }
            }
        }
    }

    /// Returns a value that the service issues in the running refresh or in a new one.
    pub(crate) fn refresh(
        &self,
        refresh: impl Fn(&RefreshInput<S>) -> Result<Refreshed<T>, Error>,
        on_completed: Option<&OnCompleted<'_, T>>,
    ) -> Result<T, Error> {
        let give_up = Instant::now().checked_add(self.limits.timeout);
        let (mut state, now) = self.lock_to_refresh()?;
        let deadline = now.saturating_add(self.limits.timeout);
        let flights = state.flights;
        let cleared = state.end_backoff();
        drop(state);
        drop(cleared);
        loop {
            let (state, now) = self.lock_to_refresh()?;
            if let Some(value) = state.issued_after(flights) {
                return Ok(value);
            }
            let Some(flight) = state.flight.clone() else {
                return self.lead_full(state, now, deadline, &refresh, on_completed);
            };
            if let Some((value, false)) = self.join(state, &flight, now, deadline, give_up)? {
                return Ok(value);
            }
        }
    }

    /// Runs `change`, which returns whether it changed the settings, and a value to drop. After a
    /// change, the result of a running refresh is not cached. The caller drops the value outside
    /// the lock.
    pub(crate) fn change_settings<R>(&self, change: impl FnOnce(&mut S) -> (bool, R)) -> R {
        let (result, cleared) = {
            let mut state = self.lock();
            let (changed, result) = change(&mut state.settings);
            state.epoch.settings += u64::from(changed);
            (result, state.end_backoff())
        };
        drop(cleared);
        result
    }

    /// Updates the settings, unless they have changed since `epoch`.
    pub(crate) fn update_if_same_settings<R>(
        &self,
        epoch: Epoch,
        update: impl FnOnce(&mut S) -> R,
    ) -> Option<R> {
        let mut state = self.lock();
        (state.epoch.settings == epoch.settings).then(|| update(&mut state.settings))
    }

    /// Updates the settings, unless they have changed since `epoch`, or a refresh that began with
    /// older settings is still running.
    pub(crate) fn update_if_no_older_flight(&self, epoch: Epoch, update: impl FnOnce(&mut S)) {
        let mut state = self.lock();
        let same = |other: Epoch| other.settings == epoch.settings;
        if same(state.epoch) && state.flight.as_ref().is_none_or(|flight| same(flight.epoch)) {
            update(&mut state.settings);
        }
    }

    /// Updates the settings, unless they have changed since `epoch`, or `expire` was called.
    pub(crate) fn update_if_same_epoch(&self, epoch: Epoch, update: impl FnOnce(&mut S)) {
        let mut state = self.lock();
        if state.epoch == epoch {
            update(&mut state.settings);
        }
    }

    /// Makes the value count as expired, and the value of a running refresh as out of date.
    pub(crate) fn expire(&self) {
        let mut state = self.lock();
        state.epoch.expired += 1;
        state.invalidated = true;
        state.expired_since_flight = true;
    }

    /// Makes the value count as expired if `matches` accepts it.
    pub(crate) fn invalidate(&self, matches: impl FnOnce(&T) -> bool) {
        let mut state = self.lock();
        if state.cached.as_ref().is_some_and(|cached| matches(&cached.value)) {
            state.invalidated = true;
        }
    }

    pub(crate) fn needs_refresh(&self) -> bool {
        let (state, now) = self.lock_with_time();
        matches!(self.freshness(&state, now), Freshness::Mandatory)
    }

    /// Returns what `get` would do now. It neither refreshes nor waits.
    #[cfg(feature = "aws-sdk")]
    pub(crate) fn next_action(&self) -> Result<NextAction<T>, Error> {
        let (state, now) = self.lock_to_refresh()?;
        Ok(match self.freshness(&state, now) {
            Freshness::Advisory(cached) if state.allows_advisory_attempt(now) => {
                NextAction::AdvisoryAttempt(cached.value.clone(), state.epoch)
            }
            Freshness::Fresh(cached) | Freshness::Advisory(cached) => {
                NextAction::ReturnCached(cached.value.clone())
            }
            Freshness::Mandatory => match state.cooldown_error(now) {
                Some(error) => NextAction::ReturnError(error),
                None => NextAction::Refresh(state.epoch),
            },
        })
    }

    /// Returns the value if it is neither expired nor invalidated, even inside the expiry window.
    #[cfg(feature = "aws-sdk")]
    pub(crate) fn unexpired(&self) -> Option<T> {
        let (state, now) = self.lock_with_time();
        let cached = state.valid()?;
        (!self.left(cached, now).is_zero()).then(|| cached.value.clone())
    }

    #[cfg(feature = "aws-sdk")]
    pub(crate) fn timeout(&self) -> Duration {
        self.limits.timeout
    }

    /// Returns the budget of a refresh that begins now and has the full time.
    #[cfg(feature = "user-pool")]
    pub(crate) fn full_budget(&self) -> Budget {
        let deadline = self.clock.boot().saturating_add(self.limits.timeout);
        Budget::full(deadline, self.limits.attempts)
    }

    /// Returns the value, expired or not.
    pub(crate) fn cached(&self) -> Option<T> {
        self.lock().cached.as_ref().map(|cached| cached.value.clone())
    }

    pub(crate) fn settings(&self) -> S {
        self.lock().settings.clone()
    }

    pub(crate) fn settings_with_epoch(&self) -> (Epoch, S) {
        let state = self.lock();
        (state.epoch, state.settings.clone())
    }

    pub(crate) fn status(&self) -> CellStatus {
        let (state, now) = self.lock_with_time();
        let (needs_refresh, until) = match self.freshness(&state, now) {
            Freshness::Fresh(_) => (false, None),
            Freshness::Advisory(_) => (false, state.pause_until),
            Freshness::Mandatory => (true, state.cooldown.as_ref().map(|(until, _)| *until)),
        };
        CellStatus {
            left: state.cached.as_ref().map(|cached| self.left(cached, now)),
            needs_refresh,
            last_error: state.last_error.clone(),
            next_attempt_in: until
                .map(|until| until.saturating_sub(now))
                .filter(|wait| !wait.is_zero()),
        }
    }

    /// Returns the value if one comparison shows that it is fresh. Nearly every call of `get` ends
    /// here. Where the wall clock decides, it returns `None`: that clock must be read each time.
    fn fresh(&self) -> Result<Option<T>, Error> {
        let guard = self.guard_clock()?;
        let now = self.clock.boot();
        drop(guard);
        let state = self.lock();
        let cached = state.valid().filter(|cached| now < cached.fresh_until);
        let may_skip_checks = state.flight.is_none() && state.in_listener.is_empty();
        Ok(cached.filter(|_| may_skip_checks).map(|cached| cached.value.clone()))
    }

    /// Leads a refresh with retries and recovery. Returns an error if no time is left.
    fn lead_full(
        &self,
        state: MutexGuard<'_, RefreshState<T, S>>,
        now: Duration,
        deadline: Duration,
        refresh: &impl Fn(&RefreshInput<S>) -> Result<Refreshed<T>, Error>,
        on_completed: Option<&OnCompleted<'_, T>>,
    ) -> Result<T, Error> {
        if now >= deadline {
            return Err(self.too_late());
        }
        let budget = Budget::full(deadline, self.limits.attempts);
        self.lead(state, now, budget, refresh, on_completed)
    }

    /// Refreshes on this thread. Meanwhile other callers wait or get the cached value.
    fn lead(
        &self,
        mut state: MutexGuard<'_, RefreshState<T, S>>,
        now: Duration,
        budget: Budget,
        refresh: &impl Fn(&RefreshInput<S>) -> Result<Refreshed<T>, Error>,
        on_completed: Option<&OnCompleted<'_, T>>,
    ) -> Result<T, Error> {
        let (number, stored_after) = state.begin_flight(now);
        let epoch = state.epoch;
        let flight = Arc::new(Flight::new(number, epoch, budget));
        state.flight = Some(Arc::clone(&flight));
        let input = RefreshInput { settings: state.settings.clone(), epoch, budget, stored_after };
        drop(state);

        let guard = FlightGuard { state: &self.state, completed: &self.completed, flight };
        let result = refresh(&input);
        let begun = now;
        let now = self.clock.boot();
        let result = match result {
            // The device was suspended while it waited for the answer.
            Ok(refreshed) if refreshed.lease.left(now).is_zero() => {
                Err(Error::timeout(&format!("{} had ended on arrival", self.limits.what)))
            }
            result => result,
        };
        guard.complete(&result, now, &self.limits);
        if let Some(on_completed) = on_completed {
            let _guard = ListenerGuard::enter(&self.state);
            let duration = now.saturating_sub(begun);
            let early_error = result.as_ref().ok().and_then(|done| done.early_error.as_ref());
            let early = budget.is_advisory() || early_error.is_some();
            let value = result.as_ref().map(|refreshed| &refreshed.value);
            on_completed(&CompletedRefresh {
                result: early_error.map_or(value, Err),
                #[cfg(feature = "aws-sdk")]
                value: value.ok(),
                duration,
                early,
            });
        }
        result.map(|refreshed| refreshed.value)
    }

    /// Waits for the refresh that another thread leads. Returns its error, or its value and whether
    /// the value comes from the storage. Returns `None` if the outcome does not apply to this
    /// caller, which must then start again.
    fn join(
        &self,
        state: MutexGuard<'_, RefreshState<T, S>>,
        flight: &Flight<T>,
        now: Duration,
        deadline: Duration,
        give_up: Option<Instant>,
    ) -> Result<Option<(T, bool)>, Error> {
        let same_epoch = flight.epoch == state.epoch;
        let outcome = flight.wait(state, &self.completed, give_up);
        match outcome.ok_or_else(|| self.too_late())? {
            Outcome::Value { value, from_storage } if same_epoch => Ok(Some((value, from_storage))),
            Outcome::Failed(error) if same_epoch && flight.shares_failure(now, deadline) => {
                Err(error)
            }
            _ => Ok(None),
        }
    }

    fn freshness<'a>(
        &self,
        state: &'a RefreshState<T, S>,
        now: Duration,
    ) -> Freshness<&'a Cached<T>> {
        let Some(cached) = state.valid() else {
            return Freshness::Mandatory;
        };
        let left = self.left(cached, now);
        let wall_says_expired = cached.wall.is_some_and(|reading| reading.left.is_zero());
        let windows = &self.limits.windows;
        windows.freshness(cached, left, cached.lease.lifetime, wall_says_expired)
    }

    /// Returns the remaining lifetime. Uses the wall clock only if the boot clock stops during
    /// suspend.
    fn left(&self, cached: &Cached<T>, now: Duration) -> Duration {
        let left = cached.lease.left(now);
        match cached.wall {
            Some(reading) if self.wall_decides => {
                left.min(reading.left.saturating_sub(now.saturating_sub(reading.at)))
            }
            _ => left,
        }
    }

    /// Reads the boot clock, and locks the state. Reads the wall clock too if its last reading is
    /// too old.
    fn lock_with_time(&self) -> (MutexGuard<'_, RefreshState<T, S>>, Duration) {
        let now = self.clock.boot();
        let mut state = self.lock();
        let Some(cached) = &mut state.cached else { return (state, now) };
        let due = self.wall_decides
            || cached.wall.is_none_or(|last| now.saturating_sub(last.at) >= WALL_INTERVAL);
        if !due {
            return (state, now);
        }
        // Note the time of the reading first, so that no other thread reads the wall clock too.
        let left = cached.wall.map_or(Duration::MAX, |last| last.left);
        cached.wall = Some(WallReading { at: now, left });
        drop(state);
        let wall = self.clock.wall();
        let mut state = self.lock();
        if let Some(cached) = &mut state.cached {
            let left = cached.lease.left_by_wall(wall);
            cached.wall = Some(WallReading { at: now, left });
            if !self.wall_decides && !left.is_zero() {
                let windows = &self.limits.windows;
                let window = windows.advisory_for(cached.lease.lifetime).max(windows.expiry);
                let next_reading = now.saturating_add(WALL_INTERVAL);
                cached.fresh_until = cached.lease.boot_end.saturating_sub(window).min(next_reading);
            }
        }
        (state, now)
    }

    /// Like [`lock_with_time`](Self::lock_with_time), for callers that may refresh. Returns an
    /// error if a refresh, a listener or the clock calls it.
    fn lock_to_refresh(&self) -> Result<(MutexGuard<'_, RefreshState<T, S>>, Duration), Error> {
        let guard = self.guard_clock()?;
        let (mut state, now) = self.lock_with_time();
        drop(guard);
        match &state.flight {
            Some(flight) if !flight.is_of_this_process() => state.flight = None,
            Some(flight) if flight.is_led_by_this_thread() => return Err(Error::reentrant()),
            _ => {}
        }
        if is_in_listener(&mut state.in_listener) {
            return Err(Error::reentrant());
        }
        Ok((state, now))
    }

    fn guard_clock(&self) -> Result<ReentryGuard, Error> {
        ReentryGuard::enter(std::ptr::from_ref(self).addr()).ok_or_else(Error::reentrant)
    }

    fn too_late(&self) -> Error {
        Error::timeout(&format!("{} {TOO_LATE}", self.limits.what))
    }

    fn lock(&self) -> MutexGuard<'_, RefreshState<T, S>> {
        sync::lock(&self.state)
    }
}
