//! One value, kept fresh by one load at a time, however many threads ask.
//!
//! The mutex guards plain data and is never held while code from outside runs: the load, the clock,
//! the logger, and the destructors of errors all run without it. Every critical section leaves the
//! state whole, so a poisoned mutex is ignored.

use std::process;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use self::sync::{Condvar, INSIDE, Instant, Mutex, MutexGuard, ThreadId};
use crate::cell::lease::{Lease, Windows};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::random;
use crate::service::retry::{self, Budget};

#[cfg(all(loom, test))]
mod interleavings;
pub(crate) mod lease;
mod sync;

/// How often the wall clock is looked at, in boot time.
const WALL_INTERVAL: Duration = Duration::from_secs(1);

/// `T` is the value, `S` the settings that a load works from.
pub(crate) struct Cell<T, S> {
    clock: Arc<dyn Clock>,
    /// Whether the wall clock may end a value, because the boot clock misses time.
    wall_decides: bool,
    limits: Limits,
    state: Mutex<State<T, S>>,
    landed: Condvar,
}

/// The settings of the cell itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// What the value is called in errors and logs.
    pub(crate) what: &'static str,
    pub(crate) windows: Windows,
    /// The longest that `get` and `refresh` take.
    pub(crate) timeout: Duration,
    /// The longest that an advisory attempt takes.
    pub(crate) attempt_timeout: Duration,
    pub(crate) attempts: u32,
    pub(crate) cooldown: Duration,
}

/// What a load is given.
pub(crate) struct Task<S> {
    pub(crate) settings: S,
    pub(crate) epoch: Epoch,
    pub(crate) budget: Budget,
    /// The boot time after which a revived value must have been asked for, lest one that is held, or
    /// that was called off, comes back.
    pub(crate) revive_after: Option<Duration>,
}

/// What a load belongs to. One that began in an older epoch answers those who wait for it; what it
/// has loaded is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch {
    /// Counts the changes of the settings.
    settings: u64,
    /// Counts the calls of `expire`. They outdate the value, but not what the load has learned
    /// about the settings.
    expired: u64,
}

/// What a load yields.
pub(crate) struct Loaded<T> {
    pub(crate) value: T,
    pub(crate) lease: Lease,
    /// Whether it is not new, but was kept by somebody: who wants a new one is not served with it.
    pub(crate) revived: bool,
}

/// A picture of the cell at one moment.
pub(crate) struct View {
    pub(crate) left: Option<Duration>,
    pub(crate) needs_refresh: bool,
    pub(crate) last_error: Option<Error>,
    pub(crate) next_attempt_in: Option<Duration>,
}

/// What `get` would do at one moment.
#[cfg(feature = "aws-sdk")]
pub(crate) enum Prospect<T> {
    /// Return this value.
    Value(T),
    /// Try to renew this value, which is good for a while yet.
    Renewal(T, Epoch),
    /// Return this error, of a refusal that still stands.
    Refusal(Error),
    /// Load a value, or wait for the load that is under way.
    Load(Epoch),
}

struct State<T, S> {
    settings: S,
    epoch: Epoch,
    held: Option<Held<T>>,
    /// Set by `expire` and `invalidate`: the value is not handed out any more.
    spent: bool,
    /// Whether `expire` was called since the last load began.
    called_off: bool,
    /// The boot time at which the first load after the last `expire` began.
    revive_after: Option<Duration>,
    flight: Option<Arc<Flight<T>>>,
    /// How many flights there have been.
    flights: u64,
    /// No advisory attempt before this boot time.
    pause_until: Option<Duration>,
    /// A refusal that stands until this boot time.
    cooldown: Option<(Duration, Error)>,
    /// How many refreshes in a row ended in throttling.
    throttled: u32,
    last_error: Option<Error>,
}

struct Held<T> {
    value: T,
    lease: Lease,
    /// The number of the flight that brought it.
    flight: u64,
    revived: bool,
    advisory_window: Duration,
    wall: Option<WallLook>,
    /// Before this boot time it is fresh unless it is spent, and the wall clock need not be looked at
    /// again.
    fresh_until: Duration,
}

/// What the wall clock said when it was last looked at.
#[derive(Clone, Copy)]
struct WallLook {
    at: Duration,
    left: Duration,
}

/// A load under way.
struct Flight<T> {
    number: u64,
    /// The ID of the process that the leader is a thread of.
    process: u32,
    leader: ThreadId,
    epoch: Epoch,
    budget: Budget,
    outcome: OnceLock<Outcome<T>>,
}

#[derive(Clone)]
enum Outcome<T> {
    Done(Result<T, Error>),
    Revived(T),
    /// The leader panicked.
    Abandoned,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Fresh,
    Advisory,
    Mandatory,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    /// A value that may be handed out.
    Usable,
    /// A value from a load that begins after now, or that is under way.
    New,
}

impl<T: Clone, S: Clone> Cell<T, S> {
    pub(crate) fn new(clock: Arc<dyn Clock>, limits: Limits, settings: S) -> Self {
        let state = State {
            settings,
            epoch: Epoch { settings: 0, expired: 0 },
            held: None,
            spent: false,
            called_off: false,
            revive_after: None,
            flight: None,
            flights: 0,
            pause_until: None,
            cooldown: None,
            throttled: 0,
            last_error: None,
        };
        let wall_decides = !clock.boot_counts_suspend();
        Self { clock, wall_decides, limits, state: Mutex::new(state), landed: Condvar::new() }
    }

    /// A value that may be handed out, loaded if need be, within `within` or the timeout.
    pub(crate) fn get(
        &self,
        within: Duration,
        load: impl Fn(&Task<S>) -> Result<Loaded<T>, Error>,
    ) -> Result<T, Error> {
        // Where the wall clock decides it must be looked at each time.
        if !self.wall_decides {
            if let Some(value) = self.fresh()? {
                return Ok(value);
            }
        }
        self.obtain(Want::Usable, within.min(self.limits.timeout), load)
    }

    /// A value from a load of now, or from one under way.
    pub(crate) fn refresh(
        &self,
        load: impl Fn(&Task<S>) -> Result<Loaded<T>, Error>,
    ) -> Result<T, Error> {
        let cleared = {
            let (mut state, _) = self.observe()?;
            state.end_backoff()
        };
        drop(cleared);
        self.obtain(Want::New, self.limits.timeout, load)
    }

    /// Changes the settings. `change` tells whether it did: if not, a load under way stays in force.
    /// What else it returns is dropped by the caller, outside the lock.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut S) -> (bool, R)) -> R {
        let (result, cleared) = {
            let mut state = self.lock();
            let (changed, result) = change(&mut state.settings);
            state.epoch.settings += u64::from(changed);
            (result, state.end_backoff())
        };
        drop(cleared);
        result
    }

    /// Writes into the settings what a load has learned, unless they changed since it began.
    pub(crate) fn amend<R>(&self, epoch: Epoch, amend: impl FnOnce(&mut S) -> R) -> Option<R> {
        let mut state = self.lock();
        (state.epoch.settings == epoch.settings).then(|| amend(&mut state.settings))
    }

    /// Writes into the settings what belongs to the value, unless that is out of date.
    pub(crate) fn annotate(&self, epoch: Epoch, annotate: impl FnOnce(&mut S)) {
        let mut state = self.lock();
        if state.epoch == epoch {
            annotate(&mut state.settings);
        }
    }

    /// Makes the value count as over, and any load under way as out of date.
    pub(crate) fn expire(&self) {
        let mut state = self.lock();
        state.epoch.expired += 1;
        state.spent = true;
        state.called_off = true;
    }

    /// Makes the value count as over if `is_it` says that it is the one.
    pub(crate) fn invalidate(&self, is_it: impl FnOnce(&T) -> bool) {
        let mut state = self.lock();
        if state.held.as_ref().is_some_and(|held| is_it(&held.value)) {
            state.spent = true;
        }
    }

    pub(crate) fn needs_refresh(&self) -> bool {
        let (state, now) = self.look();
        self.standing(&state, now) == Standing::Mandatory
    }

    /// What `get` would do now. Neither loads nor waits.
    #[cfg(feature = "aws-sdk")]
    pub(crate) fn prospect(&self) -> Result<Prospect<T>, Error> {
        let (state, now) = self.observe()?;
        let standing = self.standing(&state, now);
        if let (Some(held), true) = (&state.held, standing != Standing::Mandatory) {
            let value = held.value.clone();
            let paused = state.pause_until.is_some_and(|until| now < until);
            let taken = state.flight.is_some();
            return Ok(if standing == Standing::Fresh || paused || taken {
                Prospect::Value(value)
            } else {
                Prospect::Renewal(value, state.epoch)
            });
        }
        Ok(match &state.cooldown {
            Some((until, error)) if now < *until => Prospect::Refusal(error.clone()),
            _ => Prospect::Load(state.epoch),
        })
    }

    /// The value, if it is neither over nor called off, however little it has left.
    #[cfg(feature = "aws-sdk")]
    pub(crate) fn alive(&self) -> Option<T> {
        let (state, now) = self.look();
        let held = state.held.as_ref().filter(|_| !state.spent)?;
        (!self.left(held, now).is_zero()).then(|| held.value.clone())
    }

    #[cfg(feature = "aws-sdk")]
    pub(crate) fn timeout(&self) -> Duration {
        self.limits.timeout
    }

    pub(crate) fn cached(&self) -> Option<T> {
        self.lock().held.as_ref().map(|held| held.value.clone())
    }

    pub(crate) fn settings(&self) -> S {
        self.lock().settings.clone()
    }

    /// The settings and their epoch.
    pub(crate) fn epoch(&self) -> (Epoch, S) {
        let state = self.lock();
        (state.epoch, state.settings.clone())
    }

    pub(crate) fn view(&self) -> View {
        let (state, now) = self.look();
        let standing = self.standing(&state, now);
        let until = match standing {
            Standing::Fresh => None,
            Standing::Advisory => state.pause_until,
            Standing::Mandatory => state.cooldown.as_ref().map(|(until, _)| *until),
        };
        View {
            left: state.held.as_ref().map(|held| self.left(held, now)),
            needs_refresh: standing == Standing::Mandatory,
            last_error: state.last_error.clone(),
            next_attempt_in: until
                .map(|until| until.saturating_sub(now))
                .filter(|wait| !wait.is_zero()),
        }
    }

    /// The value, if one comparison tells that it is fresh. This is what nearly every call of `get`
    /// comes to.
    fn fresh(&self) -> Result<Option<T>, Error> {
        let inside = self.enter()?;
        let now = self.clock.boot();
        drop(inside);
        let state = self.lock();
        let held = state.held.as_ref().filter(|held| now < held.fresh_until);
        Ok(held.filter(|_| !state.spent && state.flight.is_none()).map(|held| held.value.clone()))
    }

    fn obtain(
        &self,
        want: Want,
        within: Duration,
        load: impl Fn(&Task<S>) -> Result<Loaded<T>, Error>,
    ) -> Result<T, Error> {
        // Loads are timed on the boot clock. Waiting for another thread is timed on the system's,
        // for that is the clock that the condition variable knows.
        let give_up = Instant::now().checked_add(within);
        let mut start = None;
        let mut tried_advisory = false;
        loop {
            let (state, now) = self.observe()?;
            let (deadline, flights) =
                *start.get_or_insert_with(|| (now.saturating_add(within), state.flights));
            let budget = Budget { deadline, attempts: self.limits.attempts, recover: true };
            if want == Want::Usable {
                let standing = self.standing(&state, now);
                if let (Some(held), true) = (&state.held, standing != Standing::Mandatory) {
                    let paused = state.pause_until.is_some_and(|until| now < until);
                    let taken = tried_advisory || state.flight.is_some() || now >= deadline;
                    if standing == Standing::Fresh || paused || taken {
                        return Ok(held.value.clone());
                    }
                    tried_advisory = true;
                    let budget = Budget {
                        deadline: deadline.min(now.saturating_add(self.limits.attempt_timeout)),
                        attempts: 1,
                        recover: false,
                    };
                    match self.lead(state, now, budget, &load) {
                        Ok(value) => return Ok(value),
                        Err(error) => {
                            let what = self.limits.what;
                            log::warn!("could not renew {what} ahead of time: {error:#}");
                            continue;
                        }
                    }
                }
            }
            let newer = |held: &&Held<T>| held.flight > flights && !held.revived;
            let newer = state.held.as_ref().filter(newer).filter(|_| !state.spent);
            if let (Want::New, Some(held)) = (want, newer) {
                return Ok(held.value.clone());
            }
            let Some(flight) = state.flight.clone() else {
                match &state.cooldown {
                    Some((until, error)) if want == Want::Usable && now < *until => {
                        return Err(error.clone());
                    }
                    _ if now >= deadline => return Err(self.too_late()),
                    _ => {}
                }
                return self.lead(state, now, budget, &load);
            };
            let joined = flight.epoch == state.epoch;
            // A failure is everybody's, but not that of an advisory attempt, nor of one that has
            // less than half of the time that this caller has.
            let theirs = flight.budget.deadline.saturating_sub(now);
            let fair = flight.budget.recover && theirs >= deadline.saturating_sub(now) / 2;
            match self.wait(state, &flight, give_up)? {
                Outcome::Done(Ok(value)) if joined => return Ok(value),
                Outcome::Revived(value) if joined && want == Want::Usable => return Ok(value),
                Outcome::Done(Err(error)) if joined && fair => return Err(error),
                _ => {}
            }
        }
    }

    /// Loads on this thread, while others wait or are served what there is.
    fn lead(
        &self,
        mut state: MutexGuard<'_, State<T, S>>,
        now: Duration,
        budget: Budget,
        load: impl Fn(&Task<S>) -> Result<Loaded<T>, Error>,
    ) -> Result<T, Error> {
        state.flights += 1;
        let flight = Arc::new(Flight {
            number: state.flights,
            process: process::id(),
            leader: sync::current().id(),
            epoch: state.epoch,
            budget,
            outcome: OnceLock::new(),
        });
        state.flight = Some(Arc::clone(&flight));
        if std::mem::take(&mut state.called_off) {
            state.revive_after = Some(now);
        }
        let held = state.held.as_ref().map(|held| held.lease.start());
        let task = Task {
            settings: state.settings.clone(),
            epoch: state.epoch,
            budget,
            revive_after: held.max(state.revive_after),
        };
        drop(state);

        let landing = Landing { cell: self, flight };
        let result = load(&task);
        let now = self.clock.boot();
        let result = match result {
            // The device was suspended while they were on their way.
            Ok(loaded) if loaded.lease.left(now).is_zero() => {
                Err(Error::timeout(&format!("{} had ended on arrival", self.limits.what)))
            }
            result => result,
        };
        landing.land(&result, now);
        result.map(|loaded| loaded.value)
    }

    fn wait(
        &self,
        mut state: MutexGuard<'_, State<T, S>>,
        flight: &Flight<T>,
        give_up: Option<Instant>,
    ) -> Result<Outcome<T>, Error> {
        loop {
            if let Some(outcome) = flight.outcome.get() {
                return Ok(outcome.clone());
            }
            state = match give_up {
                None => self.landed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(give_up) => {
                    let left = give_up.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(self.too_late());
                    }
                    let woken = self.landed.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn standing(&self, state: &State<T, S>, now: Duration) -> Standing {
        let Some(held) = state.held.as_ref().filter(|_| !state.spent) else {
            return Standing::Mandatory;
        };
        let left = self.left(held, now);
        if left.is_zero() || left < self.limits.windows.expiry {
            Standing::Mandatory
        } else if left < held.advisory_window || held.wall.is_some_and(|look| look.left.is_zero()) {
            Standing::Advisory
        } else {
            Standing::Fresh
        }
    }

    /// What is left of a value's life. The wall clock has a say only where the boot clock misses
    /// the time spent suspended.
    fn left(&self, held: &Held<T>, now: Duration) -> Duration {
        let left = held.lease.left(now);
        match held.wall {
            Some(look) if self.wall_decides => {
                left.min(look.left.saturating_sub(now.saturating_sub(look.at)))
            }
            _ => left,
        }
    }

    /// The state, at a boot time at which the wall clock has been looked at recently enough.
    fn look(&self) -> (MutexGuard<'_, State<T, S>>, Duration) {
        let now = self.clock.boot();
        let mut state = self.lock();
        let Some(held) = &mut state.held else { return (state, now) };
        // Where the wall clock alone notices a suspend, it must be looked at each time.
        let due = self.wall_decides
            || held.wall.is_none_or(|look| now.saturating_sub(look.at) >= WALL_INTERVAL);
        if !due {
            return (state, now);
        }
        // Said at once, so that no other thread looks too.
        let left = held.wall.map_or(Duration::MAX, |look| look.left);
        held.wall = Some(WallLook { at: now, left });
        drop(state);
        let wall = self.clock.wall();
        let mut state = self.lock();
        if let Some(held) = &mut state.held {
            let left = held.lease.left_by_wall(wall);
            held.wall = Some(WallLook { at: now, left });
            if !self.wall_decides && !left.is_zero() {
                let window = held.advisory_window.max(self.limits.windows.expiry);
                let next_look = now.saturating_add(WALL_INTERVAL);
                held.fresh_until = held.lease.boot_end.saturating_sub(window).min(next_look);
            }
        }
        (state, now)
    }

    /// Like [`look`](Self::look), for callers that may load: refused inside a load's own code.
    fn observe(&self) -> Result<(MutexGuard<'_, State<T, S>>, Duration), Error> {
        let inside = self.enter()?;
        let (mut state, now) = self.look();
        drop(inside);
        match &state.flight {
            // This process was forked during the load. The leader is a thread of the parent.
            Some(flight) if flight.process != process::id() => {
                state.flight = None;
                Ok((state, now))
            }
            Some(flight) if flight.leader == sync::current().id() => Err(Error::reentrant()),
            _ => Ok((state, now)),
        }
    }

    fn enter(&self) -> Result<Inside, Error> {
        Inside::enter(std::ptr::from_ref(self).addr()).ok_or_else(Error::reentrant)
    }

    fn too_late(&self) -> Error {
        Error::timeout(&format!("{} {TOO_LATE}", self.limits.what))
    }

    fn lock(&self) -> MutexGuard<'_, State<T, S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Held<T> {
    /// What an advisory pause is a portion of. A window of zero has an advisory row too, when the
    /// wall clock says "over".
    fn pause_window(&self, limits: &Limits) -> Duration {
        if self.advisory_window.is_zero() {
            let by_lifetime = Windows { advisory: None, ..limits.windows };
            return by_lifetime.advisory_for(self.lease.lifetime);
        }
        self.advisory_window
    }
}

const TOO_LATE: &str = "did not come in time";

impl<T, S> State<T, S> {
    /// Forgets failures, so that the next caller tries at once. The error that kept callers away is
    /// returned, to be dropped outside the lock.
    #[must_use]
    fn end_backoff(&mut self) -> Option<(Duration, Error)> {
        self.pause_until = None;
        self.throttled = 0;
        self.cooldown.take()
    }
}

/// Sees to it that a flight lands, also when the load panics.
struct Landing<'a, T: Clone, S: Clone> {
    cell: &'a Cell<T, S>,
    flight: Arc<Flight<T>>,
}

impl<T: Clone, S: Clone> Landing<'_, T, S> {
    fn land(self, result: &Result<Loaded<T>, Error>, now: Duration) {
        let (thirds, fifths) = (random::f64(), random::f64());
        let limits = &self.cell.limits;
        let mut state = self.cell.lock();
        let mut replaced = (None, None);
        if state.epoch == self.flight.epoch {
            match result {
                Ok(Loaded { value, lease, revived }) => {
                    state.held = Some(Held {
                        value: value.clone(),
                        lease: *lease,
                        flight: self.flight.number,
                        revived: *revived,
                        advisory_window: limits.windows.advisory_for(lease.lifetime),
                        wall: None,
                        fresh_until: Duration::ZERO,
                    });
                    state.spent = false;
                    replaced = (state.last_error.take(), state.end_backoff());
                }
                Err(error) => {
                    replaced.0 = state.last_error.replace(error.clone());
                    let asked = error.cooldown_asked().unwrap_or_default();
                    if !self.flight.budget.recover {
                        let window = state.held.as_ref().map(|held| held.pause_window(limits));
                        let pause = retry::advisory_pause(window.unwrap_or_default(), thirds);
                        state.pause_until = Some(now.saturating_add(pause.max(asked)));
                    } else if error.was_answered() {
                        let throttled = error.kind() == ErrorKind::Throttled;
                        state.throttled =
                            if throttled { state.throttled.saturating_add(1) } else { 0 };
                        let pause = retry::cooldown(limits.cooldown, state.throttled, fifths);
                        let until = now.saturating_add(pause.max(asked));
                        replaced.1 = state.cooldown.replace((until, error.clone()));
                    }
                }
            }
        }
        let outcome = match result {
            Ok(loaded) if loaded.revived => Outcome::Revived(loaded.value.clone()),
            Ok(loaded) => Outcome::Done(Ok(loaded.value.clone())),
            Err(error) => Outcome::Done(Err(error.clone())),
        };
        self.settle(&mut state, outcome);
        drop(state);
        drop(replaced);
    }

    fn settle(&self, state: &mut State<T, S>, outcome: Outcome<T>) {
        if self.flight.outcome.set(outcome).is_ok() {
            state.flight = None;
            self.cell.landed.notify_all();
        }
    }
}

impl<T: Clone, S: Clone> Drop for Landing<'_, T, S> {
    fn drop(&mut self) {
        let mut state = self.cell.lock();
        self.settle(&mut state, Outcome::Abandoned);
    }
}

/// Marks a cell's clock as being read, so that a clock that asks for credentials is told so instead
/// of going round in circles.
struct Inside {
    before: usize,
}

impl Inside {
    fn enter(cell: usize) -> Option<Self> {
        let before = INSIDE.with(|inside| inside.replace(cell));
        (before != cell).then_some(Self { before })
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.with(|inside| inside.set(self.before));
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    const HOUR: Duration = Duration::from_secs(3600);

    fn cell() -> Cell<usize, ()> {
        let limits = Limits {
            what: "the value",
            windows: Windows { expiry: Duration::ZERO, advisory: None },
            timeout: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(10),
            attempts: 4,
            cooldown: Duration::ZERO,
        };
        Cell::new(Arc::new(SystemClock), limits, ())
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is what a load returns")]
    fn loaded(value: usize) -> Result<Loaded<usize>, Error> {
        let lease = Lease::new(SystemClock.boot(), SystemClock.wall(), HOUR);
        Ok(Loaded { value, lease, revived: false })
    }

    impl Cell<usize, ()> {
        /// Blocks a load until so many threads wait for it. Each waiter holds the flight, and so do
        /// the cell and the leader.
        fn await_waiters(&self, waiters: usize) {
            let limit = Instant::now() + Duration::from_secs(20);
            loop {
                assert!(Instant::now() < limit, "the others do not come to wait");
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
            assert!(Instant::now() < limit, "what the test waits for does not come");
            thread::yield_now();
        }
    }

    /// 16 threads ask at once; the load that leads is held up until the 15 others wait for it.
    fn crowd(
        cell: &Cell<usize, ()>,
        want: Want,
        load: impl Fn(usize) -> Result<Loaded<usize>, Error> + Sync,
    ) -> (Vec<thread::Result<Result<usize, Error>>>, usize) {
        let loads = AtomicUsize::new(0);
        let run = |_: &Task<()>| {
            let number = loads.fetch_add(1, Ordering::SeqCst);
            if number == 0 {
                cell.await_waiters(15);
            }
            load(number)
        };
        let results = thread::scope(|scope| {
            let ask = || {
                catch_unwind(AssertUnwindSafe(|| match want {
                    Want::Usable => cell.get(Duration::MAX, run),
                    Want::New => cell.refresh(run),
                }))
            };
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        (results, loads.into_inner())
    }

    #[test]
    fn waiters_share_a_value() {
        for want in [Want::Usable, Want::New] {
            let (results, loads) = crowd(&cell(), want, loaded);
            assert_eq!(loads, 1);
            assert!(results.into_iter().all(|result| result.unwrap().unwrap() == 0));
        }
    }

    /// A revived value is everybody's who asks for a usable one. Who wants a new one loads.
    #[test]
    fn a_revived_value_is_shared_but_never_a_new_one() {
        for want in [Want::Usable, Want::New] {
            let cell = cell();
            let results = thread::scope(|scope| {
                let reviving = scope.spawn(|| {
                    cell.get(Duration::MAX, |_| {
                        cell.await_waiters(1);
                        loaded(0).map(|loaded| Loaded { revived: true, ..loaded })
                    })
                });
                await_that(|| cell.lock().flight.is_some());
                let value = match want {
                    Want::Usable => cell.get(Duration::MAX, |_| loaded(1)),
                    Want::New => cell.refresh(|_| loaded(1)),
                };
                [reviving.join().unwrap().unwrap(), value.unwrap()]
            });
            assert_eq!(results, [0, usize::from(want == Want::New)]);
            assert_eq!(cell.cached(), Some(results[1]));
        }
    }

    /// A leader panics, and one who waits takes over. Whoever that is, who wants a new value gets one.
    #[test]
    fn a_revived_value_of_a_later_load_is_not_a_new_one_either() {
        for _ in 0..50 {
            let cell = cell();
            let loads = AtomicUsize::new(0);
            let load = |new: bool| {
                if loads.fetch_add(1, Ordering::SeqCst) == 0 {
                    cell.await_waiters(7);
                    resume_unwind(Box::new("the first load has a fault"));
                }
                loaded(usize::from(new)).map(|loaded| Loaded { revived: !new, ..loaded })
            };
            thread::scope(|scope| {
                for number in 0..8 {
                    let (load, cell) = (&load, &cell);
                    scope.spawn(move || {
                        let ask = || match number % 4 {
                            0 => cell.refresh(|_| load(true)).map(|value| value == 1),
                            _ => cell.get(Duration::MAX, |_| load(false)).map(|_| true),
                        };
                        let outcome = catch_unwind(AssertUnwindSafe(ask));
                        assert!(outcome.is_err() || outcome.unwrap().unwrap(), "a kept value");
                    });
                }
            });
        }
    }

    /// One that is held, or was there when `expire` was called, must not come back.
    #[test]
    fn a_load_is_told_what_may_be_revived() {
        let cell = cell();
        let after = Mutex::new(Vec::new());
        let load = |task: &Task<()>| {
            after.lock().unwrap().push(task.revive_after);
            loaded(0)
        };
        let before = SystemClock.boot();
        cell.refresh(load).unwrap();
        cell.refresh(load).unwrap();
        cell.invalidate(|_| true);
        cell.get(Duration::MAX, load).unwrap();
        let expired = SystemClock.boot();
        cell.expire();
        cell.get(Duration::MAX, |task| {
            after.lock().unwrap().push(task.revive_after);
            Err(Error::timeout("the network"))
        })
        .unwrap_err();
        let failed = SystemClock.boot();
        cell.get(Duration::MAX, load).unwrap();
        let after = after.into_inner().unwrap();
        assert_eq!(after[0], None, "anything may");
        assert!(after[1] > Some(before) && after[2] > after[1], "what is newer than the held one");
        assert!(after[3] > Some(expired), "{after:?}");
        assert_eq!(after[4], after[3], "a failure changes nothing");
        assert!(after[4] < Some(failed));
    }

    /// The failure is one that is not remembered, so only sharing keeps the others from loading.
    #[test]
    fn waiters_share_a_failure() {
        for want in [Want::Usable, Want::New] {
            let (results, loads) = crowd(&cell(), want, |_| Err(Error::timeout("the network")));
            assert_eq!(loads, 1);
            for result in results {
                assert_eq!(result.unwrap().unwrap_err().message(), "the network");
            }
        }
    }

    #[test]
    fn when_the_leader_panics_one_waiter_takes_over() {
        for want in [Want::Usable, Want::New] {
            let (results, loads) = crowd(&cell(), want, |number| {
                assert!(number > 0, "the first load has a fault");
                loaded(number)
            });
            let values: Vec<_> = results.into_iter().filter_map(Result::ok).collect();
            assert_eq!(values.len(), 15, "the panic reaches its leader alone");
            assert!(values.into_iter().all(|value| value.is_ok()));
            assert_eq!(loads, 2);
        }
    }

    /// Who begins to wait after a change does not take the answer of the load from before it.
    #[test]
    fn a_caller_after_a_change_leads_a_load_of_its_own() {
        let cell = cell();
        let epochs = Mutex::new(Vec::new());
        thread::scope(|scope| {
            let first = scope.spawn(|| {
                cell.get(Duration::MAX, |task| {
                    cell.change(|()| (true, ()));
                    cell.await_waiters(1);
                    epochs.lock().unwrap().push(task.epoch.settings);
                    loaded(1)
                })
            });
            await_that(|| cell.lock().epoch.settings == 1);
            let second = cell.get(Duration::MAX, |task| {
                epochs.lock().unwrap().push(task.epoch.settings);
                loaded(2)
            });
            assert_eq!((first.join().unwrap().unwrap(), second.unwrap()), (1, 2));
        });
        assert_eq!(epochs.into_inner().unwrap(), [0, 1]);
        assert_eq!(cell.cached(), Some(2));
        let first = Epoch { settings: 0, expired: 0 };
        assert_eq!(cell.amend(first, |()| ()), None, "and what it learns is dropped");
    }

    #[test]
    fn who_joined_a_failing_advisory_attempt_leads_a_full_load() {
        let mut cell = cell();
        cell.limits.windows.advisory = Some(HOUR * 2);
        cell.get(Duration::MAX, |_| loaded(0)).unwrap();
        let budgets = Mutex::new(Vec::new());
        let (advisory, joined) = thread::scope(|scope| {
            let advisory = scope.spawn(|| {
                cell.get(Duration::MAX, |task| {
                    budgets.lock().unwrap().push((task.budget.attempts, task.budget.recover));
                    cell.await_waiters(1);
                    Err(Error::timeout("the network"))
                })
            });
            await_that(|| cell.lock().flight.is_some());
            let joined = cell.refresh(|task| {
                budgets.lock().unwrap().push((task.budget.attempts, task.budget.recover));
                loaded(2)
            });
            (advisory.join().unwrap(), joined)
        });
        assert!(matches!(advisory, Ok(0 | 2)), "the old value, or the new one if it was quicker");
        assert_eq!(joined.unwrap(), 2);
        assert_eq!(budgets.into_inner().unwrap(), [(1, false), (4, true)]);
    }

    /// A failure for want of time is not forced on those who have more of it.
    #[test]
    fn a_caller_in_a_hurry_fails_alone() {
        let cell = cell();
        let (hasty, patient) = thread::scope(|scope| {
            let hasty = scope.spawn(|| {
                cell.get(Duration::from_secs(2), |_| {
                    cell.await_waiters(1);
                    Err(Error::timeout("too hasty"))
                })
            });
            await_that(|| cell.lock().flight.is_some());
            let patient = cell.get(Duration::MAX, |_| loaded(1));
            (hasty.join().unwrap(), patient)
        });
        assert_eq!(hasty.unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(patient.unwrap(), 1);
    }

    #[test]
    fn callers_in_the_same_hurry_share_a_failure() {
        let cell = cell();
        let loads = AtomicUsize::new(0);
        thread::scope(|scope| {
            let ask = || {
                let error = cell.get(Duration::from_secs(8), |_| {
                    loads.fetch_add(1, Ordering::SeqCst);
                    cell.await_waiters(15);
                    Err(Error::timeout("the network"))
                });
                assert_eq!(error.unwrap_err().message(), "the network");
            };
            (0..16).for_each(|_| drop(scope.spawn(ask)));
        });
        assert_eq!(loads.into_inner(), 1);
    }

    #[test]
    fn what_ended_on_its_way_is_not_served() {
        let cell = cell();
        let dead = || {
            let lease = Lease::new(Duration::ZERO, SystemClock.wall(), Duration::from_nanos(1));
            Ok(Loaded { value: 1, lease, revived: false })
        };
        assert_eq!(cell.get(Duration::MAX, |_| dead()).unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(cell.refresh(|_| dead()).unwrap_err().kind(), ErrorKind::Timeout);
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
        assert_eq!(cell.get(Duration::MAX, |_| loaded(1)).unwrap(), 1);
    }
}
