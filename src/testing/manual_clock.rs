//! [`ManualClock`]: a clock that the test moves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::clock::Clock;

/// Moves only when the test calls [`advance`](Self::advance) or a similar method. It is a [`Clock`]
/// for tests.
///
/// `sleep` returns at once. It moves both clocks forward by the duration and records it in
/// [`sleeps`](Self::sleeps). Clones share one time. A thread that waits for the refresh of another
/// thread waits in real time.
///
/// # Example
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
/// clock.set_wall(wall); // a user sets the clock back
/// assert_eq!(clock.boot(), boot + Duration::from_secs(3));
/// assert_eq!(clock.wall_reads(), 2);
///
/// clock.sleep(Duration::from_secs(1)); // the library waits between two attempts
/// assert_eq!(clock.sleeps(), [Duration::from_secs(1)]);
///
/// let before = clock.boot_id();
/// clock.reboot();
/// assert_ne!(clock.boot_id(), before);
/// assert_eq!(clock.boot(), Duration::from_secs(1));
///
/// let laptop = ManualClock::at(wall).stopping_in_suspend();
/// laptop.suspend(Duration::from_secs(60));
/// assert_eq!((laptop.wall(), laptop.boot()), (wall + Duration::from_secs(60), boot));
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
    /// No two boots of manual clocks have the same number.
    boot_number: u64,
    sleeps: Vec<Duration>,
    wall_reads: usize,
}

static BOOTS: AtomicU64 = AtomicU64::new(0);

impl ManualClock {
    /// Creates a clock at 1 January 2026, 00:00 UTC, one minute after boot.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn new() -> Self {
        Self::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600))
    }

    /// Creates a clock with this wall time, one minute after boot.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn at(wall: SystemTime) -> Self {
        let time = Time {
            wall,
            boot: Duration::from_secs(60),
            boot_number: BOOTS.fetch_add(1, Ordering::Relaxed),
            sleeps: Vec::new(),
            wall_reads: 0,
        };
        Self { time: Arc::new(Mutex::new(time)), counts_suspend: true }
    }

    /// Makes the boot clock stop while the system is suspended; see [`Clock::boot_counts_suspend`].
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn stopping_in_suspend(self) -> Self {
        Self { counts_suspend: false, ..self }
    }

    /// Moves both clocks forward.
    ///
    /// See the [example](Self#example).
    pub fn advance(&self, duration: Duration) {
        self.time().pass(duration);
    }

    /// Suspends the system for a time: moves the wall clock forward, and the boot clock too unless
    /// it is [`stopping_in_suspend`](Self::stopping_in_suspend).
    ///
    /// See the [example](Self#example).
    pub fn suspend(&self, duration: Duration) {
        let mut time = self.time();
        if self.counts_suspend {
            time.pass(duration);
        } else {
            time.wall += duration;
        }
    }

    /// Sets the wall clock, forward or back, as NTP or a user does. The boot clock does not move.
    ///
    /// A virtual machine that is resumed from a snapshot sees the same.
    ///
    /// See the [example](Self#example).
    pub fn set_wall(&self, wall: SystemTime) {
        self.time().wall = wall;
    }

    /// Restarts the system: it gets a new boot ID, and its boot clock shows one second. The wall
    /// clock does not change.
    ///
    /// The time of a [`FakeCognito`](super::FakeCognito) with this clock also goes back. Call
    /// [`set_time`](super::FakeCognito::set_time) to correct it.
    ///
    /// See the [example](Self#example).
    pub fn reboot(&self) {
        let mut time = self.time();
        time.boot = Duration::from_secs(1);
        time.boot_number = BOOTS.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the duration of every `sleep` so far, in order.
    ///
    /// See the [example](Self#example).
    #[must_use]
    pub fn sleeps(&self) -> Vec<Duration> {
        self.time().sleeps.clone()
    }

    /// Returns how often the wall clock was read.
    ///
    /// See the [example](Self#example).
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

    /// Clones have the same ID. Every other clock has a different one.
    fn boot_id(&self) -> Option<String> {
        Some(format!("manual {}", self.time().boot_number))
    }
}
