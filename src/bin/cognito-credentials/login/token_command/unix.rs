//! A command in a new process group, whose processes are ended together.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ChildStdout, Command, ExitStatus};
use std::time::{Duration, Instant};

use cognito_identity_credentials::BoxError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::Pid;
use signal_hook::consts::SIGCHLD;
use signal_hook::low_level::signal_name;
use zeroize::Zeroizing;

use super::fault::{CANNOT_RUN, MAX_OUTPUT, TOO_LONG, is_late};
use super::process_group::{ProcessGroup, Shell};
use super::running::{self, Running};
use crate::login::token_text::token_in;
use crate::messages::os_error::SystemFault;
use crate::signals::Signals;

/// How long the processes of a command have between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_millis(500);
/// How often to look for stopped processes, if there is a terminal that they may want to use.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How often to check whether the shell has ended and whether this process ends. The signal SIGCHLD
/// is not enough, because the parent process may have blocked it.
const TICK: Duration = Duration::from_millis(100);

const MUST_END: &str = "the command was ended, because cognito-credentials ends";
const WANTS_TERMINAL: &str = "the command wants to use the terminal, but a cmd: cannot ask questions; sign in first, and let the command print a token that it has, or give the token in a file (@FILE)";

pub(super) fn output(mut shell: Command, limit: Duration) -> Result<Zeroizing<Vec<u8>>, BoxError> {
    let begun = Instant::now();
    let _running = Running::begin().ok_or(MUST_END)?;
    // Caught before the start, so that no signal leaves the command running.
    let signals = Signals::catch(&[SIGCHLD])
        .map_err(SystemFault::new("signals cannot be caught for the command"))?;
    let mut child = shell.process_group(0).spawn().map_err(SystemFault::new(CANNOT_RUN))?;
    let group = ProcessGroup(Pid::from_child(&child));
    let outcome = match child.stdout.take() {
        Some(stdout) => wait(&group, stdout, &signals, begun, limit),
        None => Err(Interruption::Other("the command has no output".into())),
    };
    outcome.or_else(|why| match why {
        Interruption::Failed(status) => {
            // If memory is short, the system may have killed only the shell.
            if status.signal().is_some() {
                group.end(GRACE);
            }
            Err(format!("the command failed with {status}").into())
        }
        Interruption::Enough(text) => {
            // The rest of the time is for the service calls.
            group.end(GRACE.min(limit / 8));
            Ok(text)
        }
        Interruption::Signal(signal) => {
            group.end(GRACE);
            signals.pass_on(signal);
            let name = signal_name(signal).unwrap_or("a signal");
            Err(format!("the command was ended by {name}").into())
        }
        Interruption::Other(error) => {
            group.end(GRACE);
            Err(error)
        }
    })
}

/// Why the wait ended before the shell succeeded. All cases but `Failed` end the command.
enum Interruption {
    Failed(ExitStatus),
    /// The token is complete, but the shell still runs.
    Enough(Zeroizing<Vec<u8>>),
    Signal(i32),
    Other(BoxError),
}

impl<E: Into<BoxError>> From<E> for Interruption {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

fn wait(
    group: &ProcessGroup,
    stdout: ChildStdout,
    signals: &Signals,
    begun: Instant,
    limit: Duration,
) -> Result<Zeroizing<Vec<u8>>, Interruption> {
    let mut output = Output::new(stdout)?;
    let has_terminal = File::open("/dev/tty").is_ok();
    let mut last_look = begun;
    loop {
        let shell = group.shell()?;
        // Read after the check: the pipe now holds all that an ended shell has printed.
        output.read()?;
        match shell {
            Shell::Ended(Some(status)) if !status.success() => {
                return Err(Interruption::Failed(status));
            }
            Shell::Ended(_) => return Ok(output.text),
            Shell::WantsTerminal => return Err(WANTS_TERMINAL.into()),
            Shell::Runs => {}
        }
        if running::must_end() {
            return Err(MUST_END.into());
        }
        if has_terminal && last_look.elapsed() >= CHECK_INTERVAL {
            if group.has_stopped_process() {
                return Err(WANTS_TERMINAL.into());
            }
            last_look = Instant::now();
        }
        while let Some(signal) = signals.received() {
            if signal != SIGCHLD {
                return Err(Interruption::Signal(signal));
            }
        }
        let enough = limit.saturating_sub(limit / 4);
        let is_enough = output.has_token();
        let left = if is_enough { enough } else { limit }.saturating_sub(begun.elapsed());
        if left.is_zero() && is_enough {
            return Err(Interruption::Enough(output.text));
        }
        if left.is_zero() {
            return Err(is_late(limit).into());
        }
        let mut ready = vec![PollFd::new(signals, PollFlags::IN)];
        if let Some(stdout) = &output.stdout {
            ready.push(PollFd::new(stdout, PollFlags::IN));
        }
        let pause = Timespec::try_from(left.min(TICK)).ok();
        match poll(&mut ready, pause.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
}

struct Output {
    /// `None` at the end of the output.
    stdout: Option<ChildStdout>,
    text: Zeroizing<Vec<u8>>,
}

impl Output {
    fn new(stdout: ChildStdout) -> io::Result<Self> {
        ioctl_fionbio(&stdout, true)?;
        // It never grows, so that no copy of the secret is left in memory.
        Ok(Self { stdout: Some(stdout), text: Zeroizing::new(Vec::with_capacity(2 * MAX_OUTPUT)) })
    }

    fn read(&mut self) -> Result<(), BoxError> {
        let mut part = Zeroizing::new([0; 4096]);
        while let Some(stdout) = &mut self.stdout {
            match stdout.read(&mut *part) {
                Ok(0) => self.stdout = None,
                Ok(length) => self.text.extend_from_slice(part.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
            if self.text.len() > MAX_OUTPUT {
                return Err(TOO_LONG.into());
            }
        }
        Ok(())
    }

    fn has_token(&self) -> bool {
        let is_complete = self.stdout.is_none() || self.text.ends_with(b"\n");
        is_complete && token_in(&self.text).is_ok()
    }
}
