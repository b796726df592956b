use super::*;
use crate::cell::lease::{Lease, Windows};
use crate::clock::SystemClock;
use crate::error::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const HOUR: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Refresh,
}

fn cell() -> RefreshCell<usize, ()> {
    let limits = Limits {
        what: "the value",
        windows: Windows { expiry: Duration::ZERO, advisory: None },
        timeout: Duration::from_secs(30),
        attempt_timeout: Duration::from_secs(10),
        attempts: 4,
        cooldown: Duration::ZERO,
    };
    RefreshCell::new(Arc::new(SystemClock), limits, ())
}

#[expect(clippy::unnecessary_wraps, reason = "a refresh returns this type")]
fn refreshed(value: usize) -> Result<Refreshed<usize>, Error> {
    let lease = Lease::new(SystemClock.boot(), SystemClock.wall(), HOUR);
    Ok(Refreshed { value, lease, from_storage: false, early_error: None })
}

impl RefreshCell<usize, ()> {
    /// Calls `get` without a limit and without a listener.
    fn get_with(
        &self,
        refresh: impl Fn(&RefreshInput<()>) -> Result<Refreshed<usize>, Error>,
    ) -> Result<usize, Error> {
        self.get(Duration::MAX, refresh, None)
    }

    /// Blocks a refresh until this number of threads waits for it. The flight has one owner for
    /// each waiter, and three more: the cell, the leader and this function.
    fn await_waiters(&self, waiters: usize) {
        let limit = Instant::now() + Duration::from_secs(20);
        loop {
            assert!(Instant::now() < limit, "the other threads do not begin to wait");
            let flight = self.lock().flight.clone();
            if flight.is_some_and(|flight| Arc::strong_count(&flight) >= waiters + 3) {
                return;
            }
            thread::yield_now();
        }
    }
}

fn await_that(mut condition: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < limit, "the condition does not become true");
        thread::yield_now();
    }
}

/// 16 threads call the cell. The first refresh ends only when the 15 other threads wait for it.
fn crowd(
    cell: &RefreshCell<usize, ()>,
    method: Method,
    refresh: impl Fn(usize) -> Result<Refreshed<usize>, Error> + Sync,
) -> (Vec<thread::Result<Result<usize, Error>>>, usize) {
    let refreshes = AtomicUsize::new(0);
    let run = |_: &RefreshInput<()>| {
        let number = refreshes.fetch_add(1, Ordering::SeqCst);
        if number == 0 {
            cell.await_waiters(15);
        }
        refresh(number)
    };
    let results = thread::scope(|scope| {
        let ask = || {
            catch_unwind(AssertUnwindSafe(|| match method {
                Method::Get => cell.get_with(run),
                Method::Refresh => cell.refresh(run, None),
            }))
        };
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    (results, refreshes.into_inner())
}

#[test]
fn waiters_share_a_value() {
    for method in [Method::Get, Method::Refresh] {
        let (results, refreshes) = crowd(&cell(), method, refreshed);
        assert_eq!(refreshes, 1);
        assert!(results.into_iter().all(|result| result.unwrap().unwrap() == 0));
    }
}

#[test]
fn a_stored_value_is_shared_by_get_but_not_by_refresh() {
    for method in [Method::Get, Method::Refresh] {
        let cell = cell();
        let results = thread::scope(|scope| {
            let storing = scope.spawn(|| {
                cell.get_with(|_| {
                    cell.await_waiters(1);
                    refreshed(0).map(|refreshed| Refreshed { from_storage: true, ..refreshed })
                })
            });
            await_that(|| cell.lock().flight.is_some());
            let value = match method {
                Method::Get => cell.get_with(|_| refreshed(1)),
                Method::Refresh => cell.refresh(|_| refreshed(1), None),
            };
            [storing.join().unwrap().unwrap(), value.unwrap()]
        });
        assert_eq!(results, [0, usize::from(method == Method::Refresh)]);
        assert_eq!(cell.cached(), Some(results[1]));
    }
}

/// The leader panics, and a waiter leads the next refresh: a `get` or a `refresh`.
#[test]
fn after_a_panic_of_the_leader_refresh_returns_no_stored_value() {
    for _ in 0..50 {
        let cell = cell();
        let refreshes = AtomicUsize::new(0);
        let refresh = |new: bool| {
            if refreshes.fetch_add(1, Ordering::SeqCst) == 0 {
                cell.await_waiters(7);
                resume_unwind(Box::new("the first refresh has a fault"));
            }
            refreshed(usize::from(new))
                .map(|refreshed| Refreshed { from_storage: !new, ..refreshed })
        };
        thread::scope(|scope| {
            for number in 0..8 {
                let (refresh, cell) = (&refresh, &cell);
                scope.spawn(move || {
                    let ask = || match number % 4 {
                        0 => cell.refresh(|_| refresh(true), None).map(|value| value == 1),
                        _ => cell.get_with(|_| refresh(false)).map(|_| true),
                    };
                    let outcome = catch_unwind(AssertUnwindSafe(ask));
                    assert!(outcome.is_err() || outcome.unwrap().unwrap(), "a stored value");
                });
            }
        });
    }
}

/// A stored value must be newer than the cached value and than the last `expire`.
#[test]
fn a_refresh_gets_the_time_after_which_a_stored_value_may_be_used() {
    let cell = cell();
    let after = Mutex::new(Vec::new());
    let refresh = |input: &RefreshInput<()>| {
        after.lock().unwrap().push(input.stored_after);
        refreshed(0)
    };
    let before = SystemClock.boot();
    cell.refresh(refresh, None).unwrap();
    cell.refresh(refresh, None).unwrap();
    cell.invalidate(|_| true);
    cell.get_with(refresh).unwrap();
    let expired = SystemClock.boot();
    cell.expire();
    cell.get_with(|input| {
        after.lock().unwrap().push(input.stored_after);
        Err(Error::timeout("the network"))
    })
    .unwrap_err();
    let failed = SystemClock.boot();
    cell.get_with(refresh).unwrap();
    let after = after.into_inner().unwrap();
    assert_eq!(after[0], None, "any stored value");
    assert!(after[1] > Some(before) && after[2] > after[1], "newer than the cached value");
    assert!(after[3] > Some(expired), "{after:?}");
    assert_eq!(after[4], after[3], "a failure changes nothing");
    assert!(after[4] < Some(failed));
}

/// This failure begins no cooldown. If the threads did not share it, each would refresh.
#[test]
fn waiters_share_a_failure() {
    for method in [Method::Get, Method::Refresh] {
        let (results, refreshes) = crowd(&cell(), method, |_| Err(Error::timeout("the network")));
        assert_eq!(refreshes, 1);
        for result in results {
            assert_eq!(result.unwrap().unwrap_err().message(), "the network");
        }
    }
}

#[test]
fn when_the_leader_panics_one_waiter_takes_over() {
    for method in [Method::Get, Method::Refresh] {
        let (results, refreshes) = crowd(&cell(), method, |number| {
            assert!(number > 0, "the first refresh panics");
            refreshed(number)
        });
        let values: Vec<_> = results.into_iter().filter_map(Result::ok).collect();
        assert_eq!(values.len(), 15, "only the leader panics");
        assert!(values.into_iter().all(|value| value.is_ok()));
        assert_eq!(refreshes, 2);
    }
}

/// A caller that begins to wait after a change does not get the value of the older refresh.
#[test]
fn a_caller_after_a_change_of_the_settings_leads_a_new_refresh() {
    let cell = cell();
    let epochs = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            cell.get_with(|input| {
                cell.change_settings(|()| (true, ()));
                cell.await_waiters(1);
                epochs.lock().unwrap().push(input.epoch.settings);
                refreshed(1)
            })
        });
        await_that(|| cell.lock().epoch.settings == 1);
        let second = cell.get_with(|input| {
            epochs.lock().unwrap().push(input.epoch.settings);
            refreshed(2)
        });
        assert_eq!((first.join().unwrap().unwrap(), second.unwrap()), (1, 2));
    });
    assert_eq!(epochs.into_inner().unwrap(), [0, 1]);
    assert_eq!(cell.cached(), Some(2));
    let first = Epoch { settings: 0, expired: 0 };
    assert_eq!(
        cell.update_if_same_settings(first, |()| ()),
        None,
        "an older refresh changes no settings"
    );
}

#[test]
fn a_caller_that_joined_a_failing_advisory_attempt_leads_a_full_refresh() {
    let mut cell = cell();
    cell.limits.windows.advisory = Some(HOUR * 2);
    cell.get_with(|_| refreshed(0)).unwrap();
    let budgets = Mutex::new(Vec::new());
    let note = |input: &RefreshInput<()>| {
        let budget = (input.budget.attempts, input.budget.allows_recovery());
        budgets.lock().unwrap().push(budget);
    };
    let (advisory, joined) = thread::scope(|scope| {
        let advisory = scope.spawn(|| {
            cell.get_with(|input| {
                note(input);
                cell.await_waiters(1);
                Err(Error::timeout("the network"))
            })
        });
        await_that(|| cell.lock().flight.is_some());
        let joined = cell.refresh(
            |input| {
                note(input);
                refreshed(2)
            },
            None,
        );
        (advisory.join().unwrap(), joined)
    });
    assert!(matches!(advisory, Ok(0 | 2)), "the old value, or the new one if it was there already");
    assert_eq!(joined.unwrap(), 2);
    assert_eq!(budgets.into_inner().unwrap(), [(1, false), (4, true)]);
}

#[test]
fn a_failure_of_a_caller_with_little_time_is_not_shared_with_a_caller_that_has_more() {
    let cell = cell();
    let (hasty, patient) = thread::scope(|scope| {
        let hasty = scope.spawn(|| {
            cell.get(
                Duration::from_secs(2),
                |_| {
                    cell.await_waiters(1);
                    Err(Error::timeout("too hasty"))
                },
                None,
            )
        });
        await_that(|| cell.lock().flight.is_some());
        let patient = cell.get_with(|_| refreshed(1));
        (hasty.join().unwrap(), patient)
    });
    assert_eq!(hasty.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(patient.unwrap(), 1);
}

#[test]
fn callers_with_the_same_time_share_a_failure() {
    let cell = cell();
    let refreshes = AtomicUsize::new(0);
    thread::scope(|scope| {
        let ask = || {
            let error = cell.get(
                Duration::from_secs(8),
                |_| {
                    refreshes.fetch_add(1, Ordering::SeqCst);
                    cell.await_waiters(15);
                    Err(Error::timeout("the network"))
                },
                None,
            );
            assert_eq!(error.unwrap_err().message(), "the network");
        };
        (0..16).for_each(|_| drop(scope.spawn(ask)));
    });
    assert_eq!(refreshes.into_inner(), 1);
}

#[test]
fn a_value_that_expired_on_arrival_is_not_returned() {
    let cell = cell();
    let dead = || {
        let lease = Lease::new(Duration::ZERO, SystemClock.wall(), Duration::from_nanos(1));
        Ok(Refreshed { value: 1, lease, from_storage: false, early_error: None })
    };
    assert_eq!(cell.get_with(|_| dead()).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(cell.refresh(|_| dead(), None).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(cell.cached(), None);
}

#[test]
fn a_poisoned_mutex_is_ignored() {
    let cell = cell();
    let poison = catch_unwind(AssertUnwindSafe(|| {
        let _state = cell.lock();
        panic!("poison");
    }));
    assert!(poison.is_err() && cell.state.is_poisoned());
    assert_eq!(cell.get_with(|_| refreshed(1)).unwrap(), 1);
}

#[test]
fn a_value_counts_as_issued_after_an_earlier_flight_unless_it_comes_from_storage() {
    for from_storage in [false, true] {
        let cell = cell();
        assert_eq!(cell.lock().issued_after(0), None, "nothing is cached");
        for number in 1..=3 {
            let refresh =
                |_: &RefreshInput<()>| refreshed(7).map(|done| Refreshed { from_storage, ..done });
            cell.refresh(refresh, None).unwrap();
            let state = cell.lock();
            assert_eq!(state.flights, number);
            assert_eq!(state.issued_after(number - 1), (!from_storage).then_some(7));
            assert_eq!(state.issued_after(number), None);
        }
        cell.invalidate(|_| true);
        assert_eq!(cell.lock().issued_after(0), None, "it is invalidated");
    }
}
