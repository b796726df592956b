//! The identity of a provider: where it came from, how it changes, and how it is stored.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use crate::error::Error;
use crate::service::cognito_identity::Id;
use crate::service::protocol::aws_json::{members, string};
use crate::storage::{RecordStore, Storage};

/// The version of the record. A record of another version counts as absent.
const VERSION: u32 = 1;

/// An identity ID, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: Id,
    pub(crate) origin: IdentityOrigin,
    /// Whether the program gave the ID, or gave one that the service has merged into it since. The
    /// library never replaces such an ID.
    pub(crate) given: bool,
}

impl Identity {
    pub(crate) fn new(id: Id, origin: IdentityOrigin) -> Self {
        let given = matches!(origin, IdentityOrigin::Given | IdentityOrigin::Developer);
        Self { id, origin, given }
    }
}

/// Tells where an identity ID came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdentityOrigin {
    /// The program set it. No failure makes the library replace it.
    Given,
    /// The program's [`DeveloperIdentityProvider`](crate::DeveloperIdentityProvider) returned it.
    Developer,
    /// It was loaded from the [`Storage`](crate::Storage).
    Stored,
    /// `GetId` returned it.
    Minted,
    /// The service returned it instead of the requested one, because a login links the two.
    Merged,
}

/// Describes a change of a provider's identity ID.
/// [`on_identity_change`](crate::Builder::on_identity_change) receives it.
///
/// `Debug` masks both IDs.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IdentityChange {
    /// The previous ID; `None` if there was none.
    pub old: Option<String>,
    /// The new ID; `None` if there is none yet.
    pub new: Option<String>,
    /// Why it changed.
    pub reason: IdentityChangeReason,
}

impl IdentityChange {
    pub(crate) fn new(old: Option<&Id>, new: Option<&Id>, reason: IdentityChangeReason) -> Self {
        let text = |id: &Id| id.as_str().to_owned();
        Self { old: old.map(text), new: new.map(text), reason }
    }
}

impl fmt::Debug for IdentityChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked = |id: &Option<String>| id.as_ref().map(|_| "[redacted]");
        f.debug_struct("IdentityChange")
            .field("old", &masked(&self.old))
            .field("new", &masked(&self.new))
            .field("reason", &self.reason)
            .finish()
    }
}

/// Tells why an identity ID changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdentityChangeReason {
    /// The program, or its developer identity provider, set it.
    Given,
    /// `GetId` returned the first one.
    Minted,
    /// The service merged the previous identity into this one.
    Merged,
    /// The service rejected the previous one, and `GetId` returned another.
    Replaced,
    /// The program cleared it, or the service rejected it and did not return another.
    Cleared,
}

/// The stored identity. An identity that cannot be stored still works until the program ends.
pub(crate) struct IdentityStore {
    record: RecordStore,
    /// Whether the last write failed. The next one then writes even an unchanged record.
    write_failed: AtomicBool,
}

#[derive(PartialEq, Serialize)]
struct Record {
    version: u32,
    identity_id: String,
    providers: Vec<String>,
}

impl Record {
    /// Member by member, which links less code than a derived `Deserialize`.
    fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let names = ["version", "identity_id", "providers"];
        let [version, identity_id, providers] = members("the record", text, names).ok()?;
        let version = version?.parse().ok().filter(|version| *version == VERSION)?;
        let identity_id = string(identity_id?)?.as_str().to_owned();
        let providers = serde_json::from_str(providers?).ok()?;
        Some(Self { version, identity_id, providers })
    }
}

impl IdentityStore {
    /// The key contains the pool and the user's login ID, so each user of each pool has a record.
    pub(crate) fn new(storage: Arc<dyn Storage>, pool: &Id, login_id: Option<&str>) -> Self {
        let key = match login_id {
            None => format!("identity/{}", pool.as_str()),
            Some(login_id) => format!("identity/{}/{login_id}", pool.as_str()),
        };
        let unusable = "is not a record of this version; it counts as absent";
        let record = RecordStore::new(storage, key, "identity", unusable);
        Self { record, write_failed: AtomicBool::new(false) }
    }

    /// Loads the identity if it may be used with these logins. Without logins it always may. With
    /// logins, one of the providers must be on record: otherwise the identity may be another
    /// user's.
    pub(crate) fn load<'a>(&self, mut providers: impl Iterator<Item = &'a str>) -> Option<Id> {
        let record = self.read().ok()??;
        let mut guest = true;
        let known = providers.any(|provider| {
            guest = false;
            record.providers.iter().any(|known| known == provider)
        });
        (guest || known).then(|| Id::parse(&record.identity_id).ok())?
    }

    /// Stores an identity, unless the record is already the same. Without logins, the providers on
    /// record stay, as in JavaScript. A record that cannot be read now is not overwritten, because
    /// it may be a good one.
    pub(crate) fn save<'a>(
        &self,
        id: &Id,
        providers: impl Iterator<Item = &'a str>,
    ) -> StoreOutcome {
        let Ok(old) = self.read() else { return StoreOutcome::Skipped };
        let mut providers: Vec<_> = providers.map(str::to_owned).collect();
        if let (true, Some(old)) = (providers.is_empty(), &old) {
            providers.clone_from(&old.providers);
        }
        let identity_id = id.as_str().to_owned();
        let record = Record { version: VERSION, identity_id, providers };
        if old.as_ref() == Some(&record) && !self.write_failed.load(Ordering::Relaxed) {
            return StoreOutcome::Unchanged;
        }
        let Ok(value) = serde_json::to_vec(&record) else { return StoreOutcome::Skipped };
        let outcome = self.record.store(&value);
        self.write_failed.store(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Ok(()) => StoreOutcome::Written,
            Err(error) => {
                log::warn!("{error:#}; the identity may be lost with this process");
                StoreOutcome::Failed
            }
        }
    }

    /// Removes the record. Returns `false` if it may still be there.
    pub(crate) fn remove(&self) -> bool {
        self.record.remove()
    }

    /// Removes the record if it holds this identity: another process may have stored a better one.
    /// Returns `false` if this identity may still be stored.
    pub(crate) fn remove_if(&self, id: &Id) -> bool {
        match self.read() {
            Ok(Some(record)) if record.identity_id == id.as_str() => self.remove(),
            Ok(_) => true,
            Err(_) => false,
        }
    }

    pub(crate) fn storage_error(&self) -> Option<Error> {
        self.record.storage_error()
    }

    fn read(&self) -> Result<Option<Record>, Error> {
        self.record.load(Record::parse)
    }
}

/// The outcome of storing an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreOutcome {
    /// The record was already the same.
    Unchanged,
    Written,
    /// Either the old or the new record is stored.
    Failed,
    /// The old record could not be read, or the new one not encoded.
    Skipped,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStorage;
    use std::iter;

    const POOL: &str = "us-east-1:00000000-0000-4000-8000-0000000000aa";
    const IDENTITY: &str = "us-east-1:12345678-dead-beef-cafe-123456790ab0";

    fn store(storage: &Arc<MemoryStorage>, login_id: Option<&str>) -> IdentityStore {
        IdentityStore::new(storage.clone(), &Id::parse(POOL).unwrap(), login_id)
    }

    fn text(id: Option<Id>) -> Option<String> {
        id.map(|id| id.as_str().to_owned())
    }

    #[test]
    fn a_stored_identity_serves_a_guest_or_a_provider_on_record() {
        let storage = Arc::new(MemoryStorage::new());
        let store = store(&storage, None);
        assert_eq!(store.load(iter::empty()), None);
        let id = Id::parse(IDENTITY).unwrap();
        assert_eq!(store.save(&id, ["a", "b"].into_iter()), StoreOutcome::Written);
        assert_eq!(store.save(&id, ["a", "b"].into_iter()), StoreOutcome::Unchanged);
        let loaded = |providers: &[&str]| text(store.load(providers.iter().copied()));
        assert_eq!(loaded(&[]).as_deref(), Some(IDENTITY));
        assert_eq!(loaded(&["c", "b"]).as_deref(), Some(IDENTITY));
        assert_eq!(loaded(&["c"]), None);
        let saved = store.save(&id, iter::empty());
        assert_eq!(saved, StoreOutcome::Unchanged, "a guest leaves the providers as they are");
        assert_eq!(loaded(&["a"]).as_deref(), Some(IDENTITY));
        assert_eq!(store.save(&id, ["c"].into_iter()), StoreOutcome::Written);
        assert_eq!(loaded(&["a"]), None);
        store.remove();
        assert_eq!(loaded(&[]), None);
    }

    #[test]
    fn each_user_has_a_record() {
        let storage = Arc::new(MemoryStorage::new());
        let id = Id::parse(IDENTITY).unwrap();
        store(&storage, Some("ann")).save(&id, iter::empty());
        assert_eq!(store(&storage, None).load(iter::empty()), None);
        assert_eq!(store(&storage, Some("bob")).load(iter::empty()), None);
        assert!(store(&storage, Some("ann")).load(iter::empty()).is_some());
        assert_eq!(format!("{storage:?}"), format!(r#"MemoryStorage {{"identity/{POOL}/ann"}}"#));
    }

    #[test]
    fn anything_but_a_whole_record_counts_as_absent() {
        let storage = Arc::new(MemoryStorage::new());
        let store = store(&storage, None);
        let whole = format!(r#"{{"version":1,"identity_id":"{IDENTITY}","providers":[]}}"#);
        let key = format!("identity/{POOL}");
        storage.store(&key, whole.as_bytes()).unwrap();
        assert!(store.load(iter::empty()).is_some());
        for bad in [
            whole.replace(":1,", ":2,"),
            whole.replace("us-east-1", "../"),
            whole.replace("[]", "{}"),
            whole.replace("version", "Version"),
            String::new(),
            "null".into(),
            "\u{0}\u{1}".into(),
        ] {
            storage.store(&key, bad.as_bytes()).unwrap();
            assert_eq!(store.load(iter::empty()), None, "{bad}");
        }
        for length in 0..whole.len() {
            storage.store(&key, &whole.as_bytes()[..length]).unwrap();
            assert_eq!(store.load(iter::empty()), None, "truncated to {length}");
        }
    }

    #[test]
    fn a_change_prints_no_id() {
        let id = Id::parse(IDENTITY).unwrap();
        let change = IdentityChange::new(None, Some(&id), IdentityChangeReason::Minted);
        assert_eq!(
            format!("{change:?}"),
            r#"IdentityChange { old: None, new: Some("[redacted]"), reason: Minted }"#
        );
    }
}
