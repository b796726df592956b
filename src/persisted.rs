//! The record of one set of credentials that is kept for the next process: its form, its place in a
//! storage, and what makes it unusable whoever asks.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::client::ServiceTime;
use crate::cognito::Id;
use crate::credentials::Credentials;
use crate::lease::{LONGEST_LIFETIME, Lease};
use crate::protocol::aws_json::{encode, members, string};
use crate::storage::{Storage, StorageLock, digest};
use crate::sts::RoleRequest;

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
