//! The wall clock and the boot clock, behind a trait so that tests can replace them.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

/// Provides the wall clock, the boot clock, and the wait between two attempts.
///
/// The library measures the lifetime of credentials with [`boot`](Self::boot). The wall clock of a
/// device may start in 1970 and jump when the network comes up.
///
/// The library holds no lock when it calls these methods. If they call `get()` of the same
/// provider, it returns an error of kind [`Reentrant`](crate::ErrorKind::Reentrant).
///
/// The default is [`SystemClock`]. Tests use `testing::ManualClock`. An `Arc<T>` is a clock too.
///
/// # Example
///
/// A device whose time comes from a GPS receiver:
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use cognito_identity_credentials::{Clock, SystemClock};
/// # fn gps_time() -> Option<SystemTime> { None }
///
/// struct GpsClock;
///
/// impl Clock for GpsClock {
///     fn wall(&self) -> SystemTime {
///         gps_time().unwrap_or_else(|| SystemClock.wall())
///     }
///     fn boot(&self) -> Duration {
///         SystemClock.boot()
///     }
///     fn sleep(&self, duration: Duration) {
///         SystemClock.sleep(duration);
///     }
///     fn boot_counts_suspend(&self) -> bool {
///         SystemClock.boot_counts_suspend()
///     }
///     fn boot_id(&self) -> Option<String> {
///         SystemClock.boot_id()
///     }
/// }
/// # assert!(GpsClock.boot() > Duration::ZERO);
/// ```
pub trait Clock: Send + Sync {
    /// Returns the wall clock. It may be wrong, and it may jump in both directions.
    ///
    /// See the [example](Self#example).
    fn wall(&self) -> SystemTime;

    /// Returns the time since a fixed moment, usually the start of the system.
    ///
    /// Never let it go backwards or follow changes of the wall clock. Count the time that the
    /// system is suspended, or return `false` from
    /// [`boot_counts_suspend`](Self::boot_counts_suspend).
    ///
    /// See the [example](Self#example).
    fn boot(&self) -> Duration;

    /// Blocks the calling thread for `duration`.
    ///
    /// See the [example](Self#example).
    fn sleep(&self, duration: Duration);

    /// Returns `true` if [`boot`](Self::boot) counts the time that the system is suspended. If not,
    /// credentials can also expire by the wall clock. Default: `true`.
    ///
    /// See the [example](Self#example).
    fn boot_counts_suspend(&self) -> bool {
        true
    }

    /// Returns an ID that is different after each start of the system.
    ///
    /// Two processes that read the same ID must read the same time from [`boot`](Self::boot).
    /// [`persist_credentials`](crate::Builder::persist_credentials) needs the ID to tell whether
    /// stored credentials are from the same boot. Default: `None` (unknown). No credentials are
    /// stored then.
    ///
    /// See the [example](Self#example).
    fn boot_id(&self) -> Option<String> {
        None
    }
}

impl<T: Clock + ?Sized> Clock for Arc<T> {
    fn wall(&self) -> SystemTime {
        (**self).wall()
    }

    fn boot(&self) -> Duration {
        (**self).boot()
    }

    fn sleep(&self, duration: Duration) {
        (**self).sleep(duration);
    }

    fn boot_counts_suspend(&self) -> bool {
        (**self).boot_counts_suspend()
    }

    fn boot_id(&self) -> Option<String> {
        (**self).boot_id()
    }
}

/// Reads the clocks of the operating system.
///
/// The wall clock is [`SystemTime::now`]. On Linux and Android the boot clock is `CLOCK_BOOTTIME`.
/// On other systems it is [`Instant`](std::time::Instant), which may stop while the system is
/// suspended.
///
/// On Linux and Android the boot ID is the kernel's boot ID from `/proc`, with the offsets of the
/// time namespace. These offsets shift the boot clock. On other systems, and if `/proc` cannot be
/// read, there is no boot ID.
///
/// ```
/// use std::time::Duration;
/// use cognito_identity_credentials::{Clock, SystemClock};
///
/// assert!(SystemClock.boot() > Duration::ZERO); // the time since the start of the system
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn boot(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        // The kernel never reports a negative time since boot.
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn boot(&self) -> Duration {
        use std::sync::OnceLock;
        use std::time::Instant;

        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }

    fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }

    fn boot_counts_suspend(&self) -> bool {
        cfg!(any(target_os = "linux", target_os = "android"))
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn boot_id(&self) -> Option<String> {
        // System calls instead of `std::fs`, because every program contains this code.
        use rustix::fs::{Mode, OFlags, open};
        use rustix::io::{Errno, read};

        let mut id = [0; 256];
        let mut length = 0;
        for path in [c"/proc/sys/kernel/random/boot_id", c"/proc/self/timens_offsets"] {
            match open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
                Ok(file) => length += read(file, id.get_mut(length..)?).ok()?,
                // The kernel has no time namespaces.
                Err(Errno::NOENT) if length > 0 => {}
                Err(_) => return None,
            }
        }
        Some(std::str::from_utf8(id.get(..length)?).ok()?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_time_never_goes_backwards() {
        let mut last = SystemClock.boot();
        for _ in 0..1_000 {
            let now = SystemClock.boot();
            assert!(now >= last);
            last = now;
        }
        assert!(last > Duration::ZERO);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_boot_id_is_the_kernels_and_the_offsets_of_the_time_namespace() {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let id = Arc::new(SystemClock).boot_id().unwrap();
        let namespace = std::fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        assert_eq!(id, format!("{kernel}{namespace}"));
        assert_eq!(SystemClock.boot_id().unwrap(), id, "the ID must be the same during one boot");
    }
}
