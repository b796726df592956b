//! At which time certificates are checked.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::ErrorKind;
use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::transport::UreqTransport;
use rcgen::{CertificateParams, date_time_ymd};

use super::{Server, assert_tls_error};
use crate::authority::{Authority, for_names};

/// The first day of a month.
fn month(year: i32, month: u8) -> SystemTime {
    date_time_ymd(year, month, 1).into()
}

/// A certificate that is valid between the first days of two months.
fn valid(begin: (i32, u8), end: (i32, u8)) -> CertificateParams {
    let mut params = for_names(&["localhost"]);
    params.not_before = date_time_ymd(begin.0, begin.1, 1);
    params.not_after = date_time_ymd(end.0, end.1, 1);
    params
}

/// Times as years: the certificate is valid between two Januaries, the others are in November.
#[derive(Debug)]
struct Row {
    clock: i32,
    /// `None`: the day of the release.
    earliest_time: Option<i32>,
    valid: Range<i32>,
    expected: Outcome,
}

/// An error names a time that begins with this date.
#[derive(Debug)]
enum Outcome {
    Valid,
    TooEarly(&'static str),
    TooLate(&'static str),
}

#[test]
fn certificates_are_checked_at_the_time_of_the_clock_but_not_before_the_earliest_time() {
    use Outcome::{TooEarly, TooLate, Valid};
    let authority = Authority::new();
    let rows = [
        Row { clock: 1970, earliest_time: None, valid: 2026..2999, expected: Valid },
        Row { clock: 1970, earliest_time: None, valid: 2999..3000, expected: TooEarly("") },
        Row { clock: 1970, earliest_time: Some(2026), valid: 2025..2027, expected: Valid },
        Row { clock: 1960, earliest_time: Some(2026), valid: 2025..2027, expected: Valid },
        Row {
            clock: 1970,
            earliest_time: Some(2001),
            valid: 2025..2027,
            expected: TooEarly("2001-11-01"),
        },
        Row {
            clock: 1970,
            earliest_time: Some(2026),
            valid: 2020..2025,
            expected: TooLate("2026-11-01"),
        },
        Row { clock: 1970, earliest_time: None, valid: 2020..2025, expected: TooLate("") },
        Row { clock: 2030, earliest_time: Some(2026), valid: 2029..2031, expected: Valid },
        Row {
            clock: 2030,
            earliest_time: Some(2026),
            valid: 2025..2027,
            expected: TooLate("2030"),
        },
        Row {
            clock: 1970,
            earliest_time: Some(1970),
            valid: 2025..2027,
            expected: TooEarly("1970-11-01"),
        },
    ];
    for row in rows {
        let server = Server::with(&authority, valid((row.valid.start, 1), (row.valid.end, 1)));
        let what = format!("{row:?}");
        let settings = UreqTransport::builder()
            .ca_pem(authority.pem.clone())
            .clock(ManualClock::at(month(row.clock, 11)));
        let settings = match row.earliest_time {
            Some(year) => settings.earliest_time(month(year, 11)),
            None => settings,
        };
        let (says, date) = match row.expected {
            Valid => {
                server.get("localhost", settings.build().unwrap()).expect(&what);
                continue;
            }
            TooEarly(date) => ("is not valid yet: ", date),
            TooLate(date) => ("has expired: ", date),
        };
        let error = server.get("localhost", settings.build().unwrap()).expect_err(&what);
        assert_tls_error(&what, &error, says);
        assert_tls_error(&what, &error, &format!("the device's clock says {date}"));
        assert!(error.hint().unwrap().contains("clock"), "{what}");
    }
}

/// A device without the time may run for months. It accepts new certificates, and rejects old ones.
#[test]
fn the_earliest_time_advances_with_the_boot_clock() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let authority = Authority::new();
    let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
    let transport = UreqTransport::builder()
        .ca_pem(authority.pem.clone())
        .clock(clock.clone())
        .earliest_time(month(2026, 11))
        .build()
        .unwrap();
    let transport = Arc::new(transport);
    let mut outcomes = Vec::new();
    for (begin, end) in [((2026, 1), (2027, 2)), ((2027, 1), (2028, 1)), ((2026, 1), (2027, 2))] {
        let server = Server::with(&authority, valid(begin, end));
        outcomes.push(server.get("localhost", transport.clone()).map_err(|error| error.kind()));
        clock.advance(DAY * 180);
    }
    assert!(matches!(outcomes[..], [Ok(_), Ok(_), Err(ErrorKind::Tls)]), "{outcomes:?}");
}
