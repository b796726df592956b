//! A child that `fork` makes, and what it and its parent tell each other.

#![allow(unsafe_code, reason = "fork, _exit and alarm have no safe form")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// The longest that a child lives.
const SECONDS: u32 = 60;

/// One end of a connection between a child and its parent.
pub(crate) struct Line(BufReader<UnixStream>);

impl Line {
    pub(crate) fn tell(&mut self, text: &str) {
        writeln!(self.0.get_mut(), "{text}").unwrap();
    }

    /// Waits for the next line that the other side tells.
    pub(crate) fn hear(&mut self) -> String {
        let mut text = String::new();
        self.0.read_line(&mut text).unwrap();
        text.strip_suffix('\n').expect("the other process has ended").to_owned()
    }
}

/// The parent's side of a child.
pub(crate) struct Child {
    pid: Pid,
    pub(crate) line: Line,
}

impl Child {
    /// Runs `run` in a child, which ends when `run` does.
    pub(crate) fn fork(run: impl FnOnce(&mut Line)) -> Self {
        let (parents, childs) = UnixStream::pair().unwrap();
        // SAFETY: the tests fork while no other thread holds a lock that the child needs.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
        if pid == 0 {
            drop(parents);
            end_after(SECONDS);
            let mut line = Line(BufReader::new(childs));
            let passed = catch_unwind(AssertUnwindSafe(|| run(&mut line))).is_ok();
            // SAFETY: it ends this process, and what it leaves undone belongs to the parent.
            unsafe { libc::_exit(i32::from(!passed)) }
        }
        Self { pid: Pid::from_raw(pid).unwrap(), line: Line(BufReader::new(parents)) }
    }

    /// Waits for the end of the child, and says whether it was a good one.
    pub(crate) fn wait(self) -> bool {
        let ended = waitpid(Some(self.pid), WaitOptions::empty()).unwrap();
        ended.and_then(|(_, status)| status.exit_status()) == Some(0)
    }

    /// Kills the child after the next line that it tells.
    pub(crate) fn kill_when_it_has_told(mut self) {
        self.line.hear();
        kill_process(self.pid, Signal::KILL).unwrap();
        let (_, status) = waitpid(Some(self.pid), WaitOptions::empty()).unwrap().unwrap();
        assert!(status.signaled(), "the child has ended before: {status:?}");
    }

    /// Waits for the end of the child, which must be a good one.
    pub(crate) fn join(self) {
        assert!(self.wait(), "a child has failed");
    }
}

/// Ends this process by a signal if it takes longer.
pub(crate) fn end_after(seconds: u32) {
    // SAFETY: it sets a timer of this process, and no signal is handled here.
    unsafe { libc::alarm(seconds) };
}
