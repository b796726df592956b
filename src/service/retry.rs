//! The retry policy as pure functions: how long to wait after a failure.

use std::time::{Duration, SystemTime};

use crate::error::Retry;
use crate::transport::HttpResponse;

const BASE: Duration = Duration::from_millis(100);
const THROTTLED_BASE: Duration = Duration::from_secs(1);
const MAX_DELAY: Duration = Duration::from_secs(20);
const DOUBLINGS: u32 = 4;
/// The longest advisory window that [`advisory_pause`] counts with.
const MAX_PAUSED_WINDOW: Duration = Duration::from_secs(15 * 60);
/// The longest wait that the service can ask for.
const MAX_WAIT: Duration = Duration::from_secs(5 * 60);

/// Returns how long to wait after attempt number `attempt` (from 1), or `None` to stop.
///
/// Full jitter: `roll`, from 0 up to 1, picks a point between zero and the exponential bound. If
/// the service asks for a longer wait, returns that wait.
pub(crate) fn delay(
    retry: Retry,
    attempt: u32,
    attempts: u32,
    retry_after: Option<Duration>,
    roll: f64,
) -> Option<Duration> {
    if attempt >= attempts {
        return None;
    }
    let base = match retry {
        Retry::Never => return None,
        Retry::AtOnce if attempt == 1 => return Some(Duration::ZERO),
        Retry::AtOnce | Retry::AfterFailure => BASE,
        Retry::AfterThrottling => THROTTLED_BASE,
    };
    let bound = base.saturating_mul(1 << (attempt - 1).min(16)).min(MAX_DELAY);
    Some(portion(bound, roll).max(server_wait(retry_after, roll)))
}

/// Returns the cooldown after a refresh that the service answered with an error: a random 1/5 to 1
/// of `limit`. If the service asks for a longer wait, returns that wait.
///
/// `throttled` counts the throttled refreshes in a row. Each one after the first doubles the
/// cooldown, up to 16 times `limit`. Otherwise, a fleet that exceeds the quota would use it up with
/// failed calls.
pub(crate) fn cooldown(
    limit: Duration,
    throttled: u32,
    asked: Option<Duration>,
    roll: f64,
) -> Duration {
    let bound = limit.saturating_mul(1 << throttled.saturating_sub(1).min(DOUBLINGS));
    portion(bound, (1.0 + 4.0 * roll) / 5.0).max(server_wait(asked, roll))
}

/// Returns the pause after a failed advisory refresh: a random 1/3 to 2/3 of the advisory window,
/// or of 15 minutes if the window is longer. If the service asks for a longer wait, returns that
/// wait.
pub(crate) fn advisory_pause(window: Duration, asked: Option<Duration>, roll: f64) -> Duration {
    let pause = portion(window.min(MAX_PAUSED_WINDOW), (1.0 + roll) / 3.0);
    pause.max(server_wait(asked, roll))
}

/// Returns the wait that the service asks for. A wait above 5 minutes becomes a random 2.5 to 5
/// minutes: one wrong header must not stop a device for long, and the devices of a fleet must not
/// retry in the same second.
fn server_wait(asked: Option<Duration>, roll: f64) -> Duration {
    let asked = asked.unwrap_or_default();
    if asked > MAX_WAIT { portion(MAX_WAIT, f64::midpoint(1.0, roll)) } else { asked }
}

/// Returns how long to wait for a date that is `wait` ahead. A wait below 5 minutes becomes a
/// random 1 to 2 times as long, at most 5 minutes. The whole fleet gets the same date, and its
/// devices must not retry in the same second.
pub(crate) fn spread_until(wait: Duration, roll: f64) -> Duration {
    wait + portion(wait.min(MAX_WAIT.saturating_sub(wait)), roll)
}

/// Returns the `share`, from 0 to 1, of a duration. If the float arithmetic overflows, returns the
/// whole duration.
pub(crate) fn portion(duration: Duration, share: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * share).unwrap_or(duration)
}

/// Returns how long the service asks callers to wait: `x-amz-retry-after` in milliseconds, or
/// `Retry-After` in seconds or as a date (RFC 9110, 10.2.3). The longest value is used. A malformed
/// value is ignored. A date is ignored if the answer has no `Date`, because the local clock may be
/// wrong. The wait until a date is [spread](spread_until) by `roll`.
pub(crate) fn retry_after(
    response: &HttpResponse,
    date: Option<SystemTime>,
    roll: fn() -> f64,
) -> Option<Duration> {
    let amz = response.header_values("x-amz-retry-after").filter_map(digits).max();
    let amz = amz.map(Duration::from_millis);
    let plain = response.header_values("retry-after").filter_map(|value| {
        digits(value).map(Duration::from_secs).or_else(|| {
            let wait = httpdate::parse_http_date(value).ok()?.duration_since(date?).ok()?;
            Some(spread_until(wait, roll()))
        })
    });
    amz.max(plain.max())
}

fn digits(value: &str) -> Option<u64> {
    let value = value.trim();
    value.bytes().all(|b| b.is_ascii_digit()).then(|| value.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "every use is an option")]
    fn ms(ms: u64) -> Option<Duration> {
        Some(Duration::from_millis(ms))
    }

    #[test]
    fn the_delay_depends_on_the_failure_the_attempt_and_the_service() {
        use Retry::{AfterFailure, AfterThrottling, AtOnce, Never};
        struct Row {
            retry: Retry,
            attempt: u32,
            attempts: u32,
            asked: Option<Duration>,
            roll: f64,
            delay: Option<Duration>,
        }
        let row =
            |retry, delay| Row { retry, attempt: 1, attempts: 4, asked: None, roll: 1.0, delay };
        let rows = [
            row(Never, None),
            Row { asked: ms(5), ..row(Never, None) },
            row(AfterFailure, ms(100)),
            Row { attempt: 2, ..row(AfterFailure, ms(200)) },
            Row { attempt: 3, ..row(AfterFailure, ms(400)) },
            Row { attempt: 3, roll: 0.5, ..row(AfterFailure, ms(200)) },
            Row { attempt: 3, roll: 0.0, ..row(AfterFailure, ms(0)) },
            Row { attempt: 4, ..row(AfterFailure, None) },
            Row { attempts: 1, ..row(AfterFailure, None) },
            Row { attempt: 8, attempts: 20, ..row(AfterFailure, ms(12_800)) },
            Row { attempt: 9, attempts: 20, ..row(AfterFailure, ms(20_000)) },
            Row { attempt: u32::MAX - 1, attempts: u32::MAX, ..row(AfterFailure, ms(20_000)) },
            row(AfterThrottling, ms(1_000)),
            Row { attempt: 3, ..row(AfterThrottling, ms(4_000)) },
            Row { attempt: 9, attempts: 20, ..row(AfterThrottling, ms(20_000)) },
            Row { asked: ms(300), roll: 0.1, ..row(AfterThrottling, ms(300)) },
            Row { asked: ms(300), roll: 0.5, ..row(AfterThrottling, ms(500)) },
            Row { asked: ms(7_000), roll: 0.5, ..row(AfterThrottling, ms(7_000)) },
            Row { attempt: 3, asked: ms(7_000), roll: 0.0, ..row(AfterFailure, ms(7_000)) },
            Row { asked: ms(u64::MAX), roll: 0.0, ..row(AfterFailure, ms(150_000)) },
            Row { attempt: 4, asked: ms(7_000), roll: 0.0, ..row(AfterFailure, None) },
            row(AtOnce, ms(0)),
            Row { attempt: 2, ..row(AtOnce, ms(200)) },
            Row { attempts: 1, ..row(AtOnce, None) },
        ];
        for Row { retry, attempt, attempts, asked, roll, delay: expected } in rows {
            let actual = delay(retry, attempt, attempts, asked, roll);
            assert_eq!(actual, expected, "{retry:?} {attempt}/{attempts} {asked:?} {roll}");
        }
    }

    #[test]
    fn the_cooldown_depends_on_the_throttled_refreshes_and_the_service() {
        struct Row {
            limit: Duration,
            throttled: u32,
            asked: Option<Duration>,
            roll: f64,
            millis: u128,
        }
        let limit = Duration::from_secs(5);
        let row = |millis| Row { limit, throttled: 0, asked: None, roll: 1.0, millis };
        let rows = [
            Row { roll: 0.0, ..row(1_000) },
            Row { roll: 0.5, ..row(3_000) },
            row(5_000),
            Row { throttled: 1, roll: 0.0, ..row(1_000) },
            Row { throttled: 1, ..row(5_000) },
            Row { throttled: 2, roll: 0.0, ..row(2_000) },
            Row { throttled: 2, ..row(10_000) },
            Row { throttled: 3, ..row(20_000) },
            Row { throttled: 4, ..row(40_000) },
            Row { throttled: 5, roll: 0.0, ..row(16_000) },
            Row { throttled: 5, ..row(80_000) },
            Row { throttled: 6, ..row(80_000) },
            Row { throttled: u32::MAX, ..row(80_000) },
            Row { throttled: 1, asked: ms(120_000), roll: 0.0, ..row(120_000) },
            Row { asked: ms(120_000), roll: 0.5, ..row(120_000) },
            Row { throttled: 5, asked: ms(7_000), ..row(80_000) },
            Row { throttled: 1, asked: ms(u64::MAX), roll: 0.0, ..row(150_000) },
            Row { limit: limit * 720, throttled: 1, asked: ms(u64::MAX), ..row(3_600_000) },
            Row {
                limit: Duration::ZERO,
                throttled: 1,
                asked: ms(120_000),
                roll: 0.0,
                ..row(120_000)
            },
            Row { limit: Duration::ZERO, throttled: 9, ..row(0) },
            Row { limit: Duration::MAX, throttled: 9, ..row(Duration::MAX.as_millis()) },
        ];
        for Row { limit, throttled, asked, roll, millis } in rows {
            let actual = cooldown(limit, throttled, asked, roll).as_millis();
            assert_eq!(actual, millis, "{limit:?} {throttled} {asked:?} {roll}");
        }
    }

    #[test]
    fn an_advisory_pause_is_one_to_two_thirds_of_the_window_or_of_15_minutes() {
        /// All times are in seconds.
        struct Row {
            window: u64,
            asked: Option<u64>,
            roll: f64,
            pause: u64,
        }
        let row = |window, pause| Row { window, asked: None, roll: 1.0, pause };
        let rows = [
            Row { roll: 0.0, ..row(30, 10) },
            row(30, 20),
            Row { roll: 0.0, ..row(900, 300) },
            Row { roll: 0.5, ..row(900, 450) },
            row(900, 600),
            Row { roll: 0.0, ..row(3_600, 300) },
            row(3_600, 600),
            row(u64::MAX, 600),
            row(0, 0),
            Row { asked: Some(120), roll: 0.0, ..row(30, 120) },
            Row { asked: Some(120), ..row(30, 120) },
            Row { asked: Some(120), roll: 0.0, ..row(900, 300) },
            Row { asked: Some(u64::MAX), roll: 0.0, ..row(3_600, 300) },
            Row { asked: Some(u64::MAX), ..row(30, 300) },
        ];
        for Row { window, asked, roll, pause } in rows {
            let asked = asked.map(Duration::from_secs);
            let actual = advisory_pause(Duration::from_secs(window), asked, roll);
            assert_eq!(actual, Duration::from_secs(pause), "{window} {asked:?} {roll}");
        }
    }

    #[test]
    fn the_wait_that_the_service_asks_for_is_at_most_5_minutes() {
        let rows = [
            // asked, shortest, longest, all in milliseconds
            (0, 0, 0),
            (1, 1, 1),
            (60_000, 60_000, 60_000),
            (300_000, 300_000, 300_000),
            (300_001, 150_000, 300_000),
            (31_536_000_000, 150_000, 300_000),
            (u64::MAX, 150_000, 300_000),
        ];
        for (asked, shortest, longest) in rows {
            let wait = |roll| Some(server_wait(ms(asked), roll));
            assert_eq!([wait(0.0), wait(1.0)], [ms(shortest), ms(longest)], "{asked} ms");
        }
        assert_eq!(server_wait(Some(Duration::MAX), 0.0), MAX_WAIT / 2);
        assert_eq!(server_wait(None, 1.0), Duration::ZERO);
    }

    #[test]
    fn the_wait_until_a_date_is_random() {
        let rows = [
            // wait, shortest, longest, all in milliseconds
            (0, 0, 0),
            (1_000, 1_000, 2_000),
            (150_000, 150_000, 300_000),
            (200_000, 200_000, 300_000),
            (300_000, 300_000, 300_000),
            (31_536_000_000, 31_536_000_000, 31_536_000_000),
        ];
        for (wait, shortest, longest) in rows {
            let spread = |roll| Some(spread_until(Duration::from_millis(wait), roll));
            assert_eq!([spread(0.0), spread(1.0)], [ms(shortest), ms(longest)], "{wait} ms");
        }
        assert_eq!(spread_until(Duration::MAX, 1.0), Duration::MAX);
    }

    #[test]
    fn a_share_of_any_duration_is_computed_without_overflow() {
        assert_eq!(portion(Duration::MAX, 1.0), Duration::MAX);
        assert_eq!(portion(Duration::from_secs(10), 0.25), Duration::from_millis(2_500));
        assert_eq!(portion(Duration::ZERO, 1.0), Duration::ZERO);
    }

    #[test]
    fn the_wait_that_the_service_asks_for_is_read_in_every_form() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let rows = [
            ("retry-after", "120", ms(120_000)),
            ("Retry-After", " 2 ", ms(2_000)),
            ("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT", ms(15_000)),
            ("retry-after", "Sun, 06 Nov 1994 08:49:27 GMT", None),
            ("retry-after", "-1", None),
            ("retry-after", "+1", None),
            ("retry-after", "1.5", None),
            ("retry-after", "", None),
            ("retry-after", "99999999999999999999999", None),
            ("retry-after", "soon", None),
            ("x-amz-retry-after", "1500", ms(1_500)),
            ("x-amz-retry-after", "x", None),
        ];
        for (name, value, expected) in rows {
            let response = HttpResponse::new(503, "").with_header(name, value);
            assert_eq!(retry_after(&response, Some(now), || 0.5), expected, "{name}: {value}");
        }
        let dated =
            HttpResponse::new(503, "").with_header("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT");
        assert_eq!(retry_after(&dated, None, || 0.5), None);
        let both = HttpResponse::new(503, "")
            .with_header("retry-after", "1")
            .with_header("x-amz-retry-after", "2500");
        assert_eq!(retry_after(&both, Some(now), || 0.5), ms(2_500));
        let twice = both.with_header("Retry-After", "200").with_header("retry-after", "7");
        assert_eq!(retry_after(&twice, Some(now), || 0.5), ms(200_000));
    }
}
