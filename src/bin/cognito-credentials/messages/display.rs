//! The printed form of texts, logins, identity IDs and times.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::Value;

use crate::commands::output;
use crate::messages::failure::{Failure, REFUSED};
use crate::messages::printable::printable;
use crate::options::arguments::Options;

/// The most characters of a line, unless one word is longer.
const WIDTH: usize = 100;

/// Makes a text printable and breaks it into lines. The first line begins at the column `indent`. A
/// long word stays whole, and so does a command between backticks.
pub(crate) fn wrapped(text: &str, indent: usize) -> String {
    let text = printable(text);
    let mut lines = String::with_capacity(text.len());
    let mut column = indent;
    let mut is_command = false;
    let is_gap = |c: char| {
        is_command ^= c == '`';
        c == ' ' && !is_command
    };
    for word in text.split(is_gap) {
        let length = word.chars().count();
        if column > indent && column + 1 + length > WIDTH {
            lines.push('\n');
            lines.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if !lines.is_empty() {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines
}

pub(crate) fn print_json(document: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_value(document).and_then(|mut json| {
        make_printable(&mut json);
        serde_json::to_string_pretty(&json)
    });
    match text {
        Ok(text) => output::print(format!("{text}\n")),
        Err(_) => Err(Failure::new(REFUSED, "the report cannot be written as JSON")),
    }
}

/// Makes the texts in a JSON document printable. The field names are printable already.
fn make_printable(value: &mut Value) {
    match value {
        Value::String(text) => *text = printable(text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(make_printable),
        Value::Object(fields) => fields.values_mut().for_each(make_printable),
        _ => {}
    }
}

/// Formats a time as in RFC 3339, in seconds.
pub(crate) fn rfc_3339(time: SystemTime) -> String {
    // The formatter cannot format a later time.
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    let time = time.clamp(SystemTime::UNIX_EPOCH, last);
    humantime::format_rfc3339_seconds(time).to_string()
}

/// Returns the names of the logins, or `guest`.
pub(crate) fn logins(options: &Options) -> String {
    let logins = options.logins.iter();
    let logins = logins.map(|login| format!("{}, by {}", login.provider, login.source));
    let pool = options.user_pool_id.iter();
    let pool = pool.map(|id| format!("user pool {id}, by a refresh token"));
    let all: Vec<_> = logins.chain(pool).collect();
    if all.is_empty() { "guest".to_owned() } else { all.join("; ") }
}

/// Shortens an identity ID, because the whole ID of a guest is enough to get its credentials.
pub(crate) fn masked(id: &str) -> String {
    let region = id.split_once(':').map_or("", |(region, _)| region);
    let last: String = id.chars().skip(id.chars().count().saturating_sub(4)).collect();
    format!("{region}:…{last}")
}

/// Rounds a duration down to a whole number of one unit.
pub(crate) fn rounded(time: Duration) -> String {
    let (count, unit) = match time.as_secs() {
        seconds @ 0..120 => (seconds, "second"),
        seconds @ 120..7200 => (seconds / 60, "minute"),
        seconds @ 7200..172_800 => (seconds / 3600, "hour"),
        seconds => (seconds / 86400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        let text = format!("{} {} end", "a".repeat(50), "b".repeat(40));
        let expected = format!("{}\n{}{} end", "a".repeat(50), " ".repeat(20), "b".repeat(40));
        assert_eq!(wrapped(&text, 20), expected);
        let long = "x".repeat(200);
        assert_eq!(wrapped(&format!("a {long} b"), 20).lines().count(), 3);
        assert_eq!(wrapped("", 20), "");
        assert_eq!(wrapped("a  b", 20), "a  b");
        let command = format!("`mkdir {}`", "d".repeat(70));
        assert_eq!(
            wrapped(&format!("run {command} now"), 20).lines().nth(1).unwrap().trim(),
            command
        );
    }

    #[test]
    fn times_are_shown_in_utc_to_the_second() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(rfc_3339(at(1_795_478_400)), "2026-11-24T00:00:00Z");
        assert_eq!(rfc_3339(at(1 << 60)), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn only_the_region_and_the_end_of_an_identity_id_are_shown() {
        assert_eq!(masked("us-east-1:12345678-dead-beef-cafe-123456790ab0"), "us-east-1:…0ab0");
        assert_eq!(masked("é"), ":…é");
    }

    #[test]
    fn durations_are_shown_in_one_unit() {
        let rows = [
            (0, "0 seconds"),
            (1, "1 second"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (7199, "119 minutes"),
            (7200, "2 hours"),
            (200_000, "2 days"),
        ];
        for (seconds, expected) in rows {
            assert_eq!(rounded(Duration::from_secs(seconds)), expected);
        }
    }
}
