//! What the sensor says, kept in memory until it is uploaded.

use std::collections::VecDeque;
use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use jiff::Timestamp;

/// At one reading per minute, this is a day without a network.
const MOST: usize = 1440;

pub struct Readings {
    sensor: PathBuf,
    kept: VecDeque<Reading>,
    lost: u64,
}

struct Reading {
    /// Not the time of the wall clock, which may be wrong until the service is reached.
    taken: Instant,
    value: String,
}

impl Readings {
    pub fn new(sensor: &Path) -> Self {
        Self { sensor: sensor.to_owned(), kept: VecDeque::new(), lost: 0 }
    }

    /// Reads the sensor. If too many readings wait for their upload, the oldest one is lost.
    pub fn take(&mut self) {
        match first_line(&self.sensor) {
            Ok(value) => self.keep(Reading { taken: Instant::now(), value }),
            Err(error) => log::warn!("cannot read {}: {error}", self.sensor.display()),
        }
    }

    fn keep(&mut self, reading: Reading) {
        if self.kept.len() == MOST {
            self.kept.pop_front();
            self.lost += 1;
        }
        self.kept.push_back(reading);
    }

    /// Returns the readings as lines of time and value. `now` is the right time.
    pub fn as_csv(&self, now: SystemTime) -> String {
        let mut lines = String::new();
        for Reading { taken, value } in &self.kept {
            let time = now.checked_sub(taken.elapsed()).unwrap_or(SystemTime::UNIX_EPOCH);
            let time = Timestamp::try_from(time).unwrap_or_default();
            let _ = writeln!(lines, "{time:.0},{value}");
        }
        lines
    }

    pub fn clear(&mut self) {
        self.kept.clear();
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
    File::open(path)?.take(64).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[test]
    fn readings_are_lines_and_the_oldest_are_lost() {
        let folder = tempfile::tempdir().unwrap();
        let sensor = folder.path().join("sensor");
        let mut readings = Readings::new(&sensor);
        readings.take();
        assert!(readings.is_empty(), "there is no sensor");

        fs::write(&sensor, "20500\n").unwrap();
        readings.take();
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(86_400_900);
        assert_eq!(readings.as_csv(now), "1970-01-02T00:00:00Z,20500\n");

        for number in 0..MOST {
            readings.keep(Reading { taken: Instant::now(), value: number.to_string() });
        }
        assert_eq!((readings.len(), readings.lost()), (MOST, 1));
        readings.clear();
        assert!(readings.is_empty());
    }
}
