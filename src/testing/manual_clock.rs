//! Time that moves when the test says so.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::clock::Clock;

/// A [`Clock`] for tests: nothing passes but what [`advance`](Self::advance) and its like say.
///
/// `sleep` returns at once, moves both clocks on by the time it was asked for, and is recorded in
/// [`sleeps`](Self::sleeps). Clones share one time. Threads that wait for another thread's refresh go
/// by the system's clock all the same.
///
/// ```
/// use std::time::Duration;
/// use cognito_identity_credentials::Clock;
/// use cognito_identity_credentials::testing::ManualClock;
///
/// let clock = ManualClock::new();
/// let (wall, boot) = (clock.wall(), clock.boot());
/// clock.advance(Duration::from_secs(3));
/// assert_eq!(clock.wall(), wall + Duration::from_secs(3));
/// clock.set_wall(wall); // somebody set the clock back
/// assert_eq!(clock.boot(), boot + Duration::from_secs(3));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    time: Arc<Mutex<Time>>,
    counts_suspend: bool,
}

#[derive(Debug)]
struct Time {
    wall: SystemTime,
    boot: Duration,
    /// The number of this run of the system, among those of all manual clocks.
    run: u64,
    sleeps: Vec<Duration>,
    wall_reads: usize,
}

/// How many runs there have been.
static RUNS: AtomicU64 = AtomicU64::new(0);

impl ManualClock {
    /// A clock that shows 1 January 2026, 00:00 UTC, a minute after the system's start.
    #[must_use]
    pub fn new() -> Self {
        Self::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600))
    }

    /// A clock that shows `wall`, a minute after the system's start.
    #[must_use]
    pub fn at(wall: SystemTime) -> Self {
        let time = Time {
            wall,
            boot: Duration::from_secs(60),
            run: RUNS.fetch_add(1, Ordering::Relaxed),
            sleeps: Vec::new(),
            wall_reads: 0,
        };
        Self { time: Arc::new(Mutex::new(time)), counts_suspend: true }
    }

    /// The same time on a system whose boot clock stops while it is suspended; see
    /// [`Clock::boot_counts_suspend`].
    #[must_use]
    pub fn stopping_in_suspend(self) -> Self {
        Self { counts_suspend: false, ..self }
    }

    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        self.time().pass(duration);
    }

    /// Lets time pass while the system is suspended: the wall clock moves on, and so does the boot
    /// clock unless it is [`stopping_in_suspend`](Self::stopping_in_suspend).
    pub fn suspend(&self, duration: Duration) {
        let mut time = self.time();
        if self.counts_suspend {
            time.pass(duration);
        } else {
            time.wall += duration;
        }
    }

    /// Sets the wall clock, forwards or back, as NTP or a user does. The boot clock does not move;
    /// so this is also a virtual machine that is resumed from a snapshot.
    pub fn set_wall(&self, wall: SystemTime) {
        self.time().wall = wall;
    }

    /// Starts the system again: it has another boot ID, and its boot clock shows one second. The wall
    /// clock goes on. (A [`FakeCognito`](super::FakeCognito) that goes by this clock is started again
    /// with it; [`set_time`](super::FakeCognito::set_time) puts its own time right.)
    pub fn reboot(&self) {
        let mut time = self.time();
        time.boot = Duration::from_secs(1);
        time.run = RUNS.fetch_add(1, Ordering::Relaxed);
    }

    /// Every `sleep` so far, in order.
    #[must_use]
    pub fn sleeps(&self) -> Vec<Duration> {
        self.time().sleeps.clone()
    }

    /// How often the wall clock was looked at.
    #[must_use]
    pub fn wall_reads(&self) -> usize {
        self.time().wall_reads
    }

    fn time(&self) -> MutexGuard<'_, Time> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Time {
    fn pass(&mut self, duration: Duration) {
        self.wall += duration;
        self.boot += duration;
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> SystemTime {
        let mut time = self.time();
        time.wall_reads += 1;
        time.wall
    }

    fn boot(&self) -> Duration {
        self.time().boot
    }

    fn sleep(&self, duration: Duration) {
        let mut time = self.time();
        time.pass(duration);
        time.sleeps.push(duration);
    }

    fn boot_counts_suspend(&self) -> bool {
        self.counts_suspend
    }

    /// Clones share it, and no other clock has it.
    fn boot_id(&self) -> Option<String> {
        Some(format!("manual {}", self.time().run))
    }
}
