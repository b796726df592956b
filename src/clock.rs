//! The two clocks that a refresh goes by, behind a trait that tests replace.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

/// Where the library gets the time from, and how it waits between two attempts.
///
/// Credentials are timed on [`boot`](Self::boot), because the wall clock of a device may start in
/// 1970 and jump when the network comes up. The methods are called without any lock held. A
/// `get()` from inside them is an error of kind [`Reentrant`](crate::ErrorKind::Reentrant).
///
/// [`SystemClock`] is the default; `testing::ManualClock` is for tests.
pub trait Clock: Send + Sync {
    /// The wall clock. It may be wrong, and it may jump in both directions.
    fn wall(&self) -> SystemTime;

    /// Time since some fixed moment, usually the start of the system. It never goes backwards, no
    /// adjustment of the wall clock moves it, and it counts time spent suspended (see
    /// [`boot_counts_suspend`](Self::boot_counts_suspend)).
    fn boot(&self) -> Duration;

    /// Blocks the calling thread for `duration`.
    fn sleep(&self, duration: Duration);

    /// Whether [`boot`](Self::boot) goes on while the system is suspended. Where it does not, the
    /// wall clock may end credentials too. Defaults to `true`.
    fn boot_counts_suspend(&self) -> bool {
        true
    }

    /// What tells this run of the system from every other one: processes that read the same ID share
    /// [`boot`](Self::boot), to the same moment. Stored credentials are reused by it; see
    /// [`persist_credentials`](crate::Builder::persist_credentials). Defaults to `None`, it cannot be
    /// told, with which none are stored.
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

/// The system's clocks: `CLOCK_REALTIME`, and `CLOCK_BOOTTIME` on Linux and Android. Elsewhere
/// [`Instant`](std::time::Instant) stands in for the latter and is not relied upon across suspend.
///
/// On Linux and Android the boot ID is the kernel's, from `/proc`, together with the offsets of the time
/// namespace where there are such: they shift the boot clock. Elsewhere, and where `/proc` cannot be
/// read, there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn boot(&self) -> Duration {
        boot()
    }

    fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }

    fn boot_counts_suspend(&self) -> bool {
        cfg!(any(target_os = "linux", target_os = "android"))
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn boot_id(&self) -> Option<String> {
        boot_id()
    }
}

/// By system calls alone: this is in every program, though few ask for it.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn boot_id() -> Option<String> {
    use rustix::fs::{Mode, OFlags, open};
    use rustix::io::{Errno, read};

    let mut id = [0; 256];
    let mut length = 0;
    for path in [c"/proc/sys/kernel/random/boot_id", c"/proc/self/timens_offsets"] {
        match open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => length += read(file, id.get_mut(length..)?).ok()?,
            // A kernel without time namespaces.
            Err(Errno::NOENT) if length > 0 => {}
            Err(_) => return None,
        }
    }
    Some(std::str::from_utf8(id.get(..length)?).ok()?.to_owned())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // The kernel never reports a negative time since boot.
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn boot() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;

    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
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
        assert_eq!(SystemClock.boot_id().unwrap(), id, "the same for the same boot");
    }
}
