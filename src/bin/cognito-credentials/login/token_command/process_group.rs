//! [`ProcessGroup`]: a shell and all processes that it has started.

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpid,
};
use signal_hook::consts::{SIGTTIN, SIGTTOU};

/// Holds the process ID of the shell, which is also the ID of the group.
pub(super) struct ProcessGroup(pub(super) Pid);

pub(super) enum Shell {
    Runs,
    /// The shell has stopped, because only a group in the foreground can use the terminal.
    WantsTerminal,
    /// `None` if SIGCHLD is ignored: then the system drops the exit status.
    Ended(Option<ExitStatus>),
}

impl ProcessGroup {
    pub(super) fn shell(&self) -> io::Result<Shell> {
        loop {
            return match waitpid(Some(self.0), WaitOptions::NOHANG | WaitOptions::UNTRACED) {
                Ok(None) => Ok(Shell::Runs),
                Ok(Some((_, status))) => Ok(match status.stopping_signal() {
                    Some(SIGTTIN | SIGTTOU) => Shell::WantsTerminal,
                    Some(_) => Shell::Runs,
                    None => Shell::Ended(Some(ExitStatus::from_raw(status.as_raw()))),
                }),
                Err(Errno::CHILD) => Ok(Shell::Ended(None)),
                Err(Errno::INTR) => continue,
                Err(error) => Err(error.into()),
            };
        }
    }

    /// Returns `true` if a process other than the shell has stopped. `ssh` and `sudo` stop only
    /// themselves when they want to use the terminal.
    pub(super) fn has_stopped_process(&self) -> bool {
        self.processes()
            .iter()
            .any(|process| process.id != self.0.as_raw_pid() && process.state == "T")
    }

    /// Sends SIGTERM to all processes of the group, and SIGKILL to those that still run after
    /// `grace`.
    pub(super) fn end(&self, grace: Duration) {
        let _ = kill_process_group(self.0, Signal::TERM);
        // A stopped process receives SIGTERM only when it continues.
        let _ = kill_process_group(self.0, Signal::CONT);
        if !self.wait_for_all(grace) {
            let _ = kill_process_group(self.0, Signal::KILL);
            self.wait_for_all(grace);
        }
    }

    /// Returns `true` if all processes have ended within `limit`.
    fn wait_for_all(&self, limit: Duration) -> bool {
        let begun = Instant::now();
        loop {
            // The shell stays in the group until its exit status is read.
            let _ = self.shell();
            if test_kill_process_group(self.0) == Err(Errno::SRCH) {
                return true;
            }
            // In a container, the first process may be slow to reap processes that have ended.
            let processes = self.processes();
            if !processes.is_empty() && processes.iter().all(|process| process.state == "Z") {
                return true;
            }
            if begun.elapsed() >= limit {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Returns the processes of the group, if the system has `/proc`.
    fn processes(&self) -> Vec<Process> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let stats = entries.filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            Process::of(id, &fs::read_to_string(entry.path().join("stat")).ok()?, self.0)
        });
        stats.collect()
    }
}

struct Process {
    id: i32,
    state: String,
}

impl Process {
    /// Parses `/proc/ID/stat`; `None` if the process is not in the group.
    fn of(id: i32, stat: &str, group: Pid) -> Option<Self> {
        // The name before the parenthesis may contain spaces and parentheses.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let (state, _parent, its_group) = (fields.next()?, fields.next()?, fields.next()?);
        let is_member = its_group.parse() == Ok(group.as_raw_pid());
        is_member.then(|| Self { id, state: state.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_shell_whose_status_is_not_known_has_ended() {
        let mut child = Command::new("true").spawn().unwrap();
        let group = ProcessGroup(Pid::from_child(&child));
        child.wait().unwrap();
        assert!(matches!(group.shell().unwrap(), Shell::Ended(None)));
    }

    #[test]
    fn the_state_and_the_group_of_a_process_are_read() {
        let group = Pid::from_raw(70).unwrap();
        let state = |stat| Process::of(71, stat, group).map(|process| process.state);
        assert_eq!(state("71 (a) b (c) T 1 70 5 0").as_deref(), Some("T"));
        for stat in ["71 (a) T 1 7 70", "71 (a) T 1", "71 T 1 70", "", "71 (a) T 1 x"] {
            assert_eq!(state(stat), None, "{stat}");
        }
    }
}
