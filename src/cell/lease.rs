//! How long a value is valid, on two clocks.

use std::time::{Duration, SystemTime};

/// A lifetime. It begins just before the value was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) lifetime: Duration,
    pub(crate) boot_end: Duration,
    /// `None` if the time is too late for the wall clock.
    pub(crate) wall_end: Option<SystemTime>,
}

impl Lease {
    pub(crate) fn new(boot: Duration, wall: SystemTime, lifetime: Duration) -> Self {
        Self {
            lifetime,
            boot_end: boot.saturating_add(lifetime),
            wall_end: wall.checked_add(lifetime),
        }
    }

    /// Returns the boot time just before the value was requested.
    pub(crate) fn start(&self) -> Duration {
        self.boot_end.saturating_sub(self.lifetime)
    }

    pub(crate) fn left(&self, boot: Duration) -> Duration {
        self.boot_end.saturating_sub(boot)
    }

    pub(crate) fn left_by_wall(&self, wall: SystemTime) -> Duration {
        self.wall_end.map_or(Duration::MAX, |end| end.duration_since(wall).unwrap_or_default())
    }
}

/// How long before its end a value must be refreshed, and may be refreshed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    /// If less time than this is left, `get` does not return the value any more.
    pub(crate) expiry: Duration,
    /// If less time than this is left, one caller tries to refresh the value. `None`: it depends on
    /// the lifetime.
    pub(crate) advisory: Option<Duration>,
}

/// The window that a value is in. The table in [`crate::cell`] has a row for each.
#[derive(Clone, Copy)]
pub(crate) enum Freshness<V> {
    Fresh(V),
    /// Inside the advisory window, or expired only by the wall clock.
    Advisory(V),
    /// Inside the expiry window, or expired. The value is not used.
    Mandatory,
}

impl Windows {
    pub(crate) fn freshness<V>(
        &self,
        value: V,
        left: Duration,
        lifetime: Duration,
        wall_says_expired: bool,
    ) -> Freshness<V> {
        if left.is_zero() || left < self.expiry {
            Freshness::Mandatory
        } else if left < self.advisory_for(lifetime) || wall_says_expired {
            Freshness::Advisory(value)
        } else {
            Freshness::Fresh(value)
        }
    }

    /// Returns the advisory window for a lifetime. The setter `advisory_window` documents it.
    pub(crate) fn advisory_for(&self, lifetime: Duration) -> Duration {
        const MINUTE: Duration = Duration::from_secs(60);
        self.advisory.unwrap_or_else(|| {
            let window = if lifetime <= 20 * MINUTE {
                5 * MINUTE
            } else if lifetime < 90 * MINUTE {
                15 * MINUTE
            } else {
                60 * MINUTE
            };
            window.min(lifetime / 2)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_window_depends_on_the_lifetime() {
        let default = Windows { expiry: Duration::ZERO, advisory: None };
        let rows = [
            (1, 500),
            (90, 45_000),
            (10 * 60, 300_000),
            (20 * 60, 300_000),
            (20 * 60 + 1, 600_500),
            (30 * 60, 900_000),
            (60 * 60, 900_000),
            (90 * 60 - 1, 900_000),
            (90 * 60, 2_700_000),
            (6 * 3600, 3_600_000),
            (12 * 3600, 3_600_000),
        ];
        for (lifetime, window) in rows {
            let lifetime = Duration::from_secs(lifetime);
            assert_eq!(default.advisory_for(lifetime).as_millis(), window, "{lifetime:?}");
        }
        let by_hand = Windows { advisory: Some(Duration::from_secs(80)), ..default };
        assert_eq!(by_hand.advisory_for(Duration::from_secs(90)), Duration::from_secs(80));
    }

    #[test]
    fn a_lease_at_the_edges_of_time_neither_panics_nor_ends_early() {
        let late = SystemTime::UNIX_EPOCH + Duration::from_secs(i64::MAX as u64);
        let lease = Lease::new(Duration::MAX, late, Duration::from_secs(60));
        assert_eq!(lease.left(Duration::ZERO), Duration::MAX);
        assert_eq!(lease.left_by_wall(SystemTime::UNIX_EPOCH), Duration::MAX);
    }
}
