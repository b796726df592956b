//! The record of stored credentials: its format, and the checks that every reader makes.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::cell::lease::Lease;
use crate::credentials::{Credentials, IssuedKeys, is_key};
use crate::error::Error;
use crate::service::client::ServiceTime;
use crate::service::cognito_identity::Id;
use crate::service::protocol::aws_json::{self, members, string};
use crate::service::sts::RoleRequest;
use crate::storage::{
    ParsedRecord, RECORD_VERSION, RECORD_VERSION_JSON, RecordKey, RecordStore, Storage, digest,
};

/// What the credentials were issued for, and in which boot. A record of another scope is not used.
/// Scopes are compared as text, so that every field counts.
#[derive(Serialize)]
pub(crate) struct RecordScope<'a> {
    pub(crate) boot_id: &'a str,
    pub(crate) pool: &'a str,
    pub(crate) login_id: Option<&'a str>,
    /// Whether the identity comes from a developer identity provider.
    pub(crate) developer: bool,
    pub(crate) providers: Vec<&'a str>,
    pub(crate) endpoint: &'a str,
    pub(crate) custom_role_arn: Option<&'a str>,
    /// The endpoint of STS and the request of the classic flow.
    pub(crate) role: Option<(&'a str, &'a RoleRequest)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CredentialRecord {
    pub(crate) credentials: Credentials,
    pub(crate) identity: Id,
    pub(crate) lease: Lease,
    /// The time of the service in its last answer.
    pub(crate) service: Option<ServiceTime>,
}

/// The outer part of a record. It shows that the record is of this version and not damaged.
#[derive(Serialize)]
struct Envelope<'a> {
    version: u32,
    /// A checksum: with a damaged secret, AWS would reject every signed request for an hour.
    check: String,
    body: &'a RawValue,
}

/// Times are in nanoseconds, on the boot clock or since 1970.
#[derive(Serialize)]
struct Body<'a> {
    key: &'a str,
    scope: &'a RawValue,
    identity_id: &'a str,
    lifetime: u64,
    boot_end: u64,
    wall_end: Option<u64>,
    service_date: Option<u64>,
    service_boot: Option<u64>,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    session_token: &'a str,
    expiration: u64,
}

const FIELDS: [&str; 12] = [
    "key",
    "scope",
    "identity_id",
    "lifetime",
    "boot_end",
    "wall_end",
    "service_date",
    "service_boot",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "expiration",
];

/// Creates the store of the record. Its key contains the service, the pool, the user's login ID and
/// the role, so programs with other values do not overwrite the record. A reader still compares the
/// scope.
pub(crate) fn store(
    storage: Arc<dyn Storage>,
    service: Option<&str>,
    pool: &Id,
    login_id: Option<&str>,
    role_arn: Option<&str>,
) -> RecordStore {
    let parts = [Some(pool.as_str()), login_id, role_arn];
    RecordStore::new(storage, RecordKey::new("credentials", service, &parts), "credentials")
}

impl CredentialRecord {
    /// Loads the record if it is of this scope and [`parse`](Self::parse) accepts it.
    pub(crate) fn load(
        store: &RecordStore,
        scope: &str,
        now: Duration,
        longest: Duration,
    ) -> Result<Option<Self>, Error> {
        Ok(store.load(|value| Self::parse(value, scope, now, longest))?.flatten())
    }

    /// Stores the record. If that fails, other processes request their own credentials.
    pub(crate) fn save(&self, store: &RecordStore, scope: &str) {
        let Some(value) = self.encode(store.key(), scope) else { return };
        if let Err(error) = store.store(&value) {
            log::warn!("{error:#}");
        }
    }

    /// Returns `None` if a time is out of range.
    fn encode(&self, key: &str, scope: &str) -> Option<Zeroizing<Vec<u8>>> {
        let body = aws_json::encode(&Body {
            key,
            scope: serde_json::from_str(scope).ok()?,
            identity_id: self.identity.as_str(),
            lifetime: nanoseconds(self.lease.lifetime)?,
            boot_end: nanoseconds(self.lease.boot_end)?,
            wall_end: self.lease.wall_end.and_then(since_1970),
            service_date: self.service.and_then(|seen| since_1970(seen.date)),
            service_boot: self.service.and_then(|seen| nanoseconds(seen.boot)),
            access_key_id: self.credentials.access_key_id(),
            secret_access_key: self.credentials.secret_access_key(),
            session_token: self.credentials.session_token(),
            expiration: since_1970(self.credentials.expiration())?,
        });
        let body = body.ok()?;
        let text = std::str::from_utf8(&body).ok()?;
        let envelope = Envelope {
            version: RECORD_VERSION,
            check: check(text),
            body: serde_json::from_str(text).ok()?,
        };
        aws_json::encode(&envelope).ok()
    }

    /// Parses a record. Returns `None` if it is damaged or of another version. The content is
    /// `None` if it begins after the boot time `now` or lives longer than `longest`. The content is
    /// `Some(None)` if the record is of another scope.
    fn parse<'a>(
        record: &'a [u8],
        scope: &str,
        now: Duration,
        longest: Duration,
    ) -> Option<ParsedRecord<'a, Option<Self>>> {
        let text = std::str::from_utf8(record).ok()?;
        let envelope = members("the record", text, ["version", "check", "body"]).ok()?;
        // A record of version 1 has no key, and counts as absent.
        let [version @ Some(RECORD_VERSION_JSON), Some(claimed), Some(body)] = envelope else {
            return None;
        };
        if *string(claimed)? != check(body) {
            return None;
        }
        let [key, fields @ ..] = members("the record", body, FIELDS).ok()?;
        let content = Self::from_fields(fields, scope, now, longest);
        Some(ParsedRecord { version, key: key.and_then(string), content })
    }

    #[expect(clippy::option_option, reason = "an impossible record, and one of another scope")]
    fn from_fields(
        fields: [Option<&str>; 11],
        scope: &str,
        now: Duration,
        longest: Duration,
    ) -> Option<Option<Self>> {
        let [found, identity, times @ .., key_id, secret, token, expiration] = fields;
        let [lifetime, boot_end, wall_end, service_date, service_boot] = times;
        if found? != scope {
            return Some(None);
        }
        let (lifetime, boot_end) = (duration(lifetime)?, duration(boot_end)?);
        let lease = Lease { lifetime, boot_end, wall_end: time(wall_end) };
        if lease.lifetime.is_zero() || lease.lifetime > longest || lease.start() > now {
            return None;
        }
        let identity = Id::parse(&string(identity?)?).ok()?;
        let keys = IssuedKeys {
            access_key_id: mem::take(&mut *credential_text(key_id)?),
            secret_access_key: credential_text(secret)?.into(),
            session_token: credential_text(token)?.into(),
            expiration: time(expiration)?,
        };
        let credentials = Credentials::of_identity(identity.as_str().to_owned(), keys);
        let service = time(service_date).zip(duration(service_boot));
        let service = service.map(|(date, boot)| ServiceTime { date, boot });
        let service = service.filter(|seen| seen.boot <= now);
        Some(Some(Self { credentials, identity, lease, service }))
    }
}

fn check(body: &str) -> String {
    format!("{:032x}", digest(body))
}

fn nanoseconds(duration: Duration) -> Option<u64> {
    u64::try_from(duration.as_nanos()).ok()
}

fn since_1970(time: SystemTime) -> Option<u64> {
    nanoseconds(time.duration_since(SystemTime::UNIX_EPOCH).ok()?)
}

fn duration(json: Option<&str>) -> Option<Duration> {
    Some(Duration::from_nanos(json?.parse().ok()?))
}

fn time(json: Option<&str>) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(duration(json)?)
}

/// Parses an access key ID, a secret or a session token.
fn credential_text(json: Option<&str>) -> Option<Zeroizing<String>> {
    string(json?).filter(|text| is_key(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    const IDENTITY: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";
    const SCOPE: &str = r#"{"boot_id":"this"}"#;
    const KEY: &str = "credentials/pool/\"ann\"";
    const NOW: Duration = Duration::from_secs(100);
    const HOUR: Duration = Duration::from_secs(3600);
    const MAX_LIFETIME: Duration = Duration::from_secs(12 * 3600);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn record([key_id, secret, token]: [&str; 3], lease: Lease) -> CredentialRecord {
        let keys = IssuedKeys {
            access_key_id: key_id.to_owned(),
            secret_access_key: Secret::new(secret),
            session_token: Secret::new(token),
            expiration: at(1_767_229_200) + Duration::from_nanos(1),
        };
        CredentialRecord {
            credentials: Credentials::of_identity(IDENTITY.to_owned(), keys),
            identity: Id::parse(IDENTITY).unwrap(),
            lease,
            service: Some(ServiceTime { date: at(1_767_225_600), boot: NOW }),
        }
    }

    fn usual() -> CredentialRecord {
        record(["ASIA", "a/b+\"\\", "{x}=="], Lease::new(NOW, at(1_767_225_600), HOUR))
    }

    #[expect(clippy::option_option, reason = "as in the library")]
    fn parse_in(record: &[u8], scope: &str) -> Option<Option<CredentialRecord>> {
        let parsed = CredentialRecord::parse(record, scope, NOW, MAX_LIFETIME)?;
        assert_eq!(parsed.key.as_ref().map(|key| key.as_str()), Some(KEY));
        parsed.content
    }

    fn parse(record: &[u8]) -> Option<CredentialRecord> {
        parse_in(record, SCOPE).flatten()
    }

    #[test]
    fn a_record_is_read_only_for_its_own_scope() {
        let late = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::MAX / 4);
        let cases = [
            usual(),
            CredentialRecord { service: None, ..usual() },
            record(["A", "b", "c"], Lease::new(NOW, SystemTime::UNIX_EPOCH, HOUR)),
            record(["A", "b", "c"], Lease::new(Duration::ZERO, at(4_000_000_000), 12 * HOUR)),
        ];
        for record in cases {
            let value = record.encode(KEY, SCOPE).unwrap();
            assert_eq!(value.capacity(), value.len(), "it never grew");
            assert_eq!(parse(&value), Some(record));
            let other = parse_in(&value, r#"{"boot_id":"other"}"#);
            assert_eq!(other, Some(None), "not damaged, but of another scope");
        }
        // A wall clock out of range is left out.
        let record = record(["A", "b", "c"], Lease::new(NOW, late, HOUR));
        assert_eq!(parse(&record.encode(KEY, SCOPE).unwrap()).unwrap().lease.wall_end, None);
    }

    #[test]
    fn a_record_that_is_cut_or_damaged_anywhere_counts_as_absent() {
        let whole = usual().encode(KEY, SCOPE).unwrap();
        for length in 0..whole.len() {
            assert_eq!(parse_in(&whole[..length], SCOPE), None, "cut to {length}");
        }
        for place in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.to_vec();
                damaged[place] ^= 1 << bit;
                assert_eq!(parse(&damaged), None, "{:?}", String::from_utf8_lossy(&damaged));
            }
        }
        let text = std::str::from_utf8(&whole).unwrap();
        for bad in [
            text.replace(r#"{"version":2"#, r#"{"version":1"#),
            text.replace(r#"{"version":2"#, r#"{"version":2,"version":2"#),
            text.replace("version", "Version"),
            format!("{text}{text}"),
            format!("[{text}]"),
            "null".to_owned(),
            "\u{0}\u{1}".to_owned(),
        ] {
            assert_ne!(bad, text);
            assert_eq!(parse_in(bad.as_bytes(), SCOPE), None, "{bad}");
        }
    }

    #[test]
    fn a_record_with_a_key_that_is_not_printable_ascii_counts_as_absent() {
        for text in
            ["", " ", "a b", "\n", "\u{1b}[31m", "\0", "\u{7f}", "é", "\u{202e}", "\u{200b}"]
        {
            for wrong in 0..3 {
                let keys = [0, 1, 2].map(|at| if at == wrong { text } else { "key" });
                let record = record(keys, Lease::new(NOW, at(1_767_225_600), HOUR));
                let value = record.encode(KEY, SCOPE).unwrap();
                assert_eq!(parse(&value), None, "{text:?} in place {wrong}");
            }
        }
    }

    #[test]
    fn an_impossible_record_counts_as_absent() {
        let second = Duration::from_secs(1);
        let lease = |start, lifetime| Lease::new(start, at(1_767_225_600), lifetime);
        let keys = ["A", "b", "c"];
        let rows = [
            ("a good one", record(keys, lease(NOW, HOUR)), true),
            ("the longest", record(keys, lease(NOW, 12 * HOUR)), true),
            ("longer than was requested", record(keys, lease(NOW, 12 * HOUR + second)), false),
            ("no life", record(keys, lease(NOW, Duration::ZERO)), false),
            ("from the future", record(keys, lease(NOW + second, HOUR)), false),
            ("more than 12 h from now", record(keys, lease(NOW + HOUR, 12 * HOUR)), false),
            ("no key ID", record(["", "b", "c"], lease(NOW, HOUR)), false),
            ("no secret", record(["A", "", "c"], lease(NOW, HOUR)), false),
            ("no token", record(["A", "b", ""], lease(NOW, HOUR)), false),
        ];
        for (what, record, good) in rows {
            let value = record.encode(KEY, SCOPE).unwrap();
            assert_eq!(parse(&value), good.then_some(record), "{what}");
        }
        let hour = usual().encode(KEY, SCOPE).unwrap();
        for (longest, good) in [(HOUR, true), (second, false)] {
            let parsed = CredentialRecord::parse(&hour, SCOPE, NOW, longest).unwrap();
            assert_eq!(parsed.content, good.then(|| Some(usual())), "{longest:?} were requested");
        }
        let seen = ServiceTime { date: at(1), boot: NOW + second };
        let ahead = CredentialRecord { service: Some(seen), ..usual() }.encode(KEY, SCOPE).unwrap();
        assert_eq!(
            parse(&ahead),
            Some(CredentialRecord { service: None, ..usual() }),
            "only the clock is left out"
        );
    }

    #[test]
    fn debug_shows_neither_secrets_nor_the_identity() {
        let mut record = usual();
        record.service = None;
        record.lease.wall_end = None;
        assert_eq!(
            format!("{record:?}"),
            "CredentialRecord { credentials: Credentials { access_key_id: \"ASIA\", expiration: \
             \"2026-01-01T01:00:00.000000001Z\", .. }, identity: us-east-1:[redacted], lease: Lease { \
             lifetime: 3600s, boot_end: 3700s, wall_end: None }, service: None }"
        );
    }

    #[test]
    fn the_key_names_the_service_the_pool_the_user_and_the_role() {
        let pool = Id::parse("us-east-1:00000000-0000-4000-8000-0000000000aa").unwrap();
        let emulator = Some("http://127.0.0.1:4566");
        let rows = [
            // service, login ID, role, key
            (None, None, None, "credentials/POOL"),
            (None, Some("ann"), None, "credentials/POOL/ann"),
            (None, None, Some("arn:r"), "credentials/POOL/arn:r"),
            (None, Some("ann"), Some("arn:r"), "credentials/POOL/ann/arn:r"),
            (emulator, None, None, "credentials/http://127.0.0.1:4566/POOL"),
            (emulator, Some("ann"), None, "credentials/http://127.0.0.1:4566/POOL/ann"),
        ];
        for (service, login_id, role, key) in rows {
            let storage = Arc::new(crate::MemoryStorage::new());
            let store = store(storage.clone(), service, &pool, login_id, role);
            usual().save(&store, SCOPE);
            let key = key.replace("POOL", pool.as_str());
            assert_eq!(format!("{storage:?}"), format!("MemoryStorage {{{key:?}}}"));
            let load = || CredentialRecord::load(&store, SCOPE, NOW, MAX_LIFETIME).unwrap();
            assert_eq!(load(), Some(usual()));
            assert!(store.remove());
            assert_eq!(load(), None);
        }
    }

    #[test]
    fn a_whole_record_of_another_key_is_an_error_even_if_it_is_impossible_or_of_another_scope() {
        let pool = Id::parse("us-east-1:00000000-0000-4000-8000-0000000000aa").unwrap();
        let own = format!("credentials/{}", pool.as_str());
        let late = record(["A", "b", "c"], Lease::new(NOW + HOUR, at(1_767_225_600), HOUR));
        let rows = [
            // what, record, key, scope, whether it is an error
            ("own", usual(), own.as_str(), SCOPE, false),
            ("another key", usual(), KEY, SCOPE, true),
            ("another key and scope", usual(), KEY, r#"{"boot_id":"other"}"#, true),
            ("another key, impossible", late, KEY, SCOPE, true),
        ];
        for (what, record, key, scope, is_error) in rows {
            let storage = Arc::new(crate::MemoryStorage::new());
            let store = store(storage.clone(), None, &pool, None, None);
            storage.store(&own, &record.encode(key, scope).unwrap()).unwrap();
            let loaded = CredentialRecord::load(&store, SCOPE, NOW, MAX_LIFETIME);
            assert_eq!(loaded.is_err(), is_error, "{what}");
            assert_eq!(store.storage_error().is_some(), is_error, "{what}");
        }
    }
}
