//! Counts the round trips of one program with a relay, in four steps.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::Fallible;
use crate::relay::{Counts, Relay};

const STEP: Duration = Duration::from_secs(30);
/// The time for what a program still sends after a fetch, for example when it closes the
/// connection.
const AFTERMATH: Duration = Duration::from_millis(50);

pub struct Trips {
    /// The first fetch of a guest.
    pub first: Counts,
    /// A refresh on an open connection.
    pub kept: Counts,
    /// A refresh after the service has closed the connection.
    pub closed: Counts,
    /// A fetch after a restart, with the identity only.
    pub restarted: Counts,
}

/// Runs a program that makes a fetch for each line of its input.
pub fn count(command: &mut Command, stderr_file: &Path, relay: &Relay) -> Fallible<Trips> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(stderr_file)?);
    let mut process = command.spawn()?;
    let counted = all_steps(&mut process, relay);
    process.kill()?;
    process.wait()?;
    relay.hang_up();
    counted.map_err(|error| {
        let stderr = fs::read(stderr_file).unwrap_or_default();
        format!("{error}\n{}", String::from_utf8_lossy(&stderr)).into()
    })
}

fn all_steps(process: &mut Child, relay: &Relay) -> Fallible<Trips> {
    let output = BufReader::new(process.stdout.take().ok_or("a process without output")?);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    let mut keys = Vec::new();
    let mut step = |line: &str| one_step(process, line, &receiver, &mut keys, relay);
    let first = step("fetch")?;
    let kept = step("fetch")?;
    relay.hang_up();
    let closed = step("fetch")?;
    let restarted = step("restart")?;
    Ok(Trips { first, kept, closed, restarted })
}

/// Makes one fetch. Its key must be new.
fn one_step(
    process: &Child,
    line: &str,
    output: &Receiver<String>,
    keys: &mut Vec<String>,
    relay: &Relay,
) -> Fallible<Counts> {
    let before = relay.counts();
    let mut input = process.stdin.as_ref().ok_or("a process without input")?;
    writeln!(input, "{line}")?;
    let key = output.recv_timeout(STEP)?;
    if !key.starts_with("key ASIA") || keys.contains(&key) {
        return Err(format!("fetch {} returned no new key: {key}", keys.len() + 1).into());
    }
    keys.push(key);
    thread::sleep(AFTERMATH);
    Ok(relay.counts() - before)
}
