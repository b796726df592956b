//! The latest time that is surely past, kept in a file. Certificates are not checked at an earlier
//! time, so a device whose clock starts in 1970 reaches the service.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::transport::UreqTransport;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Twenty years. A later time is a damaged file, and would make every certificate an expired one.
const LONGEST_SERVICE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

/// Returns the release date of the library, or the kept time if that is later.
pub fn latest(state: &Path) -> SystemTime {
    let released = UreqTransport::release_time();
    let kept = fs::read_to_string(state.join("time")).ok();
    let kept = kept.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let kept = kept.and_then(|kept| SystemTime::UNIX_EPOCH.checked_add(kept));
    kept.filter(|kept| (released..released + LONGEST_SERVICE).contains(kept)).unwrap_or(released)
}

/// Keeps the time of the service. It writes at most once a day, because flash wears out.
pub fn keep(state: &Path, time: SystemTime) -> io::Result<()> {
    if time < latest(state) + DAY {
        return Ok(());
    }
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let new = state.join("time.new");
    let mut file = File::create(&new)?;
    file.write_all(seconds.to_string().as_bytes())?;
    // Without this, a loss of power may leave an empty file under the new name.
    file.sync_all()?;
    fs::rename(new, state.join("time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_kept_once_a_day_and_a_damaged_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let file = folder.join("time");
        let released = UreqTransport::release_time();
        let kept = |time: SystemTime| {
            keep(folder, time).unwrap();
            latest(folder)
        };
        assert_eq!(kept(SystemTime::UNIX_EPOCH), released);
        assert_eq!(kept(released + DAY / 2), released);
        assert!(!file.exists());
        assert_eq!(kept(released + DAY), released + DAY);
        assert_eq!(kept(released + DAY + DAY / 2), released + DAY, "not twice a day");
        assert_eq!(kept(released + DAY * 9), released + DAY * 9);
        assert_eq!(kept(released), released + DAY * 9, "never backwards");

        let beyond =
            (released + LONGEST_SERVICE).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        for damaged in ["", "0", "-1", "17954x", &beyond.to_string(), &u64::MAX.to_string()] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(latest(folder), released, "{damaged}");
            assert_eq!(kept(released + DAY), released + DAY);
        }
    }
}
