//! Runs one process and measures it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::Fallible;

pub struct Ended {
    pub status: ExitStatus,
    /// Milliseconds from the start of the process to the end of its first line.
    pub wall: f64,
    pub output: String,
    pub stderr: String,
}

/// Runs a process to its end. Kills it after `limit`, and then returns `None`. The file
/// `stderr_file` receives its stderr, which can have any length.
pub fn run(command: &mut Command, stderr_file: &Path, limit: Duration) -> Fallible<Option<Ended>> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(stderr_file)?);
    let start = Instant::now();
    let mut process = command.spawn()?;
    let output = process.stdout.take().ok_or("a process without output")?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(read(output, start)));
    let left = || limit.saturating_sub(start.elapsed());
    let output = receiver.recv_timeout(limit);
    let ended = output.as_ref().map_or(Ok(None), |_| end(&mut process, left));
    if !matches!(ended, Ok(Some(_))) {
        process.kill()?;
        process.wait()?;
    }
    let (Ok(output), Some(status)) = (output, ended?) else { return Ok(None) };
    let (wall, output) = output?;
    let stderr = String::from_utf8_lossy(&fs::read(stderr_file)?).into_owned();
    Ok(Some(Ended { status, wall, output, stderr }))
}

/// Only the first line is part of the measured time. Reads at most 64 KiB.
fn read(output: ChildStdout, start: Instant) -> io::Result<(f64, String)> {
    let mut output = BufReader::new(output.take(64 * 1024));
    let mut text = String::new();
    output.read_line(&mut text)?;
    let wall = start.elapsed().as_secs_f64() * 1e3;
    output.read_to_string(&mut text)?;
    Ok((wall, text))
}

/// Waits for a process that has closed its output.
fn end(process: &mut Child, left: impl Fn() -> Duration) -> io::Result<Option<ExitStatus>> {
    loop {
        let status = process.try_wait()?;
        if status.is_some() || left().is_zero() {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(1));
    }
}
