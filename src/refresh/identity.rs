//! The identity that a provider acts for: where it came from, how it is kept, and how it changes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use crate::service::cognito_identity::Id;
use crate::service::protocol::aws_json::{members, string};
use crate::storage::Storage;

/// The version of the record. One that a later version wrote counts as absent.
const VERSION: u32 = 1;

/// An identity that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: Id,
    pub(crate) origin: IdentityOrigin,
    /// Whether the program gave it, or one that the service has put in its place since: it is not
    /// ours to give up.
    pub(crate) given: bool,
}

impl Identity {
    pub(crate) fn new(id: Id, origin: IdentityOrigin) -> Self {
        let given = matches!(origin, IdentityOrigin::Given | IdentityOrigin::Developer);
        Self { id, origin, given }
    }
}

/// Where an identity ID came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdentityOrigin {
    /// The program set it. It is never given up because of a failure.
    Given,
    /// The program's [`DeveloperIdentityProvider`](crate::DeveloperIdentityProvider) named it.
    Developer,
    /// It was kept in the [`Storage`](crate::Storage).
    Stored,
    /// `GetId` returned it.
    Minted,
    /// The service answered with this one instead of the one that it was asked for, as it does
    /// when a login ties two identities together.
    Merged,
}

/// A change of the identity ID that a provider acts for, as told to
/// [`on_identity_change`](crate::Builder::on_identity_change).
///
/// `Debug` masks both IDs.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IdentityChange {
    /// The ID before, if one was known.
    pub old: Option<String>,
    /// The ID from now on; `None` when it is not known yet.
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

/// Why an identity ID changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdentityChangeReason {
    /// The program, or its developer identity provider, set it.
    Given,
    /// `GetId` returned the first one.
    Minted,
    /// The service merged two identities.
    Merged,
    /// The service refused the old one, and `GetId` returned another.
    Replaced,
    /// The program cleared it, or the service refused it and no other could be had.
    Cleared,
}

/// The place of one identity in a [`Storage`]. Failures are logged and otherwise passed over: an
/// identity that cannot be kept still works until the program ends.
#[derive(Clone)]
pub(crate) struct IdentityStore {
    storage: Arc<dyn Storage>,
    key: String,
    /// Whether the last write failed, so that the record may not outlive a loss of power.
    doubtful: Arc<AtomicBool>,
}

#[derive(PartialEq, Serialize)]
struct Record {
    version: u32,
    identity_id: String,
    providers: Vec<String>,
}

impl Record {
    /// Member by member, which takes less code than the library's reading of a whole type.
    fn read(text: &str) -> Option<Self> {
        let names = ["version", "identity_id", "providers"];
        let [version, identity_id, providers] = members("the record", text, names).ok()?;
        let version = version?.parse().ok().filter(|version| *version == VERSION)?;
        let identity_id = string(identity_id?)?.as_str().to_owned();
        let providers = serde_json::from_str(providers?).ok()?;
        Some(Self { version, identity_id, providers })
    }
}

impl IdentityStore {
    /// The key has the pool and the user's login ID, so that neither pools nor users share one.
    pub(crate) fn new(storage: Arc<dyn Storage>, pool: &Id, login_id: Option<&str>) -> Self {
        let key = match login_id {
            None => format!("identity/{}", pool.as_str()),
            Some(login_id) => format!("identity/{}/{login_id}", pool.as_str()),
        };
        Self { storage, key, doubtful: Arc::default() }
    }

    /// The stored identity, if it may be used with these logins: as a guest always, else if one of
    /// the providers was there when it was stored, for it may belong to another user.
    pub(crate) fn load<'a>(&self, mut providers: impl Iterator<Item = &'a str>) -> Option<Id> {
        let record = self.record().ok()??;
        let mut guest = true;
        let known = providers.any(|provider| {
            guest = false;
            record.providers.iter().any(|known| known == provider)
        });
        (guest || known).then(|| Id::parse(&record.identity_id).ok())?
    }

    /// Keeps an identity, and writes only if that changes anything. Without logins, those that are on
    /// record stay there, as in JavaScript. A record that cannot be read now may be a good one: it is
    /// left alone.
    pub(crate) fn save<'a>(&self, id: &Id, providers: impl Iterator<Item = &'a str>) -> Saved {
        let Ok(old) = self.record() else { return Saved::Untouched };
        let mut providers: Vec<_> = providers.map(str::to_owned).collect();
        if let (true, Some(old)) = (providers.is_empty(), &old) {
            providers.clone_from(&old.providers);
        }
        let identity_id = id.as_str().to_owned();
        let record = Record { version: VERSION, identity_id, providers };
        if old.as_ref() == Some(&record) && !self.doubtful.load(Ordering::Relaxed) {
            return Saved::Unchanged;
        }
        let Ok(value) = serde_json::to_vec(&record) else { return Saved::Untouched };
        let outcome = self.storage.store(&self.key, &value);
        self.doubtful.store(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Ok(()) => Saved::Written,
            Err(error) => {
                log::warn!(
                    "the identity could not be stored and may be lost with this process: {error}"
                );
                Saved::Failed
            }
        }
    }

    /// Removes the record. False if it may still be there.
    pub(crate) fn remove(&self) -> bool {
        let outcome = self.storage.remove(&self.key);
        if let Err(error) = &outcome {
            log::warn!("the stored identity could not be removed: {error}");
        }
        outcome.is_ok()
    }

    /// Removes the record if it is this identity's: another process may have stored a better one.
    /// False if this identity's may still be there.
    pub(crate) fn remove_if(&self, id: &Id) -> bool {
        match self.record() {
            Ok(Some(record)) if record.identity_id == id.as_str() => self.remove(),
            Ok(_) => true,
            Err(()) => false,
        }
    }

    /// What cannot be read as a record of this version counts as absent. An error, logged already,
    /// is that it cannot be told.
    fn record(&self) -> Result<Option<Record>, ()> {
        let value = match self.storage.load(&self.key) {
            Ok(Some(value)) => value,
            Ok(None) => return Ok(None),
            Err(error) => {
                log::warn!("the stored identity could not be read: {error}");
                return Err(());
            }
        };
        let record = std::str::from_utf8(&value).ok().and_then(Record::read);
        if record.is_none() {
            log::warn!("the stored identity is not a record of this version; it counts as absent");
        }
        Ok(record)
    }
}

/// What became of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Saved {
    /// It was right already.
    Unchanged,
    Written,
    /// It may be the old one or the new one.
    Failed,
    Untouched,
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
    fn a_stored_identity_is_for_a_guest_or_for_a_provider_that_was_there() {
        let storage = Arc::new(MemoryStorage::new());
        let store = store(&storage, None);
        assert_eq!(store.load(iter::empty()), None);
        let id = Id::parse(IDENTITY).unwrap();
        assert_eq!(store.save(&id, ["a", "b"].into_iter()), Saved::Written);
        assert_eq!(store.save(&id, ["a", "b"].into_iter()), Saved::Unchanged);
        let loaded = |providers: &[&str]| text(store.load(providers.iter().copied()));
        assert_eq!(loaded(&[]).as_deref(), Some(IDENTITY));
        assert_eq!(loaded(&["c", "b"]).as_deref(), Some(IDENTITY));
        assert_eq!(loaded(&["c"]), None);
        let saved = store.save(&id, iter::empty());
        assert_eq!(saved, Saved::Unchanged, "a guest leaves the providers as they are");
        assert_eq!(loaded(&["a"]).as_deref(), Some(IDENTITY));
        assert_eq!(store.save(&id, ["c"].into_iter()), Saved::Written);
        assert_eq!(loaded(&["a"]), None);
        store.remove();
        assert_eq!(loaded(&[]), None);
    }

    #[test]
    fn users_have_records_of_their_own() {
        let storage = Arc::new(MemoryStorage::new());
        let id = Id::parse(IDENTITY).unwrap();
        store(&storage, Some("ann")).save(&id, iter::empty());
        assert_eq!(store(&storage, None).load(iter::empty()), None);
        assert_eq!(store(&storage, Some("bob")).load(iter::empty()), None);
        assert!(store(&storage, Some("ann")).load(iter::empty()).is_some());
        assert_eq!(format!("{storage:?}"), format!(r#"MemoryStorage {{"identity/{POOL}/ann"}}"#));
    }

    #[test]
    fn what_is_not_a_record_counts_as_absent() {
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
