//! Keeps a time of the service in a file. The real time is later, so certificates are not checked
//! at an earlier time. With this, a device whose clock starts in 1970 reaches Cognito.

use std::io;
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::Storage;
use cognito_identity_credentials::transport::UreqTransport;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Twenty years. A later time must be damaged, and would make every certificate look expired.
const MAX_DEVICE_AGE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

/// Returns the release date of the library, or the kept time if that is later.
pub fn latest(storage: &impl Storage) -> SystemTime {
    let released = UreqTransport::release_time();
    let kept = storage.load("time").ok().flatten().and_then(|text| String::from_utf8(text).ok());
    let kept = kept.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let kept = kept.and_then(|kept| SystemTime::UNIX_EPOCH.checked_add(kept));
    kept.filter(|kept| (released..released + MAX_DEVICE_AGE).contains(kept)).unwrap_or(released)
}

/// Keeps the time of the service. It writes at most once a day, because flash wears out.
pub fn keep(storage: &impl Storage, time: SystemTime) -> io::Result<()> {
    if time < latest(storage) + DAY {
        return Ok(());
    }
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    storage.store("time", seconds.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use cognito_identity_credentials::MemoryStorage;

    use super::*;

    #[test]
    fn the_time_is_kept_once_a_day_and_a_damaged_one_is_replaced() {
        let storage = MemoryStorage::new();
        let released = UreqTransport::release_time();
        let kept = |time: SystemTime| {
            keep(&storage, time).unwrap();
            latest(&storage)
        };
        assert_eq!(kept(SystemTime::UNIX_EPOCH), released);
        assert_eq!(kept(released + DAY / 2), released);
        assert_eq!(storage.load("time").unwrap(), None);
        assert_eq!(kept(released + DAY), released + DAY);
        assert_eq!(kept(released + DAY + DAY / 2), released + DAY, "not twice a day");
        assert_eq!(kept(released + DAY * 9), released + DAY * 9);
        assert_eq!(kept(released), released + DAY * 9, "never backwards");

        let beyond =
            (released + MAX_DEVICE_AGE).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        for damaged in ["", "0", "-1", "17954x", &beyond.to_string(), &u64::MAX.to_string()] {
            storage.store("time", damaged.as_bytes()).unwrap();
            assert_eq!(latest(&storage), released, "{damaged}");
            assert_eq!(kept(released + DAY), released + DAY);
        }
    }
}
