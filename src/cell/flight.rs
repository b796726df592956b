//! A refresh under way: which thread leads it, and how the others wait for its outcome.

use std::process;
use std::sync::{OnceLock, PoisonError};
use std::time::Duration;

use crate::cell::sync::{self, Condvar, Instant, MutexGuard, ThreadId};
use crate::error::Error;
use crate::service::retry::Budget;

/// Tells which settings a refresh started from. One from an older epoch answers those who already
/// wait for it; its value is not cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch {
    /// Counts the changes of the settings.
    pub(super) settings: u64,
    /// Counts the calls of `expire`. They outdate the value, but not what the refresh has learned
    /// about the settings.
    pub(super) expired: u64,
}

/// A refresh under way.
pub(super) struct Flight<T> {
    pub(super) number: u64,
    process: u32,
    leader: ThreadId,
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

impl<T: Clone> Flight<T> {
    /// A flight that this thread leads.
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

    /// False in a process that was forked during the refresh: its leader is a thread of the parent.
    pub(super) fn is_of_this_process(&self) -> bool {
        self.process == process::id()
    }

    pub(super) fn is_led_by_this_thread(&self) -> bool {
        self.leader == sync::current().id()
    }

    /// Whether a caller who began to wait at `now` shares a failure: not that of an advisory attempt,
    /// nor of a refresh that had less than half of this caller's time.
    pub(super) fn shares_failure(&self, now: Duration, deadline: Duration) -> bool {
        let left = self.budget.deadline.saturating_sub(now);
        !self.budget.is_advisory() && left >= deadline.saturating_sub(now) / 2
    }

    /// Waits for the outcome. Returns `None` if there is none by `give_up`.
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
