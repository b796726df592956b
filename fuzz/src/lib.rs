//! What the fuzz targets share: a provider with answers from memory, and the checks of every error
//! and every request. The expected values are computed here, not by the library's own code.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::transport::{HttpRequest, HttpResponse};
use cognito_identity_credentials::{Builder, CognitoIdentityCredentials, Credentials, Error};
use serde::de::IgnoredAny;
use serde_json::Value;

pub const POOL: &str = "us-east-1:00000000-0000-4000-8000-0000000000aa";
pub const IDENTITY: &str = "us-east-1:5e471e10-5e47-5e47-5e47-5e471e105e47";
pub const MINTED: &str = "us-east-1:5e471e10-0002-4000-8000-000000000002";
pub const PROVIDER: &str = "accounts.google.com";
pub const TOKEN: &str = "SENTINEL-TOKEN";
pub const ROLE: &str = "arn:aws:iam::123456789012:role/fuzzed";

/// Secrets that no error and no line of the log may contain: the login token (it is also the OpenID
/// token), and the GUIDs of the identities.
const SENTINELS: [&str; 3] =
    [TOKEN, "5e471e10-5e47-5e47-5e47-5e471e105e47", "5e471e10-0002-4000-8000-000000000002"];

/// The time of a new `ManualClock`, in seconds since 1970.
pub const START: u64 = 1_767_225_600;

pub const GOOD_KEYS: &str = r#"{"Credentials":{"AccessKeyId":"GOODKEY","SecretKey":"good/secret","SessionToken":"good/session","Expiration":1767229200}}"#;

pub const GOOD_XML: &str = "<R><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>GOODKEY</AccessKeyId><SecretAccessKey>good/secret</SecretAccessKey><SessionToken>good/session</SessionToken><Expiration>2026-01-01T01:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></R>";

/// Settings for one short run: no retries and no cooldown.
pub fn settings(
    clock: &ManualClock,
    answer: impl Fn(&HttpRequest) -> HttpResponse + Send + Sync + 'static,
) -> Builder {
    CognitoIdentityCredentials::builder()
        .identity_pool_id(POOL)
        .transport(move |request: &HttpRequest| Ok(answer(request)))
        .clock(clock.clone())
        .max_attempts(1)
        .failure_cooldown(Duration::ZERO)
}

pub fn operation(request: &HttpRequest) -> &str {
    let target = request.headers().iter().find(|(name, _)| name == "x-amz-target");
    target.map_or("AssumeRoleWithWebIdentity", |(_, target)| {
        target.strip_prefix("AWSCognitoIdentityService.").expect("the target is of Cognito")
    })
}

/// Returns the answer of a service without faults. It creates the identity [`MINTED`].
pub fn good(request: &HttpRequest) -> HttpResponse {
    match operation(request) {
        "GetId" => HttpResponse::new(200, format!(r#"{{"IdentityId":"{MINTED}"}}"#)),
        "GetOpenIdToken" => HttpResponse::new(200, format!(r#"{{"Token":"{TOKEN}"}}"#)),
        "GetCredentialsForIdentity" => HttpResponse::new(200, GOOD_KEYS),
        _ => HttpResponse::new(200, GOOD_XML),
    }
}

/// Returns the identity ID in a request to Cognito. It must be valid and of the right region.
pub fn requested_identity(request: &HttpRequest) -> Option<String> {
    let body = std::str::from_utf8(request.body()).expect("a request is text");
    let rest = body.strip_prefix(r#"{"IdentityId":""#)?;
    let id = &rest[..rest.find('"').expect("the ID ends")];
    assert!(is_identity(id), "an invalid ID in a request: {id:?}");
    assert!(id.starts_with("us-east-1:"), "an ID of another region in a request: {id:?}");
    Some(id.to_owned())
}

/// The requests of a run: for each, the operation and the identity ID.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<Note>>>);

type Note = (String, Option<String>);

impl Notes {
    pub fn take(&self, request: &HttpRequest) {
        let note = (operation(request).to_owned(), requested_identity(request));
        self.0.lock().unwrap().push(note);
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Returns the last identity ID in a request.
    pub fn last_identity(&self) -> Option<String> {
        self.0.lock().unwrap().iter().rev().find_map(|(_, identity)| identity.clone())
    }

    pub fn count_of(&self, operation: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|(name, _)| name == operation).count()
    }
}

/// Returns `true` if this is a valid ID of Cognito: `REGION:GUID`, at most 55 characters.
pub fn is_identity(text: &str) -> bool {
    let Some(colon) = text.find(':') else { return false };
    let (region, guid) = (&text[..colon], &text[colon + 1..]);
    text.len() <= 55
        && !region.is_empty()
        && !guid.is_empty()
        && region.chars().all(|c| matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-'))
        && guid.chars().all(|c| matches!(c, 'a'..='f' | '0'..='9' | '-'))
}

/// Checks what must be true of every error.
pub fn check_error(error: &Error) {
    assert!(error.message().chars().count() <= 256, "the message is too long");
    check_text(&format!("{error}"));
    check_text(&format!("{error:#}"));
    check_text(&format!("{error:?}"));
    check_text(error.code().unwrap_or_default());
    check_text(error.request_id().unwrap_or_default());
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        check_text(&format!("{cause} {cause:?}"));
        source = cause.source();
    }
}

/// Checks that a text has no secret, and no character that controls a terminal.
pub fn check_text(text: &str) {
    for sentinel in SENTINELS {
        assert!(!text.contains(sentinel), "{sentinel} is in {text:?}");
    }
    assert!(!text.chars().any(is_invisible), "a control character is in {text:?}");
}

/// Returns `true` if this is a control character, a line or paragraph separator, a format
/// character, or any other character without a shape.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c), 0xad | 0x34f | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f
            | 0x890..=0x891 | 0x8e2 | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f
            | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f
            | 0xfeff | 0xffa0 | 0xfff0..=0xfffb | 0x110bd | 0x110cd | 0x13430..=0x1343f
            | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff)
}

/// Returns `true` if this can be an access key ID, a secret key or a session token: printable
/// ASCII.
pub fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| (b'!'..=b'~').contains(&b))
}

/// The library uses credentials for at most this long, unless the program sets a duration.
const MAX_LIFETIME: Duration = Duration::from_secs(3600);

/// Checks that `get()` does not return these credentials after their end.
pub fn check_end(
    set: &Credentials,
    provider: &CognitoIdentityCredentials,
    clock: &ManualClock,
    notes: &Notes,
) {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(START);
    let life = set.expiration().duration_since(start).expect("the credentials end after the start");
    assert!(!life.is_zero());
    clock.advance(life.min(MAX_LIFETIME));
    let contacts = notes.count();
    if provider.get().is_ok() {
        assert!(notes.count() > contacts, "expired credentials were returned");
    }
}

struct Watch;

impl log::Log for Watch {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        check_text(&record.args().to_string());
    }

    fn flush(&self) {}
}

/// Checks every line of the log from now on.
pub fn watch_log() {
    log::set_logger(&Watch).expect("no other logger is set");
    log::set_max_level(log::LevelFilter::Trace);
}

/// Returns `true` if this is JSON. Escapes and numbers without a meaning are allowed: the library
/// does not look at them in members that it skips.
pub fn is_json(body: &[u8]) -> bool {
    let text = std::str::from_utf8(body).ok();
    text.is_some_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// Returns a member of a JSON object, unless it is `null`.
pub fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.as_object()?.get(name).filter(|value| !value.is_null())
}

pub fn text_member(value: &Value, name: &str) -> Option<String> {
    member(value, name)?.as_str().map(str::to_owned)
}

/// Returns the seconds from 1970 to the start of a day. It counts years and months one by one.
pub fn day_start(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month).ok()?.checked_sub(1)?;
    if !(1970..=9999).contains(&year) || !(1..=*lengths.get(before)?).contains(&day) {
        return None;
    }
    let years: i64 = (1970..year).map(|year| 365 + i64::from(leap(year))).sum();
    let months: i64 = lengths.iter().take(before).sum();
    Some((years + months + day - 1) * 86_400)
}

/// Parses a date in one of the three forms of RFC 9110. Returns the seconds since 1970.
pub fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut text = text.trim().to_owned();
    // In the second form, httpdate accepts any character between the date and the time.
    let gap = text.len().saturating_sub(" 08:49:37 GMT".len());
    if text.contains('-') && text.is_char_boundary(gap) && text.is_char_boundary(gap + 1) {
        text.replace_range(gap..gap + 1, " ");
    }
    let words: Vec<&str> = text.split(' ').collect();
    let (year, month, day, time) = match words[..] {
        [_, day, month, year, time, "GMT"] => (year, month, day, time),
        [_, date, time, "GMT"] => {
            let mut parts = date.split('-');
            let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
            (year, month, day, time)
        }
        [_, month, "", day, time, year] | [_, month, day, time, year] => (year, month, day, time),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let number = |text: &str| {
        let digits = text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<i64>().ok())?
    };
    let year = match (year.len(), number(year)?) {
        (2, year @ 70..) => 1900 + year,
        (2, year) => 2000 + year,
        (_, year) => year,
    };
    let mut clock = time.split(':');
    let (hour, minute, second) =
        (number(clock.next()?)?, number(clock.next()?)?, number(clock.next()?)?);
    let time = hour * 3600 + minute * 60 + second;
    Some(day_start(year, i64::try_from(month).ok()?, number(day)?)? + time)
}

/// Returns the decoded value of a form field.
pub fn form_field(form: &[u8], name: &str) -> Option<Vec<u8>> {
    let form = std::str::from_utf8(form).expect("a form is text");
    let value = form.split('&').find_map(|field| field.strip_prefix(name)?.strip_prefix('='))?;
    let mut bytes = value.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let pair = [bytes.next().expect("a digit"), bytes.next().expect("a digit")];
                let pair = std::str::from_utf8(&pair).expect("digits are text");
                u8::from_str_radix(pair, 16).expect("two digits")
            }
            byte => byte,
        });
    }
    Some(decoded)
}
