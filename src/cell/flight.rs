//! A running refresh: its leader completes it, and the others wait for its outcome.

use std::process;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use crate::cell::state::{Epoch, Flight, Limits, Outcome, RefreshState, Refreshed};
use crate::cell::sync::{self, Condvar, Instant, Mutex, MutexGuard};
use crate::error::Error;
use crate::random;
use crate::service::budget::Budget;

/// Completes a flight, even if the refresh panics.
pub(super) struct FlightGuard<'a, T: Clone, S> {
    pub(super) state: &'a Mutex<RefreshState<T, S>>,
    pub(super) completed: &'a Condvar,
    pub(super) flight: Arc<Flight<T>>,
}

impl<T: Clone, S> FlightGuard<'_, T, S> {
    pub(super) fn complete(
        self,
        result: &Result<Refreshed<T>, Error>,
        now: Duration,
        limits: &Limits,
    ) {
        let rolls = [random::f64(), random::f64()];
        let mut state = sync::lock(self.state);
        let replaced = state.record(&self.flight, result, now, limits, rolls);
        let outcome = match result {
            Ok(Refreshed { value, from_storage, .. }) => {
                Outcome::Value { value: value.clone(), from_storage: *from_storage }
            }
            Err(error) => Outcome::Failed(error.clone()),
        };
        self.publish(&mut state, outcome);
        drop(state);
        drop(replaced);
    }

    /// Sets the outcome and wakes the waiters, unless the flight already has an outcome.
    fn publish(&self, state: &mut RefreshState<T, S>, outcome: Outcome<T>) {
        if self.flight.outcome.set(outcome).is_ok() {
            state.flight = None;
            self.completed.notify_all();
        }
    }
}

impl<T: Clone, S> Drop for FlightGuard<'_, T, S> {
    fn drop(&mut self) {
        self.publish(&mut sync::lock(self.state), Outcome::LeaderPanicked);
    }
}

impl<T: Clone> Flight<T> {
    pub(super) fn new(number: u64, epoch: Epoch, budget: Budget) -> Self {
        Self {
            number,
            process: process::id(),
            leader: sync::current().id(),
            epoch,
            budget,
            outcome: OnceLock::new(),
        }
    }

    /// Returns `false` in a process that was forked during the refresh, because the leader is a
    /// thread of its parent.
    pub(super) fn is_of_this_process(&self) -> bool {
        self.process == process::id()
    }

    pub(super) fn is_led_by_this_thread(&self) -> bool {
        self.leader == sync::current().id()
    }

    /// Returns `true` if a failure of this refresh also applies to a waiter that began at `now`.
    /// Returns `false` for an advisory attempt, and if the refresh had less than half of the
    /// waiter's time left.
    pub(super) fn shares_failure(&self, now: Duration, deadline: Duration) -> bool {
        let left = self.budget.deadline.saturating_sub(now);
        !self.budget.is_advisory() && left >= deadline.saturating_sub(now) / 2
    }

    /// Waits for the outcome until `give_up`. Returns `None` if there is no outcome then.
    pub(super) fn wait<S>(
        &self,
        mut state: MutexGuard<'_, S>,
        completed: &Condvar,
        give_up: Option<Instant>,
    ) -> Option<Outcome<T>> {
        loop {
            if let Some(outcome) = self.outcome.get() {
                return Some(outcome.clone());
            }
            state = match give_up {
                None => completed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(give_up) => {
                    let left = give_up.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    let woken = completed.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}
