//! Logins, identity IDs and durations as the commands print them.

use std::time::Duration;

use crate::arguments::Options;

/// Names the logins, or `guest`.
pub(crate) fn logins(options: &Options) -> String {
    let logins = options.logins.iter();
    let logins = logins.map(|login| format!("{}, by {}", login.provider, login.source));
    let pool = options.user_pool_id.iter();
    let pool = pool.map(|id| format!("user pool {id}, by a refresh token"));
    let all: Vec<_> = logins.chain(pool).collect();
    if all.is_empty() { "guest".to_owned() } else { all.join("; ") }
}

/// Shortens an identity ID. Whoever has the whole ID of a guest can get its credentials.
pub(crate) fn masked(id: &str) -> String {
    let region = id.split_once(':').map_or("", |(region, _)| region);
    let last: String = id.chars().skip(id.chars().count().saturating_sub(4)).collect();
    format!("{region}:…{last}")
}

/// Rounds a duration down to one unit.
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
