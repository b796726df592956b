//! The record of one set of credentials that is kept for the next process: its form, its place in a
//! storage, and what makes it unusable whoever asks.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::cell::lease::{LONGEST_LIFETIME, Lease};
use crate::credentials::Credentials;
use crate::service::client::ServiceTime;
use crate::service::cognito_identity::Id;
use crate::service::protocol::aws_json::{encode, members, string};
use crate::service::sts::RoleRequest;
use crate::storage::{Storage, StorageLock, digest};

/// The version of the record. One that a later version wrote counts as absent.
const VERSION: &str = "1";

/// What a set was issued for, and the run of the system that its times are of. A record of anything
/// else is no record: it is compared as text, so that whatever is added here counts.
#[derive(Serialize)]
pub(crate) struct Scope<'a> {
    pub(crate) boot_id: &'a str,
    pub(crate) pool: &'a str,
    pub(crate) login_id: Option<&'a str>,
    /// Whether the maker's backend names the identity.
    pub(crate) developer: bool,
    pub(crate) providers: Vec<&'a str>,
    pub(crate) endpoint: &'a str,
    pub(crate) custom_role_arn: Option<&'a str>,
    /// The classic flow: the endpoint of STS, and what it is asked for.
    pub(crate) role: Option<(&'a str, &'a RoleRequest)>,
}

/// What a record keeps.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) credentials: Credentials,
    pub(crate) identity: Id,
    pub(crate) lease: Lease,
    /// The service's clock as the last answer showed it.
    pub(crate) service: Option<ServiceTime>,
}

/// The outer part, which tells a whole record of this version from anything else.
#[derive(Serialize)]
struct Envelope<'a> {
    version: &'a RawValue,
    /// A damaged secret would sign requests that are refused for an hour.
    check: String,
    body: &'a RawValue,
}

/// Times are in nanoseconds: of the boot clock, or since 1970.
#[derive(Serialize)]
struct Body<'a> {
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

const FIELDS: [&str; 11] = [
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

impl Scope<'_> {
    /// The text that a record is compared by.
    pub(crate) fn text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

impl Kept {
    /// Writes the record, into memory that is wiped. `None` if it has a time that a record cannot
    /// express, which nothing real has.
    fn record(&self, scope: &str) -> Option<Zeroizing<Vec<u8>>> {
        let body = encode(&Body {
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
            version: serde_json::from_str(VERSION).ok()?,
            check: check(text),
            body: serde_json::from_str(text).ok()?,
        };
        encode(&envelope).ok()
    }

    /// Reads a record; `None` if it is none of this version, or makes no sense at boot time `now`.
    /// One of another scope is `Some(None)`.
    #[expect(clippy::option_option, reason = "what is damaged, and what is another's")]
    fn read(record: &[u8], scope: &str, now: Duration) -> Option<Option<Self>> {
        let text = std::str::from_utf8(record).ok()?;
        let envelope = members("the record", text, ["version", "check", "body"]).ok()?;
        let [Some(VERSION), Some(claimed), Some(body)] = envelope else { return None };
        if *string(claimed)? != check(body) {
            return None;
        }
        let [
            found,
            identity,
            lifetime,
            boot_end,
            wall_end,
            service_date,
            service_boot,
            key_id,
            secret,
            token,
            expiration,
        ] = members("the record", body, FIELDS).ok()?;
        if found? != scope {
            return Some(None);
        }
        let lease = Lease {
            lifetime: duration(lifetime)?,
            boot_end: duration(boot_end)?,
            wall_end: wall_end.and_then(|json| time(Some(json))),
        };
        if lease.lifetime.is_zero() || lease.lifetime > LONGEST_LIFETIME || lease.start() > now {
            return None;
        }
        let identity = Id::parse(&string(identity?)?).ok()?;
        let [mut key_id, secret, token] = [text_of(key_id)?, text_of(secret)?, text_of(token)?];
        let credentials = Credentials::of_identity(
            identity.as_str().to_owned(),
            mem::take(&mut *key_id),
            secret.into(),
            token.into(),
            time(expiration)?,
        );
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

/// A text that is not empty.
fn text_of(json: Option<&str>) -> Option<Zeroizing<String>> {
    string(json?).filter(|text| !text.is_empty())
}

/// The place of the record in a [`Storage`]. Failures are logged and otherwise passed over: what
/// cannot be kept is fetched again.
pub(crate) struct CredentialStore {
    storage: Arc<dyn Storage>,
    key: String,
}

impl CredentialStore {
    /// The key has the pool, the user's login ID and the role, so that programs that share a directory
    /// and differ in these do not take turns in one record. What is found under it is compared all the
    /// same.
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        pool: &Id,
        login_id: Option<&str>,
        role_arn: Option<&str>,
    ) -> Self {
        let mut key = format!("credentials/{}", pool.as_str());
        for part in [login_id, role_arn].into_iter().flatten() {
            key.push('/');
            key.push_str(part);
        }
        Self { storage, key }
    }

    /// The record of this scope, if there is one that makes sense at boot time `now`.
    pub(crate) fn load(&self, scope: &str, now: Duration) -> Option<Kept> {
        let record = match self.storage.load(&self.key) {
            Ok(record) => Zeroizing::new(record?),
            Err(error) => {
                log::warn!("the stored credentials could not be read: {error}");
                return None;
            }
        };
        let kept = Kept::read(&record, scope, now);
        if kept.is_none() {
            log::warn!(
                "the stored credentials are no record of this version; they count as absent"
            );
        }
        kept?
    }

    pub(crate) fn save(&self, kept: &Kept, scope: &str) {
        let Some(record) = kept.record(scope) else { return };
        if let Err(error) = self.storage.store(&self.key, &record) {
            log::warn!("the credentials could not be stored for the next process: {error}");
        }
    }

    /// Removes the record. False if it may still be there.
    pub(crate) fn remove(&self) -> bool {
        let outcome = self.storage.remove(&self.key);
        if let Err(error) = &outcome {
            log::warn!("the stored credentials could not be removed: {error}");
        }
        outcome.is_ok()
    }

    /// The lock that keeps others from fetching the same, if it can be had in time.
    pub(crate) fn lock(&self, wait: Duration) -> Option<StorageLock> {
        self.storage.lock(&self.key, wait).unwrap_or_else(|error| {
            log::warn!("the stored credentials could not be locked: {error}");
            None
        })
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";
    const SCOPE: &str = r#"{"boot_id":"this"}"#;
    const NOW: Duration = Duration::from_secs(100);
    const HOUR: Duration = Duration::from_secs(3600);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn kept(keys: [&str; 3], lease: Lease) -> Kept {
        let [key_id, secret, token] = keys;
        let (secret, token) = (secret.to_owned(), token.to_owned());
        Kept {
            credentials: Credentials::of_identity(
                IDENTITY.to_owned(),
                key_id.to_owned(),
                Zeroizing::new(secret).into(),
                Zeroizing::new(token).into(),
                at(1_767_229_200) + Duration::from_nanos(1),
            ),
            identity: Id::parse(IDENTITY).unwrap(),
            lease,
            service: Some(ServiceTime { date: at(1_767_225_600), boot: NOW }),
        }
    }

    fn usual() -> Kept {
        kept(["ASIA", "a/b+\"\\\n", "\u{1f980}=="], Lease::new(NOW, at(1_767_225_600), HOUR))
    }

    fn read(record: &[u8]) -> Option<Kept> {
        Kept::read(record, SCOPE, NOW).and_then(|kept| kept)
    }

    #[test]
    fn what_is_written_is_read_for_the_same_scope_alone() {
        let late = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::MAX / 4);
        let cases = [
            usual(),
            Kept { service: None, ..usual() },
            kept(["A", "b", "c"], Lease::new(NOW, SystemTime::UNIX_EPOCH, HOUR)),
            kept(["A", "b", "c"], Lease::new(Duration::ZERO, at(4_000_000_000), 12 * HOUR)),
        ];
        for kept in cases {
            let record = kept.record(SCOPE).unwrap();
            assert_eq!(record.capacity(), record.len(), "it never grew");
            assert_eq!(read(&record), Some(kept));
            let other = Kept::read(&record, r#"{"boot_id":"other"}"#, NOW);
            assert_eq!(other, Some(None), "it is another's, not damaged");
        }
        // A wall clock that no record can express is none.
        let kept = kept(["A", "b", "c"], Lease::new(NOW, late, HOUR));
        assert_eq!(read(&kept.record(SCOPE).unwrap()).unwrap().lease.wall_end, None);
    }

    #[test]
    fn a_record_that_is_cut_or_damaged_anywhere_is_none() {
        let whole = usual().record(SCOPE).unwrap();
        for length in 0..whole.len() {
            assert_eq!(Kept::read(&whole[..length], SCOPE, NOW), None, "cut to {length}");
        }
        for place in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.to_vec();
                damaged[place] ^= 1 << bit;
                assert_eq!(read(&damaged), None, "{:?}", String::from_utf8_lossy(&damaged));
            }
        }
        let text = std::str::from_utf8(&whole).unwrap();
        for bad in [
            text.replace(r#"{"version":1"#, r#"{"version":2"#),
            text.replace(r#"{"version":1"#, r#"{"version":1,"version":1"#),
            text.replace("version", "Version"),
            format!("{text}{text}"),
            format!("[{text}]"),
            "null".to_owned(),
            "\u{0}\u{1}".to_owned(),
        ] {
            assert_ne!(bad, text);
            assert_eq!(Kept::read(bad.as_bytes(), SCOPE, NOW), None, "{bad}");
        }
    }

    #[test]
    fn a_record_that_makes_no_sense_is_none() {
        let second = Duration::from_secs(1);
        let lease = |start, lifetime| Lease::new(start, at(1_767_225_600), lifetime);
        let keys = ["A", "b", "c"];
        let rows = [
            ("an honest one", kept(keys, lease(NOW, HOUR)), true),
            ("the longest", kept(keys, lease(NOW, 12 * HOUR)), true),
            ("longer than any role grants", kept(keys, lease(NOW, 12 * HOUR + second)), false),
            ("no life", kept(keys, lease(NOW, Duration::ZERO)), false),
            ("from the future", kept(keys, lease(NOW + second, HOUR)), false),
            ("more than 12 h from now", kept(keys, lease(NOW + HOUR, 12 * HOUR)), false),
            ("no key ID", kept(["", "b", "c"], lease(NOW, HOUR)), false),
            ("no secret", kept(["A", "", "c"], lease(NOW, HOUR)), false),
            ("no token", kept(["A", "b", ""], lease(NOW, HOUR)), false),
        ];
        for (what, kept, good) in rows {
            let record = kept.record(SCOPE).unwrap();
            assert_eq!(read(&record), good.then_some(kept), "{what}");
        }
        let seen = ServiceTime { date: at(1), boot: NOW + second };
        let ahead = Kept { service: Some(seen), ..usual() }.record(SCOPE).unwrap();
        assert_eq!(read(&ahead), Some(Kept { service: None, ..usual() }), "the clock alone is not");
    }

    #[test]
    fn debug_shows_neither_secrets_nor_the_identity() {
        let mut kept = usual();
        kept.service = None;
        kept.lease.wall_end = None;
        assert_eq!(
            format!("{kept:?}"),
            "Kept { credentials: Credentials { access_key_id: \"ASIA\", expiration: \
             \"2026-01-01T01:00:00.000000001Z\", .. }, identity: us-east-1:[redacted], lease: Lease { \
             lifetime: 3600s, boot_end: 3700s, wall_end: None }, service: None }"
        );
    }

    #[test]
    fn keys_have_all_that_programs_in_one_directory_may_differ_in() {
        let pool = Id::parse("us-east-1:00000000-0000-4000-8000-0000000000aa").unwrap();
        let rows = [
            (None, None, ""),
            (Some("ann"), None, "/ann"),
            (None, Some("arn:r"), "/arn:r"),
            (Some("ann"), Some("arn:r"), "/ann/arn:r"),
        ];
        for (login_id, role, end) in rows {
            let storage = Arc::new(crate::MemoryStorage::new());
            let store = CredentialStore::new(storage.clone(), &pool, login_id, role);
            store.save(&usual(), SCOPE);
            let key = format!("credentials/{}{end}", pool.as_str());
            assert_eq!(format!("{storage:?}"), format!("MemoryStorage {{{key:?}}}"));
            assert_eq!(store.load(SCOPE, NOW), Some(usual()));
            assert!(store.remove());
            assert_eq!(store.load(SCOPE, NOW), None);
        }
    }
}
