//! [`WaitNotice`]: a line on standard error about a wait of more than two seconds. It is printed
//! only on a terminal, where a person may be waiting.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::messages::time_limit::rounded_up;

const NOTICE_DELAY: Duration = Duration::from_secs(2);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

static WAIT: Mutex<Option<Wait>> = Mutex::new(None);

#[derive(Clone)]
struct Wait {
    what: String,
    limit: Duration,
    since: Instant,
    is_announced: bool,
}

/// Announces a wait until it is dropped.
pub(crate) struct WaitNotice {
    before: Option<Wait>,
    /// The thread ends when this is dropped.
    _ends: Option<mpsc::Sender<()>>,
}

impl WaitNotice {
    /// Starts a wait for `what`, which takes at most `limit`.
    pub(crate) fn start(what: &str, limit: Duration) -> Self {
        let (what, since) = (what.to_owned(), Instant::now());
        let before = lock().replace(Wait { what, limit, since, is_announced: false });
        Self { before, _ends: watch() }
    }
}

impl Drop for WaitNotice {
    fn drop(&mut self) {
        let before = self.before.take();
        *lock() = before.map(|wait| Wait { since: Instant::now(), ..wait });
    }
}

/// Sets the host in the line about this wait.
pub(crate) fn name_host(host: &str) {
    if let Some(wait) = lock().as_mut().filter(|wait| wait.what != host) {
        host.clone_into(&mut wait.what);
        wait.is_announced = false;
    }
}

/// Starts the thread that prints the line. If the thread cannot start, returns `None`, and there is
/// no line.
fn watch() -> Option<mpsc::Sender<()>> {
    if !io::stderr().is_terminal() {
        return None;
    }
    let (ends, ended) = mpsc::channel::<()>();
    let look = move || {
        while ended.recv_timeout(BETWEEN_LOOKS) == Err(RecvTimeoutError::Timeout) {
            announce();
        }
    };
    thread::Builder::new().name("wait-notice".to_owned()).spawn(look).ok()?;
    Some(ends)
}

fn announce() {
    let mut now = lock();
    let Some(wait) = now.as_mut() else { return };
    if wait.is_announced || wait.since.elapsed() < NOTICE_DELAY {
        return;
    }
    wait.is_announced = true;
    let (what, limit) = (&wait.what, rounded_up(wait.limit));
    let line = format!("cognito-credentials: waiting for {what}, at most {limit:?} (--timeout)\n");
    drop(now);
    // The terminal may be gone, so an error is ignored.
    let _ = io::stderr().write_all(line.as_bytes());
}

fn lock() -> MutexGuard<'static, Option<Wait>> {
    WAIT.lock().unwrap_or_else(PoisonError::into_inner)
}
