//! Every order in which three threads can meet in the cell, up to three forced switches between
//! them, explored by loom.
//!
//! A lost wake-up shows as a deadlock. What each load brings is its own number, so that a value can
//! be followed to the load that brought it.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::{Duration, SystemTime};

use super::{Cell, Epoch, Flight, Limits, Loaded, Task};
use crate::clock::Clock;
use crate::error::Error;
use crate::lease::{Lease, Windows};

const LIFETIME: Duration = Duration::from_secs(3600);

/// What one call does.
#[derive(Clone, Copy, Debug)]
enum Call {
    Get,
    Refresh,
    Expire,
    SetLogin,
}

/// What one load does.
#[derive(Clone, Copy, Debug)]
enum Load {
    Succeeds,
    Fails,
    Panics,
}

/// What the cell holds at the start.
#[derive(Clone, Copy, Debug)]
enum Start {
    Empty,
    Fresh,
    Advisory,
}

/// A clock that stands, so that nothing but the threads decides.
struct Standing(Duration);

impl Clock for Standing {
    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.0
    }

    fn boot(&self) -> Duration {
        self.0
    }

    fn sleep(&self, _: Duration) {}
}

/// A value: the load that brought it, and the epoch in which that began.
#[derive(Clone, Copy, Debug)]
struct Value {
    load: u64,
    epoch: Epoch,
}

struct World {
    cell: Cell<Value, ()>,
    plan: &'static [Load],
    /// A scheduling point inside each load.
    network: loom::sync::Mutex<()>,
    seen: StdMutex<Seen>,
}

#[derive(Default)]
struct Seen {
    loading: bool,
    overlapped: bool,
    loads: usize,
    flights: Vec<(u64, Arc<Flight<Value>>)>,
    /// The loads that were on their way when the settings changed.
    outdated: BTreeSet<u64>,
}

impl World {
    fn new(start: Start, plan: &'static [Load]) -> Self {
        let limits = Limits {
            windows: Windows { expiry: Duration::ZERO, advisory: None },
            timeout: Duration::MAX,
            attempt_timeout: Duration::from_secs(10),
            attempts: 4,
            cooldown: Duration::ZERO,
        };
        let now = match start {
            Start::Empty | Start::Fresh => Duration::ZERO,
            Start::Advisory => LIFETIME - Duration::from_secs(60),
        };
        let cell = Cell::new(Arc::new(Standing(now)), limits, ());
        let world =
            Self { cell, plan, network: loom::sync::Mutex::new(()), seen: StdMutex::default() };
        if !matches!(start, Start::Empty) {
            world.cell.get(Duration::MAX, |task| Ok(loaded(1, task))).unwrap();
        }
        world
    }

    fn run(&self, calls: &[Call]) {
        for call in calls {
            match call {
                Call::Get => drop(self.ask(|load| self.cell.get(Duration::MAX, load))),
                Call::Refresh => {
                    let (flights, joins) = {
                        let state = self.cell.lock();
                        (state.flights, state.flight.is_some())
                    };
                    if let Some(value) = self.ask(|load| self.cell.refresh(load)) {
                        let newest = value.load + u64::from(joins);
                        assert!(newest > flights, "an old value for a refresh");
                    }
                }
                Call::Expire => self.cell.expire(),
                Call::SetLogin => self.cell.change(|()| {
                    let mut seen = self.seen.lock().unwrap();
                    let landed = |flight: &Flight<Value>| flight.outcome.get().is_some();
                    let on_their_way: Vec<_> = seen
                        .flights
                        .iter()
                        .filter(|(_, flight)| !landed(flight))
                        .map(|(load, _)| *load)
                        .collect();
                    seen.outdated.extend(on_their_way);
                    (true, ())
                }),
            }
        }
    }

    /// Asks for a value, and checks that it is not older than what the caller knows.
    fn ask(
        &self,
        ask: impl FnOnce(&dyn Fn(&Task<()>) -> Result<Loaded<Value>, Error>) -> Result<Value, Error>,
    ) -> Option<Value> {
        let known = self.cell.epoch().0;
        let outdated = self.seen.lock().unwrap().outdated.clone();
        let value = catch_unwind(AssertUnwindSafe(|| ask(&|task| self.load(task)))).ok()?.ok()?;
        assert!(value.epoch.expired >= known.expired, "a value from before expire()");
        assert!(!outdated.contains(&value.load), "a value of settings from before a change");
        Some(value)
    }

    fn load(&self, task: &Task<()>) -> Result<Loaded<Value>, Error> {
        let flight = self.cell.lock().flight.clone().unwrap();
        let number = flight.number;
        let planned = {
            let mut seen = self.seen.lock().unwrap();
            // Told at the end, for a panic in here would count as the load's own.
            seen.overlapped |= seen.loading;
            seen.loading = true;
            seen.flights.push((number, flight));
            seen.loads += 1;
            *self.plan.get(seen.loads - 1).unwrap_or(&Load::Succeeds)
        };
        drop(self.network.lock());
        self.seen.lock().unwrap().loading = false;
        match planned {
            Load::Succeeds => Ok(loaded(number, task)),
            Load::Fails => Err(Error::timeout("the network")),
            Load::Panics => resume_unwind(Box::new("the load has a fault")),
        }
    }

    /// What must hold when all is done.
    fn check(&self) {
        let seen = self.seen.lock().unwrap();
        assert!(!seen.overlapped, "two loads in flight");
        assert!(seen.flights.iter().all(|(_, flight)| flight.outcome.get().is_some()));
        let state = self.cell.lock();
        assert!(state.flight.is_none(), "a flight that never lands");
        if let Some(held) = &state.held {
            assert!(!seen.outdated.contains(&held.value.load), "an outdated load was kept");
            let current = held.value.epoch.expired == state.epoch.expired;
            assert!(current || state.spent, "expire() is forgotten");
        }
    }
}

fn loaded(load: u64, task: &Task<()>) -> Loaded<Value> {
    let lease = Lease::new(Duration::ZERO, SystemTime::UNIX_EPOCH, LIFETIME);
    Loaded { value: Value { load, epoch: task.epoch }, lease }
}

/// Three threads, with every combination of what they may do, of what the loads do, and of what the
/// cell holds at the start.
#[test]
fn three_threads_meet_in_every_order() {
    let scripts: [&[Call]; 5] = [
        &[Call::Get],
        &[Call::Refresh],
        &[Call::Expire, Call::Get],
        &[Call::SetLogin, Call::Get],
        &[Call::SetLogin, Call::Refresh],
    ];
    let plans: [&[Load]; 4] = [&[], &[Load::Fails], &[Load::Panics], &[Load::Fails, Load::Panics]];
    let mut threads = Vec::new();
    for (a, first) in scripts.into_iter().enumerate() {
        for (b, second) in scripts.into_iter().enumerate().skip(a) {
            threads.extend(scripts.into_iter().skip(b).map(|third| [first, second, third]));
        }
    }
    let (mut models, orders) = (0, Arc::new(AtomicUsize::new(0)));
    for start in [Start::Empty, Start::Fresh, Start::Advisory] {
        for plan in plans {
            for calls in threads.clone() {
                explore(start, plan, calls, &orders);
                models += 1;
            }
        }
    }
    println!(
        "{models} programs of three threads, {} interleavings",
        orders.load(Ordering::Relaxed)
    );
}

fn explore(
    start: Start,
    plan: &'static [Load],
    calls: [&'static [Call]; 3],
    orders: &Arc<AtomicUsize>,
) {
    let orders = Arc::clone(orders);
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        orders.fetch_add(1, Ordering::Relaxed);
        let world = Arc::new(World::new(start, plan));
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
