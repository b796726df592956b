//! What the fuzz targets share: a provider on answers from memory, and what must hold of every
//! error and of every request. What a target compares with is computed here anew, not by the
//! library's own code.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::testing::ManualClock;
use cognito_identity_credentials::transport::{HttpRequest, HttpResponse};
use cognito_identity_credentials::{Builder, CognitoIdentityCredentials, Error};
use serde::de::IgnoredAny;
use serde_json::Value;

pub const POOL: &str = "us-east-1:00000000-0000-4000-8000-0000000000aa";
pub const IDENTITY: &str = "us-east-1:5e471e10-5e47-5e47-5e47-5e471e105e47";
pub const MINTED: &str = "us-east-1:5e471e10-0002-4000-8000-000000000002";
pub const PROVIDER: &str = "accounts.google.com";
pub const TOKEN: &str = "SENTINEL-TOKEN";
pub const ROLE: &str = "arn:aws:iam::123456789012:role/fuzzed";

/// What stands in no error and in no line of the log: the token of a login, which is the open ID
/// token too, and the part of the identities that is theirs alone.
const SENTINELS: [&str; 3] =
    [TOKEN, "5e471e10-5e47-5e47-5e47-5e471e105e47", "5e471e10-0002-4000-8000-000000000002"];

/// What `ManualClock` shows at its start, in seconds since 1970.
pub const START: u64 = 1_767_225_600;

pub const GOOD_KEYS: &str = r#"{"Credentials":{"AccessKeyId":"GOODKEY","SecretKey":"good/secret","SessionToken":"good/session","Expiration":1767229200}}"#;

pub const GOOD_XML: &str = "<R><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>GOODKEY</AccessKeyId><SecretAccessKey>good/secret</SecretAccessKey><SessionToken>good/session</SessionToken><Expiration>2026-01-01T01:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></R>";

/// Settings for one short run: no repeats, nothing remembered of a failure.
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

/// The name of the operation that a request is for.
pub fn operation(request: &HttpRequest) -> &str {
    let target = request.headers().iter().find(|(name, _)| name == "x-amz-target");
    target.map_or("AssumeRoleWithWebIdentity", |(_, target)| {
        target.strip_prefix("AWSCognitoIdentityService.").expect("a target of the service")
    })
}

/// The answer of a service that mints [`MINTED`] and hands out the good keys.
pub fn good(request: &HttpRequest) -> HttpResponse {
    match operation(request) {
        "GetId" => HttpResponse::new(200, format!(r#"{{"IdentityId":"{MINTED}"}}"#)),
        "GetOpenIdToken" => HttpResponse::new(200, format!(r#"{{"Token":"{TOKEN}"}}"#)),
        "GetCredentialsForIdentity" => HttpResponse::new(200, GOOD_KEYS),
        _ => HttpResponse::new(200, GOOD_XML),
    }
}

/// The identity ID that a request to Cognito names, which is well-formed and of the right region.
pub fn requested_identity(request: &HttpRequest) -> Option<String> {
    let body = std::str::from_utf8(request.body()).expect("a request is text");
    let rest = body.strip_prefix(r#"{"IdentityId":""#)?;
    let id = &rest[..rest.find('"').expect("the ID ends")];
    assert!(is_identity(id), "a bad ID in a request: {id:?}");
    assert!(id.starts_with("us-east-1:"), "an ID of another region in a request: {id:?}");
    Some(id.to_owned())
}

/// Where a run notes what was sent: operations, and the identities that they are for.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<Note>>>);

type Note = (String, Option<String>);

impl Notes {
    /// Notes the operation and the identity that it is for.
    pub fn take(&self, request: &HttpRequest) {
        let note = (operation(request).to_owned(), requested_identity(request));
        self.0.lock().unwrap().push(note);
    }

    pub fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// The identity of the last request that named one.
    pub fn last_identity(&self) -> Option<String> {
        self.0.lock().unwrap().iter().rev().find_map(|(_, identity)| identity.clone())
    }

    pub fn count_of(&self, operation: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|(name, _)| name == operation).count()
    }
}

/// Whether this is the service's form of an ID: `REGION:GUID`, at most 55 characters.
pub fn is_identity(text: &str) -> bool {
    let Some(colon) = text.find(':') else { return false };
    let (region, guid) = (&text[..colon], &text[colon + 1..]);
    text.len() <= 55
        && !region.is_empty()
        && !guid.is_empty()
        && region.chars().all(|c| matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-'))
        && guid.chars().all(|c| matches!(c, 'a'..='f' | '0'..='9' | '-'))
}

/// What holds of every error, whatever came.
pub fn check_error(error: &Error) {
    assert!(error.message().chars().count() <= 256, "a long message");
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

/// Nothing secret, and nothing that a terminal obeys.
pub fn check_text(text: &str) {
    for sentinel in SENTINELS {
        assert!(!text.contains(sentinel), "{sentinel} is in {text:?}");
    }
    assert!(!text.chars().any(is_invisible), "a control character is in {text:?}");
}

/// Control characters, line and paragraph separators, format characters, and characters that are
/// shown as nothing.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c), 0xad | 0x34f | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f
            | 0x890..=0x891 | 0x8e2 | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f
            | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f
            | 0xfeff | 0xffa0 | 0xfff0..=0xfffb | 0x110bd | 0x110cd | 0x13430..=0x1343f
            | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff)
}

/// Whether this can be an access key ID, a secret or a session token: visible ASCII.
pub fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| (b'!'..=b'~').contains(&b))
}

/// How long a set of keys is served at most, where no duration is asked for.
pub const LONGEST_LIFE: Duration = Duration::from_secs(3600);

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

/// From here on every line of the log is checked.
pub fn watch_log() {
    log::set_logger(&Watch).expect("no other logger is set");
    log::set_max_level(log::LevelFilter::Trace);
}

/// Whether it is JSON, if perhaps with escapes or numbers that mean nothing: in what is passed over,
/// nobody looks at them.
pub fn is_json(body: &[u8]) -> bool {
    let text = std::str::from_utf8(body).ok();
    text.is_some_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// A member of a JSON object.
pub fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.as_object()?.get(name).filter(|value| !value.is_null())
}

pub fn text_member(value: &Value, name: &str) -> Option<String> {
    member(value, name)?.as_str().map(str::to_owned)
}

/// Seconds from 1970 to the beginning of a day of the Gregorian calendar, counted year by year and
/// month by month.
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

/// A date in one of the three forms of RFC 9110, as seconds since 1970.
pub fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut text = text.trim().to_owned();
    // The library in use does not look at what stands between date and time in the second form.
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

/// The moment so many seconds after 1970.
pub fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The value of a field of a form, decoded.
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
