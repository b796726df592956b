//! The command `exec --serve`: runs a program and an endpoint from which the program's AWS SDK gets
//! credentials.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, getpgrp, kill_process};
use rustix::termios::tcgetpgrp;
use signal_hook::consts::{SIGCHLD, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};

use crate::commands::{credentials, exec};
use crate::messages::failure::{Failure, REFUSED};
use crate::options::arguments::Options;
use crate::serve::{self, Endpoint};
use crate::signals::{self, Signals};

/// These variables are removed, because the SDKs prefer them to the endpoint.
const PREFERRED: [&str; 7] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    // With these, the SDKs look for a web identity token.
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
];

/// How often to check whether the program has ended, if its signal is blocked.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) fn run(options: &Options, program: &[OsString]) -> Result<(), Failure> {
    let provider = serve::settings(options)?.build()?;
    // With settings that give no credentials, the program must not start.
    credentials::get(&provider, options)?;
    let signals = Signals::catch(&[SIGCHLD, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH])
        .map_err(|error| lost(&error))?;
    let mut endpoint =
        Endpoint::start(provider, options, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let mut command = exec::command(options, program);
    for name in PREFERRED {
        command.env_remove(name);
    }
    command
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint.uri())
        .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", endpoint.token());
    let mut child = command.spawn().map_err(|error| exec::cannot_run(program, &error))?;
    let status =
        endpoint
            .run(&signals, signals::is_blocked(SIGCHLD).then_some(CHECK_INTERVAL), |signal| {
                match signal {
                    None => child
                        .try_wait()
                        .transpose()
                        .map_or(ControlFlow::Continue(()), ControlFlow::Break),
                    Some(SIGCHLD) => ControlFlow::Continue(()),
                    Some(signal) => {
                        forward(signal, &child);
                        ControlFlow::Continue(())
                    }
                }
            })?
            .map_err(|error| lost(&error))?;
    // If a signal ended this process now, the processes of a `cmd:` would stay.
    drop(endpoint);
    end_as(status)
}

/// Sends a signal to the program. If the program has it already, does nothing: a terminal sends its
/// signals to all processes in the foreground.
fn forward(signal: i32, child: &Child) {
    let from_terminal = [SIGINT, SIGQUIT, SIGWINCH].contains(&signal) && is_in_foreground();
    let (Some(id), Some(signal)) =
        (i32::try_from(child.id()).ok().and_then(Pid::from_raw), Signal::from_named_raw(signal))
    else {
        return;
    };
    if !from_terminal {
        // An error means that the program has ended. SIGCHLD reports that next.
        let _ = kill_process(id, signal);
    }
}

/// Returns `true` if this process and the program own the terminal. Both are in one process group.
fn is_in_foreground() -> bool {
    File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(terminal) == Ok(getpgrp()))
}

fn end_as(status: ExitStatus) -> Result<(), Failure> {
    if let Some(signal) = status.signal() {
        signals::end_by(signal);
    }
    match status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(0) => Ok(()),
        code => Err(Failure::already_printed(code.unwrap_or(REFUSED))),
    }
}

fn lost(error: &io::Error) -> Failure {
    Failure::new(REFUSED, format!("exec --serve: the program cannot be watched: {error}"))
}
