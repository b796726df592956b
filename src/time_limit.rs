//! How a time limit is shown. The command also compiles this file.

use std::time::Duration;

/// Rounds a time limit up, so that 2.99 s, the rest of 3 s, is shown as 3 s.
pub(crate) fn rounded_up(limit: Duration) -> Duration {
    let step = if limit < Duration::from_millis(500) { 1 } else { 100 };
    let millis = limit.as_micros().div_ceil(1000 * step) * step;
    u64::try_from(millis).map_or(limit, Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_rounded_up_to_the_typed_value() {
        let rows = [
            (2_999_985, "3s"),
            (3_000_000, "3s"),
            (1_999_989, "2s"),
            (299_200, "300ms"),
            (1_450_000, "1.5s"),
            (60_000_000, "60s"),
            (0, "0ns"),
        ];
        for (micros, shown) in rows {
            let rounded = rounded_up(Duration::from_micros(micros));
            assert_eq!(format!("{rounded:?}"), shown);
        }
        assert_eq!(rounded_up(Duration::MAX), Duration::MAX);
    }
}
