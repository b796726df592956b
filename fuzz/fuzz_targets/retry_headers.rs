//! The wait that the service asks for. The first byte chooses the status and the number of
//! attempts. Then come the values of `Retry-After`, `x-amz-retry-after` and `Date`, one per line.

#![no_main]

use std::time::Duration;

use cognito_identity_credentials::ErrorKind;
use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::transport::HttpResponse;
use cognito_identity_credentials_fuzz::{IDENTITY, check_error, http_date, settings};
use libfuzzer_sys::fuzz_target;

const STATUSES: [u16; 4] = [503, 429, 500, 400];

const NAMES: [&str; 3] = ["Retry-After", "x-amz-retry-after", "Date"];

/// Longer than any delay that the library chooses itself.
const OWN: Duration = Duration::from_secs(21);

/// The longest wait that the library accepts from the service.
const MAX_WAIT: Duration = Duration::from_secs(300);

fuzz_target!(|data: &[u8]| {
    let Some((&choice, lines)) = data.split_first() else { return };
    let Ok(lines) = std::str::from_utf8(lines) else { return };
    let status = STATUSES[usize::from(choice & 3)];
    let attempts = 1 + u32::from(choice >> 2 & 1);
    let values: Vec<&str> = lines.split('\n').take(3).collect();
    let body = if status == 400 { r#"{"__type":"SlowDown"}"# } else { "" };
    let mut answer = HttpResponse::new(status, body);
    for (name, value) in NAMES.into_iter().zip(&values) {
        if !value.is_empty() {
            answer = answer.with_header(name, *value);
        }
    }
    let timeout = Duration::from_secs(1_000);
    let clock = ManualClock::new();
    let builder = settings(&clock, move |_: &_| answer.clone());
    let provider = builder
        .identity_id(IDENTITY)
        .max_attempts(attempts)
        .timeout(timeout)
        .build()
        .expect("the settings are valid");
    let error = provider.get().expect_err("the service refuses");
    check_error(&error);

    // A date in `Retry-After` is only used if the answer also has a `Date`.
    let (asked, is_date) = asked(&values);
    let sleeps = clock.sleeps();
    let (least, most) = match asked {
        Some(asked) if asked > MAX_WAIT => (MAX_WAIT / 2, MAX_WAIT),
        Some(asked) if is_date => (asked, (2 * asked).min(MAX_WAIT)),
        Some(asked) => (asked, asked),
        None => Default::default(),
    };
    match asked {
        Some(asked) if attempts == 2 => {
            assert_eq!(sleeps.len(), 1);
            let kept = (least..=most.max(OWN)).contains(&sleeps[0]);
            assert!(kept, "slept {:?}, asked for {asked:?}", sleeps[0]);
        }
        _ => assert!(sleeps.iter().all(|sleep| *sleep <= OWN), "not asked for: {sleeps:?}"),
    }
    assert_ne!(error.kind(), ErrorKind::Response);
    let pause = provider.status().next_attempt_in;
    match asked.filter(|asked| !asked.is_zero()) {
        Some(asked) => {
            let kept = pause.is_some_and(|pause| (least..=most).contains(&pause));
            assert!(kept, "a pause of {pause:?}, asked for {asked:?}");
        }
        None => assert_eq!(pause, None, "the service did not ask for a pause"),
    }
});

/// Returns the longest wait that the service asks for, and whether a date may have spread it.
fn asked(values: &[&str]) -> (Option<Duration>, bool) {
    let line = |number: usize| values.get(number).copied().unwrap_or_default();
    let number = |text: &str| {
        let digits = text.trim().bytes().map(|b| b.is_ascii_digit().then(|| u64::from(b - b'0')));
        let add = |number: u64, digit: Option<u64>| number.checked_mul(10)?.checked_add(digit?);
        (!text.trim().is_empty()).then(|| digits.into_iter().try_fold(0, add))?
    };
    let plain = number(line(0)).map(Duration::from_secs);
    let amz = number(line(1)).map(Duration::from_millis);
    let until = http_date(line(0)).zip(http_date(line(2)));
    let dated = until.and_then(|(end, now)| u64::try_from(end - now).ok());
    let dated = dated.map(Duration::from_secs).filter(|_| is_strict(line(0)) && is_strict(line(2)));
    ([plain, amz, dated].into_iter().flatten().max(), dated.is_some())
}

/// Returns `true` if the library must be able to read this date.
fn is_strict(text: &str) -> bool {
    httpdate::parse_http_date(text).is_ok()
}
