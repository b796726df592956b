//! A command on systems without process groups. Only its shell is ended, not the other processes.

use std::io::{self, Read};
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use cognito_identity_credentials::BoxError;
use zeroize::Zeroizing;

use super::fault::{CANNOT_RUN, MAX_OUTPUT, TOO_LONG, is_late};
use crate::messages::os_error::SystemFault;

type Output = io::Result<Zeroizing<Vec<u8>>>;

pub(super) fn output(mut shell: Command, limit: Duration) -> Result<Zeroizing<Vec<u8>>, BoxError> {
    let mut child = shell.spawn().map_err(SystemFault::new(CANNOT_RUN))?;
    let outcome = wait(&mut child, limit);
    if outcome.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let (text, status) = outcome?;
    // The exit status says more than an error of the pipe.
    if !status.success() {
        return Err(format!("the command failed with {status}").into());
    }
    Ok(text?)
}

fn wait(child: &mut Child, limit: Duration) -> Result<(Output, ExitStatus), BoxError> {
    let begun = Instant::now();
    let stdout = child.stdout.take().ok_or("the command has no output")?;
    let (sender, receiver) = mpsc::channel();
    // If another process holds the pipe open forever, this thread never ends.
    thread::Builder::new()
        .spawn(move || sender.send(read(stdout)))
        .map_err(SystemFault::new("the command's output cannot be read without a thread"))?;
    let text = receiver.recv_timeout(limit).map_err(|_| is_late(limit))?;
    if text.as_ref().is_ok_and(|text| text.len() > MAX_OUTPUT) {
        return Err(TOO_LONG.into());
    }
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((text, status));
        }
        let left = limit.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(is_late(limit).into());
        }
        thread::sleep(left.min(Duration::from_millis(2)));
    }
}

/// Reads into a buffer that never grows, so that no copy of the secret is left in memory.
fn read(stdout: ChildStdout) -> Output {
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_OUTPUT + 32));
    stdout.take(MAX_OUTPUT as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}
