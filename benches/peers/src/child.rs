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
    pub said: String,
    pub complaint: String,
}

/// Runs a process to its end. Kills it after `limit`, and then returns `None`. The file
/// `complaints` receives its stderr, which can have any length.
pub fn run(command: &mut Command, complaints: &Path, limit: Duration) -> Fallible<Option<Ended>> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(complaints)?);
    let start = Instant::now();
    let mut process = command.spawn()?;
    let output = process.stdout.take().ok_or("a process without output")?;
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(hear(output, start)));
    let left = || limit.saturating_sub(start.elapsed());
    let heard = told.recv_timeout(limit);
    let ended = heard.as_ref().map_or(Ok(None), |_| end(&mut process, left));
    if !matches!(ended, Ok(Some(_))) {
        process.kill()?;
        process.wait()?;
    }
    let (Ok(heard), Some(status)) = (heard, ended?) else { return Ok(None) };
    let (wall, said) = heard?;
    let complaint = String::from_utf8_lossy(&fs::read(complaints)?).into_owned();
    Ok(Some(Ended { status, wall, said, complaint }))
}

/// Only the first line is part of the measured time. Reads at most 64 KiB.
fn hear(output: ChildStdout, start: Instant) -> io::Result<(f64, String)> {
    let mut output = BufReader::new(output.take(64 * 1024));
    let mut said = String::new();
    output.read_line(&mut said)?;
    let wall = start.elapsed().as_secs_f64() * 1e3;
    output.read_to_string(&mut said)?;
    Ok((wall, said))
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
