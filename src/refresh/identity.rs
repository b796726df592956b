//! The identity of a provider: where it came from, how it changes, and how it is stored.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::error::Error;
use crate::service::cognito_identity::Id;
use crate::service::protocol::aws_json::{members, string};
use crate::storage::{
    ParsedRecord, RECORD_VERSION, RecordKey, RecordStore, Storage, VERSION_1_JSON,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: Id,
    pub(crate) origin: IdentityOrigin,
    /// Whether the program set the ID, or set an ID that the service has merged into this one. The
    /// library never replaces it.
    pub(crate) given: bool,
    /// Whether the stored identity could not be read when this guest was created. Each refresh then
    /// reads the storage again.
    pub(crate) temporary: bool,
}

impl Identity {
    pub(crate) fn new(id: Id, origin: IdentityOrigin) -> Self {
        let given = matches!(origin, IdentityOrigin::Given | IdentityOrigin::Developer);
        Self { id, origin, given, temporary: false }
    }
}

/// Tells where an identity ID came from.
/// [`status`](crate::CognitoIdentityCredentials::status) returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdentityOrigin {
    /// The program set it. The library never replaces it.
    Given,
    /// The program's [`DeveloperIdentityProvider`](crate::DeveloperIdentityProvider) returned it.
    Developer,
    /// It was loaded from the [`Storage`](crate::Storage).
    Stored,
    /// `GetId` returned it.
    Minted,
    /// The service returned it instead of the requested identity, because a login belongs to both.
    Merged,
}

/// Describes a change of a provider's identity ID.
/// [`on_identity_change`](crate::Builder::on_identity_change) receives it.
///
/// `Debug` masks both IDs.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IdentityChange {
    /// The previous ID, or `None` if there was none.
    pub old: Option<String>,
    /// The new ID, or `None` if there is none yet.
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
/// [`on_identity_change`](crate::Builder::on_identity_change) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdentityChangeReason {
    /// The program, or its developer identity provider, set it.
    Given,
    /// `GetId` returned the first one.
    Minted,
    /// The service merged the previous identity into this one.
    Merged,
    /// The service rejected the previous identity, and `GetId` or the storage returned another one.
    /// Or the previous identity was a temporary guest, and the storage could be read again.
    Replaced,
    /// The program cleared it. Or the service rejected it and did not return another one.
    Cleared,
}

/// Loads and stores the identity. Other code names only this trait, so that the linker drops the
/// record and its parser from programs without a storage.
pub(crate) trait IdentityRecords: Send + Sync {
    /// Loads the identity if it may be used with these login providers. Without providers, it
    /// always may. Otherwise the record must name one of them, because the identity could belong to
    /// another user. With `or_guest`, a record without providers may be used too.
    fn load(
        &self,
        providers: &mut dyn Iterator<Item = &str>,
        or_guest: bool,
    ) -> Result<Option<Id>, Error>;

    /// Stores an identity with its login providers. A guest has none: if the record holds this
    /// identity, the record stays as it is. If it holds another identity, its providers are
    /// dropped, because with them a user would get the guest's identity. A record that cannot be
    /// read now is not overwritten, because it may be good.
    fn save(&self, id: &Id, providers: &mut dyn Iterator<Item = &str>) -> StoreOutcome;

    /// Removes the record. Returns `false` if it may still be there.
    fn remove(&self) -> bool;

    /// Removes the record if it holds one of these identities. Another process may have stored a
    /// good one. Returns `false` if one of these identities may still be stored.
    fn remove_any_of(&self, ids: &[Id]) -> bool;

    fn storage_error(&self) -> Option<Error>;
}

/// Keeps the identity in a storage. An identity that cannot be stored works until the program ends.
pub(crate) struct IdentityStore(RecordStore);

#[derive(Serialize)]
struct Record<'a> {
    version: u32,
    key: &'a str,
    identity_id: &'a str,
    providers: &'a [String],
}

struct StoredIdentity {
    is_version_1: bool,
    identity_id: String,
    providers: Vec<String>,
}

impl StoredIdentity {
    /// Reads member by member, because a derived `Deserialize` would add more code to the program.
    fn parse(value: &[u8]) -> Option<ParsedRecord<'_, Self>> {
        let text = std::str::from_utf8(value).ok()?;
        let names = ["version", "key", "identity_id", "providers"];
        let [version, key, identity_id, providers] = members("the record", text, names).ok()?;
        let content = || {
            let identity_id = string(identity_id?)?.as_str().to_owned();
            let providers = serde_json::from_str(providers?).ok()?;
            Some(Self { is_version_1: version == Some(VERSION_1_JSON), identity_id, providers })
        };
        Some(ParsedRecord { version, key: key.and_then(string), content: content() })
    }
}

impl IdentityStore {
    /// The key of the record contains the service, the pool and the user's login ID.
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        service: Option<&str>,
        pool: &Id,
        login_id: Option<&str>,
    ) -> Self {
        let key = RecordKey::new("identity", service, &[Some(pool.as_str()), login_id]);
        Self(RecordStore::new(storage, key, "identity"))
    }

    fn read(&self) -> Result<Option<StoredIdentity>, Error> {
        self.0.load(StoredIdentity::parse)
    }
}

impl IdentityRecords for IdentityStore {
    fn load(
        &self,
        providers: &mut dyn Iterator<Item = &str>,
        or_guest: bool,
    ) -> Result<Option<Id>, Error> {
        let Some(record) = self.read()? else { return Ok(None) };
        let (mut guest, mut known) = (true, false);
        for provider in providers {
            guest = false;
            known |= record.providers.iter().any(|known| known == provider);
        }
        let usable = guest || known || (or_guest && record.providers.is_empty());
        Ok(if usable { Id::parse(&record.identity_id).ok() } else { None })
    }

    fn save(&self, id: &Id, providers: &mut dyn Iterator<Item = &str>) -> StoreOutcome {
        let Ok(old) = self.read() else { return StoreOutcome::Skipped };
        let mut providers: Vec<_> = providers.map(str::to_owned).collect();
        let identity_id = id.as_str();
        let old = old.filter(|old| old.identity_id == identity_id);
        if let (true, Some(old)) = (providers.is_empty(), &old) {
            providers.clone_from(&old.providers);
        }
        let providers = providers.as_slice();
        let is_same = old.is_some_and(|old| !old.is_version_1 && old.providers == providers);
        // After a failed write, a power cut may still lose the record, so it is written again.
        if is_same && !self.0.write_failed() {
            return StoreOutcome::Unchanged;
        }
        let (version, key) = (RECORD_VERSION, self.0.key());
        let record = Record { version, key, identity_id, providers };
        // Nearly all records fit, so the buffer does not grow.
        let mut value = Vec::with_capacity(512);
        if serde_json::to_writer(&mut value, &record).is_err() {
            return StoreOutcome::Skipped;
        }
        match self.0.store(&value) {
            Ok(()) => StoreOutcome::Written,
            Err(error) => {
                log::warn!("{error:#}; the identity may be lost with this process");
                StoreOutcome::Failed
            }
        }
    }

    fn remove(&self) -> bool {
        self.0.remove()
    }

    fn remove_any_of(&self, ids: &[Id]) -> bool {
        match self.read() {
            Ok(Some(record)) if ids.iter().any(|id| record.identity_id == id.as_str()) => {
                self.remove()
            }
            Ok(_) => true,
            Err(_) => false,
        }
    }

    fn storage_error(&self) -> Option<Error> {
        self.0.storage_error()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreOutcome {
    Unchanged,
    Written,
    /// Either the old or the new record is stored.
    Failed,
    /// The old record could not be read, or the new one could not be encoded.
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
        IdentityStore::new(storage.clone(), None, &Id::parse(POOL).unwrap(), login_id)
    }

    fn text(id: Option<Id>) -> Option<String> {
        id.map(|id| id.as_str().to_owned())
    }

    #[test]
    fn a_stored_identity_is_loaded_for_a_guest_or_a_login_provider_of_the_record() {
        let storage = Arc::new(MemoryStorage::new());
        let store = store(&storage, None);
        assert_eq!(store.load(&mut iter::empty(), false).unwrap(), None);
        let id = Id::parse(IDENTITY).unwrap();
        assert_eq!(store.save(&id, &mut ["a", "b"].into_iter()), StoreOutcome::Written);
        assert_eq!(store.save(&id, &mut ["a", "b"].into_iter()), StoreOutcome::Unchanged);
        let loaded =
            |providers: &[&str]| text(store.load(&mut providers.iter().copied(), false).unwrap());
        assert_eq!(loaded(&[]).as_deref(), Some(IDENTITY));
        assert_eq!(loaded(&["c", "b"]).as_deref(), Some(IDENTITY));
        assert_eq!(loaded(&["c"]), None);
        let saved = store.save(&id, &mut iter::empty());
        assert_eq!(saved, StoreOutcome::Unchanged, "a guest leaves the providers as they are");
        assert_eq!(loaded(&["a"]).as_deref(), Some(IDENTITY));
        assert_eq!(store.save(&id, &mut ["c"].into_iter()), StoreOutcome::Written);
        assert_eq!(loaded(&["a"]), None);
        let other = Id::parse(&IDENTITY.replace("ab0", "ab1")).unwrap();
        assert_eq!(store.save(&other, &mut iter::empty()), StoreOutcome::Written);
        assert_eq!(loaded(&["c"]), None, "another identity drops the providers");
        assert_eq!(loaded(&[]).as_deref(), Some(other.as_str()));
        store.remove();
        assert_eq!(loaded(&[]), None);
    }

    #[test]
    fn each_user_has_a_separate_record() {
        let storage = Arc::new(MemoryStorage::new());
        let id = Id::parse(IDENTITY).unwrap();
        store(&storage, Some("ann")).save(&id, &mut iter::empty());
        assert_eq!(store(&storage, None).load(&mut iter::empty(), false).unwrap(), None);
        assert_eq!(store(&storage, Some("bob")).load(&mut iter::empty(), false).unwrap(), None);
        assert!(store(&storage, Some("ann")).load(&mut iter::empty(), false).unwrap().is_some());
        assert_eq!(format!("{storage:?}"), format!(r#"MemoryStorage {{"identity/{POOL}/ann"}}"#));
    }

    #[test]
    fn anything_but_a_whole_record_counts_as_absent() {
        let storage = Arc::new(MemoryStorage::new());
        let store = store(&storage, None);
        let key = format!("identity/{POOL}");
        let rest = format!(r#""identity_id":"{IDENTITY}","providers":[]}}"#);
        let whole = format!(r#"{{"version":2,"key":"{key}",{rest}"#);
        storage.store(&key, whole.as_bytes()).unwrap();
        assert!(store.load(&mut iter::empty(), false).unwrap().is_some());
        for bad in [
            whole.replace(":2,", ":3,"),
            format!(r#"{{"version":2,{rest}"#),
            format!(r#"{{"version":2,"key":7,{rest}"#),
            whole.replace(IDENTITY, "../"),
            whole.replace("[]", "{}"),
            whole.replace("version", "Version"),
            String::new(),
            "null".into(),
            "\u{0}\u{1}".into(),
        ] {
            storage.store(&key, bad.as_bytes()).unwrap();
            assert_eq!(store.load(&mut iter::empty(), false).unwrap(), None, "{bad}");
        }
        for length in 0..whole.len() {
            storage.store(&key, &whole.as_bytes()[..length]).unwrap();
            assert_eq!(
                store.load(&mut iter::empty(), false).unwrap(),
                None,
                "truncated to {length}"
            );
        }
    }

    #[test]
    fn a_record_without_a_key_belongs_to_aws_and_is_written_again_with_its_key() {
        let version_1 = format!(r#"{{"version":1,"identity_id":"{IDENTITY}","providers":["a"]}}"#);
        let id = Id::parse(IDENTITY).unwrap();
        for service in [None, Some("http://127.0.0.1:4566")] {
            let storage = Arc::new(MemoryStorage::new());
            let pool = Id::parse(POOL).unwrap();
            let store = IdentityStore::new(storage.clone(), service, &pool, None);
            let key = store.0.key();
            storage.store(key, version_1.as_bytes()).unwrap();
            let loaded = store.load(&mut iter::empty(), false).unwrap();
            assert_eq!(loaded.is_some(), service.is_none(), "{service:?}");
            assert_eq!(
                store.save(&id, &mut ["a"].into_iter()),
                StoreOutcome::Written,
                "{service:?}"
            );
            let value = String::from_utf8(storage.load(key).unwrap().unwrap()).unwrap();
            let rest = format!(r#""identity_id":"{IDENTITY}","providers":["a"]}}"#);
            assert_eq!(value, format!(r#"{{"version":2,"key":"{key}",{rest}"#));
            assert_eq!(store.save(&id, &mut ["a"].into_iter()), StoreOutcome::Unchanged);
        }
    }

    #[test]
    fn a_record_of_another_key_is_an_error_and_stays_as_it_is() {
        let storage = Arc::new(MemoryStorage::new());
        let (ann, bob) = (store(&storage, Some("ann")), store(&storage, Some("bob")));
        let id = Id::parse(IDENTITY).unwrap();
        bob.save(&id, &mut iter::empty());
        let bobs = storage.load(bob.0.key()).unwrap().unwrap();
        storage.store(ann.0.key(), &bobs).unwrap();
        let error = ann.load(&mut iter::empty(), false).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Storage);
        assert!(error.hint().unwrap().contains("login_id"), "{error}");
        assert_eq!(ann.storage_error().map(|error| error.to_string()), Some(error.to_string()));
        assert_eq!(ann.save(&id, &mut iter::empty()), StoreOutcome::Skipped);
        assert!(!ann.remove_any_of(std::slice::from_ref(&id)));
        assert_eq!(storage.load(ann.0.key()).unwrap().unwrap(), bobs);
        assert!(ann.remove(), "the program may remove it");
        assert_eq!(ann.save(&id, &mut iter::empty()), StoreOutcome::Written);
        assert!(ann.storage_error().is_none());
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
