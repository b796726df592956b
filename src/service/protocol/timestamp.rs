//! Timestamps in the forms that the services and their emulators use.

use std::time::{Duration, SystemTime};

use super::aws_json;

/// The last second of the year 9999, which has twelve digits. A larger number is an error,
/// because it is not in seconds.
const LAST: u64 = 253_402_300_799;

/// Parses a timestamp in JSON: a number of seconds since 1970 (integer, fraction or exponent form),
/// or an RFC 3339 string.
pub(crate) fn parse_json(json: &str) -> Option<SystemTime> {
    if let Some(text) = aws_json::string(json) {
        return parse_rfc3339(&text);
    }
    let since_1970 = parse_number(json)?;
    (since_1970.as_secs() <= LAST).then(|| SystemTime::UNIX_EPOCH + since_1970)
}

/// Parses a number of seconds digit by digit. A float parser would add 16 KiB to the program and
/// lose nanoseconds.
fn parse_number(json: &str) -> Option<Duration> {
    let (digits, exponent) = match json.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i16>().ok()?),
        None => (json, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() {
        return None;
    }
    let mut power = i64::try_from(whole.len()).ok()? + i64::from(exponent);
    let mut sum = Duration::ZERO;
    for byte in whole.bytes().chain(fraction.bytes()) {
        power -= 1;
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        let one = match power {
            0..=11 => Duration::from_secs(10_u64.pow(u32::try_from(power).ok()?)),
            -9..=-1 => Duration::from_nanos(10_u64.pow(u32::try_from(9 + power).ok()?)),
            _ if power > 0 && digit > 0 => return None,
            _ => Duration::ZERO,
        };
        sum += one * digit;
    }
    Some(sum)
}

/// Parses an RFC 3339 timestamp. `humantime` reads only UTC, so the offset is parsed here.
pub(crate) fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    if let Some(utc) = text.strip_suffix('Z') {
        return parse_utc(utc);
    }
    let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let [sign, h1, h2, b':', m1, m2] = offset.as_bytes() else { return None };
    let number = |tens: &u8, ones: &u8| {
        let digits = [tens, ones].map(|b| b.is_ascii_digit().then(|| u64::from(b - b'0')));
        Some(digits[0]? * 10 + digits[1]?)
    };
    let (hours, minutes) = (number(h1, h2)?, number(m1, m2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let offset = Duration::from_secs(hours * 3600 + minutes * 60);
    let local = parse_utc(local)?;
    match sign {
        b'+' => local.checked_sub(offset),
        b'-' => local.checked_add(offset),
        _ => None,
    }
}

/// Parses a timestamp without its `Z`, because `humantime` would also accept `…:00Z123Z`.
fn parse_utc(local: &str) -> Option<SystemTime> {
    let plain = |b: u8| b.is_ascii_digit() || b"-T:.".contains(&b);
    let text = Some(local).filter(|text| text.bytes().all(plain))?;
    humantime::parse_rfc3339_weak(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Option<Duration> {
        let time = parse_json(json)?;
        Some(time.duration_since(SystemTime::UNIX_EPOCH).unwrap())
    }

    #[test]
    fn every_form_of_a_timestamp_is_read() {
        let rows = [
            ("1659377625", 1_659_377_625_000),
            ("1.659377625E9", 1_659_377_625_000),
            ("1.659377625e9", 1_659_377_625_000),
            ("1659377625.5", 1_659_377_625_500),
            ("1659377625.25000000000000000001", 1_659_377_625_250),
            ("16593776252500E-4", 1_659_377_625_250),
            ("0.0000000016593776252500e+18", 1_659_377_625_250),
            ("000001659377625", 1_659_377_625_000),
            ("0", 0),
            ("0.0", 0),
            ("0e400", 0),
            ("5e-400", 0),
            ("253402300799", 253_402_300_799_000),
            ("\"2022-08-01T18:13:45Z\"", 1_659_377_625_000),
            ("\"2022-08-01T18:13:45.250Z\"", 1_659_377_625_250),
            ("\"2022-08-01T18:13:45+00:00\"", 1_659_377_625_000),
            ("\"2022-08-01T20:13:45+02:00\"", 1_659_377_625_000),
            ("\"2022-08-01T12:43:45-05:30\"", 1_659_377_625_000),
        ];
        for (json, millis) in rows {
            assert_eq!(parse(json), Some(Duration::from_millis(millis)), "{json}");
        }
        assert_eq!(parse("1659377625.1234567899"), Some(Duration::new(1_659_377_625, 123_456_789)));
    }

    #[test]
    fn every_other_form_of_a_timestamp_is_an_error() {
        for json in [
            "1659377625000",
            "1.659377625E12",
            "-1",
            "-1.5",
            "999999999999.999999999999",
            "1e12",
            "1e400",
            "1e-40000",
            "1e",
            "e9",
            "1.5.5",
            "1_000",
            "0x10",
            "true",
            "null",
            "[]",
            "{}",
            "\"\"",
            "\"1659377625\"",
            "\"2022-08-01\"",
            "\"2022-08-01T18:13:45\"",
            "\"2022-08-01T18:13:45+2:00\"",
            "\"2022-08-01T18:13:45+24:00\"",
            "\"2022-13-01T18:13:45Z\"",
            "\"é:éé+00:00\"",
            "\"tomorrow\"",
            "\"2022-08-01T18:13:45*02:00\"",
            "\"2022-08-01T18:13:45Z123Z\"",
            "\"2022-08-01T18:13:45Z12+02:00\"",
        ] {
            assert_eq!(parse(json), None, "{json}");
        }
    }
}
