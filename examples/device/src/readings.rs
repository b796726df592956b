//! What the sensor says, kept in memory until it is uploaded. The directory below `/run` keeps it
//! too, so a restart of the program loses nothing.

use std::collections::VecDeque;
use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::{Clock, FileStorage, Storage, SystemClock};
use jiff::Timestamp;

/// At one reading per minute, this is a day without a network.
const MAX_READINGS: usize = 1440;

/// The longest reading, in bytes. A longer reading is cut.
const MAX_VALUE_LEN: usize = 24;

// A record of `FileStorage` has at most 64 KiB. A line has a time of 12 digits at most, a space and
// a line break.
const _: () = assert!(MAX_READINGS * (MAX_VALUE_LEN + 14) <= 64 * 1024);

pub struct Readings {
    sensor: PathBuf,
    memory: Option<FileStorage>,
    kept: VecDeque<Reading>,
    lost: u64,
}

struct Reading {
    /// On the boot clock: the wall clock may be wrong until the service is reached, and `Instant`
    /// does not count the time that the system is suspended.
    taken: Duration,
    value: String,
}

impl Reading {
    /// Reads a line of `Readings::store`.
    fn parse(line: &str) -> Option<Self> {
        let (seconds, value) = line.split_once(' ')?;
        Some(Self { taken: Duration::from_secs(seconds.parse().ok()?), value: value.to_owned() })
    }
}

impl Readings {
    /// `memory` is a directory below `/run`. The readings in it are loaded.
    pub fn new(sensor: &Path, memory: Option<&Path>) -> Self {
        let memory = memory.map(FileStorage::new);
        let stored = memory.as_ref().and_then(|memory| memory.load("readings").ok().flatten());
        let stored = String::from_utf8(stored.unwrap_or_default()).unwrap_or_default();
        let kept: VecDeque<_> =
            stored.lines().filter_map(Reading::parse).take(MAX_READINGS).collect();
        if !kept.is_empty() {
            log::info!("{} readings wait since before the start", kept.len());
        }
        Self { sensor: sensor.to_owned(), memory, kept, lost: 0 }
    }

    /// Reads the sensor. If too many readings wait for their upload, the oldest one is lost.
    pub fn take(&mut self) {
        match first_line(&self.sensor) {
            Ok(value) => {
                self.keep(Reading { taken: SystemClock.boot(), value });
                self.store();
            }
            Err(error) => log::warn!("cannot read {}: {error}", self.sensor.display()),
        }
    }

    fn keep(&mut self, reading: Reading) {
        if self.kept.len() == MAX_READINGS {
            self.kept.pop_front();
            self.lost += 1;
        }
        self.kept.push_back(reading);
    }

    /// Returns the readings as lines of time and value. `now` is the right time.
    pub fn as_csv(&self, now: SystemTime) -> String {
        let mut lines = String::new();
        for Reading { taken, value } in &self.kept {
            let age = SystemClock.boot().saturating_sub(*taken);
            let time = now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
            let time = Timestamp::try_from(time).unwrap_or_default();
            let _ = writeln!(lines, "{time:.0},{value}");
        }
        lines
    }

    pub fn clear(&mut self) {
        self.kept.clear();
        self.store();
    }

    fn store(&self) {
        let Some(memory) = &self.memory else { return };
        let mut lines = String::new();
        for Reading { taken, value } in &self.kept {
            let _ = writeln!(lines, "{} {value}", taken.as_secs());
        }
        if let Err(error) = memory.store("readings", lines.as_bytes()) {
            log::warn!("a restart would lose the readings that wait: {error}");
        }
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// How many readings were never uploaded because too many were waiting.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

fn first_line(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_VALUE_LEN as u64).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn readings_are_lines_and_the_oldest_are_lost() {
        let folder = tempfile::tempdir().unwrap();
        let sensor = folder.path().join("sensor");
        let memory = folder.path().join("memory");
        let mut readings = Readings::new(&sensor, Some(&memory));
        readings.take();
        assert!(readings.is_empty(), "there is no sensor");

        fs::write(&sensor, "20500\n").unwrap();
        readings.take();
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(86_400_900);
        assert_eq!(readings.as_csv(now), "1970-01-02T00:00:00Z,20500\n");

        for number in 0..MAX_READINGS {
            readings.keep(Reading { taken: SystemClock.boot(), value: number.to_string() });
        }
        assert_eq!((readings.len(), readings.lost()), (MAX_READINGS, 1));
        readings.clear();
        assert!(readings.is_empty());
    }

    #[test]
    fn a_restart_loses_no_reading() {
        let folder = tempfile::tempdir().unwrap();
        let sensor = folder.path().join("sensor");
        fs::write(&sensor, "1".repeat(100)).unwrap();
        let start = || Readings::new(&sensor, Some(folder.path()));
        let mut readings = start();
        for _ in 0..=MAX_READINGS {
            readings.keep(Reading { taken: SystemClock.boot(), value: "1".repeat(MAX_VALUE_LEN) });
        }
        readings.take();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        let mut readings = start();
        assert_eq!(readings.len(), MAX_READINGS);
        assert!(readings.as_csv(now).ends_with(&format!("Z,{}\n", "1".repeat(MAX_VALUE_LEN))));
        readings.clear();
        assert!(start().is_empty());
    }
}
