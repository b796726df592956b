//! [`Signals`]: catches the signals that end the command, so that it can first end other processes
//! and remove files. SIGXFSZ never ends it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::low_level::{emulate_default_handler, pipe, unregister};
use signal_hook::{SigId, flag};

const ENDING: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Catches SIGINT, SIGTERM and SIGHUP until it is dropped. A signal then does not end the process,
/// but makes this readable. Several can exist, and each receives every signal. After the last one
/// is dropped, a signal has its default action again.
///
/// A signal that the parent process ignores, as `nohup` does, stays ignored, except SIGCHLD.
pub(crate) struct Signals {
    caught: Vec<Caught>,
    wake: UnixStream,
    /// Whether `received` has returned one of the three signals.
    has_returned: Cell<bool>,
}

struct Caught {
    signal: i32,
    arrived: Arc<AtomicBool>,
    actions: Vec<SigId>,
}

/// How many `Signals` catch a signal. If none does, `by_default` is true, and the handler, which
/// stays installed, does the default action.
#[derive(Default)]
struct Catchers {
    count: usize,
    by_default: Arc<AtomicBool>,
}

static CATCHERS: Mutex<BTreeMap<i32, Catchers>> = Mutex::new(BTreeMap::new());

impl Signals {
    /// Catches the three signals, and those in `more`.
    pub(crate) fn catch(more: &[i32]) -> io::Result<Self> {
        let ignored = ignored();
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let mut signals = Self { caught: Vec::new(), wake, has_returned: Cell::new(false) };
        // Without a handler for SIGCHLD, the exit status of a child is lost if the parent ignores
        // the signal.
        let is_caught = |signal: &&i32| **signal == SIGCHLD || !ignored.contains(**signal);
        for &signal in ENDING.iter().chain(more).filter(is_caught) {
            signals.add(signal, &waker)?;
        }
        Ok(signals)
    }

    fn add(&mut self, signal: i32, waker: &UnixStream) -> io::Result<()> {
        let mut all = catchers();
        let catchers = match all.entry(signal) {
            Entry::Occupied(catchers) => catchers.into_mut(),
            Entry::Vacant(place) => {
                let new = Catchers::default();
                flag::register_conditional_default(signal, Arc::clone(&new.by_default))?;
                place.insert(new)
            }
        };
        catchers.count += 1;
        catchers.by_default.store(false, Ordering::SeqCst);
        drop(all);
        let arrived = Arc::new(AtomicBool::new(false));
        // Added to the list before anything can fail, so that the drop undoes it.
        self.caught.push(Caught { signal, arrived: Arc::clone(&arrived), actions: Vec::new() });
        let Some(caught) = self.caught.last_mut() else { return Ok(()) };
        // In this order, so that the signal is noted before this becomes readable.
        caught.actions.push(flag::register(signal, arrived)?);
        caught.actions.push(pipe::register(signal, waker.try_clone()?)?);
        Ok(())
    }

    /// Returns a signal that has arrived. Does not block.
    pub(crate) fn received(&self) -> Option<i32> {
        let found = self.take_next().or_else(|| {
            let mut bytes = [0; 64];
            while (&self.wake).read(&mut bytes).is_ok_and(|length| length > 0) {}
            // A signal that arrived before the bytes were read does not make this readable again.
            self.take_next()
        });
        if found.is_some_and(|signal| ENDING.contains(&signal)) {
            self.has_returned.set(true);
        }
        found
    }

    fn take_next(&self) -> Option<i32> {
        let arrived = |caught: &&Caught| caught.arrived.swap(false, Ordering::SeqCst);
        self.caught.iter().find(arrived).map(|caught| caught.signal)
    }

    /// Ends the process by a received signal. Does nothing if another `Signals` catches this
    /// signal, because that one decides.
    pub(crate) fn pass_on(self, signal: i32) {
        drop(self);
        if catchers().get(&signal).is_none_or(|catchers| catchers.count == 0) {
            end_by(signal);
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// If this is the last one, a signal that `received` has not returned has its default action.
impl Drop for Signals {
    fn drop(&mut self) {
        for caught in self.caught.drain(..) {
            let mut all = catchers();
            let is_last = all.get_mut(&caught.signal).is_some_and(|catchers| {
                catchers.count -= 1;
                catchers.by_default.store(catchers.count == 0, Ordering::SeqCst);
                catchers.count == 0
            });
            drop(all);
            for action in caught.actions {
                unregister(action);
            }
            let is_unread = caught.arrived.load(Ordering::SeqCst) && !self.has_returned.get();
            if is_last && is_unread {
                let _ = emulate_default_handler(caught.signal);
            }
        }
    }
}

/// Makes a write beyond the limit of file sizes (`ulimit -f`, `LimitFSIZE=`) an error, as on a full
/// disk. By default, SIGXFSZ would end the process. The programs that it starts have the default.
pub(crate) fn survive_file_size_limit() {
    if !ignored().contains(SIGXFSZ) {
        // Without a handler, the signal keeps its default action.
        let _ = flag::register(SIGXFSZ, Arc::default());
    }
}

/// Ends the process by the default action of the signal.
pub(crate) fn end_by(signal: i32) -> ! {
    let _ = emulate_default_handler(signal);
    // Reached only for a signal whose default action is not to end. Shells use this status.
    std::process::exit(128 + signal)
}

fn catchers() -> MutexGuard<'static, BTreeMap<i32, Catchers>> {
    CATCHERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns `true` if the parent process has blocked a signal, so that it never arrives. Works only
/// on Linux.
pub(crate) fn is_blocked(signal: i32) -> bool {
    Mask::read("SigBlk:").is_some_and(|blocked| blocked.contains(signal))
}

/// Returns the signals that this process ignores.
fn ignored() -> Mask {
    // Only Linux shows them. On other systems, SIGHUP counts as ignored, because `nohup` must work.
    Mask::read("SigIgn:").unwrap_or(Mask(1 << (SIGHUP - 1)))
}

/// A set of signals, as bits.
struct Mask(u64);

impl Mask {
    fn read(name: &str) -> Option<Self> {
        Self::of(&fs::read_to_string("/proc/self/status").ok()?, name)
    }

    /// Parses a line of `/proc/self/status`.
    fn of(status: &str, name: &str) -> Option<Self> {
        let mask = status.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(mask.trim(), 16).ok().map(Self)
    }

    fn contains(&self, signal: i32) -> bool {
        (1..=64).contains(&signal) && self.0 >> (signal - 1) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use signal_hook::consts::{SIGUSR1, SIGWINCH};
    use signal_hook::low_level::raise;

    fn is_readable(signals: &Signals) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(signals, PollFlags::IN)], Some(&now)).unwrap() == 1
    }

    #[test]
    fn each_signals_value_receives_every_signal_once() {
        let outer = Signals::catch(&[SIGUSR1, SIGWINCH]).unwrap();
        assert_eq!((outer.received(), is_readable(&outer)), (None, false));
        raise(SIGUSR1).unwrap();
        let inner = Signals::catch(&[SIGUSR1, SIGWINCH]).unwrap();
        assert!(is_readable(&outer) && !is_readable(&inner), "inner was created after the signal");
        raise(SIGUSR1).unwrap();
        raise(SIGWINCH).unwrap();
        for signals in [&outer, &inner] {
            assert!(is_readable(signals));
            assert_eq!(signals.received(), Some(SIGUSR1));
            assert!(is_readable(signals), "another signal has arrived");
            assert_eq!(signals.received(), Some(SIGWINCH));
            assert_eq!((signals.received(), is_readable(signals)), (None, false));
        }
        raise(SIGUSR1).unwrap();
        inner.pass_on(SIGUSR1);
        assert_eq!(
            outer.received(),
            Some(SIGUSR1),
            "inner has not ended the process, because outer catches the signal"
        );
    }

    #[test]
    fn the_line_of_ignored_signals_is_read() {
        let ignored =
            Mask::of("Name:\tx\nSigIgn:\t0000000000011001\nSigCgt:\t0\n", "SigIgn:").unwrap();
        let among = [SIGHUP, SIGINT, SIGTERM, SIGCHLD].map(|signal| ignored.contains(signal));
        assert_eq!(among, [true, false, false, true]);
        assert!(!ignored.contains(0) && !ignored.contains(-1) && !ignored.contains(65));
        for text in ["", "SigIgn:", "SigIgn:\tx"] {
            assert!(Mask::of(text, "SigIgn:").is_none(), "{text}");
        }
    }
}
