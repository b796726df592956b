//! Loom runs three threads in every order in which they can meet in the cell, with at most three
//! forced switches between threads.
//!
//! Loom reports a lost wake-up as a deadlock. Each value holds the number of the refresh that
//! returned it.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::{Duration, SystemTime};

use super::{
    CompletedRefresh, Epoch, Flight, Limits, OnCompleted, RefreshCell, RefreshInput, Refreshed,
    TOO_LATE,
};
use crate::cell::lease::{Lease, Windows};
use crate::cell::sync::TIME;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};

const LIFETIME: Duration = Duration::from_secs(3600);
const TIMEOUT: Duration = Duration::from_secs(30);

/// One step of a thread.
#[derive(Clone, Copy, Debug)]
enum Call {
    Get,
    Refresh,
    Expire,
    SetLogin,
    /// Moves the clock on by more than the timeout.
    TimePasses,
}

/// The outcome of one refresh.
#[derive(Clone, Copy, Debug)]
enum Plan {
    Succeeds,
    /// Returns a stored value to `get`, and an issued value to `refresh`.
    FromStorage,
    Fails,
    Panics,
}

#[derive(Clone, Copy, Debug)]
enum Start {
    Empty,
    Fresh,
    Advisory,
}

/// Starts at this boot time, and moves with [`TIME`].
struct ModelClock(Duration);

impl Clock for ModelClock {
    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.boot()
    }

    fn boot(&self) -> Duration {
        self.0 + TIME.get()
    }

    fn sleep(&self, _: Duration) {}
}

/// A value: the number of the refresh that returned it, and the epoch in which that refresh began.
#[derive(Clone, Copy, Debug)]
struct Value {
    refresh: u64,
    epoch: Epoch,
    from_storage: bool,
}

struct World {
    cell: RefreshCell<Value, ()>,
    plan: &'static [Plan],
    /// Whether the cell calls a listener. A listener doubles the number of orders.
    listens: bool,
    /// Locked inside each refresh, so that loom can switch threads there.
    network: loom::sync::Mutex<()>,
    seen: StdMutex<Seen>,
    totals: Arc<Totals>,
}

/// Totals over all orders that loom has run.
#[derive(Default)]
struct Totals {
    orders: AtomicUsize,
    /// Calls that gave up because their time limit had passed.
    late: AtomicUsize,
}

#[derive(Default)]
struct Seen {
    refreshing: bool,
    overlapped: bool,
    refreshes: usize,
    panics: usize,
    reports: usize,
    /// Whether the listener was called before the waiters had the result, or could refresh.
    bad_report: bool,
    flights: Vec<(u64, Arc<Flight<Value>>)>,
    /// The refreshes that were running when the settings changed.
    outdated: BTreeSet<u64>,
}

impl World {
    fn new(start: Start, plan: &'static [Plan], listens: bool, totals: Arc<Totals>) -> Self {
        let limits = Limits {
            what: "the credentials",
            windows: Windows { expiry: Duration::ZERO, advisory: None },
            timeout: TIMEOUT,
            attempt_timeout: Duration::from_secs(10),
            attempts: 4,
            cooldown: Duration::ZERO,
        };
        let now = match start {
            Start::Empty | Start::Fresh => Duration::ZERO,
            Start::Advisory => LIFETIME * 9 / 10,
        };
        TIME.set(Duration::ZERO);
        let cell = RefreshCell::new(Arc::new(ModelClock(now)), limits, ());
        let world = Self {
            cell,
            plan,
            listens,
            network: loom::sync::Mutex::new(()),
            seen: StdMutex::default(),
            totals,
        };
        if !matches!(start, Start::Empty) {
            world.cell.get(Duration::MAX, |input| Ok(refreshed(1, input, false)), None).unwrap();
        }
        world
    }

    fn run(&self, calls: &[Call]) {
        for call in calls {
            match call {
                Call::Get => drop(self.ask(false, |refresh, listener| {
                    self.cell.get(Duration::MAX, refresh, listener)
                })),
                Call::Refresh => {
                    let (flights, joins) = {
                        let state = self.cell.lock();
                        (state.flights, state.flight.is_some())
                    };
                    let value =
                        self.ask(true, |refresh, listener| self.cell.refresh(refresh, listener));
                    if let Some(value) = value {
                        assert!(!value.from_storage, "refresh() returned a stored value");
                        let newest = value.refresh + u64::from(joins);
                        assert!(newest > flights, "refresh() returned an old value");
                    }
                }
                Call::Expire => self.cell.expire(),
                Call::SetLogin => self.cell.change_settings(|()| {
                    let mut seen = self.seen.lock().unwrap();
                    let completed = |flight: &Flight<Value>| flight.outcome.get().is_some();
                    let under_way: Vec<_> = seen
                        .flights
                        .iter()
                        .filter(|(_, flight)| !completed(flight))
                        .map(|(refresh, _)| *refresh)
                        .collect();
                    seen.outdated.extend(under_way);
                    (true, ())
                }),
                Call::TimePasses => {
                    let _state = self.cell.lock();
                    TIME.set(TIMEOUT * 2);
                    self.cell.completed.notify_all();
                }
            }
        }
    }

    /// Calls the cell, and checks that the value is not older than the caller's last change.
    fn ask(
        &self,
        new: bool,
        ask: impl FnOnce(
            &dyn Fn(&RefreshInput<()>) -> Result<Refreshed<Value>, Error>,
            Option<&OnCompleted<'_, Value>>,
        ) -> Result<Value, Error>,
    ) -> Option<Value> {
        let known = self.cell.settings_with_epoch().0;
        let outdated = self.seen.lock().unwrap().outdated.clone();
        let refresh = |input: &RefreshInput<()>| self.refresh(input, new);
        let listener = |_: &CompletedRefresh<'_, Value>| self.listen();
        let listener = self.listens.then_some(&listener as _);
        let outcome = catch_unwind(AssertUnwindSafe(|| ask(&refresh, listener))).ok()?;
        let value = match outcome {
            Err(error) if error.message().ends_with(TOO_LATE) => {
                assert!(TIME.get() > TIMEOUT, "a call gave up too early");
                self.totals.late.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            outcome => outcome.ok()?,
        };
        assert!(value.epoch.expired >= known.expired, "a value that was requested before expire()");
        assert!(!outdated.contains(&value.refresh), "a value of the settings before a change");
        Some(value)
    }

    fn refresh(&self, input: &RefreshInput<()>, new: bool) -> Result<Refreshed<Value>, Error> {
        let (flight, current) = {
            let state = self.cell.lock();
            (state.flight.clone().unwrap(), state.epoch)
        };
        let number = flight.number;
        let planned = {
            let mut seen = self.seen.lock().unwrap();
            // `check` looks at this at the end. A panic here would count as the plan's panic.
            seen.overlapped |= seen.refreshing;
            seen.refreshing = true;
            seen.flights.push((number, flight));
            if input.epoch.settings != current.settings {
                seen.outdated.insert(number);
            }
            seen.refreshes += 1;
            let planned = *self.plan.get(seen.refreshes - 1).unwrap_or(&Plan::Succeeds);
            seen.panics += usize::from(matches!(planned, Plan::Panics));
            planned
        };
        drop(self.network.lock());
        self.seen.lock().unwrap().refreshing = false;
        match planned {
            Plan::FromStorage if !new => Ok(refreshed(number, input, true)),
            Plan::Succeeds | Plan::FromStorage => Ok(refreshed(number, input, false)),
            Plan::Fails => Err(Error::timeout("the network")),
            Plan::Panics => resume_unwind(Box::new("the refresh has a fault")),
        }
    }

    fn listen(&self) {
        let inside = self.cell.get(Duration::MAX, |input| Ok(refreshed(0, input, false)), None);
        let reentrant = inside.is_err_and(|error| error.kind() == ErrorKind::Reentrant);
        let mut seen = self.seen.lock().unwrap();
        let mut own = seen.flights.iter().filter(|(_, flight)| flight.is_led_by_this_thread());
        let published = own.all(|(_, flight)| flight.outcome.get().is_some());
        seen.bad_report |= !reentrant || !published;
        seen.reports += 1;
    }

    /// Checks what must be true when all threads have ended.
    fn check(&self) {
        let seen = self.seen.lock().unwrap();
        assert!(!seen.overlapped, "two refreshes ran at the same time");
        assert!(!seen.bad_report, "the listener was called too early, or could refresh");
        let results = if self.listens { seen.refreshes - seen.panics } else { 0 };
        assert_eq!(seen.reports, results, "one report for each result");
        assert!(seen.flights.iter().all(|(_, flight)| flight.outcome.get().is_some()));
        let state = self.cell.lock();
        assert!(state.flight.is_none(), "a flight without an outcome");
        assert!(state.in_listener.is_empty(), "a thread still counts as inside the listener");
        if let Some(cached) = &state.cached {
            assert!(!seen.outdated.contains(&cached.value.refresh), "an outdated value was cached");
            let current = cached.value.epoch.expired == state.epoch.expired;
            assert!(current || state.invalidated, "expire() had no effect");
        }
    }
}

fn refreshed(refresh: u64, input: &RefreshInput<()>, from_storage: bool) -> Refreshed<Value> {
    let lease = Lease::new(Duration::ZERO, SystemTime::UNIX_EPOCH, LIFETIME);
    Refreshed {
        value: Value { refresh, epoch: input.epoch, from_storage },
        lease,
        from_storage,
        early_error: None,
    }
}

const SCRIPTS: [&[Call]; 5] = [
    &[Call::Get],
    &[Call::Refresh],
    &[Call::Expire, Call::Get],
    &[Call::SetLogin, Call::Get],
    &[Call::SetLogin, Call::Refresh],
];

/// Runs every combination of scripts, outcomes and starts.
#[test]
fn three_threads_meet_in_every_order() {
    let mut threads = Vec::new();
    for (a, first) in SCRIPTS.into_iter().enumerate() {
        for (b, second) in SCRIPTS.into_iter().enumerate().skip(a) {
            threads.extend(SCRIPTS.into_iter().skip(b).map(|third| [first, second, third]));
        }
    }
    assert_eq!(explore_all(&threads, false), 0);
}

/// Two threads with a listener. The time of both runs out at any moment.
#[test]
fn two_threads_meet_while_their_time_runs_out() {
    let mut threads = Vec::new();
    for (a, first) in SCRIPTS.into_iter().enumerate() {
        let seconds = SCRIPTS.into_iter().skip(a);
        threads.extend(seconds.map(|second| [first, second, &[Call::TimePasses]]));
    }
    assert!(explore_all(&threads, true) > 0, "no call ran out of time");
}

/// Returns the number of calls that gave up because their time limit had passed.
fn explore_all(threads: &[[&'static [Call]; 3]], listens: bool) -> usize {
    let plans: [&[Plan]; 5] = [
        &[],
        &[Plan::FromStorage],
        &[Plan::Fails],
        &[Plan::Panics, Plan::FromStorage],
        &[Plan::Fails, Plan::Panics],
    ];
    let (mut programs, totals) = (0, Arc::new(Totals::default()));
    for start in [Start::Empty, Start::Fresh, Start::Advisory] {
        for plan in plans {
            for calls in threads {
                explore((start, plan, listens), *calls, &totals);
                programs += 1;
            }
        }
    }
    let [orders, late] = [&totals.orders, &totals.late].map(|total| total.load(Ordering::Relaxed));
    println!("{programs} programs of three threads, {orders} interleavings, {late} calls too late");
    late
}

fn explore(
    (start, plan, listens): (Start, &'static [Plan], bool),
    calls: [&'static [Call]; 3],
    totals: &Arc<Totals>,
) {
    let totals = Arc::clone(totals);
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        totals.orders.fetch_add(1, Ordering::Relaxed);
        let world = Arc::new(World::new(start, plan, listens, Arc::clone(&totals)));
        let [first, second, third] = calls;
        let others = [first, second].map(|calls| {
            let world = Arc::clone(&world);
            loom::thread::spawn(move || world.run(calls))
        });
        world.run(third);
        for other in others {
            other.join().unwrap();
        }
        world.check();
    });
}
