//! A forked child, and a connection between it and its parent.

#![allow(unsafe_code, reason = "fork, _exit and alarm have no safe form")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// The time limit of a child.
const SECONDS: u32 = 60;

/// One end of a connection between a child and its parent.
pub(crate) struct Line(BufReader<UnixStream>);

impl Line {
    pub(crate) fn tell(&mut self, text: &str) {
        writeln!(self.0.get_mut(), "{text}").unwrap();
    }

    /// Waits for the next line from the other side.
    pub(crate) fn hear(&mut self) -> String {
        let mut text = String::new();
        self.0.read_line(&mut text).unwrap();
        text.strip_suffix('\n').expect("the other process ended").to_owned()
    }
}

/// The parent's side of a child.
pub(crate) struct Child {
    pid: Pid,
    pub(crate) line: Line,
}

impl Child {
    /// Runs `run` in a child. The child ends when `run` returns.
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
            // SAFETY: it ends this process. The destructors that it skips are those of the parent.
            unsafe { libc::_exit(i32::from(!passed)) }
        }
        Self { pid: Pid::from_raw(pid).unwrap(), line: Line(BufReader::new(parents)) }
    }

    /// Waits for the end of the child. Returns whether it succeeded.
    pub(crate) fn wait(self) -> bool {
        let ended = waitpid(Some(self.pid), WaitOptions::empty()).unwrap();
        ended.and_then(|(_, status)| status.exit_status()) == Some(0)
    }

    /// Waits for the next line from the child, and kills the child.
    pub(crate) fn kill_after_a_line(mut self) {
        self.line.hear();
        kill_process(self.pid, Signal::KILL).unwrap();
        let (_, status) = waitpid(Some(self.pid), WaitOptions::empty()).unwrap().unwrap();
        assert!(status.signaled(), "the child ended before: {status:?}");
    }

    /// Waits for the end of the child. Panics if it failed.
    pub(crate) fn join(self) {
        assert!(self.wait(), "a child failed");
    }
}

/// Lets a signal end this process after this time.
pub(crate) fn end_after(seconds: u32) {
    // SAFETY: it only sets a timer of this process.
    unsafe { libc::alarm(seconds) };
}
