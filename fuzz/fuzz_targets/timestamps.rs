//! Times in every form. The first byte chooses where the time is. The rest is the text.

#![no_main]

use std::time::{Duration, SystemTime};

use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::transport::HttpResponse;
use cognito_identity_credentials_fuzz::{
    GOOD_KEYS, GOOD_XML, IDENTITY, ROLE, check_error, day_start, good, http_date, operation,
    settings,
};
use libfuzzer_sys::fuzz_target;

/// The last second of the year 9999.
const LAST: i128 = 253_402_300_799;
const SECOND: i128 = 1_000_000_000;

fuzz_target!(|data: &[u8]| {
    let Some((&place, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    match place % 4 {
        0 => number(text),
        1 => string(text),
        2 => xml(text),
        _ => date(text),
    }
});

/// Returns the expiration that a provider reads from an answer, in nanoseconds since 1970. The wall
/// clock of the provider is so early that no credentials have expired.
fn expiration(answer: HttpResponse, classic: bool) -> Option<i128> {
    let clock = ManualClock::at(SystemTime::UNIX_EPOCH - Duration::from_secs(2 * 86_400));
    let transport = move |request: &_| match operation(request) {
        "GetOpenIdToken" => good(request),
        _ => answer.clone(),
    };
    let mut builder = settings(&clock, transport).identity_id(IDENTITY);
    if classic {
        builder = builder.role_arn(ROLE);
    }
    let set = builder.build().expect("the settings are valid").get();
    set.inspect_err(check_error).ok().map(|set| nanoseconds(set.expiration()))
}

fn nanoseconds(time: SystemTime) -> i128 {
    let signed = |duration: Duration| i128::try_from(duration.as_nanos()).expect("it fits");
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => signed(since),
        Err(error) => -signed(error.duration()),
    }
}

fn number(text: &str) {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) {
        return;
    }
    let answer = HttpResponse::new(200, GOOD_KEYS.replace("1767229200", text));
    let found = expiration(answer, false);
    let expected = decimal(text).filter(|time| (0..(LAST + 1) * SECOND).contains(time));
    match (found, expected) {
        (Some(found), Some(expected)) => assert_eq!(found, expected, "{text}"),
        (None, None) => {}
        (Some(found), None) => panic!("{text} was read as {found}"),
        (None, Some(expected)) => {
            // With such an exponent the value can only be zero, so the library may reject it.
            let exponent = text.split_once(['e', 'E']).map_or("", |(_, exponent)| exponent);
            assert!(exponent.len() >= 5, "{text} was rejected, but is {expected}");
        }
    }
}

/// Parses a JSON number of seconds. Returns nanoseconds, rounded down.
fn decimal(text: &str) -> Option<i128> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => (true, mantissa),
        None => (false, mantissa),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let zeros = whole.len() > 1 && whole.starts_with('0');
    if whole.is_empty() || zeros || !digits(whole) || !digits(fraction) {
        return None;
    }
    let power = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if power.is_empty() || !digits(power) {
        return None;
    }
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    if negative {
        return Some(-1);
    }
    if significant.is_empty() {
        return Some(0);
    }
    let power: i128 = power.parse().unwrap_or(1_000_000).min(1_000_000);
    let power = if exponent.starts_with('-') { -power } else { power };
    // The value is 0.SIGNIFICANT times ten to the power of `point`.
    let leading = i128::try_from(all.len() - significant.len()).expect("it fits");
    let point = i128::try_from(whole.len()).expect("it fits") - leading + power + 9;
    match point {
        ..=0 => Some(0),
        31.. => Some(i128::MAX),
        _ => {
            let places = usize::try_from(point).expect("it is positive");
            let kept: String =
                significant.chars().chain("0".repeat(30).chars()).take(places).collect();
            kept.parse().ok()
        }
    }
}

fn string(text: &str) {
    if text.contains(['"', '\\']) || text.chars().any(char::is_control) {
        return;
    }
    let answer = HttpResponse::new(200, GOOD_KEYS.replace("1767229200", &format!("\"{text}\"")));
    assert_eq!(expiration(answer, false), rfc3339(text), "{text:?}");
}

fn xml(text: &str) {
    if text.contains(['<', '&', '\r']) || text.contains("]]>") {
        return;
    }
    let answer = HttpResponse::new(200, GOOD_XML.replace("2026-01-01T01:00:00Z", text));
    let found = expiration(answer, true);
    if found.is_some() {
        assert_eq!(found, rfc3339(text.trim()), "{text:?}");
    }
}

/// Parses `1970-01-01T00:00:00.0Z`, or the same with an offset. Second 60 counts as 59, as on
/// clocks without leap seconds.
fn rfc3339(text: &str) -> Option<i128> {
    let (local, offset) = match text.strip_suffix('Z') {
        Some(local) => (local, 0),
        None => {
            let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
            let sign = match offset.as_bytes()[0] {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let (hours, minutes) = offset[1..].split_once(':')?;
            let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (local, sign * (hours * 3600 + minutes * 60))
        }
    };
    let (date, time) = local.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut date = date.split('-');
    let (year, month, day) =
        (digits(date.next()?, 4)?, digits(date.next()?, 2)?, digits(date.next()?, 2)?);
    let mut time = time.split(':');
    let (hour, minute, second) =
        (digits(time.next()?, 2)?, digits(time.next()?, 2)?, digits(time.next()?, 2)?);
    if date.next().is_some() || time.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanoseconds: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let seconds = day_start(year, month, day)? + hour * 3600 + minute * 60 + second.min(59);
    Some(i128::from(seconds - offset) * SECOND + nanoseconds.parse::<i128>().ok()?)
}

fn digits(text: &str, length: usize) -> Option<i64> {
    let plain = text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

/// The service's time is the `Date` header, if the header can be read.
fn date(text: &str) {
    let clock = ManualClock::new();
    let answer = HttpResponse::new(400, "{}").with_header("Date", text);
    let builder = settings(&clock, move |_: &_| answer.clone()).identity_id(IDENTITY);
    let provider = builder.build().expect("the settings are valid");
    check_error(&provider.get().expect_err("the service refuses"));
    if let Some(time) = provider.service_time() {
        let expected = http_date(text).map(|seconds| i128::from(seconds) * SECOND);
        assert_eq!(Some(nanoseconds(time)), expected, "{text:?}");
    }
}
